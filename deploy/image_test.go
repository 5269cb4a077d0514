//go:build image

// Package deploy tests the images that are built in this folder.
package deploy

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"checkout/gen/oteldemo"
	"checkout/internal/demo"
	"checkout/internal/test/demotest"
	"checkout/internal/test/nettest"
	"checkout/internal/test/process"
)

var (
	podman = flag.String("podman", "podman", "`path` of Podman")
	images = map[string]*string{
		"checkout": flag.String("image", "checkout", "`name` of the service's image"),
		"console":  flag.String("console", "checkout-console", "`name` of the console's image"),
		"shop":     flag.String("shop", "checkout-shop", "`name` of the shop's image"),
	}
)

// patience is how long a container may take to do something.
const patience = time.Minute

// run runs Podman and returns what it has printed.
func run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	defer cancel()
	var out, problem bytes.Buffer
	cmd := exec.CommandContext(ctx, *podman, args...)
	cmd.Stdout, cmd.Stderr = &out, &problem
	err := cmd.Run()
	if err != nil {
		t.Logf("podman %s: %v\n%s%s", strings.Join(args, " "), err, &out, &problem)
	}
	return out.String(), err
}

func must(t *testing.T, args ...string) string {
	t.Helper()
	out, err := run(t, args...)
	if err != nil {
		t.FailNow()
	}
	return out
}

// confined are the options of a container that can write nowhere but in volumes. Its limits of open files and processes are
// those that every machine allows.
func confined() []string {
	return []string{"--read-only", "--read-only-tmpfs=false", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000"}
}

// start starts a container in the memory that the demo gives to checkout, and removes it with the test.
func start(t *testing.T, name, image string, environ map[string]string, options ...string) {
	t.Helper()
	args := append([]string{
		"run", "--detach", "--name", name, "--network", "host", "--memory", "20m", "--memory-swap", "20m",
	}, append(confined(), options...)...)
	for variable, value := range environ {
		args = append(args, "--env", variable+"="+value)
	}
	must(t, append(args, image)...)
	t.Cleanup(func() {
		if t.Failed() {
			_, _ = run(t, "logs", name)
		}
		_, _ = run(t, "rm", "--force", "--volumes", name)
	})
}

// await asks the image's own health check until the service serves.
func await(t *testing.T, name, port string) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		_, err := run(t, "exec", name, "/bin/grpc_health_probe", "-addr=:"+port)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("it does not serve: %v", err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func TestTheImageOfEachProgramRunsAsNobodyAndSaysWhatItIs(t *testing.T) {
	for name, image := range images {
		var found []struct {
			Config struct {
				User, WorkingDir string
				Entrypoint       []string
				Labels           map[string]string
			}
		}
		if err := json.Unmarshal([]byte(must(t, "image", "inspect", *image)), &found); err != nil || len(found) != 1 {
			t.Fatalf("%s: %v, %d images", name, err, len(found))
		}
		is := found[0].Config
		if is.User != "65532:65532" || is.WorkingDir != "/usr/src/app" || strings.Join(is.Entrypoint, " ") != "./"+name {
			t.Errorf("%s: %+v", name, is)
		}
		if is.Labels["org.opencontainers.image.licenses"] != "Apache-2.0" || !strings.Contains(is.Labels["org.opencontainers.image.title"], name) {
			t.Errorf("%s: labels %v", name, is.Labels)
		}
		must(t, append(append([]string{"run", "--rm", "--network", "none"}, confined()...), *image, "-h")...)
	}
}

func TestTheImagePlacesOrdersInTheDemosContainer(t *testing.T) {
	shop := demotest.Start(t)
	port, err := process.FreePort(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	admin, err := process.FreePort(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	environ := shop.Environ()
	environ["CHECKOUT_PORT"], environ["CHECKOUT_ADMIN_ADDR"], environ["GOMEMLIMIT"] = port, "127.0.0.1:"+admin, "16MiB"
	volume := "orders-" + port
	defer func() { _, _ = run(t, "volume", "rm", "--force", volume) }()

	name := "checkout-" + port
	start(t, name, *images["checkout"], environ, "--volume", volume+":/var/lib/checkout")
	await(t, name, port)
	conn := nettest.DialGRPC(t, net.JoinHostPort("127.0.0.1", port))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var placed string
	for range 20 { // the first is the slowest: its pages of the executable are read from the disk
		shop.Cart.Put("ada", "OLJCESPC7Z", 2)
		answer, err := oteldemo.NewCheckoutServiceClient(conn).PlaceOrder(ctx, demo.Order("ada", "EUR"))
		if err != nil {
			t.Fatal(err)
		}
		placed = answer.GetOrder().GetOrderId()
	}

	// The volume keeps the record: a new container, as after an upgrade, knows the order.
	must(t, "stop", "--time", "20", name)
	if status := strings.TrimSpace(must(t, "inspect", "--format", "{{.State.ExitCode}} {{.State.OOMKilled}}", name)); status != "0 false" {
		t.Errorf("it ended with %s, want 0 false", status)
	}
	start(t, name+"-next", *images["checkout"], environ, "--volume", volume+":/var/lib/checkout")
	await(t, name+"-next", port)
	if list := must(t, "exec", name+"-next", "./checkout", "order", "list"); !strings.Contains(list, placed) {
		t.Errorf("order %s is not in the list:\n%s", placed, list)
	}
	operate(ctx, t, shop, oteldemo.NewCheckoutServiceClient(conn), name+"-next", environ["CHECKOUT_ADMIN_ADDR"])
	if err := shop.Await(ctx, func() bool { return shop.Ledgers().Match() }); err != nil {
		t.Errorf("the ledgers differ: %v", shop.Ledgers().Differences())
	}
}

// operate has an order whose charge was not answered resolved as it is deployed: by a command in the service's container. The
// console beside it shows the order.
func operate(ctx context.Context, t *testing.T, shop *demo.Shop, checkout oteldemo.CheckoutServiceClient, name, admin string) {
	t.Helper()
	shop.Payment.Inject(demo.Fault{Kind: demo.LoseAnswer}, "Charge")
	shop.Cart.Put("grace", "OLJCESPC7Z", 1)
	if answer, err := checkout.PlaceOrder(ctx, demo.Order("grace", "EUR")); err == nil {
		t.Fatalf("an order whose charge was not answered: %v", answer)
	}
	var waiting struct{ OrderID string }
	list := must(t, "exec", name, "./checkout", "order", "list", "--attention", "-o", "json")
	if err := json.Unmarshal([]byte(list), &waiting); err != nil || waiting.OrderID == "" {
		t.Fatalf("%v: %s; want one order that requires an operator", err, list)
	}
	charges := shop.Payment.Charges()
	must(t, "exec", name, "./checkout", "order", "resolve", waiting.OrderID, "--yes", "--paid",
		"--transaction", charges[len(charges)-1].TransactionID, "--by", "grace", "--why", "the bank has it")

	port, err := process.FreePort(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	site := "127.0.0.1:" + port
	start(t, "console-"+port, *images["console"], map[string]string{"CHECKOUT_CONSOLE_ADDR": site, "CHECKOUT_ADMIN_ADDR": admin})
	for shown := ""; !strings.Contains(shown, `"state": "completed"`); time.Sleep(100 * time.Millisecond) {
		if ctx.Err() != nil {
			t.Fatalf("the console shows no completed order: %s", shown)
		}
		if shown, err = get(ctx, "http://"+site+"/orders/"+waiting.OrderID); err != nil {
			shown = err.Error()
		}
	}
}

// get returns a page of the console as JSON.
func get(ctx context.Context, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return "", err
	}
	req.Header.Set("Accept", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return string(text), err
}
