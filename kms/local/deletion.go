package local

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"kmsfs/kms"
)

// gonePrefix begins the names of records that say what became of keys that were destroyed.
const gonePrefix = "gone/"

// Witness is told of keys that are destroyed. It is called under a lock: it must not come back to the provider.
type Witness interface {
	// Loses answers what can never be read again without the key. An error puts the destruction off.
	Loses(ctx context.Context, keyARN string) (kms.Loss, error)
	// Destroyed is called when the key is gone for good.
	Destroyed(d kms.Destruction)
}

// ScheduleKeyDeletion is kms.Keys'. The material leaves the memory now.
func (p *Provider) ScheduleKeyDeletion(ctx context.Context, keyID string, days int) (kms.KeyMetadata, error) {
	return p.change(ctx, kms.OpScheduleKeyDeletion, keyID, func(k *key) error {
		k.info.State = kms.StatePendingDeletion
		k.info.WindowDays = days
		k.info.Scheduled, k.info.ScheduledBy = p.now().UnixNano(), kms.CallerFrom(ctx).Principal
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
		k.info.Scheduled, k.info.ScheduledBy = 0, ""
		return nil
	})
}

// DeleteDue destroys the keys whose waiting period is over: records, aliases, and what is in memory. It runs by itself;
// a key that is due cannot be found even before.
func (p *Provider) DeleteDue(ctx context.Context) error {
	err := p.deleteDue(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.arm()
	return err
}

// deleteDue is DeleteDue without the timer. A key that cannot be destroyed does not hinder the others.
func (p *Provider) deleteDue(ctx context.Context) error {
	end, err := p.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	var errs []error
	for _, k := range p.dueKeys() {
		errs = append(errs, p.destroy(ctx, k))
	}
	return errors.Join(errs...)
}

func (p *Provider) dueKeys() (due []*key) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	for _, k := range p.keys {
		if p.due(k) {
			due = append(due, k)
		}
	}
	return due
}

// destroy ends a key: in one change its records go, and what became of it is noted. The caller holds admin.
func (p *Provider) destroy(ctx context.Context, k *key) error {
	d := k.destruction(p.now())
	if p.witness != nil {
		loss, err := p.witness.Loses(ctx, d.Key)
		if err != nil {
			return saveError(err)
		}
		d.Loss = loss
	}
	note, err := json.Marshal(d)
	if err != nil {
		panic("kms/local: internal error: " + err.Error())
	}
	name, records := gonePrefix+k.info.ID, p.recordsOf(k)
	puts := map[string][]byte{name: p.seals.seal(name, note), staleRecord: p.seals.seal(staleRecord, nil)}
	if err := p.rec.Save(puts, records); err != nil {
		return saveError(err)
	}
	p.forget(k, d, records)
	if p.witness != nil {
		p.witness.Destroyed(d)
	}
	return nil
}

func (k *key) destruction(now time.Time) kms.Destruction {
	at := func(ns int64) time.Time { return time.Unix(0, ns).UTC() }
	i := &k.info
	return kms.Destruction{Key: i.ARN, Spec: i.Spec, Usage: i.Usage, Origin: i.Origin, Created: at(i.Created), Scheduled: at(i.Scheduled),
		ScheduledBy: i.ScheduledBy, WindowDays: i.WindowDays, Due: at(i.DeletionDate), Destroyed: now.UTC()}
}

// recordsOf names a key's record, its grants and its aliases.
func (p *Provider) recordsOf(k *key) []string {
	p.mu.RLock()
	defer p.mu.RUnlock()
	records := []string{keyPrefix + k.info.ID}
	for grantID := range p.grantIDs(k.info.ID) {
		records = append(records, grantRecord(k.info.ID, grantID))
	}
	for name, a := range p.aliases {
		if a.broken == nil && a.info.Target == k.info.ID {
			records = append(records, name)
		}
	}
	return records
}

func (p *Provider) forget(k *key, d kms.Destruction, records []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	k.wipe()
	delete(p.keys, k.info.ID)
	delete(p.grants, k.info.ID)
	for _, name := range records {
		delete(p.aliases, name)
	}
	p.gone[k.info.ID] = gone{d: d}
	p.stale = true
}

// gone is a key that was destroyed.
type gone struct {
	d      kms.Destruction
	broken error
}

func (p *Provider) loadGone(name, id string, sealed []byte) {
	g := gone{}
	note, err := p.seals.open(name, sealed)
	if err == nil {
		err = parseStrict(note, &g.d)
	}
	g.broken = err
	p.gone[id] = g
}

// Destruction says what became of a key that was destroyed. Errors: [kms.KMSInvalidStateException] for a key that was not,
// [kms.NotFoundException].
func (p *Provider) Destruction(ctx context.Context, keyID string) (kms.Destruction, error) {
	if err := ctx.Err(); err != nil {
		return kms.Destruction{}, err
	}
	ref, err := p.names.Parse(keyID)
	if err != nil {
		return kms.Destruction{}, err
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	g, ok := p.gone[ref.ID]
	if ok && g.broken != nil {
		return g.d, damaged("the destruction of "+keyID, g.broken)
	}
	if ok {
		return g.d, nil
	}
	k, err := p.find(ref)
	if err != nil {
		return kms.Destruction{}, err
	}
	return kms.Destruction{}, &kms.Error{Code: kms.KMSInvalidStateException, State: k.info.State, Message: k.info.ARN + " is not destroyed: " + k.info.stateText()}
}

func (i *keyInfo) stateText() string {
	if i.State != kms.StatePendingDeletion {
		return "it is " + string(i.State)
	}
	return "it is pending deletion until " + time.Unix(0, i.DeletionDate).UTC().Format(time.RFC3339)
}
