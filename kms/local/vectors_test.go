package local

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"kmsfs/kms"
)

// memory is a Records without locks. kmstest has another, which this internal test cannot import.
type memory map[string][]byte

func (m memory) Load() (map[string][]byte, error) { return maps.Clone(m), nil }

func (m memory) Save(puts map[string][]byte, deletes []string) error {
	for k, v := range puts {
		m[k] = v
	}
	for _, k := range deletes {
		delete(m, k)
	}
	return nil
}

type vector struct {
	head map[string]string
	body []byte
}

func vectors(t testing.TB, folder string) map[string]vector {
	names, err := filepath.Glob("../../testdata/kms/" + folder + "/*.vec")
	require.NoError(t, err)
	require.NotEmpty(t, names, "no vectors: generate them as testdata/kms/README.md says")
	out := map[string]vector{}
	for _, name := range names {
		raw, err := os.ReadFile(name)
		require.NoError(t, err)
		lines, body, ok := strings.Cut(string(raw), "\n\n")
		require.True(t, ok, name)
		v := vector{head: map[string]string{}}
		for line := range strings.SplitSeq(lines, "\n") {
			k, value, ok := strings.Cut(line, ": ")
			require.True(t, ok, line)
			v.head[k] = value
		}
		v.body = unhex(t, strings.ReplaceAll(body, "\n", ""))
		out[filepath.Base(name)] = v
	}
	return out
}

func unhex(t testing.TB, s string) []byte {
	b, err := hex.DecodeString(s)
	require.NoError(t, err)
	return b
}

// vectorProvider has the one key that a blob vector was made with.
func vectorProvider(t testing.TB, head map[string]string) *Provider {
	p, err := Open(memory{}, make([]byte, 32), Options{})
	require.NoError(t, err)
	k, err := p.newKey(symmetric(kms.CreateKeyInput{}), kms.ManagerCustomer)
	require.NoError(t, err)
	k.info.ID, k.info.ARN = head["key-id"], p.names.KeyARN(head["key-id"])
	k.rawID, err = parseID(k.info.ID)
	require.NoError(t, err)
	m := material{secret: [32]byte(unhex(t, head["secret"]))}
	m.id = materialID(k.rawID, m.secret[:])
	require.Equal(t, head["material-id"], m.hexID())
	k.materials = []material{m}
	require.NoError(t, p.replace(k, nil))
	return p
}

func TestBlobVectors(t *testing.T) {
	for name, v := range vectors(t, "blob") {
		t.Run(name, func(t *testing.T) {
			var c kms.Context
			require.NoError(t, json.Unmarshal([]byte(v.head["context"]), &c))
			p := vectorProvider(t, v.head)
			out, err := p.Decrypt(context.Background(), kms.DecryptInput{Context: c, Blob: v.body})
			if want := v.head["expect"]; want != "success" {
				require.Error(t, err)
				require.ErrorIs(t, err, kms.Code(want))
				require.Nil(t, out.Bytes)
				return
			}
			require.NoError(t, err)
			sum := sha256.Sum256(out.Bytes)
			require.Equal(t, v.head["plaintext-sha256"], hex.EncodeToString(sum[:]))
			require.Len(t, v.body, blobOverhead+len(out.Bytes))
		})
	}
}

func TestRecordVectors(t *testing.T) {
	for file, v := range vectors(t, "record") {
		t.Run(file, func(t *testing.T) {
			p, err := Open(memory{}, unhex(t, v.head["given-key"]), Options{})
			require.NoError(t, err)
			k, err := p.openKey(strings.TrimPrefix(v.head["name"], keyPrefix), v.body)
			if want := v.head["expect"]; want != "success" {
				require.Error(t, err)
				require.ErrorContains(t, err, want)
				return
			}
			require.NoError(t, err)
			payload, err := p.seals.open(v.head["name"], v.body)
			require.NoError(t, err)
			require.Equal(t, payload, marshalKeyRecord(k.info, k.materials))
			for _, m := range k.materials {
				require.Equal(t, materialID(k.rawID, m.secret[:]), m.id)
			}
		})
	}
}

// FuzzBlob: what parses is what the parts make again.
func FuzzBlob(f *testing.F) {
	for _, v := range vectors(f, "blob") {
		f.Add(v.body)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, sealed, err := parseBlob(b)
		if err != nil {
			return
		}
		require.Equal(t, b, append(h.append(nil), sealed...))
		id := formatID(h.keyID)
		raw, err := parseID(id)
		require.NoError(t, err)
		require.Equal(t, h.keyID, raw)
	})
}

// FuzzKeyRecord: a payload has one form only.
func FuzzKeyRecord(f *testing.F) {
	for name, v := range vectors(f, "record") {
		p, err := Open(memory{}, unhex(f, v.head["given-key"]), Options{})
		require.NoError(f, err)
		if payload, err := p.seals.open(v.head["name"], v.body); err == nil {
			f.Add(payload)
		} else {
			require.NotContains(f, name, "success")
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		info, materials, err := parseKeyRecord(b)
		if err != nil {
			return
		}
		require.True(t, bytes.Equal(b, marshalKeyRecord(info, materials)))
	})
}
