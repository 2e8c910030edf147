package kv

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"
	badgeroptions "github.com/dgraph-io/badger/v4/options"
)

// First byte of every badger key. The whole key is the AAD of its value.
const (
	prefixInternal = 0x00 // the store's own records
	prefixMeta     = 0x01 // keys of Put
	prefixData     = 0x02 // ids of PutData: where in a pack the value lies
)

// engine is one badger instance.
type engine struct {
	db  *badger.DB
	dir string

	suspect bool // GUARDED_BY(DB.checkpointMu): the last sync failed
}

// A table builder takes six times the table's size from the heap, and badger keeps up to
// eight builders' memory for two seconds each: hence small tables on every level.
const (
	memTableBytes   = 4 << 20
	tableBytes      = 1 << 20
	baseLevelBytes  = 16 << 20
	blockCacheBytes = 32 << 20
	indexCacheBytes = 80 << 20 // what the tables of two million objects need
	level0Tables    = 5        // start a compaction
)

// keyRotation is "never": KEYREGISTRY stays as it is. It must be shorter than the time since
// 1970, because badger takes a missing key for one made then, and would not encrypt.
const keyRotation = 40 * 365 * 24 * time.Hour

// emptyRegistry is the size of a KEYREGISTRY without a key: IV and sanity text.
const emptyRegistry = 16 + 12

func badgerOptions(dir string, key []byte, log *slog.Logger) badger.Options {
	o := badger.DefaultOptions(dir)
	o.Logger = badgerLog{log}
	o.MetricsEnabled = false
	o.DetectConflicts = false
	o.Compression = badgeroptions.None // values are ciphertext
	o.ChecksumVerificationMode = badgeroptions.OnBlockRead
	o.EncryptionKey = key
	o.EncryptionKeyRotationDuration = keyRotation
	o.ValueThreshold = MaxValue + valueOverhead + 1 // the value log stays empty
	o.ValueLogFileSize = 1 << 20
	o.MemTableSize = memTableBytes
	o.BaseTableSize, o.BaseLevelSize = tableBytes, baseLevelBytes
	o.TableSizeMultiplier = 1
	o.BlockCacheSize, o.IndexCacheSize = blockCacheBytes, indexCacheBytes
	o.NumMemtables = 2
	o.NumCompactors = 2
	o.NumLevelZeroTables, o.NumLevelZeroTablesStall = level0Tables, 3*level0Tables
	o.NumGoroutines = 2
	return o
}

// openEngine opens badger in dir. A panic of badger's own goroutines cannot be caught
// here: the files are checked before.
func openEngine(dir string, key []byte, log *slog.Logger) (e *engine, err error) {
	defer recovered(filepath.Base(dir), &err)
	db, err := badger.Open(badgerOptions(dir, key, log))
	if errors.Is(err, badger.ErrEncryptionKeyMismatch) {
		return nil, fmt.Errorf("kv: the key does not open %s: wrong root key for this store: %w", filepath.Base(dir), err)
	}
	if err != nil {
		return nil, fmt.Errorf("kv: open %s: %w", filepath.Base(dir), err)
	}
	if fileSize(filepath.Join(dir, badger.KeyRegistryFileName)) <= emptyRegistry {
		_ = db.Close()
		return nil, errors.New("kv: badger made no encryption key; set the machine's clock")
	}
	return &engine{db: db, dir: dir}, nil
}

func (e *engine) close() error {
	if e == nil || e.db == nil {
		return nil
	}
	return e.db.Close()
}

// sync makes everything written so far durable. db.Sync would flush the active memtable's
// log only; logs that were rotated and not yet turned into a table count too. A log that
// is gone has become a table, which badger made durable.
func (e *engine) sync() error { return syncMatching(e.dir, "*.mem") }

// memHeader is the size of a badger log's header, in bytes.
const memHeader = 20

// dropUnneeded removes from a closed instance what must not keep badger from opening: the
// value log, which never holds a value; memtable logs that power loss left without a
// header; and after an orderly close every memtable log, for all is in tables then.
func dropUnneeded(dir string, clean bool) error {
	names, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, d := range names {
		path := filepath.Join(dir, d.Name())
		drop := d.Name() == "DISCARD" || strings.HasSuffix(d.Name(), ".vlog")
		if strings.HasSuffix(d.Name(), ".mem") {
			drop = clean || fileSize(path) < memHeader
		}
		if !drop {
			continue
		}
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return nil
}

// compactionBytes bounds the output of the next compaction of level 0.
func (e *engine) compactionBytes() int64 {
	var n int64
	for _, l := range e.db.Levels() {
		if l.Level == 0 || l.IsBaseLevel {
			n += l.Size
		}
	}
	return n
}

// Bounds of backlogged.
const (
	backlogWait = 10 * time.Second
	backlogPoll = 20 * time.Millisecond
)

// awaitCompaction waits while compaction is behind, for a bounded time and as long as
// patient is set. Otherwise badger would merge level 0 into itself, for which it takes
// 256 MiB of memory.
func (e *engine) awaitCompaction(patient *atomic.Bool) {
	deadline := time.Now().Add(backlogWait)
	for patient.Load() && e.backlogged() && time.Now().Before(deadline) {
		time.Sleep(backlogPoll)
	}
}

func (e *engine) backlogged() bool {
	for _, l := range e.db.Levels() {
		full := l.Level == 0 && l.NumTables >= e.db.Opts().NumLevelZeroTables
		if full || (l.IsBaseLevel && l.Size > l.TargetSize+l.TargetSize/4) {
			return true
		}
	}
	return false
}

// base is a point-in-time view of badger and the packs, shared by all Views between two checkpoints.
type base struct {
	meta  *badger.Txn
	packs *packs
	set   *packSet
	refs  atomic.Int64 // one for the DB while it is current
}

func newBase(meta *engine, p *packs) *base {
	b := &base{meta: meta.db.NewTransaction(false), packs: p, set: p.hold()}
	b.refs.Store(1)
	return b
}

func (b *base) release() {
	if b.refs.Add(-1) == 0 {
		b.meta.Discard()
		b.packs.release(b.set)
	}
}

// get returns the opened value of key, which has its prefix. ErrNotFound, or a
// CorruptError if the value does not authenticate.
func get(txn *badger.Txn, s *sealer, key []byte) (val []byte, err error) {
	defer recovered(tableName(key[0]), &err)
	it, err := txn.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, corruptKey(key, err)
	}
	err = it.Value(func(sealed []byte) error {
		val, err = s.open(nil, sealed, key)
		return err
	})
	if err != nil {
		return nil, corruptKey(key, err)
	}
	return val, nil
}

func corruptKey(key []byte, err error) error {
	return &CorruptError{What: tableName(key[0]), Key: append([]byte{}, key[1:]...), Err: err}
}

func tableName(prefix byte) string {
	switch prefix {
	case prefixMeta:
		return "meta"
	case prefixData:
		return "data"
	}
	return "internal"
}

func prefixed(prefix byte, key []byte) []byte {
	out := make([]byte, 1+len(key))
	out[0] = prefix
	copy(out[1:], key)
	return out
}

// badgerLog sends badger's messages to the debug level: most are chatter.
type badgerLog struct{ log *slog.Logger }

func (l badgerLog) Errorf(f string, a ...any) {
	l.log.Warn("badger: " + strings.TrimSpace(fmt.Sprintf(f, a...)))
}
func (l badgerLog) Warningf(f string, a ...any) { l.debug(f, a...) }
func (l badgerLog) Infof(f string, a ...any)    { l.debug(f, a...) }
func (l badgerLog) Debugf(f string, a ...any)   {}

func (l badgerLog) debug(f string, a ...any) {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		l.log.Debug("badger: " + strings.TrimSpace(fmt.Sprintf(f, a...)))
	}
}
