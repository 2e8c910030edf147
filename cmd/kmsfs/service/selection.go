package service

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"kmsfs/kms"
	"kmsfs/objstore"
	"kmsfs/xattr"
)

// level is one step of inheritance: what a file, directory or bucket selects itself.
type level struct {
	kind string // file, directory, bucket
	path string
	own  xattr.Selection
}

// levels is the chain of a node at a place, nearest first.
func (p place) levels(n *objstore.Node) []level {
	var out []level
	path := ""
	for i, d := range p.dirs {
		if i == 0 {
			out = append(out, level{"bucket", p.bucket.Name, bucketSelection(p.bucket)})
			continue
		}
		path += d.Name + "/"
		out = append(out, level{"directory", path, xattr.FromXattrs(d.Xattrs)})
	}
	if p.name != "" {
		kind := "file"
		if isDir(n) {
			kind, p.name = "directory", p.name+"/"
		}
		out = append(out, level{kind, path + p.name, xattr.FromXattrs(n.Xattrs)})
	}
	slices.Reverse(out)
	return out
}

// bucketSelection is the bucket's default encryption in the words of attributes; AES256 is what counts without it.
func bucketSelection(b objstore.Bucket) xattr.Selection {
	d := b.Default
	if d.Algorithm == objstore.AES256 {
		return xattr.Selection{}
	}
	return xattr.FromXattrs(xattr.Settings{Algorithm: string(d.Algorithm), KeyID: d.KeyID, Context: d.Context, BucketKey: d.BucketKey}.Xattrs())
}

// selected is what a chain comes to.
func selected(chain []level) (objstore.Encryption, error) {
	own := make([]xattr.Selection, len(chain))
	for i, l := range chain {
		own[i] = l.own
	}
	s, err := xattr.Resolve(xattr.Inherit(own...))
	if err != nil {
		return objstore.Encryption{}, err
	}
	return objstore.Encryption{Algorithm: objstore.Algorithm(s.Algorithm), KeyID: s.KeyID, Context: s.Context, BucketKey: s.BucketKey}, nil
}

// reasons says where each part of the selection comes from.
func reasons(chain []level, sel objstore.Encryption) []Reason {
	parts := []struct {
		name, value string
		has         func(xattr.Selection) bool
	}{
		{xattr.SSE, string(sel.Algorithm), func(s xattr.Selection) bool { return s.SSE != "" }},
		{xattr.KeyID, sel.KeyID, func(s xattr.Selection) bool { return s.KeyID != "" }},
		{xattr.EncryptionContext, contextText(sel.Context), func(s xattr.Selection) bool { return s.Context != nil }},
		{xattr.BucketKey, fmt.Sprint(sel.BucketKey), func(s xattr.Selection) bool { return s.BucketKey != nil }},
	}
	if sel.Algorithm == objstore.AES256 {
		parts = parts[:1] // it has no use for the others
	}
	out := make([]Reason, len(parts))
	for i, p := range parts {
		out[i] = Reason{Attribute: p.name, Value: p.value, From: "built-in"}
		at := slices.IndexFunc(chain, func(l level) bool { return p.has(l.own) })
		if p.name == xattr.SSE && sel.Algorithm != objstore.AES256 { // a key that is nearer than user.sse selects aws:kms
			key := slices.IndexFunc(chain, func(l level) bool { return l.own.KeyID != "" })
			if key >= 0 && (at < 0 || (key < at && chain[at].own.SSE == xattr.AES256)) {
				at = key
			}
		}
		if at >= 0 {
			out[i].From, out[i].Path = chain[at].kind, chain[at].path
		}
	}
	return out
}

func contextText(c map[string]string) string {
	if len(c) == 0 {
		return "{}"
	}
	return string(xattr.CanonicalContext(c))
}

// Explain says which key an object uses and why.
func (s *Service) Explain(ctx context.Context, o Object) (Explanation, error) {
	p, err := s.locate(ctx, o)
	if err != nil {
		return Explanation{}, err
	}
	n, err := s.node(ctx, p, o)
	if err != nil {
		return Explanation{}, err
	}
	chain := p.levels(n)
	sel, err := selected(chain)
	if err != nil {
		return Explanation{}, named(err, o)
	}
	e := Explanation{Bucket: o.Bucket, Key: o.Key, Directory: isDir(n), Selected: settingsOf(sel), Why: reasons(chain, sel)}
	resolved, err := s.Store.ResolveEncryption(ctx, sel)
	if err != nil {
		e.Error = err.Error()
	} else {
		e.Selected = settingsOf(resolved)
	}
	e.LastError = s.Files.LastError(ctx, n.Ino)
	e.addStored(n)
	if e.Stored != nil {
		v, err := s.Store.HeadObject(ctx, o.Bucket, strings.Trim(o.Key, "/"), "")
		if err != nil {
			return e, err
		}
		e.Since = v.LastModified
	}
	return e, s.addKey(ctx, &e)
}

// addStored fills in what the current version is encrypted with.
func (e *Explanation) addStored(n *objstore.Node) {
	if isDir(n) || n.Stored.Algorithm == "" {
		return
	}
	st := settingsOf(n.Stored)
	e.Stored, e.Version = &st, string(n.VersionID)
	e.Pending = !n.Stored.Equal(objstore.Encryption{Algorithm: objstore.Algorithm(e.Selected.SSE), KeyID: e.Selected.KeyID,
		Context: e.Selected.Context, BucketKey: e.Selected.BucketKey})
}

// addKey fills in the state and the names of the key that counts: the stored one, or the selected one.
func (s *Service) addKey(ctx context.Context, e *Explanation) error {
	id := e.Selected.KeyID
	if e.Stored != nil {
		id = e.Stored.KeyID
	}
	if id == "" {
		return nil
	}
	k, err := s.KeyDescribe(ctx, KeyID{id})
	if errors.Is(err, kms.NotFoundException) {
		e.KeyState = "does not exist"
		return nil
	}
	e.KeyState, e.Aliases = string(k.State), k.Aliases
	return err
}
