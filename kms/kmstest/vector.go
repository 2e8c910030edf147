package kmstest

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// ParseVector splits a vector file: header lines "name: value", an empty line, the body.
func ParseVector(t testing.TB, raw []byte) (head map[string]string, body []byte) {
	t.Helper()
	lines, body, ok := bytes.Cut(raw, []byte("\n\n"))
	require.True(t, ok, "a vector has an empty line behind its header")
	head = map[string]string{}
	for line := range strings.SplitSeq(string(lines), "\n") {
		name, value, ok := strings.Cut(line, ": ")
		require.True(t, ok, "header line %q", line)
		head[name] = value
	}
	require.Contains(t, head, "expect")
	return head, body
}
