package kv

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// trimEvery is the time between two trims. One reads the index of every table.
const trimEvery = 30 * time.Second

// trimResident unmaps the pages of table files from the process, though not from the page
// cache. Badger maps its tables, and compactions touch all of them: a store's size would
// count as the process's memory. Touched again, a page costs a minor fault.
//
// An unmapped range may be given to the heap at any time, so only tables that cannot be
// removed meanwhile are trimmed: an open iterator holds a reference to every table that
// was there before and is there after it was opened.
func (e *engine) trimResident() error {
	before := e.tableNames()
	txn := e.db.NewTransaction(false)
	defer txn.Discard()
	it := txn.NewIterator(badger.IteratorOptions{})
	defer it.Close()
	after := e.tableNames()
	return mappings(func(path string, start, end uintptr) {
		if before[path] && after[path] {
			dropPages(start, end)
		}
	})
}

func (e *engine) tableNames() map[string]bool {
	dir, err := filepath.Abs(e.dir)
	if err != nil {
		return nil
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	names := make(map[string]bool)
	for _, t := range e.db.Tables() {
		names[filepath.Join(dir, fmt.Sprintf("%06d.sst", t.ID))] = true
	}
	return names
}

// mappings calls fn for each mapped file of this process.
func mappings(fn func(path string, start, end uintptr)) error {
	f, err := os.Open("/proc/self/maps")
	if err != nil {
		return err
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		at := strings.IndexByte(s.Text(), '/')
		var start, end uintptr
		if at < 0 {
			continue
		}
		if _, err := fmt.Sscanf(s.Text(), "%x-%x ", &start, &end); err == nil {
			fn(s.Text()[at:], start, end)
		}
	}
	return nil
}

// dropPages is madvise(MADV_DONTNEED): on a shared file mapping it loses nothing.
func dropPages(start, end uintptr) {
	_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, start, end-start, syscall.MADV_DONTNEED)
}
