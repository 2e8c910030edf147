package resilient_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"kmsfs/kms"
	"kmsfs/kms/kmstest"
	"kmsfs/kms/resilient"
)

func TestConformance(t *testing.T) {
	kmstest.Run(t, func(t *testing.T) kms.Backend { return resilient.New(kmstest.NewBackend(t), resilient.Options{}) })
}

// fixture is a backend whose trouble is made by fault, with a key. The clock is the bubble's.
type fixture struct {
	*testing.T
	fault *kmstest.Fault
	b     *resilient.Backend
	key   string
	begin time.Time
}

// inBubble runs a test with a clock of its own, which advances when everybody waits.
func inBubble(t *testing.T, o resilient.Options, run func(f *fixture)) {
	synctest.Test(t, func(t *testing.T) {
		fault := kmstest.NewFault(kmstest.NewBackend(t))
		if o.Random == nil {
			o.Random = func() float64 { return 0.5 }
		}
		f := &fixture{T: t, fault: fault, b: resilient.New(fault, o)}
		m, err := f.b.CreateKey(t.Context(), kms.CreateKeyInput{})
		require.NoError(t, err)
		f.key, f.begin = m.ID, time.Now()
		run(f)
	})
}

func (f *fixture) encrypt(ctx context.Context) error {
	_, err := f.b.Encrypt(ctx, kms.EncryptInput{KeyID: f.key, Plaintext: []byte("x")})
	return err
}

func (f *fixture) attempts() int { return f.fault.Calls(kms.OpEncrypt) }

func away() error { return kms.Errorf(kms.KeyUnavailableException, "it cannot be reached") }

func throttled() error { return kms.Errorf(kms.ThrottlingException, "slow down") }

func TestRetriesUntilItAnswers(t *testing.T) {
	for _, trouble := range []error{throttled(), away(), kms.DependencyTimeoutException, kms.KMSInternalException, errors.New("connection reset")} {
		inBubble(t, resilient.Options{}, func(f *fixture) {
			for n := range 3 {
				f.fault.Add(kmstest.FailNth(kms.OpEncrypt, n, trouble))
			}
			require.NoError(f, f.encrypt(f.Context()))
			require.Equal(f, 4, f.attempts())
			require.Equal(f, 3*(50+100+200)*time.Millisecond/4, time.Since(f.begin), "doubling, with the middle of the random half")
			require.Equal(f, resilient.State{Breaker: resilient.Closed, Retries: 3}, f.b.State())
		})
	}
}

func TestPauseIsBoundedAndRandom(t *testing.T) {
	for random, want := range map[float64]time.Duration{0: 25 + 50 + 75 + 75, 0.999999: 50 + 100 + 150 + 150} {
		inBubble(t, resilient.Options{Attempts: 5, Failures: 100, Longest: 150 * time.Millisecond, Random: func() float64 { return random }}, func(f *fixture) {
			f.fault.Add(kmstest.FailAll(away()))
			err := f.encrypt(f.Context())
			require.ErrorIs(f, err, kms.KeyUnavailableException)
			require.Equal(f, 5, f.attempts())
			require.InDelta(f, float64(want*time.Millisecond), float64(time.Since(f.begin)), float64(time.Millisecond))
		})
	}
}

func TestRefusalsAreNotRetried(t *testing.T) {
	for _, code := range kms.Codes {
		switch code {
		case kms.ThrottlingException, kms.KMSInternalException, kms.DependencyTimeoutException, kms.KeyUnavailableException:
			continue
		}
		inBubble(t, resilient.Options{Failures: 1}, func(f *fixture) {
			f.fault.Add(kmstest.FailAll(&kms.Error{Code: code, Message: "as it came"}))
			err := f.encrypt(f.Context())
			require.EqualError(f, err, string(code)+": as it came")
			require.Equal(f, 1, f.attempts(), code)
			require.Equal(f, resilient.State{Breaker: resilient.Closed}, f.b.State(), "a refusal is an answer")
		})
	}
}

// TestOnceOnly: what would do something else the second time is repeated only after an answer that says that nothing happened.
func TestOnceOnly(t *testing.T) {
	calls := map[kms.Operation]func(f *fixture) error{
		kms.OpCreateKey:           func(f *fixture) error { _, err := f.b.CreateKey(f.Context(), kms.CreateKeyInput{}); return err },
		kms.OpCreateAlias:         func(f *fixture) error { return f.b.CreateAlias(f.Context(), "alias/x", f.key) },
		kms.OpRotateKeyOnDemand:   func(f *fixture) error { _, err := f.b.RotateKeyOnDemand(f.Context(), f.key); return err },
		kms.OpScheduleKeyDeletion: func(f *fixture) error { _, err := f.b.ScheduleKeyDeletion(f.Context(), f.key, 7); return err },
	}
	for op, call := range calls {
		inBubble(t, resilient.Options{}, func(f *fixture) {
			before := f.fault.Calls(op)
			f.fault.Add(kmstest.FailNth(op, before, away()))
			err := call(f)
			require.ErrorIs(f, err, kms.KeyUnavailableException)
			require.Equal(f, before+1, f.fault.Calls(op))
			f.fault.Add(kmstest.FailNth(op, before+1, throttled()))
			require.NoError(f, call(f))
			require.Equal(f, before+3, f.fault.Calls(op))
		})
	}
}

func TestDeadline(t *testing.T) {
	inBubble(t, resilient.Options{Attempts: 100, Failures: 100, Deadline: 3 * time.Second}, func(f *fixture) {
		f.fault.Add(kmstest.FailAll(throttled()))
		err := f.encrypt(f.Context())
		require.ErrorIs(f, err, kms.DependencyTimeoutException)
		require.ErrorIs(f, err, kms.ThrottlingException, "with the reason")
		require.Equal(f, 3*time.Second, time.Since(f.begin))
	})
	inBubble(t, resilient.Options{Deadline: 3 * time.Second, Attempts: 1, Failures: 1}, func(f *fixture) {
		f.fault.Add(kmstest.Delay(kms.OpEncrypt, time.Hour))
		err := f.encrypt(f.Context())
		require.ErrorIs(f, err, kms.DependencyTimeoutException)
		require.Equal(f, 3*time.Second, time.Since(f.begin), "one that hangs is cut off")
		require.Equal(f, resilient.Open, f.b.State().Breaker, "and counts")
	})
}

func TestCallerGivesUp(t *testing.T) {
	inBubble(t, resilient.Options{Failures: 1}, func(f *fixture) {
		f.fault.Add(kmstest.Delay(kms.OpEncrypt, time.Hour))
		ctx, cancel := context.WithTimeout(f.Context(), time.Second)
		defer cancel()
		err := f.encrypt(ctx)
		require.ErrorIs(f, err, context.DeadlineExceeded)
		require.Equal(f, time.Second, time.Since(f.begin))
		require.Equal(f, 1, f.attempts())
		require.Equal(f, resilient.Closed, f.b.State().Breaker, "it says nothing of the key service")
	})
	inBubble(t, resilient.Options{Failures: 100}, func(f *fixture) {
		f.fault.Add(kmstest.FailAll(away()))
		ctx, cancel := context.WithTimeout(f.Context(), 60*time.Millisecond)
		defer cancel()
		err := f.encrypt(ctx)
		require.ErrorIs(f, err, context.DeadlineExceeded, "in a pause")
		require.Equal(f, 60*time.Millisecond, time.Since(f.begin))
	})
}

func TestBreakerOpensAndProbes(t *testing.T) {
	inBubble(t, resilient.Options{Name: "https://kms.example", Attempts: 2, Failures: 4, Open: 5 * time.Second}, func(f *fixture) {
		f.fault.Add(kmstest.FailAll(away()))
		require.Error(f, f.encrypt(f.Context()))
		require.Equal(f, resilient.Closed, f.b.State().Breaker)
		require.Error(f, f.encrypt(f.Context()))
		s := f.b.State()
		require.Equal(f, resilient.Open, s.Breaker)
		require.Equal(f, 4, s.Failures)
		require.Equal(f, "KeyUnavailableException: it cannot be reached", s.Reason)
		require.Equal(f, f.begin, s.Since)

		opened := time.Now()
		for range 1000 {
			err := f.encrypt(f.Context())
			require.ErrorIs(f, err, kms.KeyUnavailableException)
			require.ErrorContains(f, err, "https://kms.example has been away since")
			require.ErrorContains(f, err, "it cannot be reached", "with the reason")
		}
		_, err := f.b.DescribeKey(f.Context(), f.key)
		require.ErrorIs(f, err, kms.KeyUnavailableException, "every operation")
		require.Equal(f, opened, time.Now(), "at once")
		require.Equal(f, 4, f.attempts(), "without a call")

		time.Sleep(5 * time.Second)
		require.EqualError(f, f.encrypt(f.Context()), away().Error())
		require.Equal(f, 5, f.attempts(), "a probe is one attempt")
		require.Equal(f, 5*time.Second, time.Since(opened), "without a pause")
		require.Error(f, f.encrypt(f.Context()))
		require.Equal(f, 5, f.attempts(), "open again")

		f.fault.Clear()
		time.Sleep(5 * time.Second)
		require.NoError(f, f.encrypt(f.Context()), "it recovers by itself")
		require.Equal(f, resilient.Closed, f.b.State().Breaker)
		require.Empty(f, f.b.State().Reason)
	})
}

// TestOneProbeAtATime: while the probe hangs the others do not wait for it.
func TestOneProbeAtATime(t *testing.T) {
	inBubble(t, resilient.Options{Attempts: 1, Failures: 1, Open: time.Second}, func(f *fixture) {
		f.fault.Add(kmstest.FailAll(away()))
		require.Error(f, f.encrypt(f.Context()))
		f.fault.Clear()
		f.fault.Add(kmstest.Delay(kms.OpEncrypt, 3*time.Second))
		time.Sleep(time.Second)
		probe := make(chan error, 1)
		go func() { probe <- f.encrypt(f.Context()) }()
		synctest.Wait()
		require.Equal(f, resilient.HalfOpen, f.b.State().Breaker)
		before := time.Now()
		for range 10 {
			err := f.encrypt(f.Context())
			require.ErrorIs(f, err, kms.KeyUnavailableException)
		}
		require.Equal(f, before, time.Now())
		require.Equal(f, 2, f.attempts())
		require.NoError(f, <-probe)
		require.Equal(f, resilient.Closed, f.b.State().Breaker)
	})
}

// TestProbeThatIsGivenUp leaves the way free for the next one.
func TestProbeThatIsGivenUp(t *testing.T) {
	inBubble(t, resilient.Options{Attempts: 1, Failures: 1, Open: time.Second}, func(f *fixture) {
		f.fault.Add(kmstest.FailAll(away()))
		require.Error(f, f.encrypt(f.Context()))
		f.fault.Clear()
		f.fault.Add(kmstest.Delay(kms.OpEncrypt, 2*time.Second))
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(f.Context(), time.Second)
		defer cancel()
		err := f.encrypt(ctx)
		require.ErrorIs(f, err, context.DeadlineExceeded)
		require.NoError(f, f.encrypt(f.Context()))
		require.Equal(f, resilient.Closed, f.b.State().Breaker)
	})
}

// TestStragglers: attempts that began before the breaker opened neither close it nor keep it open for longer.
func TestStragglers(t *testing.T) {
	inBubble(t, resilient.Options{Attempts: 1, Failures: 1, Open: 5 * time.Second}, func(f *fixture) {
		straggle := func(_ context.Context, c kmstest.Call) error {
			switch c.N {
			case 0:
				time.Sleep(3 * time.Second)
				return nil
			case 1:
				time.Sleep(4 * time.Second)
			}
			return away()
		}
		f.fault.Add(straggle)
		ends := make(chan error, 2)
		for range 2 {
			go func() { ends <- f.encrypt(f.Context()) }()
			synctest.Wait()
		}
		require.Error(f, f.encrypt(f.Context()))
		require.Equal(f, resilient.Open, f.b.State().Breaker)
		require.NoError(f, <-ends, "its own answer is as it is")
		require.Equal(f, resilient.Open, f.b.State().Breaker)
		require.Error(f, <-ends)
		require.Equal(f, 1, f.b.State().Failures)
		f.fault.Clear()
		time.Sleep(time.Second)
		require.NoError(f, f.encrypt(f.Context()), "5 s after it opened")
	})
}

// TestThrottlingIsAnAnswer: it is retried, but does not open the breaker.
func TestThrottlingIsAnAnswer(t *testing.T) {
	inBubble(t, resilient.Options{Failures: 1}, func(f *fixture) {
		f.fault.Add(kmstest.FailAll(throttled()))
		err := f.encrypt(f.Context())
		require.ErrorIs(f, err, kms.ThrottlingException)
		require.Equal(f, 4, f.attempts())
		require.Equal(f, resilient.Closed, f.b.State().Breaker)
	})
}

// TestSuccessStartsTheCountAnew: failures have to be in a row.
func TestSuccessStartsTheCountAnew(t *testing.T) {
	inBubble(t, resilient.Options{Attempts: 1, Failures: 2}, func(f *fixture) {
		for n := range 10 {
			if n%2 == 0 {
				f.fault.Add(kmstest.FailNth(kms.OpEncrypt, n, away()))
			}
		}
		for n := range 10 {
			err := f.encrypt(f.Context())
			require.Equal(f, n%2 == 0, err != nil, "%d %v", n, err)
		}
		require.Equal(f, resilient.Closed, f.b.State().Breaker)
	})
}

// TestAccessGoesThrough: it is no call, so it neither fails nor closes the breaker.
func TestAccessGoesThrough(t *testing.T) {
	inBubble(t, resilient.Options{Attempts: 1, Failures: 1}, func(f *fixture) {
		f.fault.Add(kmstest.FailAll(away()))
		require.Error(f, f.encrypt(f.Context()))
		a, err := f.b.Access(f.Context(), f.key, nil)
		require.NoError(f, err)
		require.True(f, strings.HasSuffix(a.Key.ARN, f.key))
		require.Equal(f, resilient.Open, f.b.State().Breaker)
	})
}
