package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// withoutSync runs a program, to which every call that makes something durable answers at once that it did: fsync(2),
// fdatasync(2), sync_file_range(2) and msync(2) are not carried out. What a machine does with the rest of its memory is not
// changed. It shows that a test would find a call that is missing.
func withoutSync() {
	numbers := []uint32{unix.SYS_FSYNC, unix.SYS_FDATASYNC, unix.SYS_SYNC_FILE_RANGE, unix.SYS_MSYNC}
	if err := execFiltered(os.Args[1:], numbers, unix.SECCOMP_RET_ERRNO); err != nil { // with errno 0: success
		fmt.Fprintf(os.Stderr, "withoutsync: %v\n", err)
		os.Exit(1)
	}
}

// execFiltered becomes a program whose calls of some numbers the kernel answers with action.
func execFiltered(args []string, numbers []uint32, action uint32) error {
	path, err := exec.LookPath(args[0])
	if err != nil {
		return err
	}
	runtime.LockOSThread() // the filter is the thread's
	if _, err := filterCalls(numbers, action, 0); err != nil {
		return err
	}
	return unix.Exec(path, args, os.Environ())
}

// filterCalls installs a filter for this thread and what it becomes. With SECCOMP_FILTER_FLAG_NEW_LISTENER the answer is
// the listener.
func filterCalls(numbers []uint32, action uint32, flags uintptr) (listener int, err error) {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return -1, fmt.Errorf("no_new_privs: %w", err)
	}
	const offsetOfNumber = 0 // in struct seccomp_data
	code := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offsetOfNumber}}
	for i, nr := range numbers {
		code = append(code, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: nr, Jt: uint8(len(numbers) - i)})
	}
	code = append(code,
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: action})
	prog := unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&prog)))
	runtime.KeepAlive(code)
	if errno != 0 {
		return -1, fmt.Errorf("seccomp: %w", errno)
	}
	return int(fd), nil
}
