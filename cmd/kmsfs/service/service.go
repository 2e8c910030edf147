package service

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"kmsfs/kms"
	"kmsfs/kms/users"
	"kmsfs/objstore"
)

// Store is what the service needs of an engine.
type Store interface {
	objstore.Store
	objstore.Tree
	objstore.Maintainer
	objstore.KeyCounter
}

// Options is what a Service works on.
type Options struct {
	Path    string // the store's real path
	Version string // of the program
	Store   Store
	KMS     *kms.Service
	Files   Files
	// Provider says where the keys are, and how it is; nil: nothing is known.
	Provider func() KeyProvider
	// Certify certifies the destruction of a key; nil: this process cannot.
	Certify func(ctx context.Context, keyID string) (kms.Certificate, error)
	// Mounter makes mounts; nil where the process is no daemon.
	Mounter Mounter
	// Doors opens network doors; nil where the process is no daemon.
	Doors  Doors
	Users  *users.Store // of the doors
	Logger *slog.Logger
}

// Files is the files of the store, together with those who have them open and with the kernels that cache them.
type Files interface {
	// Reencrypt makes a new version of a file under its selection.
	Reencrypt(ctx context.Context, ino objstore.Ino, force bool) (changed bool, err error)
	// Rewrap wraps its data key anew under its selection.
	Rewrap(ctx context.Context, ino objstore.Ino) error
	// LastError is why the last operation on a file failed; "" when it did not.
	LastError(ctx context.Context, ino objstore.Ino) string
	// Watch is called before a change to a key by its name; what it returns after it, so that no kernel serves the
	// old state.
	Watch(ctx context.Context, bucket, key string) (done func())
	// BucketChanged drops what is cached of a bucket's settings.
	BucketChanged(name string)
}

// Mounter makes a mount and answers when the kernel knows it. Errors: [BadMount], [NoFUSE], [Stale].
type Mounter func(ctx context.Context, r MountRequest) (Mounted, error)

// Mounted is one mount of a daemon.
type Mounted interface {
	// Unmount makes everything durable and takes the mount away, or answers [Busy] and changes nothing.
	Unmount() error
	// Detach takes the mount out of the tree of directories even while it is in use. Who uses it goes on.
	Detach() error
	// Abort ends the mount for those who still use it: they get errors.
	Abort() error
	// Wait returns when the mount serves no more requests, whoever ended it.
	Wait()
}

// Service runs the verbs in the process that owns the store.
type Service struct {
	Options
	started time.Time
	ended   chan struct{} // closed when nothing keeps a daemon any more

	mu      sync.Mutex
	mounts  map[string]*mounted // by mount point
	doors   []Door
	stay    bool // also without a mount, for the doors
	closing bool
}

var _ API = (*Service)(nil)

// New makes the service; the caller closes the store after it.
func New(o Options) *Service {
	return &Service{Options: o, started: time.Now(), ended: make(chan struct{}), mounts: map[string]*mounted{}}
}

// Ended is closed when nothing keeps the daemon, no mount and no door of `kmsfs serve`, and nothing more is accepted.
func (s *Service) Ended() <-chan struct{} { return s.ended }
