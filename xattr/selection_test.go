package xattr

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestInherit(t *testing.T) {
	type S = Selection
	hr, sales := "alias/hr", "alias/sales"
	one, two := map[string]string{"n": "1"}, map[string]string{"m": "2"}
	for _, c := range []struct {
		name  string
		chain []S
		want  Settings
	}{
		{"nothing selected", nil, Settings{Algorithm: AES256}},
		{"bucket default", []S{{}, {}, {SSE: KMS, KeyID: hr, BucketKey: new(true)}}, Settings{Algorithm: KMS, KeyID: hr, BucketKey: true}},
		{"nearest wins", []S{{}, {KeyID: hr}, {SSE: KMS, KeyID: sales}}, Settings{Algorithm: KMS, KeyID: hr}},
		{"each on its own", []S{{BucketKey: new(true)}, {Context: one}, {KeyID: hr}, {SSE: KMS}},
			Settings{Algorithm: KMS, KeyID: hr, Context: one, BucketKey: true}},
		{"a key alone selects aws:kms", []S{{KeyID: hr}}, Settings{Algorithm: KMS, KeyID: hr}},
		{"a nearer key selects aws:kms", []S{{KeyID: hr}, {}, {SSE: AES256}}, Settings{Algorithm: KMS, KeyID: hr}},
		{"a nearer key leaves dsse", []S{{KeyID: hr}, {SSE: DSSE, KeyID: sales}}, Settings{Algorithm: DSSE, KeyID: hr}},
		{"a nearer AES256 drops the key", []S{{}, {SSE: AES256}, {SSE: KMS, KeyID: hr, Context: one, BucketKey: new(true)}}, Settings{Algorithm: AES256}},
		{"AES256 beside a key drops it", []S{{SSE: AES256, KeyID: hr}}, Settings{Algorithm: AES256}},
		{"aws:kms below AES256 takes the key above it", []S{{SSE: KMS}, {SSE: AES256}, {SSE: KMS, KeyID: hr}}, Settings{Algorithm: KMS, KeyID: hr}},
		{"aws:kms without any key: the managed key", []S{{SSE: KMS}, {SSE: AES256}}, Settings{Algorithm: KMS}},
		{"aws:kms takes the bucket's key", []S{{SSE: KMS}, {}, {SSE: DSSE, KeyID: hr}}, Settings{Algorithm: KMS, KeyID: hr}},
		{"contexts are not mixed", []S{{Context: one}, {SSE: KMS, Context: two}}, Settings{Algorithm: KMS, Context: one}},
		{"an empty context ends inheritance", []S{{Context: map[string]string{}}, {SSE: KMS, Context: two}}, Settings{Algorithm: KMS}},
		{"a bucket key can be switched off", []S{{BucketKey: new(false)}, {SSE: KMS, BucketKey: new(true)}}, Settings{Algorithm: KMS}},
		{"dsse has no bucket key", []S{{SSE: DSSE, BucketKey: new(true)}}, Settings{Algorithm: DSSE}},
		{"context and bucket key alone select no algorithm", []S{{Context: one, BucketKey: new(true)}}, Settings{Algorithm: AES256}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Resolve(Inherit(c.chain...))
			require.NoError(t, err)
			require.Equal(t, c.want, got)
			require.True(t, got.Equal(c.want))
		})
	}
}

func TestInheritDoesNotShare(t *testing.T) {
	level := Selection{SSE: KMS, Context: map[string]string{"a": "1"}, BucketKey: new(true)}
	got := Inherit(level)
	require.Equal(t, level, got)
	got.Context["a"], *got.BucketKey = "2", false
	require.Equal(t, "1", level.Context["a"])
	require.True(t, *level.BucketKey)
}

// What is malformed in the store is refused, and never silently something weaker.
func TestResolveRefuses(t *testing.T) {
	for _, c := range []struct{ name, value, text string }{
		{SSE, "aws:fantasy", `user.sse: invalid value: "aws:fantasy"`},
		{KeyID, "hr", `user.sse-kms-key-id: invalid value: "hr"`},
		{EncryptionContext, `{"a":1}`, "user.encryption-context: invalid value"},
		{EncryptionContext, `{"aws:s3:arn":"x"}`, "user.encryption-context: invalid value"},
	} {
		m := map[string][]byte{SSE: []byte(KMS)}
		m[c.name] = []byte(c.value)
		_, err := Resolve(Inherit(FromXattrs(m), Selection{SSE: AES256}))
		require.Error(t, err, "%s=%s", c.name, c.value)
		require.ErrorIs(t, err, ErrSyntax)
		require.ErrorContains(t, err, c.text)
	}
	s := FromXattrs(map[string][]byte{BucketKey: []byte("yes"), "user.comment": []byte("x")})
	require.Equal(t, Selection{}, s)
}

func TestXattrsOfSelection(t *testing.T) {
	for _, s := range []Selection{
		{}, {SSE: AES256}, {KeyID: "alias/x"}, {Context: map[string]string{}}, {BucketKey: new(false)},
		{SSE: KMS, KeyID: "alias/x", Context: map[string]string{"b": "2", "a": "1"}, BucketKey: new(true)},
	} {
		require.Equal(t, s, FromXattrs(s.Xattrs()))
	}
	require.Empty(t, Selection{}.Xattrs())
}

func TestXattrsOfSettings(t *testing.T) {
	require.Empty(t, Settings{}.Xattrs())
	require.Equal(t, map[string][]byte{SSE: []byte(AES256)}, Settings{Algorithm: AES256, BucketKey: true}.Xattrs())
	const arn = "arn:aws:kms:us-east-1:000000000000:key/1234abcd-12ab-34cd-56ef-1234567890ab"
	require.Equal(t, map[string][]byte{SSE: []byte(KMS), KeyID: []byte(arn), BucketKey: []byte("true"), EncryptionContext: []byte(`{"a":"1"}`)},
		Settings{Algorithm: KMS, KeyID: arn, BucketKey: true, Context: map[string]string{"a": "1"}}.Xattrs())
}

func TestSettingsEqual(t *testing.T) {
	s := Settings{Algorithm: KMS, KeyID: "k", Context: map[string]string{"a": "1"}, BucketKey: true}
	require.True(t, s.Equal(s))
	require.True(t, Settings{}.Equal(Settings{Context: map[string]string{}}))
	for _, o := range []Settings{
		{Algorithm: DSSE, KeyID: "k", Context: s.Context, BucketKey: true},
		{Algorithm: KMS, KeyID: "l", Context: s.Context, BucketKey: true},
		{Algorithm: KMS, KeyID: "k", Context: map[string]string{"a": "2"}, BucketKey: true},
		{Algorithm: KMS, KeyID: "k", Context: s.Context},
	} {
		require.False(t, s.Equal(o))
	}
}

func TestImplies(t *testing.T) {
	require.Equal(t, map[string][]byte{SSE: []byte(KMS)}, Implies(Selection{SSE: AES256}, KeyID))
	require.Empty(t, Implies(Selection{SSE: DSSE}, KeyID))
	require.Empty(t, Implies(Selection{}, KeyID))
	require.Empty(t, Implies(Selection{SSE: AES256}, BucketKey))
}
