package flags

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/open-feature/go-sdk/openfeature"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"

	"checkout/gen/flagd/evaluationv1"
	"checkout/internal/frames"
	"checkout/internal/redact"
	"checkout/internal/wait"
)

const (
	askTimeout     = 100 * time.Millisecond // of an evaluation that an order waits for
	refreshTimeout = 2 * time.Second        // of one that no order waits for
	maxMessage     = 256 << 10              // bytes: a change lists every flag of the shop

	// After so many changes the next waits: a flagd may tell of changes without an end.
	fewChanges  = 10
	changePause = 100 * time.Millisecond

	// Between the end of one event stream and the next; doubled while they end early.
	minPause = time.Second
	maxPause = 30 * time.Second
)

// remote is a flagd that is asked over its evaluation protocol.
type remote struct {
	conn    *grpc.ClientConn
	service evaluationv1.ServiceClient
	log     *slog.Logger
	away    bool // has been logged; only follow's goroutine touches it
}

// newRemote is a client of the flagd at address. It connects when it is followed.
func newRemote(address string, options []grpc.DialOption, log *slog.Logger) (*remote, error) {
	// The kernel's keep-alive finds out about a flagd that vanished without a word. It is set by Go's dialer, not by
	// grpc's, and unlike HTTP/2 pings no server takes offence at it.
	dialer := &net.Dialer{}
	options = append([]grpc.DialOption{
		grpc.WithTransportCredentials(frames.Limit(insecure.NewCredentials())),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			return dialer.DialContext(ctx, "tcp", address)
		}),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: minPause / 4, Multiplier: 2, Jitter: 0.2, MaxDelay: 5 * time.Second},
			MinConnectTimeout: refreshTimeout,
		}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)),
		grpc.WithMaxHeaderListSize(16 << 10),
		grpc.WithDisableServiceConfig(), // or every look-up of the name would also ask for a TXT record
	}, options...)
	conn, err := grpc.NewClient("dns:///"+address, options...)
	if err != nil {
		return nil, fmt.Errorf("flagd client for %s: %w", redact.URL(address), err)
	}
	return &remote{conn: conn, service: evaluationv1.NewServiceClient(conn), log: log.With("flagd.address", redact.URL(address))}, nil
}

// follow keeps an event stream open and publishes all flags at each change, and nil while there is no stream.
func (r *remote) follow(ctx context.Context, publish func(answers)) {
	defer func() { _ = r.conn.Close() }() // nothing is left to be lost
	pause := minPause
	for r.connected(ctx) {
		opened := time.Now()
		err := r.listen(ctx, publish)
		publish(nil)
		if ctx.Err() != nil {
			return
		}
		r.lost(ctx, err)
		if time.Since(opened) > maxPause {
			pause = minPause
		}
		if !wait.For(ctx, pause) {
			return
		}
		pause = min(2*pause, maxPause)
	}
}

// connected waits for a connection, and reports whether there is one; if not, ctx is done. To wait here and not in a
// call keeps a flagd that is away from filling the telemetry with calls that failed.
func (r *remote) connected(ctx context.Context) bool {
	for {
		state := r.conn.GetState()
		switch state {
		case connectivity.Ready:
			return true
		case connectivity.Idle:
			r.conn.Connect()
		case connectivity.TransientFailure:
			r.lost(ctx, errors.New("cannot connect"))
		case connectivity.Connecting, connectivity.Shutdown:
		}
		if !r.conn.WaitForStateChange(ctx, state) {
			return false
		}
	}
}

// listen follows one event stream to its end. It has no deadline: it is meant to stay for as long as flagd does.
func (r *remote) listen(ctx context.Context, publish func(answers)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := r.service.EventStream(ctx, &evaluationv1.EventStreamRequest{})
	if err != nil {
		return fmt.Errorf("open event stream: %w", err)
	}
	for changes := 0; ; {
		event, err := stream.Recv()
		if err != nil {
			return fmt.Errorf("receive event: %w", err)
		}
		// Not before provider_ready: only then is it certain that no change is missed after the flags have been read.
		switch event.GetType() {
		case "provider_ready", "configuration_change":
			flags, err := r.refresh(ctx)
			if err != nil {
				return err
			}
			publish(flags)
			r.found(ctx)
			if changes++; changes > fewChanges && !wait.For(ctx, changePause) {
				return ctx.Err()
			}
		}
	}
}

// refresh asks for every flag.
func (r *remote) refresh(ctx context.Context) (answers, error) {
	ctx, cancel := context.WithTimeout(ctx, refreshTimeout)
	defer cancel()
	flags := answers{}
	for _, flag := range flagNames() {
		a, err := r.resolve(ctx, flag)
		if err != nil {
			return nil, fmt.Errorf("resolve flag %s: %w", flag, err)
		}
		if err := a.detail.Error(); err != nil {
			r.log.WarnContext(ctx, "flag is unusable: its default is used", "feature_flag.key", flag, "error", err)
		}
		if !settled(a) {
			a.ask = r.asker(flag)
		}
		flags[flag] = a
	}
	return flags, nil
}

// settled reports whether an answer is the same for all users until flagd reports a change: of the flags that have a
// value, those that flagd calls static.
func settled(a answer) bool {
	return a.value == nil || a.detail.Reason == openfeature.StaticReason
}

// asker asks flagd for flag on behalf of an order, which does not wait long for it.
func (r *remote) asker(flag string) func(context.Context) answer {
	return func(ctx context.Context) answer {
		ctx, cancel := context.WithTimeout(ctx, askTimeout)
		defer cancel()
		a, err := r.resolve(ctx, flag)
		if err != nil {
			return unknown()
		}
		return a
	}
}

// resolve asks flagd for one flag. It returns an error when flagd has not answered; its refusals are answers.
func (r *remote) resolve(ctx context.Context, flag string) (answer, error) {
	switch flag {
	case paymentUnreachable:
		res, err := r.service.ResolveBoolean(ctx, &evaluationv1.ResolveBooleanRequest{FlagKey: flag})
		return resolved(res.GetValue(), res, err)
	case kafkaQueueProblems:
		res, err := r.service.ResolveInt(ctx, &evaluationv1.ResolveIntRequest{FlagKey: flag})
		return resolved(res.GetValue(), res, err)
	}
	return failed(openfeature.NewFlagNotFoundResolutionError(flag)), nil
}

// resolution is what flagd's answers have in common.
type resolution interface {
	GetReason() string
	GetVariant() string
	GetMetadata() *structpb.Struct
}

// resolved makes an answer of flagd's. The codes are those of its protocol; a flag that it does not have is no error
// here, as shops of different ages have different flags.
func resolved(value any, res resolution, err error) (answer, error) {
	switch status.Code(err) {
	case codes.OK:
	case codes.NotFound:
		return unknown(), nil
	case codes.InvalidArgument:
		return failed(openfeature.NewTypeMismatchResolutionError(status.Convert(err).Message())), nil
	case codes.DataLoss:
		return failed(openfeature.NewParseErrorResolutionError(status.Convert(err).Message())), nil
	case codes.Unknown: // GENERAL: such as a rule that picks a variant which does not exist
		return failed(openfeature.NewGeneralResolutionError(status.Convert(err).Message())), nil
	default:
		return answer{}, err
	}
	a := answer{value: value, detail: openfeature.ProviderResolutionDetail{
		Reason:       openfeature.Reason(res.GetReason()),
		Variant:      res.GetVariant(),
		FlagMetadata: res.GetMetadata().AsMap(),
	}}
	if a.detail.Reason == openfeature.DisabledReason {
		a.value = nil
	}
	return a, nil
}

// failed is the answer that a flag is wrong.
func failed(err openfeature.ResolutionError) answer {
	return answer{detail: openfeature.ProviderResolutionDetail{ResolutionError: err, Reason: openfeature.ErrorReason}}
}

// lost logs that flagd has gone away, once.
func (r *remote) lost(ctx context.Context, err error) {
	if !r.away {
		r.log.WarnContext(ctx, "flagd is unavailable: default flags are used", "error", err)
	}
	r.away = true
}

// found logs that flagd has come back.
func (r *remote) found(ctx context.Context) {
	if r.away {
		r.log.InfoContext(ctx, "flagd is available again")
	}
	r.away = false
}
