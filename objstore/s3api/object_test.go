package s3api_test

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kmsfs/kms"
	"kmsfs/kms/sigv4"
	"kmsfs/objstore/s3api"
)

func TestPutAndGet(t *testing.T) {
	d := newDoor(t)
	sum := md5.Sum([]byte("hello"))
	etag := `"` + hex.EncodeToString(sum[:]) + `"`
	got := d.ok("PUT", "/bkt/a/b%20c", "hello", "Content-Type", "text/plain", "x-amz-meta-Color", "grün", "Content-MD5", base64.StdEncoding.EncodeToString(sum[:]))
	require.Equal(t, etag, got.header.Get("ETag"))
	require.Equal(t, "AES256", got.header.Get(sse))
	require.Empty(t, got.header.Values("x-amz-version-id"), "the bucket has no versions")

	got = d.ok("GET", "/bkt/a/b%20c", "")
	require.Equal(t, "hello", got.body)
	for name, want := range map[string]string{"Content-Length": "5", "Content-Type": "text/plain", "ETag": etag, "Accept-Ranges": "bytes",
		"x-amz-meta-color": "=?UTF-8?q?gr=C3=BCn?=", sse: "AES256"} {
		require.Equal(t, want, got.header.Get(name), name)
	}
	head := d.ok("HEAD", "/bkt/a/b%20c", "")
	require.Empty(t, head.body)
	for _, h := range []http.Header{head.header, got.header} {
		for _, name := range []string{"Date", "x-amz-request-id", "x-amz-id-2"} {
			h.Del(name)
		}
	}
	require.Equal(t, got.header, head.header)

	got = d.ok("GET", "/bkt/a/b%20c?response-content-type=text/x&response-content-disposition=attachment", "")
	require.Equal(t, "text/x", got.header.Get("Content-Type"))
	require.Equal(t, "attachment", got.header.Get("Content-Disposition"))

	d.ok("PUT", "/bkt/empty", "")
	got = d.ok("GET", "/bkt/empty", "")
	require.Empty(t, got.body)
	require.Equal(t, "binary/octet-stream", got.header.Get("Content-Type"))

	long := strings.Repeat("0123456789abcdef", 20_000) // several chunks of the store and of the answer
	d.ok("PUT", "/bkt/long", long)
	require.Equal(t, long, d.ok("GET", "/bkt/long", "").body)
}

func TestMissing(t *testing.T) {
	d := newDoor(t)
	f := d.refused(d.do("GET", "/bkt/none", ""), 404, "NoSuchKey", "The specified key does not exist.")
	require.Equal(t, "none", f.get("Key"))
	require.Equal(t, "/bkt/none", f.get("Resource"))
	f = d.refused(d.do("GET", "/none/a", ""), 404, "NoSuchBucket", "The specified bucket does not exist")
	require.Equal(t, "none", f.get("BucketName"))
	d.refused(d.do("PUT", "/none/a", "x"), 404, "NoSuchBucket", "The specified bucket does not exist")
	f = d.refused(d.do("GET", "/bkt/none?versionId=x", ""), 404, "NoSuchVersion", "The specified version does not exist.")
	require.Equal(t, "x", f.get("VersionId"))
	d.refused(d.do("GET", "/bkt/none?versionId=", ""), 400, "InvalidArgument", "Version id cannot be the empty string")
	got := d.do("HEAD", "/bkt/none", "")
	require.Equal(t, 404, got.status)
	require.Empty(t, got.body)
	require.Equal(t, 404, d.do("HEAD", "/none", "").status)
}

// TestRange: what RFC 9110 says, one range at a time.
func TestRange(t *testing.T) {
	d := newDoor(t)
	d.ok("PUT", "/bkt/a", "0123456789")
	d.ok("PUT", "/bkt/empty", "")
	for header, want := range map[string]string{
		"bytes=0-0": "0", "bytes=2-4": "234", "bytes=7-": "789", "bytes=7-100": "789", "bytes=-3": "789", "bytes=-100": "0123456789", "bytes=0-9": "0123456789",
	} {
		got := d.ok("GET", "/bkt/a", "", "Range", header)
		require.Equal(t, http.StatusPartialContent, got.status, header)
		require.Equal(t, want, got.body, header)
		from := strings.Index("0123456789", want)
		require.Equal(t, "bytes "+string(rune('0'+from))+"-"+string(rune('0'+from+len(want)-1))+"/10", got.header.Get("Content-Range"), header)
		require.Equal(t, got.header.Get("Content-Range"), d.ok("HEAD", "/bkt/a", "", "Range", header).header.Get("Content-Range"))
	}
	for _, header := range []string{"bytes=4-2", "bytes=a-b", "bytes=", "bytes=-", "items=0-1", "bytes=0-1,3-4", "bytes=--1", "bytes=99999999999999999999-"} {
		got := d.ok("GET", "/bkt/a", "", "Range", header)
		require.Equal(t, http.StatusOK, got.status, header)
		require.Equal(t, "0123456789", got.body, header)
	}
	for path, header := range map[string]string{"/bkt/a": "bytes=10-", "/bkt/empty": "bytes=0-", "/bkt/a?": "bytes=-0"} {
		got := d.do("GET", path, "", "Range", header)
		f := d.refused(got, 416, "InvalidRange", "The requested range is not satisfiable")
		require.Equal(t, header, f.get("RangeRequested"))
		require.Equal(t, "bytes */"+f.get("ActualObjectSize"), got.header.Get("Content-Range"))
	}
	require.Equal(t, "0123456789", d.ok("GET", "/bkt/a", "", "Range", "bytes=0-1", "If-Range", `"other"`).body)
}

func TestReadConditions(t *testing.T) {
	d := newDoor(t)
	etag := d.ok("PUT", "/bkt/a", "x").header.Get("ETag")
	past, future := time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat), time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)
	for _, row := range []struct {
		header, value string
		status        int
	}{
		{"If-Match", etag, 200}, {"If-Match", "*", 200}, {"If-Match", `"x", ` + etag, 200}, {"If-Match", `"x"`, 412},
		{"If-None-Match", etag, 304}, {"If-None-Match", `"x"`, 200},
		{"If-Modified-Since", past, 200}, {"If-Modified-Since", future, 304}, {"If-Modified-Since", "nonsense", 200},
		{"If-Unmodified-Since", past, 412}, {"If-Unmodified-Since", future, 200},
	} {
		got := d.do("GET", "/bkt/a", "", row.header, row.value)
		require.Equal(t, row.status, got.status, row)
		require.Equal(t, row.status, d.do("HEAD", "/bkt/a", "", row.header, row.value).status, row)
		if row.status == 304 {
			require.Empty(t, got.body)
			require.Equal(t, etag, got.header.Get("ETag"))
		}
		if row.status == 412 {
			require.Equal(t, row.header, d.refused(got, 412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold").get("Condition"))
		}
	}
}

func TestWriteConditions(t *testing.T) {
	d := newDoor(t)
	etag := d.ok("PUT", "/bkt/a", "one", "If-None-Match", "*").header.Get("ETag")
	const failed = "At least one of the pre-conditions you specified did not hold"
	d.refused(d.do("PUT", "/bkt/a", "two", "If-None-Match", "*"), 412, "PreconditionFailed", failed)
	d.refused(d.do("PUT", "/bkt/a", "two", "If-Match", `"x"`), 412, "PreconditionFailed", failed)
	d.refused(d.do("PUT", "/bkt/none", "two", "If-Match", etag), 404, "NoSuchKey", "The specified key does not exist.")
	require.Equal(t, "one", d.ok("GET", "/bkt/a", "").body)
	d.ok("PUT", "/bkt/a", "two", "If-Match", etag)
	for _, headers := range [][]string{{"If-None-Match", etag}, {"If-Match", "*"}, {"If-Match", etag, "If-None-Match", "*"}} {
		d.refused(d.do("PUT", "/bkt/a", "x", headers...), 501, "NotImplemented", "A header you provided implies functionality that is not implemented")
	}
	d.refused(d.do("DELETE", "/bkt/a", "", "If-Match", etag), 412, "PreconditionFailed", failed)
	require.Equal(t, "two", d.ok("GET", "/bkt/a", "").body)
}

func TestVersions(t *testing.T) {
	d := newDoor(t)
	const enabled = `<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Status>Enabled</Status></VersioningConfiguration>`
	require.NotContains(t, d.ok("GET", "/bkt?versioning", "").body, "Status")
	d.ok("PUT", "/bkt?versioning", enabled)
	require.Contains(t, d.ok("GET", "/bkt?versioning", "").body, "<Status>Enabled</Status>")
	one := d.ok("PUT", "/bkt/a", "one").header.Get("x-amz-version-id")
	two := d.ok("PUT", "/bkt/a", "two").header.Get("x-amz-version-id")
	require.NotEqual(t, one, two)
	require.Equal(t, "two", d.ok("GET", "/bkt/a", "").body)
	got := d.ok("GET", "/bkt/a?versionId="+one, "")
	require.Equal(t, "one", got.body)
	require.Equal(t, one, got.header.Get("x-amz-version-id"))

	gone := d.ok("DELETE", "/bkt/a", "")
	require.Equal(t, 204, gone.status)
	require.Equal(t, "true", gone.header.Get("x-amz-delete-marker"))
	marker := gone.header.Get("x-amz-version-id")
	got = d.do("GET", "/bkt/a", "")
	d.refused(got, 404, "NoSuchKey", "The specified key does not exist.")
	require.Equal(t, "true", got.header.Get("x-amz-delete-marker"))
	require.Equal(t, marker, got.header.Get("x-amz-version-id"))
	got = d.do("GET", "/bkt/a?versionId="+marker, "")
	f := d.refused(got, 405, "MethodNotAllowed", "The specified method is not allowed against this resource.")
	require.Equal(t, "DeleteMarker", f.get("ResourceType"))
	require.Equal(t, "DELETE", got.header.Get("Allow"))
	require.NotEmpty(t, got.header.Get("Last-Modified"))

	list := d.ok("GET", "/bkt?versions", "").body
	require.Equal(t, []string{marker, two, one}, all(list, "VersionId"))
	require.Equal(t, []string{"true", "false", "false"}, all(list, "IsLatest"))
	require.Equal(t, 1, strings.Count(list, "<DeleteMarker "), list)
	page := d.ok("GET", "/bkt?versions&max-keys=1", "").body
	require.Equal(t, []string{marker}, all(page, "VersionId"))
	page = d.ok("GET", "/bkt?versions&key-marker=a&version-id-marker="+all(page, "NextVersionIdMarker")[0], "").body
	require.Equal(t, []string{two, one}, all(page, "VersionId"))

	// an old version back by a copy; the marker gone brings the newest back
	got = d.ok("PUT", "/bkt/a", "", "x-amz-copy-source", "/bkt/a?versionId="+one)
	require.Equal(t, one, got.header.Get("x-amz-copy-source-version-id"))
	require.Equal(t, "one", d.ok("GET", "/bkt/a", "").body)
	d.ok("DELETE", "/bkt/a?versionId="+got.header.Get("x-amz-version-id"), "")
	gone = d.ok("DELETE", "/bkt/a?versionId="+marker, "")
	require.Equal(t, "true", gone.header.Get("x-amz-delete-marker"))
	require.Equal(t, "two", d.ok("GET", "/bkt/a", "").body)
	d.ok("DELETE", "/bkt/a?versionId=none", "")
	d.refused(d.do("DELETE", "/bkt", ""), 409, "BucketNotEmpty", "The bucket you tried to delete is not empty. You must delete all versions in the bucket.")
	d.refused(d.do("PUT", "/bkt?versioning", strings.Replace(enabled, "Enabled", "On", 1)), 400, "MalformedXML",
		"The XML you provided was not well-formed or did not validate against our published schema")
	d.refused(d.do("PUT", "/bkt?versioning", "<VersioningConfiguration/>"), 400, "IllegalVersioningConfigurationException", "The Versioning element must be specified")
}

func TestCopy(t *testing.T) {
	d := newDoor(t)
	id := d.key(kms.CreateKeyInput{})
	d.ok("PUT", "/bkt/a%2Fb", "hello", "Content-Type", "text/plain", "x-amz-meta-color", "red", sse, "aws:kms", sseKey, id, sseContext, b64(`{"a":"b"}`))
	got := d.ok("PUT", "/bkt/copy", "", "x-amz-copy-source", "bkt/a%2Fb")
	require.Equal(t, "AES256", got.header.Get(sse), "the destination's default, not the source's")
	require.Len(t, all(got.body, "ETag"), 1)
	got = d.ok("GET", "/bkt/copy", "")
	require.Equal(t, "hello", got.body)
	require.Equal(t, "red", got.header.Get("x-amz-meta-color"))
	require.Equal(t, "text/plain", got.header.Get("Content-Type"))

	d.ok("PUT", "/bkt/copy", "", "x-amz-copy-source", "/bkt/a%2Fb", "x-amz-metadata-directive", "REPLACE", "x-amz-meta-size", "m", "x-amz-meta-ignored", "1")
	got = d.ok("HEAD", "/bkt/copy", "")
	require.Empty(t, got.header.Get("x-amz-meta-color"))
	require.Equal(t, "m", got.header.Get("x-amz-meta-size"))
	require.Equal(t, "binary/octet-stream", got.header.Get("Content-Type"))

	// in place: only when something changes
	const illegal = "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, " +
		"storage class, website redirect location or encryption attributes."
	d.ok("PUT", "/bkt/self", "x")
	d.refused(d.do("PUT", "/bkt/self", "", "x-amz-copy-source", "/bkt/self"), 400, "InvalidRequest", illegal)
	d.refused(d.do("PUT", "/bkt/self", "", "x-amz-copy-source", "/bkt/self", "x-amz-meta-new", "1"), 400, "InvalidRequest", illegal)
	d.ok("PUT", "/bkt/self", "", "x-amz-copy-source", "/bkt/self", "x-amz-storage-class", "STANDARD")
	got = d.ok("PUT", "/bkt/self", "", "x-amz-copy-source", "/bkt/self", sse, "aws:kms", sseKey, id)
	require.Equal(t, keyPrefix+id, got.header.Get(sseKey))
	d.ok("PUT", "/bkt/self", "", "x-amz-copy-source", "/bkt/self")
	require.Equal(t, "AES256", d.ok("HEAD", "/bkt/self", "").header.Get(sse))

	for source, want := range map[string][3]string{
		"nonsense": {"400", "InvalidArgument", "Invalid copy source object key"}, "/bkt/": {"400", "InvalidArgument", "Invalid copy source object key"},
		"/bkt/%zz": {"400", "InvalidArgument", "Invalid copy source object key"}, "/bkt/none": {"404", "NoSuchKey", "The specified key does not exist."},
		"/none/a": {"404", "NoSuchBucket", "The specified bucket does not exist"}, "/bkt/self?versionId=x": {"404", "NoSuchVersion", "The specified version does not exist."},
	} {
		got := d.do("PUT", "/bkt/copy", "", "x-amz-copy-source", source)
		require.Equal(t, want[0], got.headerStatus(), source)
		d.refused(got, got.status, want[1], want[2])
	}
	d.refused(d.do("PUT", "/bkt/copy", "", "x-amz-copy-source", "/bkt/self", "x-amz-copy-source-if-match", `"x"`), 412, "PreconditionFailed",
		"At least one of the pre-conditions you specified did not hold")
	d.refused(d.do("PUT", "/bkt/copy", "", "x-amz-copy-source", "/bkt/self", "x-amz-metadata-directive", "MERGE"), 400, "InvalidArgument", "Unknown metadata directive.")
}

// TestBodies: what a request says of its body has to be so, and else nothing was written.
func TestBodies(t *testing.T) {
	d := newDoor(t)
	const bad = "x-amz-checksum-"
	for _, row := range []struct {
		headers    []string
		code, text string
	}{
		{[]string{"Content-MD5", "AAAAAAAAAAAAAAAAAAAAAA=="}, "BadDigest", "The Content-MD5 you specified did not match what we received."},
		{[]string{"Content-MD5", "x"}, "InvalidDigest", "The Content-MD5 you specified was invalid."},
		{[]string{bad + "crc32", "AAAAAA=="}, "BadDigest", "The CRC32 you specified did not match the calculated checksum."},
		{[]string{bad + "crc32", "x"}, "InvalidRequest", "Value for x-amz-checksum-crc32 header is invalid."},
		{[]string{bad + "crc32", "AAAAAA==", bad + "crc32c", "AAAAAA=="}, "InvalidRequest", "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."},
		{[]string{"x-amz-sdk-checksum-algorithm", "CRC32"}, "InvalidRequest",
			"x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found."},
	} {
		d.refused(d.do("PUT", "/bkt/a", "123456789", row.headers...), 400, row.code, row.text)
	}
	altered := d.request("PUT", "/bkt/a", "123456789")
	other, err := http.NewRequest("PUT", d.url+"/bkt/a", strings.NewReader("123456780"))
	require.NoError(t, err)
	other.Header = altered.Header
	d.refused(d.send(other), 400, "XAmzContentSHA256Mismatch", "The provided 'x-amz-content-sha256' header does not match what was computed.")
	require.Equal(t, 404, d.do("HEAD", "/bkt/a", "").status)

	for name, sum := range map[string]string{"crc32": "y/Q5Jg==", "crc32c": "4waSgw==", "crc64nvme": "rosUhgp5mIg=",
		"sha1": "98O8HYCOBHMq32eZZczDTKeuNEE=", "sha256": "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU="} {
		got := d.ok("PUT", "/bkt/a", "123456789", bad+name, sum)
		require.Equal(t, sum, got.header.Get(bad+name))
	}
}

// TestNotImplemented: what is missing says so, and does nothing.
func TestNotImplemented(t *testing.T) {
	d := newDoor(t)
	d.ok("PUT", "/bkt/a", "x")
	const multipart = "Multipart uploads are not implemented yet. Send objects of up to 5 GiB by PutObject: aws configure set default.s3.multipart_threshold 5GB"
	for request, text := range map[string]string{
		"POST /bkt/a?uploads": multipart, "PUT /bkt/a?partNumber=1&uploadId=x": multipart, "GET /bkt?uploads": multipart,
		"GET /bkt?acl": "GET ?acl of a bucket is not implemented.", "PUT /bkt/a?tagging": "PUT ?tagging of an object is not implemented.",
		"GET /bkt?policy": "GET ?policy of a bucket is not implemented.", "PUT /bkt?lifecycle": "PUT ?lifecycle of a bucket is not implemented.",
		"POST /bkt": "POST of a bucket is not implemented.", "PATCH /bkt/a": "PATCH of an object is not implemented.",
	} {
		method, path, _ := strings.Cut(request, " ")
		d.refused(d.do(method, path, ""), 501, "NotImplemented", text)
	}
	for _, header := range [][2]string{{"Cache-Control", "no-cache"}, {"Content-Disposition", "x"}, {"Content-Encoding", "gzip"}, {"Expires", "x"},
		{"x-amz-tagging", "a=b"}, {"x-amz-acl", "public-read"}, {"x-amz-grant-read", "x"}, {"x-amz-object-lock-mode", "x"},
		{"x-amz-website-redirect-location", "/"}, {"x-amz-server-side-encryption-customer-algorithm", "AES256"}, {"x-amz-checksum-xxhash64", "x"}} {
		f := d.refused(d.do("PUT", "/bkt/a", "y", header[0], header[1]), 501, "NotImplemented", "A header you provided implies functionality that is not implemented")
		require.NotEmpty(t, f.get("Header"), header)
	}
	d.refused(d.do("PUT", "/bkt/a", "y", "x-amz-storage-class", "GLACIER"), 400, "InvalidStorageClass", "The storage class you specified is not valid")
	require.Equal(t, "x", d.ok("GET", "/bkt/a", "").body)
}

// TestStrangers: a signature of S3's own, by a known key, in time, over everything.
func TestStrangers(t *testing.T) {
	d := newDoor(t)
	const mismatch = "The request signature we calculated does not match the signature you provided. Check your key and signing method."
	plain := func() *http.Request { return d.request("GET", "/bkt/a", "") }
	for _, row := range []struct {
		alter      func(*http.Request)
		status     int
		code, text string
	}{
		{func(r *http.Request) { r.Header.Del("Authorization") }, 403, "AccessDenied", "Access Denied"},
		{func(r *http.Request) { r.URL.Path = "/bkt/b" }, 403, "SignatureDoesNotMatch", mismatch},
		{func(r *http.Request) { r.Header.Set("x-amz-meta-a", "b") }, 403, "AccessDenied", "There were headers present in the request which were not signed"},
		{func(r *http.Request) { r.Header.Set("Authorization", "AWS AKIA:c2ln") }, 400, "InvalidRequest",
			"The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."},
		{func(r *http.Request) { r.Header.Set("Authorization", "AWS AKIA:c2ln"); r.Header.Set(sse, "aws:kms") }, 400, "InvalidArgument",
			"Requests specifying Server Side Encryption with AWS KMS managed keys require AWS Signature Version 4."},
		{func(r *http.Request) { r.Header.Del("X-Amz-Content-Sha256") }, 400, "InvalidRequest", "Missing required header for this request: x-amz-content-sha256"},
		{func(r *http.Request) {
			require.NoError(t, d.signer().Sign(r, sigv4.PayloadHash(nil), time.Now().Add(-time.Hour)))
		}, 403, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large."},
		{func(r *http.Request) {
			s := d.signer()
			s.AccessKeyID = "AKIAAAAAAAAAAAAAAAAA"
			require.NoError(t, s.Sign(r, sigv4.PayloadHash(nil), time.Now()))
		}, 403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records."},
		{func(r *http.Request) {
			s := d.signer()
			s.Region = "eu-west-1"
			require.NoError(t, s.Sign(r, sigv4.PayloadHash(nil), time.Now()))
		}, 400, "AuthorizationHeaderMalformed", "The authorization header is malformed; Credential should be scoped to a valid region. "},
	} {
		r := plain()
		row.alter(r)
		d.refused(d.send(r), row.status, row.code, row.text)
	}
	r := d.request("GET", "/bkt/a", "", "x-amz-expected-bucket-owner", "111111111111")
	d.refused(d.send(r), 403, "AccessDenied", "Access Denied")
	require.NoError(t, d.users.Delete("alice"))
	d.refused(d.send(plain()), 403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.")
}

func TestPresigned(t *testing.T) {
	d := newDoor(t)
	presigned := func(method, query string, at time.Time) string {
		r, err := http.NewRequest(method, d.url+"/bkt/a?"+query, nil)
		require.NoError(t, err)
		require.NoError(t, d.signer().Presign(r, sigv4.UnsignedPayload, at, time.Minute))
		return r.URL.String()
	}
	send := func(method, url string) reply {
		r, err := http.NewRequest(method, url, strings.NewReader("hello"))
		require.NoError(t, err)
		return d.send(r)
	}
	require.Equal(t, 200, send("PUT", presigned("PUT", "", time.Now())).status)
	require.Equal(t, "hello", send("GET", presigned("GET", "", time.Now())).body)
	d.refused(send("GET", presigned("GET", "", time.Now().Add(-2*time.Minute))), 403, "AccessDenied", "Request has expired")
	require.Equal(t, 403, send("DELETE", presigned("GET", "", time.Now())).status)
	query := url.Values{sseContext: {b64(`{"a":"b"}`)}}.Encode()
	d.refused(send("PUT", presigned("PUT", query, time.Now())), 400, "InvalidArgument", "Server side encryption is chosen by headers that are signed, not by the query.")
}

// TestCaller: the audit record of a key's use names the user, the door and the object.
func TestCaller(t *testing.T) {
	d := newDoor(t)
	id := d.key(kms.CreateKeyInput{})
	d.ok("PUT", "/bkt/a", "x", sse, "aws:kms", sseKey, id)
	events := d.audit.Events()
	last := events[len(events)-1]
	require.Equal(t, kms.OpGenerateDataKey, last.Operation)
	require.Equal(t, kms.Caller{Principal: aliceARN, Via: "s3", SourceIP: "127.0.0.1", UserAgent: "Go-http-client/1.1", Path: "bkt/a"}, last.Caller)
}

// TestDataEvents: uses of objects are recorded where that is asked for, and what cannot be recorded is an error.
func TestDataEvents(t *testing.T) {
	s, audit := kmstestService(t)
	d := newDoorWith(t, kms.Options{}, s3api.Options{Reads: s, Writes: s})
	d.ok("PUT", "/bkt/a", "hello")
	d.ok("GET", "/bkt/a", "")
	d.ok("PUT", "/bkt/b", "", "x-amz-copy-source", "/bkt/a")
	d.ok("DELETE", "/bkt/a", "")
	d.do("GET", "/bkt/a", "")
	var got []string
	for _, e := range audit.Events() {
		require.Equal(t, aliceARN, e.Caller.Principal)
		got = append(got, string(e.Operation)+" "+e.Object.Bucket+"/"+e.Object.Key+" "+string(e.Code))
	}
	require.Equal(t, []string{"PutObject bkt/a ", "GetObject bkt/a ", "CopyObject bkt/b ", "DeleteObject bkt/a "}, got)
	require.EqualValues(t, 5, audit.Events()[0].Object.BytesIn)
	audit.Fail(http.ErrAbortHandler)
	require.Equal(t, 503, d.do("GET", "/bkt/b", "").status)
	require.Equal(t, 503, d.do("PUT", "/bkt/b", "x").status)
}

// TestWatched: whoever caches a name is told before and after it changes.
func TestWatched(t *testing.T) {
	var w watcher
	d := newDoorWith(t, kms.Options{}, s3api.Options{Watch: w.watch, BucketChanged: w.bucketChanged})
	d.ok("PUT", "/bkt/a", "x")
	d.ok("PUT", "/bkt/b", "", "x-amz-copy-source", "/bkt/a")
	d.ok("DELETE", "/bkt/b", "")
	d.ok("POST", "/bkt?delete", "<Delete><Object><Key>a</Key></Object></Delete>")
	d.ok("PUT", "/new", "")
	d.ok("DELETE", "/new", "")
	require.Equal(t, []string{"before bkt/a", "after bkt/a", "before bkt/b", "after bkt/b", "before bkt/b", "after bkt/b", "before bkt/a", "after bkt/a", "bucket new", "bucket new"}, w.seen)
}
