package storetest

import (
	"context"
	"path"
	"sync"
	"time"

	"kmsfs/objstore"
)

// Rule is a fault of a [Fault]: it applies to the calls that match Op and Key, from the Nth on, Times times.
type Rule struct {
	// Op is the method's name: "PutObject", "Lookup"; of an open file with its type: "File.WriteChunks".
	// Of a reader: "Reader.ReadAt". "" is every call.
	Op string
	// Key is a pattern of path.Match for the object's key, or the last name where a call has names of a directory; of an
	// open file the name that it was opened under is not known, so there only "" and "*" match.
	Key   string
	Nth   int // the first call that is hit, counted from 1 per rule; 0 is 1
	Times int // how many calls are hit; 0: all from there on

	Err   error         // what the call answers; with Err nil it goes on after Delay
	After bool          // the call is done, and then answers Err: what a lost reply looks like
	Delay time.Duration // before anything else; a ctx that ends is an error
	Short int           // of Reader.ReadAt and File.ReadAt: at most so many bytes, when above 0
}

// Fault is a store that fails, falls short or is slow on request. It is an objstore.Tree when the store below is one;
// with any other its methods as a Tree panic.
type Fault struct {
	objstore.Store
	objstore.Tree

	mu    sync.Mutex
	rules []*ruleState
	calls map[string]int
}

type ruleState struct {
	Rule
	seen int
}

// NewFault wraps a store.
func NewFault(s objstore.Store, rules ...Rule) *Fault {
	f := &Fault{Store: s, calls: map[string]int{}}
	f.Tree, _ = s.(objstore.Tree)
	for _, r := range rules {
		f.Add(r)
	}
	return f
}

// Add adds a rule; the first that matches a call decides.
func (f *Fault) Add(r Rule) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules = append(f.rules, &ruleState{Rule: r})
}

// Clear removes all rules.
func (f *Fault) Clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules = nil
}

// Calls is how often a method was called, failed calls included.
func (f *Fault) Calls(op string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[op]
}

// hit gives the rule for a call; a rule that does nothing for none.
func (f *Fault) hit(op, key string) Rule {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls[op]++
	for _, r := range f.rules {
		if r.Op != "" && r.Op != op {
			continue
		}
		if ok, err := path.Match(r.Key, key); r.Key != "" && (!ok || err != nil) {
			continue
		}
		r.seen++
		first := max(r.Nth, 1)
		if r.seen >= first && (r.Times == 0 || r.seen < first+r.Times) {
			return r.Rule
		}
	}
	return Rule{}
}

// do makes a call under the rule for it.
func do[T any](ctx context.Context, f *Fault, op, key string, call func() (T, error)) (T, error) {
	r := f.hit(op, key)
	var zero T
	if r.Delay > 0 {
		select {
		case <-time.After(r.Delay):
		case <-ctx.Done():
			return zero, ctx.Err()
		}
	}
	if r.Err != nil && !r.After {
		return zero, r.Err
	}
	v, err := call()
	if err == nil && r.Err != nil {
		return zero, r.Err
	}
	return v, err
}

func try(ctx context.Context, f *Fault, op, key string, call func() error) error {
	_, err := do(ctx, f, op, key, func() (struct{}, error) { return struct{}{}, call() })
	return err
}

func (f *Fault) PutObject(ctx context.Context, in objstore.PutInput) (objstore.Object, error) {
	return do(ctx, f, "PutObject", in.Key, func() (objstore.Object, error) { return f.Store.PutObject(ctx, in) })
}

func (f *Fault) GetObject(ctx context.Context, bucket, key string, v objstore.VersionID) (o objstore.Object, r objstore.Reader, err error) {
	r, err = do(ctx, f, "GetObject", key, func() (r objstore.Reader, err error) {
		o, r, err = f.Store.GetObject(ctx, bucket, key, v)
		return r, err
	})
	if err != nil {
		return o, nil, err
	}
	return o, &faultyReader{r, f, key}, nil
}

func (f *Fault) HeadObject(ctx context.Context, bucket, key string, v objstore.VersionID) (objstore.Object, error) {
	return do(ctx, f, "HeadObject", key, func() (objstore.Object, error) { return f.Store.HeadObject(ctx, bucket, key, v) })
}

func (f *Fault) DeleteObject(ctx context.Context, bucket, key string, v objstore.VersionID, c objstore.Condition) (objstore.Object, error) {
	return do(ctx, f, "DeleteObject", key, func() (objstore.Object, error) { return f.Store.DeleteObject(ctx, bucket, key, v, c) })
}

func (f *Fault) CopyObject(ctx context.Context, in objstore.CopyInput) (objstore.Object, error) {
	return do(ctx, f, "CopyObject", in.Key, func() (objstore.Object, error) { return f.Store.CopyObject(ctx, in) })
}

func (f *Fault) ListObjects(ctx context.Context, bucket string, in objstore.ListInput) (objstore.Listing, error) {
	return do(ctx, f, "ListObjects", in.Prefix, func() (objstore.Listing, error) { return f.Store.ListObjects(ctx, bucket, in) })
}

func (f *Fault) ListVersions(ctx context.Context, bucket string, in objstore.ListInput) (objstore.Listing, error) {
	return do(ctx, f, "ListVersions", in.Prefix, func() (objstore.Listing, error) { return f.Store.ListVersions(ctx, bucket, in) })
}

func (f *Fault) CreateBucket(ctx context.Context, b objstore.Bucket) (objstore.Bucket, error) {
	return do(ctx, f, "CreateBucket", b.Name, func() (objstore.Bucket, error) { return f.Store.CreateBucket(ctx, b) })
}

func (f *Fault) HeadBucket(ctx context.Context, name string) (objstore.Bucket, error) {
	return do(ctx, f, "HeadBucket", name, func() (objstore.Bucket, error) { return f.Store.HeadBucket(ctx, name) })
}

func (f *Fault) Sync(ctx context.Context) error {
	return try(ctx, f, "Sync", "", func() error { return f.Store.Sync(ctx) })
}

// faultyReader is a reader of a [Fault].
type faultyReader struct {
	objstore.Reader
	f   *Fault
	key string
}

func (r *faultyReader) ReadAt(p []byte, off int64) (int, error) {
	return readFaulty(r.f, "Reader.ReadAt", r.key, p, off, r.Reader.ReadAt)
}

// readFaulty cuts p short, or fails: a short read without an error, as only a broken io.ReaderAt does.
func readFaulty(f *Fault, op, key string, p []byte, off int64, read func([]byte, int64) (int, error)) (int, error) {
	r := f.hit(op, key)
	time.Sleep(r.Delay)
	if r.Err != nil {
		return 0, r.Err
	}
	if r.Short > 0 && r.Short < len(p) {
		p = p[:r.Short]
	}
	return read(p, off)
}
