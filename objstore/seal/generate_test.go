package seal

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

// The generators of testdata/seal/v1, one fault each. They are written after FORMAT.md and share only XAES with the
// package, so that a slip in deriving keys or associated data shows.

// fixed returns n bytes that depend on name only.
func fixed(name string, n int) []byte {
	return must(hkdf.Key(sha256.New, []byte("kmsfs test vector"), nil, name, n))
}

func derive(ikm []byte, info string) *xaes {
	return newXAES(must(hkdf.Key(sha256.New, ikm, nil, info, 32)), 1)
}

func chunkAAD(layer byte, id []byte, slot, index uint64) []byte {
	b := append([]byte("kmsfs chunk v1"), layer)
	b = append(b, id...)
	b = binary.BigEndian.AppendUint64(b, slot)
	return binary.BigEndian.AppendUint64(b, index)
}

// chunk is a good vector of n bytes in one layer.
func chunk(n int) vector {
	v := vector{kind: "chunk", key: fixed("data key", 32), id: ContentID(fixed("content id", 16)), slot: 3, index: 7}
	plain := bytes.Repeat([]byte("chunk "), n/6+1)[:n]
	nonce := fixed("nonce", 24)
	v.nonces = [][]byte{nonce}
	v.body = derive(v.key, "kmsfs chunk v1").sealAt(nil, nonce, plain, chunkAAD(0, v.id[:], 3, 7))
	return v.releases(plain)
}

// layered is a good vector of n bytes in two layers.
func layered(n int) vector {
	v := vector{kind: "chunk", key: fixed("long data key", 64), id: ContentID(fixed("content id", 16)), slot: 3, index: 7}
	plain := bytes.Repeat([]byte("layer "), n/6+1)[:n]
	v.nonces = [][]byte{fixed("inner nonce", 24), fixed("outer nonce", 24)}
	inner := derive(v.key[:32], "kmsfs chunk v1 inner").sealAt(nil, v.nonces[0], plain, chunkAAD(1, v.id[:], 3, 7))
	v.body = derive(v.key[32:], "kmsfs chunk v1 outer").sealAt(nil, v.nonces[1], inner, chunkAAD(2, v.id[:], 3, 7))
	return v.releases(plain)
}

// wrapOuter makes a vector whose outer layer is good and holds inner.
func (v vector) wrapOuter(inner []byte) vector {
	v.body = derive(v.key[32:], "kmsfs chunk v1 outer").sealAt(nil, v.nonces[1], inner, chunkAAD(2, v.id[:], 3, 7))
	return v
}

// record is a good vector of a database record.
func record() vector {
	v := vector{kind: "record", key: fixed("secret", 32), label: "table", aad: "bucket/key", nonces: [][]byte{fixed("record nonce", 24)}}
	plain := []byte("a record of the database")
	v.body = derive(v.key, "kmsfs database record v1 table").sealAt(nil, v.nonces[0], plain, []byte(v.aad))
	return v.releases(plain)
}

// mac is a good vector of a version record under a data key of n bytes.
func mac(n int) vector {
	v := vector{kind: "mac", key: fixed("mac data key", n), body: []byte("a version record")}
	h := hmac.New(sha256.New, must(hkdf.Key(sha256.New, v.key, nil, "kmsfs version record v1", 32)))
	h.Write(v.body)
	v.mac = h.Sum(nil)
	return v.releases(v.body)
}

func (v vector) releases(plain []byte) vector {
	sum := sha256.Sum256(plain)
	v.plain, v.size = hex.EncodeToString(sum[:]), len(plain)
	return v
}

// good names a vector that opens.
func (v vector) good(name, comment string) vector {
	v.name, v.comment = name, comment
	return v
}

// bad names a vector that is refused by layer and releases nothing.
func (v vector) bad(name string, layer Layer, comment string) vector {
	v = v.releases(nil)
	v.name, v.comment, v.expect, v.nonces = name, comment, layer, nil
	return v
}

// with applies one fault.
func (v vector) with(fault func(v *vector)) vector {
	v.body = bytes.Clone(v.body)
	v.key = bytes.Clone(v.key)
	v.mac = bytes.Clone(v.mac)
	fault(&v)
	return v
}

func flip(at int) func(*vector) {
	return func(v *vector) { v.body[(at+len(v.body))%len(v.body)] ^= 1 }
}

func cut(n int) func(*vector) { return func(v *vector) { v.body = v.body[:n] } }

func generate() (all []vector) {
	all = append(all, generateChunks()...)
	all = append(all, generateLayered()...)
	all = append(all, generateRecords()...)
	return append(all, generateMACs()...)
}

// longChunk is longer than what the engine seals at once today.
const longChunk = 64 << 10

func generateChunks() []vector {
	c := chunk(100)
	return []vector{
		chunk(0).good("chunk_empty", "no writer makes it, every reader opens it"),
		chunk(1).good("chunk_one_byte", "the shortest chunk"),
		c.good("chunk", "the last chunk of a file"),
		chunk(longChunk).good("chunk_full", "a full chunk"),
		c.with(flip(0)).bad("chunk_nonce_prefix", LayerChunk, "a bit of the nonce that chooses the derived key is flipped"),
		c.with(flip(23)).bad("chunk_nonce_suffix", LayerChunk, "a bit of the nonce under the derived key is flipped"),
		c.with(flip(24)).bad("chunk_first_byte", LayerChunk, "a bit of the first byte of ciphertext is flipped"),
		c.with(flip(-17)).bad("chunk_last_byte", LayerChunk, "a bit of the last byte of ciphertext is flipped"),
		c.with(flip(-1)).bad("chunk_tag", LayerChunk, "a bit of the tag is flipped"),
		c.with(cut(139)).bad("chunk_cut", LayerChunk, "the last byte is missing"),
		c.with(cut(40)).bad("chunk_cut_to_overhead", LayerChunk, "only 40 bytes are left"),
		c.with(cut(39)).bad("chunk_cut_below_overhead", LayerSize, "too short for nonce and tag"),
		c.with(cut(0)).bad("chunk_nothing", LayerSize, "no bytes at all"),
		c.with(func(v *vector) { v.body = append(v.body, 0) }).bad("chunk_long", LayerChunk, "a zero byte follows"),
		c.with(func(v *vector) { clear(v.body) }).bad("chunk_zeros", LayerChunk, "a punched slot: zeros"),
		c.with(func(v *vector) { v.slot++ }).bad("chunk_slot", LayerChunk, "found in the next slot"),
		c.with(func(v *vector) { v.index++ }).bad("chunk_index", LayerChunk, "found at the next index"),
		c.with(func(v *vector) { v.slot, v.index = v.index, v.slot }).bad("chunk_slot_index_swapped", LayerChunk, "slot and index are exchanged"),
		c.with(func(v *vector) { v.id[15] ^= 1 }).bad("chunk_content", LayerChunk, "found in another content"),
		c.with(func(v *vector) { v.key[31] ^= 1 }).bad("chunk_key", LayerChunk, "sealed under another data key"),
		c.with(func(v *vector) { v.key = append(v.key, v.key...) }).bad("chunk_one_layer_of_two", LayerOuter, "one layer where the data key has two"),
		c.with(func(v *vector) {
			v.body = derive(v.key, "kmsfs chunk v2").sealAt(nil, fixed("nonce", 24), make([]byte, 100), chunkAAD(0, v.id[:], 3, 7))
		}).bad("chunk_other_version", LayerChunk, "the label of another version of the format"),
	}
}

func generateLayered() []vector {
	c := layered(100)
	inner := derive(c.key[:32], "kmsfs chunk v1 inner")
	return []vector{
		layered(1).good("layered_one_byte", "the shortest chunk in two layers"),
		c.good("layered", "the last chunk of a file in two layers"),
		layered(longChunk).good("layered_full", "a full chunk in two layers"),
		c.with(flip(0)).bad("layered_outer_nonce", LayerOuter, "a bit of the outer nonce is flipped"),
		c.with(flip(60)).bad("layered_ciphertext", LayerOuter, "a bit of the ciphertext is flipped"),
		c.with(flip(-1)).bad("layered_outer_tag", LayerOuter, "a bit of the outer tag is flipped"),
		c.with(cut(80)).bad("layered_cut_to_overhead", LayerOuter, "only 80 bytes are left"),
		c.with(cut(79)).bad("layered_cut_below_overhead", LayerSize, "too short for two nonces and tags"),
		c.with(func(v *vector) { v.slot++ }).bad("layered_slot", LayerOuter, "found in the next slot"),
		c.with(func(v *vector) { v.key[0] ^= 1 }).bad("layered_inner_key", LayerInner, "the first half of the data key is another"),
		c.with(func(v *vector) { v.key[32] ^= 1 }).bad("layered_outer_key", LayerOuter, "the second half of the data key is another"),
		c.wrapOuter(inner.sealAt(nil, c.nonces[0], make([]byte, 100), chunkAAD(1, c.id[:], 4, 7))).
			bad("layered_inner_slot", LayerInner, "the inner layer is of the next slot, the outer is good"),
		c.wrapOuter(inner.sealAt(nil, c.nonces[0], make([]byte, 100), chunkAAD(2, c.id[:], 3, 7))).
			bad("layered_inner_label", LayerInner, "the inner layer has the outer's label"),
		c.wrapOuter(make([]byte, 140)).bad("layered_inner_zeros", LayerInner, "the outer layer is good and holds zeros"),
	}
}

func generateRecords() []vector {
	r := record()
	return []vector{
		r.good("record", "a sealed record"),
		r.with(flip(30)).bad("record_ciphertext", LayerRecord, "a bit of the ciphertext is flipped"),
		r.with(flip(-1)).bad("record_tag", LayerRecord, "a bit of the tag is flipped"),
		r.with(cut(39)).bad("record_short", LayerSize, "too short for nonce and tag"),
		r.with(func(v *vector) { v.aad = "bucket/kez" }).bad("record_aad", LayerRecord, "found under another key of the table"),
		r.with(func(v *vector) { v.label = "tablf" }).bad("record_label", LayerRecord, "found in another table"),
		r.with(func(v *vector) { v.key[0] ^= 1 }).bad("record_secret", LayerRecord, "sealed under another secret"),
	}
}

func generateMACs() []vector {
	return []vector{
		mac(32).good("mac", "a version record"),
		mac(64).good("mac_layered", "a version record under a data key of two layers"),
		mac(32).with(flip(0)).bad("mac_record", LayerMAC, "a bit of the record is flipped"),
		mac(32).with(cut(15)).bad("mac_record_cut", LayerMAC, "the record's last byte is missing"),
		mac(32).with(func(v *vector) { v.mac[31] ^= 1 }).bad("mac_mac", LayerMAC, "a bit of the MAC is flipped"),
		mac(32).with(func(v *vector) { v.key[0] ^= 1 }).bad("mac_key", LayerMAC, "made under another data key"),
		mac(32).with(func(v *vector) { v.key = append(v.key, v.key...) }).bad("mac_key_length", LayerMAC, "the data key is twice as long"),
	}
}
