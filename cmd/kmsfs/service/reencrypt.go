package service

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"kmsfs/objstore"
	"kmsfs/xattr"
)

func isDir(n *objstore.Node) bool { return n.Mode&unix.S_IFMT == unix.S_IFDIR }

func isFile(n *objstore.Node) bool { return n.Mode&unix.S_IFMT == unix.S_IFREG }

// job is one file to work on. There may be millions.
type job struct {
	ino  objstore.Ino
	size int64
	sel  *resolved // as selected
	same bool      // it is stored like that already
	from objstore.Algorithm
	at   Object
}

// calls is how many calls of the KMS the job takes at most: one to unwrap, one to wrap.
func (j job) calls() (n int64) {
	for _, a := range []objstore.Algorithm{j.from, j.sel.enc.Algorithm} {
		if a != objstore.AES256 {
			n++
		}
	}
	return n
}

// resolved is a selection, or why it cannot be used.
type resolved struct {
	enc objstore.Encryption
	err error
}

// work is what to do with each job.
type work struct {
	do   func(ctx context.Context, j job) error
	skip bool // leave out files that are stored as selected, in directories
}

// Reencrypt gives files a new data key and a new version. A file that is named gets one always; those in
// directories only when they are stored otherwise than selected, so that a run that was cut short can be resumed.
func (s *Service) Reencrypt(ctx context.Context, r TreeRequest, p Progress) (TreeAnswer, error) {
	return s.run(ctx, r, p, work{skip: !r.All, do: func(ctx context.Context, j job) error {
		_, err := s.Files.Reencrypt(ctx, j.ino, true)
		return err
	}})
}

// Rewrap wraps data keys anew: no data is moved and no version made. Files that are under the selected key already
// are wrapped too, for after a rotation that is the point.
func (s *Service) Rewrap(ctx context.Context, r TreeRequest, p Progress) (TreeAnswer, error) {
	return s.run(ctx, r, p, work{do: func(ctx context.Context, j job) error { return s.Files.Rewrap(ctx, j.ino) }})
}

// run collects the files first, so that progress has an end, and then does them, several at once.
func (s *Service) run(ctx context.Context, r TreeRequest, p Progress, w work) (TreeAnswer, error) {
	a := TreeAnswer{DryRun: r.DryRun}
	jobs, err := s.jobs(ctx, r)
	if err != nil {
		return a, err
	}
	all := len(jobs)
	todo := slices.DeleteFunc(jobs, func(j job) bool { return w.skip && r.Recursive && j.same })
	a.Skipped = int64(all - len(todo))
	before := s.KMS.Calls()
	if err := w.all(ctx, todo, r.DryRun, &a, p); err != nil || r.DryRun {
		return a, err
	}
	a.KMSCalls = s.KMS.Calls() - before
	return a, s.Store.Sync(ctx)
}

// workers is how many files are worked on at once: more than cores, for a KMS may be far away.
const workers = 8

// all does the jobs and counts their outcomes in a.
func (w work) all(ctx context.Context, todo []job, dryRun bool, a *TreeAnswer, p Progress) error {
	var mu sync.Mutex // of a, done and p
	var next atomic.Int64
	var running sync.WaitGroup
	done, report := int64(0), throttle(p)
	for range workers {
		running.Go(func() {
			for n := next.Add(1) - 1; n < int64(len(todo)) && ctx.Err() == nil; n = next.Add(1) - 1 {
				err := w.one(ctx, todo[n], dryRun)
				mu.Lock()
				a.count(todo[n], err, p)
				done++
				report(done, int64(len(todo)))
				mu.Unlock()
			}
		})
	}
	running.Wait()
	return ctx.Err()
}

func (w work) one(ctx context.Context, j job, dryRun bool) error {
	if j.sel.err != nil || dryRun {
		return j.sel.err
	}
	return w.do(ctx, j)
}

// count adds the outcome of a job.
func (a *TreeAnswer) count(j job, err error, p Progress) {
	if err == nil {
		a.Files++
		a.Bytes += j.size
		a.KMSCalls += j.calls()
		return
	}
	a.Failed++
	if p != nil {
		p(Event{Path: j.at.String(), Error: err.Error(), Cause: ToWire(err)})
	}
}

func join(dir, name string) string {
	if dir = strings.Trim(dir, "/"); dir == "" {
		return name
	}
	return dir + "/" + name
}

// walker collects jobs.
type walker struct {
	*Service
	seen     map[objstore.Ino]bool // a file with several names is one job
	resolved map[string]*resolved  // by the settings' text
	jobs     []job
}

func (s *Service) jobs(ctx context.Context, r TreeRequest) ([]job, error) {
	w := &walker{Service: s, seen: map[objstore.Ino]bool{}, resolved: map[string]*resolved{}}
	for _, o := range r.Objects {
		p, err := s.locate(ctx, o)
		if err != nil {
			return nil, err
		}
		n, err := s.node(ctx, p, o)
		if err != nil {
			return nil, err
		}
		chain := p.levels(n)
		switch {
		case !isDir(n):
			w.add(ctx, n, chain, o)
		case !r.Recursive:
			return nil, &Error{Code: BadRequest, Message: fmt.Sprintf("%s is a directory: -r descends into it", o)}
		default:
			if err := w.descend(ctx, n.Ino, chain, o); err != nil {
				return nil, err
			}
		}
	}
	return w.jobs, nil
}

// descend adds all files under dir.
func (w *walker) descend(ctx context.Context, dir objstore.Ino, chain []level, o Object) error {
	const page = 1000
	for after := ""; ; {
		entries, err := w.Store.ReadDir(ctx, dir, after, page, true)
		if err != nil {
			return named(err, o)
		}
		for _, e := range entries {
			after = e.Name
			if e.Node == nil {
				continue
			}
			if err := w.visit(ctx, e.Node, e.Name, chain, o); err != nil {
				return err
			}
		}
		if len(entries) < page {
			return ctx.Err()
		}
	}
}

func (w *walker) visit(ctx context.Context, n *objstore.Node, name string, above []level, dir Object) error {
	at := Object{dir.Bucket, join(dir.Key, name)}
	kind := "file"
	if isDir(n) {
		kind = "directory"
	}
	chain := append([]level{{kind, at.Key, xattr.FromXattrs(n.Xattrs)}}, above...)
	if isDir(n) {
		return w.descend(ctx, n.Ino, chain, at)
	}
	w.add(ctx, n, chain, at)
	return nil
}

// add makes a job of a regular file that has been written.
func (w *walker) add(ctx context.Context, n *objstore.Node, chain []level, at Object) {
	if !isFile(n) || w.seen[n.Ino] || n.Stored.Algorithm == "" {
		return
	}
	if n.Nlink > 1 {
		w.seen[n.Ino] = true
	}
	sel := w.resolve(ctx, chain)
	w.jobs = append(w.jobs, job{ino: n.Ino, size: n.Size, at: at, sel: sel, from: n.Stored.Algorithm,
		same: sel.err == nil && n.Stored.Equal(sel.enc)})
}

// resolve asks the key service once for each different selection.
func (w *walker) resolve(ctx context.Context, chain []level) *resolved {
	enc, err := selected(chain)
	if err != nil {
		return &resolved{err: err}
	}
	id := settingsOf(enc).String()
	r, ok := w.resolved[id]
	if !ok {
		r = &resolved{}
		r.enc, r.err = w.Store.ResolveEncryption(ctx, enc)
		w.resolved[id] = r
	}
	return r
}
