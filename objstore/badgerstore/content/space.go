package content

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Punch gives the blocks of n slots from first on back to the disk. Slots that are no multiple of the file
// system's block leave their part of the first and last block as it was, so one long range frees more than its slots
// one by one. It is not synced: after power loss the bytes may be back.
func (d *Dir) Punch(id [16]byte, slotSize int, first, n uint64) error {
	off, err := offset(id, slotSize, first)
	if err != nil {
		return err
	}
	end, err := offset(id, slotSize, first+n)
	if err != nil || end < off {
		return failed(fmt.Sprintf("punch %d slots from %d on", n, first), id, ErrMissing)
	}
	if n == 0 {
		return nil
	}
	f, err := d.acquire(id, false)
	if err != nil {
		return err
	}
	defer d.release(f)
	f.mu.Lock()
	f.fresh, f.syncing = f.fresh.cut(off, end), f.syncing.cut(off, end)
	f.mu.Unlock()
	return failed("punch", id, f.h.Punch(off, end-off))
}

// Stat is a content's size, to the end of its last slot, and the bytes of disk it takes. [ErrMissing].
func (d *Dir) Stat(id [16]byte) (size, allocated int64, err error) {
	f, err := d.acquire(id, false)
	if err != nil {
		return 0, 0, err
	}
	defer d.release(f)
	if size, err = f.h.Size(); err != nil {
		return 0, 0, failed("stat", id, err)
	}
	allocated, err = f.h.Allocated()
	return size, allocated, failed("stat", id, err)
}

// List calls fn for every content with the bytes of disk it takes, in no order. Contents that come or go
// meanwhile may be missed. Files that are no contents are passed over. It stops at fn's first error.
func (d *Dir) List(fn func(id [16]byte, allocated int64) error) error {
	return d.list(func(id ID, fi fs.FileInfo) error { return fn(id, allocatedBytes(fi)) })
}

// Lengths is List with the length of each file: behind it, slot numbers are free.
func (d *Dir) Lengths(fn func(id [16]byte, length int64) error) error {
	return d.list(func(id ID, fi fs.FileInfo) error { return fn(id, fi.Size()) })
}

func (d *Dir) list(fn func(id ID, fi fs.FileInfo) error) error {
	fans, err := os.ReadDir(d.root)
	if err != nil {
		return fmt.Errorf("list contents: %w", err)
	}
	for _, fan := range fans {
		if len(fan.Name()) != 2 || !fan.IsDir() {
			continue
		}
		if err := d.listFan(fan.Name(), fn); err != nil {
			return err
		}
	}
	return nil
}

func (d *Dir) listFan(fan string, fn func(id ID, fi fs.FileInfo) error) error {
	names, err := os.ReadDir(filepath.Join(d.root, fan))
	if err != nil {
		return fmt.Errorf("list contents: %w", err)
	}
	for _, e := range names {
		id, ok := parseName(fan, e.Name())
		if !ok {
			continue
		}
		fi, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return failed("list", id, err)
		}
		if err := fn(id, fi); err != nil {
			return err
		}
	}
	return nil
}

func parseName(fan, name string) (id ID, ok bool) {
	b, err := hex.DecodeString(name)
	if err != nil || len(b) != len(id) || hex.EncodeToString(b) != name || name[:2] != fan {
		return id, false
	}
	return ID(b), true
}

func allocatedBytes(fi fs.FileInfo) int64 {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		return st.Blocks * blockUnit
	}
	return fi.Size()
}
