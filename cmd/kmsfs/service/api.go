package service

import (
	"context"
	"time"

	"kmsfs/kms"
	"kmsfs/objstore"
)

// Progress takes events of a long call; it may be nil and is never called concurrently.
type Progress func(Event)

// Event says how far a long call is.
type Event struct {
	Done, Total int64      `json:",omitempty"` // in the verb's unit (files or bytes); Total 0: not known
	Path        string     `json:",omitempty"` // what Error or Text is about, as bucket/key
	Error       string     `json:",omitempty"` // Path failed, and the call goes on
	Cause       *WireError `json:",omitempty"` // of Error, with its codes, where it has any
	Text        string     `json:",omitempty"` // a line for the reader
}

// API has one method per verb. Errors wrap a code of this package, of kms or of objstore.
type API interface {
	Status(context.Context, StatusRequest) (Status, error)

	// Mount answers when the mount serves requests. Only a daemon can mount ([NotDaemon]).
	Mount(context.Context, MountRequest) (Mount, error)
	// Umount answers when all is durable and, after the last mount, the store is closed.
	// While it is in use nothing happens: [Busy], with the processes named.
	Umount(context.Context, UmountRequest) (UmountAnswer, error)

	// Serve opens doors, all that are asked for or none. Only a daemon can ([NotDaemon]). Errors: [BadDoor].
	Serve(context.Context, ServeRequest) ([]Door, error)
	// ServeStop closes all doors; without a mount the daemon ends. Errors: [NoDoor].
	ServeStop(context.Context, Nothing) (ServeStopped, error)
	UserCreate(context.Context, UserName) (Credentials, error)
	UserList(context.Context, Nothing) ([]DoorUser, error)
	UserRemove(context.Context, UserName) (Nothing, error)
	// UserCredentials without a name is about the only user there is.
	UserCredentials(context.Context, UserName) (Credentials, error)

	BucketCreate(context.Context, BucketSettings) (Bucket, error)
	BucketSet(context.Context, BucketSettings) (Bucket, error)
	BucketList(context.Context, Nothing) ([]Bucket, error)
	BucketShow(context.Context, BucketName) (Bucket, error)
	BucketRemove(context.Context, BucketName) (Nothing, error)

	KeyCreate(context.Context, KeyCreateRequest) (Key, error)
	KeyList(context.Context, Nothing) ([]Key, error)
	KeyDescribe(context.Context, KeyID) (Key, error)
	KeyEnable(context.Context, KeyID) (Key, error)
	KeyDisable(context.Context, KeyID) (KeyStopped, error)
	KeyRotate(context.Context, KeyID) (Key, error)
	// KeyUse counts what becomes unreadable for ever with the key.
	KeyUse(context.Context, KeyID) (objstore.KeyUse, error)
	// KeyScheduleDeletion refuses with [WouldLose] when the caller does not know what is lost.
	KeyScheduleDeletion(context.Context, KeyDeletionRequest) (KeyStopped, error)
	KeyCancelDeletion(context.Context, KeyID) (Key, error)
	// KeyCertificate is about a key that was destroyed. Errors: [Unsupported], [BadRequest] for one that was not.
	KeyCertificate(context.Context, KeyID) (kms.Certificate, error)
	KeyPolicy(context.Context, KeyPolicyRequest) (KeyPolicy, error)
	KeyPolicySet(context.Context, KeyPolicy) (KeyPolicy, error)
	KeyTags(context.Context, KeyTagRequest) ([]kms.Tag, error)
	KeyRotation(context.Context, KeyRotationRequest) (KeyRotation, error)
	GrantCreate(context.Context, GrantRequest) (kms.GrantRef, error)
	GrantList(context.Context, KeyID) ([]kms.Grant, error)
	GrantRevoke(context.Context, GrantName) (Nothing, error)
	GrantRetire(context.Context, GrantName) (Nothing, error)
	AliasList(context.Context, Nothing) ([]Alias, error)
	// AliasSet makes the alias or points an existing one to another key.
	AliasSet(context.Context, Alias) (Alias, error)
	AliasRemove(context.Context, AliasName) (Nothing, error)

	Versions(context.Context, Object) ([]Version, error)
	Restore(context.Context, RestoreRequest) (Version, error)
	Explain(context.Context, Object) (Explanation, error)
	// Reencrypt and Rewrap go on past a file that fails; the answer counts such files.
	Reencrypt(context.Context, TreeRequest, Progress) (TreeAnswer, error)
	Rewrap(context.Context, TreeRequest, Progress) (TreeAnswer, error)

	Check(context.Context, CheckRequest, Progress) (CheckAnswer, error)
	GC(context.Context, Nothing) (GCAnswer, error)
	// Backup writes one moment of the store. Errors: [Busy], [BadRequest], [NewerFormat], [OlderFormat], [WrongRootKey], [DamagedBackup].
	Backup(context.Context, BackupRequest, Progress) (BackupAnswer, error)
}

// Nothing is the request or the answer of a verb that has none.
type Nothing struct{}

// StatusRequest asks for the status; without Usage nothing is counted.
type StatusRequest struct{ Usage bool }

// Status describes the store and the process that owns it.
type Status struct {
	PID      int       `json:"pid"` // of the daemon; 0 when none runs
	Store    string    `json:"store"`
	Version  string    `json:"version"`
	Started  time.Time `json:"started,omitzero"`
	Mounts   []Mount   `json:"mounts"`
	Doors    []Door    `json:"doors"`
	KMSCalls int64     `json:"kms_calls"` // calls of the KMS provider since the start
	// Throttled is who was over a quota of this service since the start.
	Throttled  []kms.Throttled `json:"throttled,omitempty"`
	Buckets    int             `json:"buckets"`
	Objects    int64           `json:"objects"` // current versions
	Bytes      int64           `json:"bytes"`
	Noncurrent int64           `json:"noncurrent_versions"`
	OldBytes   int64           `json:"noncurrent_bytes"`
	DiskTotal  int64           `json:"disk_total"`
	DiskFree   int64           `json:"disk_free"`
	// Provider is where the keys are, and how it is.
	Provider KeyProvider `json:"kms_provider"`
}

// MountOptions are the options of one mount that concern the file system.
type MountOptions struct {
	ReadOnly       bool    `json:"ro,omitempty"`
	AllowOther     bool    `json:"allow_other,omitempty"`
	NonEmpty       bool    `json:"nonempty,omitempty"`
	Permissions    bool    `json:"default_permissions,omitempty"` // checked also where only root may enter
	Suid           bool    `json:"suid,omitempty"`
	Dev            bool    `json:"dev,omitempty"`
	NoExec         bool    `json:"noexec,omitempty"`
	ReencryptOnSet bool    `json:"reencrypt_on_set,omitempty"`
	UID            *uint32 `json:"uid,omitempty"`
	GID            *uint32 `json:"gid,omitempty"`
	Umask          *uint32 `json:"umask,omitempty"`
}

// MountRequest asks for a mount of Bucket, or of all buckets as directories when it is empty, on Dir, an
// absolute path without symbolic links. A Bucket that does not exist is made, with New.
type MountRequest struct {
	Bucket  string
	Dir     string
	Options MountOptions
	New     BucketSettings
}

// Mount is a mount that the daemon serves.
type Mount struct {
	Dir     string       `json:"dir"`
	Bucket  string       `json:"bucket"` // empty: all buckets
	Since   time.Time    `json:"since"`
	Options MountOptions `json:"options"`
}

// UmountRequest names the mount point.
type UmountRequest struct{ Dir string }

// UmountAnswer says whether the daemon ends, now that its last mount is gone.
type UmountAnswer struct{ Last bool }

// BucketName names a bucket.
type BucketName struct{ Name string }

// BucketSettings are a bucket's name and settings; what is nil or empty is not changed.
type BucketSettings struct {
	Name             string
	Versioning       objstore.Versioning
	ExpireNoncurrent *time.Duration
	SSE              string
	KeyID            string
	BucketKey        *bool
}

// Bucket is a bucket and, where it was counted, what it holds.
type Bucket struct {
	Name       string        `json:"name"`
	Created    time.Time     `json:"created"`
	Versioning string        `json:"versioning"`           // off, enabled, suspended
	Expire     time.Duration `json:"expire_noncurrent_ns"` // 0: never
	Default    Settings      `json:"default"`
	Usage      *Usage        `json:"usage,omitempty"`
}

// Usage counts what a bucket holds.
type Usage struct {
	Objects    int64 `json:"objects"` // current versions
	Bytes      int64 `json:"bytes"`
	Noncurrent int64 `json:"noncurrent_versions"` // delete markers among them
	OldBytes   int64 `json:"noncurrent_bytes"`
}

// KeyID names a KMS key in any form: key id, key ARN, alias name, alias ARN.
type KeyID struct{ ID string }

// KeyCreateRequest asks for a symmetric key, with an alias when one is given.
type KeyCreateRequest struct{ Alias, Description string }

// KeyDeletionRequest schedules a deletion in Days (7 to 30). WillLose is how many versions the caller knows to be lost.
type KeyDeletionRequest struct {
	ID       string
	Days     int
	WillLose int64
}

// Key is a KMS key with its aliases.
type Key struct {
	ID           string       `json:"id"`
	ARN          string       `json:"arn"`
	Aliases      []string     `json:"aliases"`
	State        kms.KeyState `json:"state"`
	Created      time.Time    `json:"created"`
	Description  string       `json:"description"`
	DeletionDate time.Time    `json:"deletion_date,omitzero"`
	Usage        string       `json:"usage"`
	Spec         string       `json:"spec"`
	Origin       string       `json:"origin"`
	Manager      string       `json:"manager"`
	MaterialID   string       `json:"material_id"` // of the material that encrypts now
}

// KeyStopped is a key that can no longer be used, and what of its use goes on all the same. Files that are open keep their
// data key until they are closed.
type KeyStopped struct {
	Key
	// BucketKeysDropped: this process uses none of its bucket-level keys any more, whatever their lifetime is.
	BucketKeysDropped bool `json:"bucket_keys_dropped"`
	// BucketKeyLifetime is how long a bucket-level key is used without asking the KMS, where it is not dropped: by whoever else
	// uses a Shared key.
	BucketKeyLifetime time.Duration `json:"bucket_key_lifetime_ns"`
	Shared            bool          `json:"shared"` // the key is in another key service, which others use as well
}

// Alias points to a key; Target is a key id, in requests any form of one.
type Alias struct {
	Name   string `json:"alias"`
	Target string `json:"key"`
}

// AliasName names an alias.
type AliasName struct{ Name string }

// Object names an object or a directory: the key as S3 has it, "" for the bucket itself.
type Object struct{ Bucket, Key string }

func (o Object) String() string { return o.Bucket + "/" + o.Key }

// Version is one version of an object, or a delete marker.
type Version struct {
	ID           objstore.VersionID `json:"version"`
	Current      bool               `json:"current"`
	DeleteMarker bool               `json:"delete_marker"`
	Size         int64              `json:"size"`
	Modified     time.Time          `json:"modified"`
	ETag         string             `json:"etag"`
	Stored       Settings           `json:"stored"`
}

// RestoreRequest makes a version of an object the current one.
type RestoreRequest struct {
	Object
	Version objstore.VersionID
}

// TreeRequest asks for work on objects and, with Recursive, on all under those that are directories.
type TreeRequest struct {
	Objects   []Object
	Recursive bool
	DryRun    bool // count only
	All       bool // Reencrypt, in directories: also files that are stored as selected
}

// TreeAnswer counts the files of a TreeRequest; with DryRun what would be done.
type TreeAnswer struct {
	Files    int64 `json:"files"`     // done
	Bytes    int64 `json:"bytes"`     // of the files done
	Skipped  int64 `json:"skipped"`   // stored as selected already, or never written
	Failed   int64 `json:"failed"`    // each was an event
	KMSCalls int64 `json:"kms_calls"` // of the provider; with DryRun an upper bound
	DryRun   bool  `json:"dry_run,omitempty"`
}

// Explanation says how an object is encrypted and why.
type Explanation struct {
	Bucket    string    `json:"bucket"`
	Key       string    `json:"key"`
	Directory bool      `json:"directory,omitempty"`
	Selected  Settings  `json:"selected"`
	Why       []Reason  `json:"why"`                 // one per setting, in the order sse, key, context, bucket key
	Stored    *Settings `json:"stored,omitempty"`    // nil: a directory, or nothing was written yet
	Version   string    `json:"version,omitempty"`   // the current version's id
	Since     time.Time `json:"since,omitzero"`      // when that version was made
	Pending   bool      `json:"pending"`             // Selected and Stored differ
	KeyState  string    `json:"key_state,omitempty"` // of the stored key, or of the selected one
	Aliases   []string  `json:"aliases,omitempty"`   // of that key
	Error     string    `json:"error,omitempty"`     // why the selection cannot be used now
	LastError string    `json:"last_error,omitempty"`
}

// Settings are the four attributes, resolved.
type Settings struct {
	SSE       string            `json:"sse"`
	KeyID     string            `json:"kms_key_id,omitempty"`
	Context   map[string]string `json:"encryption_context,omitempty"`
	BucketKey bool              `json:"bucket_key"`
}

// String is settings on one line.
func (s Settings) String() string {
	out := s.SSE
	if s.KeyID != "" {
		out += " " + s.KeyID
	}
	if len(s.Context) > 0 {
		out += " " + string(kms.Context(s.Context).JSON())
	}
	if s.BucketKey {
		out += " (bucket key)"
	}
	return out
}

// Reason says where one setting of the selection comes from.
type Reason struct {
	Attribute string `json:"attribute"`
	Value     string `json:"value"`
	From      string `json:"from"` // file, directory, bucket or built-in
	Path      string `json:"path,omitempty"`
}

// CheckRequest asks for a check of every record and chunk.
type CheckRequest struct{ Repair bool }

// CheckAnswer is the outcome of a check.
type CheckAnswer struct {
	Records  int64    `json:"records"`
	Objects  int64    `json:"objects"`
	Versions int64    `json:"versions"`
	Chunks   int64    `json:"chunks"`
	Bytes    int64    `json:"bytes"`
	Unread   int64    `json:"unread"` // versions whose KMS key refused
	Healed   int64    `json:"healed"` // files of the metadata database restored from their second copy
	Damaged  int64    `json:"damaged"`
	Damage   []Damage `json:"damage"`

	Repairs []Mending `json:"repairs,omitempty"` // with Repair: what was done before the check
	Lost    int64     `json:"lost,omitempty"`    // of those: what is gone for good
}

// Damage is one thing that a check found.
type Damage struct {
	Bucket  string             `json:"bucket,omitempty"`
	Key     string             `json:"key,omitempty"`
	Version objstore.VersionID `json:"version,omitempty"`
	What    string             `json:"what"`
	Restore objstore.VersionID `json:"restore,omitempty"` // with Repair: the newest older version that is whole
}

// GCAnswer counts what a collection removed.
type GCAnswer struct {
	Versions int64 `json:"versions"`
	Contents int64 `json:"contents"`
	Bytes    int64 `json:"bytes"`
}
