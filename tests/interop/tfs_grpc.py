# SPDX-License-Identifier: Apache-2.0
"""Part of test_tfs.py: calls of PredictionService and ModelService. Models: see test_tfs.py, serve_still()."""
from test_tfserving_client import expect, refused

import grpc

from tensorflow.core.example import example_pb2
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import get_model_metadata_pb2, predict_pb2
from tfs_kit import (WAIT_S, answer, classify, equal, examples, metadata, multi, predict, regress, spec, status)

INVALID, NOT_FOUND = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND
PRECONDITION, UNIMPLEMENTED = grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.UNIMPLEMENTED


def no(method, request, code, text):
    refused(lambda: method(request, timeout=WAIT_S), code, text)


def told(model_spec):
    return model_spec.name, model_spec.version.value, model_spec.signature_name


def test_predict(s):
    r = s.stub.Predict(predict(), timeout=WAIT_S)
    y = r.outputs["y"]
    equal((list(r.outputs), y.dtype, list(y.float_val)), (["y"], tensor_pb2.DT_FLOAT, [3.0]), "Predict")
    equal([d.size for d in y.tensor_shape.dim], [1], "the shape as it was sent")
    equal(told(r.model_spec), ("default", 123, "serving_default"), "what answered")
    column = s.stub.Predict(predict(x=(1, 2, 5), shape=(3, 1)), timeout=WAIT_S).outputs["y"]
    equal((list(column.float_val), [d.size for d in column.tensor_shape.dim]), ([2.5, 3.0, 4.5], [3, 1]), "a column")
    with_filter = predict()
    with_filter.output_filter.append("y")
    equal(s.stub.Predict(with_filter, timeout=WAIT_S), r, "output_filter")
    equal(answer(s, version=123), ([3.0], 123), "a version by its number")
    equal(answer(s, name="half_plus_three", version=123), ([4.0], 123), "the other model")
    other = predict_pb2.PredictRequest()
    spec(other.model_spec, "default", "regress_x2_to_y3")
    other.inputs["inputs"].CopyFrom(predict(x=(2,), shape=(1, 1)).inputs["x"])
    equal(list(s.stub.Predict(other, timeout=WAIT_S).outputs["outputs"].float_val), [4.0], "a Regress signature")


def test_predict_refused(s):
    def bad(code, text, **kw):
        no(s.stub.Predict, predict(**kw), code, text)
    bad(NOT_FOUND, "Servable not found for request: Latest(intentionally_missing_model)",
        name="intentionally_missing_model")
    bad(NOT_FOUND, "Servable not found for request: Specific(default, 124)", version=124)
    bad(NOT_FOUND, "Servable not found for request: Specific(missing, 1)", name="missing", version=1)
    bad(INVALID, "ModelSpec has no name specified.", name="")
    bad(PRECONDITION, 'Serving signature key "nope" not found.', signature="nope")
    bad(PRECONDITION, ('Serving signature key "' + "s" * 1024)[:1024] + "...TRUNCATED", signature="s" * 2000)
    bad(INVALID, "input x has shape [1,2], the signature says [?,1]", x=(1, 2), shape=(1, 2))
    bad(INVALID, "input x has shape [1,1,1], the signature says [?,1]", x=(1,), shape=(1, 1, 1))
    no(s.stub.Predict, predict_pb2.PredictRequest(), INVALID, "Missing ModelSpec")
    r = predict()
    r.inputs["x"].tensor_content = b"123"
    no(s.stub.Predict, r, INVALID, "tensor parsing error: x")
    r = predict()
    r.inputs["z"].CopyFrom(r.inputs["x"])
    no(s.stub.Predict, r, INVALID, "input size does not match signature: 2!=1 len({x,z}) != len({x}). Sent extra: {z}. "
       "Missing but required: {}.")
    r = predict()
    r.output_filter.append("z")
    no(s.stub.Predict, r, INVALID,
       "output tensor alias not found in signature: z Outputs expected to be in the set {y}.")
    r = predict()
    r.inputs["x"].dtype = tensor_pb2.DT_DOUBLE
    r.inputs["x"].double_val.append(2.0)
    no(s.stub.Predict, r, INVALID, "*")  # TensorFlow's own words


def test_classify(s):
    r = s.stub.Classify(examples(classify(), 2.0), timeout=WAIT_S)
    equal([[(c.label, c.score) for c in one.classes] for one in r.result.classifications], [[("", 3.0)]], "Classify")
    equal(told(r.model_spec), ("default", 123, "classify_x_to_y"), "what answered")
    r = s.stub.Classify(examples(classify(), 2.0, 4.0, -4.0), timeout=WAIT_S)
    equal([one.classes[0].score for one in r.result.classifications], [3.0, 4.0, 0.0], "three examples")
    no(s.stub.Classify, classify(), INVALID, "Input is empty.")
    no(s.stub.Classify, examples(classify("nope"), 2.0), INVALID, "No signature was found with the name: nope")
    no(s.stub.Classify, examples(classify(""), 2.0), INVALID, "No classification inputs found in SignatureDef: *")
    no(s.stub.Classify, examples(classify("regress_x_to_y"), 2.0), INVALID, "Expected classification signature outputs "
       'to contain at least one of "classes" or "scores". Signature was: *')
    no(s.stub.Classify, examples(classify(name="missing"), 2.0), NOT_FOUND,
       "Servable not found for request: Latest(missing)")


def test_regress(s):
    r = s.stub.Regress(examples(regress(), 2.0), timeout=WAIT_S)
    equal([one.value for one in r.result.regressions], [3.0], "Regress")
    equal(told(r.model_spec), ("default", 123, "regress_x_to_y"), "what answered")
    r = s.stub.Regress(examples(regress("regress_x_to_y2"), 2.0, 4.0), timeout=WAIT_S)
    equal([one.value for one in r.result.regressions], [4.0, 5.0], "the other output")
    shared = regress()
    with_context = shared.input.example_list_with_context
    with_context.context.features.feature["x"].float_list.value.append(8.0)
    with_context.examples.extend([example_pb2.Example(), example_pb2.Example()])
    with_context.examples[1].features.feature["x"].float_list.value.append(2.0)
    r = s.stub.Regress(shared, timeout=WAIT_S)
    equal([one.value for one in r.result.regressions], [6.0, 3.0], "a context, which an example overrides")
    no(s.stub.Regress, regress(), INVALID, "Input is empty.")
    no(s.stub.Regress, examples(regress("classify_x_to_y"), 2.0), INVALID,
       "No regression outputs found in SignatureDef: *")
    no(s.stub.Regress, examples(regress("nope"), 2.0), INVALID, "No signature was found with the name: nope")


def test_multi(s):
    method = s.stub.MultiInference
    both = ("regress_x_to_y", "regress"), ("classify_x_to_y", "classify")
    r = method(examples(multi(*both), 2.0, 4.0), timeout=WAIT_S).results
    equal([one.value for one in r[0].regression_result.regressions], [3.0, 4.0], "the first task")
    equal([one.classes[0].score for one in r[1].classification_result.classifications], [3.0, 4.0], "the second")
    equal([told(one.model_spec) for one in r], [("default", 123, name) for name, _ in both], "what answered")
    one_model = "All ModelSpecs in a MultiInferenceRequest must access the same model name."
    no(method, examples(multi(both[0], both[1] + ("half_plus_three",)), 2.0), INVALID, one_model)
    no(method, examples(multi(both[0], both[0]), 2.0), INVALID, "Duplicate evaluation of signature: regress_x_to_y")
    no(method, examples(multi(("regress_x_to_y", "predict")), 2.0), UNIMPLEMENTED,
       "Unsupported signature method_name: tensorflow/serving/predict")
    no(method, examples(multi(("nope", "regress")), 2.0), INVALID, "Requested signature not found in model graph: nope")
    no(method, multi(*both), INVALID, "Input is empty.")
    no(method, examples(multi(both[0], both[1] + ("",)), 2.0), INVALID, "Found ModelSpec with an empty model name.")
    no(method, examples(multi(both[0] + ("",)), 2.0), INVALID, "ModelSpec has no name specified.")


def test_metadata(s):
    r = s.stub.GetModelMetadata(metadata("signature_def"), timeout=WAIT_S)
    equal(told(r.model_spec), ("default", 123, ""), "what answered")
    signatures = get_model_metadata_pb2.SignatureDefMap()
    equal(list(r.metadata), ["signature_def"], "the fields")
    expect(r.metadata["signature_def"].Unpack(signatures), "a SignatureDefMap")
    equal({k: v.method_name for k, v in signatures.signature_def.items()},
          {"serving_default": "tensorflow/serving/predict", "classify_x_to_y": "tensorflow/serving/classify",
           "regress_x_to_y": "tensorflow/serving/regress", "regress_x_to_y2": "tensorflow/serving/regress",
           "regress_x2_to_y3": "tensorflow/serving/regress"}, "the signatures")
    x = signatures.signature_def["serving_default"].inputs["x"]
    equal((x.name, x.dtype, [d.size for d in x.tensor_shape.dim]), ("x:0", tensor_pb2.DT_FLOAT, [-1, 1]), "an input")
    no(s.stub.GetModelMetadata, metadata(), INVALID, "GetModelMetadataRequest must specify at least one metadata_field")
    no(s.stub.GetModelMetadata, metadata("weights"), INVALID, "Metadata field weights is not supported")
    no(s.stub.GetModelMetadata, metadata("signature_def", version=9), NOT_FOUND,
       "Servable not found for request: Specific(default, 9)")
    r = s.stub.GetModelMetadata(metadata("signature_def", name="all", label="canary"), timeout=WAIT_S)
    equal(told(r.model_spec), ("all", 3, ""), "by a label")


def test_status(s):
    equal(status(s), ([(123, "AVAILABLE")], {}), "GetModelStatus")
    equal(status(s, "all", version=2), ([(2, "AVAILABLE")], {}), "of one version")
    equal(status(s, "all", label="stable"), status(s, "all"), "a label says nothing, there and here")
    refused(lambda: status(s, "missing"), NOT_FOUND, "Could not find any versions of model missing")
    refused(lambda: status(s, version=9), NOT_FOUND, "Could not find version 9 of model default")
    refused(lambda: status(s, ""), NOT_FOUND, "Could not find any versions of model ")


def test_versions(s):
    """Policies and labels."""
    equal(status(s, "all")[0], [(v, "AVAILABLE") for v in (3, 2, 1)], "policy all")
    equal(status(s, "two")[0], [(v, "AVAILABLE") for v in (3, 2)], "policy latest { num_versions: 2 }")
    equal(status(s, "some")[0], [(v, "AVAILABLE") for v in (3, 1)], "policy specific")
    equal(answer(s, name="all"), ([3.0], 3), "the newest")
    equal(answer(s, name="all", version=2), ([4.0], 2), "version 2 adds 3")
    equal(answer(s, name="some", version=1), ([3.0], 1), "the oldest")
    refused(lambda: answer(s, name="two", version=1), NOT_FOUND, "Servable not found for request: Specific(two, 1)")
    equal(answer(s, name="all", label="stable"), ([3.0], 1), "label stable")
    equal(answer(s, name="all", label="canary"), ([3.0], 3), "label canary")
    refused(lambda: answer(s, name="all", label="dev"), INVALID, "Unrecognized servable version label: dev")
    refused(lambda: answer(s, name="two", label="stable"), INVALID, "Unrecognized servable version label: stable")


TESTS = [test_predict, test_predict_refused, test_classify, test_regress, test_multi, test_metadata, test_status,
         test_versions]
