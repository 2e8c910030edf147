package content

import "errors"

// AppendWith is [Dir.Append] of n bytes that depend on the number of their first slot, as ciphertext that is bound to its
// slot does. fill gives them; what it gives is not kept.
func (d *Dir) AppendWith(id [16]byte, slotSize int, n int64, fill func(first uint64) []byte) (first uint64, err error) {
	d.makeRoom()
	f, err := d.acquire(id, true)
	if err != nil {
		return 0, err
	}
	defer d.release(f)
	if first, err = f.allocate(int64(slotSize), n); err != nil {
		return 0, failed("append", id, err)
	}
	if err := d.write(f, fill(first), int64(first)*int64(slotSize)); err != nil {
		return 0, failed("append", id, err)
	}
	return first, nil
}

// Next is the lowest number that a later append of the content can be given; 0 where there is no file.
func (d *Dir) Next(id [16]byte, slotSize int) (uint64, error) {
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
	return uint64(slots(end, int64(slotSize))), err
}
