#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Stock grpcio, with Python's own stubs of the same .proto files, against servers on ours: the example over plain TLS (calls,
health, reflection), and the server of solution 01, which it must not get through to.

usage: test_greeter.py BIN ROOT     (the folder of built programs, and the source tree); exit 77 if something cannot be had
"""
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import time

import interop_venv

BIN, ROOT = sys.argv[1:3]
SERVER, SOLUTION = os.path.join(BIN, "greeter-server"), os.path.join(BIN, "cczoo-greet-server")
if not os.path.exists(SERVER):
    print("skipped: stubs could not be made here (protoc, protoc-gen-c, libprotobuf-c)")
    sys.exit(77)
interop_venv.enter()

import grpc  # noqa: E402
from grpc_tools import protoc  # noqa: E402


def expect(cond, what):
    if not cond:
        sys.exit("failed: " + what)


def refused(call, code, text):
    try:
        call()
    except grpc.RpcError as e:
        expect(e.code() == code and text in e.details(), "expected %s (%s), got %s: %s" % (code, text, e.code(), e.details()))
        return
    sys.exit("failed: expected %s" % code)


def channel(port):
    """The certificate is made at each start: who connects takes what comes, which is what TLS without evidence is worth."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    with socket.create_connection(("127.0.0.1", port)) as s, context.wrap_socket(s) as t:
        pem = ssl.DER_cert_to_PEM_cert(t.getpeercert(binary_form=True)).encode()
    options = [("grpc.ssl_target_name_override", "cczoo-ratls")]
    return grpc.secure_channel("127.0.0.1:%d" % port, grpc.ssl_channel_credentials(pem), options)


def python_stubs(folder):
    for proto in ("examples/greeter/greeter.proto", "proto/health.proto", "proto/reflection.proto"):
        source = os.path.join(ROOT, proto)
        code = protoc.main(["protoc", "-I" + os.path.dirname(source), "--python_out=" + folder, "--grpc_python_out=" + folder, source])
        expect(code == 0, "stubs of " + proto)
    sys.path.insert(0, folder)


def calls(c):
    import greeter_pb2
    import greeter_pb2_grpc
    stub = greeter_pb2_grpc.GreeterStub(c)
    expect(stub.SayHello(greeter_pb2.HelloRequest(name="ada"), timeout=10).text == "hello ada", "unary")
    expect(stub.SayHello(greeter_pb2.HelloRequest(name="\u00e9\u4e16"), timeout=10).text == "hello \u00e9\u4e16", "text that is not ASCII")
    refused(lambda: stub.SayHello(greeter_pb2.HelloRequest(), timeout=10), grpc.StatusCode.INVALID_ARGUMENT, "name: 1 to 64 bytes")
    many = [r.text for r in stub.SayHellos(greeter_pb2.HelloRequest(times=20000), timeout=60)]
    expect(len(many) == 20000 and many[0] == "hello, 19999 to go" and many[-1] == "hello, 0 to go", "server stream")
    stream = stub.SayHellos(greeter_pb2.HelloRequest(times=4000000000), timeout=60)
    next(stream)
    stream.cancel()
    raw = c.unary_unary("/greeter.v1.Greeter/SayHello", lambda b: b, lambda b: b)
    refused(lambda: raw(b"\x0a\x7fcut", timeout=10), grpc.StatusCode.INVALID_ARGUMENT, "5 bytes are no greeter.v1.HelloRequest")


def health(c):
    import health_pb2
    import health_pb2_grpc
    got = health_pb2_grpc.HealthStub(c).Check(health_pb2.HealthCheckRequest(), timeout=10)
    expect(got.status == 1, "health: %s" % got)


def reflection(c):
    import reflection_pb2
    import reflection_pb2_grpc
    from google.protobuf import descriptor_pb2
    ask = reflection_pb2.ServerReflectionRequest
    stub = reflection_pb2_grpc.ServerReflectionStub(c)
    answers = list(stub.ServerReflectionInfo(iter([ask(list_services="*"), ask(file_containing_symbol="greeter.v1.Greeter")]), timeout=10))
    names = [s.name for s in answers[0].list_services_response.service]
    expect("greeter.v1.Greeter" in names, "services: %s" % names)
    file = descriptor_pb2.FileDescriptorProto.FromString(answers[1].file_descriptor_response.file_descriptor_proto[0])
    expect([m.name for m in file.service[0].method] == ["SayHello", "SayHellos"], "descriptor: %s" % file)


def not_without_evidence(folder):
    """No downgrade: whoever does not speak RA-TLS gets no further than the handshake, and the server says why."""
    sim, port_file, log = (os.path.join(folder, n) for n in ("sim", "port", "log"))
    subprocess.run([os.path.join(BIN, "cczoo"), "sim", "init", sim], check=True, stderr=subprocess.DEVNULL)
    with open(log, "wb") as out:
        server = subprocess.Popen([SOLUTION, "--listen", "127.0.0.1:0", "--port-file", port_file, "--share", log, "--tee", "sim-sgx",
                                   "--sim-dir", sim], stderr=out)
    try:
        for _ in range(200):
            if os.path.exists(port_file) or server.poll() is not None:
                break
            time.sleep(0.05)
        port = int(open(port_file).read())
        with open(os.path.join(folder, "ca.pem"), "wb") as f: # any certificate: it does not get so far
            subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=x", "-keyout",
                            "/dev/null"], check=True, stdout=f, stderr=subprocess.DEVNULL)
        credentials = grpc.ssl_channel_credentials(open(os.path.join(folder, "ca.pem"), "rb").read())
        with grpc.secure_channel("127.0.0.1:%d" % port, credentials) as c:
            hello = c.unary_unary("/hello.v1.Greeter/SayHello", lambda b: b, lambda b: b)
            refused(lambda: hello(b"", timeout=10), grpc.StatusCode.UNAVAILABLE, "")
    finally:
        server.terminate()
        expect(server.wait(20) == 0, "the server ends in order")
    text = open(log).read()
    expect(' where=ratls:alpn got="no common protocol" expected="ccz-ratls/1"' in text, "the server's log: " + text)


def main():
    with tempfile.TemporaryDirectory() as folder:
        python_stubs(folder)
        server = subprocess.Popen([SERVER, "127.0.0.1:0", "tls"], stdout=subprocess.PIPE, text=True)
        try:
            port = int(server.stdout.readline().split()[-1])
            with channel(port) as c:
                calls(c)
                health(c)
                reflection(c)
        finally:
            server.terminate()
        expect(server.wait(20) == 0, "the server ends in order")
        not_without_evidence(folder)
    print("ok")


main()
