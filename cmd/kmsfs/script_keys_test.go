package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

func rotateKilled(args []string) error {
	cfg := Default()
	cfg.Store = os.Getenv("KMSFS_STORE")
	r, err := cfg.rotationOf(cfg.Store)
	if err != nil {
		return err
	}
	r.done = func(step string) {
		if step == args[0] {
			_ = unix.Kill(os.Getpid(), unix.SIGKILL)
		}
	}
	if _, err := r.replace(cfg.Store+".key"+stagedSuffix, cfg.Store+".key"); err != nil {
		return err
	}
	return fmt.Errorf("no step %q", args[0])
}

func kmsfsLater() {
	days, err := strconv.Atoi(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "kmsfslater:", err)
		os.Exit(1)
	}
	a := &app{flags: Default(), stdout: os.Stdout, stderr: os.Stderr, now: func() time.Time { return time.Now().AddDate(0, 0, days) }}
	os.Exit(int(a.run(context.Background(), os.Args[2:])))
}
