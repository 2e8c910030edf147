package badgerstore

import (
	"encoding/base32"
	"encoding/binary"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"kmsfs/objstore"
)

// A version id is base32hex in lower case, and gives its tail back; others are none of the number's.
func TestVersionID(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		seq, tail := r.Uint64()>>r.IntN(64), binary.BigEndian.AppendUint64(nil, r.Uint64())
		raw := append(binary.BigEndian.AppendUint64(nil, seq), tail...)
		want := strings.ToLower(base32.HexEncoding.WithPadding(base32.NoPadding).EncodeToString(raw))
		id := versionID(seq, tail)
		require.EqualValues(t, want, id)
		got, ok := tailOfID(id, seq)
		require.True(t, ok)
		require.Equal(t, tail, got)
		for _, other := range []objstore.VersionID{"", "null", id[1:], id + "0", objstore.VersionID(strings.ToUpper(want)) + "V", id[:25] + "v"} {
			_, ok := tailOfID(other, seq)
			require.False(t, ok, "%q", other)
		}
		_, ok = tailOfID(id, seq+1)
		require.False(t, ok)
	}
}
