package kv

import (
	"encoding/binary"
	"fmt"

	"github.com/dgraph-io/badger/v4"
)

// checkpointKey holds the LSN up to which badger has every transaction. It is written last,
// so what it says is true whenever it can be read.
const checkpointKey = "\x00checkpoint"

// Checkpoint moves what the journal holds into badger and frees the journal; then it brings the second copies up to date.
// Writers go on meanwhile. ErrNoSpace if the disk has no room for it; everything stays as it was then.
func (db *DB) Checkpoint() error {
	db.checkpointMu.Lock()
	defer db.checkpointMu.Unlock()
	if err := db.checkpoint(); err != nil {
		return err
	}
	if err := db.mirror.update(); err != nil {
		db.log.Warn("second copies not up to date", "error", err)
	}
	return nil
}

// freeJournal is Checkpoint without the second copies, for those who wait for room in the journal. Much of what is new in
// badger then is compacted away before a copy is worth it.
func (db *DB) freeJournal() error {
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
	if err := db.writeOut(o); err != nil {
		return fmt.Errorf("kv: checkpoint: %w", err)
	}
	db.checkpointed.Store(o.last)
	db.thaw()
	db.counts.checkpoints.Add(1)
	if err := db.journal.recycle(o.last); err != nil {
		return fmt.Errorf("kv: checkpoint: %w", err)
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
	b := newBase(db.meta, db.packs)
	db.mu.Lock()
	old := db.base
	db.base, db.frozen = b, frozen
	db.mu.Unlock()
	if old != nil {
		old.release()
	}
}

// writeOut applies a frozen overlay: data to packs, then the keys that name it to badger, each made durable. It may be
// repeated after an error or a crash.
func (db *DB) writeOut(o *overlay) error {
	db.meta.awaitCompaction(&db.patient)
	at, err := db.writePacks(o)
	if err != nil {
		return err
	}
	c := checkpointRecord{lsn: o.last, wasted: db.wasted, lastPack: db.packs.last}
	err = db.meta.write(func(w *batch) error { return w.overlay(o, at, c) }, db.sealer)
	if err != nil {
		return err
	}
	return db.meta.settle(db)
}

// writePacks appends an overlay's values to packs, in the order in which they were put: files that were made one after
// another are often read so.
func (db *DB) writePacks(o *overlay) (map[string]location, error) {
	at := make(map[string]location, len(o.order))
	for _, id := range o.order {
		e, ok := o.data[id]
		if _, twice := at[id]; !ok || twice {
			continue
		}
		if e.del {
			db.waste(id)
			continue
		}
		l, err := db.packer.add(func(dst []byte) []byte { return db.sealer.append(dst, e.val, prefixed(prefixData, []byte(id))) })
		if err != nil {
			return nil, err
		}
		at[id] = l
	}
	return at, db.packer.sync()
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

// overlay writes all keys, where the data lies, then the checkpoint record.
func (w *batch) overlay(o *overlay, at map[string]location, c checkpointRecord) (err error) {
	o.tree.Ascend(func(it item) bool {
		err = w.put(prefixed(prefixMeta, it.key), it.e.val, it.e.del)
		return err == nil
	})
	for id, e := range o.data {
		if err != nil {
			return err
		}
		err = w.put(prefixed(prefixData, []byte(id)), at[id].encode(), e.del)
	}
	if err != nil {
		return err
	}
	return w.put([]byte(checkpointKey), c.encode(), false)
}

// checkpointRecord is the value of checkpointKey.
type checkpointRecord struct {
	lsn      uint64 // badger has every transaction up to it
	wasted   int64  // see DB.wasted
	lastPack uint32 // no later one was used yet
}

func (c checkpointRecord) encode() []byte {
	b := binary.BigEndian.AppendUint64(nil, c.lsn)
	b = binary.BigEndian.AppendUint64(b, uint64(c.wasted))
	return binary.BigEndian.AppendUint32(b, c.lastPack)
}

// readCheckpoint returns the record of the last checkpoint; it is zero for a new store.
func (db *DB) readCheckpoint() (c checkpointRecord, err error) {
	txn := db.meta.db.NewTransaction(false)
	defer txn.Discard()
	val, err := get(txn, db.sealer, []byte(checkpointKey))
	if err == ErrNotFound {
		return c, nil
	}
	if err != nil {
		return c, err
	}
	if len(val) != 20 {
		return c, corruptKey([]byte(checkpointKey), errOps)
	}
	c.lsn, c.wasted = binary.BigEndian.Uint64(val), int64(binary.BigEndian.Uint64(val[8:]))
	c.lastPack = binary.BigEndian.Uint32(val[16:])
	return c, nil
}
