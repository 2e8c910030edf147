package fs

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSemanticsNamesTests(t *testing.T) {
	text, err := os.ReadFile("SEMANTICS.md")
	require.NoError(t, err)
	files, err := filepath.Glob("*_test.go")
	require.NoError(t, err)
	mount, err := filepath.Glob("fusefs/*_test.go")
	require.NoError(t, err)
	require.NotEmpty(t, mount)
	program, err := filepath.Glob("../cmd/kmsfs/*_test.go")
	require.NoError(t, err)
	require.NotEmpty(t, program)
	var code strings.Builder
	for _, file := range slices.Concat(files, mount, program) {
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		code.Write(b)
	}
	names := regexp.MustCompile("`(Test[A-Za-z]+)`").FindAllStringSubmatch(string(text), -1)
	require.Greater(t, len(names), 30)
	for _, name := range names {
		require.Contains(t, code.String(), "func "+name[1]+"(", "SEMANTICS.md names a test that is not there")
	}
}
