package kv

import (
	"errors"
	"fmt"
)

// Sizes in bytes.
const (
	packSize  = 32 << 20 // a pack is full from here on
	packPiece = 1 << 20  // of one write
)

// packWriter appends values to packs. Only the checkpoint and the compaction use it, one at a time.
type packWriter struct {
	packs *packs

	pack    *pack // appended to; nil: the next value starts one
	f       file  // its handle for writing
	durable int64 // size of it that was synced
	buf     []byte
	created bool // the directory has to be synced
}

// add appends what seal appends to its argument, and returns where that lies from the next sync on. After an error
// everything since the last sync is given up.
func (w *packWriter) add(seal func([]byte) []byte) (location, error) {
	if w.pack == nil || w.pack.size.Load()+int64(len(w.buf)) >= packSize {
		if err := w.next(); err != nil {
			return location{}, w.abandon(err)
		}
	}
	start := len(w.buf)
	w.buf = seal(w.buf)
	l := location{pack: w.pack.number, offset: uint32(w.pack.size.Load()) + uint32(start), length: uint32(len(w.buf) - start)}
	if len(w.buf) >= packPiece {
		if err := w.write(); err != nil {
			return location{}, w.abandon(err)
		}
	}
	return l, nil
}

// next finishes the present pack and takes another one: the newest that is not full, or a new one.
func (w *packWriter) next() error {
	if err := w.finish(); err != nil {
		return err
	}
	k := w.packs.newest()
	if k == nil || k.full || k.size.Load() >= packSize {
		k = w.packs.following()
		w.created = true
	}
	f, err := w.packs.openFile(k.path)
	if err != nil {
		return fmt.Errorf("kv: open pack: %w", err)
	}
	w.packs.add(k)
	w.pack, w.f, w.durable = k, f, k.size.Load()
	return nil
}

// newest returns the pack that was started last, or nil if it is gone.
func (p *packs) newest() *pack {
	s := p.hold()
	defer p.release(s)
	return s.packs[p.last]
}

// following makes a new pack.
func (p *packs) following() *pack {
	p.last++
	return &pack{number: p.last, path: p.path(p.last)}
}

func (w *packWriter) write() error {
	if len(w.buf) == 0 {
		return nil
	}
	size := w.pack.size.Load()
	if _, err := w.f.WriteAt(w.buf, size); err != nil {
		return fmt.Errorf("kv: write pack: %w", err)
	}
	w.pack.size.Store(size + int64(len(w.buf)))
	w.buf = w.buf[:0]
	return nil
}

// sync makes everything that was added durable.
func (w *packWriter) sync() error {
	if w.pack == nil {
		return nil
	}
	if err := w.trySync(); err != nil {
		return w.abandon(err)
	}
	return nil
}

func (w *packWriter) trySync() error {
	if err := w.write(); err != nil {
		return err
	}
	if w.durable != w.pack.size.Load() {
		if err := w.f.Datasync(); err != nil {
			return fmt.Errorf("kv: make pack durable: %w", err)
		}
		w.durable = w.pack.size.Load()
	}
	if w.created {
		if err := syncPath(w.packs.dir); err != nil {
			return fmt.Errorf("kv: make pack durable: %w", err)
		}
		w.created = false
	}
	return nil
}

// finish makes the present pack durable and closes it for writing.
func (w *packWriter) finish() error {
	if w.pack == nil {
		return nil
	}
	if err := w.trySync(); err != nil {
		return err
	}
	err := w.f.Close()
	w.pack, w.f = nil, nil
	return err
}

// abandon gives up what is not durable, and the pack: after a failed sync the kernel may call lost pages clean, so
// nothing is appended to it again, unless all of that could be cut off.
func (w *packWriter) abandon(cause error) error {
	w.buf = w.buf[:0]
	if w.pack == nil {
		return cause
	}
	if w.f.Truncate(w.durable) == nil {
		w.pack.size.Store(w.durable)
	} else {
		w.pack.full = true
	}
	err := errors.Join(cause, w.f.Close())
	w.pack, w.f = nil, nil
	return err
}

func (w *packWriter) close() error {
	if w == nil || w.f == nil {
		return nil
	}
	err := w.f.Close()
	w.pack, w.f = nil, nil
	return err
}
