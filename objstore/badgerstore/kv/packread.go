package kv

// packed returns the value of PutData that b has.
func (db *DB) packed(b *base, id []byte) ([]byte, error) {
	key := prefixed(prefixData, id)
	l, err := db.locate(b, key)
	if err != nil {
		return nil, err
	}
	val, err := db.openPacked(b, l, key)
	if err != nil {
		return nil, corruptKey(key, err)
	}
	return val, nil
}

// locate returns where the value of a key lies. ErrNotFound, or a CorruptError.
func (db *DB) locate(b *base, key []byte) (location, error) {
	val, err := get(b.meta, db.sealer, key)
	if err != nil {
		return location{}, err
	}
	l, err := decodeLocation(val)
	if err != nil {
		return l, corruptKey(key, err)
	}
	return l, nil
}

// openPacked reads and opens the value at a location.
func (db *DB) openPacked(b *base, l location, key []byte) ([]byte, error) {
	sealed, err := b.packs.read(b.set, l)
	if err != nil {
		return nil, err
	}
	return db.sealer.open(sealed[saltSize+8:saltSize+8], sealed, key) // in place
}
