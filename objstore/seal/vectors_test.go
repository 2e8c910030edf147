package seal

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const vectorDir = "../../testdata/seal/v1"

// vector is one file of testdata/seal/v1: a header of "name: value" lines, an empty line, the bytes.
type vector struct {
	name    string
	comment string // what the one fault is
	expect  Layer  // which layer refuses; "" when it opens
	kind    string // chunk, mac or record
	key     []byte // data key or secret
	id      ContentID
	slot    uint64
	index   uint64
	label   string   // record: the label
	aad     string   // record: the associated data
	mac     []byte   // mac: what is compared with
	nonces  [][]byte // innermost first: sealing the plaintext with them gives the bytes again
	plain   string   // hex of SHA-256 of what is released; of nothing when it is refused
	size    int      // bytes released
	body    []byte
}

func (v vector) marshal() []byte {
	var b bytes.Buffer
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%s: %s\n", name, value)
		}
	}
	line("comment", v.comment)
	if v.expect == "" {
		line("expect", "success")
	} else {
		line("expect", string(v.expect)+" failure")
	}
	line("kind", v.kind)
	line("key", hex.EncodeToString(v.key))
	switch v.kind {
	case "chunk":
		line("content id", hex.EncodeToString(v.id[:]))
		line("slot", strconv.FormatUint(v.slot, 10))
		line("index", strconv.FormatUint(v.index, 10))
	case "record":
		line("label", v.label)
		line("aad", v.aad)
	case "mac":
		line("mac", hex.EncodeToString(v.mac))
	}
	for _, n := range v.nonces {
		line("nonce", hex.EncodeToString(n))
	}
	line("plaintext size", strconv.Itoa(v.size))
	line("plaintext sha256", v.plain)
	b.WriteByte('\n')
	b.Write(v.body)
	return b.Bytes()
}

func parseVector(t *testing.T, file string) (v vector) {
	t.Helper()
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	header, body, ok := bytes.Cut(data, []byte("\n\n"))
	require.True(t, ok, "%s has no header", file)
	v.name, v.body = strings.TrimSuffix(filepath.Base(file), ".vec"), body
	for line := range strings.SplitSeq(string(header), "\n") {
		name, value, ok := strings.Cut(line, ": ")
		require.True(t, ok, "%s: %q", file, line)
		require.NoError(t, v.set(name, value), "%s: %q", file, line)
	}
	return v
}

func (v *vector) set(name, value string) (err error) {
	unhex := func() []byte {
		var b []byte
		b, err = hex.DecodeString(value)
		return b
	}
	switch name {
	case "comment":
		v.comment = value
	case "expect":
		if layer, failure := strings.CutSuffix(value, " failure"); failure {
			v.expect = Layer(layer)
		} else if value != "success" {
			return errors.New("want success or LAYER failure")
		}
	case "kind":
		v.kind = value
	case "key":
		v.key = unhex()
	case "content id":
		copy(v.id[:], unhex())
	case "slot":
		v.slot, err = strconv.ParseUint(value, 10, 64)
	case "index":
		v.index, err = strconv.ParseUint(value, 10, 64)
	case "label":
		v.label = value
	case "aad":
		v.aad = value
	case "mac":
		v.mac = unhex()
	case "nonce":
		v.nonces = append(v.nonces, unhex())
	case "plaintext size":
		v.size, err = strconv.Atoi(value)
	case "plaintext sha256":
		v.plain = value
	default:
		return errors.New("unknown name")
	}
	return err
}

// open does what the vector asks for.
func (v vector) open(t *testing.T) ([]byte, error) {
	switch v.kind {
	case "chunk":
		c, err := New(v.key)
		require.NoError(t, err)
		return c.Open(nil, v.body, v.id, v.slot, v.index)
	case "record":
		r, err := NewRecordCipher(v.key, v.label)
		require.NoError(t, err)
		return r.Open(nil, v.body, []byte(v.aad))
	case "mac":
		c, err := New(v.key)
		require.NoError(t, err)
		if err := c.Verify(v.body, [MACSize]byte(v.mac)); err != nil {
			return nil, err
		}
		return v.body, nil
	}
	t.Fatalf("unknown kind %q", v.kind)
	return nil, nil
}

// reseal seals plain with the vector's nonces.
func (v vector) reseal(t *testing.T, plain []byte) []byte {
	switch v.kind {
	case "chunk":
		c, err := New(v.key)
		require.NoError(t, err)
		require.Len(t, v.nonces, c.Layers())
		var s scratch
		for i, l := range c.layers {
			plain = l.key.sealAt(nil, v.nonces[i], plain, s.appendAAD(l.label, v.id, v.slot, v.index))
		}
		return plain
	case "record":
		r, err := NewRecordCipher(v.key, v.label)
		require.NoError(t, err)
		return r.key.sealAt(nil, v.nonces[0], plain, []byte(v.aad))
	}
	return plain
}

var update = flag.Bool("update", false, "write testdata/seal/v1 anew")

// TestVectors opens every vector, and seals those that open to the same bytes again.
func TestVectors(t *testing.T) {
	if *update {
		writeVectors(t)
	}
	files, err := filepath.Glob(vectorDir + "/*.vec")
	require.NoError(t, err)
	require.Len(t, files, len(generate()), "vectors are missing or too many; run with -update")
	for _, file := range files {
		v := parseVector(t, file)
		t.Run(v.name, func(t *testing.T) {
			plain, err := v.open(t)
			sum := sha256.Sum256(plain)
			require.Equal(t, v.plain, hex.EncodeToString(sum[:]))
			require.Len(t, plain, v.size)
			if v.expect != "" {
				requireRefused(t, err, v.expect)
				return
			}
			require.NoError(t, err)
			require.Equal(t, v.body, v.reseal(t, plain))
		})
	}
}

// TestVectorsAreGenerated: the files are what the generators beside this write, so that neither drifts.
func TestVectorsAreGenerated(t *testing.T) {
	for _, v := range generate() {
		got, err := os.ReadFile(filepath.Join(vectorDir, v.name+".vec"))
		require.NoError(t, err)
		require.True(t, bytes.Equal(v.marshal(), got), "%s.vec differs from its generator; was the format changed?", v.name)
	}
}

func writeVectors(t *testing.T) {
	old, err := filepath.Glob(vectorDir + "/*.vec")
	require.NoError(t, err)
	for _, file := range old {
		require.NoError(t, os.Remove(file))
	}
	require.NoError(t, os.MkdirAll(vectorDir, 0o755))
	for _, v := range generate() {
		require.NoError(t, os.WriteFile(filepath.Join(vectorDir, v.name+".vec"), v.marshal(), 0o644))
	}
}
