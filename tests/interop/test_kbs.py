#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The KBS protocol of cczoo-kmsd held to a client in plain Python (kbs_client.py) and to jwcrypto.

usage: test_kbs.py BIN_DIR
Exit 77 if the packages cannot be had.
"""
import json
import os

import interop_venv

interop_venv.enter("requirements-jose")

from jwcrypto import jwe, jwk, jws, jwt  # noqa: E402

import kbs_client  # noqa: E402
from kbs_server import ISSUER, Server, cases, check, path, put, sim  # noqa: E402


def verify_token(server, token):
    """With the keys that are published, and with nothing else; by jwcrypto."""
    c = kbs_client.Client(server.port, "sgx", None)
    status, data = c.ask("GET", "/.well-known/openid-configuration")
    found = json.loads(data)
    check(status == 200 and found["issuer"] == ISSUER and found["jwks_uri"] == "https://kms.example:8443/.well-known/jwks.json", found)
    status, data = c.ask("GET", "/.well-known/jwks.json")
    keys = jwk.JWKSet.from_json(data.decode())
    header = json.loads(kbs_client.unb64u(token.split(".")[0]))
    check(header["alg"] == "ES256" and header["typ"] == "JWT" and keys.get_key(header["kid"]).thumbprint() == header["kid"], header)
    check(header["jwk"]["kty"] == "EC" and header["jwk"]["alg"] == "ES256" and "d" not in header["jwk"], header)
    t = jwt.JWT(jwt=token, key=keys, algs=["ES256"], check_claims={"iss": ISSUER, "exp": None, "iat": None, "jti": None})
    return json.loads(t.claims), keys


def exchange(server, tee, kind):
    name, value = kbs_client.random_name(), os.urandom(100)
    admin = put(server, name, value, tee)
    c = kbs_client.Client(server.port, tee, sim(tee), kbs_client.TeeKey(kind))
    check(c.resource(name) == (200, value), "%s %s by cookie" % (tee, kind))
    check(c.resource(name, bearer=True) == (200, value), "%s %s by token" % (tee, kind))
    claims, _ = verify_token(server, c.token)
    cpu = claims["submods"]["cpu0"]
    check(claims["eat_profile"] == "tag:github.com,2024:confidential-containers/Trustee" and claims["exp"] - claims["iat"] == 300, claims)
    check(cpu["ear.status"] == "contraindicated" and cpu["ear.trustworthiness-vector"]["hardware"] == 97, cpu)  # simulated
    said = cpu["ear.veraison.annotated-evidence"]
    check(said["runtime_data_claims"]["tee-pubkey"] == c.key.jwk and said[tee]["simulated"] is True, said)
    # by jwcrypto, too
    status, data = c.ask("GET", "/kbs/v0/resource/" + name)
    private = jwk.JWK.from_pyca(c.key.key)
    opened = jwe.JWE()
    opened.deserialize(data.decode(), private)
    check(opened.payload == value, "jwcrypto opens it")
    size = len(c.token)
    check(c.handshake(query="?claims=full")[0] == 200 and len(c.token) > size, "all claims when asked for")
    verify_token(server, c.token)
    status, data = admin.ask("DELETE", "/kbs/v0/resource/" + name)
    check(status == 200 and c.resource(name)[0] == 403, "deleted")
    return c


def refused(server):
    c = kbs_client.Client(server.port, "sgx", sim("sgx"))
    status, data = c.auth("0.3.0")
    check(status == 400 and json.loads(data)["supported"] == ["0.4.0"], data)
    c.tee = "sample"
    check(c.auth()[0] == 403, "sample")
    c.tee = "sgx"
    check(c.resource("no/such/thing")[0] == 404, "missing: 404, and no second handshake")
    _, nonce = c.auth()
    check(c.attest(nonce, key=kbs_client.TeeKey())[0] == 403, "another key than the one that is attested")
    check(c.attest(nonce)[0] == 200 and c.attest(nonce)[0] == 401, "a nonce twice")
    token = jws.JWS(jws_payload(c.token))
    token.add_signature(jwk.JWK.generate(kty="EC", crv="P-256"), protected='{"alg":"ES256","typ":"JWT"}')
    for forged in (token.serialize(compact=True), "eyJhbGciOiJub25lIn0." + c.token.split(".")[1] + "."):
        status, data = c.ask("GET", "/kbs/v0/resource/a/b/c", headers={"Authorization": "Bearer " + forged}, cookies=False)
        check(status == 401, data)
    # one session's cookie with the nonce of another
    d = kbs_client.Client(server.port, "sgx", sim("sgx"))
    _, mine = c.auth()
    _, theirs = d.auth()
    check(c.attest(theirs)[0] == 401 and c.attest(mine)[0] == 200, "a nonce of another session")
    body = json.dumps({"init-data": None, "runtime-data": {"nonce": mine, "tee-pubkey": c.key.jwk}, "tee-evidence": {"primary_evidence": {}, "additional_evidence": ""}})
    for cut in range(0, len(body), 7):
        check(c.ask("POST", "/kbs/v0/attest", body[:cut])[0] == 400, "cut at %d" % cut)


def jws_payload(token):
    return kbs_client.unb64u(token.split(".")[1])


def restart(server):
    """What was attested before is unknown afterwards; a stock client attests again and does not notice. Tokens still verify."""
    name = kbs_client.random_name()
    put(server, name, b"x", "sgx")
    c = kbs_client.Client(server.port, "sgx", sim("sgx"))
    check(c.resource(name) == (200, b"x"), "before")
    _, nonce = c.auth()
    token = c.token
    server.kill()
    server.start()
    after = kbs_client.Client(server.port, "sgx", sim("sgx"), c.key)
    after.cookies, after.token = c.cookies, token
    check(after.attest(nonce)[0] == 401, "a nonce of before")
    check(after.resource(name, bearer=True) == (200, b"x") and after.token != token, "after")
    check(after.resource(name) == (200, b"x"), "after, by cookie")
    verify_token(server, token)


with Server() as server:
    for tee in ("sgx", "tdx", "snp"):
        exchange(server, tee, "EC")
    exchange(server, "sgx", "RSA")
    refused(server)
    restart(server)
log = open(path("log")).read()
check("SIMULATED" in log and "verdict=reject" in log, "the log")
print("%d checks" % cases[0])
