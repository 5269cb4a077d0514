package rpc

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"checkout/gen/checkout/checkoutv1"
	"checkout/internal/order"
)

// Backuper makes a copy of the record, in which held orders require an operator that were not finished. It returns
// order.ErrRefused when there is no copy of this kind of record. There is one call at a time.
type Backuper interface {
	Backup(ctx context.Context) (file *os.File, held int, err error)
}

// backupPart is how many bytes are sent at a time.
const backupPart = 32 << 10

// recordAdmin is checkout.v1.RecordAdmin.
type recordAdmin struct {
	checkoutv1.UnimplementedRecordAdminServer

	backuper Backuper
	log      *slog.Logger
	busy     sync.Mutex // one backup at a time, until it is sent: it takes room on the disk
}

// BackupRecord sends a copy of the record.
func (a *recordAdmin) BackupRecord(_ *checkoutv1.BackupRecordRequest, stream grpc.ServerStreamingServer[checkoutv1.BackupRecordResponse]) error {
	if !a.busy.TryLock() {
		return refusal(codes.ResourceExhausted, "BACKUP_RUNS", "another backup is being made; try again later", "")
	}
	defer a.busy.Unlock()
	ctx := stream.Context()
	file, held, err := a.backuper.Backup(ctx)
	switch {
	case errors.Is(err, order.ErrRefused):
		return refusal(codes.FailedPrecondition, "NO_BACKUP", "there is no backup of this record"+because(err, order.ErrRefused), "")
	case err != nil:
		a.log.WarnContext(ctx, "the record was not backed up", "error", err)
		return refusal(codes.Unavailable, "UNAVAILABLE", "the record was not backed up; the service's log says why", "")
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	a.log.InfoContext(ctx, "the record was backed up", "bytes", info.Size(), "held", held)
	buffer, part := make([]byte, backupPart), &checkoutv1.BackupRecordResponse{Size: info.Size(), Held: int64(held)}
	for ; ; part.Reset() {
		n, err := io.ReadFull(file, buffer)
		if part.Data = buffer[:n]; n > 0 {
			if err := stream.Send(part); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case err != nil:
			return err
		}
	}
}
