package s3api_test

import (
	"encoding/xml"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// page is what a list of keys answers, of both versions.
type page struct {
	XMLName  struct{} `xml:"ListBucketResult"`
	Name     string
	Contents []struct {
		Key, ETag, LastModified, StorageClass string
		Size                                  int64
		Owner                                 *struct{ ID string }
	}
	CommonPrefixes                           []struct{ Prefix string }
	Prefix, Delimiter, Marker, NextMarker    string
	StartAfter                               string
	ContinuationToken, NextContinuationToken string
	EncodingType                             string
	KeyCount                                 *int
	MaxKeys                                  int
	IsTruncated                              bool
}

func (d *door) list(query ...string) page {
	d.t.Helper()
	v := url.Values{}
	for i := 0; i+1 < len(query); i += 2 {
		v.Set(query[i], query[i+1])
	}
	var p page
	body := d.ok("GET", "/bkt?"+v.Encode(), "").body
	require.NoError(d.t, xml.Unmarshal([]byte(body), &p), body)
	require.Equal(d.t, "bkt", p.Name)
	return p
}

// names are keys and common prefixes of a page.
func (p page) names() (out []string) {
	for _, o := range p.Contents {
		out = append(out, o.Key)
	}
	for _, c := range p.CommonPrefixes {
		out = append(out, c.Prefix)
	}
	return out
}

func newListed(t *testing.T) *door {
	d := newDoor(t)
	for _, key := range []string{"a", "b/1", "b/2", "b/c/3", "d", "e/4"} {
		d.ok("PUT", "/bkt/"+key, "x")
	}
	return d
}

func TestListObjects(t *testing.T) {
	d := newListed(t)
	everything := []string{"a", "b/1", "b/2", "b/c/3", "d", "e/4"}
	p := d.list()
	require.Equal(t, everything, p.names())
	require.False(t, p.IsTruncated)
	require.Equal(t, 1000, p.MaxKeys)
	require.Nil(t, p.KeyCount)
	one := p.Contents[0]
	require.Equal(t, `"9dd4e461268c8034f5c8564e155c67a6"`, one.ETag)
	require.EqualValues(t, 1, one.Size)
	require.Equal(t, "STANDARD", one.StorageClass)
	require.Equal(t, "000000000000", one.Owner.ID)
	require.Regexp(t, `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`, one.LastModified)

	require.Equal(t, []string{"b/1", "b/2", "b/c/3"}, d.list("prefix", "b/").names())
	require.Equal(t, []string{"a", "d", "b/", "e/"}, d.list("delimiter", "/").names())
	require.Equal(t, []string{"b/1", "b/2", "b/c/"}, d.list("prefix", "b/", "delimiter", "/").names())
	require.Equal(t, []string{"d", "e/4"}, d.list("marker", "b/c/3").names())
	p = d.list("max-keys", "0")
	require.Empty(t, p.names())
	require.False(t, p.IsTruncated)
	p = d.list("max-keys", "2")
	require.True(t, p.IsTruncated)
	require.Equal(t, []string{"a", "b/1"}, p.names())
	require.Empty(t, p.NextMarker, "only with a delimiter")
	require.Equal(t, 1000, d.list("max-keys", "5000").MaxKeys)
}

// TestPages walks all pages of both versions, one name at a time.
func TestPages(t *testing.T) {
	d := newListed(t)
	for _, delimiter := range []string{"", "/"} {
		want := d.list("delimiter", delimiter).names()
		var first, second []string
		for marker, more := "", true; more; {
			p := d.list("delimiter", delimiter, "max-keys", "1", "marker", marker)
			require.Len(t, p.names(), 1)
			require.Equal(t, marker, p.Marker)
			first = append(first, p.names()...)
			if marker, more = p.NextMarker, p.IsTruncated; delimiter == "" && more {
				marker = p.names()[0]
			}
		}
		require.ElementsMatch(t, want, first)
		args := []string{"list-type", "2", "delimiter", delimiter, "max-keys", "1"}
		for p := d.list(args...); ; p = d.list(append(args, "continuation-token", p.NextContinuationToken)...) {
			require.Equal(t, 1, *p.KeyCount)
			second = append(second, p.names()...)
			if !p.IsTruncated {
				break
			}
			require.NotEmpty(t, p.NextContinuationToken)
		}
		require.Equal(t, first, second)
	}
}

func TestListObjectsV2(t *testing.T) {
	d := newListed(t)
	p := d.list("list-type", "2", "start-after", "d")
	require.Equal(t, []string{"e/4"}, p.names())
	require.Equal(t, "d", p.StartAfter)
	require.Nil(t, p.Contents[0].Owner)
	require.NotNil(t, d.list("list-type", "2", "fetch-owner", "true").Contents[0].Owner)
}

func TestListArguments(t *testing.T) {
	d := newDoor(t)
	for query, text := range map[string]string{
		"max-keys=x":                         "Provided max-keys not an integer or within integer range",
		"max-keys=99999999999":               "Provided max-keys not an integer or within integer range",
		"max-keys=-1":                        "Argument maxKeys must be an integer between 0 and 2147483647",
		"encoding-type=xml":                  "Invalid Encoding Method specified in Request",
		"list-type=2&continuation-token=%21": "The continuation token provided is incorrect",
		"list-type=2&continuation-token=":    "The continuation token provided is incorrect",
		"versions&version-id-marker=x":       "A version-id marker cannot be specified without a key marker.",
	} {
		d.refused(d.do("GET", "/bkt?"+query, ""), 400, "InvalidArgument", text)
	}
	for _, query := range []string{"", "max-keys=0", "versions", "versions&max-keys=0", "location", "versioning", "encryption"} {
		d.refused(d.do("GET", "/none?"+query, ""), 404, "NoSuchBucket", "The specified bucket does not exist")
	}
}

// TestOddKeys: every key that the store takes can be written, listed, read and deleted.
func TestOddKeys(t *testing.T) {
	d := newDoor(t)
	keys := []string{" ", "%", "%25", "&<>\"'", "+", "..", "../x", ".", "//", "/a", "a b", "a//b", "a/../b", "a?b#c", "dir/", "\u00fc\u4e16\U0001F600", "tab\tline\nbell\a"}
	for _, key := range keys {
		d.ok("PUT", "/bkt/"+(&url.URL{Path: "/" + key}).EscapedPath()[1:], key)
	}
	for _, encoded := range []string{"", "url"} {
		// bell is a character that a parser of XML 1.0 does not read
		body := strings.ReplaceAll(d.ok("GET", "/bkt?encoding-type="+encoded, "").body, "&#7;", "BELL")
		var p page
		require.NoError(t, xml.Unmarshal([]byte(body), &p))
		require.Equal(t, encoded, p.EncodingType)
		names := p.names()
		for i, n := range names {
			if encoded != "" {
				plain, err := url.QueryUnescape(n)
				require.NoError(t, err)
				require.NotContains(t, n, "+")
				names[i] = plain
			}
		}
		for i, n := range names {
			names[i] = strings.ReplaceAll(n, "BELL", "\a")
		}
		require.ElementsMatch(t, keys, names)
	}
	for _, key := range keys {
		path := "/bkt/" + (&url.URL{Path: "/" + key}).EscapedPath()[1:]
		require.Equal(t, key, d.ok("GET", path, "").body, key)
		d.ok("DELETE", path, "")
	}
	require.Empty(t, d.list().names())
	for path, code := range map[string]string{"/bkt/%00": "InvalidArgument", "/bkt/%ff": "InvalidArgument", "/bkt/" + strings.Repeat("k", 1025): "KeyTooLongError"} {
		got := d.do("PUT", path, "x")
		require.Equal(t, 400, got.status, path)
		require.Contains(t, got.body, "<Code>"+code+"</Code>")
	}
}

func TestDeleteObjects(t *testing.T) {
	d := newListed(t)
	got := d.ok("POST", "/bkt?delete", `<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Object><Key>a</Key></Object><Object><Key>none</Key></Object>`+
		`<Object><Key>d</Key><ETag>"x"</ETag></Object></Delete>`).body
	require.Equal(t, []string{"a", "none", "d"}, all(got, "Key"))
	require.Equal(t, []string{"PreconditionFailed"}, all(got, "Code"))
	require.Equal(t, 2, strings.Count(got, "<Deleted>"))
	got = d.ok("POST", "/bkt?delete", `<Delete><Quiet>true</Quiet><Object><Key>b/1</Key></Object></Delete>`).body
	require.NotContains(t, got, "Deleted")
	require.Equal(t, []string{"b/2", "b/c/3", "d", "e/4"}, d.list().names())

	many := &strings.Builder{}
	for i := range 1001 {
		fmt.Fprintf(many, "<Object><Key>%d</Key></Object>", i)
	}
	for _, bad := range []string{"", "<Delete/>", "<Delete>", "x", "<Other><Object><Key>d</Key></Object></Other>", "<Delete>" + many.String() + "</Delete>",
		"<Delete><Object><Key>d</Key></Object></Delete><Delete/>", "<Delete><Object><Key>d</Key></Object><Object/></Delete>"} {
		d.refused(d.do("POST", "/bkt?delete", bad), 400, "MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema")
	}
	require.Equal(t, []string{"b/2", "b/c/3", "d", "e/4"}, d.list().names())

	// versions: what was made and what was removed is said
	d.ok("PUT", "/bkt?versioning", "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>")
	got = d.ok("POST", "/bkt?delete", `<Delete><Object><Key>d</Key></Object></Delete>`).body
	require.Equal(t, []string{"true"}, all(got, "DeleteMarker"))
	marker := all(got, "DeleteMarkerVersionId")
	require.Len(t, marker, 1)
	got = d.ok("POST", "/bkt?delete", `<Delete><Object><Key>d</Key><VersionId>`+marker[0]+`</VersionId></Object></Delete>`).body
	require.Equal(t, marker, all(got, "VersionId"))
	require.Contains(t, d.list().names(), "d")
}
