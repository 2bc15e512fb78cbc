#!/usr/bin/env bash
# Columns of several parties as processes over RA-TLS, evidence asked both ways: regressions with lattice ciphertexts and boosted trees,
# what they reach on rows they have not seen, and whom they refuse.
. "$(dirname "$0")/../../scripts/lib.sh"
patients=$(or_skip "the data" "$ROOT/solutions/05-paillier-lr/prepare.sh")
run_begin test-fedlr-columns

"$BIN/cczoo" sim init "$RUN/sim" 2>/dev/null
policy_for() { sed "s/@FEDLR@/$1/" "$ROOT/solutions/05-paillier-lr/policy.json"; }
policy_for "$("$BIN/cczoo" sim measure "$BIN/cczoo-fedlr")" >"$RUN/policy.json"
policy_for "$(printf '%064d' 0)" >"$RUN/other-policy.json"
"$BIN/cczoo-fedlr" keygen --out "$RUN/key" --bits 2048 >/dev/null

python3 - "$patients" "$RUN" <<'PY'
import random, sys
random.seed(5)
patients, run = sys.argv[1:]

def table(name, rows):
    with open(f"{run}/{name}.csv", "w") as f:
        f.writelines(",".join(map(str, r)) + "\n" for r in rows)

def parts(name, rows, cuts):  # columns [.., cuts[0]) with labels to the guest, the others to hosts; the last quarter is for measuring
    names = [f"x{j}" for j in range(len(rows[0][1]))]
    for i, (a, b) in enumerate(zip([0] + cuts, cuts + [len(names)])):
        head = ["id"] + (["y"] if i == 0 else []) + names[a:b]
        lines = [[f"r{n}"] + ([y] if i == 0 else []) + [f"{v:.6f}" for v in x[a:b]] for n, (y, x) in enumerate(rows)]
        end = len(lines) * 3 // 4
        who = "guest" if i == 0 else f"host-{i}"
        table(f"{name}-{who}", [head] + lines[:end])
        table(f"{name}-{who}-test", [head] + lines[end:])

lines = open(patients).read().split()[1:]
names = ["x%d" % j for j in range(30)]
table("patients", [["id", "y"] + names] + [[f"p{n}"] + v[30:] + v[:30] for n, v in enumerate(l.split(",") for l in lines)])
gauss = lambda n: [random.gauss(0, 1) for _ in range(n)]
xs = [gauss(8) for _ in range(400)]
parts("linear", [(f"{x[0] - x[3] / 2 + x[6] / 3 + 0.2 + random.gauss(0, 0.1):.6f}", x) for x in xs], [3])
xs = [gauss(4) for _ in range(240)]  # which of three corners of a plane that guest and host have a side of each is nearest
corners = [(1.5, 0), (-1, 1.5), (-1, -1.5)]
parts("classes", [(min(range(3), key=lambda k: (x[0] - corners[k][0]) ** 2 + (x[2] - corners[k][1]) ** 2), x) for x in xs], [2])
PY
"$BIN/cczoo-fedlr" split --data "$RUN/patients.csv" --out "$RUN/two" --test 25 --seed 1 --hosts 1 --guest-cols 10 >"$RUN/log/split.log"
"$BIN/cczoo-fedlr" split --data "$RUN/patients.csv" --out "$RUN/three" --test 25 --seed 1 --hosts 2 --guest-cols 10 >>"$RUN/log/split.log"

# party NAME ROLE OPTIONS...: as POLICY has it
POLICY=$RUN/policy.json
attested=(--tee sim-sgx --sim-dir "$RUN/sim" --trust-sim "$RUN/sim/trust" --timeout 120)
party() {
    local name=$1 role=$2
    shift 2
    start "$name" "$BIN/cczoo-fedlr" "$role" "${attested[@]}" --policy "$POLICY" --client-policy "$POLICY" "$@"
}
guest() { # OPTIONS...: its address is in ADDRESS
    rm -f "$RUN/port" "$RUN/log/guest.log"
    party guest guest "$@" --listen 127.0.0.1:0 --port-file "$RUN/port"
    wait_file guest "$RUN/port" 20
    ADDRESS=127.0.0.1:$(cat "$RUN/port")
}
# together DATA HOSTS OPTIONS...: a guest and its hosts, all with rows to measure on; DATA is how the names of their files begin
KEY=() # of the guest
together() {
    local data=$1 hosts=$2 h names=(guest)
    shift 2
    guest "$@" "${KEY[@]}" --parties "$hosts" --data "${data}guest.csv" --test "${data}guest-test.csv" --model-out "$RUN/guest.json"
    for ((h = 1; h <= hosts; h++)); do
        rm -f "$RUN/log/host-$h.log"
        party "host-$h" host "$@" --name "host-$h" --parties "$hosts" --guest "$ADDRESS" --data "${data}host-$h.csv" \
            --test "${data}host-$h-test.csv" --model-out "$RUN/host-$h.json"
        names+=("host-$h")
    done
    finish "${names[@]}"
    grep -q SIMULATED "$RUN/log/guest.log" || die "the guest does not say that evidence is simulated"
}
# reaches NAME LEAST: the number behind NAME in what the guest measured
reaches() {
    say "$(grep '^test rows' "$RUN/log/guest.log")"
    awk -v name="$1" -v least="$2" '/^test rows/ { for (i = 1; i < NF; i++) if ($i == name) got = $(i + 1) } END { exit !(got >= least) }' \
        "$RUN/log/guest.log" || die "$1 below $2"
}

step "logistic regression with lattice ciphertexts: WDBC, 10 + 20 columns"
regression=(--mode hetero-rlwe --rounds 12 --batch 142 --eta 0.3 --momentum 0.5 --l2 0.01 --seed 1)
together "$RUN/two/" 1 "${regression[@]}"
reaches AUC 0.98
reaches accuracy 0.94

step "linear regression"
together "$RUN/linear-" 1 --mode hetero-rlwe --loss squared --rounds 60 --eta 0.1
reaches R2 0.98
python3 - "$RUN" <<'PY'
import json, sys
guest, host = (json.load(open(f"{sys.argv[1]}/{n}.json")) for n in ("guest", "host-1"))
want = {"x0": 1, "x1": 0, "x2": 0, "x3": -0.5, "x4": 0, "x5": 0, "x6": 1 / 3, "x7": 0}
got = {**guest["weights"], **host["weights"]}
assert got.keys() == want.keys() and all(abs(got[k] - v) < 0.05 for k, v in want.items()), got
assert abs(guest["intercept"] - 0.2) < 0.05 and host["intercept"] == 0
PY

step "boosted trees, a guest and two hosts: WDBC, 10 + 10 + 10 columns"
KEY=(--key "$RUN/key")
trees=(--mode trees --rounds 3 --depth 3 --bins 16 --seed 1)
together "$RUN/three/" 2 "${trees[@]}"
reaches AUC 0.96
reaches accuracy 0.92
python3 - "$RUN" <<'PY'
import json, sys
guest, *hosts = (json.load(open(f"{sys.argv[1]}/{n}.json")) for n in ("guest", "host-1", "host-2"))
nodes = [n for t in guest["trees"] for n in t]
assert len(guest["trees"]) == 3 and guest["columns"] == 10
for i, host in enumerate(hosts, 1):  # a cut is at its owner only, and each of them is used
    used = sorted(n["split"] for n in nodes if n.get("host") == i)
    assert host["columns"] == 10 and used == list(range(len(host["splits"]))), (i, used, host)
    assert not any("cut" in n for n in nodes if n.get("host") == i)
assert any(h["splits"] for h in hosts)
PY

step "boosted trees of three classes"
together "$RUN/classes-" 1 --mode trees --loss softmax --classes 3 --rounds 3 --depth 3 --bins 16
reaches accuracy 0.8

# refuses PATTERN SIDE DATA HOST-FILE OPTIONS...: nobody finishes, and SIDE (guest or host) says why
HOST_OPTIONS=()
HOST_POLICY=$RUN/policy.json
GUEST_TEST=()
refuses() {
    local pattern=$1 side=$2 data=$3 file=$4
    shift 4
    guest "$@" "${KEY[@]}" --data "${data}guest.csv" "${GUEST_TEST[@]}"
    rm -f "$RUN/log/host.log"
    start host "$BIN/cczoo-fedlr" host "${attested[@]}" --policy "$HOST_POLICY" --client-policy "$POLICY" "$@" "${HOST_OPTIONS[@]}" \
        --guest "$ADDRESS" --data "$file"
    gone host
    if [ "$side" = guest ]; then gone guest; else stop guest; fi
    grep -qE "^refused: $pattern" "$RUN/log/$side.log" || { tail -n 3 "$RUN"/log/{guest,host}.log >&2; die "not refused: $pattern"; }
    if grep -q '^done' "$RUN/log/guest.log" "$RUN/log/host.log"; then die "done in spite of $pattern"; fi
    say "$(grep -E "^refused: $pattern" "$RUN/log/$side.log" | cut -c 1-150)"
}
turned() { head -n 1 "$1"; tail -n +2 "$1" | tac; } # the same rows in another order
for mode in fedlr sboost; do
    options=("${regression[@]}") KEY=()
    [ $mode = fedlr ] || { options=("${trees[@]}"); KEY=(--key "$RUN/key"); }
    step "refusals of $mode"
    HOST_POLICY=$RUN/other-policy.json
    refuses policy:mrenclave host "$RUN/two/" "$RUN/two/host-1.csv" "${options[@]}"
    HOST_POLICY=$RUN/policy.json POLICY=$RUN/other-policy.json
    refuses peer:policy:mrenclave host "$RUN/two/" "$RUN/two/host-1.csv" "${options[@]}"
    POLICY=$RUN/policy.json
    turned "$RUN/two/host-1.csv" >"$RUN/turned.csv"
    refuses "$mode:alignment" guest "$RUN/two/" "$RUN/turned.csv" "${options[@]}"
    HOST_OPTIONS=(--rounds 2)
    refuses "$mode:config-digest" guest "$RUN/two/" "$RUN/two/host-1.csv" "${options[@]}"
    HOST_OPTIONS=()
done
status=0
"$BIN/cczoo-fedlr" guest "${trees[@]}" --key "$RUN/key" --data "$RUN/two/guest.csv" --listen 127.0.0.1:0 --state "$RUN/state" \
    --unattested-insecure >"$RUN/log/state.log" 2>&1 || status=$?
if [ "$status" != 2 ] || ! grep -q -- '--seal is required' "$RUN/log/state.log"; then
    cat "$RUN/log/state.log" >&2
    die "--state without --seal: status $status"
fi
say "ok: four trainings, nine refusals"
