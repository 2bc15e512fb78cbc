# SPDX-License-Identifier: Apache-2.0
"""Lists of 10 beside the PyPI package implicit, same factors, one thread each, in turns; users a second of CPU time, medians.

Factors: normal numbers, and what implicit learns from synthetic feedback of the shape of MovieLens 1M (power-law items). Lists have
to be the same, but for scores that are equal up to rounding.

usage: recsys_peers_topk.py BENCH_RECSYS_TOPK [ROUNDS [FACTORS...]]     3, 64 128; columns: what, cczoo, implicit, ratio
"""
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
    os.environ.pop(name, None)

import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy
import scipy.sparse
from implicit.cpu.als import AlternatingLeastSquares

USERS, ITEMS, RATINGS, K = 6040, 3706, 1_000_000, 10
BATCHES = (100, 1000, USERS)  # users of a call there: the fastest counts


def feedback(rng):
    """Users and items of a power law, with tastes of a few dimensions."""
    popular = 1 / numpy.arange(10, ITEMS + 10) ** 0.9
    taste, kind = rng.standard_normal((USERS, 12)), rng.standard_normal((ITEMS, 12))
    active = rng.permutation(numpy.clip(RATINGS / USERS * rng.lognormal(-0.5, 1, USERS), 20, 2000).astype(int))
    rows = []
    for u in range(USERS):
        weight = numpy.log(popular) + 0.5 * (kind @ taste[u]) + rng.gumbel(size=ITEMS)  # without replacement
        rows.append(numpy.sort(numpy.argpartition(-weight, active[u])[: active[u]]))
    start = numpy.concatenate([[0], numpy.cumsum([len(r) for r in rows])])
    col = numpy.concatenate(rows).astype(numpy.int32)
    return scipy.sparse.csr_matrix((numpy.ones(len(col), numpy.float32), col, start), shape=(USERS, ITEMS))


def write(folder, model, seen):
    model.user_factors.astype("<f4").tofile(folder / "user.f32")
    model.item_factors.astype("<f4").tofile(folder / "item.f32")
    seen.indptr.astype("<u8").tofile(folder / "seen.start")
    seen.indices.astype("<u4").tofile(folder / "seen.col")


def theirs(model, seen, filtered):
    """Users a second, and the lists."""
    best, lists = 0.0, None
    for batch in BATCHES:
        out = []
        begin = time.process_time()
        for u in range(0, USERS, batch):
            users = numpy.arange(u, min(u + batch, USERS))
            out.append(model.recommend(users, seen[users] if filtered else None, N=K, filter_already_liked_items=filtered))
        rate = USERS / (time.process_time() - begin)
        best, lists = (rate, out) if rate > best else (best, lists)
    return best, numpy.concatenate([o[0] for o in lists]), numpy.concatenate([o[1] for o in lists])


def ours(bench, folder, factors):
    out = subprocess.run([bench, "batch", str(folder), str(USERS), str(ITEMS), str(factors), "seen"], check=True, text=True, capture_output=True)
    return {line.split("\t")[0]: float(line.split("\t")[1]) for line in out.stdout.splitlines()}


def same(folder, ids, scores):
    """Scores of every place agree; where numbers differ, two scores are equal up to rounding."""
    item = numpy.fromfile(folder / "list.item", "<u4").reshape(-1, K)
    score = numpy.fromfile(folder / "list.score", "<f4").reshape(-1, K)
    near = numpy.abs(score - scores) <= 1e-4 * numpy.abs(scores).max()
    assert near.all(), "scores differ"
    return (item == ids).mean()


def main():
    bench, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 3
    rng = numpy.random.default_rng(1)
    seen = feedback(rng)
    print(f"ratings\t{seen.nnz}\nwhat\tcczoo\timplicit\tratio")
    for factors in map(int, sys.argv[3:] or (64, 128)):
        for kind in ("random", "trained"):
            model = AlternatingLeastSquares(factors=factors, regularization=20, alpha=10, iterations=5, num_threads=1, random_state=1)
            if kind == "trained":
                model.fit(seen, show_progress=False)
            else:
                model.user_factors = rng.standard_normal((USERS, factors)).astype(numpy.float32)
                model.item_factors = rng.standard_normal((ITEMS, factors)).astype(numpy.float32)
            with tempfile.TemporaryDirectory() as name:
                folder, rates, peers = pathlib.Path(name), [], ([], [])
                write(folder, model, seen)
                for _ in range(rounds):
                    rates.append(ours(bench, folder, factors))
                    for filtered in (False, True):
                        rate, ids, scores = theirs(model, seen, filtered)
                        peers[filtered].append(rate)
                equal = same(folder, ids, scores)
            for what, peer in (("recommend", 0), ("recommend_index", 0), ("recommend_index_seen", 1), ("oblivious_seen", 1)):
                a, b = statistics.median(r[what] for r in rates), statistics.median(peers[peer])
                print(f"{kind} f={factors} {what}\t{a:.0f}\t{b:.0f}\t{a / b:.2f}", flush=True)
            print(f"{kind} f={factors} same items\t{equal:.5f}", flush=True)


main()
