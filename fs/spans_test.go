package fs

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// bits is spans as one bool per position.
type bits [40]bool

func bitsOf(s spans) (b bits) {
	for _, a := range s {
		for k := a.from; k < a.to; k++ {
			b[k] = true
		}
	}
	return b
}

func TestSpansAreASet(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 500 {
		var s spans
		var want bits
		for range 12 {
			from, to := r.IntN(40), r.IntN(41)
			s = s.add(from, to)
			for k := from; k < to; k++ {
				want[k] = true
			}
			require.Equal(t, want, bitsOf(s))
			requireNormal(t, s)
			requireCovers(t, s, want, r.IntN(40), r.IntN(41))
		}
	}
}

func requireNormal(t *testing.T, s spans) {
	t.Helper()
	for k, a := range s {
		require.Less(t, a.from, a.to)
		if k > 0 {
			require.Less(t, s[k-1].to, a.from, "spans touch: %v", s)
		}
	}
}

func requireCovers(t *testing.T, s spans, want bits, from, to int) {
	t.Helper()
	all := true
	for k := from; k < to; k++ {
		all = all && want[k]
	}
	require.Equal(t, all, s.covers(from, to), "%v covers %d to %d", s, from, to)
}
