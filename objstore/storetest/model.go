package storetest

import (
	"maps"
	"slices"
	"strings"

	"kmsfs/objstore"
)

// Model is a bucket in memory: what S3 says a Store does, without encryption, conditions or attributes.
type Model struct {
	Versioning objstore.Versioning
	keys       map[string][]ModelVersion // newest first
}

// ModelVersion is one version or delete marker.
type ModelVersion struct {
	ID     objstore.VersionID
	Body   string
	Marker bool
}

// NewModel is an empty bucket.
func NewModel() *Model { return &Model{keys: map[string][]ModelVersion{}} }

// Put makes a version current; id is the one that the store gave it.
func (m *Model) Put(key string, v ModelVersion) {
	if m.Versioning != objstore.VersioningEnabled {
		m.drop(key, objstore.NullVersion)
	}
	m.keys[key] = append([]ModelVersion{v}, m.keys[key]...)
}

// Delete is DeleteObject without a version.
func (m *Model) Delete(key string, marker objstore.VersionID) {
	if m.Versioning == objstore.VersioningOff {
		m.drop(key, objstore.NullVersion)
		return
	}
	m.Put(key, ModelVersion{ID: marker, Marker: true})
}

// DeleteVersion removes a version for good; false when there is none.
func (m *Model) DeleteVersion(key string, id objstore.VersionID) bool { return m.drop(key, id) }

func (m *Model) drop(key string, id objstore.VersionID) bool {
	i := slices.IndexFunc(m.keys[key], func(v ModelVersion) bool { return v.ID == id })
	if i < 0 {
		return false
	}
	m.keys[key] = slices.Delete(slices.Clone(m.keys[key]), i, i+1)
	if len(m.keys[key]) == 0 {
		delete(m.keys, key)
	}
	return true
}

// Get gives a version, the current one for "", or the code of the refusal.
func (m *Model) Get(key string, id objstore.VersionID) (ModelVersion, objstore.Code) {
	vs := m.keys[key]
	if id == "" {
		if len(vs) == 0 || vs[0].Marker {
			return ModelVersion{}, objstore.NoSuchKey
		}
		return vs[0], ""
	}
	for _, v := range vs {
		if v.ID == id && v.Marker {
			return v, objstore.MethodNotAllowed
		} else if v.ID == id {
			return v, ""
		}
	}
	return ModelVersion{}, objstore.NoSuchVersion
}

// Versions gives all versions of a key, newest first.
func (m *Model) Versions(key string) []ModelVersion { return m.keys[key] }

// List gives one whole listing: keys and common prefixes behind after.
func (m *Model) List(in objstore.ListInput, markers bool) (keys, prefixes []string) {
	for _, key := range slices.Sorted(maps.Keys(m.keys)) {
		if !strings.HasPrefix(key, in.Prefix) || (m.keys[key][0].Marker && !markers) {
			continue
		}
		rolled := ""
		if i := strings.Index(key[len(in.Prefix):], in.Delimiter); in.Delimiter != "" && i >= 0 {
			rolled = key[:len(in.Prefix)+i+len(in.Delimiter)]
		}
		switch {
		case rolled == "" && key > in.After:
			keys = append(keys, key)
		case rolled > in.After && (len(prefixes) == 0 || prefixes[len(prefixes)-1] != rolled):
			prefixes = append(prefixes, rolled)
		}
	}
	return keys, prefixes
}
