package local

import (
	"bytes"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"kmsfs/kms"
)

// Names of records: keyPrefix + key id, the alias name itself, and the check record.
const (
	keyPrefix   = "key/"
	aliasPrefix = "alias/"
	grantPrefix = "grant/"
	checkRecord = "check"
	staleRecord = "stale" // a key was destroyed under the present sealing key
	checkText   = "kmsfs key store v1"
)

const (
	recordVersion = 1
	labelRecords  = "kmsfs kms records v1" // derives the key that seals records
	labelRecord   = "kmsfs kms record v1"  // of each seal
	labelMaterial = "kmsfs kms material id v1"
	materialSize  = idSizeMaterial + 8 + kms.KeySize
)

var errRecord = errors.New("the record is malformed")

// keyInfo is the part of a key record that is no secret. Times are nanoseconds since 1970.
type keyInfo struct {
	ID           string       `json:"id"`
	ARN          string       `json:"arn"`
	Account      string       `json:"account"`
	Description  string       `json:"description,omitempty"`
	Created      int64        `json:"created"`
	State        kms.KeyState `json:"state"`
	Usage        string       `json:"usage"`
	Spec         string       `json:"spec"`
	Origin       string       `json:"origin"`
	Manager      string       `json:"manager"`
	DeletionDate int64        `json:"deletion_date,omitempty"`
	WindowDays   int          `json:"window_days,omitempty"`
	Scheduled    int64        `json:"scheduled,omitempty"`    // when the deletion was asked for
	ScheduledBy  string       `json:"scheduled_by,omitempty"` // by whom: an IAM ARN
	Policy       string       `json:"policy,omitempty"`       // as it was put; empty: AWS's default
	Tags         []tag        `json:"tags,omitempty"`         // in ascending order of name
	MultiRegion  bool         `json:"multi_region,omitempty"`
	RotationDays int          `json:"rotation_days,omitempty"`
	NextRotation int64        `json:"next_rotation,omitempty"`
	Automatic    []int64      `json:"automatic,omitempty"` // dates of the materials that automatic rotation made
	ValidTo      int64        `json:"valid_to,omitempty"`  // of imported material
	Imported     string       `json:"imported,omitempty"`  // the id of the material that was imported first
	Private      []byte       `json:"private,omitempty"`   // sealed by the first material
	Public       []byte       `json:"public,omitempty"`    // DER
}

type tag struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// material is one secret of a key. date is when a rotation added it, 0 for the first.
type material struct {
	id     [idSizeMaterial]byte
	date   int64
	secret [kms.KeySize]byte
}

// newMaterial makes a random secret. Its id is derived from it, so that a blob names the very material, and the same
// material imported twice has the same id.
func newMaterial(rawID [idSize]byte, date int64) material {
	m := material{date: date}
	rand.Read(m.secret[:])
	m.id = materialID(rawID, m.secret[:])
	return m
}

func materialID(rawID [idSize]byte, secret []byte) [idSizeMaterial]byte {
	id, err := hkdf.Expand(sha256.New, secret, labelMaterial+string(rawID[:]), idSizeMaterial)
	if err != nil {
		panic("kms/local: internal error: " + err.Error())
	}
	return [idSizeMaterial]byte(id)
}

func (m *material) hexID() string { return hex.EncodeToString(m.id[:]) }

func (m *material) wipe() { kms.Wipe(m.secret[:]) }

// Derive makes an independent key of 32 bytes from root for the use that label names: HKDF-SHA256 without salt.
func Derive(root []byte, label string) []byte {
	k, err := hkdf.Key(sha256.New, root, nil, label, kms.KeySize)
	if err != nil {
		panic("kms/local: internal error: " + err.Error())
	}
	return k
}

// marshalKeyRecord is the payload of a key record. The caller wipes it.
func marshalKeyRecord(info keyInfo, materials []material) []byte {
	meta, err := json.Marshal(info)
	if err != nil {
		panic("kms/local: internal error: " + err.Error()) // strings and numbers only
	}
	b := make([]byte, 0, 6+len(meta)+len(materials)*materialSize)
	b = binary.BigEndian.AppendUint32(b, uint32(len(meta)))
	b = append(b, meta...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(materials)))
	for i := range materials {
		m := &materials[i]
		b = append(b, m.id[:]...)
		b = binary.BigEndian.AppendUint64(b, uint64(m.date))
		b = append(b, m.secret[:]...)
	}
	return b
}

// parseKeyRecord is the inverse of marshalKeyRecord: what it would not write itself is refused.
func parseKeyRecord(b []byte) (keyInfo, []material, error) {
	var info keyInfo
	if len(b) < 4 {
		return info, nil, errRecord
	}
	n := uint64(binary.BigEndian.Uint32(b))
	if uint64(len(b)) < 4+n+2 {
		return info, nil, errRecord
	}
	meta, rest := b[4:4+n], b[4+n:]
	if err := parseStrict(meta, &info); err != nil {
		return info, nil, err
	}
	count := int(binary.BigEndian.Uint16(rest))
	rest = rest[2:]
	if (count == 0) != (info.State == kms.StatePendingImport) && info.State != kms.StatePendingDeletion || len(rest) != count*materialSize {
		return info, nil, errRecord
	}
	materials := make([]material, count)
	for i := range materials {
		m, at := &materials[i], rest[i*materialSize:]
		copy(m.id[:], at)
		m.date = int64(binary.BigEndian.Uint64(at[idSizeMaterial:]))
		copy(m.secret[:], at[idSizeMaterial+8:])
	}
	return info, materials, nil
}

// parseStrict reads JSON that is exactly what json.Marshal writes of v: no other order, spacing, or unknown field.
func parseStrict(b []byte, v any) error {
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("the record is malformed: %w", err)
	}
	again, err := json.Marshal(v)
	if err != nil || !bytes.Equal(again, b) {
		return errors.New("the record has fields that this release does not know; use the release that wrote it")
	}
	return nil
}
