#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The REST side of the KMS held to its own OpenAPI document by schemathesis: requests that fit it and requests that do not,
at every method, as an administrator with a token. Whatever comes, the server answers with a status and a body of the
document, refuses what does not fit, and afterwards ends in order with a store that is whole.

usage: test_kms_rest.py BIN     (folder of cczoo and cczoo-kmsd)
CCZ_REST_SECONDS=3600 goes on for so long; without it, it is a minute or two. Exit 77 if the packages cannot be had.
"""
import base64
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

import interop_venv

interop_venv.enter("requirements-kms-rest")

BIN, SECONDS = sys.argv[1], int(os.environ.get("CCZ_REST_SECONDS", "0"))
ISSUER, AUDIENCE = "https://issuer.example", "cczoo-kms"


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def openssl(*args, data=None):
    return subprocess.run(["openssl", *args], input=data, check=True, capture_output=True).stdout


def raw_signature(der):
    """r and s of 32 bytes each, of a DER SEQUENCE of two INTEGERs."""
    out, at = b"", 2
    for _ in range(2):
        size = der[at + 1]
        out += der[at + 2:at + 2 + size].lstrip(b"\0").rjust(32, b"\0")
        at += 2 + size
    return out


def sign(key, claims):
    head = b64(b'{"alg":"ES256","typ":"JWT","kid":"one"}') + "." + b64(json.dumps(claims).encode())
    return head + "." + b64(raw_signature(openssl("dgst", "-sha256", "-sign", key, data=head.encode())))


def write_issuer(run):
    point = openssl("pkey", "-in", run + "/issuer.key", "-pubout", "-outform", "DER")[-64:]
    with open(run + "/jwks.json", "w") as f:
        json.dump({"keys": [{"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "one",
                             "x": b64(point[:32]), "y": b64(point[32:])}]}, f)
    with open(run + "/issuers.json", "w") as f:
        json.dump([{"iss": ISSUER, "aud": AUDIENCE, "jwks_file": run + "/jwks.json", "age_max_s": -1}], f)


def prepare(run):
    kmsd = [BIN + "/cczoo-kmsd"]
    state = ["--state", run + "/kms"]
    quiet = dict(check=True, stderr=subprocess.DEVNULL)
    subprocess.run([BIN + "/cczoo", "sim", "init", run + "/sim"], **quiet)
    subprocess.run(kmsd + ["init", *state, "--admin-key", run + "/admin.key"], **quiet)
    for name in ("tls", "issuer"):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=x",
                "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "%s/%s.key" % (run, name), "-out", "%s/%s.crt" % (run, name))
    write_issuer(run)
    subprocess.run(kmsd + ["admin", *state, "--jwt-issuer", ISSUER, "--jwt-subject", "fuzzer", "--role", "admin"], **quiet)
    return kmsd + ["run", *state, "--listen", "127.0.0.1:0", "--tee", "sim-sgx", "--sim-dir", run + "/sim", "--trust-sim",
                   run + "/sim/trust", "--https", "127.0.0.1:0", "--https-port-file", run + "/port", "--tls-cert",
                   run + "/tls.crt", "--tls-key", run + "/tls.key", "--jwt-issuers", run + "/issuers.json", "--https-rate", "100000"]


def start(command, run):
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=open(run + "/log", "w"), stdin=subprocess.DEVNULL)
    for _ in range(600):
        if os.path.exists(run + "/port") and os.path.getsize(run + "/port"):
            return server, open(run + "/port").read().strip()
        if server.poll() is not None:
            break
        time.sleep(0.05)
    sys.exit("the server does not start:\n" + open(run + "/log").read())


# TRACE and PATCH are not known to the server at all (501), the others are methods that a path may not have (405).
CONFIG = """
[phases.coverage]
unexpected-methods = ["GET", "PUT", "DELETE", "OPTIONS"]
"""


def probe(run, port):
    """@return the exit status of schemathesis"""
    now = int(time.time())
    token = sign(run + "/issuer.key", {"iss": ISSUER, "aud": AUDIENCE, "sub": "fuzzer", "iat": now, "exp": now + 86400})
    with open(run + "/schemathesis.toml", "w") as f:
        f.write(CONFIG)
    # what a schema cannot say (names, policies, what is in the store) may refuse a request that fits it
    options = ["--exclude-checks", "positive_data_acceptance", "--continue-on-failure", "--request-timeout", "20",
               "--tls-verify", run + "/tls.crt", "-H", "Authorization: Bearer " + token, "--warnings", "off"]
    amount = ["--max-time", str(SECONDS)] if SECONDS else ["-n", "6", "--seed", "1"]
    env = dict(os.environ, NO_PROXY="*", no_proxy="*", NO_COLOR="1")
    return subprocess.run([os.path.join(sys.prefix, "bin", "schemathesis"), "--config-file", run + "/schemathesis.toml", "run",
                           "https://127.0.0.1:%s/openapi.json" % port, "--phases", "examples,coverage,fuzzing", *amount, *options],
                          env=env, cwd=run).returncode


with tempfile.TemporaryDirectory() as run:
    server, port = start(prepare(run), run)
    try:
        status = probe(run, port)
        if server.poll() is not None:
            sys.exit("the server ended with %s" % server.returncode)
        server.send_signal(signal.SIGTERM)
        ended = server.wait(60)
    finally:
        server.kill()
    if ended != 0:
        sys.exit("the server ended with %d" % ended)
    subprocess.run([BIN + "/cczoo-kmsd", "check", "--state", run + "/kms"], check=True)
    if status != 0:
        sys.exit("schemathesis: status %d" % status)
