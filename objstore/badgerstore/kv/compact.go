package kv

import (
	"context"
	"fmt"
)

// flushMark is a key that is written only to be dropped again: see engine.compact.
const flushMark = "\x00flush"

// Compact gives the space of deleted and replaced entries back to the disk. It reads and
// writes up to the whole store; the disk must have room for a second copy of it. Updates
// and reads of recent data go on; checkpoints wait, and reads that need badger wait while
// it empties level 0, some tens of MiB.
func (db *DB) Compact(ctx context.Context) error {
	db.checkpointMu.Lock()
	defer db.checkpointMu.Unlock()
	if err := db.checkpoint(); err != nil {
		return err
	}
	if err := db.compactPacks(ctx, anyWaste); err != nil {
		return fmt.Errorf("kv: compact: %w", err)
	}
	if err := db.meta.compact(db); err != nil {
		return fmt.Errorf("kv: compact: %w", err)
	}
	return db.mirror.update()
}

// compact merges all levels into the last one, where tombstones end. Flatten alone does
// not: it leaves the memtable, and does nothing when all tables are on level 0. Dropping a
// prefix flushes the memtable and empties level 0 first; the prefix is one key made for it.
func (e *engine) compact(db *DB) (err error) {
	defer recovered("meta", &err)
	if err := e.emptyMemtables(db); err != nil {
		return err
	}
	if err := e.db.Flatten(1); err != nil {
		return err
	}
	return e.sync()
}

// emptyMemtables moves what the logs have into tables. LOCKS_REQUIRED(checkpointMu).
func (e *engine) emptyMemtables(db *DB) (err error) {
	defer recovered("meta", &err)
	err = e.write(func(w *batch) error { return w.put([]byte(flushMark), nil, false) }, db.sealer)
	if err != nil {
		return err
	}
	db.renewBase() // versions that only the old one could see may go
	return e.db.DropPrefix([]byte(flushMark))
}
