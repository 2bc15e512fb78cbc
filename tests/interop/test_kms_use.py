#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What keys inside a running KMS make, against PyPI's cryptography in both directions; keys that it made come in wrapped by it.

usage: test_kms_use.py BIN     (the folder of cczoo and cczoo-kmsd)
Exit 77 if the package cannot be had.
"""
import base64
import hashlib
import hmac
import json
import os
import subprocess
import sys
import tempfile
import time

import interop_venv

interop_venv.enter("requirements-kms-keys")

from cryptography.exceptions import InvalidSignature  # noqa: E402
from cryptography.hazmat.primitives import hashes, serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils  # noqa: E402
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305  # noqa: E402
from cryptography.hazmat.primitives.kdf.hkdf import HKDF  # noqa: E402
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap_with_padding, aes_key_wrap_with_padding  # noqa: E402

BIN = sys.argv[1]
MESSAGE = b"what is signed"
DER = serialization.Encoding.DER
PSS = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
cases = 0


def check(ok, what):
    global cases
    cases += 1
    if not ok:
        sys.exit("failed: %s" % what)


class Kms:
    def __init__(self, folder):
        self.folder = folder
        self.files = 0
        self.run("cczoo", "sim", "init", self.path("sim"))
        for name, program in ("kms", "cczoo-kmsd"), ("cli", "cczoo"):
            measured = self.run("cczoo", "sim", "measure", os.path.join(BIN, program)).decode().strip()
            rule = {"name": "program", "tee": "sgx", "sim": True, "mrenclave": measured, "tcb_status": ["UpToDate"]}
            with open(self.path(name + ".json"), "w") as f:
                json.dump({"version": 1, "rules": [rule]}, f)
        self.run("cczoo-kmsd", "init", "--state", self.path("state"), "--admin-key", self.path("admin.key"))
        self.log = open(self.path("log"), "w")
        self.daemon = subprocess.Popen(
            [os.path.join(BIN, "cczoo-kmsd"), "run", "--state", self.path("state"), "--listen", "127.0.0.1:0", "--port-file",
             self.path("port"), "--tee", "sim-sgx", "--sim-dir", self.path("sim"), "--trust-sim", self.path("sim/trust")],
            stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL)
        for _ in range(600):
            if os.path.exists(self.path("port")):
                break
            time.sleep(0.1)
        self.reach = ["--kms", "127.0.0.1:" + open(self.path("port")).read().strip(), "--policy", self.path("kms.json"),
                      "--trust-sim", self.path("sim/trust")]
        self.admin("policy", "put", "cli", self.path("cli.json"))

    def path(self, name):
        return os.path.join(self.folder, name)

    def new(self, data=None):
        """A file of its own; with data it holds them, else it does not exist yet."""
        self.files += 1
        name = self.path("f%d" % self.files)
        if data is not None:
            with open(os.open(name, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as f:
                f.write(data)
        return name

    def run(self, program, *args, fails=None):
        run = subprocess.run([os.path.join(BIN, program), *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if fails:
            check(run.returncode != 0 and fails.encode() in run.stderr, "%s: %s" % (args[:3], run.stderr))
        else:
            check(run.returncode == 0, "%s: %s" % (args[:4], run.stderr))
        return run.stdout

    def admin(self, *args, **how):
        return self.run("cczoo", "kms", *args, *self.reach, "--admin-key", self.path("admin.key"), **how)

    def work(self, *args, **how):
        return self.run("cczoo", "kms", "key", *args, *self.reach, "--tee", "sim-sgx", "--sim-dir", self.path("sim"), **how)

    def out(self, *args):
        """What a verb writes to its --out."""
        name = self.new()
        self.work(*args, "--out", name)
        return open(name, "rb").read()

    def close(self):
        self.daemon.terminate()
        check(self.daemon.wait(60) == 0, "the daemon ends in order")


def pkcs8(key):
    return key.private_bytes(DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def raw_to_der(sig):
    n = len(sig) // 2
    return utils.encode_dss_signature(int.from_bytes(sig[:n], "big"), int.from_bytes(sig[n:], "big"))


def der_to_raw(sig, n):
    r, s = utils.decode_dss_signature(sig)
    return r.to_bytes(n, "big") + s.to_bytes(n, "big")


def refuses(verify):
    try:
        verify()
    except InvalidSignature:
        return True
    return False


def signatures(kms):
    """name, kind, ops, their key, [(options, sign as they do, verify as they do)]"""
    p256, p384 = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP384R1())
    ed, pair = ed25519.Ed25519PrivateKey.generate(), rsa.generate_private_key(65537, 2048)
    pkcs1 = padding.PKCS1v15()

    def ecdsa(key, hash_, n, der):
        sign = lambda m: key.sign(m, ec.ECDSA(hash_)) if der else der_to_raw(key.sign(m, ec.ECDSA(hash_)), n)  # noqa: E731
        verify = lambda pub, s, m: pub.verify(s if der else raw_to_der(s), m, ec.ECDSA(hash_))  # noqa: E731
        return sign, verify

    families = [
        ("p256", "ecdsa-p256", p256, [([], *ecdsa(p256, hashes.SHA256(), 32, False)),
                                      (["--form", "der"], *ecdsa(p256, hashes.SHA256(), 32, True)),
                                      (["--form", "der", "--hash", "sha512"], *ecdsa(p256, hashes.SHA512(), 32, True))]),
        ("p384", "ecdsa-p384", p384, [([], *ecdsa(p384, hashes.SHA384(), 48, False))]),
        ("ed", "ed25519", ed, [([], ed.sign, lambda pub, s, m: pub.verify(s, m))]),
        ("rsa", "rsa-2048", pair, [([], lambda m: pair.sign(m, PSS, hashes.SHA256()),
                                    lambda pub, s, m: pub.verify(s, m, PSS, hashes.SHA256())),
                                   (["--padding", "pkcs1", "--hash", "sha384"], lambda m: pair.sign(m, pkcs1, hashes.SHA384()),
                                    lambda pub, s, m: pub.verify(s, m, pkcs1, hashes.SHA384()))]),
    ]
    message = kms.new(MESSAGE)
    for name, kind, key, ways in families:
        ops = ["--ops", "sign,verify,public-key"]
        kms.admin("key", "create", "made-" + name, "--alg", kind, "--bind", "cli", *ops)
        kms.admin("key", "import", "in-" + name, "--alg", kind, "--bind", "cli", "--from", kms.new(pkcs8(key)), *ops)
        for where in "made-", "in-":
            pub = serialization.load_pem_public_key(kms.admin("key", "public", where + name))
            for options, _, verify in ways:
                sig = kms.out("sign", where + name, "--from", message, *options)
                verify(pub, sig, MESSAGE)
                check(refuses(lambda: verify(pub, sig, MESSAGE + b".")), "%s of another message" % kind)
        for options, sign, verify in ways:
            kms.work("verify", "in-" + name, "--from", message, "--signature", kms.new(sign(MESSAGE)), *options)
            kms.work("verify", "in-" + name, "--from", message, "--signature", kms.new(sign(MESSAGE + b".")), *options,
                     fails="pkey:signature")
    digest = kms.new(hashlib.sha256(MESSAGE).digest())
    sig = kms.out("sign", "in-p256", "--from", digest, "--prehashed", "--form", "der")
    p256.public_key().verify(sig, MESSAGE, ec.ECDSA(hashes.SHA256()))


def message_key(key, kind, version, salt):
    label = b"cczoo kms message v1\0" + bytes([kind]) + version.to_bytes(4, "little")
    block = hmac.new(key, label + salt, hashlib.sha512).digest()
    return block[:32], block[32:44]


def ciphertexts(kms):
    for number, kind, cipher in (4, "aes-256-gcm", AESGCM), (5, "chacha20-poly1305", ChaCha20Poly1305):
        key, text, aad = os.urandom(32), b"attack at dawn", "row 7"
        kms.admin("key", "import", kind, "--alg", kind, "--bind", "cli", "--from", kms.new(key))
        sealed = kms.work("encrypt", kind, "--from", kms.new(text), "--aad", aad).decode().strip()
        head, version, body = sealed.split(":")
        raw = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
        check(head == "ccz1" and version == "1" and raw[0] == 1, "form of a ciphertext")
        k, nonce = message_key(key, number, 1, raw[1:25])
        check(cipher(k).decrypt(nonce, raw[25:], aad.encode()) == text, "%s opens elsewhere" % kind)
        salt = os.urandom(24)
        k, nonce = message_key(key, number, 1, salt)
        ours = b"\1" + salt + cipher(k).encrypt(nonce, text, aad.encode())
        ours = b"ccz1:1:" + base64.urlsafe_b64encode(ours).rstrip(b"=")
        check(kms.out("decrypt", kind, "--from", kms.new(ours), "--aad", aad) == text, "%s opens here" % kind)
        info = b"cczoo kms derive v1\0" + bytes([number]) + (1).to_bytes(4, "little") + b"tenant 7"
        want = HKDF(hashes.SHA256(), 48, None, info).derive(key)
        check(kms.out("derive", kind, "tenant 7", "--size", "48") == want, "what %s derives" % kind)
    key, inner = os.urandom(32), os.urandom(20)
    kms.admin("key", "import", "kek", "--alg", "aes-256-gcm", "--bind", "cli", "--from", kms.new(key))
    check(aes_key_unwrap_with_padding(key, kms.out("wrap", "kek", "--from", kms.new(inner))) == inner, "KWP from here")
    check(kms.out("unwrap", "kek", "--from", kms.new(aes_key_wrap_with_padding(key, inner))) == inner, "KWP from there")


def macs(kms):
    key = os.urandom(48)
    kms.admin("key", "import", "mac", "--alg", "hmac-sha256", "--bind", "cli", "--from", kms.new(key))
    want = hmac.new(key, MESSAGE, hashlib.sha256).hexdigest()
    check(kms.work("hmac", "mac", "--from", kms.new(MESSAGE)).decode().strip() == want, "HMAC")
    kms.work("hmac-verify", "mac", "--from", kms.new(MESSAGE), "--mac", want)


def wrapped_elsewhere(kms):
    """CKM_RSA_AES_KEY_WRAP by another library."""
    pair = ec.generate_private_key(ec.SECP256R1())
    params = json.loads(kms.admin("key", "import-token", "hsm", "--alg", "ecdsa-p256"))
    wrapping = serialization.load_der_public_key(base64.b64decode(params["wrapping_key"]))
    k = os.urandom(32)
    oaep = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)
    blob = wrapping.encrypt(k, oaep) + aes_key_wrap_with_padding(k, pkcs8(pair))
    kms.admin("key", "import-wrapped", "hsm", "--alg", "ecdsa-p256", "--from", kms.new(blob), "--token", params["token"])
    pub = serialization.load_pem_public_key(kms.admin("key", "public", "hsm"))
    check(pub.public_numbers() == pair.public_key().public_numbers(), "the pair that was wrapped is there")


with tempfile.TemporaryDirectory() as folder:
    kms = Kms(folder)
    try:
        signatures(kms)
        ciphertexts(kms)
        macs(kms)
        wrapped_elsewhere(kms)
        kms.close()
    finally:
        if kms.daemon.poll() is None:
            kms.daemon.kill()
print("ok: %d checks" % cases)
