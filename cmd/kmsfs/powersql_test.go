package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
)

// sqlWriter is a sqlite3 process that commits transactions to a database on the mount.
type sqlWriter struct {
	path      string
	begun     atomic.Int64 // number of the newest transaction that was begun
	committed atomic.Int64 // ... that sqlite said is durable
	shell     *shell

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

func (w *sqlWriter) begin() (err error) {
	if w.shell, err = startShell("sqlite3", []string{"-batch", "-bail", w.path}, nil); err != nil {
		return err
	}
	_, err = w.shell.ask("PRAGMA synchronous=EXTRA; SELECT 'ready';") // EXTRA makes the removal of a rollback journal durable, too
	return err
}

// work commits until stop is closed or the mount is gone.
func (w *sqlWriter) work(stop <-chan struct{}) {
	defer w.shell.end()
	for n := w.committed.Load() + 1; ; n++ {
		select {
		case <-stop:
			return
		default:
		}
		w.begun.Store(n)
		const commit = "BEGIN; INSERT INTO t VALUES (%d, hex(randomblob(2000))); UPDATE total SET n = n + %[1]d; COMMIT; SELECT %[1]d;"
		if answer, err := w.shell.ask(fmt.Sprintf(commit, n)); err != nil || answer != fmt.Sprint(n) {
			return // the mount is gone
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

// shell is a process that answers each line with one.
type shell struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	stderr bytes.Buffer
	ended  sync.Once
}

func startShell(program string, args, env []string) (*shell, error) {
	cmd := exec.Command(program, args...)
	cmd.Env = env
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	s := &shell{cmd: cmd, in: in, out: bufio.NewReader(out)}
	cmd.Stderr = &s.stderr
	return s, cmd.Start()
}

func (s *shell) ask(line string) (string, error) {
	_, werr := io.WriteString(s.in, line+"\n")
	answer, err := s.out.ReadString('\n')
	if err = errors.Join(werr, err); err != nil {
		s.end()
		return "", fmt.Errorf("%s: %w: %s (%s)", s.cmd.Path, err, s.stderr.String(), s.cmd.ProcessState)
	}
	return strings.TrimSpace(answer), nil
}

// end lets the process end with its input. It may have failed with the mount.
func (s *shell) end() {
	s.ended.Do(func() {
		_ = s.in.Close()
		_ = s.cmd.Wait()
	})
}
