#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 as h2spec tests it, over TLS.

usage: test_h2spec.py server SERVER     (the program of interop_server.c)
       test_h2spec.py client CLIENT     (the program of interop_client.c)
As a client h2spec sends plain requests, which our server answers at once. Where it looks for an error in a frame behind such a
request, that frame has to come before the answer is out: a relay joins what h2spec sends in quick succession. Cases that
are expected to fail must fail. Exit 77 if h2spec cannot be had.
"""
import os
import random
import re
import select
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import xml.etree.ElementTree

from interop_run import Server, expect, fail, go_program, identity

JOIN_S = 0.1
H2SPEC, H2SPECD = ("github.com/summerwind/h2spec/cmd/" + name for name in ("h2spec", "h2specd"))
CLOSED = "frames of closed streams are ignored, as RFC 9113 (5.1) allows; state of closed streams is not kept"
EXPECTED = {
    ("http2/4.2", "Sends a large size HEADERS frame that exceeds the SETTINGS_MAX_FRAME_SIZE"):
        "the frame is 20 KB; our limit is 256 KiB",
    ("http2/5.1", "closed: Sends a DATA frame after sending RST_STREAM frame"): CLOSED,
    ("http2/5.1", "closed: Sends a HEADERS frame after sending RST_STREAM frame"): CLOSED,
    ("http2/5.1", "closed: Sends a DATA frame"): CLOSED,
    ("http2/5.1", "closed: Sends a HEADERS frame"): CLOSED,
    ("http2/5.1.1", "Sends stream identifier that is numerically smaller than previous"):
        "a number below the newest counts as a closed stream; its frames are ignored",
}


class Relay:
    """Joins the pieces that a client sends within a short time; one thread per connection."""

    def __init__(self, target, cert, key):
        host, port = target.split(":")
        self.target = (host, int(port))
        self.inside = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.inside.check_hostname = False
        self.inside.verify_mode = ssl.CERT_NONE
        self.outside = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.outside.load_cert_chain(cert, key)
        for context in (self.inside, self.outside):
            context.set_alpn_protocols(["h2"])
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            raw = self.listener.accept()[0]
            threading.Thread(target=self.serve, args=(raw,), daemon=True).start()

    def serve(self, raw):
        try:
            with self.outside.wrap_socket(raw, server_side=True) as client:
                with self.inside.wrap_socket(socket.create_connection(self.target)) as server:
                    self.pump(client, server)
        except OSError:  # either side is gone: both connections are closed by now
            pass

    @staticmethod
    def read(sock):
        """What is there; None: nothing, b"": the end."""
        sock.settimeout(0)
        try:
            return sock.recv(1 << 20)
        except (ssl.SSLWantReadError, BlockingIOError):
            return None
        finally:
            sock.settimeout(10)

    def pump(self, client, server):
        held = b""
        while True:
            ready = select.select([client, server], [], [], JOIN_S if held else 10)[0]
            answer = self.read(server)
            if answer:
                client.sendall(answer)
            more = self.read(client)
            if more:
                held += more
            if held and not (ready and more):
                server.sendall(held)
                held = b""
            if answer == b"" or more == b"":
                return


def run(program, port, folder):
    """Results by (section, description): None, or why it failed."""
    report = os.path.join(folder, "report.xml")
    done = subprocess.run([program, "--tls", "--insecure", "--port", str(port), "--timeout", "2", "--junit-report", report],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300)
    if not os.path.exists(report):
        fail("h2spec made no report: %s" % done.stdout[-500:])
    results = {}
    for case in xml.etree.ElementTree.parse(report).iter("testcase"):
        problem = next((case.find(kind) for kind in ("failure", "error", "skipped") if case.find(kind) is not None), None)
        results[case.get("package"), case.get("classname")] = None if problem is None else "".join(problem.itertext())
    return results


def test_server(server):
    with tempfile.TemporaryDirectory() as folder:
        program = go_program(H2SPEC, folder)
        cert, key = identity(folder)
        with Server([server]) as s:
            results = run(program, Relay(s.address, cert, key).port, folder)
        expect(len(results) >= 140, "h2spec has 140 cases and more, these are %d" % len(results))
        failed = {name: why for name, why in results.items() if why is not None}
        for name in sorted(failed):
            print("%s %s: %s" % (name + (EXPECTED.get(name, "NOT EXPECTED: " + failed[name]),)))
        expect(set(failed) == set(EXPECTED), "%d cases failed, these %d were expected to" % (len(failed), len(EXPECTED)))
        print("ok h2spec: %d cases passed, %d failed as expected" % (len(results) - len(failed), len(failed)))


def test_client(client):
    """h2spec is the server, on a port for each case, and starts the client for each."""
    with tempfile.TemporaryDirectory() as folder:
        program = go_program(H2SPECD, folder)
        cert, key = identity(folder)
        command = os.path.join(folder, "client")  # h2spec splits the command at spaces
        os.symlink(os.path.abspath(client), command)
        # an address of its own, where all ports are free
        host = "127.%d.%d.%d" % (random.randint(1, 254), random.randint(0, 255), random.randint(1, 254))
        done = subprocess.run([program, "--tls", "--cert-file", cert, "--cert-key-file", key, "--host", host,
                               "--exec", command + " any_answer"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              text=True, errors="replace", timeout=300)
        summary = re.search(r"(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed", done.stdout)
        expect(summary is not None, "h2specd said nothing: %s" % done.stdout[-500:])
        total, passed = int(summary[1]), int(summary[2])
        if passed != total:
            print(done.stdout[done.stdout.find("Failures:"):][:4000])
        expect(total >= 57 and passed == total, summary[0])
        print("ok h2specd:", summary[0])


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in ("server", "client"):
        sys.exit(__doc__)
    {"server": test_server, "client": test_client}[sys.argv[1]](sys.argv[2])
