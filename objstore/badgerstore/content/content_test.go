package content

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

const testSlot = 65576 // a sealed 64 KiB chunk

func openTest(t testing.TB, ops Ops) *Dir {
	t.Helper()
	d, err := OpenWith(filepath.Join(t.TempDir(), "content"), ops)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	return d
}

// reopen is what a process finds that starts after this one died.
func reopen(t testing.TB, d *Dir) *Dir {
	t.Helper()
	e, err := Open(d.root)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	return e
}

func testID(n int) (id ID) {
	id[0], id[1], id[15] = byte(n), byte(n>>8), 0xee
	return id
}

func pattern(seed, n int) []byte {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(uint64(seed), 1))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func mustAppend(t testing.TB, d *Dir, id ID, data []byte) uint64 {
	t.Helper()
	first, err := d.Append(id, testSlot, data)
	require.NoError(t, err)
	return first
}

func requireContent(t testing.TB, d *Dir, id ID, slot uint64, want []byte) {
	t.Helper()
	got := make([]byte, len(want))
	require.NoError(t, d.ReadAt(id, testSlot, slot, got))
	require.True(t, bytes.Equal(want, got), "slot %d of %s differs", slot, id)
}

func TestAppendRead(t *testing.T) {
	d := openTest(t, OS{})
	id := testID(1)
	long := pattern(1, 2*testSlot+100) // its third slot is short
	require.Equal(t, uint64(0), mustAppend(t, d, id, long))
	require.Equal(t, uint64(3), mustAppend(t, d, id, []byte("fourth")))
	require.Equal(t, uint64(4), mustAppend(t, d, id, pattern(2, testSlot)))
	requireContent(t, d, id, 0, long)
	requireContent(t, d, id, 1, long[testSlot:])
	requireContent(t, d, id, 3, []byte("fourth"))
	requireContent(t, d, id, 4, pattern(2, testSlot))
	require.FileExists(t, filepath.Join(d.root, "01", "010000000000000000000000000000ee"))

	e := reopen(t, d)
	requireContent(t, e, id, 0, long)
	require.Equal(t, uint64(5), mustAppend(t, e, id, []byte("x")))
}

func TestAppendWith(t *testing.T) {
	d := openTest(t, OS{})
	id := testID(1)
	next := func() uint64 {
		n, err := d.Next(id, testSlot)
		require.NoError(t, err)
		return n
	}
	require.Equal(t, uint64(0), next())
	require.NoFileExists(t, d.path(id), "asking makes no file")
	mustAppend(t, d, id, []byte("x"))
	require.Equal(t, uint64(1), next())
	bound := func(first uint64) []byte { return fmt.Appendf(nil, "slot %d", first) }
	first, err := d.AppendWith(id, testSlot, 6, bound)
	require.NoError(t, err)
	require.Equal(t, uint64(1), first)
	requireContent(t, d, id, 1, []byte("slot 1"))

	_, err = d.AppendWith(id, testSlot, 5, bound) // more than announced would run into another's slot
	require.Error(t, err)
	require.ErrorContains(t, err, "6 bytes were given, 5 were announced")
	require.Equal(t, uint64(3), next())
	require.NoError(t, d.Sync())
}

func TestReadMissing(t *testing.T) {
	d := openTest(t, OS{})
	mustAppend(t, d, testID(1), pattern(1, testSlot+10))
	for _, c := range []struct {
		name string
		id   ID
		slot uint64
		n    int
		want error
		not  error
	}{
		{"no file", testID(2), 0, 1, ErrMissing, ErrShort},
		{"behind the end", testID(1), 2, 1, ErrMissing, ErrShort},
		{"out of range", testID(1), 1 << 62, 1, ErrMissing, ErrShort},
		{"within the range", testID(1), 1, 11, ErrShort, os.ErrClosed},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := d.ReadAt(c.id, testSlot, c.slot, make([]byte, c.n))
			require.Error(t, err)
			require.ErrorIs(t, err, c.want)
			require.ErrorIs(t, err, ErrMissing)
			require.NotErrorIs(t, err, c.not)
		})
	}
	require.NoFileExists(t, d.path(testID(2)))
	_, _, err := d.Stat(testID(2))
	require.Error(t, err)
	require.ErrorIs(t, err, ErrMissing)
}

func TestRefusesSenselessCalls(t *testing.T) {
	d := openTest(t, OS{})
	_, err := d.Append(testID(1), testSlot, nil)
	require.Error(t, err)
	_, err = d.Append(testID(1), 0, []byte("x"))
	require.Error(t, err)
	require.Error(t, d.Reserve(testID(1), testSlot, 1<<60))
	_, err = d.Next(testID(1), 0)
	require.Error(t, err)
	_, err = OpenWith(filepath.Join(t.TempDir(), "no", "parent"), OS{})
	require.Error(t, err)
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err = Open(file)
	require.Error(t, err)
}

// Several users append to the same contents: all slots are distinct and hold what was written.
func TestConcurrentAppend(t *testing.T) {
	d := openTest(t, OS{})
	const users, appends, contents = 6, 30, 3
	type place struct {
		id   ID
		slot uint64
		data []byte
	}
	var mu sync.Mutex
	var places []place
	var wg sync.WaitGroup
	for u := range users {
		wg.Go(func() {
			for a := range appends {
				p := place{id: testID(a % contents), data: pattern(u*appends+a, 1+(u*appends+a)*997%(3*testSlot))}
				var err error
				if p.slot, err = d.Append(p.id, testSlot, p.data); err != nil {
					t.Error(err)
					return
				}
				if a%7 == 0 {
					if err := d.Sync(); err != nil {
						t.Error(err)
					}
				}
				mu.Lock()
				places = append(places, p)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	require.Len(t, places, users*appends)
	taken := map[string]bool{}
	for _, p := range places {
		requireContent(t, d, p.id, p.slot, p.data)
		for s := range slots(int64(len(p.data)), testSlot) {
			name := fmt.Sprint(p.id, p.slot+uint64(s))
			require.False(t, taken[name], "slot %s given out twice", name)
			taken[name] = true
		}
	}
}

// Readers that look for a content while it is being made neither fail it nor split its allocator.
func TestConcurrentCreateAndMissingReads(t *testing.T) {
	d := openTest(t, OS{})
	for n := range 100 {
		id := testID(n)
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				err := d.ReadAt(id, testSlot, 0, make([]byte, 1))
				if err != nil && !errors.Is(err, ErrMissing) {
					t.Error(err)
				}
			})
		}
		firsts := make([]uint64, 2)
		for w := range firsts {
			wg.Go(func() {
				var err error
				if firsts[w], err = d.Append(id, testSlot, []byte("x")); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		require.ElementsMatch(t, []uint64{0, 1}, firsts)
	}
	require.Len(t, d.dirty, 100)
	require.NoError(t, d.Sync())
	require.Empty(t, d.dirty)
	require.Empty(t, d.dirs)
}

func TestRemove(t *testing.T) {
	d := openTest(t, OS{})
	id := testID(1)
	mustAppend(t, d, id, []byte("x"))
	f, err := d.acquire(id, false) // a reader under way
	require.NoError(t, err)
	require.NoError(t, d.Remove(id))
	require.NoFileExists(t, d.path(id))
	got := make([]byte, 1)
	_, err = f.h.ReadAt(got, 0)
	require.NoError(t, err)
	require.Equal(t, "x", string(got))
	d.release(f)
	require.False(t, f.isOpen())

	err = d.ReadAt(id, testSlot, 0, got)
	require.Error(t, err)
	require.ErrorIs(t, err, ErrMissing)
	require.NoError(t, d.Remove(id), "removing what is not there")
	require.NoError(t, d.Sync())
}

func TestReserve(t *testing.T) {
	d := openTest(t, OS{})
	require.NoError(t, d.Reserve(testID(1), testSlot, 10))
	require.Equal(t, uint64(10), mustAppend(t, d, testID(1), []byte("x")))
	require.NoError(t, d.Reserve(testID(1), testSlot, 5))
	require.Equal(t, uint64(11), mustAppend(t, d, testID(1), []byte("x")))
	require.NoError(t, d.Reserve(testID(2), testSlot, 3))
	e := reopen(t, d)
	require.Equal(t, uint64(12), mustAppend(t, e, testID(1), []byte("x")))
	require.Equal(t, uint64(3), mustAppend(t, e, testID(2), []byte("x")))
}

// Power loss shrinks a file to what was synced; the database's word keeps its later numbers from being reused.
func TestReserveAfterPowerLoss(t *testing.T) {
	d := openTest(t, OS{})
	id := testID(1)
	mustAppend(t, d, id, pattern(1, 3*testSlot))
	require.NoError(t, d.Sync())
	require.Equal(t, uint64(3), mustAppend(t, d, id, pattern(2, 2*testSlot)))
	require.NoError(t, os.Truncate(d.path(id), 3*testSlot+10))

	e := reopen(t, d)
	err := e.ReadAt(id, testSlot, 3, make([]byte, testSlot))
	require.Error(t, err)
	require.ErrorIs(t, err, ErrShort)
	require.NoError(t, e.Reserve(id, testSlot, 5))
	require.Equal(t, uint64(5), mustAppend(t, e, id, pattern(3, testSlot)))
	requireContent(t, e, id, 0, pattern(1, 3*testSlot))
}

// Users come and go at more contents than may stay open, while others remove, punch and sync.
func TestChurn(t *testing.T) {
	d := openTest(t, OS{})
	d.maxIdle, d.maxDirty = 2, 5
	var wg sync.WaitGroup
	for u := range 6 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(u), 2))
			for n := range 60 {
				id := testID(u*1000 + n)
				data := pattern(n, 1+r.IntN(2*testSlot))
				for range 2 {
					first, err := d.Append(id, testSlot, data)
					got := make([]byte, len(data))
					if err := errors.Join(err, d.ReadAt(id, testSlot, first, got)); err != nil || !bytes.Equal(got, data) {
						t.Errorf("user %d, content %d: lost (%v)", u, n, err)
					}
				}
				var err error
				switch r.IntN(3) {
				case 0:
					err = d.Remove(id)
				case 1:
					err = d.Punch(id, testSlot, 0, 1)
				case 2:
					err = d.Sync()
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	require.NoError(t, d.Sync())
	require.LessOrEqual(t, len(d.files), 2)
	require.Empty(t, d.dirty)
	for _, f := range d.files {
		require.Zero(t, f.users)
	}
}

func TestList(t *testing.T) {
	d := openTest(t, OS{})
	want := map[ID]bool{}
	for n := range 20 {
		mustAppend(t, d, testID(n), pattern(n, 5000))
		want[testID(n)] = true
	}
	require.NoError(t, d.Sync())
	for _, foreign := range []string{"lost+found", "01/note", "01/020000000000000000000000000000ee", "zz"} {
		require.NoError(t, os.WriteFile(filepath.Join(d.root, foreign), nil, 0o600))
	}
	got := map[ID]bool{}
	require.NoError(t, d.List(func(id [16]byte, allocated int64) error {
		require.GreaterOrEqual(t, allocated, int64(5000))
		got[id] = true
		return nil
	}))
	require.Equal(t, want, got)

	stop := errors.New("stop")
	err := d.List(func([16]byte, int64) error { return stop })
	require.Error(t, err)
	require.ErrorIs(t, err, stop)
}

// Descriptors stay bounded, and the allocator survives being forgotten.
func TestIdleFilesAreClosed(t *testing.T) {
	d := openTest(t, OS{})
	for n := range maxIdle + 50 {
		mustAppend(t, d, testID(n), []byte("x"))
	}
	require.NoError(t, d.Sync())
	require.Len(t, d.files, maxIdle)
	require.Equal(t, maxIdle, d.idle.Len())
	for n := range maxIdle + 50 {
		require.Equal(t, uint64(1), mustAppend(t, d, testID(n), []byte("y")))
	}
}

func TestTooManyDirtyFilesAreSynced(t *testing.T) {
	d := openTest(t, OS{})
	d.maxDirty = 3
	for n := range 3 {
		mustAppend(t, d, testID(n), []byte("x"))
	}
	require.Len(t, d.dirty, 3)
	mustAppend(t, d, testID(3), []byte("x"))
	require.Len(t, d.dirty, 1)
	require.Contains(t, d.dirty, testID(3))
}

func TestClosed(t *testing.T) {
	d := openTest(t, OS{})
	mustAppend(t, d, testID(1), []byte("x"))
	f, err := d.acquire(testID(1), false)
	require.NoError(t, err)
	require.NoError(t, d.Close())
	require.True(t, f.isOpen(), "closed under a reader")
	d.release(f)
	require.False(t, f.isOpen())
	for _, err := range []error{d.Sync(), d.ReadAt(testID(1), testSlot, 0, make([]byte, 1)), d.Remove(testID(1))} {
		require.Error(t, err)
		require.ErrorIs(t, err, ErrClosed)
	}
	_, err = d.Append(testID(1), testSlot, []byte("x"))
	require.Error(t, err)
	require.ErrorIs(t, err, ErrClosed)
}
