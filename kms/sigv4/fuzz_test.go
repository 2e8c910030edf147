package sigv4_test

import (
	"bufio"
	"bytes"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"kmsfs/kms/sigv4"
)

// FuzzVerify: nothing that a client sends makes the verifier panic, and what it accepts was signed with the one secret: the
// signer makes the same signature from the same request.
func FuzzVerify(f *testing.F) {
	for _, v := range vectors(f) {
		raw := bytes.Replace(v.raw, []byte("\n\n"), []byte("\nAuthorization: "+v.authorization()+"\n\n"), 1)
		f.Add(bytes.ReplaceAll(raw, []byte("\n"), []byte("\r\n")), v.head["payload-hash"])
	}
	v := verifier(kmsScheme)
	f.Fuzz(func(t *testing.T, raw []byte, hash string) {
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw)))
		if err != nil {
			return
		}
		for _, s := range []sigv4.Scheme{kmsScheme, s3Scheme, {Service: "service", Region: "us-east-1"}} {
			v.Scheme = s
			if _, err := v.Verify(r, hash); err == nil {
				t.Fatal("a request was accepted that nobody signed")
			} else {
				_, refused := sigv4.CodeOf(err)
				require.True(t, refused)
			}
			signer := sigv4.Signer{Scheme: s, Credentials: testKey()}
			again := r.Clone(r.Context())
			if signer.Sign(again, hash, testNow()) == nil && again.Header.Get("X-Amz-Security-Token") == "" &&
				(again.Header.Get("X-Amz-Content-Sha256") == "" || s.PlainPath) {
				_, err := v.Verify(again, hash)
				require.NoError(t, err)
			}
		}
	})
}
