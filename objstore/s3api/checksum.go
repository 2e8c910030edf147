package s3api

import (
	"crypto/sha1" //nolint:gosec // a checksum of S3
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"net/http"
	"slices"
	"strings"
)

const checksumPrefix = "x-amz-checksum-"

// crc64NVME is the polynomial of CRC-64/NVME, reflected.
const crc64NVME = 0x9a6c9329ac4bc9b5

// newSum makes the hash of one of S3's checksums, by its name in lower case; nil for one that this door does not know.
func newSum(name string) hash.Hash {
	switch name {
	case "crc32":
		return crc32.NewIEEE()
	case "crc32c":
		return crc32.New(crc32.MakeTable(crc32.Castagnoli))
	case "crc64nvme":
		return crc64.New(crc64.MakeTable(crc64NVME))
	case "sha1":
		return sha1.New() //nolint:gosec // see above
	case "sha256":
		return sha256.New()
	}
	return nil
}

// checksum is what a client says about a body, in a header or behind the body. Source: S3 User Guide, "Checking object integrity".
type checksum struct {
	name  string // lower case: crc32
	value string // base64; empty: it comes in the trailer
}

// checksumOf reads the checksum of a request; nil when there is none.
func checksumOf(h http.Header) (*checksum, error) {
	var found []checksum
	for name := range h {
		alg, ok := strings.CutPrefix(strings.ToLower(name), checksumPrefix)
		if ok && alg != "algorithm" && alg != "type" && alg != "mode" {
			found = append(found, checksum{alg, h.Get(name)})
		}
	}
	for name := range strings.SplitSeq(h.Get("x-amz-trailer"), ",") {
		if alg, ok := strings.CutPrefix(strings.ToLower(strings.TrimSpace(name)), checksumPrefix); ok {
			found = append(found, checksum{name: alg})
		}
	}
	asked := h.Get("x-amz-sdk-checksum-algorithm")
	switch {
	case len(found) > 1:
		return nil, refuse(invalidRequest, "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
	case len(found) == 0 && asked != "":
		return nil, refuse(invalidRequest, "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.")
	case len(found) == 0:
		return nil, nil
	}
	c := found[0]
	sum := newSum(c.name)
	if sum == nil {
		return nil, notHere(checksumPrefix+c.name, "This checksum is not known.")
	}
	if raw, err := base64.StdEncoding.DecodeString(c.value); c.value != "" && (err != nil || len(raw) != sum.Size()) {
		return nil, c.invalid()
	}
	if value := h.Values(checksumPrefix + c.name); slices.Contains(value, "") {
		return nil, c.invalid()
	}
	return &c, nil
}

func (c *checksum) invalid() error {
	return refuse(invalidRequest, "Value for "+checksumPrefix+c.name+" header is invalid.")
}

// check compares the body with the header, or with what trailer knows at the body's end.
func (c *checksum) check(trailer func(name string) string) check {
	return check{newSum(c.name), func() ([]byte, error) {
		if c.value == "" && trailer != nil {
			c.value = trailer(checksumPrefix + c.name)
		}
		want, err := base64.StdEncoding.DecodeString(c.value)
		if err != nil || len(want) == 0 {
			return nil, c.invalid()
		}
		return want, nil
	}, func([]byte) error {
		return refuse(badDigest, "The "+strings.ToUpper(c.name)+" you specified did not match the calculated checksum.")
	}}
}

// answer puts the checksum of what was stored into an answer.
func (c *checksum) answer(h http.Header) {
	if c != nil {
		h.Set(checksumPrefix+c.name, c.value)
		h.Set("x-amz-checksum-type", "FULL_OBJECT")
	}
}
