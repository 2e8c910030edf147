package kms

import "unicode/utf8"

const hexDigits = "0123456789abcdef"

// appendJSONString appends s as a JSON string: short escapes where JSON has them, \u00xx for other control
// bytes, U+FFFD for what is not UTF-8. By hand, because an audit line is written at every key use.
func appendJSONString(b []byte, s string) []byte {
	b = append(b, '"')
	for {
		n := plainPrefix(s)
		b = append(b, s[:n]...)
		if s = s[n:]; s == "" {
			return append(b, '"')
		}
		if s[0] < utf8.RuneSelf {
			b, s = appendJSONByte(b, s[0]), s[1:]
			continue
		}
		r, n := utf8.DecodeRuneInString(s)
		b, s = utf8.AppendRune(b, r), s[n:]
	}
}

// plainPrefix is how many bytes at the beginning of s stand in JSON as they are, and are ASCII.
func plainPrefix(s string) int {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return i
		}
	}
	return len(s)
}

func appendJSONByte(b []byte, c byte) []byte {
	switch {
	case c == '"' || c == '\\':
		return append(b, '\\', c)
	case c >= ' ' && c != 0x7f:
		return append(b, c)
	case c == '\n':
		return append(b, '\\', 'n')
	case c == '\r':
		return append(b, '\\', 'r')
	case c == '\t':
		return append(b, '\\', 't')
	}
	return append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
}

// jsonStringLen is len(appendJSONString(nil, s)) of valid UTF-8.
func jsonStringLen(s string) int {
	n := len(s) + 2
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\' || c == '\n' || c == '\r' || c == '\t':
			n++
		case c < ' ' || c == 0x7f:
			n += 5
		}
	}
	return n
}
