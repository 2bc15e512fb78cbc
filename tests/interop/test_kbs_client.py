#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The stock kbs-client of Confidential Containers against cczoo-kmsd --kbs: the whole exchange with evidence of a TDX guest, tokens, keys of both
kinds, sample evidence, an administrator with a token.

usage: test_kbs_client.py BIN_DIR
Which client: $CCZOO_KBS_CLIENT, or kbs-client on the PATH, built with its feature tdx-attester; it is in no package registry. Its kernel interface
for quotes is tests/fakes/fake_tsm.c. Exit 77 without a client, or if the packages cannot be had.
"""
import base64
import json
import os
import shutil
import subprocess
import sys
import time

import interop_venv

interop_venv.enter("requirements-jose")

from cryptography.hazmat.primitives import serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec, rsa  # noqa: E402
from jwcrypto import jwk, jwt  # noqa: E402

import kbs_client  # noqa: E402
from kbs_server import BIN, Server, cases, check, path, put, run  # noqa: E402

STOCK = os.environ.get("CCZOO_KBS_CLIENT") or shutil.which("kbs-client")
ISSUER, SUBJECT, AUDIENCE = "https://idp.example", "kbs-admin", "kms"
FAKES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fakes")
if not STOCK:
    print("skipped: no kbs-client: set CCZOO_KBS_CLIENT")
    sys.exit(77)


class WithIssuer(Server):
    def prepare(self):
        self.idp = jwk.JWK.generate(kty="EC", crv="P-256", kid="1", alg="ES256")
        with open(path("idp.json"), "w") as f:
            json.dump({"keys": [self.idp.export_public(as_dict=True)]}, f)
        run("cczoo-kmsd", "admin", "--state", path("kms"), "--jwt-issuer", ISSUER, "--jwt-subject", SUBJECT, "--role", "admin")
        now = int(time.time())
        token = jwt.JWT(header={"alg": "ES256", "typ": "JWT", "kid": "1"},
                        claims={"iss": ISSUER, "sub": SUBJECT, "aud": AUDIENCE, "iat": now, "exp": now + 600})
        token.make_signed_token(self.idp)
        with open(path("admin-token"), "w") as f:
            f.write(token.serialize())


def tsm():
    """Environment of a client in a TDX guest: its quotes are those of the software TEE."""
    library, maker, folder = path("fake_tsm.so"), path("quote.sh"), path("tsm")
    os.makedirs(folder, exist_ok=True)
    subprocess.run([os.environ.get("CC", "cc"), "-std=gnu17", "-shared", "-fPIC", "-o", library, os.path.join(FAKES, "fake_tsm.c"), "-ldl"], check=True)
    with open(maker, "w") as f:
        f.write('#!/bin/sh\nexec "%s" evidence get --provider sim-tdx --sim "%s" --report-data "$1" --out "$2" >/dev/null\n' % (os.path.join(BIN, "cczoo"), path("sim")))
    os.chmod(maker, 0o755)
    return {"LD_PRELOAD": library, "FAKE_TSM_DIR": folder, "FAKE_TSM_QUOTE": maker}


def stock(server, env, *args):
    """@return (exit status, standard output, what it said)"""
    r = subprocess.run([STOCK, "--url", "https://localhost:%d" % server.port, "--cert-file", path("tls.pem"), *args], timeout=60, stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, env={**os.environ, "HOME": path("."), "NO_PROXY": "*", "no_proxy": "*", **env}, cwd=path("."))
    return r.returncode, r.stdout.decode(), r.stderr.decode()


def get(server, env, name, *args):
    status, out, said = stock(server, env, "get-resource", "--path", name, *args)
    return (base64.b64decode(out) if status == 0 else None), said


def write_key(name, key):
    """As the client reads them: RSA as PKCS #1, EC as PKCS #8."""
    form = serialization.PrivateFormat.TraditionalOpenSSL if isinstance(key, rsa.RSAPrivateKey) else serialization.PrivateFormat.PKCS8
    with open(path(name), "wb") as f:
        f.write(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    return path(name)


def exchange(server, env):
    name, value = kbs_client.random_name(), os.urandom(100)
    put(server, name, value, "tdx")
    check(get(server, env, name)[0] == value, "attestation and resource: " + get(server, env, name)[1])
    kinds = [("ec", ec.generate_private_key(ec.SECP256R1())), ("rsa", rsa.generate_private_key(65537, 2048))]
    for kind, key in kinds:
        file = write_key(kind + ".pem", key)
        got, said = get(server, env, name, "--tee-key-file", file)
        if kind == "rsa" and "RSA_padding_check_PKCS1_OAEP_mgf1" in said:
            print("skipped: this kbs-client (feature native-tls) opens RSA-OAEP with SHA-1, under the name RSA-OAEP-256")
            continue
        check(got == value, "with a key of its own: %s: %s" % (kind, said))
        status, token, said = stock(server, env, "attest", "--tee-key-file", file)
        check(status == 0 and token.count(".") == 2, said)
        with open(path("token"), "w") as f:
            f.write(token)
        check(get(server, {}, name, "--tee-key-file", file, "--attestation-token", path("token"))[0] == value, "by token: " + kind)
    # the token is one for this key; with another one nobody reads the answer
    other = write_key("other.pem", ec.generate_private_key(ec.SECP256R1()))
    check(get(server, {}, name, "--tee-key-file", other, "--attestation-token", path("token"))[0] is None, "another key")
    return name


def refused(server, env, name):
    value, said = get(server, env, "no/such/thing")
    check(value is None and "ResourceNotFound" in said, said)
    value, said = get(server, {}, name)  # without a TEE it sends sample evidence
    check(value is None and "kbs:sample" in said, said)
    other = kbs_client.random_name()
    put(server, other, b"for others", "sgx")  # under a policy for another TEE
    value, said = get(server, env, other)
    check(value is None and "PolicyDeny" in said, said)


def administer(server, env):
    name = "stock/key/one"
    with open(path("value"), "wb") as f:
        f.write(b"of the administrator")
    token = ("config", "--admin-token-file", path("admin-token"))
    status, out, said = stock(server, {}, *token, "set-resource", "--path", name, "--resource-file", path("value"))
    check(status == 0, said)
    value, said = get(server, env, name)
    check(value is None, "a resource that is bound to no policy is nobody's")
    check(stock(server, {}, "config", "set-resource", "--path", "a/b/c", "--resource-file", path("value"))[0] != 0, "without a token")
    status, out, said = stock(server, {}, *token, "delete-resource", "--path", name)
    check(status == 0, said)
    status, out, said = stock(server, {}, *token, "set-resource-policy", "--allow-all")
    check(status != 0, "there is no policy for all resources here")


with WithIssuer("--jwt-issuer", ISSUER, "--jwt-audience", AUDIENCE, "--jwt-keys", path("idp.json")) as server:
    env = tsm()
    name = exchange(server, env)
    refused(server, env, name)
    administer(server, env)
print("%d checks with %s" % (cases[0], subprocess.run([STOCK, "--version"], stdout=subprocess.PIPE).stdout.decode().strip()))
