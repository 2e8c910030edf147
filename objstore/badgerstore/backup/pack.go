package backup

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
)

// Run names one backup into a repository, and the state of the store that it took.
type Run [16]byte

// Range is a row of slots of a content file; with Size 0 the sealed chunk of the data table in Slot.
type Range struct {
	Content [16]byte
	Slot    uint64
	Count   uint32
	Size    uint32 // bytes from one slot to the next
}

// end is the slot behind.
func (r Range) end() uint64 { return r.Slot + uint64(r.Count) }

const (
	packMagic   = "KMSFSPAK"
	version     = 2
	packHead    = 32
	entrySize   = 37
	labelIndex  = "kmsfs backup index v1"
	kindPage    = 1
	kindSlots   = 2
	kindChunk   = 3
	maxIndex    = 64 << 20 // bytes, of one pack
	defaultPack = 32 << 20 // bytes of blobs after which a pack is full
)

// entry says what a blob of a pack is.
type entry struct {
	kind   byte
	key    [32]byte
	length uint32
}

func slotsEntry(r Range, length int) entry {
	e := entry{kind: kindSlots, length: uint32(length)}
	if r.Size == 0 {
		e.kind = kindChunk
		r.Count = 0
	}
	copy(e.key[:], r.Content[:])
	binary.BigEndian.PutUint64(e.key[16:], r.Slot)
	binary.BigEndian.PutUint32(e.key[24:], r.Count)
	binary.BigEndian.PutUint32(e.key[28:], r.Size)
	return e
}

// slots is the inverse of slotsEntry.
func (e entry) slots() Range {
	r := Range{Content: [16]byte(e.key[:16]), Slot: binary.BigEndian.Uint64(e.key[16:]),
		Count: binary.BigEndian.Uint32(e.key[24:]), Size: binary.BigEndian.Uint32(e.key[28:])}
	if e.kind == kindChunk {
		r.Count = 1
	}
	return r
}

// extends reports whether o continues e, which ends with a whole slot.
func (e entry) extends(o entry) bool {
	if e.kind != kindSlots || o.kind != kindSlots {
		return false
	}
	a, b := e.slots(), o.slots()
	return a.Content == b.Content && a.Size == b.Size && a.end() == b.Slot &&
		uint64(e.length) == uint64(a.Count)*uint64(a.Size) && uint64(e.length)+uint64(o.length) < 1<<31
}

func (e entry) append(dst []byte) []byte {
	dst = append(dst, e.kind)
	dst = append(dst, e.key[:]...)
	return binary.BigEndian.AppendUint32(dst, e.length)
}

// valid refuses what no writer makes.
func (e entry) valid() bool {
	r := e.slots()
	switch e.kind {
	case kindPage:
		return e.length > tagSize
	case kindSlots:
		return r.Count > 0 && r.Size > 0 && r.end() > r.Slot && e.length > 0 &&
			uint64(e.length) > uint64(r.Count-1)*uint64(r.Size) && uint64(e.length) <= uint64(r.Count)*uint64(r.Size)
	case kindChunk:
		return e.length > 0 && [8]byte(e.key[24:]) == [8]byte{}
	}
	return false
}

// packer gathers blobs until they are enough for a pack.
type packer struct {
	keys    *Keys
	run     Run
	entries []entry
	body    []byte
}

// add appends the blob that fill leaves behind dst; entries that continue each other become one.
func (p *packer) add(e entry, fill func(dst []byte) ([]byte, error)) error {
	body, err := fill(p.body)
	if err != nil {
		return err
	}
	e.length = uint32(len(body) - len(p.body))
	p.body = body
	if n := len(p.entries); n > 0 && p.entries[n-1].extends(e) {
		last := p.entries[n-1]
		r := last.slots()
		r.Count += e.slots().Count
		p.entries[n-1] = slotsEntry(r, int(last.length)+int(e.length))
		return nil
	}
	p.entries = append(p.entries, e)
	return nil
}

// finish answers the pack in two parts, and its name.
func (p *packer) finish() (head []byte, name string, err error) {
	index := make([]byte, 0, len(p.entries)*entrySize)
	for _, e := range p.entries {
		index = e.append(index)
	}
	head = make([]byte, packHead, packHead+saltSize+len(index)+tagSize)
	copy(head, packMagic)
	binary.BigEndian.PutUint32(head[8:], version)
	binary.BigEndian.PutUint32(head[12:], uint32(saltSize+len(index)+tagSize))
	copy(head[16:], p.run[:])
	sealed, err := p.keys.sealed(labelIndex, index, head)
	if err != nil {
		return nil, "", err
	}
	head = append(head, sealed...)
	h := sha256.New()
	h.Write(head)
	h.Write(p.body)
	return head, hex.EncodeToString(h.Sum(nil)), nil
}

// reset makes room for the next pack. The buffer is kept.
func (p *packer) reset() { p.entries, p.body = p.entries[:0], p.body[:0] }

// pack is one that was read.
type pack struct {
	run     Run
	entries []entry
	body    []byte
}

// parseHead reads the fixed part of a pack.
func parseHead(b []byte) (run Run, index int, err error) {
	if len(b) < packHead || string(b[:8]) != packMagic {
		return run, 0, fmt.Errorf("it is no pack")
	}
	if v := binary.BigEndian.Uint32(b[8:]); v != version {
		return run, 0, otherVersion(v)
	}
	n := binary.BigEndian.Uint32(b[12:])
	if n < saltSize+tagSize || n > maxIndex {
		return run, 0, fmt.Errorf("its index cannot have %d bytes", n)
	}
	return Run(b[16:32]), int(n), nil
}

// parseIndex opens a pack's index. head is the fixed part, total what the blobs must add up to.
func (k *Keys) parseIndex(head, sealed []byte, total int64) ([]entry, error) {
	plain, err := k.open(labelIndex, sealed, head[:packHead])
	if err != nil {
		return nil, err
	}
	if len(plain)%entrySize != 0 {
		return nil, fmt.Errorf("its index has %d bytes", len(plain))
	}
	entries := make([]entry, 0, len(plain)/entrySize)
	for ; len(plain) > 0; plain = plain[entrySize:] {
		e := entry{kind: plain[0], key: [32]byte(plain[1:33]), length: binary.BigEndian.Uint32(plain[33:])}
		if !e.valid() {
			return nil, fmt.Errorf("entry %d of its index makes no sense", len(entries))
		}
		total -= int64(e.length)
		entries = append(entries, e)
	}
	if total != 0 {
		return nil, fmt.Errorf("its index does not fit its size")
	}
	return entries, nil
}

// parsePack reads a whole pack; its name was compared before.
func (k *Keys) parsePack(b []byte) (*pack, error) {
	run, n, err := parseHead(b)
	if err != nil {
		return nil, err
	}
	if len(b) < packHead+n {
		return nil, fmt.Errorf("it is cut short")
	}
	body := b[packHead+n:]
	entries, err := k.parseIndex(b[:packHead], b[packHead:packHead+n], int64(len(body)))
	if err != nil {
		return nil, err
	}
	return &pack{run, entries, body}, nil
}

// each visits the blobs in order.
func (p *pack) each(fn func(e entry, blob []byte) error) error {
	body := p.body
	for _, e := range p.entries {
		if err := fn(e, body[:e.length:e.length]); err != nil {
			return err
		}
		body = body[e.length:]
	}
	return nil
}

// packName is the name of a pack with these bytes.
func packName(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
