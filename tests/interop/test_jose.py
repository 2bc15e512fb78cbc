#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Keys, signatures, tokens and encryption exchanged with jwcrypto, and canonical JSON with rfc8785, in both directions.

usage: test_jose.py PEER     (the program built from jose_peer.c)
Exit 77 if the packages cannot be had.
"""
import json
import random
import subprocess
import sys
import time

import interop_venv

interop_venv.enter("requirements-jose")

import rfc8785  # noqa: E402
from cryptography.hazmat.primitives import serialization  # noqa: E402
from jwcrypto import jwe, jwk, jws, jwt  # noqa: E402
from jwcrypto.common import base64url_decode, base64url_encode, json_encode  # noqa: E402

peer = subprocess.Popen([sys.argv[1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8")
rng = random.Random(1)
runs = 0


def check(ok, what):
    if not ok:
        sys.exit("failed: %s" % (what,))


def ours(op, refused=None, **job):
    """Has the peer do a job; REFUSED: where it has to refuse."""
    global runs
    runs += 1
    peer.stdin.write(json.dumps(dict(job, op=op), ensure_ascii=rng.random() < 0.5) + "\n")
    peer.stdin.flush()
    line = peer.stdout.readline()
    check(line, "%s: the peer ended" % op)
    answer = json.loads(line)
    check(answer.get("refused") == refused, "%s: %s, expected %s" % (op, answer, refused))
    return answer


def generate(kind, **more):
    if kind == "RSA":
        return jwk.JWK.generate(kty="RSA", size=2048, **more)
    if kind == "Ed25519":
        return jwk.JWK.generate(kty="OKP", crv="Ed25519", **more)
    return jwk.JWK.generate(kty="EC", crv=kind, **more)


def public(key, **more):
    return dict(key.export_public(as_dict=True), **more)


def pkcs8(key):
    private = serialization.load_pem_private_key(key.export_to_pem(private_key=True, password=None), None)
    return base64url_encode(private.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8,
                                                  serialization.NoEncryption()))


KEYS = {kind: generate(kind) for kind in ("P-256", "P-384", "RSA", "Ed25519")}
OTHER = {kind: generate(kind) for kind in KEYS}


def test_keys():
    for kind in KEYS:
        for n in range(1 if kind == "RSA" else 30):
            key = KEYS[kind] if n == 0 else generate(kind)
            got = ours("jwk", jwk=public(key, kid="k%d" % n))
            check(got["thumbprint"] == key.thumbprint(), "thumbprint of %s" % kind)
            back = jwk.JWK.from_json(base64url_decode(got["text"]).decode())
            check(back.thumbprint() == key.thumbprint() and back["kid"] == "k%d" % n, "key of %s" % kind)
        ours("jwk", refused="jwk:private", jwk=KEYS[kind].export_private(as_dict=True))
    ours("jwk", refused="jwk:private", jwk=jwk.JWK.generate(kty="oct", size=256).export(as_dict=True))
    ours("jwk", refused="jwk:crv", jwk=public(generate("P-521")))
    ours("jwk", refused="jwk:crv", jwk=public(jwk.JWK.generate(kty="OKP", crv="X25519")))
    ours("jwk", refused="jwk:crv", jwk=public(jwk.JWK.generate(kty="OKP", crv="Ed448")))
    ours("jwk", refused="jwk:rsa", jwk=public(jwk.JWK.generate(kty="RSA", size=1024)))


def token_of(key, alg, payload, **header):
    t = jws.JWS(payload)
    t.allowed_algs = [alg]
    t.add_signature(key, alg, json_encode(dict(header, alg=alg)))
    return t.serialize(compact=True)


def test_signatures():
    kinds = [("P-256", "ES256"), ("P-384", "ES384"), ("RSA", "RS256"), ("RSA", "PS256"), ("Ed25519", "EdDSA")]
    for kind, alg in kinds:
        for n in range(20):
            payload = rng.randbytes(rng.randrange(200))
            token = token_of(KEYS[kind], alg, payload, kid="x", typ="any")
            got = ours("verify", jwk=public(KEYS[kind], alg=alg), token=token)
            check(base64url_decode(got["text"]) == payload, "payload of %s" % alg)
            ours("verify", refused="jws:signature", jwk=public(OTHER[kind], alg=alg), token=token)
    # What else jwcrypto can make, and ours does not take.
    for alg in ("RS384", "RS512", "PS384", "PS512"):
        ours("verify", refused="jws:alg", jwk=public(KEYS["RSA"]), token=token_of(KEYS["RSA"], alg, b"x"))
    ours("verify", refused="jws:alg", jwk=public(KEYS["RSA"], alg="PS256"), token=token_of(KEYS["RSA"], "RS256", b"x"))
    hmac = jwk.JWK(kty="oct", k=base64url_encode(json.dumps(public(KEYS["P-256"]))))
    ours("verify", refused="jws:alg", jwk=public(KEYS["P-256"]), token=token_of(hmac, "HS256", b"x"))
    ours("verify", refused="jws:crit", jwk=public(KEYS["P-256"]),
         token=token_of(KEYS["P-256"], "ES256", b"x", crit=["b64"], b64=True))
    # The other way.
    for curve, alg in (("P-256", "ES256"), ("P-384", "ES384")):
        for n in range(20):
            payload = rng.randbytes(rng.randrange(200))
            made = ours("sign", curve=curve, text=base64url_encode(payload))
            t = jws.JWS()
            t.allowed_algs = [alg]
            t.deserialize(made["token"], jwk.JWK(**made["jwk"]))
            check(t.payload == payload, "payload of ours")
            header = t.jose_header
            check(header["alg"] == alg and header["kid"] == jwk.JWK(**header["jwk"]).thumbprint(), "header of ours")


def test_tokens():
    now = int(time.time())
    key = KEYS["P-256"]

    def token(**claims):
        t = jwt.JWT(header={"alg": "ES256", "typ": "JWT"}, claims=claims)
        t.make_signed_token(key)
        return t.serialize()

    def judge(refused=None, **claims):
        ours("jwt", refused, jwk=public(key), token=token(**claims), iss="https://issuer/", aud="kms", now=now)

    judge(iss="https://issuer/", aud=["other", "kms"], exp=now + 10, iat=now, nbf=now, jti="1", name="\u20ac")
    judge("jwt:exp", iss="https://issuer/", aud="kms", exp=now)
    judge("jwt:nbf", iss="https://issuer/", aud="kms", exp=now + 10, nbf=now + 1)
    judge("jwt:iss", iss="https://issuer", aud="kms", exp=now + 10)
    judge("jwt:aud", iss="https://issuer/", aud="kms2", exp=now + 10)
    judge("jwt:claim", iss="https://issuer/", aud="kms", exp=now + 10.5)


def flattened(t):
    """As flattened JSON with everything in the protected header: in JSON of its own jwcrypto puts "epk" beside it."""
    return json.dumps(dict(zip(("protected", "encrypted_key", "iv", "ciphertext", "tag"), t.serialize(compact=True).split("."))))


def test_encryption():
    algs = {"P-256": "ECDH-ES+A256KW", "P-384": "ECDH-ES+A256KW", "RSA": "RSA-OAEP-256"}
    for kind, alg in algs.items():
        der = pkcs8(KEYS[kind])
        for n in range(15):
            text = rng.randbytes(n + 1 if n < 5 else rng.randrange(1, 3000))  # jwcrypto takes an empty text for a failure
            made = ours("seal", jwk=public(KEYS[kind], alg=alg), text=base64url_encode(text))["jwe"]
            check(list(made) == ["protected", "encrypted_key", "iv", "ciphertext", "tag"], "members of ours")
            header = base64url_decode(made["protected"]).decode()
            check(header == json.dumps(json.loads(header), separators=(",", ":")), "header of ours is compact")
            check(list(json.loads(header)) == ["alg", "enc"] + ([] if kind == "RSA" else ["epk"]), "order of ours")
            t = jwe.JWE()
            t.deserialize(json.dumps(made), KEYS[kind])
            check(t.payload == text, "plaintext of ours for %s" % kind)

            more = {"apu": base64url_encode("Alice"), "apv": base64url_encode("Bob"), "kid": "x"} if n % 2 else {}
            t = jwe.JWE(text, json_encode(dict(more, alg=alg, enc="A256GCM")))
            t.add_recipient(KEYS[kind])
            theirs = flattened(t)
            check(base64url_decode(ours("open", pkcs8=der, jwe=theirs)["text"]) == text, "plaintext of %s" % kind)
            ours("open", refused="jwe:tag" if kind == "RSA" else "jwe:wrap", pkcs8=pkcs8(OTHER[kind]), jwe=theirs)
        for enc in ("A128GCM", "A256CBC-HS512"):
            t = jwe.JWE(b"x", json_encode({"alg": alg, "enc": enc}), recipient=KEYS[kind])
            ours("open", refused="jwe:enc", pkcs8=der, jwe=flattened(t))
        for other in (["RSA-OAEP"] if kind == "RSA" else ["ECDH-ES", "ECDH-ES+A128KW"]):
            t = jwe.JWE(b"x", json_encode({"alg": other, "enc": "A256GCM"}), recipient=KEYS[kind])
            ours("open", refused="jwe:alg", pkcs8=der, jwe=flattened(t))
        t = jwe.JWE(b"x" * 99, json_encode({"alg": alg, "enc": "A256GCM", "zip": "DEF"}), recipient=KEYS[kind])
        ours("open", refused="jwe:zip", pkcs8=der, jwe=flattened(t))
        t = jwe.JWE(b"x", json_encode({"alg": alg, "enc": "A256GCM"}), aad="more", recipient=KEYS[kind])
        ours("open", refused="jwe:member", pkcs8=der, jwe=t.serialize(compact=False))


def some_value(depth):
    kind = rng.randrange(9 if depth else 6)
    if kind < 3:
        chars = ["a", "B", "\"", "\\", "/", "\0", "\x1f", "\x7f", "\u00e9", "\u20ac", "\ue000", "\uffff", "\U00010000",
                 "\U0010ffff", "\n", "\b", " "]
        return "".join(rng.choice(chars) for _ in range(rng.randrange(6)))
    if kind < 5:
        return rng.choice([0, -1, 2 ** 53 - 1, -2 ** 53 + 1, rng.randrange(-10 ** 9, 10 ** 9)])
    if kind == 5:
        return rng.choice([None, True, False])
    if kind == 6:
        return [some_value(depth - 1) for _ in range(rng.randrange(5))]
    return {(some_value(0) if rng.random() < 0.9 else 0): some_value(depth - 1) for _ in range(rng.randrange(6))}


def test_canonical():
    def keys_are_text(v):
        if isinstance(v, dict):  # the reader refuses NUL in keys
            return {"k" + str(k).replace("\0", "") if not isinstance(k, str) else k.replace("\0", ""): keys_are_text(x)
                    for k, x in v.items()}
        return [keys_are_text(x) for x in v] if isinstance(v, list) else v

    for _ in range(2000):
        value = keys_are_text(some_value(4))
        got = base64url_decode(ours("jcs", value=value)["text"])
        check(got == rfc8785.dumps(value), "canonical JSON of %r: %r" % (value, got))


for test in (test_keys, test_signatures, test_tokens, test_encryption, test_canonical):
    test()
peer.stdin.close()
check(peer.wait(timeout=60) == 0, "the peer ends well")
print("%d jobs agree with jwcrypto and rfc8785" % runs)
