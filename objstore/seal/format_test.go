package seal

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// FORMAT.md must speak of the version, sizes and labels that the code writes.
func TestFormatDocument(t *testing.T) {
	b, err := os.ReadFile("FORMAT.md")
	require.NoError(t, err)
	doc := string(b)
	require.True(t, strings.HasPrefix(doc, fmt.Sprintf("# The ciphertext format, version %d\n", FormatVersion)))
	for _, label := range []string{labelChunk, labelInner, labelOuter, labelMAC, labelRecord} {
		require.Contains(t, doc, fmt.Sprintf("info = %q", label))
	}
	require.Contains(t, doc, "for at most 2^20 messages")
	require.Equal(t, 1<<20, sealsPerPrefix)
	require.Contains(t, doc, fmt.Sprintf("A chunk is %d bytes", ChunkSize))
	require.Contains(t, doc, fmt.Sprintf("n + %d bytes", LayerOverhead))
	require.Contains(t, doc, fmt.Sprintf("n + %d bytes", 2*LayerOverhead))
}
