package local

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"kmsfs/kms"
)

// LoadOrCreateRootKey reads the root key file at path, or makes one when there is none; created tells which. The file has
// 32 random bytes and nothing else, mode 0600. It is made complete and durable before it gets its name, and never
// overwrites. The caller wipes the key.
//
// Refused: a file that others can read or write, that is not a regular file, or that has another length.
func LoadOrCreateRootKey(path string) (key []byte, created bool, err error) {
	key, err = LoadRootKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, false, err
	}
	key, err = createRootKey(path)
	if errors.Is(err, fs.ErrExist) { // another process was first
		key, err = LoadRootKey(path)
		return key, false, err
	}
	return key, err == nil, err
}

// LoadRootKey reads an existing root key file without a passphrase. The error wraps fs.ErrNotExist when there is none.
func LoadRootKey(path string) ([]byte, error) {
	f, err := ReadRootFile(path)
	if err != nil {
		return nil, err
	}
	defer f.Wipe()
	return f.Open(func() ([]byte, error) { return nil, fmt.Errorf("root key: %s needs its passphrase", path) })
}

// ReadRootFile reads a root key file of either form. It refuses what [LoadOrCreateRootKey] does.
func ReadRootFile(path string) (*RootFile, error) { return readRootFile(path, checkRootFile) }

// ReadCredential is ReadRootFile for a credential of systemd, which keeps others out by the directory, not by the file's mode.
func ReadCredential(path string) (*RootFile, error) { return readRootFile(path, checkRegular) }

func readRootFile(path string, check func(string, fs.FileInfo) error) (*RootFile, error) {
	// O_NONBLOCK: a named pipe must be refused, not waited for.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("root key: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("root key: %w", err)
	}
	if err := check(path, st); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, rootFileLimit))
	if err != nil {
		return nil, fmt.Errorf("root key: read %s: %w", path, err)
	}
	return ParseRootFile(data, path)
}

func checkRegular(path string, st fs.FileInfo) error {
	if !st.Mode().IsRegular() {
		return fmt.Errorf("root key: %s is not a regular file (%s); name the file that holds the root key", path, st.Mode().Type())
	}
	return nil
}

func checkRootFile(path string, st fs.FileInfo) error {
	if err := checkRegular(path, st); err != nil {
		return err
	}
	if perm := st.Mode().Perm(); perm&0o077 != 0 {
		return fmt.Errorf("root key: %s can be read or written by others (mode %04o), so the key may be known to them; "+
			"if it is not, run: chmod 600 %s", path, perm, path)
	}
	return nil
}

// createRootKey makes a random key and its file.
func createRootKey(path string) ([]byte, error) {
	key := NewRootKey()
	if err := CreateRootFile(path, key); err != nil {
		kms.Wipe(key)
		return nil, err
	}
	return key, nil
}

// NewRootKey is 32 random bytes.
func NewRootKey() []byte {
	key := make([]byte, kms.KeySize)
	rand.Read(key)
	return key
}

// CreateRootFile writes a new root key file, complete and durable before it gets its name. The error wraps fs.ErrExist when
// path is there.
func CreateRootFile(path string, content []byte) error { return writeRootFile(path, content, os.Link) }

// ReplaceRootFile is CreateRootFile in place of a file that may be there.
func ReplaceRootFile(path string, content []byte) error {
	return writeRootFile(path, content, os.Rename)
}

// AdoptRootFile gives a root key file its final name, in place of a file that may be there.
func AdoptRootFile(from, to string) error {
	err := os.Rename(from, to)
	if err == nil {
		err = syncDir(filepath.Dir(to))
	}
	if err != nil {
		return fmt.Errorf("root key: put %s into use: %w", from, err)
	}
	return nil
}

func writeRootFile(path string, content []byte, name func(from, to string) error) error {
	var suffix [8]byte
	rand.Read(suffix[:])
	temp := path + ".new-" + hex.EncodeToString(suffix[:])
	err := writeDurably(temp, content)
	if err == nil {
		err = name(temp, path)
	}
	os.Remove(temp) // gone or useless either way
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("root key: create %s: %w", path, err)
	}
	return nil
}

func writeDurably(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
