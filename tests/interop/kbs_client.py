# SPDX-License-Identifier: Apache-2.0
"""A client of the KBS protocol ("RCAR") in plain Python: what it sends and expects is written from the protocol's description and the
RFCs, with PyPI's cryptography alone. Evidence comes from a function; SNP reports are taken apart into JSON here."""
import base64
import hashlib
import http.client
import json
import os
import ssl
import struct

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap


def b64u(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64u(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def canonical(value):
    """RFC 8785 for what is hashed here: objects of strings."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


class TeeKey:
    """The key that is attested."""

    def __init__(self, kind="EC"):
        self.kind = kind
        if kind == "EC":
            self.key = ec.generate_private_key(ec.SECP256R1())
            n = self.key.public_key().public_numbers()
            self.jwk = {"kty": "EC", "crv": "P-256", "alg": "ECDH-ES+A256KW", "x": b64u(n.x.to_bytes(32, "big")), "y": b64u(n.y.to_bytes(32, "big"))}
        else:
            self.key = rsa.generate_private_key(65537, 2048)
            n = self.key.public_key().public_numbers()
            self.jwk = {"kty": "RSA", "alg": "RSA-OAEP-256", "n": b64u(n.n.to_bytes(256, "big")), "e": b64u(b"\1\0\1")}

    def open(self, jwe):
        """RFC 7516, 7518; the additional data is the protected header parsed and written again, as stock clients do."""
        header = json.loads(unb64u(jwe["protected"]))
        again = {k: header[k] for k in ("alg", "enc")}
        again.update({k: header[k] for k in sorted(header) if k not in again})
        aad = b64u(json.dumps(again, separators=(",", ":")).encode()).encode()
        assert header["enc"] == "A256GCM" and header["alg"] == self.jwk["alg"], header
        wrapped = unb64u(jwe["encrypted_key"])
        if self.kind == "EC":
            epk = header["epk"]
            peer = ec.EllipticCurvePublicNumbers(int.from_bytes(unb64u(epk["x"]), "big"), int.from_bytes(unb64u(epk["y"]), "big"), ec.SECP256R1()).public_key()
            z = self.key.exchange(ec.ECDH(), peer)
            alg = b"ECDH-ES+A256KW"
            other = struct.pack(">I", len(alg)) + alg + struct.pack(">III", 0, 0, 256)
            cek = aes_key_unwrap(hashlib.sha256(struct.pack(">I", 1) + z + other).digest(), wrapped)
        else:
            cek = self.key.decrypt(wrapped, padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None))
        return AESGCM(cek).decrypt(unb64u(jwe["iv"]), unb64u(jwe["ciphertext"]) + unb64u(jwe["tag"]), aad)


# ---------------------------------------------------------------------------------- evidence

SNP_FIELDS = [  # AMD 56860, table 23
    ("version", "I"), ("guest_svn", "I"), ("policy", "Q"), ("family_id", 16), ("image_id", 16), ("vmpl", "I"), ("sig_algo", "I"), ("current_tcb", "tcb"),
    ("plat_info", "Q"), ("key_info", "I"), (None, 4), ("report_data", 64), ("measurement", 48), ("host_data", 32), ("id_key_digest", 48),
    ("author_key_digest", 48), ("report_id", 32), ("report_id_ma", 32), ("reported_tcb", "tcb"), ("cpuid_fam_id", "B"), ("cpuid_mod_id", "B"),
    ("cpuid_step", "B"), (None, 21), ("chip_id", 64), ("committed_tcb", "tcb"), ("current", "fw"), ("committed", "fw"), ("launch_tcb", "tcb"),
    ("launch_mit_vector", "Q"), ("current_mit_vector", "Q"), (None, 152),
]


def snp_json(evidence):
    report, at, out = evidence[:1184], 0, {}
    for name, kind in SNP_FIELDS:
        size = kind if isinstance(kind, int) else {"tcb": 8, "fw": 4}.get(kind) or struct.calcsize("<" + kind)
        raw, at = report[at:at + size], at + size
        if name is None:
            continue
        if kind == "tcb":
            value = {"fmc": None, "bootloader": raw[0], "tee": raw[1], "snp": raw[6], "microcode": raw[7]}
        elif kind == "fw":
            value = {"major": raw[2], "minor": raw[1], "build": raw[0]}
        else:
            value = list(raw) if isinstance(kind, int) else struct.unpack("<" + kind, raw)[0]
        out[name] = value
    out["signature"] = {"r": list(report[0x2a0:0x2e8]), "s": list(report[0x2e8:0x330])}
    table, chain = evidence[1184:], []
    names = {"63da758d": "VCEK", "a8074bc2": "VLEK", "4ab7b379": "ASK", "c0b406a4": "ARK"}
    for i in range(0, len(table), 24):
        guid, (offset, size) = table[i:i + 16], struct.unpack("<II", table[i + 16:i + 24])
        if guid == bytes(16):
            break
        chain.append({"cert_type": names[guid[:4].hex()], "data": list(table[offset:offset + size])})
    return {"attestation_report": out, "cert_chain": chain or None}


def evidence_json(tee, evidence):
    if tee == "snp":
        return snp_json(evidence)
    quote = base64.b64encode(evidence).decode()
    return {"quote": quote} if tee == "sgx" else {"cc_eventlog": None, "quote": quote}


# ------------------------------------------------------------------------------------ client

class Client:
    """One client: its connection, cookies, key and token. evidence(report_data) gives the bytes that a TEE would."""

    def __init__(self, port, tee, evidence, key=None, cert=None, host="127.0.0.1"):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # values are encrypted to the key in any case
        if cert:
            context.load_cert_chain(*cert)
        self.http = http.client.HTTPSConnection(host, port, context=context, timeout=60)
        self.tee, self.evidence, self.key, self.cookies, self.token = tee, evidence, key or TeeKey(), {}, None

    def ask(self, method, path, body=None, headers=None, cookies=True):
        headers = dict(headers or {})
        if cookies and self.cookies:
            headers["Cookie"] = "; ".join("%s=%s" % c for c in self.cookies.items())
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
            headers["Content-Type"] = "application/json"
        self.http.request(method, path, body, headers)
        answer = self.http.getresponse()
        data = answer.read()
        for name, value in answer.getheaders():
            if name.lower() == "set-cookie":
                k, _, v = value.split(";")[0].partition("=")
                self.cookies[k] = v
        if answer.status != 200 and path.startswith("/kbs/"):
            info = json.loads(data)  # without it, clients tell their users of a parse error
            assert info["type"].startswith("https://github.com/confidential-containers/kbs/errors/") and info["detail"], info
        return answer.status, data

    def auth(self, version="0.4.0"):
        status, data = self.ask("POST", "/kbs/v0/auth", {"version": version, "tee": self.tee, "extra-params": {"supported-hash-algorithms": ["sha384"]}})
        if status != 200:
            return status, data
        challenge = json.loads(data)
        assert challenge["extra-params"] == "" and len(base64.b64decode(challenge["nonce"], validate=True)) == 32, challenge
        return status, challenge["nonce"]

    def attest(self, nonce, query="", key=None, init_data=None):
        jwk = (key or self.key).jwk
        bound = {"additional-evidence": "", "nonce": nonce, "tee-pubkey": self.key.jwk}
        report_data = hashlib.sha384(canonical(bound)).digest().ljust(64, b"\0")
        status, data = self.ask("POST", "/kbs/v0/attest" + query, {
            "init-data": init_data, "runtime-data": {"nonce": nonce, "tee-pubkey": jwk},
            "tee-evidence": {"primary_evidence": evidence_json(self.tee, self.evidence(report_data)), "additional_evidence": ""}})
        if status == 200:
            self.token = json.loads(data)["token"]
        return status, data

    def handshake(self, **more):
        status, nonce = self.auth()
        return self.attest(nonce, **more) if status == 200 else (status, nonce)

    def resource(self, path, bearer=False):
        """As stock clients do: attest when told 401, three times at most."""
        for _ in range(3):
            headers = {"Authorization": "Bearer " + self.token} if bearer and self.token else None
            status, data = self.ask("GET", "/kbs/v0/resource/" + path, headers=headers, cookies=not bearer)
            if status != 401:
                break
            assert self.handshake()[0] == 200
        return (status, self.key.open(json.loads(data))) if status == 200 else (status, json.loads(data))


def random_name():
    return "r%s/t/v" % os.urandom(8).hex()
