package kmsapi_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"kmsfs/kms/kmsapi"
)

// mutatedRequests is how many requests TestMutatedRequests sends.
const mutatedRequests = 100_000

// mutator changes requests by a fixed seed, so that what it finds can be found again.
type mutator struct {
	*rand.Rand
	seeds [][2]string // operation, body
}

// next is a request that was put together from others and changed in a few places.
func (m *mutator) next() (op, body string) {
	op, body = m.seeds[m.IntN(len(m.seeds))][0], m.seeds[m.IntN(len(m.seeds))][1]
	if m.IntN(2) == 0 { // a body of its own operation gets further
		seed := m.seeds[m.IntN(len(m.seeds))]
		op, body = seed[0], seed[1]
	}
	b := []byte(body)
	for range m.IntN(4) {
		b = m.change(b)
	}
	// keys of RSA take a second to make, and are made by others' tests
	return op, strings.ReplaceAll(string(b), "RSA_", "RSX_")
}

func (m *mutator) change(b []byte) []byte {
	if len(b) == 0 {
		return []byte{byte(m.Uint32())}
	}
	i := m.IntN(len(b))
	j := i + m.IntN(min(len(b)-i, 16)+1)
	switch m.IntN(6) {
	case 0:
		b[i] ^= 1 << m.IntN(8)
	case 1:
		b = append(b[:i:i], b[j:]...)
	case 2:
		b = append(b[:j:j], b[i:]...)
	case 3:
		tokens := []string{`null`, `{}`, `[]`, `""`, `-1`, `1e999`, `true`, `"\ud800"`, `,`, `:`, `"KeyId":`, strings.Repeat("[", 100), "\x00", "\xff"}
		b = append(b[:i:i], tokens[m.IntN(len(tokens))]+string(b[j:])...)
	case 4:
		b = b[:i]
	case 5:
		other := m.seeds[m.IntN(len(m.seeds))][1]
		b = append(b[:i:i], other[min(len(other), m.IntN(len(other)+1)):]...)
	}
	return b
}

// TestMutatedRequests: 100,000 signed requests that nobody would send each get an answer of the protocol. FuzzRequest searches further.
func TestMutatedRequests(t *testing.T) {
	n := mutatedRequests
	if text := os.Getenv("KMSFS_MUTATED_REQUESTS"); text != "" {
		var err error
		n, err = strconv.Atoi(text)
		require.NoError(t, err)
	}
	d := newDoor(t)
	id, _ := d.key()
	var seeds [][2]string
	for _, row := range errorRows() {
		seeds = append(seeds, [2]string{row[0], strings.NewReplacer("$ID", id, "$ARN", id, "$BLOB", "eA==").Replace(row[1])})
	}
	for _, op := range []string{"GenerateDataKey", "Encrypt", "Decrypt", "ReEncrypt", "DescribeKey", "CreateGrant", "PutKeyPolicy", "TagResource", "ListGrants"} {
		seeds = append(seeds, [2]string{op, `{"KeyId":"` + id + `","Plaintext":"eA==","EncryptionContext":{"a":"b"},"KeySpec":"AES_256","GrantTokens":["x"],"Limit":3,` +
			`"GranteePrincipal":"arn:aws:iam::000000000000:user/bob","Operations":["Decrypt"],"Policy":"{\"Statement\":[]}","Tags":[{"TagKey":"a","TagValue":"b"}]}`})
	}
	h := kmsapi.NewHandler(kmsapi.Options{Service: d.service, Keys: d.users})
	var wg sync.WaitGroup
	const workers = 2
	for w := range uint64(workers) {
		wg.Go(func() {
			m := &mutator{rand.New(rand.NewPCG(w, 4)), seeds}
			for range n / workers {
				op, body := m.next()
				if err := answered(h, d, op, body); err != nil {
					t.Errorf("%s %q: %v", op, body, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// answered sends one request and says what is wrong with the answer. A panic is one of the test.
func answered(h http.Handler, d *door, op, body string) error {
	r := httptest.NewRequest(http.MethodPost, "http://127.0.0.1/", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "TrentService."+op)
	d.signNow(r, body)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code == http.StatusOK {
		if w.Body.Len() > 0 && !json.Valid(w.Body.Bytes()) {
			return fmt.Errorf("the answer is no JSON: %s", w.Body)
		}
		return nil
	}
	var e map[string]string
	if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || e["__type"] == "" || w.Code != 400 && w.Code != 413 {
		return fmt.Errorf("status %d: %s", w.Code, w.Body)
	}
	return nil
}
