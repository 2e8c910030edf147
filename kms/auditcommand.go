package kms

import (
	"bytes"
	"os"
	"strconv"
)

// maxCommands is how many processes' names stay at hand.
const maxCommands = 64

// commands finds the names of processes. The open file of a process in /proc belongs to it, so that it answers the present
// name also after an exec, and an error, not another's name, when the process is gone. Not for concurrent use.
type commands struct {
	files map[int]*os.File
	buf   [64]byte
}

// of is the name of a process, empty where there is none.
func (c *commands) of(pid int) string {
	if pid <= 0 {
		return ""
	}
	if f := c.files[pid]; f != nil {
		if name := c.read(f); name != "" {
			return name
		}
		f.Close()
		delete(c.files, pid)
	}
	f, err := os.Open("/proc/" + strconv.Itoa(pid) + "/comm")
	if err != nil {
		return ""
	}
	if len(c.files) >= maxCommands {
		c.close()
	}
	if c.files == nil {
		c.files = make(map[int]*os.File, maxCommands)
	}
	c.files[pid] = f
	return c.read(f)
}

func (c *commands) read(f *os.File) string {
	n, err := f.ReadAt(c.buf[:], 0)
	if n == 0 && err != nil {
		return ""
	}
	return string(bytes.TrimSuffix(c.buf[:n], []byte("\n")))
}

func (c *commands) close() {
	for pid, f := range c.files {
		f.Close()
		delete(c.files, pid)
	}
}
