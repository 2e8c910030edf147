package main

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestQuietBeginsOnce(t *testing.T) {
	var q quiet
	require.False(t, q.begins(0), "nothing was collected ever")
	require.False(t, q.begins(5), "busy")
	require.False(t, q.begins(7), "busy")
	require.True(t, q.begins(7))
	q.own(8)
	require.False(t, q.begins(8), "once")
	require.False(t, q.begins(9))
	require.True(t, q.begins(9), "and after the next busy time again")
}

func TestCollectionsAreCounted(t *testing.T) {
	before := countCollections()
	runtime.GC()
	require.Greater(t, countCollections(), before)
}
