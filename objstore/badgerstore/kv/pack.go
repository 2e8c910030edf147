package kv

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
)

// pack is one file of sealed values. It is appended to, then only read, and removed as a whole.
type pack struct {
	number uint32
	path   string
	size   atomic.Int64 // bytes written
	refs   atomic.Int64 // sets that name it; the file goes with the last one
	full   bool         // GUARDED_BY(DB.checkpointMu): nothing is appended any more

	mu sync.RWMutex
	f  file // GUARDED_BY(mu): nil while closed
}

// packSet is the packs that a base may read from.
type packSet struct {
	refs  atomic.Int64
	packs map[uint32]*pack
}

// openPacks is how many packs are kept open for reading.
const openPacks = 128

// packs is the directory of packs: who may read which, and which are open.
type packs struct {
	dir      string
	openFile func(string) (file, error)

	last uint32 // GUARDED_BY(DB.checkpointMu): number of the newest pack; none is used twice

	mu     sync.Mutex
	set    *packSet // GUARDED_BY(mu): the present one
	opened []*pack  // GUARDED_BY(mu): oldest first
}

func openPacksIn(dir string, openFile func(string) (file, error)) (*packs, error) {
	p := &packs{dir: dir, openFile: openFile}
	found, err := p.list()
	if err != nil {
		return nil, fmt.Errorf("kv: list packs: %w", err)
	}
	p.change(func(m map[uint32]*pack) {
		for _, k := range found {
			m[k.number] = k
			p.last = max(p.last, k.number)
		}
	})
	return p, nil
}

func (p *packs) path(number uint32) string {
	return filepath.Join(p.dir, fmt.Sprintf("%08d.pack", number))
}

func (p *packs) list() ([]*pack, error) {
	entries, err := os.ReadDir(p.dir)
	if err != nil {
		return nil, err
	}
	var out []*pack
	for _, e := range entries {
		var number uint32
		if _, err := fmt.Sscanf(e.Name(), "%d.pack", &number); err != nil || p.path(number) != filepath.Join(p.dir, e.Name()) {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return nil, err
		}
		k := &pack{number: number, path: p.path(number)}
		k.size.Store(info.Size())
		out = append(out, k)
	}
	return out, nil
}

// hold returns the present set, which stays readable until it is released.
func (p *packs) hold() *packSet {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.set.refs.Add(1)
	return p.set
}

// release lets go of a set. Packs that no set names any more are removed.
func (p *packs) release(s *packSet) {
	if s == nil || s.refs.Add(-1) > 0 {
		return
	}
	for _, k := range s.packs {
		if k.refs.Add(-1) == 0 {
			p.remove(k)
		}
	}
}

// change replaces the present set by an edited copy.
func (p *packs) change(edit func(map[uint32]*pack)) {
	next := &packSet{packs: make(map[uint32]*pack)}
	next.refs.Store(1)
	p.mu.Lock()
	old := p.set
	if old != nil {
		for n, k := range old.packs {
			next.packs[n] = k
		}
	}
	edit(next.packs)
	for _, k := range next.packs {
		k.refs.Add(1)
	}
	p.set = next
	p.mu.Unlock()
	p.release(old)
}

func (p *packs) add(k *pack)  { p.change(func(m map[uint32]*pack) { m[k.number] = k }) }
func (p *packs) drop(k *pack) { p.change(func(m map[uint32]*pack) { delete(m, k.number) }) }

// remove deletes the file of a pack that nobody can read any more. One that stays is found again at the next opening.
func (p *packs) remove(k *pack) {
	k.shut()
	_ = os.Remove(k.path)
}

func (k *pack) shut() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.f != nil {
		_ = k.f.Close()
		k.f = nil
	}
}

// read returns the bytes at a location, which is in s.
func (p *packs) read(s *packSet, l location) ([]byte, error) {
	k, ok := s.packs[l.pack]
	if !ok {
		return nil, fmt.Errorf("%s: %w", filepath.Base(p.path(l.pack)), fs.ErrNotExist)
	}
	buf := make([]byte, l.length)
	for {
		k.mu.RLock()
		if k.f != nil {
			_, err := k.f.ReadAt(buf, int64(l.offset))
			k.mu.RUnlock()
			return buf, err
		}
		k.mu.RUnlock()
		if err := p.open(k); err != nil {
			return nil, err
		}
	}
}

// open opens a pack for reading, and closes the one that has been open for longest if there are many.
func (p *packs) open(k *pack) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.f != nil {
		return nil
	}
	f, err := p.openFile(k.path)
	if err != nil {
		return err
	}
	k.f = f
	p.opened = append(p.opened, k)
	if len(p.opened) > openPacks {
		oldest := p.opened[0]
		p.opened = p.opened[1:]
		oldest.shut()
	}
	return nil
}

// bytes is the size of all packs.
func (p *packs) bytes() (n int64) {
	s := p.hold()
	defer p.release(s)
	for _, k := range s.packs {
		n += k.size.Load()
	}
	return n
}

// close closes all files; no set is held any more.
func (p *packs) close() error {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, k := range p.opened {
		k.mu.Lock()
		if k.f != nil {
			errs = append(errs, k.f.Close())
			k.f = nil
		}
		k.mu.Unlock()
	}
	p.opened = nil
	return errors.Join(errs...)
}
