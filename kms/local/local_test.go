package local_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kmsfs/kms"
	"kmsfs/kms/kmstest"
	"kmsfs/kms/local"
)

var rootKey = bytes.Repeat([]byte{1}, 32)

func open(t *testing.T, rec local.Records, o local.Options) *local.Provider {
	t.Helper()
	p, err := local.Open(rec, rootKey, o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	return p
}

func newKey(t *testing.T, p *local.Provider) kms.KeyMetadata {
	t.Helper()
	m, err := p.CreateKey(t.Context(), kms.CreateKeyInput{Description: "d"})
	require.NoError(t, err)
	return m
}

func seal(t *testing.T, p *local.Provider, keyID string) []byte {
	t.Helper()
	c, err := p.Encrypt(t.Context(), kms.EncryptInput{KeyID: keyID, Plaintext: []byte("x")})
	require.NoError(t, err)
	return c.Blob
}

func requireOpens(t *testing.T, p *local.Provider, blob []byte) {
	t.Helper()
	out, err := p.Decrypt(t.Context(), kms.DecryptInput{Blob: blob})
	require.NoError(t, err)
	require.Equal(t, "x", string(out.Bytes))
}

func TestReopen(t *testing.T) {
	rec := &kmstest.Records{}
	p := open(t, rec, local.Options{})
	enabled, disabled, pending := newKey(t, p), newKey(t, p), newKey(t, p)
	old := seal(t, p, enabled.ID)
	_, err := p.RotateKeyOnDemand(t.Context(), enabled.ID)
	require.NoError(t, err)
	blob := seal(t, p, enabled.ID)
	require.NoError(t, p.CreateAlias(t.Context(), "alias/x", enabled.ID))
	require.NoError(t, p.DisableKey(t.Context(), disabled.ID))
	_, err = p.ScheduleKeyDeletion(t.Context(), pending.ID, 7)
	require.NoError(t, err)
	managed, err := p.DescribeKey(t.Context(), kms.ManagedAlias)
	require.NoError(t, err)
	want := describeAll(t, p)
	require.NoError(t, p.Close())

	p = open(t, rec, local.Options{})
	require.Equal(t, want, describeAll(t, p))
	require.Len(t, want, 4)
	requireOpens(t, p, old)
	requireOpens(t, p, blob)
	again, err := p.DescribeKey(t.Context(), kms.ManagedAlias)
	require.NoError(t, err)
	require.Equal(t, managed, again)
	m, err := p.DescribeKey(t.Context(), "alias/x")
	require.NoError(t, err)
	require.Equal(t, enabled.ARN, m.ARN)
	require.NoError(t, p.EnableKey(t.Context(), disabled.ID))
	requireOpens(t, p, seal(t, p, disabled.ID))
}

func describeAll(t *testing.T, p *local.Provider) []kms.KeyMetadata {
	t.Helper()
	page, err := p.ListKeys(t.Context(), "", 1000)
	require.NoError(t, err)
	var out []kms.KeyMetadata
	for _, k := range page.Keys {
		m, err := p.DescribeKey(t.Context(), k.ARN)
		require.NoError(t, err)
		out = append(out, m)
	}
	return out
}

func TestWrongRootKey(t *testing.T) {
	rec := &kmstest.Records{}
	open(t, rec, local.Options{})
	_, err := local.Open(rec, bytes.Repeat([]byte{2}, 32), local.Options{})
	require.Error(t, err)
	require.ErrorContains(t, err, "the keyring does not belong to these keys")
	_, err = local.Open(rec, rootKey[:31], local.Options{})
	require.Error(t, err)
	require.ErrorContains(t, err, "31 bytes")
}

func TestMissingCheckRecord(t *testing.T) {
	rec := &kmstest.Records{}
	newKey(t, open(t, rec, local.Options{}))
	rec.Set("check", nil)
	_, err := local.Open(rec, rootKey, local.Options{})
	require.Error(t, err)
	require.ErrorContains(t, err, "the check record is missing though there are keys")
}

func TestUnknownRecordKind(t *testing.T) {
	rec := &kmstest.Records{}
	open(t, rec, local.Options{})
	rec.Set("grunt/1", []byte{1})
	_, err := local.Open(rec, rootKey, local.Options{})
	require.Error(t, err)
	require.ErrorContains(t, err, `record "grunt/1" is of a kind that this release does not know`)
}

// TestDamageStaysLocal swaps two key records: both keys are refused, the third goes on.
func TestDamageStaysLocal(t *testing.T) {
	rec := &kmstest.Records{}
	p := open(t, rec, local.Options{})
	a, b, good := newKey(t, p), newKey(t, p), newKey(t, p)
	require.NoError(t, p.CreateAlias(t.Context(), "alias/x", good.ID))
	blobA, blobGood := seal(t, p, a.ID), seal(t, p, good.ID)
	records, err := rec.Load()
	require.NoError(t, err)
	rec.Set("key/"+a.ID, records["key/"+b.ID])
	rec.Set("key/"+b.ID, records["key/"+a.ID])
	rec.Set("alias/x", records["alias/x"][1:])

	p = open(t, rec, local.Options{})
	requireOpens(t, p, blobGood)
	_, err = p.Decrypt(t.Context(), kms.DecryptInput{Blob: blobA})
	for what, err := range map[string]error{
		"decrypt": err,
		"enable":  p.EnableKey(t.Context(), b.ID),
		"alias":   errOf(p.DescribeKey(t.Context(), "alias/x")),
	} {
		require.Error(t, err, what)
		require.ErrorIs(t, err, kms.KMSInternalException, what)
		require.ErrorContains(t, err, "is damaged", what)
	}
	require.NoError(t, p.UpdateAlias(t.Context(), "alias/x", good.ID), "an alias can be set right")
	require.NoError(t, errOf(p.DescribeKey(t.Context(), "alias/x")))
}

func errOf[T any](_ T, err error) error { return err }

func TestDeletionWhenDue(t *testing.T) {
	rec := &kmstest.Records{}
	now := time.Now()
	clock := func() time.Time { return now }
	p := open(t, rec, local.Options{Now: clock})
	k := newKey(t, p)
	blob := seal(t, p, k.ID)
	require.NoError(t, p.CreateAlias(t.Context(), "alias/x", k.ID))
	_, err := p.ScheduleKeyDeletion(t.Context(), k.ID, 7)
	require.NoError(t, err)

	now = now.AddDate(0, 0, 7).Add(-time.Second)
	require.NoError(t, p.DeleteDue(t.Context()))
	require.Contains(t, load(t, rec), "key/"+k.ID, "not yet")

	now = now.Add(time.Second)
	require.ErrorIs(t, errOf(p.CancelKeyDeletion(t.Context(), k.ID)), kms.NotFoundException, "gone before it is erased")
	require.NoError(t, p.DeleteDue(t.Context()))
	require.Len(t, load(t, rec), 3, "the check record is left, the note of the destruction, and that the sealing key is stale")
	_, err = p.Decrypt(t.Context(), kms.DecryptInput{KeyID: k.ARN, Blob: blob})
	require.ErrorIs(t, err, kms.NotFoundException)
	_, err = p.DescribeKey(t.Context(), "alias/x")
	require.ErrorIs(t, err, kms.NotFoundException)
}

func TestDeletionAtOpen(t *testing.T) {
	rec := &kmstest.Records{}
	p := open(t, rec, local.Options{})
	k := newKey(t, p)
	_, err := p.ScheduleKeyDeletion(t.Context(), k.ID, 7)
	require.NoError(t, err)
	open(t, rec, local.Options{Now: func() time.Time { return time.Now().AddDate(0, 0, 8) }})
	require.NotContains(t, load(t, rec), "key/"+k.ID)
}

// TestDeletionByItself has a clock that is a moment before the date, so that the timer fires.
func TestDeletionByItself(t *testing.T) {
	rec := &kmstest.Records{}
	p := open(t, rec, local.Options{})
	k := newKey(t, p)
	_, err := p.ScheduleKeyDeletion(t.Context(), k.ID, 7)
	require.NoError(t, err)
	require.NoError(t, p.Close())
	ahead := 7*24*time.Hour - 200*time.Millisecond
	open(t, rec, local.Options{Now: func() time.Time { return time.Now().Add(ahead) }})
	require.Eventually(t, func() bool { return load(t, rec)["key/"+k.ID] == nil }, 5*time.Second, 10*time.Millisecond)
}

func load(t *testing.T, rec *kmstest.Records) map[string][]byte {
	t.Helper()
	m, err := rec.Load()
	require.NoError(t, err)
	return m
}

// TestSaveFailure: what could not be saved has not happened.
func TestSaveFailure(t *testing.T) {
	rec := &kmstest.Records{}
	p := open(t, rec, local.Options{})
	k := newKey(t, p)
	blob := seal(t, p, k.ID)
	require.NoError(t, p.CreateAlias(t.Context(), "alias/x", k.ID))
	before := describeAll(t, p)
	broken := errors.New("disk is gone")
	rec.Fail(broken)
	for what, err := range map[string]error{
		"create":   errOf(p.CreateKey(t.Context(), kms.CreateKeyInput{})),
		"disable":  p.DisableKey(t.Context(), k.ID),
		"rotate":   errOf(p.RotateKeyOnDemand(t.Context(), k.ID)),
		"schedule": errOf(p.ScheduleKeyDeletion(t.Context(), k.ID, 7)),
		"alias":    p.CreateAlias(t.Context(), "alias/y", k.ID),
		"delete":   p.DeleteAlias(t.Context(), "alias/x"),
		"managed":  errOf(p.DescribeKey(t.Context(), kms.ManagedAlias)),
	} {
		require.Error(t, err, what)
		require.ErrorIs(t, err, kms.KMSInternalException, what)
		require.ErrorIs(t, err, broken, what)
	}
	rec.Fail(nil)
	require.Equal(t, before, describeAll(t, p))
	requireOpens(t, p, blob)
	require.ErrorIs(t, errOf(p.DescribeKey(t.Context(), "alias/y")), kms.NotFoundException)
	require.NoError(t, errOf(p.DescribeKey(t.Context(), "alias/x")))
}

func TestClosed(t *testing.T) {
	p := open(t, &kmstest.Records{}, local.Options{})
	k := newKey(t, p)
	blob := seal(t, p, k.ID)
	require.NoError(t, p.Close())
	for _, err := range []error{
		errOf(p.Decrypt(context.Background(), kms.DecryptInput{Blob: blob})),
		errOf(p.GenerateDataKey(context.Background(), kms.GenerateDataKeyInput{KeyID: k.ID, Bytes: 32})),
		errOf(p.CreateKey(context.Background(), kms.CreateKeyInput{})),
		errOf(p.DescribeKey(context.Background(), kms.ManagedAlias)),
		p.DisableKey(context.Background(), k.ID),
	} {
		require.Error(t, err)
		require.ErrorContains(t, err, "the key store is closed")
	}
}

// TestNothingInClear looks for what a thief of the records would look for.
func TestNothingInClear(t *testing.T) {
	rec := &kmstest.Records{}
	p := open(t, rec, local.Options{})
	k, err := p.CreateKey(t.Context(), kms.CreateKeyInput{Description: "payroll of 2026"})
	require.NoError(t, err)
	for name, sealed := range load(t, rec) {
		for _, clear := range []string{"payroll", "SYMMETRIC", k.ARN} {
			require.NotContains(t, string(sealed), clear, name)
		}
	}
}

func TestRegionAndAccount(t *testing.T) {
	p := open(t, &kmstest.Records{}, local.Options{Region: "eu-central-1", Account: "123456789012"})
	k := newKey(t, p)
	require.Equal(t, "arn:aws:kms:eu-central-1:123456789012:key/"+k.ID, k.ARN)
	_, err := p.DescribeKey(t.Context(), "arn:aws:kms:us-east-1:123456789012:key/"+k.ID)
	require.Error(t, err)
	require.EqualError(t, err, "NotFoundException: Invalid arn us-east-1")
	_, err = p.DescribeKey(t.Context(), "arn:aws:kms:eu-central-1:999999999999:key/"+k.ID)
	require.Error(t, err)
	require.EqualError(t, err, "NotFoundException: Key 'arn:aws:kms:eu-central-1:999999999999:key/"+k.ID+"' does not exist")
}

func TestAliasLimit(t *testing.T) {
	p := open(t, &kmstest.Records{}, local.Options{})
	k := newKey(t, p)
	for i := range 50 {
		require.NoError(t, p.CreateAlias(t.Context(), "alias/"+string(rune('a'+i/26))+string(rune('a'+i%26)), k.ID))
	}
	err := p.CreateAlias(t.Context(), "alias/one-more", k.ID)
	require.Error(t, err)
	require.ErrorIs(t, err, kms.LimitExceededException)
	require.NoError(t, p.UpdateAlias(t.Context(), "alias/aa", k.ID), "to the same key is no more")
}
