package local

import (
	"context"

	"kmsfs/kms"
)

// ScheduleKeyDeletion is kms.Keys'. The material leaves the memory now.
func (p *Provider) ScheduleKeyDeletion(ctx context.Context, keyID string, days int) (kms.KeyMetadata, error) {
	return p.change(ctx, kms.OpScheduleKeyDeletion, keyID, func(k *key) error {
		k.info.State = kms.StatePendingDeletion
		k.info.WindowDays = days
		k.info.DeletionDate = p.now().AddDate(0, 0, days).UnixNano()
		return nil
	})
}

// CancelKeyDeletion is kms.Keys'.
func (p *Provider) CancelKeyDeletion(ctx context.Context, keyID string) (kms.KeyMetadata, error) {
	return p.change(ctx, kms.OpCancelKeyDeletion, keyID, func(k *key) error {
		k.info.State = kms.StateDisabled
		if len(k.materials) == 0 {
			k.info.State = kms.StatePendingImport
		}
		k.info.WindowDays, k.info.DeletionDate = 0, 0
		return nil
	})
}

// DeleteDue destroys the keys whose waiting period is over: records, aliases, and what is in memory. It runs by itself;
// a key that is due cannot be found even before.
func (p *Provider) DeleteDue(ctx context.Context) error {
	end, err := p.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	keys, records := p.dueRecords()
	if len(records) > 0 {
		if err := p.rec.Save(nil, records); err != nil {
			return saveError(err)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range keys {
		p.keys[id].wipe()
		delete(p.keys, id)
		delete(p.grants, id)
	}
	for _, name := range records {
		delete(p.aliases, name)
	}
	p.arm()
	return nil
}

// dueRecords lists the keys that are due, and the names of their records, grants and aliases.
func (p *Provider) dueRecords() (keys, records []string) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	due := map[string]bool{}
	for id, k := range p.keys {
		if p.due(k) {
			due[id] = true
			keys, records = append(keys, id), append(records, keyPrefix+id)
			for grantID := range p.grantIDs(id) {
				records = append(records, grantRecord(id, grantID))
			}
		}
	}
	for name, a := range p.aliases {
		if due[a.info.Target] {
			records = append(records, name)
		}
	}
	return keys, records
}
