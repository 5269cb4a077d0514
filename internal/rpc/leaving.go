package rpc

import (
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
)

// leaving is the answer of a call. gRPC keeps it until the client lets it be sent.
type leaving struct {
	message any
	call    *call
}

// codec tells a call when its answer has left.
type codec struct{ encoding.CodecV2 }

// Marshal implements encoding.CodecV2.
func (c *codec) Marshal(v any) (mem.BufferSlice, error) {
	answer, ok := v.(*leaving)
	if !ok {
		return c.CodecV2.Marshal(v)
	}
	data, err := c.CodecV2.Marshal(answer.message)
	if err != nil {
		return nil, err
	}
	defer data.Free()
	const least = 1<<10 + 1 // gRPC does not give smaller ones back
	whole := make([]byte, data.Len(), max(data.Len(), least))
	data.CopyTo(whole)
	return mem.BufferSlice{mem.NewBuffer(&whole, answer)}, nil
}

// Get implements mem.BufferPool.
func (*leaving) Get(length int) *[]byte { return new(make([]byte, length)) }

// Put implements mem.BufferPool. gRPC calls it when the answer has been sent, or never will be.
func (l *leaving) Put(*[]byte) {
	c := l.call
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent = true
	switch {
	case c.isStuck:
		c.client.Unstuck()
	case c.phase == answering:
		c.served()
		c.leave()
	}
}

// answer is what a call is answered with.
func (c *call) answer(message any) any {
	c.sends = true
	return &leaving{message, c}
}

// stuck counts an answer that the client has not taken.
func (c *call) stuck() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.sent {
		c.isStuck = true
		c.client.End(false)
		c.client.Stuck()
	}
}
