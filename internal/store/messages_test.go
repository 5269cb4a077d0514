package store_test

import (
	"bytes"
	"context"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"checkout/internal/store"
	"checkout/internal/test/nettest"
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
			addr := nettest.Serve(t, func(conn net.Conn) {
				_, _ = conn.Read(make([]byte, 1<<10)) // who is there
				_, _ = conn.Write(said)
				_ = conn.SetReadDeadline(time.Now().Add(time.Second))
				_, _ = conn.Read(make([]byte, 1<<10))
			})
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			s, err := store.OpenPostgres(ctx, "postgres://ada:secret@"+addr+"/shop?sslmode=disable")
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

func TestADatabaseThatAnswersWithoutAnEndIsLeft(t *testing.T) {
	t.Parallel()
	for name, message := range map[string][]byte{
		"notices":       {'N', 0, 0, 0, 5, 0},
		"notifications": {'A', 0, 0, 0, 10, 0, 0, 0, 1, 0, 0},
		"parameters":    {'S', 0, 0, 0, 8, 'a', 0, 'b', 0},
		"rows":          {'D', 0, 0, 0, 6, 0, 0},
		"large rows":    append([]byte{'D', 0, 1, 0, 10, 0, 1, 0, 1, 0, 0}, make([]byte, 64<<10)...),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			var serving sync.WaitGroup
			defer serving.Wait()
			defer func() { _ = listener.Close() }()
			serving.Go(func() {
				for {
					conn, err := listener.Accept()
					if err != nil {
						return
					}
					serving.Go(func() {
						defer func() { _ = conn.Close() }()
						_, _ = conn.Read(make([]byte, 1<<10))                                        // who is there
						_, _ = conn.Write([]byte{'R', 0, 0, 0, 8, 0, 0, 0, 0, 'Z', 0, 0, 0, 5, 'I'}) // welcome
						_, _ = conn.Read(make([]byte, 4<<10))                                        // a statement
						_, _ = conn.Write([]byte{'T', 0, 0, 0, 6, 0, 0})                             // it returns rows
						most, many := 24<<20, bytes.Repeat(message, 1+(32<<10)/len(message))
						for sent := 0; ; sent += len(many) {
							if _, err := conn.Write(many); err != nil {
								return
							}
							if sent > most {
								t.Errorf("more than %d MiB were read", most>>20)
								return
							}
						}
					})
				}
			})
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			s, err := store.OpenPostgres(ctx, "postgres://ada:secret@"+listener.Addr().String()+"/shop?sslmode=disable")
			if err == nil {
				_ = s.Close()
				t.Error("it was opened")
			}
			t.Log(err)
		})
	}
}
