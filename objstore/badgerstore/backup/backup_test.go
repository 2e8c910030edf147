package backup

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func testKeys(t *testing.T) *Keys {
	t.Helper()
	k, err := NewKeys(bytes.Repeat([]byte{7}, 32))
	require.NoError(t, err)
	return k
}

// cut makes the pages of n records, without those in gone.
func cut(t *testing.T, n int, gone map[int]bool) (pages map[string]bool, records int) {
	t.Helper()
	pages = map[string]bool{}
	p := Pages{Kind: Records, Out: func(page []byte) error {
		pages[string(page)] = true
		return EachRecord(page, func(kind PageKind, k, v []byte) error {
			require.Equal(t, Records, kind)
			require.Len(t, v, 300)
			records++
			return nil
		})
	}}
	for i := range n {
		if !gone[i] {
			require.NoError(t, p.Add(fmt.Appendf(nil, "I%08d", i), bytes.Repeat([]byte{byte(i)}, 300)))
		}
	}
	require.NoError(t, p.End())
	return pages, records
}

// A record more or less changes a few pages only.
func TestPagesOfAChange(t *testing.T) {
	const n = 20_000
	before, records := cut(t, n, nil)
	require.Equal(t, n, records)
	require.Greater(t, len(before), 200)
	for _, i := range []int{0, 1, 777, n / 2, n - 1} {
		after, _ := cut(t, n, map[int]bool{i: true})
		fresh := 0
		for page := range after {
			if !before[page] {
				fresh++
			}
		}
		require.Less(t, fresh, 20, "without record %d", i)
	}
}

func TestPagesRefuseGarbage(t *testing.T) {
	whole := []byte{1, 1, 'a', 2, 'b', 'c'}
	require.NoError(t, EachRecord(whole, func(PageKind, []byte, []byte) error { return nil }))
	for _, bad := range [][]byte{nil, {0}, {3, 0, 0}, whole[:5], whole[:2], {1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}} {
		require.ErrorIs(t, EachRecord(bad, func(PageKind, []byte, []byte) error { return nil }), errPage, "%x", bad)
	}
}

// missing answers exactly the slots that no pack has, whatever overlaps.
func TestIndexMissing(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	const slots = 60
	for round := range 300 {
		x := newIndex()
		has := map[uint64]bool{}
		var end uint64
		for pack := range rnd.IntN(4) {
			var entries []entry
			for range rnd.IntN(4) {
				r := Range{Content: [16]byte{1}, Slot: end + uint64(rnd.IntN(5)), Count: uint32(1 + rnd.IntN(9)), Size: 10}
				end = r.end()
				for s := r.Slot; s < r.end(); s++ {
					has[s] = true
				}
				entries = append(entries, slotsEntry(r, int(r.Count)*10), slotsEntry(Range{[16]byte{2}, r.Slot, r.Count, 10}, int(r.Count)*10))
			}
			x.add(fmt.Sprint(pack), 1, entries)
		}
		x.sort()
		want := Range{Content: [16]byte{1}, Slot: uint64(rnd.IntN(slots)), Count: uint32(1 + rnd.IntN(slots)), Size: 10}
		got := map[uint64]bool{}
		for _, r := range x.missing(want) {
			for s := r.Slot; s < r.end(); s++ {
				require.False(t, got[s])
				got[s] = true
			}
		}
		for s := want.Slot; s < want.end(); s++ {
			require.Equal(t, !has[s], got[s], "round %d, slot %d", round, s)
			delete(got, s)
		}
		require.Empty(t, got)
	}
}

// What packs have is one row in the index where slots follow each other, and is read as it was written.
func TestPackRoundTrip(t *testing.T) {
	k := testKeys(t)
	p := packer{keys: k, run: Run{9}}
	add := func(r Range, data []byte) {
		require.NoError(t, p.add(slotsEntry(r, len(data)), func(dst []byte) ([]byte, error) { return append(dst, data...), nil }))
	}
	id := k.pageID([]byte("page"))
	require.NoError(t, p.add(entry{kind: kindPage, key: id}, func(dst []byte) ([]byte, error) { return k.sealPage(dst, id, []byte("page")) }))
	c := [16]byte{5}
	add(Range{c, 3, 2, 10}, bytes.Repeat([]byte{1}, 20))
	add(Range{c, 5, 2, 10}, bytes.Repeat([]byte{2}, 15)) // short: nothing joins behind it
	add(Range{c, 7, 1, 10}, bytes.Repeat([]byte{3}, 10))
	add(Range{c, 1 << 63, 1, 0}, []byte("chunk"))
	head, name, err := p.finish()
	require.NoError(t, err)
	whole := append(head, p.body...)
	require.Equal(t, packName(whole), name)
	got, err := k.parsePack(whole)
	require.NoError(t, err)
	require.Equal(t, Run{9}, got.run)
	require.Len(t, got.entries, 4)
	require.Equal(t, Range{c, 3, 4, 10}, got.entries[1].slots())
	require.Equal(t, Range{c, 1 << 63, 1, 0}, got.entries[3].slots())
	plain, err := k.openPage(id, got.body[:got.entries[0].length])
	require.NoError(t, err)
	require.Equal(t, "page", string(plain))

	for v, want := range map[uint32]error{version + 1: ErrNewer, version - 1: ErrOlder} {
		binary.BigEndian.PutUint32(whole[8:], v)
		_, err = k.parsePack(whole)
		require.Error(t, err)
		require.ErrorIs(t, err, want)
	}
}
