# SPDX-License-Identifier: Apache-2.0
"""Alternating least squares of the PyPI package implicit on the parts of `bench_recsys_quality split`, for recsys_quality.sh.

usage: recsys_quality.py DIR SEEDS      AlternatingLeastSquares() without arguments, on confidences of three kinds
       recsys_quality.py DIR SUM FILES  means over seeds of what the two programs have printed
"""
import collections
import sys

import numpy
import scipy.sparse


def load(path):
    with open(path) as f:
        users, items, _ = map(int, f.readline().split())
        table = numpy.loadtxt(f)
    user, item, value = table[:, 0].astype(int), table[:, 1].astype(int), table[:, 2]
    return scipy.sparse.csr_matrix((value.astype(numpy.float32), (user, item)), shape=(users, items))


def run(folder, seeds):
    from implicit.cpu.als import AlternatingLeastSquares
    from implicit.evaluation import ranking_metrics_at_k

    train, test = load(folder + "/train"), load(folder + "/test")
    users = numpy.flatnonzero(numpy.diff(test.indptr))
    kinds = {"1 + stars": 1, "stars": 0, "1": None}
    for name, add in kinds.items():
        confidences = train.copy()
        confidences.data = numpy.ones_like(train.data) if add is None else train.data + numpy.float32(add)
        for seed in range(1, seeds + 1):
            model = AlternatingLeastSquares(random_state=seed)
            model.fit(confidences, show_progress=False)
            # seen items are left out of lists by what is stored, not by its value
            metrics = ranking_metrics_at_k(model, train, test, K=10, show_progress=False)
            lists, _ = model.recommend(users, train[users], N=10)
            hits = [len(set(lists[n]) & set(test[u].indices)) > 0 for n, u in enumerate(users)]
            print("test implicit defaults, confidence %s\t%d\t%.4f\t%.4f" % (name, seed, metrics["ndcg"], numpy.mean(hits)), flush=True)


def summary(paths):
    values = collections.defaultdict(list)
    for path in paths:
        for line in open(path):
            part = line.rstrip("\n").split("\t")
            if part[0].startswith("test ") and len(part) == 4:
                values[part[0][5:]].append((float(part[2]), float(part[3])))
    best = max(numpy.mean([v[0] for v in runs]) for name, runs in values.items() if name.startswith("implicit"))
    print("what\tseeds\tNDCG@10\tdeviation\tHR@10\tdeviation\tNDCG@10 / best of implicit's")
    for name, runs in values.items():
        v = numpy.array(runs)
        d = v.std(axis=0, ddof=1) if len(v) > 1 else numpy.zeros(2)
        print("%s\t%d\t%.4f\t%.4f\t%.4f\t%.4f\t%.3f" % (name, len(v), v[:, 0].mean(), d[0], v[:, 1].mean(), d[1], v[:, 0].mean() / best))


if sys.argv[2] == "SUM":
    summary(sys.argv[3:])
else:
    run(sys.argv[1], int(sys.argv[2]))
