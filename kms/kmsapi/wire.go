package kmsapi

import (
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"kmsfs/kms"
)

// timestamp is a time on the wire: seconds since 1970 with milliseconds, as AWS has it.
type timestamp time.Time

// MarshalJSON is json.Marshaler's.
func (t timestamp) MarshalJSON() ([]byte, error) {
	ms := time.Time(t).UnixMilli()
	return strconv.AppendFloat(nil, float64(ms)/1000, 'f', -1, 64), nil
}

// UnmarshalJSON is json.Unmarshaler's.
func (t *timestamp) UnmarshalJSON(b []byte) error {
	var seconds float64
	if err := json.Unmarshal(b, &seconds); err != nil || math.Abs(seconds) > 1<<38 { // over 8,000 years
		return &json.UnmarshalTypeError{Value: "no timestamp", Field: "timestamp", Type: reflect.TypeFor[timestamp]()}
	}
	*t = timestamp(time.UnixMilli(int64(seconds * 1000)).UTC())
	return nil
}

// at is nil for the zero time, so that the member is left out.
func at(t time.Time) *timestamp {
	if t.IsZero() {
		return nil
	}
	w := timestamp(t)
	return &w
}

// decode reads a request body; an empty one is an empty object. The error is a SerializationException. encoding/json takes the
// last of two equal names, as AWS's parser does. Half a surrogate pair would become U+FFFD, and two encryption contexts the
// same: it is refused.
func decode(body []byte, req any) error {
	if len(body) == 0 {
		return nil
	}
	if !utf8.Valid(body) || !wholeSurrogates(body) {
		return kms.Errorf(serialization, "The request body is not valid UTF-8 text.")
	}
	err := json.Unmarshal(body, req)
	var kind *json.UnmarshalTypeError
	switch {
	case err == nil && body[0] == 'n', errors.As(err, &kind) && kind.Field == "":
		return kms.Errorf(serialization, "Start of structure or map found where not expected.")
	case kind != nil:
		return kms.Errorf(serialization, "The member %s has a value of the wrong type: %s.", kind.Field[strings.LastIndexByte(kind.Field, '.')+1:], kind.Value)
	case err != nil:
		return kms.Errorf(serialization, "The request body is not valid JSON.")
	}
	return nil
}

// wholeSurrogates reports whether every \ud800 to \udbff in JSON text is followed by \udc00 to \udfff, and no other is there.
func wholeSurrogates(b []byte) bool {
	for i := 0; i+1 < len(b); i++ {
		if b[i] != '\\' {
			continue
		}
		i++ // the escaped character
		switch u := hex4(b, i); {
		case u < 0xd800 || u > 0xdfff:
		case u > 0xdbff || i+6 >= len(b) || b[i+5] != '\\':
			return false
		default:
			if low := hex4(b, i+6); low < 0xdc00 || low > 0xdfff {
				return false
			}
			i += 10
		}
	}
	return true
}

// hex4 is the code unit of an escape whose 'u' is at i; -1 when there is none.
func hex4(b []byte, i int) int64 {
	if i+5 > len(b) || b[i] != 'u' {
		return -1
	}
	v, err := strconv.ParseUint(string(b[i+1:i+5]), 16, 16)
	if err != nil {
		return -1
	}
	return int64(v)
}

// text is *p, "" for nil.
func text(p *string) string {
	if p == nil {
		return ""
	}
	return *p
}

// number is *p, 0 for nil. What an int does not hold (on small machines) is as large as can be.
func number(p *int64) int {
	if p == nil {
		return 0
	}
	return int(max(math.MinInt32, min(math.MaxInt32, *p)))
}
