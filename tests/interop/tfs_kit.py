# SPDX-License-Identifier: Apache-2.0
"""Servers, models and questions of the compatibility suite (test_tfs.py)."""
import json
import os
import shutil
import signal
import struct
import subprocess
import time

from test_tfserving_client import channel, expect

from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import (classification_pb2, get_model_metadata_pb2, get_model_status_pb2, inference_pb2,
                                     model_service_pb2_grpc, predict_pb2, prediction_service_pb2_grpc, regression_pb2)

WAIT_S = 90  # for what a server does by itself; the machine may be busy


def equal(got, want, what):
    expect(got == want, "%s: expected %r, got %r" % (what, want, got))


def until(what, ask):
    """Asks again until the answer is true: for what happens in the server's own time."""
    end = time.monotonic() + WAIT_S
    while not ask():
        expect(time.monotonic() < end, "in vain: " + what)
        time.sleep(0.05)


# ------------------------------------------------------------------ models

def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def masked(data):
    """A CRC as TensorFlow stores it."""
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xa282ead8) & 0xffffffff)


class Models:
    """Folders of versions, made of TensorFlow Serving's own half_plus_two."""

    def __init__(self, run, vectors):
        self.root = os.path.join(run, "models")
        self.two = os.path.join(vectors, "half_plus_two", "00000123")

    def base(self, name):
        return os.path.join(self.root, name)

    def put(self, name, version, three=False, warmup=None, batching=None, damaged=False):
        """Appears complete, as a careful owner does it. three: y = x / 2 + 3."""
        final = os.path.join(self.base(name), version)
        work = os.path.join(self.root, "making-%s-%s" % (name, version))
        shutil.copytree(self.two, work)
        if three:
            self.add_three(os.path.join(work, "variables"))
        if damaged:
            with open(os.path.join(work, "saved_model.pb"), "r+b") as f:
                f.truncate(1000)
        if warmup is not None:
            os.mkdir(os.path.join(work, "assets.extra"))
            with open(os.path.join(work, "assets.extra", "tf_serving_warmup_requests"), "wb") as f:
                f.write(warmup)
        if batching is not None:
            with open(os.path.join(work, "batching_params.pbtxt"), "w") as f:
                f.write(batching)
        os.makedirs(self.base(name), exist_ok=True)
        os.rename(work, final)
        return self.base(name)

    @staticmethod
    def add_three(variables):
        """b = 3: its value, the checksum of that, the checksum of the (compressed) block of the index that holds it."""
        data, index = (os.path.join(variables, "variables." + n) for n in ("data-00000-of-00001", "index"))
        with open(data, "r+b") as f:
            values = list(struct.unpack("<5f", f.read()))
            equal(values, [0.5, 0.5, 2, 3, 3], "the variables")
            values[2] = 3.0
            f.seek(0)
            f.write(struct.pack("<5f", *values))
        with open(index, "rb") as f:
            old = f.read()
        block = 88  # bytes of it, with its type
        equal(old[block:block + 4], masked(old[:block]), "the checksum of the first block")
        sums = masked(struct.pack("<f", 2)), masked(struct.pack("<f", 3))
        equal(old.count(sums[0]), 1, "the checksum of b")
        new = old[:block].replace(*sums)
        with open(index, "wb") as f:
            f.write(new + masked(new) + old[block + 4:])


def records(*logs):
    """A TFRecord file."""
    out = b""
    for data in logs:
        size = struct.pack("<Q", len(data))
        out += size + masked(size) + data + masked(data)
    return out


def config(*models):
    """model_config_list of (name, base path, more text)."""
    return "model_config_list {\n%s}\n" % "".join(
        "  config { name: '%s' base_path: '%s' model_platform: 'tensorflow' %s }\n" % m for m in models)


# ------------------------------------------------------------------ servers

class Server:
    """A cczoo-served of its own; `with` ends it in good order."""
    run = program = library = None  # by test_tfs.py
    all = []

    def __init__(self, name, *args, listen=("--listen", "127.0.0.1:0"), socket=None):
        self.socket = socket
        self.file = {k: os.path.join(self.run, "%s.%s" % (name, k)) for k in ("port", "rest", "log")}
        command = [self.program, *listen, "--rest", "127.0.0.1:0", "--port-file", self.file["port"],
                   "--rest-port-file", self.file["rest"], "--tensorflow", self.library, "--tee", "sim-sgx",
                   "--sim-dir", self.run + "/sim", "--trust-sim", self.run + "/sim/trust", "--insecure-tls-only",
                   "--models-in-clear-insecure", "--reload-by-anybody-insecure", "--threads=2", *args]
        with open(self.file["log"], "wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        Server.all.append(self)

    def log(self):
        with open(self.file["log"], errors="replace") as f:
            return f.read()

    def __enter__(self):
        end = time.monotonic() + WAIT_S
        while not os.path.exists(self.file["port"]):
            expect(self.process.poll() is None and time.monotonic() < end, "the server did not start:\n" + self.log())
            time.sleep(0.05)
        self.port, self.rest = (int(open(self.file[k]).read()) for k in ("port", "rest"))
        self.channel = channel(self.socket or self.port)
        self.stub = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        self.models = model_service_pb2_grpc.ModelServiceStub(self.channel)
        return self

    def __exit__(self, kind, *_):
        self.channel.close()
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(timeout=WAIT_S)
        if kind is None:
            equal(status, 0, "exit status; its log:\n" + self.log())

    def ends(self, status, *texts):
        """It must end by itself, with such words, and never have been ready."""
        equal(self.process.wait(timeout=WAIT_S), status, "exit status of " + self.log())
        for text in texts:
            expect(text in self.log(), "no %r in the log:\n%s" % (text, self.log()))
        expect(not os.path.exists(self.file["port"]), "it was ready:\n" + self.log())

    @classmethod
    def kill_all(cls):
        for s in cls.all:
            if s.process.poll() is None:
                s.process.kill()
                s.process.wait()

    # ---- REST, by curl

    def curl(self, path, *args, body=None):
        """(status, headers in lower case, body)"""
        command = ["curl", "-sk", "-m", "60", "-i", "--path-as-is", "https://127.0.0.1:%d%s" % (self.rest, path), *args]
        if body is not None:
            command += ["-H", "Expect:", "--data-binary", "@-"]
            body = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
        out = subprocess.run(command, input=body, stdout=subprocess.PIPE, check=True).stdout
        head, text = out.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        headers = {k.lower(): v.strip() for k, v in (line.split(":", 1) for line in lines[1:])}
        return int(lines[0].split()[1]), headers, text.decode("utf-8", "replace")

    def post(self, path, body, want, *args):
        status, headers, text = self.curl(path, *args, body=body)
        equal((status, headers["content-type"]), (200, "application/json"), "%s: %s" % (path, text))
        equal(json.loads(text), want, path)
        return text

    def get(self, path):
        status, headers, text = self.curl(path)
        equal((status, headers["content-type"]), (200, "application/json"), "%s: %s" % (path, text))
        return json.loads(text)

    def error(self, status, want, path, *args, body=None):
        """want: the whole text, or its beginning with a '*' behind it."""
        got, headers, text = self.curl(path, *args, body=body)
        equal((got, headers["content-type"]), (status, "application/json"), "%s: %s" % (path, text))
        answer = json.loads(text)
        equal(list(answer), ["error"], path)
        said = answer["error"]
        expect(said.startswith(want[:-1]) if want.endswith("*") else said == want,
               "%s: expected %r, got %r" % (path, want, said))


# ------------------------------------------------------------------ gRPC requests

def spec(to, name, signature="", version=None, label=None):
    to.name, to.signature_name = name, signature
    if version is not None:
        to.version.value = version
    if label is not None:
        to.version_label = label


def predict(name="default", x=(2.0,), shape=None, **kw):
    r = predict_pb2.PredictRequest()
    spec(r.model_spec, name, **kw)
    t = r.inputs["x"]
    t.dtype = tensor_pb2.DT_FLOAT
    for size in shape or (len(x),):
        t.tensor_shape.dim.add(size=size)
    t.float_val.extend(x)
    return r


def floats(tensor):
    """In whichever field they came."""
    content = tensor.tensor_content
    return list(struct.unpack("<%df" % (len(content) // 4), content) if content else tensor.float_val)


def answer(server, **kw):
    """(y, version) of a Predict."""
    r = server.stub.Predict(predict(**kw), timeout=WAIT_S)
    return floats(r.outputs["y"]), r.model_spec.version.value


def examples(r, *xs, **features):
    """Fills r.input: one example for each x."""
    for x in xs:
        f = r.input.example_list.examples.add().features.feature
        f["x"].float_list.value.append(x)
        for k, v in features.items():
            f[k].float_list.value.append(v)
    return r


def classify(signature="classify_x_to_y", name="default"):
    r = classification_pb2.ClassificationRequest()
    spec(r.model_spec, name, signature)
    return r


def regress(signature="regress_x_to_y", name="default"):
    r = regression_pb2.RegressionRequest()
    spec(r.model_spec, name, signature)
    return r


def multi(*tasks):
    """Of (signature, method[, model])."""
    r = inference_pb2.MultiInferenceRequest()
    for signature, method, *name in tasks:
        t = r.tasks.add(method_name="tensorflow/serving/" + method)
        spec(t.model_spec, name[0] if name else "default", signature)
    return r


def metadata(*fields, name="default", **kw):
    r = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=fields)
    spec(r.model_spec, name, **kw)
    return r


def status(server, name="default", **kw):
    """[(version, state)], and the errors of versions that have one."""
    r = get_model_status_pb2.GetModelStatusRequest()
    spec(r.model_spec, name, **kw)
    got = server.models.GetModelStatus(r, timeout=WAIT_S).model_version_status
    name_of = get_model_status_pb2.ModelVersionStatus.State.Name
    return ([(v.version, name_of(v.state)) for v in got],
            {v.version: (v.status.error_code, v.status.error_message) for v in got if v.status.error_code})
