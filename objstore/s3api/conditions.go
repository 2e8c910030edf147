package s3api

import (
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"kmsfs/objstore"
)

func quoted(etag string) string { return `"` + etag + `"` }

func httpTime(t time.Time) string { return t.UTC().Format(http.TimeFormat) }

// headerText is user metadata as S3 puts it into a header: what is not ASCII in the form of RFC 2047.
func headerText(s string) string { return mime.QEncoding.Encode("UTF-8", s) }

// condition is the precondition of a write. S3 does not take any other.
func condition(h http.Header) (c objstore.Condition, err error) {
	c = objstore.Condition{IfMatch: h.Get("If-Match"), IfNoneMatch: h.Get("If-None-Match")}
	switch {
	case c.IfMatch != "" && c.IfNoneMatch != "":
		return c, notHere("If-Match,If-None-Match", "Multiple conditional request headers present in the request")
	case c.IfNoneMatch != "" && c.IfNoneMatch != "*":
		return c, notHere("If-None-Match", "We don't accept the provided value of If-None-Match header for this API")
	case c.IfMatch == "*":
		return c, notHere("If-Match", "We don't accept the provided value of If-Match header for this API")
	}
	return c, nil
}

// readCondition is the precondition of a read: RFC 9110 §13.2.2.
func readCondition(h http.Header, o objstore.Object) error {
	modified := o.LastModified.Truncate(time.Second)
	since := func(name string) (time.Time, bool) {
		t, err := http.ParseTime(h.Get(name))
		return t, err == nil
	}
	match, none := h.Get("If-Match"), h.Get("If-None-Match")
	if match != "" && !matches(match, o.ETag) {
		return refuse(preconditionFailed, "", pair{"Condition", "If-Match"})
	}
	if t, ok := since("If-Unmodified-Since"); ok && match == "" && modified.After(t) {
		return refuse(preconditionFailed, "", pair{"Condition", "If-Unmodified-Since"})
	}
	if none != "" && matches(none, o.ETag) {
		return refuse(notModified, "")
	}
	if t, ok := since("If-Modified-Since"); ok && none == "" && !modified.After(t) {
		return refuse(notModified, "")
	}
	return nil
}

// matches reports whether a list of entity tags, quoted or not, has etag.
func matches(list, etag string) bool {
	for one := range strings.SplitSeq(list, ",") {
		one = strings.TrimPrefix(strings.TrimSpace(one), "W/")
		if one == "*" || strings.Trim(one, `"`) == etag {
			return true
		}
	}
	return false
}

// notModifiedHeaders are those that a 304 has: RFC 9110 §15.4.5.
func notModifiedHeaders(err error, out *response, o objstore.Object) *response {
	if answerFor(err).code == notModified {
		out.header.Set("ETag", quoted(o.ETag))
		out.header.Set("Last-Modified", httpTime(o.LastModified))
	}
	return out
}

// span is a part of an object, in bytes.
type span struct {
	off, n  int64
	partial bool
}

func (s span) header(size int64) string {
	return fmt.Sprintf("bytes %d-%d/%d", s.off, s.off+s.n-1, size)
}

// rangeOf is the part that a request asks for. What is no range of bytes, and more than one range, is the whole object: RFC 9110
// §14.2, and S3 does not do more than one.
func rangeOf(h http.Header, o objstore.Object) (span, error) {
	whole := span{n: o.Size}
	text, ok := strings.CutPrefix(h.Get("Range"), "bytes=")
	first, last, dash := strings.Cut(strings.TrimSpace(text), "-")
	if !ok || !dash || strings.Contains(text, ",") {
		return whole, nil
	}
	if tag := h.Get("If-Range"); tag != "" && strings.Trim(tag, `"`) != o.ETag {
		return whole, nil
	}
	from, err1 := strconv.ParseUint(first, 10, 63)
	to, err2 := strconv.ParseUint(last, 10, 63)
	switch {
	case first == "" && err2 == nil: // the last bytes
		n := min(int64(to), o.Size)
		if n == 0 {
			return whole, unsatisfiable(h, o.Size)
		}
		return span{o.Size - n, n, true}, nil
	case err1 != nil, err2 != nil && last != "", last != "" && to < from:
		return whole, nil
	case int64(from) >= o.Size:
		return whole, unsatisfiable(h, o.Size)
	case last == "" || int64(to) >= o.Size:
		to = uint64(o.Size - 1)
	}
	return span{int64(from), int64(to-from) + 1, true}, nil
}

func unsatisfiable(h http.Header, size int64) error {
	return refuse(invalidRange, "", pair{"RangeRequested", h.Get("Range")}, pair{"ActualObjectSize", strconv.FormatInt(size, 10)})
}
