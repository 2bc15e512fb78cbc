#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The KBS protocol of cczoo-kmsd held to a client in plain Python (kbs_client.py) and to jwcrypto.

usage: test_kbs.py BIN_DIR
Exit 77 if the packages cannot be had.
"""
import base64
import datetime
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

import interop_venv

interop_venv.enter("requirements-jose")

from cryptography import x509  # noqa: E402
from cryptography.hazmat.primitives import hashes, serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec  # noqa: E402
from jwcrypto import jwe, jwk, jws, jwt  # noqa: E402

import kbs_client  # noqa: E402

BIN = sys.argv[1]
RUN = tempfile.mkdtemp(prefix="kbs.")
ISSUER = "https://kms.example:8443/"
cases = 0


def check(ok, what):
    global cases
    cases += 1
    if not ok:
        sys.exit("failed: %s" % (what,))


def run(*args, **more):
    return subprocess.run([os.path.join(BIN, args[0]), *args[1:]], check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more).stdout


def path(name):
    return os.path.join(RUN, name)


def write_cert(key, name):
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.timezone.utc)
    cert = (x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key()).serial_number(1)
            .not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(now + datetime.timedelta(days=1)).sign(key, hashes.SHA256()))
    with open(path(name), "wb") as f:
        f.write(cert.public_bytes(serialization.Encoding.PEM))


def new_key(name):
    key = ec.generate_private_key(ec.SECP256R1())
    with open(os.open(path(name), os.O_CREAT | os.O_WRONLY, 0o600), "wb") as f:
        f.write(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return key


class Server:
    def __enter__(self):
        run("cczoo", "sim", "init", path("sim"))
        run("cczoo-kmsd", "init", "--state", path("kms"), "--admin-key", path("admin.key"))
        with open(path("admin.key"), "rb") as f:
            write_cert(serialization.load_pem_private_key(f.read(), None), "admin.pem")
        write_cert(new_key("tls.key"), "tls.pem")
        self.start()
        return self

    def start(self):
        for name in ("port", "https"):
            if os.path.exists(path(name)):
                os.unlink(path(name))
        log = open(path("log"), "a")
        self.process = subprocess.Popen(
            [os.path.join(BIN, "cczoo-kmsd"), "run", "--state", path("kms"), "--listen", "127.0.0.1:0", "--port-file", path("port"), "--tee", "sim-sgx",
             "--sim-dir", path("sim"), "--trust-sim", path("sim/trust"), "--https", "127.0.0.1:0", "--https-port-file", path("https"), "--tls-cert",
             path("tls.pem"), "--tls-key", path("tls.key"), "--kbs", "--issuer", ISSUER, "--https-rate", "100000"], stdout=log, stderr=log)
        for _ in range(300):
            if os.path.exists(path("https")) and open(path("https")).read().strip():
                self.port = int(open(path("https")).read())
                return
            check(self.process.poll() is None, open(path("log")).read())
            time.sleep(0.1)
        sys.exit("the server does not start")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def __exit__(self, *_):
        self.process.terminate()
        check(self.process.wait(30) == 0, "the end of the server: " + open(path("log")).read())


def sim(tee):
    def evidence(report_data):
        out = path("evidence")
        run("cczoo", "evidence", "get", "--provider", "sim-" + tee, "--sim", path("sim"), "--report-data", report_data.hex(), "--out", out)
        return open(out, "rb").read()
    return evidence


def policy(tee):
    claims = {"tee": tee, "sim": True, "name": tee}
    if tee == "snp":
        claims.update({"product": ["Milan"], "reported_tcb": {"boot_loader": {"min": 0}, "tee": {"min": 0}, "snp": {"min": 24}, "microcode": {"min": 219}}})
    else:
        claims["tcb_status"] = ["UpToDate"]
    sim(tee)(bytes(64))
    raw = open(path("evidence"), "rb").read()
    place = {"sgx": ("mrenclave", 48 + 64, 32), "tdx": ("mrtd", 48 + 136, 48), "snp": ("measurement", 0x90, 48)}[tee]
    claims[place[0]] = raw[place[1]:place[1] + place[2]].hex()
    return {"version": 1, "rules": [claims]}


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


def put(server, name, value, tee):
    """A policy for this machine's evidence and a resource under it, by the administrator."""
    admin = kbs_client.Client(server.port, tee, None, cert=(path("admin.pem"), path("admin.key")))
    own = name.split("/")[0] + "/policy"  # of the same namespace
    text = base64.b64encode(json.dumps(policy(tee)).encode()).decode()
    status, data = admin.ask("POST", "/v1/PutPolicy", {"name": own, "json": text})
    check(status == 200, data)
    status, data = admin.ask("POST", "/kbs/v0/resource/%s?policy=%s" % (name, own), value, {"Content-Type": "application/octet-stream"})
    check((status, json.loads(data)) == (200, {"version": 1}), data)
    return admin


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
print("%d checks" % cases)
