package xattr

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

var (
	// ErrSyntax is wrapped by the refusal of a value (EINVAL). The text says what is expected.
	ErrSyntax = errors.New("invalid value")
	// ErrReadOnly is wrapped by the refusal to set a virtual attribute (EPERM).
	ErrReadOnly = errors.New("attribute is read-only")
)

// The values of [SSE], which are those of x-amz-server-side-encryption.
const (
	AES256 = "AES256"
	KMS    = "aws:kms"
	DSSE   = "aws:kms:dsse"
)

// Validate checks value's syntax and returns the form in which it is stored; that form is its own canonical
// form. Whether a key exists is not asked here. Values of other names are returned as they are. The errors wrap
// [ErrSyntax] or [ErrReadOnly].
func Validate(name string, value []byte) (canonical []byte, err error) {
	switch name {
	case SSE:
		err = checkSSE(string(value))
	case KeyID:
		err = checkKeyID(string(value))
	case BucketKey:
		err = checkBucketKey(string(value))
	case EncryptionContext:
		var c map[string]string
		if c, err = ParseContext(value); err == nil {
			value = CanonicalContext(c)
		}
	case Pending, VersionID, ETag, LastError:
		err = fmt.Errorf("%w: it tells a state", ErrReadOnly)
	}
	if err != nil {
		return nil, named(name, err)
	}
	return value, nil
}

func named(name string, err error) error {
	return fmt.Errorf("%s: %w", name, err)
}

// syntax says what was given and what is wanted. Long values are cut.
func syntax(value, want string) error {
	const longest = 80
	if len(value) > longest {
		value = value[:longest] + "..."
	}
	if value == "" {
		return fmt.Errorf("%w: it is empty; want %s; to inherit again, remove the attribute", ErrSyntax, want)
	}
	return fmt.Errorf("%w: %s; want %s", ErrSyntax, strconv.Quote(value), want)
}

func checkSSE(v string) error {
	switch v {
	case AES256, KMS, DSSE:
		return nil
	}
	return syntax(v, "AES256, aws:kms or aws:kms:dsse")
}

func checkBucketKey(v string) error {
	if v == "true" || v == "false" {
		return nil
	}
	return syntax(v, "true or false")
}

// maxKeyID is KMS's limit on a KeyId parameter, in characters.
const maxKeyID = 2048

// maxAlias is KMS's limit on an alias name with its prefix, in characters.
const maxAlias = 256

// checkKeyID takes the four forms of KMS's KeyId parameter.
func checkKeyID(v string) error {
	const want = "a key id (UUID or mrk-...), a key ARN (arn:aws:kms:REGION:ACCOUNT:key/ID), alias/NAME, or an alias ARN"
	if resource, ok := arnResource(v); ok {
		id, isKey := strings.CutPrefix(resource, "key/")
		if len(v) <= maxKeyID && (isAlias(resource) || isKey && isKeyID(id)) {
			return nil
		}
	} else if isAlias(v) || isKeyID(v) {
		return nil
	}
	return syntax(v, want)
}

// arnResource is what stands behind the account in a KMS ARN: arn:PARTITION:kms:REGION:ACCOUNT:RESOURCE.
func arnResource(arn string) (string, bool) {
	f := strings.SplitN(arn, ":", 6)
	if len(f) != 6 || f[0] != "arn" || f[2] != "kms" || !strings.HasPrefix(f[1], "aws") || !isRegion(f[1]) || !isRegion(f[3]) {
		return "", false
	}
	return f[5], len(f[4]) == 12 && strings.Trim(f[4], "0123456789") == ""
}

// isRegion takes region and partition names: us-east-1, aws-us-gov.
func isRegion(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

func isAlias(v string) bool {
	name, ok := strings.CutPrefix(v, "alias/")
	return ok && name != "" && len(v) <= maxAlias && strings.IndexFunc(name, notInAlias) < 0
}

func notInAlias(r rune) bool {
	return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("/_-", r))
}

// isKeyID takes a UUID in lower case, or the id of a multi-Region key.
func isKeyID(v string) bool {
	if hex, ok := strings.CutPrefix(v, "mrk-"); ok {
		return isHex(hex, 32)
	}
	parts := strings.Split(v, "-")
	return len(parts) == 5 && isHex(parts[0], 8) && isHex(parts[1], 4) && isHex(parts[2], 4) &&
		isHex(parts[3], 4) && isHex(parts[4], 12)
}

func isHex(s string, n int) bool {
	return len(s) == n && strings.Trim(s, "0123456789abcdef") == ""
}
