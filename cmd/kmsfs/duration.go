package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Duration is a time.Duration that also reads and writes days: 7d, 12h, 90s, never (0).
type Duration time.Duration

const day = 24 * time.Hour

// String is the shortest form that Set reads back.
func (d Duration) String() string {
	t := time.Duration(d)
	switch {
	case t == 0:
		return "never"
	case t%day == 0:
		return fmt.Sprintf("%dd", t/day)
	}
	s := t.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Set reads a duration, as pflag.Value has it.
func (d *Duration) Set(s string) error {
	if s == "never" || s == "0" {
		*d = 0
		return nil
	}
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseInt(days, 10, 32)
		if err != nil || n < 0 {
			return fmt.Errorf("%q is no number of days", s)
		}
		*d = Duration(time.Duration(n) * day)
		return nil
	}
	t, err := time.ParseDuration(s)
	if err != nil {
		return fmt.Errorf("%q is no duration: write 7d, 12h, 30m or never", s)
	}
	*d = Duration(t)
	return nil
}

// Type names the type in help texts.
func (d *Duration) Type() string { return "duration" }

// UnmarshalText reads TOML strings.
func (d *Duration) UnmarshalText(b []byte) error { return d.Set(string(b)) }

// MarshalText writes TOML and JSON strings.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }
