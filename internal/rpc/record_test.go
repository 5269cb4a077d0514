package rpc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"

	"checkout/gen/checkout/checkoutv1"
	"checkout/internal/order"
)

type backing func() (*os.File, int, error)

func (f backing) Backup(context.Context) (*os.File, int, error) { return f() }

// backUp asks for a backup, and returns it.
func backUp(t *testing.T, client checkoutv1.RecordAdminClient) (data []byte, size, held int64, err error) {
	t.Helper()
	stream, err := client.BackupRecord(t.Context(), &checkoutv1.BackupRecordRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for {
		part, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return data, size, held, nil
		}
		if err != nil {
			return nil, 0, 0, err
		}
		data, size, held = append(data, part.GetData()...), size+part.GetSize(), held+part.GetHeld()
	}
}

func TestABackupArrivesAsItIsInTheFile(t *testing.T) {
	t.Parallel()
	want := bytes.Repeat([]byte("orders "), 20_000)
	path := filepath.Join(t.TempDir(), "orders.db")
	if err := os.WriteFile(path, want, 0o600); err != nil {
		t.Fatal(err)
	}
	failure := error(nil)
	options := Options{Log: slog.New(slog.DiscardHandler), Backuper: backing(func() (*os.File, int, error) {
		if failure != nil {
			return nil, 0, failure
		}
		f, err := os.Open(path)
		return f, 3, err
	})}
	client := checkoutv1.NewRecordAdminClient(reach(t, NewAdminServer(&desk{}, health.NewServer(), options)))
	for range 2 { // one after the other
		data, size, held, err := backUp(t, client)
		if !bytes.Equal(data, want) || size != int64(len(want)) || held != 3 || err != nil {
			t.Errorf("%d bytes of %d, %d held, %v; want %d and 3", len(data), size, held, err, len(want))
		}
	}
	failure = fmt.Errorf("%w: it is in memory", order.ErrRefused)
	_, _, _, err := backUp(t, client)
	wantRefusal(t, err, codes.FailedPrecondition, "NO_BACKUP")
	failure = errors.New("the disk is full")
	_, _, _, err = backUp(t, client)
	wantRefusal(t, err, codes.Unavailable, "UNAVAILABLE")
}

func TestOneBackupIsMadeAtATime(t *testing.T) {
	t.Parallel()
	making, made := make(chan struct{}), make(chan struct{})
	options := Options{Log: slog.New(slog.DiscardHandler), Backuper: backing(func() (*os.File, int, error) {
		close(making)
		<-made
		return nil, 0, errors.New("the disk is full")
	})}
	client := checkoutv1.NewRecordAdminClient(reach(t, NewAdminServer(&desk{}, health.NewServer(), options)))
	first := make(chan error)
	go func() { _, _, _, err := backUp(t, client); first <- err }()
	<-making
	_, _, _, err := backUp(t, client)
	wantRefusal(t, err, codes.ResourceExhausted, "BACKUP_RUNS")
	close(made)
	wantRefusal(t, <-first, codes.Unavailable, "UNAVAILABLE")
}
