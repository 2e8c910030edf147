package kv

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// model is what the store should hold.
type model struct {
	keys, data map[string]string
	nextID     int
}

func (m *model) clone() *model {
	c := &model{map[string]string{}, map[string]string{}, m.nextID}
	for k, v := range m.keys {
		c.keys[k] = v
	}
	for k, v := range m.data {
		c.data[k] = v
	}
	return c
}

func (m *model) sorted(from, to string) []string {
	var out []string
	for k := range m.keys {
		if k >= from && (to == "" || k < to) {
			out = append(out, k)
		}
	}
	sort.Strings(out)
	return out
}

func randomKey(r *rand.Rand) string {
	return fmt.Sprintf("%c%c%02d", 'a'+r.IntN(3), 'a'+r.IntN(3), r.IntN(40))
}

// step makes one random transaction in both.
func (m *model) step(t *testing.T, r *rand.Rand, db *DB) {
	t.Helper()
	next := m.clone()
	abort := r.IntN(10) == 0
	err := db.Update(func(tx *Tx) error {
		for range 1 + r.IntN(12) {
			next.op(t, r, tx)
		}
		next.compareRange(t, r, tx)
		if abort {
			return os.ErrInvalid
		}
		return nil
	})
	if abort {
		require.ErrorIs(t, err, os.ErrInvalid)
		return
	}
	require.NoError(t, err)
	*m = *next
}

func (m *model) op(t *testing.T, r *rand.Rand, tx *Tx) {
	k := randomKey(r)
	switch r.IntN(10) {
	case 0, 1, 2:
		delete(m.keys, k)
		tx.Delete([]byte(k))
	case 3:
		m.nextID++
		id, v := fmt.Sprintf("id%d", m.nextID), fmt.Sprint(r.Uint64())
		m.data[id] = v
		tx.PutData([]byte(id), []byte(v))
	case 4:
		for id := range m.data {
			delete(m.data, id)
			tx.DeleteData([]byte(id))
			break
		}
	default:
		v := fmt.Sprint(r.Uint64())
		m.keys[k] = v
		tx.Put([]byte(k), []byte(v))
	}
	m.compareKey(t, tx, randomKey(r))
}

func (m *model) compareKey(t *testing.T, r Reader, k string) {
	t.Helper()
	got, err := r.Get([]byte(k))
	want, ok := m.keys[k]
	if !ok {
		require.ErrorIs(t, err, ErrNotFound, k)
		return
	}
	require.NoError(t, err, k)
	require.Equal(t, want, string(got), k)
}

// compareRange scans a random range in both directions.
func (m *model) compareRange(t *testing.T, rnd *rand.Rand, r Reader) {
	t.Helper()
	from, to := randomKey(rnd)[:1+rnd.IntN(4)], ""
	if rnd.IntN(3) > 0 {
		to = randomKey(rnd)
	}
	if rnd.IntN(4) == 0 {
		from = ""
	}
	m.compareBounds(t, r, from, to)
}

func (m *model) compareBounds(t *testing.T, r Reader, from, to string) {
	t.Helper()
	want := m.sorted(from, to)
	var got []string
	collect := func(k, v []byte) (bool, error) {
		require.Equal(t, m.keys[string(k)], string(v))
		got = append(got, string(k))
		return true, nil
	}
	var hi []byte
	if to != "" {
		hi = []byte(to)
	}
	require.NoError(t, r.Ascend([]byte(from), hi, collect))
	require.Equal(t, want, got)
	got = nil
	require.NoError(t, r.Descend(hi, []byte(from), collect))
	sort.Sort(sort.Reverse(sort.StringSlice(want)))
	require.Equal(t, want, got)
}

func (m *model) compareAll(t *testing.T, db *DB) {
	t.Helper()
	require.NoError(t, db.View(func(r Reader) error {
		m.compareBounds(t, r, "", "")
		return nil
	}))
	m.compareData(t, db)
}

func (m *model) compareData(t *testing.T, db *DB) {
	t.Helper()
	for n := 1; n <= m.nextID; n++ {
		id := fmt.Sprintf("id%d", n)
		got, err := db.GetData([]byte(id))
		if want, ok := m.data[id]; ok {
			require.NoError(t, err, id)
			require.Equal(t, want, string(got))
		} else {
			require.ErrorIs(t, err, ErrNotFound, id)
		}
	}
}

// copyDir copies a store that may be open, as a crash would leave it: badger's compactions
// must not have changed the set of files meanwhile.
func copyDir(t testing.TB, from string) string {
	t.Helper()
	for range 50 {
		to := filepath.Join(tempDir(t), "copy")
		before := fileSet(t, from)
		out, err := exec.Command("cp", "-a", "--sparse=always", from, to).CombinedOutput()
		if err == nil && before == fileSet(t, from) {
			return to
		}
		t.Log("copy again:", err, string(out))
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatal("the store never rests")
	return ""
}

// fileSet names badger's files with their sizes.
func fileSet(t testing.TB, dir string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	require.NoError(t, err)
	require.NotEmpty(t, names)
	out := ""
	for _, name := range names {
		out += fmt.Sprintln(name, fileSize(name))
	}
	return out
}

func TestModel(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { runModel(t, seed, 300) })
	}
}

func runModel(t *testing.T, seed uint64, steps int) {
	r := rand.New(rand.NewPCG(seed, 1))
	dir := tempDir(t)
	db := mustOpen(t, dir, small())
	m := &model{keys: map[string]string{}, data: map[string]string{}}
	for range steps {
		switch r.IntN(40) {
		case 0:
			require.NoError(t, db.Close())
			db = mustOpen(t, dir, small())
			require.Zero(t, db.Stats().Replayed)
			m.compareAll(t, db)
		case 1: // the process dies: what is in the files goes on
			dead := db
			dir = copyDir(t, dir)
			require.NoError(t, dead.Close())
			db = mustOpen(t, dir, small())
			m.compareAll(t, db)
		case 2, 3:
			require.NoError(t, db.Checkpoint())
		case 4:
			require.NoError(t, db.Sync())
		case 5:
			m.viewDuringChanges(t, r, db)
		case 6:
			require.NoError(t, db.Compact(t.Context()))
			m.compareData(t, db)
		default:
			m.step(t, r, db)
		}
	}
	m.compareAll(t, db)
	var damage []error
	require.NoError(t, db.Check(t.Context(), nil, func(err error) { damage = append(damage, err) }))
	require.Empty(t, damage)
	require.NoError(t, db.Close())
}

// viewDuringChanges checks that a View sees nothing of what happens after its start.
func (m *model) viewDuringChanges(t *testing.T, r *rand.Rand, db *DB) {
	before := m.clone()
	require.NoError(t, db.View(func(v Reader) error {
		for range 5 {
			m.step(t, r, db)
			before.compareRange(t, r, v)
			before.compareKey(t, v, randomKey(r))
		}
		require.NoError(t, db.Checkpoint())
		m.step(t, r, db)
		require.NoError(t, db.Checkpoint())
		before.compareBounds(t, v, "", "")
		return nil
	}))
}

func TestScanStopsAndPassesErrors(t *testing.T) {
	db := mustOpen(t, tempDir(t), small())
	defer db.Close()
	put(t, db, "a", "1", "b", "2")
	require.NoError(t, db.Checkpoint())
	put(t, db, "c", "3")
	n := 0
	require.NoError(t, db.View(func(r Reader) error {
		return r.Ascend(nil, nil, func(k, v []byte) (bool, error) { n++; return false, nil })
	}))
	require.Equal(t, 1, n)
	err := db.View(func(r Reader) error {
		return r.Descend(nil, nil, func(k, v []byte) (bool, error) { return true, os.ErrInvalid })
	})
	require.ErrorIs(t, err, os.ErrInvalid)
	require.Panics(t, func() {
		_ = db.View(func(r Reader) error {
			return r.Ascend(nil, nil, func(k, v []byte) (bool, error) { panic("the caller's own") })
		})
	}, "a panic of the caller is not taken for damage")
}

func TestLimits(t *testing.T) {
	db := mustOpen(t, tempDir(t), small())
	defer db.Close()
	for name, write := range map[string]func(tx *Tx){
		"empty key":  func(tx *Tx) { tx.Put(nil, []byte("v")) },
		"long key":   func(tx *Tx) { tx.Put(bytes.Repeat([]byte("k"), MaxKey+1), nil) },
		"long value": func(tx *Tx) { tx.Put([]byte("k"), make([]byte, MaxValue+1)) },
		"long data":  func(tx *Tx) { tx.PutData([]byte("k"), make([]byte, MaxValue+1)) },
	} {
		err := db.Update(func(tx *Tx) error {
			tx.Put([]byte("beside"), nil)
			write(tx)
			return nil
		})
		require.ErrorIs(t, err, ErrTooLarge, name)
	}
	missing(t, db, "beside")
	big := string(bytes.Repeat([]byte("v"), MaxValue))
	put(t, db, string(bytes.Repeat([]byte("k"), MaxKey)), big, "empty", "")
	require.NoError(t, db.Checkpoint())
	require.Equal(t, big, value(t, db, string(bytes.Repeat([]byte("k"), MaxKey))))
	require.Equal(t, "", value(t, db, "empty"))
}

// A transaction may be larger than a segment, and than all segments together.
func TestHugeTransaction(t *testing.T) {
	dir := tempDir(t)
	db := mustOpen(t, dir, small())
	val := bytes.Repeat([]byte("x"), 100)
	huge := func(tx *Tx) error {
		for i := range 50000 {
			tx.Put(fmt.Appendf(nil, "key%06d", i), val)
		}
		return nil
	}
	require.NoError(t, db.Update(huge))
	crashed := copyDir(t, dir)
	require.NoError(t, db.Close())
	segments, err := filepath.Glob(filepath.Join(dir, "journal", "*"))
	require.NoError(t, err)
	require.Len(t, segments, 3)
	for _, s := range segments {
		require.EqualValues(t, 1<<20, fileSize(s), "shrunk again")
	}
	db = mustOpen(t, crashed, small())
	require.EqualValues(t, 1, db.Stats().Replayed)
	require.Equal(t, string(val), value(t, db, "key049999"))
	require.NoError(t, db.Close())
}
