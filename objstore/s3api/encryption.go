package s3api

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"

	"kmsfs/kms"
	"kmsfs/objstore"
)

// The headers of server-side encryption.
const (
	headerSSE       = "x-amz-server-side-encryption"
	headerKeyID     = "x-amz-server-side-encryption-aws-kms-key-id"
	headerContext   = "x-amz-server-side-encryption-context"
	headerBucketKey = "x-amz-server-side-encryption-bucket-key-enabled"
	prefixCustomer  = "x-amz-server-side-encryption-customer-"
	prefixSourceKey = "x-amz-copy-source-server-side-encryption-customer-"
)

const (
	textNeedsKMS = "Server Side Encryption with AWS KMS managed key requires HTTP header x-amz-server-side-encryption : aws:kms"
	textContext  = "The header 'x-amz-server-side-encryption-context' shall be Base64-encoded UTF-8 string holding JSON which represents a string-string map"
)

// has reports whether a header is there, empty or not, or one whose name begins like that where name ends with "-".
func has(h http.Header, name string) bool {
	if !strings.HasSuffix(name, "-") {
		return len(h.Values(name)) > 0
	}
	for n := range h {
		if strings.HasPrefix(strings.ToLower(n), name) {
			return true
		}
	}
	return false
}

// selection is the encryption that a write asks for; nil asks for the default of b.
//
// The order of errors is that of AWS as far as it is known: SSE-C, algorithm, what needs KMS, context. A request that says aws:kms
// and names no key gets the default key of S3 (alias/aws/s3), also when the bucket's default is another.
func selection(h http.Header, b objstore.Bucket) (*objstore.Encryption, error) {
	if err := refuseCustomerKeys(h); err != nil {
		return nil, err
	}
	alg, given := objstore.Algorithm(h.Get(headerSSE)), has(h, headerSSE)
	if given && alg != objstore.AES256 && alg != objstore.KMS && alg != objstore.DSSE {
		return nil, argument(headerSSE, string(alg), "The encryption method specified is not supported")
	}
	underKMS := alg == objstore.KMS || alg == objstore.DSSE
	for _, name := range []string{headerKeyID, headerContext} {
		if has(h, name) && !underKMS {
			return nil, argument(name, h.Get(name), textNeedsKMS)
		}
	}
	pairs, err := encryptionContext(h)
	if err != nil {
		return nil, err
	}
	bucketKey, switched, err := bucketKeySwitch(h)
	if err != nil {
		return nil, err
	}
	if !switched {
		bucketKey = b.Default.BucketKey
	}
	switch {
	case !given && !switched, !given && b.Default.Algorithm == objstore.AES256:
		return nil, nil
	case !given:
		enc := b.Default
		enc.BucketKey = bucketKey
		return &enc, nil
	case !underKMS:
		return &objstore.Encryption{Algorithm: alg}, nil
	}
	if has(h, headerKeyID) && h.Get(headerKeyID) == "" {
		return nil, kms.Errorf(kms.NotFoundException, "Invalid keyId ''")
	}
	return &objstore.Encryption{Algorithm: alg, KeyID: h.Get(headerKeyID), Context: pairs, BucketKey: bucketKey && alg == objstore.KMS}, nil
}

func refuseCustomerKeys(h http.Header) error {
	if !has(h, prefixCustomer) {
		return nil
	}
	if has(h, headerSSE) {
		return argument(headerSSE, h.Get(headerSSE), "Server Side Encryption with Customer provided key is incompatible with the encryption method specified")
	}
	return notHere(prefixCustomer+"algorithm", "Encryption with customer provided keys (SSE-C) is not implemented.")
}

// encryptionContext reads the client's pairs; nil when it sends none.
func encryptionContext(h http.Header) (map[string]string, error) {
	if !has(h, headerContext) {
		return nil, nil
	}
	text := h.Get(headerContext)
	raw, err := base64.StdEncoding.Strict().DecodeString(text)
	if err == nil && len(raw) > kms.MaxContextSize {
		return nil, argument(headerContext, text, fmt.Sprintf("The encryption context has %d bytes; the limit is %d.", len(raw), kms.MaxContextSize))
	}
	if err != nil || !strings.HasPrefix(strings.TrimSpace(string(raw)), "{") {
		return nil, argument(headerContext, text, textContext)
	}
	pairs, err := kms.ParseContext(string(raw))
	if err != nil {
		return nil, argument(headerContext, text, textContext)
	}
	return pairs, nil
}

func bucketKeySwitch(h http.Header) (on, given bool, err error) {
	if !has(h, headerBucketKey) {
		return false, false, nil
	}
	switch v := h.Get(headerBucketKey); strings.ToLower(v) {
	case "true":
		return true, true, nil
	case "false":
		return false, true, nil
	default:
		return false, true, argument(headerBucketKey, v, "The value of "+headerBucketKey+" must be true or false.")
	}
}

// readHeaders refuses headers of encryption on a read: a client that sends them thinks that they choose something.
func readHeaders(h http.Header) error {
	for _, name := range []string{headerSSE, headerKeyID, headerContext, headerBucketKey} {
		if has(h, name) {
			return argument(name, h.Get(name), name+" header is not supported for this operation.")
		}
	}
	if has(h, prefixCustomer) {
		return refuse(invalidRequest, "The encryption parameters are not applicable to this object.")
	}
	return nil
}

// answerEncryption says how a version is encrypted: the key as ARN, the bucket key only where there is one.
func answerEncryption(h http.Header, e objstore.Encryption) {
	h.Set(headerSSE, string(e.Algorithm))
	if e.KeyID != "" {
		h.Set(headerKeyID, e.KeyID)
	}
	if e.BucketKey {
		h.Set(headerBucketKey, "true")
	}
}

// answerContext repeats the context of a write as it was sent.
func answerContext(to, from http.Header) {
	if has(from, headerContext) {
		to.Set(headerContext, from.Get(headerContext))
	}
}
