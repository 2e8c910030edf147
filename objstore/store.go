package objstore

import (
	"context"
	"io"
	"time"
)

// Store has S3's verbs. Methods may be called concurrently. Errors wrap a [Code] of this package,
// or a code of the key service when the KMS refuses.
//
// Who calls is in ctx (kms.WithCaller): every use of a KMS key is decided and audited for that caller.
type Store interface {
	// CreateBucket makes an empty bucket whose default encryption is b.Default, or AES256.
	// Errors: InvalidBucketName, BucketAlreadyOwnedByYou.
	CreateBucket(ctx context.Context, b Bucket) (Bucket, error)
	// HeadBucket answers NoSuchBucket when there is none.
	HeadBucket(ctx context.Context, name string) (Bucket, error)
	ListBuckets(ctx context.Context) ([]Bucket, error)
	// UpdateBucket applies change to the bucket's settings atomically. Name, Created and Root do not change.
	// Versioning once enabled can only be suspended (InvalidArgument otherwise).
	UpdateBucket(ctx context.Context, name string, change func(*Bucket) error) (Bucket, error)
	// DeleteBucket answers BucketNotEmpty while any version, delete marker or directory is left.
	DeleteBucket(ctx context.Context, name string) error
	Usage(ctx context.Context, bucket string) (BucketUsage, error)

	// PutObject makes r's bytes the current version of key. Nothing is visible until all bytes are stored;
	// an error, also from r, leaves the key as it was. A cancelled ctx is an error.
	PutObject(ctx context.Context, in PutInput) (Object, error)
	// GetObject opens a version for reading; the key service is asked before it returns.
	// Errors: NoSuchKey, NoSuchVersion, MethodNotAllowed for a delete marker.
	GetObject(ctx context.Context, bucket, key string, v VersionID) (Object, Reader, error)
	// HeadObject needs no KMS key.
	HeadObject(ctx context.Context, bucket, key string, v VersionID) (Object, error)
	// DeleteObject without a version: in a versioned bucket a delete marker becomes current, in a suspended one
	// the null version is replaced by a null delete marker, in an unversioned one the object is removed; a missing
	// key is no error. With a version: that version is removed for good. The answer tells what was made or removed.
	DeleteObject(ctx context.Context, bucket, key string, v VersionID, c Condition) (Object, error)
	// CopyObject reads a version and writes it as the current version of another key, or of the same.
	// Chunks are shared where the settings are the same.
	CopyObject(ctx context.Context, in CopyInput) (Object, error)
	// ListObjects lists current versions in ascending order of UTF-8 key bytes, after after, under prefix. With a
	// delimiter, keys that share the part up to its first occurrence after prefix are rolled up as one common prefix.
	ListObjects(ctx context.Context, bucket string, in ListInput) (Listing, error)
	// ListVersions lists all versions and delete markers by key, newest first within a key.
	ListVersions(ctx context.Context, bucket string, in ListInput) (Listing, error)

	// Sync returns when everything acknowledged before survives power loss.
	Sync(ctx context.Context) error
	Close() error
}

// PutInput is one PutObject. With a nil Encryption the bucket's default applies.
type PutInput struct {
	Bucket, Key string
	Body        io.Reader
	Encryption  *Encryption
	ContentType string
	Metadata    map[string]string // at most 2 KiB of names and values: MetadataTooLarge
	Condition   Condition
}

// CopyInput is one CopyObject. With a nil Metadata the source's is kept.
type CopyInput struct {
	SrcBucket, SrcKey string
	SrcVersion        VersionID
	Bucket, Key       string
	Encryption        *Encryption
	ContentType       string
	Metadata          map[string]string
	Condition         Condition
}

// ListInput selects a page. Limit 0 means 1000.
type ListInput struct {
	Prefix, Delimiter string
	After             string
	AfterVersion      VersionID // ListVersions: continue behind this version of After
	Limit             int
}

// Reader reads one version; it stays readable while the version is replaced or removed.
type Reader interface {
	io.ReaderAt
	io.Closer
	Size() int64
}

// Maintainer is the capability of a store that keeps its own disk space and can be checked.
type Maintainer interface {
	// Check reads every record and every chunk. It reports each damage through found and goes on.
	// Chunks whose key the KMS refuses are counted as unread, not as damage.
	Check(ctx context.Context, progress func(done, total int64), found func(Damage)) (CheckReport, error)
	// GC removes expired versions and unreferenced content and gives the space back to the disk.
	GC(ctx context.Context, now time.Time) (GCReport, error)
	// Space is the size of the disk that the store lies on and what is free for new data, in bytes.
	Space() (total, free int64, err error)
}

// Damage is one thing that Check found.
type Damage struct {
	Bucket, Key string // the object that suffers, where it could be told
	VersionID   VersionID
	What        string // in words: which part, what is lost
}

// Repairer is the capability of a store that can mend its own records.
type Repairer interface {
	// Repair makes a damaged store usable: what is whole is reachable by a name again, and what is lost can be deleted. It
	// touches nothing that is whole, and a second run finds nothing to do. It reports each thing it did through mended;
	// content that is lost stays for Check to find. progress counts records.
	Repair(ctx context.Context, progress func(done, total int64), mended func(Mending)) (RepairReport, error)
}

// Snapshotter is the capability of a store that can be backed up while it is used. A backup is one moment: every version, key
// record, user and setting of it, and what of open files was fsynced. It is as unreadable as the store. progress counts bytes.
type Snapshotter interface {
	// BackupTo adds a backup to the repository in dir, which it makes if need be; what the repository has is neither read nor
	// written again. Only the newest keep backups stay, 0 being no bound. After an error, earlier ones are as before.
	BackupTo(ctx context.Context, dir string, keep int, progress func(done, total int64)) (BackupReport, error)
	// BackupStream writes a backup that needs no other. The caller makes w durable.
	BackupStream(ctx context.Context, w io.Writer, progress func(done, total int64)) (BackupReport, error)
}

// BackupReport describes a backup.
type BackupReport struct {
	Point   string // its name in the repository
	Created time.Time
	Records int64
	Size    int64    // bytes that a restore reads
	Added   int64    // bytes that were written for it
	Lost    int64    // records and chunks that could not be read: they are not in it
	Damaged []string // files of the repository that could not be read; what they held was stored anew
}

// Mending is one thing that Repair did.
type Mending struct {
	Damage
	Lost bool // something is gone for good: What says what
}

// RepairReport counts what Repair did.
type RepairReport struct{ Mended, Lost int64 }

// CheckReport counts what Check read.
type CheckReport struct {
	Records, Objects, Versions, Chunks, Bytes int64
	Unread                                    int64 // versions whose KMS key refused
	Healed                                    int64 // files of the metadata database restored from their second copy
	Damaged                                   int64
}

// GCReport counts what GC removed.
type GCReport struct{ Versions, Contents, Bytes int64 }
