package serve

import (
	"net"
	"testing"
	"time"
)

func TestAClientIsGoneThoughNotAllThatItSentWasRead(t *testing.T) {
	t.Parallel()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := new(net.Dialer).DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := client.Write([]byte("an order")); err != nil {
		t.Fatal(err)
	}
	if gone(conn) {
		t.Error("gone while it is connected")
	}
	if err := client.Close(); err != nil {
		t.Fatal(err)
	}
	for !gone(conn) { // a moment later; the test's time limit ends it
		time.Sleep(time.Millisecond)
	}
}
