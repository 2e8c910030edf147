package fusefs_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// nameRace does random operations on a few names that others change at the same time.
type nameRace struct {
	m *mounted
	r *rand.Rand
}

func (n *nameRace) path() string {
	return n.m.path(fmt.Sprintf("d%d/n%d", n.r.IntN(3), n.r.IntN(6)))
}

func (n *nameRace) step() error {
	a, b := n.path(), n.path()
	switch n.r.IntN(10) {
	case 0:
		return os.WriteFile(a, fmt.Append(nil, a), 0o644)
	case 1:
		return syscall.Mkdir(a, 0o755)
	case 2:
		return syscall.Unlink(a)
	case 3:
		return syscall.Rmdir(a)
	case 4:
		return syscall.Rename(a, b)
	case 5:
		return unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
	case 6:
		return syscall.Link(a, b)
	case 7:
		_, err := os.ReadFile(a)
		return err
	case 8:
		return os.Truncate(a, int64(n.r.IntN(100)))
	}
	_, err := os.ReadDir(a)
	return err
}

// expected is what a race for names may end in.
func expected(err error) bool {
	return err == nil || slices.ContainsFunc([]syscall.Errno{
		syscall.ENOENT, syscall.EEXIST, syscall.ENOTEMPTY, syscall.ENOTDIR, syscall.EISDIR, syscall.EINVAL, syscall.EPERM,
	}, func(e syscall.Errno) bool { return errors.Is(err, e) })
}

func TestParallelNames(t *testing.T) {
	m := engine(t)
	for k := range 3 {
		require.NoError(t, os.Mkdir(m.path(fmt.Sprintf("d%d", k)), 0o755))
	}
	var wg sync.WaitGroup
	for w := range uint64(4) {
		wg.Go(func() {
			n := &nameRace{m, rand.New(rand.NewPCG(w, 5))}
			for range 400 {
				if err := n.step(); !expected(err) {
					t.Errorf("a race for names ended in %v", err)
				}
			}
		})
	}
	wg.Wait()
}
