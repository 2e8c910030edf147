"""Writes the vectors of testdata/kms and testdata/context. See README.md."""
import base64, hashlib, hmac, json, pathlib, struct
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

ROOT = pathlib.Path(__file__).resolve().parent.parent


def fixed(name, n):
    """Bytes that look random and stay the same from run to run."""
    return hashlib.shake_256(b"kmsfs vector " + name.encode()).digest(n)


def expand(prk, info, n=32):
    assert n <= 32
    return hmac.new(prk, info + b"\x01", hashlib.sha256).digest()[:n]


def hkdf(ikm, info):
    return expand(hmac.new(bytes(32), ikm, hashlib.sha256).digest(), info)


def canonical(pairs):
    out = struct.pack(">I", len(pairs))
    for k, v in sorted((k.encode(), v.encode()) for k, v in pairs.items()):
        out += struct.pack(">I", len(k)) + k + struct.pack(">I", len(v)) + v
    return out


def seal(name, key, label, aad, plaintext):
    salt, nonce = fixed(name + " salt", 16), fixed(name + " nonce", 12)
    return salt + nonce + AESGCM(expand(key, label + salt)).encrypt(nonce, plaintext, aad)


def write(path, head, body):
    lines = "".join(f"{k}: {v}\n" for k, v in head.items()).encode()
    (ROOT / path).write_bytes(lines + b"\n" + body)


def hexlines(b):
    h = b.hex()
    return ("\n".join(h[i : i + 64] for i in range(0, len(h), 64)) + "\n").encode()


KEY = "134f2428-cec1-4b25-a1ae-9048164dba47"
RAW = bytes.fromhex(KEY.replace("-", ""))
SECRET = fixed("secret", 32)
MATERIAL = expand(SECRET, b"kmsfs kms material id v1" + RAW)


def blob(name, context, plaintext, magic=b"kmb\x01", raw=RAW, material=MATERIAL):
    head = magic + raw + material
    return head + seal(name, SECRET, b"kmsfs kms blob v1", head + canonical(context), plaintext)


def flip(b, i):
    return b[:i] + bytes([b[i] ^ 1]) + b[i + 1 :]


def blobs():
    bad, pairs = "InvalidCiphertextException", {"aws:s3:arn": "arn:aws:s3:::bucket/key", "department": "hr"}
    key32 = fixed("data key", 32)
    good = blob("good", pairs, key32)
    cases = {
        "success": ("success", pairs, good, key32),
        "success_no_context": ("success", {}, blob("none", {}, key32), key32),
        "success_one_byte": ("success", pairs, blob("one", pairs, b"x"), b"x"),
        "success_dsse": ("success", pairs, blob("dsse", pairs, fixed("64", 64)), fixed("64", 64)),
        "success_longest": ("success", pairs, blob("longest", pairs, fixed("4096", 4096)), fixed("4096", 4096)),
        "context_missing": (bad, {}, good, b""),
        "context_pair_missing": (bad, {"department": "hr"}, good, b""),
        "context_value": (bad, pairs | {"department": "it"}, good, b""),
        "context_extra": (bad, pairs | {"x": ""}, good, b""),
        "magic": (bad, pairs, flip(good, 0), b""),
        "version_2": (bad, pairs, blob("v2", pairs, key32, magic=b"kmb\x02"), b""),
        "key_id_unknown": ("AccessDeniedException", pairs, flip(good, 4), b""),
        "material_unknown": (bad, pairs, blob("mat", pairs, key32, material=fixed("other", 32)), b""),
        "salt": (bad, pairs, flip(good, 52), b""),
        "nonce": (bad, pairs, flip(good, 68), b""),
        "ciphertext": (bad, pairs, flip(good, 80), b""),
        "tag": (bad, pairs, flip(good, len(good) - 1), b""),
        "truncated": (bad, pairs, good[:-1], b""),
        "extended": (bad, pairs, good + b"\0", b""),
        "no_plaintext": (bad, pairs, blob("empty", pairs, b""), b""),
        "empty": (bad, pairs, b"", b""),
    }
    for name, (expect, context, b, plaintext) in cases.items():
        head = {"expect": expect, "key-id": KEY, "secret": SECRET.hex(), "material-id": MATERIAL.hex(), "context": json.dumps(context)}
        if expect == "success":
            head["plaintext-sha256"] = hashlib.sha256(plaintext).hexdigest()
        write(f"kms/blob/{name}.vec", head, hexlines(b))


INFO = {
    "id": KEY, "arn": "arn:aws:kms:us-east-1:000000000000:key/" + KEY, "account": "000000000000", "description": "payroll <hr>",
    "created": 1593622000191000000, "state": "Enabled", "usage": "ENCRYPT_DECRYPT", "spec": "SYMMETRIC_DEFAULT", "origin": "AWS_KMS",
    "manager": "CUSTOMER",
}


def payload(info=INFO, count=2, separators=(",", ":"), tail=b""):
    meta = json.dumps(info, separators=separators).replace("<", "\\u003c").replace(">", "\\u003e").encode()
    out = struct.pack(">I", len(meta)) + meta + struct.pack(">H", count)
    for i in range(count):
        secret = fixed(f"secret {i}", 32)
        out += expand(secret, b"kmsfs kms material id v1" + RAW) + struct.pack(">q", i * 1593622000191000000) + secret
    return out + tail


def records():
    given = fixed("given", 32)
    key = hkdf(given, b"kmsfs kms records v1")
    name = "key/" + KEY

    def record(vector, body, under=name, version=b"\x01"):
        return version + seal(vector, key, b"kmsfs kms record v1", under.encode(), body)

    good = record("record", payload())
    pending = INFO | {"state": "PendingDeletion", "deletion_date": 1594226800191000000, "window_days": 7}
    cases = {
        "success": ("success", good),
        "success_one_material": ("success", record("one", payload(count=1))),
        "success_pending": ("success", record("pending", payload(info=pending))),
        "success_all_fields": ("success", record("all", payload(info=INFO | {
            "policy": "{}", "tags": [{"key": "a", "value": "1"}, {"key": "b", "value": ""}], "multi_region": True, "rotation_days": 90,
            "next_rotation": 1601398000191000000, "automatic": [1593622000191000000], "private": base64.b64encode(b"sealed").decode(),
            "public": base64.b64encode(b"der").decode()}))),
        "success_pending_import": ("success", record("import", payload(count=0, info=INFO | {"state": "PendingImport", "origin": "EXTERNAL"}))),
        "import_with_material": ("malformed", record("import2", payload(info=INFO | {"state": "PendingImport", "origin": "EXTERNAL"}))),
        "other_name": ("authentication failed", record("name", payload(), under="key/" + KEY[:-1] + "8")),
        "version_2": ("has version 2", record("version", payload(), version=b"\x02")),
        "version_flipped_back": ("has version 0", flip(good, 0)),
        "tag": ("authentication failed", flip(good, len(good) - 1)),
        "salt": ("authentication failed", flip(good, 1)),
        "truncated": ("authentication failed", good[:-1]),
        "version_only": ("authentication failed", b"\x01"),
        "no_material": ("malformed", record("none", payload(count=0))),
        "extended_payload": ("malformed", record("tail", payload(tail=b"\0"))),
        "json_spaces": ("fields that this release does not know", record("spaces", payload(separators=(", ", ": ")))),
        "json_unknown_field": ("fields that this release does not know", record("field", payload(info=INFO | {"labels": {}}))),
        "json_length": ("malformed", record("length", b"\xff\xff\xff\xff" + payload()[4:])),
        "other_key": ("another key", record("other", payload(info=INFO | {"id": KEY[:-1] + "8"}))),
    }
    for vector, (expect, b) in cases.items():
        write(f"kms/record/{vector}.vec", {"expect": expect, "given-key": given.hex(), "name": name}, hexlines(b))


def contexts():
    def vector(name, text, pairs=None, expect="success"):
        head = {"expect": expect}
        if pairs is not None:
            head["canonical"] = canonical(pairs).hex()
        write(f"context/{name}.vec", head, text if isinstance(text, bytes) else text.encode())

    refuse = "ValidationException"
    vector("empty", "{}", {})
    vector("one", '{"a":"1"}', {"a": "1"})
    vector("order", '{"b":"2","a":"1"}', {"a": "1", "b": "2"})
    vector("order_is_bytes", '{"\u00e9":"1","z":"2","Z":"3"}', {"\u00e9": "1", "z": "2", "Z": "3"})
    vector("spaces", ' \n{ "a" : "1" }\n', {"a": "1"})
    vector("empty_value", '{"a":""}', {"a": ""})
    vector("case_matters", '{"a":"1","A":"1"}', {"a": "1", "A": "1"})
    vector("escapes", r'{"a":"\u0031\n\"\\\/"}', {"a": '1\n"\\/'})
    vector("surrogate_pair", r'{"a":"\ud83d\ude00"}', {"a": "\U0001f600"})
    vector("replacement_character", r'{"a":"\ufffd"}', {"a": "\ufffd"})
    vector("not_ambiguous", '{"ab":"c"}', {"ab": "c"})
    vector("base64", base64.b64encode(b'{"a":"1"}').decode(), {"a": "1"})
    vector("longest", json.dumps({"a": "x" * 2040}, separators=(",", ":")), {"a": "x" * 2040})
    vector("too_long", json.dumps({"a": "x" * 2041}, separators=(",", ":")), expect=refuse)
    for name, text in {
        "nothing": "", "text": "department=hr", "array": '["a"]', "string": '"a"', "null": "null", "number": '{"a":1}', "nested": '{"a":{}}',
        "list": '{"a":["1"]}', "null_value": '{"a":null}', "true_value": '{"a":true}', "duplicate": '{"a":"1","a":"2"}',
        "duplicate_escaped": r'{"a":"1","\u0061":"1"}', "trailing": '{"a":"1"} x', "two_objects": '{"a":"1"}{}', "unfinished": '{"a":"1"',
        "trailing_comma": '{"a":"1",}', "empty_name": '{"":"1"}', "half_surrogate": r'{"a":"\ud83d"}', "not_utf8": b'{"a":"\xff"}',
        "base64_of_array": base64.b64encode(b"[]").decode(), "base64_of_base64": base64.b64encode(base64.b64encode(b"{}")).decode(),
        "base64_unpadded": base64.b64encode(b'{"a":"1"}').decode().rstrip("=") + "!", "base64_url": "eyJhIjoiPz8_In0=",
    }.items():
        vector("refused_" + name, text, expect=refuse)


blobs()
records()
contexts()
