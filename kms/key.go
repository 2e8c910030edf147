package kms

import (
	"strings"
	"time"
)

// KeyState is the state of a KMS key.
type KeyState string

// The states of AWS KMS.
const (
	StateEnabled         KeyState = "Enabled"
	StateDisabled        KeyState = "Disabled"
	StatePendingDeletion KeyState = "PendingDeletion"
	StatePendingImport   KeyState = "PendingImport"
	StateCreating        KeyState = "Creating"
	StateUpdating        KeyState = "Updating"
	StateUnavailable     KeyState = "Unavailable"

	StatePendingReplicaDeletion KeyState = "PendingReplicaDeletion"
)

// Values of KeyMetadata that this module makes or asks for.
const (
	UsageEncryptDecrypt  = "ENCRYPT_DECRYPT"
	SpecSymmetricDefault = "SYMMETRIC_DEFAULT"
	OriginAWSKMS         = "AWS_KMS"
	OriginExternal       = "EXTERNAL"
	ManagerCustomer      = "CUSTOMER"
	ManagerAWS           = "AWS"
)

// The managed key that S3 uses when no other is named. Source: DescribeKey of alias/aws/s3.
const (
	ManagedAlias       = "alias/aws/s3"
	ManagedDescription = "Default key that protects my S3 objects when no other key is defined"
)

// Defaults of an account that is not AWS.
const (
	DefaultRegion  = "us-east-1"
	DefaultAccount = "000000000000"
)

// KeyMetadata is what DescribeKey answers.
type KeyMetadata struct {
	ID, ARN, Account, Description string
	Created                       time.Time
	State                         KeyState
	Usage, Spec, Origin, Manager  string
	DeletionDate                  time.Time // with StatePendingDeletion: when the material is destroyed
	PendingWindowDays             int       // with StatePendingDeletion
	MaterialID                    string    // of the material that encrypts now: 64 hex digits; empty unless symmetric
	MultiRegion                   bool
	ExpirationModel               string    // of imported material: MaterialExpires or MaterialDoesNotExpire
	ValidTo                       time.Time // with MaterialExpires
}

// Enabled reports whether the key can be used.
func (m KeyMetadata) Enabled() bool { return m.State == StateEnabled }

// KeyRef is a parsed key id: either ID (a key) or Alias ("alias/x") is set.
type KeyRef struct{ ID, Alias string }

// Namer knows whose ARNs are meant: of one account in one region.
type Namer struct{ Region, Account string }

// NewNamer fills in the defaults for what is empty.
func NewNamer(region, account string) Namer {
	if region == "" {
		region = DefaultRegion
	}
	if account == "" {
		account = DefaultAccount
	}
	return Namer{region, account}
}

// KeyARN is the ARN of a key of this account.
func (n Namer) KeyARN(id string) string { return n.prefix() + "key/" + id }

// AliasARN is the ARN of an alias ("alias/x") of this account.
func (n Namer) AliasARN(alias string) string { return n.prefix() + alias }

func (n Namer) prefix() string { return "arn:aws:kms:" + n.Region + ":" + n.Account + ":" }

// ARN is the ARN that r stands for.
func (n Namer) ARN(r KeyRef) string {
	if r.Alias != "" {
		return n.AliasARN(r.Alias)
	}
	return n.KeyARN(r.ID)
}

// Parse reads a key id, key ARN, alias name or alias ARN. The error is [NotFoundException], as AWS answers it:
// for a shape that is none of these, another region, or another account.
func (n Namer) Parse(keyID string) (KeyRef, error) {
	name := keyID
	if strings.HasPrefix(keyID, "arn:") {
		var err error
		if name, err = n.parseARN(keyID); err != nil {
			return KeyRef{}, err
		}
	}
	if strings.HasPrefix(name, "alias/") {
		return KeyRef{Alias: name}, nil
	}
	if !isKeyID(name) {
		return KeyRef{}, Errorf(NotFoundException, "Invalid keyId '%s'", keyID)
	}
	return KeyRef{ID: name}, nil
}

// parseARN is the key id or alias name behind an ARN.
func (n Namer) parseARN(arn string) (string, error) {
	if rest, ok := strings.CutPrefix(arn, n.prefix()); ok { // the common case, without allocation
		return cutResource(arn, rest)
	}
	f := strings.SplitN(arn, ":", 6)
	if len(f) != 6 || f[2] != "kms" {
		return "", Errorf(NotFoundException, "Invalid keyId '%s'", arn)
	}
	if f[3] != n.Region {
		return "", &Error{Code: NotFoundException, Message: "Invalid arn " + f[3], Region: f[3]}
	}
	name, err := cutResource(arn, f[5])
	if err != nil {
		return "", err
	}
	if strings.HasPrefix(name, "alias/") {
		return "", Errorf(NotFoundException, "Alias %s is not found.", arn)
	}
	return "", Errorf(NotFoundException, "Key '%s' does not exist", arn)
}

func cutResource(arn, resource string) (string, error) {
	if strings.HasPrefix(resource, "alias/") {
		return resource, nil
	}
	if id, ok := strings.CutPrefix(resource, "key/"); ok {
		return id, nil
	}
	return "", Errorf(NotFoundException, "Invalid keyId '%s'", arn)
}

// isKeyID reports whether s has the shape of a key id: a UUID, or mrk- and 32 hex digits.
func isKeyID(s string) bool {
	if hex, ok := strings.CutPrefix(s, "mrk-"); ok {
		return len(hex) == 32 && isHex(hex)
	}
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return false
	}
	return isHex(s[:8]) && isHex(s[9:13]) && isHex(s[14:18]) && isHex(s[19:23]) && isHex(s[24:])
}

func isHex(s string) bool {
	for i := range len(s) {
		if c := s[i] | 0x20; (s[i] < '0' || s[i] > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
