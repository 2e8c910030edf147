package badgerstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"slices"

	"kmsfs/objstore"
	"kmsfs/objstore/badgerstore/backup"
	"kmsfs/objstore/badgerstore/kv"
	"kmsfs/objstore/seal"
)

var _ objstore.Snapshotter = (*Store)(nil)

// BackupTo adds a backup to a repository. See [objstore.Snapshotter].
func (s *Store) BackupTo(ctx context.Context, dir string, keep int, progress func(done, total int64)) (rep objstore.BackupReport, err error) {
	if err := s.begin(); err != nil {
		return rep, err
	}
	defer s.workers.Done()
	repo, err := backup.OpenRepository(dir, s.backupHead(), s.backupKeys, s.backupFault)
	if err != nil {
		return rep, err
	}
	defer func() { err = errors.Join(err, repo.Close()) }()
	if s.backupPack > 0 {
		repo.PackBytes = s.backupPack
	}
	p, err := s.pin(true)
	if err != nil {
		return rep, err
	}
	defer s.unpin(p)
	w, err := repo.NewWriter(p.files, p.run, p.past)
	if err != nil {
		return rep, err
	}
	if rep, err = s.take(ctx, p, w, keep > 0, progress); err != nil {
		return rep, err
	}
	return rep, repo.Keep(keep)
}

// BackupStream writes one backup. See [objstore.Snapshotter].
func (s *Store) BackupStream(ctx context.Context, out io.Writer, progress func(done, total int64)) (rep objstore.BackupReport, err error) {
	if err := s.begin(); err != nil {
		return rep, err
	}
	defer s.workers.Done()
	p, err := s.pin(false)
	if err != nil {
		return rep, err
	}
	defer s.unpin(p)
	head := s.backupHead()
	head.Files = p.files
	w, err := backup.NewStream(out, head, s.backupKeys, p.run)
	if err != nil {
		return rep, err
	}
	return s.take(ctx, p, w, false, progress)
}

func (s *Store) backupHead() backup.Head {
	return backup.Head{Store: s.id, Check: s.backupKeys.Check(s.id)}
}

// take writes the pinned state. renew lets packs that are hardly used be written anew.
func (s *Store) take(ctx context.Context, p *pin, w *backup.Writer, renew bool, progress func(done, total int64)) (rep objstore.BackupReport, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.life, cancel)()
	if progress == nil {
		progress = func(int64, int64) {}
	}
	if err := s.db.Sync(); err != nil { // before anything of the state is called backed up
		return rep, wrap("Backup", err)
	}
	t := &taker{s: s, ctx: ctx, snap: p.snap, w: w, progress: progress, found: newCollector()}
	for _, step := range []func() error{t.records, t.lengths, t.chunks, t.slots} {
		if err := step(); err != nil {
			return rep, wrap("Backup", err)
		}
	}
	point, err := w.Finish(renew)
	if err != nil {
		return rep, err
	}
	rep = objstore.BackupReport{Point: point.Name, Created: point.Created, Records: t.count, Size: point.Size, Added: point.Added, Lost: point.Lost}
	for _, d := range w.Damaged() {
		rep.Damaged = append(rep.Damaged, d.Error())
	}
	return rep, nil
}

// taker copies a state. The snapshot of the database is open until the chunks of the data table are through, the pin until
// all is.
type taker struct {
	s        *Store
	ctx      context.Context
	snap     *kv.Snapshot
	w        *backup.Writer
	progress func(done, total int64)
	found    *collector
	todo     []need
	count    int64 // records
	total    int64 // bytes of todo
	done     int64
}

// records writes the metadata table as pages, and finds what ciphertext it uses.
func (t *taker) records() error {
	pages := backup.Pages{Kind: backup.Records, Out: t.w.Page}
	err := t.snap.Each(func(k, v []byte) error {
		if t.count++; t.count%256 == 0 && t.ctx.Err() != nil {
			return t.ctx.Err()
		}
		t.found.see(k, v)
		return pages.Add(k, v)
	}, func(*kv.CorruptError) { t.w.Lose(1) })
	if err != nil {
		return err
	}
	return pages.End()
}

// lengths notes how long the content files are, so that a restored store gives out no slot number again.
func (t *taker) lengths() error {
	type length struct {
		id seal.ContentID
		n  int64
	}
	var all []length
	err := t.s.data.Lengths(func(id [16]byte, n int64) error {
		all = append(all, length{id, n})
		return t.ctx.Err()
	})
	if err != nil {
		return err
	}
	slices.SortFunc(all, func(a, b length) int { return bytes.Compare(a.id[:], b.id[:]) })
	pages := backup.Pages{Kind: backup.Lengths, Out: t.w.Page}
	for _, l := range all {
		if n, err := countRefs(t.snap, l.id); err != nil {
			return err
		} else if n == 0 {
			continue
		}
		if err := pages.Add(l.id[:], binary.BigEndian.AppendUint64(nil, uint64(l.n))); err != nil {
			return err
		}
	}
	return pages.End()
}

// missing finds what the backup does not have yet.
func (t *taker) missing() {
	all := t.found.resolve()
	t.found = nil
	for _, n := range all {
		for _, r := range t.w.Missing(n.Range) {
			part := n.part(r)
			t.todo = append(t.todo, part)
			t.total += max(part.bytes(), 0)
		}
	}
}

// chunks copies what lies in the data table, then lets go of the database.
func (t *taker) chunks() error {
	t.missing()
	for _, n := range t.todo {
		if n.Size != 0 {
			continue
		}
		if err := t.ctx.Err(); err != nil {
			return err
		}
		sealed, err := t.snap.GetData(dataID(n.Content, n.Slot))
		if err != nil {
			t.w.Lose(1)
			continue
		}
		err = t.w.Add(n.Range, len(sealed), func(p []byte) error { copy(p, sealed); return nil })
		if err != nil {
			return err
		}
		t.advance(int64(len(sealed)))
	}
	t.snap.Close()
	return nil
}

// copyStep is how many bytes of a content file are read at once.
const copyStep = 4 << 20

// slots copies what lies in content files.
func (t *taker) slots() error {
	for _, n := range t.todo {
		step := uint32(max(1, min(copyStep, t.w.MaxBlob())/int(max(n.Size, 1))))
		for at := n; n.Size != 0 && at.Count > 0; {
			some := at.part(backup.Range{Content: at.Content, Slot: at.Slot, Count: min(at.Count, step), Size: at.Size})
			if err := t.copy(some); err != nil {
				return err
			}
			at.Slot, at.Count = at.Slot+uint64(some.Count), at.Count-some.Count
		}
	}
	return nil
}

// copy copies a few slots; where they cannot all be read, each on its own.
func (t *taker) copy(n need) error {
	if err := t.proceed(); err != nil {
		return err
	}
	var unread error
	err := t.w.Add(n.Range, int(n.bytes()), func(p []byte) error {
		unread = t.s.data.ReadOnce(n.Content, int(n.Size), n.Slot, p)
		return unread
	})
	switch {
	case err == nil || unread == nil:
		t.advance(n.bytes())
		return err
	case n.Count == 1:
		t.s.log.Error("a chunk is not in the backup, for it cannot be read", "content", n.Content, "slot", n.Slot, "err", unread)
		t.w.Lose(1)
		return nil
	}
	for i := range n.Count {
		if err := t.copy(n.part(backup.Range{Content: n.Content, Slot: n.Slot + uint64(i), Count: 1, Size: n.Size})); err != nil {
			return err
		}
	}
	return nil
}

// proceed ends a backup that was cancelled, and one for whose sake the disk of the store runs full.
func (t *taker) proceed() error {
	if err := t.ctx.Err(); err != nil {
		return err
	}
	if t.s.held() >= freeNow && t.s.low.get(t.s.db.LowSpace) {
		return fail(objstore.InsufficientStorage,
			"the disk of the store is nearly full, and the backup keeps %d bytes from being given back: it was given up", t.s.held())
	}
	return nil
}

func (t *taker) advance(n int64) {
	t.done += n
	t.progress(t.done, max(t.done, t.total))
}
