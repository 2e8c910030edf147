package awskms_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"kmsfs/kms"
	"kmsfs/kms/kmstest"
)

// BenchmarkGenerateDataKey is over the KMS door in this process, whose work is in it.
func BenchmarkGenerateDataKey(b *testing.B) {
	p := openDoor(b, kmstest.NewBackend(b))
	k, err := p.CreateKey(b.Context(), kms.CreateKeyInput{})
	require.NoError(b, err)
	in := kms.GenerateDataKeyInput{KeyID: k.ARN, Bytes: 32, Context: kms.Context{"aws:s3:arn": "arn:aws:s3:::bucket/key"}}
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			d, err := p.GenerateDataKey(b.Context(), in)
			if err != nil {
				b.Error(err)
				return
			}
			kms.Wipe(d.Plaintext)
		}
	})
}
