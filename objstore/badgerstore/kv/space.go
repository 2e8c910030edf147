package kv

import "syscall"

// Free space that a checkpoint needs beside its batch: badger writes through mmap, so
// running out inside it is a SIGBUS and not an error. Covers the rotation of the
// memtable and a small compaction.
const checkpointHeadroom = 32 << 20

func statfsFree(dir string) (int64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * st.Bsize, nil
}

// LowSpace reports that the disk is nearly full: the layer above should refuse new user
// data, so that deletions and metadata still find room.
func (db *DB) LowSpace() bool {
	room, err := db.Room()
	return err == nil && room < 0
}

// Room is how many bytes user data may still take until LowSpace; below 0 it is low.
func (db *DB) Room() (int64, error) {
	free, err := db.opts.freeSpace(db.dir)
	if err != nil {
		return 0, err
	}
	db.mu.RLock()
	bytes := db.active.size
	db.mu.RUnlock()
	return free - db.checkpointNeeds(bytes) - db.opts.ReserveBytes, nil
}

// checkpointNeeds is the free space that writing batch bytes to badger may take: log and
// table (and a table's copy), then a compaction of level 0 into the base level.
func (db *DB) checkpointNeeds(batch int64) int64 {
	return 3*batch + checkpointHeadroom + 2*db.meta.compactionBytes()
}

// roomFor reports whether a checkpoint of batch bytes may start.
func (db *DB) roomFor(batch int64) bool {
	free, err := db.opts.freeSpace(db.dir)
	if err != nil {
		db.log.Warn("free space unknown", "error", err)
		return false
	}
	return free >= db.checkpointNeeds(batch)
}
