package service

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// SocketPath is where the daemon of a store listens: a path short enough for a socket, made from the store's
// real path, in a directory of the store's owner.
func SocketPath(store string) (string, error) {
	owner := os.Geteuid()
	if st, err := os.Stat(store); err == nil {
		owner = int(st.Sys().(*syscall.Stat_t).Uid)
	}
	dir, err := socketDir(owner)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(store))
	return filepath.Join(dir, hex.EncodeToString(sum[:10])+".sock"), nil
}

// socketDir is made when it is this process's own. One that someone else could write to is refused.
func socketDir(owner int) (string, error) {
	dir := runtimeDir(owner)
	if owner == os.Geteuid() {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return "", fmt.Errorf("make the directory of the daemon's socket: %w", err)
		}
	}
	st, err := os.Lstat(dir)
	if err != nil {
		return dir, nil // no daemon of that owner has run yet
	}
	uid := int(st.Sys().(*syscall.Stat_t).Uid)
	if !st.IsDir() || uid != owner || st.Mode().Perm()&0o022 != 0 {
		return "", &Error{Code: NotPermitted,
			Message: fmt.Sprintf("%s must be a directory that only uid %d can write to", dir, owner)}
	}
	return dir, nil
}

func runtimeDir(owner int) string {
	if owner == 0 {
		return "/run/kmsfs"
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" && owner == os.Geteuid() {
		return filepath.Join(dir, "kmsfs")
	}
	dir := "/run/user/" + strconv.Itoa(owner)
	if _, err := os.Stat(dir); err == nil {
		return dir + "/kmsfs"
	}
	return filepath.Join(os.TempDir(), "kmsfs-"+strconv.Itoa(owner))
}
