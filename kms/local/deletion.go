package local

import (
	"context"
	"time"

	"kmsfs/kms"
)

// dueCheck is how long a timer runs at most, so that a clock that was set is noticed; also the pause after a failure.
const dueCheck = time.Hour

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
	}
	for _, name := range records {
		delete(p.aliases, name)
	}
	p.arm()
	return nil
}

// dueRecords lists the keys that are due, and the names of their records and aliases.
func (p *Provider) dueRecords() (keys, records []string) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	due := map[string]bool{}
	for id, k := range p.keys {
		if p.due(k) {
			due[id] = true
			keys, records = append(keys, id), append(records, keyPrefix+id)
		}
	}
	for name, a := range p.aliases {
		if due[a.info.Target] {
			records = append(records, name)
		}
	}
	return keys, records
}

// arm sets the timer for the next key that will be due. The caller holds mu for writing.
func (p *Provider) arm() {
	wait := time.Duration(-1)
	for _, k := range p.keys {
		if k.info.State != kms.StatePendingDeletion {
			continue
		}
		d := max(0, min(dueCheck, time.Unix(0, k.info.DeletionDate).Sub(p.now())))
		if wait < 0 || d < wait {
			wait = d
		}
	}
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
	if wait >= 0 && !p.closed {
		p.timer = time.AfterFunc(wait, p.expire)
	}
}

// expire is the timer's. After a failure it tries again later; the key is unusable all the same.
func (p *Provider) expire() {
	if p.DeleteDue(context.Background()) == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.timer = time.AfterFunc(dueCheck, p.expire)
	}
}
