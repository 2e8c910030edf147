package backup

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const headerName = "kmsfs.backup"

// Repository is a directory of backups of one store that this process may write to.
type Repository struct {
	disk disk
	keys *Keys
	head Head
	lock *os.File
	// PackBytes is how much a pack holds; 32 MiB, less in tests.
	PackBytes int
}

// OpenRepository opens the repository in dir for writing, or makes it in a directory that is missing or empty. step is for
// tests, and nil otherwise.
//
// Errors: ErrBusy, ErrOtherStore, ErrWrongKey, ErrNewer, ErrOlder, ErrNotBackup.
func OpenRepository(dir string, head Head, keys *Keys, step func(string) error) (*Repository, error) {
	r := &Repository{disk: disk{dir, step}, keys: keys, head: head, PackBytes: defaultPack}
	if err := r.open(); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

func (r *Repository) open() (err error) {
	fresh, err := freshDir(r.disk.root)
	if err != nil {
		return err
	}
	if !fresh {
		found, err := readHeader(r.disk)
		if err != nil {
			return err
		}
		if err := found.belongs(r.head, r.keys); err != nil {
			return fmt.Errorf("%s: %w", r.disk.root, err)
		}
	} else if err := os.MkdirAll(filepath.Dir(r.disk.root), 0o700); err != nil {
		return err
	}
	if err := r.disk.mkdir("."); err != nil {
		return err
	}
	if r.lock, err = r.disk.lock(true); err != nil {
		return err
	}
	if err := r.disk.tidy(); err != nil {
		return err
	}
	for _, dir := range []string{"packs", "points"} {
		if err := r.disk.mkdir(dir); err != nil {
			return err
		}
	}
	if !fresh {
		return nil
	}
	if err := r.disk.write(headerName, []byte(r.head.text())); err != nil {
		return err
	}
	return r.disk.sync(".")
}

// Close lets others write.
func (r *Repository) Close() error {
	if r.lock == nil {
		return nil
	}
	return r.lock.Close()
}

// freshDir reports a directory in which a repository can be made: missing, empty, or with what a crash left before the
// header was written.
func freshDir(dir string) (bool, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	for _, e := range entries {
		if !slices.Contains([]string{"lock", "packs", "points", headerName + newSuffix}, e.Name()) {
			return false, nil
		}
	}
	return err == nil, err
}

func (h Head) text() string {
	return fmt.Sprintf("kmsfs backup\nversion %d\nstore %s\ncheck %s\n", version, h.Store, h.Check)
}

func readHeader(d disk) (h Head, err error) {
	b, err := os.ReadFile(d.path(headerName))
	if errors.Is(err, fs.ErrNotExist) {
		return h, fmt.Errorf("%s: %w: the directory has files, but no %s", d.root, ErrNotBackup, headerName)
	}
	if err != nil {
		return h, err
	}
	var v uint32
	n, _ := fmt.Sscanf(string(b), "kmsfs backup\nversion %d\nstore %s\ncheck %s\n", &v, &h.Store, &h.Check)
	switch {
	case n >= 1 && v > version, n == 3 && v < version:
		return h, fmt.Errorf("%s: %w", d.root, otherVersion(v))
	case n != 3 || h.text() != string(b):
		return h, damaged(d.path(headerName), errors.New("it does not parse"))
	}
	return h, nil
}

// belongs checks that a backup is of the store that wants describes.
func (h Head) belongs(want Head, keys *Keys) error {
	if h.Store != want.Store {
		return fmt.Errorf("%w (%s; this store is %s)", ErrOtherStore, h.Store, want.Store)
	}
	return h.Opens(keys)
}

// Opens checks that the keys are those of the backup: ErrWrongKey.
func (h Head) Opens(keys *Keys) error {
	if keys.Check(h.Store) != h.Check {
		return ErrWrongKey
	}
	return nil
}

// points reads all points, oldest first. Those that are damaged are told apart.
func (d disk) points() (all []*Point, bad []error, err error) {
	names, err := d.names("points")
	if err != nil {
		return nil, nil, err
	}
	for _, name := range names {
		p, err := d.readPoint(name)
		if err != nil {
			bad = append(bad, err)
			continue
		}
		all = append(all, p)
	}
	return all, bad, nil
}

func (d disk) readPoint(name string) (*Point, error) {
	path := d.path("points/" + name)
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	p, err := parsePoint(name, b)
	return p, damaged(path, err)
}

func packPath(name string) string { return "packs/" + name[:2] + "/" + name }

// index reads what may be shared by a run whose store has been through the runs of history, the newest first.
func (r *Repository) index(history []Run) (*index, error) {
	points, bad, err := r.disk.points()
	if err != nil {
		return nil, err
	}
	x := newIndex()
	x.damaged = bad
	for _, p := range points {
		if p.Created.After(x.newest) {
			x.newest = p.Created
		}
	}
	shared, newer := ancestor(points, history)
	known := map[string]bool{}
	for _, name := range shared {
		known[name] = true
		if err := r.load(x, name, nil); err != nil {
			x.damaged = append(x.damaged, err)
		}
	}
	if len(newer) > 0 {
		for _, name := range r.packs() {
			if !known[name] {
				_ = r.load(x, name, newer) // left by a backup that did not end: shared by luck, not by need
			}
		}
	}
	x.sort()
	return x, nil
}

// ancestor answers the packs of the newest point that the store has been through, and the runs behind that one.
func ancestor(points []*Point, history []Run) (packs []string, newer map[Run]bool) {
	newer = map[Run]bool{}
	for _, run := range history {
		i := slices.IndexFunc(points, func(p *Point) bool { return p.Run == hex.EncodeToString(run[:]) })
		if i >= 0 {
			return points[i].Packs, newer
		}
		newer[run] = true
	}
	return nil, newer
}

// packs lists all packs; what cannot be listed is not shared.
func (r *Repository) packs() (all []string) {
	dirs, _ := r.disk.names("packs")
	for _, dir := range dirs {
		names, _ := r.disk.names("packs/" + dir)
		for _, name := range names {
			if validPackName(name) && strings.HasPrefix(name, dir) {
				all = append(all, name)
			}
		}
	}
	return all
}

// load adds a pack to x; with runs, only if it is of one of them.
func (r *Repository) load(x *index, name string, runs map[Run]bool) error {
	path := r.disk.path(packPath(name))
	run, entries, size, err := r.readIndex(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return damaged(path, errMissing)
	case err != nil:
		return damaged(path, err)
	case runs == nil || runs[run]:
		x.add(name, size, entries)
	}
	return nil
}

// readIndex reads the beginning of a pack.
func (r *Repository) readIndex(path string) (run Run, entries []entry, size int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return run, nil, 0, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return run, nil, 0, err
	}
	head := make([]byte, packHead)
	if _, err := io.ReadFull(f, head); err != nil {
		return run, nil, 0, err
	}
	run, n, err := parseHead(head)
	if err != nil {
		return run, nil, 0, err
	}
	sealed := make([]byte, min(int64(n), st.Size()))
	if _, err := io.ReadFull(f, sealed); err != nil {
		return run, nil, 0, err
	}
	entries, err = r.keys.parseIndex(head, sealed, st.Size()-packHead-int64(n))
	return run, entries, st.Size(), err
}

// Keep removes the oldest points beyond n, 0 being no bound, and the packs that no point names any more. Where a point cannot
// be read, all packs stay.
func (r *Repository) Keep(n int) error {
	points, bad, err := r.disk.points()
	if err != nil {
		return err
	}
	if n > 0 && len(points) > n {
		for _, p := range points[:len(points)-n] {
			if err := r.disk.remove("points/" + p.Name); err != nil {
				return err
			}
		}
		if err := r.disk.sync("points"); err != nil { // before the packs that they name
			return err
		}
		points = points[len(points)-n:]
	}
	if len(bad) > 0 {
		return nil
	}
	return r.removeUnneeded(points)
}

func (r *Repository) removeUnneeded(points []*Point) error {
	needed := map[string]bool{}
	for _, p := range points {
		for _, name := range p.Packs {
			needed[name] = true
		}
	}
	for _, name := range r.packs() {
		if !needed[name] {
			if err := r.disk.remove(packPath(name)); err != nil {
				return err
			}
		}
	}
	return nil
}
