package backup

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// PageKind says what the records of a page are.
type PageKind byte

const (
	Records PageKind = 1 // of the metadata table: key, value
	Lengths PageKind = 2 // content, length of its file: 8 bytes, big endian
)

// Bounds of a page, in bytes. Behind pageMin it ends at the first key whose hash says so, on average after 16 records: so an
// added record moves a border or two, not all that follow.
const (
	pageMin  = 16 << 10
	pageMax  = 1 << 20
	pageOdds = 16
)

// Pages cuts records, which come in the order of their keys, into pages.
type Pages struct {
	Kind PageKind
	Out  func(page []byte) error // gets each page; it is valid until the next record

	page  []byte
	first byte // of the keys in the page
}

// Add takes the next record.
func (p *Pages) Add(key, val []byte) error {
	if len(p.page) > 0 && len(key) > 0 && p.Kind == Records && key[0] != p.first {
		if err := p.End(); err != nil {
			return err
		}
	}
	if len(p.page) == 0 {
		p.page = append(p.page, byte(p.Kind))
		if len(key) > 0 {
			p.first = key[0]
		}
	}
	for _, b := range [][]byte{key, val} {
		p.page = binary.AppendUvarint(p.page, uint64(len(b)))
		p.page = append(p.page, b...)
	}
	if len(p.page) >= pageMax || len(p.page) >= pageMin && crc32.ChecksumIEEE(key)%pageOdds == 0 {
		return p.End()
	}
	return nil
}

// End gives out what is left.
func (p *Pages) End() error {
	if len(p.page) == 0 {
		return nil
	}
	err := p.Out(p.page)
	p.page = p.page[:0]
	return err
}

var errPage = errors.New("a page does not parse")

// EachRecord visits the records of a page; key and val alias it.
func EachRecord(page []byte, fn func(kind PageKind, key, val []byte) error) error {
	if len(page) == 0 || page[0] != byte(Records) && page[0] != byte(Lengths) {
		return errPage
	}
	kind := PageKind(page[0])
	for page = page[1:]; len(page) > 0; {
		var part [2][]byte
		for i := range part {
			n, w := binary.Uvarint(page)
			if w <= 0 || n > uint64(len(page)-w) {
				return errPage
			}
			part[i], page = page[w:w+int(n):w+int(n)], page[w+int(n):]
		}
		if err := fn(kind, part[0], part[1]); err != nil {
			return err
		}
	}
	return nil
}
