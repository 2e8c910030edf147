package s3api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"kmsfs/kms"
	"kmsfs/objstore"
)

const (
	defaultType   = "binary/octet-stream"
	metaPrefix    = "X-Amz-Meta-" // as net/http spells it
	headerVersion = "x-amz-version-id"
)

// putObject stores a body as a key's current version.
func putObject(h *Handler, q *request) (*response, error) {
	if has(q.Header, headerSource) {
		return copyObject(h, q)
	}
	b, err := h.Store.HeadBucket(q.Context(), q.bucket)
	if err != nil {
		return nil, err
	}
	in, err := putInput(q, b)
	if err != nil {
		return nil, err
	}
	body, sum, err := q.body()
	if err != nil {
		return nil, err
	}
	counted := &counter{r: body}
	in.Body = counted
	o, err := h.write(q.Context(), q.bucket, q.key, func() (objstore.Object, error) { return h.Store.PutObject(q.Context(), in) },
		kms.ObjectUse{Operation: kms.OpPutObject, Inherited: !has(q.Header, headerSSE)}, counted)
	if err != nil {
		return nil, err
	}
	out := &response{header: http.Header{}}
	out.header.Set("ETag", quoted(o.ETag))
	answerVersion(out.header, b, o)
	answerEncryption(out.header, o.Encryption)
	answerContext(out.header, q.Header)
	sum.answer(out.header)
	return out, nil
}

// putInput is what the headers say of a new version.
func putInput(q *request, b objstore.Bucket) (in objstore.PutInput, err error) {
	in = objstore.PutInput{Bucket: q.bucket, Key: q.key, ContentType: q.Header.Get("Content-Type")}
	if in.ContentType == "" {
		in.ContentType = defaultType
	}
	if err := refuseUnknown(q.Header); err != nil {
		return in, err
	}
	for name := range q.query { // of a presigned URL, where AWS leaves it out without a word
		if strings.HasPrefix(strings.ToLower(name), headerSSE) {
			return in, argument(name, q.query.Get(name), "Server side encryption is chosen by headers that are signed, not by the query.")
		}
	}
	if in.Encryption, err = selection(q.Header, b); err != nil {
		return in, err
	}
	if in.Condition, err = condition(q.Header); err != nil {
		return in, err
	}
	in.Metadata = metadata(q.Header)
	return in, nil
}

// metadata is the user metadata of a request, never nil.
func metadata(h http.Header) map[string]string {
	m := map[string]string{}
	for name, values := range h {
		if user, ok := strings.CutPrefix(name, metaPrefix); ok {
			m[strings.ToLower(user)] = strings.Join(values, ",")
		}
	}
	return m
}

// refuseUnknown refuses headers that ask for what a version cannot keep.
func refuseUnknown(h http.Header) error {
	for _, name := range []string{"Cache-Control", "Content-Disposition", "Content-Language", "Expires", "x-amz-website-redirect-location",
		"x-amz-tagging", "x-amz-grant-", "x-amz-object-lock-", "x-amz-write-offset-bytes"} {
		if has(h, name) {
			return notHere(strings.TrimSuffix(name, "-"), "It cannot be stored.")
		}
	}
	for coding := range strings.SplitSeq(h.Get("Content-Encoding"), ",") {
		if c := strings.TrimSpace(coding); c != "" && c != "aws-chunked" {
			return notHere("Content-Encoding", "It cannot be stored.")
		}
	}
	if acl := h.Get("x-amz-acl"); acl != "" && acl != "private" && acl != "bucket-owner-full-control" {
		return notHere("x-amz-acl", "There are no access control lists.")
	}
	if class := h.Get("x-amz-storage-class"); class != "" && class != "STANDARD" {
		return refuse(invalidStorageClass, "", pair{"StorageClassRequested", class})
	}
	return nil
}

// counter counts what went through.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// write does a change of a key: whoever caches it is told, the use is recorded, and it survives power loss. body may be nil.
func (h *Handler) write(ctx context.Context, bucket, key string, do func() (objstore.Object, error), u kms.ObjectUse, body *counter) (objstore.Object, error) {
	done := h.Watch(ctx, bucket, key)
	o, err := do()
	done()
	u.Bucket, u.Key, u.VersionID = bucket, key, string(o.VersionID)
	if u.Algorithm, u.KeyARN = string(o.Encryption.Algorithm), o.Encryption.KeyID; body != nil {
		u.BytesIn = body.n
	}
	if rerr := record(ctx, h.Writes, u, err); rerr != nil {
		return o, errors.Join(err, rerr)
	}
	if err != nil {
		return o, err
	}
	return o, h.Store.Sync(context.WithoutCancel(ctx))
}

// record writes the record of a use that ended with err.
func record(ctx context.Context, to Recorder, u kms.ObjectUse, err error) error {
	if to == nil {
		return nil
	}
	if err != nil {
		a := answerFor(err)
		u.Code, u.Message = string(a.code), a.text
	}
	return to.RecordObject(ctx, u)
}

// getObject answers a version, or with HEAD describes it. A description needs no key.
func getObject(h *Handler, q *request) (*response, error) {
	if err := readHeaders(q.Header); err != nil {
		return nil, err
	}
	v, err := q.version()
	if err != nil {
		return nil, err
	}
	b, err := h.Store.HeadBucket(q.Context(), q.bucket)
	if err != nil {
		return nil, err
	}
	o, err := h.Store.HeadObject(q.Context(), q.bucket, q.key, v)
	out := &response{header: http.Header{}}
	if o.DeleteMarker {
		out.header.Set("x-amz-delete-marker", "true")
		out.header.Set(headerVersion, string(o.VersionID))
	}
	if err != nil {
		if errors.Is(err, objstore.MethodNotAllowed) {
			out.header.Set("Allow", http.MethodDelete)
			out.header.Set("Last-Modified", httpTime(o.LastModified))
		}
		return out, err
	}
	if err := readCondition(q.Header, o); err != nil {
		return notModifiedHeaders(err, out, o), err
	}
	if q.Method == http.MethodHead {
		_, err := describe(out, q, b, o)
		return out, err
	}
	return h.open(out, q, b, v)
}

// open opens the version for reading. It may have been replaced since it was looked at, so everything is decided anew.
func (h *Handler) open(out *response, q *request, b objstore.Bucket, v objstore.VersionID) (*response, error) {
	o, r, err := h.Store.GetObject(q.Context(), q.bucket, q.key, v)
	u := kms.ObjectUse{Operation: kms.OpGetObject, Bucket: q.bucket, Key: q.key, VersionID: string(o.VersionID),
		Algorithm: string(o.Encryption.Algorithm), KeyARN: o.Encryption.KeyID}
	if rerr := record(q.Context(), h.Reads, u, err); rerr != nil {
		if r != nil {
			_ = r.Close()
		}
		return nil, errors.Join(err, rerr)
	}
	if err != nil {
		return nil, err
	}
	err = readCondition(q.Header, o)
	s := &stream{r: r}
	if err == nil {
		var part span
		part, err = describe(out, q, b, o)
		s.off, s.n = part.off, part.n
	}
	if err != nil {
		s.close()
		return out, err
	}
	out.object = s
	return out, nil
}

// describe sets the headers of a version, or of the part of it that the request asks for.
func describe(out *response, q *request, b objstore.Bucket, o objstore.Object) (span, error) {
	part, err := rangeOf(q.Header, o)
	if err != nil {
		return part, err
	}
	h := out.header
	h.Set("Accept-Ranges", "bytes")
	h.Set("Content-Length", strconv.FormatInt(part.n, 10))
	h.Set("Last-Modified", httpTime(o.LastModified))
	h.Set("ETag", quoted(o.ETag))
	h.Set("Content-Type", defaultType)
	if o.ContentType != "" {
		h.Set("Content-Type", o.ContentType)
	}
	if part.partial {
		out.status = http.StatusPartialContent
		h.Set("Content-Range", part.header(o.Size))
	}
	if b.Versioning != objstore.VersioningOff {
		h.Set(headerVersion, string(o.VersionID))
	}
	for name, value := range o.Metadata {
		h[strings.ToLower(metaPrefix)+name] = []string{headerText(value)} // as S3 spells it, which clients show
	}
	answerEncryption(h, o.Encryption)
	for _, name := range []string{"Cache-Control", "Content-Disposition", "Content-Encoding", "Content-Language", "Content-Type", "Expires"} {
		if v := q.query.Get("response-" + strings.ToLower(name)); v != "" {
			h.Set(name, v)
		}
	}
	return part, nil
}

// version is the version that a request names.
func (q *request) version() (objstore.VersionID, error) {
	v := q.query.Get("versionId")
	if v == "" && q.query.Has("versionId") {
		return "", argument("versionId", "", "Version id cannot be the empty string")
	}
	return objstore.VersionID(v), nil
}

// answerVersion names the version that a write made. In a suspended bucket S3 does not.
func answerVersion(h http.Header, b objstore.Bucket, o objstore.Object) {
	if b.Versioning == objstore.VersioningEnabled {
		h.Set(headerVersion, string(o.VersionID))
	}
}

// deleteObject removes a key's current version as the bucket's versioning has it, or one version for good.
func deleteObject(h *Handler, q *request) (*response, error) {
	v, err := q.version()
	if err != nil {
		return nil, err
	}
	c, err := condition(q.Header)
	if err != nil {
		return nil, err
	}
	gone, err := h.remove(q.Context(), q.bucket, q.key, v, c)
	if err != nil {
		return nil, err
	}
	if err := h.Store.Sync(context.WithoutCancel(q.Context())); err != nil {
		return nil, err
	}
	out := &response{status: http.StatusNoContent, header: http.Header{}}
	if gone.marker {
		out.header.Set("x-amz-delete-marker", "true")
	}
	if gone.version != "" {
		out.header.Set(headerVersion, string(gone.version))
	}
	return out, nil
}

// removed says what a deletion made or removed. version is empty where the bucket has no versions.
type removed struct {
	version objstore.VersionID
	marker  bool
}

// remove deletes; the caller makes it durable. A version that does not exist is no error, as with S3: it is gone.
func (h *Handler) remove(ctx context.Context, bucket, key string, v objstore.VersionID, c objstore.Condition) (removed, error) {
	b, err := h.Store.HeadBucket(ctx, bucket)
	if err != nil {
		return removed{}, err
	}
	done := h.Watch(ctx, bucket, key)
	o, err := h.Store.DeleteObject(ctx, bucket, key, v, c)
	done()
	if v != "" && (errors.Is(err, objstore.NoSuchVersion) || errors.Is(err, objstore.NoSuchKey)) && c == (objstore.Condition{}) {
		return removed{version: v}, nil
	}
	u := kms.ObjectUse{Operation: kms.OpDeleteObject, Bucket: bucket, Key: key, VersionID: string(o.VersionID)}
	if rerr := record(ctx, h.Writes, u, err); rerr != nil || err != nil {
		return removed{}, errors.Join(err, rerr)
	}
	if v != "" {
		return removed{version: v, marker: o.DeleteMarker}, nil
	}
	if b.Versioning == objstore.VersioningOff {
		return removed{}, nil
	}
	return removed{version: o.VersionID, marker: o.DeleteMarker}, nil
}
