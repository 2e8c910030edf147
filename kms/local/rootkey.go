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

// LoadRootKey reads an existing root key file. The error wraps fs.ErrNotExist when there is none.
func LoadRootKey(path string) ([]byte, error) {
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
	if err := checkRootFile(path, st); err != nil {
		return nil, err
	}
	key := make([]byte, kms.KeySize)
	if _, err := io.ReadFull(f, key); err != nil {
		return nil, fmt.Errorf("root key: read %s: %w", path, err)
	}
	if [kms.KeySize]byte(key) == [kms.KeySize]byte{} {
		return nil, fmt.Errorf("root key: %s holds only zero bytes, so it was damaged; restore it from your backup", path)
	}
	return key, nil
}

func checkRootFile(path string, st fs.FileInfo) error {
	if !st.Mode().IsRegular() {
		return fmt.Errorf("root key: %s is not a regular file (%s); name the file that holds the root key", path, st.Mode().Type())
	}
	if perm := st.Mode().Perm(); perm&0o077 != 0 {
		return fmt.Errorf("root key: %s can be read or written by others (mode %04o), so the key may be known to them; "+
			"if it is not, run: chmod 600 %s", path, perm, path)
	}
	if st.Size() != kms.KeySize {
		return fmt.Errorf("root key: %s has %d bytes, but a root key has %d; it is damaged or another file: restore it from your backup",
			path, st.Size(), kms.KeySize)
	}
	return nil
}

// createRootKey writes a temporary file and links it to path, which fails with fs.ErrExist when path is there.
func createRootKey(path string) ([]byte, error) {
	key := make([]byte, kms.KeySize)
	rand.Read(key)
	var suffix [8]byte
	rand.Read(suffix[:])
	temp := path + ".new-" + hex.EncodeToString(suffix[:])
	err := writeDurably(temp, key)
	if err == nil {
		err = os.Link(temp, path)
	}
	os.Remove(temp) // gone or useless either way
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		kms.Wipe(key)
		return nil, fmt.Errorf("root key: create %s: %w", path, err)
	}
	return key, nil
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
