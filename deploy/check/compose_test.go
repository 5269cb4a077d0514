// Package check tests what is deployed with the libraries of those who deploy it: Compose's own loader, Kustomize, and the
// types of the Kubernetes API. It is a module of its own, so that the service's has none of them.
package check

import (
	"maps"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

// environ is what the demo's .env and its user set.
func environ(source string) []string {
	return []string{
		"IMAGE_NAME=demo", "DEMO_VERSION=1.0.0", "CHECKOUT_DOCKERFILE=./src/checkout/Dockerfile", "CHECKOUT_PORT=5050",
		"FLAGD_HOST=flagd", "FLAGD_PORT=8013", "CART_ADDR=cart:7070", "CURRENCY_ADDR=currency:7001", "EMAIL_ADDR=http://email:6060",
		"PAYMENT_ADDR=payment:50051", "PRODUCT_CATALOG_ADDR=product-catalog:3550", "SHIPPING_ADDR=http://shipping:50050",
		"KAFKA_ADDR=kafka:9092", "KAFKA_TOPIC=orders", "OTEL_RESOURCE_ATTRIBUTES=service.namespace=opentelemetry-demo",
		"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=cumulative",
		"CHECKOUT_SOURCE=" + source, "CHECKOUT_CONSOLE_TOKEN=0123456789abcdef",
	}
}

// load merges files as docker compose does.
func load(t *testing.T, files ...string) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions(files, cli.WithEnv(environ(source(t))))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return project
}

// source is the folder of this repository.
func source(t *testing.T) string {
	t.Helper()
	folder, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return folder
}

func at(names ...string) []string {
	for i, name := range names {
		names[i] = filepath.Join("testdata", name)
	}
	return names
}

func TestTheDemosCheckoutIsReplacedAndNothingElse(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		demo     []string
		override string
		adds     map[string]string
	}{
		"2.1":                {at("demo-2.1.yaml"), "../demo/compose-2.1.yaml", map[string]string{"CHECKOUT_TELEMETRY_NAMES": "app", "OTEL_SEMCONV_STABILITY_OPT_IN": ""}},
		"3.0, core":          {at("demo-3.0.yaml"), "../demo/compose.yaml", map[string]string{"CHECKOUT_TELEMETRY_NAMES": "demo", "OTEL_SEMCONV_STABILITY_OPT_IN": "rpc,http"}},
		"3.0, with all else": {at("demo-3.0.yaml", "demo-3.0-full.yaml", "demo-3.0-observability.yaml"), "../demo/compose.yaml", map[string]string{"CHECKOUT_TELEMETRY_NAMES": "demo", "OTEL_SEMCONV_STABILITY_OPT_IN": "rpc,http"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before, after := load(t, test.demo...), load(t, append(test.demo, test.override)...)
			was, is := before.Services["checkout"], after.Services["checkout"]
			if !slices.Equal(names(was.DependsOn), names(is.DependsOn)) || !slices.Equal(names(was.Networks), names(is.Networks)) ||
				is.ContainerName != was.ContainerName || is.Restart != was.Restart {
				t.Errorf("it has another name, place or order of start:\n%+v", is)
			}
			if got := is.Deploy.Resources.Limits.MemoryBytes; got != 20<<20 {
				t.Errorf("memory %d, want 20 MiB", got)
			}
			keepsTheEnvironment(t, was, is, test.adds)
			keepsTheRecord(t, is)
			if !slices.ContainsFunc(is.Ports, func(p types.ServicePortConfig) bool { return p.Target == 5050 && p.Published == "" }) {
				t.Errorf("ports %v, want 5050 at any port of the host, as in the demo", is.Ports)
			}
			if is.Image != "checkout:dev" || is.Build.Context != source(t) || is.Build.Dockerfile != "deploy/Dockerfile" {
				t.Errorf("image %s, built of %+v", is.Image, is.Build)
			}
			hasAConsole(t, after, "checkout-console")
			for name, service := range before.Services {
				if name != "checkout" && after.Services[name].Image != service.Image {
					t.Errorf("%s is another: %s", name, after.Services[name].Image)
				}
			}
		})
	}
}

func names[T any](of map[string]T) []string { return slices.Sorted(maps.Keys(of)) }

// keepsTheEnvironment wants all that the demo sets, and on top of it what our service alone knows.
func keepsTheEnvironment(t *testing.T, was, is types.ServiceConfig, adds map[string]string) {
	t.Helper()
	want := map[string]string{"CHECKOUT_ADMIN_ADDR": "127.0.0.1:5051", "CHECKOUT_DRAIN": "12s"}
	maps.Copy(want, adds)
	for name, value := range was.Environment {
		want[name] = *value
	}
	got := map[string]string{}
	for name, value := range is.Environment {
		got[name] = *value
	}
	if !maps.Equal(got, want) {
		t.Errorf("environment %v, want %v", got, want)
	}
}

// keepsTheRecord wants a volume, a root that cannot be written to, time for orders in progress, and the probe.
func keepsTheRecord(t *testing.T, s types.ServiceConfig) {
	t.Helper()
	if !s.ReadOnly || len(s.Tmpfs) != 1 || s.Tmpfs[0] != "/tmp" {
		t.Errorf("read-only %t, tmpfs %v", s.ReadOnly, s.Tmpfs)
	}
	if len(s.Volumes) != 1 || s.Volumes[0].Target != "/var/lib/checkout" || s.Volumes[0].Type != "volume" || s.Volumes[0].Source == "" {
		t.Errorf("volumes %+v", s.Volumes)
	}
	if s.StopGracePeriod == nil || time.Duration(*s.StopGracePeriod) < 17*time.Second { // 2 s, CHECKOUT_DRAIN, 2.8 s
		t.Errorf("grace period %v", s.StopGracePeriod)
	}
	if s.HealthCheck == nil || !slices.Equal(s.HealthCheck.Test, []string{"CMD", "/bin/grpc_health_probe", "-addr=:5050"}) {
		t.Errorf("health check %+v", s.HealthCheck)
	}
}

// hasAConsole wants the operators' console beside checkout, for this machine only and with a token.
func hasAConsole(t *testing.T, p *types.Project, name string) {
	t.Helper()
	console := p.Services[name]
	if console.NetworkMode != "service:checkout" || *console.Environment["CHECKOUT_CONSOLE_ADDR"] != ":8070" || *console.Environment["CHECKOUT_CONSOLE_TOKEN"] != "0123456789abcdef" {
		t.Errorf("console: %s, %v", console.NetworkMode, console.Environment)
	}
	if !slices.ContainsFunc(p.Services["checkout"].Ports, func(c types.ServicePortConfig) bool {
		return c.Target == 8070 && c.Published == "8070" && c.HostIP == "127.0.0.1"
	}) {
		t.Errorf("ports %+v, want the console on the loopback interface", p.Services["checkout"].Ports)
	}
}

func TestOurOwnShopFitsTogether(t *testing.T) {
	t.Parallel()
	p := load(t, "../compose.yaml")
	checkout := p.Services["checkout"]
	keepsTheRecord(t, checkout)
	hasAConsole(t, p, "console")
	for _, name := range []string{"CART_ADDR", "PRODUCT_CATALOG_ADDR", "CURRENCY_ADDR", "PAYMENT_ADDR", "SHIPPING_ADDR", "EMAIL_ADDR", "FLAGD_HOST"} {
		if checkout.Environment[name] == nil {
			t.Errorf("%s is not set", name)
		}
	}
	for name, service := range p.Services {
		for _, v := range service.Volumes {
			if v.Type == "bind" {
				if found, err := filepath.Glob(v.Source); len(found) == 0 || err != nil {
					t.Errorf("%s mounts %s, which is missing", name, v.Source)
				}
			}
		}
		for _, port := range service.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s is reached from other machines, at port %s", name, port.Published)
			}
		}
	}
}
