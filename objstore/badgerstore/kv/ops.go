package kv

import (
	"encoding/binary"
	"errors"

	"github.com/google/btree"
)

// Kinds of operations in a journal record.
const (
	opPut        = 1
	opDelete     = 2
	opPutData    = 3
	opDeleteData = 4
	opDepend     = 5 // what the transaction refers to outside of the store; not applied
)

// opSet is the content of one transaction: the last operation of each key, and the data
// operations in the order they were made.
type opSet struct {
	tree *btree.BTreeG[item]
	data []dataOp
	deps [][]byte
	size int // bytes of the encoded form, at most
}

type dataOp struct {
	id string
	dataEntry
}

func newOpSet() *opSet { return &opSet{tree: newTree()} }

func (s *opSet) empty() bool { return s.tree.Len() == 0 && len(s.data) == 0 }

// reset empties the set; what it held lives on in the overlay.
func (s *opSet) reset() {
	s.tree.Clear(true)
	clear(s.data)
	s.data, s.deps, s.size = s.data[:0], nil, 0
}

func (s *opSet) set(key []byte, e *entry) {
	s.tree.ReplaceOrInsert(item{key, e})
	s.size += opSize(len(key), len(e.val))
}

func (s *opSet) setData(d dataOp) {
	s.data = append(s.data, d)
	s.size += opSize(len(d.id), len(d.val))
}

func (s *opSet) depend(ref []byte) {
	s.deps = append(s.deps, ref)
	s.size += opSize(len(ref), 0)
}

// opSize bounds one encoded operation: kind, two lengths, key, value.
func opSize(key, val int) int { return 1 + 2*5 + key + val }

// encode appends the record's payload.
func (s *opSet) encode(dst []byte) []byte {
	for _, ref := range s.deps {
		dst = append(dst, opDepend)
		dst = binary.AppendUvarint(dst, uint64(len(ref)))
		dst = append(dst, ref...)
	}
	s.tree.Ascend(func(it item) bool {
		dst = appendOp(dst, opPut, opDelete, it.e.del, it.key, it.e.val)
		return true
	})
	for _, d := range s.data {
		dst = append(dst, opKind(opPutData, opDeleteData, d.del))
		dst = binary.AppendUvarint(dst, uint64(len(d.id)))
		dst = append(dst, d.id...)
		if !d.del {
			dst = binary.AppendUvarint(dst, uint64(len(d.val)))
			dst = append(dst, d.val...)
		}
	}
	return dst
}

func opKind(put, del byte, deleted bool) byte {
	if deleted {
		return del
	}
	return put
}

func appendOp(dst []byte, put, del byte, deleted bool, key, val []byte) []byte {
	dst = append(dst, opKind(put, del, deleted))
	dst = binary.AppendUvarint(dst, uint64(len(key)))
	dst = append(dst, key...)
	if deleted {
		return dst
	}
	dst = binary.AppendUvarint(dst, uint64(len(val)))
	return append(dst, val...)
}

var errOps = errors.New("malformed operations")

// decodeOps is the inverse of encode; the result aliases payload.
func decodeOps(payload []byte) (*opSet, error) {
	s := newOpSet()
	for len(payload) > 0 {
		kind := payload[0]
		key, rest, err := cutBytes(payload[1:])
		if err != nil {
			return nil, err
		}
		var val []byte
		if kind == opPut || kind == opPutData {
			if val, rest, err = cutBytes(rest); err != nil {
				return nil, err
			}
		}
		if err := s.add(kind, key, val); err != nil {
			return nil, err
		}
		payload = rest
	}
	return s, nil
}

func (s *opSet) add(kind byte, key, val []byte) error {
	switch kind {
	case opPut:
		s.set(key, &entry{val: val})
	case opDelete:
		s.set(key, &entry{del: true})
	case opPutData:
		s.setData(dataOp{string(key), dataEntry{val: val}})
	case opDeleteData:
		s.setData(dataOp{string(key), dataEntry{del: true}})
	case opDepend:
		s.depend(key)
	default:
		return errOps
	}
	return nil
}

func cutBytes(p []byte) (b, rest []byte, err error) {
	n, w := binary.Uvarint(p)
	if w <= 0 || n > uint64(len(p)-w) {
		return nil, nil, errOps
	}
	p = p[w:]
	return p[:n:n], p[n:], nil
}
