package telemetry

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/open-feature/go-sdk/openfeature"
	"go.opentelemetry.io/otel/log"
)

// flagHook reports evaluations of flags.
type flagHook struct {
	openfeature.UnimplementedHook
	*Telemetry
}

// FlagHook observes evaluations of flags: each is the log event feature_flag.evaluation in the span of its context. It is no
// span event, because flags are also evaluated after that span has ended. Without flagd the default holds: no error.
func (t *Telemetry) FlagHook() openfeature.Hook { return flagHook{Telemetry: t} }

func (h flagHook) Finally(ctx context.Context, of openfeature.HookContext, is openfeature.InterfaceEvaluationDetails, _ openfeature.HookHints) {
	if !h.logger.Enabled(ctx, slog.LevelInfo) || !h.events.Enabled(ctx, log.EnabledParameters{Severity: log.SeverityInfo, EventName: eventFlag}) {
		return
	}
	var r log.Record
	r.SetEventName(eventFlag)
	r.SetTimestamp(time.Now())
	r.SetSeverity(log.SeverityInfo)
	r.AddAttributes(
		flagKey.String(of.FlagKey()),
		flagProvider.String(of.ProviderMetadata().Name),
		flagReason.String(strings.ToLower(string(is.Reason))),
	)
	switch value := is.Value.(type) { // this service has flags of these two kinds
	case bool:
		r.AddAttributes(flagValue.Bool(value))
	case int64:
		r.AddAttributes(flagValue.Int64(value))
	}
	if is.Variant != "" {
		r.AddAttributes(flagVariant.String(is.Variant))
	}
	if is.ErrorCode != "" {
		r.AddAttributes(errorType.String(strings.ToLower(string(is.ErrorCode))))
	}
	h.events.Emit(ctx, r)
}
