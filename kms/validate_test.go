package kms_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"kmsfs/kms"
	"kmsfs/kms/kmstest"
)

// TestValidationMessages: what never reaches the provider, in AWS's words, and is no call.
func TestValidationMessages(t *testing.T) {
	s, audit := kmstest.NewService(t, nil, kms.Options{})
	m := makeKey(t, s)
	ctx, before := as("root"), len(audit.Events())
	generate := func(n int) error {
		_, err := s.GenerateDataKey(ctx, kms.GenerateDataKeyInput{KeyID: m.ID, Bytes: n})
		return err
	}
	encrypt := func(keyID string, n int) error {
		_, err := s.Encrypt(ctx, kms.EncryptInput{KeyID: keyID, Plaintext: make([]byte, n)})
		return err
	}
	decrypt := func(n int) error {
		_, err := s.Decrypt(ctx, kms.DecryptInput{Blob: make([]byte, n)})
		return err
	}
	reEncrypt := func(n int) error {
		_, err := s.ReEncrypt(ctx, kms.ReEncryptInput{KeyID: m.ID, Blob: make([]byte, n)})
		return err
	}
	list := func(n int) error {
		_, err := s.ListKeys(ctx, "", n)
		return err
	}
	const failed = "ValidationException: 1 validation error detected: Value"
	const shorter = "failed to satisfy constraint: Member must have length less than or equal to "
	const longer = "failed to satisfy constraint: Member must have length greater than or equal to 1"
	cases := []struct {
		err  error
		want string
	}{
		{generate(1025), failed + " '1025' at 'numberOfBytes' failed to satisfy constraint: Member must have value less than or equal to 1024"},
		{generate(0), failed + " '0' at 'numberOfBytes' failed to satisfy constraint: Member must have value greater than or equal to 1"},
		{encrypt(m.ID, 4097), failed + " at 'plaintext' " + shorter + "4096"},
		{encrypt(m.ID, 0), failed + " at 'plaintext' " + longer},
		{encrypt("", 1), failed + " at 'keyId' " + longer},
		{encrypt(strings.Repeat("x", 2049), 1), failed + " at 'keyId' " + shorter + "2048"},
		{decrypt(0), failed + " at 'ciphertextBlob' " + longer},
		{decrypt(6145), failed + " at 'ciphertextBlob' " + shorter + "6144"},
		{reEncrypt(6145), failed + " at 'ciphertextBlob' " + shorter + "6144"},
		{list(1001), failed + " '1001' at 'limit' failed to satisfy constraint: Member must have value less than or equal to 1000"},
		{s.UpdateKeyDescription(ctx, m.ID, strings.Repeat("ü", 8193)), failed + " at 'description' " + shorter + "8192"},
	}
	for _, c := range cases {
		require.Error(t, c.err, c.want)
		require.EqualError(t, c.err, c.want)
	}
	require.Len(t, audit.Events(), before+len(cases))
	require.Zero(t, s.Calls())
	require.NoError(t, s.UpdateKeyDescription(ctx, m.ID, strings.Repeat("ü", 8192)))
	for _, days := range []int{6, 31, -1} {
		_, err := s.ScheduleKeyDeletion(ctx, m.ID, days)
		require.Error(t, err)
		require.ErrorIs(t, err, kms.ValidationException)
	}
	_, err := s.Encrypt(ctx, kms.EncryptInput{KeyID: m.ID, Plaintext: []byte("x"), Context: kms.Context{"": "x"}})
	require.Error(t, err)
	require.ErrorIs(t, err, kms.ValidationException)
}
