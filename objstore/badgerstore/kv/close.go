package kv

import (
	"errors"
	"fmt"
)

// Close makes everything durable and closes the store. If the disk is too full for the
// last checkpoint, it returns ErrNoSpace and leaves the store as a crash would: nothing
// is lost, the next Open replays the journal. It waits for Views and Updates under way.
func (db *DB) Close() error {
	if !db.closed.CompareAndSwap(false, true) {
		return ErrClosed
	}
	db.patient.Store(false)
	close(db.stop)
	db.background.Wait()
	db.writer.Lock() // the last Update ends
	defer db.writer.Unlock()
	db.checkpointMu.Lock()
	defer db.checkpointMu.Unlock()

	err := db.checkpointAll()
	if errors.Is(err, ErrNoSpace) {
		// Badger writes its memtables when it closes, through mmap.
		err = errors.Join(db.flushTo(db.journal.lsn.Load()), err)
		return errors.Join(err, db.journal.close(false))
	}
	db.dropBase()
	err = errors.Join(err, db.meta.close(), db.packer.close(), db.packs.close(), db.journal.close(err == nil))
	if err != nil {
		return fmt.Errorf("kv: close: %w", err)
	}
	err = db.mirror.close()
	db.secrets.wipe()
	if err != nil {
		return fmt.Errorf("kv: close: %w", err)
	}
	return nil
}

// checkpointAll leaves nothing in the overlays. LOCKS_REQUIRED(checkpointMu, writer).
func (db *DB) checkpointAll() error {
	for {
		if err := db.checkpoint(); err != nil {
			return err
		}
		db.mu.RLock()
		done := db.frozen == nil && db.active.empty()
		db.mu.RUnlock()
		if done {
			return nil
		}
	}
}
