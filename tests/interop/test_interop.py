#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""gRPC's interop cases between ours and stock peers, over TLS without attestation.

usage: test_interop.py ours   SERVER CLIENT                              ours with ours
       test_interop.py go     SERVER CLIENT                              grpc-go's own cases, both ways
       test_interop.py ccore  SERVER CLIENT [CCORE_SERVER CCORE_CLIENT]  Debian's gRPC C-core, both ways
       test_interop.py broken SERVER CLIENT                              each case finds the fault that is made for it
SERVER and CLIENT are the programs of interop_server.c and interop_client.c. Exit 77 if the peer cannot be had.
"""
import os
import subprocess
import sys
import tempfile

from interop_names import COMMON, COMPRESSION, MANY
from interop_run import Server, expect, go_program, identity, run_case, run_cases, skip

OURS = COMMON + COMPRESSION + MANY + ["half_duplex"]
GO = COMMON + ["pick_first_unary", "large_unary/gzip", "client_streaming/gzip", "server_streaming/gzip", "ping_pong/gzip"]
# The fault that the server makes, and the case that has to notice.
FAULTS = [("empty", "empty_unary"), ("size", "large_unary"), ("zeros", "large_unary"), ("sum", "client_streaming"),
          ("size", "server_streaming"), ("zeros", "ping_pong"), ("expect", "client_compressed_unary"),
          ("expect", "client_compressed_streaming"), ("compression", "server_compressed_unary"),
          ("compression", "server_compressed_streaming"), ("initial", "custom_metadata"), ("trailer", "custom_metadata"),
          ("code", "status_code_and_message"), ("message", "special_status_message"),
          ("unimplemented", "unimplemented_method"), ("size", "rpc_soak"), ("zeros", "concurrent_large_unary")]
FAULTS_GO = [("empty", "empty_unary"), ("size", "large_unary"), ("sum", "client_streaming"), ("size", "server_streaming"),
             ("size", "ping_pong"), ("initial", "custom_metadata"), ("trailer", "custom_metadata"),
             ("code", "status_code_and_message"), ("message", "special_status_message"),
             ("unimplemented", "unimplemented_method")]


def ours(server, client):
    with Server([server]) as s:
        run_cases([client, s.address], OURS, "ours with ours")


def go(server, client):
    with tempfile.TemporaryDirectory() as folder:
        peer = go_program(".", folder)
        with Server([server]) as s:
            run_cases([peer, "client", s.address, s.cert], GO, "grpc-go's client, our server")
        cert, key = identity(folder)
        with Server([peer, "server", cert, key], cert) as s:
            run_cases([client, s.address], COMMON + MANY + ["half_duplex"], "our client, grpc-go's server")
            # what it does not have is noticed
            for name in COMPRESSION:
                expect(run_case([client, s.address], name) is not None, "grpc-go passed %s: add it to the cases" % name)
        for fault, name in FAULTS_GO:
            with Server([server, "--break", fault]) as s:
                expect(run_case([peer, "client", s.address, s.cert], name) is not None,
                       "grpc-go's %s did not find the fault '%s'" % (name, fault))


def ccore(server, client, ccore_server=None, ccore_client=None):
    if not ccore_client:
        skip("gRPC C-core was not there when this was built (libgrpc-dev)")
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    with Server([server]) as s:
        run_cases([ccore_client, s.cert, "cczoo-ratls", s.address], OURS, "C-core's client, our server")
    with tempfile.TemporaryDirectory() as folder:
        cert, key = identity(folder)
        with Server([ccore_server, cert, key], cert) as s:
            run_cases([client, s.address], OURS, "our client, C-core's server")
    for fault, name in FAULTS:
        with Server([server, "--break", fault]) as s:
            expect(run_case([ccore_client, s.cert, "cczoo-ratls", s.address], name) is not None,
                   "C-core's %s did not find the fault '%s'" % (name, fault))


def broken(server, client):
    for fault, name in FAULTS:
        with Server([server, "--break", fault]) as s:
            problem = run_case([client, s.address], name)
            expect(problem is not None, "%s did not find the fault '%s'" % (name, fault))
            print("ok fault '%s': %s" % (fault, problem.splitlines()[-1]))
    with Server([server]) as s:  # and finds none where there is none
        run_cases([client, s.address], sorted({name for _, name in FAULTS}), "without a fault")
        expect(subprocess.run([client, s.address, "no_such_case"], stderr=subprocess.DEVNULL).returncode == 2,
               "an unknown case is an error")


if __name__ == "__main__":
    peers = {"ours": ours, "go": go, "ccore": ccore, "broken": broken}
    if len(sys.argv) < 4 or sys.argv[1] not in peers or (len(sys.argv) != 4 and sys.argv[1] != "ccore"):
        sys.exit(__doc__)
    peers[sys.argv[1]](*sys.argv[2:])
