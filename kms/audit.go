package kms

import (
	"errors"
	"time"
)

// Event is one use or change of a key or an object, refused ones included.
type Event struct {
	Time      time.Time
	Caller    Caller
	Operation Operation
	KeyARN    string // as far as it is known: what the provider answered, or what was asked for
	Context   Context
	Alias     string // of alias operations
	Bytes     int    // of data keys: how long
	Algorithm string // of encryption, signature or MAC; empty: the default. Of a data key pair: its spec
	// Of ReEncrypt:
	SourceKeyARN  string
	SourceContext Context
	Object        *ObjectUse // of operations on objects, which are no uses of a key
	// Code is empty for success. Message says why it was refused.
	Code    Code
	Message string
}

func (e *Event) setError(err error) {
	e.Code, e.Message = CodeOf(err), err.Error()
	if ke := (*Error)(nil); errors.As(err, &ke) && ke.Message != "" {
		e.Message = ke.Message
	}
}

// Auditor keeps the record of every use of a key. Record may be called concurrently and must not keep e.Context. When it
// returns an error the use is refused.
type Auditor interface {
	Record(e Event) error
}

// BestEffort is a with every use allowed, also one that cannot be recorded: failed is told, and may be called concurrently.
func BestEffort(a Auditor, failed func(Event, error)) Auditor { return bestEffort{a, failed} }

type bestEffort struct {
	to     Auditor
	failed func(Event, error)
}

func (b bestEffort) Record(e Event) error {
	if err := b.to.Record(e); err != nil {
		b.failed(e, err)
	}
	return nil
}
