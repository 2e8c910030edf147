// Package keyring is the file that holds the secrets of a store, sealed under its root key.
//
// The root key seals nothing but this file. So another root key costs one small write, and a secret can be replaced on its
// own: each purpose has versions, the newest is used for what is written now, and older ones stay as long as something on
// disk needs them. FORMAT.md beside this file states every byte.
package keyring
