package kv

import (
	"io"
	"log/slog"
	"time"
)

// Limits of one entry, in bytes. Badger keeps a value in its tree, and out of the value
// log that is never reclaimed, up to 15 % of a memtable.
const (
	MaxKey   = 32 << 10
	MaxValue = 512 << 10
)

const (
	defaultSyncEvery    = 5 * time.Second
	defaultSegmentBytes = 8 << 20
	defaultSegments     = 4
	defaultReserve      = 64 << 20
)

// Options of [Open]; the zero value is usable.
type Options struct {
	Logger *slog.Logger // nil: discard

	// SyncEvery is the longest time between Update and durability against power loss
	// without a Sync; 0 is 5 s, negative is never, nor is anything else done by the clock (tests).
	SyncEvery time.Duration

	// BeforeSync makes durable what records refer to outside of this store. It runs before
	// every flush of the journal; its error fails that flush. It must not call Update or
	// Sync. May be nil.
	BeforeSync func() error

	// Intact reports whether what a transaction depended on ([Tx.Depend]) reached the disk. It is asked at Open for
	// transactions that are not known to be durable. nil: always.
	Intact func(ref []byte) bool

	// ReserveBytes is the free space below which LowSpace reports true; 0 is 64 MiB.
	ReserveBytes int64

	// SegmentBytes and Segments give the journal's preallocated size; 0 is 4 of 8 MiB.
	SegmentBytes int64
	Segments     int

	openFile  func(path string) (file, error) // fault injection
	freeSpace func(dir string) (int64, error) // fault injection
}

func (o *Options) setDefaults() {
	if o.Logger == nil {
		o.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	if o.SyncEvery == 0 {
		o.SyncEvery = defaultSyncEvery
	}
	if o.BeforeSync == nil {
		o.BeforeSync = func() error { return nil }
	}
	if o.Intact == nil {
		o.Intact = func([]byte) bool { return true }
	}
	if o.ReserveBytes == 0 {
		o.ReserveBytes = defaultReserve
	}
	if o.SegmentBytes == 0 {
		o.SegmentBytes = defaultSegmentBytes
	}
	if o.Segments < 2 {
		o.Segments = defaultSegments
	}
	if o.openFile == nil {
		o.openFile = openOSFile
	}
	if o.freeSpace == nil {
		o.freeSpace = statfsFree
	}
}
