package fs

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"kmsfs/kms"
	"kmsfs/objstore"
)

// recorder keeps what it is told, unless it fails.
type recorder struct {
	uses []kms.ObjectUse
	fail error
}

func (r *recorder) RecordObject(_ context.Context, u kms.ObjectUse) error {
	if r.fail != nil {
		return r.fail
	}
	r.uses = append(r.uses, u)
	return nil
}

// take answers what was told since the last time, in short.
func (r *recorder) take() (short []string) {
	for _, u := range r.uses {
		s := string(u.Operation) + " " + u.Bucket + "/" + u.Key
		if u.SourceKey != "" {
			s += " from " + u.SourceKey
		}
		if u.Code != "" {
			s += ": " + u.Code
		}
		short = append(short, s)
	}
	r.uses = nil
	return short
}

func TestUsesOfObjectsAreRecorded(t *testing.T) {
	r := &recorder{}
	s, _, v := setup(t, func(o *Options) { o.Reads, o.Writes = r, r })
	ctx := t.Context()
	dir, err := v.Mknod(ctx, v.Root(), "d", NodeInit{Mode: sIFDIR | 0o755})
	require.NoError(t, err)
	require.Equal(t, []string{"PutObject files/d/"}, r.take())

	h := create(t, v, "f")
	write(t, h, 0, "hello")
	require.Empty(t, r.take(), "it is no object yet")
	require.NoError(t, h.Flush(ctx))
	require.Len(t, r.uses, 1)
	require.Equal(t, int64(5), r.uses[0].BytesIn)
	require.NotEmpty(t, r.uses[0].VersionID)
	require.Equal(t, "AES256", r.uses[0].Algorithm)
	require.True(t, r.uses[0].Inherited)
	require.Equal(t, []string{"PutObject files/f"}, r.take())
	h.Release(ctx)

	open(t, v, h.Ino(), OpenFlags{}).Release(ctx)
	require.Equal(t, []string{"GetObject files/f"}, r.take())
	open(t, v, h.Ino(), OpenFlags{Write: true, NoRead: true}).Release(ctx)
	require.Empty(t, r.take(), "nothing was read and nothing written")
	_, err = v.Link(ctx, h.Ino(), v.Root(), "second")
	require.NoError(t, err)
	require.Equal(t, []string{"CopyObject files/second from f"}, r.take())
	require.NoError(t, v.Unlink(ctx, v.Root(), "second"))
	require.NoError(t, v.Rename(ctx, v.Root(), "f", dir.Ino, "g", objstore.RenamePlain))
	require.NoError(t, v.Rename(ctx, v.Root(), "d", v.Root(), "e", objstore.RenamePlain))
	require.Equal(t, []string{"DeleteObject files/second", "RenameObject files/d/g from f", "RenameObject files/e/ from d/"}, r.take())

	s.RefuseWith(func(op string, _ objstore.Ino) error {
		if op == "open" || op == "begin" {
			return kms.AccessDeniedException
		}
		return nil
	})
	for _, flags := range []OpenFlags{{}, {Write: true, NoRead: true}} {
		_, err = v.Open(ctx, h.Ino(), flags)
		require.ErrorIs(t, err, kms.AccessDeniedException)
	}
	_, _, err = v.Create(ctx, v.Root(), "new", NodeInit{Mode: 0o644}, OpenFlags{Write: true}, true)
	require.ErrorIs(t, err, kms.AccessDeniedException)
	require.Error(t, v.Rmdir(ctx, v.Root(), "e"))
	require.Equal(t, []string{"GetObject files/e/g: AccessDenied", "PutObject files/e/g: AccessDenied", "PutObject files/new: AccessDenied",
		"DeleteObject files/e/: NotEmpty"}, r.take())
}

// A use that cannot be recorded is not answered as done; what was changed is changed.
func TestUnrecordedUseIsAnError(t *testing.T) {
	r := &recorder{}
	s, _, v := setup(t, func(o *Options) { o.Reads, o.Writes = r, r })
	ctx := t.Context()
	h := create(t, v, "f")
	write(t, h, 0, "one")
	r.fail = errors.New("no space left on device")
	require.ErrorIs(t, h.Flush(ctx), r.fail)
	require.Equal(t, 1, s.VersionCount(h.Ino()))
	h.Release(ctx)
	_, err := v.Open(ctx, h.Ino(), OpenFlags{})
	require.ErrorIs(t, err, r.fail)
	reason, err := v.GetXattr(ctx, h.Ino(), "user.kmsfs.error")
	require.NoError(t, err)
	require.Contains(t, string(reason), "no space left")
	require.ErrorIs(t, v.Unlink(ctx, v.Root(), "f"), r.fail)
	_, _, err = v.Lookup(ctx, v.Root(), "f")
	require.ErrorIs(t, err, objstore.NoSuchNode)
}

// Only what is asked for is recorded.
func TestReadsAndWritesAreRecordedApart(t *testing.T) {
	for name, c := range map[string]struct {
		set  func(*Options, *recorder)
		want string
	}{
		"none":   {func(*Options, *recorder) {}, ""},
		"reads":  {func(o *Options, r *recorder) { o.Reads = r }, "GetObject files/f"},
		"writes": {func(o *Options, r *recorder) { o.Writes = r }, "PutObject files/f,DeleteObject files/f"},
	} {
		t.Run(name, func(t *testing.T) {
			r := &recorder{}
			_, _, v := setup(t, func(o *Options) { c.set(o, r) })
			h := create(t, v, "f")
			require.NoError(t, h.Flush(t.Context()))
			h.Release(t.Context())
			open(t, v, h.Ino(), OpenFlags{}).Release(t.Context())
			require.NoError(t, v.Unlink(t.Context(), v.Root(), "f"))
			require.Equal(t, c.want, strings.Join(r.take(), ","))
		})
	}
}
