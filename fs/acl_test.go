package fs

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"kmsfs/objstore"
)

// aclBytes encodes entries of tag, permission bits and id.
func aclBytes(entries ...[3]uint32) []byte {
	b := []byte{aclVersion, 0, 0, 0}
	for _, e := range entries {
		b = binary.LittleEndian.AppendUint16(b, uint16(e[0]))
		b = binary.LittleEndian.AppendUint16(b, uint16(e[1]))
		b = binary.LittleEndian.AppendUint32(b, e[2])
	}
	return b
}

func owner(perm uint32) [3]uint32  { return [3]uint32{tagUserObj, perm} }
func group(perm uint32) [3]uint32  { return [3]uint32{tagGroupObj, perm} }
func others(perm uint32) [3]uint32 { return [3]uint32{tagOther, perm} }
func mask(perm uint32) [3]uint32   { return [3]uint32{tagMask, perm} }

func TestListsThatAreNone(t *testing.T) {
	_, _, v := setup(t)
	f := put(t, v, v.Root(), "f", "x")
	named := [3]uint32{tagUser, 4, 7}
	for name, value := range map[string][]byte{
		"empty":       {},
		"no entries":  aclBytes(),
		"version":     append([]byte{3, 0, 0, 0}, aclBytes(owner(7), group(5), others(0))[4:]...),
		"torn":        aclBytes(owner(7), group(5), others(0))[:20],
		"no owner":    aclBytes(group(5), others(0)),
		"two owners":  aclBytes(owner(7), owner(7), group(5), others(0)),
		"no group":    aclBytes(owner(7), others(0)),
		"no others":   aclBytes(owner(7), group(5)),
		"no mask":     aclBytes(owner(7), named, group(5), others(0)),
		"two masks":   aclBytes(owner(7), named, group(5), mask(7), mask(7), others(0)),
		"unknown tag": aclBytes(owner(7), group(5), others(0), [3]uint32{0x40, 7}),
		"unknown bit": aclBytes(owner(7), group(5), others(8)),
	} {
		require.ErrorIs(t, v.SetXattr(t.Context(), f, AccessACL, value, objstore.XattrSet), objstore.InvalidArgument, name)
		require.ErrorIs(t, v.SetXattr(t.Context(), v.Root(), DefaultACL, value, objstore.XattrSet), objstore.InvalidArgument, name)
	}
	good := aclBytes(owner(6), named, group(4), mask(6), others(0))
	require.ErrorIs(t, v.SetXattr(t.Context(), f, DefaultACL, good, objstore.XattrSet), objstore.AccessDenied)
	requireNoXattr(t, v, f, AccessACL)
	require.NoError(t, v.RemoveXattr(t.Context(), f, AccessACL), "as on other file systems")
}

func TestListAndModeAreOne(t *testing.T) {
	_, _, v := setup(t)
	f := put(t, v, v.Root(), "f", "x")
	set := func(value []byte) {
		require.NoError(t, v.SetXattr(t.Context(), f, AccessACL, value, objstore.XattrSet))
	}
	perm := func() uint32 {
		n, _, err := v.GetAttr(t.Context(), f)
		require.NoError(t, err)
		return n.Mode & 0o7777
	}
	named := [3]uint32{tagUser, 7, 7}
	set(aclBytes(owner(6), named, group(4), mask(5), others(1)))
	require.EqualValues(t, 0o651, perm())
	mode := uint32(0o4724)
	_, err := v.SetAttr(t.Context(), f, nil, SetAttr{AttrChange: objstore.AttrChange{Mode: &mode}})
	require.NoError(t, err)
	requireXattr(t, v, f, AccessACL, string(aclBytes(owner(7), named, group(4), mask(2), others(4))))
	set(aclBytes(owner(6), group(4), others(0)))
	require.EqualValues(t, 0o4640, perm())
	requireNoXattr(t, v, f, AccessACL)
	names, err := v.ListXattr(t.Context(), f)
	require.NoError(t, err)
	require.Empty(t, names)
}
