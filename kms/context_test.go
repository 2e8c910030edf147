package kms_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"kmsfs/kms"
	"kmsfs/kms/kmstest"
)

func contextVectors(t testing.TB) []string {
	names, err := filepath.Glob("../testdata/context/*.vec")
	require.NoError(t, err)
	require.NotEmpty(t, names, "no vectors: generate them as testdata/kms/README.md says")
	return names
}

func TestContextVectors(t *testing.T) {
	for _, name := range contextVectors(t) {
		t.Run(filepath.Base(name), func(t *testing.T) {
			raw, err := os.ReadFile(name)
			require.NoError(t, err)
			head, body := kmstest.ParseVector(t, raw)
			c, err := kms.ParseContext(string(body))
			if head["expect"] != "success" {
				require.Error(t, err)
				require.ErrorIs(t, err, kms.Code(head["expect"]))
				return
			}
			require.NoError(t, err)
			require.Equal(t, head["canonical"], hex.EncodeToString(c.Canonical()))
			again, err := kms.ParseContext(string(c.JSON()))
			require.NoError(t, err)
			require.Equal(t, c, again)
		})
	}
}

func TestContextMessages(t *testing.T) {
	for text, message := range map[string]string{
		`{"a":1}`:           `The value of "a" in the encryption context is not a string. Put it in quotes.`,
		`{"a":"1","a":"1"}`: `The encryption context has the name "a" twice.`,
		`department=hr`:     `The encryption context is neither a JSON object nor the base64 of one. Write it like {"department":"hr"}.`,
		`{"":""}`:           `The encryption context has a pair without a name. Give every value a name.`,
	} {
		_, err := kms.ParseContext(text)
		require.Error(t, err)
		require.EqualError(t, err, "ValidationException: "+message)
	}
}

func TestValidateCountsJSONBytes(t *testing.T) {
	for _, s := range []string{"x", "é", "\"", "\\", "\n", "\x01", "\x7f", "\u2028", "<"} {
		fits := kms.Context{"a": s + strings.Repeat("x", 100)}
		pad := kms.MaxContextSize - len(fits.JSON())
		fits["a"] += strings.Repeat("y", pad)
		require.Len(t, fits.JSON(), kms.MaxContextSize)
		require.NoError(t, fits.Validate(), "%q", s)
		fits["a"] += "y"
		require.Error(t, fits.Validate(), "%q", s)
	}
	require.NoError(t, kms.Context(nil).Validate())
	require.Error(t, kms.Context{"a": "\xff"}.Validate())
}

func FuzzParseContext(f *testing.F) {
	for _, name := range contextVectors(f) {
		raw, err := os.ReadFile(name)
		require.NoError(f, err)
		_, body := kmstest.ParseVector(f, raw)
		f.Add(string(body))
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := kms.ParseContext(s)
		if err != nil {
			require.ErrorIs(t, err, kms.ValidationException)
			return
		}
		require.LessOrEqual(t, len(c.JSON()), kms.MaxContextSize)
		var plain map[string]string
		require.NoError(t, json.Unmarshal(c.JSON(), &plain), "our JSON is JSON")
		require.Equal(t, map[string]string(c), plain)
		again, err := kms.ParseContext(base64.StdEncoding.EncodeToString(c.JSON()))
		require.NoError(t, err)
		require.Equal(t, c.Canonical(), again.Canonical())
	})
}
