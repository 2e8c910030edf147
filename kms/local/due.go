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

// arm sets the timer for the next event. The caller holds mu for writing.
func (p *Provider) arm() {
	wait := time.Duration(-1)
	now := p.now()
	for _, k := range p.keys {
		if at := k.nextEvent(); at != 0 {
			if d := max(0, min(dueCheck, time.Unix(0, at).Sub(now))); wait < 0 || d < wait {
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

// expire is the timer's. After a failure it tries again later; a key that is due is not used all the same.
func (p *Provider) expire() {
	if p.DoDue(context.Background()) == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.timer = time.AfterFunc(dueCheck, p.expire)
	}
}

// DoDue destroys keys whose waiting period is over, rotates those whose time has come, and destroys imported material that
// has expired. It runs by itself.
func (p *Provider) DoDue(ctx context.Context) error {
	return errors.Join(p.DeleteDue(ctx), p.changeDue(ctx))
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
	p.mu.Lock()
	defer p.mu.Unlock()
	p.arm()
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

// dueNow does what is due with a key before it is used, where the timer was late. That a rotation could not be saved does
// not hinder the use: it will be tried again. A key without anything to do costs a comparison.
func (p *Provider) dueNow(ctx context.Context, ref kms.KeyRef) error {
	p.mu.RLock()
	k, err := p.find(ref)
	p.mu.RUnlock()
	if err != nil || k.nextEvent() == 0 {
		return nil // what is wrong with the key, its use will say
	}
	now := p.now().UnixNano()
	if k.nextEvent() > now {
		return nil
	}
	if err := p.changeDue(ctx); err != nil && k.expired(now) {
		return err
	}
	return nil
}
