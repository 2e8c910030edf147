package kms

import (
	"strconv"
	"time"
)

// appendJSON appends e as one JSON object without a newline. Fields that are empty are left out, but for those that
// every record has. Bytes of a path that are not UTF-8 become U+FFFD.
func (e *Event) appendJSON(b []byte) []byte {
	b = append(b, `{"time":"`...)
	b = e.Time.UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","principal":`...)
	b = appendJSONString(b, e.Caller.Principal)
	b = append(b, `,"uid":`...)
	b = strconv.AppendUint(b, uint64(e.Caller.UID), 10)
	b = append(b, `,"pid":`...)
	b = strconv.AppendInt(b, int64(e.Caller.PID), 10)
	b = appendField(b, "via", e.Caller.Via)
	b = appendField(b, "path", e.Caller.Path)
	b = appendField(b, "operation", string(e.Operation))
	b = appendField(b, "key", e.KeyARN)
	b = appendField(b, "alias", e.Alias)
	b = appendContextField(b, "context", e.Context)
	b = appendField(b, "source_key", e.SourceKeyARN)
	b = appendContextField(b, "source_context", e.SourceContext)
	if e.Code == "" {
		return append(b, `,"result":"ok"}`...)
	}
	b = appendField(b, "result", string(e.Code))
	b = appendField(b, "message", e.Message)
	return append(b, '}')
}

func appendField(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	b = append(append(append(b, ',', '"'), name...), '"', ':')
	return appendJSONString(b, value)
}

func appendContextField(b []byte, name string, c Context) []byte {
	if len(c) == 0 {
		return b
	}
	b = append(append(append(b, ',', '"'), name...), '"', ':')
	return c.appendJSON(b)
}
