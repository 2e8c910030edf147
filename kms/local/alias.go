package local

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"kmsfs/kms"
)

// maxAliases is AWS's limit for one key.
const maxAliases = 50

// aliasInfo is the payload of an alias record. Times are nanoseconds since 1970.
type aliasInfo struct {
	Target  string `json:"target"` // key id
	Created int64  `json:"created"`
	Updated int64  `json:"updated"`
}

type alias struct {
	info   aliasInfo
	broken error // the record does not open
}

func (p *Provider) sealAlias(name string, info aliasInfo) []byte {
	b, err := json.Marshal(info)
	if err != nil {
		panic("kms/local: internal error: " + err.Error())
	}
	return p.seals.seal(name, b)
}

func (p *Provider) loadAlias(name string, sealed []byte) alias {
	var a alias
	payload, err := p.seals.open(name, sealed)
	if err == nil {
		err = parseStrict(payload, &a.info)
	}
	a.broken = err
	return a
}

// CreateAlias is kms.Aliases'.
func (p *Provider) CreateAlias(ctx context.Context, name, keyID string) error {
	return p.setAlias(ctx, kms.OpCreateAlias, name, keyID)
}

// UpdateAlias is kms.Aliases'.
func (p *Provider) UpdateAlias(ctx context.Context, name, keyID string) error {
	return p.setAlias(ctx, kms.OpUpdateAlias, name, keyID)
}

func (p *Provider) setAlias(ctx context.Context, op kms.Operation, name, keyID string) error {
	if err := kms.ValidateAlias(name); err != nil {
		return err
	}
	end, err := p.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	now := p.now().UnixNano()
	info := aliasInfo{Created: now, Updated: now}
	old, err := p.findAlias(name)
	switch {
	case op == kms.OpCreateAlias && err == nil:
		return kms.Errorf(kms.AlreadyExistsException, "An alias with the name %s already exists", p.names.AliasARN(name))
	case op == kms.OpUpdateAlias && err != nil:
		return err
	case op == kms.OpUpdateAlias && old.broken == nil:
		info.Created = old.info.Created
	}
	k, err := p.changeable(ctx, op, keyID)
	if err != nil {
		return err
	}
	if old.info.Target != k.info.ID && p.countAliases(k.info.ID) >= maxAliases {
		return kms.Errorf(kms.LimitExceededException, "The key %s has %d aliases, which is the limit. Delete one first.", k.info.ARN, maxAliases)
	}
	info.Target = k.info.ID
	return p.saveAlias(name, info)
}

func (p *Provider) findAlias(name string) (alias, error) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	a, ok := p.aliases[name]
	if !ok {
		return a, kms.Errorf(kms.NotFoundException, "Alias %s is not found.", p.names.AliasARN(name))
	}
	return a, nil
}

func (p *Provider) countAliases(id string) (n int) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	for _, a := range p.aliases {
		if a.info.Target == id {
			n++
		}
	}
	return n
}

func (p *Provider) saveAlias(name string, info aliasInfo) error {
	if err := p.rec.Save(map[string][]byte{name: p.sealAlias(name, info)}, nil); err != nil {
		return saveError(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.aliases[name] = alias{info: info}
	return nil
}

// DeleteAlias is kms.Aliases'.
func (p *Provider) DeleteAlias(ctx context.Context, name string) error {
	if err := kms.ValidateAlias(name); err != nil {
		return err
	}
	end, err := p.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	if _, err := p.findAlias(name); err != nil {
		return err
	}
	if err := p.rec.Save(nil, []string{name}); err != nil {
		return saveError(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.aliases, name)
	return nil
}

// ListAliases is kms.Aliases'.
func (p *Provider) ListAliases(ctx context.Context, keyID, after string, limit int) (kms.AliasPage, error) {
	var page kms.AliasPage
	target := ""
	if keyID != "" {
		k, err := p.lookup(ctx, keyID)
		if err != nil {
			return page, err
		}
		target = k.info.ID
	}
	if err := ctx.Err(); err != nil {
		return page, err
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	for _, name := range slices.Sorted(maps.Keys(p.aliases)) {
		a := p.aliases[name]
		if strings.Compare(name, after) <= 0 || (target != "" && a.info.Target != target) {
			continue
		}
		if len(page.Aliases) == limit {
			page.Next = page.Aliases[limit-1].Name
			break
		}
		page.Aliases = append(page.Aliases, kms.Alias{
			Name: name, ARN: p.names.AliasARN(name), TargetKeyID: a.info.Target,
			Created: time.Unix(0, a.info.Created).UTC(), Updated: time.Unix(0, a.info.Updated).UTC(),
		})
	}
	return page, nil
}
