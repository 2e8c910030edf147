package kv

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
)

// errJournalFull says that no segment is free until a checkpoint ends.
var errJournalFull = errors.New("journal full")

// journal is the ordered set of segments. Only the writer appends; checkpoints recycle.
type journal struct {
	dir      string
	secret   []byte
	segBytes int64
	openFile func(string) (file, error)
	intact   func([]byte) bool
	buf      []byte // writer's scratch

	lsn    atomic.Uint64 // newest record written
	synced atomic.Uint64 // newest record known durable
	said   atomic.Uint64 // what the newest record says is durable
	marked atomic.Uint64 // what a durable record says is durable

	appending sync.Mutex // held while a record is written, and while a segment is written anew; before mu

	mu       sync.Mutex
	live     []*segment // GUARDED_BY(mu): oldest first; the last is written if current
	current  bool       // GUARDED_BY(mu): the last live segment takes more records
	free     []*segment // GUARDED_BY(mu)
	sequence uint64     // GUARDED_BY(mu): of the newest use
}

// append writes ops as the next record. errJournalFull: nothing was written, try again
// after a checkpoint. Other errors: nothing counts as written.
func (j *journal) append(ops *opSet) (uint64, error) {
	seg, err := j.writable(ops.size)
	if err != nil {
		return 0, err
	}
	j.appending.Lock()
	defer j.appending.Unlock()
	lsn := j.lsn.Load() + 1
	synced := j.synced.Load()
	buf, end, err := seg.write(j.buf, lsn, synced, ops)
	j.keepScratch(buf)
	if err != nil {
		j.abandon(seg)
		return 0, fmt.Errorf("kv: write journal: %w", err)
	}
	j.mu.Lock()
	seg.advance(lsn, end)
	j.mu.Unlock()
	j.lsn.Store(lsn)
	j.said.Store(synced)
	return lsn, nil
}

// keepScratch keeps the buffer unless one huge transaction grew it.
func (j *journal) keepScratch(buf []byte) {
	if cap(buf) <= 4<<20 {
		j.buf = buf
	} else {
		j.buf = nil
	}
}

// writable returns a segment that has room for payload bytes, or an empty one that a
// larger record will grow.
func (j *journal) writable(payload int) (*segment, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.current {
		if seg := j.live[len(j.live)-1]; seg.room(payload) || seg.end == recordsStart {
			return seg, nil
		}
	}
	return j.rotate()
}

// rotate starts a free segment. LOCKS_REQUIRED(mu).
func (j *journal) rotate() (*segment, error) {
	if len(j.free) == 0 {
		return nil, errJournalFull
	}
	seg := j.free[0]
	j.current = false
	if err := seg.begin(j.secret, j.lsn.Load()+1, j.synced.Load(), j.sequence+1); err != nil {
		return nil, fmt.Errorf("kv: start journal segment: %w", err)
	}
	j.sequence++
	j.free = j.free[1:]
	j.live = append(j.live, seg)
	j.current = true
	return seg, nil
}

// abandon gives up seg after a failed write: its file may hold the record that was never
// acknowledged. A new segment that begins with the same LSN voids it; if none can be
// started now, the next append has to.
func (j *journal) abandon(seg *segment) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.current = false
	if seg.size > j.segBytes {
		_ = seg.f.Truncate(max(j.segBytes, seg.end))
	}
	zeros := make([]byte, pageSize)
	copy(zeros, seg.tail)
	_, _ = seg.f.WriteAt(zeros, seg.end-int64(len(seg.tail)))
	_, _ = j.rotate()
}

// unsynced returns the live segments that hold records after synced, oldest first.
func (j *journal) unsynced() []*segment {
	j.mu.Lock()
	defer j.mu.Unlock()
	var out []*segment
	for _, s := range j.live {
		if s.last > j.synced.Load() {
			out = append(out, s)
		}
	}
	return out
}

// recycle frees the segments whose records are all in badger.
func (j *journal) recycle(checkpoint uint64) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	var errs []error
	keep := j.live[:0]
	for i, s := range j.live {
		if s.last > checkpoint || (j.current && i == len(j.live)-1) {
			keep = append(keep, s)
			continue
		}
		errs = append(errs, s.shrink(j.segBytes))
		j.free = append(j.free, s)
	}
	clear(j.live[len(keep):])
	j.live = keep
	return errors.Join(errs...)
}

// shrink gives back what an oversized record had added.
func (s *segment) shrink(size int64) error {
	if s.size <= size {
		return nil
	}
	if err := s.f.Truncate(size); err != nil {
		return err
	}
	s.size = size
	return nil
}

// bytes returns the size of all segments, and how much of it live records may use.
func (j *journal) bytes() (total, live int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, s := range j.free {
		total += s.size
	}
	for _, s := range j.live {
		total += s.size
		live += s.end
	}
	return total, live
}

// close closes the files. After a last checkpoint (done) no record is needed any more.
func (j *journal) close(done bool) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	var errs []error
	for _, s := range append(j.live, j.free...) {
		if done {
			errs = append(errs, s.shrink(j.segBytes))
		}
		errs = append(errs, s.f.Close())
	}
	j.live, j.free, j.current = nil, nil, false
	return errors.Join(errs...)
}

// openSegments opens n segment files, or as many as there are: an earlier opening may have
// used more. Missing ones are made, short ones filled with zeros.
func (j *journal) openSegments(n int) ([]*segment, error) {
	var segs []*segment
	for i := 0; i < n || j.exists(i); i++ {
		s, err := j.openSegment(j.segmentPath(i))
		if err != nil {
			for _, s := range segs {
				_ = s.f.Close()
			}
			return nil, fmt.Errorf("kv: open journal: %w", err)
		}
		segs = append(segs, s)
	}
	if j.dir == "" {
		return segs, nil
	}
	return segs, syncPath(j.dir)
}

func (j *journal) segmentPath(i int) string {
	return filepath.Join(j.dir, fmt.Sprintf("%03d.journal", i))
}

func (j *journal) exists(i int) bool {
	_, err := os.Stat(j.segmentPath(i))
	return err == nil
}

func (j *journal) openSegment(path string) (*segment, error) {
	f, err := j.openFile(path)
	if err != nil {
		return nil, err
	}
	size, err := f.Size()
	if err == nil && size < j.segBytes {
		size, err = j.segBytes, preallocate(f, size, j.segBytes)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return &segment{f: f, path: path, size: size, first: 1}, nil
}

// preallocate writes zeros, so that later overwrites need no block allocation: a flush
// then costs one device write, and a full disk cannot fail it.
func preallocate(f file, from, to int64) error {
	zeros := make([]byte, 1<<20)
	for off := from; off < to; off += int64(len(zeros)) {
		n := min(int64(len(zeros)), to-off)
		if _, err := f.WriteAt(zeros[:n], off); err != nil {
			return err
		}
	}
	return f.Datasync()
}

// read returns the first n bytes of the file.
func (s *segment) read(n int64) ([]byte, error) {
	buf := make([]byte, n)
	got, err := s.f.ReadAt(buf, 0)
	if err != nil && !(errors.Is(err, io.EOF) && int64(got) == n) {
		return nil, fmt.Errorf("kv: read %s: %w", filepath.Base(s.path), err)
	}
	return buf, nil
}

// makeDirs makes dir and the named directories in it, durably.
func makeDirs(dir string, names ...string) error {
	for _, name := range names {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			return err
		}
	}
	if err := syncPath(dir); err != nil {
		return err
	}
	return syncPath(filepath.Dir(dir))
}
