package local

import (
	"context"
	"errors"
	"time"

	"kmsfs/kms"
)

// dueCheck is how long a timer runs at most, so that a clock that was set is noticed; also the pause after a failure.
const dueCheck = time.Hour

// nextEvent is when something has to be done with a key by itself: its destruction, its rotation, the end of its imported
// material. 0: nothing.
func (k *key) nextEvent() int64 {
	switch {
	case k.broken != nil:
		return 0
	case k.info.State == kms.StatePendingDeletion:
		return k.info.DeletionDate
	case k.info.ValidTo != 0:
		return k.info.ValidTo
	case k.info.State == kms.StateEnabled && len(k.materials) < maxMaterials:
		return k.info.NextRotation
	}
	return 0
}

// arm sets the timer for the next event, but after a failure not before the pause is over. The caller holds mu for writing.
func (p *Provider) arm() {
	wait := time.Duration(-1)
	now := p.now()
	pause := min(dueCheck, p.retry.Sub(now))
	for _, k := range p.keys {
		if at := k.nextEvent(); at != 0 {
			if d := max(0, pause, min(dueCheck, time.Unix(0, at).Sub(now))); wait < 0 || d < wait {
				wait = d
			}
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

// expire is the timer's.
func (p *Provider) expire() { _ = p.DoDue(context.Background()) } // after a failure it is armed again, and a key that is due is not used

// DoDue destroys keys whose waiting period is over, rotates those whose time has come, and destroys imported material that
// has expired. It runs by itself; after a failure, again in an hour.
func (p *Provider) DoDue(ctx context.Context) error {
	err := errors.Join(p.deleteDue(ctx), p.changeDue(ctx))
	p.mu.Lock()
	defer p.mu.Unlock()
	p.retry = time.Time{}
	if err != nil {
		p.retry = p.now().Add(dueCheck)
	}
	p.arm()
	return err
}

func (p *Provider) changeDue(ctx context.Context) error {
	end, err := p.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	var errs []error
	for _, old := range p.keysToChange() {
		errs = append(errs, p.changeOne(old))
	}
	return errors.Join(errs...)
}

func (p *Provider) keysToChange() (due []*key) {
	now := p.now().UnixNano()
	p.mu.RLock()
	defer p.mu.RUnlock()
	for _, k := range p.keys {
		if k.broken == nil && (k.rotationDue(now) || k.expired(now)) {
			due = append(due, k)
		}
	}
	return due
}

// changeOne rotates a key or takes its imported material away. The caller holds admin.
func (p *Provider) changeOne(old *key) error {
	k, err := p.openKey(old.info.ID, old.record)
	if err != nil {
		return damaged(old.info.ARN, err)
	}
	if k.expired(p.now().UnixNano()) {
		k.forget()
	}
	p.rotateIfDue(k)
	return p.replace(k, nil)
}

// dueNow does what is due with a key before it is used, where the timer was late. That it could not be saved does not hinder the
// use of a key that is to be rotated. A key without anything to do costs a comparison.
func (p *Provider) dueNow(ctx context.Context, ref kms.KeyRef) {
	p.mu.RLock()
	k, err := p.find(ref)
	retry := p.retry
	p.mu.RUnlock()
	if err != nil || k.nextEvent() == 0 {
		return // what is wrong with the key, its use will say
	}
	if now := p.now(); k.nextEvent() <= now.UnixNano() && !now.Before(retry) {
		_ = p.DoDue(ctx)
	}
}

// metadata is the key's as of now: without imported material that has expired, though the disk may still have it.
func (p *Provider) metadata(k *key) kms.KeyMetadata {
	m := k.metadata()
	if k.info.ValidTo != 0 && k.expired(p.now().UnixNano()) && m.State != kms.StatePendingDeletion {
		m.State = kms.StatePendingImport
	}
	return m
}
