package backup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// disk is what a repository does to its directory. step is asked before each change, for tests: its error is the change's.
type disk struct {
	root string
	step func(what string) error
}

func (d disk) ask(what string) error {
	if d.step == nil {
		return nil
	}
	return d.step(what)
}

func (d disk) path(name string) string { return filepath.Join(d.root, name) }

const newSuffix = ".new"

// write makes a file whole and durable under its name, but for the directory's entry. A name that exists is replaced.
func (d disk) write(name string, parts ...[]byte) (err error) {
	tmp := d.path(name) + newSuffix
	if err := d.ask("write " + name); err != nil {
		return err
	}
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	for _, p := range parts {
		if err == nil {
			_, err = f.Write(p)
		}
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	if err := d.ask("rename " + name); err != nil {
		return err
	}
	return os.Rename(tmp, d.path(name))
}

// mkdir makes a directory and those above it, in the repository, durably.
func (d disk) mkdir(name string) error {
	path := d.path(name)
	if st, err := os.Stat(path); err == nil && st.IsDir() {
		return nil
	}
	if name != "." {
		if err := d.mkdir(filepath.Dir(name)); err != nil {
			return err
		}
	}
	if err := d.ask("mkdir " + name); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func (d disk) remove(name string) error {
	if err := d.ask("remove " + name); err != nil {
		return err
	}
	if err := os.Remove(d.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (d disk) sync(name string) error {
	if err := d.ask("sync " + name); err != nil {
		return err
	}
	return syncDir(d.path(name))
}

func syncDir(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// lock takes the repository until the file is closed: alone to write, together with others to read. What cannot be written,
// like a copy on a read-only medium, needs no lock to be read.
func (d disk) lock(alone bool) (*os.File, error) {
	flags, how := os.O_RDONLY, unix.LOCK_SH
	if alone {
		flags, how = os.O_RDWR|os.O_CREATE, unix.LOCK_EX
	}
	f, err := os.OpenFile(d.path("lock"), flags, 0o600)
	if err != nil {
		if !alone {
			return nil, nil
		}
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s: %w", d.root, ErrBusy)
		}
		return nil, err
	}
	return f, nil
}

// names lists the files of a directory of the repository that are complete; none when there is no such directory.
func (d disk) names(dir string) (names []string, err error) {
	all, err := os.ReadDir(d.path(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, e := range all {
		if !strings.HasSuffix(e.Name(), newSuffix) {
			names = append(names, e.Name())
		}
	}
	return names, err
}

// tidy removes what a crash left.
func (d disk) tidy() error {
	for _, dir := range []string{".", "points", "packs"} {
		err := filepath.WalkDir(d.path(dir), func(path string, e fs.DirEntry, err error) error {
			switch {
			case errors.Is(err, fs.ErrNotExist):
				return nil
			case err != nil:
				return err
			case e.IsDir() && dir == "." && path != d.path("."):
				return fs.SkipDir
			case !e.IsDir() && strings.HasSuffix(path, newSuffix) && (dir != "." || e.Name() == headerName+newSuffix):
				return os.Remove(path)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
