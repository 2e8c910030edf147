package kms

import (
	"bytes"
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
// is in the file when [FileAuditor.Record] returns, so it survives the death of the process; [FileAuditor.Sync] makes it
// survive power loss. Records that come at the same time share one write(2).
type FileAuditor struct {
	dir     string
	maxSize int64

	lines  lines
	queued sync.Mutex // guards queue
	queue  []*line    // formatted, and not written yet
	spare  []*line

	mu         sync.Mutex // guards what follows; taken before queued
	file       *os.File
	size       int64
	torn       int // bytes at the end of the file that are no whole line
	unrecorded int // records since the last one that could not be written
	last       link
	chain      *chain
	buf        []byte
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
	a.lines.names, a.lines.key = NewNamer(o.Region, o.Account), bytes.Clone(o.Key)
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
	l := a.lines.of(&e)
	a.queued.Lock()
	a.queue = append(a.queue, l)
	a.queued.Unlock()

	a.mu.Lock()
	if !l.done { // nobody wrote it while this one waited
		a.flush()
	}
	a.mu.Unlock()
	err := l.err
	a.lines.free(l)
	return err
}

// flush writes what is queued: all of it is recorded, or none.
func (a *FileAuditor) flush() {
	a.queued.Lock()
	batch := a.queue
	a.queue, a.spare = a.spare[:0], batch
	a.queued.Unlock()
	err := a.append(batch)
	for _, l := range batch {
		l.done, l.err = true, err
	}
	clear(batch)
}

func (a *FileAuditor) append(batch []*line) (err error) {
	if a.file == nil {
		return errors.New("audit records: closed")
	}
	if err = a.rotate(); err == nil {
		err = a.write(batch)
	}
	if err != nil {
		a.unrecorded += len(batch)
		return fmt.Errorf("audit records: %w", err)
	}
	a.unrecorded = 0
	return nil
}

// write appends lines. Those that could only be written in part are taken back, or else marked by the next one.
func (a *FileAuditor) write(batch []*line) error {
	a.buf = a.buf[:0]
	if a.torn > 0 {
		a.buf = append(a.buf, '\n')
	}
	last, torn, unrecorded := a.last, a.torn, a.unrecorded
	for _, l := range batch {
		l.close(&last, torn, unrecorded)
		a.buf = append(a.buf, l.buf...)
		torn, unrecorded = 0, 0
	}
	n, err := a.file.Write(a.buf)
	if err != nil {
		if n > 0 && a.file.Truncate(a.size) != nil {
			a.stays(a.buf[:n])
		}
		return err
	}
	a.size += int64(n)
	a.last, a.torn = last, 0
	return nil
}

// stays goes on behind what was written in part and cannot be taken back. Whole lines in it are links of the chain, though their
// uses were refused.
func (a *FileAuditor) stays(written []byte) {
	a.size += int64(len(written))
	whole := bytes.LastIndexByte(written, '\n') + 1
	lines := bytes.Split(written[:whole], []byte("\n"))
	if len(lines) > 1 {
		if l, err := a.chain.open(lines[len(lines)-2]); err == nil {
			a.last, a.torn = l, 0
		}
	}
	a.torn += len(written) - whole
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
	a.lines.commands.close()
	return err
}
