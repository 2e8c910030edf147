package local_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"kmsfs/kms"
	"kmsfs/kms/kmstest"
)

func BenchmarkGenerateDataKey(b *testing.B) {
	p := kmstest.NewBackend(b)
	m, err := p.CreateKey(context.Background(), kms.CreateKeyInput{})
	require.NoError(b, err)
	in := kms.GenerateDataKeyInput{KeyID: m.ARN, Bytes: 32, Context: kms.Context{kms.ARNKey: kms.ObjectARN("bucket", "hr/payroll.csv")}}
	b.Run("one", func(b *testing.B) {
		for b.Loop() {
			_, err := p.GenerateDataKey(context.Background(), in)
			require.NoError(b, err)
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := p.GenerateDataKey(context.Background(), in); err != nil {
					b.Error(err)
				}
			}
		})
	})
}

func BenchmarkDecrypt(b *testing.B) {
	p := kmstest.NewBackend(b)
	m, err := p.CreateKey(context.Background(), kms.CreateKeyInput{})
	require.NoError(b, err)
	c := kms.Context{kms.ARNKey: kms.ObjectARN("bucket", "hr/payroll.csv")}
	d, err := p.GenerateDataKey(context.Background(), kms.GenerateDataKeyInput{KeyID: m.ARN, Bytes: 32, Context: c})
	require.NoError(b, err)
	for b.Loop() {
		_, err := p.Decrypt(context.Background(), kms.DecryptInput{KeyID: m.ARN, Blob: d.Blob, Context: c})
		require.NoError(b, err)
	}
}
