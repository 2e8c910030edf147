package kms_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"kmsfs/kms"
	"kmsfs/kms/kmstest"
)

const (
	object  = "arn:aws:s3:::bucket/hr/payroll.csv"
	object2 = "arn:aws:s3:::bucket/hr/renamed.csv"
	bucket  = "arn:aws:s3:::bucket"
)

func as(principal string) context.Context {
	return kms.WithCaller(context.Background(), kms.Caller{Principal: "arn:aws:iam::000000000000:user/" + principal, Via: "mount"})
}

func request(algorithm, keyID string, bucketKey bool, c kms.Context) kms.EnvelopeRequest {
	return kms.EnvelopeRequest{Algorithm: algorithm, KeyID: keyID, BucketKey: bucketKey, Context: c, BucketARN: bucket, ObjectARN: object}
}

func newDataKey(t *testing.T, s *kms.Service, ctx context.Context, r kms.EnvelopeRequest) ([]byte, kms.Envelope) {
	t.Helper()
	key, env, err := s.NewDataKey(ctx, r)
	require.NoError(t, err)
	return key, env
}

func requireDataKey(t *testing.T, s *kms.Service, ctx context.Context, want []byte, env kms.Envelope) {
	t.Helper()
	key, err := s.OpenDataKey(ctx, env)
	require.NoError(t, err)
	require.Equal(t, want, key)
}

func makeKey(t *testing.T, s *kms.Service) kms.KeyMetadata {
	t.Helper()
	m, err := s.CreateKey(context.Background(), kms.CreateKeyInput{})
	require.NoError(t, err)
	return m
}

func TestARNs(t *testing.T) {
	require.Equal(t, bucket, kms.BucketARN("bucket"))
	require.Equal(t, object, kms.ObjectARN("bucket", "hr/payroll.csv"))
}

func TestEnvelope(t *testing.T) {
	s, audit := kmstest.NewService(t, nil, kms.Options{})
	m := makeKey(t, s)
	pairs := kms.Context{"a": "1"}
	for _, c := range []struct {
		name               string
		r                  kms.EnvelopeRequest
		size, calls        int
		keyARN, resource   string
		bucketKey, wrapped bool
	}{
		{"sse-s3", request(kms.SSES3, m.ID, true, pairs), 32, 0, "", "", false, false},
		{"sse-kms", request(kms.SSEKMS, m.ID, false, pairs), 32, 2, m.ARN, object, false, false},
		{"dsse", request(kms.SSEDSSE, m.ID, false, pairs), 64, 2, m.ARN, object, false, false},
		{"dsse never has a bucket key", request(kms.SSEDSSE, m.ID, true, pairs), 64, 2, m.ARN, object, false, false},
		{"bucket key", request(kms.SSEKMS, m.ID, true, pairs), 32, 2, m.ARN, bucket, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, before, events := as("root"), s.Calls(), len(audit.Events())
			key, env := newDataKey(t, s, ctx, c.r)
			require.Len(t, key, c.size)
			require.Equal(t, c.r.Algorithm, env.Algorithm)
			require.Equal(t, c.keyARN, env.KeyARN)
			require.Equal(t, c.resource, env.ResourceARN)
			require.Equal(t, c.bucketKey, env.BucketKey)
			require.Equal(t, c.wrapped, env.Wrapped != nil)
			requireDataKey(t, s, ctx, key, env)
			require.EqualValues(t, c.calls, s.Calls()-before)
			uses := audit.Events()[events:]
			require.Len(t, uses, c.calls, "SSE-S3 has no KMS key, so no record")
			for _, e := range uses {
				require.Equal(t, m.ARN, e.KeyARN)
				require.Equal(t, kms.Context{"a": "1", kms.ARNKey: c.resource}, e.Context)
			}
		})
	}
}

func TestDefaultKeyIsTheManagedOne(t *testing.T) {
	s, _ := kmstest.NewService(t, nil, kms.Options{})
	_, env := newDataKey(t, s, as("root"), request(kms.SSEKMS, "", false, nil))
	m, err := s.ResolveKey(as("root"), "")
	require.NoError(t, err)
	require.Equal(t, m.ARN, env.KeyARN)
	require.Equal(t, kms.ManagerAWS, m.Manager)
	_, env = newDataKey(t, s, as("root"), request(kms.SSEKMS, "", true, nil))
	require.Equal(t, m.ARN, env.KeyARN)
}

func TestEnvelopeKeepsTheClientsPairs(t *testing.T) {
	s, _ := kmstest.NewService(t, nil, kms.Options{})
	m := makeKey(t, s)
	sent := kms.Context{"a": "1"}
	_, env := newDataKey(t, s, as("root"), request(kms.SSEKMS, m.ID, false, sent))
	require.Equal(t, kms.Context{"a": "1"}, env.Context, "without the pair that is added")
	sent["a"] = "2"
	require.Equal(t, "1", env.Context["a"], "a copy")
	_, env = newDataKey(t, s, as("root"), request(kms.SSEKMS, m.ID, false, nil))
	require.Nil(t, env.Context)

	own := kms.Context{kms.ARNKey: object}
	key, env := newDataKey(t, s, as("root"), request(kms.SSEKMS, m.ID, false, own))
	require.Equal(t, own, env.Context)
	requireDataKey(t, s, as("root"), key, env)
}

func TestRefusedRequests(t *testing.T) {
	s, audit := kmstest.NewService(t, nil, kms.Options{})
	m := makeKey(t, s)
	long := make([]byte, kms.MaxContextSize)
	for name, c := range map[string]struct {
		r    kms.EnvelopeRequest
		code kms.Code
	}{
		"other resource":         {request(kms.SSEKMS, m.ID, false, kms.Context{kms.ARNKey: object2}), kms.ValidationException},
		"object with bucket key": {request(kms.SSEKMS, m.ID, true, kms.Context{kms.ARNKey: object}), kms.ValidationException},
		"long context":           {request(kms.SSEKMS, m.ID, false, kms.Context{"a": string(long)}), kms.ValidationException},
		"algorithm":              {request("aws:kms:none", m.ID, false, nil), kms.ValidationException},
		"no such key":            {request(kms.SSEKMS, "fake-key-id", false, nil), kms.NotFoundException},
		"no such alias":          {request(kms.SSEKMS, "alias/none", true, nil), kms.NotFoundException},
	} {
		before := len(audit.Events())
		key, env, err := s.NewDataKey(as("root"), c.r)
		require.Error(t, err, name)
		require.ErrorIs(t, err, c.code, name)
		require.Nil(t, key)
		require.Zero(t, env)
		if name != "algorithm" {
			require.Len(t, audit.Events(), before+1, "%s: a refused use is recorded", name)
			require.Equal(t, c.code, audit.Events()[before].Code)
		}
	}
}

func TestNoServiceKey(t *testing.T) {
	s := kms.NewService(kmstest.NewBackend(t), kms.Options{})
	_, _, err := s.NewDataKey(as("root"), request(kms.SSES3, "", false, nil))
	require.Error(t, err)
	require.ErrorContains(t, err, "SSE-S3 (AES256) is not set up")
	_, err = s.OpenDataKey(as("root"), kms.Envelope{Algorithm: kms.SSES3, Blob: make([]byte, 76)})
	require.Error(t, err)
}

// TestClosedService: no data key is ever wrapped by a service key that was wiped.
func TestClosedService(t *testing.T) {
	s, _ := kmstest.NewService(t, nil, kms.Options{})
	_, env := newDataKey(t, s, as("root"), request(kms.SSES3, "", false, nil))
	require.NoError(t, s.Close())
	_, _, err := s.NewDataKey(as("root"), request(kms.SSES3, "", false, nil))
	require.Error(t, err)
	require.ErrorContains(t, err, "is closed")
	_, err = s.OpenDataKey(as("root"), env)
	require.Error(t, err)
}

// TestAlteredEnvelope changes one field of each kind of envelope: no key comes out.
func TestAlteredEnvelope(t *testing.T) {
	s, _ := kmstest.NewService(t, nil, kms.Options{})
	m, other := makeKey(t, s), makeKey(t, s)
	flip := func(b []byte) { b[len(b)-1] ^= 1 }
	for name, c := range map[string]struct {
		r     kms.EnvelopeRequest
		alter func(*kms.Envelope)
	}{
		"sse-s3 blob":          {request(kms.SSES3, "", false, nil), func(e *kms.Envelope) { flip(e.Blob) }},
		"sse-s3 short":         {request(kms.SSES3, "", false, nil), func(e *kms.Envelope) { e.Blob = e.Blob[:43] }},
		"kms blob":             {request(kms.SSEKMS, m.ID, false, nil), func(e *kms.Envelope) { flip(e.Blob) }},
		"kms resource":         {request(kms.SSEKMS, m.ID, false, nil), func(e *kms.Envelope) { e.ResourceARN = object2 }},
		"kms context":          {request(kms.SSEKMS, m.ID, false, nil), func(e *kms.Envelope) { e.Context = kms.Context{"a": "1"} }},
		"kms key":              {request(kms.SSEKMS, m.ID, false, nil), func(e *kms.Envelope) { e.KeyARN = other.ARN }},
		"kms as dsse":          {request(kms.SSEKMS, m.ID, false, nil), func(e *kms.Envelope) { e.Algorithm = kms.SSEDSSE }},
		"dsse as kms":          {request(kms.SSEDSSE, m.ID, false, nil), func(e *kms.Envelope) { e.Algorithm = kms.SSEKMS }},
		"unknown algorithm":    {request(kms.SSEKMS, m.ID, false, nil), func(e *kms.Envelope) { e.Algorithm = "x" }},
		"bucket key blob":      {request(kms.SSEKMS, m.ID, true, nil), func(e *kms.Envelope) { flip(e.Blob) }},
		"bucket key wrapped":   {request(kms.SSEKMS, m.ID, true, nil), func(e *kms.Envelope) { flip(e.Wrapped) }},
		"bucket key none":      {request(kms.SSEKMS, m.ID, true, nil), func(e *kms.Envelope) { e.Wrapped = nil }},
		"bucket key resource":  {request(kms.SSEKMS, m.ID, true, nil), func(e *kms.Envelope) { e.ResourceARN += "2" }},
		"bucket key context":   {request(kms.SSEKMS, m.ID, true, nil), func(e *kms.Envelope) { e.Context = kms.Context{"a": "1"} }},
		"bucket key of other":  {request(kms.SSEKMS, m.ID, true, nil), func(e *kms.Envelope) { e.KeyARN = other.ARN }},
		"bucket key given out": {request(kms.SSEKMS, m.ID, true, nil), func(e *kms.Envelope) { e.Context, e.Algorithm = kms.Context{"a": "1"}, kms.SSEKMS }},
	} {
		t.Run(name, func(t *testing.T) {
			key, env := newDataKey(t, s, as("root"), c.r)
			requireDataKey(t, s, as("root"), key, env) // also fills the cache, which must not help
			bad := env.Clone()
			c.alter(&bad)
			got, err := s.OpenDataKey(as("root"), bad)
			require.Error(t, err)
			require.Contains(t, []kms.Code{kms.InvalidCiphertextException, kms.IncorrectKeyException, kms.ValidationException}, kms.CodeOf(err))
			require.Nil(t, got)
			requireDataKey(t, s, as("root"), key, env)
		})
	}
}

func TestRewrap(t *testing.T) {
	s, audit := kmstest.NewService(t, nil, kms.Options{})
	a, b := makeKey(t, s), makeKey(t, s)
	plainA, plainB := request(kms.SSEKMS, a.ID, false, kms.Context{"c": "a"}), request(kms.SSEKMS, b.ID, false, nil)
	plainB.ObjectARN = object2
	bkA, bkB := request(kms.SSEKMS, a.ID, true, nil), request(kms.SSEKMS, b.ID, true, nil)
	bkB.BucketARN = bucket + "2"
	s3 := request(kms.SSES3, "", false, nil)
	dsseA, dsseB := request(kms.SSEDSSE, a.ID, false, nil), request(kms.SSEDSSE, b.ID, false, nil)
	for name, c := range map[string]struct {
		from, to kms.EnvelopeRequest
		ops      []kms.Operation
	}{
		"kms to kms":               {plainA, plainB, []kms.Operation{kms.OpReEncrypt}},
		"dsse to dsse":             {dsseA, dsseB, []kms.Operation{kms.OpReEncrypt}},
		"kms to bucket key":        {plainA, bkB, []kms.Operation{kms.OpDecrypt, kms.OpGenerateDataKey}},
		"bucket key to kms":        {bkA, plainB, []kms.Operation{kms.OpDecrypt, kms.OpEncrypt}},
		"bucket key to bucket key": {bkA, bkB, []kms.Operation{kms.OpDecrypt, kms.OpGenerateDataKey}},
		"sse-s3 to kms":            {s3, plainA, []kms.Operation{kms.OpEncrypt}},
		"kms to sse-s3":            {plainA, s3, []kms.Operation{kms.OpDecrypt}},
		"sse-s3 to sse-s3":         {s3, s3, nil},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := as(name) // each its own bucket keys
			key, env := newDataKey(t, s, ctx, c.from)
			before := len(audit.Events())
			out, err := s.RewrapDataKey(ctx, env, c.to)
			require.NoError(t, err)
			var ops []kms.Operation
			for _, e := range audit.Events()[before:] {
				ops = append(ops, e.Operation)
			}
			require.Equal(t, c.ops, ops)
			require.Equal(t, c.to.Algorithm, out.Algorithm)
			require.Equal(t, c.to.BucketKey, out.BucketKey)
			require.NotEqual(t, env.Blob, out.Blob)
			requireDataKey(t, s, ctx, key, out)
			requireDataKey(t, s, ctx, key, env)
		})
	}
	_, env := newDataKey(t, s, as("root"), plainA)
	for _, to := range []kms.EnvelopeRequest{dsseA, request("x", "", false, nil)} {
		_, err := s.RewrapDataKey(as("root"), env, to)
		require.Error(t, err)
		require.ErrorIs(t, err, kms.ValidationException)
	}
}

func TestRewrapNeedsBothKeys(t *testing.T) {
	s, _ := kmstest.NewService(t, nil, kms.Options{})
	a, b := makeKey(t, s), makeKey(t, s)
	_, env := newDataKey(t, s, as("root"), request(kms.SSEKMS, a.ID, false, nil))
	for _, m := range []kms.KeyMetadata{a, b} {
		require.NoError(t, s.DisableKey(as("root"), m.ID))
		_, err := s.RewrapDataKey(as("root"), env, request(kms.SSEKMS, b.ID, false, nil))
		require.Error(t, err)
		require.ErrorIs(t, err, kms.DisabledException)
		require.ErrorContains(t, err, m.ARN)
		require.NoError(t, s.EnableKey(as("root"), m.ID))
	}
}

func TestResolveKey(t *testing.T) {
	s, _ := kmstest.NewService(t, nil, kms.Options{})
	m := makeKey(t, s)
	require.NoError(t, s.CreateAlias(as("root"), "alias/hr", m.ID))
	for _, id := range []string{m.ID, m.ARN, "alias/hr", "arn:aws:kms:us-east-1:000000000000:alias/hr"} {
		got, err := s.ResolveKey(as("root"), id)
		require.NoError(t, err)
		require.Equal(t, m, got)
	}
	require.NoError(t, s.DisableKey(as("root"), "alias/hr"))
	_, err := s.ResolveKey(as("root"), m.ID)
	require.Error(t, err)
	require.EqualError(t, err, "DisabledException: "+m.ARN+" is disabled.")
	_, err = s.ScheduleKeyDeletion(as("root"), m.ID, 0)
	require.NoError(t, err)
	_, err = s.ResolveKey(as("root"), m.ID)
	require.Error(t, err)
	require.EqualError(t, err, "KMSInvalidStateException: "+m.ARN+" is pending deletion.")
}
