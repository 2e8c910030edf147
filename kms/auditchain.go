package kms

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
)

// The last fields of a record chain it: its number, the MAC of the record before, and its own MAC over all bytes before
// that field.
const (
	fieldTorn = `,"torn":`
	fieldSeq  = `,"seq":`
	fieldPrev = `,"prev":"`
	fieldMAC  = `,"mac":"`
	lineEnd   = `"}}}`
	macSize   = 43 // base64url of 32 bytes
)

// link is the place of a record in the chain.
type link struct {
	seq       uint64 // of the first record: 1
	prev, mac string
	torn      int // bytes of an unfinished line before it
}

// chain makes and checks MACs. It is not for concurrent use.
type chain struct {
	mac hash.Hash
	sum [sha256.Size]byte
}

func newChain(key []byte) *chain { return &chain{mac: hmac.New(sha256.New, key)} }

func (c *chain) macOf(line []byte) [macSize]byte {
	c.mac.Reset()
	c.mac.Write(line)
	var text [macSize]byte
	base64.RawURLEncoding.Encode(text[:], c.mac.Sum(c.sum[:0]))
	return text
}

// errLine says that a line is not as a holder of the key wrote it.
var errLine = errors.New("the line was changed, or kmsfs did not write it")

// open checks a line and answers its link. A name with its bare quotes cannot stand in a JSON string, so the last one found
// is the field.
func (c *chain) open(line []byte) (link, error) {
	at := bytes.LastIndex(line, []byte(fieldMAC))
	if at < 0 || len(line) != at+len(fieldMAC)+macSize+len(lineEnd) || !bytes.HasSuffix(line, []byte(lineEnd)) {
		return link{}, errLine
	}
	got := line[at+len(fieldMAC) : len(line)-len(lineEnd)]
	want := c.macOf(line[:at])
	if !hmac.Equal(got, want[:]) {
		return link{}, errLine
	}
	l := link{mac: string(got), torn: int(numberAt(line, fieldTorn)), seq: numberAt(line, fieldSeq)}
	if i := bytes.LastIndex(line, []byte(fieldPrev)); i >= 0 && i < at {
		l.prev = string(line[i+len(fieldPrev) : at-1])
	}
	return l, nil
}

func numberAt(line []byte, field string) (n uint64) {
	i := bytes.LastIndex(line, []byte(field))
	if i < 0 {
		return 0
	}
	for _, c := range line[i+len(field):] {
		if c < '0' || c > '9' {
			break
		}
		n = n*10 + uint64(c-'0')
	}
	return n
}

// head is the text of the file that says how far the chain reaches at least.
func (c *chain) head(l link) string {
	text := fmt.Sprintf("kmsfs audit head v1 %d %s", l.seq, l.mac)
	mac := c.macOf([]byte(text))
	return text + " " + string(mac[:]) + "\n"
}

func (c *chain) parseHead(text string) (link, error) {
	var l link
	_, err := fmt.Sscanf(text, "kmsfs audit head v1 %d %s", &l.seq, &l.mac)
	if err != nil || c.head(l) != text {
		return link{}, errors.New("it was changed, or kmsfs did not write it")
	}
	return l, nil
}
