package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
)

// sqlWriter is a sqlite3 process that commits transactions to a database on the mount.
type sqlWriter struct {
	path      string
	begun     atomic.Int64 // number of the newest transaction that was begun
	committed atomic.Int64 // ... that sqlite said is durable
	err       error

	least, most int64 // what may be there after the cut
}

// newSQLWriter makes a database in a journal mode.
func newSQLWriter(path, mode string) (*sqlWriter, error) {
	out, err := exec.Command("sqlite3", "-batch", "-bail", path, "PRAGMA synchronous=EXTRA; PRAGMA journal_mode="+mode+
		"; CREATE TABLE t (n INTEGER PRIMARY KEY, text TEXT); CREATE TABLE total (n INTEGER); INSERT INTO total VALUES (0);").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("sqlite3: %w: %s", err, out)
	}
	return &sqlWriter{path: path}, nil
}

// work commits until stop is closed or the mount is gone.
func (w *sqlWriter) work(stop <-chan struct{}) {
	cmd := exec.Command("sqlite3", "-batch", "-bail", w.path)
	in, err := cmd.StdinPipe()
	if err != nil {
		w.err = err
		return
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		w.err = err
		return
	}
	if w.err = cmd.Start(); w.err != nil {
		return
	}
	fmt.Fprintln(in, "PRAGMA synchronous=EXTRA;") // with EXTRA the removal of a rollback journal is made durable, too
	w.err = w.commits(in, bufio.NewReader(out), stop)
	_ = in.Close()
	_ = cmd.Wait() // fails with the mount
}

func (w *sqlWriter) commits(in io.Writer, out *bufio.Reader, stop <-chan struct{}) error {
	for n := w.committed.Load() + 1; ; n++ {
		select {
		case <-stop:
			return nil
		default:
		}
		w.begun.Store(n)
		_, err := fmt.Fprintf(in, "BEGIN; INSERT INTO t VALUES (%d, hex(randomblob(2000))); UPDATE total SET n = n + %d; COMMIT; SELECT %d;\n", n, n, n)
		if err != nil {
			return err
		}
		if line, err := out.ReadString('\n'); err != nil {
			return err
		} else if strings.TrimSpace(line) != fmt.Sprint(n) {
			return fmt.Errorf("sqlite3 answered %q", line)
		}
		w.committed.Store(n)
	}
}

func (w *sqlWriter) progress() int { return int(w.committed.Load()) }

func (w *sqlWriter) hold() { w.least = w.committed.Load() }
func (w *sqlWriter) end()  { w.most = w.begun.Load() }

// recovered requires a sound database with all transactions up to one that may be the last.
func (w *sqlWriter) recovered() error {
	if _, err := os.Stat(w.path); err != nil { // sqlite3 would make it
		return err
	}
	out, err := exec.Command("sqlite3", "-batch", w.path, "PRAGMA integrity_check; SELECT count(*), coalesce(max(n), 0), coalesce(sum(n), 0), (SELECT n FROM total) FROM t;").CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", w.path, err, out)
	}
	var count, newest, sum, total int64
	_, err = fmt.Sscanf(strings.ReplaceAll(string(out), "|", " "), "ok\n%d %d %d %d", &count, &newest, &sum, &total)
	if err != nil || count != newest || sum != total || newest < w.least || newest > w.most {
		return fmt.Errorf("%s: %d to %d transactions may be there; sqlite says %q (%v)", filepath.Base(w.path), w.least, w.most, out, err)
	}
	w.committed.Store(newest)
	w.begun.Store(newest)
	return nil
}
