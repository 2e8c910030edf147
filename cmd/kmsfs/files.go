package main

import (
	"context"
	"errors"
	"log/slog"

	"kmsfs/fs"
	"kmsfs/objstore"
	"kmsfs/xattr"
)

// files is the files of the store, with a view of its own that no kernel knows, to ask for attributes.
type files struct {
	*fs.FS
	view *fs.View
}

// openFiles shows the store's objects as files. Buckets that mkdir makes on a mount of all buckets are set as those
// that commands make.
func openFiles(ctx context.Context, o *owned, c *Config, log *slog.Logger) (*files, error) {
	made := c.newBucket("")
	enc, err := made.Encryption(objstore.Encryption{Algorithm: objstore.AES256})
	if err != nil {
		return nil, &configError{err}
	}
	opt := fs.Options{Tree: o.store, Store: o.store, Logger: log, NewBucket: func(name string) objstore.Bucket {
		return objstore.Bucket{Name: name, Versioning: made.Versioning, ExpireNoncurrent: *made.ExpireNoncurrent,
			Default: enc}
	}}
	opt.Reads, opt.Writes = c.recorders(o.kms)
	f := fs.New(opt)
	view, err := f.NewView(ctx, fs.ViewOptions{ReadOnly: true})
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &files{f, view}, nil
}

// LastError is the text of user.kmsfs.error.
func (f *files) LastError(ctx context.Context, ino objstore.Ino) string {
	text, err := f.view.GetXattr(ctx, ino, xattr.LastError)
	if err != nil {
		return ""
	}
	return string(text)
}

// Close finishes what waits in the background.
func (f *files) Close() error { return errors.Join(f.view.Close(context.Background()), f.FS.Close()) }
