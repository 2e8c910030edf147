package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kmsfs/cmd/kmsfs/service"
)

func TestProgressWithoutATerminalIsALineNowAndThen(t *testing.T) {
	var out bytes.Buffer
	p := newProgress(&out, "files", false)
	p.event(service.Event{Done: 1, Total: 10})
	require.Empty(t, out.String(), "not before the first interval has passed")
	p.last = time.Now().Add(-plainEvery)
	p.event(service.Event{Done: 3, Total: 10})
	p.event(service.Event{Done: 4, Total: 10})
	p.event(service.Event{Path: "mnt/f", Error: "it is damaged"})
	p.close()
	require.Equal(t, "3 of 10 files\nkmsfs: mnt/f: it is damaged\n", out.String())
}

func TestProgressWithJSONIsErrorsAlone(t *testing.T) {
	var out bytes.Buffer
	p := newProgress(&out, "files", true)
	p.last = time.Now().Add(-plainEvery)
	p.event(service.Event{Done: 3, Total: 10})
	p.event(service.Event{Path: "mnt/f", Error: "it is damaged"})
	p.close()
	require.Equal(t, "kmsfs: mnt/f: it is damaged\n", out.String())
}
