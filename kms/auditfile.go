package kms

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

// DefaultAuditFileSize is the size in bytes at which a new audit file is begun.
const DefaultAuditFileSize = 64 << 20

// AuditFile is the name of the file that is written now. Full ones are renamed to audit-N.jsonl, N the number of the last record.
const (
	AuditFile     = "audit.jsonl"
	auditHeadName = "audit.head"
)

// AuditOptions sets a FileAuditor up.
type AuditOptions struct {
	Key             []byte // of the chain: 32 bytes that nobody who may write the files knows
	MaxFileSize     int64  // 0: [DefaultAuditFileSize]
	Region, Account string // "": [DefaultRegion], [DefaultAccount]
}

// FileAuditor appends events to a directory of files with one JSON object a line, each chained to the one before. A record
// is one write(2), so it survives the death of the process; [FileAuditor.Sync] makes it survive power loss.
type FileAuditor struct {
	dir     string
	maxSize int64

	mu       sync.Mutex // guards what follows
	file     *os.File
	size     int64
	torn     int // bytes at the end of the file that are no whole line
	last     link
	chain    *chain
	facts    recordFacts
	commands commands
	random   []byte
	buf      []byte
}

// OpenFileAuditor opens or makes dir (0700) for appending. The chain goes on behind the last record that is whole; what
// is wrong before it, or missing, is for [VerifyAudit] to say.
func OpenFileAuditor(dir string, o AuditOptions) (*FileAuditor, error) {
	if len(o.Key) != KeySize {
		return nil, fmt.Errorf("audit records: the key has %d bytes, not %d", len(o.Key), KeySize)
	}
	if o.MaxFileSize == 0 {
		o.MaxFileSize = DefaultAuditFileSize
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("audit records: %w", err)
	}
	a := &FileAuditor{dir: dir, maxSize: o.MaxFileSize, chain: newChain(o.Key)}
	a.facts.names = NewNamer(o.Region, o.Account)
	var err error
	if a.last, a.torn, err = a.chain.end(dir); err != nil {
		return nil, fmt.Errorf("audit records: %w", err)
	}
	if err := a.open(); err != nil {
		return nil, err
	}
	return a, nil
}

func (a *FileAuditor) open() error {
	f, err := os.OpenFile(filepath.Join(a.dir, AuditFile), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("audit records: %w", err)
	}
	st, err := f.Stat()
	if err != nil {
		f.Close()
		return fmt.Errorf("audit records: %w", err)
	}
	a.file, a.size = f, st.Size()
	return nil
}

// Record appends e.
func (a *FileAuditor) Record(e Event) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.file == nil {
		return errors.New("audit records: closed")
	}
	err := a.rotate()
	if err == nil {
		err = a.write(&e)
	}
	if err != nil {
		a.facts.unrecorded++
		return fmt.Errorf("audit records: %w", err)
	}
	return nil
}

// write appends one line. A line that could only be written in part is taken back, or else marked by the next one.
func (a *FileAuditor) write(e *Event) error {
	a.buf = a.buf[:0]
	if a.torn > 0 {
		a.buf = append(a.buf, '\n')
	}
	start := len(a.buf)
	a.prepare(e)
	seq := a.last.seq + 1
	b, mac := a.chain.close(e.appendRecord(a.buf, &a.facts), start, seq, a.last.mac)
	a.buf = append(b, '\n')
	n, err := a.file.Write(a.buf)
	if err != nil {
		if n > 0 && a.file.Truncate(a.size) != nil {
			a.size += int64(n)
			a.torn += n
		}
		return err
	}
	a.size += int64(n)
	a.last, a.torn, a.facts.unrecorded = link{seq: seq, mac: mac}, 0, 0
	return nil
}

// prepare fills in the facts of the next record.
func (a *FileAuditor) prepare(e *Event) {
	if len(a.random) < 32 {
		a.random = make([]byte, 4096) // many at once: a system call each would cost more than the rest
		rand.Read(a.random)
	}
	a.facts.eventID, a.facts.requestID = [16]byte(a.random), [16]byte(a.random[16:])
	a.random = a.random[32:]
	a.facts.torn = a.torn
	a.facts.command = e.Caller.Command
	if a.facts.command == "" {
		a.facts.command = a.commands.of(e.Caller.PID)
	}
}

// rotate renames a full file and begins a new one. When it fails, the old file stays in use and the record is refused.
func (a *FileAuditor) rotate() error {
	if a.size < a.maxSize || a.torn > 0 {
		return nil
	}
	if err := a.file.Sync(); err != nil {
		return err
	}
	old := filepath.Join(a.dir, fmt.Sprintf("audit-%016d.jsonl", a.last.seq))
	if _, err := os.Lstat(old); err == nil {
		return nil // nothing was written since the last rotation: go on in the present file
	}
	if err := os.Rename(filepath.Join(a.dir, AuditFile), old); err != nil {
		return err
	}
	full := a.file
	if err := a.open(); err != nil {
		return err
	}
	full.Close() // synced above; nothing is lost
	return a.writeHead()
}

// writeHead notes how far the chain reaches, so that a missing end shows.
func (a *FileAuditor) writeHead() error {
	if a.last.seq == 0 {
		return nil
	}
	path := filepath.Join(a.dir, auditHeadName)
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(a.chain.head(a.last))
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	return err
}

// Sync makes all records survive power loss.
func (a *FileAuditor) Sync() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.file == nil {
		return nil
	}
	return a.file.Sync()
}

// Close syncs and closes. Record fails afterwards.
func (a *FileAuditor) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.file == nil {
		return nil
	}
	err := a.file.Sync()
	if err == nil {
		err = a.writeHead() // never before the records that it is about
	}
	err = errors.Join(err, a.file.Close())
	a.file = nil
	a.commands.close()
	return err
}
