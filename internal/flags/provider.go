package flags

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/open-feature/go-sdk/openfeature"
)

// answer is what a source says of one flag.
type answer struct {
	value  any // bool or int64; nil leaves the caller's default
	detail openfeature.ProviderResolutionDetail
	// ask is set when the source decides anew for every caller, so that nothing can be known beforehand.
	ask func(ctx context.Context) answer
}

// unknown is the answer when flagd does not answer. It is not an error, because an order does not depend on flagd.
func unknown() answer {
	return answer{detail: openfeature.ProviderResolutionDetail{Reason: openfeature.DefaultReason}}
}

// answers are the flags by name. They are never changed, only replaced; nil knows of none.
type answers map[string]answer

// provider is an OpenFeature provider that answers from what its source has told last.
type provider struct {
	openfeature.NoopProvider // strings, floats and objects: checkout has no such flags
	name                     string
	follow                   func(ctx context.Context, publish func(answers))

	latest    atomic.Pointer[answers]
	stop      context.CancelFunc
	following sync.WaitGroup
}

// newProvider is a provider that runs follow from Init to Shutdown. follow publishes what it learns, and returns when
// its context ends.
func newProvider(name string, follow func(ctx context.Context, publish func(answers))) *provider {
	p := &provider{name: name, follow: follow}
	p.publish(nil)
	return p
}

func (p *provider) publish(a answers) { p.latest.Store(&a) }

// Init is called by the SDK when the provider is set. It does not wait: nothing of the service depends on flags.
func (p *provider) Init(openfeature.EvaluationContext) error {
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	p.following.Go(func() { p.follow(ctx, p.publish) })
	return nil
}

// Shutdown is called by the SDK when the provider is not needed any more.
func (p *provider) Shutdown() {
	p.stop()
	p.following.Wait()
	p.publish(nil)
}

// Metadata names the provider in telemetry.
func (p *provider) Metadata() openfeature.Metadata { return openfeature.Metadata{Name: p.name} }

// BooleanEvaluation evaluates a flag that is true or false. The service gives no attributes.
func (p *provider) BooleanEvaluation(ctx context.Context, flag string, fallback bool, _ openfeature.FlattenedContext) openfeature.BoolResolutionDetail {
	return evaluate(ctx, p, flag, fallback)
}

// IntEvaluation evaluates a flag that is a whole number.
func (p *provider) IntEvaluation(ctx context.Context, flag string, fallback int64, _ openfeature.FlattenedContext) openfeature.IntResolutionDetail {
	return evaluate(ctx, p, flag, fallback)
}

func evaluate[T bool | int64](ctx context.Context, p *provider, flag string, fallback T) openfeature.GenericResolutionDetail[T] {
	a, ok := (*p.latest.Load())[flag]
	if !ok {
		a = unknown()
	}
	if a.ask != nil {
		a = a.ask(ctx)
	}
	value, ok := a.value.(T)
	if !ok {
		value = fallback
	}
	return openfeature.GenericResolutionDetail[T]{Value: value, ProviderResolutionDetail: a.detail}
}
