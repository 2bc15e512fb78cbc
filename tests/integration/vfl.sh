# Sourced by the tests of cczoo-vfl: TensorFlow, networks, tables, and what reports say.
# shellcheck shell=bash
. "$(dirname "${BASH_SOURCE[0]}")/kill9.sh"
TF=$(or_skip "TensorFlow" "$ROOT/scripts/fetch-tensorflow")
NETS=$(or_skip "the split networks" "$ROOT/scripts/export-split")

# vfl_begin NAME COLUMNS LEADERS: 5,000 rows to train and 1,000 to test in $RUN/leader, with the first LEADERS columns and labels, and
# $RUN/follower, with the others.
vfl_begin() {
    run_begin "$1"
    python3 - "$RUN" "$2" "$3" <<'PY'
import os, random, sys
random.seed(7)
run, columns, leaders = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
rows = [[random.gauss(0, 1) for _ in range(columns)] for _ in range(6000)]
for name, own in (("leader", range(leaders)), ("follower", range(leaders, columns))):
    os.mkdir(f"{run}/{name}")
    for what, part in (("train", range(5000)), ("test", range(5000, 6000))):
        with open(f"{run}/{name}/{what}.csv", "w") as f:
            f.write("id," + ("y," if name == "leader" else "") + ",".join(f"c{j}" for j in own) + "\n")
            for i in part:
                y = f"{int(sum(rows[i][::2]) > 1)}," if name == "leader" else ""
                f.write(f"r{i},{y}" + ",".join(f"{rows[i][j]:.6f}" for j in own) + "\n")
PY
    head -c 32 /dev/urandom >"$RUN/noise"
    "$BIN/cczoo" sim init "$RUN/sim" 2>/dev/null
}

# vfl_numbers PREFIX: the last numbers of each epoch in the reports PREFIX-0, PREFIX-1, .., without times and traffic.
vfl_numbers() {
    python3 - "$1" <<'PY'
import glob, json, sys
reports = sorted(glob.glob(sys.argv[1] + "-*"), key=lambda name: int(name.rsplit("-", 1)[1]))
last = {r["epoch"]: r for name in reports for r in map(json.loads, open(name))}
if not last:
    sys.exit(f"error: no numbers in {sys.argv[1]}-*")
for r in last.values():
    for k in ("rows_per_s", "waited_s", "cpu_s", "sent_size", "received_size"): del r[k]
print(json.dumps([last[k] for k in sorted(last)]))
PY
}
