package kms

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Quotas are requests per second of one caller, by operation. An operation that is not in it has no limit; "" is the
// limit of all operations that have none of their own, each by itself. The uses with symmetric keys share one, as
// in AWS: that of [OpGenerateDataKey]. ReEncrypt counts there too.
type Quotas map[Operation]float64

// AWSQuotas are AWS's defaults of a small region. There they are an account's, here each caller's. Source: AWS KMS Developer
// Guide, "Request quotas"; that of data key pairs depends on their spec there, and is that of ECC keys here.
func AWSQuotas() Quotas {
	return Quotas{
		OpGenerateDataKey: 5500, OpGenerateDataKeyPair: 25, OpSign: 500, OpVerify: 500, OpDescribeKey: 2000, OpListKeys: 500, OpListAliases: 500, OpGetKeyPolicy: 1000,
		OpGetKeyRotationStatus: 1000, OpCreateKey: 5, OpCreateGrant: 50, OpEnableKey: 5, OpDisableKey: 5, OpPutKeyPolicy: 15,
		OpScheduleKeyDeletion: 15, OpCancelKeyDeletion: 5, OpCreateAlias: 5, OpUpdateAlias: 5, OpDeleteAlias: 15, OpTagResource: 10,
		OpEnableKeyRotation: 15,
	}
}

// ParseQuotas reads quotas as a person writes them: "none", or entries with a comma between, each OPERATION=RATE in requests per
// second, *=RATE for all that have none of their own, or "aws" for [AWSQuotas]. Later entries win; a rate of 0 takes a quota away.
func ParseQuotas(text string) (Quotas, error) {
	q := Quotas{}
	for entry := range strings.SplitSeq(text, ",") {
		if entry = strings.TrimSpace(entry); entry == "" || entry == "none" {
			continue
		}
		if entry == "aws" {
			maps.Copy(q, AWSQuotas())
			continue
		}
		if err := q.set(entry); err != nil {
			return nil, err
		}
	}
	return q, nil
}

func (q Quotas) set(entry string) error {
	name, text, _ := strings.Cut(entry, "=")
	rate, err := strconv.ParseFloat(text, 64)
	if err != nil || !(rate >= 0 && rate <= 1e9) {
		return fmt.Errorf("%q is no quota: write OPERATION=REQUESTS-PER-SECOND, such as GenerateDataKey=500", entry)
	}
	op := Operation(name)
	switch shared := quotaOf(op); {
	case name == "*":
		op = ""
	case shared != op:
		return fmt.Errorf("%s has no quota of its own: it counts against that of %s", op, shared)
	case !slices.Contains(quotaOperations(), op):
		return fmt.Errorf("there is no operation %q; operations with a quota are %s", name, joinOperations(quotaOperations()))
	}
	if q[op] = rate; rate == 0 {
		delete(q, op)
	}
	return nil
}

// quotaOperations is what can have a quota of its own.
func quotaOperations() []Operation {
	return []Operation{
		OpGenerateDataKey, OpGenerateDataKeyPair, OpSign, OpVerify, OpGetPublicKey, OpCreateKey, OpDescribeKey, OpListKeys, OpEnableKey, OpDisableKey,
		OpScheduleKeyDeletion, OpCancelKeyDeletion, OpUpdateKeyDescription, OpCreateAlias, OpUpdateAlias, OpDeleteAlias, OpListAliases,
		OpGetKeyPolicy, OpPutKeyPolicy, OpListKeyPolicies, OpCreateGrant, OpListGrants, OpListRetirableGrants, OpRetireGrant, OpRevokeGrant,
		OpTagResource, OpUntagResource, OpListResourceTags, OpRotateKeyOnDemand, OpListKeyRotations, OpEnableKeyRotation, OpDisableKeyRotation,
		OpGetKeyRotationStatus, OpGetKeyLastUsage, OpReplicateKey, OpUpdatePrimaryRegion, OpGetParametersForImport, OpImportKeyMaterial, OpDeleteImportedMaterial,
	}
}

func joinOperations(ops []Operation) string {
	names := make([]string, len(ops))
	for i, op := range ops {
		names[i] = string(op)
	}
	return strings.Join(names, ", ")
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
	over   int64 // requests that were refused for good
}

func newBuckets(q Quotas, now func() time.Time) *buckets {
	return &buckets{rates: q, now: now, byKey: map[bucketID]*bucket{}}
}

// quotaOf is the operation whose quota op counts against.
func quotaOf(op Operation) Operation {
	switch op {
	case OpEncrypt, OpDecrypt, OpReEncryptFrom, OpReEncryptTo, OpGenerateDataKey, OpGenerateWithoutPlaintext, OpGenerateMac, OpVerifyMac:
		return OpGenerateDataKey
	case OpGenerateDataKeyPairWithoutPlaintext:
		return OpGenerateDataKeyPair
	}
	return op
}

// A mount and the S3 door wait this long for a caller who is over his quota, in pauses that double: programs repeat no open(2).
const (
	firstQuotaPause = 25 * time.Millisecond
	lastQuotaPause  = 800 * time.Millisecond
)

// takePatiently is take, for uses by S3 with some patience.
func (b *buckets) takePatiently(ctx context.Context, op Operation, principal string, viaS3 bool) error {
	if len(b.rates) == 0 {
		return nil
	}
	if viaS3 {
		for pause := firstQuotaPause; pause <= lastQuotaPause; pause *= 2 {
			if b.take(op, principal, false) == nil {
				return nil
			}
			select {
			case <-time.After(pause/2 + rand.N(pause)): // many who wait shall not come back at once
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return b.take(op, principal, true)
}

// take counts one request. Over the quota it is [ThrottlingException]; that is noted when it is the last word.
func (b *buckets) take(op Operation, principal string, last bool) error {
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
	k := b.of(bucketID{op, principal}, max(rate, 1), rate)
	if k.tokens >= 1 {
		k.tokens--
		return nil
	}
	if last {
		k.over++
	}
	return Errorf(ThrottlingException, "You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls.")
}

// Throttled is how many requests of a caller were refused for his quota.
type Throttled struct {
	Principal string    `json:"principal"`
	Operation Operation `json:"operation"` // whose quota it was
	Requests  int64     `json:"requests"`
}

// Throttled lists who was over a quota since the start, the worst first.
func (s *Service) Throttled() []Throttled {
	b := s.quotas
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []Throttled
	for id, k := range b.byKey {
		if k.over > 0 {
			all = append(all, Throttled{id.principal, id.op, k.over})
		}
	}
	slices.SortFunc(all, func(x, y Throttled) int {
		return cmp.Or(cmp.Compare(y.Requests, x.Requests), cmp.Compare(x.Principal, y.Principal), cmp.Compare(x.Operation, y.Operation))
	})
	return all
}

// of is a bucket, refilled by the time that has passed. The caller holds mu.
func (b *buckets) of(id bucketID, size, rate float64) *bucket {
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
	return k
}
