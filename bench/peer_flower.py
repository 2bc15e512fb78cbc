#!/usr/bin/env python3
"""Flower with members that compute nothing, beside bench_fl: everything without TLS. Called by bench/fl_round.sh.

The way of its documentation (SuperLink and SuperNodes): this file is the app, server_app and client_app.
  peer_flower.py app DIR SUPERLINK   writes the app and its configuration there; `flwr run DIR/app bench` starts it
The way before Flower 1.13 (start_server(), gRPC between server and members, deprecated):
  peer_flower.py server ADDRESS CLIENTS ROUNDS LEN   one line for each round: seconds; then the peak memory in KiB
  peer_flower.py client ADDRESS                      a member
"""
import logging
import os
import pathlib
import resource
import shutil
import sys
import time

os.environ["FLWR_TELEMETRY_ENABLED"] = "0"
import flwr  # noqa: E402
import flwr.app  # noqa: E402
import flwr.clientapp  # noqa: E402
import flwr.serverapp  # noqa: E402
import flwr.serverapp.strategy  # noqa: E402
import numpy as np  # noqa: E402


def first_model(length):
    return (np.arange(length) % 1000 / 1000).astype(np.float32)


# ------------------------------------------------------------------------ through a SuperLink


class TimedApp(flwr.serverapp.strategy.FedAvg):
    """From the choice of members until the new model is there, as a record of ours says it."""

    def configure_train(self, *args, **kwargs):
        self.begin = time.monotonic()
        return super().configure_train(*args, **kwargs)

    def aggregate_train(self, server_round, replies):
        replies = list(replies)
        bad = [r for r in replies if r.has_error()]
        if bad or len(replies) < self.min_train_nodes:
            raise RuntimeError(f"{len(replies)} replies, {len(bad)} with an error")
        out = super().aggregate_train(server_round, replies)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with open(os.environ["PEER_FLOWER_OUT"], "a") as f:
            print(f"{time.monotonic() - self.begin:.3f}\t{peak}", file=f)
        return out


server_app = flwr.serverapp.ServerApp()
client_app = flwr.clientapp.ClientApp()


@server_app.main()
def run_server(grid, context):
    clients, rounds, length = (int(context.run_config[k]) for k in ("clients", "rounds", "length"))
    strategy = TimedApp(fraction_evaluate=0.0, min_train_nodes=clients, min_available_nodes=clients)
    strategy.start(
        grid=grid, initial_arrays=flwr.app.ArrayRecord([first_model(length)]), num_rounds=rounds
    )


@client_app.train()
def train(msg, context):
    content = {"arrays": msg.content["arrays"], "metrics": flwr.app.MetricRecord({"num-examples": 1})}
    return flwr.app.Message(content=flwr.app.RecordDict(content), reply_to=msg)


PROJECT = """[project]
name = "nothing"
version = "1.0.0"
description = "members that compute nothing"
license = "Apache-2.0"
dependencies = []
[tool.flwr.app]
publisher = "nobody"
[tool.flwr.app.components]
serverapp = "peer_flower:server_app"
clientapp = "peer_flower:client_app"
[tool.flwr.app.config]
clients = 10
rounds = 1
length = 1
"""


def write_app(folder, superlink):
    root = pathlib.Path(folder)
    (root / "app").mkdir(parents=True)
    shutil.copy(__file__, root / "app" / "peer_flower.py")
    (root / "app" / "pyproject.toml").write_text(PROJECT)
    (root / "config.toml").write_text(
        f'[superlink]\ndefault = "bench"\n[superlink.bench]\naddress = "{superlink}"\ninsecure = true\n'
    )


# ------------------------------------------------------------------------------ start_server()


class Timed(flwr.server.strategy.FedAvg):
    """As TimedApp."""

    def configure_fit(self, *args, **kwargs):
        self.begin = time.monotonic()
        return super().configure_fit(*args, **kwargs)

    def aggregate_fit(self, server_round, results, failures):
        if failures:
            sys.exit(f"{len(failures)} clients failed: {failures[0]}")
        out = super().aggregate_fit(server_round, results, failures)
        print(f"{time.monotonic() - self.begin:.3f}", flush=True)
        return out


class Nothing(flwr.client.NumPyClient):
    def fit(self, parameters, config):
        return parameters, 1, {}


def server(address, clients, rounds, length):
    strategy = Timed(
        fraction_evaluate=0.0,
        min_fit_clients=clients,
        min_available_clients=clients,
        initial_parameters=flwr.common.ndarrays_to_parameters([first_model(length)]),
    )
    flwr.server.start_server(
        server_address=address, config=flwr.server.ServerConfig(num_rounds=rounds), strategy=strategy
    )
    print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, flush=True)


def client(address):
    for _ in range(100):  # the server may not listen yet
        try:
            flwr.client.start_client(server_address=address, client=Nothing().to_client(), insecure=True)
            break
        except Exception as e:  # what gRPC raises while nobody listens
            if "UNAVAILABLE" not in str(e):
                raise
            time.sleep(0.2)


if __name__ == "__main__":
    logging.getLogger("flwr").setLevel(logging.ERROR)
    if sys.argv[1] == "app":
        write_app(sys.argv[2], sys.argv[3])
    elif sys.argv[1] == "server":
        server(sys.argv[2], *map(int, sys.argv[3:6]))
    else:
        client(sys.argv[2])
