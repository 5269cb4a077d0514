package main

import (
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"testing"

	"checkout/gen/oteldemo"
	"checkout/internal/cli"
	"checkout/internal/test/nettest"
	"checkout/internal/test/process"
)

func TestTheServicesAreServedAtPortsThatAreKnownBefore(t *testing.T) {
	port, err := process.FreePort(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	first, _ := strconv.Atoi(port)
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	written, out := io.Pipe()
	go func() { ended <- serveServices(ctx, net.JoinHostPort("127.0.0.1", port), out) }()
	select {
	case err := <-ended:
		t.Fatal(err)
	case <-anything(written):
	}
	conn := nettest.DialGRPC(t, net.JoinHostPort("127.0.0.1", strconv.Itoa(first+1)))
	if p, err := oteldemo.NewProductCatalogServiceClient(conn).GetProduct(t.Context(), &oteldemo.GetProductRequest{Id: "OLJCESPC7Z"}); err != nil {
		t.Errorf("the catalog is not at the second port: %v, %v", p, err)
	}
	end()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// anything is closed when something was read.
func anything(from io.Reader) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = from.Read(make([]byte, 1024))
	}()
	return done
}

func TestAnAddressOfTheServicesThatIsNoneIsRefused(t *testing.T) {
	t.Parallel()
	for _, addr := range []string{"7001", "localhost:http", ":0", ":65001"} {
		if err := serveServices(t.Context(), addr, io.Discard); err == nil || errors.As(err, new(*cli.Error)) {
			t.Errorf("%s: %v", addr, err)
		}
	}
}
