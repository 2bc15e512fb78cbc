#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What TensorFlow Serving's own tests look at, asked of cczoo-served: the official Python client and curl, exact codes and words.

usage: test_tfs.py SERVED TENSORFLOW VECTORS RUN     (see tfserving_suite.sh)
       test_tfs.py --packages                        (installs what it needs; exit status 77 if that cannot be had)

The list is that of model_servers/tensorflow_model_server_test.py and http_rest_api_handler_test.cc of tensorflow/serving, with
what their documents say about configuration, labels, batching and monitoring. Where this server differs on purpose
(docs/design/infer.md, serving.md) the test says so.
"""
import os
import sys

import interop_venv

interop_venv.enter()

if __name__ == "__main__" and sys.argv[1:] == ["--packages"]:
    sys.exit(0)

import tfs_flags  # noqa: E402
import tfs_grpc  # noqa: E402
import tfs_life  # noqa: E402
import tfs_rest  # noqa: E402
from tfs_kit import Models, Server, config  # noqa: E402


def run_all(tests, *args):
    for test in tests:
        test(*args)
        print("ok", test.__name__.replace("test_", ""), flush=True)


def write(name, text):
    path = os.path.join(Server.run, name)
    with open(path, "w") as f:
        f.write(text)
    return path


def serve_still(models):
    """A server whose models stay: default and half_plus_three, and three versions under each policy."""
    models.put("default", "00000123")
    models.put("half_plus_three", "00000123", three=True)
    for name in ("all", "two", "some"):
        for version in (1, 2, 3):
            models.put(name, str(version), three=version == 2)
    text = config(
        ("default", models.base("default"), ""), ("half_plus_three", models.base("half_plus_three"), ""),
        ("all", models.base("all"), "model_version_policy { all {} } version_labels { key: 'stable' value: 1 } "
                                    "version_labels { key: 'canary' value: 3 }"),
        ("two", models.base("two"), "model_version_policy { latest { num_versions: 2 } }"),
        ("some", models.base("some"), "model_version_policy { specific { versions: 1 versions: 3 } }"))
    return Server("still", "--model_config_file=" + write("still.config", text), "--rest_api_enable_cors_support",
                  "--monitoring_config_file=" + write("monitoring.config", "prometheus_config { enable: true }"))


def main():
    Server.program, Server.library, vectors, Server.run = sys.argv[1:]
    models = Models(Server.run, vectors)
    try:
        with serve_still(models) as server:
            run_all(tfs_grpc.TESTS, server)
            run_all(tfs_rest.TESTS, server)
        with tfs_life.serve(models, write) as server:
            run_all(tfs_life.TESTS, server, models, write)
        with tfs_flags.serve_batched(models, write) as server:
            run_all(tfs_flags.BATCHED, server)
        run_all(tfs_flags.TESTS, models, write)
    finally:
        Server.kill_all()


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    main()
