package kmsapi

import (
	"net/http"
	"reflect"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/stretchr/testify/require"

	"kmsfs/kms"
	"kmsfs/kms/sigv4"
)

// TestEveryOperation: whatever AWS's SDK can ask is answered, if only by a refusal.
func TestEveryOperation(t *testing.T) {
	ops, known := operations(), 0
	client := reflect.TypeFor[*sdk.Client]()
	for i := range client.NumMethod() {
		name := client.Method(i).Name
		if name == "Options" {
			continue
		}
		require.NotNil(t, ops[name], name)
		known++
	}
	require.Greater(t, known, 50)
	require.Len(t, ops, known, "an operation that AWS does not have")
}

// TestEveryCode: the table has every code of every package below, and nothing else than AWS's statuses.
func TestEveryCode(t *testing.T) {
	rows := table()
	for _, code := range kms.Codes {
		require.Contains(t, rows, code)
	}
	for _, code := range sigv4.Codes {
		require.Contains(t, rows, signatureCode(code))
	}
	for code, row := range rows {
		require.Contains(t, []int{http.StatusBadRequest, http.StatusRequestTimeout, http.StatusRequestEntityTooLarge, http.StatusInternalServerError, http.StatusServiceUnavailable}, row.status, code)
	}
}

func TestWholeSurrogates(t *testing.T) {
	for text, want := range map[string]bool{
		`{}`: true, `"\ud83d\ude00"`: true, `"\\ud800"`: true, `"\\\ud83d\ude00x\u0041"`: true, `"\n\"\u00e4"`: true,
		`"\ud800"`: false, `"\udc00"`: false, `"\ud800\ud800"`: false, `"\ud800x"`: false, `"\ud800\n"`: false, `"\ud83d\ude00\udc00"`: false, `"\uD800`: false,
		`\`: true, `\u`: true, `\ud8`: true,
	} {
		require.Equal(t, want, wholeSurrogates([]byte(text)), text)
	}
}

func TestSecretIsWiped(t *testing.T) {
	s := secret("very secret")
	b, err := s.MarshalJSON()
	require.NoError(t, err)
	require.Equal(t, `"dmVyeSBzZWNyZXQ="`, string(b))
	require.Equal(t, secret(make([]byte, 11)), s)
}
