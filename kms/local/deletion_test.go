package local_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kmsfs/kms"
	"kmsfs/kms/kmstest"
	"kmsfs/kms/local"
)

// watcher is a witness of one loss.
type watcher struct {
	err  error // of the key fails
	only string
	seen []kms.Destruction
}

func (w *watcher) Loses(_ context.Context, keyARN string) (kms.Loss, error) {
	if keyARN == w.only {
		return kms.Loss{}, w.err
	}
	return kms.Loss{Files: 1, Versions: 2, Bytes: 3, List: "ab"}, nil
}

func (w *watcher) Destroyed(d kms.Destruction) { w.seen = append(w.seen, d) }

// TestWitness: what is lost is named before a key is destroyed; a witness that fails puts off that key only.
func TestWitness(t *testing.T) {
	c, rec := newClock(), &kmstest.Records{}
	w := &watcher{err: errors.New("disk full")}
	p := open(t, rec, local.Options{Now: c.now, Witness: w})
	one, two := newKey(t, p), newKey(t, p)
	w.only = two.ARN
	alice := kms.WithCaller(t.Context(), kms.Caller{Principal: "arn:alice"})
	for _, k := range []kms.KeyMetadata{one, two} {
		_, err := p.ScheduleKeyDeletion(alice, k.ID, 7)
		require.NoError(t, err)
	}
	_, err := p.Destruction(t.Context(), one.ID)
	require.ErrorIs(t, err, kms.KMSInvalidStateException)
	require.ErrorContains(t, err, "pending deletion until 2026-01-09T03:04:05Z")
	scheduled := c.now()
	c.add(8)
	require.ErrorContains(t, p.DoDue(t.Context()), "disk full")
	require.Contains(t, load(t, rec), "key/"+two.ID)
	require.NotContains(t, load(t, rec), "key/"+one.ID)
	require.ErrorIs(t, errOf(p.DescribeKey(t.Context(), two.ID)), kms.NotFoundException, "it is not used though")

	want := kms.Destruction{Key: one.ARN, Spec: kms.SpecSymmetricDefault, Usage: kms.UsageEncryptDecrypt, Origin: kms.OriginAWSKMS, Created: one.Created,
		Scheduled: scheduled, ScheduledBy: "arn:alice", WindowDays: 7, Due: scheduled.AddDate(0, 0, 7), Destroyed: c.now(),
		Loss: kms.Loss{Files: 1, Versions: 2, Bytes: 3, List: "ab"}}
	require.Equal(t, []kms.Destruction{want}, w.seen)
	w.only = ""
	require.NoError(t, p.DoDue(t.Context()))
	require.Len(t, w.seen, 2)
	require.NoError(t, p.DoDue(t.Context()))
	require.Len(t, w.seen, 2, "once")
	require.NoError(t, p.Close())

	p = open(t, rec, local.Options{Now: c.now})
	for _, id := range []string{one.ID, one.ARN} {
		d, err := p.Destruction(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, want, d)
	}
	require.ErrorIs(t, errOf(p.Destruction(t.Context(), "00000000-0000-0000-0000-000000000000")), kms.NotFoundException)
	require.NoError(t, p.Close())
	rec.Set("gone/"+one.ID, []byte("damaged"))
	p = open(t, rec, local.Options{Now: c.now})
	require.ErrorContains(t, errOf(p.Destruction(t.Context(), one.ID)), "is damaged")
	require.NoError(t, errOf(p.Destruction(t.Context(), two.ID)))
}

// TestCancelForgetsWhoAsked: a later deletion has its own.
func TestCancelForgetsWhoAsked(t *testing.T) {
	c, rec := newClock(), &kmstest.Records{}
	p := open(t, rec, local.Options{Now: c.now})
	k := newKey(t, p)
	alice := kms.WithCaller(t.Context(), kms.Caller{Principal: "arn:alice"})
	_, err := p.ScheduleKeyDeletion(alice, k.ID, 7)
	require.NoError(t, err)
	_, err = p.CancelKeyDeletion(alice, k.ID)
	require.NoError(t, err)
	c.add(1)
	_, err = p.ScheduleKeyDeletion(t.Context(), k.ID, 10)
	require.NoError(t, err)
	c.add(10)
	require.NoError(t, p.DoDue(t.Context()))
	d, err := p.Destruction(t.Context(), k.ID)
	require.NoError(t, err)
	require.Empty(t, d.ScheduledBy)
	require.Equal(t, time.Date(2026, 1, 3, 3, 4, 5, 6, time.UTC), d.Scheduled)
}

// TestReseal: under new keys all is as it was; the former ones open nothing any more, and a half of them still does.
func TestReseal(t *testing.T) {
	rec := &kmstest.Records{}
	p := open(t, rec, local.Options{})
	k := newKey(t, p)
	require.NoError(t, p.CreateAlias(t.Context(), "alias/x", k.ID))
	blob := seal(t, p, k.ID)
	require.NoError(t, p.Close())
	rec.Set("key/11111111-1111-1111-1111-111111111111", []byte("damaged"))
	former, next := rootKey, []byte("abcdefghijklmnopqrstuvwxyz012345")

	p, err := local.Open(rec, next, local.Options{Former: [][]byte{former}})
	require.NoError(t, err, "not sealed anew yet")
	requireOpens(t, p, blob)
	require.NoError(t, p.Close())
	damaged, err := local.Reseal(rec, [][]byte{next, former})
	require.NoError(t, err)
	require.Equal(t, []string{"key/11111111-1111-1111-1111-111111111111"}, damaged)
	_, err = local.Open(rec, former, local.Options{})
	require.ErrorContains(t, err, "the keyring does not belong to these keys")
	p, err = local.Open(rec, next, local.Options{})
	require.NoError(t, err)
	defer p.Close()
	requireOpens(t, p, blob)
	require.NoError(t, errOf(p.DescribeKey(t.Context(), "alias/x")))

	rec.Fail(errors.New("disk full"))
	_, err = local.Reseal(rec, [][]byte{former, next})
	require.ErrorContains(t, err, "disk full")
}

// TestStaleSealingKey: what is left on the disk of a destroyed key opens no more once the records are sealed anew.
func TestStaleSealingKey(t *testing.T) {
	c, rec := newClock(), &kmstest.Records{}
	p := open(t, rec, local.Options{Now: c.now})
	k, other := newKey(t, p), newKey(t, p)
	blob := seal(t, p, other.ID)
	left := load(t, rec)["key/"+k.ID]
	_, err := p.ScheduleKeyDeletion(t.Context(), k.ID, 7)
	require.NoError(t, err)
	require.False(t, p.Stale())
	c.add(7)
	require.NoError(t, p.DoDue(t.Context()))
	require.True(t, p.Stale())
	require.NoError(t, p.Close())

	p = open(t, rec, local.Options{Now: c.now})
	require.True(t, p.Stale(), "it is kept")
	next := []byte("abcdefghijklmnopqrstuvwxyz012345")
	require.NoError(t, p.Reseal(next))
	require.False(t, p.Stale())
	requireOpens(t, p, blob)
	require.NoError(t, p.DisableKey(t.Context(), other.ID), "changes go on")
	require.NoError(t, p.EnableKey(t.Context(), other.ID))
	require.NoError(t, p.Close())

	rec.Set("key/"+k.ID, left)
	p, err = local.Open(rec, next, local.Options{Now: c.now})
	require.NoError(t, err)
	defer p.Close()
	require.False(t, p.Stale())
	requireOpens(t, p, blob)
	require.ErrorContains(t, errOf(p.DescribeKey(t.Context(), k.ID)), "is damaged")
}
