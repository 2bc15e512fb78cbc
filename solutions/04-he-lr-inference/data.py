#!/usr/bin/env python3
"""Makes the data and models of this solution: <name>.csv (rows to score, with the true class) and <name>.json (model).

usage: data.py OUT original MODEL.csv EVAL.csv   the workload of the original sample: 80 features, 2,000 rows
       data.py OUT generated                     data of that shape, always the same
       data.py OUT cancer breast_cancer.csv      WDBC: 569 cell samples, 30 features; every fourth row is held out
       data.py OUT credit CreditCard.rda         1,319 applications for a credit card, 9 features; likewise
       data.py OUT large N                       N rows of the generated data, for streaming (rows only)

Models are fitted by iteratively reweighted least squares with a ridge penalty; nothing but Python is needed.
"""
import csv, json, lzma, math, pathlib, random, struct, sys


def solve(a, b):
    """a x = b for a symmetric positive definite a, by Gauss elimination; a and b are used up."""
    n = len(b)
    for i in range(n):
        for j in range(i + 1, n):
            f = a[j][i] / a[i][i]
            if f:
                for k in range(i, n):
                    a[j][k] -= f * a[i][k]
                b[j] -= f * b[i]
    x = [0.0] * n
    for i in reversed(range(n)):
        x[i] = (b[i] - sum(a[i][k] * x[k] for k in range(i + 1, n))) / a[i][i]
    return x


def fit(rows, labels, ridge, steps=10):
    """Weights of standardised features, with their means and scales."""
    n, d = len(rows), len(rows[0])
    mean = [sum(r[j] for r in rows) / n for j in range(d)]
    scale = [math.sqrt(sum((r[j] - mean[j]) ** 2 for r in rows) / n) or 1.0 for j in range(d)]
    x = [[1.0] + [(r[j] - mean[j]) / scale[j] for j in range(d)] for r in rows]
    w = [0.0] * (d + 1)
    for _ in range(steps):
        hess = [[ridge * (i == j and i > 0) for j in range(d + 1)] for i in range(d + 1)]
        grad = [-ridge * w[i] * (i > 0) for i in range(d + 1)]
        for r, y in zip(x, labels):
            p = 1 / (1 + math.exp(-sum(a * b for a, b in zip(w, r))))
            for i in range(d + 1):
                grad[i] += (y - p) * r[i]
                v = p * (1 - p) * r[i]
                row = hess[i]
                for j in range(d + 1):
                    row[j] += v * r[j]
        w = [a + b for a, b in zip(w, solve(hess, grad))]
    t = max(abs(sum(a * b for a, b in zip(w, r))) for r in x)
    return w, mean, scale, t


def write_rows(path, names, rows, labels):
    with open(path, "w", newline="") as f:
        out = csv.writer(f, lineterminator="\n")
        out.writerow(names + ["label"])
        out.writerows([repr(v) for v in r] + [y] for r, y in zip(rows, labels))


def write_model(path, name, bias, radius, features):
    path.write_text(json.dumps({"version": 1, "name": name, "bias": bias, "radius": radius, "features": features}, indent=1))


def train(out, name, names, rows, labels, ridge):
    held = [i % 4 == 3 for i in range(len(rows))]
    learn = [(r, y) for r, y, h in zip(rows, labels, held) if not h]
    w, mean, scale, t = fit([r for r, _ in learn], [y for _, y in learn], ridge)
    features = [{"name": n, "weight": w[j + 1], "mean": mean[j], "scale": scale[j]} for j, n in enumerate(names)]
    # rows to come may lie a little outside of what was seen; the polynomial must hold there too
    write_model(out / f"{name}.json", name, w[0], min(32.0, max(8.0, math.ceil(1.25 * t))), features)
    rest = [(r, y) for r, y, h in zip(rows, labels, held) if h]
    write_rows(out / f"{name}.csv", names, [r for r, _ in rest], [y for _, y in rest])


def original(out, model, data):
    w = [float(v) for v in pathlib.Path(model).read_text().strip().split(",")]
    rows = list(csv.reader(open(data)))
    names = rows[0][:-1]
    write_model(out / "original.json", "original", w[0], 8.0, [{"name": n, "weight": v} for n, v in zip(names, w[1:])])
    write_rows(out / "original.csv", names, [[float(v) for v in r[:-1]] for r in rows[1:]], [int(float(r[-1])) for r in rows[1:]])


def random_rows(count, seed=20221):
    """80 features in [-1, 1] and a class that depends on them, with noise: the shape of the original's data."""
    rnd = random.Random(seed)
    w = [rnd.gauss(0, 0.12) for _ in range(80)]
    for _ in range(count):
        r = [round(rnd.uniform(-1, 1), 6) for _ in range(80)]
        yield w, r, int(sum(a * b for a, b in zip(w, r)) + rnd.gauss(0, 0.1) > 0)


def generated(out):
    made = list(random_rows(2000))
    names = [f"feature_{j}" for j in range(80)]
    features = [{"name": n, "weight": 2 * v} for n, v in zip(names, made[0][0])]  # |t| < 5
    write_model(out / "original.json", "generated", 0.0, 8.0, features)
    write_rows(out / "original.csv", names, [r for _, r, _ in made], [y for _, _, y in made])


def large(out, count):
    with open(out / "large.csv", "w", newline="") as f:
        f.write(",".join(f"feature_{j}" for j in range(80)) + "\n")
        for _, r, _ in random_rows(int(count)):
            f.write(",".join(f"{v:g}" for v in r) + "\n")


def cancer(out, path):
    rows = list(csv.reader(open(path)))[1:]
    parts = ["radius", "texture", "perimeter", "area", "smoothness", "compactness", "concavity", "concave points",
             "symmetry", "fractal dimension"]
    names = [f"{kind} {p}" for kind in ("mean", "error", "worst") for p in parts]
    train(out, "cancer", names, [[float(v) for v in r[:-1]] for r in rows], [int(r[-1]) for r in rows], 10.0)


class Rda:
    """As much of R's serialization (XDR) as a data frame needs."""

    def __init__(self, path):
        data = lzma.open(path).read()
        if data[:7] != b"RDX2\nX\n":
            sys.exit(f"{path}: not an R data file of version 2")
        self.data, self.at, self.refs = data, 7, []
        self.take(">iii")

    def take(self, form):
        v = struct.unpack_from(form, self.data, self.at)
        self.at += struct.calcsize(form)
        return v if len(v) > 1 else v[0]

    def item(self):
        flags = self.take(">I")
        kind, attributes, tag = flags & 255, flags & 0x200, flags & 0x400
        if kind == 254:
            return None
        if kind == 255:
            return self.refs[(flags >> 8) - 1]
        if kind == 1:
            self.refs.append(self.item())
            return self.refs[-1]
        if kind == 2:  # a pair list: tag, value, rest
            if attributes:
                self.item()
            key = self.item() if tag else None
            value = self.item()
            return [(key, value)] + (self.item() or [])
        n = self.take(">i")
        if kind == 9:
            self.at += max(n, 0)
            return self.data[self.at - n:self.at].decode() if n >= 0 else None
        if kind in (10, 13):
            value = [self.take(">i") for _ in range(n)]
        elif kind == 14:
            value = [self.take(">d") for _ in range(n)]
        elif kind in (16, 19):
            value = [self.item() for _ in range(n)]
        else:
            sys.exit(f"R type {kind} is not known here")
        return (value, dict(self.item())) if attributes else value


def credit(out, path):
    [(_, (columns, attributes))] = Rda(path).item()
    table = dict(zip(attributes["names"], columns))
    yes = lambda name: [v - 1 for v in table[name][0]]  # a factor: no, yes
    # expenditure and its share of income are what came after the decision
    names = ["reports", "age", "income", "owner", "selfemp", "dependents", "months", "majorcards", "active"]
    columns = [yes(n) if isinstance(table[n], tuple) else table[n] for n in names]
    rows = [[float(v) for v in r] for r in zip(*columns)]
    train(out, "credit", names, rows, yes("card"), 10.0)


if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[2] not in ("original", "generated", "cancer", "credit", "large"):
        sys.exit(__doc__)
    globals()[sys.argv[2]](pathlib.Path(sys.argv[1]), *sys.argv[3:])
