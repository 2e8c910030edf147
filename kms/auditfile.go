package kms

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// DefaultAuditFileSize is the size in bytes at which a new audit file is begun.
const DefaultAuditFileSize = 64 << 20

// auditFileName is the file that is written now. Full ones are renamed to audit-TIME.jsonl.
const auditFileName = "audit.jsonl"

// FileAuditor appends events to a directory of files with one JSON object a line. A record is one write(2), so it
// survives the death of the process; [FileAuditor.Sync] makes it survive power loss.
type FileAuditor struct {
	dir     string
	maxSize int64

	mu   sync.Mutex // guards what follows
	file *os.File
	size int64
	torn bool // the file does not end in a newline
	buf  []byte
}

// OpenFileAuditor opens or makes dir (0700) for appending. maxSize 0 is [DefaultAuditFileSize].
func OpenFileAuditor(dir string, maxSize int64) (*FileAuditor, error) {
	if maxSize == 0 {
		maxSize = DefaultAuditFileSize
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("audit records: %w", err)
	}
	a := &FileAuditor{dir: dir, maxSize: maxSize}
	if err := a.open(); err != nil {
		return nil, err
	}
	return a, nil
}

// open opens the current file. A last line without an end is left by a crash, and ended by the next record.
func (a *FileAuditor) open() error {
	f, err := os.OpenFile(filepath.Join(a.dir, auditFileName), os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("audit records: %w", err)
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		f.Close()
		return fmt.Errorf("audit records: %w", err)
	}
	last := []byte{'\n'}
	if size > 0 {
		if _, err := f.ReadAt(last, size-1); err != nil {
			f.Close()
			return fmt.Errorf("audit records: %w", err)
		}
	}
	a.file, a.size, a.torn = f, size, last[0] != '\n'
	return nil
}

// Record appends e.
func (a *FileAuditor) Record(e Event) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.file == nil {
		return errors.New("audit records: closed")
	}
	if a.size >= a.maxSize {
		if err := a.rotate(e.Time); err != nil {
			return err
		}
	}
	a.buf = a.buf[:0]
	if a.torn {
		a.buf = append(a.buf, '\n')
	}
	a.buf = append(e.appendJSON(a.buf), '\n')
	n, err := a.file.Write(a.buf)
	a.size += int64(n)
	if n > 0 {
		a.torn = a.buf[n-1] != '\n'
	}
	if err != nil {
		return fmt.Errorf("audit records: %w", err)
	}
	return nil
}

// rotate renames the full file and begins a new one. When it fails, the old file stays in use and the record is refused.
func (a *FileAuditor) rotate(now time.Time) error {
	if err := a.file.Sync(); err != nil {
		return fmt.Errorf("audit records: %w", err)
	}
	old := filepath.Join(a.dir, "audit-"+now.UTC().Format("20060102T150405.000000000Z")+".jsonl")
	if _, err := os.Lstat(old); err == nil {
		return nil // two rotations at one time: go on in the present file
	}
	if err := os.Rename(filepath.Join(a.dir, auditFileName), old); err != nil {
		return fmt.Errorf("audit records: %w", err)
	}
	full := a.file
	if err := a.open(); err != nil {
		return err
	}
	full.Close() // synced above; nothing is lost
	return nil
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
	err := errors.Join(a.file.Sync(), a.file.Close())
	a.file = nil
	return err
}
