"""German credit from Weka's ARFF into the folders of two parties. Ordered by value within each attribute's list.

usage: credit.py credit-g.arff OUT
"""
import pathlib
import random
import re
import sys

LEADER = ["checking_status", "duration", "credit_amount", "savings_status"]
FOLLOWER = ["employment", "installment_commitment", "residence_since", "property_magnitude", "age", "existing_credits",
            "num_dependents"]


def read(path):
    names, values, rows = [], {}, []
    for line in path.read_text().splitlines():
        if m := re.match(r"@attribute\s+'?([\w ]+?)'?\s+(\{.*\}|real|integer|numeric)", line, re.I):
            names.append(m[1])
            values[m[1]] = re.findall(r"'[^']*'|[^{},\s]+", m[2]) if m[2].startswith("{") else None
        elif line and line[0] not in "%@":
            rows.append(dict(zip(names, re.findall(r"'[^']*'|[^,]+", line))))
    number = lambda name, v: values[name].index(v) if values[name] else float(v)
    return [{n: number(n, r[n].strip()) for n in names} for r in rows]


def write(path, rows, columns, label):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as f:
        print("id", *(["y"] if label else []), *columns, sep=",", file=f)
        for name, r in rows:
            print(name, *([int(r["class"])] if label else []), *(r[c] for c in columns), sep=",", file=f)


def main():
    rows = [(f"customer-{i:04d}", r) for i, r in enumerate(read(pathlib.Path(sys.argv[1])))]
    out = pathlib.Path(sys.argv[2])
    for what, part in (("train", rows[:800]), ("test", rows[800:])):
        for seed, (party, columns) in enumerate((("leader", LEADER), ("follower-1", FOLLOWER))):
            mine = random.Random(seed).sample(part, int(len(part) * 0.95)) # customers of one only, in an order of its own
            write(out / party / f"{what}.csv", mine, columns, party == "leader")
            print(f"{party}: {len(mine)} {what} customers, {len(columns)} columns")


main()
