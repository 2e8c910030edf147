package users

import (
	"bytes"
	"errors"
	"fmt"

	"kmsfs/kms"
)

func checkKeys(keys [][]byte) error {
	if len(keys) == 0 {
		return errors.New("no key is given")
	}
	for _, k := range keys {
		if len(k) != kms.KeySize {
			return fmt.Errorf("the key has %d bytes, want %d", len(k), kms.KeySize)
		}
	}
	return nil
}

func cloneKeys(keys [][]byte) (out [][]byte) {
	for _, k := range keys {
		out = append(out, bytes.Clone(k))
	}
	return out
}

func sealRecord(keys [][]byte, record string, plain []byte) []byte {
	return kms.Seal(nil, keys[0], label, []byte(record), plain)
}

func openRecord(keys [][]byte, record string, sealed []byte) (plain []byte, err error) {
	for _, k := range keys {
		if plain, err = kms.Open(nil, k, label, []byte(record), sealed); err == nil {
			return plain, nil
		}
	}
	return nil, err
}

// Reseal seals all records anew under the first of keys, in one change; the others are those that they may be sealed under.
// Nobody may have a [Store] open over rec. Records that do not open are damaged, and stay so: their names are answered.
func Reseal(rec Records, keys [][]byte) (damaged []string, err error) {
	if err := checkKeys(keys); err != nil {
		return nil, fmt.Errorf("seal the users anew: %w", err)
	}
	records, err := rec.Load()
	if err != nil {
		return nil, fmt.Errorf("seal the users anew: %w", err)
	}
	puts := map[string][]byte{}
	for record, sealed := range records {
		plain, err := openRecord(keys, record, sealed)
		if err != nil {
			damaged = append(damaged, record)
			continue
		}
		puts[record] = sealRecord(keys, record, plain)
		kms.Wipe(plain)
	}
	if len(puts) == 0 {
		return damaged, nil
	}
	if err := rec.Save(puts, nil); err != nil {
		return nil, fmt.Errorf("seal the users anew: %w", err)
	}
	return damaged, nil
}
