package store_test

import (
	"bytes"
	"context"
	"net"
	"runtime"
	"testing"
	"time"

	"checkout/internal/store"
)

// Not in parallel: it counts what is allocated.
func TestWhateverADatabaseSaysTakesLittleMemory(t *testing.T) {
	for name, said := range map[string][]byte{
		"zeros":             make([]byte, 4<<10),
		"text":              []byte("HTTP/1.1 400 Bad Request\r\n\r\n"),
		"a length below 0":  {'R', 0xff, 0xff, 0xff, 0xff},
		"a length of 1 GiB": append([]byte{'E', 0x40, 0, 0, 0}, make([]byte, 1<<10)...),
		"empty messages":    bytes.Repeat([]byte{'R', 0, 0, 0, 4}, 100),
		"an empty row":      {'R', 0, 0, 0, 8, 0, 0, 0, 0, 'Z', 0, 0, 0, 5, 'I', 'T', 0, 0, 0, 4, 'D', 0, 0, 0, 4},
	} {
		t.Run(name, func(t *testing.T) {
			listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan struct{})
			t.Cleanup(func() { _ = listener.Close(); <-done })
			go func() {
				defer close(done)
				for {
					conn, err := listener.Accept()
					if err != nil {
						return
					}
					_, _ = conn.Read(make([]byte, 1<<10)) // who is there
					_, _ = conn.Write(said)
					_ = conn.SetReadDeadline(time.Now().Add(time.Second))
					_, _ = conn.Read(make([]byte, 1<<10))
					_ = conn.Close()
				}
			}()
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			s, err := store.OpenPostgres(ctx, "postgres://ada:secret@"+listener.Addr().String()+"/shop?sslmode=disable")
			runtime.ReadMemStats(&after)
			if err == nil {
				_ = s.Close()
				t.Error("it was opened")
			}
			if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 8<<20 {
				t.Errorf("%d MiB were allocated", allocated>>20)
			}
		})
	}
}
