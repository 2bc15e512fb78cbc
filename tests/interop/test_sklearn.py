#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Regressions and boosted trees on columns of two parties beside scikit-learn on the same rows in one place.

usage: test_sklearn.py CCZOO_FEDLR     (the program; guest and host are processes)
Both see the same training rows, and are measured on the same rows held out. Metrics may differ by 1 %, relatively.
Exit 77 if scikit-learn or the credit data cannot be had.
"""
import os
import re
import subprocess
import sys
import tempfile

import interop_venv

interop_venv.enter("requirements-sklearn")

import numpy as np  # noqa: E402
from sklearn import datasets, ensemble, linear_model, metrics  # noqa: E402

FEDLR, ROOT = sys.argv[1], os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TOLERANCE = 0.01
work = tempfile.TemporaryDirectory()
failed = []


def path(name):
    return os.path.join(work.name, name)


def credit():
    """German credit of Debian's weka (1000 rows): numbers as they are, names as columns of 0 and 1."""
    fetch = subprocess.run([os.path.join(ROOT, "scripts", "fetch-debian-file"), "weka", "usr/share/doc/weka/examples/credit-g.arff",
                            "bd94085134e4eb845c96b34c93ed65a223f89d089bacb273ef96f57509ce0bed"], stdout=subprocess.PIPE, text=True)
    if fetch.returncode == 77:
        print("skipped: the credit data cannot be had")
        sys.exit(77)
    fetch.check_returncode()
    kinds, rows = [], []
    for line in open(fetch.stdout.strip(), encoding="latin-1"):
        line = line.strip()
        if line.lower().startswith("@attribute"):
            names = re.search(r"\{(.*)\}", line)
            kinds.append([v.strip(" '\"") for v in names.group(1).split(",")] if names else None)
        elif line and line[0] not in "@%":
            rows.append([v.strip(" '\"") for v in line.split(",")])
    x = []
    for j, names in enumerate(kinds[:-1]):
        column = [r[j] for r in rows]
        x += [[float(v) for v in column]] if names is None else [[float(v == n) for v in column] for n in names[1:]]
    return np.array(x).T, np.array([float(r[-1] == "bad") for r in rows])


def split(x, y, seed):
    """Training and test rows, standardised by the training rows."""
    order = np.random.RandomState(seed).permutation(len(y))
    test, train = order[:len(y) // 4], order[len(y) // 4:]
    mean, deviation = x[train].mean(axis=0), x[train].std(axis=0)
    x = np.clip((x - mean) / np.where(deviation > 0, deviation, 1), -7.9, 7.9)  # features are cut at 8
    return x[train], y[train], x[test], y[test]


def write(name, x, y):
    with open(path(name), "w") as f:
        f.write(",".join(["id"] + (["y"] if y is not None else []) + ["x%d" % j for j in range(x.shape[1])]) + "\n")
        for i, row in enumerate(x):
            f.write(",".join(["r%d" % i] + (["%.17g" % y[i]] if y is not None else []) + ["%.17g" % v for v in row]) + "\n")


def federated(data, cols, keys, *options):
    """Guest with the first columns, host with the others; what the guest measured, as a dict."""
    x, y, x_test, y_test = data
    write("guest", x[:, :cols], y), write("guest-test", x_test[:, :cols], y_test)
    write("host", x[:, cols:], None), write("host-test", x_test[:, cols:], None)
    if os.path.exists(path("port")):
        os.unlink(path("port"))
    common = ["--unattested-insecure", "--timeout", "300", "--threads", "2", *options]
    guest = subprocess.Popen([FEDLR, "guest", *common, *(["--key", path("guest.key")] if "guest" in keys else []), "--listen", "127.0.0.1:0",
                              "--port-file", path("port"), "--data", path("guest"), "--test", path("guest-test"), "--tee", "sim-sgx",
                              "--sim-dir", path("sim")], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    while not os.path.exists(path("port")) and guest.poll() is None:
        try:
            guest.wait(0.05)
        except subprocess.TimeoutExpired:
            pass
    host = None
    if guest.poll() is None:
        host = subprocess.run([FEDLR, "host", *common, *(["--key", path("host.key")] if "host" in keys else []), "--guest",
                               "127.0.0.1:" + open(path("port")).read().strip(), "--data", path("host"), "--test", path("host-test")],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    out = guest.communicate(timeout=60)[0]
    measured = re.search(r"^test rows  (.*)$", out, re.M)
    if guest.returncode or not host or host.returncode or not measured:
        sys.exit("failed: %s\n%s\n%s" % (options, out, host.stdout if host else ""))
    return {name: float(v) for name, v in re.findall(r"([A-Za-z][\w ]*?) +(-?[\d.]+)", measured.group(1))}


def compare(what, got, **want):
    for name, peer in want.items():
        name = name.replace("_", " ")
        off = abs(got[name] - peer) / abs(peer)
        print("%-52s %-9s federated %.4f  scikit-learn %.4f  off by %.2f %%" % (what, name, got[name], peer, 100 * off))
        if not off <= TOLERANCE:
            failed.append((what, name))


def logistic(name, table, cols):
    """The federated loss is the expansion of log(1 + e^-z) to the second degree, which is a ridge regression of +-2. Beside that one everything is
    compared, on each split; beside the logistic loss the AUC, mean of the splits: another loss ranks some of few test rows otherwise."""
    l2, means = 0.01, []
    for seed in range(3):
        data = x, y, x_test, y_test = split(*table, seed)
        same = linear_model.Ridge(alpha=4 * l2 * len(y)).fit(x, 4 * y - 2).predict(x_test)
        want = {"AUC": metrics.roc_auc_score(y_test, same), "accuracy": metrics.accuracy_score(y_test, same > 0)}
        options = ["--rounds", "120", "--eta", "0.5", "--momentum", "0.9", "--l2", str(l2)]
        got = federated(data, cols, (), "--mode", "hetero-rlwe", *options)
        compare("%s, logistic, lattice, same loss" % name, got, **want)
        peer = linear_model.LogisticRegression(C=1 / (l2 * len(y)), tol=1e-8, max_iter=10000).fit(x, y)
        means.append((got["AUC"], metrics.roc_auc_score(y_test, peer.predict_proba(x_test)[:, 1])))
        if seed == 0:
            compare("%s, logistic, Paillier, same loss" % name, federated(data, cols, ("guest", "host"), "--mode", "hetero-two", *options), **want)
    got, peer = np.mean(means, axis=0)
    compare("%s, logistic, lattice, mean of splits" % name, {"AUC": got}, AUC=peer)


def linear(name, data, cols):
    x, y, x_test, y_test = data
    p = linear_model.LinearRegression().fit(x, y).predict(x_test)
    want = {"RMSE": metrics.mean_squared_error(y_test, p) ** 0.5, "MAE": metrics.mean_absolute_error(y_test, p), "R2": metrics.r2_score(y_test, p)}
    compare("%s, linear, lattice" % name, federated(data, cols, (), "--mode", "hetero-rlwe", "--loss", "squared", "--rounds", "150", "--eta", "0.2",
                                                    "--momentum", "0.8"), **want)


def trees(name, data, cols):
    x, y, x_test, y_test = data
    rounds, depth, bins = 20, 3, 32
    peer = ensemble.HistGradientBoostingClassifier(max_iter=rounds, max_depth=depth, learning_rate=0.3, max_bins=bins, max_leaf_nodes=None,
                                                   min_samples_leaf=1, l2_regularization=1, early_stopping=False).fit(x, y)
    p = peer.predict_proba(x_test)[:, 1]
    got = federated(data, cols, ("guest",), "--mode", "trees", "--rounds", str(rounds), "--depth", str(depth), "--bins", str(bins), "--eta", "0.3",
                    "--lambda", "1", "--min-child", "0.001")
    compare("%s, boosted trees" % name, got, AUC=metrics.roc_auc_score(y_test, p))


wdbc, german = datasets.load_breast_cancer(), credit()
diabetes = datasets.load_diabetes()
subprocess.run([os.path.join(os.path.dirname(FEDLR), "cczoo"), "sim", "init", path("sim")], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
for key in ("guest.key", "host.key"):
    subprocess.run([FEDLR, "keygen", "--out", path(key), "--bits", "2048"], check=True, stdout=subprocess.DEVNULL)
wdbc = wdbc.data, wdbc.target.astype(float)
logistic("WDBC", wdbc, 10)
logistic("German credit", german, 20)
linear("diabetes", split(diabetes.data, (diabetes.target - diabetes.target.mean()) / diabetes.target.std(), 1), 5)
trees("WDBC", split(*wdbc, 1), 10)
trees("German credit", split(*german, 1), 20)
if failed:
    sys.exit("failed: more than %g %% apart: %s" % (100 * TOLERANCE, failed))
