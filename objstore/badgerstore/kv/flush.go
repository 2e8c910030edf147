package kv

import "sync"

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

// flush makes content, then the journal, durable. After a failed fdatasync the kernel may
// have dropped the dirty pages and call them clean: nothing can be trusted to a retry.
func (db *DB) flush() error {
	said := db.journal.said.Load() // read first: it belongs to a record up to upTo, or is older
	upTo := db.journal.lsn.Load()
	if err := db.opts.BeforeSync(); err != nil {
		return err
	}
	for _, s := range db.journal.unsynced() {
		if err := s.f.Datasync(); err != nil {
			return db.fail(err)
		}
		db.counts.flushes.Add(1)
	}
	db.journal.synced.Store(upTo)
	db.journal.marked.Store(said)
	return nil
}
