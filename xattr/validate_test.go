package xattr

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// vector is one line of testdata/xattr.
type vector struct {
	name, value string
	ok          bool
	want        string // canonical form, or part of the refusal
}

func vectors(t testing.TB) (all []vector) {
	t.Helper()
	files, err := filepath.Glob("../testdata/xattr/*.txt")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(files), 5, "the vectors are missing")
	for _, file := range files {
		f, err := os.Open(file)
		require.NoError(t, err)
		defer f.Close()
		lines := bufio.NewScanner(f)
		require.True(t, lines.Scan(), file)
		name, before := lines.Text(), len(all)
		for lines.Scan() {
			if line := lines.Text(); line != "" && line[0] != '#' {
				v, err := parseVector(line)
				require.NoError(t, err, "%s: %s", file, line)
				v.name = name
				all = append(all, v)
			}
		}
		require.NoError(t, lines.Err())
		require.Greater(t, len(all), before, "%s has no vectors", file)
	}
	return all
}

func parseVector(line string) (v vector, err error) {
	kind, rest, _ := strings.Cut(line, " ")
	if kind != "ok" && kind != "bad" {
		return v, fmt.Errorf("want ok or bad, got %q", kind)
	}
	v.ok = kind == "ok"
	for _, into := range []*string{&v.value, &v.want} {
		rest = strings.TrimLeft(rest, " ")
		quoted, err := strconv.QuotedPrefix(rest)
		if err != nil {
			return v, err
		}
		if *into, err = strconv.Unquote(quoted); err != nil {
			return v, err
		}
		rest = rest[len(quoted):]
	}
	if rest != "" {
		return v, fmt.Errorf("%q follows", rest)
	}
	return v, nil
}

func TestVectors(t *testing.T) {
	for _, v := range vectors(t) {
		t.Run(v.name+"/"+v.value, func(t *testing.T) {
			got, err := Validate(v.name, []byte(v.value))
			if v.ok {
				require.NoError(t, err)
				require.Equal(t, v.want, string(got))
				return
			}
			require.Error(t, err)
			require.Nil(t, got)
			require.True(t, errors.Is(err, ErrSyntax) || errors.Is(err, ErrReadOnly))
			require.True(t, strings.HasPrefix(err.Error(), v.name+": "), err.Error())
			require.Contains(t, err.Error(), v.want)
		})
	}
}

func TestNames(t *testing.T) {
	for _, name := range EncryptionNames() {
		require.True(t, IsEncryption(name), name)
		require.False(t, IsVirtual(name), name)
	}
	for _, name := range VirtualNames() {
		require.True(t, IsVirtual(name), name)
		require.False(t, IsEncryption(name), name)
		_, err := Validate(name, []byte("x"))
		require.Error(t, err)
		require.ErrorIs(t, err, ErrReadOnly)
	}
	require.False(t, IsEncryption("user.SSE"))
	got, err := Validate("user.comment", []byte{0xff})
	require.NoError(t, err)
	require.Equal(t, []byte{0xff}, got)
}

func TestLimits(t *testing.T) {
	// {"a":"..."} is 8 bytes around the value
	_, err := Validate(EncryptionContext, []byte(`{"a":"`+strings.Repeat("x", MaxContext-8)+`"}`))
	require.NoError(t, err)
	_, err = Validate(EncryptionContext, []byte(`{"a":"`+strings.Repeat("x", MaxContext-7)+`"}`))
	require.Error(t, err)
	require.ErrorIs(t, err, ErrSyntax)
	require.ErrorContains(t, err, "2049 bytes; want at most 2048")

	_, err = Validate(KeyID, []byte("alias/"+strings.Repeat("x", maxAlias-6)))
	require.NoError(t, err)
	_, err = Validate(KeyID, []byte("alias/"+strings.Repeat("x", maxAlias-5)))
	require.Error(t, err)
	require.ErrorIs(t, err, ErrSyntax)
	require.Less(t, len(err.Error()), 400, "long values are cut")
}

// FuzzValidate: no panic, the canonical form is a fixed point, and it means what the value meant.
func FuzzValidate(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(v.name, []byte(v.value))
	}
	f.Fuzz(func(t *testing.T, name string, value []byte) {
		canonical, err := Validate(name, value)
		if err != nil {
			return
		}
		again, err := Validate(name, canonical)
		require.NoError(t, err)
		require.Equal(t, string(canonical), string(again))
		if !IsEncryption(name) {
			return
		}
		m := map[string][]byte{name: canonical}
		require.Equal(t, m, FromXattrs(m).Xattrs())
		_, err = Resolve(FromXattrs(m))
		require.NoError(t, err)
		if name == EncryptionContext {
			c, err := ParseContext(value)
			require.NoError(t, err)
			require.Equal(t, c, FromXattrs(m).Context)
		}
	})
}
