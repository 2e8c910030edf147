package xattr

import (
	"maps"
	"strconv"
)

// Selection is what the attributes of one level ask for: a file, a directory, or a bucket's root. The zero value
// of a field means unset. An empty Context that is not nil selects a context without pairs.
type Selection struct {
	SSE, KeyID string
	Context    map[string]string
	BucketKey  *bool
}

// Settings is a full choice: what a version is, or is to be, encrypted with.
type Settings struct {
	Algorithm string            // AES256, aws:kms or aws:kms:dsse
	KeyID     string            // as selected; "" is the managed key alias/aws/s3, or none for AES256
	Context   map[string]string // nil without pairs
	BucketKey bool
}

// FromXattrs reads the encryption attributes among m; other names are passed over. Values are those that
// [Validate] returned. One that is malformed all the same is kept as it is, so that [Resolve] refuses it and
// nothing is silently encrypted otherwise; only a malformed bucket-key, which costs calls and no secrets, is unset.
func FromXattrs(m map[string][]byte) Selection {
	s := Selection{SSE: string(m[SSE]), KeyID: string(m[KeyID])}
	if v, ok := m[EncryptionContext]; ok {
		c, err := ParseContext(v)
		if err != nil {
			c = map[string]string{"": string(v)} // no context has an empty key
		}
		s.Context = c
	}
	if v := string(m[BucketKey]); checkBucketKey(v) == nil {
		s.BucketKey = new(v == "true")
	}
	return s
}

// Xattrs is the reverse of [FromXattrs]: the attributes that are set, in canonical form.
func (s Selection) Xattrs() map[string][]byte {
	m := map[string][]byte{}
	if s.SSE != "" {
		m[SSE] = []byte(s.SSE)
	}
	if s.KeyID != "" {
		m[KeyID] = []byte(s.KeyID)
	}
	if s.Context != nil {
		m[EncryptionContext] = CanonicalContext(s.Context)
	}
	if s.BucketKey != nil {
		m[BucketKey] = strconv.AppendBool(nil, *s.BucketKey)
	}
	return m
}

// Implies returns what else changes at a level when the attribute name is set there: a key id selects aws:kms,
// so it replaces an AES256 that the level has itself.
func Implies(own Selection, name string) map[string][]byte {
	if name == KeyID && own.SSE == AES256 {
		return map[string][]byte{SSE: []byte(KMS)}
	}
	return nil
}

// Inherit is the selection in effect at the first of chain, which goes from the file to the bucket's root: all of
// it, for an answer must not be put into another chain. Each attribute comes from the nearest level that has it;
// a context is one attribute, its pairs are not mixed. Algorithm and key meet in two rules:
//
//   - A key id that is nearer than any user.sse selects aws:kms. It leaves an inherited aws:kms:dsse as it is.
//   - A user.sse of AES256 that is as near as the nearest key id, or nearer, drops the key.
func Inherit(chain ...Selection) Selection {
	var out Selection
	sse, key := len(chain), len(chain) // the levels that they come from
	for n, s := range chain {
		if s.SSE != "" && out.SSE == "" {
			out.SSE, sse = s.SSE, n
		}
		if s.KeyID != "" && out.KeyID == "" {
			out.KeyID, key = s.KeyID, n
		}
		if s.Context != nil && out.Context == nil {
			out.Context = maps.Clone(s.Context)
		}
		if s.BucketKey != nil && out.BucketKey == nil {
			out.BucketKey = new(*s.BucketKey)
		}
	}
	switch {
	case key < sse && (out.SSE == "" || out.SSE == AES256):
		out.SSE = KMS
	case key >= sse && out.SSE == AES256:
		out.KeyID = ""
	}
	return out
}

// Resolve fills in what is unset: AES256, no context, no bucket key; a key id without algorithm is aws:kms.
// What the algorithm has no use for is dropped: key, context and bucket key with AES256, the bucket key with
// aws:kms:dsse. It refuses values that [Validate] would have refused: the error wraps [ErrSyntax].
func Resolve(s Selection) (Settings, error) {
	out := Settings{Algorithm: s.SSE, KeyID: s.KeyID, BucketKey: s.BucketKey != nil && *s.BucketKey}
	switch {
	case s.SSE == "" && s.KeyID == "", s.SSE == AES256:
		return Settings{Algorithm: AES256}, nil
	case s.SSE == "":
		out.Algorithm = KMS
	case s.SSE == DSSE:
		out.BucketKey = false
	}
	if err := checkSSE(out.Algorithm); err != nil {
		return Settings{}, named(SSE, err)
	}
	if s.KeyID != "" {
		if err := checkKeyID(s.KeyID); err != nil {
			return Settings{}, named(KeyID, err)
		}
	}
	if err := checkContext(s.Context); err != nil {
		return Settings{}, named(EncryptionContext, err)
	}
	if len(s.Context) > 0 {
		out.Context = maps.Clone(s.Context)
	}
	return out, nil
}

// Equal reports whether both are the same; KeyID is compared as it stands, so resolve it to an ARN before.
func (s Settings) Equal(o Settings) bool {
	return s.Algorithm == o.Algorithm && s.KeyID == o.KeyID && s.BucketKey == o.BucketKey && maps.Equal(s.Context, o.Context)
}

// Xattrs is what getfattr answers for stored settings where nothing is selected. Without an algorithm nothing is
// stored yet, and there are none; AES256 has no key, context or bucket key.
func (s Settings) Xattrs() map[string][]byte {
	if s.Algorithm == "" {
		return map[string][]byte{}
	}
	sel := Selection{SSE: s.Algorithm}
	if s.Algorithm != AES256 {
		sel.KeyID, sel.BucketKey = s.KeyID, new(s.BucketKey)
		if len(s.Context) > 0 {
			sel.Context = s.Context
		}
	}
	return sel.Xattrs()
}
