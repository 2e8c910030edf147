package fusefs_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"kmsfs/fs"
	"kmsfs/fs/fusefs"
	"kmsfs/kms"
	"kmsfs/objstore"
)

// Users of the tests of permissions. Nobody has these numbers on a usual system.
const (
	alice, bob, carol = 61001, 61002, 61003
	staff             = 62001 // a group
)

// shell runs a script as uid, with the groups given, in the directory dir, and returns what it prints.
func shell(t *testing.T, dir string, uid uint32, groups []uint32, script string) (string, error) {
	t.Helper()
	require.Zero(t, os.Geteuid(), "other users can only be tried by root")
	// The shell changes the directory: between fork and exec, this process could not answer the request for it.
	cmd := exec.Command("sh", "-c", "cd '"+dir+"'\n"+script)
	if uid != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid, Groups: groups}}
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// root runs a script that must succeed, as root.
func root(t *testing.T, dir, script string) string {
	t.Helper()
	out, err := shell(t, dir, 0, nil, "set -e\n"+script)
	require.NoError(t, err, out)
	return out
}

// shared is a mount of the engine that every user may enter.
func shared(t *testing.T) *mounted {
	m := engine(t)
	open := func(dir string) { require.NoError(t, os.Chmod(dir, 0o755)) }
	open(m.dir)
	open(filepath.Dir(m.dir))
	return m
}

func TestAccessControlListsAreEnforced(t *testing.T) {
	m := shared(t)
	root(t, m.dir, `echo secret >f; chmod 600 f; setfacl -m u:61001:r,g:62001:rw f`)
	require.Equal(t, "660", strings.TrimSpace(root(t, m.dir, "stat -c %a f")), "a list sets the mode: the group's bits are the mask")
	for _, c := range []struct {
		uid    uint32
		groups []uint32
		script string
		ok     bool
	}{
		{alice, nil, "cat f", true},
		{alice, nil, "echo x >>f", false},
		{bob, nil, "cat f", false},
		{bob, []uint32{staff}, "cat f && echo more >>f", true},
		{bob, []uint32{staff}, "setfacl -m u:61002:rw f", false},
		{carol, nil, "cat f", false},
	} {
		out, err := shell(t, m.dir, c.uid, c.groups, c.script)
		require.Equal(t, c.ok, err == nil, "uid %d: %s: %s", c.uid, c.script, out)
	}
	root(t, m.dir, `chmod g-rw f`)
	require.Contains(t, root(t, m.dir, "getfacl -cE f"), "mask::---", "chmod sets the mask")
	_, err := shell(t, m.dir, alice, nil, "cat f")
	require.Error(t, err, "the mask bounds every entry")
	root(t, m.dir, `chmod g+r f`)
	_, err = shell(t, m.dir, alice, nil, "cat f")
	require.NoError(t, err)
	root(t, m.dir, `setfacl -x u:61001 f`)
	_, err = shell(t, m.dir, alice, nil, "cat f")
	require.Error(t, err)
	require.Equal(t, "user::rw-\ngroup::---\nother::---\n\n", root(t, m.dir, `setfacl -b f; getfacl -cE f`))
}

func TestDefaultAccessControlLists(t *testing.T) {
	m := shared(t)
	root(t, m.dir, `mkdir d; chmod 750 d; setfacl -m d:u:61001:rwx,d:g::r-x,d:o::--- d; setfacl -m u:61001:rwx d`)
	out := root(t, m.dir, `umask 077; touch d/f; mkdir d/sub; ln -s f d/l; mkfifo d/p; touch plain; mkdir dir; ln -s f link
		stat -c '%n %a' d/f d/sub d/l d/p plain dir link`)
	require.Equal(t, "d/f 660\nd/sub 770\nd/l 777\nd/p 660\nplain 600\ndir 700\nlink 777\n", out,
		"a default list takes the place of the umask")
	require.Equal(t, "user::rw-\nuser:61001:rwx\ngroup::r-x\nmask::rw-\nother::---\n\n", root(t, m.dir, "getfacl -cEn d/f"))
	require.Equal(t, root(t, m.dir, "getfacl -cdn d"), root(t, m.dir, "getfacl -cdn d/sub"))
	out, err := shell(t, m.dir, alice, nil, "umask 077; echo x >d/sub/by-alice && cat d/f && getfacl -cEn d/sub/by-alice")
	require.NoError(t, err, out)
	require.Contains(t, out, "user:61001:rwx")
	_, err = shell(t, m.dir, bob, nil, "ls d/sub")
	require.Error(t, err)
	fd, err := unix.Open(m.path("d"), unix.O_TMPFILE|unix.O_RDWR, 0o666)
	require.NoError(t, err)
	var st unix.Stat_t
	require.NoError(t, unix.Fstat(fd, &st))
	require.EqualValues(t, 0o660, st.Mode&0o777, "O_TMPFILE")
	require.NoError(t, unix.Close(fd))
	_, err = shell(t, m.dir, 0, nil, "setfacl -m d:u:61001:r plain")
	require.Error(t, err, "a file has no default list")
}

func TestListOfWhoMayNotKeepTheGroupBit(t *testing.T) {
	m := shared(t)
	root(t, m.dir, `touch f g; chgrp 62001 f g; chown 61001 f g; chmod 2770 f g`)
	for name, groups := range map[string][]uint32{"f": nil, "g": {staff}} {
		out, err := shell(t, m.dir, alice, groups, "setfacl -m u:61002:r "+name)
		require.NoError(t, err, out)
	}
	require.Equal(t, "f 770\ng 2770\n", root(t, m.dir, "stat -c '%n %a' f g"))
}

func TestOldVersionsKeepTheirList(t *testing.T) {
	m := shared(t)
	root(t, m.dir, `echo one >f; chgrp 62001 f; chmod 600 f; setfacl -m u:61001:r f; echo two >f`)
	_, err := shell(t, m.dir, alice, nil, "cat .versions/f/*")
	require.NoError(t, err)
	_, err = shell(t, m.dir, bob, []uint32{staff}, "cat .versions/f/*")
	require.Error(t, err, "the group's bits of the mode are the mask, not what the group may do")
	root(t, m.dir, `mkdir d; echo one >d/f; echo two >d/f; chgrp 62001 d; chmod 700 d; setfacl -m u:61001:rx d`)
	_, err = shell(t, m.dir, alice, nil, "cat d/.versions/f/*")
	require.NoError(t, err)
	_, err = shell(t, m.dir, bob, []uint32{staff}, "cat d/.versions/f/*")
	require.Error(t, err)
}

func TestCopiesKeepAccessControlLists(t *testing.T) {
	m := shared(t)
	beside := t.TempDir()
	require.NoError(t, os.Chmod(beside, 0o755))
	root(t, beside, `mkdir src; cd src; mkdir d; echo x >d/f; setfacl -m u:61001:rw,g:62001:r d/f; setfacl -m d:u:61001:rwx,u:61002:x d
		touch plain; chmod 640 plain`)
	lists := func(dir string) string { return root(t, dir, `find . | sort | getfacl -n -`) }
	want := lists(filepath.Join(beside, "src"))
	root(t, m.dir, `cp -a `+beside+`/src a; rsync -aA `+beside+`/src/ b/; cp -a a c; rsync -aA b/ d/`)
	for _, name := range []string{"a", "b", "c", "d"} {
		require.Equal(t, want, lists(m.path(name)), name)
	}
	root(t, m.dir, `rsync -aA c/ `+beside+`/back/`)
	require.Equal(t, want, lists(filepath.Join(beside, "back")))
	require.Empty(t, root(t, m.dir, `rsync -aAi --dry-run d/ b/`), "nothing is left to do")
}

func TestListIsSeenOnOtherMounts(t *testing.T) {
	m := shared(t)
	second := m.mount(t)
	require.NoError(t, os.Chmod(filepath.Dir(second), 0o755))
	root(t, m.dir, `echo x >f; chmod 600 f`)
	read := func() bool { _, err := shell(t, second, alice, nil, "cat f"); return err == nil }
	require.False(t, read())
	root(t, m.dir, `setfacl -m u:61001:r f`)
	require.Eventually(t, read, 10*time.Second, 10*time.Millisecond)
	root(t, m.dir, `setfacl -x u:61001 f`)
	require.Eventually(t, func() bool { return !read() }, 10*time.Second, 10*time.Millisecond)
}

// TestListsWithoutEnforcement: where the mount decides who owns what there are none; where nobody but root may use the
// mount they are kept, and are the same.
func TestListsWithoutEnforcement(t *testing.T) {
	umask := uint32(0o077)
	m := mount(t, func(o *fusefs.Options) { o.Umask = &umask })
	m.write(t, "f", "x")
	_, err := unix.Getxattr(m.path("f"), fs.AccessACL, nil)
	require.ErrorIs(t, err, syscall.ENODATA)
	out, err := shell(t, m.dir, 0, nil, "setfacl -m u:61001:r f")
	require.Error(t, err)
	require.Contains(t, out, "not supported")

	m = mount(t, func(o *fusefs.Options) { o.NoPermissions, o.AllowOther = true, false })
	out = root(t, m.dir, `umask 027; touch f d; mkdir dir; setfacl -m u:61001:rw,g::r f; chmod g-w f; stat -c %a f dir; getfacl -cEn f`)
	require.Equal(t, "640\n750\nuser::rw-\nuser:61001:rw-\ngroup::r--\nmask::r--\nother::---\n\n", out)
}

func TestListsNeedNoKey(t *testing.T) {
	m := mount(t)
	m.write(t, "f", "x")
	m.store.RefuseWith(refuseAll)
	root(t, m.dir, "setfacl -m u:61001:r f; getfacl f")
	m.store.RefuseWith(nil)
}

// refuseAll is a key service whose keys are disabled.
func refuseAll(string, objstore.Ino) error { return &kms.Error{Code: kms.DisabledException} }
