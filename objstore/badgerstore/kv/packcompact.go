package kv

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/dgraph-io/badger/v4"
)

// A pack is never changed, so what died in it is given back by moving what lives to another one. How much lives is counted
// from the records in badger when enough has died since the last count.

// victimsAtOnce bounds the memory that the records of one round take.
const victimsAtOnce = 8

// Waste below which nothing is counted, in bytes.
const (
	leastWaste    = 32 << 20
	leastWasteLow = 2 << 20 // on a disk that is nearly full
)

// worth says whether a pack of size bytes, of which live are alive, is to be written anew.
type worth func(live, size int64) bool

func anyWaste(live, size int64) bool     { return live < size-size/16 }
func quarterWaste(live, size int64) bool { return live <= size-size/4 }

// waste notes that the value of id dies, if it ever came to badger and is not damaged.
func (db *DB) waste(id string) {
	if l, err := db.locate(db.base, prefixed(prefixData, []byte(id))); err == nil {
		db.wasted += int64(l.length)
	}
}

// reclaim gives space back when there is enough to give.
func (db *DB) reclaim() {
	db.checkpointMu.Lock()
	defer db.checkpointMu.Unlock()
	least, which := max(leastWaste, db.packs.bytes()/8), quarterWaste
	if db.wasted >= leastWasteLow && db.LowSpace() {
		least, which = leastWasteLow, anyWaste
	}
	if db.wasted < least || db.failed.Load() != nil {
		return
	}
	if err := db.compactPacks(context.Background(), which); err != nil {
		db.log.Warn("the space of deleted small objects is given back later", "error", err)
	}
}

// compactPacks moves what lives in packs with waste to new ones, and removes them. A pack with a damaged value stays.
// LOCKS_REQUIRED(checkpointMu), after a checkpoint.
func (db *DB) compactPacks(ctx context.Context, which worth) error {
	tried := map[uint32]bool{}
	for {
		live, err := db.livePacks(ctx)
		if err != nil {
			return err
		}
		victims := db.victims(live, which, tried)
		if len(victims) == 0 {
			db.wasted = 0
			return nil
		}
		entries, err := db.entriesOf(ctx, victims)
		if err != nil {
			return err
		}
		for _, k := range victims {
			tried[k.number] = true
			if err := db.evacuate(k, entries[k.number]); err != nil {
				return err
			}
		}
	}
}

// victims returns the packs to write anew, those with the least to move first.
func (db *DB) victims(live map[uint32]int64, which worth, tried map[uint32]bool) []*pack {
	s := db.packs.hold()
	defer db.packs.release(s)
	var out []*pack
	for n, k := range s.packs {
		if !tried[n] && which(live[n], k.size.Load()) {
			out = append(out, k)
		}
	}
	slices.SortFunc(out, func(a, b *pack) int {
		return cmp.Or(cmp.Compare(live[a.number], live[b.number]), cmp.Compare(a.number, b.number))
	})
	return out[:min(len(out), victimsAtOnce)]
}

// packedEntry is the record of a value: its key in badger, and where it lies.
type packedEntry struct {
	key []byte
	location
}

// eachPacked visits the record of every value in packs. A damaged record ends it: what it names must not go.
func (db *DB) eachPacked(ctx context.Context, fn func(key []byte, l location)) (err error) {
	defer recovered("meta", &err)
	txn := db.meta.db.NewTransaction(false)
	defer txn.Discard()
	it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{prefixData}})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		key := it.Item().Key()
		err := it.Item().Value(func(sealed []byte) error {
			val, err := db.sealer.open(nil, sealed, key)
			if err != nil {
				return err
			}
			l, err := decodeLocation(val)
			if err == nil {
				fn(key, l)
			}
			return err
		})
		if err != nil {
			return corruptKey(key, err)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

func (db *DB) livePacks(ctx context.Context) (map[uint32]int64, error) {
	live := make(map[uint32]int64)
	err := db.eachPacked(ctx, func(_ []byte, l location) { live[l.pack] += int64(l.length) })
	return live, err
}

func (db *DB) entriesOf(ctx context.Context, victims []*pack) (map[uint32][]packedEntry, error) {
	out := make(map[uint32][]packedEntry, len(victims))
	for _, k := range victims {
		out[k.number] = nil
	}
	err := db.eachPacked(ctx, func(key []byte, l location) {
		if list, ok := out[l.pack]; ok {
			out[l.pack] = append(list, packedEntry{append([]byte{}, key...), l})
		}
	})
	for _, list := range out {
		slices.SortFunc(list, func(a, b packedEntry) int { return cmp.Compare(a.offset, b.offset) })
	}
	return out, err
}

// evacuate moves the entries of a pack, which are all that lives in it, to another one and removes it. What was moved or
// deleted must be durable before, also by an earlier try whose sync failed: else power loss brings back the records of it.
func (db *DB) evacuate(k *pack, entries []packedEntry) error {
	if db.packer.pack == k {
		if err := db.packer.finish(); err != nil {
			return err
		}
	}
	k.full = true
	err := db.moveEntries(entries)
	var corrupt *CorruptError
	if errors.As(err, &corrupt) {
		db.log.Warn("a damaged value keeps its pack from being given back", "pack", k.path, "error", err)
		return nil
	}
	if err != nil {
		return err
	}
	if err := db.meta.settle(db); err != nil {
		return err
	}
	db.packs.drop(k)
	db.renewBase()
	return nil
}

func (db *DB) moveEntries(entries []packedEntry) error {
	if len(entries) == 0 {
		return nil
	}
	if !db.roomToMove(entries) {
		return ErrNoSpace
	}
	moved, err := db.copyEntries(entries)
	if err != nil {
		return err
	}
	return db.meta.write(func(w *batch) error {
		for i, e := range entries {
			if err := w.put(e.key, moved[i].encode(), false); err != nil {
				return err
			}
		}
		return nil
	}, db.sealer)
}

func (db *DB) roomToMove(entries []packedEntry) bool {
	var values, records int64
	for _, e := range entries {
		values += int64(e.length)
		records += int64(len(e.key)+locationSize+valueOverhead) + entryCost
	}
	free, err := db.opts.freeSpace(db.dir)
	return err == nil && free >= values+db.checkpointNeeds(records)
}

// copyEntries writes values anew, durably, and returns where they lie now. Each is opened first: the pack that is damaged
// must stay.
func (db *DB) copyEntries(entries []packedEntry) ([]location, error) {
	s := db.packs.hold()
	defer db.packs.release(s)
	moved := make([]location, 0, len(entries))
	for _, e := range entries {
		sealed, err := db.packs.read(s, e.location)
		if err == nil {
			_, err = db.sealer.open(nil, sealed, e.key)
		}
		if err != nil {
			return nil, corruptKey(e.key, err)
		}
		l, err := db.packer.add(func(dst []byte) []byte { return append(dst, sealed...) })
		if err != nil {
			return nil, err
		}
		moved = append(moved, l)
	}
	return moved, db.packer.sync()
}
