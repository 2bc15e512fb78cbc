#!/usr/bin/env python3
"""Flower with members that compute nothing, beside bench_fl: gRPC without TLS. Called by bench/fl_round.sh.

peer_flower.py server ADDRESS CLIENTS ROUNDS LEN   one line for each round: seconds; then the peak memory in KiB
peer_flower.py client ADDRESS                      a member
"""
import logging
import os
import resource
import sys
import time

os.environ["FLWR_TELEMETRY_ENABLED"] = "0"
import flwr  # noqa: E402
import numpy as np  # noqa: E402

logging.getLogger("flwr").setLevel(logging.ERROR)


class Timed(flwr.server.strategy.FedAvg):
    """From the choice of clients until the new model is there, as a record of ours says it."""

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
    first = (np.arange(length) % 1000 / 1000).astype(np.float32)
    strategy = Timed(
        fraction_evaluate=0.0,
        min_fit_clients=clients,
        min_available_clients=clients,
        initial_parameters=flwr.common.ndarrays_to_parameters([first]),
    )
    del first
    flwr.server.start_server(
        server_address=address, config=flwr.server.ServerConfig(num_rounds=rounds), strategy=strategy
    )
    print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, flush=True)


if sys.argv[1] == "server":
    server(sys.argv[2], *map(int, sys.argv[3:6]))
else:
    for _ in range(100):  # the server may not listen yet
        try:
            flwr.client.start_client(server_address=sys.argv[2], client=Nothing().to_client(), insecure=True)
            break
        except Exception as e:  # what gRPC raises while nobody listens
            if "UNAVAILABLE" not in str(e):
                raise
            time.sleep(0.2)
