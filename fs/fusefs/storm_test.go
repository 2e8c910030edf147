package fusefs_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// storm is a large directory that has one of two names, which others use all the time.
type storm struct {
	t     *testing.T
	m     *mounted
	count int
	end   atomic.Bool
	read  atomic.Int64 // files that were read
	wrote []int        // what each writer wrote last, by file
}

// TestRenameStorm: a directory is renamed again and again while its files are read, written, made and listed. Whoever
// finds it under one name finds all of it; nothing is lost. $KMSFS_TEST_STORM makes it more files.
func TestRenameStorm(t *testing.T) {
	s := &storm{t: t, m: engine(t), count: 5000}
	if text := os.Getenv("KMSFS_TEST_STORM"); text != "" {
		var err error
		s.count, err = strconv.Atoi(text)
		require.NoError(t, err)
	}
	require.NoError(t, os.Mkdir(s.m.path("a"), 0o755))
	// without it, each rename is a call of the key service for each file
	require.NoError(t, unix.Setxattr(s.m.path("a"), "user.bucket-key", []byte("true"), 0))
	for k := range s.count {
		require.NoError(t, os.WriteFile(s.file("a", k), s.content(k, 0), 0o644))
	}
	s.wrote = make([]int, s.count)
	var wg sync.WaitGroup
	for _, work := range []func(round int){s.readOne, s.writeOne, s.list} {
		wg.Go(func() {
			for round := 1; !s.end.Load(); round++ {
				work(round)
			}
		})
	}
	s.rename(100)
	wg.Wait()
	require.Positive(t, s.read.Load())
	require.Len(t, s.m.listed(t, "a"), s.count)
	for k, version := range s.wrote {
		got, err := os.ReadFile(s.file("a", k))
		require.NoError(t, err)
		require.Equal(t, string(s.content(k, version)), string(got))
	}
}

func (s *storm) file(dir string, k int) string { return s.m.path(fmt.Sprintf("%s/%06d", dir, k)) }

func (s *storm) content(k, version int) []byte {
	return fmt.Appendf(nil, "file %d, version %d", k, version)
}

// rename gives the directory its other name, an even number of times, and looks that it has one of the two only.
func (s *storm) rename(times int) {
	defer s.end.Store(true)
	from, to := "a", "b"
	for range times {
		if !s.ok(os.Rename(s.m.path(from), s.m.path(to))) {
			return
		}
		if _, err := os.Lstat(s.m.path(from)); !errors.Is(err, fs.ErrNotExist) {
			s.t.Errorf("after the rename, %s is there: %v", from, err)
		}
		from, to = to, from
	}
}

// ok reports what should not have gone wrong.
func (s *storm) ok(err error) bool {
	if err != nil {
		s.t.Error(err)
	}
	return err == nil
}

// under calls do with the directory's name, and again with the other one for as long as it has just been renamed.
func (s *storm) under(do func(dir string) error) {
	for try := 0; !s.end.Load(); try++ {
		err := do([...]string{"a", "b"}[try%2])
		if !errors.Is(err, fs.ErrNotExist) {
			s.ok(err)
			return
		}
	}
}

func (s *storm) readOne(round int) {
	k := round * 7919 % s.count
	s.under(func(dir string) error {
		got, err := os.ReadFile(s.file(dir, k))
		if err != nil {
			return err
		}
		var file, version int
		if _, err := fmt.Sscanf(string(got), "file %d, version %d", &file, &version); err != nil || file != k {
			s.t.Errorf("file %d has %q", k, got)
		}
		s.read.Add(1)
		return nil
	})
}

// writeOne replaces a file: nobody sees a part of it.
func (s *storm) writeOne(round int) {
	k := round * 104729 % s.count
	s.under(func(dir string) error {
		temporary := s.m.path("t")
		if !s.ok(os.WriteFile(temporary, s.content(k, round), 0o644)) {
			return nil
		}
		err := os.Rename(temporary, s.file(dir, k))
		if err == nil {
			s.wrote[k] = round
		}
		return err
	})
}

// list reads all names by one descriptor: it stays the directory, whatever its name is.
func (s *storm) list(int) {
	s.under(func(dir string) error {
		d, err := os.Open(s.m.path(dir))
		if err != nil {
			return err
		}
		defer d.Close()
		names, err := d.Readdirnames(-1)
		seen := map[string]bool{}
		for _, name := range names {
			seen[name] = true
		}
		if err == nil && (len(names) != s.count || len(seen) != s.count) {
			s.t.Errorf("%d names were listed, %d of them different, instead of %d", len(names), len(seen), s.count)
		}
		return err
	})
}
