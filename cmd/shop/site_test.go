package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"checkout/internal/test/nettest"
)

// serving starts the command and returns the URL of its site once it serves, and how to end it, which returns
// everything that it said.
func serving(t *testing.T, args ...string) (url string, end func() (string, error)) {
	t.Helper()
	cmd := command(t, args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "Serving ") {
		said.WriteString(lines.Text() + "\n")
	}
	found := regexp.MustCompile(`the site +HTTP +(http://\S+/)`).FindStringSubmatch(said.String())
	if found == nil {
		t.Fatalf("there is no site in %s", said.String())
	}
	return found[1], func() (string, error) {
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			return "", err
		}
		for lines.Scan() {
			said.WriteString(lines.Text() + "\n")
		}
		err := cmd.Wait()
		return said.String(), err
	}
}

// read reads a page.
func read(t *testing.T, url string) (status int, page string) {
	t.Helper()
	return readAs(t, url, "")
}

// readAs reads a page of the site by another name, unless that is empty.
func readAs(t *testing.T, url, host string) (status int, page string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = host
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

func TestTheSiteAndTheConsoleShowTheFirstOrder(t *testing.T) {
	t.Parallel()
	url, end := serving(t, "-payment", "keyed")
	_, orders := read(t, url+"orders")
	id := regexp.MustCompile(`/orders/([0-9a-f-]{36})`).FindStringSubmatch(orders)
	if id == nil {
		t.Fatalf("there is no order in %s", orders)
	}
	for path, want := range map[string]string{
		"": "Red Flashlight", "faults": "Payment is idempotent", "orders/" + id[1]: `data-state="completed"`, "console/orders/" + id[1]: id[1],
	} {
		if status, page := read(t, url+path); status != http.StatusOK || !strings.Contains(page, want) {
			t.Errorf("%s: status %d, without %q: %s", path, status, want, page)
		}
	}
	if said, err := end(); err != nil || !strings.Contains(said, matching) {
		t.Errorf("it ended with %v: %s", err, said)
	}
}

func TestTheSiteTakesAnotherPortWhenItsOwnIsTaken(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	url, end := serving(t, "-http", taken.Addr().String())
	if strings.Contains(url, taken.Addr().String()) {
		t.Errorf("it is at %s, which was taken", url)
	}
	if status, page := read(t, url); status != http.StatusOK {
		t.Errorf("status %d: %s", status, page)
	}
	if said, err := end(); err != nil {
		t.Errorf("it ended with %v: %s", err, said)
	}
}

func TestBeyondThisMachineThereIsNoConsole(t *testing.T) {
	t.Parallel()
	url, end := serving(t, "-http", "0.0.0.0:0")
	_, port, _ := strings.Cut(strings.TrimPrefix(url, "http://["), "]:") // of all addresses
	if port == "" {
		_, port, _ = strings.Cut(strings.TrimPrefix(url, "http://"), ":")
	}
	url = "http://127.0.0.1:" + port
	if status, page := read(t, url); status != http.StatusOK || strings.Contains(page, "/console") {
		t.Errorf("status %d: %s", status, page)
	}
	if status, page := read(t, url+"console/"); status != http.StatusNotFound {
		t.Errorf("status %d: %s", status, page)
	}
	if status, page := readAs(t, url, "rebound.example"); status != http.StatusMisdirectedRequest {
		t.Errorf("by a name that is not ours: status %d: %s", status, page)
	}
	if said, err := end(); err != nil {
		t.Errorf("it ended with %v: %s", err, said)
	}
}

func TestAnotherProgramCanBeCheckout(t *testing.T) {
	t.Parallel()
	program := t.TempDir() + "/checkout"
	script := fmt.Sprintf("#!/bin/sh\n%s=1 exec %q\n", asCheckout, os.Args[0])
	if err := os.WriteFile(program, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	if status, said := exitOf(t, "-orders", "3", "-checkout", program); status != 0 || !strings.Contains(said, matching) {
		t.Errorf("exit status %d: %s", status, said)
	}
	if status, said := exitOf(t, "-orders", "3", "-checkout", "/no/such/program"); status != 1 || !strings.Contains(said, "/no/such/program") {
		t.Errorf("exit status %d: %s", status, said)
	}
}

func TestACheckoutThatCannotStartIsQuoted(t *testing.T) {
	t.Parallel()
	status, said := exitOf(t, "-db", "/dev/null/orders.db")
	if status != 1 || !strings.Contains(said, "CHECKOUT_DB") || strings.Contains(said, "Serving ") {
		t.Errorf("exit status %d: %s", status, said)
	}
}

func TestAPortThatIsTakenIsRefused(t *testing.T) {
	t.Parallel()
	_, port, _ := net.SplitHostPort(nettest.ServeGRPC(t, func(s *grpc.Server) {
		grpc_health_v1.RegisterHealthServer(s, health.NewServer()) // as another checkout would, it says that it serves
	}))
	status, said := exitOf(t, "-orders", "1", "-port", port)
	if status != 1 || !strings.Contains(said, "-port="+port) || !strings.Contains(said, "address already in use") {
		t.Errorf("exit status %d: %s", status, said)
	}
}

func TestCustomersAndOperatorsHavePortsOfTheirOwn(t *testing.T) {
	t.Parallel()
	customers, operators, err := options{port: 0}.freePorts(t.Context())
	if err != nil || customers == operators {
		t.Errorf("ports %d and %d, error %v", customers, operators, err)
	}
	again, operators, err := options{port: customers}.freePorts(t.Context())
	if err != nil || again != customers || operators == customers {
		t.Errorf("ports %d and %d, error %v; want %d and another", again, operators, err, customers)
	}
}
