package s3api

import (
	"context"
	"encoding/base64"
	"encoding/xml"
	"strconv"
	"strings"

	"kmsfs/objstore"
)

const maxKeys = 1000 // of a page

// listing is what all three lists of keys ask for.
type listing struct {
	objstore.ListInput
	encode bool // names in the answer are percent-encoded
	none   bool // max-keys=0: an empty page
}

func (q *request) listing() (l listing, err error) {
	l.Prefix, l.Delimiter, l.Limit = q.query.Get("prefix"), q.query.Get("delimiter"), maxKeys
	switch e := q.query.Get("encoding-type"); e {
	case "":
	case "url":
		l.encode = true
	default:
		return l, argument("encoding-type", e, "Invalid Encoding Method specified in Request")
	}
	if text := q.query.Get("max-keys"); text != "" {
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			return l, argument("max-keys", text, "Provided max-keys not an integer or within integer range")
		}
		if n < 0 {
			return l, argument("max-keys", text, "Argument maxKeys must be an integer between 0 and 2147483647")
		}
		l.Limit, l.none = min(int(n), maxKeys), n == 0
	}
	return l, nil
}

// name is a key or a part of one, as the answer has it.
func (l listing) name(s string) text {
	if l.encode {
		s = encodeKey(s)
	}
	return text{escapeXML(s)}
}

func (l listing) prefixes(all []string) (out []commonPrefix) {
	for _, p := range all {
		out = append(out, commonPrefix{l.name(p)})
	}
	return out
}

func (l listing) encoding() string {
	if l.encode {
		return "url"
	}
	return ""
}

// text is XML text that is escaped already, since encoding/xml replaces characters that XML 1.0 does not have, and a key may have
// them. S3 writes them as references too.
type text struct {
	Escaped string `xml:",innerxml"`
}

// optional is text that is left out when it is empty.
func optional(t text) *text {
	if t.Escaped == "" {
		return nil
	}
	return &t
}

func escapeXML(s string) string {
	var b strings.Builder
	for _, r := range s {
		if isControl(r) {
			b.WriteString("&#" + strconv.Itoa(int(r)) + ";")
			continue
		}
		_ = xml.EscapeText(&b, []byte(string(r))) // a strings.Builder does not fail
	}
	return b.String()
}

func isControl(r rune) bool { return r < 0x20 || r == 0xFFFE || r == 0xFFFF }

// encodeKey percent-encodes all but unreserved characters and slashes, for encoding-type=url.
func encodeKey(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || strings.IndexByte("-._~/", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.Write([]byte{'%', hex[c>>4], hex[c&15]})
	}
	return b.String()
}

type commonPrefix struct{ Prefix text }

type objectEntry struct {
	Key          text
	LastModified string
	ETag         string
	Size         int64
	StorageClass string
	Owner        *owner
}

// listResult is the answer of both versions of ListObjects.
type listResult struct {
	XMLName               struct{} `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListBucketResult"`
	Name                  string
	Prefix                text
	Marker                *text  // version 1
	NextMarker            *text  // version 1
	StartAfter            *text  // version 2
	ContinuationToken     string `xml:",omitempty"` // version 2
	NextContinuationToken string `xml:",omitempty"` // version 2
	KeyCount              *int   // version 2
	MaxKeys               int
	Delimiter             *text
	IsTruncated           bool
	Contents              []objectEntry
	CommonPrefixes        []commonPrefix
	EncodingType          string `xml:",omitempty"`
}

// listObjects is version 1, or with list-type=2 version 2.
func listObjects(h *Handler, q *request) (*response, error) {
	l, err := q.listing()
	if err != nil {
		return nil, err
	}
	second := q.query.Get("list-type") == "2"
	if l.After = q.query.Get("marker"); second {
		if l.After, err = startAfter(q); err != nil {
			return nil, err
		}
	}
	page, err := h.page(q, l, h.Store.ListObjects)
	if err != nil {
		return nil, err
	}
	out := listResult{Name: q.bucket, Prefix: l.name(l.Prefix), MaxKeys: l.Limit, Delimiter: optional(l.name(l.Delimiter)),
		IsTruncated: page.Truncated, CommonPrefixes: l.prefixes(page.CommonPrefixes), EncodingType: l.encoding()}
	owned := !second || q.query.Get("fetch-owner") == "true"
	for _, o := range page.Objects {
		e := objectEntry{Key: l.name(o.Key), LastModified: xmlTime(o.LastModified), ETag: quoted(o.ETag), Size: o.Size, StorageClass: "STANDARD"}
		if owned {
			by := h.owner()
			e.Owner = &by
		}
		out.Contents = append(out.Contents, e)
	}
	out.continued(q, l, page, second)
	return &response{xml: out}, nil
}

// continued says where the page began and where the next one does.
func (out *listResult) continued(q *request, l listing, page objstore.Listing, second bool) {
	if !second {
		marker := l.name(l.After)
		out.Marker = &marker
		if page.Truncated && l.Delimiter != "" {
			out.NextMarker = optional(l.name(page.Next))
		}
		return
	}
	count := len(page.Objects) + len(page.CommonPrefixes)
	out.KeyCount = &count
	out.StartAfter = optional(l.name(q.query.Get("start-after")))
	out.ContinuationToken = q.query.Get("continuation-token")
	if page.Truncated {
		out.NextContinuationToken = base64.URLEncoding.EncodeToString([]byte(page.Next))
	}
}

// page asks list for a page, which may be wanted empty.
func (h *Handler) page(q *request, l listing, list func(context.Context, string, objstore.ListInput) (objstore.Listing, error)) (objstore.Listing, error) {
	if l.none {
		_, err := h.Store.HeadBucket(q.Context(), q.bucket)
		return objstore.Listing{}, err
	}
	return list(q.Context(), q.bucket, l.ListInput)
}

// startAfter is where a page of version 2 begins; the token wins.
func startAfter(q *request) (string, error) {
	if !q.query.Has("continuation-token") {
		return q.query.Get("start-after"), nil
	}
	token := q.query.Get("continuation-token")
	raw, err := base64.URLEncoding.DecodeString(token)
	if err != nil || token == "" {
		return "", argument("continuation-token", token, "The continuation token provided is incorrect")
	}
	return string(raw), nil
}

type versionEntry struct {
	XMLName      xml.Name
	Key          text
	VersionID    string `xml:"VersionId"`
	IsLatest     bool
	LastModified string
	ETag         string `xml:",omitempty"`
	Size         *int64
	StorageClass string `xml:",omitempty"`
	Owner        owner
}

type versionsResult struct {
	XMLName             struct{} `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListVersionsResult"`
	Name                string
	Prefix              text
	KeyMarker           text
	VersionIDMarker     string `xml:"VersionIdMarker"`
	NextKeyMarker       *text
	NextVersionIDMarker string `xml:"NextVersionIdMarker,omitempty"`
	MaxKeys             int
	Delimiter           *text
	IsTruncated         bool
	Entries             []versionEntry
	CommonPrefixes      []commonPrefix
	EncodingType        string `xml:",omitempty"`
}

// listObjectVersions lists versions and delete markers, newest first within a key.
func listObjectVersions(h *Handler, q *request) (*response, error) {
	l, err := q.listing()
	if err != nil {
		return nil, err
	}
	l.After, l.AfterVersion = q.query.Get("key-marker"), objstore.VersionID(q.query.Get("version-id-marker"))
	if l.AfterVersion != "" && l.After == "" {
		return nil, argument("version-id-marker", string(l.AfterVersion), "A version-id marker cannot be specified without a key marker.")
	}
	page, err := h.page(q, l, h.Store.ListVersions)
	if err != nil {
		return nil, err
	}
	out := versionsResult{Name: q.bucket, Prefix: l.name(l.Prefix), KeyMarker: l.name(l.After), VersionIDMarker: string(l.AfterVersion),
		MaxKeys: l.Limit, Delimiter: optional(l.name(l.Delimiter)), IsTruncated: page.Truncated,
		CommonPrefixes: l.prefixes(page.CommonPrefixes), EncodingType: l.encoding()}
	for _, o := range page.Objects {
		out.Entries = append(out.Entries, l.version(o, h.owner()))
	}
	if page.Truncated {
		out.NextKeyMarker, out.NextVersionIDMarker = optional(l.name(page.Next)), string(page.NextVersion)
	}
	return &response{xml: out}, nil
}

func (l listing) version(o objstore.Object, by owner) versionEntry {
	e := versionEntry{XMLName: xml.Name{Space: xmlns, Local: "Version"}, Key: l.name(o.Key), VersionID: string(o.VersionID), IsLatest: o.IsLatest,
		LastModified: xmlTime(o.LastModified), Owner: by}
	if o.DeleteMarker {
		e.XMLName.Local = "DeleteMarker"
		return e
	}
	e.ETag, e.Size, e.StorageClass = quoted(o.ETag), &o.Size, "STANDARD"
	return e
}
