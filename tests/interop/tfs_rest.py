# SPDX-License-Identifier: Apache-2.0
"""Part of test_tfs.py: the REST API by curl, and the page for Prometheus. Models: see test_tfs.py, serve_still()."""
import base64
import gzip
import json
import zlib

from test_tfserving_client import expect

from tensorflow.core.example import example_pb2
from tfs_kit import answer, equal

M = "/v1/models/default"


def example(x):
    """{"b64": a tf.Example}"""
    e = example_pb2.Example()
    e.features.feature["x"].float_list.value.append(x)
    return {"b64": base64.b64encode(e.SerializeToString()).decode()}


def test_rest_predict(s):
    want = {"predictions": [3.0, 3.5, 4.0]}
    text = s.post(M + ":predict", {"instances": [2.0, 3.0, 4.0]}, want)
    equal(text, '{\n    "predictions": [3.0, 3.5, 4.0\n    ]\n}', "as it is printed")
    s.post(M + ":predict", {"instances": [2, 3, 4]}, want)
    s.post(M + ":predict", {"instances": [[2.0], [3.0]]}, {"predictions": [[3.0], [3.5]]})
    s.post(M + ":predict", {"instances": [{"x": 2.0}, {"x": 3.0}, {"x": 4.0}]}, want)
    s.post(M + ":predict", {"instances": [{"x": [2.0]}]}, {"predictions": [[3.0]]})
    s.post(M + ":predict", {"signature_name": "serving_default", "instances": [2.0]}, {"predictions": [3.0]})
    s.post(M + ":predict", {"inputs": [2.0, 3.0, 4.0]}, {"outputs": [3.0, 3.5, 4.0]})
    s.post(M + ":predict", {"inputs": [[2.0], [3.0]]}, {"outputs": [[3.0], [3.5]]})
    s.post(M + ":predict", {"inputs": {"x": [[2.0]]}}, {"outputs": [[3.0]]})
    s.post(M + "/versions/123:predict", {"instances": [2.0]}, {"predictions": [3.0]})
    s.post("/v1/models/all/labels/stable:predict", {"instances": [2.0]}, {"predictions": [3.0]})
    s.post("/v1/models/all/versions/2:predict", {"instances": [2.0]}, {"predictions": [4.0]})
    s.post("/V1/Models/default:predict", {"instances": [2.0]}, {"predictions": [3.0]})
    s.post("/v1/models/%64efault:predict", {"instances": [2.0]}, {"predictions": [3.0]})
    numbers = s.curl(M + ":predict", body='{"instances": [NaN, Infinity, -Infinity]}')[2]
    equal(numbers, '{\n    "predictions": [NaN, Infinity, -Infinity\n    ]\n}', "numbers that are none")


def test_rest_strings(s):
    s.post(M + ":predict", {"signature_name": "classify_x_to_y", "instances": [example(2), example(4)]},
           {"predictions": [[3.0], [4.0]]})
    s.post(M + ":predict", {"signature_name": "classify_x_to_y", "inputs": [example(2)]}, {"outputs": [[3.0]]})
    s.post(M + ":predict", {"signature_name": "regress_x_to_y2", "instances": [{"inputs": example(2)}]},
           {"predictions": [[4.0]]})
    s.error(400, "Failed to process element: 0 of 'instances' list. Error: INVALID_ARGUMENT: Unable to base64 decode",
            M + ":predict", body={"signature_name": "classify_x_to_y", "instances": [{"b64": "*"}]})
    s.error(400, "Could not parse example input, value: 'x'*", M + ":predict",
            body={"signature_name": "classify_x_to_y", "instances": ["x"]})


def test_rest_predict_refused(s):
    def bad(status, want, body, path=M):
        s.error(status, want, path + ":predict", body=body)
    bad(400, "JSON Parse error: The document is empty", "")
    bad(400, "JSON Parse error: Missing a comma or ']' after an array element. at offset: 15", '{"instances":[1')
    bad(400, "JSON Value: [1] Is not object", "[1]")
    bad(400, "Missing 'inputs' or 'instances' key", {})
    bad(400, 'JSON Value: {\n    "inputs": 1,\n    "instances": [1]\n} Not formatted correctly '
        "expecting only one of 'inputs' or 'instances' keys to exist ", {"inputs": 1, "instances": [1]})
    bad(400, 'JSON Value: {\n    "instances": []\n} No values in \'instances\' array', {"instances": []})
    bad(400, 'JSON Value: {\n    "instances": 1\n} Expecting \'instances\' to be an list/array', {"instances": 1})
    bad(400, 'JSON Value: {\n    "signature_name": 1,\n    "instances": [1]\n} not formatted correctly. '
        "'signature_name' key must be a string value.", {"signature_name": 1, "instances": [1]})
    bad(400, 'Serving signature name: "nope" not found in signature def', {"signature_name": "nope", "instances": [1]})
    bad(400, "Failed to process element: 0 of 'instances' list. Error: INVALID_ARGUMENT: JSON Value: \"a\" Type: String "
        "is not of expected type: float", {"instances": ["a"]})
    bad(400, "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: Expecting tensor size: 1 but "
        "got: 2", {"instances": [[1], [1, 2]]})
    bad(400, "Missing named input: x in 'inputs' object.", {"inputs": {"z": [1]}})
    bad(400, "Encountered list at unexpected size: 1 at level: 1 expected size: 2", {"inputs": [[1, 2], [1]]})
    bad(400, "input x has shape [1,2], the signature says [?,1]", {"instances": [[1, 2]]})
    bad(404, "Servable not found for request: Latest(missing)", {"instances": [1]}, "/v1/models/missing")
    bad(404, "Servable not found for request: Specific(default, 9)", {"instances": [1]}, M + "/versions/9")
    bad(400, "Unrecognized servable version label: dev", {"instances": [1]}, "/v1/models/all/labels/dev")
    bad(400, "Failed to convert version: 99999999999999999999 to numeric.", {"instances": [1]},
        M + "/versions/99999999999999999999")


def test_rest_classify_regress(s):
    one = {"signature_name": "classify_x_to_y", "examples": [{"x": 2.0}]}
    s.post(M + ":classify", one, {"results": [[["", 3.0]]]})
    two = {"signature_name": "regress_x_to_y", "examples": [{"x": 2.0}, {"x": [4.0]}]}
    s.post(M + ":regress", two, {"results": [3.0, 4.0]})
    s.post(M + ":regress", {"signature_name": "regress_x_to_y", "context": {"x": 8.0}, "examples": [{}, {"x": 2.0}]},
           {"results": [6.0, 3.0]})
    s.error(400, "JSON Value: {*", M + ":classify", body={"signature_name": "classify_x_to_y"})
    s.error(400, "JSON Value: {*", M + ":classify", body={"signature_name": "classify_x_to_y", "examples": []})
    s.error(400, "No signature was found with the name: nope", M + ":regress",
            body={"signature_name": "nope", "examples": [{"x": 1.0}]})
    s.error(400, "Name: <unknown>, Key: x, Index: 0.  Data types don't match. Data type: int64 but expected type: float*",
            M + ":classify", body={"signature_name": "classify_x_to_y", "examples": [{"x": 1}]})
    s.error(404, "Servable not found for request: Latest(missing)", "/v1/models/missing:classify", body=one)


def test_rest_status(s):
    ok = {"error_code": "OK", "error_message": ""}
    text = s.curl(M)[2]
    equal(text, '{\n "model_version_status": [\n  {\n   "version": "123",\n   "state": "AVAILABLE",\n   "status": {\n'
                '    "error_code": "OK",\n    "error_message": ""\n   }\n  }\n ]\n}\n', "as it is printed")
    equal(s.get("/v1/models/all"), {"model_version_status": [
        {"version": str(v), "state": "AVAILABLE", "status": ok} for v in (3, 2, 1)]}, "three versions")
    equal(s.get("/v1/models/all/labels/canary"), s.get("/v1/models/all"), "a label says nothing, there and here")
    equal(s.get("/v1/models/all/versions/3")["model_version_status"], [
        {"version": "3", "state": "AVAILABLE", "status": ok}], "one version")
    s.error(404, "Could not find any versions of model missing", "/v1/models/missing")
    s.error(404, "Could not find version 9 of model default", M + "/versions/9")
    s.error(400, "Missing model name in request.", "/v1/models")


def test_rest_metadata(s):
    got = s.get(M + "/metadata")
    equal(got["model_spec"], {"name": "default", "signature_name": "", "version": "123"}, "model_spec")
    signatures = got["metadata"]["signature_def"]["signature_def"]

    def info(name):
        return {"dtype": "DT_FLOAT", "name": name,
                "tensor_shape": {"dim": [{"size": "-1", "name": ""}, {"size": "1", "name": ""}], "unknown_rank": False}}
    equal(signatures["serving_default"], {"inputs": {"x": info("x:0")}, "outputs": {"y": info("y:0")},
                                          "method_name": "tensorflow/serving/predict", "defaults": {}}, "a signature")
    equal(signatures["classify_x_to_y"]["inputs"]["inputs"],
          {"dtype": "DT_STRING", "name": "tf_example:0", "tensor_shape": {"dim": [], "unknown_rank": True}}, "an input")
    equal(len(signatures), 5, "signatures")
    s.error(404, "Servable not found for request: Specific(default, 9)", M + "/versions/9/metadata")


def test_rest_paths(s):
    for args, path in ((("-X", "GET"), M + ":predict"), (("-X", "DELETE"), M), (("-X", "POST"), M),
                       ((), "/v1/modules/x"), ((), M + "/versions/x"), ((), M + "/weights")):
        verb = args[1] if args else "GET"
        s.error(400, "Malformed request: %s %s" % (verb, path), path, *args)
    s.error(400, "Malformed request: POST /v1/models/default:PREDICT", M + ":PREDICT", body={"instances": [1.0]})
    equal(s.curl("/")[0], 404, "outside /v1")
    equal(s.curl("/metrics")[0], 404, "outside /v1")


def test_rest_bodies(s):
    body = json.dumps({"instances": [2.0]}).encode()
    s.post(M + ":predict", gzip.compress(body), {"predictions": [3.0]}, "-H", "Content-Encoding: gzip")
    s.post(M + ":predict", body, {"predictions": [3.0]}, "-H", "Transfer-Encoding: chunked")
    s.error(400, "*", M + ":predict", "-H", "Content-Encoding: gzip", body=body)
    s.error(400, "*", M + ":predict", "-H", "Content-Encoding: gzip", body=gzip.compress(body)[:-4])
    bomb = zlib.compress(b" " * (65 << 20), 9)
    s.error(413, "*", M + ":predict", "-H", "Content-Encoding: deflate", body=bomb)


def test_rest_cors(s):
    def headers(path, *args, **kw):
        status, got, _ = s.curl(path, *args, **kw)
        return status, [got.get("access-control-allow-" + k) for k in ("origin", "methods", "headers")]
    want = ["*", "POST, GET", "Content-Type"]
    equal(headers(M + ":predict", "-X", "OPTIONS", "-H", "Origin: http://example.org"), (200, want), "preflight")
    equal(headers(M + ":predict", body={"instances": [1.0]}), (200, want), "an answer")
    equal(headers(M + ":predict", body={}), (400, want), "an error")
    equal(headers(M + ":predict", "-X", "OPTIONS")[0], 400, "a preflight without a page")


# ------------------------------------------------------------------ Prometheus

def metrics(s):
    status, headers, text = s.curl("/monitoring/prometheus/metrics")
    equal((status, headers["content-type"].split(";")[0]), (200, "text/plain"), "the page")
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#")]
    return {k: float(v) for k, v in lines}, [line for line in text.splitlines() if line.startswith("# TYPE")]


def test_prometheus(s):
    ok = ':tensorflow:serving:request_count{model_name="default",status="OK"}'
    bad = ':tensorflow:serving:request_count{model_name="default",status="INVALID_ARGUMENT"}'
    grpc_count = ':tensorflow:serving:request_latency_count{model_name="default",API="Predict",entrypoint="GRPC"}'
    rest_count = ':tensorflow:serving:request_latency_count{model_name="default",API="predict",entrypoint="REST"}'
    before, _ = metrics(s)
    answer(s)
    s.post(M + ":predict", {"instances": [2.0]}, {"predictions": [3.0]})
    s.error(400, "Missing 'inputs' or 'instances' key", M + ":predict", body={})
    after, types = metrics(s)
    equal([after[k] - before[k] for k in (ok, bad, grpc_count, rest_count)], [2, 1, 1, 1], "three requests")
    for line in ("request_count counter", "request_latency histogram", "runtime_latency histogram",
                 "request_example_counts histogram", "request_example_count_total counter"):
        expect("# TYPE :tensorflow:serving:" + line in types, "no type of " + line)
    buckets = [k for k in after if k.startswith(grpc_count.replace("_count{", "_bucket{")[:-1])]
    equal(len(buckets), 34, "buckets: 33 bounds and +Inf")
    expect(buckets[0].endswith('le="10"}') and buckets[1].endswith('le="18"}'), "bounds: %s" % buckets[:2])
    runtime = ':tensorflow:serving:runtime_latency_count{model_name="default",API="Predict",runtime="TF1"}'
    expect(after[runtime] > 0, "runs")
    loads = [k for k in after if k.startswith(":tensorflow:cc:saved_model:load_attempt_count{")]
    equal(len(loads), 9, "loads: one for each version")
    expect(all('status="success"' in k and after[k] == 1 for k in loads), "loads: %s" % loads)


TESTS = [test_rest_predict, test_rest_strings, test_rest_predict_refused, test_rest_classify_regress, test_rest_status,
         test_rest_metadata, test_rest_paths, test_rest_bodies, test_rest_cors, test_prometheus]
