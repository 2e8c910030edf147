package s3api

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"kmsfs/kms"
	"kmsfs/kms/sigv4"
	"kmsfs/objstore"
)

// TestEveryCodeHasARow: no code of the packages below is answered by chance.
func TestEveryCodeHasARow(t *testing.T) {
	for _, c := range kms.Codes {
		out, kept := keyService(c)
		require.Contains(t, table(), out, c)
		require.Equal(t, kept && out != accessDenied && out != invalidArgument, strings.HasPrefix(string(out), "KMS."), c)
		a := answerFor(fmt.Errorf("PutObject: %w", &kms.Error{Code: c, Message: "own words", Err: errors.New("secret")}))
		require.Equal(t, out, a.code)
		require.Equal(t, kept, a.text == "own words", c)
		require.NotContains(t, a.text, "secret")
		require.NotEmpty(t, a.text)
	}
	internal := map[objstore.Code]bool{objstore.InternalError: true, objstore.IntegrityError: true, objstore.NoSuchNode: true, objstore.NodeExists: true,
		objstore.NotDirectory: true, objstore.IsDirectory: true, objstore.NotEmpty: true, objstore.NameTooLong: true, objstore.TooManyLinks: true,
		objstore.InvalidMove: true, objstore.CrossBucket: true, objstore.NoSuchXattr: true, objstore.XattrExists: true, objstore.XattrTooLarge: true,
		objstore.NotPermitted: true, objstore.ReadOnly: true, objstore.NoData: true}
	for _, c := range objstore.Codes {
		out := storeCode(c)
		require.Equal(t, internal[c], out == internalError, c)
		require.Equal(t, out, answerFor(&objstore.Error{Code: c, Err: errors.New("secret")}).code)
		require.Equal(t, out, answerFor(fmt.Errorf("x: %w", c)).code)
	}
	for _, c := range sigv4.Codes {
		require.Contains(t, table(), signatureCode(c), c)
		require.Less(t, answerFor(&sigv4.Error{Code: c, Message: "x"}).status, 500)
	}
	for c, r := range table() {
		require.NotZero(t, r.status, c)
		require.Equal(t, strings.HasPrefix(string(c), "KMS."), r.text == "", c)
	}
	require.Equal(t, internalError, answerFor(errors.New("anything")).code)
}

func TestOwnText(t *testing.T) {
	inner := &objstore.Error{Code: objstore.InvalidArgument, Message: "why"}
	require.Equal(t, "why", answerFor(&objstore.Error{Code: objstore.InvalidArgument, Op: "PutObject", Err: inner}).text)
	require.Equal(t, "The specified key does not exist.", answerFor(&objstore.Error{Code: objstore.NoSuchKey, Message: "inode 7"}).text)
}

func TestErrorBodyIsXML(t *testing.T) {
	a := answer{row: row{400, "a<b"}, code: "X", extra: []pair{{"Key", "&\x01"}}}
	require.Equal(t, `<?xml version="1.0" encoding="UTF-8"?>`+"\n"+`<Error><Code>X</Code><Message>a&lt;b</Message><Key>&amp;`+"\uFFFD"+`</Key><Resource>/r</Resource>`+
		`<RequestId>i</RequestId><HostId>h</HostId></Error>`, string(a.body("/r", "i", "h")))
}
