package kv

import "sync/atomic"

type counters struct {
	updates, checkpoints, flushes, stalls, replayed atomic.Int64
}

// Stats are figures of an open store. Counts are since Open.
type Stats struct {
	Keys         int64 // entries of badger's tables, with old versions and tombstones: an upper bound
	MetaBytes    int64 // badger's tables, without their second copy
	DataBytes    int64 // packs
	OverlayBytes int64 // in memory, not in badger yet
	JournalBytes int64 // files of the journal
	JournalLive  int64 // of these, in use
	Updates      int64
	Checkpoints  int64
	Flushes      int64 // fdatasync calls on the journal
	Stalls       int64 // Updates that waited for a checkpoint
	Replayed     int64 // records applied at Open
	HealedFiles  int64 // damaged files replaced by their copy
	LastLSN      uint64
	SyncedLSN    uint64
	ReadOnly     bool // see ErrFailed
}

// Stats returns the present figures.
func (db *DB) Stats() Stats {
	s := Stats{
		Updates: db.counts.updates.Load(), Checkpoints: db.counts.checkpoints.Load(),
		Flushes: db.counts.flushes.Load(), Stalls: db.counts.stalls.Load(),
		Replayed:    db.counts.replayed.Load(),
		HealedFiles: db.mirror.healed.Load(),
		LastLSN:     db.journal.lsn.Load(), SyncedLSN: db.journal.synced.Load(),
		ReadOnly: db.failed.Load() != nil,
	}
	s.JournalBytes, s.JournalLive = db.journal.bytes()
	db.mu.RLock()
	defer db.mu.RUnlock()
	if db.base == nil {
		return s
	}
	s.OverlayBytes = db.active.size
	if db.frozen != nil {
		s.OverlayBytes += db.frozen.size
	}
	for _, t := range db.meta.db.Tables() {
		s.Keys += int64(t.KeyCount)
		s.MetaBytes += int64(t.OnDiskSize)
	}
	s.DataBytes = db.packs.bytes()
	return s
}

// LSN is the number of the newest Update.
func (db *DB) LSN() uint64 { return db.journal.lsn.Load() }

// SettledLSN is the number of the newest Update that recovery after power loss cannot miss: badger has it, or the disk
// has a later record which says that it is durable. What it made garbage outside of the store can be given up; earlier
// transactions that depended on it ([Tx.Depend]) are recovered all the same.
func (db *DB) SettledLSN() uint64 {
	return max(db.journal.marked.Load(), db.checkpointed.Load())
}

// Settle makes every Update that returned before settled. It costs two device flushes.
func (db *DB) Settle() error {
	if err := db.Sync(); err != nil {
		return err
	}
	if err := db.mark(); err != nil {
		return err
	}
	return db.Sync()
}

// mark writes an empty record, which says what is durable by now.
func (db *DB) mark() error {
	db.writer.Lock()
	defer db.writer.Unlock()
	return db.commit(newOpSet())
}

// SyncCount returns the number of device flushes of the journal since Open.
func (db *DB) SyncCount() int64 { return db.counts.flushes.Load() }
