package guarded_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"kmsfs/kms"
	"kmsfs/kms/guarded"
	"kmsfs/kms/kmstest"
)

// elsewhere is a backend that decides by itself, as a service over the network.
type elsewhere struct{ kms.Backend }

func (elsewhere) Access(context.Context, string, []byte) (*kms.Access, error) { return nil, nil }

const aliceOnly = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000000:user/alice"},` +
	`"Action":"kms:*","Resource":"*"}]}`

func as(name string) context.Context {
	return kms.WithCaller(context.Background(), kms.Caller{Principal: kms.UserPrincipal(kms.DefaultAccount, name), Via: "mount"})
}

// fixture is a service over keys elsewhere, with one key that alice alone may use, alias/hr, and one for all.
type fixture struct {
	t         *testing.T
	rec       *kmstest.Records
	backend   kms.Backend
	s         *kms.Service
	hr, other string
}

func setup(t *testing.T) *fixture {
	f := &fixture{t: t, rec: &kmstest.Records{}, backend: elsewhere{kmstest.NewBackend(t)}}
	f.open()
	for _, arn := range []*string{&f.hr, &f.other} {
		m, err := f.s.CreateKey(as("alice"), kms.CreateKeyInput{})
		require.NoError(t, err)
		*arn = m.ARN
	}
	require.NoError(t, f.s.CreateAlias(as("alice"), "alias/hr", f.hr))
	arn, err := f.s.PutLocalPolicy(as("root"), "alias/hr", aliceOnly)
	require.NoError(t, err)
	require.Equal(t, f.hr, arn)
	return f
}

func (f *fixture) open() {
	b, err := guarded.Open(f.backend, f.rec)
	require.NoError(f.t, err)
	f.s, _ = kmstest.NewService(f.t, b, kms.Options{External: true})
}

// uses tries everything with one key as name, and answers the errors.
func (f *fixture) uses(name, keyID string, envelopes map[bool]kms.Envelope, blob []byte) (errs []error) {
	try := func(err error) { errs = append(errs, err) }
	ctx := as(name)
	for bucketKey, env := range envelopes {
		_, _, err := f.s.NewDataKey(ctx, request(keyID, bucketKey))
		try(err)
		_, err = f.s.OpenDataKey(ctx, env)
		try(err)
	}
	_, err := f.s.Encrypt(ctx, kms.EncryptInput{KeyID: keyID, Plaintext: []byte("x")})
	try(err)
	p, err := f.s.Decrypt(ctx, kms.DecryptInput{Blob: blob}) // the blob alone names the key
	if err != nil {
		require.Empty(f.t, p.Bytes)
	}
	try(err)
	_, err = f.s.ReEncrypt(ctx, kms.ReEncryptInput{Blob: blob, KeyID: f.other})
	try(err)
	_, err = f.s.ReEncrypt(ctx, kms.ReEncryptInput{Blob: blob, SourceKeyID: keyID, KeyID: f.other})
	try(err)
	_, err = f.s.GenerateDataKeyPair(ctx, kms.GenerateDataKeyPairInput{KeyID: keyID, Spec: kms.SpecP256})
	try(err)
	return errs
}

func request(keyID string, bucketKey bool) kms.EnvelopeRequest {
	return kms.EnvelopeRequest{Algorithm: kms.SSEKMS, KeyID: keyID, BucketKey: bucketKey, BucketARN: kms.BucketARN("b"), ObjectARN: kms.ObjectARN("b", "k")}
}

func TestPolicyHereDecides(t *testing.T) {
	f := setup(t)
	envelopes := map[bool]kms.Envelope{}
	for _, bucketKey := range []bool{false, true} {
		_, env, err := f.s.NewDataKey(as("alice"), request(f.hr, bucketKey))
		require.NoError(t, err)
		envelopes[bucketKey] = env
	}
	c, err := f.s.Encrypt(as("alice"), kms.EncryptInput{KeyID: f.hr, Plaintext: []byte("x")})
	require.NoError(t, err)
	check := func(name string, allowed bool) {
		t.Helper()
		for _, keyID := range []string{f.hr, "alias/hr"} {
			for i, err := range f.uses(name, keyID, envelopes, c.Blob) {
				if allowed {
					require.NoError(t, err, "%s %d", name, i)
				} else {
					require.ErrorIs(t, err, kms.AccessDeniedException, "%s %d", name, i)
				}
			}
		}
	}
	check("alice", true)
	check("bob", false)
	_, _, err = f.s.NewDataKey(as("bob"), request(f.other, false))
	require.NoError(t, err, "a key without a policy here")

	f.open() // the rules survive
	check("bob", false)
	check("alice", true)
	arn, document, err := f.s.LocalPolicy(as("root"), "alias/hr")
	require.NoError(t, err)
	require.Equal(t, f.hr, arn)
	require.Equal(t, aliceOnly, document)

	_, err = f.s.PutLocalPolicy(as("root"), f.hr, `{"Statement":[{}]}`)
	require.ErrorIs(t, err, kms.MalformedPolicyException)
	check("bob", false)
	_, err = f.s.PutLocalPolicy(as("root"), f.hr, "")
	require.NoError(t, err)
	check("bob", true)
	f.open()
	check("bob", true)
}

// A policy that cannot be read must not leave its key open.
func TestDamagedPolicyIsAnError(t *testing.T) {
	f := setup(t)
	require.NoError(t, f.rec.Save(map[string][]byte{"policy/" + f.hr: []byte("{")}, nil))
	_, err := guarded.Open(f.backend, f.rec)
	require.ErrorContains(t, err, f.hr)
	require.NoError(t, f.rec.Save(map[string][]byte{"provider": []byte("aws")}, []string{"policy/" + f.hr}))
	_, err = guarded.Open(f.backend, f.rec)
	require.NoError(t, err)
}

// Keys of the store itself have one policy only.
func TestOwnKeysHaveNoSecondPolicy(t *testing.T) {
	s, _ := kmstest.NewService(t, nil, kms.Options{})
	m, err := s.CreateKey(as("alice"), kms.CreateKeyInput{})
	require.NoError(t, err)
	_, err = s.PutLocalPolicy(as("root"), m.ARN, aliceOnly)
	require.ErrorIs(t, err, kms.UnsupportedOperationException)
	_, _, err = s.LocalPolicy(as("root"), m.ARN)
	require.ErrorIs(t, err, kms.UnsupportedOperationException)
}
