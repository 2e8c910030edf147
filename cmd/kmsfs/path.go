package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/moby/sys/mountinfo"

	"kmsfs/cmd/kmsfs/service"
)

// target is what a path on the command line names.
type target struct {
	arg    string
	object service.Object
	store  string // empty: the configured one
}

// resolveTarget reads s3://BUCKET/KEY, a path on a mount, or BUCKET:KEY. A file need not exist any more: only the
// directory that held it must.
func (a *app) resolveTarget(ctx context.Context, arg string) (target, error) {
	if rest, ok := strings.CutPrefix(arg, "s3://"); ok {
		bucket, key, _ := strings.Cut(rest, "/")
		return target{arg, service.Object{Bucket: bucket, Key: key}, ""}, nil
	}
	t, err := a.onMount(ctx, arg)
	if !errors.Is(err, service.NotMounted) {
		return t, err
	}
	if bucket, key, ok := strings.Cut(arg, ":"); ok && bucket != "" && !strings.Contains(bucket, "/") {
		return target{arg, service.Object{Bucket: bucket, Key: key}, ""}, nil
	}
	return t, err
}

// onMount finds the mount that a path is on and asks its daemon which bucket it shows.
func (a *app) onMount(ctx context.Context, arg string) (target, error) {
	path, err := realPath(arg)
	if err != nil {
		return target{}, err
	}
	infos, err := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) {
		return m.FSType != fsType || !inside(path, m.Mountpoint), false
	})
	if err != nil {
		return target{}, err
	}
	var best *mountinfo.Info
	for _, m := range infos {
		if best == nil || len(m.Mountpoint) >= len(best.Mountpoint) {
			best = m
		}
	}
	if best == nil {
		return target{}, &mountPointError{service.NotMounted, arg + " is not on a mount of kmsfs",
			"name a path below a mount (kmsfs status), or s3://BUCKET/KEY"}
	}
	store := storeOfSource(best.Source)
	client, err := dial(store)
	if err != nil {
		return target{}, err
	}
	st, err := client.Status(ctx, service.StatusRequest{})
	if err != nil {
		return target{}, err
	}
	for _, m := range st.Mounts {
		if m.Dir == best.Mountpoint {
			return target{arg, objectAt(m, path), store}, nil
		}
	}
	return target{}, &service.Error{Code: service.Stale, Message: fmt.Sprintf("%s: its daemon does not know the mount %s", arg, best.Mountpoint)}
}

// objectAt is the object at a path on a mount. On a mount of all buckets the first directory is the bucket.
func objectAt(m service.Mount, path string) service.Object {
	key, _ := filepath.Rel(m.Dir, path)
	if key == "." {
		key = ""
	}
	if m.Bucket != "" {
		return service.Object{Bucket: m.Bucket, Key: key}
	}
	bucket, rest, _ := strings.Cut(key, "/")
	return service.Object{Bucket: bucket, Key: rest}
}

// realPath resolves the symbolic links of the directory that holds the last name; of a directory, its own too. So a
// symbolic link is named itself, and so is a file that was deleted.
func realPath(arg string) (string, error) {
	abs, err := filepath.Abs(arg)
	if err != nil {
		return "", err
	}
	if st, err := os.Lstat(abs); err == nil && st.IsDir() {
		return filepath.EvalSymlinks(abs)
	}
	parent, err := filepath.EvalSymlinks(filepath.Dir(abs))
	if errors.Is(err, os.ErrNotExist) {
		return resolveExisting(abs), nil // directories above may have been deleted, too
	}
	if err != nil {
		return "", err
	}
	return filepath.Join(parent, filepath.Base(abs)), nil
}

// resolveTargets resolves all arguments; they must be of one store.
func (a *app) resolveTargets(ctx context.Context, args []string) ([]target, error) {
	var out []target
	for _, arg := range args {
		t, err := a.resolveTarget(ctx, arg)
		if err != nil {
			return nil, err
		}
		if t.object.Bucket == "" {
			return nil, usagef("%s names no bucket", arg)
		}
		if len(out) > 0 && t.store != out[0].store {
			return nil, usagef("%s and %s are in different stores", out[0].arg, arg)
		}
		out = append(out, t)
	}
	return out, nil
}

// shown is an object's name in the words of the command line: below the argument that led to it.
func shown(targets []target, name string) string {
	for _, t := range targets {
		at := strings.TrimSuffix(t.object.String(), "/")
		if name == at {
			return t.arg
		}
		if rest, ok := strings.CutPrefix(name, at+"/"); ok {
			return strings.TrimSuffix(t.arg, "/") + "/" + rest
		}
	}
	return name
}
