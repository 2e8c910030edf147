package badgerstore

import (
	"context"
	"fmt"

	"kmsfs/kms"
	"kmsfs/objstore"
)

// mender makes a damaged store usable again. What does not parse goes first (salvage), for it would end every walk over
// the records; then one change brings names, directories, links and uses of contents in line with the records that are
// left (survey, tree, refs, histories); then what crashes leave is finished, and the counters are counted again.
//
// Memory: a survey keeps about 300 bytes for each file and directory.
type mender struct {
	s        *Store
	ctx      context.Context
	progress func(done, total int64)
	tell     func(objstore.Mending)
	rep      objstore.RepairReport
	waiting  []objstore.Mending // of the change under way
	done     int64
	given    given
}

var _ objstore.Repairer = (*Store)(nil)

// Repair mends what can be mended. See [objstore.Repairer].
func (s *Store) Repair(ctx context.Context, progress func(done, total int64), mended func(objstore.Mending)) (objstore.RepairReport, error) {
	if progress == nil {
		progress = func(int64, int64) {}
	}
	m := &mender{s: s, ctx: ctx, progress: progress, tell: mended, given: given{"ino": 0, "seq": 0, "page": 0, "bucket": 0, stemCounter: 0, listCounter: 0}}
	for _, step := range []func() error{m.salvage, m.structure, m.finish, m.recount} {
		if err := step(); err != nil {
			return m.rep, wrap("Repair", err)
		}
	}
	return m.rep, wrap("Repair", s.db.Sync())
}

// step counts a record that was looked at.
func (m *mender) step() error {
	const often = 256
	if m.done++; m.done%often == 0 {
		m.progress(m.done, max(m.done, m.s.db.Stats().Keys))
	}
	return m.ctx.Err()
}

// change is one atomic change; what it mended is told when it is made.
func (m *mender) change(fn func(*txn) error) error {
	m.waiting = nil
	err := m.s.update("Repair", fn)
	if err != nil {
		return err
	}
	for _, w := range m.waiting {
		m.rep.Mended++
		if w.Lost {
			m.rep.Lost++
		}
		m.tell(w)
	}
	return nil
}

// mended notes something that the change under way does.
func (m *mender) mended(bucket, key, format string, args ...any) {
	m.waiting = append(m.waiting, objstore.Mending{Damage: objstore.Damage{Bucket: bucket, Key: key, What: fmt.Sprintf(format, args...)}})
}

// lost notes something that is gone for good.
func (m *mender) lost(bucket, key, format string, args ...any) {
	m.mended(bucket, key, format, args...)
	m.waiting[len(m.waiting)-1].Lost = true
}

// finish ends what a crash left and recovery could not end: drafts and files that were unlinked while open.
func (m *mender) finish() error {
	for _, left := range []struct {
		kind byte
		what string
		end  func(objstore.Ino) error
	}{
		{kDraft, "what was fsynced and not closed is its content now", m.s.promoteDraft},
		{kOrphan, "a file that was unlinked while open is gone now", m.s.dropOrphan},
	} {
		inos, err := m.s.inosWith(left.kind)
		if err != nil {
			return err
		}
		for _, ino := range inos {
			if m.s.isOpen(ino) {
				continue
			}
			if err := left.end(ino); err != nil {
				return err
			}
			m.rep.Mended++
			m.tell(objstore.Mending{Damage: objstore.Damage{What: fmt.Sprintf("inode %d: %s", ino, left.what)}})
		}
	}
	return nil
}

func (s *Store) isOpen(ino objstore.Ino) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open[ino] > 0
}

// errLost is what reading an object gives whose record Repair could not find.
var errLost = &objstore.Error{Code: objstore.IntegrityError,
	Message: "its record was damaged and is lost: delete it, or restore an older version"}

// lost reports a version that only stands for one whose record is lost: it has a content without bytes, and no data key.
// Repair makes them, so that the name can be listed, deleted and restored.
func (v *version) lost() bool {
	return v.content != noContent && v.env.Algorithm == kms.SSES3 && len(v.env.Blob) == 0
}
