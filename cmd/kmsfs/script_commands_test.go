package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// scriptPrograms are the programs that scripts find in PATH beside those of the system: kmsfs itself, and programs that
// do to files what no shell command does.
//
//	mmapedit FILE OFFSET TEXT    writes TEXT through a shared mapping, msyncs, reads it back in three ways
//	saveover FILE                an editor's save of standard input: temporary, fsync, rename over, fsync of the directory
//	appendlines FILE NAME N      opens FILE once with O_APPEND and writes N lines that begin with NAME, one write each
//	unlinked FILE                makes FILE, unlinks it and goes on using it by its descriptor
//	emptydir DIR N               lists DIR a few names at a time, deleting each at once: it must see N names, each once
//	rewriteblocks FILE STOP      writes 4 KiB blocks of FILE until STOP exists, then checks that FILE has the last of each
//	kmsfslater DAYS ARG...       kmsfs with a clock that is DAYS days ahead
//	rotatekilled STEP            replaces the root key of $KMSFS_STORE and kills itself after STEP
//	rereads FILE STOP            reads FILE until STOP exists: it never changes
//	withoutsync PROGRAM ARG...   runs a program whose fsyncs do nothing
//	overseen SOCKET PROGRAM ARG...    runs a program whose system calls another process may refuse
func scriptPrograms() map[string]func() {
	all := map[string]func(){"kmsfs": main, "withoutsync": withoutSync, "overseen": overseenProgram, "kmsfslater": kmsfsLater}
	for name, p := range map[string]struct {
		args int
		run  func([]string) error
	}{
		"mmapedit":      {3, mmapEdit},
		"saveover":      {1, saveOver},
		"appendlines":   {3, appendLines},
		"unlinked":      {1, unlinked},
		"emptydir":      {2, emptyDir},
		"rewriteblocks": {2, rewriteBlocks},
		"rereads":       {2, rereads},
		"rotatekilled":  {1, rotateKilled},
	} {
		all[name] = func() { scriptProgram(name, p.args, p.run) }
	}
	return all
}

func scriptProgram(name string, args int, run func([]string) error) {
	err := fmt.Errorf("it needs %d arguments", args)
	if len(os.Args) == args+1 {
		err = run(os.Args[1:])
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
}

func mmapEdit(args []string) error {
	at, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	f, err := os.OpenFile(args[0], os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	text := []byte(args[2])
	m, err := unix.Mmap(int(f.Fd()), 0, at+len(text), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("mmap: %w", err)
	}
	copy(m[at:], text)
	if err := unix.Msync(m, unix.MS_SYNC); err != nil {
		return fmt.Errorf("msync: %w", err)
	}
	if err := shows(f, at, text); err != nil {
		return err
	}
	if other, err := os.Open(args[0]); err != nil {
		return err
	} else if err := errors.Join(shows(other, at, text), other.Close()); err != nil {
		return err
	}
	if !bytes.Equal(m[at:], text) {
		return errors.New("the mapping has other bytes after msync")
	}
	return unix.Munmap(m)
}

// shows checks that f has text at an offset.
func shows(f *os.File, at int, text []byte) error {
	got := make([]byte, len(text))
	if _, err := f.ReadAt(got, int64(at)); err != nil {
		return err
	}
	if !bytes.Equal(got, text) {
		return fmt.Errorf("%s has %.40q at %d, want %.40q", f.Name(), got, at, text)
	}
	return nil
}

func saveOver(args []string) error {
	dir := filepath.Dir(args[0])
	f, err := os.CreateTemp(dir, "."+filepath.Base(args[0])+".*.swp")
	if err != nil {
		return err
	}
	if _, err := io.Copy(f, os.Stdin); err != nil {
		return err
	}
	if err := errors.Join(f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), args[0]); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func appendLines(args []string) error {
	n, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	f, err := os.OpenFile(args[0], os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	for i := range n {
		// lengths vary, so that lines straddle chunks in all ways
		if _, err := fmt.Fprintf(f, "%s %d %s\n", args[1], i, bytes.Repeat([]byte("x"), i%211)); err != nil {
			return err
		}
	}
	return f.Close()
}

func unlinked(args []string) error {
	f, err := os.Create(args[0])
	if err != nil {
		return err
	}
	if err := os.Remove(args[0]); err != nil {
		return err
	}
	text := bytes.Repeat([]byte("still here "), 30000)
	if _, err := f.WriteAt(text, 4097); err != nil {
		return err
	}
	var st unix.Stat_t
	if err := errors.Join(f.Sync(), unix.Fstat(int(f.Fd()), &st), shows(f, 4097, text)); err != nil {
		return err
	}
	if st.Nlink != 0 || st.Size != int64(4097+len(text)) {
		return fmt.Errorf("it has %d links and %d bytes, want 0 links and %d bytes", st.Nlink, st.Size, 4097+len(text))
	}
	if err := f.Truncate(5); err != nil {
		return err
	}
	if _, err := os.Lstat(args[0]); !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("the name is still there: %v", err)
	}
	return f.Close()
}

func emptyDir(args []string) error {
	want, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	d, err := os.Open(args[0])
	if err != nil {
		return err
	}
	defer d.Close()
	seen := map[string]bool{}
	for {
		names, err := d.Readdirnames(7)
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		for _, name := range names {
			if seen[name] {
				return fmt.Errorf("%s is listed twice", name)
			}
			seen[name] = true
			if err := os.Remove(filepath.Join(args[0], name)); err != nil {
				return err
			}
		}
	}
	if len(seen) != want {
		return fmt.Errorf("%d names were listed, want %d", len(seen), want)
	}
	return os.Remove(args[0])
}

// testBlock is what rewriteblocks writes at a time, in bytes.
const testBlock = 4096

// rewriteBlocks keeps a descriptor for some writes and then opens the file anew, as programs do both.
func rewriteBlocks(args []string) error {
	const blocks, perOpen = 512, 50
	last := map[int64]uint64{}
	for n := uint64(1); ; {
		f, err := os.OpenFile(args[0], os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			return err
		}
		for range perOpen {
			at := int64(n*2654435761%blocks) * testBlock
			if _, err := f.WriteAt(numbered(n), at); err != nil {
				return err
			}
			last[at] = n
			n++
		}
		if err := errors.Join(hasBlocks(f, last), f.Close()); err != nil {
			return fmt.Errorf("after %d writes: %w", n, err)
		}
		if _, err := os.Stat(args[1]); err == nil {
			fmt.Println(n, "blocks written")
			return nil
		}
	}
}

// numbered is a block that says n all over.
func numbered(n uint64) []byte {
	return bytes.Repeat(binary.BigEndian.AppendUint64(nil, n), testBlock/8)
}

func hasBlocks(f *os.File, want map[int64]uint64) error {
	for _, at := range slices.Sorted(maps.Keys(want)) {
		if err := shows(f, int(at), numbered(want[at])); err != nil {
			return err
		}
	}
	return nil
}

func rereads(args []string) error {
	want, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	for n := 1; ; n++ {
		got, err := os.ReadFile(args[0])
		if err != nil {
			return fmt.Errorf("read %d: %w", n, err)
		}
		if !bytes.Equal(got, want) {
			return fmt.Errorf("read %d has %d bytes that are not those of before (%d bytes)", n, len(got), len(want))
		}
		if _, err := os.Stat(args[1]); err == nil {
			fmt.Println(n, "reads")
			return nil
		}
	}
}
