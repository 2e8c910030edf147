package kms_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kmsfs/kms"
)

func testCertificate() kms.Certificate {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	d := kms.Destruction{Key: "arn:aws:kms:us-east-1:000000000000:key/x", Spec: kms.SpecSymmetricDefault, Usage: kms.UsageEncryptDecrypt, Origin: "AWS_KMS",
		Created: at, Scheduled: at.AddDate(0, 1, 0), ScheduledBy: kms.UserPrincipal("000000000000", "alice"), WindowDays: 7,
		Due: at.AddDate(0, 1, 7), Destroyed: at.AddDate(0, 1, 8), Loss: kms.Loss{Files: 1, Versions: 3, Bytes: 24, List: "00ff"}}
	return kms.Certify("0123", d, 2, ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize)))
}

func TestCertificate(t *testing.T) {
	want := testCertificate()
	for _, indent := range []string{"", "  "} {
		b, err := json.MarshalIndent(want, "", indent)
		require.NoError(t, err)
		got, err := kms.VerifyCertificate(bytes.NewReader(append(b, '\n')))
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}

// TestForgedCertificate changes each field, and adds to it.
func TestForgedCertificate(t *testing.T) {
	b, err := json.Marshal(testCertificate())
	require.NoError(t, err)
	text := string(b)
	var fields map[string]any
	require.NoError(t, json.Unmarshal(b, &fields))
	require.Len(t, fields, 19)
	for name := range fields {
		changed := map[string]any{}
		require.NoError(t, json.Unmarshal(b, &changed))
		switch v := changed[name].(type) {
		case float64:
			changed[name] = v + 1
		case string:
			changed[name] = v[:len(v)-2] + "00"
			if strings.HasPrefix(v, "20") {
				changed[name] = "2027" + v[4:]
			}
			if strings.HasSuffix(v, "=") {
				changed[name] = "AAAA" + v[4:]
			}
		}
		forged, err := json.Marshal(changed)
		require.NoError(t, err)
		_, err = kms.VerifyCertificate(bytes.NewReader(forged))
		require.ErrorIs(t, err, kms.ErrCertificate, name)
	}
	for what, forged := range map[string]string{
		"bytes behind":  text + "{}",
		"unknown field": strings.Replace(text, `"spec"`, `"more":1,"spec"`, 1),
		"loss added":    strings.Replace(text, `"signer"`, `"incomplete":"x","signer"`, 1),
		"no signature":  text[:strings.Index(text, `,"signature"`)] + "}",
		"empty":         "",
		"newer":         strings.Replace(text, "destruction 1", "destruction 2", 1),
		"too long":      strings.Repeat(" ", 1<<17) + text,
	} {
		_, err := kms.VerifyCertificate(strings.NewReader(forged))
		require.ErrorIs(t, err, kms.ErrCertificate, what)
	}
}
