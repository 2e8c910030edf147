package badgerstore

// past is a name in a history: old versions may lie under it. The name allNames, which no file can have, stands for all.
type past struct {
	hist histID
	name string
}

const allNames = "/"

// pastCache keeps whether names have old versions. Only changes ask, one at a time: a file that moves leaves a delete
// marker where its name has some, and looking costs a scan through every table of the database.
type pastCache map[past]bool

const maxCachedPasts = 1 << 15 // about 100 bytes each

func (c pastCache) set(at past, some bool) {
	makeRoom(c, maxCachedPasts)
	c[at] = some
}

// forget is for a name whose old versions are about to change, perhaps.
func (c pastCache) forget(at past) {
	delete(c, at)
	delete(c, past{at.hist, allNames})
}

// Put also keeps in mind what it says about old versions.
func (t *txn) Put(key, val []byte) {
	t.notePast(key, true)
	t.Tx.Put(key, val)
}

// Delete is like Put.
func (t *txn) Delete(key []byte) {
	t.notePast(key, false)
	t.Tx.Delete(key)
}

func (t *txn) notePast(key []byte, some bool) {
	h, name, _, ok := splitNoncurrent(key)
	if !ok {
		return
	}
	at := past{h, name}
	t.s.pasts.forget(at)
	if t.pasts == nil {
		t.pasts = map[past]bool{}
	}
	t.pasts[at] = some // false: perhaps
}

// newHistory notes that a history begins with this change.
func (t *txn) newHistory(h histID) {
	if t.pasts == nil {
		t.pasts = map[past]bool{}
	}
	t.pasts[past{h, allNames}] = true
}

// learnPasts is for a change that was made.
func (t *txn) learnPasts() {
	begun := past{name: allNames}
	for at := range t.pasts {
		if begun.hist = at.hist; t.pasts[begun] {
			t.s.pasts.set(begun, false)
		}
	}
	for at, some := range t.pasts {
		if at.name == allNames {
			continue
		}
		t.s.pasts.forget(at)
		if some {
			t.s.pasts.set(at, true)
		}
	}
}

// hasPast reports whether a name has old versions.
func (t *txn) hasPast(h histID, name string) (bool, error) {
	at := past{h, name}
	changed, here := t.pasts[at]
	if changed {
		return true, nil
	}
	if !here {
		if some, known := t.s.pasts[at]; known {
			return some, nil
		}
		if _, none := t.s.pasts[past{h, allNames}]; none {
			return false, nil
		}
	}
	none, err := t.empty(namesPrefix(h, name))
	if err == nil && !here {
		t.s.pasts.set(at, !none)
	}
	return !none, err
}
