package kmsapi_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kmsfs/kms/kmsapi"
)

// FuzzRequest sends signed requests with any operation and body: each gets an answer of the protocol.
func FuzzRequest(f *testing.F) {
	d := newDoor(f)
	id, _ := d.key()
	for _, row := range errorRows() {
		f.Add(row[0], strings.NewReplacer("$ID", id, "$ARN", id, "$BLOB", "eA==").Replace(row[1]))
	}
	for _, op := range []string{"GenerateDataKey", "Encrypt", "DescribeKey", "RotateKeyOnDemand", "ListKeyRotations"} {
		f.Add(op, `{"KeyId":"`+id+`","Plaintext":"eA==","EncryptionContext":{"a":"b"},"KeySpec":"AES_256","GrantTokens":["x"],"Limit":3}`)
	}
	h := kmsapi.NewHandler(kmsapi.Options{Service: d.service, Keys: d.users})
	f.Fuzz(func(t *testing.T, op, body string) {
		d := &door{t: t, url: "http://127.0.0.1", alice: d.alice}
		r := d.request(op, body)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			var e map[string]string
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &e), w.Body)
			require.NotEmpty(t, e["__type"])
			require.Contains(t, []int{400, 413}, w.Code, w.Body)
			return
		}
		require.True(t, w.Body.Len() == 0 || json.Valid(w.Body.Bytes()))
	})
}

// FuzzUnsigned sends anything: nobody who has no secret gets as far as an operation.
func FuzzUnsigned(f *testing.F) {
	d := newDoor(f)
	good := d.request("ListKeys", "{}")
	f.Add(good.Header.Get("Authorization"), "TrentService.ListKeys", good.Header.Get("X-Amz-Date"), "{ }", "")
	f.Add("", "TrentService.ListKeys", "", "{}", "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Expires=1")
	h := kmsapi.NewHandler(kmsapi.Options{Service: d.service, Keys: d.users, Now: func() time.Time { return time.Unix(1700000000, 0) }})
	f.Fuzz(func(t *testing.T, authorization, target, date, body, query string) {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		r.URL.RawQuery, r.RequestURI = query, "/?"+query
		r.Header = http.Header{"Authorization": {authorization}, "X-Amz-Target": {target}, "X-Amz-Date": {date}, "Content-Type": {"application/x-amz-json-1.1"}}
		if authorization == "" {
			r.Header.Del("Authorization")
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		require.Equal(t, 400, w.Code)
		require.Regexp(t, `^\{"__type":"(MissingAuthenticationToken|IncompleteSignature|UnrecognizedClient|InvalidSignature)Exception"`, w.Body.String())
	})
}
