package kms

import (
	"strings"
	"time"
)

// Grant lets one principal use a key, beside the key's policy.
type Grant struct {
	ID          string // 64 hex digits
	KeyARN      string
	Name        string
	Created     time.Time
	Grantee     string // who may
	Retiring    string // who may take it back; may be empty
	Issuer      string // the account that made it
	Operations  []Operation
	Constraints GrantConstraints
}

// GrantConstraints are what the encryption context has to be. Both may be unset.
type GrantConstraints struct {
	Equals Context // exactly these pairs
	Subset Context // at least these pairs
}

// GrantOperations are what a grant can allow. Source: AWS KMS API Reference, "CreateGrant".
func GrantOperations() []Operation {
	return []Operation{
		OpDecrypt, OpEncrypt, OpGenerateDataKey, OpGenerateWithoutPlaintext, OpReEncryptFrom, OpReEncryptTo, OpSign, OpVerify,
		OpGetPublicKey, OpCreateGrant, OpRetireGrant, OpDescribeKey, OpGenerateDataKeyPair, OpGenerateDataKeyPairWithoutPlaintext,
		OpGenerateMac, OpVerifyMac, OpDeriveSharedSecret,
	}
}

// allows reports whether the grant, whose grantee asks, covers q.
func (g *Grant) allows(q *question) bool {
	for _, op := range g.Operations {
		if op == q.op {
			return !constrained(op) || g.Constraints.match(q.context)
		}
	}
	return false
}

// constrained tells the operations that have an encryption context. CreateGrant is compared by its own rule.
func constrained(op Operation) bool {
	switch op {
	case OpDecrypt, OpEncrypt, OpGenerateDataKey, OpGenerateWithoutPlaintext, OpReEncryptFrom, OpReEncryptTo,
		OpGenerateDataKeyPair, OpGenerateDataKeyPairWithoutPlaintext:
		return true
	}
	return false
}

func (c GrantConstraints) match(got Context) bool {
	return (c.Equals == nil || (len(got) == len(c.Equals) && contains(got, c.Equals))) &&
		(c.Subset == nil || contains(got, c.Subset))
}

// contains reports whether got has every pair of want. The case of names does not count, that of values does. Two
// names that differ in case only are one pair with two values, and match nothing.
func contains(got, want Context) bool {
	for name, value := range want {
		found := false
		for k, v := range got {
			if k != name && !strings.EqualFold(k, name) {
				continue
			}
			if found || v != value {
				return false
			}
			found = true
		}
		if !found {
			return false
		}
	}
	return true
}
