// Package flags provides the shop's feature flags that checkout obeys: OpenFeature flags, from flagd or from a flag file.
//
// Flags break the shop on purpose and must never break it by accident: while their source is absent, slow or wrong, the
// defaults apply, and an order does not wait. Values that do not depend on the order are kept in memory until the source
// reports a change, so an evaluation is a look into a map.
package flags

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strconv"

	"github.com/open-feature/go-sdk/openfeature"
	"github.com/open-feature/go-sdk/openfeature/isolated"
	"google.golang.org/grpc"
)

// The names of the flags in flagd.
const (
	paymentUnreachable = "paymentUnreachable"
	kafkaQueueProblems = "kafkaQueueProblems"
)

// flagNames are the flags that are asked for.
func flagNames() []string { return []string{paymentUnreachable, kafkaQueueProblems} }

// maxExtraEvents bounds what a slip in the flag's number can do: the stock shop sets 100.
const maxExtraEvents = 1000

// Config says where flags come from.
type Config struct {
	Resolver string // "rpc", also when empty: flagd's evaluation protocol; "file": the flag file at Path
	Host     string // of flagd; empty means that there is none, whatever Port says: the defaults hold
	Port     int    // of flagd
	Path     string // of the flag file: flagd's JSON format

	DialOptions []grpc.DialOption  // for the connection to flagd: statistics, credentials; plaintext otherwise
	Hooks       []openfeature.Hook // see every evaluation
	Logger      *slog.Logger       // told when the source goes away, comes back or is wrong; nil discards it
}

// Flags evaluates the shop's flags. It must be closed.
type Flags struct {
	api    *openfeature.EvaluationAPI
	client *openfeature.Client
}

// New starts to follow the source that cfg names. It does not wait for flagd, and a source that is away or broken is
// no error: only a cfg that makes no sense is.
func New(cfg Config) (*Flags, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	source, err := newSource(cfg)
	if err != nil {
		return nil, err
	}
	// An API of its own instead of the SDK's global one, so that two services in a process do not share their flags.
	api := isolated.NewAPI()
	if err := api.SetProviderAndWait(context.Background(), source); err != nil {
		return nil, fmt.Errorf("start flag provider: %w", err)
	}
	if _, none := source.(openfeature.NoopProvider); !none { // what was not looked up tells nothing
		api.AddHooks(cfg.Hooks...)
	}
	return &Flags{api: api, client: api.NewClient()}, nil
}

// newSource is the provider that cfg asks for.
func newSource(cfg Config) (openfeature.FeatureProvider, error) {
	switch cfg.Resolver {
	case "file":
		if cfg.Path == "" {
			return nil, fmt.Errorf("flag resolver %q: the path of the flag file is missing", cfg.Resolver)
		}
		f := &file{path: cfg.Path, log: cfg.Logger}
		p := newProvider("flagd-file", f.follow)
		f.poll(p.publish) // what is in the file holds from the first order on
		return p, nil
	case "rpc", "":
		if cfg.Host == "" {
			return openfeature.NoopProvider{}, nil
		}
		r, err := newRemote(net.JoinHostPort(cfg.Host, strconv.Itoa(cfg.Port)), cfg.DialOptions, cfg.Logger)
		if err != nil {
			return nil, err
		}
		return newProvider("flagd", r.follow), nil
	}
	return nil, fmt.Errorf("flag resolver %q: want rpc or file", cfg.Resolver)
}

// PaymentUnreachable reports whether charges shall go to an address that does not exist. The default is false.
func (f *Flags) PaymentUnreachable(ctx context.Context) bool {
	return f.client.Boolean(ctx, paymentUnreachable, false, openfeature.EvaluationContext{})
}

// ExtraEvents is how many copies of an order's event shall be sent beside it, to make a queue: 0 to 1000. The default
// is 0.
func (f *Flags) ExtraEvents(ctx context.Context) int {
	n := f.client.Int(ctx, kafkaQueueProblems, 0, openfeature.EvaluationContext{})
	return int(min(max(n, 0), maxExtraEvents))
}

// Close stops following the source and waits for that. Evaluations give the defaults afterwards.
func (f *Flags) Close() error {
	if err := f.api.Shutdown(context.Background()); err != nil {
		return fmt.Errorf("stop flag provider: %w", err)
	}
	return nil
}
