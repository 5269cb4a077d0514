package check

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// build builds a kustomization, and reads what it yields into the types of the API: an unknown field is an error.
func build(t *testing.T, folder string) map[string]any {
	t.Helper()
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), folder)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]any{}
	for _, r := range resources.Resources() {
		var into any
		switch kind := r.GetKind(); kind {
		case "Deployment":
			into = new(appsv1.Deployment)
		case "StatefulSet":
			into = new(appsv1.StatefulSet)
		case "Service":
			into = new(corev1.Service)
		case "ConfigMap":
			into = new(corev1.ConfigMap)
		case "PersistentVolumeClaim":
			into = new(corev1.PersistentVolumeClaim)
		case "NetworkPolicy":
			into = new(networkingv1.NetworkPolicy)
		case "PodDisruptionBudget":
			into = new(policyv1.PodDisruptionBudget)
		case "HorizontalPodAutoscaler":
			into = new(autoscalingv2.HorizontalPodAutoscaler)
		default:
			t.Fatalf("a %s, which nothing here knows", kind)
		}
		text, err := r.AsYAML()
		if err == nil {
			err = yaml.UnmarshalStrict(text, into)
		}
		if err != nil {
			t.Fatalf("%s %s: %v", r.GetKind(), r.GetName(), err)
		}
		all[r.GetKind()+" "+r.GetName()] = into
	}
	return all
}

// safe wants a pod that writes nowhere but in volumes, is nobody, has time to end, and has the console beside it.
func safe(t *testing.T, pod corev1.PodSpec, port int32) {
	t.Helper()
	if len(pod.Containers) != 2 {
		t.Fatalf("%d containers, want checkout and its console", len(pod.Containers))
	}
	if grace := pod.TerminationGracePeriodSeconds; grace == nil || *grace < 20 { // CHECKOUT_SHUTDOWN_DELAY, CHECKOUT_DRAIN, 2.8 s
		t.Errorf("grace period %v, want 20 s or more", grace)
	}
	checkout := pod.Containers[0]
	if checkout.ReadinessProbe == nil || checkout.ReadinessProbe.GRPC == nil || checkout.ReadinessProbe.GRPC.Port != port {
		t.Errorf("readiness probe %+v, want gRPC at %d", checkout.ReadinessProbe, port)
	}
	if checkout.Resources.Limits.Memory().IsZero() {
		t.Error("no limit of memory")
	}
}

func confined(t *testing.T, pod corev1.PodSpec) {
	t.Helper()
	if s := pod.SecurityContext; s == nil || s.RunAsUser == nil || *s.RunAsUser != 65532 || s.RunAsNonRoot == nil || !*s.RunAsNonRoot {
		t.Errorf("it runs as %+v", s)
	}
	for _, c := range pod.Containers {
		if s := c.SecurityContext; s == nil || s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem || s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation {
			t.Errorf("%s: %+v", c.Name, s)
		}
	}
}

// selects wants a selector that means our pods alone: an empty one means all of the namespace.
func selects(t *testing.T, what string, s *metav1.LabelSelector) {
	t.Helper()
	if s == nil || s.MatchLabels["app.kubernetes.io/name"] != "checkout" {
		t.Errorf("%s selects %+v", what, s)
	}
}

func TestOnSQLiteThereIsOnePodWithAVolume(t *testing.T) {
	t.Parallel()
	all := build(t, "../kubernetes/sqlite")
	set := all["StatefulSet checkout"].(*appsv1.StatefulSet)
	if *set.Spec.Replicas != 1 || len(set.Spec.VolumeClaimTemplates) != 1 || set.Spec.Template.Spec.Containers[0].VolumeMounts[0].MountPath != "/var/lib/checkout" {
		t.Errorf("%d replicas, volumes %+v", *set.Spec.Replicas, set.Spec.VolumeClaimTemplates)
	}
	selects(t, "the set", set.Spec.Selector)
	safe(t, set.Spec.Template.Spec, 5050)
	confined(t, set.Spec.Template.Spec)
	selects(t, "the network policy", &all["NetworkPolicy checkout"].(*networkingv1.NetworkPolicy).Spec.PodSelector)
}

func TestOnPostgreSQLThereAreSeveralPods(t *testing.T) {
	t.Parallel()
	all := build(t, "../kubernetes/postgres")
	d := all["Deployment checkout"].(*appsv1.Deployment)
	selects(t, "the deployment", d.Spec.Selector)
	safe(t, d.Spec.Template.Spec, 5050)
	confined(t, d.Spec.Template.Spec)
	for _, spread := range d.Spec.Template.Spec.TopologySpreadConstraints {
		selects(t, "the spread over "+spread.TopologyKey, spread.LabelSelector)
	}
	if len(d.Spec.Template.Spec.TopologySpreadConstraints) != 2 || d.Spec.Replicas != nil {
		t.Errorf("spread %+v, replicas %v, which are the autoscaler's", d.Spec.Template.Spec.TopologySpreadConstraints, d.Spec.Replicas)
	}
	selects(t, "the disruption budget", all["PodDisruptionBudget checkout"].(*policyv1.PodDisruptionBudget).Spec.Selector)
	scaler := all["HorizontalPodAutoscaler checkout"].(*autoscalingv2.HorizontalPodAutoscaler)
	if scaler.Spec.ScaleTargetRef.Name != d.Name || *scaler.Spec.MinReplicas < 2 {
		t.Errorf("autoscaler %+v", scaler.Spec)
	}
	metric := scaler.Spec.Metrics[0].Pods.Metric.Name
	if adapter, err := os.ReadFile("../kubernetes/postgres/prometheus-adapter.yaml"); err != nil || !strings.Contains(string(adapter), "as: "+metric) {
		t.Errorf("the adapter does not make %s: %v", metric, err)
	}
}

// The chart's deployment gets what the chart has no value for, and the others stay as they are.
func TestTheDemosChartIsCompleted(t *testing.T) {
	t.Parallel()
	rendered, err := os.ReadFile("testdata/helm.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, variant := range []string{"sqlite", "postgres"} {
		folder := t.TempDir()
		if err := os.CopyFS(folder, os.DirFS(filepath.Join("../helm", variant))); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, "demo.yaml"), rendered, 0o600); err != nil {
			t.Fatal(err)
		}
		all := build(t, folder)
		d := all["Deployment checkout"].(*appsv1.Deployment)
		safe(t, d.Spec.Template.Spec, 8080)
		c := d.Spec.Template.Spec.Containers[0]
		if c.Name != "checkout" || c.Image != "checkout:0.1.0" || len(c.Env) != 1 {
			t.Errorf("%s: %+v", variant, c)
		}
		if kept := len(c.VolumeMounts) == 1 && d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType; kept != (variant == "sqlite") {
			t.Errorf("%s: strategy %v, volumes %+v", variant, d.Spec.Strategy, c.VolumeMounts)
		}
		if cart := all["Deployment cart"].(*appsv1.Deployment); len(cart.Spec.Template.Spec.Containers) != 1 {
			t.Errorf("%s: the cart has changed", variant)
		}
		values(t, filepath.Join("../helm", variant, "values.yaml"))
	}
}

// values wants the values that the chart has: these are its parameters of a component, as far as we use them.
func values(t *testing.T, path string) {
	t.Helper()
	var v struct {
		Components map[string]struct {
			ImageOverride struct {
				Repository, Tag, PullPolicy string
			} `json:"imageOverride"`
			Replicas           int                        `json:"replicas"`
			EnvOverrides       []corev1.EnvVar            `json:"envOverrides"`
			PodSecurityContext *corev1.PodSecurityContext `json:"podSecurityContext"`
			SecurityContext    *corev1.SecurityContext    `json:"securityContext"`
		} `json:"components"`
	}
	text, err := os.ReadFile(path)
	if err == nil {
		err = yaml.UnmarshalStrict(bytes.TrimSpace(text), &v)
	}
	if err != nil || v.Components["checkout"].ImageOverride.Repository != "checkout" {
		t.Errorf("%s: %v, %+v", path, err, v)
	}
}
