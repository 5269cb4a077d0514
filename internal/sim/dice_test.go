package sim

import (
	"math/rand/v2"
	"time"
)

// hash is FNV-1a, 64 bits. It is the same in every process, which hash/maphash is not.
type hash uint64

const empty hash = 14695981039346656037

func (h hash) text(s string) hash {
	for i := range len(s) {
		h = (h ^ hash(s[i])) * 1099511628211
	}
	return (h ^ 0xff) * 1099511628211 // so that "ab", "c" is not "a", "bc"
}

func (h hash) number(n int64) hash {
	for range 8 {
		h = (h ^ hash(n&0xff)) * 1099511628211
		n >>= 8
	}
	return h
}

// dice are random numbers for one purpose. They depend on the seed and the purpose, and not on who draws first.
type dice struct{ *rand.Rand }

func (h hash) dice() dice { return dice{rand.New(rand.NewPCG(uint64(h), 0))} }

func (d dice) chance(p float64) bool { return d.Float64() < p }

// between is a time of at least low and less than high, to the nanosecond.
func (d dice) between(low, high time.Duration) time.Duration {
	return low + time.Duration(d.Int64N(int64(high-low)))
}

// one is one of several values, each as likely as the others.
func one[T any](d dice, values ...T) T { return values[d.IntN(len(values))] }
