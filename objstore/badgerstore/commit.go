package badgerstore

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"

	"kmsfs/kms"
	"kmsfs/objstore"
	"kmsfs/objstore/seal"
)

// Commit makes the content the current version.
func (f *file) Commit(ctx context.Context, c objstore.AttrChange) (*objstore.Node, error) {
	if !f.changed && f.base != nil {
		return f.s.SetAttr(ctx, f.ino, c)
	}
	if f.src == nil {
		return nil, fail(objstore.InvalidArgument, "the file was not begun")
	}
	inline := 0
	if f.size <= commitInline { // part of a larger file is better written to the content file than to the journal and the tables
		inline = commitInline
	}
	env, err := f.settle(ctx, inline)
	if err != nil {
		return nil, wrap("Commit", err)
	}
	var in *inode
	var made committed
	err = f.s.update("Commit", func(t *txn) error {
		if in, err = t.edit(f.ino); err != nil {
			return err
		}
		made, err = t.commit(f, in, f.version(env), c)
		return err
	})
	if err != nil {
		return nil, err
	}
	f.committed(made, env)
	return &in.Node, nil
}

// settle gives every chunk its place and binds the data key to the file's present name.
func (f *file) settle(ctx context.Context, inline int) (kms.Envelope, error) {
	if err := f.reseal(); err != nil {
		return f.env, err
	}
	if err := f.startSession(); err != nil {
		return f.env, err
	}
	if err := f.flush(inline); err != nil {
		return f.env, err
	}
	f.followRewrap()
	return f.s.bind(ctx, f.ino, f.env)
}

// followRewrap takes over the envelope of the current version, when its data key was wrapped anew meanwhile: a commit must not
// bring back a KMS key that was left.
func (f *file) followRewrap() {
	in, err := f.s.cachedInode(f.ino)
	if err != nil || in.ver == nil || in.ver.content != f.src.id || f.base == nil || f.base.content != f.src.id {
		return
	}
	if !bytes.Equal(in.ver.env.Blob, f.base.env.Blob) {
		f.env, f.enc = in.ver.env, storedSettings(in.ver.env)
	}
}

// bind wraps a data key for a file's present name, when it is bound to another one.
func (s *Store) bind(ctx context.Context, ino objstore.Ino, env kms.Envelope) (kms.Envelope, error) {
	if !isBound(env) {
		return env, nil
	}
	bucket, key, err := s.PathOf(ctx, ino)
	if err != nil {
		return env, err
	}
	if key == "" || env.ResourceARN == kms.ObjectARN(bucket, key) {
		return env, nil
	}
	return s.kms.RewrapDataKey(ctx, env, envelopeRequest(bucket, key, storedSettings(env)))
}

// version starts the record of what is to be committed.
func (f *file) version(env kms.Envelope) *version {
	v := &version{size: f.size, env: env, content: f.src.id, etag: newETag()}
	if f.base != nil {
		v.contentType, v.metadata = f.base.contentType, f.base.metadata
	}
	return v
}

// newETag is opaque, as S3's is for SSE-KMS: unique per version, and not a digest of the plaintext.
func newETag() string {
	var b [16]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// committed is what a transaction of Commit decided.
type committed struct {
	ver   *version
	kept  bool
	punch []extent // slots that nothing uses any more
}

// commit writes v's record with all that it refers to.
func (t *txn) commit(f *file, in *inode, v *version, c objstore.AttrChange) (m committed, err error) {
	if _, err := t.store(f, v); err != nil {
		return m, err
	}
	b := t.s.bucketByID(in.bucket)
	amend := f.session.id != "" && in.ver != nil && in.ver.id == f.session.id && in.ver.seq == f.base.seq
	if t.s.shares(f.src.id) != f.session.shares { // a version of this session may live on as something else's
		f.session.shared = true
	}
	if amend {
		v.id, v.seq, v.created = in.ver.id, in.ver.seq, t.now
	} else if err := t.newVersion(b, v); err != nil {
		return m, err
	}
	kept, err := t.setVersion(in, v, amend)
	if err != nil {
		return m, err
	}
	t.apply(in, c)
	if f.draft {
		if err := t.dropDraft(in.Ino, v.content); err != nil {
			return m, err
		}
	}
	f.session.shares = t.s.shares(f.src.id)
	m = committed{ver: v, kept: f.session.kept && amend || kept}
	m.punch, err = t.free(f, m.kept)
	return m, err
}

// store puts the sealed chunks, the pages and the lists that have no record yet, and the version's MAC over all of it. saved are
// the keys of pages and lists.
func (t *txn) store(f *file, v *version) (saved []string, err error) {
	f.src.mu.Lock()
	defer f.src.mu.Unlock()
	for slot, sealed := range f.src.unsaved {
		t.PutData(dataID(f.src.id, slot), sealed)
	}
	for _, ref := range f.src.appended {
		t.Depend(ref)
	}
	v.chunks, err = f.src.m.encode(func(kind byte, index int64, rec []byte) (uint64, error) {
		id, err := t.take("page")
		if err == nil {
			k := mapKey(kind, f.src.id, index, id)
			saved = append(saved, string(k))
			t.Put(k, rec)
		}
		return id, err
	})
	v.mac = f.src.cipher.MAC(v.macInput())
	return saved, err
}

// dropDrafted removes the pages and lists that no record has any more once the one that Sync left is replaced, and gives the
// keys of those that only that record has then. A file that is fsynced again and again would keep a copy of its map for each.
func (t *txn) dropDrafted(f *file, replaced bool, saved []string) map[string]bool {
	f.src.mu.Lock()
	defer f.src.mu.Unlock()
	next := make(map[string]bool, len(saved))
	for _, k := range saved {
		next[k] = true
	}
	if !replaced || f.session.shared || len(f.session.drafted) == 0 { // what is shared is left to the sweep, and so is where it lay
		return next
	}
	used := f.src.m.coming.ids()
	for k := range f.session.drafted {
		if used[recordID([]byte(k))] {
			next[k] = true
		} else {
			t.Delete([]byte(k))
		}
	}
	return next
}

// stored takes over what a transaction has stored.
func (f *file) stored() {
	f.src.mu.Lock()
	defer f.src.mu.Unlock()
	f.src.m.settle()
	clear(f.src.unsaved)
	f.src.appended = nil
}

func (f *file) committed(m committed, env kms.Envelope) {
	f.stored()
	if f.draft {
		f.s.noteDraft(f.ino, false)
	}
	f.env, f.base, f.changed, f.draft = env, m.ver, false, false
	f.session.id, f.session.kept = m.ver.id, m.kept
	f.session.dead, f.session.former, f.session.drafted = nil, nil, nil
	for slot := range f.session.small {
		f.session.small[slot] = false
	}
	if f.session.grown {
		if next, err := f.s.data.Next(f.src.id, f.src.slotSize()); err == nil {
			f.session.fresh, f.session.grown = next, false
		}
	}
	f.s.punch(f.src, m.punch)
}

// free gives up the slots that the new version does not use, if nobody else can use them. Where that is not
// certain, the content is swept later.
func (t *txn) free(f *file, kept bool) (punch []extent, err error) {
	gone := f.session.dead
	if !kept {
		gone = append(gone[:len(gone):len(gone)], f.session.former...)
	}
	if len(gone) == 0 {
		return nil, nil
	}
	alone, err := t.alone(f, kept)
	if err != nil {
		return nil, err
	}
	if !alone {
		return nil, t.litter(f.src.id, gone)
	}
	for _, e := range gone {
		if e.small() {
			t.DeleteData(dataID(f.src.id, e.slot))
		} else {
			punch = append(punch, e)
		}
	}
	return punch, nil
}

// alone reports that nobody can have the slots that free gives up: no reader has the content open, no record but this file's
// own has begun to use it since the session began, and, where the version before goes, none had before.
func (t *txn) alone(f *file, kept bool) (bool, error) {
	if f.session.shared || !t.condemn(f.src.id, 1) {
		return false, nil
	}
	if kept { // only slots of this session go
		return true, nil
	}
	n, err := countRefs(t, f.src.id)
	return n <= 1, err
}

// Sync makes the content survive power loss without a version.
func (f *file) Sync(ctx context.Context, c objstore.AttrChange) error {
	if !f.changed || f.src == nil {
		return f.s.Sync(ctx)
	}
	env, err := f.settle(ctx, syncInline)
	if err != nil {
		return wrap("Sync", err)
	}
	v := f.version(env)
	gone, rest := f.stale()
	var drafted map[string]bool
	err = f.s.update("Sync", func(t *txn) error {
		in, err := t.inode(f.ino)
		if err != nil {
			return err
		}
		saved, err := t.store(f, v)
		if err != nil {
			return err
		}
		for _, e := range gone {
			if e.small() {
				t.DeleteData(dataID(f.src.id, e.slot))
			}
		}
		if t.s.shares(f.src.id) != f.session.shares {
			f.session.shared = true
		}
		replaced, err := t.saveDraft(f, in, v, c)
		if err == nil {
			drafted = t.dropDrafted(f, replaced, saved)
		}
		return err
	})
	if err != nil {
		return err
	}
	f.stored()
	f.session.drafted = drafted
	f.draft, f.env, f.session.dead = true, env, rest
	f.s.punch(f.src, gone)
	return f.s.Sync(ctx)
}

// stale splits the dead slots: those that no committed version can have, and the rest. A file that is fsynced again and
// again must not grow until it is closed.
func (f *file) stale() (gone, rest []extent) {
	if f.session.shared {
		return nil, f.session.dead
	}
	for _, e := range f.session.dead {
		if e.small() && f.session.small[e.slot] || !e.small() && e.slot >= f.session.fresh {
			gone = append(gone, e)
			delete(f.session.small, e.slot)
		} else {
			rest = append(rest, e)
		}
	}
	return gone, rest
}

// saveDraft records the content of an open file for recovery. replaced says that it had been recorded before.
func (t *txn) saveDraft(f *file, in *inode, v *version, c objstore.AttrChange) (replaced bool, err error) {
	if in.ver != nil {
		v.id, v.seq = in.ver.id, in.ver.seq
	}
	v.created = t.now
	d := in.clone()
	d.ver = v
	t.apply(d, c)
	k := draftKey(in.Ino)
	old, err := t.draft(in.Ino)
	if err != nil {
		return false, err
	}
	if err := t.putInode(k, d); err != nil {
		return false, err
	}
	t.use(v.content, k)
	f.session.shares = t.s.shares(v.content)
	if old != nil && old.ver.content != v.content {
		return false, t.dropContent(old.ver, k)
	}
	return old != nil, nil
}

// draft gives the record that Sync left, nil where there is none.
func (t *txn) draft(ino objstore.Ino) (*inode, error) {
	rec, err := t.Get(draftKey(ino))
	if err != nil {
		return nil, ignore(notFound(err, objstore.NoSuchNode), objstore.NoSuchNode)
	}
	in, err := t.s.parse(t, rec)
	if err == nil && in.ver == nil {
		err = errRecord
	}
	return in, err
}

// dropDraft removes the record that Sync left; now is the content that the file's version has from now on.
func (t *txn) dropDraft(ino objstore.Ino, now seal.ContentID) error {
	d, err := t.draft(ino)
	if d == nil || err != nil {
		return err
	}
	t.Delete(draftKey(ino))
	return t.leaveContent(d.ver, draftKey(ino), d.ver.content == now)
}

// promoteDraft makes what was fsynced the file's current version: after a crash, or when its commit failed.
func (s *Store) promoteDraft(ino objstore.Ino) error {
	return s.update("Recover", func(t *txn) error {
		d, err := t.draft(ino)
		if d == nil || err != nil {
			return err
		}
		in, err := t.edit(ino)
		if objstore.CodeOf(err) == objstore.NoSuchNode {
			return t.dropDraft(ino, noContent)
		}
		if err != nil {
			return err
		}
		if err := t.newVersion(s.bucketByID(in.bucket), d.ver); err != nil {
			return err
		}
		if _, err := t.setVersion(in, d.ver, false); err != nil {
			return err
		}
		t.apply(in, objstore.AttrChange{Mtime: &d.Mtime, Ctime: &d.Ctime})
		return t.dropDraft(ino, d.ver.content)
	})
}
