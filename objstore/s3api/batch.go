package s3api

import (
	"context"
	"slices"

	"kmsfs/objstore"
)

const maxBatch = 1000 // keys of one DeleteObjects

type deleteRequest struct {
	XMLName struct{} `xml:"Delete"`
	Quiet   bool
	Objects []deleteEntry `xml:"Object"`
}

type deleteEntry struct {
	Key       string
	VersionID string `xml:"VersionId"`
	ETag      string
}

type deletedEntry struct {
	Key                   text
	VersionID             string `xml:"VersionId,omitempty"`
	DeleteMarker          bool   `xml:",omitempty"`
	DeleteMarkerVersionID string `xml:"DeleteMarkerVersionId,omitempty"`
}

type errorEntry struct {
	Key       text
	VersionID string `xml:"VersionId,omitempty"`
	Code      string
	Message   string
}

type deleteResult struct {
	XMLName struct{} `xml:"http://s3.amazonaws.com/doc/2006-03-01/ DeleteResult"`
	Deleted []deletedEntry
	Errors  []errorEntry `xml:"Error"`
}

// deleteObjects deletes up to a thousand keys or versions, each by itself.
func deleteObjects(h *Handler, q *request) (*response, error) {
	if _, err := h.Store.HeadBucket(q.Context(), q.bucket); err != nil {
		return nil, err
	}
	var in deleteRequest
	if err := q.document(&in); err != nil {
		return nil, err
	}
	unnamed := slices.ContainsFunc(in.Objects, func(e deleteEntry) bool { return e.Key == "" })
	if len(in.Objects) == 0 || len(in.Objects) > maxBatch || unnamed {
		return nil, refuse(malformedXML, "")
	}
	out := deleteResult{}
	for _, one := range in.Objects {
		key := text{escapeXML(one.Key)}
		gone, err := h.remove(q.Context(), q.bucket, one.Key, objstore.VersionID(one.VersionID), objstore.Condition{IfMatch: one.ETag})
		switch {
		case err != nil:
			a := answerFor(err)
			out.Errors = append(out.Errors, errorEntry{key, one.VersionID, string(a.code), a.text})
		case !in.Quiet:
			e := deletedEntry{Key: key, VersionID: one.VersionID, DeleteMarker: gone.marker}
			if gone.marker {
				e.DeleteMarkerVersionID = string(gone.version)
			}
			out.Deleted = append(out.Deleted, e)
		}
	}
	if err := h.Store.Sync(context.WithoutCancel(q.Context())); err != nil {
		return nil, err
	}
	return &response{xml: out}, nil
}
