#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A stock gRPC server and client (grpcio from PyPI) that know nothing of what is between them.

usage: tunnel_grpc.py server PORT_FILE | tunnel_grpc.py client PORT
Exit 77 if grpcio cannot be had.
"""
import hashlib
import os
import sys
from concurrent import futures

import interop_venv

interop_venv.enter()

import grpc  # noqa: E402

LARGE = 3 << 20


def same(bytes_):
    return bytes_


class Methods(grpc.GenericRpcHandler):
    def service(self, details):
        return {
            "/test.Echo/Unary": grpc.unary_unary_rpc_method_handler(lambda r, c: r, same, same),
            "/test.Echo/Bidi": grpc.stream_stream_rpc_method_handler(lambda r, c: r, same, same),
            "/test.Echo/Sum": grpc.stream_unary_rpc_method_handler(
                lambda r, c: hashlib.sha256(b"".join(r)).digest(), same, same),
        }.get(details.method)


def serve(port_file):
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
    server.add_generic_rpc_handlers((Methods(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with open(port_file + ".tmp", "w") as f:
        f.write("%d\n" % port)
    os.rename(port_file + ".tmp", port_file)
    server.wait_for_termination()


def call(port):
    with grpc.insecure_channel("127.0.0.1:" + port) as channel:
        unary = channel.unary_unary("/test.Echo/Unary", same, same)
        assert unary(b"hello", timeout=30) == b"hello"
        large = os.urandom(LARGE)
        assert unary(large, timeout=30) == large
        got = list(channel.stream_stream("/test.Echo/Bidi", same, same)(
            iter([b"%d" % i for i in range(500)]), timeout=30))
        assert got == [b"%d" % i for i in range(500)]
        parts = [os.urandom(200000) for _ in range(40)]
        digest = channel.stream_unary("/test.Echo/Sum", same, same)(iter(parts), timeout=60)
        assert digest == hashlib.sha256(b"".join(parts)).digest()
        many = [unary.future(b"%d" % i, timeout=30) for i in range(200)]
        assert [f.result() for f in many] == [b"%d" % i for i in range(200)]
    print("unary, streams and 200 calls at a time: all answered")


if len(sys.argv) == 3 and sys.argv[1] == "server":
    serve(sys.argv[2])
elif len(sys.argv) == 3 and sys.argv[1] == "client":
    call(sys.argv[2])
else:
    sys.exit(__doc__)
