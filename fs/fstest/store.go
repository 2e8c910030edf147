// Package fstest has a store in memory that shows package fs what its contract with a store is: it refuses what the
// contract forbids and returns stale bytes where the contract allows them. It is for tests only.
package fstest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"kmsfs/objstore"
)

// Store is an objstore.Store and objstore.Tree in memory. The S3 verbs that a mount does not use are not there.
type Store struct {
	objstore.Store // nil: the verbs that are not here panic

	mu      sync.Mutex
	buckets map[string]*objstore.Bucket
	nodes   map[objstore.Ino]*node
	deleted map[place][]*version // of names that are gone
	last    objstore.Ino
	serial  int
	open    map[objstore.Ino]int

	refusal atomic.Pointer[func(op string, ino objstore.Ino) error]
	// Syncs counts what makes data survive power loss.
	Syncs atomic.Int64
}

// RefuseWith makes fn be asked before every use of a key, with "begin", "open", "authorize", "commit", "resolve",
// "write" or "sync", and fails with its answer. nil asks nobody.
func (s *Store) RefuseWith(fn func(op string, ino objstore.Ino) error) {
	if fn == nil {
		s.refusal.Store(nil)
		return
	}
	s.refusal.Store(&fn)
}

var (
	_ objstore.Tree       = (*Store)(nil)
	_ objstore.Store      = (*Store)(nil)
	_ objstore.Maintainer = (*Store)(nil)
)

type place struct {
	parent objstore.Ino
	name   string
}

type node struct {
	objstore.Node
	children map[string]objstore.Ino
	links    []place
	content  content
	versions []*version // oldest first; the last is the current one
}

type version struct {
	objstore.Object
	node    objstore.Node
	content content
}

// content is chunks by index. A chunk's slice is never written to.
type content struct {
	chunks map[int64][]byte
	size   int64
	key    int // which data key
}

func (c content) clone() content {
	c.chunks = maps.Clone(c.chunks)
	if c.chunks == nil {
		c.chunks = map[int64][]byte{}
	}
	return c
}

// New is a store with one bucket, "b", whose versioning is enabled.
func New() *Store {
	s := &Store{
		buckets: map[string]*objstore.Bucket{}, nodes: map[objstore.Ino]*node{},
		deleted: map[place][]*version{}, open: map[objstore.Ino]int{},
	}
	if _, err := s.CreateBucket(context.Background(), objstore.Bucket{Name: "files", Versioning: objstore.VersioningEnabled}); err != nil {
		panic("fstest: internal error: " + err.Error())
	}
	return s
}

func (s *Store) refuse(op string, ino objstore.Ino) error {
	if fn := s.refusal.Load(); fn != nil {
		return (*fn)(op, ino)
	}
	return nil
}

func fail(c objstore.Code, op string) error { return &objstore.Error{Code: c, Op: op} }

// CreateBucket implements objstore.Store.
func (s *Store) CreateBucket(_ context.Context, b objstore.Bucket) (objstore.Bucket, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.buckets[b.Name] != nil {
		return b, fail(objstore.BucketAlreadyOwnedByYou, "CreateBucket")
	}
	if len(b.Name) == 0 || strings.ToLower(b.Name) != b.Name {
		return b, fail(objstore.InvalidBucketName, "CreateBucket")
	}
	if b.Default.Algorithm == "" {
		b.Default.Algorithm = objstore.AES256
	}
	root := s.make(objstore.NodeInit{Mode: 0o40755})
	root.Bucket, root.Nlink = b.Name, 2
	b.Root, b.Created = root.Ino, time.Now()
	s.buckets[b.Name] = &b
	return b, nil
}

// HeadBucket implements objstore.Store.
func (s *Store) HeadBucket(_ context.Context, name string) (objstore.Bucket, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.buckets[name]
	if b == nil {
		return objstore.Bucket{}, fail(objstore.NoSuchBucket, "HeadBucket")
	}
	return *b, nil
}

// ListBuckets implements objstore.Store.
func (s *Store) ListBuckets(context.Context) ([]objstore.Bucket, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []objstore.Bucket
	for _, b := range s.buckets {
		out = append(out, *b)
	}
	return out, nil
}

// UpdateBucket implements objstore.Store.
func (s *Store) UpdateBucket(_ context.Context, name string, change func(*objstore.Bucket) error) (objstore.Bucket, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := *s.buckets[name]
	if err := change(&b); err != nil {
		return b, err
	}
	s.buckets[name] = &b
	return b, nil
}

// DeleteBucket implements objstore.Store.
func (s *Store) DeleteBucket(_ context.Context, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.buckets[name]
	if b == nil {
		return fail(objstore.NoSuchBucket, "DeleteBucket")
	}
	if len(s.nodes[b.Root].children) > 0 {
		return fail(objstore.BucketNotEmpty, "DeleteBucket")
	}
	delete(s.buckets, name)
	delete(s.nodes, b.Root)
	return nil
}

// Usage implements objstore.Store.
func (s *Store) Usage(_ context.Context, bucket string) (objstore.BucketUsage, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var u objstore.BucketUsage
	for _, n := range s.nodes {
		if n.Bucket == bucket && n.Ino != s.buckets[bucket].Root {
			u.Objects++
		}
	}
	return u, nil
}

// Space implements objstore.Maintainer.
func (s *Store) Space() (total, free int64, err error) { return 1 << 40, 1 << 39, nil }

// Check implements objstore.Maintainer: there is nothing that could be damaged.
func (s *Store) Check(context.Context, func(done, total int64), func(objstore.Damage)) (objstore.CheckReport, error) {
	return objstore.CheckReport{}, nil
}

// GC implements objstore.Maintainer: there is nothing to collect.
func (s *Store) GC(context.Context, time.Time) (objstore.GCReport, error) {
	return objstore.GCReport{}, nil
}

func (s *Store) make(init objstore.NodeInit) *node {
	s.last++
	now := objstore.Now()
	n := &node{Node: objstore.Node{
		Ino: s.last + 100, Mode: init.Mode, UID: init.UID, GID: init.GID, Rdev: init.Rdev, Target: init.Target, Nlink: 1,
		Xattrs: maps.Clone(init.Xattrs), Atime: now, Mtime: now, Ctime: now, Btime: now,
	}}
	if isDir(n) {
		n.children, n.Nlink = map[string]objstore.Ino{}, 2
	}
	s.nodes[n.Ino] = n
	return n
}

func isDir(n *node) bool { return n.Mode&0o170000 == 0o40000 }

// put replaces n's public part by a changed copy: what was given out before stays as it was.
func (n *node) snapshot() *objstore.Node {
	c := n.Node
	c.Xattrs = maps.Clone(c.Xattrs)
	return &c
}

func (n *node) touch(content bool) {
	n.Ctime = objstore.Now()
	if content {
		n.Mtime = n.Ctime
	}
}

func (s *Store) get(ino objstore.Ino, op string) (*node, error) {
	if n := s.nodes[ino]; n != nil {
		return n, nil
	}
	return nil, fail(objstore.NoSuchNode, op)
}

func (s *Store) dir(ino objstore.Ino, op string) (*node, error) {
	n, err := s.get(ino, op)
	if err == nil && !isDir(n) {
		return nil, fail(objstore.NotDirectory, op)
	}
	return n, err
}

func (s *Store) child(parent objstore.Ino, name, op string) (*node, *node, error) {
	if len(name) > objstore.MaxName {
		return nil, nil, fail(objstore.NameTooLong, op)
	}
	d, err := s.dir(parent, op)
	if err != nil {
		return nil, nil, err
	}
	ino, ok := d.children[name]
	if !ok {
		return d, nil, fail(objstore.NoSuchNode, op)
	}
	return d, s.nodes[ino], nil
}

// ResolveEncryption implements objstore.Tree: "alias/x" is a key, "alias/none" is not.
func (s *Store) ResolveEncryption(_ context.Context, enc objstore.Encryption) (objstore.Encryption, error) {
	if enc.Algorithm == objstore.AES256 {
		return enc, nil
	}
	if err := s.refuse("resolve", 0); err != nil {
		return enc, err
	}
	return resolve(enc)
}

func resolve(enc objstore.Encryption) (objstore.Encryption, error) {
	if enc.Algorithm == objstore.AES256 {
		return enc, nil
	}
	if enc.KeyID == "" {
		enc.KeyID = "alias/aws/s3"
	}
	if enc.KeyID == "alias/none" {
		return enc, errors.New("the key does not exist")
	}
	if alias, ok := strings.CutPrefix(enc.KeyID, "alias/"); ok {
		enc.KeyID = "arn:aws:kms:us-east-1:000000000000:key/" + alias
	}
	return enc, nil
}

// SyncTree implements objstore.Tree.
func (s *Store) SyncTree(context.Context) error {
	s.Syncs.Add(1)
	return nil
}

// Sync implements objstore.Store.
func (s *Store) Sync(ctx context.Context) error { return s.SyncTree(ctx) }

// Close implements objstore.Store. A file that is still open is an error.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for ino, n := range s.open {
		if n != 0 {
			return fmt.Errorf("inode %d is open %d times", ino, n)
		}
	}
	return nil
}

// Replace is what a PUT through another door does: a new current version of a file.
func (s *Store) Replace(ino objstore.Ino, data string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.nodes[ino]
	n.content = content{chunks: map[int64][]byte{}, size: int64(len(data))}
	for k := 0; k < len(data); k += objstore.ChunkSize {
		n.content.chunks[int64(k/objstore.ChunkSize)] = []byte(data[k:min(len(data), k+objstore.ChunkSize)])
	}
	n.Size = n.content.size
	n.touch(true)
	s.addVersion(n, false)
}

// VersionCount is how many versions a file has.
func (s *Store) VersionCount(ino objstore.Ino) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.nodes[ino].versions)
}

// addVersion makes n as it is a version, or replaces the newest one.
func (s *Store) addVersion(n *node, replace bool) {
	s.serial++
	id := objstore.VersionID(fmt.Sprintf("v%06d", s.serial))
	n.VersionID, n.ETag = id, fmt.Sprintf("%032d", s.serial)
	v := &version{
		Object: objstore.Object{
			VersionID: id, IsLatest: true, Size: n.Size, ETag: n.ETag, LastModified: time.Now(), Encryption: n.Stored,
		},
		node: *n.snapshot(), content: n.content.clone(),
	}
	if replace {
		n.versions = n.versions[:len(n.versions)-1]
	}
	for _, old := range n.versions {
		old.IsLatest = false
	}
	n.versions = append(n.versions, v)
}
