package telemetry

import (
	"context"

	"google.golang.org/grpc/metadata"
)

// outgoing carries a context into the metadata of a call. There is room for what is usually sent.
type outgoing struct {
	pairs []string
	room  [6]string
}

func (o *outgoing) Get(string) string     { return "" }
func (o *outgoing) Keys() []string        { return nil }
func (o *outgoing) Set(key, value string) { o.pairs = append(o.pairs, key, value) }

// incoming carries a context out of the metadata of a call.
type incoming struct{ ctx context.Context }

func (i incoming) Values(key string) []string { return metadata.ValueFromIncomingContext(i.ctx, key) }
func (i incoming) Set(string, string)         {}
func (i incoming) Keys() []string             { return nil }
func (i incoming) Get(key string) string {
	if values := i.Values(key); len(values) > 0 {
		return values[0]
	}
	return ""
}
