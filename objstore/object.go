package objstore

import (
	"maps"
	"time"
)

// Algorithm is the value of x-amz-server-side-encryption.
type Algorithm string

// The algorithms of server-side encryption.
const (
	AES256 Algorithm = "AES256"       // SSE-S3: data key wrapped by a key that the service owns
	KMS    Algorithm = "aws:kms"      // SSE-KMS
	DSSE   Algorithm = "aws:kms:dsse" // two independent layers, both under the KMS key
)

// Encryption is a full choice of settings for one version.
//
// In a request KeyID has any form that KMS takes (key id, key ARN, alias name,
// alias ARN; empty: the managed key alias/aws/s3). In stored settings it is the key ARN.
type Encryption struct {
	Algorithm Algorithm
	KeyID     string
	Context   map[string]string // the client's pairs, without the aws:s3:arn that the service adds
	BucketKey bool
}

// Equal reports whether both ask for the same; KeyID is compared as it stands.
func (e Encryption) Equal(o Encryption) bool {
	return e.Algorithm == o.Algorithm && e.KeyID == o.KeyID && e.BucketKey == o.BucketKey && maps.Equal(e.Context, o.Context)
}

// VersionID names one version of a key. The zero value means the current one.
// NullVersion is the id of a version made while versioning was not enabled.
type VersionID string

// NullVersion is S3's name of the version that an unversioned or suspended bucket writes.
const NullVersion VersionID = "null"

// Versioning is the state of a bucket: "" (never enabled), Enabled or Suspended.
type Versioning string

const (
	VersioningOff       Versioning = ""
	VersioningEnabled   Versioning = "Enabled"
	VersioningSuspended Versioning = "Suspended"
)

// Bucket is what a bucket is set to.
type Bucket struct {
	Name             string
	Created          time.Time
	Versioning       Versioning
	ExpireNoncurrent time.Duration // age after which a noncurrent version is removed; 0: never
	// Default is the default encryption; Algorithm is never empty.
	Default Encryption
	Root    Ino // the directory that a mount of the bucket shows
}

// BucketUsage counts what a bucket holds.
type BucketUsage struct {
	Objects, Bytes           int64 // current versions
	Noncurrent, NoncurrBytes int64 // noncurrent versions, delete markers counted with 0 bytes
}

// Object describes one version of a key: what HEAD answers.
type Object struct {
	Key          string
	VersionID    VersionID
	IsLatest     bool
	DeleteMarker bool
	Size         int64
	ETag         string // without quotes
	LastModified time.Time
	// Encryption is the stored settings; KeyID is a key ARN, empty for AES256.
	Encryption  Encryption
	ContentType string
	// Metadata is the user metadata (x-amz-meta-NAME without the prefix, lower case), including
	// the names that s3fs uses for POSIX attributes: mode, uid, gid, mtime.
	Metadata map[string]string
}

// Condition is a precondition on the current version of a key, checked atomically with the write.
// IfMatch: its ETag must be this. IfNoneMatch: "*", the key must not exist.
type Condition struct{ IfMatch, IfNoneMatch string }

// Listing is one page of keys. Where Truncated, Next continues it.
type Listing struct {
	Objects        []Object
	CommonPrefixes []string
	Truncated      bool
	Next           string    // start-after for the next page: a key or common prefix
	NextVersion    VersionID // version listings: the version within Next
}
