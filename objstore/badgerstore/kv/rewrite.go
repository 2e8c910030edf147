package kv

import (
	"errors"
	"fmt"
)

// errLost says that bytes which were written cannot be read back.
var errLost = errors.New("written bytes are lost")

// sync makes a segment durable. Only the flusher calls it.
//
// After a failed fdatasync the kernel may call pages clean that never reached the disk: another fdatasync would report
// success over lost bytes. So the segment is written anew first.
func (j *journal) sync(s *segment) error {
	if s.suspect {
		if err := j.rewrite(s); err != nil {
			return err
		}
	}
	err := s.f.Datasync()
	s.suspect = err != nil
	return err
}

// rewrite reads a segment, which is mostly still in the kernel's memory, and writes the same bytes again, so that they
// count as not written. Each record of it has to be authentic; if one is not, the error is errLost.
func (j *journal) rewrite(s *segment) error {
	j.appending.Lock()
	defer j.appending.Unlock()
	j.mu.Lock()
	first, last, end := s.first, s.last, s.end
	j.mu.Unlock()
	b, err := s.read((end + pageSize - 1) / pageSize * pageSize)
	if err != nil {
		return err
	}
	if err := j.authentic(s, b, first, last); err != nil {
		return fmt.Errorf("%w: %w", errLost, err)
	}
	_, err = s.f.WriteAt(b, 0)
	return err
}

// authentic checks a segment of this opening of the store.
func (j *journal) authentic(s *segment, b []byte, first, last uint64) error {
	if s.keys.aead == nil {
		return errHeader // of an earlier opening: its records were not all read
	}
	for i := range headerCopies {
		if h, _, err := openHeader(b[i*pageSize:], j.secret); err != nil || h.first() != first {
			return errHeader
		}
	}
	r := replayed{seg: s, keys: s.keys, bytes: b}
	off := recordsStart
	for lsn := first; lsn <= last; lsn++ {
		if off+recordHead+tagSize > len(b) {
			return errOps
		}
		rec, size, ok := r.parse(b[off:])
		if !ok || rec.lsn != lsn {
			return fmt.Errorf("record %d is not what was written", lsn)
		}
		off += size
	}
	return nil
}
