package badgerstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"kmsfs/kms"
	"kmsfs/objstore"
	"kmsfs/objstore/badgerstore/backup"
	"kmsfs/objstore/badgerstore/content"
	"kmsfs/objstore/badgerstore/kv"
	"kmsfs/objstore/seal"
)

// Options of a store.
type Options struct {
	// Secret seals the metadata: 32 bytes, of the keyring. It is copied.
	Secret []byte
	// ID is the identity of a store that is made: 32 hex digits; empty: a random one.
	ID string
	// Unlock answers Secret and ID as soon as nobody else can have the store open. nil: they are given above. The secret is
	// wiped.
	Unlock func() (secret []byte, id string, err error)
	Logger *slog.Logger
	// SyncEvery is how long a change may wait to survive power loss when nobody asks for it. Default 5 s.
	SyncEvery time.Duration
}

// Store is the embedded store: objstore.Store, objstore.Tree and objstore.Maintainer over one directory.
//
// wmu is held by the one transaction that writes; mu guards the small tables below it. doc.go has the lock order.
type Store struct {
	dir  string
	id   string // of the store, from its header
	log  *slog.Logger
	lock *os.File
	db   *kv.DB
	data *content.Dir
	kms  *kms.Service

	wmu   sync.Mutex
	pasts pastCache // GUARDED_BY(wmu)

	listless  atomic.Bool // no node has an access control list
	low       recent
	nodes     nodeCache
	names     nameCache
	stems     stemCache
	maps      mapCache
	mu        sync.Mutex
	buckets   map[string]*bucket
	byID      map[bucketID]*bucket
	usage     map[bucketID]usage
	open      map[objstore.Ino]int       // Files of each inode
	holders   map[seal.ContentID]*holder // contents that open files and readers use
	condemned map[seal.ContentID]bool    // contents that the change under way gives up
	frees     []pendingFree
	waiting   int64                    // bytes of frees
	pins      map[*pin]struct{}        // states whose ciphertext has to stay
	closing   bool                     // no backup begins any more
	garbage   map[seal.ContentID]int64 // bytes of a content that no version uses, estimated
	dust      map[seal.ContentID]int64 // bytes of dead slots that are not worth a punch each
	removed   []seal.ContentID         // contents whose garbage record can go
	counter   map[string]*counter
	// leftDrafts are files whose last Close could not make what was fsynced their content.
	leftDrafts map[objstore.Ino]bool

	fault       func() error       // of tests: fails a change when it is made
	backupFault func(string) error // of tests: fails a change of a backup's directory
	backupPack  int                // of tests: bytes of a pack, when not 0
	backupKeys  *backup.Keys

	life    context.Context // ends when the store closes
	stop    context.CancelFunc
	sweeps  chan seal.ContentID
	workers sync.WaitGroup
}

// Open opens the store in dir, or makes it. Nobody else may have it open (ErrLocked). What was fsynced or closed
// before a crash is recovered. SetKMS has to follow before the first object is read or written.
//
// Errors: ErrLocked, ErrNewerFormat, ErrOlderFormat, ErrWrongKey, ErrNotStore, kv's for a damaged database.
func Open(dir string, o Options) (*Store, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	lf, err := lock(dir)
	if err != nil {
		return nil, err
	}
	s := &Store{
		dir: dir, log: o.Logger, lock: lf,
		buckets: map[string]*bucket{}, byID: map[bucketID]*bucket{}, usage: map[bucketID]usage{},
		open: map[objstore.Ino]int{}, holders: map[seal.ContentID]*holder{}, garbage: map[seal.ContentID]int64{}, dust: map[seal.ContentID]int64{},
		pins: map[*pin]struct{}{}, condemned: map[seal.ContentID]bool{}, leftDrafts: map[objstore.Ino]bool{},
		counter: map[string]*counter{}, pasts: pastCache{}, sweeps: make(chan seal.ContentID, 64),
	}
	s.nodes.init()
	s.names.init()
	s.stems.init()
	if err := s.start(o); err != nil {
		return nil, errors.Join(err, s.shut())
	}
	return s, nil
}

func (s *Store) start(o Options) (err error) {
	if o.Unlock != nil {
		if o.Secret, o.ID, err = o.Unlock(); err != nil {
			return err
		}
		defer kms.Wipe(o.Secret)
	}
	if s.id, err = openHeader(s.dir, o.Secret, o.ID); err != nil {
		return err
	}
	if s.backupKeys, err = backup.NewKeys(o.Secret); err != nil {
		return err
	}
	if s.data, err = content.Open(filepath.Join(s.dir, "content")); err != nil {
		return err
	}
	s.db, err = kv.Open(s.dir, o.Secret, kv.Options{
		Logger: o.Logger, SyncEvery: o.SyncEvery, BeforeSync: s.data.Sync, Intact: s.intact,
	})
	if err != nil {
		return fmt.Errorf("open the metadata of %s: %w", s.dir, err)
	}
	if err := errors.Join(s.loadBuckets(), s.readLists()); err != nil {
		return err
	}
	if err := s.recover(); err != nil {
		return err
	}
	s.life, s.stop = context.WithCancel(context.Background())
	s.workers.Go(func() { s.sweepLoop(s.life) })
	return nil
}

// SetKMS gives the store the key service that wraps its data keys. The local provider's own records lie in this
// store (see Records), so the service can only be made once the store is open.
func (s *Store) SetKMS(k *kms.Service) { s.kms = k }

// Close makes everything durable and gives the directory free.
func (s *Store) Close() error {
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	s.stop()
	s.workers.Wait()
	err := s.freeAll()
	return errors.Join(err, s.shut())
}

func (s *Store) shut() error {
	var errs []error
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	if s.data != nil {
		errs = append(errs, s.data.Close())
	}
	if s.backupKeys != nil {
		s.backupKeys.Wipe()
	}
	return errors.Join(append(errs, s.lock.Close())...)
}

// Sync makes everything acknowledged before survive power loss.
func (s *Store) Sync(context.Context) error { return wrap("Sync", s.db.Sync()) }

// SyncTree is Sync: one journal orders all changes.
func (s *Store) SyncTree(ctx context.Context) error { return s.Sync(ctx) }

// Space is the disk's size and what new data may still take.
func (s *Store) Space() (total, free int64, err error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(s.dir, &st); err != nil {
		return 0, 0, err
	}
	free, err = s.db.Room()
	return int64(st.Blocks) * st.Bsize, max(free, 0), err
}

// admit refuses new data when the disk is nearly full, so that deleting stays possible.
func (s *Store) admit() error {
	if !s.low.get(s.db.LowSpace) {
		return nil
	}
	return &objstore.Error{Code: objstore.InsufficientStorage, Message: "the disk of the store is full", Err: syscall.ENOSPC}
}

// wrap gives an error of the layers below a code: what fails authentication is IntegrityError.
func wrap(op string, err error) error {
	var oe *objstore.Error
	if err == nil || errors.As(err, &oe) {
		return err
	}
	e := &objstore.Error{Code: objstore.InternalError, Op: op, Err: err}
	var corrupt *kv.CorruptError
	var code objstore.Code
	switch {
	case errors.As(err, &code):
		e.Code = code
	case errors.As(err, &corrupt), errors.Is(err, seal.ErrAuth), errors.Is(err, errRecord), errors.Is(err, content.ErrMissing):
		e.Code = objstore.IntegrityError
	case errors.Is(err, syscall.ENOSPC):
		e.Code = objstore.InsufficientStorage
	default:
		var ke *kms.Error
		if errors.As(err, &ke) {
			return err
		}
	}
	return e
}

// recent remembers an answer of the disk for a moment: asking costs as much as a small write.
type recent struct{ state atomic.Int64 } // time of the answer in ms, times 2, plus the answer

const recentFor = 20 // ms

func (r *recent) get(ask func() bool) bool {
	now, old := time.Now().UnixMilli(), r.state.Load()
	if now-old>>1 < recentFor {
		return old&1 == 1
	}
	now <<= 1
	answer := ask()
	if answer {
		now |= 1
	}
	r.state.Store(now)
	return answer
}

func fail(code objstore.Code, format string, args ...any) error {
	return &objstore.Error{Code: code, Message: fmt.Sprintf(format, args...)}
}
