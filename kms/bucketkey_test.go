package kms_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kmsfs/kms"
	"kmsfs/kms/kmstest"
)

// clock is a time that tests move.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

func bucketKeyService(t *testing.T) (*kms.Service, *kmstest.Fault, *clock) {
	c := &clock{t: time.Now()}
	f := kmstest.NewFault(kmstest.NewBackend(t))
	s, _ := kmstest.NewService(t, f, kms.Options{Now: c.now})
	return s, f, c
}

func TestBucketKeySavesCalls(t *testing.T) {
	s, f, clock := bucketKeyService(t)
	m := makeKey(t, s)
	var keys [][]byte
	var envs []kms.Envelope
	for range 50 {
		key, env := newDataKey(t, s, as("root"), request(kms.SSEKMS, m.ARN, true, nil))
		keys, envs = append(keys, key), append(envs, env)
	}
	require.Equal(t, 1, f.Calls(kms.OpGenerateDataKey))
	require.EqualValues(t, 1, s.Calls())
	for i := range envs {
		requireDataKey(t, s, as("root"), keys[i], envs[i])
		require.NotEqual(t, keys[(i+1)%50], keys[i], "each object has a data key of its own")
		require.NotEqual(t, envs[(i+1)%50].Wrapped, envs[i].Wrapped)
		require.Equal(t, envs[0].Blob, envs[i].Blob)
	}
	require.Equal(t, 1, f.Calls(kms.OpDecrypt))

	clock.add(kms.DefaultBucketKeyLifetime - time.Second)
	newDataKey(t, s, as("root"), request(kms.SSEKMS, m.ARN, true, nil))
	require.Equal(t, 1, f.Calls(kms.OpGenerateDataKey))
	clock.add(time.Second)
	_, env := newDataKey(t, s, as("root"), request(kms.SSEKMS, m.ARN, true, nil))
	require.Equal(t, 2, f.Calls(kms.OpGenerateDataKey), "the lifetime is over")
	require.NotEqual(t, envs[0].Blob, env.Blob)
	requireDataKey(t, s, as("root"), keys[0], envs[0])
	require.Equal(t, 2, f.Calls(kms.OpDecrypt))
}

func TestBucketKeyIsNotShared(t *testing.T) {
	s, f, _ := bucketKeyService(t)
	a, b := makeKey(t, s), makeKey(t, s)
	otherBucket := request(kms.SSEKMS, a.ARN, true, nil)
	otherBucket.BucketARN = bucket + "2"
	for i, c := range []struct {
		ctx context.Context
		r   kms.EnvelopeRequest
	}{
		{as("root"), request(kms.SSEKMS, a.ARN, true, nil)},
		{as("eve"), request(kms.SSEKMS, a.ARN, true, nil)},
		{as("root"), request(kms.SSEKMS, b.ARN, true, nil)},
		{as("root"), request(kms.SSEKMS, a.ARN, true, kms.Context{"a": "1"})},
		{as("root"), otherBucket},
	} {
		key, env := newDataKey(t, s, c.ctx, c.r)
		require.Equal(t, i+1, f.Calls(kms.OpGenerateDataKey))
		requireDataKey(t, s, c.ctx, key, env)
		requireDataKey(t, s, c.ctx, key, env)
		require.Equal(t, i+1, f.Calls(kms.OpDecrypt), "a write does not seed reads")
	}
	newDataKey(t, s, as("root"), request(kms.SSEKMS, a.ID, true, nil))
	require.Equal(t, 5, f.Calls(kms.OpGenerateDataKey), "key id and ARN are the same key")
}

// TestBucketKeyReadIsPerCaller: whoever is denied Decrypt does not read by another's cache.
func TestBucketKeyReadIsPerCaller(t *testing.T) {
	s, f, _ := bucketKeyService(t)
	m := makeKey(t, s)
	key, env := newDataKey(t, s, as("root"), request(kms.SSEKMS, m.ARN, true, nil))
	requireDataKey(t, s, as("root"), key, env)
	f.Add(kmstest.Deny(kms.OpDecrypt, ""))
	requireDataKey(t, s, as("root"), key, env)
	_, err := s.OpenDataKey(as("eve"), env)
	require.Error(t, err)
	require.ErrorIs(t, err, kms.AccessDeniedException)
}

func TestChangesDropBucketKeys(t *testing.T) {
	for name, change := range map[string]func(*kms.Service, string) error{
		"disable": func(s *kms.Service, id string) error { return s.DisableKey(as("root"), id) },
		"schedule": func(s *kms.Service, id string) error {
			_, err := s.ScheduleKeyDeletion(as("root"), id, 7)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, _, _ := bucketKeyService(t)
			m := makeKey(t, s)
			key, env := newDataKey(t, s, as("root"), request(kms.SSEKMS, m.ARN, true, nil))
			requireDataKey(t, s, as("root"), key, env)
			require.NoError(t, change(s, m.ID))
			_, _, err := s.NewDataKey(as("root"), request(kms.SSEKMS, m.ARN, true, nil))
			require.Error(t, err)
			require.ErrorContains(t, err, m.ARN)
			_, err = s.OpenDataKey(as("root"), env)
			require.Error(t, err)
			require.ErrorContains(t, err, m.ARN)
		})
	}
}

func TestMovedAliasActsAtOnce(t *testing.T) {
	s, _, _ := bucketKeyService(t)
	a, b := makeKey(t, s), makeKey(t, s)
	require.NoError(t, s.CreateAlias(as("root"), "alias/x", a.ID))
	_, env := newDataKey(t, s, as("root"), request(kms.SSEKMS, "alias/x", true, nil))
	require.Equal(t, a.ARN, env.KeyARN)
	require.NoError(t, s.UpdateAlias(as("root"), "alias/x", b.ID))
	_, env = newDataKey(t, s, as("root"), request(kms.SSEKMS, "alias/x", true, nil))
	require.Equal(t, b.ARN, env.KeyARN)
}

func TestConcurrentMissesShareOneCall(t *testing.T) {
	s, f, _ := bucketKeyService(t)
	m := makeKey(t, s)
	f.Add(kmstest.Delay(kms.OpGenerateDataKey, 50*time.Millisecond))
	f.Add(kmstest.Delay(kms.OpDecrypt, 50*time.Millisecond))
	envs, errs := make([]kms.Envelope, 32), make([]error, 32)
	each := func(do func(i int) error) {
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() { errs[i] = do(i) })
		}
		wg.Wait()
		require.NoError(t, errors.Join(errs...))
	}
	each(func(i int) (err error) {
		_, envs[i], err = s.NewDataKey(as("root"), request(kms.SSEKMS, m.ARN, true, nil))
		return err
	})
	require.Equal(t, 1, f.Calls(kms.OpGenerateDataKey))
	each(func(i int) error {
		_, err := s.OpenDataKey(as("root"), envs[i])
		return err
	})
	require.Equal(t, 1, f.Calls(kms.OpDecrypt))
}

// TestCancelledLeader: the caller whose context ends does not take the others with it.
func TestCancelledLeader(t *testing.T) {
	s, f, _ := bucketKeyService(t)
	m := makeKey(t, s)
	f.Add(kmstest.Delay(kms.OpGenerateDataKey, 200*time.Millisecond))
	ctx, cancel := context.WithCancel(as("root"))
	leader := make(chan error)
	go func() {
		_, _, err := s.NewDataKey(ctx, request(kms.SSEKMS, m.ARN, true, nil))
		leader <- err
	}()
	require.Eventually(t, func() bool { return f.Calls(kms.OpGenerateDataKey) == 1 }, 5*time.Second, time.Millisecond)
	follower := make(chan error)
	go func() {
		_, _, err := s.NewDataKey(as("root"), request(kms.SSEKMS, m.ARN, true, nil))
		follower <- err
	}()
	time.Sleep(20 * time.Millisecond)
	cancel()
	require.ErrorIs(t, <-leader, context.Canceled)
	require.NoError(t, <-follower)
	require.Equal(t, 2, f.Calls(kms.OpGenerateDataKey))
}

// TestDisableWhileACallIsUnderWay: a bucket-level key that was asked for before is not kept.
func TestDisableWhileACallIsUnderWay(t *testing.T) {
	s, f, _ := bucketKeyService(t)
	m := makeKey(t, s)
	got, proceed := make(chan struct{}), make(chan struct{})
	slow := &slowAnswer{Backend: f, got: got, proceed: proceed}
	s, _ = kmstest.NewService(t, slow, kms.Options{})
	done := make(chan error)
	go func() {
		_, _, err := s.NewDataKey(as("root"), request(kms.SSEKMS, m.ARN, true, nil))
		done <- err
	}()
	<-got // the provider has answered, the service does not know yet
	require.NoError(t, s.DisableKey(as("root"), m.ID))
	close(proceed)
	require.NoError(t, <-done, "it began before")
	_, _, err := s.NewDataKey(as("root"), request(kms.SSEKMS, m.ARN, true, nil))
	require.Error(t, err)
	require.ErrorIs(t, err, kms.DisabledException)
}

// slowAnswer holds back the first answer of GenerateDataKey.
type slowAnswer struct {
	kms.Backend
	once         sync.Once
	got, proceed chan struct{}
}

func (b *slowAnswer) GenerateDataKey(ctx context.Context, in kms.GenerateDataKeyInput) (kms.DataKey, error) {
	d, err := b.Backend.GenerateDataKey(ctx, in)
	b.once.Do(func() {
		close(b.got)
		<-b.proceed
	})
	return d, err
}

// TestFailureIsNotCached: after a failed call the next one asks again.
func TestFailureIsNotCached(t *testing.T) {
	s, f, _ := bucketKeyService(t)
	m := makeKey(t, s)
	f.Add(kmstest.FailNth(kms.OpGenerateDataKey, 0, kms.Errorf(kms.ThrottlingException, "slow down")))
	_, _, err := s.NewDataKey(as("root"), request(kms.SSEKMS, m.ARN, true, nil))
	require.Error(t, err)
	require.ErrorIs(t, err, kms.ThrottlingException)
	newDataKey(t, s, as("root"), request(kms.SSEKMS, m.ARN, true, nil))
}
