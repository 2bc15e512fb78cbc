#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Keys and ciphertexts exchanged with python-paillier (phe), in both directions.

usage: test_phe.py PAILLIER_PEER     (the program built from paillier_peer.c)
Exit 77 if the package cannot be had.
"""
import json
import os
import random
import subprocess
import sys
import tempfile

import interop_venv

interop_venv.enter()

import phe  # noqa: E402
import phe.util  # noqa: E402

PEER, BITS = sys.argv[1], 2048
NUMBERS = [0.0, 1.0, -1.0, 0.1, -0.1, 3.141592653589793, -1e9, 1e-9, 123456789.125, -7.0, 2.0 ** 52, 1 / 3]
work = tempfile.TemporaryDirectory()
files = 0


def check(ok, what):
    if not ok:
        sys.exit("failed: %s" % what)


def peer(*args, fails=None):
    run = subprocess.run([PEER, *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if fails:
        check(run.returncode == 1 and fails in run.stderr, "%s: %s" % (args, run.stderr))
        return None
    check(run.returncode == 0, "%s: %s" % (args, run.stderr))
    return run.stdout


def save(value):
    """A file with this JSON, or text."""
    global files
    files += 1
    path = os.path.join(work.name, str(files))
    with open(path, "w") as f:
        f.write(value if isinstance(value, str) else json.dumps(value))
    return path


def public_json(pub):  # as its command line writes it
    return {"kty": "DAJ", "alg": "PAI-GN1", "key_ops": ["encrypt"], "n": phe.util.int_to_base64(pub.n), "kid": "phe"}


def private_json(key):
    return {"kty": "DAJ", "key_ops": ["decrypt"], "p": phe.util.int_to_base64(key.p),
            "q": phe.util.int_to_base64(key.q), "pub": public_json(key.public_key), "kid": "phe"}


def number_json(enc):
    return {"v": str(enc.ciphertext()), "e": enc.exponent}


def number_from(pub, j):
    return phe.EncryptedNumber(pub, int(j["v"]), exponent=j["e"])


def ours(text):
    return [float(line) for line in text.split()]


def exchange(name, key, path):
    """Everything with one key, which both sides have."""
    pub = key.public_key
    public = save(public_json(pub))
    # theirs to us, each with an exponent of its own
    for x in NUMBERS:
        check(ours(peer("decrypt", path, save(number_json(pub.encrypt(x))))) == [x], "%s: our decryption of %r" % (name, x))
    ints = [0, 1, -1, 2 ** 70, -(2 ** 70)]
    got = ours(peer("decrypt", path, save([number_json(pub.encrypt(i)) for i in ints])))
    check(got == [float(i) for i in ints], "%s: integers: %s" % (name, got))
    # ours to them
    enc = [number_from(pub, j) for j in json.loads(peer("encrypt", public, -20, *NUMBERS))]
    for x, e in zip(NUMBERS, enc):
        want = phe.EncodedNumber.encode(pub, x, precision=16.0 ** -20)
        check(e.exponent == -20 and key.raw_decrypt(e.ciphertext(False)) == want.encoding,
              "%s: another encoding of %r than phe's" % (name, x))
        check(key.decrypt(e) == want.decode(), "%s: their decryption of %r" % (name, x))
    # computed by one side with what the other encrypted
    a, b = pub.encrypt(2.5), pub.encrypt(-0.1)
    total = number_from(pub, json.loads(peer("add", public, save(number_json(a)), save(number_json(b)))))
    check(key.decrypt(total) == 2.5 - 0.1, "%s: our sum" % name)
    product = number_from(pub, json.loads(peer("mul", public, -14, save(number_json(b)), -12.25)))
    check(key.decrypt(product) == -0.1 * -12.25, "%s: our product" % name)
    theirs = (enc[5] + enc[6]) * -3 + 7.5
    check(ours(peer("decrypt", path, save(number_json(theirs)))) == [key.decrypt(theirs)], "%s: their operations" % name)
    # the largest integers, and one more
    for m in (pub.max_int, -pub.max_int):
        c = {"v": str(pub.raw_encrypt(m % pub.n)), "e": -500}
        x = m / 16 ** 500
        check(ours(peer("decrypt", path, save(c))) == [x], "%s: the edge" % name)
    for m in (pub.max_int + 1, pub.n - pub.max_int - 1):
        peer("decrypt", path, save({"v": str(pub.raw_encrypt(m)), "e": 0}), fails="paillier:overflow")
    # what must not pass
    peer("decrypt", path, save({"v": str(pub.nsquare), "e": 0}), fails="paillier:c-range")
    peer("decrypt", path, save({"v": str(key.p), "e": 0}), fails="paillier:c-gcd")


def main():
    pub, key = phe.generate_paillier_keypair(n_length=BITS)
    exchange("their key", key, save(private_json(key)))
    text = peer("keygen", BITS)
    j = json.loads(text)
    check(j["pub"]["alg"] == "PAI-GN1" and "decrypt" in j["key_ops"], "our private key: %s" % list(j))
    pub = phe.PaillierPublicKey(phe.util.base64_to_int(j["pub"]["n"]))
    check(pub.n.bit_length() == BITS, "our n")
    exchange("our key", phe.PaillierPrivateKey(pub, phe.util.base64_to_int(j["p"]), phe.util.base64_to_int(j["q"])),
             save(text))
    rng = random.Random(1)
    for x in NUMBERS + [rng.uniform(-1, 1) * 10.0 ** rng.randrange(-30, 30) for _ in range(50)]:
        want = phe.EncodedNumber.encode(pub, x).exponent
        check(int(peer("exponent", repr(x))) == want, "exponent of %r" % x)
    print("python-paillier %s and we read each other's keys and numbers" % phe.__version__)


main()
