package keyring

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"kmsfs/kms/local"
)

// names are the file and its copy, so that one damaged file does not close the store.
func names() [2]string { return [2]string{"kmsfs.keyring", "kmsfs.keyring.copy"} }

var (
	// ErrDamaged: no copy of the keyring can be read.
	ErrDamaged = errors.New("the keyring is damaged")
	// ErrRootKey: the root key is not the one that the keyring is sealed under.
	ErrRootKey = errors.New("the root key does not open the keyring")
)

// File is a keyring as it lies on disk, not opened.
type File struct {
	copies []onDisk // those that can be read, newest first
}

type onDisk struct {
	head   Head
	sealed []byte
	data   []byte
}

// Read reads the keyring in dir. The error wraps fs.ErrNotExist when there is none, and [ErrDamaged] when no copy is
// whole.
func Read(dir string) (*File, error) {
	f, missing := &File{}, 0
	var why []error
	for _, name := range names() {
		data, err := readLimited(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			missing++
			continue
		}
		head, sealed := Head{}, []byte(nil)
		if err == nil {
			head, sealed, err = parseFile(data)
		}
		if err != nil {
			why = append(why, fmt.Errorf("%s: %w", name, err))
			continue
		}
		f.copies = append(f.copies, onDisk{head, sealed, data})
	}
	switch {
	case missing == len(names()):
		return nil, fmt.Errorf("%s has no keyring: %w", dir, fs.ErrNotExist)
	case len(f.copies) == 0:
		return nil, fmt.Errorf("%s: %w: %w", dir, ErrDamaged, errors.Join(why...))
	}
	slices.SortStableFunc(f.copies, func(a, b onDisk) int { return int(int64(b.head.Generation) - int64(a.head.Generation)) })
	return f, nil
}

func readLimited(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile))
}

// Head is the newest copy's. Nothing is proved of it until the ring is opened.
func (f *File) Head() Head { return f.copies[0].head }

// SealedUnder reports whether a copy says that it is sealed under the root key with this id.
func (f *File) SealedUnder(rootID string) bool {
	return slices.ContainsFunc(f.copies, func(c onDisk) bool { return c.head.Root == rootID })
}

// Open opens the newest copy that root opens. Errors: [ErrRootKey], [ErrDamaged].
func (f *File) Open(root []byte) (*Ring, error) {
	id := local.RootKeyID(root)
	if !f.SealedUnder(id) {
		h := f.Head()
		return nil, fmt.Errorf("%w: it is root key %s, but the store is sealed under root key %s since %s", ErrRootKey, id, h.Root, h.Since.Format(time.DateTime))
	}
	var why []error
	for _, c := range f.copies {
		if c.head.Root != id {
			continue
		}
		r, err := openFile(c.head, c.sealed, root)
		if err == nil {
			r.staled = len(f.copies) < len(names()) || !bytes.Equal(f.copies[0].data, f.copies[1].data)
			return r, nil
		}
		why = append(why, err)
	}
	return nil, fmt.Errorf("%w: %w", ErrDamaged, errors.Join(why...))
}

// Write seals the ring under root and replaces both copies, each atomically. now is noted when root is another one than
// before. When it returns nil the ring survives power loss; when it does not, the ring before is the store's, or this one.
func (r *Ring) Write(dir string, root []byte, now time.Time) error {
	r.Generation++
	if id := local.RootKeyID(root); id != r.Root {
		r.Root, r.Since = id, now.UTC().Truncate(time.Second)
	}
	data := r.seal(root)
	for _, name := range names() {
		if err := replace(filepath.Join(dir, name), data); err != nil {
			return fmt.Errorf("write the keyring: %w", err)
		}
	}
	r.staled = false
	return nil
}

// Heal writes a copy that is missing, damaged or older anew. Nobody else may have the store open.
func (r *Ring) Heal(dir string, root []byte) error {
	if !r.staled {
		return nil
	}
	return r.Write(dir, root, time.Now())
}

// replace is atomic and survives power loss.
func replace(path string, data []byte) error {
	temp := path + ".new"
	f, err := os.OpenFile(temp, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
