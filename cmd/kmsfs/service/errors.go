package service

import (
	"errors"

	"kmsfs/kms"
	"kmsfs/objstore"
)

// Code says what kind of failure a call met that is neither the store's nor the KMS's.
type Code string

// The codes of this package.
const (
	Busy         Code = "Busy"         // a mount in use, or a store owned by another process
	Stale        Code = "Stale"        // the mount of a dead daemon
	Closing      Code = "Closing"      // the daemon is about to end: ask again
	NotDaemon    Code = "NotDaemon"    // only a daemon can do it
	NotMounted   Code = "NotMounted"   // the directory is no mount of this daemon
	NoStore      Code = "NoStore"      // there is no store at the path
	NoRootKey    Code = "NoRootKey"    // the store is there but its root key is not
	WrongRootKey Code = "WrongRootKey" // the root key is not this store's
	OpenRootKey  Code = "OpenRootKey"  // others can read the root key
	RootKMS      Code = "RootKMS"      // the key service that wraps the root key refuses, or is away
	OtherKMS     Code = "OtherKMS"     // the store's keys are with another provider than the one that is configured
	NoKeyring    Code = "NoKeyring"    // the store's keyring is missing or damaged
	NewerFormat  Code = "NewerFormat"  // a later version wrote the store
	OlderFormat  Code = "OlderFormat"  // an earlier version wrote the store, in a format that is no longer read
	BadMount     Code = "BadMount"     // the mount point cannot be used
	NoFUSE       Code = "NoFUSE"       // /dev/fuse or fusermount3 is missing
	NotPermitted Code = "NotPermitted" // the peer is neither the owner nor root
	BadRequest   Code = "BadRequest"   // the caller asked for something impossible
	Unsupported  Code = "Unsupported"  // this store or provider cannot do it
	NoDaemon     Code = "NoDaemon"     // the daemon did not answer
	BadDoor      Code = "BadDoor"      // the address of a door cannot be used
	NoDoor       Code = "NoDoor"       // no door is open
	WouldLose    Code = "WouldLose"    // versions would be lost of which the caller does not know
	NoUser       Code = "NoUser"       // there is no such user of the doors
	NoBackup     Code = "NoBackup"     // the repository has no such backup
	Unfinished   Code = "Unfinished"   // a restore did not come to its end
	// DamagedBackup: a file of a backup is damaged or missing.
	DamagedBackup Code = "DamagedBackup"
)

// Codes lists every code, so that tests can find a hole in a table.
func Codes() []Code {
	return []Code{Busy, Stale, Closing, NotDaemon, NotMounted, NoStore, NoRootKey, WrongRootKey, OpenRootKey, RootKMS, OtherKMS, NoKeyring,
		NewerFormat, OlderFormat, BadMount, NoFUSE, NotPermitted, BadRequest, Unsupported, NoDaemon, BadDoor, NoDoor, NoUser, WouldLose,
		NoBackup, DamagedBackup, Unfinished}
}

// Error implements error, so that errors.Is(err, service.Busy) works.
func (c Code) Error() string { return string(c) }

// Error is a failure with its code: the message states facts, advice is the command's business.
type Error struct {
	Code    Code
	Message string
	Err     error // the cause; may be nil
}

func (e *Error) Error() string {
	if e.Err == nil {
		return e.Message
	}
	return e.Message + ": " + e.Err.Error()
}

// Unwrap gives the code and the cause.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Code}
	}
	return []error{e.Code, e.Err}
}

// WireError is an error as it crosses the socket: its text and its codes, those that are there.
type WireError struct {
	Message string
	Service Code          `json:",omitempty"`
	KMS     kms.Code      `json:",omitempty"`
	State   kms.KeyState  `json:",omitempty"`
	Store   objstore.Code `json:",omitempty"`
}

// ToWire keeps of err what a command needs.
func ToWire(err error) *WireError {
	if err == nil {
		return nil
	}
	w := &WireError{Message: err.Error()}
	errors.As(err, &w.Service)
	errors.As(err, &w.Store)
	errors.As(err, &w.KMS)
	var k *kms.Error
	if errors.As(err, &k) {
		w.KMS, w.State = k.Code, k.State
	}
	return w
}

// Error implements error with the text that the other side had.
func (w *WireError) Error() string { return w.Message }

// Unwrap gives the codes, so that errors.Is works as on the other side.
func (w *WireError) Unwrap() []error {
	var out []error
	if w.Service != "" {
		out = append(out, w.Service)
	}
	if w.KMS != "" {
		out = append(out, &kms.Error{Code: w.KMS, State: w.State, Message: w.Message})
	}
	if w.Store != "" {
		out = append(out, w.Store)
	}
	return out
}
