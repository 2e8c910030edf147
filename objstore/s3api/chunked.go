package s3api

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"slices"
	"strconv"
	"strings"

	"kmsfs/kms/sigv4"
)

const (
	maxChunkLine = 4 << 10 // bytes of a chunk's or trailer's line
	maxTrailers  = 16
)

// errChunks is a body in chunks that is not one.
func errChunks(why string) error {
	return refuse(incompleteBody, "The request body is not in the form of aws-chunked: "+why)
}

// chunked decodes a body in S3's aws-chunked form and verifies the chunks' signatures where it has any. What a chunk holds is
// given out before its signature is known to be right, so a body counts only when it ended with io.EOF.
//
// Source: S3 API Reference, "Transferring Payload in Multiple Chunks (Chunked Upload)", "... Including trailing headers".
type chunked struct {
	r         *bufio.Reader
	want, got int64         // decoded bytes: announced, and so far
	trailing  bool          // headers follow the last chunk
	chunks    *sigv4.Chunks // nil: the chunks are not signed
	left      int64         // of this chunk
	inside    bool          // a chunk has begun whose end was not read
	sum       hash.Hash     // of this chunk
	signature string        // of this chunk
	trailers  map[string]string
	err       error
}

func newChunked(r io.Reader, want int64, trailing bool, s *sigv4.Signature) *chunked {
	c := &chunked{r: bufio.NewReaderSize(r, maxChunkLine), want: want, trailing: trailing, sum: sha256.New(), trailers: map[string]string{}}
	if s != nil {
		c.chunks = s.Chunks()
	}
	return c
}

// trailer is a header from behind the body; its name is in lower case.
func (c *chunked) trailer(name string) string { return c.trailers[name] }

func (c *chunked) Read(p []byte) (n int, err error) {
	if c.err != nil {
		return 0, c.err
	}
	if c.left == 0 {
		c.err = c.next()
	}
	if c.err != nil || len(p) == 0 {
		return 0, c.err
	}
	n, err = c.r.Read(p[:min(int64(len(p)), c.left)])
	c.left, c.got = c.left-int64(n), c.got+int64(n)
	if c.chunks != nil {
		c.sum.Write(p[:n])
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	c.err = err
	return n, err
}

// next ends a chunk and begins another; io.EOF after the last.
func (c *chunked) next() error {
	if c.inside {
		if err := c.end(); err != nil {
			return err
		}
	}
	line, err := c.line()
	if err != nil {
		return err
	}
	size, ext, _ := strings.Cut(line, ";")
	n, err := strconv.ParseUint(size, 16, 48)
	if err != nil {
		return errChunks("a chunk has no size")
	}
	if int64(n) > c.want-c.got {
		return errChunks("it is longer than x-amz-decoded-content-length")
	}
	c.left, c.inside, c.signature = int64(n), true, strings.TrimPrefix(ext, "chunk-signature=")
	c.sum.Reset()
	if n > 0 {
		return nil
	}
	return c.finish()
}

// end reads what is behind a chunk's data.
func (c *chunked) end() error {
	if line, err := c.line(); err != nil || line != "" {
		return errors.Join(err, errChunks("a chunk is longer than its size"))
	}
	return c.verify()
}

func (c *chunked) verify() error {
	if c.chunks == nil {
		return nil
	}
	return c.chunks.Verify(hex.EncodeToString(c.sum.Sum(nil)), c.signature)
}

// finish is for the last chunk, which is empty.
func (c *chunked) finish() error {
	if err := c.verify(); err != nil {
		return err
	}
	if c.got != c.want {
		return errChunks("it is shorter than x-amz-decoded-content-length")
	}
	if err := c.readTrailers(); err != nil {
		return err
	}
	switch _, err := c.r.ReadByte(); {
	case err == nil:
		return errBehind()
	case !errors.Is(err, io.EOF):
		return err
	}
	return io.EOF
}

func errBehind() error { return errChunks("there is something behind the last chunk") }

// readTrailers reads the headers behind the last chunk and the empty line that ends the body.
func (c *chunked) readTrailers() error {
	for {
		line, err := c.line()
		if errors.Is(err, io.ErrUnexpectedEOF) && !c.trailing {
			return nil // some clients leave the last empty line out
		}
		if err != nil {
			return err
		}
		if line == "" {
			return c.verifyTrailers()
		}
		name, value, ok := strings.Cut(line, ":")
		if name = strings.ToLower(name); !ok || !c.trailing || len(c.trailers) >= maxTrailers {
			return errBehind()
		}
		c.trailers[name] = strings.TrimSpace(value)
	}
}

const trailerSignature = "x-amz-trailer-signature"

func (c *chunked) verifyTrailers() error {
	if c.chunks == nil || !c.trailing {
		return nil
	}
	var lines []string
	for name, value := range c.trailers {
		if name != trailerSignature {
			lines = append(lines, name+":"+value+"\n")
		}
	}
	slices.Sort(lines)
	return c.chunks.VerifyTrailer(strings.Join(lines, ""), c.trailers[trailerSignature])
}

// line reads a line without its end.
func (c *chunked) line() (string, error) {
	b, err := c.r.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return "", errChunks("a line is too long")
	case errors.Is(err, io.EOF):
		return "", io.ErrUnexpectedEOF
	case err != nil:
		return "", err
	}
	return strings.TrimRight(string(b), "\r\n"), nil
}
