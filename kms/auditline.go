package kms

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"strconv"
	"sync"
)

// line is a record on its way into the file. What does not depend on its place in the chain is made and hashed while others
// write theirs.
type line struct {
	buf    []byte
	mac    hash.Hash // of buf so far
	sum    [sha256.Size]byte
	random []byte // not used yet

	done bool // err is the result; guarded by FileAuditor.mu
	err  error
}

// lines makes records. It may be used concurrently.
type lines struct {
	names    Namer
	key      []byte // of the chain
	commands commands
	pool     sync.Pool // of *line
}

// of formats e, but for the end of the record. The caller frees the line.
func (p *lines) of(e *Event) *line {
	l, ok := p.pool.Get().(*line)
	if !ok {
		l = &line{mac: hmac.New(sha256.New, p.key)}
	}
	f := recordFacts{names: p.names, command: e.Caller.Command}
	if f.command == "" {
		f.command = p.commands.of(e.Caller.PID)
	}
	if len(l.random) < 32 {
		l.random = make([]byte, 4096) // many at once: a system call each would cost more than the rest
		rand.Read(l.random)
	}
	f.eventID, f.requestID = [16]byte(l.random), [16]byte(l.random[16:])
	l.random = l.random[32:]
	l.buf = e.appendRecord(l.buf[:0], &f)
	l.mac.Reset()
	l.mac.Write(l.buf)
	return l
}

func (p *lines) free(l *line) {
	l.done, l.err = false, nil
	p.pool.Put(l)
}

// close completes the record behind last, and moves last to it.
func (l *line) close(last *link, torn, unrecorded int) {
	hashed := len(l.buf)
	b := appendCount(l.buf, "unrecorded", unrecorded)
	b = appendCount(b, "torn", torn)
	b = append(b, fieldSeq...)
	b = strconv.AppendUint(b, last.seq+1, 10)
	b = append(append(b, fieldPrev...), last.mac...)
	b = append(b, '"')
	l.mac.Write(b[hashed:])
	var mac [macSize]byte
	base64.RawURLEncoding.Encode(mac[:], l.mac.Sum(l.sum[:0]))
	b = append(append(b, fieldMAC...), mac[:]...)
	l.buf = append(append(b, lineEnd...), '\n')
	last.seq, last.mac = last.seq+1, string(mac[:])
}
