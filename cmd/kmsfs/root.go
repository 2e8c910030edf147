package main

// What protects the root key file.
const (
	protectNone       = "none" // the file's mode
	protectPassphrase = "passphrase"
)

// RootConfig is about the root key.
type RootConfig struct {
	Protection        string `toml:"protection"`         // of a root key file that is made or changed
	PassphraseFile    string `toml:"passphrase-file"`    // holds the passphrase
	PassphraseCommand string `toml:"passphrase-command"` // prints the passphrase
	RecoveryKit       string `toml:"recovery-kit"`       // where init writes the kit; empty: STORE.recovery; none: no kit
}

// loadRoot reads the root key of a store that exists. The caller wipes it.
func (a *app) loadRoot(store string) ([]byte, error) {
	return rootKey(beside(a.cfg.RootKey, store, ".key"), true)
}
