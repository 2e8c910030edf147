package policy_test

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"kmsfs/kms/policy"
)

// TestMutatedPolicies: 100,000 texts that are nearly policies are read, and decided by, or refused with a place inside the text.
// The seed is fixed; FuzzParse searches further.
func TestMutatedPolicies(t *testing.T) {
	seeds := []string{
		policy.Default(account), policy.ManagedS3(account, "us-east-1"),
		statements(`"Effect":"Deny","Principal":{"AWS":["` + alice + `"]},"NotAction":"kms:D?crypt*","Condition":{"ForAnyValue:StringLikeIfExists":{"kms:EncryptionContextKeys":["a*b","?"]}}`),
	}
	tokens := []string{`null`, `{}`, `[]`, `""`, `-1`, `true`, `"\ud800"`, `,`, `:`, `"Condition":`, strings.Repeat("[", 200), "\x00", "\xff", "*", "\n"}
	r := rand.New(rand.NewPCG(1, 4))
	understood := 0
	for range 100_000 {
		b := []byte(seeds[r.IntN(len(seeds))])
		for range r.IntN(5) {
			i := r.IntN(len(b))
			j := i + r.IntN(min(len(b)-i, 24)+1)
			switch r.IntN(4) {
			case 0:
				b[i] ^= 1 << r.IntN(8)
			case 1:
				b = append(b[:i:i], b[j:]...)
			case 2:
				b = append(b[:j:j], b[i:]...)
			case 3:
				b = append(b[:i:i], tokens[r.IntN(len(tokens))]+string(b[j:])...)
			}
			if len(b) == 0 {
				b = []byte("{")
			}
		}
		text := string(b)
		p, err := policy.Parse(text)
		if err == nil {
			understood++
			p.Decide(&policy.Request{Principal: alice, Action: "Decrypt", Resource: key, Context: map[string]string{"a": text}})
			continue
		}
		var se *policy.SyntaxError
		if !errors.As(err, &se) {
			t.Fatalf("%q: %T: %v", text, err, err)
		}
		if lines := strings.Count(text, "\n") + 1; se.Line < 1 || se.Line > lines || se.Column < 1 || se.Column > len(text)+1 {
			t.Fatalf("%q: %v is outside of the text", text, se)
		}
	}
	if understood < 1000 || understood > 90_000 {
		t.Fatalf("%d of 100,000 were policies: the mutations are too wild, or too tame", understood)
	}
}
