package storetest

import (
	"context"

	"kmsfs/objstore"
)

func (f *Fault) Node(ctx context.Context, ino objstore.Ino) (*objstore.Node, error) {
	return do(ctx, f, "Node", "", func() (*objstore.Node, error) { return f.Tree.Node(ctx, ino) })
}

func (f *Fault) Lookup(ctx context.Context, parent objstore.Ino, name string) (*objstore.Node, error) {
	return do(ctx, f, "Lookup", name, func() (*objstore.Node, error) { return f.Tree.Lookup(ctx, parent, name) })
}

func (f *Fault) ReadDir(ctx context.Context, dir objstore.Ino, after string, limit int, plus bool) ([]objstore.DirEntry, error) {
	return do(ctx, f, "ReadDir", "", func() ([]objstore.DirEntry, error) { return f.Tree.ReadDir(ctx, dir, after, limit, plus) })
}

func (f *Fault) Create(ctx context.Context, parent objstore.Ino, name string, init objstore.NodeInit) (*objstore.Node, error) {
	return do(ctx, f, "Create", name, func() (*objstore.Node, error) { return f.Tree.Create(ctx, parent, name, init) })
}

func (f *Fault) Link(ctx context.Context, ino, parent objstore.Ino, name string) (*objstore.Node, error) {
	return do(ctx, f, "Link", name, func() (*objstore.Node, error) { return f.Tree.Link(ctx, ino, parent, name) })
}

func (f *Fault) Unlink(ctx context.Context, parent objstore.Ino, name string) error {
	return try(ctx, f, "Unlink", name, func() error { return f.Tree.Unlink(ctx, parent, name) })
}

func (f *Fault) Rmdir(ctx context.Context, parent objstore.Ino, name string) error {
	return try(ctx, f, "Rmdir", name, func() error { return f.Tree.Rmdir(ctx, parent, name) })
}

func (f *Fault) Rename(ctx context.Context, parent objstore.Ino, name string, newParent objstore.Ino, newName string, mode objstore.RenameMode) error {
	return try(ctx, f, "Rename", name, func() error { return f.Tree.Rename(ctx, parent, name, newParent, newName, mode) })
}

func (f *Fault) SetAttr(ctx context.Context, ino objstore.Ino, c objstore.AttrChange) (*objstore.Node, error) {
	return do(ctx, f, "SetAttr", "", func() (*objstore.Node, error) { return f.Tree.SetAttr(ctx, ino, c) })
}

func (f *Fault) SetXattr(ctx context.Context, ino objstore.Ino, name string, value []byte, mode objstore.XattrMode) error {
	return try(ctx, f, "SetXattr", name, func() error { return f.Tree.SetXattr(ctx, ino, name, value, mode) })
}

func (f *Fault) RemoveXattr(ctx context.Context, ino objstore.Ino, name string) error {
	return try(ctx, f, "RemoveXattr", name, func() error { return f.Tree.RemoveXattr(ctx, ino, name) })
}

func (f *Fault) Rewrap(ctx context.Context, ino objstore.Ino, enc objstore.Encryption) error {
	return try(ctx, f, "Rewrap", "", func() error { return f.Tree.Rewrap(ctx, ino, enc) })
}

func (f *Fault) SyncTree(ctx context.Context) error {
	return try(ctx, f, "SyncTree", "", func() error { return f.Tree.SyncTree(ctx) })
}

func (f *Fault) Restore(ctx context.Context, parent objstore.Ino, name string, v objstore.VersionID) (*objstore.Node, error) {
	return do(ctx, f, "Restore", name, func() (*objstore.Node, error) { return f.Tree.Restore(ctx, parent, name, v) })
}

func (f *Fault) Versions(ctx context.Context, parent objstore.Ino, name string) ([]objstore.Object, error) {
	return do(ctx, f, "Versions", name, func() ([]objstore.Object, error) { return f.Tree.Versions(ctx, parent, name) })
}

func (f *Fault) ResolveEncryption(ctx context.Context, enc objstore.Encryption) (objstore.Encryption, error) {
	return do(ctx, f, "ResolveEncryption", "", func() (objstore.Encryption, error) { return f.Tree.ResolveEncryption(ctx, enc) })
}

func (f *Fault) OverwriteFile(ctx context.Context, ino objstore.Ino) (objstore.File, error) {
	h, err := do(ctx, f, "OverwriteFile", "", func() (objstore.File, error) { return f.Tree.OverwriteFile(ctx, ino) })
	if err != nil {
		return nil, err
	}
	return &faultyFile{h, f}, nil
}

func (f *Fault) OpenFile(ctx context.Context, ino objstore.Ino) (objstore.File, error) {
	h, err := do(ctx, f, "OpenFile", "", func() (objstore.File, error) { return f.Tree.OpenFile(ctx, ino) })
	if err != nil {
		return nil, err
	}
	return &faultyFile{h, f}, nil
}

// faultyFile is an open file of a [Fault].
type faultyFile struct {
	objstore.File
	f *Fault
}

func (h *faultyFile) Authorize(ctx context.Context, write bool) error {
	return try(ctx, h.f, "File.Authorize", "", func() error { return h.File.Authorize(ctx, write) })
}

func (h *faultyFile) ReadAt(p []byte, off int64) (int, error) {
	return readFaulty(h.f, "File.ReadAt", "", p, off, h.File.ReadAt)
}

func (h *faultyFile) Begin(ctx context.Context, enc objstore.Encryption, mode objstore.BeginMode) error {
	return try(ctx, h.f, "File.Begin", "", func() error { return h.File.Begin(ctx, enc, mode) })
}

func (h *faultyFile) WriteChunks(index int64, data []byte) error {
	return try(context.Background(), h.f, "File.WriteChunks", "", func() error { return h.File.WriteChunks(index, data) })
}

func (h *faultyFile) DropChunks(index, n int64) error {
	return try(context.Background(), h.f, "File.DropChunks", "", func() error { return h.File.DropChunks(index, n) })
}

func (h *faultyFile) SetSize(size int64) error {
	return try(context.Background(), h.f, "File.SetSize", "", func() error { return h.File.SetSize(size) })
}

// CloneFrom clones from the file below: a store shares chunks only between its own files.
func (h *faultyFile) CloneFrom(ctx context.Context, src objstore.File, srcIndex, index, n int64) (bool, error) {
	if s, ok := src.(*faultyFile); ok {
		src = s.File
	}
	return do(ctx, h.f, "File.CloneFrom", "", func() (bool, error) { return h.File.CloneFrom(ctx, src, srcIndex, index, n) })
}

func (h *faultyFile) Sync(ctx context.Context, c objstore.AttrChange) error {
	return try(ctx, h.f, "File.Sync", "", func() error { return h.File.Sync(ctx, c) })
}

func (h *faultyFile) Commit(ctx context.Context, c objstore.AttrChange) (*objstore.Node, error) {
	return do(ctx, h.f, "File.Commit", "", func() (*objstore.Node, error) { return h.File.Commit(ctx, c) })
}

func (h *faultyFile) Close() error {
	return try(context.Background(), h.f, "File.Close", "", h.File.Close)
}
