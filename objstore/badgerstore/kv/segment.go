package kv

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
)

// Sizes and offsets of the journal's format, in bytes; FORMAT.md is the reference.
const (
	pageSize      = 4096
	headerCopies  = 2
	recordsStart  = headerCopies * pageSize
	journalMagic  = "KMSFSJNL"
	recordMagic   = 0x4b524543 // "KREC"
	formatVersion = 1
	segmentSalt   = 32
	recordAlign   = 16
	recordHead    = 24
)

// header is the first page of a segment, once per use; the second page repeats it.
type header []byte

const (
	hdrVersion  = 8
	hdrSalt     = 16
	hdrFirst    = 48
	hdrSynced   = 56
	hdrSequence = 64
	hdrMAC      = 72
	headerSize  = 104
)

func (h header) salt() []byte     { return h[hdrSalt:hdrFirst] }
func (h header) first() uint64    { return binary.BigEndian.Uint64(h[hdrFirst:]) }
func (h header) synced() uint64   { return binary.BigEndian.Uint64(h[hdrSynced:]) }
func (h header) sequence() uint64 { return binary.BigEndian.Uint64(h[hdrSequence:]) }

func newHeader(first, synced, sequence uint64) (header, error) {
	h := make(header, headerSize)
	copy(h, journalMagic)
	binary.BigEndian.PutUint32(h[hdrVersion:], formatVersion)
	if _, err := rand.Read(h.salt()); err != nil {
		return nil, err
	}
	binary.BigEndian.PutUint64(h[hdrFirst:], first)
	binary.BigEndian.PutUint64(h[hdrSynced:], synced)
	binary.BigEndian.PutUint64(h[hdrSequence:], sequence)
	return h, nil
}

// segmentKeys are the keys of one use of a segment.
type segmentKeys struct {
	aead cipher.AEAD
	mac  []byte
}

func (h header) keys(secret []byte) (segmentKeys, error) {
	okm, err := hkdf.Key(sha256.New, secret, h.salt(), "kmsfs kv journal segment v1", 2*keySize)
	if err != nil {
		return segmentKeys{}, err
	}
	aead, err := newGCM(okm[:keySize])
	clear(okm[:keySize])
	return segmentKeys{aead, okm[keySize:]}, err
}

func (h header) sum(k segmentKeys) []byte {
	m := hmac.New(sha256.New, k.mac)
	m.Write(h[:hdrMAC])
	return m.Sum(nil)
}

var errHeader = errors.New("no valid header")

// openHeader returns the header in page, or errHeader.
func openHeader(page, secret []byte) (header, segmentKeys, error) {
	h := header(page[:headerSize])
	if string(h[:hdrVersion]) != journalMagic || binary.BigEndian.Uint32(h[hdrVersion:]) != formatVersion {
		return nil, segmentKeys{}, errHeader
	}
	k, err := h.keys(secret)
	if err != nil {
		return nil, k, err
	}
	if !hmac.Equal(h.sum(k), h[hdrMAC:headerSize]) {
		return nil, k, errHeader
	}
	return h, k, nil
}

// segment is one preallocated file of the journal.
type segment struct {
	f    file
	path string
	size int64 // bytes of the file

	// of the present use
	keys        segmentKeys
	sequence    uint64
	first, last uint64 // LSNs held; last < first: none
	end         int64  // where the next record goes
	tail        []byte // bytes of the page that end lies in, up to end

	suspect bool // the flusher's: the last fdatasync failed
}

// begin starts a new use of the segment. The header reaches the disk with the first flush.
func (s *segment) begin(secret []byte, first, synced, sequence uint64) error {
	h, err := newHeader(first, synced, sequence)
	if err != nil {
		return err
	}
	if s.keys, err = h.keys(secret); err != nil {
		return err
	}
	copy(h[hdrMAC:], h.sum(s.keys))
	pages := make([]byte, recordsStart)
	for i := range headerCopies {
		copy(pages[i*pageSize:], h)
	}
	if _, err := s.f.WriteAt(pages, 0); err != nil {
		return err
	}
	s.sequence, s.first, s.last = sequence, first, first-1
	s.end, s.tail = recordsStart, s.tail[:0]
	return nil
}

// room reports whether a record with payload bytes fits without growing the file.
func (s *segment) room(payload int) bool {
	return s.end+int64(recordSize(payload)) <= s.size
}

// recordSize is the space of a record with payload bytes.
func recordSize(payload int) int {
	n := recordHead + payload + tagSize
	return (n + recordAlign - 1) / recordAlign * recordAlign
}

// write seals ops as record lsn and writes it with one pwrite of whole pages, so that the
// kernel never has to read a page first. buf is scratch; the grown one is returned with
// the offset behind the record. The caller then calls advance.
//
// After an error the segment must be given up: what reached the file is unknown, and the
// nonce of lsn must not be used again under this segment's key.
func (s *segment) write(buf []byte, lsn, synced uint64, ops *opSet) ([]byte, int64, error) {
	buf = append(buf[:0], s.tail...)
	head := len(buf)
	buf = append(buf, make([]byte, recordHead)...)
	buf = ops.encode(buf)
	payload := len(buf) - head - recordHead
	putRecordHead(buf[head:], payload+tagSize, lsn, synced)
	sealed := s.keys.aead.Seal(buf[head+recordHead:head+recordHead], recordNonce(lsn),
		buf[head+recordHead:], buf[head:head+recordHead])
	buf = append(buf[:head+recordHead], sealed...)

	start := s.end - int64(len(s.tail))
	end := head + recordSize(payload)
	buf = padTo(buf, (end+pageSize-1)/pageSize*pageSize)
	if _, err := s.f.WriteAt(buf, start); err != nil {
		return buf, 0, err
	}
	s.tail = append(s.tail[:0], buf[end/pageSize*pageSize:end]...)
	return buf, start + int64(end), nil
}

// advance makes record lsn, which ends at end, part of the segment.
func (s *segment) advance(lsn uint64, end int64) {
	s.last, s.end = lsn, end
	s.size = max(s.size, (end+pageSize-1)/pageSize*pageSize)
}

func putRecordHead(b []byte, sealed int, lsn, synced uint64) {
	binary.BigEndian.PutUint32(b, uint32(sealed))
	binary.BigEndian.PutUint32(b[4:], recordMagic)
	binary.BigEndian.PutUint64(b[8:], lsn)
	binary.BigEndian.PutUint64(b[16:], synced)
}

func recordNonce(lsn uint64) []byte {
	nonce := make([]byte, 12)
	binary.BigEndian.PutUint64(nonce[4:], lsn)
	return nonce
}

// padTo lengthens b with zeros to n bytes.
func padTo(b []byte, n int) []byte {
	old := len(b)
	if cap(b) < n {
		grown := make([]byte, n, n+n/4)
		copy(grown, b)
		return grown
	}
	b = b[:n]
	clear(b[old:])
	return b
}
