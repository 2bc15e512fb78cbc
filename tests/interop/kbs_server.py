# SPDX-License-Identifier: Apache-2.0
"""A KMS with the KBS protocol in a folder of its own, the software TEE of that folder, and what an administrator does: for test_kbs*.py,
after interop_venv.enter(). The first argument of the program is the folder of the binaries."""
import base64
import datetime
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

import kbs_client

BIN = os.path.abspath(sys.argv[1])
RUN = tempfile.mkdtemp(prefix="kbs.")
ISSUER = "https://kms.example:8443/"
cases = [0]


def check(ok, what):
    cases[0] += 1
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
            .not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False).sign(key, hashes.SHA256()))
    with open(path(name), "wb") as f:
        f.write(cert.public_bytes(serialization.Encoding.PEM))


def new_key(name):
    key = ec.generate_private_key(ec.SECP256R1())
    with open(os.open(path(name), os.O_CREAT | os.O_WRONLY, 0o600), "wb") as f:
        f.write(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return key


class Server:
    def __init__(self, *options):
        self.options = options  # of the daemon, beside those that all need

    def __enter__(self):
        run("cczoo", "sim", "init", path("sim"))
        run("cczoo-kmsd", "init", "--state", path("kms"), "--admin-key", path("admin.key"))
        with open(path("admin.key"), "rb") as f:
            write_cert(serialization.load_pem_private_key(f.read(), None), "admin.pem")
        write_cert(new_key("tls.key"), "tls.pem")
        self.prepare()
        self.start()
        return self

    def prepare(self):
        """Before the first start."""

    def start(self):
        for name in ("port", "https"):
            if os.path.exists(path(name)):
                os.unlink(path(name))
        log = open(path("log"), "a")
        self.process = subprocess.Popen(
            [os.path.join(BIN, "cczoo-kmsd"), "run", "--state", path("kms"), "--listen", "127.0.0.1:0", "--port-file", path("port"), "--tee", "sim-sgx",
             "--sim-dir", path("sim"), "--trust-sim", path("sim/trust"), "--https", "127.0.0.1:0", "--https-port-file", path("https"), "--tls-cert",
             path("tls.pem"), "--tls-key", path("tls.key"), "--kbs", "--issuer", ISSUER, "--https-rate", "100000", *self.options], stdout=log, stderr=log)
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
