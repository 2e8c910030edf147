package storetest

import (
	"context"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"kmsfs/objstore"
)

func lists() []Case {
	return []Case{
		{"ListWeirdKeys", listWeirdKeys}, {"ListDelimiters", listDelimiters},
		{"DirsWithCharactersBeforeDelimiter", dirsBeforeDelimiter}, {"Pages", listPages}, {"AfterInsideDir", listAfterInside},
		{"EmptyBucket", listEmpty}, {"LimitIsReached", listExactLimit},
	}
}

func keysOf(objects []objstore.Object) (out []string) {
	for _, o := range objects {
		out = append(out, o.Key)
	}
	return out
}

// listAll pages through a listing: keys and common prefixes, in the order in which they came.
func listAll(t testing.TB, s objstore.Store, bucket string, in objstore.ListInput, limit int) (keys, prefixes []string) {
	t.Helper()
	in.Limit = limit
	for {
		l, err := s.ListObjects(context.Background(), bucket, in)
		require.NoError(t, err)
		require.LessOrEqual(t, len(l.Objects)+len(l.CommonPrefixes), limit)
		keys, prefixes = append(keys, keysOf(l.Objects)...), append(prefixes, l.CommonPrefixes...)
		if !l.Truncated {
			return keys, prefixes
		}
		require.Greater(t, l.Next, in.After, "a page has to get on")
		in.After = l.Next
	}
}

// listVersions pages through a version listing.
func listVersions(t testing.TB, s objstore.Store, bucket string, in objstore.ListInput, limit int) (out []objstore.Object) {
	t.Helper()
	in.Limit = limit
	for {
		l, err := s.ListVersions(context.Background(), bucket, in)
		require.NoError(t, err)
		require.LessOrEqual(t, len(l.Objects)+len(l.CommonPrefixes), limit)
		out = append(out, l.Objects...)
		if !l.Truncated {
			return out
		}
		require.False(t, l.Next == in.After && l.NextVersion == in.AfterVersion, "a page has to get on")
		in.After, in.AfterVersion = l.Next, l.NextVersion
	}
}

func listWeirdKeys(f *Fixture) {
	want := nastyKeys()
	for _, k := range want {
		f.put(k, k)
	}
	slices.Sort(want)
	for _, limit := range []int{1, 2, 3, 1000} {
		keys, prefixes := listAll(f, f.Store, f.Bucket, objstore.ListInput{}, limit)
		require.Equal(f, want, keys, "pages of %d", limit)
		require.Empty(f, prefixes)
		require.Equal(f, want, keysOf(listVersions(f, f.Store, f.Bucket, objstore.ListInput{}, limit)), "versions, pages of %d", limit)
	}
}

func listDelimiters(f *Fixture) {
	all := []string{"a", "a/b", "a/b/c", "a/b/d", "a\\b", "aXbXc", "aXbXd", "b//c", "b//d", "c/"}
	for _, k := range all {
		f.put(k, k)
	}
	for _, tc := range []struct {
		prefix, delimiter string
		keys, prefixes    []string
	}{
		{"", "/", []string{"a", "aXbXc", "aXbXd", "a\\b"}, []string{"a/", "b/", "c/"}},
		{"a/", "/", []string{"a/b"}, []string{"a/b/"}},
		{"a", "/", []string{"a", "aXbXc", "aXbXd", "a\\b"}, []string{"a/"}},
		{"", "X", []string{"a", "a/b", "a/b/c", "a/b/d", "a\\b", "b//c", "b//d", "c/"}, []string{"aX"}},
		{"aX", "X", nil, []string{"aXbX"}},
		{"b/", "/", nil, []string{"b//"}},
		{"b//", "/", []string{"b//c", "b//d"}, nil},
		{"", "b/", []string{"a", "a/b", "aXbXc", "aXbXd", "a\\b", "c/"}, []string{"a/b/", "b/"}},
		{"c/", "/", []string{"c/"}, nil},
		{"none", "/", nil, nil},
	} {
		for _, limit := range []int{1, 2, 1000} {
			keys, prefixes := listAll(f, f.Store, f.Bucket, objstore.ListInput{Prefix: tc.prefix, Delimiter: tc.delimiter}, limit)
			require.Equal(f, tc.keys, keys, "prefix %q delimiter %q", tc.prefix, tc.delimiter)
			require.Equal(f, tc.prefixes, prefixes, "prefix %q delimiter %q", tc.prefix, tc.delimiter)
		}
	}
}

// dirsBeforeDelimiter: "a-" and "a.txt" sort before "a/", which sorts before "a0".
func dirsBeforeDelimiter(f *Fixture) {
	want := []string{"a", "a-b/c", "a.txt", "a/-", "a/b", "a0", "b", "b-/x", "b/x"}
	for _, k := range want {
		f.put(k, k)
	}
	for _, limit := range []int{1, 2, 1000} {
		keys, _ := listAll(f, f.Store, f.Bucket, objstore.ListInput{}, limit)
		require.Equal(f, want, keys)
		_, prefixes := listAll(f, f.Store, f.Bucket, objstore.ListInput{Delimiter: "/"}, limit)
		require.Equal(f, []string{"a-b/", "a/", "b-/", "b/"}, prefixes)
	}
}

func listPages(f *Fixture) {
	l, err := f.Store.ListObjects(f.Ctx, f.Bucket, objstore.ListInput{After: "a"})
	require.NoError(f, err)
	require.False(f, l.Truncated)
	for _, k := range []string{"a", "b", "c"} {
		f.put(k, k)
	}
	l, err = f.Store.ListObjects(f.Ctx, f.Bucket, objstore.ListInput{After: "a", Limit: 1})
	require.NoError(f, err)
	require.True(f, l.Truncated)
	require.Equal(f, []string{"b"}, keysOf(l.Objects))
	require.Equal(f, "b", l.Next)
	f.delete("b", "")
	l, err = f.Store.ListObjects(f.Ctx, f.Bucket, objstore.ListInput{After: l.Next, Limit: 1})
	require.NoError(f, err)
	require.Equal(f, []string{"c"}, keysOf(l.Objects), "the key to continue behind may be gone")
}

func listAfterInside(f *Fixture) {
	for _, k := range []string{"a-z", "a/b", "a/c/d", "a/e", "b"} {
		f.put(k, k)
	}
	for after, want := range map[string][]string{
		"a/b":   {"a/c/d", "a/e", "b"},
		"a/c":   {"a/c/d", "a/e", "b"},
		"a/c/":  {"a/c/d", "a/e", "b"},
		"a/c/d": {"a/e", "b"},
		"a/c/z": {"a/e", "b"},
		"a-":    {"a-z", "a/b", "a/c/d", "a/e", "b"},
		"a.":    {"a/b", "a/c/d", "a/e", "b"},
		"a/":    {"a/b", "a/c/d", "a/e", "b"},
		"a0":    {"b"},
	} {
		keys, _ := listAll(f, f.Store, f.Bucket, objstore.ListInput{After: after}, 1000)
		require.Equal(f, want, keys, "after %q", after)
	}
}

func listEmpty(f *Fixture) {
	keys, prefixes := listAll(f, f.Store, f.Bucket, objstore.ListInput{Delimiter: "/"}, 10)
	require.Empty(f, keys)
	require.Empty(f, prefixes)
}

func listExactLimit(f *Fixture) {
	f.put("a", "")
	f.put("b/c", "")
	l, err := f.Store.ListObjects(f.Ctx, f.Bucket, objstore.ListInput{Limit: 2, Delimiter: "/"})
	require.NoError(f, err)
	require.False(f, l.Truncated)
	require.Empty(f, l.Next)
}
