package seal

import "errors"

// ErrAuth is wrapped by every refusal to open or verify: the bytes were altered, belong to another place,
// or were sealed under another key. Which of these it is cannot be told.
var ErrAuth = errors.New("authentication failed")

// ErrKeySize is wrapped by the refusal of a key of the wrong length.
var ErrKeySize = errors.New("wrong key size")

// Layer names the check that refused.
type Layer string

// The checks, in the order in which a reader makes them.
const (
	LayerSize   Layer = "size"   // too short to hold nonce and tag
	LayerOuter  Layer = "outer"  // the outer of two layers
	LayerInner  Layer = "inner"  // the inner of two layers
	LayerChunk  Layer = "chunk"  // the only layer of a chunk
	LayerRecord Layer = "record" // a sealed database record
	LayerMAC    Layer = "mac"    // the MAC of a version record
)

// AuthError says which layer refused; it wraps [ErrAuth].
type AuthError struct{ Layer Layer }

func (e *AuthError) Error() string {
	return "seal: " + ErrAuth.Error() + " (" + string(e.Layer) + "): altered, moved, or sealed under another key"
}

// Unwrap returns [ErrAuth].
func (e *AuthError) Unwrap() error { return ErrAuth }
