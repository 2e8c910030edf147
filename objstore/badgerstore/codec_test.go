package badgerstore

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kmsfs/kms"
	"kmsfs/objstore"
)

// TestFormatVersion: FORMAT.md describes this version of the store and of its records. Who changes one writes a new
// FORMAT.md, and a reader of the old version.
func TestFormatVersion(t *testing.T) {
	require.Equal(t, 2, storeVersion)
	require.Equal(t, 1, recordVersion)
	require.Equal(t, 2, inodeVersion)
	require.Equal(t, 2, usageCounted)
	doc, err := os.ReadFile("FORMAT.md")
	require.NoError(t, err)
	require.True(t, bytes.HasPrefix(doc, fmt.Appendf(nil, "# The store on disk, version %d\n", storeVersion)))
}

// codecs parse a record and write it anew.
func codecs() map[string]func([]byte) ([]byte, error) {
	return map[string]func([]byte) ([]byte, error){
		"inode": func(b []byte) ([]byte, error) {
			in, err := unmarshalInode(b)
			if err != nil {
				return nil, err
			}
			if in.ver != nil {
				return in.marshal(in.ver.rest), nil
			}
			return in.marshal(rest{}), nil
		},
		"bucket": func(b []byte) ([]byte, error) {
			r, err := unmarshalBucket(b)
			if err != nil {
				return nil, err
			}
			return r.marshal(), nil
		},
		"usage": func(b []byte) ([]byte, error) {
			u, err := unmarshalUsage(b)
			again := marshalUsage(u)
			if err == nil && b[0] == usageUncounted { // the store itself never writes it
				again = append([]byte{usageUncounted}, again[1:len(again)-1]...)
			}
			return again, err
		},
		"dirent": func(b []byte) ([]byte, error) {
			d, err := unmarshalDirent(b)
			return d.marshal(), err
		},
		"stem": func(b []byte) ([]byte, error) {
			m, err := unmarshalStem(b)
			return m.marshal(), err
		},
		"page": func(b []byte) ([]byte, error) {
			exts, err := unmarshalPage(b)
			return marshalPage(exts), err
		},
		"list": func(b []byte) ([]byte, error) {
			refs, err := unmarshalList(b)
			return marshalList(refs), err
		},
		"garbage": func(b []byte) ([]byte, error) {
			r := reader{b: b}
			exts := r.slots()
			w := writer{}
			w.slots(exts)
			return w.b, r.end()
		},
	}
}

// sampleRecords are valid records of every kind.
func sampleRecords() map[string][][]byte {
	now := objstore.Time{Sec: -1 << 40, Nsec: 999_999_999}
	small := extent{index: 3, count: 1, slot: smallSlot | 77, tail: 5}
	v := &version{
		id: "v", seq: 9, created: now, size: 1 << 40, etag: "e", contentType: "t/x", metadata: map[string]string{"a": "", "b": "c"},
		env:    kms.Envelope{Algorithm: "aws:kms", KeyARN: "arn", BucketKey: true, Context: kms.Context{"k": "v"}, ResourceARN: "r", Blob: []byte{1}, Wrapped: []byte{2}},
		chunks: chunkMap{inline: []extent{{0, 2, 5, chunkSize}, small}},
	}
	paged := *v
	paged.chunks = chunkMap{pages: []pageRef{{index: 0, bytes: 5, id: 3}, {index: 7, bytes: chunkSize, id: 4}}}
	listed := *v
	listed.chunks = chunkMap{lists: []pageRef{{index: 1, bytes: 1 << 36, id: 9}}, span: longList}
	short := *v
	short.chunks = chunkMap{lists: []pageRef{{index: 1, bytes: 1 << 28, id: 9}}, span: 4}
	short.env.Algorithm, short.etag, short.id = "aws:other", strings.Repeat("0a", 16), versionID(9, []byte("12345678"))
	named := short
	named.env = kms.Envelope{Algorithm: "aws:kms:dsse", BucketKey: true, Context: kms.Context{"k": "v"}, Wrapped: []byte{2}}
	node := objstore.Node{Ino: 5, Parent: 2, Name: "n", Mode: sIFREG | 0o644, UID: 1, GID: 2, Nlink: 1, Rdev: 3, Mtime: now, Target: "t",
		Xattrs: map[string][]byte{"user.a": {}, "user.b": {1}}}
	bk := &bucket{Bucket: objstore.Bucket{Name: "b", Created: time.Unix(5, 6), Versioning: objstore.VersioningEnabled,
		ExpireNoncurrent: time.Hour, Default: objstore.Encryption{Algorithm: objstore.KMS, KeyID: "k", BucketKey: true}, Root: 2}, id: 4}
	slots := writer{}
	slots.slots([]extent{small, {slot: smallSlot | 1<<62}})
	return map[string][][]byte{
		"inode": {(&inode{Node: node, bucket: 1, hist: 6}).marshal(rest{}), (&inode{Node: node, ver: v, since: now}).marshal(rest{}),
			(&inode{Node: node, ver: &paged}).marshal(rest{}), (&inode{Node: node, ver: &listed}).marshal(rest{}), (&inode{Node: node, ver: &short}).marshal(rest{}),
			(&inode{Node: node, ver: &named}).marshal(rest{stem: 1 << 63, resource: "d/x", blob: []byte{7}}),
			(&inode{Node: node, ver: &named}).marshal(rest{stem: 1, resource: "d/n"}), (&inode{ver: &version{}, marker: true}).marshal(rest{}), (&inode{implicit: true}).marshal(rest{})},
		"stem":   {stem{"arn", true, "r", []byte{1}}.marshal(), stem{}.marshal()},
		"bucket": {bk.marshal(), (&bucket{}).marshal()},
		"usage": {marshalUsage(usage{objstore.BucketUsage{Objects: 1, Bytes: -1, Noncurrent: 1 << 62}, 1 << 40}), marshalUsage(usage{}),
			marshalUsage(usage{bound: boundUnknown}), {usageUncounted, 2, 1, 0, 0}},
		"dirent":  {dirent{5, 0}.marshal(), dirent{0, 1 << 63}.marshal()},
		"page":    {marshalPage(v.chunks.inline), marshalPage(nil)},
		"list":    {marshalList(paged.chunks.pages), marshalList(nil)},
		"garbage": {slots.b, {0}},
	}
}

// TestCodecSamples: the samples are read back, and neither a shorter nor a longer record is one.
func TestCodecSamples(t *testing.T) {
	for kind, codec := range codecs() {
		samples := sampleRecords()[kind]
		require.NotEmpty(t, samples, kind)
		for i, rec := range samples {
			again, err := codec(rec)
			require.NoError(t, err, "%s %d", kind, i)
			require.Equal(t, rec, again, "%s %d", kind, i)
			for n := range rec {
				_, err := codec(rec[:n])
				require.Error(t, err, "%s %d cut to %d bytes", kind, i, n)
			}
			_, err = codec(append(bytes.Clone(rec), 0))
			require.Error(t, err, "%s %d with a byte behind it", kind, i)
		}
	}
}

// FuzzCodecs: what a reader accepts it writes back to the byte, so that a record has one encoding only.
func FuzzCodecs(f *testing.F) {
	for kind, samples := range sampleRecords() {
		for _, rec := range samples {
			f.Add(kind, rec)
		}
	}
	f.Fuzz(func(t *testing.T, kind string, rec []byte) {
		codec, ok := codecs()[kind]
		if !ok {
			return
		}
		again, err := codec(rec)
		if err == nil && !bytes.Equal(rec, again) && !old(kind, rec) {
			t.Fatalf("%s: read %x, written back as %x", kind, rec, again)
		}
	})
}

// old reports a record that is only read.
func old(kind string, rec []byte) bool { return kind == "inode" && rec[0] == recordVersion }

// TestCodecMutations is the fuzz test's property over single-byte changes of the samples.
func TestCodecMutations(t *testing.T) {
	accepted := 0
	for kind, samples := range sampleRecords() {
		for _, rec := range samples {
			for i := range rec {
				for _, c := range []byte{0, 1, 2, 0x7f, 0x80, 0xff, rec[i] + 1, rec[i] ^ 0x40} {
					changed := bytes.Clone(rec)
					changed[i] = c
					if again, err := codecs()[kind](changed); err == nil {
						accepted++
						require.True(t, bytes.Equal(changed, again) || old(kind, changed), "%s byte %d", kind, i)
					}
				}
			}
		}
	}
	require.Positive(t, accepted)
}

func TestNoncurrentKey(t *testing.T) {
	for _, name := range []string{"", "a", "a\xff", "\x01"} {
		for _, seq := range []uint64{0, 1, 1 << 63, 1<<64 - 1} {
			h, n, s, ok := splitNoncurrent(noncurrentKey(7, name, seq))
			require.True(t, ok)
			require.Equal(t, fmt.Sprint(7, name, seq), fmt.Sprint(h, n, s))
		}
	}
	require.Negative(t, bytes.Compare(noncurrentKey(7, "a", 5), noncurrentKey(7, "a", 4)), "newest first")
	require.Negative(t, bytes.Compare(noncurrentKey(7, "a", 4), noncurrentKey(7, "a-", 5)))
}

// TestLiveMapAgainstSlice compares random changes of a map with a slice that has a slot for every chunk.
func TestLiveMapAgainstSlice(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) { liveMapRun(t, rand.New(rand.NewPCG(seed, 5))) })
	}
}

type slotOf struct {
	slot uint64
	tail uint32
}

func liveMapRun(t *testing.T, r *rand.Rand) {
	const total = 3*pageChunks + 100
	want := make([]slotOf, total) // tail 0: a hole
	pages := map[uint64][]byte{}
	load := func(p pageRef) ([]extent, error) {
		require.Equal(t, p.sum, pageSum(pages[p.id]))
		return unmarshalPage(pages[p.id])
	}
	m := newLiveMap(chunkMap{}, load)
	next := uint64(0)
	for range 300 {
		i := r.Int64N(total)
		n := min(1+r.Int64N(1<<r.IntN(9)), total-i)
		if r.IntN(3) == 0 {
			removed, err := m.drop(i, i+n)
			require.NoError(t, err)
			requireRemoved(t, want[i:i+n], removed, i)
			clear(want[i : i+n])
		} else {
			e := extent{i, n, next, uint32(1 + r.IntN(chunkSize))}
			if r.IntN(4) == 0 {
				e.count, e.slot, n = 1, randomSlot(), 1
			}
			next += uint64(n) + uint64(r.IntN(2))
			removed, err := m.put(e)
			require.NoError(t, err)
			requireRemoved(t, want[i:i+n], removed, i)
			for k := range n {
				want[i+k] = slotOf{e.slot + uint64(k), uint32(e.length(i + k))}
			}
		}
		if r.IntN(20) == 0 {
			m = reencode(t, m, pages, load)
		}
	}
	requireMap(t, want, m)
	requireMap(t, want, reencode(t, m, pages, load))
}

// reencode stores the map and opens what was stored.
func reencode(t *testing.T, m *liveMap, pages map[uint64][]byte, load func(pageRef) ([]extent, error)) *liveMap {
	enc, err := m.encode(func(_ byte, _ int64, rec []byte) (uint64, error) {
		id := uint64(len(pages) + 2)
		pages[id] = rec
		return id, nil
	})
	require.NoError(t, err)
	m.settle()
	require.Equal(t, m.bytes(), enc.allocated())
	w := writer{}
	enc.marshal(&w)
	r := reader{b: w.b}
	again := unmarshalChunks(&r, 0)
	require.NoError(t, r.end())
	return newLiveMap(again, load)
}

func requireRemoved(t *testing.T, was []slotOf, removed []extent, from int64) {
	t.Helper()
	got := make([]slotOf, len(was))
	for _, e := range removed {
		for k := range e.count {
			got[e.index+k-from] = slotOf{e.slot + uint64(k), uint32(e.length(e.index + k))}
		}
	}
	require.Equal(t, was, got)
}

func requireMap(t *testing.T, want []slotOf, m *liveMap) {
	t.Helper()
	for i, w := range want {
		e, ok, err := m.find(int64(i))
		require.NoError(t, err)
		require.Equal(t, w.tail != 0, ok, "chunk %d", i)
		if ok {
			require.Equal(t, w, slotOf{e.slot + uint64(int64(i)-e.index), uint32(e.length(int64(i)))}, "chunk %d", i)
		}
	}
}
