package policy_test

import (
	"errors"
	"strings"
	"testing"

	"kmsfs/kms/policy"
)

// FuzzParse: no text makes Parse or Decide panic, and every refusal has a place inside the text.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		policy.Default(account), policy.ManagedS3(account, "us-east-1"), "{", "[[[[", `{"Statement":[{"Condition":{"Null":{"a":[true]}}}]}`,
		statements(`"Effect":"Deny","Principal":{"AWS":["` + alice + `"]},"NotAction":"kms:D?crypt*","Condition":{"ForAnyValue:StringLikeIfExists":{"kms:EncryptionContextKeys":["a*b","?"]}}`),
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := policy.Parse(text)
		if err == nil {
			p.Decide(&policy.Request{Principal: alice, Action: "Decrypt", Resource: key, Context: map[string]string{"a": text}})
			return
		}
		var se *policy.SyntaxError
		if !errors.As(err, &se) {
			t.Fatalf("%T: %v", err, err)
		}
		if lines := strings.Count(text, "\n") + 1; se.Line < 1 || se.Line > lines || se.Column < 1 || se.Column > len(text)+1 {
			t.Fatalf("%v is outside of the text", se)
		}
	})
}
