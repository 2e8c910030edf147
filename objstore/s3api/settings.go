package s3api

import (
	"net/http"

	"kmsfs/objstore"
)

type encryptionConfiguration struct {
	XMLName struct{}         `xml:"ServerSideEncryptionConfiguration"`
	Xmlns   string           `xml:"xmlns,attr"`
	Rules   []encryptionRule `xml:"Rule"`
}

type encryptionRule struct {
	Default   *defaultEncryption `xml:"ApplyServerSideEncryptionByDefault"`
	BucketKey bool               `xml:"BucketKeyEnabled"`
	Blocked   *blockedTypes      `xml:"BlockedEncryptionTypes"`
}

type defaultEncryption struct {
	Algorithm string `xml:"SSEAlgorithm"`
	KeyID     string `xml:"KMSMasterKeyID,omitempty"`
}

// blockedTypes is read and not kept: SSE-C is never possible here, blocked or not.
type blockedTypes struct {
	Types []string `xml:"EncryptionType"`
}

const xmlns = "http://s3.amazonaws.com/doc/2006-03-01/"

// getBucketEncryption answers the default, with the key id as it was set. There always is one: AES256 where nobody set any.
func getBucketEncryption(h *Handler, q *request) (*response, error) {
	b, err := h.Store.HeadBucket(q.Context(), q.bucket)
	if err != nil {
		return nil, err
	}
	d := &defaultEncryption{Algorithm: string(b.Default.Algorithm), KeyID: b.Default.KeyID}
	return &response{xml: encryptionConfiguration{Xmlns: xmlns, Rules: []encryptionRule{{Default: d, BucketKey: b.Default.BucketKey}}}}, nil
}

// putBucketEncryption sets the default for what is written from now on. The key is looked for when it is used.
func putBucketEncryption(h *Handler, q *request) (*response, error) {
	if _, err := h.Store.HeadBucket(q.Context(), q.bucket); err != nil { // before the document is looked at
		return nil, err
	}
	var c encryptionConfiguration
	if err := q.document(&c); err != nil {
		return nil, err
	}
	enc, err := c.selection()
	if err != nil {
		return nil, err
	}
	return &response{}, h.setDefault(q, enc)
}

// selection is the one rule of a configuration.
func (c encryptionConfiguration) selection() (objstore.Encryption, error) {
	enc := objstore.Encryption{Algorithm: objstore.AES256}
	if len(c.Rules) != 1 {
		return enc, refuse(malformedXML, "")
	}
	r := c.Rules[0]
	if r.Default == nil {
		if r.Blocked == nil {
			return enc, refuse(malformedXML, "")
		}
		return enc, nil
	}
	enc = objstore.Encryption{Algorithm: objstore.Algorithm(r.Default.Algorithm), KeyID: r.Default.KeyID, BucketKey: r.BucketKey}
	switch enc.Algorithm {
	case objstore.KMS, objstore.DSSE:
	case objstore.AES256:
		if enc.KeyID != "" {
			return enc, refuse(invalidArgument, "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or aws:kms:dsse",
				pair{"ArgumentName", "ApplyServerSideEncryptionByDefault"})
		}
	default:
		return enc, refuse(malformedXML, "")
	}
	return enc, nil
}

// deleteBucketEncryption sets the default back to SSE-S3.
func deleteBucketEncryption(h *Handler, q *request) (*response, error) {
	return &response{status: http.StatusNoContent}, h.setDefault(q, objstore.Encryption{Algorithm: objstore.AES256})
}

func (h *Handler) setDefault(q *request, enc objstore.Encryption) error {
	return h.update(q, func(b *objstore.Bucket) { b.Default = enc })
}

func (h *Handler) update(q *request, change func(*objstore.Bucket)) error {
	_, err := h.Store.UpdateBucket(q.Context(), q.bucket, func(b *objstore.Bucket) error {
		change(b)
		return nil
	})
	if err != nil {
		return err
	}
	return h.bucketChanged(q)
}

type versioningConfiguration struct {
	XMLName   struct{} `xml:"VersioningConfiguration"`
	Xmlns     string   `xml:"xmlns,attr"`
	Status    string   `xml:",omitempty"`
	MfaDelete string   `xml:",omitempty"`
}

// getBucketVersioning answers an empty document for a bucket that never had versions.
func getBucketVersioning(h *Handler, q *request) (*response, error) {
	b, err := h.Store.HeadBucket(q.Context(), q.bucket)
	if err != nil {
		return nil, err
	}
	return &response{xml: versioningConfiguration{Xmlns: xmlns, Status: string(b.Versioning)}}, nil
}

func putBucketVersioning(h *Handler, q *request) (*response, error) {
	if _, err := h.Store.HeadBucket(q.Context(), q.bucket); err != nil {
		return nil, err
	}
	var c versioningConfiguration
	if err := q.document(&c); err != nil {
		return nil, err
	}
	v := objstore.Versioning(c.Status)
	switch {
	case c.MfaDelete != "" && c.MfaDelete != "Disabled":
		return nil, refuse(notImplemented, "MFA delete is not implemented.")
	case c.Status == "":
		return nil, refuse(illegalVersioning, "")
	case v != objstore.VersioningEnabled && v != objstore.VersioningSuspended:
		return nil, refuse(malformedXML, "")
	}
	return &response{}, h.update(q, func(b *objstore.Bucket) { b.Versioning = v })
}
