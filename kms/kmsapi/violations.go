package kmsapi

import (
	"fmt"
	"slices"
	"strings"

	"kmsfs/kms"
)

// violations collects what is wrong with a request's members, to be answered in AWS's words. Members are named as AWS does, with
// a small first letter.
type violations struct{ texts []string }

func (v *violations) add(value, member, constraint string) {
	v.texts = append(v.texts, value+" at '"+member+"' failed to satisfy constraint: Member must "+constraint)
}

// required notes a member that is missing.
func (v *violations) required(member string, present bool) {
	if !present {
		v.add("Value null", member, "not be null")
	}
}

// oneOf notes a value that is none of the allowed; nil is no value.
func (v *violations) oneOf(member string, value *string, allowed []string) {
	if value != nil && !slices.Contains(allowed, *value) {
		v.add("Value '"+*value+"'", member, "satisfy enum value set: ["+strings.Join(allowed, ", ")+"]")
	}
}

// between notes a number outside of least to most; nil is no value.
func (v *violations) between(member string, value *int64, least, most int64) {
	switch {
	case value == nil:
	case *value < least:
		v.add(fmt.Sprintf("Value '%d'", *value), member, fmt.Sprintf("have value greater than or equal to %d", least))
	case *value > most:
		v.add(fmt.Sprintf("Value '%d'", *value), member, fmt.Sprintf("have value less than or equal to %d", most))
	}
}

// grantTokens notes too many of them, or one that cannot be a grant token.
func (v *violations) grantTokens(tokens []string) {
	if len(tokens) > maxGrantTokens {
		v.add("Value '["+strings.Join(tokens, ", ")+"]'", "grantTokens", fmt.Sprintf("have length less than or equal to %d", maxGrantTokens))
	}
	for _, t := range tokens {
		if len(t) < 1 || len(t) > maxGrantToken {
			v.add("Value", "grantTokens", fmt.Sprintf("satisfy constraint: [Member must have length less than or equal to %d, "+
				"Member must have length greater than or equal to 1]", maxGrantToken))
		}
	}
}

// Limits of AWS.
const (
	maxGrantTokens = 10
	maxGrantToken  = 8192
)

func (v *violations) err() error {
	if len(v.texts) == 0 {
		return nil
	}
	s := ""
	if len(v.texts) > 1 {
		s = "s"
	}
	return kms.Errorf(kms.ValidationException, "%d validation error%s detected: %s", len(v.texts), s, strings.Join(v.texts, "; "))
}
