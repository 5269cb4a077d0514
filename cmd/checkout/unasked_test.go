package main

import (
	"bufio"
	"bytes"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"checkout/internal/test/demotest"
	"checkout/internal/test/nettest"
	"checkout/internal/wait"
)

// net/http prints what a service sends unasked, and that may repeat what the customer typed.
func TestWhatAServiceSendsUnaskedIsNotPrinted(t *testing.T) {
	t.Parallel()
	shop := demotest.Start(t)
	email, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = email.Close() })
	hungUp := make(chan error, 1)
	go func() { hungUp <- sendUnasked(email, "HTTP/1.1 500 of ada@example.com with 4432801561520454\r\n\r\n") }()
	address := nettest.Reserve(t)
	_, port, _ := net.SplitHostPort(address)
	environ := shop.Environ()
	maps.Copy(environ, map[string]string{
		"CHECKOUT_PORT": port, "CHECKOUT_DB": "memory", "OTEL_SDK_DISABLED": "true", "CHECKOUT_SHUTDOWN_DELAY": "0s",
		"EMAIL_ADDR": "http://" + email.Addr().String(),
	})
	var printed bytes.Buffer
	service := command(t, environ)
	service.Stdout, service.Stderr = &printed, &printed
	if err := service.Start(); err != nil {
		t.Fatal(err)
	}
	for serves := false; !serves && wait.For(t.Context(), 50*time.Millisecond); {
		status, _, _ := call(t, environ, "", "health", "-timeout=1m", "-addr", address)
		serves = status == 0
	}
	file := filepath.Join(t.TempDir(), "card.json")
	if err := os.WriteFile(file, []byte(card), 0o600); err != nil {
		t.Fatal(err)
	}
	status, _, stderr := call(t, environ, "", "order", "place", "-addr", address, "-card", file, "-user", "ada", "-email", "ada@example.com",
		"-street", "1 Main", "-item", "LS4PSXUNUM")
	if status != 0 {
		t.Fatalf("order place: %d, %s", status, stderr)
	}
	if err := <-hungUp; err != nil {
		t.Error(err)
	}
	if err := service.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := service.Wait(); err != nil {
		t.Error(err)
	}
	for _, secret := range []string{"ada@example.com", "4432801561520454"} {
		if strings.Contains(printed.String(), secret) {
			t.Errorf("printed %s:\n%s", secret, &printed)
		}
	}
}

// sendUnasked answers one request and then sends something unrequested, until the client hangs up.
func sendUnasked(l net.Listener, unasked string) error {
	conn, err := l.Accept()
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	requests := bufio.NewReader(conn)
	request, err := http.ReadRequest(requests)
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, request.Body); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"+unasked); err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, requests)
	return nil
}
