package resilient

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"kmsfs/kms"
)

// Options sets a Backend up. What is 0 has the default.
type Options struct {
	Name     string         // of the key service, in messages; "": "The key service"
	Attempts int            // of one call; 4
	Base     time.Duration  // pause before the second attempt, half of it random; doubles each time; 50 ms
	Longest  time.Duration  // a pause at most; 1 s
	Deadline time.Duration  // of one call with all its attempts; 10 s
	Failures int            // in a row open the breaker; 5
	Open     time.Duration  // how long the breaker is open before a probe; 5 s
	Random   func() float64 // in [0, 1), may be called concurrently; nil: math/rand/v2
}

func (o Options) complete() Options {
	orTime := func(d *time.Duration, otherwise time.Duration) {
		if *d == 0 {
			*d = otherwise
		}
	}
	orTime(&o.Base, 50*time.Millisecond)
	orTime(&o.Longest, time.Second)
	orTime(&o.Deadline, 10*time.Second)
	orTime(&o.Open, 5*time.Second)
	if o.Name == "" {
		o.Name = "The key service"
	}
	if o.Attempts == 0 {
		o.Attempts = 4
	}
	if o.Failures == 0 {
		o.Failures = 5
	}
	if o.Random == nil {
		o.Random = rand.Float64
	}
	return o
}

// Backend is a kms.Backend over another one.
type Backend struct {
	next    kms.Backend
	o       Options
	breaker breaker
}

var _ kms.Backend = (*Backend)(nil)

// New wraps next, which should have a time limit for each request.
func New(next kms.Backend, o Options) *Backend {
	o = o.complete()
	return &Backend{next: next, o: o, breaker: breaker{limit: o.Failures, open: o.Open, name: o.Name}}
}

// State says how the key service is, for people.
func (b *Backend) State() State { return b.breaker.state() }

// repeatable is what may be repeated after an attempt whose outcome is not known.
type repeatable bool

const (
	idempotent repeatable = true  // it does the same the second time
	once       repeatable = false // it does not
)

// value makes a call that answers something.
func value[T any](ctx context.Context, b *Backend, r repeatable, call func(context.Context) (T, error)) (out T, err error) {
	err = b.do(ctx, r, func(ctx context.Context) error {
		out, err = call(ctx)
		return err
	})
	return out, err
}

// do makes a call until it has an answer.
//
// Errors: the answer's; [kms.KeyUnavailableException] while the breaker is open; [kms.DependencyTimeoutException] when the time is over.
func (b *Backend) do(ctx context.Context, r repeatable, call func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, b.o.Deadline)
	defer cancel()
	for attempt := 1; ; attempt++ {
		probe, err := b.breaker.enter()
		if err != nil {
			return err
		}
		err = call(limited)
		b.breaker.leave(probe, b.judge(ctx, err), err)
		switch {
		case !transient(err) || ctx.Err() != nil:
			return err
		case limited.Err() != nil:
			return b.late(err)
		case probe || attempt == b.o.Attempts, r == once && !errors.Is(err, kms.ThrottlingException):
			return err
		}
		if !sleep(limited, b.pause(attempt)) {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return b.late(err)
		}
		b.breaker.retried()
	}
}

func (b *Backend) late(err error) error {
	return &kms.Error{Code: kms.DependencyTimeoutException, Message: fmt.Sprintf("%s gave no answer within %s", b.o.Name, b.o.Deadline), Err: err}
}

// judge says what an attempt tells of the key service. ctx is the caller's: when he gave up, nothing.
func (b *Backend) judge(ctx context.Context, err error) verdict {
	switch {
	case err == nil || !transient(err):
		return up
	case ctx.Err() != nil:
		return unknown
	case errors.Is(err, kms.ThrottlingException):
		return up // it answers
	}
	return down
}

// transient reports whether the same call may succeed a little later.
func transient(err error) bool {
	if err == nil {
		return false
	}
	switch kms.CodeOf(err) { // errors without a code count as internal ones
	case kms.ThrottlingException, kms.KMSInternalException, kms.DependencyTimeoutException, kms.KeyUnavailableException:
		return true
	}
	return false
}

// pause is how long to wait after the nth attempt: half fixed, half random, so that many clients do not come back together.
func (b *Backend) pause(n int) time.Duration {
	d := b.o.Longest
	if n < 32 && b.o.Base<<(n-1) < d {
		d = b.o.Base << (n - 1)
	}
	return d/2 + time.Duration(b.o.Random()*float64(d/2))
}

// sleep reports whether d passed before ctx was done.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
