package fs

import "slices"

// span is the half-open range [from, to) of byte positions within a chunk.
type span struct{ from, to int }

// spans is a set of byte positions: disjoint, not touching, ascending.
type spans []span

// add returns s with [from, to) in it. The backing array of s is reused.
func (s spans) add(from, to int) spans {
	if from >= to {
		return s
	}
	if n := len(s); n > 0 && s[n-1].from <= from && from <= s[n-1].to { // appending: the usual case
		s[n-1].to = max(s[n-1].to, to)
		return s
	}
	first, _ := slices.BinarySearchFunc(s, from, func(a span, at int) int { return a.to - at })
	last := first
	for ; last < len(s) && s[last].from <= to; last++ {
		from, to = min(from, s[last].from), max(to, s[last].to)
	}
	return slices.Replace(s, first, last, span{from, to})
}

// covers reports whether all of [from, to) is in s.
func (s spans) covers(from, to int) bool {
	for _, a := range s {
		if a.from <= from && to <= a.to {
			return true
		}
	}
	return from >= to
}
