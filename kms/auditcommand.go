package kms

import (
	"bytes"
	"strconv"
	"sync"
	"syscall"
)

// maxCommands is how many processes' names stay at hand.
const maxCommands = 64

// commands finds the names of processes. The open file of a process in /proc belongs to it, so that it answers the present
// name also after an exec, and an error, not another's name, when the process is gone. It may be used concurrently.
type commands struct {
	mu    sync.Mutex
	files map[int]*process
}

// process has the name that was read last, so that the same one is no new string.
type process struct {
	fd   int
	name string
}

// of is the name of a process, empty where there is none.
func (c *commands) of(pid int) string {
	if pid <= 0 {
		return ""
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.files[pid]; p != nil {
		if p.read() {
			return p.name
		}
		c.forget(pid)
	}
	fd, err := syscall.Open("/proc/"+strconv.Itoa(pid)+"/comm", syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	if len(c.files) >= maxCommands {
		c.forgetAll()
	}
	if c.files == nil {
		c.files = make(map[int]*process, maxCommands)
	}
	p := &process{fd: fd}
	c.files[pid] = p
	p.read()
	return p.name
}

// read is one system call that never waits.
func (p *process) read() bool {
	var buf [64]byte
	n, err := syscall.Pread(p.fd, buf[:], 0)
	if n <= 0 || err != nil {
		p.name = ""
		return false
	}
	if name := bytes.TrimSuffix(buf[:n], []byte("\n")); string(name) != p.name {
		p.name = string(name)
	}
	return true
}

func (c *commands) forget(pid int) {
	syscall.Close(c.files[pid].fd)
	delete(c.files, pid)
}

func (c *commands) forgetAll() {
	for pid := range c.files {
		c.forget(pid)
	}
}

func (c *commands) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forgetAll()
}
