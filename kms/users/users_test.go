package users_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kmsfs/kms/kmstest"
	"kmsfs/kms/sigv4"
	"kmsfs/kms/users"
)

func testKey() []byte { return bytes.Repeat([]byte{3}, 32) }

func open(t *testing.T, r *kmstest.Records) *users.Store {
	t.Helper()
	s, err := users.Open(r, testKey(), func() time.Time { return time.Unix(1700000000, 5) })
	require.NoError(t, err)
	return s
}

func TestLife(t *testing.T) {
	r := &kmstest.Records{}
	s := open(t, r)
	made, err := s.Create("alice")
	require.NoError(t, err)
	require.Regexp(t, "^AKIA[A-Z2-7]{16}$", made.AccessKeyID)
	require.Regexp(t, "^[A-Za-z0-9+/]{40}$", string(made.Secret))
	require.Equal(t, "alice", made.User)
	_, err = s.Create("alice")
	require.Error(t, err)
	require.ErrorIs(t, err, users.ErrExists)
	bob, err := s.Create("bob")
	require.NoError(t, err)
	require.NotEqual(t, made.AccessKeyID, bob.AccessKeyID)
	require.NotEqual(t, made.Secret, bob.Secret)

	s = open(t, r) // another process
	want := time.Unix(1700000000, 5).UTC()
	require.Equal(t, []users.User{{Name: "alice", AccessKeyID: made.AccessKeyID, Created: want}, {Name: "bob", AccessKeyID: bob.AccessKeyID, Created: want}}, s.List())
	got, err := s.Get("alice")
	require.NoError(t, err)
	require.Equal(t, made, got)
	got, err = s.Lookup(context.Background(), made.AccessKeyID)
	require.NoError(t, err)
	require.Equal(t, made, got)
	clear(got.Secret)
	got, err = s.Lookup(context.Background(), made.AccessKeyID)
	require.NoError(t, err)
	require.Equal(t, made.Secret, got.Secret, "a caller wipes its own copy")

	require.NoError(t, s.Delete("alice"))
	for _, s := range []*users.Store{s, open(t, r)} {
		_, err = s.Lookup(context.Background(), made.AccessKeyID)
		require.Error(t, err)
		require.ErrorIs(t, err, sigv4.ErrNoKey)
		_, err = s.Get("alice")
		require.Error(t, err)
		require.ErrorIs(t, err, users.ErrNotFound)
	}
	err = s.Delete("alice")
	require.Error(t, err)
	require.ErrorIs(t, err, users.ErrNotFound)
}

func TestNames(t *testing.T) {
	s := open(t, &kmstest.Records{})
	for _, name := range []string{"a", "root", "first.last@example.org", "a+b=c,d-e_f", strings.Repeat("x", 64)} {
		_, err := s.Create(name)
		require.NoError(t, err, name)
	}
	for _, name := range []string{"", "a b", "a/b", "*", "ä", "a\n", strings.Repeat("x", 65)} {
		_, err := s.Create(name)
		require.Error(t, err, name)
		require.ErrorIs(t, err, users.ErrName, name)
	}
}

// TestNothingInClear: a record shows neither the secret nor the access key id.
func TestNothingInClear(t *testing.T) {
	r := &kmstest.Records{}
	c, err := open(t, r).Create("alice")
	require.NoError(t, err)
	records, err := r.Load()
	require.NoError(t, err)
	require.Len(t, records, 1)
	sealed := records["user/alice"]
	require.NotEmpty(t, sealed)
	require.NotContains(t, string(sealed), c.AccessKeyID)
	require.NotContains(t, string(sealed), string(c.Secret))
}

func TestDamage(t *testing.T) {
	flip := func(sealed []byte) []byte { sealed[len(sealed)/2] ^= 1; return sealed }
	for name, damage := range map[string]func(map[string][]byte) []byte{
		"flipped":   func(m map[string][]byte) []byte { return flip(m["user/alice"]) },
		"truncated": func(m map[string][]byte) []byte { return m["user/alice"][:20] },
		"empty":     func(map[string][]byte) []byte { return []byte{} },
		"swapped":   func(m map[string][]byte) []byte { return m["user/bob"] },
	} {
		t.Run(name, func(t *testing.T) {
			r := &kmstest.Records{}
			s := open(t, r)
			alice, err := s.Create("alice")
			require.NoError(t, err)
			bob, err := s.Create("bob")
			require.NoError(t, err)
			records, err := r.Load()
			require.NoError(t, err)
			r.Set("user/alice", damage(records))
			s = open(t, r)
			require.True(t, s.List()[0].Damaged)
			_, err = s.Lookup(context.Background(), alice.AccessKeyID)
			require.Error(t, err)
			require.ErrorIs(t, err, sigv4.ErrNoKey)
			_, err = s.Get("alice")
			require.Error(t, err)
			require.ErrorIs(t, err, users.ErrDamaged)
			got, err := s.Lookup(context.Background(), bob.AccessKeyID)
			require.NoError(t, err)
			require.Equal(t, bob, got)
			_, err = s.Create("alice")
			require.Error(t, err)
			require.ErrorIs(t, err, users.ErrExists)
			require.NoError(t, s.Delete("alice"))
			_, err = s.Create("alice")
			require.NoError(t, err)
		})
	}
}

func TestTrouble(t *testing.T) {
	trouble := errors.New("disk full")
	r := &kmstest.Records{}
	s := open(t, r)
	r.Fail(trouble)
	_, err := s.Create("alice")
	require.Error(t, err)
	require.ErrorIs(t, err, trouble)
	require.Empty(t, s.List())
	r.Fail(nil)
	alice, err := s.Create("alice")
	require.NoError(t, err)
	r.Fail(trouble)
	err = s.Delete("alice")
	require.Error(t, err)
	require.ErrorIs(t, err, trouble)
	_, err = s.Lookup(context.Background(), alice.AccessKeyID)
	require.NoError(t, err, "what could not be deleted is still there")

	_, err = users.Open(r, testKey()[1:], nil)
	require.Error(t, err)
	require.ErrorContains(t, err, "31 bytes, want 32")
	other := &kmstest.Records{}
	require.NoError(t, other.Save(map[string][]byte{"key/x": nil}, nil))
	_, err = users.Open(other, testKey(), nil)
	require.Error(t, err)
	require.ErrorContains(t, err, `record "key/x" is of a kind`)
}

func TestClosed(t *testing.T) {
	s := open(t, &kmstest.Records{})
	alice, err := s.Create("alice")
	require.NoError(t, err)
	require.NoError(t, s.Close())
	_, err = s.Lookup(context.Background(), alice.AccessKeyID)
	require.Error(t, err)
	require.NotErrorIs(t, err, sigv4.ErrNoKey)
	_, err = s.Create("bob")
	require.Error(t, err)
	require.Error(t, s.Delete("alice"))
	require.Empty(t, s.List())
}

func TestConcurrent(t *testing.T) {
	s := open(t, &kmstest.Records{})
	var wg sync.WaitGroup
	made := make([]bool, 8)
	for i := range made {
		wg.Go(func() {
			c, err := s.Create("alice")
			made[i] = err == nil
			if err == nil {
				_, err = s.Lookup(context.Background(), c.AccessKeyID)
			} else if errors.Is(err, users.ErrExists) {
				err = nil
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	n := 0
	for _, m := range made {
		if m {
			n++
		}
	}
	require.Equal(t, 1, n)
}
