#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The accountant of module dp against Google's dp-accounting over a grid of parameters: within 1 %.

Where ours is lower by more, it has to be within 1 % of the definition: the series of dp-accounting for fractional orders
stops early (at little noise), its differences for samples of a fixed size cancel in double precision, and its bound for
them can be above the one without sampling.

usage: test_dp.py DP_PEER     (the program built from dp_peer.c)
Exit 77 if the package cannot be had.
"""
import functools
import math
import subprocess
import sys

import interop_venv

interop_venv.enter()

import dp_accounting as dpa  # noqa: E402
import mpmath as mp  # noqa: E402
import numpy as np  # noqa: E402
from absl import logging  # noqa: E402
from dp_accounting import rdp  # noqa: E402
from scipy import special  # noqa: E402

PEER, BAR = sys.argv[1], 0.01
logging.set_verbosity(logging.ERROR)  # it warns of every order whose series it gives up
ADD, REPLACE = dpa.NeighboringRelation.ADD_OR_REMOVE_ONE, dpa.NeighboringRelation.REPLACE_ONE


def peer(lines):
    run = subprocess.run([PEER], input="\n".join(lines) + "\n", stdout=subprocess.PIPE, text=True, check=True)
    return [float(line) for line in run.stdout.split()]


def accountant(kind, rate, z, steps):
    gauss = dpa.GaussianDpEvent(z)
    if kind == "poisson":
        event = dpa.PoissonSampledDpEvent(rate, gauss)
    elif kind == "fixed":
        event = dpa.SampledWithoutReplacementDpEvent(10 ** 6, round(rate * 10 ** 6), gauss)
    else:
        event = gauss
    a = rdp.RdpAccountant(neighboring_relation=REPLACE if kind == "fixed" else ADD)
    return a.compose(event, steps)


ORDERS = rdp.rdp_privacy_accountant.DEFAULT_RDP_ORDERS


def integrated(q, z, order):
    """RDP with POISSON from the definition: the Renyi divergence as an integral (trapezoids, which converge fast)."""
    t = np.arange(-40, 40 + order / z, 0.01)
    mixture = np.logaddexp(math.log1p(-q), math.log(q) + t / z - 1 / (2 * z * z))
    return max(special.logsumexp(order * mixture - t * t / 2) + math.log(0.01 / math.sqrt(2 * math.pi)), 0) / (order - 1)


@functools.lru_cache(None)
def differences(z):
    """log of the l-th forward differences of e^(x (x - 1) / 2 z^2) at 0, for even l, with 300 digits."""
    mp.mp.dps = 300
    row, out = [mp.exp(mp.mpf(x * (x - 1)) / (2 * mp.mpf(z) ** 2)) for x in range(257)], {}
    for n in range(1, 257):
        row = [b - a for a, b in zip(row, row[1:])]
        out[n] = float(mp.log(row[0])) if n % 2 == 0 else None
    return out


def theorem(q, z, order):
    """RDP with FIXED, theorem 27 of Wang et al., or without sampling if that is less."""
    def moment(n):
        total = 0.0
        for j in range(2, n + 1):
            gauss = j * (j - 1) / (2 * z * z)
            if j == 2:
                term = min(math.log(4 * math.expm1(z ** -2)), z ** -2 + math.log(2))
            elif n > 256:
                term = math.log(2) + gauss
            else:
                d = differences(z)
                term = min(math.log(4) + (d[j // 2 * 2] + d[(j + 1) // 2 * 2]) / 2, math.log(2) + gauss)
            choose = math.lgamma(n + 1) - math.lgamma(j + 1) - math.lgamma(n - j + 1)
            total = float(np.logaddexp(total, choose + j * math.log(q) + term))
        return total
    lo, part = math.floor(order), order - math.floor(order)
    total = moment(lo) * (1 - part) + (moment(lo + 1) * part if part else 0)
    return min(total / (order - 1), order / (2 * z * z))


@functools.lru_cache(None)
def definition(kind, q, z):
    return [integrated(q, z, o) if kind == "poisson" else theorem(q, z, o) for o in ORDERS]


def reference(row):
    kind, q, z, steps, delta = row
    return rdp.compute_epsilon(ORDERS, np.array(definition(kind, q, z)) * steps, delta)[0]


def near(a, b):
    return a == b or abs(a - b) <= BAR * abs(b)


def check(ok, *what):
    if not ok:
        sys.exit("failed: %s" % " ".join(map(str, what)))


def main():
    grid = [("poisson", q, z, steps, delta) for q in (1e-4, 0.001, 0.01, 0.1, 0.5) for z in (0.4, 0.7, 1, 1.1, 2, 5, 20)
            for steps in (1, 50, 1000, 20000) for delta in (1e-3, 1e-5, 1e-9)]
    grid += [("fixed", q, z, steps, delta) for q in (1e-4, 0.01, 0.1, 0.5) for z in (0.5, 1, 2, 5, 20)
             for steps in (1, 100, 5000) for delta in (1e-3, 1e-5, 1e-9)]
    grid += [("all", 1, z, steps, delta) for z in (0.3, 1, 3, 10, 50) for steps in (1, 7, 500) for delta in (1e-3, 1e-5, 1e-9)]
    one_step, worst, lower = {}, 0, 0
    for row, ours in zip(grid, peer(["epsilon %s %r %r %d %r" % row for row in grid])):
        kind, q, z, steps, delta = row
        if row[:3] not in one_step:
            one_step[row[:3]] = accountant(kind, q, z, 1).rdp
        theirs = rdp.compute_epsilon(ORDERS, one_step[row[:3]] * steps, delta)[0]
        if near(ours, theirs):
            worst = max(worst, abs(ours / theirs - 1) if theirs else 0)
            continue
        check(ours < theirs and near(ours, reference(row)), "epsilon of", row, ours, "dp-accounting", theirs)
        lower += 1
    some = [row for row in grid if row[0] != "fixed" and row[2] >= 1][::7]
    for row, ours in zip(some, peer(["delta %s %r %r %d 2.5" % row[:4] for row in some])):
        theirs = accountant(*row[:4]).get_delta(2.5)
        if not (near(ours, theirs) or near(math.log(ours), math.log(theirs))):
            exactly = rdp.rdp_privacy_accountant.compute_delta(ORDERS, np.array(definition(*row[:3])) * row[3], 2.5)[0]
            check(ours < theirs and near(ours, exactly), "delta of", row, ours, theirs, exactly)
    targets = [("poisson", q, e, steps, 1e-6) for q in (0.001, 0.05) for e in (0.5, 1, 8) for steps in (100, 5000)]
    for row, z in zip(targets, peer(["calibrate %s %r %r %d %r" % row for row in targets])):
        kind, q, e, steps, delta = row
        got = accountant(kind, q, z, steps).get_epsilon(delta)
        check(near(got, e), "calibration for", row, z, got)
    print("epsilon at %d points within %.2g %% of dp-accounting, and below it at %d more, as the definition says"
          % (len(grid) - lower, worst * 100, lower))


main()
