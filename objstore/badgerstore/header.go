package badgerstore

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// storeVersion is the version of the store's layout that this program writes and the only one it opens.
const storeVersion = 2

// The header is kept twice, so that one damaged file does not close the store.
var headerNames = [2]string{"kmsfs.store", "kmsfs.store.copy"}

var (
	// ErrNewerFormat: a later release wrote the store.
	ErrNewerFormat = errors.New("the store was written by a newer kmsfs")
	// ErrOlderFormat: the store is from before a change of the format that this program has no reader for.
	ErrOlderFormat = errors.New("the store was written by an older kmsfs, in a format that is no longer read")
	// ErrWrongKey: the secret is not the one that the store was made with.
	ErrWrongKey = errors.New("the root key and its keyring do not belong to this store")
	// ErrLocked: another process has the store open.
	ErrLocked = errors.New("the store is in use by another process")
	// ErrUnfinished: a restore of a backup into the directory did not come to its end.
	ErrUnfinished = errors.New("the store was not restored to its end")
	// ErrNotEmpty: a backup is restored into a directory with files.
	ErrNotEmpty = errors.New("the directory is not empty; a backup is restored into a new or an empty one")
	// ErrNotStore: the directory holds something else.
	ErrNotStore = errors.New("the directory is not empty and not a kmsfs store")
)

// header identifies a store; check proves the secret before anything is read with it.
type header struct {
	version int
	id      string
	check   string
}

func newHeader(secret []byte, id string) header {
	if id == "" {
		var random [16]byte
		rand.Read(random[:])
		id = hex.EncodeToString(random[:])
	}
	h := header{version: storeVersion, id: id}
	h.check = h.expect(secret)
	return h
}

func (h header) expect(secret []byte) string {
	m := hmac.New(sha256.New, secret)
	fmt.Fprintf(m, "kmsfs store check\x00%d\x00%s", h.version, h.id)
	return hex.EncodeToString(m.Sum(nil))
}

func (h header) String() string {
	return fmt.Sprintf("kmsfs store\nversion %d\nid %s\ncheck %s\n", h.version, h.id, h.check)
}

func parseHeader(b []byte) (h header, ok bool) {
	n, err := fmt.Sscanf(string(b), "kmsfs store\nversion %d\nid %s\ncheck %s\n", &h.version, &h.id, &h.check)
	return h, err == nil && n == 3 && h.String() == string(b)
}

// Unfinished reports that a restore into dir did not come to its end.
func Unfinished(dir string) bool {
	_, err := os.Lstat(filepath.Join(dir, restoringName))
	_, none := os.Lstat(filepath.Join(dir, headerNames[0]))
	return err == nil && errors.Is(none, fs.ErrNotExist)
}

// openHeader makes the header of a new store, with this id, or proves that secret opens an old one. A damaged copy is written
// anew. It answers the store's id.
func openHeader(dir string, secret []byte, newID string) (id string, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	found, other, missing := 0, 0, 0
	var good header
	for _, name := range headerNames {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			missing++
			continue
		}
		if err != nil {
			return "", err
		}
		h, ok := parseHeader(b)
		switch {
		case ok && hmac.Equal([]byte(h.check), []byte(h.expect(secret))):
			good = h
			found++
		case ok && h.version > storeVersion:
			other = h.version
		}
	}
	switch {
	case found > 0 && good.version != storeVersion:
		return "", otherFormat(dir, good.version)
	case found == len(headerNames):
		_ = os.Remove(filepath.Join(dir, restoringName)) // a restore was cut short behind its last write
		return good.id, nil
	case found > 0:
		return good.id, writeHeader(dir, good)
	case other > 0:
		return "", otherFormat(dir, other)
	case missing == len(headerNames):
		return initHeader(dir, secret, newID)
	}
	return "", fmt.Errorf("%s: %w", dir, ErrWrongKey)
}

func otherFormat(dir string, version int) error {
	err := ErrNewerFormat
	if version < storeVersion {
		err = ErrOlderFormat
	}
	return fmt.Errorf("%s: format %d, this program knows %d: %w", dir, version, storeVersion, err)
}

// initHeader refuses a directory with files in it: they are somebody's.
func initHeader(dir string, secret []byte, newID string) (id string, err error) {
	names, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	used := false
	for _, e := range names {
		if e.Name() == restoringName {
			return "", fmt.Errorf("%s: %w", dir, ErrUnfinished)
		}
		used = used || !BeforeHeader(e.Name())
	}
	if used {
		return "", fmt.Errorf("%s: %w", dir, ErrNotStore)
	}
	h := newHeader(secret, newID)
	return h.id, writeHeader(dir, h)
}

func writeHeader(dir string, h header) error {
	for _, name := range headerNames {
		if err := replaceFile(filepath.Join(dir, name), []byte(h.String())); err != nil {
			return err
		}
	}
	return nil
}

// replaceFile is atomic and survives power loss.
func replaceFile(path string, b []byte) error {
	tmp := path + ".new"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

const lockName = "lock"

// keyringPrefix begins the names of the keyring's files, which the owner of the secret keeps in the store.
const keyringPrefix = "kmsfs.keyring"

// BeforeHeader reports whether a file of this name may lie in a directory that is no store yet: what the making of one, cut
// short, leaves.
func BeforeHeader(name string) bool {
	return name == lockName || strings.HasPrefix(name, keyringPrefix)
}

// lock takes the store for this process until the file is closed.
func lock(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		owner, _ := os.ReadFile(f.Name())
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s: %w (pid %s)", dir, ErrLocked, strings.TrimSpace(string(owner)))
		}
		return nil, err
	}
	if err := f.Truncate(0); err == nil {
		_, err = fmt.Fprintf(f, "%d\n", os.Getpid())
	}
	return f, nil
}
