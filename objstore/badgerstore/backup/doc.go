// Package backup is the form that backups of a store have: packs of sealed pages and ciphertext, and points that name them,
// in a directory that many points share (Repository) or in one stream. FORMAT.md states it to the byte.
//
// It knows no database and no record: the engine above gives it pages and ciphertext, and takes them back. Nothing that it
// writes can be read without the store's secret, and its files can be verified without.
package backup
