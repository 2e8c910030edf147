package content

import (
	"errors"
	"fmt"
	"io"
	"math"
)

// ReadAt fills p from the beginning of slot on; p may span consecutive slots. [ErrMissing] when there is no such
// file or it ends before slot, [ErrShort] when it ends within p; any other error is the disk's. Punched slots
// read as zeros but for their parts of blocks that have others, too.
func (d *Dir) ReadAt(id [16]byte, slotSize int, slot uint64, p []byte) error {
	return d.read(id, slotSize, slot, p, File.ReadAt)
}

// ReadOnce is ReadAt of what is not likely to be read again soon.
func (d *Dir) ReadOnce(id [16]byte, slotSize int, slot uint64, p []byte) error {
	return d.read(id, slotSize, slot, p, File.ReadOnce)
}

func (d *Dir) read(id [16]byte, slotSize int, slot uint64, p []byte, readAt func(File, []byte, int64) (int, error)) error {
	off, err := offset(id, slotSize, slot)
	if err != nil {
		return err
	}
	f, err := d.acquire(id, false)
	if err != nil {
		return err
	}
	defer d.release(f)
	n, err := readAt(f.h, p, off)
	switch {
	case n == len(p):
		return nil
	case errors.Is(err, io.EOF) && n == 0:
		return failed(fmt.Sprintf("read slot %d", slot), id, ErrMissing)
	case errors.Is(err, io.EOF):
		return failed(fmt.Sprintf("read %d bytes from slot %d: got %d", len(p), slot, n), id, ErrShort)
	}
	return failed(fmt.Sprintf("read slot %d", slot), id, err)
}

// offset is where slot begins. A number that no file can have is [ErrMissing]: it comes from a damaged record.
func offset(id ID, slotSize int, slot uint64) (int64, error) {
	if slotSize <= 0 || slot > math.MaxInt64/uint64(slotSize) {
		return 0, failed(fmt.Sprintf("slot %d of %d bytes is out of range", slot, slotSize), id, ErrMissing)
	}
	return int64(slot) * int64(slotSize), nil
}
