package objstore

import "context"

// KeyCounter is the capability of a store that can tell what is encrypted under a KMS key.
type KeyCounter interface {
	// KeyUse counts what cannot be read without the key with this ARN. It reads every record, so it takes a while.
	KeyUse(ctx context.Context, keyARN string) (KeyUse, error)
}

// KeyUse counts what is encrypted under one KMS key.
type KeyUse struct {
	Files    int64 `json:"files"`    // objects whose current version is
	Versions int64 `json:"versions"` // current and old
	Bytes    int64 `json:"bytes"`    // of those versions
}
