package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"kmsfs/cmd/kmsfs/service"
)

func TestObjectAt(t *testing.T) {
	one := service.Mount{Dir: "/m", Bucket: "b"}
	require.Equal(t, service.Object{Bucket: "b", Key: ""}, objectAt(one, "/m"))
	require.Equal(t, service.Object{Bucket: "b", Key: "d/f"}, objectAt(one, "/m/d/f"))
	all := service.Mount{Dir: "/m"}
	require.Equal(t, service.Object{Bucket: "b", Key: "d/f"}, objectAt(all, "/m/b/d/f"))
	require.Equal(t, service.Object{Bucket: "b", Key: ""}, objectAt(all, "/m/b"))
	require.Equal(t, service.Object{}, objectAt(all, "/m"))
}

func TestTargetsWithoutMount(t *testing.T) {
	a := &app{}
	for arg, want := range map[string]service.Object{
		"s3://b/d/f":  {Bucket: "b", Key: "d/f"},
		"s3://b":      {Bucket: "b"},
		"b:d/f":       {Bucket: "b", Key: "d/f"},
		"b:":          {Bucket: "b"},
		"s3://b/a//b": {Bucket: "b", Key: "a//b"},
	} {
		got, err := a.resolveTarget(context.Background(), arg)
		require.NoError(t, err, arg)
		require.Equal(t, want, got.object, arg)
		require.Empty(t, got.store)
	}
	_, err := a.resolveTarget(context.Background(), filepath.Join(t.TempDir(), "f"))
	require.ErrorIs(t, err, service.NotMounted)
	_, err = a.resolveTargets(context.Background(), []string{"s3://"})
	require.Error(t, err)
	require.Equal(t, exitUsage, exitCode(err))
}

func TestShownIsInTheWordsOfTheArguments(t *testing.T) {
	targets := []target{
		{arg: "mnt/hr/", object: service.Object{Bucket: "b", Key: "hr"}},
		{arg: "mnt", object: service.Object{Bucket: "b"}},
	}
	require.Equal(t, "mnt/hr/x", shown(targets, "b/hr/x"))
	require.Equal(t, "mnt/hr/", shown(targets, "b/hr"))
	require.Equal(t, "mnt/hr2", shown(targets, "b/hr2"))
	require.Equal(t, "c/x", shown(targets, "c/x"))
}

func TestRealPath(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	require.NoError(t, os.Mkdir(dir+"/real", 0o755))
	require.NoError(t, os.Symlink("real", dir+"/link"))
	for arg, want := range map[string]string{
		"/link":           "/link", // a symbolic link is named itself
		"/link/deleted":   "/real/deleted",
		"/link/gone/file": "/real/gone/file",
		"/real":           "/real",
	} {
		got, err := realPath(dir + arg)
		require.NoError(t, err)
		require.Equal(t, dir+want, got, arg)
	}
}

func TestInside(t *testing.T) {
	require.True(t, inside("/a/b", "/a"))
	require.True(t, inside("/a", "/a"))
	require.True(t, inside("/a/..b", "/a"))
	require.True(t, inside("/x", "/"))
	require.False(t, inside("/ab", "/a"))
	require.False(t, inside("/", "/a"))
}

func TestMountPointsThatCannotBe(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(dir+"/file", nil, 0o600))
	require.NoError(t, os.Mkdir(dir+"/empty", 0o755))
	for arg, want := range map[string]string{
		"/none": "does not exist",
		"/file": "is a file",
		"":      "is not empty",
	} {
		_, err := mountPoint(context.Background(), dir+arg, false)
		require.Error(t, err)
		require.Contains(t, err.Error(), want)
		require.NotEmpty(t, mountHint(err))
	}
	_, err := mountPoint(context.Background(), dir, true)
	require.NoError(t, err)
	got, err := mountPoint(context.Background(), dir+"/empty", false)
	require.NoError(t, err)
	require.Equal(t, "empty", filepath.Base(got))
}
