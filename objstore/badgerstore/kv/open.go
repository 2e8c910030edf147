package kv

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

// Open opens the store in dir, which it makes if needed. The caller has to see to it that
// no other process opens it. secret is at least 32 bytes; it is not kept.
//
// Errors: a CorruptError if a part that the store cannot do without is damaged in both
// copies, or if durable records are missing; an error that says so if the secret is wrong.
func Open(dir string, secret []byte, o Options) (*DB, error) {
	o.setDefaults()
	db, err := tryOpen(dir, secret, o)
	if giveSpare(dir, err) {
		db, err = tryOpen(dir, secret, o)
	}
	if err != nil {
		return nil, err
	}
	db.keepSpare()
	db.patient.Store(true)
	db.background.Go(db.run)
	if db.opts.SyncEvery > 0 {
		db.background.Go(db.runTrims)
	}
	return db, nil
}

func tryOpen(dir string, secret []byte, o Options) (*DB, error) {
	db := &DB{
		dir: dir, opts: o, log: o.Logger,
		flusher:  newFlusher(),
		active:   newOverlay(),
		wake:     make(chan struct{}, 1),
		stop:     make(chan struct{}),
		trimWake: make(chan struct{}, 1),
	}
	if err := db.open(secret); err != nil {
		db.discard()
		return nil, err
	}
	return db, nil
}

func (db *DB) open(secret []byte) (err error) {
	start := time.Now()
	if db.secrets, err = deriveSecrets(secret); err != nil {
		return err
	}
	if db.sealer, err = newSealer(db.secrets.values); err != nil {
		return err
	}
	if err := makeDirs(db.dir, "journal", "meta", "meta.copy", "data"); err != nil {
		return fmt.Errorf("kv: %w", err)
	}
	if db.mirror, err = newMirror(db.dir, db.secrets.index, db.log); err != nil {
		return err
	}
	if err := db.mirror.verify(); err != nil {
		return err
	}
	if err := db.openBadger(); err != nil {
		return err
	}
	if err := db.openPacks(); err != nil {
		return err
	}
	if err := db.openJournal(); err != nil {
		return err
	}
	db.log.Debug("store open", "dir", db.dir, "took", time.Since(start), "healed", db.mirror.healed.Load())
	return nil
}

func (db *DB) openBadger() (err error) {
	meta := filepath.Join(db.dir, "meta")
	if err := dropUnneeded(meta, db.mirror.wasClean); err != nil {
		return fmt.Errorf("kv: %w", err)
	}
	if err := db.checkTables(); err != nil {
		return err
	}
	db.meta, err = openEngine(meta, db.secrets.meta, db.log)
	return err
}

func (db *DB) openPacks() (err error) {
	if db.packs, err = openPacksIn(filepath.Join(db.dir, "data"), db.opts.openFile); err != nil {
		return err
	}
	db.packer = &packWriter{packs: db.packs}
	return nil
}

// openJournal replays what badger does not have, and moves it there if the disk has room.
func (db *DB) openJournal() error {
	c, err := db.readCheckpoint()
	if err != nil {
		return err
	}
	db.packs.last = max(db.packs.last, c.lastPack)
	db.wasted = c.wasted
	if !db.mirror.wasClean && c.lsn > 0 {
		db.wasted += 2 * db.opts.SegmentBytes // what a checkpoint had written when it was stopped
	}
	db.journal = &journal{
		dir: filepath.Join(db.dir, "journal"), secret: db.secrets.journal,
		segBytes: db.opts.SegmentBytes, openFile: db.opts.openFile, intact: db.opts.Intact,
	}
	segs, err := db.journal.openSegments(db.opts.Segments)
	if err != nil {
		return err
	}
	err = db.journal.replay(segs, c.lsn, db.mirror.wasClean, func(lsn uint64, ops *opSet) {
		db.active.apply(lsn, ops, false, true)
		db.counts.replayed.Add(1)
	})
	if err != nil {
		return err
	}
	db.applied = db.journal.lsn.Load()
	db.thaw() // the first base
	err = db.Checkpoint()
	if errors.Is(err, ErrNoSpace) {
		db.log.Warn("no room to move the journal into badger yet", "error", err)
		return nil
	}
	return err
}

// discard closes what a failed Open had opened.
func (db *DB) discard() {
	db.closed.Store(true)
	db.dropBase()
	_ = db.meta.close()
	_ = db.packer.close()
	_ = db.packs.close()
	if db.journal != nil {
		_ = db.journal.close(false)
	}
	db.secrets.wipe()
}

// dropBase ends all reading: later calls see ErrClosed, those under way are waited for.
func (db *DB) dropBase() {
	db.mu.Lock()
	b := db.base
	db.base = nil
	db.mu.Unlock()
	for db.snapshots.Load() > 0 { // badger crashes on reads after its close
		time.Sleep(time.Millisecond)
	}
	if b != nil {
		b.release()
	}
}
