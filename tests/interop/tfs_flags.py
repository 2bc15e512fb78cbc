# SPDX-License-Identifier: Apache-2.0
"""Part of test_tfs.py: flags and configuration files; batching; servers that must not start."""
import struct
import subprocess

import grpc

from test_tfserving_client import expect, refused

from tensorflow.core.framework import tensor_pb2
from tfs_grpc import INVALID
from tfs_kit import WAIT_S, Server, answer, classify, config, equal, examples, floats, predict, regress, until
from tfs_rest import M, metrics

BATCHING = """max_batch_size { value: 8 }
batch_timeout_micros { value: 1000000 }
max_enqueued_batches { value: 100 }
num_batch_threads { value: 2 }
pad_variable_length_inputs: false
%s
"""


def together(s, n, name="default"):
    """n Predicts at a time; each must get the answer to its own question."""
    asked = [(x, s.stub.Predict.future(predict(name=name, x=(float(x),)), timeout=WAIT_S)) for x in range(n)]
    for x, f in asked:
        equal(floats(f.result().outputs["y"]), [x / 2 + 2], "its own answer")


def test_batching(s):
    before, _ = metrics(s)
    together(s, 32)
    after, _ = metrics(s)

    def grown(name):
        keys = [k for k in after if k.startswith(":tensorflow:serving:batching_session:" + name)]
        return sum(after[k] - before.get(k, 0) for k in keys)
    expect(grown("processed_batch_size_sum") >= 32, "rows that were run")
    expect(4 <= grown("processed_batch_size_count") < 32, "batches: %s" % grown("processed_batch_size_count"))
    equal(grown("input_batch_size_sum"), 32, "rows that were asked")
    expect(grown("queuing_latency_count") > 0, "waiting is measured")
    expect(grown("wrapped_run_count") > 0, "runs are counted")
    mixed = [s.stub.Predict.future(predict(x=(1.0,) * (i % 3 + 1)), timeout=WAIT_S) for i in range(12)]
    equal([len(floats(f.result().outputs["y"])) for f in mixed], [i % 3 + 1 for i in range(12)], "rows of each")
    refused(lambda: s.stub.Predict(predict(x=(1.0,) * 9), timeout=WAIT_S), INVALID,
            "Task size 9 is larger than maximum input batch size 8")
    bad = s.stub.Predict.future(predict(x=(1.0, 2.0), shape=(1, 2)), timeout=WAIT_S)
    together(s, 8)
    refused(lambda: bad.result(), INVALID, "input x has shape [4,2], the signature says [?,1]")  # padded to an allowed size


def test_batching_heads(s):
    """Classify and Regress are batched, too."""
    asked = [(x, s.stub.Classify.future(examples(classify(), x), timeout=WAIT_S),
              s.stub.Regress.future(examples(regress("regress_x_to_y2"), x), timeout=WAIT_S)) for x in range(8)]
    for x, c, r in asked:
        equal((c.result().result.classifications[0].classes[0].score, r.result().result.regressions[0].value),
              (x / 2 + 2, x / 2 + 3), "its own answer")


def test_tensor_content(s):
    y = s.stub.Predict(predict(x=(2.0, 4.0)), timeout=WAIT_S).outputs["y"]
    equal((y.dtype, y.tensor_content, list(y.float_val)), (tensor_pb2.DT_FLOAT, struct.pack("<2f", 3, 4), []),
          "--enable_serialization_as_tensor_content")


def test_method_name_check(s):
    want = "Expected %s signature method_name to be tensorflow/serving/%s. Was: tensorflow/serving/%s"
    refused(lambda: s.stub.Classify(examples(classify("regress_x_to_y"), 2.0), timeout=WAIT_S), INVALID,
            want % ("classification", "classify", "regress"))
    refused(lambda: s.stub.Regress(examples(regress("classify_x_to_y"), 2.0), timeout=WAIT_S), INVALID,
            want % ("regression", "regress", "classify"))
    equal(len(s.stub.Regress(examples(regress(), 2.0), timeout=WAIT_S).result.regressions), 1, "the right one")


def test_off_by_default(s):
    """No health service, and without --rest_api_enable_cors_support a preflight is answered as well, and allows nothing."""
    for args, body in (((), {"instances": [1.0]}), (("-X", "OPTIONS", "-H", "Origin: http://example.org"), None)):
        status, headers, _ = s.curl(M + ":predict", *args, body=body)
        equal((status, [k for k in headers if k.startswith("access-control")]), (200, []), "headers")
    refused(lambda: s.channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=WAIT_S),
            grpc.StatusCode.UNIMPLEMENTED, "*")


def test_flags_with_warning(s):
    for name in ("num_unload_threads", "per_process_gpu_memory_fraction", "rest_api_num_threads", "flush_filesystem_caches",
                 "prefer_tflite_model", "mixed_precision", "xla_cpu_compilation_enabled"):
        expect("warning: --%s has no effect here" % name in s.log(), "no warning of --%s" % name)


BATCHED = [test_batching, test_batching_heads, test_tensor_content, test_method_name_check, test_off_by_default,
           test_flags_with_warning]


def serve_batched(models, write):
    """One model by --model_name and --model_base_path, as most scripts start it, with as many flags as go together."""
    text = BATCHING % 'thread_pool_name { value: "pool" } allowed_batch_sizes: 4 allowed_batch_sizes: 8'
    return Server("batched", "--model_name=default", "--model_base_path=" + models.base("default"), "--enable_batching=true",
                  "--batching_parameters_file=" + write("batching.config", text),
                  "--monitoring_config_file=" + write("monitoring.config", "prometheus_config { enable: true }"),
                  "--enable_serialization_as_tensor_content", "--enable_signature_method_name_check=1",
                  "--rest_api_timeout_in_ms=60000", "--rest_api_enable_cors_support=false",
                  "--grpc_channel_arguments=grpc.max_connection_age_ms=2000000,grpc.lb_policy_name=0",
                  "--num_load_threads=2", "--num_unload_threads", "2", "--per_process_gpu_memory_fraction=0.5",
                  "--tensorflow_session_parallelism=1", "--tensorflow_intra_op_parallelism=1",
                  "--tensorflow_inter_op_parallelism=0", "--saved_model_tags=serve", "--rest_api_num_threads=4",
                  "--flush_filesystem_caches=true", "--enable_model_warmup=true", "--num_request_iterations_for_warmup=2",
                  "--prefer_tflite_model=false", "--mixed_precision=bfloat16", "--xla_cpu_compilation_enabled",
                  "--file_system_poll_wait_seconds=0", "--load_retry_interval_micros=1000",
                  "--tensorflow_session_config_file=" + write("session.config", "intra_op_parallelism_threads: 1\n"))


# ------------------------------------------------------------------ a model's own batching

def test_batching_of_model(models, write):
    own = BATCHING % ""
    models.put("batched", "1", batching=own)
    models.put("plain", "1")
    text = config(("batched", models.base("batched"), ""), ("plain", models.base("plain"), ""))
    with Server("own", "--model_config_file=" + write("own.config", text), "--enable_per_model_batching_parameters",
                "--monitoring_config_file=" + write("monitoring.config", "prometheus_config { enable: true }")) as s:
        together(s, 16, "plain")
        processed = ":tensorflow:serving:batching_session:processed_batch_size_count"
        equal([k for k in metrics(s)[0] if k.startswith(processed)], [], "the other model is not batched")
        together(s, 16, "batched")
        expect([k for k in metrics(s)[0] if k.startswith(processed)], "batches of the model that has the file")


# ------------------------------------------------------------------ a unix socket, health

def test_socket_and_health(models, write):
    path = Server.run + "/grpc.sock"
    with Server("socket", "--model_base_path=" + models.base("default"), "--enable_grpc_healthcheck_service",
                "--grpc_socket_path=" + path, listen=(), socket=path) as s:
        equal(answer(s), ([3.0], 123), "Predict by --grpc_socket_path")
        check = s.channel.unary_unary("/grpc.health.v1.Health/Check")
        for name in (b"", b"ModelService", b"PredictionService"):
            asked = b"\n" + bytes([len(name)]) + name if name else b""
            equal(check(asked, timeout=WAIT_S), b"\x08\x01", "HealthCheckResponse { status: SERVING }")
        refused(lambda: check(b"\n\x05other", timeout=WAIT_S), grpc.StatusCode.NOT_FOUND, "*")


# ------------------------------------------------------------------ labels

def test_labels_unavailable(models, write):
    """--allow_version_labels_for_unavailable_models"""
    labels = "version_labels { key: 'now' value: 123 } version_labels { key: 'soon' value: 124 }"
    models.put("labelled", "00000123")
    path = write("labels.config", config(("labelled", models.base("labelled"), labels)))
    with Server("labels", "--model_config_file=" + path, "--allow_version_labels_for_unavailable_models") as s:
        equal(answer(s, name="labelled", label="now"), ([3.0], 123), "a label of a version that is there")
        refused(lambda: answer(s, name="labelled", label="soon"), grpc.StatusCode.NOT_FOUND,
                "Servable not found for request: Specific(labelled, 124)")
        models.put("labelled", "124", three=True)
        until("the version comes", lambda: answer(s, name="labelled")[1] == 124)
        equal(answer(s, name="labelled", label="soon"), ([4.0], 124), "the label of it")
    text = config(("labelled", models.base("labelled"), labels.replace("124", "125")))
    Server("bad", "--model_config_file=" + write("labels.config", text)).ends(
        1, "Request to assign label to version 125 of model labelled, which is not currently available for inference")


# ------------------------------------------------------------------ no start

def test_bad_start(models, write):
    """Files and flags that are refused, with TensorFlow Serving's words where it has some."""
    base = "--model_base_path=" + models.base("default")
    good = config(("default", models.base("default"), ""))

    def ends(status, texts, *args):
        Server("bad", *args).ends(status, *texts)

    def bad_models(status, text, *texts):
        path = write("bad.config", text)
        ends(status, ["Invalid protobuf file: '%s': " % path, *texts], "--model_config_file=" + path)
    bad_models(1, "improbable {}", "line 1, column 1: got 'improbable', expected a field of ModelServerConfig")
    bad_models(1, good.replace("base_path", "base_dir"), "line 2, column 28: got 'base_dir'")
    bad_models(2, config(("a", "relative", "")), "Expected model a to have an absolute path or URI; got base_path()=relative")
    bad_models(2, config(*[("default", models.base("default"), "")] * 2),
               "Illegal to list model default multiple times in config list")
    path = write("batching.config", BATCHING % "allowed_batch_sizes: 5")
    ends(2, ["Invalid protobuf file: '%s': " % path], base, "--enable_batching", "--batching_parameters_file=" + path)
    ends(2, ["--batching_parameters_file needs --enable_batching"], base, "--batching_parameters_file=" + path)
    ends(2, ["--enable_batching=maybe is none of true, false, 1, 0"], base, "--enable_batching=maybe")
    ends(2, ["--model_config_file and --model_base_path do not go together"], base, "--model_config_file=/none")
    ends(3, ["/none"], "--model_config_file=/none")
    ends(2, ["--listen, --port and --grpc_socket_path do not go together"], base, "--port=8500")
    models.put("bad", "1", damaged=True)
    ends(3, ["1 model(s) did not become available: {{{name: bad version: 1} due to error: "], "--max_num_load_retries=0",
         "--model_name=bad", "--model_base_path=" + models.base("bad"))


def test_version_and_help(models, write):
    out = subprocess.run([Server.program, "--version"], stdout=subprocess.PIPE, check=True, text=True).stdout
    expect(out.startswith("cczoo-served ") and "TensorFlow Serving" in out, out)
    out = subprocess.run([Server.program, "--help"], stdout=subprocess.PIPE, text=True).stdout
    for name in ("port", "rest_api_port", "model_config_file", "enable_batching", "monitoring_config_file"):
        expect("--%s " % name in out, "--help does not say --" + name)


TESTS = [test_batching_of_model, test_socket_and_health, test_labels_unavailable, test_bad_start, test_version_and_help]
