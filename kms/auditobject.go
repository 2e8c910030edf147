package kms

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
)

// Operations on objects, as CloudTrail names the data events of S3.
const (
	OpGetObject    Operation = "GetObject"
	OpPutObject    Operation = "PutObject"
	OpCopyObject   Operation = "CopyObject"
	OpRenameObject Operation = "RenameObject"
	OpDeleteObject Operation = "DeleteObject"
)

// ObjectUse is one use of an object, refused ones included.
type ObjectUse struct {
	Operation   Operation
	Bucket, Key string
	// SourceBucket and SourceKey are of CopyObject and RenameObject; SourceBucket "" is the same bucket.
	SourceBucket, SourceKey string
	VersionID               string // that was read or made
	Algorithm               string // of server-side encryption; empty: not known
	KeyARN                  string // of the KMS key
	Inherited               bool   // the encryption is a default: the object itself selects none
	BytesIn                 int64  // of PutObject
	// Code is empty for success, else in S3's words. Message says why it was refused.
	Code, Message string
}

// RecordObject writes the record of a use that was made or refused by ctx's caller. When it fails the use must not be
// answered as done.
//
// Errors: [KMSInternalException].
func (s *Service) RecordObject(ctx context.Context, u ObjectUse) error {
	if s.audit == nil {
		return nil
	}
	e := Event{Time: s.now(), Caller: CallerFrom(ctx), Operation: u.Operation, Code: Code(u.Code), Message: u.Message, Object: &u}
	e.Caller.Principal = s.principals.of(e.Caller)
	e.Caller.Path = u.Bucket + "/" + u.Key
	if err := s.audit.Record(e); err != nil {
		return &Error{
			Code:    KMSInternalException,
			Message: fmt.Sprintf("the audit record of %s of %s could not be written", u.Operation, e.Caller.Path),
			Err:     err,
		}
	}
	return nil
}

// appendParameters appends the requestParameters of a data event.
func (u *ObjectUse) appendParameters(b []byte) []byte {
	b = append(b, `{"bucketName":`...)
	b = appendJSONString(b, u.Bucket)
	b = appendField(b, "key", u.Key)
	if u.SourceKey != "" {
		name := "x-amz-copy-source"
		if u.Operation == OpRenameObject {
			name = "x-amz-rename-source"
		}
		b = appendField(b, name, cmp.Or(u.SourceBucket, u.Bucket)+"/"+u.SourceKey)
	}
	if u.Operation == OpGetObject {
		b = appendField(b, "versionId", u.VersionID)
	}
	return append(b, '}')
}

// appendResponse appends the responseElements: S3's headers.
func (u *ObjectUse) appendResponse(b []byte) []byte {
	start := len(b)
	b = appendField(b, "x-amz-server-side-encryption", u.Algorithm)
	b = appendField(b, "x-amz-server-side-encryption-aws-kms-key-id", u.KeyARN)
	b = appendField(b, "x-amz-version-id", u.VersionID)
	if len(b) == start {
		return append(b, "null"...)
	}
	b[start] = '{' // in place of the first comma
	return append(b, '}')
}

func (u *ObjectUse) appendResources(b []byte, account string) []byte {
	b = append(b, `,"resources":[`...)
	if u.Key != "" {
		b = append(b, `{"type":"AWS::S3::Object","ARN":`...)
		b = append(appendJSONString(b, ObjectARN(u.Bucket, u.Key)), '}', ',')
	}
	b = append(b, `{"accountId":`...)
	b = appendJSONString(b, account)
	b = append(b, `,"type":"AWS::S3::Bucket","ARN":`...)
	return append(appendJSONString(b, BucketARN(u.Bucket)), '}', ']')
}

// appendAdditional appends what CloudTrail adds to the records of S3, each field with a comma behind it.
func (u *ObjectUse) appendAdditional(b []byte) []byte {
	if applied := u.applied(); applied != "" {
		b = append(append(append(b, `"SSEApplied":"`...), applied...), '"', ',')
	}
	if u.Operation == OpPutObject && u.Code == "" {
		b = append(strconv.AppendInt(append(b, `"bytesTransferredIn":`...), u.BytesIn, 10), ',')
	}
	return b
}

// applied is CloudTrail's SSEApplied of what was written. Its word for two layers is not documented.
func (u *ObjectUse) applied() string {
	if u.Operation == OpGetObject || u.Code != "" {
		return ""
	}
	kind := map[string]string{SSES3: "SSE_S3", SSEKMS: "SSE_KMS", SSEDSSE: "DSSE_KMS"}[u.Algorithm]
	if kind != "" && u.Inherited {
		return "Default_" + kind
	}
	return kind
}
