package kmsapi

import (
	"encoding/base64"
	"strings"

	"kmsfs/kms"
)

// page is what every list takes: at most Limit entries, behind Marker.
type page struct {
	Limit  *int64
	Marker *string
}

func (p *page) check(v *violations, most int64) {
	v.between("limit", p.Limit, 1, most)
	if p.Marker != nil && (len(*p.Marker) < 1 || len(*p.Marker) > 1024) {
		v.add("Value '"+*p.Marker+"'", "marker", "have length between 1 and 1024")
	}
}

// next is what every list answers.
type next struct {
	NextMarker string `json:",omitempty"`
	Truncated  bool
}

// nextPage makes the marker for what is behind the entry last; "" is the end. kind keeps markers of lists apart.
func nextPage(kind, last string) next {
	if last == "" {
		return next{}
	}
	return next{NextMarker: base64.RawURLEncoding.EncodeToString([]byte(kind + ":" + last)), Truncated: true}
}

// after is the entry that a marker stands for.
func (p *page) after(kind string) (string, error) {
	if p.Marker == nil {
		return "", nil
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(*p.Marker)
	last, ok := strings.CutPrefix(string(raw), kind+":")
	if err != nil || !ok || last == "" {
		return "", kms.Errorf(kms.InvalidMarkerException, "The marker is not one that this list returned. Begin again without a marker.")
	}
	return last, nil
}
