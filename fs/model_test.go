package fs

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"kmsfs/fs/fstest"
	"kmsfs/objstore"
)

// setup is a view of bucket "files" of a new store in memory, checked at the end.
func setup(t *testing.T, change ...func(*Options)) (*fstest.Store, *FS, *View) {
	t.Helper()
	s := fstest.New()
	o := Options{Tree: s, Store: s, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
	for _, c := range change {
		c(&o)
	}
	f := New(o)
	v, err := f.NewView(t.Context(), ViewOptions{Bucket: "files"})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, v.Close(context.Background()))
		require.NoError(t, f.Close())
		require.Zero(t, f.OpenFiles(), "a handle was not released")
		require.Zero(t, f.pool.count, "chunk buffers were not given back")
		require.NoError(t, s.Close())
	})
	return s, f, v
}

// create makes a file and opens it.
func create(t testing.TB, v *View, name string) *Handle {
	t.Helper()
	_, h, err := v.Create(t.Context(), v.Root(), name, NodeInit{Mode: 0o644}, OpenFlags{Write: true}, true)
	require.NoError(t, err)
	return h
}

func open(t testing.TB, v *View, ino objstore.Ino, flags OpenFlags) *Handle {
	t.Helper()
	h, err := v.Open(t.Context(), ino, flags)
	require.NoError(t, err)
	return h
}

func readAll(t *testing.T, h *Handle, size int) []byte {
	t.Helper()
	p := make([]byte, size+10)
	n, err := h.Read(p, 0)
	require.NoError(t, err)
	return p[:n]
}

func write(t testing.TB, h *Handle, off int64, data string) {
	t.Helper()
	n, err := h.Write(t.Context(), off, []byte(data), false)
	require.NoError(t, err)
	require.Equal(t, len(data), n)
}

// fileModel is a file as a slice of bytes.
type fileModel struct {
	t    *testing.T
	r    *rand.Rand
	v    *View
	h    *Handle
	ino  objstore.Ino
	want []byte
	log  []string
}

// modelSize bounds the file of the model test, in bytes.
const modelSize = 5*chunkSize + 1234

func (m *fileModel) position(limit int) int {
	p := m.r.IntN(limit + 1)
	switch m.r.IntN(3) { // the ends of chunks and pages are where it goes wrong
	case 0:
		p = p / chunkSize * chunkSize
	case 1:
		p = p / 4096 * 4096
	}
	return p
}

func (m *fileModel) note(format string, args ...any) {
	m.log = append(m.log, fmt.Sprintf(format, args...))
}

func (m *fileModel) grow(size int) {
	if size > len(m.want) {
		m.want = append(m.want, make([]byte, size-len(m.want))...)
	}
}

func (m *fileModel) write() {
	off := m.position(modelSize)
	n := m.position(min(modelSize-off, [...]int{100, 5000, 3 * chunkSize}[m.r.IntN(3)]))
	m.note("write %d+%d", off, n)
	data := bytes.Repeat([]byte{byte(1 + m.r.IntN(255))}, n)
	do := m.h.Write
	if m.r.IntN(2) == 0 {
		do = m.writeBehind
	}
	got, err := do(m.t.Context(), int64(off), data, false)
	require.NoError(m.t, err)
	require.Equal(m.t, n, got)
	if n > 0 {
		m.grow(off + n)
		copy(m.want[off:], data)
	}
}

// writeBehind finishes the write beside what comes next.
func (m *fileModel) writeBehind(ctx context.Context, off int64, data []byte, kill bool) (int, error) {
	if len(data) == 0 {
		return 0, nil
	}
	n, finish, err := m.h.writeBehind(ctx, off, bytes.Clone(data), kill)
	if finish != nil {
		go finish()
	}
	return n, err
}

func (m *fileModel) truncate() {
	size := m.position(modelSize)
	m.note("truncate %d", size)
	s := int64(size)
	_, err := m.v.SetAttr(m.t.Context(), m.ino, m.h, SetAttr{Size: &s})
	require.NoError(m.t, err)
	m.grow(size)
	m.want = m.want[:size:size]
}

func (m *fileModel) allocate() {
	off := m.position(modelSize - 1)
	n := 1 + m.position(modelSize-off-1)
	mode := [...]uint32{0, AllocKeepSize, AllocKeepSize | AllocPunchHole, AllocZeroRange, AllocZeroRange | AllocKeepSize}[m.r.IntN(5)]
	m.note("allocate %d+%d %#x", off, n, mode)
	require.NoError(m.t, m.h.Allocate(m.t.Context(), int64(off), int64(n), mode))
	if mode&AllocKeepSize == 0 {
		m.grow(off + n)
	}
	if mode&^AllocKeepSize != 0 && off < len(m.want) {
		clear(m.want[off:min(off+n, len(m.want))])
	}
}

func (m *fileModel) copyRange() {
	off, to := m.position(modelSize), m.position(modelSize)
	n := m.position(modelSize - max(off, to))
	if off < to+n && to < off+n { // the kernel refuses overlaps
		return
	}
	m.note("copy %d+%d to %d", off, n, to)
	got, err := m.h.CopyRange(m.t.Context(), int64(off), m.h, int64(to), int64(n))
	require.NoError(m.t, err)
	n = max(0, min(n, len(m.want)-off))
	require.EqualValues(m.t, n, got)
	if n > 0 {
		m.grow(to + n)
		copy(m.want[to:to+n], m.want[off:off+n])
	}
}

func (m *fileModel) seek() {
	for off := int64(0); off < int64(len(m.want)); {
		data, err := m.h.SeekData(off)
		if err != nil {
			require.ErrorIs(m.t, err, objstore.NoData)
			data = int64(len(m.want))
		}
		require.Zero(m.t, len(bytes.Trim(m.want[off:data], "\x00")), "data in a hole at %d: %v", off, m.log)
		if data == int64(len(m.want)) {
			return
		}
		off, err = m.h.SeekHole(data)
		require.NoError(m.t, err)
		require.Greater(m.t, off, data)
	}
}

func (m *fileModel) reopen() {
	m.note("reopen")
	require.NoError(m.t, m.h.Flush(m.t.Context()))
	m.h.Release(m.t.Context())
	m.h = open(m.t, m.v, m.ino, OpenFlags{Write: true})
}

func (m *fileModel) step() {
	switch m.r.IntN(20) {
	case 0, 1:
		m.truncate()
	case 2, 3:
		m.allocate()
	case 4:
		m.copyRange()
	case 5:
		m.seek()
	case 6:
		m.reopen()
	case 7:
		m.note("sync")
		require.NoError(m.t, m.h.Sync(m.t.Context()))
	case 8:
		m.note("flush")
		require.NoError(m.t, m.h.Flush(m.t.Context()))
	case 9:
		m.note("reencrypt")
		_, err := m.v.fs.Reencrypt(m.t.Context(), m.ino, true)
		require.NoError(m.t, err)
	default:
		m.write()
	}
}

func (m *fileModel) check() {
	require.True(m.t, bytes.Equal(m.want, readAll(m.t, m.h, modelSize)), "content differs after %v", m.log)
	off := m.position(modelSize)
	p := make([]byte, m.position(modelSize))
	n, err := m.h.Read(p, int64(off))
	require.NoError(m.t, err)
	require.True(m.t, bytes.Equal(m.want[min(off, len(m.want)):min(off+len(p), len(m.want))], p[:n]))
	node, _, err := m.v.GetAttr(m.t.Context(), m.ino)
	require.NoError(m.t, err)
	require.EqualValues(m.t, len(m.want), node.Size, "%v", m.log)
}

// TestFileIsASliceOfBytes does random operations with little memory, so that chunks are evicted all the time, on a
// store that shows stale bytes wherever it may.
func TestFileIsASliceOfBytes(t *testing.T) {
	for seed := range uint64(60) {
		_, f, v := setup(t, func(o *Options) { o.DirtyLimit = 4 * chunkSize })
		require.Equal(t, 4, f.pool.limit)
		m := &fileModel{t: t, r: rand.New(rand.NewPCG(seed, 7)), v: v, h: create(t, v, "f")}
		f.pool.limit = [...]int{0, 3, 1000}[seed%3]
		m.ino = m.h.Ino()
		for range 60 {
			m.step()
			m.check()
		}
		m.reopen()
		m.check()
		m.h.Release(context.Background())
		if t.Failed() {
			return
		}
	}
}

// TestBytesBehindACutAreZeros: what the store has of a chunk whose last bytes were cut off comes into view again when
// the store's file grows before the chunk was written, and must not be read.
func TestBytesBehindACutAreZeros(t *testing.T) {
	check := func(t *testing.T, v *View) {
		h := create(t, v, "f")
		resize := func(size int64) {
			_, err := v.SetAttr(t.Context(), h.Ino(), h, SetAttr{Size: &size})
			require.NoError(t, err)
		}
		write(t, h, 0, strings.Repeat("x", chunkSize))
		require.NoError(t, h.Flush(t.Context()))
		resize(1000)
		write(t, h, 3*chunkSize+5, "y")
		resize(3000)
		write(t, h, chunkSize, strings.Repeat("z", chunkSize)) // a whole chunk goes to the store at once
		want := append(append(bytes.Repeat([]byte("x"), 1000), make([]byte, chunkSize-1000)...), bytes.Repeat([]byte("z"), chunkSize)...)
		require.True(t, bytes.Equal(want, readAll(t, h, 2*chunkSize)))
		require.NoError(t, h.Flush(t.Context()))
		require.True(t, bytes.Equal(want, readAll(t, h, 2*chunkSize)))
		h.Release(context.Background())
	}
	t.Run("memory", func(t *testing.T) { _, _, v := setup(t); check(t, v) })
	t.Run("engine", func(t *testing.T) { _, _, v := engine(t); check(t, v) })
}
