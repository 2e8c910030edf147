package badgerstore

import (
	"kmsfs/objstore/seal"
)

// pendingFree gives disk space back once the change that made it garbage is settled (kv.DB.SettledLSN). Before that, power
// loss would bring back records that refer to it, or make recovery take them for torn ones.
type pendingFree struct {
	lsn   uint64 // of the change
	bytes int64
	free  func()
}

const (
	// freeSoon is how many bytes may wait to be given back before the database is flushed for their sake.
	freeSoon = 32 << 20
	// freeNow is how many may wait before whoever adds to them waits for that flush: a large file that is overwritten
	// again and again must not take its size many times, however slow the disk is.
	freeNow = 96 << 20
)

// whenDurable runs free once all changes made until now survive power loss. The caller holds neither wmu nor mu.
func (s *Store) whenDurable(bytes int64, free func()) {
	lsn := s.db.LSN()
	s.mu.Lock()
	s.frees = append(s.frees, pendingFree{lsn, bytes, free})
	s.waiting += bytes
	waiting, pinned := s.waiting, len(s.pins) > 0
	s.mu.Unlock()
	switch {
	case pinned: // it cannot be given back yet
	case waiting >= freeNow:
		s.tryFree()
	case waiting >= freeSoon:
		select {
		case s.sweeps <- seal.ContentID{}:
		default: // the next round does it
		}
	}
}

// freeDurable gives back what can be given back by now.
func (s *Store) freeDurable() {
	durable := s.db.SettledLSN()
	s.mu.Lock()
	for p := range s.pins {
		durable = min(durable, p.lsn)
	}
	n := 0
	for n < len(s.frees) && s.frees[n].lsn <= durable {
		s.waiting -= s.frees[n].bytes
		n++
	}
	due := s.frees[:n:n]
	s.frees = s.frees[n:]
	s.mu.Unlock()
	for _, f := range due {
		f.free()
	}
}

func (s *Store) tryFree() {
	if err := s.freeAll(); err != nil {
		s.log.Warn("space was not given back", "err", err)
	}
}

// freeAll makes everything durable and gives back what that allows.
func (s *Store) freeAll() error {
	s.mu.Lock()
	none := len(s.frees) == 0
	s.mu.Unlock()
	if none {
		return nil
	}
	if err := s.db.Settle(); err != nil {
		return err
	}
	s.freeDurable()
	return nil
}
