#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Stock gRPC clients that know an authority, against the port that serves attesting ones too (see tfserving_ca.sh).

usage: test_tfserving_ca.py serve PORT CA OTHER IMAGES LABELS    it serves who knows CA, and nobody else
       test_tfserving_ca.py leave PORT CA PID IMAGES LABELS      ends it: health tells before, and it serves meanwhile
       test_tfserving_ca.py refused PORT CA IMAGES LABELS        it serves no stock client
       test_tfserving_ca.py --packages
"""
import os
import signal
import sys

import interop_venv

interop_venv.enter()

if __name__ == "__main__" and sys.argv[1:] == ["--packages"]:
    sys.exit(0)

import grpc  # noqa: E402
from test_tfserving_client import MODEL, Images, expect  # noqa: E402
from tensorflow_serving.apis import prediction_service_pb2_grpc  # noqa: E402

WAIT_S = 30
SERVING, NOT_SERVING = b"\x08\x01", b"\x08\x02"


def channel(port, ca, *options):
    with open(ca, "rb") as f:
        return grpc.secure_channel("localhost:%d" % port, grpc.ssl_channel_credentials(root_certificates=f.read()), options)


def predict(c, data):
    return prediction_service_pb2_grpc.PredictionServiceStub(c).Predict(data.request(n=100), timeout=WAIT_S)


def unreachable(c, data, what):
    try:
        predict(c, data)
    except grpc.RpcError as e:
        expect(e.code() == grpc.StatusCode.UNAVAILABLE, "%s: %s %s" % (what, e.code(), e.details()))
        return
    sys.exit("failed: served " + what)


def named(service):
    return b"\x0a" + bytes([len(service)]) + service.encode()


def health(c, service):
    return c.unary_unary("/grpc.health.v1.Health/Check")(named(service), timeout=WAIT_S)


def serve(port, ca, other, images, labels):
    data = Images(images, labels, 100)
    with channel(int(port), ca) as c:
        scores = predict(c, data).outputs["scores"].float_val
        best = [max(range(10), key=lambda k, i=i: scores[10 * i + k]) for i in range(100)]
        expect(sum(a == b for a, b in zip(best, data.labels)) > 70, "answers that are about right")
        for service in ("", MODEL, "tensorflow.serving.PredictionService"):
            expect(health(c, service) == SERVING, "health of %r" % service)
        try:
            health(c, "nobody")
            sys.exit("failed: a model that is not there has health")
        except grpc.RpcError as e:
            expect(e.code() == grpc.StatusCode.NOT_FOUND, e)
    with channel(int(port), other) as c:
        unreachable(c, data, "who knows another authority")
    with channel(int(port), ca, ("grpc.ssl_target_name_override", "other.example")) as c:
        unreachable(c, data, "who looks for another name")
    print("ok stock clients")


def leave(port, ca, pid, images, labels):
    data = Images(images, labels, 100)
    with channel(int(port), ca) as c:
        watch = c.unary_stream("/grpc.health.v1.Health/Watch")
        seen = [watch(named(s), timeout=4 * WAIT_S) for s in ("", MODEL)]
        for s in seen:
            expect(next(s) == SERVING, "it serves")
        os.kill(int(pid), signal.SIGTERM)
        for s in seen:
            expect(next(s) == NOT_SERVING, "it will not")
        predict(c, data)  # this connection, and new ones, go on
        with channel(int(port), ca, ("grpc.use_local_subchannel_pool", 1)) as fresh:
            predict(fresh, data)
            expect(health(fresh, MODEL) == NOT_SERVING, "the same for who asks")
        os.kill(int(pid), signal.SIGTERM)  # does not want to wait
        for s in seen:
            try:
                next(s)
                sys.exit("failed: something else is told")
            except grpc.RpcError as e:
                expect(e.code() == grpc.StatusCode.UNAVAILABLE, e)
    print("ok leaving")


def refused(port, ca, images, labels):
    with channel(int(port), ca) as c:
        unreachable(c, Images(images, labels, 100), "a stock client")
    print("ok refused")


if __name__ == "__main__":
    calls = {f.__name__: f for f in (serve, leave, refused)}
    if len(sys.argv) < 3 or sys.argv[1] not in calls:
        sys.exit(__doc__)
    calls[sys.argv[1]](*sys.argv[2:])
