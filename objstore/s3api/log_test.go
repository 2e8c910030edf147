package s3api_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"kmsfs/kms"
	"kmsfs/kms/kmstest"
	"kmsfs/objstore/s3api"
)

// TestLog: strangers and trouble are logged, secrets and what the client did wrong are not.
func TestLog(t *testing.T) {
	d := newDoor(t)
	var log bytes.Buffer
	h := s3api.NewHandler(s3api.Options{Store: d.store, Keys: d.users, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	send := func(headers ...string) string {
		log.Reset()
		r := d.request("PUT", "/bkt/a", "c2VjcmV0", headers...)
		if len(headers) == 0 {
			r.Header.Del("Authorization")
		}
		r.RequestURI, r.RemoteAddr = "", "192.0.2.1:1234"
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		require.Contains(t, log.String()+w.Header().Get("x-amz-request-id"), w.Header().Get("x-amz-request-id"))
		return log.String()
	}
	require.Empty(t, send("x-amz-meta-a", "b"))
	require.Empty(t, send(sse, "wrong"))
	require.Regexp(t, `level=WARN msg="S3 request refused" request=[0-9A-F]{16} from=192.0.2.1:1234 reason=.*MissingSignature`, send())
	id := d.key(kms.CreateKeyInput{})
	d.keys.Add(kmstest.FailAll(errors.New("the disk is on fire")))
	text := send(sse, "aws:kms", sseKey, id)
	require.Regexp(t, `level=ERROR msg="S3 request failed" request=[0-9A-F]{16} operation=PutObject error=.*the disk is on fire`, text)
	for _, secret := range []string{"c2VjcmV0", string(d.alice.Secret), "Credential="} {
		require.NotContains(t, text, secret)
	}
}
