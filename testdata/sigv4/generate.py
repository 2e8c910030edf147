#!/usr/bin/env python3
"""Writes the vectors of this folder. Shares no code with kms/sigv4, and checks itself against the signatures that AWS
published: run `python3 testdata/sigv4/generate.py` from the repository's root; it fails where one differs."""
import hashlib
import hmac
import pathlib
import re
import urllib.parse

HERE = pathlib.Path(__file__).parent
SUITE = ("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "us-east-1", "service", "20150830T123600Z")
S3 = ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "us-east-1", "s3", "20130524T000000Z")
EMPTY = hashlib.sha256(b"").hexdigest()


def quote(s, safe=""):
    return urllib.parse.quote(s, safe=safe + "-._~")


def path_of(target, plain):
    path = target.partition("?")[0]
    if plain:
        return quote(urllib.parse.unquote_to_bytes(path), "/")
    out = []
    for part in path.split("/"):
        if part == "..":
            out = out[:-1]
        elif part not in ("", "."):
            out.append(part)
    return quote("/" + "/".join(out) + ("/" if out and path.endswith("/") else ""), "/")


def query_of(target):
    pairs = [p.partition("=")[::2] for p in target.partition("?")[2].split("&") if p]
    pairs = [(quote(urllib.parse.unquote_to_bytes(n)), quote(urllib.parse.unquote_to_bytes(v))) for n, v in pairs]
    return "&".join(f"{n}={v}" for n, v in sorted(p for p in pairs if p[0] != "X-Amz-Signature"))


def mac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def sign(who, method, target, headers, payload_hash, signed):
    key_id, secret, region, service, when = who
    values = {}
    for name, value in headers:
        values.setdefault(name.lower(), []).append(re.sub(r"\s+", " ", value).strip())
    lines = "".join(f"{n}:{','.join(values[n])}\n" for n in signed)
    canonical = "\n".join([method, path_of(target, service == "s3"), query_of(target), lines, ";".join(signed), payload_hash])
    scope = f"{when[:8]}/{region}/{service}/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{when}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = ("AWS4" + secret).encode()
    for part in (when[:8], region, service, "aws4_request"):
        key = mac(key, part)
    return canonical, mac(key, text).hex()


def vector(who, name, method, target, headers, published, body="", payload=None, query=False):
    """query: a presigned request; its headers are signed as they are, and nothing else"""
    key_id, secret, region, service, when = who
    host = "examplebucket.s3.amazonaws.com" if service == "s3" else "example.amazonaws.com"
    headers = [("Host", host)] + headers
    payload_hash = payload or hashlib.sha256(body.encode()).hexdigest()
    if not query:
        headers.append(("X-Amz-Date", when))
        if service == "s3":
            headers.append(("X-Amz-Content-Sha256", payload_hash))
    signed = sorted({n.lower() for n, _ in headers})
    canonical, signature = sign(who, method, target, headers, payload_hash, signed)
    assert published in (None, signature), f"{name}: AWS published {published}, this is {signature}\n{canonical}"
    text = f"{method} {target} HTTP/1.1\n" + "".join(f"{n}: {v}\n" for n, v in headers) + "\n" + body
    head = {
        "expect": "success", "published": "no" if published is None else "yes", "access-key": key_id, "secret": secret,
        "region": region, "service": service, "time": when, "payload-hash": payload_hash, "signed-headers": ";".join(signed),
        "canonical-sha256": hashlib.sha256(canonical.encode()).hexdigest(), "signature": signature,
    }
    out = "".join(f"{k}: {v}\n" for k, v in head.items()) + "\n" + text
    (HERE / f"{name}.vec").write_bytes(out.encode())


def suite():
    """AWS Signature Version 4 test suite"""
    def add(name, method, target, headers, published, body=""):
        vector(SUITE, name, method, target, headers, published, body)
    add("get-vanilla", "GET", "/", [], "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31")
    add("get-unreserved", "GET", "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", [],
        "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f")
    add("get-utf8", "GET", "/\u1234", [], "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85")
    add("get-space", "GET", "/example space/", [], "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741")
    add("get-slash", "GET", "//", [], "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31")
    add("get-slashes", "GET", "//example//", [], "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84")
    add("get-slash-dot-slash", "GET", "/./", [], "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31")
    add("get-slash-pointless-dot", "GET", "/./example", [], "ef75d96142cf21edca26f06005da7988e4f8dc83a165a80865db7089db637ec5")
    add("get-relative", "GET", "/example/..", [], "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31")
    add("get-relative-relative", "GET", "/example1/example2/../..", [], "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31")
    add("get-vanilla-empty-query-key", "GET", "/?Param1=value1", [], "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb")
    add("get-vanilla-query-order-key-case", "GET", "/?Param2=value2&Param1=value1", [],
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500")
    add("get-vanilla-query-order-value", "GET", "/?Param1=value2&Param1=value1", [],
        "5772eed61e12b33fae39ee5e7012498b51d56abc0abb7c60486157bd471c4694")
    add("get-vanilla-query-order-encoded", "GET", "/?Param-3=Value3&Param=Value2&%E1%88%B4=Value1", [],
        "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac")
    add("get-vanilla-query-unreserved", "GET", "/?" + "=".join(["-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"] * 2),
        [], "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197")
    add("get-vanilla-utf8-query", "GET", "/?\u1234=bar", [], "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04")
    add("get-header-value-order", "GET", "/", [("My-Header1", v) for v in ("value4", "value1", "value3", "value2")],
        "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01")
    add("get-header-key-duplicate", "GET", "/", [("My-Header1", v) for v in ("value2", "value2", "value1")],
        "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea")
    add("get-header-value-multiline", "GET", "/", [("My-Header1", "value1\n  value2\n     value3")],
        "cfd34249e4b1c8d6b91ef74165d41a32e5fab3306300901bb65a51a73575eefd")
    add("get-header-value-trim", "GET", "/", [("My-Header1", " value1"), ("My-Header2", ' "a   b   c"')],
        "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736")
    add("post-vanilla", "POST", "/", [], "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b")
    add("post-vanilla-query", "POST", "/?Param1=value1", [], "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11")
    add("post-header-key-sort", "POST", "/", [("My-Header1", "value1")], "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c")
    add("post-header-value-case", "POST", "/", [("My-Header1", "VALUE1")], "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d")
    add("post-x-www-form-urlencoded", "POST", "/", [("Content-Type", "application/x-www-form-urlencoded")],
        "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a", "Param1=value1")
    add("post-x-www-form-urlencoded-parameters", "POST", "/", [("Content-Type", "application/x-www-form-urlencoded; charset=utf8")],
        "1a72ec8f64bd914b0e42e42607c7fbce7fb2c7465f63e3092b3b0d39fa77a6fe", "Param1=value1")


def s3():
    """Amazon S3 API Reference, "Authenticating Requests (AWS Signature Version 4)" """
    vector(S3, "s3-get-range", "GET", "/test.txt", [("Range", "bytes=0-9")],
           "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41")
    vector(S3, "s3-put", "PUT", "/test$file.text", [("Date", "Fri, 24 May 2013 00:00:00 GMT"), ("X-Amz-Storage-Class", "REDUCED_REDUNDANCY")],
           "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd", "Welcome to Amazon S3.")
    vector(S3, "s3-lifecycle", "GET", "/?lifecycle", [], "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543")
    vector(S3, "s3-list", "GET", "/?max-keys=2&prefix=J", [], "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7")
    vector(S3, "s3-presigned", "GET", "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256"
           "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z"
           "&X-Amz-Expires=86400&X-Amz-SignedHeaders=host", [], "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404",
           payload="UNSIGNED-PAYLOAD", query=True)
    # path and query of an object whose name has every kind of trouble
    vector(S3, "s3-odd-name", "GET", "/a%2B%20b//../%C3%A4%2f?prefix=%2B%20&versionId=", [], None)


if __name__ == "__main__":
    suite()
    s3()
