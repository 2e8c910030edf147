package backup

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// place is where packs and the point go.
type place interface {
	pack(name string, head, body []byte) error
	point(p *Point, b []byte) error
	// blobs gives the needed blobs of a pack that is there.
	blobs(keys *Keys, name string, fn func(entry, []byte) error) error
}

// Writer takes one backup. Pages come first, then slots and chunks; then Finish. It is not safe for concurrent use. After an
// error, or without Finish, the backup does not exist, and earlier ones are whole.
type Writer struct {
	place place
	keys  *Keys
	have  *index
	limit int
	packr packer
	p     Point
	bytes int64 // of blobs that were added
}

// NewWriter begins a backup into the repository, with the sealed files of the store's directory. history are the runs that the
// store has been through, the newest first.
func (r *Repository) NewWriter(files map[string][]byte, run Run, history []Run) (*Writer, error) {
	have, err := r.index(history)
	if err != nil {
		return nil, err
	}
	head := Head{r.head.Store, r.head.Check, files}
	return newWriter(&repositoryPlace{r, map[string]bool{}}, r.keys, head, run, have, r.PackBytes), nil
}

func newWriter(to place, keys *Keys, head Head, run Run, have *index, limit int) *Writer {
	created := time.Now().UTC().Truncate(time.Millisecond)
	if !created.After(have.newest) { // a clock that was put back must not change the order
		created = have.newest.Add(time.Millisecond)
	}
	return &Writer{
		place: to, keys: keys, have: have, limit: limit, packr: packer{keys: keys, run: run},
		p: Point{Head: head, Run: hex.EncodeToString(run[:]), Created: created},
	}
}

// Page adds a page, unless the repository has it.
func (w *Writer) Page(plain []byte) error {
	id := w.keys.pageID(plain)
	w.p.pages = append(w.p.pages, id)
	if w.have.page(id, len(plain)+tagSize) {
		return nil
	}
	return w.add(entry{kind: kindPage, key: id}, len(plain)+tagSize, func(dst []byte) ([]byte, error) {
		return w.keys.sealPage(dst, id, plain)
	})
}

// Missing says what of r the repository does not have yet.
func (w *Writer) Missing(r Range) []Range { return w.have.missing(r) }

// MaxBlob bounds what one call of Add may take, in bytes.
func (w *Writer) MaxBlob() int { return w.limit }

// Add adds n bytes of ciphertext, which read puts into its argument. An error of read is the answer, and nothing was added.
func (w *Writer) Add(r Range, n int, read func(p []byte) error) error {
	return w.add(slotsEntry(r, n), n, func(dst []byte) ([]byte, error) {
		dst = append(dst, make([]byte, n)...)
		return dst, read(dst[len(dst)-n:])
	})
}

// Lose counts what could not be read, and is not in the backup.
func (w *Writer) Lose(n int64) { w.p.Lost += n }

// Damaged are files of the repository that could not be read. What they held is stored anew.
func (w *Writer) Damaged() []error { return w.have.damaged }

// Written is the bytes of ciphertext and pages that were added.
func (w *Writer) Written() int64 { return w.bytes }

func (w *Writer) add(e entry, n int, fill func(dst []byte) ([]byte, error)) error {
	if len(w.packr.body) > 0 && len(w.packr.body)+n > w.limit {
		if err := w.flush(); err != nil {
			return err
		}
	}
	if err := w.packr.add(e, fill); err != nil {
		return err
	}
	w.bytes += int64(n)
	return nil
}

// flush writes the pack under way.
func (w *Writer) flush() error {
	if len(w.packr.entries) == 0 {
		return nil
	}
	head, name, err := w.packr.finish()
	if err != nil {
		return err
	}
	if err := w.place.pack(name, head, w.packr.body); err != nil {
		return fmt.Errorf("write the backup: %w", err)
	}
	size := int64(len(head) + len(w.packr.body))
	w.p.Packs = append(w.p.Packs, name)
	w.p.Size += size
	w.p.Added += size
	w.packr.reset()
	return nil
}

// Finish makes the backup exist. With renew, what is needed of packs that are less than half in use is taken over first.
func (w *Writer) Finish(renew bool) (*Point, error) {
	for _, p := range w.have.packs {
		if !p.need {
			continue
		}
		if renew && 2*p.used < p.size {
			if err := w.takeOver(p.name); err != nil {
				return nil, err
			}
			continue
		}
		w.p.Packs = append(w.p.Packs, p.name)
		w.p.Size += p.size
	}
	if err := w.flush(); err != nil {
		return nil, err
	}
	b, err := w.p.encode(w.keys)
	if err != nil {
		return nil, err
	}
	run, err := w.p.run()
	if err != nil {
		return nil, err
	}
	w.p.Name = pointName(w.p.Created, run)
	if err := w.place.point(&w.p, b); err != nil {
		return nil, fmt.Errorf("write the backup: %w", err)
	}
	return &w.p, nil
}

// takeOver copies what is needed of a pack.
func (w *Writer) takeOver(name string) error {
	pages := make(map[[idSize]byte]bool, len(w.p.pages))
	for _, id := range w.p.pages {
		pages[id] = true
	}
	return w.place.blobs(w.keys, name, func(e entry, blob []byte) error {
		if e.kind == kindPage && !pages[e.key] || e.kind != kindPage && !w.have.isUsed(e.slots()) {
			return nil
		}
		return w.add(e, len(blob), func(dst []byte) ([]byte, error) { return append(dst, blob...), nil })
	})
}

// isUsed reports whether exactly this range was asked for.
func (x *index) isUsed(r Range) bool {
	for i := x.firstAfter(r); i < len(x.ranges) && compareRanges(x.ranges[i].Range, r) == 0; i++ {
		if x.ranges[i].Range == r && x.ranges[i].used {
			return true
		}
	}
	return false
}

// repositoryPlace is a repository; dirs are those with new packs.
type repositoryPlace struct {
	r    *Repository
	dirs map[string]bool
}

func (t *repositoryPlace) pack(name string, head, body []byte) error {
	dir := filepath.Dir(packPath(name))
	if err := t.r.disk.mkdir(dir); err != nil {
		return err
	}
	t.dirs[dir] = true
	return t.r.disk.write(packPath(name), head, body)
}

func (t *repositoryPlace) point(p *Point, b []byte) error {
	for dir := range t.dirs {
		if err := t.r.disk.sync(dir); err != nil {
			return err
		}
	}
	if _, err := os.Stat(t.r.disk.path("points/" + p.Name)); err == nil {
		return errors.New("there is a backup of this name already")
	}
	if err := t.r.disk.write("points/"+p.Name, b); err != nil {
		return err
	}
	return t.r.disk.sync("points")
}

func (t *repositoryPlace) blobs(keys *Keys, name string, fn func(entry, []byte) error) error {
	p, err := t.r.disk.readPack(keys, name)
	if err != nil {
		return err
	}
	return p.each(fn)
}

// readPack reads and verifies a whole pack.
func (d disk) readPack(keys *Keys, name string) (*pack, error) {
	path := d.path(packPath(name))
	b, err := d.readPackFile(name)
	if err != nil {
		return nil, err
	}
	p, err := keys.parsePack(b)
	return p, damaged(path, err)
}

func (d disk) readPackFile(name string) ([]byte, error) {
	path := d.path(packPath(name))
	b, err := os.ReadFile(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, damaged(path, errMissing)
	case err != nil:
		return nil, damaged(path, err)
	case packName(b) != name:
		return nil, damaged(path, errors.New("its SHA-256 is not its name"))
	}
	return b, nil
}
