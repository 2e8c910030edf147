package fs

import (
	"context"
	"sync"

	"kmsfs/objstore"
)

// firstOffset is the offset behind "." and "..": the one of a directory's first name.
const firstOffset = 2

// DirHandle is one opendir(3). It keeps the names that it has returned, so that an offset, once given out, always
// means the same position, whatever comes and goes meanwhile.
//
// The offset of an entry is its index among the names kept, + 3: telldir(3) behind it.
type DirHandle struct {
	view *View
	ino  objstore.Ino

	mu    sync.Mutex
	names []dirName
	given int  // how many of names have been told of
	end   bool // all names have been read
}

// dirName is a [objstore.DirEntry] without its node, which would be out of date when it is used again.
type dirName struct {
	name string
	ino  objstore.Ino
	kind uint32
}

// OpenDir opens a directory.
func (v *View) OpenDir(ctx context.Context, ino objstore.Ino) (*DirHandle, error) {
	return &DirHandle{view: v, ino: ino}, nil
}

// Ino is the inode number of the directory.
func (d *DirHandle) Ino() objstore.Ino { return d.ino }

// DirEntry is one entry for getdents(2). Next is the offset that continues behind it.
type DirEntry struct {
	objstore.DirEntry
	Next   uint64
	Stable bool // of the node, as in [View.GetAttr]
}

// Read returns up to limit entries from offset on; offset 0 starts anew. With plus, entries that are read from the
// store now have nodes; "." and ".." and those that were read before have not. No entries means the end.
func (d *DirHandle) Read(ctx context.Context, offset uint64, limit int, plus bool) ([]DirEntry, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if offset == 0 {
		d.names, d.given, d.end = nil, 0, false
	}
	var out []DirEntry
	for ; offset < firstOffset; offset++ {
		name := [...]string{".", ".."}[offset]
		e := objstore.DirEntry{Name: name, Ino: d.ino, Type: sIFDIR}
		out = append(out, DirEntry{DirEntry: e, Next: offset + 1})
	}
	more, err := d.read(ctx, int(min(offset-firstOffset, 1<<40)), limit, plus)
	if err != nil {
		return nil, err
	}
	return append(out, more...), nil
}

// Given notes that entries up to the offset next were passed on. Names behind it that never were are read anew, with
// nodes that are up to date.
func (d *DirHandle) Given(next uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if next > firstOffset {
		d.given = max(d.given, int(min(next-firstOffset, uint64(len(d.names)))))
	}
	if d.given < len(d.names) {
		d.names, d.end = d.names[:d.given], false
	}
}

func (d *DirHandle) read(ctx context.Context, index, limit int, plus bool) ([]DirEntry, error) {
	for index > len(d.names) && !d.end { // an offset of another handle: skip to it
		if _, err := d.page(ctx, index-len(d.names), false); err != nil {
			return nil, err
		}
	}
	if index >= len(d.names) {
		if d.end {
			return nil, nil
		}
		return d.page(ctx, limit, plus)
	}
	return d.again(ctx, index, limit, plus)
}

// page reads the next names from the store.
func (d *DirHandle) page(ctx context.Context, limit int, plus bool) ([]DirEntry, error) {
	after := ""
	if n := len(d.names); n > 0 {
		after = d.names[n-1].name
	}
	list, err := d.view.readDir(ctx, d.ino, after, limit, plus)
	if err != nil {
		return nil, err
	}
	d.end = len(list) < limit
	out := make([]DirEntry, len(list))
	for k, e := range list {
		d.names = append(d.names, dirName{e.Name, e.Ino, e.Type})
		out[k] = d.entry(e, len(d.names))
	}
	return out, nil
}

// entry is e, behind which next names of the directory have been read.
func (d *DirHandle) entry(e objstore.DirEntry, next int) DirEntry {
	out := DirEntry{DirEntry: e, Next: uint64(next + firstOffset)}
	if e.Node != nil {
		out.Node = d.view.fs.overlaid(e.Node)
		out.Stable = out.Node == e.Node
	}
	return out
}

// again returns names that were read before. Where plus is set, their nodes are read once more: as a page, since what
// follows a name that did not fit the last answer is what comes next.
func (d *DirHandle) again(ctx context.Context, index, limit int, plus bool) ([]DirEntry, error) {
	names := d.names[index:min(index+limit, len(d.names))]
	var nodes map[string]*objstore.Node
	if plus && !isVirtual(d.ino) {
		after := ""
		if index > 0 {
			after = d.names[index-1].name
		}
		list, err := d.view.readDir(ctx, d.ino, after, len(names), true)
		if err != nil {
			return nil, err
		}
		nodes = make(map[string]*objstore.Node, len(list))
		for _, e := range list {
			nodes[e.Name] = e.Node
		}
	}
	out := make([]DirEntry, len(names))
	for k, n := range names {
		e := objstore.DirEntry{Name: n.name, Ino: n.ino, Type: n.kind}
		if node := nodes[n.name]; node != nil && node.Ino == n.ino {
			e.Node = node
		}
		out[k] = d.entry(e, index+k+1)
	}
	return out, nil
}

// readDir is Tree.ReadDir for all kinds of directories.
func (v *View) readDir(ctx context.Context, ino objstore.Ino, after string, limit int, plus bool) ([]objstore.DirEntry, error) {
	if isVirtual(ino) {
		return v.readVirtualDir(ctx, ino, after, limit)
	}
	return v.fs.tree.ReadDir(ctx, ino, after, limit, plus)
}
