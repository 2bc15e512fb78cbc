#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Stock clients (grpcio, grpc-go) that our server refuses for want of evidence: they see a connection that failed, neither
crash nor are served, and come again after their back-off, not at once.

usage: test_refused.py BIN_DIR     (cczoo, grpc-greeter)
Exit 77 if grpcio or grpc-go cannot be had.
"""
import pathlib
import socket
import ssl
import subprocess
import sys
import tempfile

import interop_venv

interop_venv.enter()

import grpc  # noqa: E402

from interop_run import expect, go_program, identity  # noqa: E402

WAIT_S = 8  # a back-off of 1, 1.6, 2.6 .. s: some four attempts
ATTEMPTS_MAX = 10


class Refuser:
    """Our server; whom it refused is in its log."""

    def __init__(self, bin_dir, folder, profile):
        policy, sim, self.log = folder / "policy.json", folder / "sim", folder / "server.err"
        measured = subprocess.run([bin_dir / "cczoo", "sim", "measure", bin_dir / "grpc-greeter"], check=True,
                                  stdout=subprocess.PIPE).stdout.decode().strip()
        policy.write_text('{"version":1,"rules":[{"name":"r","tee":"sgx","sim":true,"mrenclave":"%s"}]}' % measured)
        if not sim.exists():
            subprocess.run([bin_dir / "cczoo", "sim", "init", sim], check=True, stderr=subprocess.DEVNULL)
        with open(self.log, "w") as log:
            self.process = subprocess.Popen([bin_dir / "grpc-greeter", "server", "127.0.0.1:0", policy, sim, profile],
                                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
        line = self.process.stdout.readline().decode().split()
        expect(line[:1] == ["listening"], "the server does not start: " + self.log.read_text())
        self.port = int(line[1])
        self.address = "127.0.0.1:%d" % self.port

    def refusals(self):
        return self.log.read_text().count("where=ratls:no-evidence")

    def stop(self):
        self.process.stdin.close()
        expect(self.process.wait(20) == 0, "the server's end")
        expect(b"peer:" not in self.process.stdout.read(), "a refused client was served")


def certificate_of(server):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    with socket.create_connection(("127.0.0.1", server.port)) as plain, context.wrap_socket(plain) as tls:
        return ssl.DER_cert_to_PEM_cert(tls.getpeercert(True)).encode()


def python_client(server, cert, key):
    creds = grpc.ssl_channel_credentials(certificate_of(server), pathlib.Path(key).read_bytes(),
                                         pathlib.Path(cert).read_bytes())
    options = (("grpc.ssl_target_name_override", "cczoo-ratls"),)
    with grpc.secure_channel(server.address, creds, options) as channel:
        call = channel.unary_unary("/greeter.v1.Greeter/SayHello", lambda b: b, lambda b: b)
        try:
            call(b"", timeout=WAIT_S, wait_for_ready=True)
        except grpc.RpcError as e:
            return e.code().name
    return "OK"


def go_client(program):
    def run(server, cert, key):
        done = subprocess.run([program, "refused", server.address, cert, key, str(WAIT_S)], check=True, timeout=60,
                              stdout=subprocess.PIPE)
        return done.stdout.decode().strip()
    return run


def main():
    bin_dir = pathlib.Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        cert, key = identity(scratch)
        clients = {"grpcio": python_client, "grpc-go": go_client(go_program(".", scratch))}
        for profile in ("handshake", "certificate"):
            for name, client in clients.items():
                server = Refuser(bin_dir, folder, profile)
                code, refused = client(server, cert, key), server.refusals()
                expect(code in ("UNAVAILABLE", "DEADLINE_EXCEEDED", "Unavailable", "DeadlineExceeded"),
                       "%s, %s: got %s" % (profile, name, code))
                expect(1 <= refused <= ATTEMPTS_MAX, "%s, %s: refused %d times in %d s: %s"
                       % (profile, name, refused, WAIT_S, server.log.read_text()[-600:]))
                server.stop()
                print("ok %s: %s ends with %s, refused %d times in %d s" % (profile, name, code, refused, WAIT_S))


main()
