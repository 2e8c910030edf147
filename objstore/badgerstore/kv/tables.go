package kv

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/fb"
	badgeroptions "github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/badger/v4/pb"
	"github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/ristretto/v2"
	"github.com/dgraph-io/ristretto/v2/z"
)

// suspicious is the number of unclean stops in a row after which tables are read in full:
// badger's compaction runs in goroutines of its own, where a damaged block that makes it
// panic ends the process, again and again.
const suspicious = 3

// checkTables opens tables the way badger will, but where a panic can be caught. A damaged one is an error. Those that the
// index vouches for have been compared with it in full.
func (db *DB) checkTables() error {
	full := db.mirror.unclean() >= suspicious
	bad, err := findDamaged(db.mirror.primary("meta"), db.secrets.meta, full, db.mirror.vouched)
	if err != nil {
		return err
	}
	for id, cause := range bad {
		return &CorruptError{What: fmt.Sprintf("meta/%06d.sst", id), Err: cause}
	}
	return nil
}

// findDamaged returns the tables of dir's manifest that badger could not open, except those known to be whole; with full,
// also those that have a damaged block.
func findDamaged(dir string, key []byte, full bool, whole func(id uint64) bool) (map[uint64]error, error) {
	bad := make(map[uint64]error)
	tables, _, err := replayManifest(filepath.Join(dir, badger.ManifestFilename))
	if errors.Is(err, os.ErrNotExist) || (err == nil && len(tables) == 0) {
		return bad, nil
	}
	if err != nil {
		return nil, &CorruptError{What: filepath.Base(dir) + "/MANIFEST", Err: err}
	}
	p, err := newProber(dir, key, full)
	if err != nil {
		return nil, err
	}
	defer p.cache.Close()
	for id, tm := range tables {
		if whole(id) {
			continue
		}
		if err := p.probe(id, tm); err != nil {
			bad[id] = err
		}
	}
	return bad, nil
}

// prober opens tables read-only, one at a time.
type prober struct {
	dir   string
	keys  *badger.KeyRegistry
	cache *ristretto.Cache[uint64, *fb.TableIndex]
	full  bool
}

func newProber(dir string, key []byte, full bool) (*prober, error) {
	keys, err := openRegistry(dir, key)
	if err != nil {
		return nil, err
	}
	cache, err := ristretto.NewCache(&ristretto.Config[uint64, *fb.TableIndex]{
		NumCounters: 100, MaxCost: 8 << 20, BufferItems: 64})
	if err != nil {
		return nil, err
	}
	return &prober{dir, keys, cache, full}, nil
}

func openRegistry(dir string, key []byte) (r *badger.KeyRegistry, err error) {
	name := filepath.Base(dir) + "/KEYREGISTRY"
	defer recovered(name, &err)
	r, err = badger.OpenKeyRegistry(badger.KeyRegistryOptions{Dir: dir, ReadOnly: true, EncryptionKey: key})
	if err != nil {
		return nil, &CorruptError{What: name, Err: fmt.Errorf("damaged, or the root key is not this store's: %w", err)}
	}
	return r, nil
}

func (p *prober) probe(id uint64, tm badger.TableManifest) (err error) {
	defer recovered(fmt.Sprintf("table %d", id), &err)
	dk, err := p.keys.DataKey(tm.KeyID)
	if err != nil {
		return err
	}
	mf, err := z.OpenMmapFile(table.NewFilename(id, p.dir), os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	t, err := table.OpenTable(mf, table.Options{
		ReadOnly: true, ChkMode: badgeroptions.OnBlockRead, Compression: tm.Compression,
		DataKey: copyKey(dk), IndexCache: p.cache,
	})
	if err != nil {
		return err // what is mapped stays mapped: it may be closed already
	}
	defer t.Close(-1)
	if p.full {
		return t.VerifyChecksum()
	}
	return nil
}

// copyKey keeps the table from sharing the registry's key.
func copyKey(k *pb.DataKey) *pb.DataKey {
	if k == nil {
		return nil
	}
	return &pb.DataKey{KeyId: k.KeyId, Data: append([]byte{}, k.Data...), Iv: k.Iv, CreatedAt: k.CreatedAt}
}
