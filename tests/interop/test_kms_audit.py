#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Exports of the KMS's audit log, checkpoints and receipts: a writer and a verifier made from docs/design/kms-audit.md alone,
with another library for the signatures, against `cczoo kms audit` in both directions.

usage: test_kms_audit.py CCZOO     (the command line)
Exit 77 if the package cannot be had.
"""
import base64
import hashlib
import json
import os
import struct
import subprocess
import sys
import tempfile
import time

import interop_venv

interop_venv.enter("requirements-parquet")

from cryptography.hazmat.primitives import hashes, serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec, utils  # noqa: E402

CCZOO = sys.argv[1]
DASH = "\N{EM DASH} "


def sha(data):
    return hashlib.sha256(data).digest()


def split(n):
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def root(leaves):
    if len(leaves) == 1:
        return leaves[0]
    k = split(len(leaves))
    return sha(b"\1" + root(leaves[:k]) + root(leaves[k:]))


def path(m, leaves):
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    return path(m, leaves[:k]) + [root(leaves[k:])] if m < k else path(m - k, leaves[k:]) + [root(leaves[:k])]


def up(leaf, m, n, nodes):
    """Where a path leads to, by the definition."""
    if n == 1:
        assert not nodes
        return leaf
    k = split(n)
    if m < k:
        return sha(b"\1" + up(leaf, m, k, nodes[:-1]) + nodes[-1])
    return sha(b"\1" + nodes[-1] + up(leaf, m - k, n - k, nodes[:-1]))


def key_id(public):
    n = public.public_numbers()
    x, y = (base64.urlsafe_b64encode(v.to_bytes(32, "big")).rstrip(b"=").decode() for v in (n.x, n.y))
    return sha(json.dumps({"crv": "P-256", "kty": "EC", "x": x, "y": y}, separators=(",", ":")).encode())


class Log:
    """A log of `lines` lines, by us."""

    def __init__(self, lines):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.records, self.leaves, prev = [], [], bytes(32)
        for seq in range(1, lines + 1):
            entry = json.dumps({"op": "Release", "item": "key/m\N{LATIN SMALL LETTER U WITH DIAERESIS}", "n": seq}, ensure_ascii=False)
            data = prev + struct.pack("<QQ", seq, 1700000000 + seq) + entry.encode()
            self.leaves.append(sha(b"\0" + data))
            self.records.append('{"seq":%d,"time":%d,"prev":"%s","hash":"%s","entry":%s}' % (seq, 1700000000 + seq, prev.hex(), sha(data).hex(), entry))
            prev = sha(data)
            self.origin = self.origin if seq > 1 else "cczoo.kms/audit/" + prev[:16].hex()

    def checkpoint(self, size):
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(1700001000 + size))
        body = "%s\n%d\n%s\ntime %s\n" % (self.origin, size, base64.b64encode(root(self.leaves[:size])).decode(), at)
        r, s = utils.decode_dss_signature(self.key.sign(body.encode(), ec.ECDSA(hashes.SHA256())))
        blob = key_id(self.key.public_key()) + r.to_bytes(32, "big") + s.to_bytes(32, "big")
        return "%s\n%s%s %s\n" % (body, DASH, self.origin, base64.b64encode(blob).decode())

    def export(self, sizes):
        public = self.key.public_key()
        spki = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        head = '{"cczoo_kms_audit":1,"origin":"%s","keys":[{"id":"%s","spki":"%s"}]}' % (
            self.origin, key_id(public).hex(), base64.b64encode(spki).decode())
        signed = ['{"checkpoint":%s}' % json.dumps(self.checkpoint(n), ensure_ascii=False) for n in sizes]
        return "\n".join([head] + self.records + signed) + "\n"

    def receipt(self, m, size):
        nodes = ",".join('"%s"' % h.hex() for h in path(m, self.leaves[:size]))
        return '{"seq":%d,"leaf":"%s","path":[%s],"checkpoint":%s}\n' % (
            m + 1, self.leaves[m].hex(), nodes, json.dumps(self.checkpoint(size), ensure_ascii=False))


def check_receipt(text, leaves, public):
    """A receipt that CCZOO printed."""
    r = json.loads(text)
    body, blob = r["checkpoint"].split("\n\n")
    origin, size, top, at = body.split("\n")
    assert blob.startswith(DASH + origin + " ") and at.startswith("time "), blob
    raw = base64.b64decode(blob.split(" ")[2])
    assert len(raw) == 96 and raw[:32] == key_id(public)
    sig = utils.encode_dss_signature(int.from_bytes(raw[32:64], "big"), int.from_bytes(raw[64:], "big"))
    public.verify(sig, (body + "\n").encode(), ec.ECDSA(hashes.SHA256()))
    nodes = [bytes.fromhex(h) for h in r["path"]]
    assert bytes.fromhex(r["leaf"]) == leaves[r["seq"] - 1]
    assert up(leaves[r["seq"] - 1], r["seq"] - 1, int(size), nodes) == base64.b64decode(top) == root(leaves[: int(size)])


def run(want, *args):
    p = subprocess.run([CCZOO, "kms", "audit", *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert p.returncode == want, (args, p.returncode, p.stdout, p.stderr)
    return p.stdout


with tempfile.TemporaryDirectory() as tmp:
    def write(name, text):
        with open(os.path.join(tmp, name), "w", encoding="utf-8") as f:
            f.write(text)
        return os.path.join(tmp, name)

    for lines in (1, 2, 3, 7, 8, 13, 100):
        log = Log(lines)
        pem = log.key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        keys = write("keys.pem", pem.decode())
        sizes = sorted({1, (lines + 1) // 2, lines})
        export = write("export", log.export(sizes))
        some = range(lines) if lines < 20 else range(0, lines, 9)
        receipts = write("receipts", "".join(log.receipt(m, n) for n in sizes for m in some if m < n))
        for n in sizes:
            out = run(0, "verify", export, "--key", keys, "--receipt", receipts, "--from", write("note", log.checkpoint(n)))
            assert out.startswith("accepted: %d lines, %d checkpoints" % (lines, len(sizes))), out
        for m in some:
            check_receipt(run(0, "receipt", export, str(m + 1), "--key", keys), log.leaves, log.key.public_key())
        other = Log(lines)
        other.origin = log.origin  # signed by another key: only that tells
        run(1, "verify", export, "--key", keys, "--from", write("note", other.checkpoint(1)))
print("ok")
