//go:build telemetry

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"

	"checkout/gen/oteldemo"
	"checkout/internal/demo"
)

const (
	// patience is how long a test waits for what must happen, and often how often it looks. Nothing is measured by them.
	patience = time.Minute
	often    = 100 * time.Millisecond
)

// parts are the service and those who receive its telemetry.
type parts struct {
	oteldemo.CheckoutServiceClient

	shop       *demo.Shop
	folder     string // where the collector writes
	prometheus string // its base URL
}

// start starts everything in a shop of its own.
func start(t *testing.T) *parts {
	t.Helper()
	shop, err := demo.Start(t.Context(), demo.Options{Folder: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = shop.Close() })
	p := &parts{shop: shop, folder: t.TempDir()}
	otlp, metrics := p.collector(t)
	p.scrape(t, metrics)
	p.checkout(t, otlp)
	return p
}

// collector starts a collector, and returns where it takes OTLP and where it shows metrics.
func (p *parts) collector(t *testing.T) (otlp, metrics string) {
	t.Helper()
	otlp, metrics = free(t), free(t)
	health := free(t)
	run(t, built(t, "otelcol"), map[string]string{
		"OTLP_ADDR": otlp, "METRICS_ADDR": metrics, "HEALTH_ADDR": health, "FOLDER": p.folder,
	}, "--config", "collector/config.yaml")
	await(t, "the collector", func(ctx context.Context) error { return get(ctx, "http://"+health, nil) })
	return otlp, metrics
}

// scrape starts a Prometheus that reads the metrics at an address, with the rules that are deployed.
func (p *parts) scrape(t *testing.T, metrics string) {
	t.Helper()
	executable, err := exec.LookPath("prometheus")
	if err != nil {
		t.Fatalf("%v; it is in Debian's package prometheus", err)
	}
	rules, err := filepath.Abs("../deploy/prometheus/checkout.rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(t.TempDir(), "prometheus.yaml")
	text := fmt.Sprintf(`
global: { scrape_interval: 1s, evaluation_interval: 1s }
rule_files: [%q]
scrape_configs: [{ job_name: collector, honor_labels: true, static_configs: [{ targets: [%q] }] }]
`, rules, metrics)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	addr := free(t)
	p.prometheus = "http://" + addr
	run(t, executable, nil, "--config.file", config, "--storage.tsdb.path", t.TempDir(), "--web.listen-address", addr, "--log.level", "warn")
	await(t, "Prometheus", func(ctx context.Context) error { return get(ctx, p.prometheus+"/-/ready", nil) })
}

// checkout starts the service, as small as it is in the shop.
func (p *parts) checkout(t *testing.T, otlp string) {
	t.Helper()
	addr := free(t)
	_, port, _ := net.SplitHostPort(addr)
	environ := p.shop.Environ()
	maps.Copy(environ, map[string]string{
		"CHECKOUT_PORT":               port,
		"CHECKOUT_DB":                 filepath.Join(t.TempDir(), "orders.db"),
		"CHECKOUT_TELEMETRY_NAMES":    "both",
		"GOMEMLIMIT":                  "16MiB",
		"OTEL_EXPORTER_OTLP_ENDPOINT": "http://" + otlp,
		"OTEL_METRIC_EXPORT_INTERVAL": "1000",
		"OTEL_BSP_SCHEDULE_DELAY":     "100",
		"OTEL_BLRP_SCHEDULE_DELAY":    "100",
	})
	run(t, built(t, "checkout"), environ)
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	await(t, "the service", func(ctx context.Context) error {
		_, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{}, grpc.WaitForReady(true))
		return err
	})
	p.CheckoutServiceClient = oteldemo.NewCheckoutServiceClient(conn)
}

// built is an executable that make test-telemetry builds.
func built(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("../bin", name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v; make test-telemetry builds it", err)
	}
	return path
}

// run starts a program, in nothing but the given environment, and ends it with the test.
func run(t *testing.T, executable string, environ map[string]string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	cmd := exec.CommandContext(ctx, executable, args...)
	cmd.Env = []string{"HOME=" + t.TempDir()}
	for name, value := range environ {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	out := new(output)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = patience
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		if err := cmd.Wait(); err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", filepath.Base(executable), err)
		}
		if t.Failed() {
			t.Logf("%s:\n%s", filepath.Base(executable), out)
		}
	})
}

// output is what a program writes.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// free is an address that nothing listens on, below the ports that the system gives to clients.
func free(t *testing.T) string {
	t.Helper()
	for range 100 {
		addr := net.JoinHostPort("127.0.0.1", fmt.Sprint(20_000+rand.IntN(12_000)))
		if l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", addr); err == nil {
			_ = l.Close()
			return addr
		}
	}
	t.Fatal("no port is free")
	return ""
}

// await tries until try succeeds, and fails the test with the last error if it never does.
func await(t *testing.T, what string, try func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(often)
	defer tick.Stop()
	for {
		err := try(ctx)
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s: %v", what, err)
		}
	}
}

// get reads the JSON at a URL into, unless that is nil.
func get(ctx context.Context, at string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, http.NoBody)
	if err != nil {
		return err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(res.Body, 16<<20))
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", at, res.Status, text)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(text, into)
}

// sample is a series with its value, as text.
type sample struct {
	Metric map[string]string
	Value  [2]any
}

// query asks Prometheus.
func (p *parts) query(ctx context.Context, expr string) ([]sample, error) {
	var answer struct{ Data struct{ Result []sample } }
	err := get(ctx, p.prometheus+"/api/v1/query?"+url.Values{"query": {expr}}.Encode(), &answer)
	return answer.Data.Result, err
}
