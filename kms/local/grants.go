package local

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"kmsfs/kms"
)

const (
	grantIDSize     = 32
	labelGrantToken = "kmsfs kms grant token v1"
)

// grantInfo is the payload of a grant record. Times are nanoseconds since 1970.
type grantInfo struct {
	Name       string            `json:"name,omitempty"`
	Created    int64             `json:"created"`
	Grantee    string            `json:"grantee"`
	Retiring   string            `json:"retiring,omitempty"`
	Issuer     string            `json:"issuer"`
	Operations []kms.Operation   `json:"operations"`
	Equals     map[string]string `json:"equals,omitempty"`
	Subset     map[string]string `json:"subset,omitempty"`
}

// keyGrants are the grants of one key.
type keyGrants struct {
	byID      map[string]*kms.Grant
	byGrantee map[string][]*kms.Grant // replaced, never changed: it is handed out
}

func grantRecord(keyID, grantID string) string { return grantPrefix + keyID + "/" + grantID }

// loadGrant reads a grant record. One that is damaged allows nothing, and can be listed and revoked.
func (p *Provider) loadGrant(name string, sealed []byte) error {
	keyID, grantID, ok := strings.Cut(strings.TrimPrefix(name, grantPrefix), "/")
	if !ok {
		return fmt.Errorf("record %q is of a kind that this release does not know; use the release that wrote it", name)
	}
	g := &kms.Grant{ID: grantID, KeyARN: p.names.KeyARN(keyID)}
	var info grantInfo
	if payload, err := p.seals.open(name, sealed); err == nil && parseStrict(payload, &info) == nil {
		g.Name, g.Created, g.Grantee, g.Retiring, g.Issuer = info.Name, time.Unix(0, info.Created).UTC(), info.Grantee, info.Retiring, info.Issuer
		g.Operations, g.Constraints = info.Operations, kms.GrantConstraints{Equals: info.Equals, Subset: info.Subset}
	}
	p.addGrant(keyID, g)
	return nil
}

// addGrant puts a grant in force. The caller holds mu for writing, or is alone.
func (p *Provider) addGrant(keyID string, g *kms.Grant) {
	k := p.grants[keyID]
	if k == nil {
		k = &keyGrants{byID: map[string]*kms.Grant{}, byGrantee: map[string][]*kms.Grant{}}
		p.grants[keyID] = k
	}
	k.byID[g.ID] = g
	k.byGrantee[g.Grantee] = append(slices.Clip(k.byGrantee[g.Grantee]), g)
}

// grantIDs are the ids of a key's grants. The caller holds mu.
func (p *Provider) grantIDs(keyID string) map[string]*kms.Grant {
	if k := p.grants[keyID]; k != nil {
		return k.byID
	}
	return nil
}

// grantsOf are the grants of a grantee.
func (p *Provider) grantsOf(keyID, grantee string) []*kms.Grant {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if k := p.grants[keyID]; k != nil {
		return k.byGrantee[grantee]
	}
	return nil
}

// CreateGrant is kms.Grants'.
func (p *Provider) CreateGrant(ctx context.Context, g kms.Grant) (kms.GrantRef, error) {
	end, err := p.begin(ctx)
	if err != nil {
		return kms.GrantRef{}, err
	}
	defer end()
	k, err := p.changeable(ctx, kms.OpCreateGrant, g.KeyARN)
	if err != nil {
		return kms.GrantRef{}, err
	}
	g.KeyARN = k.info.ARN
	g.Operations = slices.Clone(g.Operations)
	g.Constraints = kms.GrantConstraints{Equals: g.Constraints.Equals.Clone(), Subset: g.Constraints.Subset.Clone()}
	if old, ok := p.sameGrant(k.info.ID, &g); ok {
		return p.ref(k, old.ID), nil
	}
	if p.countGrants(k.info.ID) >= kms.MaxGrants {
		return kms.GrantRef{}, kms.Errorf(kms.LimitExceededException, "The key %s has %d grants, which is the limit. Revoke or retire some first.", k.info.ARN, kms.MaxGrants)
	}
	var raw [grantIDSize]byte
	rand.Read(raw[:])
	g.ID, g.Created = hex.EncodeToString(raw[:]), p.now().UTC()
	name := grantRecord(k.info.ID, g.ID)
	if err := p.rec.Save(map[string][]byte{name: p.sealGrant(name, &g)}, nil); err != nil {
		return kms.GrantRef{}, saveError(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.addGrant(k.info.ID, &g)
	return p.ref(k, g.ID), nil
}

func (p *Provider) sealGrant(name string, g *kms.Grant) []byte {
	b, err := json.Marshal(grantInfo{
		Name: g.Name, Created: g.Created.UnixNano(), Grantee: g.Grantee, Retiring: g.Retiring, Issuer: g.Issuer,
		Operations: g.Operations, Equals: g.Constraints.Equals, Subset: g.Constraints.Subset,
	})
	if err != nil {
		panic("kms/local: internal error: " + err.Error())
	}
	return p.seals.seal(name, b)
}

// sameGrant is a named grant that says the same as g.
func (p *Provider) sameGrant(keyID string, g *kms.Grant) (*kms.Grant, bool) {
	if g.Name == "" {
		return nil, false
	}
	for _, old := range p.grantsOf(keyID, g.Grantee) {
		o := *old
		o.ID, o.Created = "", time.Time{}
		if reflect.DeepEqual(o, *g) {
			return old, true
		}
	}
	return nil, false
}

func (p *Provider) countGrants(keyID string) int {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return len(p.grantIDs(keyID))
}

// ref names a grant, with its token: key id, grant id, and a MAC of both.
func (p *Provider) ref(k *key, grantID string) kms.GrantRef {
	id, err := hex.DecodeString(grantID)
	if err != nil {
		panic("kms/local: internal error: " + err.Error())
	}
	body := slices.Concat(k.rawID[:], id)
	return kms.GrantRef{KeyID: k.info.ID, ID: grantID, Token: base64.StdEncoding.EncodeToString(append(body, p.tokenMAC(body)...))}
}

func (p *Provider) tokenMAC(body []byte) []byte {
	key := Derive(p.seals.newest(), labelGrantToken)
	defer kms.Wipe(key)
	h := hmac.New(sha256.New, key)
	h.Write(body)
	return h.Sum(nil)
}

// FindGrant is kms.Grants'.
func (p *Provider) FindGrant(ctx context.Context, r kms.GrantRef) (kms.Grant, error) {
	if err := ctx.Err(); err != nil {
		return kms.Grant{}, err
	}
	if r.Token != "" {
		return p.grantOfToken(r.Token)
	}
	k, err := p.lookup(ctx, r.KeyID)
	if err != nil {
		return kms.Grant{}, err
	}
	return p.grant(k.info.ID, r.ID)
}

func (p *Provider) grantOfToken(token string) (kms.Grant, error) {
	invalid := kms.Errorf(kms.InvalidGrantTokenException, "Grant token is invalid")
	raw, err := base64.StdEncoding.DecodeString(token)
	if err != nil || len(raw) != idSize+grantIDSize+sha256.Size {
		return kms.Grant{}, invalid
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	body := raw[:idSize+grantIDSize]
	if p.closed || !hmac.Equal(p.tokenMAC(body), raw[len(body):]) {
		return kms.Grant{}, invalid
	}
	k, err := p.ofRaw([idSize]byte(body))
	if err != nil {
		return kms.Grant{}, invalid
	}
	if g, ok := p.grantIDs(k.info.ID)[hex.EncodeToString(body[idSize:])]; ok {
		return cloneGrant(g), nil
	}
	return kms.Grant{}, invalid
}

func (p *Provider) grant(keyID, grantID string) (kms.Grant, error) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if g, ok := p.grantIDs(keyID)[grantID]; ok {
		return cloneGrant(g), nil
	}
	return kms.Grant{}, kms.Errorf(kms.NotFoundException, "Grant ID %s not found", grantID)
}

func cloneGrant(g *kms.Grant) kms.Grant {
	c := *g
	c.Operations = slices.Clone(g.Operations)
	c.Constraints = kms.GrantConstraints{Equals: g.Constraints.Equals.Clone(), Subset: g.Constraints.Subset.Clone()}
	return c
}

// DeleteGrant is kms.Grants'.
func (p *Provider) DeleteGrant(ctx context.Context, keyID, grantID string) error {
	end, err := p.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	ref, err := p.names.Parse(keyID)
	if err != nil {
		return err
	}
	p.mu.RLock()
	k, err := p.find(ref)
	p.mu.RUnlock()
	if err != nil {
		return err
	}
	g, err := p.grant(k.info.ID, grantID)
	if err != nil {
		return err
	}
	if err := p.rec.Save(nil, []string{grantRecord(k.info.ID, grantID)}); err != nil {
		return saveError(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	all := p.grants[k.info.ID]
	delete(all.byID, grantID)
	left := slices.DeleteFunc(slices.Clone(all.byGrantee[g.Grantee]), func(o *kms.Grant) bool { return o.ID == grantID })
	if all.byGrantee[g.Grantee] = left; len(left) == 0 {
		delete(all.byGrantee, g.Grantee)
	}
	return nil
}

// ListGrants is kms.Grants'.
func (p *Provider) ListGrants(ctx context.Context, f kms.GrantFilter, after string, limit int) (kms.GrantPage, error) {
	if err := ctx.Err(); err != nil {
		return kms.GrantPage{}, err
	}
	keyID := ""
	if f.KeyID != "" {
		k, err := p.lookup(ctx, f.KeyID)
		if err != nil {
			return kms.GrantPage{}, err
		}
		keyID = k.info.ID
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	found := map[string]*kms.Grant{}
	for id, k := range p.grants {
		if keyID != "" && id != keyID {
			continue
		}
		for _, g := range k.byID {
			if g.ID > after && matches(f, g) {
				found[g.ID] = g
			}
		}
	}
	return pageOfGrants(found, limit), nil
}

func matches(f kms.GrantFilter, g *kms.Grant) bool {
	return (f.ID == "" || f.ID == g.ID) && (f.Grantee == "" || f.Grantee == g.Grantee) && (f.Retiring == "" || f.Retiring == g.Retiring)
}

func pageOfGrants(found map[string]*kms.Grant, limit int) (page kms.GrantPage) {
	for _, id := range slices.Sorted(maps.Keys(found)) {
		if len(page.Grants) == limit {
			page.Next = page.Grants[limit-1].ID
			break
		}
		page.Grants = append(page.Grants, cloneGrant(found[id]))
	}
	return page
}
