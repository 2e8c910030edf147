package resilient

import (
	"fmt"
	"sync"
	"time"

	"kmsfs/kms"
)

// The states of the breaker.
const (
	Closed   = "closed"    // calls go through
	Open     = "open"      // calls fail at once
	HalfOpen = "half-open" // one call probes, others fail at once
)

// State is how the key service is.
type State struct {
	Breaker  string    `json:"breaker"`
	Failures int       `json:"failures"` // in a row, up to now
	Retries  int64     `json:"retries"`  // attempts after a first one, since the start
	Since    time.Time `json:"since,omitzero"`
	Reason   string    `json:"reason,omitempty"` // the last failure; empty when the last attempt had an answer
}

// verdict is what an attempt tells of the key service.
type verdict int

const (
	unknown verdict = iota
	up
	down
)

// breaker is a circuit breaker.
type breaker struct {
	limit int
	open  time.Duration
	name  string

	mu       sync.Mutex
	now      State
	last     error
	until    time.Time // with Open: when a probe is let through
	probing  bool      // with HalfOpen
	retryCnt int64
}

// enter lets an attempt through, or refuses it with the reason. The attempt ends with leave.
func (b *breaker) enter() (probe bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch b.now.Breaker {
	case "", Closed:
		return false, nil
	case Open:
		if time.Now().Before(b.until) {
			return false, b.refusal()
		}
		b.now.Breaker = HalfOpen
	}
	if b.probing {
		return false, b.refusal()
	}
	b.probing = true
	return true, nil
}

func (b *breaker) refusal() error {
	return &kms.Error{Code: kms.KeyUnavailableException, Err: b.last,
		Message: fmt.Sprintf("%s has been away since %s and is tried again by itself", b.name, b.now.Since.Format(time.TimeOnly))}
}

// leave ends an attempt.
func (b *breaker) leave(probe bool, v verdict, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if probe {
		b.probing = false
	}
	switch {
	case v == up && (probe || b.closed()):
		b.now = State{Breaker: Closed}
		b.last = nil
	case v == down && (probe || b.closed()):
		b.failed(probe, err)
	}
}

// closed leaves out attempts that began before the breaker opened: their failures say nothing new, and an answer to one is
// no reason to let everybody in.
func (b *breaker) closed() bool { return b.now.Breaker == "" || b.now.Breaker == Closed }

func (b *breaker) failed(probe bool, err error) {
	if b.now.Failures == 0 {
		b.now.Since = time.Now()
	}
	b.now.Failures++
	b.last, b.now.Reason = err, err.Error()
	if probe || b.now.Failures >= b.limit {
		b.now.Breaker, b.until = Open, time.Now().Add(b.open)
	}
}

func (b *breaker) retried() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.retryCnt++
}

func (b *breaker) state() State {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.now
	s.Retries = b.retryCnt
	if s.Breaker == "" {
		s.Breaker = Closed
	}
	return s
}
