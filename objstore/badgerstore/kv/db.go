package kv

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// DB is an open store. Its methods may be called concurrently.
type DB struct {
	dir     string
	opts    Options
	log     *slog.Logger
	secrets secrets
	sealer  *sealer
	meta    *engine
	packs   *packs
	packer  *packWriter // GUARDED_BY(checkpointMu)
	wasted  int64       // GUARDED_BY(checkpointMu): bytes in packs that died since they were last counted
	journal *journal
	mirror  *mirror
	flusher *flusher

	writer sync.Mutex // one Update at a time
	ops    *opSet     // GUARDED_BY(writer): reused
	closed atomic.Bool

	// failed is set once the device lost written data: no more writes (see ErrFailed).
	failed atomic.Pointer[error]

	mu        sync.RWMutex
	active    *overlay     // GUARDED_BY(mu)
	frozen    *overlay     // GUARDED_BY(mu): nil unless a checkpoint runs or was put off
	base      *base        // GUARDED_BY(mu): badger as of the last checkpoint
	applied   uint64       // GUARDED_BY(mu): LSN of the newest visible transaction
	snapshots atomic.Int64 // Views that hold a snapshot; raised under mu (shared)

	checkpointMu sync.Mutex  // one checkpoint at a time
	troubled     atomic.Bool // the last checkpoint failed
	patient      atomic.Bool // checkpoints wait for compaction: not while opening and closing
	spare        bool        // the spare space is taken: see keepSpare. Of Open, then of run
	wake         chan struct{}
	stop         chan struct{}
	background   sync.WaitGroup // run and runTrims

	touches  atomic.Int64 // reads of badger
	trimWake chan struct{}

	checkpointed atomic.Uint64 // LSN of the last checkpoint

	counts counters
}

// View calls fn with a consistent snapshot: it sees every Update that returned before, and
// nothing of later ones. Values are read-only and stay valid. fn's error is returned.
func (db *DB) View(fn func(r Reader) error) error {
	s, err := db.snapshot()
	if err != nil {
		return err
	}
	defer db.snapshots.Add(-1)
	defer s.base.release()
	return fn(s)
}

// snapshot pins the present state. The caller lowers db.snapshots and releases the base.
func (db *DB) snapshot() (*snapshot, error) {
	db.mu.RLock()
	defer db.mu.RUnlock()
	if db.base == nil {
		return nil, ErrClosed
	}
	db.snapshots.Add(1)
	db.base.refs.Add(1)
	return &snapshot{db: db, active: db.active, frozen: db.frozen, base: db.base, seq: db.applied}, nil
}

// Update runs fn and makes what it wrote visible at once, as a whole; when it returns, the
// transaction survives the death of the process. If fn fails, nothing happens and its error
// is returned. Errors: ErrNoSpace, ErrTooLarge, ErrFailed, ErrClosed, or the journal's
// write error; after each of them nothing was changed. fn must not call Update.
func (db *DB) Update(fn func(tx *Tx) error) error {
	db.writer.Lock()
	defer db.writer.Unlock()
	s, err := db.snapshot()
	if err != nil {
		return err
	}
	db.snapshots.Add(-1) // the writer itself makes the only new versions
	defer s.base.release()
	if db.ops == nil {
		db.ops = newOpSet()
	}
	tx := &Tx{snapshot: s, ops: db.ops}
	defer db.resetOps()
	err = fn(tx)
	tx.done = true
	if err != nil {
		return err
	}
	if tx.err != nil {
		return tx.err
	}
	if tx.ops.empty() {
		return nil
	}
	return db.commit(tx.ops)
}

func (db *DB) resetOps() {
	if db.ops.size > 1<<20 {
		db.ops = nil
		return
	}
	db.ops.reset()
}

// commit journals and applies one transaction. LOCKS_REQUIRED(writer).
func (db *DB) commit(ops *opSet) error {
	if err := db.failure(); err != nil {
		return err
	}
	lsn, err := db.appendRecord(ops)
	if err != nil {
		return err
	}
	db.mu.Lock()
	db.active.apply(lsn, ops, db.snapshots.Load() > 0, false)
	db.applied = lsn
	full := db.active.size >= db.opts.SegmentBytes
	db.mu.Unlock()
	db.counts.updates.Add(1)
	if _, live := db.journal.bytes(); full || live >= 2*db.opts.SegmentBytes {
		db.kick()
	}
	return nil
}

// appendRecord writes the journal record; while the journal is full it waits for
// checkpoints, and gives up with ErrNoSpace when none is possible.
func (db *DB) appendRecord(ops *opSet) (uint64, error) {
	if ops.size > 1<<30 {
		return 0, fmt.Errorf("%w: transaction of %d bytes", ErrTooLarge, ops.size)
	}
	if err := db.roomToGrow(ops.size); err != nil {
		return 0, err
	}
	for {
		lsn, err := db.journal.append(ops)
		if !errors.Is(err, errJournalFull) {
			return lsn, err
		}
		db.counts.stalls.Add(1)
		if err := db.freeJournal(); err != nil {
			return 0, err
		}
	}
}

// roomToGrow refuses a record that is larger than a segment when the disk is nearly full.
func (db *DB) roomToGrow(payload int) error {
	grow := int64(recordSize(payload)) + recordsStart - db.opts.SegmentBytes
	if grow <= 0 {
		return nil
	}
	if !db.roomFor(4 * grow) {
		return ErrNoSpace
	}
	return nil
}

// GetData returns the value of PutData, read-only and valid for good. ErrNotFound if there
// is none, CorruptError if it is lost or does not authenticate. It sees the newest state, not a snapshot.
func (db *DB) GetData(id []byte) ([]byte, error) {
	db.mu.RLock()
	if db.base == nil {
		db.mu.RUnlock()
		return nil, ErrClosed
	}
	e, ok := db.active.data[string(id)]
	if !ok && db.frozen != nil {
		e, ok = db.frozen.data[string(id)]
	}
	b := db.base
	if !ok {
		db.snapshots.Add(1)
		b.refs.Add(1)
	}
	db.mu.RUnlock()
	if ok {
		if e.del {
			return nil, ErrNotFound
		}
		return e.val, nil
	}
	defer db.snapshots.Add(-1)
	defer b.release()
	return db.packed(b, id)
}

// Sync makes every Update that returned before survive power loss. It costs one device
// flush; concurrent calls share one. If the flush fails, the store becomes read-only.
func (db *DB) Sync() error {
	if db.closed.Load() {
		return ErrClosed
	}
	return db.flushTo(db.journal.lsn.Load())
}

// failure returns why the store takes no writes, or nil.
func (db *DB) failure() error {
	if db.closed.Load() {
		return ErrClosed
	}
	if p := db.failed.Load(); p != nil {
		return *p
	}
	return nil
}

func (db *DB) fail(err error) error {
	err = fmt.Errorf("%w: %w", ErrFailed, err)
	if db.failed.CompareAndSwap(nil, &err) {
		db.log.Error("store is read-only now", "error", err)
	}
	return err
}

// kick asks for a checkpoint soon.
func (db *DB) kick() {
	select {
	case db.wake <- struct{}{}:
	default:
	}
}

// run makes checkpoints until the store closes.
func (db *DB) run() {
	var tick <-chan time.Time
	if db.opts.SyncEvery > 0 {
		t := time.NewTicker(db.opts.SyncEvery)
		defer t.Stop()
		tick = t.C
	}
	for {
		checkpoint := db.Checkpoint
		select {
		case <-db.stop:
			return
		case <-tick:
		case <-db.wake:
			checkpoint = db.freeJournal
		}
		if !db.attempt(checkpoint) && !db.pause(time.Second) {
			return
		}
		db.reclaim()
		db.keepSpare()
	}
}

// attempt makes a checkpoint, or at least a flush, and reports success. What fails again is
// logged once.
func (db *DB) attempt(checkpoint func() error) bool {
	err := checkpoint()
	if err == nil {
		db.troubled.Store(false)
		return true
	}
	if !db.troubled.Swap(true) {
		db.log.Warn("checkpoint put off until it succeeds", "error", err)
	}
	_ = db.Sync() // what a full disk does not forbid
	return false
}

// pause waits for d and reports false if the store closes meanwhile.
func (db *DB) pause(d time.Duration) bool {
	select {
	case <-db.stop:
		return false
	case <-time.After(d):
		return true
	}
}

// trim keeps table files from counting as this process's memory.
func (db *DB) trim() {
	if err := db.meta.trimResident(); err != nil {
		db.log.Debug("tables stay mapped", "error", err)
	}
}
