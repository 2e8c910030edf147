package kv

import (
	"encoding/binary"
	"fmt"

	"github.com/dgraph-io/badger/v4"
)

// checkpointKey holds the LSN up to which badger has every transaction. It is written last,
// so what it says is true whenever it can be read.
const checkpointKey = "\x00checkpoint"

// Checkpoint moves what the journal holds into badger and frees the journal. Writers go on
// meanwhile. ErrNoSpace if the disk has no room for it; everything stays as it was then.
func (db *DB) Checkpoint() error {
	db.checkpointMu.Lock()
	defer db.checkpointMu.Unlock()
	return db.checkpoint()
}

// checkpoint LOCKS_REQUIRED(checkpointMu).
func (db *DB) checkpoint() error {
	if p := db.failed.Load(); p != nil {
		return *p
	}
	o, err := db.freeze()
	if o == nil || err != nil {
		return err
	}
	if err := db.flushTo(o.last); err != nil {
		return err
	}
	if err := db.writeBadger(o); err != nil {
		return fmt.Errorf("kv: checkpoint: %w", err)
	}
	db.checkpointed.Store(o.last)
	db.thaw()
	db.counts.checkpoints.Add(1)
	if err := db.journal.recycle(o.last); err != nil {
		return fmt.Errorf("kv: checkpoint: %w", err)
	}
	if err := db.mirror.update(); err != nil {
		db.log.Warn("second copies not up to date", "error", err)
	}
	return nil
}

// freeze returns the overlay to write: one that an earlier checkpoint left, or the active
// one, which a new one replaces; nil if there is nothing to do.
func (db *DB) freeze() (*overlay, error) {
	db.mu.RLock()
	o := db.frozen
	if o == nil {
		o = db.active
	}
	size, empty := o.size, o.empty()
	db.mu.RUnlock()
	if empty {
		return nil, nil
	}
	if !db.roomFor(size) {
		return nil, ErrNoSpace
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.frozen == nil {
		db.frozen, db.active = db.active, newOverlay()
	}
	return db.frozen, nil
}

// thaw drops the frozen overlay: a new base shows the same.
func (db *DB) thaw() { db.setBase(nil) }

// renewBase lets go of old versions. LOCKS_REQUIRED(checkpointMu), so that badger rests.
func (db *DB) renewBase() {
	db.mu.RLock()
	frozen := db.frozen
	db.mu.RUnlock()
	db.setBase(frozen)
}

func (db *DB) setBase(frozen *overlay) {
	b := newBase(db.meta, db.data)
	db.mu.Lock()
	old := db.base
	db.base, db.frozen = b, frozen
	db.mu.Unlock()
	if old != nil {
		old.release()
	}
}

// writeBadger applies a frozen overlay, data before the keys that name it, and makes it
// durable. It may be repeated after an error or a crash.
func (db *DB) writeBadger(o *overlay) error {
	db.data.awaitCompaction(&db.patient)
	db.meta.awaitCompaction(&db.patient)
	err := db.data.write(func(w *batch) error {
		for id, e := range o.data {
			if err := w.put(prefixed(prefixData, []byte(id)), e.val, e.del); err != nil {
				return err
			}
		}
		return nil
	}, db.sealer)
	if err != nil {
		return err
	}
	if err := db.data.settle(db); err != nil {
		return err
	}
	err = db.meta.write(func(w *batch) error { return w.overlay(o) }, db.sealer)
	if err != nil {
		return err
	}
	return db.meta.settle(db)
}

// settle makes what was written durable. After a sync that failed, the logs may have lost bytes that another sync would
// not miss: what memory has is then moved into tables, which badger syncs, and the logs go.
// LOCKS_REQUIRED(checkpointMu).
func (e *engine) settle(db *DB) error {
	if e.suspect {
		if err := e.emptyMemtables(db); err != nil {
			return err
		}
	}
	err := e.sync()
	e.suspect = err != nil
	return err
}

// batch seals and writes entries.
type batch struct {
	wb     *badger.WriteBatch
	sealer *sealer
}

// write runs fn with a batch and flushes it. A panic inside badger becomes an error.
func (e *engine) write(fn func(*batch) error, s *sealer) (err error) {
	defer recovered("badger", &err)
	wb := e.db.NewWriteBatch()
	defer wb.Cancel()
	wb.SetMaxPendingTxns(4)
	if err := fn(&batch{wb, s}); err != nil {
		return err
	}
	return wb.Flush()
}

func (w *batch) put(key, val []byte, del bool) error {
	if del {
		return w.wb.Delete(key)
	}
	return w.wb.Set(key, w.sealer.seal(val, key))
}

// overlay writes all keys, then the checkpoint record.
func (w *batch) overlay(o *overlay) (err error) {
	o.tree.Ascend(func(it item) bool {
		err = w.put(prefixed(prefixMeta, it.key), it.e.val, it.e.del)
		return err == nil
	})
	if err != nil {
		return err
	}
	return w.put([]byte(checkpointKey), binary.BigEndian.AppendUint64(nil, o.last), false)
}

// readCheckpoint returns the LSN of the last checkpoint, 0 for a new store.
func (db *DB) readCheckpoint() (lsn uint64, err error) {
	txn := db.meta.db.NewTransaction(false)
	defer txn.Discard()
	val, err := get(txn, db.sealer, []byte(checkpointKey))
	if err == ErrNotFound {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if len(val) != 8 {
		return 0, corruptKey([]byte(checkpointKey), errOps)
	}
	return binary.BigEndian.Uint64(val), nil
}
