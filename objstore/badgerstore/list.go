package badgerstore

import (
	"context"
	"slices"
	"strings"

	"kmsfs/objstore"
	"kmsfs/objstore/badgerstore/kv"
)

const defaultLimit = 1000

// stopWalk ends a walk: the page is full.
type stopWalk struct{}

func (stopWalk) Error() string { return "stop" }

// walker visits the keys under a directory in ascending order of their bytes. A directory sorts as its name with "/"
// behind it, so it is held back until the names that sort before that have come.
type walker struct {
	s       *Store
	r       kv.Reader
	after   string // keys up to here are not visited
	history bool   // also names that have old versions only
	// enter decides whether the keys under dir (with its "/") are visited.
	enter func(dir string) (bool, error)
	// visit gets each key's spot and what is current there (nil: nothing).
	visit func(key string, sp spot, cur *inode) error
}

// walk visits the directory whose keys begin with prefix.
func (w *walker) walk(sp spot, prefix string) error {
	var held []string // directories, ascending as "name/"
	flush := func(until string) error {
		for len(held) > 0 && (until == "" || held[0] < until) {
			if err := w.down(sp, prefix, held[0]); err != nil {
				return err
			}
			held = held[1:]
		}
		return nil
	}
	start := w.start(prefix)
	for _, d := range append(shorter(start), "") { // "" too: a key may have an empty component
		if next, ok, err := w.s.step(w.r, sp, d); err != nil {
			return err
		} else if ok && (w.history || next.dir != nil) {
			held = hold(held, d)
		}
	}
	for name, first := start, true; ; first = false {
		e, ok, err := w.next(sp, name, !first)
		if err != nil || !ok {
			if err == nil {
				err = flush("")
			}
			return err
		}
		name = e.name
		if err := flush(name); err != nil {
			return err
		}
		if e.file {
			if err := w.key(sp, prefix, name); err != nil {
				return err
			}
		}
		if e.dir {
			held = hold(held, name)
		}
	}
}

// start is the name to begin at in a directory: the component of after that lies in it.
func (w *walker) start(prefix string) string {
	if !strings.HasPrefix(w.after, prefix) {
		return ""
	}
	name, _, _ := strings.Cut(w.after[len(prefix):], "/")
	return name
}

// shorter lists the names that sort before name, but behind it with a "/".
func shorter(name string) (out []string) {
	for i := 1; i < len(name); i++ {
		if name[i] < '/' {
			out = append(out, name[:i])
		}
	}
	return out
}

func hold(held []string, name string) []string {
	name += "/"
	i, found := slices.BinarySearch(held, name)
	if found {
		return held
	}
	return slices.Insert(held, i, name)
}

func (w *walker) down(sp spot, prefix, dir string) error {
	key := prefix + dir
	if key < w.after && !strings.HasPrefix(w.after, key) {
		return nil
	}
	ok, err := w.enter(key)
	if err != nil || !ok {
		return err
	}
	next, ok, err := w.s.step(w.r, sp, strings.TrimSuffix(dir, "/"))
	if err != nil || !ok {
		return err
	}
	if err := w.key(next, key, ""); err != nil {
		return err
	}
	return w.walk(next, key)
}

func (w *walker) key(sp spot, prefix, name string) error {
	key := prefix + name
	if key < w.after || (key == w.after && !w.history) {
		return nil
	}
	sp.name = name
	cur, err := w.s.current(w.r, sp)
	if err != nil {
		return err
	}
	if cur == nil {
		cur = sp.marker()
	}
	if cur == nil && !w.history {
		return nil
	}
	return w.visit(key, sp, cur)
}

// nameEntry is a name of a directory and what it has been.
type nameEntry struct {
	name      string
	file, dir bool
}

// next gives the first name from or behind name on; the empty name is left to down.
func (w *walker) next(sp spot, name string, behind bool) (e nameEntry, ok bool, err error) {
	old := name // a key of an old version has the name, 0 and more
	if behind || name == "" {
		name, old = name+"\x00", name+"\x01"
	}
	note := func(n string, file, dir bool) {
		switch {
		case !ok || n < e.name:
			e, ok = nameEntry{n, file, dir}, true
		case n == e.name:
			e.file, e.dir = e.file || file, e.dir || dir
		}
	}
	if sp.dir != nil {
		prefix := direntKey(sp.dir.Ino, "")
		err := w.first(prefix, name, func(k, v []byte) error {
			d, err := unmarshalDirent(v)
			note(string(k[len(prefix):]), d.file != 0, d.dir != 0)
			return err
		})
		if err != nil {
			return e, false, err
		}
	}
	if !w.history {
		return e, ok, nil
	}
	err = w.first(key8(kNoncurrent, uint64(sp.hist)), old, func(k, _ []byte) error {
		_, n, _, _ := splitNoncurrent(k)
		note(n, true, false)
		return nil
	})
	if err != nil {
		return e, false, err
	}
	prefix := ghostKey(sp.hist, "")
	err = w.first(prefix, name, func(k, _ []byte) error {
		note(string(k[len(prefix):]), false, true)
		return nil
	})
	return e, ok, err
}

func (w *walker) first(prefix []byte, name string, fn func(k, v []byte) error) error {
	return w.r.Ascend(append(slices.Clone(prefix), name...), after(prefix), func(k, v []byte) (bool, error) { return false, fn(k, v) })
}

// list collects a page; rolled up prefixes count as one entry each.
type list struct {
	objstore.Listing
	in    objstore.ListInput
	limit int
}

func newList(in objstore.ListInput) *list {
	l := &list{in: in, limit: in.Limit}
	if l.limit <= 0 || l.limit > defaultLimit {
		l.limit = defaultLimit
	}
	return l
}

func (l *list) full() bool { return len(l.Objects)+len(l.CommonPrefixes) >= l.limit }

// rolled gives the common prefix that a key falls under, "" for none.
func (l *list) rolled(key string) string {
	if l.in.Delimiter == "" {
		return ""
	}
	rest := key[len(l.in.Prefix):]
	i := strings.Index(rest, l.in.Delimiter)
	if i < 0 {
		return ""
	}
	return l.in.Prefix + rest[:i+len(l.in.Delimiter)]
}

// enter keeps the walk to what the prefix can match, and out of directories that are rolled up whole.
func (l *list) enter(dir string) (bool, error) {
	if !strings.HasPrefix(dir, l.in.Prefix) {
		return strings.HasPrefix(l.in.Prefix, dir), nil
	}
	if p := l.rolled(dir); p != "" && p == dir {
		return false, l.roll(p)
	}
	return true, nil
}

func (l *list) roll(p string) error {
	if n := len(l.CommonPrefixes); n > 0 && l.CommonPrefixes[n-1] == p || p <= l.in.After {
		return nil
	}
	if l.full() {
		l.Truncated = true
		return stopWalk{}
	}
	l.CommonPrefixes = append(l.CommonPrefixes, p)
	l.Next, l.NextVersion = p, ""
	return nil
}

// add takes an object, or rolls it up.
func (l *list) add(o objstore.Object) error {
	if p := l.rolled(o.Key); p != "" {
		return l.roll(p)
	}
	if l.full() {
		l.Truncated = true
		return stopWalk{}
	}
	l.Objects = append(l.Objects, o)
	l.Next, l.NextVersion = o.Key, o.VersionID
	return nil
}

// ListObjects lists current versions.
func (s *Store) ListObjects(_ context.Context, bucket string, in objstore.ListInput) (objstore.Listing, error) {
	l := newList(in)
	return s.list("ListObjects", bucket, l, false, func(_ kv.Reader, key string, _ spot, cur *inode) error {
		if !strings.HasPrefix(key, in.Prefix) {
			return pastPrefix(key, in.Prefix)
		}
		return l.add(describe(cur, key, true))
	})
}

// pastPrefix ends a walk that has left the prefix behind.
func pastPrefix(key, prefix string) error {
	if key > prefix {
		return stopWalk{}
	}
	return nil
}

// ListVersions lists all versions and delete markers.
func (s *Store) ListVersions(_ context.Context, bucket string, in objstore.ListInput) (objstore.Listing, error) {
	l := newList(in)
	return s.list("ListVersions", bucket, l, true, func(r kv.Reader, key string, sp spot, cur *inode) error {
		if !strings.HasPrefix(key, in.Prefix) {
			return pastPrefix(key, in.Prefix)
		}
		skip := key == in.After
		if skip && in.AfterVersion == "" {
			return nil
		}
		one := func(o objstore.Object) error {
			if skip {
				skip = o.VersionID != in.AfterVersion
				return nil
			}
			return l.add(o)
		}
		if cur != nil {
			if err := one(describe(cur, key, true)); err != nil {
				return err
			}
		}
		latest := cur == nil
		return s.eachNoncurrent(r, namesPrefix(sp.hist, sp.name), func(_ []byte, in *inode) (bool, error) {
			err := one(objectOf(in, key, latest))
			latest = false
			return true, err
		})
	})
}

func (s *Store) list(op, name string, l *list, history bool, visit func(kv.Reader, string, spot, *inode) error) (objstore.Listing, error) {
	b, err := s.bucket(name)
	if err != nil {
		return l.Listing, err
	}
	err = s.view(op, func(r kv.Reader) error {
		root, err := s.inode(r, b.Root)
		if err != nil {
			return err
		}
		w := walker{s: s, r: r, after: max(l.in.After, startOf(l.in.Prefix)), history: history, enter: l.enter}
		w.visit = func(key string, sp spot, cur *inode) error { return visit(r, key, sp, cur) }
		err = w.walk(spot{dir: root, hist: root.hist}, "")
		if _, stopped := err.(stopWalk); stopped { //nolint:errorlint // made above, never wrapped
			return nil
		}
		return err
	})
	if !l.Truncated {
		l.Next, l.NextVersion = "", ""
	}
	return l.Listing, s.failed(op, name, "", err)
}

// startOf lets a walk begin at the first key with the prefix: all smaller keys are passed over.
func startOf(prefix string) string {
	if prefix == "" {
		return ""
	}
	last := len(prefix) - 1
	if prefix[last] == 0 {
		return prefix[:last]
	}
	return prefix[:last] + string([]byte{prefix[last] - 1}) + "\xff"
}
