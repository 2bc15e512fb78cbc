# SPDX-License-Identifier: Apache-2.0
"""Alternating least squares of the PyPI package implicit, for bench/recsys_peers.sh. Files are those of bench_recsys_als.

usage: recsys_peers_als.py run FILE FACTORS exact|cg THREADS ROUNDS   one line as of `bench_recsys_als run`
       recsys_peers_als.py check FILE FACTORS exact|cg FACTORS_FILE   the same sweep of users from the same factors: how far apart
"""
import sys
import time

import numpy
import scipy.sparse
from implicit.cpu.als import AlternatingLeastSquares

ALPHA, REG = 10.0, 20.0  # those of bench_recsys_als


def load(path):
    """Confidences 1 + alpha r: implicit takes them as they are."""
    with open(path, "rb") as f:
        users, items = numpy.fromfile(f, "<u4", 2)
        (ratings,) = numpy.fromfile(f, "<u8", 1)
        start = numpy.fromfile(f, "<u8", int(users) + 1).astype(numpy.int64)
        item = numpy.fromfile(f, "<u4", int(ratings)).astype(numpy.int32)
        value = numpy.fromfile(f, "<f4", int(ratings))
    return scipy.sparse.csr_matrix((1 + numpy.float32(ALPHA) * value, item, start), shape=(int(users), int(items)))


def model(factors, solver, threads, iterations):
    return AlternatingLeastSquares(factors=factors, regularization=REG, alpha=1.0, use_cg=solver == "cg",
                                   iterations=iterations, num_threads=threads, random_state=1)


def run(path, factors, solver, threads, rounds):
    confidences = load(path)
    clocks = []

    def tick(*_):
        clocks.append((time.clock_gettime(time.CLOCK_PROCESS_CPUTIME_ID), time.monotonic()))

    model(factors, solver, threads, rounds + 1).fit(confidences, show_progress=False, callback=tick)
    line = "%s f=%d threads=%d" % (solver, factors, threads)
    for clock in range(2):
        spans = sorted(b[clock] - a[clock] for a, b in zip(clocks, clocks[1:]))
        line += "\t%.4f\t%.4f" % (spans[0], spans[len(spans) // 2])
    print(line, flush=True)


def check(path, factors, solver, factors_path):
    confidences = load(path)
    users, items = confidences.shape
    all_factors = numpy.fromfile(factors_path, "<f4").reshape(-1, factors)
    y, before, after = all_factors[:items], all_factors[items:items + users], all_factors[items + users:]
    theirs = before.copy()
    peer = model(factors, solver, 1, 1)
    peer.solver(confidences, theirs, y, REG, num_threads=1)
    off = float(numpy.abs(theirs - after).max() / numpy.abs(theirs).max())
    print("same sweep, %s f=%d: largest difference %.1e of the largest factor" % (solver, factors, off))
    if not off < 1e-3:
        sys.exit("error: the two do not compute the same")


if __name__ == "__main__":
    if sys.argv[1] == "run":
        run(sys.argv[2], int(sys.argv[3]), sys.argv[4], int(sys.argv[5]), int(sys.argv[6]))
    else:
        check(sys.argv[2], int(sys.argv[3]), sys.argv[4], sys.argv[5])
