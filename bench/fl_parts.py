#!/usr/bin/env python3
"""The partition by Dirichlet(0.5) that Flower's baseline niid_bench draws with numpy, for `cczoo fl simulate --parts`.

usage: bench/fl_parts.py LABELS-IDX1-UBYTE.gz [SEED [CLIENTS]] > parts      (seed 42, 10 clients: what the baseline's figures are made with)

Rule (NIID-Bench, Li et al., ICDE 2022, section IV): the samples of each class, shuffled, go to the clients in shares drawn from a Dirichlet
distribution; who has its equal share of everything already gets none of further classes. Drawn anew until each client has 10 samples.
The order of draws is the baseline's: for each class the shuffle, then the shares.
"""
import gzip
import sys

import numpy

ALPHA, LEAST = 0.5, 10


def draw(labels, clients, random):
    client_of = numpy.empty(len(labels), dtype=int)
    held = numpy.zeros(clients, dtype=int)
    for label in numpy.unique(labels):
        samples = numpy.flatnonzero(labels == label)
        random.shuffle(samples)
        shares = random.dirichlet(numpy.full(clients, ALPHA))
        shares[held >= len(labels) / clients] = 0
        ends = (numpy.cumsum(shares / shares.sum()) * len(samples)).astype(int)
        ends[-1] = len(samples)
        start = 0
        for client, end in enumerate(ends):
            client_of[samples[start:end]] = client
            held[client] += end - start
            start = end
    return client_of, held.min()


labels = numpy.frombuffer(gzip.open(sys.argv[1]).read(), dtype=numpy.uint8)[8:]
seed, clients = (int(x) for x in (sys.argv[2:] + ["42", "10"][len(sys.argv) - 2:]))
random, least = numpy.random.default_rng(seed), 0
while least < LEAST:
    parts, least = draw(labels, clients, random)
print("\n".join(map(str, parts)))
