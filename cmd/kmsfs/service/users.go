package service

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// User is a process that keeps a mount in use.
type User struct {
	PID     int
	Command string
	How     string // what it holds: an open file, its working directory, its root, a mapping
}

func (u User) String() string { return fmt.Sprintf("pid %d (%s: %s)", u.PID, u.Command, u.How) }

// Users lists the processes that use the mount at dir, as far as this process may look. No request is sent
// to the mount, so a mount that hangs does not hang the search.
func Users(dir string) ([]User, error) {
	infos, err := mountinfo.GetMounts(mountinfo.SingleEntryFilter(dir))
	if err != nil || len(infos) == 0 {
		return nil, err
	}
	dev := device{uint32(infos[0].Major), uint32(infos[0].Minor)}
	procs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	var users []User
	for _, p := range procs {
		pid, err := strconv.Atoi(filepath.Base(p))
		if err != nil || pid == os.Getpid() {
			continue
		}
		if how := dev.usedBy(p); how != "" {
			users = append(users, User{PID: pid, Command: command(p), How: how})
		}
	}
	return users, nil
}

type device struct{ major, minor uint32 }

// usedBy says how the process of a /proc directory uses the device; "" when it does not.
func (d device) usedBy(proc string) string {
	for _, link := range []struct{ name, how string }{{"cwd", "working directory"}, {"root", "root directory"}} {
		if d.holds(filepath.Join(proc, link.name)) {
			return link.how
		}
	}
	fds, _ := filepath.Glob(proc + "/fd/*")
	for _, fd := range fds {
		if d.holds(fd) {
			name, _ := os.Readlink(fd)
			return "open file " + name
		}
	}
	if d.mapped(proc + "/maps") {
		return "memory mapping"
	}
	return ""
}

// holds asks for the device of a link in /proc without asking the file system behind it.
func (d device) holds(link string) bool {
	var st unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, link, unix.AT_STATX_DONT_SYNC, unix.STATX_TYPE, &st)
	return err == nil && st.Dev_major == d.major && st.Dev_minor == d.minor
}

func (d device) mapped(maps string) bool {
	f, err := os.Open(maps)
	if err != nil {
		return false
	}
	defer f.Close()
	want := fmt.Sprintf("%02x:%02x", d.major, d.minor)
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if fields := strings.Fields(lines.Text()); len(fields) > 3 && fields[3] == want {
			return true
		}
	}
	return false
}

func command(proc string) string {
	b, err := os.ReadFile(proc + "/comm")
	if err != nil {
		return "?"
	}
	return strings.TrimSpace(string(b))
}
