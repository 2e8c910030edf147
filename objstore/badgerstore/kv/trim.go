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

// When tables are trimmed. A read of a block maps the 64 KiB around it, so that some thousand reads map a whole store; each costs
// several times as much as one of a block that is mapped.
const (
	trimEvery   = 5 * time.Second
	trimAfter   = 1024      // reads of badger that are worth a look; with fewer in trimEvery the store rests
	trimResting = 16 << 20  // bytes that were mapped since the last trim, and are worth one at rest
	trimAt      = 432 << 20 // bytes of the whole process that are worth one at work
	trimLeast   = 96 << 20  // bytes that are mapped by then, however large the process is
)

// touched notes a read of badger.
func (db *DB) touched() {
	if db.touches.Add(1)%trimAfter != 0 {
		return
	}
	select {
	case db.trimWake <- struct{}{}:
	default:
	}
}

// runTrims trims until the store closes.
func (db *DB) runTrims() {
	tick := time.NewTicker(trimEvery)
	defer tick.Stop()
	db.trim() // opening has looked at each table
	rest, reads := residence().files, int64(0)
	for {
		resting := false
		select {
		case <-db.stop:
			return
		case <-tick.C:
			now := db.touches.Load()
			resting, reads = now-reads < trimAfter, now
		case <-db.trimWake:
		}
		if residence().worthTrim(rest, resting) {
			db.trim()
			rest = residence().files
		}
	}
}

// resident is what of this process is in memory, in bytes.
type resident struct{ all, files int64 }

// worthTrim reports that a trim is due; rest is what the last one left.
func (r resident) worthTrim(rest int64, resting bool) bool {
	mapped := r.files - rest
	if resting {
		return mapped >= trimResting
	}
	return mapped >= max(trimLeast, trimAt-(r.all-mapped))
}

// residence is zero where it cannot be told.
func residence() resident {
	var size, all, files int64
	raw, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return resident{}
	}
	if _, err := fmt.Sscan(string(raw), &size, &all, &files); err != nil {
		return resident{}
	}
	page := int64(os.Getpagesize())
	return resident{all * page, files * page}
}

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
