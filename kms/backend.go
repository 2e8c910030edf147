package kms

import (
	"context"
	"time"
)

// Backend is what a provider of KMS keys implements. It need not audit, count or cache: [Service] does.
//
// A keyID has any of the four forms (key id, key ARN, alias name, alias ARN). Errors wrap a [Code]; where AWS's text
// is known it is Error.Message. Of every keyID:
//   - a shape that is none of the four, another region, an unknown key or alias: [NotFoundException];
//   - a key whose state forbids the operation: [DisabledException] or [KMSInvalidStateException] with Error.State,
//     as [CheckState] says.
//
// Every method may be called concurrently. A ctx that is done before the effect is an error and has none.
// A change that returned is in force for every call that starts after it, and survives power loss.
// Slices passed in are not kept, slices returned belong to the caller.
type Backend interface {
	Keys
	Aliases
	Crypto
	Policies
	Grants
	Tags
	Rotations
	Imports
	Signing
}

// Crypto is the use of keys. The encryption context is authenticated with every ciphertext blob.
type Crypto interface {
	// GenerateDataKey makes a random data key of in.Bytes bytes and wraps it.
	// [ManagedAlias] is made when it is first used. With in.WithoutPlaintext, Plaintext is nil.
	GenerateDataKey(ctx context.Context, in GenerateDataKeyInput) (DataKey, error)
	// Encrypt wraps in.Plaintext, 1 to 4096 bytes. Two calls never give the same blob.
	Encrypt(ctx context.Context, in EncryptInput) (Ciphertext, error)
	// Decrypt unwraps a blob, with the material that made it, also after a rotation.
	// A blob that was altered, or made with another context: [InvalidCiphertextException] with an empty message.
	// A blob of another key than in.KeyID, where that is given: [IncorrectKeyException]. A blob of a key that does
	// not exist here, without in.KeyID: [AccessDeniedException].
	Decrypt(ctx context.Context, in DecryptInput) (Plaintext, error)
	// ReEncrypt unwraps as Decrypt does and wraps as Encrypt does; the plaintext stays inside the provider.
	ReEncrypt(ctx context.Context, in ReEncryptInput) (ReEncrypted, error)
}

// Keys is the administration of keys. AWS managed keys can be described and listed only:
// the rest is [AccessDeniedException].
type Keys interface {
	// CreateKey makes a key as in says, enabled but for one of [OriginExternal], which waits for its material. Spec, Usage
	// and Origin are set, and go together.
	CreateKey(ctx context.Context, in CreateKeyInput) (KeyMetadata, error)
	// DescribeKey makes the key of [ManagedAlias] when there is none yet.
	DescribeKey(ctx context.Context, keyID string) (KeyMetadata, error)
	// ListKeys returns keys in ascending order of id behind the id after, at most limit (1 to 1000).
	ListKeys(ctx context.Context, after string, limit int) (KeyPage, error)
	EnableKey(ctx context.Context, keyID string) error
	// DisableKey refuses every use from now on. It is no error when the key is disabled already.
	DisableKey(ctx context.Context, keyID string) error
	UpdateKeyDescription(ctx context.Context, keyID, description string) error
	// ScheduleKeyDeletion makes the key unusable now and destroys material, metadata and aliases after days (7 to 30).
	ScheduleKeyDeletion(ctx context.Context, keyID string, days int) (KeyMetadata, error)
	// CancelKeyDeletion leaves the key disabled. A key that is not pending: [KMSInvalidStateException].
	CancelKeyDeletion(ctx context.Context, keyID string) (KeyMetadata, error)
}

// Aliases is the administration of alias names ("alias/x"). Names under alias/aws/ are reserved:
// [NotAuthorizedException]. A name without the prefix: [ValidationException]; with a character outside
// a-z A-Z 0-9 : / _ -, or longer than 256: [ValidationException].
type Aliases interface {
	// CreateAlias: a name that exists is [AlreadyExistsException].
	CreateAlias(ctx context.Context, alias, targetKeyID string) error
	// UpdateAlias points an existing alias to another key.
	UpdateAlias(ctx context.Context, alias, targetKeyID string) error
	DeleteAlias(ctx context.Context, alias string) error
	// ListAliases returns aliases in ascending order of name behind the name after, at most limit (1 to 100); only
	// those of one key when keyID is not empty.
	ListAliases(ctx context.Context, keyID, after string, limit int) (AliasPage, error)
}

// KeyEntry is a key in a list.
type KeyEntry struct{ ID, ARN string }

// KeyPage is one page of keys. Where Next is not empty, pass it as after for the next page.
type KeyPage struct {
	Keys []KeyEntry
	Next string
}

// Alias is a name for a key.
type Alias struct {
	Name, ARN, TargetKeyID string // TargetKeyID is a key id
	Created, Updated       time.Time
}

// AliasPage is one page of aliases. Where Next is not empty, pass it as after for the next page.
type AliasPage struct {
	Aliases []Alias
	Next    string
}

// GenerateDataKeyInput asks for a data key of Bytes bytes, 1 to 1024.
type GenerateDataKeyInput struct {
	KeyID            string
	Context          Context
	Bytes            int
	WithoutPlaintext bool
	GrantTokens      []string // for Service only, as DryRun
	DryRun           bool     // everything but the answer, which is [DryRunOperationException]
}

// DataKey is a new data key. The caller wipes Plaintext.
type DataKey struct {
	Plaintext, Blob    []byte
	KeyARN, MaterialID string
}

// EncryptInput wraps Plaintext. Algorithm "" is [AlgorithmSymmetric]; an RSA key needs one of its own, and has no context.
type EncryptInput struct {
	KeyID       string
	Context     Context
	Plaintext   []byte
	Algorithm   string
	GrantTokens []string // for Service only, as DryRun
	DryRun      bool
}

// Ciphertext is a wrapped plaintext.
type Ciphertext struct {
	Blob   []byte
	KeyARN string
}

// DecryptInput unwraps Blob. KeyID may be empty with symmetric encryption: the blob names its key.
type DecryptInput struct {
	KeyID       string
	Context     Context
	Blob        []byte
	Algorithm   string   // as in [EncryptInput]
	GrantTokens []string // for Service only, as DryRun
	DryRun      bool
}

// Plaintext is an unwrapped blob. The caller wipes Bytes.
type Plaintext struct {
	Bytes              []byte
	KeyARN, MaterialID string
}

// ReEncryptInput wraps Blob anew. SourceKeyID may be empty.
type ReEncryptInput struct {
	Blob          []byte
	SourceKeyID   string
	SourceContext Context
	KeyID         string
	Context       Context
	GrantTokens   []string // for Service only, as DryRun
	DryRun        bool
}

// ReEncrypted is a blob under its new key.
type ReEncrypted struct {
	Blob                         []byte
	KeyARN, SourceKeyARN         string
	MaterialID, SourceMaterialID string
}
