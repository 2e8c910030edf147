package fusefs

import (
	"encoding/binary"
	"sync"
)

// behind is what is left to do of requests when they are answered.
type behind struct {
	mu   sync.Mutex
	todo map[uint64]func() // GUARDED_BY(mu): by the request's unique number
}

func (b *behind) add(unique uint64, fn func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.todo == nil {
		b.todo = map[uint64]func(){}
	}
	b.todo[unique] = fn
}

// run does what is left of a request.
func (b *behind) run(in []byte) {
	if opcodeOf(in) != opWrite {
		return
	}
	unique := binary.NativeEndian.Uint64(in[8:])
	b.mu.Lock()
	fn := b.todo[unique]
	delete(b.todo, unique)
	b.mu.Unlock()
	if fn != nil {
		fn()
	}
}
