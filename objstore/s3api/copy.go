package s3api

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"kmsfs/kms"
	"kmsfs/objstore"
)

const (
	headerSource    = "x-amz-copy-source"
	headerDirective = "x-amz-metadata-directive"
)

// source is what a copy reads.
type source struct {
	bucket, key string
	version     objstore.VersionID
}

// copySource parses BUCKET/KEY[?versionId=ID], percent-encoded, with a slash before it or not.
func copySource(text string) (s source, err error) {
	path, query, _ := strings.Cut(text, "?")
	path, err = url.PathUnescape(strings.TrimPrefix(path, "/"))
	var ok bool
	s.bucket, s.key, ok = strings.Cut(path, "/")
	if err != nil || !ok || s.bucket == "" || s.key == "" || strings.HasPrefix(path, "arn:") {
		return s, argument(headerSource, text, "Invalid copy source object key")
	}
	if query == "" {
		return s, nil
	}
	id, ok := strings.CutPrefix(query, "versionId=")
	if id, err = url.QueryUnescape(id); err != nil || !ok || id == "" {
		return s, argument(headerSource, text, "Invalid copy source version id")
	}
	s.version = objstore.VersionID(id)
	return s, nil
}

// copyObject writes a version as the current one of a key, under the encryption that the headers or the destination's bucket ask for.
func copyObject(h *Handler, q *request) (*response, error) {
	from, err := copySource(q.Header.Get(headerSource))
	if err != nil {
		return nil, err
	}
	b, err := h.Store.HeadBucket(q.Context(), q.bucket)
	if err != nil {
		return nil, err
	}
	in, err := copyInput(q, b, from)
	if err != nil {
		return nil, err
	}
	head, sb, err := h.sourceOf(q, from)
	if err != nil {
		return nil, err
	}
	if err := checkInPlace(q, b, from, head); err != nil {
		return nil, err
	}
	u := kms.ObjectUse{Operation: kms.OpCopyObject, SourceBucket: from.bucket, SourceKey: from.key, Inherited: !has(q.Header, headerSSE)}
	o, err := h.write(q.Context(), q.bucket, q.key, func() (objstore.Object, error) { return h.Store.CopyObject(q.Context(), in) }, u, nil)
	if err != nil {
		return nil, err
	}
	out := &response{header: http.Header{}, xml: copyResult{ETag: quoted(o.ETag), LastModified: xmlTime(o.LastModified)}}
	answerVersion(out.header, b, o)
	if sb.Versioning != objstore.VersioningOff {
		out.header.Set("x-amz-copy-source-version-id", string(head.VersionID))
	}
	answerEncryption(out.header, o.Encryption)
	answerContext(out.header, q.Header)
	return out, nil
}

type copyResult struct {
	XMLName      struct{} `xml:"http://s3.amazonaws.com/doc/2006-03-01/ CopyObjectResult"`
	ETag         string
	LastModified string
}

// copyInput is what the headers say of the copy.
func copyInput(q *request, b objstore.Bucket, from source) (in objstore.CopyInput, err error) {
	if has(q.Header, prefixSourceKey) {
		return in, notHere(prefixSourceKey+"algorithm", "Encryption with customer provided keys (SSE-C) is not implemented.")
	}
	put, err := putInput(q, b)
	if err != nil {
		return in, err
	}
	in = objstore.CopyInput{SrcBucket: from.bucket, SrcKey: from.key, SrcVersion: from.version, Bucket: q.bucket, Key: q.key,
		Encryption: put.Encryption, Condition: put.Condition}
	switch d := q.Header.Get(headerDirective); d {
	case "", "COPY":
	case "REPLACE":
		in.Metadata, in.ContentType = put.Metadata, put.ContentType
	default:
		return in, argument(headerDirective, d, "Unknown metadata directive.")
	}
	if d := q.Header.Get("x-amz-tagging-directive"); d != "" && d != "COPY" && d != "REPLACE" { // there are no tags
		return in, argument("x-amz-tagging-directive", d, "Unknown tagging directive.")
	}
	return in, nil
}

// sourceOf looks at what is to be copied, and at the conditions on it.
func (h *Handler) sourceOf(q *request, from source) (objstore.Object, objstore.Bucket, error) {
	b, err := h.Store.HeadBucket(q.Context(), from.bucket)
	if err != nil {
		return objstore.Object{}, b, refuse("NoSuchBucket", "", pair{"BucketName", from.bucket})
	}
	o, err := h.Store.HeadObject(q.Context(), from.bucket, from.key, from.version)
	switch {
	case errors.Is(err, objstore.MethodNotAllowed):
		return o, b, refuse(invalidRequest, "The source of a copy request may not specifically refer to a delete marker by version id.")
	case err != nil:
		return o, b, (&request{Request: q.Request, key: from.key, query: url.Values{"versionId": {string(from.version)}}}).locate(err)
	case o.Size > maxObject:
		return o, b, refuse(invalidRequest, fmt.Sprintf("The specified copy source is larger than the maximum allowable size for a copy source: %d", int64(maxObject)))
	}
	conditions := http.Header{}
	for _, name := range []string{"If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since"} {
		if v := q.Header.Get(headerSource + "-" + name); v != "" {
			conditions.Set(name, v)
		}
	}
	if err := readCondition(conditions, o); err != nil {
		return o, b, refuse(preconditionFailed, "") // also where a read would be answered "not modified"
	}
	return o, b, nil
}

// checkInPlace refuses a copy of an object to itself that would change nothing. With a version id it makes an old version the
// current one.
//
// AWS lets it pass in a bucket with a default encryption that somebody set, also where that is AES256. Here a bucket does not know
// whether somebody did, so AES256 counts as not set.
func checkInPlace(q *request, b objstore.Bucket, from source, head objstore.Object) error {
	changes := has(q.Header, headerSSE) || has(q.Header, headerBucketKey) || has(q.Header, "x-amz-storage-class") || q.Header.Get(headerDirective) == "REPLACE"
	if from.bucket != q.bucket || from.key != q.key || from.version != "" || changes ||
		b.Default.Algorithm != objstore.AES256 || head.Encryption.Algorithm != objstore.AES256 {
		return nil
	}
	return refuse(invalidRequest, "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, "+
		"storage class, website redirect location or encryption attributes.")
}

// xmlTime is a time in S3's documents.
func xmlTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
