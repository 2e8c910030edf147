package badgerstore

import (
	"encoding/binary"
	"errors"
	"sync"

	"kmsfs/objstore"
	"kmsfs/objstore/badgerstore/kv"
	"kmsfs/objstore/seal"
)

// txn is one atomic change of the store. Inodes are edited as copies and written once at its end.
type txn struct {
	*kv.Tx
	s        *Store
	now      objstore.Time
	edited   map[objstore.Ino]*inode // nil: removed
	names    map[place]dirent        // as this change leaves them
	stems    map[uint64]stem         // that it makes
	pasts    map[past]bool           // names that it gives old versions, false: takes some from, perhaps all
	usage    map[bucketID]usage
	wasBound map[objstore.Ino]bucketID // of what is edited: those that were bound before
	done     []func()                  // run when the change is made, before the next one can begin
	later    []func()                  // run when the change is made, while others go on
	doomed   []seal.ContentID          // condemned until the change is made or given up
}

// update runs fn as one atomic change. When it returns nil the change survives the death of the process.
func (s *Store) update(op string, fn func(*txn) error) error {
	t := &txn{s: s, now: objstore.Now(), edited: map[objstore.Ino]*inode{}, usage: map[bucketID]usage{}}
	if err := t.run(fn); err != nil {
		return wrap(op, err)
	}
	for _, f := range t.later {
		f()
	}
	return nil
}

func (t *txn) run(fn func(*txn) error) error {
	s := t.s
	s.wmu.Lock()
	defer s.wmu.Unlock()
	defer t.pardon()
	visible := false // or about to be
	err := s.db.Update(func(tx *kv.Tx) error {
		t.Tx = tx
		if err := fn(t); err != nil {
			return err
		}
		if s.fault != nil {
			if err := s.fault(); err != nil {
				return err
			}
		}
		if err := t.finish(); err != nil || t.names == nil {
			return err
		}
		visible = true
		s.names.begin()
		return nil
	})
	if err != nil {
		if visible {
			s.names.end(nil)
		}
		return err
	}
	for ino, in := range t.edited {
		s.nodes.put(ino, in)
	}
	if visible {
		s.names.end(t.names)
	}
	t.applyUsage()
	t.learnPasts()
	for _, f := range t.done {
		f()
	}
	return nil
}

func (t *txn) finish() error {
	if err := t.noteLists(); err != nil {
		return err
	}
	t.countBound()
	for ino, in := range t.edited {
		if in == nil {
			t.Delete(inodeKey(ino))
			continue
		}
		in.describe()
		if err := t.putInode(inodeKey(ino), in); err != nil {
			return err
		}
	}
	for id, u := range t.usage {
		t.Put(usageKey(id), marshalUsage(u))
	}
	return nil
}

func (t *txn) after(f func()) { t.done = append(t.done, f) }

// inode gives a record as this change sees it; not to be written to.
func (t *txn) inode(ino objstore.Ino) (*inode, error) {
	if in, ok := t.edited[ino]; ok {
		if in == nil {
			return nil, objstore.NoSuchNode
		}
		return in, nil
	}
	return t.s.readInode(t, ino, t.s.nodes.now())
}

// edit gives a copy that the change writes at its end.
func (t *txn) edit(ino objstore.Ino) (*inode, error) {
	in, err := t.inode(ino)
	if err != nil {
		return nil, err
	}
	if t.edited[ino] == nil {
		t.noteBound(in)
		in = in.clone()
		t.edited[ino] = in
	}
	return in, nil
}

// directory gives a directory to change names in: it must exist and not be removed.
func (t *txn) directory(ino objstore.Ino) (*inode, error) {
	in, err := t.edit(ino)
	if err != nil {
		return nil, err
	}
	if !isDir(in.Mode) {
		return nil, objstore.NotDirectory
	}
	if in.Nlink == 0 {
		return nil, objstore.NoSuchNode
	}
	return in, nil
}

func (t *txn) touch(dir *inode) { dir.Mtime, dir.Ctime = t.now, t.now }

// count changes the usage of a bucket.
func (t *txn) count(id bucketID, f func(*objstore.BucketUsage)) {
	u := t.usageOf(id)
	f(&u.BucketUsage)
	t.usage[id] = u
}

func (t *txn) usageOf(id bucketID) usage {
	if u, ok := t.usage[id]; ok {
		return u
	}
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	return t.s.usageOf(id)
}

func (t *txn) applyUsage() {
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	for id, u := range t.usage {
		t.s.usage[id] = u
	}
}

// getter is what a lookup needs: a transaction or a snapshot.
type getter interface {
	Get(key []byte) ([]byte, error)
}

// snapshot is a state of the store, not older than what the cache was at epoch.
type snapshot struct {
	kv.Reader
	epoch uint64
	names uint64 // the same for the cache of names
}

// view reads a consistent state.
func (s *Store) view(op string, fn func(r kv.Reader) error) error {
	epoch, names := s.nodes.now(), s.names.now()
	return wrap(op, s.db.View(func(r kv.Reader) error { return fn(snapshot{r, epoch, names}) }))
}

// inode reads a record through the cache, or as r's change sees it.
func (s *Store) inode(r getter, ino objstore.Ino) (*inode, error) {
	switch r := r.(type) {
	case *txn:
		return r.inode(ino)
	case snapshot:
		return s.readInode(r, ino, r.epoch)
	}
	return s.readInode(r, ino, noEpoch)
}

// readInode reads a record through the cache, which keeps it when nothing was changed since epoch.
func (s *Store) readInode(r getter, ino objstore.Ino, epoch uint64) (*inode, error) {
	if in, _ := s.nodes.get(ino); in != nil {
		return in, nil
	}
	rec, err := r.Get(inodeKey(ino))
	if err != nil {
		return nil, notFound(err, objstore.NoSuchNode)
	}
	in, err := s.decoded(r, rec)
	if err != nil {
		return nil, err
	}
	s.nodes.fill(ino, in, epoch)
	return in, nil
}

func readDirent(r getter, parent objstore.Ino, name string) (dirent, error) {
	rec, err := r.Get(direntKey(parent, name))
	if errors.Is(err, kv.ErrNotFound) {
		return dirent{}, nil
	}
	if err != nil {
		return dirent{}, err
	}
	return unmarshalDirent(rec)
}

func notFound(err error, code objstore.Code) error {
	if errors.Is(err, kv.ErrNotFound) {
		return code
	}
	return err
}

// counter hands out numbers that are never given out again, also after a crash: the record is ahead of what was given.
type counter struct{ next, limit uint64 }

const (
	counterBlock = 4096
	firstNumber  = 2 // 1 is left to FUSE's root
)

// take gives the next number of a counter; the first is firstNumber.
func (t *txn) take(name string) (uint64, error) {
	c := t.s.counter[name] // guarded by wmu
	if c == nil {
		rec, err := t.Get(counterKey(name))
		if err != nil && !errors.Is(err, kv.ErrNotFound) {
			return 0, err
		}
		c = &counter{}
		if len(rec) == 8 {
			c.next = binary.BigEndian.Uint64(rec)
		}
		c.next = max(c.next, firstNumber)
		c.limit = c.next
		t.s.counter[name] = c
	}
	if c.next >= c.limit {
		limit := c.next + counterBlock
		t.Put(counterKey(name), binary.BigEndian.AppendUint64(nil, limit))
		t.after(func() { c.limit = limit })
	}
	c.next++
	return c.next - 1, nil
}

func (t *txn) newIno() (objstore.Ino, error) {
	n, err := t.take("ino")
	return objstore.Ino(n), err
}

// holder is who uses a content in memory.
type holder struct {
	sources map[*source]struct{}
	doomed  bool // no record used it: swept when the last source closes
	shares  int  // how often a record began to use it that none of the sources wrote
}

// hold notes a user of a content that nobody can give up: a new one, or one that is held already.
func (s *Store) hold(id seal.ContentID, src *source) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addSource(id, src)
}

// tryHold notes a user of a content. It answers false while the change under way counts on there being none.
func (s *Store) tryHold(id seal.ContentID, src *source) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.condemned[id] {
		return false
	}
	s.addSource(id, src)
	return true
}

// condemn keeps new users away from a content until the change is made, if it has no more than the given number.
func (t *txn) condemn(id seal.ContentID, users int) bool {
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	if h := t.s.holders[id]; h != nil && len(h.sources) > users {
		return false
	}
	t.s.condemned[id] = true
	t.doomed = append(t.doomed, id)
	return true
}

func (t *txn) pardon() {
	if len(t.doomed) == 0 {
		return
	}
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	for _, id := range t.doomed {
		delete(t.s.condemned, id)
	}
}

// use records that holder uses a content, which may be open.
func (t *txn) use(id seal.ContentID, holder []byte) {
	if id == noContent {
		return
	}
	t.Put(refKey(id, holder), nil)
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	if h := t.s.holders[id]; h != nil {
		h.shares++
	}
}

// shares is how often records began to use a content that is open.
func (s *Store) shares(id seal.ContentID) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := s.holders[id]; h != nil {
		return h.shares
	}
	return 0
}

// addSource needs mu.
func (s *Store) addSource(id seal.ContentID, src *source) {
	h := s.holders[id]
	if h == nil {
		h = &holder{sources: map[*source]struct{}{}}
		s.holders[id] = h
	}
	h.sources[src] = struct{}{}
}

// release ends a hold; a doomed content goes with the last one.
func (s *Store) release(id seal.ContentID, src *source) {
	s.mu.Lock()
	h := s.holders[id]
	if h == nil {
		s.mu.Unlock()
		return
	}
	delete(h.sources, src)
	last := len(h.sources) == 0
	if last {
		delete(s.holders, id)
	}
	s.mu.Unlock()
	if last && h.doomed {
		s.trySweep(id)
	}
}

// nodeCache keeps decoded inodes. fill is refused when any was changed since the reader's snapshot was taken: otherwise
// a slow reader would put back an old or a removed record for good.
type nodeCache struct {
	mu    sync.RWMutex
	m     map[objstore.Ino]*inode
	epoch uint64 // counts put
}

const maxCachedNodes = 1 << 15 // about 1.5 KiB each

func (c *nodeCache) init() { c.m = map[objstore.Ino]*inode{} }

func (c *nodeCache) get(ino objstore.Ino) (*inode, uint64) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.m[ino], c.epoch
}

// noEpoch never is the epoch.
const noEpoch = 1<<64 - 1

func (c *nodeCache) now() uint64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.epoch
}

func (c *nodeCache) fill(ino objstore.Ino, in *inode, epoch uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.epoch == epoch {
		c.set(ino, in)
	}
}

// put takes over a change; nil removes.
func (c *nodeCache) put(ino objstore.Ino, in *inode) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.epoch++
	if in == nil {
		delete(c.m, ino)
		return
	}
	c.set(ino, in)
}

func (c *nodeCache) set(ino objstore.Ino, in *inode) {
	makeRoom(c.m, maxCachedNodes)
	c.m[ino] = in
}
