package local

import (
	"errors"
	"fmt"

	"kmsfs/kms"
)

// seals are the keys of records: the first one seals, all of them open.
type seals [][]byte

// newSeals derives them from the keys that the program gives.
func newSeals(keys [][]byte) seals {
	var s seals
	for _, k := range keys {
		s = append(s, Derive(k, labelRecords))
	}
	return s
}

func (s seals) newest() []byte { return s[0] }

func (s seals) wipe() {
	for _, k := range s {
		kms.Wipe(k)
	}
}

// seal makes the stored form of a record: version byte, then payload sealed with the name as additional data.
func (s seals) seal(name string, payload []byte) []byte {
	return kms.Seal([]byte{recordVersion}, s.newest(), labelRecord, []byte(name), payload)
}

func (s seals) open(name string, sealed []byte) (payload []byte, err error) {
	if len(sealed) == 0 {
		return nil, errRecord
	}
	if sealed[0] != recordVersion {
		return nil, fmt.Errorf("the record has version %d; this release knows version %d", sealed[0], recordVersion)
	}
	for _, k := range s {
		if payload, err = kms.Open(nil, k, labelRecord, []byte(name), sealed[1:]); err == nil {
			return payload, nil
		}
	}
	return nil, err
}

// Reseal seals all records anew under the first of keys, in one change; the others are those that they may be sealed under.
// Nobody may have a [Provider] open over rec. Records that do not open are damaged, and stay so: their names are answered.
func Reseal(rec Records, keys [][]byte) (damaged []string, err error) {
	if len(keys) == 0 {
		return nil, errors.New("seal the key records anew: no key")
	}
	s := newSeals(keys)
	defer s.wipe()
	return s.reseal(rec)
}

func (s seals) reseal(rec Records) (damaged []string, err error) {
	records, err := rec.Load()
	if err != nil {
		return nil, fmt.Errorf("seal the key records anew: %w", err)
	}
	delete(records, staleRecord)
	puts := map[string][]byte{}
	for name, sealed := range records {
		payload, err := s.open(name, sealed)
		if err != nil {
			damaged = append(damaged, name)
			continue
		}
		puts[name] = s.seal(name, payload)
		kms.Wipe(payload)
	}
	if len(puts) == 0 {
		return damaged, nil
	}
	if err := rec.Save(puts, []string{staleRecord}); err != nil {
		return nil, fmt.Errorf("seal the key records anew: %w", err)
	}
	return damaged, nil
}

// Stale reports whether keys were destroyed since all records were sealed under the present key: who has that key could still
// open what is left of theirs on the disk. [Provider.Reseal], and forgetting the key, ends that.
func (p *Provider) Stale() bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.stale
}

// Reseal seals all records anew under key, which is copied; it is for the next opening too.
func (p *Provider) Reseal(key []byte) error {
	p.admin.Lock()
	defer p.admin.Unlock()
	next := append(newSeals([][]byte{key}), p.seals...)
	if _, err := next.reseal(p.rec); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seals, p.stale = next, false // the former ones open what is in memory
	return nil
}
