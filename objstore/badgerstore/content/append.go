package content

import (
	"errors"
	"fmt"
	"io"
	"math"
)

// Append is [Dir.AppendWith] of bytes that are known before.
func (d *Dir) Append(id [16]byte, slotSize int, data []byte) (first uint64, err error) {
	return d.AppendWith(id, slotSize, int64(len(data)), func(uint64) []byte { return data })
}

// AppendWith writes n bytes into new consecutive slots and returns the first one's number; the last slot may be
// short. fill gives the bytes once the number is known, for ciphertext is bound to its slot; it is called at most
// once, without locks, and what it gives is not kept. The bytes survive the death of the process when AppendWith
// returns, and power loss after [Dir.Sync].
//
// On an error (ENOSPC is visible to errors.Is) no slot is the caller's; the numbers are used up all the same and
// what had been written is given back to the disk. A content of which a sync found bytes lost is [ErrBad].
func (d *Dir) AppendWith(id [16]byte, slotSize int, n int64, fill func(first uint64) []byte) (first uint64, err error) {
	if slotSize <= 0 || n <= 0 {
		return 0, fmt.Errorf("content %s: append of %d bytes in slots of %d: want more than none", ID(id), n, slotSize)
	}
	d.makeRoom()
	f, err := d.acquire(id, true)
	if err != nil {
		return 0, err
	}
	defer d.release(f)
	if first, err = f.allocate(int64(slotSize), n); err != nil {
		return 0, failed("append", id, err)
	}
	data := fill(first)
	if int64(len(data)) != n {
		return 0, fmt.Errorf("content %s: append: %d bytes were given, %d were announced", ID(id), len(data), n)
	}
	if err := d.write(f, data, int64(first)*int64(slotSize)); err != nil {
		return 0, failed("append", id, err)
	}
	return first, nil
}

// Place writes the bytes of slots that a backup has, from offset off of the content's file on. It is for a store that is being
// restored and that nobody else uses. They survive power loss after [Dir.Sync].
func (d *Dir) Place(id [16]byte, off int64, data []byte) error {
	if off < 0 || off > math.MaxInt64-int64(len(data)) {
		return failed(fmt.Sprintf("place %d bytes at %d", len(data), off), id, errors.New("out of range"))
	}
	d.makeRoom()
	f, err := d.acquire(id, true)
	if err != nil {
		return err
	}
	defer d.release(f)
	return failed("place", id, d.write(f, data, off))
}

// write writes an append's bytes and marks the file dirty, or cleans up.
func (d *Dir) write(f *file, data []byte, off int64) error {
	f.writers.RLock()
	n, err := f.h.WriteAt(data, off)
	f.writers.RUnlock()
	if err == nil && n < len(data) {
		err = io.ErrShortWrite
	}
	if err != nil {
		d.markDirty(f, off, 0)
		f.giveBack(off, int64(len(data)))
		return err
	}
	d.markDirty(f, off, int64(len(data)))
	f.startWriteback(off, int64(len(data)))
	d.syncEarly(f, int64(len(data)))
	return nil
}

// markDirty counts a write of n bytes for the next Sync; failed ones too, with none, for they may have changed the size.
func (d *Dir) markDirty(f *file, off, n int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f.mu.Lock()
	f.written++
	f.fresh = f.fresh.add(off, n)
	f.mu.Unlock()
	if !f.gone {
		d.dirty[f.id] = f
	}
}

// giveBack frees the blocks of a failed append and extends the file over its slots, so that their numbers stay
// used after a restart. Extending takes no blocks. Should it fail too, they may be used again after the file was
// closed, which harms nobody: the slots were never handed out.
func (f *file) giveBack(off, n int64) {
	f.writers.Lock()
	defer f.writers.Unlock()
	_ = f.h.Punch(off, n)
	if size, err := f.h.Size(); err == nil && size < off+n {
		_ = f.h.Truncate(off + n)
	}
}

// startWriteback lets the kernel write early, so that Sync finds little left to do. Its errors show in Sync.
func (f *file) startWriteback(off, n int64) {
	f.mu.Lock()
	if f.pending == 0 || off < f.from {
		f.from = off
	}
	f.pending += n
	from, end, due := f.from, f.end, f.pending >= writebackStep
	if due {
		f.pending = 0
	}
	f.mu.Unlock()
	if due {
		_ = f.h.StartWriteback(from, end-from)
	}
}

// syncEarly makes a file durable in the background each time that much was written: a disk with a cache of its own takes long to
// flush it, which the next Sync is spared. Its errors show there.
func (d *Dir) syncEarly(f *file, n int64) {
	f.mu.Lock()
	f.unsynced += n
	due := f.unsynced >= d.syncStep && d.syncing.CompareAndSwap(false, true)
	if due {
		f.unsynced = 0
	}
	f.mu.Unlock()
	if !due {
		return
	}
	d.mu.Lock()
	d.pin(f)
	d.mu.Unlock()
	go func() {
		defer d.syncing.Store(false)
		_ = d.syncFile(f)
	}()
}

// makeRoom syncs when too many files are dirty. Its errors are those of other contents, and show in their next Sync.
func (d *Dir) makeRoom() {
	d.mu.Lock()
	full := len(d.dirty) >= d.maxDirty
	d.mu.Unlock()
	if full {
		_ = d.Sync()
	}
}

// Next is the lowest number that a later append of the content can be given; 0 where there is no file.
func (d *Dir) Next(id [16]byte, slotSize int) (uint64, error) {
	if slotSize <= 0 {
		return 0, fmt.Errorf("content %s: slots of %d bytes: want more than none", ID(id), slotSize)
	}
	f, err := d.acquire(id, false)
	if errors.Is(err, ErrMissing) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer d.release(f)
	f.mu.Lock()
	defer f.mu.Unlock()
	end, err := f.size()
	return uint64(slots(end, int64(slotSize))), failed("next slot", id, err)
}

// Reserve makes next the lowest slot number that a later Append may be given, durable with the next [Dir.Sync].
// After power loss, a database that refers to slots up to next-1 calls it before it appends.
func (d *Dir) Reserve(id [16]byte, slotSize int, next uint64) error {
	if slotSize <= 0 || next > math.MaxInt64/uint64(slotSize) {
		return fmt.Errorf("content %s: reserve up to slot %d of %d bytes: out of range", ID(id), next, slotSize)
	}
	f, err := d.acquire(id, true)
	if err != nil {
		return err
	}
	defer d.release(f)
	return failed("reserve", id, d.extend(f, int64(next)*int64(slotSize)))
}

// extend makes the file at least end bytes long.
func (d *Dir) extend(f *file, end int64) error {
	f.writers.Lock()
	defer f.writers.Unlock()
	f.mu.Lock()
	size, err := f.size()
	if err == nil && size < end {
		f.end = end
	}
	f.mu.Unlock()
	if err != nil || size >= end {
		return err
	}
	if err := f.h.Truncate(end); err != nil {
		return err
	}
	d.markDirty(f, end, 0)
	return nil
}
