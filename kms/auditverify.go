package kms

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxAuditLine is longer than any record: paths and contexts are bounded.
const maxAuditLine = 256 << 10

// AuditFiles lists the files of dir in the order of their records; the last is the one that is written now.
func AuditFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var full []string
	present := false
	for _, e := range entries {
		name := e.Name()
		present = present || name == AuditFile
		if strings.HasPrefix(name, "audit-") && strings.HasSuffix(name, ".jsonl") {
			full = append(full, filepath.Join(dir, name))
		}
	}
	slices.Sort(full)
	if present {
		full = append(full, filepath.Join(dir, AuditFile))
	}
	return full, nil
}

// AuditLines calls fn with every line of dir in order, without its end; whole is false for one that has no end yet. fn must
// not keep line. A line that is too long for a record comes in pieces.
func AuditLines(dir string, fn func(file string, number int, line []byte, whole bool) error) error {
	files, err := AuditFiles(dir)
	if err != nil {
		return err
	}
	for _, path := range files {
		if err := auditLines(path, fn); err != nil {
			return err
		}
	}
	return nil
}

func auditLines(path string, fn func(string, int, []byte, bool) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, maxAuditLine)
	for n := 1; ; n++ {
		line, err := r.ReadSlice('\n')
		if err != nil && err != io.EOF && !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
		if len(line) == 0 {
			return nil
		}
		text, whole := bytes.CutSuffix(line, []byte("\n"))
		if ferr := fn(path, n, text, whole); ferr != nil {
			return ferr
		}
		if err == io.EOF {
			return nil
		}
	}
}

// AuditIssue is a place where the chain is broken.
type AuditIssue struct {
	File string `json:"file"`
	Line int    `json:"line"` // 0: behind the last one
	What string `json:"what"`
}

func (i AuditIssue) String() string {
	if i.Line == 0 {
		return i.File + ": " + i.What
	}
	return fmt.Sprintf("%s:%d: %s", i.File, i.Line, i.What)
}

// AuditReport is what [VerifyAudit] found.
type AuditReport struct {
	Records     int          `json:"records"`     // that are as they were written
	First, Last uint64       `json:"-"`           // their numbers
	Torn        int          `json:"torn"`        // lines that a crash cut short and the next record says so
	Issues      []AuditIssue `json:"issues"`      // the first ones, in order
	IssueCount  int          `json:"issue_count"` // all
}

// maxAuditIssues is how many issues are described; all are counted.
const maxAuditIssues = 100

// VerifyAudit checks every record of dir, and that none is missing. What it cannot see is an end that is missing since the last
// [FileAuditor.Close], or since an older state of the whole directory that was put back. With partial
// the first records may be missing.
func VerifyAudit(dir string, key []byte, partial bool) (AuditReport, error) {
	v := verifier{partial: partial, chain: newChain(key), report: AuditReport{Issues: []AuditIssue{}}}
	if err := AuditLines(dir, v.line); err != nil {
		return v.report, err
	}
	if v.pending != nil && !v.unfinished {
		v.flush()
	}
	return v.report, v.end(dir)
}

type verifier struct {
	partial    bool
	chain      *chain
	report     AuditReport
	last       link
	bad        uint64 // lines since last that are no records
	pending    *AuditIssue
	length     int  // of the pending line
	unfinished bool // the pending line has no end: it may be written this moment
}

func (v *verifier) line(file string, number int, line []byte, whole bool) error {
	l, err := v.chain.open(line)
	if err != nil || !whole {
		v.flush()
		if err == nil {
			err = errors.New("the line has no end")
		}
		v.pending = &AuditIssue{file, number, err.Error()}
		v.length, v.unfinished = len(line), !whole
		v.bad++
		return nil
	}
	if v.pending != nil && l.torn == v.length {
		v.pending = nil
		v.report.Torn++
		v.bad--
	}
	v.flush()
	if v.partial && v.last.seq == 0 && v.bad == 0 && l.seq > 0 {
		v.last = link{seq: l.seq - 1, mac: l.prev}
	}
	if what := v.gap(l); what != "" {
		v.issue(AuditIssue{file, number, what})
	}
	if v.report.Records == 0 {
		v.report.First = l.seq
	}
	v.report.Records++
	if l.seq > v.last.seq {
		v.last, v.bad = l, 0
	}
	v.report.Last = v.last.seq
	return nil
}

// gap says what is wrong with the place of a record that is itself as it was written.
func (v *verifier) gap(l link) string {
	next := v.last.seq + 1
	switch {
	case l.seq < next:
		return fmt.Sprintf("record %d stands here again, or in the wrong place", l.seq)
	case l.seq > next+v.bad:
		return fmt.Sprintf("before this line %s missing", span(next+v.bad, l.seq-1))
	case l.seq < next+v.bad:
		return "" // lines were added before it, and each of them is an issue
	case v.bad == 0 && l.prev != v.last.mac:
		return fmt.Sprintf("record %d follows another record than the one before it", l.seq)
	}
	return ""
}

func span(from, to uint64) string {
	if from == to {
		return fmt.Sprintf("record %d is", from)
	}
	return fmt.Sprintf("records %d to %d are", from, to)
}

func (v *verifier) flush() {
	if v.pending != nil {
		v.issue(*v.pending)
		v.pending = nil
	}
}

func (v *verifier) issue(i AuditIssue) {
	v.report.IssueCount++
	if len(v.report.Issues) < maxAuditIssues {
		v.report.Issues = append(v.report.Issues, i)
	}
}

// end compares the last record with what the head says.
func (v *verifier) end(dir string) error {
	path := filepath.Join(dir, auditHeadName)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	head, err := v.chain.parseHead(string(text))
	if err != nil {
		v.issue(AuditIssue{File: path, What: err.Error()})
		return nil
	}
	if head.seq > v.last.seq+v.bad {
		v.issue(AuditIssue{File: filepath.Join(dir, AuditFile), What: "at the end " + span(v.last.seq+v.bad+1, head.seq) + " missing"})
	}
	return nil
}

// end finds where the chain goes on: behind the last whole record, or behind the head where that is further. torn is the
// length of an unfinished last line.
func (c *chain) end(dir string) (last link, torn int, err error) {
	files, err := AuditFiles(dir)
	if err != nil {
		return link{}, 0, err
	}
	for i := len(files) - 1; i >= 0 && last.seq == 0; i-- {
		t := 0
		if last, t, err = c.lastOf(files[i]); err != nil {
			return link{}, 0, err
		}
		if filepath.Base(files[i]) == AuditFile {
			torn = t
		}
	}
	if text, err := os.ReadFile(filepath.Join(dir, auditHeadName)); err == nil {
		if head, err := c.parseHead(string(text)); err == nil && head.seq > last.seq {
			last = head
		}
	}
	return last, torn, nil
}

// lastOf finds the last whole record near the end of a file.
func (c *chain) lastOf(path string) (last link, torn int, err error) {
	f, err := os.Open(path)
	if err != nil {
		return link{}, 0, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return link{}, 0, err
	}
	tail := make([]byte, min(st.Size(), 4*maxAuditLine))
	if _, err := f.ReadAt(tail, st.Size()-int64(len(tail))); err != nil && err != io.EOF {
		return link{}, 0, err
	}
	whole := bytes.LastIndexByte(tail, '\n') + 1
	torn = len(tail) - whole
	lines := bytes.Split(tail[:whole], []byte("\n"))
	for i := len(lines) - 1; i >= 0 && last.seq == 0; i-- {
		if l, err := c.open(lines[i]); err == nil {
			last = l
		}
	}
	return last, torn, nil
}
