package kms

import (
	"sync"
	"time"
)

// Quotas are requests per second of one caller, by operation. An operation that is not in it has no limit; "" is the
// limit of all operations that have none of their own, each by itself. The uses with symmetric keys share one, as
// in AWS: that of [OpGenerateDataKey]. ReEncrypt counts there too.
type Quotas map[Operation]float64

// AWSQuotas are AWS's defaults of a small region. There they are an account's, here each caller's. Source: AWS KMS Developer
// Guide, "Request quotas".
func AWSQuotas() Quotas {
	return Quotas{
		OpGenerateDataKey: 5500, OpSign: 500, OpVerify: 500, OpDescribeKey: 2000, OpListKeys: 500, OpListAliases: 500, OpGetKeyPolicy: 1000,
		OpGetKeyRotationStatus: 1000, OpCreateKey: 5, OpCreateGrant: 50, OpEnableKey: 5, OpDisableKey: 5, OpPutKeyPolicy: 15,
		OpScheduleKeyDeletion: 15, OpCancelKeyDeletion: 5, OpCreateAlias: 5, OpUpdateAlias: 5, OpDeleteAlias: 15, OpTagResource: 10,
		OpEnableKeyRotation: 15,
	}
}

// maxBuckets bounds the table of callers; beyond it, it begins anew.
const maxBuckets = 16 << 10

// buckets are token buckets, one for each caller and quota. A bucket holds one second's requests, at least one.
type buckets struct {
	rates Quotas
	now   func() time.Time

	mu    sync.Mutex
	byKey map[bucketID]*bucket
}

type bucketID struct {
	op        Operation
	principal string
}

type bucket struct {
	tokens float64
	last   time.Time
}

func newBuckets(q Quotas, now func() time.Time) *buckets {
	return &buckets{rates: q, now: now, byKey: map[bucketID]*bucket{}}
}

// quotaOf is the operation whose quota op counts against.
func quotaOf(op Operation) Operation {
	switch op {
	case OpEncrypt, OpDecrypt, OpReEncryptFrom, OpReEncryptTo, OpGenerateDataKey, OpGenerateWithoutPlaintext, OpGenerateMac, OpVerifyMac:
		return OpGenerateDataKey
	}
	return op
}

// take counts one request. Over the quota it is [ThrottlingException].
func (b *buckets) take(op Operation, principal string) error {
	if len(b.rates) == 0 {
		return nil
	}
	op = quotaOf(op)
	rate, ok := b.rates[op]
	if !ok {
		rate, ok = b.rates[""]
	}
	if !ok {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.of(bucketID{op, principal}, max(rate, 1), rate) {
		return nil
	}
	return Errorf(ThrottlingException, "You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls.")
}

// of refills a bucket by the time that has passed and takes one token. The caller holds mu.
func (b *buckets) of(id bucketID, size, rate float64) bool {
	now := b.now()
	k, ok := b.byKey[id]
	if !ok {
		if len(b.byKey) >= maxBuckets {
			clear(b.byKey)
		}
		k = &bucket{tokens: size, last: now}
		b.byKey[id] = k
	}
	if passed := now.Sub(k.last).Seconds(); passed > 0 {
		k.tokens = min(size, k.tokens+passed*rate)
	}
	k.last = now
	if k.tokens < 1 {
		return false
	}
	k.tokens--
	return true
}
