package badgerstore

import (
	"encoding/binary"
	"errors"
	"maps"
	"slices"

	"kmsfs/objstore"
)

// errRecord is the cause of every record that does not parse. Records are authenticated, so it
// means a newer format or a fault of this program.
var errRecord = errors.New("record does not parse")

// writer builds a record: unsigned numbers as varints, byte strings with their length before them.
type writer struct{ b []byte }

func (w *writer) uint(v uint64)        { w.b = binary.AppendUvarint(w.b, v) }
func (w *writer) int(v int64)          { w.b = binary.AppendVarint(w.b, v) }
func (w *writer) bytes(p []byte)       { w.uint(uint64(len(p))); w.b = append(w.b, p...) }
func (w *writer) string(s string)      { w.uint(uint64(len(s))); w.b = append(w.b, s...) }
func (w *writer) raw(p []byte)         { w.b = append(w.b, p...) }
func (w *writer) byte(c byte)          { w.b = append(w.b, c) }
func (w *writer) time(t objstore.Time) { w.int(t.Sec); w.uint(uint64(t.Nsec)) }

// timeAfter writes t as what it is after another time.
func (w *writer) timeAfter(t, before objstore.Time) {
	w.int(t.Sec - before.Sec)
	w.int(int64(t.Nsec) - int64(before.Nsec))
}

func (w *writer) bool(v bool) {
	if v {
		w.byte(1)
	} else {
		w.byte(0)
	}
}

// strings writes a map in ascending order of names, so that a record has one encoding only.
func (w *writer) strings(m map[string]string) {
	w.uint(uint64(len(m)))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		w.string(k)
		w.string(m[k])
	}
}

func (w *writer) byteMap(m map[string][]byte) {
	w.uint(uint64(len(m)))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		w.string(k)
		w.bytes(m[k])
	}
}

// reader takes a record apart. The first fault sticks in err; values read after it are zero.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail() {
	r.err = errRecord
	r.b = nil
}

// uint reads a varint and refuses an encoding longer than needed.
func (r *reader) uint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || (n > 1 && r.b[n-1] == 0) {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) int() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 || (n > 1 && r.b[n-1] == 0) {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) raw(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.fail()
		return nil
	}
	p := r.b[:n:n]
	r.b = r.b[n:]
	return p
}

func (r *reader) byte() byte {
	p := r.raw(1)
	if p == nil {
		return 0
	}
	return p[0]
}

func (r *reader) bool() bool {
	c := r.byte()
	if c > 1 {
		r.fail()
	}
	return c == 1
}

func (r *reader) uint32() uint32 {
	v := r.uint()
	if v > 1<<32-1 {
		r.fail()
		return 0
	}
	return uint32(v)
}

// bytes gives a copy; nil for an empty string.
func (r *reader) bytes() []byte {
	p := r.raw(r.uint())
	if len(p) == 0 {
		return nil
	}
	return slices.Clone(p)
}

func (r *reader) string() string { return string(r.raw(r.uint())) }

func (r *reader) time() objstore.Time {
	t := objstore.Time{Sec: r.int(), Nsec: r.uint32()}
	if t.Nsec > 999_999_999 {
		r.fail()
	}
	return t
}

func (r *reader) timeAfter(before objstore.Time) objstore.Time {
	sec, nsec := before.Sec+r.int(), int64(before.Nsec)+r.int()
	if nsec < 0 || nsec > 999_999_999 {
		r.fail()
		return objstore.Time{}
	}
	return objstore.Time{Sec: sec, Nsec: uint32(nsec)}
}

// count reads a number of elements of at least min bytes each, so that a forged one cannot ask for much memory.
func (r *reader) count(min int) int {
	n := r.uint()
	if n > uint64(len(r.b)/min) {
		r.fail()
		return 0
	}
	return int(n)
}

func (r *reader) strings() map[string]string {
	n := r.count(2)
	if n == 0 {
		return nil
	}
	m := make(map[string]string, n)
	prev := ""
	for i := range n {
		k := r.string()
		if i > 0 && k <= prev {
			r.fail()
			return nil
		}
		m[k] = r.string()
		prev = k
	}
	return m
}

func (r *reader) byteMap() map[string][]byte {
	n := r.count(2)
	if n == 0 {
		return nil
	}
	m := make(map[string][]byte, n)
	prev := ""
	for i := range n {
		k := r.string()
		if i > 0 && k <= prev {
			r.fail()
			return nil
		}
		m[k] = append([]byte{}, r.raw(r.uint())...)
		prev = k
	}
	return m
}

// end is the error of the whole record: bytes left over are one.
func (r *reader) end() error {
	if r.err == nil && len(r.b) != 0 {
		r.fail()
	}
	return r.err
}
