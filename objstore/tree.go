package objstore

import (
	"context"
	"time"
)

// ChunkSize is the unit of encryption: plaintext bytes of every chunk but the last of a file.
const ChunkSize = 4 << 10

// MaxName is the longest name of a directory entry, in bytes.
const MaxName = 255

// Ino is the stable number of a file or directory: unique in the store, never reused.
type Ino uint64

// Time is a point in time, wide enough for what utimensat(2) takes (time.Time's nanoseconds are not).
type Time struct {
	Sec  int64
	Nsec uint32
}

// Now is the present as a Time.
func Now() Time { return TimeOf(time.Now()) }

// TimeOf converts t.
func TimeOf(t time.Time) Time { return Time{t.Unix(), uint32(t.Nanosecond())} }

// Time converts back.
func (t Time) Time() time.Time { return time.Unix(t.Sec, int64(t.Nsec)) }

// Node is a file or directory as a mount sees it: an immutable snapshot, never to be written to.
type Node struct {
	Ino    Ino
	Bucket string
	// Parent and Name are the node's first link; a bucket's root has Parent 0. After the last unlink Nlink is 0.
	Parent Ino
	Name   string

	Mode                       uint32 // st_mode, with the type bits
	UID, GID                   uint32
	Nlink                      uint32 // of a directory: 2 + subdirectories
	Rdev                       uint32
	Size                       int64
	Atime, Mtime, Ctime, Btime Time
	Target                     string            // of a symbolic link
	Xattrs                     map[string][]byte // all that were set, the four encryption attributes among them

	// Of a regular file's current version:
	VersionID  VersionID
	ETag       string
	Stored     Encryption // Algorithm is "" while nothing has been written yet
	Allocated  int64      // bytes of content, holes not counted
	Noncurrent bool       // set on nodes of old versions: read-only
}

// NodeInit is what a new node starts with.
type NodeInit struct {
	Mode     uint32
	UID, GID uint32
	Rdev     uint32
	Target   string
	Xattrs   map[string][]byte
}

// AttrChange changes the fields that are not nil; Ctime is set to now when it is nil.
// Size is not here: it belongs to [File.Truncate].
type AttrChange struct {
	Mode, UID, GID             *uint32 // Mode: permission bits only
	Atime, Mtime, Ctime, Btime *Time
	// Xattr is for [Tree.SetAttr] only: what has to change in one step with the others.
	Xattr *XattrChange
}

// XattrChange sets one extended attribute, or removes it where Value is nil: then it need not be there.
type XattrChange struct {
	Name  string
	Value []byte
}

// XattrMode is setxattr(2)'s flags.
type XattrMode int

const (
	XattrSet XattrMode = iota
	XattrCreate
	XattrReplace
)

// RenameMode is renameat2(2)'s flags.
type RenameMode int

const (
	RenamePlain RenameMode = iota
	RenameNoReplace
	RenameExchange
)

// DirEntry is one name of a directory.
type DirEntry struct {
	Name string
	Ino  Ino
	Type uint32 // the type bits of st_mode
	Node *Node  // with ReadDir's plus
}

// Tree is the capability of a store that can be mounted: its keys as directories and files.
//
// A change returns when it survives the death of the process; [Tree.SyncTree] makes it survive power loss.
// A change to a directory sets its mtime and ctime. Permissions are the caller's business.
// Attribute and extended attribute changes make no version and move no data. Rename of an object whose data
// key is bound to its ARN asks the key service to wrap it for the new one before anything changes.
type Tree interface {
	// Node answers NoSuchNode for an inode that is gone. A node stays, with Nlink 0, while a File of it is open.
	Node(ctx context.Context, ino Ino) (*Node, error)
	// Lookup answers NoSuchNode, NotDirectory, NameTooLong.
	Lookup(ctx context.Context, parent Ino, name string) (*Node, error)
	// ReadDir returns up to limit entries behind the name after, in ascending order of names, "." and ".." not among
	// them. Fewer than limit means the end.
	ReadDir(ctx context.Context, dir Ino, after string, limit int, plus bool) ([]DirEntry, error)
	// Create makes a node of the kind in init.Mode. Errors: NodeExists, NoSuchNode (parent gone), NameTooLong.
	Create(ctx context.Context, parent Ino, name string, init NodeInit) (*Node, error)
	Link(ctx context.Context, ino, parent Ino, name string) (*Node, error)
	// Unlink removes a name that is not a directory (IsDirectory). In a versioned bucket the last version
	// becomes noncurrent under a delete marker.
	Unlink(ctx context.Context, parent Ino, name string) error
	// Rmdir removes an empty directory (NotEmpty, NotDirectory).
	Rmdir(ctx context.Context, parent Ino, name string) error
	// Rename is rename(2): atomic, also for whole directories and across a crash.
	Rename(ctx context.Context, parent Ino, name string, newParent Ino, newName string, mode RenameMode) error
	SetAttr(ctx context.Context, ino Ino, c AttrChange) (*Node, error)
	SetXattr(ctx context.Context, ino Ino, name string, value []byte, mode XattrMode) error
	RemoveXattr(ctx context.Context, ino Ino, name string) error
	// OpenFile opens a regular file: it unwraps the data key of the current version, if it has one, for the caller.
	OpenFile(ctx context.Context, ino Ino) (File, error)
	// OverwriteFile is OpenFile for who drops the content: the File has size 0, and Begin comes before anything else. No
	// data key is unwrapped.
	OverwriteFile(ctx context.Context, ino Ino) (File, error)
	// Rewrap wraps the data key of ino's current version anew under enc's key and context: no data moves, no version is made.
	Rewrap(ctx context.Context, ino Ino, enc Encryption) error
	// SyncTree is fsync(2) of a directory: all changes before it survive power loss.
	SyncTree(ctx context.Context) error

	// Versions lists the versions and delete markers of one name, newest first, the current one among them.
	Versions(ctx context.Context, parent Ino, name string) ([]Object, error)
	// VersionNames returns names in dir that have noncurrent versions, like ReadDir.
	VersionNames(ctx context.Context, dir Ino, after string, limit int) ([]string, error)
	// OpenVersion opens any version of a name; the Node describes it as it was.
	OpenVersion(ctx context.Context, parent Ino, name string, v VersionID) (*Node, Reader, error)
	// VersionNode describes a version without any key.
	VersionNode(ctx context.Context, parent Ino, name string, v VersionID) (*Node, error)
	// Restore makes a copy of a version the current one (S3: CopyObject onto itself). Also after the name was deleted.
	Restore(ctx context.Context, parent Ino, name string, v VersionID) (*Node, error)
	// PathOf gives bucket and key of a node; a directory's key ends in "/", a root's is "".
	PathOf(ctx context.Context, ino Ino) (bucket, key string, err error)
	// RefKey resolves enc.KeyID to a key ARN and checks that it can be used for encryption (state, spec, usage).
	// It returns enc as it would be stored. The error is the key service's.
	ResolveEncryption(ctx context.Context, enc Encryption) (Encryption, error)
}

// ACLKnower is the capability of a [Tree] that knows whether any of its nodes has an access control list.
type ACLKnower interface {
	// MayHaveACLs is false only if none has an attribute system.posix_acl_access or system.posix_acl_default.
	MayHaveACLs() bool
}

// BeginMode says how a file's content goes on when it is opened for change.
type BeginMode int

const (
	// BeginKeep keeps data key and chunks where the settings are those of the current version,
	// else it is BeginRenew.
	BeginKeep BeginMode = iota
	// BeginRenew makes a new data key; the chunks are sealed anew under it at the next Sync or Commit.
	BeginRenew
	// BeginEmpty makes a new data key and drops all chunks: size 0.
	BeginEmpty
)

// File is the open content of one regular file, shared by all who have it open. Until Commit its changes are
// invisible to everyone else. ReadAt may be called concurrently with itself; the caller excludes everything else.
type File interface {
	// Authorize asks the key service whether ctx's caller may read (and write) the content: once per open(2).
	// It is a use of the key and audited. It is no error when nothing has been written yet.
	Authorize(ctx context.Context, write bool) error
	// Size includes uncommitted changes, Allocated counts stored bytes without holes.
	Size() int64
	Allocated() int64
	// ReadAt is io.ReaderAt over the content with uncommitted changes; holes read as zeros.
	// A chunk that fails authentication is IntegrityError, and none of its bytes are returned.
	ReadAt(p []byte, off int64) (int, error)
	// Begin prepares for change under enc and obtains the data key; called again it does nothing when enc, as
	// stored, is unchanged and mode is BeginKeep.
	Begin(ctx context.Context, enc Encryption, mode BeginMode) error
	// WriteChunks stores data, which starts at chunk index; its length is a multiple of ChunkSize unless it ends
	// the file. The size grows to cover it. data is not kept.
	WriteChunks(index int64, data []byte) error
	// DropChunks makes holes of n chunks from index on.
	DropChunks(index, n int64) error
	// SetSize cuts whole chunks behind size or extends by a hole. Bytes of the last chunk behind size must read as zeros
	// when the file grows again: the caller writes that chunk anew before it extends.
	SetSize(size int64) error
	// SeekData and SeekHole are lseek(2)'s, at chunk granularity. NoData: nothing behind off.
	SeekData(off int64) (int64, error)
	SeekHole(off int64) (int64, error)
	// CloneFrom shares n chunks of src from srcIndex on, as its own from index on, where both are under the same
	// content; it answers false, changing nothing, where it cannot.
	CloneFrom(ctx context.Context, src File, srcIndex, index, n int64) (bool, error)
	// Sync makes the content as it is now survive power loss, without making a version: after a crash it is recovered
	// as the file's content.
	Sync(ctx context.Context, c AttrChange) error
	// Commit makes the content the current version, atomically, with c's attributes. The first Commit since Begin or
	// EndSession keeps the previous version as noncurrent (where the bucket is versioned); further ones replace the
	// version that this one made. Without change since the last Commit it only applies c.
	Commit(ctx context.Context, c AttrChange) (*Node, error)
	// EndSession ends the version that Commit made: the next Commit makes another.
	EndSession()
	// Close drops what was not committed.
	Close() error
}
