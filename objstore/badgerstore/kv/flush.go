package kv

import (
	"errors"
	"fmt"
	"sync"
)

// flusher groups the callers of Sync: one flushes for all that came before it began.
type flusher struct {
	mu      sync.Mutex
	done    *sync.Cond
	running bool
}

func newFlusher() *flusher {
	f := &flusher{}
	f.done = sync.NewCond(&f.mu)
	return f
}

// flushTo makes the journal durable up to lsn.
func (db *DB) flushTo(lsn uint64) error {
	f := db.flusher
	f.mu.Lock()
	defer f.mu.Unlock()
	for db.journal.synced.Load() < lsn {
		if p := db.failed.Load(); p != nil {
			return *p
		}
		if f.running {
			f.done.Wait()
			continue
		}
		f.running = true
		f.mu.Unlock()
		err := db.flush()
		f.mu.Lock()
		f.running = false
		f.done.Broadcast()
		if err != nil {
			return err
		}
	}
	return nil
}

// flush makes content, then the journal, durable. A flush that failed may be tried again: see [journal.sync]. Only when
// written bytes are lost, nothing can be trusted any more.
func (db *DB) flush() error {
	said := db.journal.said.Load() // read first: it belongs to a record up to upTo, or is older
	upTo := db.journal.lsn.Load()
	if err := db.opts.BeforeSync(); err != nil {
		return err
	}
	for _, s := range db.journal.unsynced() {
		if err := db.journal.sync(s); errors.Is(err, errLost) {
			return db.fail(err)
		} else if err != nil {
			return fmt.Errorf("kv: make the journal durable: %w", err)
		}
		db.counts.flushes.Add(1)
	}
	db.journal.synced.Store(upTo)
	db.journal.marked.Store(said)
	return nil
}
