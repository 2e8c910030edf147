package kms_test

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"kmsfs/kms"
)

// TestCodesIsComplete reads errors.go: each constant of type Code is in Codes, once.
func TestCodesIsComplete(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), "errors.go", nil, 0)
	require.NoError(t, err)
	declared := map[kms.Code]bool{}
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if typ, ok := spec.Type.(*ast.Ident); ok && typ.Name == "Code" && len(spec.Values) == 1 {
			value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			require.NoError(t, err)
			declared[kms.Code(value)] = true
		}
		return true
	})
	require.NotEmpty(t, declared)
	listed := map[kms.Code]bool{}
	for _, c := range kms.Codes {
		require.False(t, listed[c], "%s is twice in Codes", c)
		listed[c] = true
	}
	require.Equal(t, declared, listed)
}

func TestErrorIdentity(t *testing.T) {
	cause := errors.New("cause")
	err := fmt.Errorf("open file: %w", &kms.Error{Code: kms.DisabledException, Message: "k is disabled.", Err: cause})
	require.ErrorIs(t, err, kms.DisabledException)
	require.ErrorIs(t, err, cause)
	require.NotErrorIs(t, err, kms.NotFoundException)
	require.Equal(t, kms.DisabledException, kms.CodeOf(err))
	require.EqualError(t, err, "open file: DisabledException: k is disabled.: cause")
	require.Equal(t, kms.Code(""), kms.CodeOf(nil))
	require.Equal(t, kms.KMSInternalException, kms.CodeOf(cause))
	require.EqualError(t, &kms.Error{Code: kms.InvalidCiphertextException}, "InvalidCiphertextException")
}
