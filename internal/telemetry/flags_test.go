package telemetry

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/open-feature/go-sdk/openfeature"
	"github.com/open-feature/go-sdk/openfeature/isolated"
	"github.com/open-feature/go-sdk/openfeature/memprovider"
)

// flagClient asks a provider for flags, and telemetry sees it.
func flagClient(t *testing.T, r *recording, p openfeature.FeatureProvider) *openfeature.Client {
	t.Helper()
	api := isolated.NewAPI()
	if err := api.SetProviderAndWait(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = api.Shutdown(context.WithoutCancel(t.Context())) })
	api.AddHooks(r.FlagHook())
	return api.NewClient()
}

func TestTheEvaluationOfAFlagIsAnEventInItsSpan(t *testing.T) {
	t.Parallel()
	r := record(t)
	client := flagClient(t, r, memprovider.NewInMemoryProvider(map[string]memprovider.InMemoryFlag{
		"paymentUnreachable": {State: memprovider.Enabled, DefaultVariant: "on", Variants: map[string]any{"on": true}},
		"kafkaQueueProblems": {State: memprovider.Enabled, DefaultVariant: "many", Variants: map[string]any{"many": int64(100)}},
	}))
	ctx, span := r.tracer.Start(t.Context(), "PlaceOrder")
	if !client.Boolean(ctx, "paymentUnreachable", false, openfeature.EvaluationContext{}) {
		t.Fatal("the flag is off")
	}
	span.End() // an event is published after the answer
	client.Int(ctx, "kafkaQueueProblems", 0, openfeature.EvaluationContext{})
	client.Int(ctx, "unheardOf", 3, openfeature.EvaluationContext{})

	want := `INFO feature_flag.evaluation
  bool feature_flag.result.value=true
  string feature_flag.key=paymentUnreachable
  string feature_flag.provider.name=InMemoryProvider
  string feature_flag.result.reason=static
  string feature_flag.result.variant=on
INFO feature_flag.evaluation
  int64 feature_flag.result.value=100
  string feature_flag.key=kafkaQueueProblems
  string feature_flag.provider.name=InMemoryProvider
  string feature_flag.result.reason=static
  string feature_flag.result.variant=many
INFO feature_flag.evaluation
  int64 feature_flag.result.value=3
  string error.type=flag_not_found
  string feature_flag.key=unheardOf
  string feature_flag.provider.name=InMemoryProvider
  string feature_flag.result.reason=error
`
	if diff := cmp.Diff(want, r.logs.text()); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	for _, event := range r.logs.records {
		if event.SpanID() != span.SpanContext().SpanID() {
			t.Errorf("an event is of span %s, want %s", event.SpanID(), span.SpanContext().SpanID())
		}
	}
	if events := r.span(t, "internal PlaceOrder").Events(); len(events) != 0 {
		t.Errorf("the span has the events %v", events)
	}
	if r.stdout.String() != "" {
		t.Errorf("stdout has %s", r.stdout)
	}
}

func TestThatFlagdIsAwayIsNoError(t *testing.T) {
	t.Parallel()
	r := record(t)
	client := flagClient(t, r, openfeature.NoopProvider{}) // like a flagd that is away: the default holds
	client.Boolean(t.Context(), "paymentUnreachable", false, openfeature.EvaluationContext{})
	want := `INFO feature_flag.evaluation
  bool feature_flag.result.value=false
  string feature_flag.key=paymentUnreachable
  string feature_flag.provider.name=NoopProvider
  string feature_flag.result.reason=default
  string feature_flag.result.variant=default-variant
`
	if diff := cmp.Diff(want, r.logs.text()); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}
