package kms_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kmsfs/kms"
	"kmsfs/kms/kmstest"
)

var benchCaller = kms.Caller{Principal: "arn:aws:iam::000000000000:user/root", UID: 1000, PID: os.Getpid(), Via: "mount", Path: "/mnt/hr/payroll.csv"}

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

// BenchmarkAuditRecord also gives the processor's time: on a machine that does other things, elapsed time says little.
func BenchmarkAuditRecord(b *testing.B) {
	e := kms.Event{Caller: benchCaller, Operation: kms.OpGenerateDataKey, KeyARN: "arn:aws:kms:us-east-1:000000000000:key/134f2428-cec1-4b25-a1ae-9048164dba47",
		Context: kms.Context{"department": "hr", kms.ARNKey: kms.ObjectARN("bucket", "hr/payroll.csv")}}
	for _, at := range []int{1, 8} {
		b.Run(fmt.Sprintf("at-once-%d", at), func(b *testing.B) {
			audit, err := kms.OpenFileAuditor(b.TempDir()+"/audit", kms.AuditOptions{Key: auditKey()})
			require.NoError(b, err)
			before := processorTime(b)
			b.ResetTimer()
			var left atomic.Int64
			left.Store(int64(b.N))
			var wg sync.WaitGroup
			for range at {
				wg.Go(func() {
					for left.Add(-1) >= 0 {
						if err := audit.Record(e); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(processorTime(b)-before)/float64(b.N), "cpu-ns/op")
			require.NoError(b, audit.Close())
		})
	}
}

func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
