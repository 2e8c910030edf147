package s3api_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"kmsfs/kms"
)

// TestEncryptionHeaders is what S3 says of headers that cannot be, for PutObject and CopyObject alike.
func TestEncryptionHeaders(t *testing.T) {
	d := newDoor(t)
	d.ok("PUT", "/bkt/source", "x")
	const (
		unknown  = "The encryption method specified is not supported"
		needsKMS = "Server Side Encryption with AWS KMS managed key requires HTTP header x-amz-server-side-encryption : aws:kms"
		badPairs = "The header 'x-amz-server-side-encryption-context' shall be Base64-encoded UTF-8 string holding JSON which represents a string-string map"
		customer = "Server Side Encryption with Customer provided key is incompatible with the encryption method specified"
	)
	for _, row := range []struct {
		headers    []string
		name, text string // ArgumentName, Message
	}{
		{[]string{sse, ""}, sse, unknown}, {[]string{sse, "true"}, sse, unknown}, {[]string{sse, "AES-256"}, sse, unknown},
		{[]string{sse, "aes256"}, sse, unknown}, {[]string{sse, "aes:kms"}, sse, unknown}, {[]string{sse, "aws:fsx"}, sse, unknown},
		{[]string{sseKey, "alias/x"}, sseKey, needsKMS}, {[]string{sse, "AES256", sseKey, "alias/x"}, sseKey, needsKMS},
		{[]string{sseContext, b64(`{"a":"b"}`)}, sseContext, needsKMS}, {[]string{sse, "AES256", sseContext, b64(`{"a":"b"}`)}, sseContext, needsKMS},
		{[]string{sse, "aws:kms", sseContext, `{"a":"b"}`}, sseContext, badPairs}, {[]string{sse, "aws:kms", sseContext, ""}, sseContext, badPairs},
		{[]string{sse, "aws:kms", sseContext, b64(`["a"]`)}, sseContext, badPairs}, {[]string{sse, "aws:kms", sseContext, b64(`{"a":1}`)}, sseContext, badPairs},
		{[]string{sse, "aws:kms", sseContext, b64(`{"a":{"b":"c"}}`)}, sseContext, badPairs}, {[]string{sse, "aws:kms", sseContext, b64(`{"a":"b"}x`)}, sseContext, badPairs},
		{[]string{sse, "aws:kms", sseContext, b64("{\"a\":\"\xff\"}")}, sseContext, badPairs}, {[]string{sse, "aws:kms", sseContext, b64(`{"a":"b","a":"c"}`)}, sseContext, badPairs},
		{[]string{sse, "aws:kms", sseContext, b64(`{"a":"` + strings.Repeat("b", 2048) + `"}`)}, sseContext, "The encryption context has 2056 bytes; the limit is 2048."},
		{[]string{sse, "aws:kms", sseBucketKey, "yes"}, sseBucketKey, "The value of x-amz-server-side-encryption-bucket-key-enabled must be true or false."},
		{[]string{sse, "AES256", sse + "-customer-algorithm", "AES256"}, sse, customer}, {[]string{sse, "wrong", sse + "-customer-key", "x"}, sse, customer},
	} {
		for _, source := range []string{"", "/bkt/source"} {
			headers := row.headers
			if source != "" {
				headers = append([]string{"x-amz-copy-source", source}, headers...)
			}
			f := d.refused(d.do("PUT", "/bkt/a", "", headers...), 400, "InvalidArgument", row.text)
			require.Equal(t, row.name, f.get("ArgumentName"), row.headers)
			for i, name := range row.headers {
				if i%2 == 0 && name == row.name {
					require.Equal(t, row.headers[i+1], f.get("ArgumentValue"))
				}
			}
		}
	}
	// a pair that names another object does not bind the data key to its place
	wrong := b64(`{"aws:s3:arn":"arn:aws:s3:::bkt/other"}`)
	got := d.do("PUT", "/bkt/a", "", sse, "aws:kms", sseContext, wrong)
	require.Equal(t, 400, got.status)
	require.Contains(t, got.body, "<Code>InvalidArgument</Code>")
	require.Equal(t, 404, d.do("HEAD", "/bkt/a", "").status, "nothing was written")

	for _, name := range []string{sse, sseKey, sseContext, sseBucketKey} { // they say nothing about a read
		d.refused(d.do("GET", "/bkt/source", "", name, "aws:kms"), 400, "InvalidArgument", name+" header is not supported for this operation.")
		require.Equal(t, 400, d.do("HEAD", "/bkt/source", "", name, "aws:kms").status)
	}
	d.refused(d.do("GET", "/bkt/source", "", sse+"-customer-algorithm", "AES256"), 400, "InvalidRequest", "The encryption parameters are not applicable to this object.")
}

// TestEncryptionAnswers is what a write and a read say of the encryption, and which key each choice takes.
func TestEncryptionAnswers(t *testing.T) {
	d := newDoor(t)
	own, other := d.key(kms.CreateKeyInput{}), d.key(kms.CreateKeyInput{})
	require.NoError(t, d.kms.CreateAlias(root(), "alias/own", own))
	managed, err := d.kms.DescribeKey(root(), "alias/aws/s3")
	require.NoError(t, err)
	pairs := b64(`{ "team" : "hr" }`)
	for _, row := range []struct {
		bucket                   string // configuration of the default; "": none
		headers                  []string
		sse, key, bucketKey, ctx string
	}{
		{"", nil, "AES256", "", "", ""},
		{"", []string{sse, "aws:kms"}, "aws:kms", managed.ARN, "", ""},
		{"", []string{sse, "aws:kms", sseKey, "alias/own"}, "aws:kms", keyPrefix + own, "", ""},
		{"", []string{sse, "aws:kms", sseKey, "arn:aws:kms:us-east-1:000000000000:alias/own"}, "aws:kms", keyPrefix + own, "", ""},
		{"", []string{sse, "aws:kms", sseKey, own, sseContext, pairs, sseBucketKey, "true"}, "aws:kms", keyPrefix + own, "true", pairs},
		{"", []string{sse, "aws:kms:dsse", sseKey, own, sseBucketKey, "true"}, "aws:kms:dsse", keyPrefix + own, "", ""},
		{"", []string{sse, "AES256", sseBucketKey, "true"}, "AES256", "", "", ""},
		{"", []string{sseBucketKey, "true"}, "AES256", "", "", ""},
		{encryptionXML("aws:kms", other, true), nil, "aws:kms", keyPrefix + other, "true", ""},
		{encryptionXML("aws:kms", other, true), []string{sseBucketKey, "false"}, "aws:kms", keyPrefix + other, "", ""},
		{encryptionXML("aws:kms", other, true), []string{sse, "aws:kms"}, "aws:kms", managed.ARN, "true", ""}, // not the bucket's key
		{encryptionXML("aws:kms", other, true), []string{sse, "aws:kms", sseKey, own}, "aws:kms", keyPrefix + own, "true", ""},
		{encryptionXML("aws:kms", other, true), []string{sse, "AES256"}, "AES256", "", "", ""},
		{encryptionXML("aws:kms", "", false), nil, "aws:kms", managed.ARN, "", ""},
		{encryptionXML("aws:kms:dsse", "alias/own", true), nil, "aws:kms:dsse", keyPrefix + own, "", ""},
		{encryptionXML("AES256", "", true), []string{sse, "aws:kms", sseKey, own}, "aws:kms", keyPrefix + own, "true", ""},
	} {
		if row.bucket == "" {
			d.ok("DELETE", "/bkt?encryption", "")
		} else {
			d.ok("PUT", "/bkt?encryption", row.bucket)
		}
		check := func(got reply, ctx string) {
			t.Helper()
			require.Equal(t, []string{row.sse, row.key, row.bucketKey, ctx},
				[]string{got.header.Get(sse), got.header.Get(sseKey), got.header.Get(sseBucketKey), got.header.Get(sseContext)}, row)
		}
		check(d.ok("PUT", "/bkt/a", "hello", row.headers...), row.ctx)
		got := d.ok("GET", "/bkt/a", "")
		check(got, "")
		require.Equal(t, "hello", got.body)
		check(d.ok("HEAD", "/bkt/a", ""), "")
		check(d.ok("PUT", "/bkt/b", "", append([]string{"x-amz-copy-source", "/bkt/a"}, row.headers...)...), row.ctx)
		require.Equal(t, "hello", d.ok("GET", "/bkt/b", "").body)
	}
}

// TestETag: MD5 for AES256, and another one for each write under a KMS key.
func TestETag(t *testing.T) {
	d := newDoor(t)
	const md5 = `"5d41402abc4b2a76b9719d911017c592"`
	require.Equal(t, md5, d.ok("PUT", "/bkt/a", "hello").header.Get("ETag"))
	one := d.ok("PUT", "/bkt/b", "hello", sse, "aws:kms").header.Get("ETag")
	two := d.ok("PUT", "/bkt/b", "hello", sse, "aws:kms").header.Get("ETag")
	require.Regexp(t, `^"[0-9a-f]{32}"$`, one)
	require.NotEqual(t, md5, one)
	require.NotEqual(t, one, two)
	require.Equal(t, md5, all(strings.ReplaceAll(d.ok("PUT", "/bkt/b", "", "x-amz-copy-source", "/bkt/b", sse, "AES256").body, "&#34;", `"`), "ETag")[0])
}

// TestContextBinds: the data key is bound to the client's pairs and the object's ARN, which the audit record shows.
func TestContextBinds(t *testing.T) {
	d := newDoor(t)
	id := d.key(kms.CreateKeyInput{})
	d.ok("PUT", "/bkt/dir/a", "x", sse, "aws:kms", sseKey, id, sseContext, b64(`{"team":"hr"}`))
	d.ok("GET", "/bkt/dir/a", "")
	events := d.audit.Events()
	for i, op := range []kms.Operation{kms.OpGenerateDataKey, kms.OpDecrypt} {
		e := events[len(events)-2+i]
		require.Equal(t, op, e.Operation)
		require.Equal(t, kms.Context{"team": "hr", "aws:s3:arn": "arn:aws:s3:::bkt/dir/a"}, e.Context)
	}
}
