package s3api_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"kmsfs/kms"
	"kmsfs/objstore"
	"kmsfs/objstore/s3api"
	"kmsfs/objstore/storetest"
)

func encryptionXML(algorithm, keyID string, bucketKey bool) string {
	if keyID != "" {
		keyID = "<KMSMasterKeyID>" + keyID + "</KMSMasterKeyID>"
	}
	return fmt.Sprintf(`<ServerSideEncryptionConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Rule><ApplyServerSideEncryptionByDefault>`+
		`<SSEAlgorithm>%s</SSEAlgorithm>%s</ApplyServerSideEncryptionByDefault><BucketKeyEnabled>%t</BucketKeyEnabled></Rule></ServerSideEncryptionConfiguration>`,
		algorithm, keyID, bucketKey)
}

// TestBucketEncryption: there always is a default; the key is echoed as it was given and looked for when it is used.
func TestBucketEncryption(t *testing.T) {
	d := newDoor(t)
	none := `<?xml version="1.0" encoding="UTF-8"?>` + "\n" + encryptionXML("AES256", "", false)
	require.Equal(t, none, d.ok("GET", "/bkt?encryption", "").body)
	for _, document := range []string{encryptionXML("aws:kms", "", false), encryptionXML("aws:kms", "alias/none", true), encryptionXML("aws:kms:dsse", "x", false), encryptionXML("AES256", "", true)} {
		d.ok("PUT", "/bkt?encryption", document)
		require.True(t, strings.HasSuffix(d.ok("GET", "/bkt?encryption", "").body, document), document)
	}
	d.ok("PUT", "/bkt?encryption", "<ServerSideEncryptionConfiguration><Rule><BlockedEncryptionTypes><EncryptionType>SSE-C</EncryptionType></BlockedEncryptionTypes></Rule></ServerSideEncryptionConfiguration>")
	require.Equal(t, none, d.ok("GET", "/bkt?encryption", "").body)
	d.ok("PUT", "/bkt?encryption", encryptionXML("aws:kms", "x", false))
	for range 2 {
		require.Equal(t, 204, d.ok("DELETE", "/bkt?encryption", "").status)
		require.Equal(t, none, d.ok("GET", "/bkt?encryption", "").body)
	}

	const malformed = "The XML you provided was not well-formed or did not validate against our published schema"
	rule := strings.TrimSuffix(strings.SplitAfter(encryptionXML("AES256", "", false), "2006-03-01/\">")[1], "</ServerSideEncryptionConfiguration>")
	for _, bad := range []string{"<ServerSideEncryptionConfiguration/>", "<ServerSideEncryptionConfiguration>" + rule + rule + "</ServerSideEncryptionConfiguration>",
		"<ServerSideEncryptionConfiguration><Rule/></ServerSideEncryptionConfiguration>", encryptionXML("aes", "", false), encryptionXML("", "", false), "", "x",
		strings.Replace(encryptionXML("AES256", "", false), "false", "maybe", 1)} {
		d.refused(d.do("PUT", "/bkt?encryption", bad), 400, "MalformedXML", malformed)
	}
	f := d.refused(d.do("PUT", "/bkt?encryption", encryptionXML("AES256", "x", false)), 400, "InvalidArgument",
		"a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or aws:kms:dsse")
	require.Equal(t, "ApplyServerSideEncryptionByDefault", f.get("ArgumentName"))
	require.Equal(t, none, d.ok("GET", "/bkt?encryption", "").body)
	for _, method := range []string{"GET", "PUT", "DELETE"} { // before the document is looked at
		d.refused(d.do(method, "/none?encryption", "x"), 404, "NoSuchBucket", "The specified bucket does not exist")
	}
}

// TestDefaultChangesNothingOld: what was written before keeps its encryption.
func TestDefaultChangesNothingOld(t *testing.T) {
	d := newDoor(t)
	d.ok("PUT", "/bkt/old", "x")
	id := d.key(kms.CreateKeyInput{})
	d.ok("PUT", "/bkt?encryption", encryptionXML("aws:kms", id, false))
	require.Equal(t, "AES256", d.ok("HEAD", "/bkt/old", "").header.Get(sse))
	d.ok("PUT", "/bkt/old", "", "x-amz-copy-source", "/bkt/old") // in place, to the default
	require.Equal(t, keyPrefix+id, d.ok("HEAD", "/bkt/old", "").header.Get(sseKey))
}

func TestBuckets(t *testing.T) {
	d := newDoor(t)
	require.Equal(t, "/other", d.ok("PUT", "/other", "").header.Get("Location"))
	d.ok("PUT", "/third/", `<CreateBucketConfiguration><LocationConstraint>us-east-1</LocationConstraint></CreateBucketConfiguration>`)
	list := d.ok("GET", "/", "").body
	require.Equal(t, []string{"bkt", "other", "third"}, all(list, "Name"))
	require.Equal(t, []string{"other"}, all(d.ok("GET", "/?prefix=o", "").body, "Name"))
	paged := d.ok("GET", "/?max-buckets=2", "").body
	require.Equal(t, []string{"bkt", "other"}, all(paged, "Name"))
	require.Equal(t, []string{"third"}, all(d.ok("GET", "/?continuation-token="+all(paged, "ContinuationToken")[0], "").body, "Name"))
	require.Equal(t, region, d.ok("HEAD", "/other", "").header.Get("x-amz-bucket-region"))
	require.Contains(t, d.ok("GET", "/other?location", "").body, "LocationConstraint")
	require.Equal(t, 204, d.ok("DELETE", "/other", "").status)
	require.Equal(t, 404, d.do("HEAD", "/other", "").status)

	f := d.refused(d.do("PUT", "/bkt", ""), 409, "BucketAlreadyOwnedByYou", "Your previous request to create the named bucket succeeded and you already own it.")
	require.Equal(t, "bkt", f.get("BucketName"))
	got := d.do("PUT", "/No", "")
	require.Equal(t, 400, got.status)
	require.Contains(t, got.body, "<Code>InvalidBucketName</Code><Message>The specified bucket is not valid.")
	d.refused(d.do("PUT", "/far", `<CreateBucketConfiguration><LocationConstraint>eu-west-1</LocationConstraint></CreateBucketConfiguration>`), 400,
		"IllegalLocationConstraintException", "The eu-west-1 location constraint is incompatible for the region specific endpoint this request was sent to.")
	d.refused(d.do("PUT", "/locked", "", "x-amz-bucket-object-lock-enabled", "true"), 501, "NotImplemented",
		"A header you provided implies functionality that is not implemented")
	d.refused(d.do("DELETE", "/none", ""), 404, "NoSuchBucket", "The specified bucket does not exist")
}

// newFaulty is a door over a store that fails on request.
func newFaulty(t *testing.T) (*door, *storetest.Fault) {
	d := newDoor(t)
	f := storetest.NewFault(d.store)
	d.serve(s3api.NewHandler(s3api.Options{Store: f, Keys: d.users}))
	return d, f
}

// TestBrokenObject: a chunk that does not open is an error before the first byte, and a cut connection behind it.
func TestBrokenObject(t *testing.T) {
	d, f := newFaulty(t)
	long := strings.Repeat("x", 3<<20)
	d.ok("PUT", "/bkt/a", long)
	broken := &objstore.Error{Code: objstore.IntegrityError, Message: "chunk 1 was altered"}
	f.Add(storetest.Rule{Op: "Reader.ReadAt", Err: broken})
	got := d.do("GET", "/bkt/a", "")
	d.refused(got, 500, "InternalError", "We encountered an internal error. Please try again.")
	require.Empty(t, got.header.Get("ETag"))
	f.Clear()
	f.Add(storetest.Rule{Op: "Reader.ReadAt", Nth: 2, Err: broken})
	resp, err := http.DefaultClient.Do(d.request("GET", "/bkt/a", ""))
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.Error(t, err, "the client has to see that the object is not whole")
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.Less(t, len(body), len(long))
	f.Clear()
	require.Equal(t, long, d.ok("GET", "/bkt/a", "").body)
}

// TestNotDurable: what could not be made to survive power loss is not answered as done.
func TestNotDurable(t *testing.T) {
	d, f := newFaulty(t)
	d.ok("PUT", "/bkt/a", "x")
	f.Add(storetest.Rule{Op: "Sync", Err: errors.New("the disk is gone")})
	for _, request := range []string{"PUT /bkt/b", "DELETE /bkt/a", "PUT /new", "DELETE /bkt?encryption"} {
		method, path, _ := strings.Cut(request, " ")
		d.refused(d.do(method, path, ""), 500, "InternalError", "We encountered an internal error. Please try again.")
	}
}
