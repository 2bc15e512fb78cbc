#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""grpcurl, which knows a server from reflection alone, against our reflection and health services.

usage: test_grpcurl.py SERVER     (the program of interop_server.c)
Exit 77 if grpcurl cannot be had.
"""
import base64
import json
import os
import subprocess
import sys
import tempfile

from interop_run import HERE, Server, expect, go_program

TESTING = "grpc.testing.TestService"
SERVICES = ["grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection",
            TESTING]
METHODS = ["EmptyCall", "FullDuplexCall", "HalfDuplexCall", "StreamingInputCall", "StreamingOutputCall", "UnaryCall",
           "UnimplementedCall"]


class Grpcurl:
    def __init__(self, program, address):
        self.program, self.address = program, address

    def run(self, *args, before=(), code=0):
        """Standard output; with another code, standard error."""
        done = subprocess.run([self.program, "-insecure", *before, self.address, *args], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=60)
        expect((done.returncode == 0) == (code == 0), "grpcurl %s: %s" % (args, done.stderr))
        return done.stderr if code else done.stdout

    def call(self, method, request, code=0, options=()):
        """The answers; with another code, standard error, which has to name it."""
        text = self.run(method, before=(*options, "-d", json.dumps(request)), code=code)
        if code:
            return text
        answers, decoder = [], json.JSONDecoder()
        while text.strip():
            answer, end = decoder.raw_decode(text.lstrip())
            answers.append(answer)
            text = text.lstrip()[end:]
        return answers


def zeros(n):
    return base64.b64encode(bytes(n)).decode()


def reflection(g):
    expect(g.run("list").split() == SERVICES, "services: %s" % g.run("list"))
    listed = g.run("list", TESTING).split()
    expect(listed == ["%s.%s" % (TESTING, m) for m in METHODS], "methods: %s" % listed)
    expect("int32 response_size = 2;" in g.run("describe", "grpc.testing.SimpleRequest"), "a message")
    expect("COMPRESSABLE = 0;" in g.run("describe", "grpc.testing.PayloadType"), "an enum")
    expect("rpc Watch ( .grpc.health.v1.HealthCheckRequest ) returns ( stream .grpc.health.v1.HealthCheckResponse );"
           in g.run("describe", "grpc.health.v1.Health"), "a method")
    expect("Symbol not found" in g.run("describe", "grpc.testing.Nothing", code=1), "an unknown symbol")
    for version in ("v1", "v1alpha"):
        [answer] = g.call("grpc.reflection.%s.ServerReflection/ServerReflectionInfo" % version, {"listServices": ""})
        expect([s["name"] for s in answer["listServicesResponse"]["service"]] == SERVICES, "%s: %s" % (version, answer))
        [answer] = g.call("grpc.reflection.%s.ServerReflection/ServerReflectionInfo" % version, {"fileByFilename": "x"})
        expect(answer["errorResponse"]["errorCode"] == 5, "%s: %s" % (version, answer))
    print("ok reflection")


def calls(g):
    expect(g.call(TESTING + "/EmptyCall", {}) == [{}], "EmptyCall")
    expect(g.call(TESTING + "/UnaryCall", {"responseSize": 10}) == [{"payload": {"body": zeros(10)}}], "UnaryCall")
    got = g.call(TESTING + "/StreamingOutputCall", {"responseParameters": [{"size": 1}, {"size": 2}, {"size": 3}]})
    expect(got == [{"payload": {"body": zeros(n)}} for n in (1, 2, 3)], "StreamingOutputCall: %s" % got)
    error = g.call(TESTING + "/UnaryCall", {"responseStatus": {"code": 10, "message": "as asked"}}, code=10)
    expect("Code: Aborted" in error and "Message: as asked" in error, "a status: %s" % error)
    expect("Code: Unimplemented" in g.call(TESTING + "/UnimplementedCall", {}, code=12), "UnimplementedCall")
    print("ok calls")


def health(g):
    check = "grpc.health.v1.Health/Check"
    for service in ("", TESTING):
        expect(g.call(check, {"service": service}) == [{"status": "SERVING"}], "Check of '%s'" % service)
    expect("Code: NotFound" in g.call(check, {"service": "x.Y"}, code=5), "Check of an unknown service")
    [listed] = g.call("grpc.health.v1.Health/List", {})
    expect(listed == {"statuses": {s: {"status": "SERVING"} for s in ("", TESTING)}}, "List: %s" % listed)
    done = subprocess.run([g.program, "-insecure", "-max-time", "2", "-d", '{"service": "x.Y"}', g.address,
                           "grpc.health.v1.Health/Watch"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    expect(json.loads(done.stdout) == {"status": "SERVICE_UNKNOWN"} and "DeadlineExceeded" in done.stderr,
           "Watch: %s%s" % (done.stdout, done.stderr))
    print("ok health")


def main(server):
    with tempfile.TemporaryDirectory() as folder:
        program = go_program("github.com/fullstorydev/grpcurl/cmd/grpcurl", folder)
        descriptors = os.path.join(folder, "descriptors")
        subprocess.run([program, "-import-path", HERE / "protos", "-proto", "grpc_testing.proto", "-protoset-out",
                        descriptors, "describe"], check=True, stdout=subprocess.DEVNULL)
        with Server([server, "--descriptors", descriptors]) as s:
            g = Grpcurl(program, s.address)
            reflection(g)
            calls(g)
            health(g)
        with Server([server]) as s:  # nothing of this was known without the descriptors
            g = Grpcurl(program, s.address)
            expect(g.run("list").split() == SERVICES, "services are those of the server")
            expect("Symbol not found" in g.run("describe", TESTING, code=1), "no descriptors, no description")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
