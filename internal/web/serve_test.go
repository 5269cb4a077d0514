package web

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestAHandlerSeesThatAConnectionIsSecure(t *testing.T) {
	t.Parallel()
	lender := httptest.NewTLSServer(nil) // of a certificate, and of a client that trusts it
	defer lender.Close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	secure := make(chan bool, 1)
	h := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { secure <- r.TLS != nil })
	go func() { ended <- Serve(ctx, listener, lender.TLS, h, slog.New(slog.DiscardHandler)) }()
	resp, err := lender.Client().Get("https://" + listener.Addr().String() + "/")
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Error(err)
	}
	lender.Client().CloseIdleConnections()
	if !<-secure {
		t.Error("the handler takes the connection for plaintext: cookies would not be secure")
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
