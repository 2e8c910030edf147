package fs

import (
	"sync"

	"kmsfs/objstore"
)

// failuresKept bounds the memory of user.kmsfs.error, in files.
const failuresKept = 1000

// failures remembers why the last operation on a file failed.
type failures struct {
	mu   sync.Mutex
	text map[objstore.Ino]string
}

// note remembers err for ino, or forgets what was remembered if err is nil.
func (f *failures) note(ino objstore.Ino, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil {
		delete(f.text, ino)
		return
	}
	if f.text == nil {
		f.text = map[objstore.Ino]string{}
	}
	for old := range f.text {
		if len(f.text) < failuresKept {
			break
		}
		delete(f.text, old) // any: there are too many to be looked at
	}
	f.text[ino] = err.Error()
}

// of is the remembered text, and whether there is one.
func (f *failures) of(ino objstore.Ino) (string, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s, ok := f.text[ino]
	return s, ok
}
