#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Metrics of module recsys against implicit.evaluation and against their definitions in numpy; item-kNN against implicit's, EASE
against its closed form in double precision.

usage: test_recsys.py RECSYS_PEER     (the program built from recsys_peer.c)
Exit 77 if the packages cannot be had.
"""
import os
import subprocess
import sys
import tempfile
import warnings

import interop_venv

interop_venv.enter("requirements-recsys")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
warnings.filterwarnings("ignore")

import numpy as np  # noqa: E402
from implicit.evaluation import ranking_metrics_at_k  # noqa: E402
from implicit.nearest_neighbours import BM25Recommender, CosineRecommender, TFIDFRecommender  # noqa: E402
from scipy.sparse import csr_matrix  # noqa: E402

PEER = sys.argv[1]
WORK = tempfile.TemporaryDirectory()


def path(name):
    return os.path.join(WORK.name, name)


def near(a, b, tolerance, *what):
    if not np.allclose(a, b, rtol=tolerance, atol=tolerance):
        sys.exit("failed: %s: %r, expected %r" % (" ".join(map(str, what)), a, b))


def write(name, m):
    rows, cols = m.nonzero()
    with open(path(name), "w") as f:
        f.write("%d %d %d\n" % (*m.shape, len(rows)))
        for u, i in zip(rows, cols):
            f.write("%d %d %.9g\n" % (u, i, m[u, i]))


def peer(*args):
    run = subprocess.run([PEER, path("train"), path("test"), *map(str, args)], stdout=subprocess.PIPE, text=True, check=True)
    lines = run.stdout.splitlines()
    return lines[:-12], {name: float(value) for name, value in map(str.split, lines[-12:])}


def parts(users, items, density, seed):
    """Ratings as users make them: some items and some users have many."""
    rnd = np.random.default_rng(seed)
    popular, busy = rnd.power(0.5, items), rnd.power(0.5, users)
    has = rnd.random((users, items)) < density * 4 * np.outer(busy, popular)
    values = np.where(has, rnd.integers(1, 6, (users, items)), 0).astype(np.float32)
    held = rnd.random((users, items)) < 0.3
    return np.where(held, 0, values), np.where(held, values, 0)


class Scores:
    """A model in implicit's sense that has a table of scores."""

    def __init__(self, scores):
        self.scores = scores

    def recommend(self, users, user_items, N):
        s = self.scores[users].copy()
        s[user_items.toarray() != 0] = -np.inf
        order = np.lexsort((np.broadcast_to(np.arange(s.shape[1]), s.shape), -s), axis=1)[:, :N]
        return order.astype(np.int32), np.take_along_axis(s, order, axis=1)


def by_definition(lists, train, test):
    """What implicit does not have, and the rest once more."""
    users, items = train.shape
    k, out, shown = lists.shape[1], [], set()
    share = np.maximum((train != 0).sum(axis=0), 1) / users
    for u in range(users):
        relevant = set(np.nonzero(test[u])[0])
        if not relevant:
            continue
        hit = np.array([i in relevant for i in lists[u]])
        gain = 1 / np.log2(np.arange(2, k + 2))
        cap, n = min(k, len(relevant)), len(relevant)
        candidates = items - np.count_nonzero(train[u])
        pairs = sum(hit[:p].sum() for p in range(k) if not hit[p])
        rest = candidates - n - (k - hit.sum())
        out.append({
            "hr": float(hit.any()), "recall": hit.sum() / n, "precision": hit.sum() / k, "ndcg": (hit * gain).sum() / gain[:cap].sum(),
            "map": sum(hit[:p + 1].sum() / (p + 1) for p in range(k) if hit[p]) / cap,
            "mrr": 1 / (np.argmax(hit) + 1) if hit.any() else 0.0,
            "auc": (pairs + (hit.sum() + n) / 2 * rest) / (n * (candidates - n)),
            "novelty": float(np.mean(-np.log2(share[lists[u]])))})
        shown.update(lists[u])
    means = {name: np.mean([o[name] for o in out]) for name in out[0]}
    return {**means, "coverage": len(shown) / items, "users": len(out)}


def test_metrics():
    for seed, (users, items, k) in enumerate([(200, 90, 10), (300, 150, 1), (150, 60, 25), (120, 400, 100)]):
        train, test = parts(users, items, 0.12, seed)
        model = Scores(np.random.default_rng(seed + 100).normal(size=(users, items)).round(1))
        write("train", train), write("test", test)
        lists, _ = model.recommend(np.arange(users), csr_matrix(train), k)
        np.savetxt(path("lists"), lists, fmt="%d")
        _, ours = peer("lists", path("lists"), k)
        theirs = ranking_metrics_at_k(model, csr_matrix(train), csr_matrix(test), K=k, show_progress=False)
        for name, own in [("precision", "precision_capped"), ("map", "map"), ("ndcg", "ndcg"), ("auc", "auc_all")]:
            near(ours[own], theirs[name], 1e-9, "implicit's", name, "at", k)
        for name, value in by_definition(lists, train, test).items():
            near(ours[name], value, 1e-9, name, "at", k)
    print("metrics: as implicit.evaluation and as defined")


def test_sampled():
    """Among 99 random others a random order hits in 10 of 100 places; the full ranking does so for 10 of all items."""
    rnd = np.random.default_rng(5)
    users, items = 1500, 400
    train, test = np.zeros((users, items), np.float32), np.zeros((users, items), np.float32)
    for u in range(users):
        mine = rnd.choice(items, 21, replace=False)
        train[u, mine[1:]], test[u, mine[0]] = 1, 1
    scores = rnd.normal(size=(users, items))
    write("train", train), write("test", test)
    np.savetxt(path("scores"), scores, fmt="%.6f")
    _, ours = peer("sampled", path("scores"), 10, 99, 1)
    near(ours["hr"], 0.1, 0.03, "hit rate of chance among 99")
    full = by_definition(Scores(scores).recommend(np.arange(users), csr_matrix(train), 10)[0], train, test)
    near(full["hr"], 10 / 380, 0.015, "hit rate of chance")
    print("sampled: hit rate of chance %.3f, in the full ranking %.3f" % (ours["hr"], full["hr"]))


def test_knn():
    train, test = parts(400, 120, 0.12, 7)
    write("train", train), write("test", test)
    for kind, theirs in [("cosine", CosineRecommender), ("tfidf", TFIDFRecommender), ("bm25", BM25Recommender)]:
        for neighbours in (19, 119):
            if kind == "bm25" and neighbours == 19:
                continue  # there an item itself takes a place only if it is near enough
            model = theirs(K=neighbours + 1)  # itself is one of them
            model.fit(csr_matrix(train), show_progress=False)
            lines, ours = peer("knn", kind, neighbours, 10)
            want, got = model.similarity.toarray(), np.zeros((120, 120))
            for i, j, s in map(str.split, lines):
                got[int(i), int(j)] = float(s)
            np.fill_diagonal(want, 0)
            near(got, want, 1e-5, "similarity of", kind)
            expected = ranking_metrics_at_k(model, csr_matrix(train), csr_matrix(test), K=10, show_progress=False)
            for name, own in [("precision", "precision_capped"), ("map", "map"), ("ndcg", "ndcg")]:
                near(ours[own], expected[name], 2e-3, kind, neighbours, name)
    print("knn: similarities and metrics as implicit's")


def test_ease():
    train, test = parts(500, 150, 0.12, 9)
    write("train", train), write("test", test)
    for reg in (10, 300):
        lines, ours = peer("ease", reg, 10)
        x = (train != 0).astype(float)
        p = np.linalg.inv(x.T @ x + reg * np.eye(150))
        b = -p / np.diag(p)
        np.fill_diagonal(b, 0)
        near(np.array([list(map(float, line.split())) for line in lines]), b, 1e-5, "weights, reg", reg)
        lists, _ = Scores(x @ b).recommend(np.arange(500), csr_matrix(train), 10)
        for name in ("ndcg", "recall", "coverage"):
            near(ours[name], by_definition(lists, train, test)[name], 2e-3, "ease", name)
    print("ease: weights as in double precision")


test_metrics()
test_sampled()
test_knn()
test_ease()
