package kv

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// memFile is a file in memory, so that journals can be cut at every byte quickly.
type memFile struct {
	b []byte

	failWrites int // the next writes fail after half of their bytes
	failSyncs  int
	err        error
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(f.b).ReadAt(p, off)
}

func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	n := len(p)
	if f.failWrites > 0 {
		f.failWrites--
		n = len(p) / 2
	}
	if need := int(off) + n; need > len(f.b) {
		f.b = append(f.b, make([]byte, need-len(f.b))...)
	}
	copy(f.b[off:], p[:n])
	if n < len(p) {
		return n, f.err
	}
	return n, nil
}

func (f *memFile) Truncate(n int64) error {
	f.b = append(f.b, make([]byte, max(0, int(n)-len(f.b)))...)[:n]
	return nil
}

func (f *memFile) Size() (int64, error) { return int64(len(f.b)), nil }
func (f *memFile) Close() error         { return nil }

func (f *memFile) Datasync() error {
	if f.failSyncs > 0 {
		f.failSyncs--
		return f.err
	}
	return nil
}

// memDisk holds files by name.
type memDisk map[string]*memFile

func (d memDisk) open(path string) (file, error) {
	name := filepath.Base(path)
	if d[name] == nil {
		d[name] = &memFile{err: errors.New("device fault")}
	}
	return d[name], nil
}

func (d memDisk) clone() memDisk {
	c := memDisk{}
	for name, f := range d {
		c[name] = &memFile{b: append([]byte{}, f.b...), err: f.err}
	}
	return c
}

const testSegment = 32 << 10

// reopen replays the disk's journal and returns it with the values it applied in order.
func (d memDisk) reopen(checkpoint uint64) (j *journal, applied []string, err error) {
	j = &journal{secret: testSecret(), segBytes: testSegment, openFile: d.open}
	segs, err := j.openSegments(3)
	if err != nil {
		return nil, nil, err
	}
	err = j.replay(segs, checkpoint, false, func(lsn uint64, ops *opSet) {
		it, _ := ops.tree.Min()
		applied = append(applied, string(it.key))
	})
	return j, applied, err
}

func oneOp(key string, size int) *opSet {
	ops := newOpSet()
	ops.set([]byte(key), &entry{val: make([]byte, size)})
	return ops
}

func mustAppend(t *testing.T, j *journal, key string, size int) {
	t.Helper()
	_, err := j.append(oneOp(key, size))
	require.NoError(t, err)
}

func keysUpTo(n int) (out []string) {
	for i := range n {
		out = append(out, fmt.Sprintf("key%02d", i))
	}
	return out
}

// A journal cut or garbled at any byte of its last record gives the records before it.
func TestTornTail(t *testing.T) {
	disk := memDisk{}
	j, _, err := disk.reopen(0)
	require.NoError(t, err)
	for _, key := range keysUpTo(4) {
		mustAppend(t, j, key, 30)
	}
	seg := j.live[0]
	name := filepath.Base(seg.path)
	before := seg.end
	mustAppend(t, j, "key04", 300)
	for off := before; off < seg.end; off++ {
		torn := disk.clone()
		clear(torn[name].b[off:])
		wantPrefix(t, torn, 4, 5, off)
		garbled := disk.clone()
		garbled[name].b[off] ^= 0x40
		wantPrefix(t, garbled, 4, 5, off)
	}
}

// wantPrefix accepts n records, or all of them if the damage met padding only.
func wantPrefix(t *testing.T, d memDisk, n, all int, off int64) {
	t.Helper()
	_, got, err := d.reopen(0)
	require.NoError(t, err)
	if len(got) == all {
		n = all
	}
	require.Equal(t, keysUpTo(n), got, "offset %d", off)
}

// After a torn tail the journal goes on in a new segment, and what was cut off stays gone.
func TestGoOnAfterTornTail(t *testing.T) {
	disk := memDisk{}
	j, _, err := disk.reopen(0)
	require.NoError(t, err)
	for _, key := range keysUpTo(6) {
		mustAppend(t, j, key, 30)
	}
	// record 4 is lost, 5 and 6 were written by the device
	r := &replayed{keys: j.live[0].keys, bytes: disk["000.journal"].b}
	off := recordsStart
	for range 4 {
		_, ok := r.find(&off)
		require.True(t, ok)
	}
	disk["000.journal"].b[off-recordAlign-recordHead] ^= 1
	j, got, err := disk.reopen(0)
	require.NoError(t, err)
	require.Equal(t, keysUpTo(3), got)
	mustAppend(t, j, "new", 30)
	_, got, err = disk.reopen(0)
	require.NoError(t, err)
	require.Equal(t, append(keysUpTo(3), "new"), got)
	_, got, err = disk.reopen(3)
	require.NoError(t, err)
	require.Equal(t, []string{"new"}, got)
}

// A damaged record that a later one knows to be durable is corruption, not a torn tail.
func TestDamagedDurableRecord(t *testing.T) {
	disk := memDisk{}
	j, _, err := disk.reopen(0)
	require.NoError(t, err)
	for _, key := range keysUpTo(4) {
		mustAppend(t, j, key, 30)
	}
	end := j.live[0].end
	j.synced.Store(4)
	mustAppend(t, j, "key04", 30)
	for off := int64(recordsStart); off < end; off++ {
		bad := disk.clone()
		bad["000.journal"].b[off] ^= 4
		_, got, err := bad.reopen(0)
		if err == nil {
			require.Equal(t, keysUpTo(5), got, "only padding may change unnoticed: offset %d", off)
			continue
		}
		var corrupt *CorruptError
		require.ErrorAs(t, err, &corrupt)
		require.Equal(t, "journal", corrupt.What)
	}
	bad := disk.clone()
	bad["000.journal"].b[recordsStart+30] ^= 4
	_, _, err = bad.reopen(0)
	require.Error(t, err)
	_, got, err := bad.reopen(1)
	require.NoError(t, err, "record 1 is in badger")
	require.Equal(t, keysUpTo(5)[1:], got)
}

// A header is kept twice: damage to one copy is harmless.
func TestDamagedHeader(t *testing.T) {
	disk := memDisk{}
	j, _, err := disk.reopen(0)
	require.NoError(t, err)
	mustAppend(t, j, "key00", 30)
	for off := range recordsStart {
		bad := disk.clone()
		bad["000.journal"].b[off] ^= 4
		_, got, err := bad.reopen(0)
		require.NoError(t, err)
		require.Equal(t, keysUpTo(1), got)
	}
}

func TestJournalFillsAndRecycles(t *testing.T) {
	disk := memDisk{}
	j, _, err := disk.reopen(0)
	require.NoError(t, err)
	n := 0
	for {
		_, err := j.append(oneOp(fmt.Sprintf("key%02d", n), 5000))
		if err != nil {
			require.ErrorIs(t, err, errJournalFull)
			break
		}
		n++
	}
	require.Greater(t, n, 10)
	_, got, err := disk.clone().reopen(0)
	require.NoError(t, err)
	require.Equal(t, keysUpTo(n), got)

	require.NoError(t, j.recycle(uint64(n/2)))
	require.Len(t, j.free, 1)
	mustAppend(t, j, fmt.Sprintf("key%02d", n), 5000)
	_, got, err = disk.reopen(uint64(n / 2))
	require.NoError(t, err)
	require.Equal(t, keysUpTo(n + 1)[n/2:], got)
}

// A record whose write failed is void, although its bytes may have reached the file.
func TestFailedWriteIsVoid(t *testing.T) {
	disk := memDisk{}
	j, _, err := disk.reopen(0)
	require.NoError(t, err)
	mustAppend(t, j, "key00", 30)
	disk["000.journal"].failWrites = 1
	_, err = j.append(oneOp("failed", 3000))
	require.ErrorContains(t, err, "device fault")
	mustAppend(t, j, "key01", 30)
	require.Len(t, j.live, 2, "the segment was given up: its key and nonce may have been used")
	_, got, err := disk.reopen(0)
	require.NoError(t, err)
	require.Equal(t, keysUpTo(2), got)
}

// The same when the new segment cannot be started at once either.
func TestFailedWriteAndRotate(t *testing.T) {
	disk := memDisk{}
	j, _, err := disk.reopen(0)
	require.NoError(t, err)
	mustAppend(t, j, "key00", 30)
	disk["000.journal"].failWrites = 2
	disk["001.journal"].failWrites = 2
	for range 2 {
		_, err = j.append(oneOp("failed", 3000))
		require.Error(t, err)
	}
	mustAppend(t, j, "key01", 30)
	_, got, err := disk.reopen(0)
	require.NoError(t, err)
	require.Equal(t, keysUpTo(2), got)
}

func FuzzOps(f *testing.F) {
	s := newOpSet()
	s.set([]byte("a"), &entry{val: []byte("v")})
	s.set([]byte("b"), &entry{del: true})
	s.setData(dataOp{"id", dataEntry{val: []byte("data")}})
	f.Add(s.encode(nil))
	f.Add([]byte{opPut, 5})
	f.Fuzz(func(t *testing.T, raw []byte) {
		ops, err := decodeOps(raw)
		if err != nil {
			return
		}
		again, err := decodeOps(ops.encode(nil))
		require.NoError(t, err)
		require.Equal(t, ops.encode(nil), again.encode(nil))
	})
}
