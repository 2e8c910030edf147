package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"kmsfs/cmd/kmsfs/service"
)

// plainEvery is how often progress is a line where there is no terminal.
const plainEvery = 10 * time.Second

// progress shows events: a bar on a terminal, now and then a line elsewhere, nothing with JSON but errors.
type progress struct {
	out   io.Writer
	unit  string
	quiet bool
	bars  *mpb.Progress // nil without a terminal
	bar   *mpb.Bar
	last  time.Time
}

func newProgress(out io.Writer, unit string, quiet bool) *progress {
	p := &progress{out: out, unit: unit, quiet: quiet, last: time.Now()}
	if f, ok := out.(*os.File); ok && !quiet && term.IsTerminal(int(f.Fd())) {
		p.bars = mpb.New(mpb.WithOutput(out), mpb.WithWidth(64))
		p.bar = p.bars.AddBar(0, mpb.BarRemoveOnComplete(),
			mpb.PrependDecorators(decor.Any(func(s decor.Statistics) string { return counts(s.Current, s.Total, unit) })),
			mpb.AppendDecorators(decor.Percentage(), decor.AverageETA(decor.ET_STYLE_GO, decor.WC{W: 8})))
	}
	return p
}

func (p *progress) event(e service.Event) {
	switch {
	case e.Error != "":
		p.line("kmsfs: %s: %s\n", e.Path, e.Error)
	case p.bar != nil:
		p.bar.SetTotal(e.Total, false)
		p.bar.SetCurrent(e.Done)
	case !p.quiet && time.Since(p.last) >= plainEvery:
		p.last = time.Now()
		p.line("%s\n", counts(e.Done, e.Total, p.unit))
	}
}

// counts is progress in words: bytes with their unit, others as they are.
func counts(done, total int64, unit string) string {
	if unit == "bytes" {
		return bytesText(done) + " of " + bytesText(total)
	}
	return fmt.Sprintf("%d of %d %s", done, total, unit)
}

// line writes above the bar, where there is one.
func (p *progress) line(format string, args ...any) {
	var out io.Writer = p.out
	if p.bars != nil {
		out = p.bars
	}
	fmt.Fprintf(out, format, args...)
}

func (p *progress) close() {
	if p.bar == nil {
		return
	}
	p.bar.Abort(true)
	p.bars.Wait()
}
