package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// maxDepth of nesting; a policy has six.
const maxDepth = 16

type kind int

const (
	object kind = iota
	array
	text
	number
	boolean
	null
)

func (k kind) String() string {
	return [...]string{"an object", "a list", "a string", "a number", "true or false", "null"}[k]
}

// node is a JSON value with its place in the text.
type node struct {
	kind   kind
	text   string // of a string; of a number as it is written; of a boolean "true" or "false"
	names  []member
	items  []*node
	path   string
	offset int
}

// member is a name of an object, with its value.
type member struct {
	name  string
	value *node
}

// SyntaxError is a mistake in a policy and its place.
type SyntaxError struct {
	Path         string // such as Statement[1].Condition; empty for the document itself
	Line, Column int    // from 1; the column counts bytes
	Reason       string
}

func (e *SyntaxError) Error() string {
	if e.Path == "" {
		return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Reason)
	}
	return fmt.Sprintf("line %d, column %d, %s: %s", e.Line, e.Column, e.Path, e.Reason)
}

// source is a text that is being read.
type source struct {
	raw []byte
	dec *json.Decoder
}

// errorAt is a mistake at an offset of the text.
func (s *source) errorAt(offset int, path, format string, args ...any) error {
	offset = min(max(offset, 0), len(s.raw))
	before := s.raw[:offset]
	return &SyntaxError{
		Path: path, Line: bytes.Count(before, []byte{'\n'}) + 1, Column: offset - bytes.LastIndexByte(before, '\n'),
		Reason: fmt.Sprintf(format, args...),
	}
}

func (s *source) errorIn(n *node, format string, args ...any) error {
	return s.errorAt(n.offset, n.path, format, args...)
}

// readTree reads one JSON value and nothing behind it. A name that occurs twice in an object is refused: readers
// differ in which of the two counts.
func readTree(raw []byte) (*source, *node, error) {
	s := &source{raw: raw, dec: json.NewDecoder(bytes.NewReader(raw))}
	s.dec.UseNumber()
	if !utf8.Valid(raw) {
		return s, nil, s.errorAt(0, "", "the text is not valid UTF-8")
	}
	n, err := s.value("", 0)
	if err != nil {
		return s, nil, err
	}
	end := s.next()
	if _, err := s.dec.Token(); err != io.EOF {
		return s, nil, s.errorAt(end, "", "there is text behind the policy")
	}
	return s, n, nil
}

// next is where the next token begins.
func (s *source) next() int {
	i := int(s.dec.InputOffset())
	for i < len(s.raw) && bytes.IndexByte([]byte(" \t\r\n,:"), s.raw[i]) >= 0 {
		i++
	}
	return i
}

func (s *source) token(path string) (json.Token, int, error) {
	at := s.next()
	t, err := s.dec.Token()
	if err == nil {
		return t, at, nil
	}
	var bad *json.SyntaxError
	switch {
	case errors.As(err, &bad):
		return nil, 0, s.errorAt(max(at, int(bad.Offset)-1), path, "not valid JSON: %s", bad)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, 0, s.errorAt(len(s.raw), path, "the text ends too early")
	}
	return nil, 0, s.errorAt(at, path, "not valid JSON: %s", err)
}

func (s *source) value(path string, depth int) (*node, error) {
	t, at, err := s.token(path)
	if err != nil {
		return nil, err
	}
	n := &node{path: path, offset: at}
	if depth > maxDepth {
		return nil, s.errorIn(n, "nested more than %d deep", maxDepth)
	}
	switch v := t.(type) {
	case string:
		n.kind, n.text = text, v
	case json.Number:
		n.kind, n.text = number, v.String()
	case bool:
		n.kind, n.text = boolean, fmt.Sprint(v)
	case nil:
		n.kind = null
	case json.Delim:
		if v == '{' {
			return n, s.members(n, depth)
		}
		n.kind = array
		return n, s.list(n, depth)
	}
	return n, nil
}

func (s *source) members(n *node, depth int) error {
	seen := map[string]bool{}
	for s.dec.More() {
		t, at, err := s.token(n.path)
		if err != nil {
			return err
		}
		name := t.(string) // the decoder accepts nothing else here
		if seen[name] {
			return s.errorAt(at, n.path, "the name %q occurs twice", name)
		}
		seen[name] = true
		v, err := s.value(join(n.path, name), depth+1)
		if err != nil {
			return err
		}
		n.names = append(n.names, member{name, v})
	}
	_, _, err := s.token(n.path)
	return err
}

func (s *source) list(n *node, depth int) error {
	for s.dec.More() {
		v, err := s.value(fmt.Sprintf("%s[%d]", n.path, len(n.items)), depth+1)
		if err != nil {
			return err
		}
		n.items = append(n.items, v)
	}
	_, _, err := s.token(n.path)
	return err
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// oneOrMany is a value that may stand alone or in a list.
func (n *node) oneOrMany() []*node {
	if n.kind == array {
		return n.items
	}
	return []*node{n}
}

// strings reads a string or a list of strings, at least one.
func (s *source) strings(n *node) ([]*node, error) {
	all := n.oneOrMany()
	if len(all) == 0 {
		return nil, s.errorIn(n, "the list is empty")
	}
	for _, v := range all {
		if v.kind != text {
			return nil, s.errorIn(v, "this is %s; a string is wanted", v.kind)
		}
		if v.text == "" {
			return nil, s.errorIn(v, "the string is empty")
		}
	}
	return all, nil
}
