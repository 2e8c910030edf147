// Package guarded adds rules of this store to the keys of another key service. That service sees one caller, whose credentials
// this program has; who of this machine may use a key, a policy decides that is kept here, in the language of key policies.
//
// Both have to allow a use. A key without a policy here is open to whom the other service lets in.
package guarded

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"kmsfs/kms"
	"kmsfs/kms/policy"
)

// Records is where the policies lie. Names are "policy/" and the key's ARN.
type Records interface {
	// Load returns all records.
	Load() (map[string][]byte, error)
	// Save writes and deletes, atomically; when it returns nil the change survives power loss.
	Save(puts map[string][]byte, deletes []string) error
}

const prefix = "policy/"

// Backend is a kms.Backend over another one, and a kms.LocalPolicies. It may be used concurrently.
type Backend struct {
	kms.Backend
	rec Records

	mu    sync.RWMutex
	byARN map[string]*rule
}

// rule is what decides about one key.
type rule struct {
	document string
	access   *kms.Access
}

// record is a rule as it is kept, in JSON. The key's facts are for the policy's conditions.
type record struct {
	Policy              string
	Spec, Usage, Origin string
	MultiRegion         bool
}

var (
	_ kms.Backend       = (*Backend)(nil)
	_ kms.LocalPolicies = (*Backend)(nil)
)

// Open reads the policies of rec. One that cannot be read is an error: the key it is about would be open.
func Open(next kms.Backend, rec Records) (*Backend, error) {
	records, err := rec.Load()
	if err != nil {
		return nil, fmt.Errorf("read the policies for keys of another service: %w", err)
	}
	b := &Backend{Backend: next, rec: rec, byARN: map[string]*rule{}}
	for name, raw := range records {
		arn, ok := strings.CutPrefix(name, prefix)
		if !ok {
			continue
		}
		var r record
		err := json.Unmarshal(raw, &r)
		if err == nil {
			b.byARN[arn], err = r.rule(arn)
		}
		if err != nil {
			return nil, fmt.Errorf("read the policy for %s: %w", arn, err)
		}
	}
	return b, nil
}

func (r *record) rule(arn string) (*rule, error) {
	p, err := kms.ParsePolicy(r.Policy)
	if err != nil {
		return nil, err
	}
	m := kms.KeyMetadata{ARN: arn, Spec: r.Spec, Usage: r.Usage, Origin: r.Origin, MultiRegion: r.MultiRegion,
		State: kms.StateEnabled} // the state is for the other service to judge
	return &rule{r.Policy, &kms.Access{Key: m, Policy: p}}, nil
}

// Access is kms.Policies'. It asks the other service only for the key behind an alias or a bare id, and only where a policy exists
// at all. With a blob alone it answers nil: which key made it is known when it was opened.
func (b *Backend) Access(ctx context.Context, keyID string, _ []byte) (*kms.Access, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b.mu.RLock()
	r, none := b.byARN[keyID], len(b.byARN) == 0
	b.mu.RUnlock()
	if r == nil && !none && keyID != "" && !strings.Contains(keyID, ":key/") {
		m, err := b.Backend.DescribeKey(ctx, keyID)
		if err != nil {
			return nil, err
		}
		b.mu.RLock()
		r = b.byARN[m.ARN]
		b.mu.RUnlock()
	}
	if r == nil {
		return nil, nil
	}
	return r.access, nil
}

// LocalPolicy is kms.LocalPolicies'.
func (b *Backend) LocalPolicy(keyARN string) string {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if r := b.byARN[keyARN]; r != nil {
		return r.document
	}
	return ""
}

// PutLocalPolicy is kms.LocalPolicies'.
func (b *Backend) PutLocalPolicy(_ context.Context, m kms.KeyMetadata, document string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if document == "" {
		if err := b.rec.Save(nil, []string{prefix + m.ARN}); err != nil {
			return err
		}
		delete(b.byARN, m.ARN)
		return nil
	}
	if len(document) > policy.MaxSize {
		return kms.Errorf(kms.LimitExceededException, "The policy has %d bytes; the limit is %d.", len(document), policy.MaxSize)
	}
	r := record{document, m.Spec, m.Usage, m.Origin, m.MultiRegion}
	compiled, err := r.rule(m.ARN)
	if err != nil {
		return err
	}
	raw, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := b.rec.Save(map[string][]byte{prefix + m.ARN: raw}, nil); err != nil {
		return err
	}
	b.byARN[m.ARN] = compiled
	return nil
}
