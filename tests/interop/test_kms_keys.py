#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Keys of the KMS held to PyPI's cryptography, and to RFC 8017 and src/kms/kms_keys.h in plain Python.

usage: test_kms_keys.py KMS_KEYS_PEER     (the program built from kms_keys_peer.c)
Exit 77 if the package cannot be had.
"""
import hashlib
import hmac
import os
import subprocess
import sys

import interop_venv

interop_venv.enter("requirements-kms-keys")

import cryptography  # noqa: E402
from cryptography.exceptions import InvalidSignature  # noqa: E402
from cryptography.hazmat.primitives import hashes, serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils  # noqa: E402
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305  # noqa: E402
from cryptography.hazmat.primitives.kdf.hkdf import HKDF  # noqa: E402
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap_with_padding, aes_key_wrap_with_padding  # noqa: E402

PEER = sys.argv[1]
HASHES = {256: hashes.SHA256, 384: hashes.SHA384, 512: hashes.SHA512}
# number of the kind, size of its material, cipher, size of its key
AEAD = {"aes-128-gcm": (3, 16, AESGCM, 16), "aes-256-gcm": (4, 32, AESGCM, 32), "chacha20-poly1305": (5, 32, ChaCha20Poly1305, 32)}
DER, RAW = serialization.Encoding.DER, serialization.Encoding.Raw
cases = 0


def check(ok, what):
    global cases
    cases += 1
    if not ok:
        sys.exit("failed: %s" % what)


def text(*args, fails=None):
    args = [a.hex() or "-" if isinstance(a, bytes) else str(a) for a in args]
    run = subprocess.run([PEER, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if fails:
        check(run.returncode == 1 and run.stderr.startswith(fails + ":"), "%s: %s" % (args[:2], run.stderr))
        return ""
    check(run.returncode == 0, "%s: %s" % (args[:2], run.stderr))
    return run.stdout


def peer(*args, fails=None):
    return bytes.fromhex(text(*args, fails=fails).strip())


def pkcs8(key):
    return key.private_bytes(DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def spki(key):
    return key.public_key().public_bytes(DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def load(material):
    return serialization.load_der_private_key(material, None)


# ------------------------------------------------------------------------------- symmetric keys

def label(name, kind, version):
    return name + b"\0" + bytes([kind]) + version.to_bytes(4, "little")


def message_key(kind, material, version, salt):
    number, _, cipher, size = AEAD[kind]
    block = hmac.new(material, label(b"cczoo kms message v1", number, version) + salt, hashlib.sha512).digest()
    return cipher(block[:size]), block[32:44]


def aead(kind):
    material = os.urandom(AEAD[kind][1])
    for version, size, aad in ((1, 1, b""), (2, 33, b"aad"), (1000, 5000, os.urandom(300))):
        plain, salt = os.urandom(size), os.urandom(24)
        sealed = peer("encrypt", kind, version, material, aad, plain)
        c, nonce = message_key(kind, material, version, sealed[1:25])
        check(sealed[:1] == b"\1" and c.decrypt(nonce, sealed[25:], aad) == plain, "%s: our ciphertext" % kind)
        c, nonce = message_key(kind, material, version, salt)
        theirs = b"\1" + salt + c.encrypt(nonce, plain, aad)
        check(peer("decrypt", kind, version, material, aad, theirs) == plain, "%s: their ciphertext" % kind)
        peer("decrypt", kind, version % 1000 + 1, material, aad, theirs, fails="kms:key-decrypt")
        peer("decrypt", kind, version, material, aad + b"x", theirs, fails="kms:key-decrypt")


def others():
    for kind, size in (("aes-128-gcm", 16), ("aes-256-gcm", 32)):
        material = os.urandom(size)
        for n in (1, 7, 8, 9, 16, 31, 32, 1000):
            plain = os.urandom(n)
            wrapped = peer("wrap", kind, 1, material, b"", plain)
            check(wrapped == aes_key_wrap_with_padding(material, plain), "%s: wrap of %d bytes" % (kind, n))
            check(peer("unwrap", kind, 1, material, b"", wrapped) == plain, "%s: unwrap of %d bytes" % (kind, n))
    for kind, number in (("aes-256-gcm", 4), ("chacha20-poly1305", 5), ("hmac-sha256", 6)):
        for n in (16, 32, 64):
            material, context = os.urandom(32), os.urandom(n)
            info = label(b"cczoo kms derive v1", number, 3) + context
            want = HKDF(hashes.SHA256(), n, None, info).derive(material)
            check(peer("derive", kind, 3, material, context, n) == want, "%s: derived %d bytes" % (kind, n))
    for n in (32, 48, 64):
        material, m = os.urandom(n), os.urandom(3 * n)
        check(peer("hmac", "hmac-sha256", material, m) == hmac.new(material, m, hashlib.sha256).digest(), "HMAC")


# -------------------------------------------------------------------- RFC 8017 with integers alone

def mgf1(seed, size, h):
    out = b""
    while len(out) < size:
        out += h(seed + (len(out) // h().digest_size).to_bytes(4, "big")).digest()
    return out[:size]


def xor(a, b):
    return bytes(x ^ y for x, y in zip(a, b))


def pkcs1_encoded(message, bits, size):
    head = {256: "3031300d060960864801650304020105000420", 384: "3041300d060960864801650304020205000430",
            512: "3051300d060960864801650304020305000440"}[bits]
    t = bytes.fromhex(head) + hashlib.new("sha%d" % bits, message).digest()
    return b"\0\1" + b"\xff" * (size - len(t) - 3) + b"\0" + t


def pss_ok(encoded, message, bits):
    """EMSA-PSS-VERIFY with a salt as long as the hash, which is the only one there has to be."""
    h, n = getattr(hashlib, "sha%d" % bits), bits // 8
    masked, digest = encoded[:-n - 1], encoded[-n - 1:-1]
    db = bytearray(xor(masked, mgf1(digest, len(masked), h)))
    db[0] &= 0x7f
    zeros = len(db) - n - 1
    return (encoded[-1] == 0xbc and masked[0] < 0x80 and bytes(db[:zeros]) == bytes(zeros) and db[zeros] == 1 and
            h(bytes(8) + h(message).digest() + bytes(db[zeros + 1:])).digest() == digest)


def rsa_plain(size):
    key = rsa.generate_private_key(65537, size)
    n, e, d = key.public_key().public_numbers().n, 65537, key.private_numbers().d
    kind, material, m = "rsa-%d" % size, pkcs8(key), os.urandom(50)
    check(peer("import", kind, material) == material, "%s: their PKCS#8 is ours" % kind)
    for bits in HASHES:
        sig = peer("sign", kind, material, "%dp" % bits, m)
        check(pow(int.from_bytes(sig, "big"), e, n).to_bytes(size // 8, "big") == pkcs1_encoded(m, bits, size // 8), "%s: PKCS#1" % kind)
        sig = peer("sign", kind, material, "%d" % bits, m)
        check(pss_ok(pow(int.from_bytes(sig, "big"), e, n).to_bytes(size // 8, "big"), m, bits), "%s: PSS" % kind)
    # RSAES-OAEP: ours opened by its text
    sealed = peer("encrypt", kind, 1, material, b"", m)
    em = pow(int.from_bytes(sealed, "big"), d, n).to_bytes(size // 8, "big")
    seed = xor(em[1:33], mgf1(em[33:], 32, hashlib.sha256))
    db = xor(em[33:], mgf1(seed, len(em) - 33, hashlib.sha256))
    check(em[0] == 0 and db[:32] == hashlib.sha256(b"").digest() and db[32:].lstrip(b"\0") == b"\1" + m, "%s: OAEP" % kind)


# ----------------------------------------------------------------------------------- signatures

def ec_sig(sig, form, size):
    if form == "a":
        return sig
    return utils.encode_dss_signature(int.from_bytes(sig[:size], "big"), int.from_bytes(sig[size:], "big"))


def verifies(verify, *args):
    try:
        verify(*args)
        return True
    except InvalidSignature:
        return False


def ecdsa(kind, curve, size, sizes):
    for key, material in ((ec.generate_private_key(curve), None), (None, peer("generate", kind))):
        key, material = key or load(material), material or pkcs8(key)
        peer("import", kind, material)
        for bits in sizes:
            m = os.urandom(100)
            digest = hashlib.new("sha%d" % bits, m).digest()
            for form in "ra":
                for data, d in ((m, ""), (digest, "d")):
                    sig = peer("sign", kind, material, "%d%s%s" % (bits, d, form), data)
                    check(verifies(key.public_key().verify, ec_sig(sig, form, size), m, ec.ECDSA(HASHES[bits]())), "%s: our signature" % kind)
                theirs = key.sign(m, ec.ECDSA(HASHES[bits]()))
                if form == "r":
                    theirs = b"".join(x.to_bytes(size, "big") for x in utils.decode_dss_signature(theirs))
                text("verify", spki(key), "%d%s" % (bits, form), m, theirs)
                text("verify", spki(key), "%dd%s" % (bits, form), digest, theirs)
                text("verify", spki(key), "%d%s" % (bits, form), m + b"x", theirs, fails="pkey:signature")
        pem = text("public", kind, material).encode()
        check(serialization.load_pem_public_key(pem).public_numbers() == key.public_key().public_numbers(), "%s: PEM" % kind)


def ed():
    for material in (pkcs8(ed25519.Ed25519PrivateKey.generate()), peer("generate", "ed25519")):
        key, m = load(material), os.urandom(100)
        check(peer("import", "ed25519", material) == material, "ed25519: PKCS#8")
        check(peer("sign", "ed25519", material, "256", m) == key.sign(m), "ed25519: the only signature")
        text("verify", spki(key), "256", m, key.sign(m))
        text("verify", spki(key), "256", m + b"x", key.sign(m), fails="pkey:signature")


def rsa_signatures():
    material = peer("generate", "rsa-2048")
    key, m = load(material), os.urandom(100)
    for bits, h in HASHES.items():
        for pad, letter in ((padding.PKCS1v15(), "p"), (padding.PSS(padding.MGF1(h()), bits // 8), "")):
            sig = peer("sign", "rsa-2048", material, "%d%s" % (bits, letter), m)
            check(verifies(key.public_key().verify, sig, m, pad, h()), "rsa-2048: our signature")
            text("verify", spki(key), "%d%s" % (bits, letter), m, key.sign(m, pad, h()))
        # a salt of another length, which verifiers that look at nothing accept
        for salt in (0, 20, bits // 8 - 1, padding.PSS.MAX_LENGTH):
            sig = key.sign(m, padding.PSS(padding.MGF1(h()), salt), h())
            text("verify", spki(key), bits, m, sig, fails="pkey:signature")
    oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    check(key.decrypt(peer("wrap", "rsa-2048", 1, material, b"", m), oaep) == m, "rsa-2048: our OAEP")
    check(peer("unwrap", "rsa-2048", 1, material, b"", key.public_key().encrypt(m, oaep)) == m, "rsa-2048: their OAEP")
    for other in (padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None),
                  padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA256(), None)):
        peer("unwrap", "rsa-2048", 1, material, b"", key.public_key().encrypt(m, other), fails="kms:key-unwrap")


# --------------------------------------------------------------------------------------- import

def wrapped_import():
    wrapping = rsa.generate_private_key(65537, 3072)
    oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    for kind, foreign in (("aes-256-gcm", os.urandom(32)), ("hmac-sha256", os.urandom(40)),
                          ("ecdsa-p384", pkcs8(ec.generate_private_key(ec.SECP384R1()))),
                          ("rsa-2048", pkcs8(rsa.generate_private_key(65537, 2048)))):
        k = os.urandom(32)
        blob = wrapping.public_key().encrypt(k, oaep) + aes_key_wrap_with_padding(k, foreign)
        material = peer("unblob", pkcs8(wrapping), kind, blob)
        check(material == foreign if kind[0] in "ah" else spki(load(material)) == spki(load(foreign)), "%s: their blob" % kind)
        ours = peer("blob", spki(wrapping), foreign)
        check(aes_key_unwrap_with_padding(wrapping.decrypt(ours[:384], oaep), ours[384:]) == foreign, "%s: our blob" % kind)


def refused():
    for key, where in ((ec.generate_private_key(ec.SECP256K1()), "key:curve"), (ec.generate_private_key(ec.SECP521R1()), "key:curve")):
        text("import", "ecdsa-p256", pkcs8(key), fails=where)
    text("import", "rsa-2048", pkcs8(rsa.generate_private_key(3, 2048)), fails="pkey:rsa-exponent")
    text("import", "rsa-2048", pkcs8(rsa.generate_private_key(65537, 1024)), fails="pkey:rsa-size")
    encrypted = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        DER, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x"))
    text("import", "ecdsa-p256", encrypted, fails="pkey:pkcs8")
    old = rsa.generate_private_key(65537, 2048).private_bytes(
        DER, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
    text("import", "rsa-2048", old, fails="pkey:pkcs8")


for name in AEAD:
    aead(name)
others()
ecdsa("ecdsa-p256", ec.SECP256R1(), 32, (256, 384, 512))
ecdsa("ecdsa-p384", ec.SECP384R1(), 48, (384, 512))
ed()
rsa_signatures()
for bits in (2048, 3072):
    rsa_plain(bits)
wrapped_import()
refused()
print("cryptography %s and we agree in %d checks" % (cryptography.__version__, cases))
