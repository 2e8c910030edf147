package kmstest

import (
	"context"
	"sync"
	"time"

	"kmsfs/kms"
)

// Call is one call to a Backend, before it is made.
type Call struct {
	Op    kms.Operation
	KeyID string // as it was passed; an alias name for alias operations
	N     int    // how many calls of Op were made before this one
}

// Rule decides about a call: an error is answered in place of making it.
type Rule func(ctx context.Context, c Call) error

// Fault is a Backend that asks its rules before every use and change of a key. Rules may be added at any time. Access, and what
// only lists grants, tags and policies, goes through.
type Fault struct {
	kms.Backend

	mu    sync.Mutex
	rules []Rule
	calls map[kms.Operation]int
}

// NewFault wraps b.
func NewFault(b kms.Backend, rules ...Rule) *Fault {
	return &Fault{Backend: b, rules: rules, calls: map[kms.Operation]int{}}
}

// Add adds a rule.
func (f *Fault) Add(r Rule) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules = append(f.rules, r)
}

// Clear removes all rules.
func (f *Fault) Clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules = nil
}

// Calls counts the calls of op so far, refused ones included.
func (f *Fault) Calls(op kms.Operation) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[op]
}

// Deny refuses op ("" every operation) of keyID ("" every key) as KMS refuses a caller.
func Deny(op kms.Operation, keyID string) Rule {
	return func(ctx context.Context, c Call) error {
		if (op != "" && c.Op != op) || (keyID != "" && c.KeyID != keyID) {
			return nil
		}
		return kms.Errorf(kms.AccessDeniedException, "User: %s is not authorized to perform: kms:%s on resource: %s "+
			"because no resource-based policy allows the kms:%s action", kms.CallerFrom(ctx).Principal, c.Op, c.KeyID, c.Op)
	}
}

// Delay makes op ("" every operation) take d longer, or until ctx is done.
func Delay(op kms.Operation, d time.Duration) Rule {
	return func(ctx context.Context, c Call) error {
		if op != "" && c.Op != op {
			return nil
		}
		select {
		case <-time.After(d):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// FailNth answers err to the nth call of op, counted from 0.
func FailNth(op kms.Operation, n int, err error) Rule {
	return func(_ context.Context, c Call) error {
		if c.Op == op && c.N == n {
			return err
		}
		return nil
	}
}

// FailAll answers err to every call.
func FailAll(err error) Rule {
	return func(context.Context, Call) error { return err }
}

func (f *Fault) before(ctx context.Context, op kms.Operation, keyID string) error {
	f.mu.Lock()
	c := Call{op, keyID, f.calls[op]}
	f.calls[op]++
	rules := append([]Rule(nil), f.rules...)
	f.mu.Unlock()
	for _, r := range rules {
		if err := r(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// faulty makes a call unless a rule refuses it.
func faulty[T any](f *Fault, ctx context.Context, op kms.Operation, keyID string, call func() (T, error)) (T, error) {
	if err := f.before(ctx, op, keyID); err != nil {
		var none T
		return none, err
	}
	return call()
}

func (f *Fault) faulty(ctx context.Context, op kms.Operation, keyID string, call func() error) error {
	if err := f.before(ctx, op, keyID); err != nil {
		return err
	}
	return call()
}

// GenerateDataKey is kms.Crypto's.
func (f *Fault) GenerateDataKey(ctx context.Context, in kms.GenerateDataKeyInput) (kms.DataKey, error) {
	op := kms.OpGenerateDataKey
	if in.WithoutPlaintext {
		op = kms.OpGenerateWithoutPlaintext
	}
	return faulty(f, ctx, op, in.KeyID, func() (kms.DataKey, error) { return f.Backend.GenerateDataKey(ctx, in) })
}

// Encrypt is kms.Crypto's.
func (f *Fault) Encrypt(ctx context.Context, in kms.EncryptInput) (kms.Ciphertext, error) {
	return faulty(f, ctx, kms.OpEncrypt, in.KeyID, func() (kms.Ciphertext, error) { return f.Backend.Encrypt(ctx, in) })
}

// Decrypt is kms.Crypto's.
func (f *Fault) Decrypt(ctx context.Context, in kms.DecryptInput) (kms.Plaintext, error) {
	return faulty(f, ctx, kms.OpDecrypt, in.KeyID, func() (kms.Plaintext, error) { return f.Backend.Decrypt(ctx, in) })
}

// ReEncrypt is kms.Crypto's.
func (f *Fault) ReEncrypt(ctx context.Context, in kms.ReEncryptInput) (kms.ReEncrypted, error) {
	return faulty(f, ctx, kms.OpReEncrypt, in.KeyID, func() (kms.ReEncrypted, error) { return f.Backend.ReEncrypt(ctx, in) })
}

// CreateKey is kms.Keys'.
func (f *Fault) CreateKey(ctx context.Context, in kms.CreateKeyInput) (kms.KeyMetadata, error) {
	return faulty(f, ctx, kms.OpCreateKey, "", func() (kms.KeyMetadata, error) { return f.Backend.CreateKey(ctx, in) })
}

// DescribeKey is kms.Keys'.
func (f *Fault) DescribeKey(ctx context.Context, keyID string) (kms.KeyMetadata, error) {
	return faulty(f, ctx, kms.OpDescribeKey, keyID, func() (kms.KeyMetadata, error) { return f.Backend.DescribeKey(ctx, keyID) })
}

// ListKeys is kms.Keys'.
func (f *Fault) ListKeys(ctx context.Context, after string, limit int) (kms.KeyPage, error) {
	return faulty(f, ctx, kms.OpListKeys, "", func() (kms.KeyPage, error) { return f.Backend.ListKeys(ctx, after, limit) })
}

// EnableKey is kms.Keys'.
func (f *Fault) EnableKey(ctx context.Context, keyID string) error {
	return f.faulty(ctx, kms.OpEnableKey, keyID, func() error { return f.Backend.EnableKey(ctx, keyID) })
}

// DisableKey is kms.Keys'.
func (f *Fault) DisableKey(ctx context.Context, keyID string) error {
	return f.faulty(ctx, kms.OpDisableKey, keyID, func() error { return f.Backend.DisableKey(ctx, keyID) })
}

// CreateAlias is kms.Aliases'.
func (f *Fault) CreateAlias(ctx context.Context, alias, keyID string) error {
	return f.faulty(ctx, kms.OpCreateAlias, alias, func() error { return f.Backend.CreateAlias(ctx, alias, keyID) })
}

// UpdateAlias is kms.Aliases'.
func (f *Fault) UpdateAlias(ctx context.Context, alias, keyID string) error {
	return f.faulty(ctx, kms.OpUpdateAlias, alias, func() error { return f.Backend.UpdateAlias(ctx, alias, keyID) })
}

// DeleteAlias is kms.Aliases'.
func (f *Fault) DeleteAlias(ctx context.Context, alias string) error {
	return f.faulty(ctx, kms.OpDeleteAlias, alias, func() error { return f.Backend.DeleteAlias(ctx, alias) })
}
