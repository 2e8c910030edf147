package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	"kmsfs/kms"
)

// Records is where key records lie. Names are key ids and aliases; values are sealed and authenticated with their name.
type Records interface {
	// Load returns all records, name → sealed bytes.
	Load() (map[string][]byte, error)
	// Save writes and deletes, atomically; when it returns nil the change survives power loss.
	Save(puts map[string][]byte, deletes []string) error
}

// Options sets a Provider up. The zero value works.
type Options struct {
	Region, Account string           // "": kms.DefaultRegion, kms.DefaultAccount. ARNs of existing keys are kept.
	Now             func() time.Time // nil: time.Now
	// Former keys, which records that [Reseal] has not reached yet are sealed under, newest first. Copied.
	Former  [][]byte
	Witness Witness // nil: nobody is told of keys that are destroyed
}

// Provider is a kms.Backend.
//
// Locks: admin is taken before mu. A change holds admin from its first look to its end, and mu only to swap in what
// was saved, so that no use of a key waits for the disk. Secrets are read under mu's read lock and wiped under its
// write lock.
type Provider struct {
	rec   Records
	seals seals
	names kms.Namer
	now   func() time.Time

	witness Witness

	admin sync.Mutex

	mu      sync.RWMutex // guards what follows
	keys    map[string]*key
	aliases map[string]alias
	grants  map[string]*keyGrants // by key id
	gone    map[string]gone       // by key id
	stale   bool                  // see [Provider.Stale]
	timer   *time.Timer           // does what is due next; nil when nothing is
	retry   time.Time             // when to try again what is due, after a failure
	closed  bool
}

var _ kms.Backend = (*Provider)(nil)

// key is immutable but for the secrets, which are wiped when it is replaced.
type key struct {
	info      keyInfo
	rawID     [idSize]byte
	record    []byte     // sealed, as it was saved
	materials []material // oldest first; secrets are zero unless the key is enabled. None while an import is pending
	pair      keyPair    // of an RSA or ECC key; nil unless the key is enabled
	access    *kms.Access
	broken    error // the record does not open; then only info.ID and info.ARN are set
}

// current is the material that encrypts, nil where there is none.
func (k *key) current() *material {
	if len(k.materials) == 0 {
		return nil
	}
	return &k.materials[len(k.materials)-1]
}

// Open reads all records. sealing has 32 random bytes, for this purpose only. It is copied. An empty Records is given a check
// record, so that another key is told from damage later.
//
// A key record that is damaged does not hinder the others: its key answers kms.KMSInternalException.
func Open(rec Records, sealing []byte, o Options) (*Provider, error) {
	if len(sealing) != kms.KeySize {
		return nil, fmt.Errorf("open the key store: the sealing key has %d bytes, want %d", len(sealing), kms.KeySize)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	p := &Provider{
		rec: rec, seals: newSeals(append([][]byte{sealing}, o.Former...)), names: kms.NewNamer(o.Region, o.Account), now: o.Now,
		keys: map[string]*key{}, aliases: map[string]alias{}, grants: map[string]*keyGrants{}, gone: map[string]gone{}, witness: o.Witness,
	}
	records, err := rec.Load()
	if err != nil {
		return nil, fmt.Errorf("open the key store: %w", err)
	}
	if err := p.checkRoot(records); err != nil {
		return nil, fmt.Errorf("open the key store: %w", err)
	}
	for name, sealed := range records {
		if err := p.load(name, sealed); err != nil {
			p.Close()
			return nil, fmt.Errorf("open the key store: %w", err)
		}
	}
	p.expire()
	return p, nil
}

// checkRoot opens the check record, or makes it where there is nothing yet.
func (p *Provider) checkRoot(records map[string][]byte) error {
	sealed, ok := records[checkRecord]
	if !ok && len(records) > 0 {
		return errors.New("the check record is missing though there are keys: the store is damaged; restore it from a backup")
	}
	if !ok {
		return p.rec.Save(map[string][]byte{checkRecord: p.seals.seal(checkRecord, []byte(checkText))}, nil)
	}
	text, err := p.seals.open(checkRecord, sealed)
	if err != nil || string(text) != checkText {
		return errors.New("the keyring does not belong to these keys, or their check record was altered; " +
			"restore the store, its keyring with it, from one backup")
	}
	return nil
}

func (p *Provider) load(name string, sealed []byte) error {
	switch {
	case name == checkRecord:
		return nil
	case name == staleRecord:
		p.stale = true
		return nil
	case strings.HasPrefix(name, keyPrefix):
		return p.loadKey(strings.TrimPrefix(name, keyPrefix), sealed)
	case strings.HasPrefix(name, gonePrefix):
		p.loadGone(name, strings.TrimPrefix(name, gonePrefix), sealed)
		return nil
	case strings.HasPrefix(name, grantPrefix):
		return p.loadGrant(name, sealed)
	case strings.HasPrefix(name, aliasPrefix):
		p.aliases[name] = p.loadAlias(name, sealed)
		return nil
	}
	return fmt.Errorf("record %q is of a kind that this release does not know; use the release that wrote it", name)
}

func (p *Provider) loadKey(id string, sealed []byte) error {
	raw, err := parseID(id)
	if err != nil {
		return fmt.Errorf("record %q: %w", keyPrefix+id, err)
	}
	k, err := p.openKey(id, sealed)
	if err != nil {
		k = &key{info: keyInfo{ID: id, ARN: p.names.KeyARN(id)}, broken: err}
	}
	k.rawID = raw
	if k.broken == nil {
		k.broken = p.complete(k)
	}
	p.keys[id] = k
	return nil
}

// complete makes a key that was loaded ready for use, and wipes the secrets of one that is not enabled.
func (p *Provider) complete(k *key) error {
	defer func() {
		if k.info.State != kms.StateEnabled {
			k.wipe()
		}
	}()
	return k.prepare(p)
}

// prepare makes what a key has in memory only.
func (k *key) prepare(p *Provider) (err error) {
	if err := k.openPair(); err != nil {
		return err
	}
	k.access, err = p.accessOf(k)
	return err
}

// openKey opens a key record with its secrets.
func (p *Provider) openKey(id string, sealed []byte) (*key, error) {
	payload, err := p.seals.open(keyPrefix+id, sealed)
	if err != nil {
		return nil, err
	}
	defer kms.Wipe(payload)
	info, materials, err := parseKeyRecord(payload)
	if err != nil {
		return nil, err
	}
	if info.ID != id {
		return nil, errors.New("the record is of another key")
	}
	raw, err := parseID(id)
	if err != nil {
		return nil, err
	}
	return &key{info: info, rawID: raw, record: bytes.Clone(sealed), materials: materials}, nil
}

func (k *key) wipe() {
	for i := range k.materials {
		k.materials[i].wipe()
	}
	k.pair = nil // big numbers of crypto/rsa and crypto/ecdsa cannot be wiped; the sealed form is all that stays
}

// Close wipes all secrets. Every call after it is an error.
func (p *Provider) Close() error {
	p.admin.Lock()
	defer p.admin.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	if p.timer != nil {
		p.timer.Stop()
	}
	for _, k := range p.keys {
		k.wipe()
	}
	p.seals.wipe()
	return nil
}

// find returns the key that ref names. The caller holds mu.
func (p *Provider) find(ref kms.KeyRef) (*key, error) {
	if p.closed {
		return nil, kms.Errorf(kms.KMSInternalException, "the key store is closed")
	}
	id := ref.ID
	if ref.Alias != "" {
		a, ok := p.aliases[ref.Alias]
		if !ok {
			return nil, kms.Errorf(kms.NotFoundException, "Alias %s is not found.", p.names.AliasARN(ref.Alias))
		}
		if a.broken != nil {
			return nil, damaged(ref.Alias, a.broken)
		}
		id = a.info.Target
	}
	k, ok := p.keys[id]
	if !ok || p.due(k) {
		return nil, kms.Errorf(kms.NotFoundException, "Key '%s' does not exist", p.names.KeyARN(id))
	}
	if k.broken != nil {
		return nil, damaged(k.info.ARN, k.broken)
	}
	return k, nil
}

func damaged(what string, err error) error {
	return &kms.Error{Code: kms.KMSInternalException, Err: err,
		Message: "The record of " + what + " is damaged. Restore the store from a backup, or make a new key"}
}

// due reports whether the key's waiting period is over: it is gone, though the disk may not say so yet.
func (p *Provider) due(k *key) bool {
	return k.info.State == kms.StatePendingDeletion && k.info.DeletionDate <= p.now().UnixNano()
}

// lookup parses keyID and finds the key; [kms.ManagedAlias] is made when it is missing.
func (p *Provider) lookup(ctx context.Context, keyID string) (*key, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	ref, err := p.names.Parse(keyID)
	if err != nil {
		return nil, err
	}
	p.mu.RLock()
	k, err := p.find(ref)
	p.mu.RUnlock()
	if err != nil && ref.Alias == kms.ManagedAlias && errors.Is(err, kms.NotFoundException) {
		return p.createManaged(ctx)
	}
	return k, err
}

// replace saves k as the new form of its key together with more records, then puts it in force. The caller holds admin.
// From here on k's secrets are the provider's.
func (p *Provider) replace(k *key, more map[string][]byte) error {
	if err := k.prepare(p); err != nil {
		k.wipe()
		return err
	}
	name := keyPrefix + k.info.ID
	payload := marshalKeyRecord(k.info, k.materials)
	k.record = p.seals.seal(name, payload)
	kms.Wipe(payload)
	puts := map[string][]byte{name: k.record}
	maps.Copy(puts, more)
	if err := p.rec.Save(puts, nil); err != nil {
		k.wipe()
		return saveError(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if old, ok := p.keys[k.info.ID]; ok {
		old.wipe()
	}
	if k.info.State != kms.StateEnabled {
		k.wipe()
	}
	p.keys[k.info.ID] = k
	p.arm()
	return nil
}

func saveError(err error) error {
	return &kms.Error{Code: kms.KMSInternalException, Message: "The key record could not be saved", Err: err}
}
