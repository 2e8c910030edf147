package service

import "time"

// LocalProvider is the name of the provider whose keys are in the store.
const LocalProvider = "local"

// KeyProvider is where the keys of a store are, and how it is. What follows Name is for a provider that may be away.
type KeyProvider struct {
	Name     string    `json:"name"` // local or aws
	Where    string    `json:"where,omitempty"`
	Breaker  string    `json:"breaker,omitempty"`  // closed: calls go through; open: they fail at once; half-open: one is tried
	Failures int       `json:"failures,omitempty"` // in a row
	Retries  int64     `json:"retries,omitempty"`  // since the start
	Since    time.Time `json:"since,omitzero"`     // of the first failure in that row
	Reason   string    `json:"reason,omitempty"`   // of the last one
}
