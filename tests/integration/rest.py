#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What 32-rest.sh needs besides curl and openssl: bodies with real images, and comparisons. Standard library only.

rest.py body row|column|object IMAGES N        JSON of :predict with the first N images
rest.py grpc-body IMAGES N                     the same as one gRPC message, to be sent by curl
rest.py same REST GRPC N                       the JSON answers of both forms and the gRPC answer say the same
rest.py metadata FILE                          the structure that TensorFlow Serving documents
rest.py evidence CERT_DER PREFIX               evidence of a certificate is bound to its key; quotes to PREFIX.*
"""
import gzip
import hashlib
import json
import struct
import subprocess
import sys


def images(path, n):
    data = gzip.open(path).read(16 + n * 784)
    magic, _, rows, cols = struct.unpack(">4I", data[:16])
    assert (magic, rows, cols) == (0x803, 28, 28)
    return [[[[data[16 + i * 784 + r * 28 + c] / 255] for c in range(28)] for r in range(28)] for i in range(n)]


def body(form, path, n):
    x = images(path, n)
    print(json.dumps({"row": {"instances": x},
                      "object": {"signature_name": "serving_default", "instances": [{"images": i} for i in x]},
                      "column": {"inputs": {"images": x}}}[form]))


# ------------------------------------------------------------------ protobuf, as much as this needs


def varint(v):
    out = b""
    while v > 127:
        out += bytes([v & 127 | 128])
        v >>= 7
    return out + bytes([v])


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def parse(data):
    """Fields of a message as (number, value)."""
    at = 0

    def number():
        nonlocal at
        v = shift = 0
        while True:
            b = data[at]
            at += 1
            v |= (b & 127) << shift
            shift += 7
            if b < 128:
                return v
    while at < len(data):
        key = number()
        size = {0: None, 1: 8, 5: 4}.get(key & 7, -1)
        if size is None:
            yield key >> 3, number()
            continue
        size = number() if size < 0 else size
        yield key >> 3, data[at:at + size]
        at += size


def grpc_body(path, n):
    flat = [p[0] for i in images(path, n) for row in i for p in row]
    shape = b"".join(field(2, varint(8) + varint(d)) for d in (n, 28, 28, 1))
    tensor = b"\x08\x01" + field(2, shape) + field(5, struct.pack("<%df" % len(flat), *flat))  # float_val
    entry = field(1, b"images") + field(2, tensor)
    message = field(1, field(1, b"fashion-mnist")) + field(2, entry)
    sys.stdout.buffer.write(struct.pack(">BI", 0, len(message)) + message)


def grpc_answer(path):
    data = open(path, "rb").read()
    compressed, size = struct.unpack(">BI", data[:5])
    assert compressed == 0 and len(data) == 5 + size, "one gRPC message"
    out = {}
    for number, entry in parse(data[5:]):
        if number == 1:
            pair = dict(parse(entry))
            tensor = list(parse(pair[2]))
            floats = b"".join(v for k, v in tensor if k == 5)
            out[pair[1].decode()] = (list(struct.unpack("<%df" % (len(floats) // 4), floats)) or
                                     [v.decode() for k, v in tensor if k == 8])
    return out


def same(rest, grpc, n):
    got = grpc_answer(grpc)
    row, column = json.load(open(rest + ".row")), json.load(open(rest + ".column"))
    assert list(row) == ["predictions"] and list(column) == ["outputs"]
    assert json.load(open(rest + ".object")) == row
    assert len(row["predictions"]) == n == len(got["classes"]) and len(got["scores"]) == 10 * n
    assert sorted(column["outputs"]) == ["classes", "scores"] == sorted(row["predictions"][0])
    for i, p in enumerate(row["predictions"]):
        assert p["classes"] == column["outputs"]["classes"][i] == got["classes"][i]
        assert p["scores"] == column["outputs"]["scores"][i] and len(p["scores"]) == 10
        for a, b in zip(p["scores"], got["scores"][10 * i:]):
            assert abs(a - b) <= 1e-6, (a, b)
    assert len({tuple(p["scores"]) for p in row["predictions"]}) == n, "different images, different scores"


def metadata(path):
    m = json.load(open(path))
    assert m["model_spec"] == {"name": "fashion-mnist", "signature_name": "", "version": "1"}
    assert list(m) == ["model_spec", "metadata"] and list(m["metadata"]) == ["signature_def"]
    assert list(m["metadata"]["signature_def"]) == ["signature_def"]

    def info(dtype, name, *dims):
        return {"dtype": dtype, "name": name, "tensor_shape":
                {"dim": [{"size": d, "name": ""} for d in dims], "unknown_rank": False}}
    got = m["metadata"]["signature_def"]["signature_def"]["serving_default"]
    names = [t["name"] for t in (*got["inputs"].values(), *got["outputs"].values())]
    assert got == {"inputs": {"images": info("DT_FLOAT", names[0], "-1", "28", "28", "1")},
                   "outputs": {"classes": info("DT_STRING", names[1], "-1"),
                               "scores": info("DT_FLOAT", names[2], "-1", "10")},
                   "method_name": "tensorflow/serving/predict", "defaults": {}}, got


# ------------------------------------------------------------------ evidence in the certificate


def der(data, at=0):
    """(tag, content, end) of the value at `at`."""
    size, at, tag = data[at + 1], at + 2, data[at]
    if size & 128:
        n = size & 127
        size, at = int.from_bytes(data[at:at + n], "big"), at + n
    return tag, data[at:at + size], at + size


def extensions(cert):
    """OID content -> value of each extension."""
    tbs, at, out = der(der(cert)[1])[1], 0, {}
    while at < len(tbs):
        tag, content, at = der(tbs, at)
        if tag != 0xa3:
            continue
        seq, pos = der(content)[1], 0
        while pos < len(seq):
            _, ext, pos = der(seq, pos)
            _, oid, next_ = der(ext)
            tag, value, next_ = der(ext, next_)
            if tag == 1:  # critical
                _, value, _ = der(ext, next_)
            out[oid] = value
    return out


def cbor(data, at=0):
    """(major type, value, end); only heads with a value and strings."""
    major, value, at = data[at] >> 5, data[at] & 31, at + 1
    if value >= 24:
        n = 1 << (value - 24)
        value, at = int.from_bytes(data[at:at + n], "big"), at + n
    if major in (2, 3):
        return major, data[at:at + value], at + value
    return major, value, at


def report_data(quote, name):
    open(name, "wb").write(quote)
    return quote[48 + 320:48 + 384]  # SGX: header, then the report body


def evidence(path, prefix):
    cert = open(path, "rb").read()
    spki = subprocess.run(["openssl", "x509", "-inform", "DER", "-in", path, "-noout", "-pubkey"], check=True,
                          capture_output=True).stdout
    spki = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "DER"], input=spki, check=True,
                          capture_output=True).stdout
    ext = extensions(cert)
    legacy = ext[bytes.fromhex("06092a864886f84d8a3906")]  # what Gramine writes for 1.2.840.113741.1337.6
    assert report_data(legacy, prefix + ".legacy") == hashlib.sha256(spki).digest() + bytes(32), "legacy binding"
    dice = ext[bytes.fromhex("678105050409")]  # 2.23.133.5.4.9
    major, tag, at = cbor(dice)
    assert (major, tag) == (6, 60000)
    major, n, at = cbor(dice, at)
    assert (major, n) == (4, 2)
    _, quote, at = cbor(dice, at)
    _, claims, at = cbor(dice, at)
    assert at == len(dice)
    assert report_data(quote, prefix + ".dice") == hashlib.sha256(claims).digest() + bytes(32), "DICE binding"
    major, n, at = cbor(claims)
    _, key, at = cbor(claims, at)
    _, hash_entry, at = cbor(claims, at)
    assert key == b"pubkey-hash" and hash_entry.endswith(hashlib.sha256(spki).digest()), "hash of the key"


if __name__ == "__main__":
    commands = {"body": lambda a: body(a[0], a[1], int(a[2])), "grpc-body": lambda a: grpc_body(a[0], int(a[1])),
                "same": lambda a: same(a[0], a[1], int(a[2])), "metadata": lambda a: metadata(a[0]),
                "evidence": lambda a: evidence(*a)}
    commands[sys.argv[1]](sys.argv[2:])
