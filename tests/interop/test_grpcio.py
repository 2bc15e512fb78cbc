#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Stock gRPC (grpcio from PyPI) against ours, both ways, over TLS without attestation.

usage: test_grpcio.py RPC_SERVER RPC_CLIENT     (the two programs built from rpc_server.c and rpc_client.c)
Exit 77 if grpcio cannot be had.
"""
import os
import subprocess
import sys
import tempfile
import threading
import time
from concurrent import futures

import interop_venv

interop_venv.enter()

import grpc  # noqa: E402

RAW = bytes(range(256))


def same(bytes_):
    return bytes_


def expect(cond, what):
    if not cond:
        sys.exit("failed: " + what)


class Methods:
    """Generic callables of a service: bytes in, bytes out."""

    def __init__(self, channel, prefix):
        self.channel, self.prefix = channel, prefix

    def unary(self, name):
        return self.channel.unary_unary(self.prefix + name, same, same)

    def client_stream(self, name):
        return self.channel.stream_unary(self.prefix + name, same, same)

    def server_stream(self, name):
        return self.channel.unary_stream(self.prefix + name, same, same)

    def bidi(self, name):
        return self.channel.stream_stream(self.prefix + name, same, same)


# ------------------------------------------------------------------ their client, our server


def refused(call, code, what):
    try:
        call()
    except grpc.RpcError as e:
        expect(e.code() == code, "%s: got %s: %s" % (what, e.code(), e.details()))
        return e
    sys.exit("failed: %s: was not refused" % what)


def test_unary(m):
    expect(m.unary("Echo")(b"hello") == b"hello", "echo")
    expect(m.unary("Echo")(b"") == b"", "empty message")
    answer, call = m.unary("Echo").with_call(b"x", metadata=(("x-text", "a b=c"), ("x-raw-bin", RAW)))
    first, last = dict(call.initial_metadata()), dict(call.trailing_metadata())
    expect(answer == b"x" and first["x-text"] == "a b=c" and first["x-raw-bin"] == RAW, "metadata: %s" % first)
    expect(last["x-end"] == "trailing" and last["x-end-bin"] == b"\0\1\xff", "trailers: %s" % last)
    expect(m.unary("Later")(b"") == b"from a thread", "answer from another thread")
    big = os.urandom(1 << 20) * 24
    expect(m.unary("Echo")(big) == big, "24 MiB")
    refused(lambda: m.unary("Echo")(bytes(41 << 20)), grpc.StatusCode.RESOURCE_EXHAUSTED, "message above the limit")
    expect(m.unary("Echo")(b"still there") == b"still there", "connection after a refusal")


def test_status(m):
    for code in grpc.StatusCode:
        if code is grpc.StatusCode.OK:
            continue
        text = "100 %%, line\n2, \u00e9 %s" % code.name
        e = refused(lambda: m.unary("Status")(("%d %s" % (code.value[0], text)).encode()), code, "status")
        expect(e.details() == text, "status message: %r" % e.details())
        expect(dict(e.trailing_metadata())["grpc-status-details-bin"] == b"\0details", "status details")
    refused(lambda: m.unary("Nothing")(b""), grpc.StatusCode.UNIMPLEMENTED, "unknown method")
    refused(lambda: m.client_stream("Echo")(iter(())), grpc.StatusCode.UNIMPLEMENTED, "no message")
    refused(lambda: m.client_stream("Echo")(iter((b"1", b"2"))), grpc.StatusCode.UNIMPLEMENTED, "two messages")


def test_compression(m):
    text = b"a line of text, over and over again\n" * 30000
    for kind in (grpc.Compression.Gzip, grpc.Compression.Deflate):
        answer, call = m.unary("Echo").with_call(text, compression=kind)
        md = dict(call.initial_metadata())
        expect(answer == text and md.get("x-compressed") == "yes", "compression %s: %s" % (kind, md))
    answer, call = m.unary("Echo").with_call(text)
    expect(answer == text and "x-compressed" not in dict(call.initial_metadata()), "no compression")
    bomb = bytes(41 << 20)  # some 40 KB on the wire, above the server's limit behind it
    refused(lambda: m.unary("Echo")(bomb, compression=grpc.Compression.Gzip), grpc.StatusCode.RESOURCE_EXHAUSTED, "bomb")


def counters(m):
    return [int(n) for n in m.unary("Counters")(b"").split()]


def wait_counters(m, want):
    for _ in range(100):
        if counters(m) == want:
            return
        time.sleep(0.05)
    sys.exit("failed: held and cancelled calls %s, expected %s" % (counters(m), want))


def test_deadline_and_cancel(m):
    left = int(m.unary("Deadline")(b"", timeout=30))
    # grpcio rounds timeouts up to about three digits
    expect(25000 < left <= 31000, "deadline as seen by the server: %d ms" % left)
    expect(int(m.unary("Deadline")(b"")) == -1, "no deadline")
    start = time.time()
    refused(lambda: list(m.bidi("Hold")(iter(()), timeout=0.2)), grpc.StatusCode.DEADLINE_EXCEEDED, "deadline")
    expect(0.15 < time.time() - start < 3, "deadline in time")
    wait_counters(m, [1, 1])
    release = threading.Event()

    def requests():
        yield b"x"
        release.wait(10)

    call = m.bidi("Hold")(requests())
    wait_counters(m, [2, 1])
    call.cancel()
    release.set()
    wait_counters(m, [2, 2])


def test_streams(m):
    expect(m.client_stream("Sum")(bytes(1000) for _ in range(3000)) == b"3000000 in 3000", "client streaming")
    got = [int(x) for x in m.server_stream("Count")(b"5000")]
    expect(got == list(range(5000)), "server streaming")
    expect(list(m.server_stream("Count")(b"0")) == [], "server streaming of nothing")
    expect(list(m.bidi("Bidi")(b"%d" % i for i in range(1000))) == [b"%d" % i for i in range(1000)], "bidi")


def test_concurrent(m):
    calls = [m.unary("Echo").future(b"%d" % i) for i in range(2000)]
    expect([c.result() for c in calls] == [b"%d" % i for i in range(2000)], "2000 concurrent calls")


def their_client(program):
    server = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        port = int(server.stdout.readline())
        pem = b"".join(iter(server.stdout.readline, b"\n"))
        options = [("grpc.ssl_target_name_override", "cczoo-ratls"), ("grpc.max_receive_message_length", 64 << 20)]
        with grpc.secure_channel("127.0.0.1:%d" % port, grpc.ssl_channel_credentials(pem), options) as channel:
            m = Methods(channel, "/i.I/")
            for test in (test_unary, test_status, test_compression, test_deadline_and_cancel, test_streams, test_concurrent):
                test(m)
                print("ok", test.__name__)
    finally:
        server.stdin.close()
        expect(server.wait(20) == 0, "the server's end")


# ------------------------------------------------------------------ our client, their server


def identity():
    with tempfile.TemporaryDirectory() as d:
        key, cert = os.path.join(d, "key.pem"), os.path.join(d, "cert.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-days", "1", "-subj", "/CN=localhost", "-keyout", key, "-out", cert],
                       check=True, stderr=subprocess.DEVNULL)
        return open(key, "rb").read(), open(cert, "rb").read()


class Service(grpc.GenericRpcHandler):
    def __init__(self):
        self.ended = threading.Event()  # a held call was cancelled

    def echo(self, request, context):
        if request.startswith(b"gzip"):
            context.set_compression(grpc.Compression.Gzip)
        context.send_initial_metadata((("ccz-replica", "grpcio"),))
        if request != b"metadata":
            return request
        md = dict(context.invocation_metadata())
        return md["x-text"].encode() + md["x-raw-bin"]

    def status(self, request, context):
        code = next(c for c in grpc.StatusCode if c.value[0] == int(request))
        context.abort(code, "code %d: 100 %%, \u00e9" % code.value[0])

    def slow(self, request, context):
        time.sleep(1)
        return request

    def hold(self, requests, context):
        context.add_callback(self.ended.set)
        yield b"held"
        self.ended.wait(20)

    def total(self, requests, context):
        sizes = [len(r) for r in requests]
        return b"%d in %d" % (sum(sizes), len(sizes))

    def count(self, request, context):
        for i in range(int(request)):
            yield b"%d" % i

    def bidi(self, requests, context):
        for r in requests:
            yield r

    def service(self, details):
        return {
            "/s.S/Echo": grpc.unary_unary_rpc_method_handler(self.echo),
            "/s.S/Status": grpc.unary_unary_rpc_method_handler(self.status),
            "/s.S/Slow": grpc.unary_unary_rpc_method_handler(self.slow),
            "/s.S/Hold": grpc.stream_stream_rpc_method_handler(self.hold),
            "/s.S/Sum": grpc.stream_unary_rpc_method_handler(self.total),
            "/s.S/Count": grpc.unary_stream_rpc_method_handler(self.count),
            "/s.S/Bidi": grpc.stream_stream_rpc_method_handler(self.bidi),
        }.get(details.method)


def our_client(program):
    service = Service()
    server = grpc.server(futures.ThreadPoolExecutor(8), handlers=(service,),
                         options=[("grpc.max_receive_message_length", 64 << 20)])
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials((identity(),)))
    server.start()
    try:
        done = subprocess.run([program, "127.0.0.1:%d" % port], timeout=60)
        expect(done.returncode == 0, "our client against grpcio's server")
        expect(service.ended.wait(5), "cancellation reached the server")
        print("ok our_client")
    finally:
        server.stop(None).wait()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    print("grpcio", grpc.__version__)
    their_client(sys.argv[1])
    our_client(sys.argv[2])
