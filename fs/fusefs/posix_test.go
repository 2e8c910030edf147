package fusefs_test

import (
	"slices"
	"syscall"
	"testing"

	"github.com/hanwen/go-fuse/v2/posixtest"
	"github.com/stretchr/testify/require"
)

type stat struct{ syscall.Stat_t }

func (s *stat) lstat(path string) error { return syscall.Lstat(path, &s.Stat_t) }

// wrongCases are cases of the suite that no file system passes with fcntl(2) locks of one process: the suite's own test
// leaves them out as well.
func wrongCases() []string { return []string{"FcntlFlockLocksFile"} }

// TestPosix runs go-fuse's conformance suite: every other case, and none may skip.
func TestPosix(t *testing.T) {
	require.NotEmpty(t, posixtest.All)
	for name, run := range posixtest.All {
		if slices.Contains(wrongCases(), name) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			m := mount(t)
			t.Cleanup(func() { require.False(t, t.Skipped(), "a case of the suite was skipped") })
			run(t, m.dir)
		})
	}
}
