// Command flagd serves flagd's evaluation protocol from a flag file, for tests: with flagd's own core, which reads and watches
// the file and evaluates flags, and with its own generated code. flagd's command cannot be had as a Go module.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"time"

	"buf.build/gen/go/open-feature/flagd/grpc/go/flagd/evaluation/v1/evaluationv1grpc"
	evaluationv1 "buf.build/gen/go/open-feature/flagd/protocolbuffers/go/flagd/evaluation/v1"
	"github.com/open-feature/flagd/core/pkg/evaluator"
	"github.com/open-feature/flagd/core/pkg/logger"
	"github.com/open-feature/flagd/core/pkg/model"
	"github.com/open-feature/flagd/core/pkg/store"
	"github.com/open-feature/flagd/core/pkg/sync"
	"github.com/open-feature/flagd/core/pkg/sync/file"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"
)

func main() {
	address := flag.String("listen", "127.0.0.1:8013", "`address` to serve on")
	path := flag.String("file", "", "flag `file`")
	flag.Parse()
	log.Fatal(serve(context.Background(), *address, *path))
}

func serve(ctx context.Context, address, path string) error {
	quiet := logger.NewLogger(nil, false)
	flags, err := store.NewStore(quiet, []string{path})
	if err != nil {
		return err
	}
	s := &server{flags: flags, evaluator: evaluator.NewJSON(quiet, flags)}
	source := file.NewFileSync(path, "fsnotify", quiet)
	if err := source.Init(ctx); err != nil {
		return err
	}
	contents := make(chan sync.DataSync, 1)
	go func() { log.Fatal(source.Sync(ctx, contents)) }()
	if err := s.evaluator.SetState(<-contents); err != nil {
		return err
	}
	go func() {
		for content := range contents {
			if err := s.evaluator.SetState(content); err != nil {
				log.Print(err) // the flags before stay
			}
		}
	}()
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	served := grpc.NewServer()
	evaluationv1grpc.RegisterServiceServer(served, s)
	return served.Serve(listener)
}

type server struct {
	evaluationv1grpc.UnimplementedServiceServer

	flags     *store.Store
	evaluator *evaluator.JSON
}

func (s *server) ResolveBoolean(ctx context.Context, req *evaluationv1.ResolveBooleanRequest) (*evaluationv1.ResolveBooleanResponse, error) {
	value, variant, reason, metadata, err := s.evaluator.ResolveBooleanValue(ctx, "", req.GetFlagKey(), req.GetContext().AsMap())
	about, err := answer(metadata, &reason, err)
	return &evaluationv1.ResolveBooleanResponse{Value: value, Variant: variant, Reason: reason, Metadata: about}, err
}

func (s *server) ResolveInt(ctx context.Context, req *evaluationv1.ResolveIntRequest) (*evaluationv1.ResolveIntResponse, error) {
	value, variant, reason, metadata, err := s.evaluator.ResolveIntValue(ctx, "", req.GetFlagKey(), req.GetContext().AsMap())
	about, err := answer(metadata, &reason, err)
	return &evaluationv1.ResolveIntResponse{Value: value, Variant: variant, Reason: reason, Metadata: about}, err
}

// answer has the status codes that flagd answers with.
func answer(metadata model.Metadata, reason *string, err error) (*structpb.Struct, error) {
	if *reason == model.FallbackReason {
		*reason = model.DefaultReason
	}
	if err != nil {
		code, ok := map[string]codes.Code{
			model.FlagNotFoundErrorCode: codes.NotFound,
			model.FlagDisabledErrorCode: codes.NotFound,
			model.TypeMismatchErrorCode: codes.InvalidArgument,
			model.ParseErrorCode:        codes.DataLoss,
		}[err.Error()]
		if !ok {
			code = codes.Unknown
		}
		return nil, status.Error(code, err.Error())
	}
	return structpb.NewStruct(metadata)
}

// EventStream tells of the first content of the file and of every change.
func (s *server) EventStream(_ *evaluationv1.EventStreamRequest, stream grpc.ServerStreamingServer[evaluationv1.EventStreamResponse]) error {
	ctx := stream.Context()
	changes := make(chan store.FlagQueryResult, 1)
	s.flags.Watch(ctx, new(store.Selector), changes)
	event := "provider_ready"
	for {
		select {
		case _, ok := <-changes:
			if !ok {
				return errors.Join(ctx.Err(), fmt.Errorf("flags are no longer watched"))
			}
		case <-time.After(20 * time.Second):
			event = "keep_alive"
		}
		if err := stream.Send(&evaluationv1.EventStreamResponse{Type: event}); err != nil {
			return err
		}
		event = "configuration_change"
	}
}
