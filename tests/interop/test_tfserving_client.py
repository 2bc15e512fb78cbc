#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The official TensorFlow Serving client code (tensorflow-serving-api) with stock grpcio against cczoo-served.

usage: test_tfserving_client.py PORT IMAGES LABELS     (a server with --insecure-tls-only; see tfserving_client.sh)
"""
import gzip
import os
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time

import interop_venv

interop_venv.enter()

import grpc  # noqa: E402

MODEL = "fashion-mnist"
protos = os.path.join(os.path.dirname(os.path.abspath(__file__)), "protos")
compiled = tempfile.TemporaryDirectory()
subprocess.run([sys.executable, "-m", "grpc_tools.protoc", "-I", protos, "--python_out", compiled.name] +
               [os.path.join(d, f) for d, _, names in os.walk(protos) for f in names], check=True)
sys.path.insert(0, compiled.name)

from tensorflow.core.framework import tensor_pb2  # noqa: E402
from tensorflow_serving.apis import (get_model_metadata_pb2, get_model_status_pb2, model_service_pb2_grpc,  # noqa: E402
                                     predict_pb2, prediction_service_pb2_grpc)


def expect(cond, what):
    if not cond:
        sys.exit("failed: %s" % (what,))


def refused(call, code, text, **kw):
    try:
        call(**kw)
    except grpc.RpcError as e:
        expect(e.code() == code and (e.details() == text or text.endswith("*") and e.details().startswith(text[:-1])),
               "expected %s %r, got %s %r" % (code, text, e.code(), e.details()))
        return
    sys.exit("failed: was not refused: " + text)


def connect(address):
    """A port, or the path of a unix socket."""
    if isinstance(address, int):
        return socket.create_connection(("127.0.0.1", address))
    s = socket.socket(socket.AF_UNIX)
    s.connect(address)
    return s


def certificate(address):
    """As ssl.get_server_certificate(), which does not say that it wants HTTP/2."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    with connect(address) as s, context.wrap_socket(s) as tls:
        return ssl.DER_cert_to_PEM_cert(tls.getpeercert(True)).encode()


def channel(address):
    """As a user of stock gRPC does: trust this very certificate, whatever name it has."""
    pem = certificate(address)
    target = "127.0.0.1:%d" % address if isinstance(address, int) else "unix:" + address
    options = [("grpc.ssl_target_name_override", "cczoo-ratls"), ("grpc.max_receive_message_length", -1),
               ("grpc.max_send_message_length", -1)]
    return grpc.secure_channel(target, grpc.ssl_channel_credentials(pem), options)


class Images:
    def __init__(self, images, labels, n):
        data = gzip.open(images).read(16 + n * 784)[16:]
        self.pixels = [v / 255 for v in data]
        self.labels = list(gzip.open(labels).read(8 + n)[8:])

    def tensor(self, first, n, content=False):
        t = tensor_pb2.TensorProto(dtype=tensor_pb2.DT_FLOAT)
        for size in (n, 28, 28, 1):
            t.tensor_shape.dim.add(size=size)
        values = self.pixels[first * 784:(first + n) * 784]
        if content:
            t.tensor_content = struct.pack("<%df" % len(values), *values)
        else:
            t.float_val.extend(values)
        return t

    def image(self, i):
        """As JSON wants it."""
        p = self.pixels[i * 784:i * 784 + 784]
        return [[[p[r * 28 + c]] for c in range(28)] for r in range(28)]

    def request(self, first=0, n=3, content=False, **spec):
        r = predict_pb2.PredictRequest()
        r.model_spec.name = MODEL
        r.model_spec.signature_name = "serving_default"
        for key, value in spec.items():
            if key == "version":
                r.model_spec.version.value = value
            else:
                setattr(r.model_spec, key, value)
        r.inputs["images"].CopyFrom(self.tensor(first, n, content))
        return r


def test_predict(stub, data):
    typed = stub.Predict(data.request(n=100), timeout=30)
    expect(sorted(typed.outputs) == ["classes", "scores"], "outputs: %s" % sorted(typed.outputs))
    expect((typed.model_spec.name, typed.model_spec.version.value, typed.model_spec.signature_name) ==
           (MODEL, 1, "serving_default"), typed.model_spec)
    scores, classes = typed.outputs["scores"], typed.outputs["classes"]
    expect(scores.dtype == tensor_pb2.DT_FLOAT and [d.size for d in scores.tensor_shape.dim] == [100, 10], "shape")
    expect(classes.dtype == tensor_pb2.DT_STRING and len(classes.string_val) == 100, "classes")
    rows = [list(scores.float_val[i * 10:i * 10 + 10]) for i in range(100)]
    expect(all(abs(sum(r) - 1) < 1e-4 for r in rows), "each row of scores is a distribution")
    right = sum(r.index(max(r)) == label for r, label in zip(rows, data.labels))
    expect(right >= 80, "%d of 100 right" % right)
    names = {}
    for r, name in zip(rows, classes.string_val):
        expect(names.setdefault(r.index(max(r)), name) == name, "a class has one name")
    content = stub.Predict(data.request(n=100, content=True), timeout=30)
    expect(content == typed, "tensor_content and float_val are the same input")
    expect(stub.Predict(data.request(n=100, version=1), timeout=30) == typed, "version 1 by its number")
    expect(stub.Predict(data.request(n=100, signature_name=""), timeout=30) == typed, "the default signature")
    one = data.request(n=1)
    del one.inputs["images"].float_val[1:]
    one.inputs["images"].float_val[0] = 0.5
    same = data.request(n=1)
    same.inputs["images"].float_val[:] = [0.5] * 784
    expect(stub.Predict(one, timeout=30) == stub.Predict(same, timeout=30), "one value stands for all")


def test_filter(stub, data):
    r = data.request()
    whole = stub.Predict(r, timeout=30)
    r.output_filter.append("scores")
    part = stub.Predict(r, timeout=30)
    expect(list(part.outputs) == ["scores"] and part.outputs["scores"] == whole.outputs["scores"], "output_filter")
    r.output_filter.append("scores")
    refused(lambda: stub.Predict(r, timeout=30), grpc.StatusCode.INVALID_ARGUMENT,
            "duplicate output tensor alias: scores")
    r.output_filter[:] = ["logits"]
    refused(lambda: stub.Predict(r, timeout=30), grpc.StatusCode.INVALID_ARGUMENT,
            "output tensor alias not found in signature: logits Outputs expected to be in the set {classes,scores}.")


def test_metadata(stub):
    r = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    r.model_spec.name = MODEL
    answer = stub.GetModelMetadata(r, timeout=30)
    expect((answer.model_spec.name, answer.model_spec.version.value) == (MODEL, 1), answer.model_spec)
    map_ = get_model_metadata_pb2.SignatureDefMap()
    expect(answer.metadata["signature_def"].Unpack(map_), "the Any holds a SignatureDefMap")
    sig = map_.signature_def["serving_default"]
    expect(sig.method_name == "tensorflow/serving/predict" and not sig.defaults, sig)
    image = sig.inputs["images"]
    expect(image.dtype == tensor_pb2.DT_FLOAT and [d.size for d in image.tensor_shape.dim] == [-1, 28, 28, 1], image)
    expect(sorted(sig.outputs) == ["classes", "scores"], sig)
    bad = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["weights"])
    bad.model_spec.name = MODEL
    refused(lambda: stub.GetModelMetadata(bad, timeout=30), grpc.StatusCode.INVALID_ARGUMENT,
            "Metadata field weights is not supported")
    bad.metadata_field[:] = []
    refused(lambda: stub.GetModelMetadata(bad, timeout=30), grpc.StatusCode.INVALID_ARGUMENT,
            "GetModelMetadataRequest must specify at least one metadata_field")
    refused(lambda: stub.GetModelMetadata(get_model_metadata_pb2.GetModelMetadataRequest(), timeout=30),
            grpc.StatusCode.INVALID_ARGUMENT, "Missing ModelSpec")


def test_status(stub):
    r = get_model_status_pb2.GetModelStatusRequest()
    r.model_spec.name = MODEL
    answer = stub.GetModelStatus(r, timeout=30)
    expect(len(answer.model_version_status) == 1, answer)
    v = answer.model_version_status[0]
    expect((v.version, v.state, v.status.error_code, v.status.error_message) ==
           (1, get_model_status_pb2.ModelVersionStatus.AVAILABLE, 0, ""), v)
    r.model_spec.version.value = 7
    refused(lambda: stub.GetModelStatus(r, timeout=30), grpc.StatusCode.NOT_FOUND,
            "Could not find version 7 of model " + MODEL)
    r.model_spec.name = "other"
    r.model_spec.ClearField("version")
    refused(lambda: stub.GetModelStatus(r, timeout=30), grpc.StatusCode.NOT_FOUND,
            "Could not find any versions of model other")


def test_errors(stub, data):
    code = grpc.StatusCode

    def no(request, status, text):
        refused(lambda: stub.Predict(request, timeout=30), status, text)
    no(data.request(name="other"), code.NOT_FOUND, "Servable not found for request: Latest(other)")
    no(data.request(version=9), code.NOT_FOUND, "Servable not found for request: Specific(fashion-mnist, 9)")
    no(data.request(name=""), code.INVALID_ARGUMENT, "ModelSpec has no name specified.")
    no(data.request(version_label="best"), code.INVALID_ARGUMENT, "Unrecognized servable version label: best")
    no(data.request(signature_name="train"), code.FAILED_PRECONDITION, 'Serving signature key "train" not found.')
    no(predict_pb2.PredictRequest(), code.INVALID_ARGUMENT, "Missing ModelSpec")
    r = data.request()
    r.inputs["more"].CopyFrom(r.inputs["images"])
    no(r, code.INVALID_ARGUMENT, "input size does not match signature: 2!=1 len({images,more}) != len({images}). "
       "Sent extra: {more}. Missing but required: {}.")
    del r.inputs["images"]
    no(r, code.INVALID_ARGUMENT, "Signature input alias: images(feed name: serving_default_images:0) not found*")
    del r.inputs["more"]
    no(r, code.INVALID_ARGUMENT, "input size does not match signature: 0!=1 len({}) != len({images}). "
       "Sent extra: {}. Missing but required: {images}.")
    r = data.request(content=True)
    r.inputs["images"].tensor_content = r.inputs["images"].tensor_content[:-1]
    no(r, code.INVALID_ARGUMENT, "tensor parsing error: images")
    r = data.request()
    r.inputs["images"].dtype = tensor_pb2.DT_STRING
    r.inputs["images"].string_val.append(b"x")
    no(r, code.INVALID_ARGUMENT, "*")  # TensorFlow's own words
    r = data.request()
    del r.inputs["images"].tensor_shape.dim[1:]
    no(r, code.INVALID_ARGUMENT, "input images has shape [3], the signature says [?,28,28,1]")


def test_unknown_method(chan):
    call = chan.unary_unary("/tensorflow.serving.PredictionService/Forget")
    refused(lambda: call(b"", timeout=10), grpc.StatusCode.UNIMPLEMENTED, "unknown method*")
    call = chan.unary_unary("/tensorflow.serving.PredictionService/Predict")
    refused(lambda: call(b"\xff", timeout=10), grpc.StatusCode.INTERNAL, "Failed to parse the request message")


def test_deadline(stub, data):
    """A call that cannot be over in time ends in time, and the server goes on."""
    big = data.request(n=1, content=True)
    for size, dim in zip((2000, 28, 28, 1), big.inputs["images"].tensor_shape.dim):
        dim.size = size
    big.inputs["images"].tensor_content = big.inputs["images"].tensor_content * 2000
    start = time.time()
    refused(lambda: stub.Predict(big, timeout=0.05), grpc.StatusCode.DEADLINE_EXCEEDED, "*")
    expect(time.time() - start < 2, "deadline kept after %.1f s" % (time.time() - start))
    cancelled = stub.Predict.future(big, timeout=30)
    cancelled.cancel()
    expect(len(stub.Predict(data.request(), timeout=30).outputs) == 2, "the next call")
    expect(len(stub.Predict(big, timeout=60).outputs["classes"].string_val) == 2000, "the same call with time enough")


def test_concurrent(port, data):
    """Several channels and threads; each gets the answer to its own question."""
    want = {i: prediction_service_pb2_grpc.PredictionServiceStub(channel(port)).Predict(data.request(i, 1), timeout=30)
            for i in range(8)}
    bad = []

    def ask(i):
        with channel(port) as c:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(c)
            calls = [(k % 8, stub.Predict.future(data.request(k % 8, 1, k % 2 == 0), timeout=60)) for k in range(i, i + 50)]
            bad.extend(k for k, f in calls if f.result() != want[k])
    threads = [threading.Thread(target=ask, args=(i,)) for i in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    expect(not bad, "wrong answers: %s" % bad)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    PORT, DATA = int(sys.argv[1]), Images(sys.argv[2], sys.argv[3], 100)
    with channel(PORT) as chan:
        predict = prediction_service_pb2_grpc.PredictionServiceStub(chan)
        for name, test in {"predict": lambda: test_predict(predict, DATA), "filter": lambda: test_filter(predict, DATA),
                           "metadata": lambda: test_metadata(predict),
                           "status": lambda: test_status(model_service_pb2_grpc.ModelServiceStub(chan)),
                           "errors": lambda: test_errors(predict, DATA),
                           "unknown_method": lambda: test_unknown_method(chan),
                           "deadline": lambda: test_deadline(predict, DATA),
                           "concurrent": lambda: test_concurrent(PORT, DATA)}.items():
            test()
            print("ok", name)
