package main

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// randomSize bounds the files, in bytes: five chunks and a bit.
const randomSize = 5<<16 + 1234

// randomFile is a file as a slice of bytes.
type randomFile struct {
	id      int // for messages
	links   int
	want    []byte
	durable []byte // what is there when the daemon dies
	shared  bool   // want and durable are one slice
	mapped  bool   // was written through a mapping and not synced since
	note    string // the attribute user.note; "": not there
	key     string // the attribute user.sse-kms-key-id
}

// change makes want writable, size bytes long at least.
func (f *randomFile) change(size int) {
	if f.shared {
		f.want, f.shared = bytes.Clone(f.want), false
	}
	if more := size - len(f.want); more > 0 {
		f.want = append(f.want, make([]byte, more)...)
	}
}

func (f *randomFile) resize(size int) {
	f.change(size)
	f.want = f.want[:size:size]
}

// sync makes all that was written durable, as a sync does, or the close of a descriptor that may write.
func (f *randomFile) sync() { f.durable, f.shared, f.mapped = f.want, true, false }

// crashed takes back what was not durable.
func (f *randomFile) crashed() { f.want, f.shared, f.mapped = f.durable, true, false }

// randomHandle is an open file.
type randomHandle struct {
	*os.File
	file          *randomFile
	write, append bool
}

// position is one of a file: at the ends of chunks and pages it goes wrong.
func (m *randomRun) position(limit int) int {
	p := m.r.IntN(limit + 1)
	switch m.r.IntN(3) {
	case 0:
		p &^= 1<<16 - 1
	case 1:
		p &^= 1<<12 - 1
	}
	return p
}

// length is one of a piece that begins at off, rather small than large.
func (m *randomRun) length(off int) int {
	return m.position(min(randomSize-off, [...]int{100, 5000, 70000, 200000}[m.r.IntN(4)]))
}

func (m *randomRun) openOne() {
	if len(m.open) >= 6 {
		m.closeOne()
	}
	name := m.anyName()
	f := m.names[name]
	h := &randomHandle{write: m.r.IntN(4) > 0, append: m.r.IntN(6) == 0}
	flags := os.O_RDONLY
	truncate := f != nil && h.write && m.r.IntN(6) == 0
	if h.write || f == nil {
		h.write, flags = true, os.O_RDWR|os.O_CREATE
	}
	if h.append {
		flags |= os.O_APPEND
	}
	if truncate {
		flags |= os.O_TRUNC
	}
	m.note("open %s %#x", name, flags)
	var err error
	h.File, err = os.OpenFile(m.b.path(name), flags, 0o644)
	m.ok(err)
	if f == nil {
		m.created++
		f = &randomFile{id: m.created, links: 1, want: []byte{}, durable: []byte{}}
		m.names[name] = f
	}
	h.file = f
	if truncate {
		f.resize(0)
	}
	m.open = append(m.open, h)
}

func (m *randomRun) closeOne() {
	if len(m.open) == 0 {
		return
	}
	k := m.r.IntN(len(m.open))
	h := m.open[k]
	m.open = slices.Delete(m.open, k, k+1)
	m.note("close %d, write: %v", h.file.id, h.write)
	m.ok(h.Close())
	if h.write {
		h.file.sync()
	}
}

func (m *randomRun) write() {
	h := m.handle(true)
	if h == nil {
		return
	}
	off := m.position(randomSize)
	if h.append {
		off = len(h.file.want)
	}
	n := m.length(off)
	m.note("write %d at %d+%d", h.file.id, off, n)
	data := m.buf[:n]
	x := byte(m.r.IntN(256))
	for k := range data {
		data[k] = byte(k>>8) ^ byte(k) ^ x
	}
	var err error
	if h.append {
		_, err = h.Write(data) // os.File refuses WriteAt
	} else {
		_, err = h.WriteAt(data, int64(off))
	}
	m.ok(err)
	if n > 0 {
		h.file.change(off + n)
		copy(h.file.want[off:], data)
	}
}

func (m *randomRun) read() {
	h := m.handle(false)
	if h == nil {
		return
	}
	off := m.position(randomSize)
	n := m.length(off)
	m.note("read %d at %d+%d", h.file.id, off, n)
	m.compare(h, off, n)
}

// compare reads n bytes at off of an open file.
func (m *randomRun) compare(h *randomHandle, off, n int) {
	got, err := h.ReadAt(m.buf[:n], int64(off))
	if err != nil && !errors.Is(err, io.EOF) {
		m.ok(err)
	}
	want := h.file.want[min(off, len(h.file.want)):min(off+n, len(h.file.want))]
	m.same(m.buf[:got], want, h.file, off)
}

func (m *randomRun) same(got, want []byte, f *randomFile, off int) {
	if bytes.Equal(got, want) {
		return
	}
	at := 0
	for at < min(len(got), len(want)) && got[at] == want[at] {
		at++
	}
	m.fail("file %d differs at %d of %d: %d bytes instead of %d from %d on", f.id, off+at, len(f.want), len(got), len(want), off)
}

func (m *randomRun) fsync() {
	h := m.handle(false)
	if h == nil {
		return
	}
	m.note("fsync %d", h.file.id)
	if m.r.IntN(2) == 0 {
		m.ok(unix.Fdatasync(int(h.Fd())))
	} else {
		m.ok(h.Sync())
	}
	h.file.sync()
}

func (m *randomRun) truncate() {
	name := m.someName()
	if name == "" {
		return
	}
	f, size := m.names[name], m.position(randomSize)
	m.note("truncate %s (%d) to %d", name, f.id, size)
	m.ok(os.Truncate(m.b.path(name), int64(size)))
	f.resize(size)
	for _, h := range m.open {
		if h.file == f && h.write { // then it may be part of what is unfinished
			m.ok(h.Sync())
		}
	}
	f.sync()
}

func (m *randomRun) ftruncate() {
	h := m.handle(true)
	if h == nil {
		return
	}
	size := m.position(randomSize)
	m.note("ftruncate %d to %d", h.file.id, size)
	m.ok(h.Truncate(int64(size)))
	h.file.resize(size)
}

func (m *randomRun) fallocate() {
	h := m.handle(true)
	if h == nil {
		return
	}
	off := m.position(randomSize - 1)
	n := 1 + m.position(randomSize-off-1)
	mode := [...]uint32{0, unix.FALLOC_FL_KEEP_SIZE, unix.FALLOC_FL_KEEP_SIZE | unix.FALLOC_FL_PUNCH_HOLE,
		unix.FALLOC_FL_ZERO_RANGE, unix.FALLOC_FL_ZERO_RANGE | unix.FALLOC_FL_KEEP_SIZE}[m.r.IntN(5)]
	m.note("fallocate %d at %d+%d %#x", h.file.id, off, n, mode)
	m.ok(unix.Fallocate(int(h.Fd()), mode, int64(off), int64(n)))
	size := 0
	if mode&unix.FALLOC_FL_KEEP_SIZE == 0 {
		size = off + n
	}
	h.file.change(size)
	if want := h.file.want; mode&^unix.FALLOC_FL_KEEP_SIZE != 0 && off < len(want) {
		clear(want[off:min(off+n, len(want))])
	}
}

func (m *randomRun) copyRange() {
	from, to := m.handle(false), m.handle(true)
	if to == nil || to.append {
		return
	}
	off, toOff := m.position(randomSize), m.position(randomSize)
	n := m.position(randomSize - max(off, toOff))
	if from.file == to.file && off < toOff+n && toOff < off+n { // overlaps are refused
		return
	}
	m.note("copy %d at %d+%d to %d at %d", from.file.id, off, n, to.file.id, toOff)
	n = max(0, min(n, len(from.file.want)-off))
	for done := 0; done < n; {
		a, b := int64(off+done), int64(toOff+done)
		k, err := unix.CopyFileRange(int(from.Fd()), &a, int(to.Fd()), &b, n-done, 0)
		m.ok(err)
		if done += k; k == 0 {
			m.fail("%d of %d bytes were copied", done, n)
		}
	}
	if n > 0 {
		data := bytes.Clone(from.file.want[off : off+n])
		to.file.change(toOff + n)
		copy(to.file.want[toOff:], data)
	}
}

// mapping calls do with a part of an open file, mapped into memory, and where it begins in the file.
func (m *randomRun) mapping(write bool, do func(h *randomHandle, at int, p []byte)) {
	h := m.handle(write)
	if h == nil || len(h.file.want) == 0 {
		return
	}
	at := m.r.IntN(len(h.file.want)) &^ (os.Getpagesize() - 1)
	prot := unix.PROT_READ
	if write {
		prot |= unix.PROT_WRITE
	}
	p, err := unix.Mmap(int(h.Fd()), int64(at), len(h.file.want)-at, prot, unix.MAP_SHARED)
	m.ok(err)
	do(h, at, p)
	m.ok(unix.Munmap(p))
}

func (m *randomRun) mapWrite() {
	m.mapping(true, func(h *randomHandle, at int, p []byte) {
		from := m.r.IntN(len(p))
		n := m.r.IntN(min(len(p)-from, 20000)) + 1
		x := byte(m.r.IntN(256))
		sync := m.r.IntN(4) == 0
		m.note("mapped write %d at %d+%d, sync: %v", h.file.id, at+from, n, sync)
		h.file.change(0)
		for k := range n {
			p[from+k] = x
			h.file.want[at+from+k] = x
		}
		h.file.mapped = true
		if sync {
			m.ok(unix.Msync(p, unix.MS_SYNC))
			h.file.sync()
		}
	})
}

func (m *randomRun) mapRead() {
	m.mapping(false, func(h *randomHandle, at int, p []byte) {
		m.note("mapped read %d from %d on", h.file.id, at)
		m.same(p, h.file.want[at:], h.file, at)
	})
}

// seek goes through data and holes: what is a hole reads as zeros. Of what was written through a mapping the daemon
// may not know.
func (m *randomRun) seek() {
	h := m.handle(false)
	if h == nil || h.file.mapped {
		return
	}
	m.note("seek through %d", h.file.id)
	want := h.file.want
	for off := int64(0); off < int64(len(want)); {
		data, err := unix.Seek(int(h.Fd()), off, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			data, err = int64(len(want)), nil
		}
		m.ok(err)
		if hole := want[off:data]; len(bytes.TrimLeft(hole, "\x00")) > 0 {
			m.fail("file %d has data in a hole that begins at %d", h.file.id, off)
		}
		if data == int64(len(want)) {
			return
		}
		off, err = unix.Seek(int(h.Fd()), data, unix.SEEK_HOLE)
		m.ok(err)
	}
}

func (m *randomRun) forgetOne() {
	if h := m.handle(false); h != nil {
		m.note("forget pages of %d", h.file.id)
		m.forgetPages(h)
	}
}

func (m *randomRun) forgetPages(h *randomHandle) {
	m.ok(unix.Fadvise(int(h.Fd()), 0, 0, unix.FADV_DONTNEED))
}

func (m *randomRun) rename() {
	a, b := m.someName(), m.anyName()
	if a == "" {
		return
	}
	from, to := m.names[a], m.names[b]
	exchange := to != nil && m.r.IntN(4) == 0
	m.note("rename %s (%d) to %s, exchange: %v", a, from.id, b, exchange)
	flags := uint(0)
	if exchange {
		flags = unix.RENAME_EXCHANGE
	}
	m.ok(unix.Renameat2(unix.AT_FDCWD, m.b.path(a), unix.AT_FDCWD, m.b.path(b), flags))
	switch {
	case from == to: // one file, or one name: nothing happens
	case exchange:
		m.names[a], m.names[b] = to, from
	default:
		if to != nil {
			to.links--
		}
		delete(m.names, a)
		m.names[b] = from
	}
}

func (m *randomRun) link() {
	a, b := m.someName(), m.anyName()
	if a == "" {
		return
	}
	m.note("link %s (%d) as %s", a, m.names[a].id, b)
	err := os.Link(m.b.path(a), m.b.path(b))
	if m.names[b] != nil {
		if !errors.Is(err, fs.ErrExist) {
			m.fail("link over a name: %v", err)
		}
		return
	}
	m.ok(err)
	m.names[b] = m.names[a]
	m.names[b].links++
}

func (m *randomRun) unlink() {
	name := m.someName()
	if name == "" {
		return
	}
	m.note("unlink %s (%d)", name, m.names[name].id)
	m.ok(os.Remove(m.b.path(name)))
	m.names[name].links--
	delete(m.names, name)
}

func (m *randomRun) setxattr() {
	name := m.someName()
	if name == "" {
		return
	}
	f := m.names[name]
	f.note = m.setOrRemove(name, "user.note", f.note, string(bytes.Repeat([]byte{'a' + byte(m.r.IntN(26))}, 1+m.r.IntN(3000))))
}

// selectKey chooses the key of the next version.
func (m *randomRun) selectKey() {
	name := m.someName()
	if name == "" {
		return
	}
	f := m.names[name]
	f.key = m.setOrRemove(name, "user.sse-kms-key-id", f.key, [...]string{"alias/a", "alias/b"}[m.r.IntN(2)])
}

// setOrRemove answers the attribute's value afterwards.
func (m *randomRun) setOrRemove(name, attr, old, value string) string {
	if old != "" && m.r.IntN(3) == 0 {
		m.note("removexattr %s of %s (%d)", attr, name, m.names[name].id)
		m.ok(unix.Removexattr(m.b.path(name), attr))
		return ""
	}
	m.note("setxattr %s of %s (%d): %d", attr, name, m.names[name].id, len(value))
	m.ok(unix.Setxattr(m.b.path(name), attr, []byte(value), 0))
	return value
}

// list compares the names of both directories.
func (m *randomRun) list() {
	m.note("list")
	var got []string
	for _, dir := range []string{"d", "e"} {
		entries, err := os.ReadDir(m.b.path(dir))
		m.ok(err)
		for _, e := range entries {
			got = append(got, dir+"/"+e.Name())
		}
	}
	if want := slices.Sorted(maps.Keys(m.names)); !slices.Equal(want, got) {
		m.fail("the names are %v instead of %v", got, want)
	}
}

// checkOne compares a file: through a descriptor that is open, or by name.
func (m *randomRun) checkOne() {
	if name := m.someName(); name != "" && m.r.IntN(2) == 0 {
		m.checkName(name)
	} else if h := m.handle(false); h != nil {
		m.compare(h, 0, randomSize+1)
	}
}

// checkName opens a file and compares all that is known of it.
func (m *randomRun) checkName(name string) {
	f := m.names[name]
	file, err := os.Open(m.b.path(name))
	m.ok(err)
	m.compare(&randomHandle{File: file, file: f}, 0, randomSize+1)
	var st unix.Stat_t
	m.ok(unix.Fstat(int(file.Fd()), &st))
	if st.Size != int64(len(f.want)) || int(st.Nlink) != f.links {
		m.fail("%s (%d) has size %d and %d links instead of %d and %d", name, f.id, st.Size, st.Nlink, len(f.want), f.links)
	}
	m.ok(file.Close())
	n, err := unix.Getxattr(m.b.path(name), "user.note", m.buf)
	if errors.Is(err, unix.ENODATA) && f.note == "" {
		return
	}
	m.ok(err)
	if string(m.buf[:n]) != f.note {
		m.fail("%s (%d) has a note of %d bytes instead of %d", name, f.id, n, len(f.note))
	}
}
