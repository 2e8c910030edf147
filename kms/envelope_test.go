package kms_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"kmsfs/kms"
	"kmsfs/kms/kmstest"
)

func TestEnvelopeRoundTrip(t *testing.T) {
	s, audit := kmstest.NewService(t, nil, kms.Options{})
	ctx := kms.WithCaller(context.Background(), kms.Caller{Principal: "arn:aws:iam::000000000000:user/root"})
	for _, alg := range []string{kms.SSES3, kms.SSEKMS, kms.SSEDSSE} {
		for _, bk := range []bool{false, true} {
			key, env, err := s.NewDataKey(ctx, kms.EnvelopeRequest{Algorithm: alg, BucketKey: bk, Context: kms.Context{"a": "b"},
				BucketARN: kms.BucketARN("b"), ObjectARN: kms.ObjectARN("b", "k")})
			require.NoError(t, err)
			again, err := s.OpenDataKey(ctx, env)
			require.NoError(t, err)
			require.Equal(t, key, again)
			require.Equal(t, bk && alg == kms.SSEKMS, env.BucketKey)
		}
	}
	require.Len(t, audit.Events(), 8)
	require.EqualValues(t, 8, s.Calls())
}
