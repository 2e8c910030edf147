package kms_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"kmsfs/kms"
	"kmsfs/kms/kmstest"
)

var benchCaller = kms.Caller{Principal: "arn:aws:iam::000000000000:user/root", UID: 1000, PID: 4711, Via: "mount", Path: "/mnt/hr/payroll.csv"}

func benchService(b *testing.B) (context.Context, *kms.Service, kms.KeyMetadata) {
	audit, err := kms.OpenFileAuditor(b.TempDir()+"/audit", kms.AuditOptions{Key: auditKey()})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, audit.Close()) })
	s, _ := kmstest.NewService(b, nil, kms.Options{Audit: audit})
	ctx := kms.WithCaller(context.Background(), benchCaller)
	m, err := s.CreateKey(ctx, kms.CreateKeyInput{})
	require.NoError(b, err)
	return ctx, s, m
}

func benchRequest(keyID string, bucketKey bool) kms.EnvelopeRequest {
	return kms.EnvelopeRequest{
		Algorithm: kms.SSEKMS, KeyID: keyID, BucketKey: bucketKey, Context: kms.Context{"department": "hr"},
		BucketARN: kms.BucketARN("bucket"), ObjectARN: kms.ObjectARN("bucket", "hr/payroll.csv"),
	}
}

// The figures of this file include the audit record, written to a file.
func BenchmarkNewDataKey(b *testing.B) {
	for name, bk := range map[string]bool{"kms": false, "bucket-key": true} {
		b.Run(name, func(b *testing.B) {
			ctx, s, m := benchService(b)
			for b.Loop() {
				_, _, err := s.NewDataKey(ctx, benchRequest(m.ARN, bk))
				require.NoError(b, err)
			}
		})
	}
}

func BenchmarkOpenDataKey(b *testing.B) {
	for name, bk := range map[string]bool{"kms": false, "bucket-key": true} {
		b.Run(name, func(b *testing.B) {
			ctx, s, m := benchService(b)
			_, env, err := s.NewDataKey(ctx, benchRequest(m.ARN, bk))
			require.NoError(b, err)
			for b.Loop() {
				_, err := s.OpenDataKey(ctx, env)
				require.NoError(b, err)
			}
		})
	}
}

func BenchmarkRewrapDataKey(b *testing.B) {
	ctx, s, m := benchService(b)
	_, env, err := s.NewDataKey(ctx, benchRequest(m.ARN, false))
	require.NoError(b, err)
	for b.Loop() {
		_, err := s.RewrapDataKey(ctx, env, benchRequest(m.ARN, false))
		require.NoError(b, err)
	}
}

func BenchmarkNewDataKeyParallel(b *testing.B) {
	ctx, s, m := benchService(b)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, _, err := s.NewDataKey(ctx, benchRequest(m.ARN, false)); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkAuditRecord(b *testing.B) {
	audit, err := kms.OpenFileAuditor(b.TempDir()+"/audit", kms.AuditOptions{Key: auditKey()})
	require.NoError(b, err)
	e := kms.Event{Caller: benchCaller, Operation: kms.OpGenerateDataKey, KeyARN: "arn:aws:kms:us-east-1:000000000000:key/134f2428-cec1-4b25-a1ae-9048164dba47",
		Context: kms.Context{"department": "hr", kms.ARNKey: kms.ObjectARN("bucket", "hr/payroll.csv")}}
	for b.Loop() {
		require.NoError(b, audit.Record(e))
	}
}
