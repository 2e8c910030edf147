package kms

import (
	"context"
	"errors"
	"sync"
	"time"
)

// maxBucketKeys bounds the cache; beyond it, any entry makes room.
const maxBucketKeys = 16 << 10

// bucketKey is a bucket-level key. blob is set for writing only.
type bucketKey struct {
	plain  [KeySize]byte
	blob   []byte
	keyARN string
}

// bucketKeys caches bucket-level keys for a lifetime, and lets one caller at a time ask for a missing one.
//
// A key that was asked for before a drop is used once and not kept, so that after DisableKey returned nothing
// that starts later finds one.
type bucketKeys struct {
	lifetime time.Duration
	now      func() time.Time

	mu      sync.Mutex // guards what follows
	entries map[string]*cachedKey
	flights map[string]*flight
	timer   *time.Timer // sweeps; nil while there are no entries
}

type cachedKey struct {
	key     bucketKey
	expires time.Time
}

// flight is one call to the provider that others wait for.
type flight struct {
	done chan struct{}
	err  error // set before done is closed
}

func newBucketKeys(lifetime time.Duration, now func() time.Time) *bucketKeys {
	return &bucketKeys{lifetime: lifetime, now: now, entries: map[string]*cachedKey{}, flights: map[string]*flight{}}
}

// cacheName joins what must be equal for a key to be shared.
func cacheName(kind, principal, keyARN string, canonical, blob []byte) string {
	b := make([]byte, 0, 16+len(kind)+len(principal)+len(keyARN)+len(canonical)+len(blob))
	b = appendSized(b, kind)
	b = appendSized(b, principal)
	b = appendSized(b, keyARN)
	b = append(b, canonical...) // tells its own end
	return string(append(b, blob...))
}

// get returns a copy of the named key, which the caller wipes, asking load when there is none. Concurrent misses of
// one name share one load and its error, but for the error of another caller's context.
func (c *bucketKeys) get(ctx context.Context, name string, load func() (bucketKey, error)) (bucketKey, error) {
	for {
		if err := ctx.Err(); err != nil {
			return bucketKey{}, err
		}
		k, f, lead := c.lookup(name)
		switch {
		case f == nil:
			return k, nil
		case lead:
			return c.load(name, f, load)
		}
		select {
		case <-f.done:
		case <-ctx.Done():
			return bucketKey{}, ctx.Err()
		}
		if f.err != nil && !errors.Is(f.err, context.Canceled) && !errors.Is(f.err, context.DeadlineExceeded) {
			return bucketKey{}, f.err
		}
	}
}

// lookup finds the key, or the flight that gets it; lead says that the flight is the caller's own.
func (c *bucketKeys) lookup(name string) (k bucketKey, f *flight, lead bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.entries[name]; ok {
		if c.now().Before(e.expires) {
			return e.key, nil, false
		}
		c.remove(name, e)
	}
	if f, ok := c.flights[name]; ok {
		return bucketKey{}, f, false
	}
	f = &flight{done: make(chan struct{})}
	c.flights[name] = f
	return bucketKey{}, f, true
}

// load makes the call of f. A panic of load is not swallowed, but leaves no flight behind.
func (c *bucketKeys) load(name string, f *flight, load func() (bucketKey, error)) (k bucketKey, err error) {
	f.err = errors.New("the call for the bucket-level key did not end")
	defer func() {
		c.land(name, f, k, f.err)
	}()
	k, err = load()
	f.err = err
	return k, err
}

func (c *bucketKeys) land(name string, f *flight, k bucketKey, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer close(f.done)
	if c.flights[name] != f {
		return // dropped meanwhile
	}
	delete(c.flights, name)
	if err != nil || c.lifetime < 0 {
		return
	}
	if len(c.entries) >= maxBucketKeys {
		c.evictOne()
	}
	c.entries[name] = &cachedKey{key: k, expires: c.now().Add(c.lifetime)}
	if c.timer == nil {
		c.timer = time.AfterFunc(c.lifetime, c.sweep)
	}
}

// sweep wipes expired keys also when nobody asks for them.
func (c *bucketKeys) sweep() {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	for name, e := range c.entries {
		if !now.Before(e.expires) {
			c.remove(name, e)
		}
	}
	c.timer = nil
	if len(c.entries) > 0 {
		c.timer = time.AfterFunc(c.lifetime/4+time.Millisecond, c.sweep)
	}
}

// drop wipes all keys; calls that are under way are not cached.
func (c *bucketKeys) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, e := range c.entries {
		c.remove(name, e)
	}
	clear(c.flights)
	if c.timer != nil {
		c.timer.Stop()
		c.timer = nil
	}
}

func (c *bucketKeys) evictOne() {
	for name, e := range c.entries {
		c.remove(name, e)
		return
	}
}

func (c *bucketKeys) remove(name string, e *cachedKey) {
	Wipe(e.key.plain[:])
	delete(c.entries, name)
}
