package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
)

// Source is a backup that can be read: a point of a repository, or a stream.
type Source struct {
	Head
	name  string
	disk  disk
	lock  *os.File
	point *Point // of a repository
	in    *stream
	// Progress may be set: bytes that were read, and of all packs where that is known, else 0.
	Progress func(done, total int64)
	done     int64
	total    int64
}

// Open opens a backup: a repository's point of this name, its newest one for "" and "latest"; a file; or a stream that comes
// from in, for "-". Errors: ErrNotBackup, ErrNoPoint, ErrNewer, ErrOlder, ErrBusy, DamageError.
func Open(path, point string, in io.Reader) (*Source, error) {
	if path == "-" {
		return openStream("the stream", in, 0)
	}
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if st.IsDir() {
		return openPoint(path, point)
	}
	if point != "" && point != "latest" {
		return nil, fmt.Errorf("%s: %w %q: the file has one backup only", path, ErrNoPoint, point)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	s, err := openStream(path, f, st.Size())
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	s.lock = f
	return s, nil
}

func openPoint(dir, name string) (*Source, error) {
	s := &Source{name: dir, disk: disk{root: dir}}
	head, err := readHeader(s.disk)
	if err != nil {
		return nil, err
	}
	if s.lock, err = s.disk.lock(false); err != nil {
		return nil, err
	}
	if s.point, err = s.disk.findPoint(name); err == nil && (s.point.Store != head.Store || s.point.Check != head.Check) {
		err = damaged(s.disk.path(headerName), fmt.Errorf("it and points/%s are of different stores", s.point.Name))
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.Head, s.total = s.point.Head, s.point.Size
	return s, nil
}

func (d disk) findPoint(name string) (*Point, error) {
	names, err := d.names("points")
	if err != nil {
		return nil, err
	}
	if name == "" || name == "latest" {
		if len(names) == 0 {
			return nil, fmt.Errorf("%s: %w: there is none yet", d.root, ErrNoPoint)
		}
		return d.readPoint(names[len(names)-1])
	}
	for _, n := range names {
		if n == name {
			return d.readPoint(n)
		}
	}
	return nil, fmt.Errorf("%s: %w: %q", d.root, ErrNoPoint, name)
}

// Name is the directory or file.
func (s *Source) Name() string { return s.name }

// Close ends reading.
func (s *Source) Close() error {
	if s.lock == nil {
		return nil
	}
	return s.lock.Close()
}

// Visitor takes what a backup holds: all pages, then PagesDone, then slots and chunks, among them such as no record needs.
type Visitor interface {
	Page(plain []byte) error
	PagesDone() error
	Slots(r Range, data []byte) error
}

// Walk reads the whole backup and authenticates all of it: what a visitor was given is true only when Walk has ended without
// error. Errors: ErrWrongKey, DamageError.
func (s *Source) Walk(ctx context.Context, keys *Keys, v Visitor) (*Point, error) {
	if err := s.Opens(keys); err != nil {
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	if s.in != nil {
		return s.walkStream(ctx, keys, v)
	}
	path := s.disk.path("points/" + s.point.Name)
	if err := s.point.open(keys); err != nil {
		return nil, damaged(path, err)
	}
	w := walk{s: s, ctx: ctx, keys: keys, v: v, pages: map[[idSize]byte]bool{}}
	for _, id := range s.point.pages {
		w.pages[id] = false
	}
	for _, step := range []func() error{w.readPages, v.PagesDone, w.readSlots} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return s.point, nil
}

// walk reads a point of a repository.
type walk struct {
	s     *Source
	ctx   context.Context
	keys  *Keys
	v     Visitor
	pages map[[idSize]byte]bool // wanted: true once they were given
	mixed map[string]bool       // packs with pages that have other blobs, too
}

// readPages reads the packs that have wanted pages.
func (w *walk) readPages() error {
	w.mixed = map[string]bool{}
	r := Repository{disk: w.s.disk, keys: w.keys}
	for _, name := range w.s.point.Packs {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		path := w.s.disk.path(packPath(name))
		_, entries, size, err := r.readIndex(path)
		if errors.Is(err, os.ErrNotExist) {
			err = errMissing
		}
		if err != nil {
			return damaged(path, err)
		}
		pages, others := w.contains(entries)
		w.mixed[name] = others
		if !pages {
			continue
		}
		if err := w.givePages(name); err != nil {
			return err
		}
		if !others {
			w.s.advance(size)
		}
	}
	for _, given := range w.pages {
		if !given {
			return damaged(w.s.disk.path("points/"+w.s.point.Name), errors.New("no pack has one of its pages"))
		}
	}
	return nil
}

func (w *walk) contains(entries []entry) (pages, others bool) {
	for _, e := range entries {
		if e.kind != kindPage {
			others = true
		} else if given, wanted := w.pages[e.key]; wanted && !given {
			pages = true
		}
	}
	return pages, others
}

func (w *walk) givePages(name string) error {
	p, err := w.s.disk.readPack(w.keys, name)
	if err != nil {
		return err
	}
	return p.each(func(e entry, blob []byte) error {
		if given, wanted := w.pages[e.key]; e.kind != kindPage || !wanted || given {
			return nil
		}
		w.pages[e.key] = true
		plain, err := w.keys.openPage(e.key, blob)
		if err != nil {
			return damaged(w.s.disk.path(packPath(name)), err)
		}
		return w.v.Page(plain)
	})
}

// readSlots reads the packs that have more than pages.
func (w *walk) readSlots() error {
	for _, name := range w.s.point.Packs {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		if !w.mixed[name] {
			continue
		}
		p, err := w.s.disk.readPack(w.keys, name)
		if err != nil {
			return err
		}
		err = p.each(func(e entry, blob []byte) error {
			if e.kind == kindPage {
				return nil
			}
			return w.v.Slots(e.slots(), blob)
		})
		if err != nil {
			return err
		}
		w.s.advance(int64(len(p.body)))
	}
	return nil
}

func (s *Source) advance(n int64) {
	s.done += n
	if s.Progress != nil {
		s.Progress(s.done, max(s.done, s.total))
	}
}
