package backup

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Points lists what a repository has, oldest first. No key is needed. bad are points that cannot be read.
func Points(dir string) (all []*Point, bad []error, err error) {
	d := disk{root: dir}
	if _, err := readHeader(d); err != nil {
		return nil, nil, err
	}
	return d.points()
}

// Sums compares the checksums of everything: of all points of a repository, whichever was opened, or of the stream. It needs no
// key, and finds what happened by accident; whoever changed a file on purpose can have changed its name, too. Each damage goes
// to found, and the rest is looked at all the same. packs is how many were read.
func (s *Source) Sums(ctx context.Context, found func(error)) (packs int, err error) {
	if s.in != nil {
		p, err := s.eachPack(ctx, func([]byte) error { return nil })
		var damage *DamageError
		if errors.As(err, &damage) {
			found(err)
			return len(s.in.packs), nil
		}
		if err != nil {
			return 0, err
		}
		return len(p.Packs), nil
	}
	points, bad, err := s.disk.points()
	if err != nil {
		return 0, err
	}
	for _, err := range bad {
		found(err)
	}
	users := map[string]string{} // a point that needs the pack
	s.total = 0
	for _, p := range points {
		for _, name := range p.Packs {
			users[name] = p.Name
		}
	}
	return len(users), s.sumPacks(ctx, users, found)
}

func (s *Source) sumPacks(ctx context.Context, users map[string]string, found func(error)) error {
	for i, name := range slices.Sorted(maps.Keys(users)) {
		if err := ctx.Err(); err != nil {
			return err
		}
		b, err := s.disk.readPackFile(name)
		if err != nil {
			found(fmt.Errorf("%w (needed by %s)", err, users[name]))
		}
		s.done += int64(len(b))
		if s.Progress != nil {
			s.Progress(s.done, max(s.done, s.done/int64(i+1)*int64(len(users))))
		}
	}
	return nil
}
