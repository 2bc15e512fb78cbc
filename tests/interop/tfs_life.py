# SPDX-License-Identifier: Apache-2.0
"""Part of test_tfs.py: versions that come and go, configurations that change, warm-up."""
import os
import shutil
import threading
import time

import grpc

from test_tfserving_client import expect, refused

from tensorflow_serving.apis import model_management_pb2
from tfs_grpc import INVALID, NOT_FOUND, PRECONDITION
from tfs_kit import WAIT_S, Server, answer, config, equal, predict, records, status, until
from tfs_rest import metrics

DAMAGE = "OUT_OF_RANGE"  # what TensorFlow says of a saved_model.pb that ends early


class Asking:
    """Calls without end beside what is tested: each must be answered, by a version in order."""

    def __init__(self, server):
        self.server, self.seen, self.failed, self.over = server, [], [], threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.over.is_set():
            try:
                y, version = answer(self.server, name="swap")
                if (y, version) not in self.seen:
                    self.seen.append((y, version))
            except grpc.RpcError as e:
                self.failed.append(e.details())
            time.sleep(0.002)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


def test_hot_swap(s, models, write):
    with Asking(s) as asking:
        models.put("swap", "2", three=True)
        until("the newer version is served", lambda: answer(s, name="swap") == ([4.0], 2))
        until("the older one is unloaded", lambda: status(s, "swap")[0] == [(2, "AVAILABLE"), (1, "END")])
    equal((asking.seen, asking.failed), ([([3.0], 1), ([4.0], 2)], []), "calls meanwhile")
    refused(lambda: answer(s, name="swap", version=1), NOT_FOUND, "Servable not found for request: Specific(swap, 1)")


def test_vanished(s, models, write):
    """There an older version would be loaded, or none be left; here what was good stays."""
    shutil.rmtree(os.path.join(models.base("swap"), "2"))
    until("it is told", lambda: 'alarm model=swap version=2 what="its folder vanished": it stays' in s.log())
    equal(answer(s, name="swap"), ([4.0], 2), "it stays")
    expect((2, "AVAILABLE") in status(s, "swap")[0], "it stays: %s" % (status(s, "swap"),))


def test_damaged(s, models, write):
    models.put("swap", "3", damaged=True)
    until("it is given up", lambda: (3, "END") in status(s, "swap")[0])
    got, errors = status(s, "swap")
    equal([v for v in got if v[1] == "AVAILABLE"], [(2, "AVAILABLE")], "what was good stays")
    equal(list(errors), [3], "versions with an error")
    equal(errors[3][1], "engine:load: TensorFlow refused it with %s, no reason given" % DAMAGE, "why")
    rest = s.get("/v1/models/swap/versions/3")["model_version_status"][0]
    equal((rest["state"], rest["status"]["error_message"]), ("END", errors[3][1]), "by REST")
    models.put("swap", "4")
    until("the next one is served", lambda: answer(s, name="swap") == ([3.0], 4))


# ------------------------------------------------------------------ the file of models

def test_config_poll(s, models, write):
    swap = ("swap", models.base("swap"), "")
    added = ("added", models.put("added", "7", three=True), "")
    write("life.config", config(swap, added))

    def served():
        try:
            return answer(s, name="added") == ([4.0], 7)
        except grpc.RpcError as e:
            return expect(e.details() == "Servable not found for request: Latest(added)", e.details())
    until("a model that is added to the file is served", served)
    write("life.config", "model_config_list { config { name: ")
    until("a bad file is told", lambda: "configuration=kept" in s.log())
    equal(answer(s, name="added"), ([4.0], 7), "it is still served")
    write("life.config", config(swap))
    until("a model that is taken out of the file is unloaded", lambda: status(s, "added")[0] == [(7, "END")])
    refused(lambda: answer(s, name="added"), NOT_FOUND, "Servable not found for request: Latest(added)")
    equal(answer(s, name="swap"), ([3.0], 4), "the other one stays")


# ------------------------------------------------------------------ HandleReloadConfigRequest

def reload(s, *models, metric_names=()):
    """models: (name, base path[, {label: version}[, platform]]). Returns (code, text, increases of metrics)."""
    r = model_management_pb2.ReloadConfigRequest(metric_names=metric_names)
    r.config.model_config_list.SetInParent()
    for name, path, *more in models:
        c = r.config.model_config_list.config.add(name=name, base_path=path)
        c.model_platform = more[1] if len(more) > 1 else "tensorflow"
        for label, version in (more[0] if more else {}).items():
            c.version_labels[label] = version
    try:
        got = s.models.HandleReloadConfigRequest(r, timeout=WAIT_S)
    except grpc.RpcError as e:
        return e.code().value[0], e.details(), {}
    return got.status.error_code, got.status.error_message, {m.name: m.int64_value_increase for m in got.metric}


def test_reload(s, models, write):
    swap, fresh = ("swap", models.base("swap")), ("fresh", models.put("fresh", "1", three=True))
    loads = "/tensorflow/cc/saved_model/load_attempt_count"
    equal(reload(s, swap, fresh, metric_names=[loads, "/nothing"]), (0, "", {loads: 1, "/nothing": 0}), "a model more")
    equal(answer(s, name="fresh"), ([4.0], 1), "it is there when the call returns")
    equal(reload(s, swap)[:2], (0, ""), "a model less")
    refused(lambda: answer(s, name="fresh"), NOT_FOUND, "Servable not found for request: Latest(fresh)")
    until("it has ended", lambda: status(s, "fresh")[0] == [(1, "END")])
    equal(reload(s, swap, fresh)[:2], (0, ""), "and back")
    equal(answer(s, name="fresh"), ([4.0], 1), "it is back")


def test_reload_labels(s, models, write):
    swap = ("swap", models.base("swap"))
    equal(reload(s, swap + ({"good": 4},))[:2], (0, ""), "a label")
    equal(answer(s, name="swap", label="good"), ([3.0], 4), "by it")
    code, text, _ = reload(s, swap + ({"good": 4, "best": 9},))
    equal((code, text), (PRECONDITION.value[0], "Request to assign label to version 9 of model swap, which is not "
                         "currently available for inference"), "of a version that is not there")
    equal(answer(s, name="swap", label="good"), ([3.0], 4), "the label that was there")
    refused(lambda: answer(s, name="swap", label="best"), INVALID, "Unrecognized servable version label: best")


def test_reload_refused(s, models, write):
    swap = ("swap", models.base("swap"))

    def bad(want, *list_of_models):
        code, text, _ = reload(s, *list_of_models)
        equal((code, text), (INVALID.value[0], want), "a bad configuration")
        equal(answer(s, name="swap"), ([3.0], 4), "what was served is served")
    bad("Illegal to list model swap multiple times in config list", swap, swap)
    bad("Expected model swap to have an absolute path or URI; got base_path()=models/swap", ("swap", "models/swap"))
    bad("Illegal to change a model's platform. For model swap platform was tensorflow and new platform requested is other",
        swap + ({}, "other"))
    code, text, _ = reload(s, swap, ("broken", models.put("broken", "1", damaged=True)))
    equal((code, text), (grpc.StatusCode.UNKNOWN.value[0], "1 model(s) did not become available: {{{name: broken version: 1} "
                         "due to error: engine:load: TensorFlow refused it with %s, no reason given}, }" % DAMAGE),
          "a new model that cannot be loaded")
    equal(answer(s, name="swap"), ([3.0], 4), "what was served is served")
    refused(lambda: s.models.HandleReloadConfigRequest(model_management_pb2.ReloadConfigRequest(), timeout=WAIT_S), INVALID,
            "ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList is currently supported")


# ------------------------------------------------------------------ warm-up

def recorded(**kw):
    """PredictionLog {6 predict_log {1 request}}, by hand: its generated code wants more of TensorFlow than protos/ has."""
    def field(number, data):
        return bytes([number << 3 | 2, len(data)]) + data  # as long as that is below 128
    return field(6, field(1, predict(**kw).SerializeToString()))


def test_warmup(s, models, write):
    swap = ("swap", models.base("swap"))
    warm = ("warm", models.put("warm", "1", warmup=records(recorded(), recorded(name="other"))))
    equal(reload(s, swap, warm)[:2], (0, ""), "a model with recorded requests")
    equal(answer(s, name="warm"), ([3.0], 1), "it is served")
    count = [v for k, v in metrics(s)[0].items()
             if k.startswith(":tensorflow:serving:model_warmup_latency_count{") and "/warm/1" in k and 'status="OK"' in k]
    equal(count, [1], "warm-ups")
    good = records(recorded())
    for version, warmup in (("2", good[:-1] + bytes([good[-1] ^ 1])), ("3", records(recorded(signature="nope")))):
        models.put("warm", version, warmup=warmup)
        until("it is given up", lambda: (int(version), "END") in status(s, "warm")[0])
        equal(answer(s, name="warm"), ([3.0], 1), "what was good stays")


TESTS = [test_hot_swap, test_vanished, test_damaged, test_config_poll, test_reload, test_reload_labels,
         test_reload_refused, test_warmup]


def serve(models, write):
    models.put("swap", "1")
    path = write("life.config", config(("swap", models.base("swap"), "")))
    monitoring = write("monitoring.config", "prometheus_config { enable: true }")
    return Server("life", "--model_config_file=" + path, "--model_config_file_poll_wait_seconds=1",
                  "--file_system_poll_wait_seconds=1", "--max_num_load_retries=0",
                  "--monitoring_config_file=" + monitoring)
