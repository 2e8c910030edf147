package badgerstore

import (
	"bytes"
	"maps"
	"strings"
	"sync"

	"kmsfs/kms"
	"kmsfs/objstore/seal"
)

// stemCache keeps the stems that were read or made, and finds the one of an envelope.
type stemCache struct {
	mu     sync.Mutex
	byNo   map[uint64]stem
	kin    map[stemClass][]uint64
	single map[stemClass]firstOfClass // without a stem yet
}

// stemClass is which envelopes may have a stem in common.
type stemClass struct {
	keyARN, resource string
	blob             string // with a bucket key
}

// firstOfClass is the envelope that stems of a class are made from, with the next one of another content.
type firstOfClass struct {
	content seal.ContentID
	blob    []byte
}

// Bounds of what is kept: about 600 bytes each.
const (
	maxStems   = 4 << 10
	maxSingles = 1 << 10
)

// maxKin is how many stems a class gets: one for each material of its key.
const maxKin = 16

// stemGrain is what the length of a stem's blob is a multiple of: two random bytes are the same too often.
const stemGrain = 4

func (c *stemCache) init() {
	c.byNo, c.kin, c.single = map[uint64]stem{}, map[stemClass][]uint64{}, map[stemClass]firstOfClass{}
}

func (c *stemCache) get(no uint64) (stem, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m, ok := c.byNo[no]
	return m, ok
}

// learn takes over a stem that is on disk.
func (c *stemCache) learn(no uint64, m stem) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.byNo[no]; ok {
		return
	}
	if len(c.byNo) >= maxStems { // rare: begin anew
		c.init()
	}
	c.byNo[no] = m
	k := classOf(kms.Envelope{KeyARN: m.keyARN, BucketKey: m.bucketKey, ResourceARN: m.resource, Blob: m.blob})
	c.kin[k] = append(c.kin[k], no)
	delete(c.single, k)
}

// classOf cuts the resource ARN of an object behind its bucket.
func classOf(e kms.Envelope) stemClass {
	if e.BucketKey {
		return stemClass{e.KeyARN, e.ResourceARN, string(e.Blob)}
	}
	return stemClass{e.KeyARN, e.ResourceARN[:strings.IndexByte(e.ResourceARN, '/')+1], ""}
}

// fits reports that an envelope has this stem.
func (m stem) fits(e kms.Envelope) bool {
	return m.keyARN == e.KeyARN && m.bucketKey == e.BucketKey && strings.HasPrefix(e.ResourceARN, m.resource) &&
		bytes.HasPrefix(e.Blob, m.blob) && (!m.bucketKey || len(m.blob) == len(e.Blob) && len(m.resource) == len(e.ResourceARN))
}

// find gives the stem of an envelope: one that is there, none (number 0), or one to make, for another content would have it too.
func (c *stemCache) find(e kms.Envelope, id seal.ContentID) (no uint64, m stem, fresh bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := classOf(e)
	for _, no := range c.kin[k] {
		if m := c.byNo[no]; m.fits(e) {
			return no, m, false
		}
	}
	first, ok := c.single[k]
	if !ok {
		makeRoom(c.single, maxSingles)
		c.single[k] = firstOfClass{id, e.Blob}
		return 0, m, false
	}
	if first.content == id || len(c.kin[k]) >= maxKin {
		return 0, m, false
	}
	blob := e.Blob
	if !e.BucketKey {
		blob = blob[:common(first.blob, blob)]
	}
	return 0, stem{k.keyARN, e.BucketKey, k.resource, blob}, true
}

// all is what is kept, by number.
func (c *stemCache) all() map[uint64]stem {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.byNo)
}

// common is how many bytes a and b begin with alike, and not by chance.
func common(a, b []byte) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n / stemGrain * stemGrain
}
