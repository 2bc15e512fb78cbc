#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""gRPC's interop cases between ours and Python's grpcio, both ways, over TLS without attestation.

usage: test_interop_grpcio.py SERVER CLIENT     (the programs of interop_server.c and interop_client.c)
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

from interop_names import COMMON, COMPRESSION, MANY  # noqa: E402
from interop_run import HERE, Server, expect, fail, identity, run_cases  # noqa: E402

LARGE_REQUEST, LARGE_RESPONSE = 271828, 314159
INITIAL, TRAILER = "x-grpc-test-echo-initial", "x-grpc-test-echo-trailing-bin"
SPECIAL = "\t\ntest with whitespace\r\nand Unicode BMP \u263a and non-BMP \U0001f608\t\n"
PINGS = [(27182, 31415), (8, 9), (1828, 2653), (45904, 58979)]
Code = grpc.StatusCode


def generate(folder):
    """Messages and stubs of grpc.testing."""
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", "-I%s" % (HERE / "protos"), "--python_out=" + folder,
                    "--grpc_python_out=" + folder, "grpc_testing.proto"], check=True)
    sys.path.insert(0, folder)
    import grpc_testing_pb2
    import grpc_testing_pb2_grpc
    return grpc_testing_pb2, grpc_testing_pb2_grpc


# ------------------------------------------------------------------ their client, our server


class Client:
    def __init__(self, pb, rpc, channel):
        self.pb, self.channel = pb, channel
        self.stub = rpc.TestServiceStub(channel)
        self.nobody = rpc.UnimplementedServiceStub(channel)

    def payload(self, size):
        return self.pb.Payload(body=bytes(size))

    def simple(self, **more):
        return self.pb.SimpleRequest(response_size=LARGE_RESPONSE, payload=self.payload(LARGE_REQUEST), **more)

    def outputs(self, *sizes, body=0, **more):
        parts = [self.pb.ResponseParameters(size=n) for n in sizes]
        return self.pb.StreamingOutputCallRequest(response_parameters=parts, payload=self.payload(body), **more)

    def bodies(self, call, *sizes):
        expect([r.payload.body for r in call] == [bytes(n) for n in sizes], "bodies")

    def status(self, call, code, message=None):
        try:
            call()
        except grpc.RpcError as e:
            expect(e.code() == code, "got %s: %s" % (e.code(), e.details()))
            expect(message is None or e.details() == message, "got the message %r" % e.details())
            return
        fail("got no error, expected %s" % code)

    def empty_unary(self):
        expect(self.stub.EmptyCall(self.pb.Empty()) == self.pb.Empty(), "empty")

    def large_unary(self, **options):
        answer = self.stub.UnaryCall(self.simple(), **options)
        expect(answer.payload.body == bytes(LARGE_RESPONSE), "body")

    def client_streaming(self):
        requests = [self.pb.StreamingInputCallRequest(payload=self.payload(n)) for n in (27182, 8, 1828, 45904)]
        expect(self.stub.StreamingInputCall(iter(requests)).aggregated_payload_size == 74922, "sum")

    def server_streaming(self):
        self.bodies(self.stub.StreamingOutputCall(self.outputs(31415, 9, 2653, 58979)), 31415, 9, 2653, 58979)

    def ping_pong(self):
        gate = threading.Semaphore(0)

        def requests():
            for body, size in PINGS:
                yield self.outputs(size, body=body)
                gate.acquire()

        call = self.stub.FullDuplexCall(requests())
        for _, size in PINGS:
            expect(next(call).payload.body == bytes(size), "body")
            gate.release()
        expect(next(call, None) is None, "the end")

    def empty_stream(self):
        self.bodies(self.stub.FullDuplexCall(iter(())))

    def cancel_after_begin(self):
        gate = threading.Event()

        def requests():
            gate.wait(10)
            yield from ()

        call = self.stub.StreamingInputCall.future(requests())
        call.cancel()
        gate.set()
        expect(call.cancelled() and call.code() == Code.CANCELLED, "cancelled")

    def cancel_after_first_response(self):
        gate = threading.Event()

        def requests():
            yield self.outputs(31415, body=27182)
            gate.wait(10)

        call = self.stub.FullDuplexCall(requests())
        expect(next(call).payload.body == bytes(31415), "body")
        call.cancel()
        gate.set()
        self.status(lambda: next(call), Code.CANCELLED)

    def timeout_on_sleeping_server(self):
        request = self.outputs(31415, body=27182)
        request.response_parameters[0].interval_us = 300000
        self.status(lambda: list(self.stub.FullDuplexCall(iter((request,)), timeout=0.001)), Code.DEADLINE_EXCEEDED)

    def custom_metadata(self):
        md = ((INITIAL, "test_initial_metadata_value"), (TRAILER, b"\xab\xab\xab"))
        answer, call = self.stub.UnaryCall.with_call(self.simple(), metadata=md)
        stream = self.stub.FullDuplexCall(iter((self.outputs(LARGE_RESPONSE, body=LARGE_REQUEST),)), metadata=md)
        self.bodies(stream, LARGE_RESPONSE)
        expect(answer.payload.body == bytes(LARGE_RESPONSE), "body")
        for c in (call, stream):
            expect(dict(c.initial_metadata())[INITIAL] == md[0][1], "initial metadata")
            expect(dict(c.trailing_metadata())[TRAILER] == md[1][1], "trailing metadata")

    def status_code_and_message(self):
        wanted = self.pb.EchoStatus(code=2, message="test status message")
        self.status(lambda: self.stub.UnaryCall(self.pb.SimpleRequest(response_status=wanted)), Code.UNKNOWN, wanted.message)
        requests = (self.outputs(response_status=wanted),)
        self.status(lambda: list(self.stub.FullDuplexCall(iter(requests))), Code.UNKNOWN, wanted.message)

    def special_status_message(self):
        wanted = self.pb.EchoStatus(code=2, message=SPECIAL)
        self.status(lambda: self.stub.UnaryCall(self.pb.SimpleRequest(response_status=wanted)), Code.UNKNOWN, SPECIAL)

    def unimplemented_method(self):
        self.status(lambda: self.stub.UnimplementedCall(self.pb.Empty()), Code.UNIMPLEMENTED)

    def unimplemented_service(self):
        self.status(lambda: self.nobody.UnimplementedCall(self.pb.Empty()), Code.UNIMPLEMENTED)

    # grpcio does not tell whether a message came compressed: the server's view is what is tested here.

    def client_compressed_unary(self):
        yes, no = self.pb.BoolValue(value=True), self.pb.BoolValue(value=False)
        gzip = grpc.Compression.Gzip
        self.status(lambda: self.stub.UnaryCall(self.simple(expect_compressed=yes)), Code.INVALID_ARGUMENT)
        self.status(lambda: self.stub.UnaryCall(self.simple(expect_compressed=no), compression=gzip), Code.INVALID_ARGUMENT)
        for expected, how in ((yes, gzip), (no, None), (yes, grpc.Compression.Deflate)):
            answer = self.stub.UnaryCall(self.simple(expect_compressed=expected), compression=how)
            expect(answer.payload.body == bytes(LARGE_RESPONSE), "body")

    def client_compressed_streaming(self):
        yes = self.pb.StreamingInputCallRequest(payload=self.payload(27182), expect_compressed=self.pb.BoolValue(value=True))
        self.status(lambda: self.stub.StreamingInputCall(iter((yes,))), Code.INVALID_ARGUMENT)
        answer = self.stub.StreamingInputCall(iter((yes, yes)), compression=grpc.Compression.Gzip)
        expect(answer.aggregated_payload_size == 54364, "sum")

    def server_compressed_unary(self):
        for value in (True, False):
            answer = self.stub.UnaryCall(self.simple(response_compressed=self.pb.BoolValue(value=value)))
            expect(answer.payload.body == bytes(LARGE_RESPONSE), "body")

    def server_compressed_streaming(self):
        request = self.outputs(31415, 92653)
        request.response_parameters[0].compressed.value = True
        request.response_parameters[1].compressed.value = False
        self.bodies(self.stub.StreamingOutputCall(request), 31415, 92653)

    def rpc_soak(self):
        for _ in range(100):
            self.large_unary()

    def concurrent_large_unary(self):
        calls = [self.stub.UnaryCall.future(self.simple()) for _ in range(200)]
        expect(all(c.result().payload.body == bytes(LARGE_RESPONSE) for c in calls), "bodies")


def connect(server):
    with open(server.cert, "rb") as f:
        creds = grpc.ssl_channel_credentials(f.read())
    return grpc.secure_channel(server.address, creds, [("grpc.ssl_target_name_override", "cczoo-ratls")])


def their_client(pb, rpc, program):
    names = COMMON + COMPRESSION + [n for n in MANY if n != "channel_soak"]
    with Server([program]) as server:
        with connect(server) as channel:
            client = Client(pb, rpc, channel)
            for name in names:
                getattr(client, name)()
        for _ in range(10):  # channel_soak
            with connect(server) as channel:
                Client(pb, rpc, channel).large_unary()
    print("ok grpcio's client, our server: %d cases: %s channel_soak" % (len(names) + 1, " ".join(names)))


# ------------------------------------------------------------------ our client, their server


def service(pb, rpc):
    class Service(rpc.TestServiceServicer):
        @staticmethod
        def metadata(context):
            md = dict(context.invocation_metadata())
            if INITIAL in md:
                context.send_initial_metadata(((INITIAL, md[INITIAL]),))
            if TRAILER in md:
                context.set_trailing_metadata(((TRAILER, md[TRAILER]),))

        @staticmethod
        def ask(context, wanted):
            if wanted.code:
                context.abort(next(c for c in Code if c.value[0] == wanted.code), wanted.message)

        def EmptyCall(self, request, context):
            return pb.Empty()

        def UnaryCall(self, request, context):
            self.metadata(context)
            self.ask(context, request.response_status)
            if request.HasField("response_compressed"):
                context.set_compression(grpc.Compression.Gzip)
                if not request.response_compressed.value:
                    context.disable_next_message_compression()
            return pb.SimpleResponse(payload=pb.Payload(body=bytes(request.response_size)))

        def StreamingInputCall(self, requests, context):
            return pb.StreamingInputCallResponse(aggregated_payload_size=sum(len(r.payload.body) for r in requests))

        def answers(self, request, context):
            self.ask(context, request.response_status)
            for part in request.response_parameters:
                if part.interval_us:
                    time.sleep(part.interval_us / 1e6)
                if part.HasField("compressed") and not part.compressed.value:
                    context.disable_next_message_compression()
                yield pb.StreamingOutputCallResponse(payload=pb.Payload(body=bytes(part.size)))

        def StreamingOutputCall(self, request, context):
            if any(part.HasField("compressed") for part in request.response_parameters):
                context.set_compression(grpc.Compression.Gzip)
            yield from self.answers(request, context)

        def FullDuplexCall(self, requests, context):
            self.metadata(context)
            for request in requests:
                yield from self.answers(request, context)

        def HalfDuplexCall(self, requests, context):
            for request in list(requests):
                yield from self.answers(request, context)

    return Service()


def our_client(pb, rpc, program, folder):
    cert, key = (open(name, "rb").read() for name in identity(folder))
    server = grpc.server(futures.ThreadPoolExecutor(8))
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials(((key, cert),)))
    rpc.add_TestServiceServicer_to_server(service(pb, rpc), server)
    server.start()
    try:
        # grpcio's server is not told whether a message was compressed, so that it cannot expect it
        names = COMMON + [n for n in COMPRESSION if n.startswith("server_")] + MANY + ["half_duplex"]
        run_cases([program, "127.0.0.1:%d" % port], names, "our client, grpcio's server")
    finally:
        server.stop(None).wait()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    with tempfile.TemporaryDirectory() as where:
        print("grpcio", grpc.__version__)
        messages, stubs = generate(where)
        their_client(messages, stubs, sys.argv[1])
        our_client(messages, stubs, sys.argv[2], where)
