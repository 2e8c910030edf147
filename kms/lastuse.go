package kms

import (
	"context"
	"sync"
	"time"
)

// KeyUse is the last successful cryptographic operation with a key.
type KeyUse struct {
	Operation Operation // "": none since Tracked
	Time      time.Time
	// Tracked is since when uses are noted: since this process serves the key, or the key was made.
	Tracked time.Time
	Key     KeyMetadata
}

// lastUses notes when keys were used last, in memory.
type lastUses struct {
	since time.Time

	mu    sync.Mutex
	byARN map[string]keyUse
}

type keyUse struct {
	op Operation
	at time.Time
}

func newLastUses(since time.Time) *lastUses {
	return &lastUses{since: since, byARN: map[string]keyUse{}}
}

// note is for every event that succeeded.
func (l *lastUses) note(e *Event) {
	if !e.Operation.usesKey() || e.Object != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.byARN[e.KeyARN] = keyUse{e.Operation, e.Time}
	if e.SourceKeyARN != "" {
		l.byARN[e.SourceKeyARN] = keyUse{e.Operation, e.Time}
	}
}

// usesKey reports whether op is cryptographic.
func (op Operation) usesKey() bool {
	switch op {
	case OpEncrypt, OpDecrypt, OpReEncrypt, OpGenerateDataKey, OpGenerateWithoutPlaintext, OpGenerateDataKeyPair,
		OpGenerateDataKeyPairWithoutPlaintext, OpSign, OpVerify, OpGenerateMac, OpVerifyMac:
		return true
	}
	return false
}

// GetKeyLastUsage tells when a key was used last, as far as this process knows: the audit records know all of it.
func (s *Service) GetKeyLastUsage(ctx context.Context, keyID string) (out KeyUse, err error) {
	err = validateKeyID(keyID)
	a := answer{keyARN: s.arn(keyID)}
	if err == nil {
		a, err = s.admit(ctx, &question{op: OpGetKeyLastUsage, keyID: keyID})
	}
	if err == nil {
		out.Key, err = s.backend.DescribeKey(ctx, a.keyID)
	}
	if err = s.record(ctx, Event{Operation: OpGetKeyLastUsage, KeyARN: either(out.Key.ARN, a.keyARN)}, err); err != nil {
		return KeyUse{}, err
	}
	out.Tracked = s.uses.since
	if out.Key.Created.After(out.Tracked) {
		out.Tracked = out.Key.Created
	}
	s.uses.mu.Lock()
	defer s.uses.mu.Unlock()
	last := s.uses.byARN[out.Key.ARN]
	out.Operation, out.Time = last.op, last.at
	return out, nil
}
