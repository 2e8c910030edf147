package users

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"kmsfs/kms"
	"kmsfs/kms/sigv4"
)

// Why a user is refused. Errors of this package wrap one of them, or else come from the Records.
var (
	ErrName     = errors.New("not a user name")
	ErrExists   = errors.New("the user exists already")
	ErrNotFound = errors.New("there is no such user")
	ErrDamaged  = errors.New("the user's record is damaged")
)

// Records is where user records lie, apart from those of keys. Names are "user/" and the user's name; values are sealed.
type Records interface {
	// Load returns all records, name → sealed bytes.
	Load() (map[string][]byte, error)
	// Save writes and deletes, atomically; when it returns nil the change survives power loss.
	Save(puts map[string][]byte, deletes []string) error
}

const (
	prefix      = "user/"
	label       = "kmsfs user v1"
	maxName     = 64
	keyIDPrefix = "AKIA"
)

// User is a user without the secret. Damaged says that the record does not open, and then only Name is set.
type User struct {
	Name, AccessKeyID string
	Created           time.Time
	Damaged           bool
}

// Store is the users of one store. It may be used concurrently, and is a [sigv4.Keys].
type Store struct {
	rec Records
	now func() time.Time

	admin sync.Mutex // held by a change from its first look to its end; taken before mu

	mu    sync.RWMutex // guards what follows
	keys  [][]byte     // the first seals records, all open them; nil once closed, which takes admin too
	users map[string]user
	ids   map[string]string // access key id → name
}

var _ sigv4.Keys = (*Store)(nil)

type user struct {
	User
	sealed []byte
}

// payload is the plaintext of a record.
type payload struct {
	AccessKeyID string `json:"access_key_id"`
	Secret      []byte `json:"secret"`
	Created     int64  `json:"created"` // nanoseconds since 1970
}

// Open reads all users. key has 32 random bytes, for this purpose only; records that [Reseal] has not reached yet may be
// sealed under the former ones. They are copied. now may be nil. A record that is damaged does not hinder the others.
func Open(rec Records, key []byte, now func() time.Time, former ...[]byte) (*Store, error) {
	keys := append([][]byte{key}, former...)
	if err := checkKeys(keys); err != nil {
		return nil, fmt.Errorf("open the users: %w", err)
	}
	if now == nil {
		now = time.Now
	}
	records, err := rec.Load()
	if err != nil {
		return nil, fmt.Errorf("open the users: %w", err)
	}
	s := &Store{rec: rec, now: now, keys: cloneKeys(keys), users: map[string]user{}, ids: map[string]string{}}
	for record, sealed := range records {
		name, ok := strings.CutPrefix(record, prefix)
		if !ok {
			return nil, fmt.Errorf("open the users: record %q is of a kind that this release does not know; use the release that wrote it", record)
		}
		s.put(s.load(name, sealed))
	}
	return s, nil
}

func (s *Store) load(name string, sealed []byte) user {
	p, err := s.open(name, sealed)
	if err != nil {
		return user{User: User{Name: name, Damaged: true}}
	}
	defer kms.Wipe(p.Secret)
	return user{User{Name: name, AccessKeyID: p.AccessKeyID, Created: time.Unix(0, p.Created).UTC()}, bytes.Clone(sealed)}
}

// put puts u in force. The caller holds mu, or is the only one.
func (s *Store) put(u user) {
	s.users[u.Name] = u
	if !u.Damaged {
		s.ids[u.AccessKeyID] = u.Name
	}
}

func (s *Store) open(name string, sealed []byte) (p payload, err error) {
	plain, err := openRecord(s.keys, prefix+name, sealed)
	if err != nil {
		return p, err
	}
	defer kms.Wipe(plain)
	return p, json.Unmarshal(plain, &p)
}

// Close wipes the keys. Every call after it is an error.
func (s *Store) Close() error {
	s.admin.Lock()
	defer s.admin.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.keys {
		kms.Wipe(k)
	}
	s.keys, s.users, s.ids = nil, nil, nil
	return nil
}

var errClosed = errors.New("the users are closed")

// Create makes a user with an access key as AWS makes them: an id of 20 characters, a secret of 40 (240 random bits). The
// caller wipes the secret. Errors: [ErrName], [ErrExists].
func (s *Store) Create(name string) (sigv4.Credentials, error) {
	if err := checkName(name); err != nil {
		return sigv4.Credentials{}, err
	}
	s.admin.Lock()
	defer s.admin.Unlock()
	if u, err := s.find(name); err == nil || u.Damaged {
		return sigv4.Credentials{}, fmt.Errorf("user %s: %w; delete it first, or take another name", name, ErrExists)
	} else if !errors.Is(err, ErrNotFound) {
		return sigv4.Credentials{}, err
	}
	p := newPayload(s.now())
	plain, err := json.Marshal(p)
	if err != nil {
		panic("kms/users: internal error: " + err.Error())
	}
	defer kms.Wipe(plain)
	u := user{User{Name: name, AccessKeyID: p.AccessKeyID, Created: time.Unix(0, p.Created).UTC()},
		sealRecord(s.keys, prefix+name, plain)}
	if err := s.rec.Save(map[string][]byte{prefix + name: u.sealed}, nil); err != nil {
		kms.Wipe(p.Secret)
		return sigv4.Credentials{}, fmt.Errorf("save user %s: %w", name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(u)
	return sigv4.Credentials{AccessKeyID: p.AccessKeyID, Secret: p.Secret, User: name}, nil
}

func newPayload(now time.Time) payload {
	var id [10]byte
	var secret [30]byte
	rand.Read(id[:]) // never fails: crypto/rand aborts the program instead
	rand.Read(secret[:])
	defer clear(secret[:])
	return payload{
		AccessKeyID: keyIDPrefix + base32.StdEncoding.EncodeToString(id[:]),
		Secret:      base64.StdEncoding.AppendEncode(nil, secret[:]), Created: now.UnixNano(),
	}
}

// checkName holds IAM's rule for user names, which are part of an ARN.
func checkName(name string) error {
	bad := func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("_+=,.@-", c))
	}
	if name == "" || len(name) > maxName || strings.ContainsFunc(name, bad) {
		return fmt.Errorf("user %q: %w: it has 1 to %d letters, digits and _+=,.@-", name, ErrName, maxName)
	}
	return nil
}

// Delete takes a user's access away, at once. Error: [ErrNotFound].
func (s *Store) Delete(name string) error {
	s.admin.Lock()
	defer s.admin.Unlock()
	u, err := s.find(name)
	if err != nil && !errors.Is(err, ErrDamaged) {
		return err
	}
	if err := s.rec.Save(nil, []string{prefix + name}); err != nil {
		return fmt.Errorf("delete user %s: %w", name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.users, name)
	delete(s.ids, u.AccessKeyID)
	return nil
}

// List returns all users in ascending order of name.
func (s *Store) List() []User {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := make([]User, 0, len(s.users))
	for _, name := range slices.Sorted(maps.Keys(s.users)) {
		out = append(out, s.users[name].User)
	}
	return out
}

// Get returns a user's access key. The caller wipes the secret. Errors: [ErrNotFound], [ErrDamaged].
func (s *Store) Get(name string) (sigv4.Credentials, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.credentials(name)
}

// Lookup is sigv4.Keys'.
func (s *Store) Lookup(_ context.Context, accessKeyID string) (sigv4.Credentials, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.keys == nil {
		return sigv4.Credentials{}, errClosed
	}
	name, ok := s.ids[accessKeyID]
	if !ok {
		return sigv4.Credentials{}, sigv4.ErrNoKey
	}
	return s.credentials(name)
}

// credentials opens a user's record. The caller holds mu.
func (s *Store) credentials(name string) (sigv4.Credentials, error) {
	u, err := s.locate(name)
	if err != nil {
		return sigv4.Credentials{}, err
	}
	p, err := s.open(name, u.sealed)
	if err != nil {
		return sigv4.Credentials{}, fmt.Errorf("user %s: %w: %w", name, ErrDamaged, err)
	}
	return sigv4.Credentials{AccessKeyID: p.AccessKeyID, Secret: p.Secret, User: name}, nil
}

func (s *Store) find(name string) (user, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.locate(name)
}

func (s *Store) locate(name string) (user, error) {
	u, ok := s.users[name]
	switch {
	case s.keys == nil:
		return u, errClosed
	case !ok:
		return u, fmt.Errorf("user %s: %w", name, ErrNotFound)
	case u.Damaged:
		return u, fmt.Errorf("user %s: %w; delete it and make it anew", name, ErrDamaged)
	}
	return u, nil
}
