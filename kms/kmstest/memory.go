package kmstest

import (
	"bytes"
	"maps"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"kmsfs/kms"
	"kmsfs/kms/local"
)

// Records keeps the records of a local provider in memory. The zero value is empty.
type Records struct {
	mu      sync.Mutex
	records map[string][]byte

	err error
}

// Load is local.Records'.
func (r *Records) Load() (map[string][]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make(map[string][]byte, len(r.records))
	for k, v := range r.records {
		out[k] = bytes.Clone(v)
	}
	return out, nil
}

// Save is local.Records'.
func (r *Records) Save(puts map[string][]byte, deletes []string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return r.err
	}
	if r.records == nil {
		r.records = map[string][]byte{}
	}
	for k, v := range puts {
		r.records[k] = bytes.Clone(v)
	}
	for _, k := range deletes {
		delete(r.records, k)
	}
	return nil
}

// Set replaces a record behind the provider's back; nil deletes it.
func (r *Records) Set(name string, sealed []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if sealed == nil {
		delete(r.records, name)
		return
	}
	r.records[name] = bytes.Clone(sealed)
}

// Fail makes Save answer err; nil makes it work again.
func (r *Records) Fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
}

// NewBackend opens a local provider in memory, closed at the end of the test.
func NewBackend(t testing.TB) *local.Provider {
	t.Helper()
	p, err := local.Open(&Records{}, bytes.Repeat([]byte{7}, kms.KeySize), local.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	return p
}

// NewService opens a service over b, or over a local provider in memory when b is nil, with SSE-S3 set up. Its audit
// records are in the Audit returned.
func NewService(t testing.TB, b kms.Backend, o kms.Options) (*kms.Service, *Audit) {
	t.Helper()
	if b == nil {
		b = NewBackend(t)
	}
	a := &Audit{}
	if o.Audit == nil {
		o.Audit = a
	}
	if o.ServiceKeys == nil {
		o.ServiceKeys = map[uint32][]byte{1: bytes.Repeat([]byte{9}, kms.KeySize)}
	}
	s := kms.NewService(b, o)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s, a
}

// Audit keeps events in memory. The zero value is empty.
type Audit struct {
	mu     sync.Mutex
	events []kms.Event
	err    error
}

// Record is kms.Auditor's.
func (a *Audit) Record(e kms.Event) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err != nil {
		return a.err
	}
	e.Context, e.SourceContext = maps.Clone(e.Context), maps.Clone(e.SourceContext)
	a.events = append(a.events, e)
	return nil
}

// Events returns what was recorded, oldest first.
func (a *Audit) Events() []kms.Event {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]kms.Event(nil), a.events...)
}

// Fail makes Record answer err; nil makes it work again.
func (a *Audit) Fail(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.err = err
}
