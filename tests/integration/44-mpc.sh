#!/usr/bin/env bash
# cczoo-mpc: two parties as processes over RA-TLS. What is refused and why, at both sides; programs, splits and sources against the
# computation in one place; a party that is killed; a dealer that verifies and is verified.
. "$(dirname "$0")/../../scripts/lib.sh"
run_begin test-mpc
MPC=$BIN/cczoo-mpc
"$BIN/cczoo" sim init "$RUN/sim" 2>/dev/null
policy_for() { sed "s/@MPC@/$1/" "$ROOT/solutions/08-mpc-lr/policy.json"; }
policy_for "$("$BIN/cczoo" sim measure "$MPC")" >"$RUN/policy.json"
policy_for "$(printf '%064d' 0)" >"$RUN/other.json"
TEE=(--tee sim-sgx --sim-dir "$RUN/sim" --trust-sim "$RUN/sim/trust")
MUTUAL=("${TEE[@]}" --policy "$RUN/policy.json")

# a, b: columns of 240 common rows and some others, orders of their own; a has y (0, 1) and z (any number). ra, rb: rows of both
python3 - "$RUN" <<'PY'
import random, sys
random.seed(8)
rows = {f"r{n:03d}": [random.gauss(0, 1) for _ in range(6)] for n in range(260)}
def table(name, ids, columns, label):
    with open(f"{sys.argv[1]}/{name}.csv", "w") as f:
        f.write(",".join(["id"] + (["y"] if label else []) + [f"x{j}" for j in columns]) + "\n")
        for i in ids:
            x = rows[i]
            t = x[0] - 2 * x[1] + x[3] + 0.5 * x[5]
            y = [] if not label else [int(t > 0)] if label == "y" else [f"{0.3 * t:.6f}"]
            f.write(",".join(map(str, [i] + y + [f"{x[j]:.6f}" for j in columns])) + "\n")
names = sorted(rows)
a, b = names[:250], names[10:]
random.shuffle(a)
random.shuffle(b)
for part, keep in (("train", lambda i: int(i[1:]) % 4), ("test", lambda i: int(i[1:]) % 4 == 0)):
    table(f"a-{part}", [i for i in a if keep(i)], range(3), "y")
    table(f"a-real-{part}", [i for i in a if keep(i)], range(3), "z")
    table(f"b-{part}", [i for i in b if keep(i)], range(3, 6), None)
    table(f"ra-{part}", [i for i in a if keep(i)][:80], range(6), "y")
    table(f"rb-{part}", [i for i in b if keep(i)][:70], range(6), "y")
PY

# usage_says PATTERN ARGUMENT...: refused as a mistake in using it
usage_says() {
    local pattern=$1 status=0
    shift
    timeout 30 "$MPC" "$@" >"$RUN/out" 2>"$RUN/err" </dev/null || status=$?
    [ $status = 2 ] && grep -qe "$pattern" "$RUN/err" || die "cczoo-mpc $*: status $status: $(cat "$RUN/err")"
}
# pair STATUS_A STATUS_B (patterns) COMMAND OPTION...: both parties with A=(..) and B=(..) besides; logs a and b
A=() B=()
pair() {
    local want_a=$1 want_b=$2 a=0 b=0
    shift 2
    rm -f "$RUN/port"
    "$MPC" "$@" "${A[@]}" --listen 127.0.0.1:0 --port-file "$RUN/port" >"$RUN/log/a" 2>&1 </dev/null &
    for ((i = 0; i < 400; i++)); do [ -s "$RUN/port" ] && break; sleep 0.05; done
    "$MPC" "$@" "${B[@]}" --connect "127.0.0.1:$(cat "$RUN/port")" >"$RUN/log/b" 2>&1 </dev/null || b=$?
    wait "$!" || a=$?
    # shellcheck disable=SC2053
    [[ $a == $want_a && $b == $want_b ]] || { cat "$RUN/log/a" "$RUN/log/b" >&2; die "status $a and $b, expected $want_a and $want_b: $*"; }
}
says() { grep -qE "$2" "$RUN/log/$1" || { cat "$RUN/log/$1" >&2; die "$1 did not say: $2"; }; }

step "usage"
usage_says 'usage: cczoo-mpc COMMAND'
usage_says 'usage: cczoo-mpc COMMAND' dance
usage_says 'one of --listen and --connect' party --data x "${MUTUAL[@]}"
usage_says '--policy is required' party --listen 127.0.0.1:0 --data x "${TEE[@]}"
usage_says 'exclude each other' party --listen 127.0.0.1:0 --data x "${MUTUAL[@]}" --unattested-insecure
usage_says '--dealer is required' table --listen 127.0.0.1:0 --rows 64 --optimize dealer --unattested-insecure
usage_says 'simulate: of --program lr and linear' simulate --program kmeans --data x --data-2 y
usage_says 'simulate: of --program lr and linear' simulate --split rows --data x --data-2 y
usage_says '--rtt must be' plan --rows 64 --rtt 0
usage_says '--data is required' party --listen 127.0.0.1:0 "${MUTUAL[@]}"
usage_says '--optimize must be one of' party --listen 127.0.0.1:0 --data x "${MUTUAL[@]}" --optimize magic
usage_says '--sigmoid must be one of' party --listen 127.0.0.1:0 --data x "${MUTUAL[@]}" --sigmoid round
usage_says '--rate must be a number' party --listen 127.0.0.1:0 --data x "${MUTUAL[@]}" --rate fast
usage_says '--epochs must be' party --listen 127.0.0.1:0 --data x "${MUTUAL[@]}" --epochs 0
usage_says '--dealer is required' party --listen 127.0.0.1:0 --data x "${MUTUAL[@]}" --optimize dealer
usage_says '--dealer is for' party --listen 127.0.0.1:0 --data x "${MUTUAL[@]}" --dealer 127.0.0.1:1
usage_says '--dealer-policy is required' party --listen 127.0.0.1:0 --data x "${MUTUAL[@]}" --optimize dealer --dealer 127.0.0.1:1
usage_says '--store-key are given together' party --listen 127.0.0.1:0 --data x "${MUTUAL[@]}" --store y
usage_says '--store and --store-key are required' offline --listen 127.0.0.1:0 --data x "${MUTUAL[@]}"
usage_says 'scores --data with --model' party --listen 127.0.0.1:0 --data x "${MUTUAL[@]}" --program score
usage_says '--split rows needs --raw' party --listen 127.0.0.1:0 --data x "${MUTUAL[@]}" --split rows
usage_says '--optimize all is for' party --listen 127.0.0.1:0 --data x "${MUTUAL[@]}" --optimize all
usage_says '--columns must be' plan --rows 100 --columns 3
usage_says '--rows or --score-rows' plan
usage_says '--data is not for plan' plan --rows 10 --data x
usage_says '--csv is not for party' party --listen 127.0.0.1:0 --data x "${MUTUAL[@]}" --csv y
usage_says '--model is not for party' party --listen 127.0.0.1:0 --data x "${MUTUAL[@]}" --model y
usage_says '--listen and --tee are required' dealer --listen 127.0.0.1:0 --policy "$RUN/policy.json"

step "each verifies the other's program"
A=(--data "$RUN/a-train.csv" --label y --test "$RUN/a-test.csv" --model-out "$RUN/a.model" --scores-out "$RUN/a.scores" --json "$RUN/a.json")
B=(--data "$RUN/b-train.csv" --test "$RUN/b-test.csv" --model-out "$RUN/b.model" --json "$RUN/b.json")
PROGRAM=(--epochs 2 --batch 32 --rate 0.5)
pair 0 0 party "${PROGRAM[@]}" "${MUTUAL[@]}"
says a 'SIMULATED'
says b 'SIMULATED'
says a 'train: 180 of 18[0-9] rows are common'
B+=("${TEE[@]}") A+=("${MUTUAL[@]}")
rm -f "$RUN/port"
start wary "$MPC" party "${A[@]}" "${PROGRAM[@]}" --listen 127.0.0.1:0 --port-file "$RUN/port"
wait_file wary "$RUN/port" 20
expect_refusal 'policy:mrenclave: ' "$MPC" party "${B[@]}" "${PROGRAM[@]}" --policy "$RUN/other.json" --connect "127.0.0.1:$(cat "$RUN/port")"
# without evidence of its own, at one that asks for it
expect_refusal 'peer:ratls:no-evidence: ' "$MPC" party --data "$RUN/b-train.csv" "${PROGRAM[@]}" --trust-sim "$RUN/sim/trust" \
    --policy "$RUN/policy.json" --connect "127.0.0.1:$(cat "$RUN/port")"
stop wary

step "the result is that of the computation in one place, whatever the source of randomness"
A=(--data "$RUN/a-train.csv" --label y --test "$RUN/a-test.csv" --model-out "$RUN/a.model" --scores-out "$RUN/a.scores" --json "$RUN/a.json")
B=(--data "$RUN/b-train.csv" --test "$RUN/b-test.csv" --model-out "$RUN/b.model")
OPEN=(--unattested-insecure)
# equal KIND OPTION...: as `simulate` says
equal() {
    local kind=$1
    shift
    "$MPC" simulate --data "$RUN/a$kind-train.csv" --data-2 "$RUN/b-train.csv" --test "$RUN/a$kind-test.csv" --test-2 "$RUN/b-test.csv" --label y \
        --compare "$RUN/a.model" --compare-2 "$RUN/b.model" --scores-out "$RUN/simulated" "$@" >"$RUN/out" || die "not equal: $*"
    grep -q 'party A: 4 of 4' "$RUN/out" && grep -q 'party B: 3 of 3' "$RUN/out" || die "not equal: $(cat "$RUN/out")"
    cut -d, -f1,3 "$RUN/a.scores" | cmp -s - "$RUN/simulated" || die "scores differ: $*"
}
for setting in rounds ot he-each he-packed silent; do
    pair 0 0 party "${PROGRAM[@]}" "${OPEN[@]}" --optimize $setting
    equal '' "${PROGRAM[@]}"
done
says a 'INSECURE'
pair 0 0 party "${PROGRAM[@]}" "${OPEN[@]}" --sigmoid spline --l2 0.01 --seed 7
equal '' "${PROGRAM[@]}" --sigmoid spline --l2 0.01 --seed 7
! "$MPC" simulate --data "$RUN/a-train.csv" --data-2 "$RUN/b-train.csv" --label y "${PROGRAM[@]}" --compare "$RUN/a.model" >"$RUN/out" 2>&1 ||
    die "another computation counts as equal"
grep -q 'refused: mpc:simulation' "$RUN/out" || die "no reason: $(cat "$RUN/out")"
A=(--data "$RUN/a-real-train.csv" --label y --test "$RUN/a-real-test.csv" --model-out "$RUN/a.model" --scores-out "$RUN/a.scores" --json "$RUN/a.json")
pair 0 0 party "${PROGRAM[@]}" "${OPEN[@]}" --program linear --rate 0.2 --epochs 20
says a 'test rows  RMSE .* R2 (0.99|1.0)'
equal -real --batch 32 --program linear --rate 0.2 --epochs 20
python3 - "$RUN/a.json" <<'PY'
import json, sys
r = json.load(open(sys.argv[1]))
assert r["party"] == "A" and r["program"] == "linear" and r["setting"] == "rounds", r
assert sum(x["values"] for x in r["reveals"] if x["to"] == "B") == 3, r["reveals"]
assert all(r["phases"][p]["rounds"] > 0 for p in ("setup", "offline", "online")), r["phases"]
PY

step "rows of both; weights to one party, to both, to nobody"
A=(--data "$RUN/ra-train.csv" --label y --test "$RUN/ra-test.csv") B=(--data "$RUN/rb-train.csv" --label y --test "$RUN/rb-test.csv")
pair 0 0 party "${PROGRAM[@]}" "${OPEN[@]}" --split rows --raw --weights b
says a 'revealed to B: weights, 7 values'
A=(--data "$RUN/a-train.csv" --label y) B=(--data "$RUN/b-train.csv")
pair 0 0 party "${PROGRAM[@]}" "${OPEN[@]}" --weights both
says b 'revealed to A and B: weights, 7 values'
A=(--data "$RUN/a-train.csv" --label y --model-out "$RUN/a.shares") B=(--data "$RUN/b-train.csv" --model-out "$RUN/b.shares")
pair 0 0 party "${PROGRAM[@]}" "${OPEN[@]}" --weights shared
says a '^revealed: 0 times'
# shares say how large weights can be after that training; scoring believes nothing else
python3 - "$RUN" <<'PY'
import json, math, sys
a, b = (json.load(open(f"{sys.argv[1]}/{p}.shares")) for p in "ab")
steps = 2 * math.ceil(180 / 32)
least = steps * 0.5 / 32 * 32 * 16 / a["gain"][0]  # each step by rate / gain times the largest feature
assert a["bound"] == b["bound"] and least <= a["bound"][0] < 1.05 * least, (least, a["bound"])
PY
sed 's/"bound":\[[^]]*\]/"bound":[1]/' "$RUN/b.shares" >"$RUN/b.bound"
A=(--data "$RUN/a-test.csv" --label y --model "$RUN/a.shares") B=(--data "$RUN/b-test.csv" --model "$RUN/b.bound")
pair '[13]' '[13]' party "${OPEN[@]}" --program score --weights shared
grep -q 'mpc:hello-program' "$RUN/log/a" "$RUN/log/b" || die "two bounds: $(cat "$RUN/log/a")"
sed 's/"bound":/"round":/' "$RUN/b.shares" >"$RUN/b.bound"
"$MPC" party --data "$RUN/b-test.csv" --model "$RUN/b.bound" "${OPEN[@]}" --program score --weights shared --connect 127.0.0.1:1 >"$RUN/out" 2>&1 || true
grep -q '^error: mpc:model: .*bound' "$RUN/out" || die "shares without a bound: $(cat "$RUN/out")"
A=(--data "$RUN/a-test.csv" --label y --model "$RUN/a.shares") B=(--data "$RUN/b-test.csv" --model "$RUN/b.shares")
pair 0 0 party "${OPEN[@]}" --program score --weights shared
says a 'test rows  accuracy 0.9'
pair 0 0 party "${OPEN[@]}" --program score --weights shared --score class --score-to both
says b 'revealed to A and B: scores'
pair 1 1 party "${OPEN[@]}" --program score
says a 'refused: mpc:model-weights: '
B=(--data "$RUN/b-test.csv" --model "$RUN/a.shares")
status=0
"$MPC" party "${B[@]}" "${OPEN[@]}" --program score --connect 127.0.0.1:1 >"$RUN/out" 2>&1 || status=$?
[ $status = 1 ] && grep -q 'refused: mpc:model-columns: ' "$RUN/out" || die "a model of other columns: $(cat "$RUN/out")"
# nothing of a --weights both is lost: each file scores as those of --weights own do
for weights in both own; do
    A=(--data "$RUN/a-train.csv" --label y --model-out "$RUN/a.$weights") B=(--data "$RUN/b-train.csv" --model-out "$RUN/b.$weights")
    pair 0 0 party "${PROGRAM[@]}" "${OPEN[@]}" --weights $weights
    A=(--data "$RUN/a-test.csv" --label y --model "$RUN/a.$weights" --scores-out "$RUN/$weights.scores") B=(--data "$RUN/b-test.csv" --model "$RUN/b.$weights")
    pair 0 0 party "${OPEN[@]}" --program score
done
cmp -s "$RUN/both.scores" "$RUN/own.scores" || die "models with all weights score otherwise"
for damage in 's/"first":0/"first":1/' 's/"first":0/"first":-1/' 's/"first":0/"first":4/' 's/"words":\["[-0-9]*",/"words":[/'; do
    sed "$damage" "$RUN/a.both" >"$RUN/bad.model"
    "$MPC" party --data "$RUN/a-test.csv" --label y --model "$RUN/bad.model" "${OPEN[@]}" --program score --connect 127.0.0.1:1 >"$RUN/out" 2>&1 || true
    case $damage in *:1/) want='net:connect' ;; *) want='mpc:model: ' ;; esac
    grep -q "$want" "$RUN/out" || die "$damage: $(cat "$RUN/out")"
done
echo '{"version":1,"columns":["x3","x4","x5"],"labels":false,"intercept":false,"weights":[1,2],"words":["1","2"]}' >"$RUN/bad.model"
"$MPC" party --data "$RUN/b-test.csv" --model "$RUN/bad.model" "${OPEN[@]}" --program score --connect 127.0.0.1:1 >"$RUN/out" 2>&1 || true
grep -q 'mpc:model: ' "$RUN/out" || die "a model with too few weights: $(cat "$RUN/out")"

size=$(wc -c <"$RUN/b.shares")
for ((cut = 0; cut < size - 2; cut += 23)); do # a damaged model: refused before anything is connected
    head -c "$cut" "$RUN/b.shares" >"$RUN/cut"
    status=0
    "$MPC" party --data "$RUN/b-test.csv" --model "$RUN/cut" "${OPEN[@]}" --program score --connect 127.0.0.1:1 >"$RUN/out" 2>&1 || status=$?
    [ $status = 1 ] && grep -qE 'error: (json:|mpc:model)' "$RUN/out" || die "$cut bytes of a model, status $status: $(cat "$RUN/out")"
done

step "clusters, and a network whose owner learns nothing of what it is asked"
A=(--data "$RUN/a-plain.csv" --model-out "$RUN/a.centres") B=(--data "$RUN/b-train.csv" --model-out "$RUN/b.centres")
cut -d, -f1,3- "$RUN/a-train.csv" >"$RUN/a-plain.csv"
pair 0 0 party "${OPEN[@]}" --program kmeans --clusters 3 --iterations 4
says a 'revealed to B: centres, 9 values'
python3 - "$RUN" <<'PY'
import json, random, struct, sys
run = sys.argv[1]
for side, names in ("a", ["x0", "x1", "x2"]), ("b", ["x3", "x4", "x5"]):
    got = json.load(open(f"{run}/{side}.centres"))
    assert got["columns"] == names and [len(c) for c in got["centres"]] == [3, 3, 3], got
# a network with weights, the same without, and the class of 40 rows as this computes it
random.seed(3)
sizes = [6, 8, 3]
w = [[[random.uniform(-1, 1) for _ in range(sizes[i + 1])] for _ in range(sizes[i])] for i in range(2)]
for weights in (0, 1):
    out = b"cczoo-nn" + struct.pack("<5I2f2I", 1, weights, 1, 1, 6, -1, 1, 1, 3)
    for kind, width in (1, 8), (5, 0), (1, 3):
        out += struct.pack("<6I", kind, width, 0, 0, 0, 0)
    for m in w if weights else []:
        out += b"".join(struct.pack(f"<{len(row)}f", *row) for row in m) + bytes(4 * len(m[0]))
    open(f"{run}/net{'' if weights else '.public'}", "wb").write(out)
with open(f"{run}/ask.csv", "w") as f:
    f.write("id,y,x0,x1,x2,x3,x4,x5\n")
    done = 0
    while done < 40:
        x = [random.uniform(-1, 1) for _ in range(6)]
        h = [max(0, sum(a * m[j] for a, m in zip(x, w[0]))) for j in range(8)]
        z = [sum(a * m[j] for a, m in zip(h, w[1])) for j in range(3)]
        if sorted(z)[2] - sorted(z)[1] > 0.1:  # fixed point does not decide
            f.write(f"i{done},{z.index(max(z))}," + ",".join(f"{v:.6f}" for v in x) + "\n")
            done += 1
PY
A=(--network "$RUN/net") B=(--network "$RUN/net.public" --data "$RUN/ask.csv" --label y)
pair 0 0 party "${OPEN[@]}" --program mlp
says b 'accuracy 1.0000 .40 of 40.'
says a '^revealed to B: class, 40 values'
pair 0 0 party "${OPEN[@]}" --program mlp --score linear --ring 64
says b 'accuracy 1.0000 .40 of 40.'
says a '^revealed to B: logits, 120 values'
usage_says '--network is required' party --listen 127.0.0.1:0 --data x "${MUTUAL[@]}" --program mlp
for file in net net.public; do # weights that a client should not have; none, where they are needed
    status=0
    [ $file = net ] && C=(--data "$RUN/ask.csv") || C=()
    "$MPC" party "${OPEN[@]}" --program mlp --network "$RUN/$file" "${C[@]}" --connect 127.0.0.1:1 >"$RUN/out" 2>&1 || status=$?
    [ $status != 0 ] && grep -q 'mpc:network: ' "$RUN/out" || die "a network where it should not be: $(cat "$RUN/out")"
done
head -c 60 "$RUN/net" >"$RUN/cut"
"$MPC" party "${OPEN[@]}" --program mlp --network "$RUN/cut" --connect 127.0.0.1:1 >"$RUN/out" 2>&1 || true
grep -q 'mpcml:net-' "$RUN/out" || die "half a network: $(cat "$RUN/out")"

step "each option on which they differ is named, at both"
A=(--data "$RUN/a-train.csv" --label y) B=(--data "$RUN/b-train.csv")
differ() { # NAME OPTION...
    local name=$1
    shift
    B=(--data "$RUN/b-train.csv" "$@")
    pair 1 1 party "${OPEN[@]}"
    says a "refused: mpc:terms-$name: "
    says b "refused: mpc:terms-$name: "
    says a '^no result was revealed$'
}
differ program --program linear
differ epochs --epochs 6
differ batch --batch 32
differ rate --rate 0.2
differ l2 --l2 0.1
differ range --range 8
differ sigmoid --sigmoid spline
differ seed --seed 2
differ intercept --no-intercept
differ weights --weights both
differ score --score class
differ score-to --score-to both
differ test --test "$RUN/b-test.csv"
differ aligned --aligned
differ minimum --minimum 3
differ clusters --clusters 3
differ iterations --iterations 3
differ optimize --optimize ot
differ trunc --trunc one-bit
differ bandwidth --bandwidth 10
differ rtt --rtt 10
differ split --split rows --raw --data "$RUN/a-train.csv" --label y
differ clip --clip 2
B=(--data "$RUN/a-train.csv" --label y)
pair 1 1 party "${OPEN[@]}"
says a 'refused: mpc:labels: 2 / 1'
A=(--data "$RUN/a-train.csv")
B=(--data "$RUN/b-train.csv")
pair 1 1 party "${OPEN[@]}"
says a 'refused: mpc:labels: 0 / 1'
A=(--data "$RUN/a-train.csv" --label y)
pair 1 1 party "${OPEN[@]}" --minimum 1000
says a 'psi:minimum'
says a '^no result was revealed; the other party may know which rows are common, and how many there are$'
pair 1 1 party "${OPEN[@]}" --aligned
says a 'refused: mpc:alignment: '
says a '^no result was revealed; the other party can check guesses of the whole list of row names$'
# nothing is common: the other one knows that now
sed 's/^r/q/' "$RUN/b-train.csv" >"$RUN/b-none.csv"
B=(--data "$RUN/b-none.csv")
pair '[13]' '[13]' party "${OPEN[@]}"
grep -q 'mpc:no-rows' "$RUN/log/a" "$RUN/log/b" || die "rows of nobody: $(cat "$RUN/log/a")"
says a '^no result was revealed; the other party may know which rows are common'

step "a minimum: by a protocol that counts first unless the other program is verified, and also without a search"
A=(--data "$RUN/a-train.csv" --label y) B=(--data "$RUN/b-train.csv")
pair 0 0 party "${PROGRAM[@]}" "${MUTUAL[@]}" --minimum 180
verified=$(sed -n 's/.*intersection, .* s, \(.*\) kB/\1/p' "$RUN/log/a")
pair 0 0 party "${PROGRAM[@]}" "${OPEN[@]}" --minimum 180
counted=$(sed -n 's/.*intersection, .* s, \(.*\) kB/\1/p' "$RUN/log/a")
[ "${counted%.*}" -lt 100 ] && [ "${verified%.*}" -gt 100 ] || die "$counted kB without evidence and $verified kB with it: the same protocol"
pair 1 1 party "${PROGRAM[@]}" "${MUTUAL[@]}" --minimum 181
says a 'psi:minimum'
cut -d, -f1,3- "$RUN/a-train.csv" >"$RUN/b-same.csv"
B=(--data "$RUN/b-same.csv")
pair 0 0 party "${PROGRAM[@]}" "${OPEN[@]}" --aligned --minimum 187
pair 1 1 party "${PROGRAM[@]}" "${OPEN[@]}" --aligned --minimum 188
says a 'refused: mpc:minimum: 187 / 188'
says a '^no result was revealed$'
A=(--data "$RUN/ra-train.csv" --label y) B=(--data "$RUN/rb-train.csv" --label y)
pair 0 0 party "${PROGRAM[@]}" "${OPEN[@]}" --split rows --raw --minimum 70
pair 1 1 party "${PROGRAM[@]}" "${OPEN[@]}" --split rows --raw --minimum 71
says a 'refused: mpc:minimum: 70 / 71'
says b 'refused: mpc:minimum: 70 / 71'
usage_says '--aligned is not for' party --listen 127.0.0.1:0 --data x "${MUTUAL[@]}" --split rows --raw --aligned

start listens "$MPC" party --data "$RUN/a-train.csv" --label y --aligned "${OPEN[@]}" --listen 127.0.0.1:0 --port-file "$RUN/listens.port"
wait_file listens "$RUN/listens.port" 20
"$BIN/cczoo-mpc-attack" garbage --connect "127.0.0.1:$(cat "$RUN/listens.port")" >"$RUN/out" 2>&1 || true
LIMIT=30 gone listens
grep -q '^refused: mpc:terms: ' "$RUN/log/listens.log" || die "garbage is taken for options: $(cat "$RUN/log/listens.log")"
start echoed "$MPC" party --data "$RUN/a-train.csv" --label y --aligned "${OPEN[@]}" --listen 127.0.0.1:0 --port-file "$RUN/echoed.port"
wait_file echoed "$RUN/echoed.port" 20
"$BIN/cczoo-mpc-attack" die --connect "127.0.0.1:$(cat "$RUN/echoed.port")" >"$RUN/out" 2>&1 || true # knows no name of a row
LIMIT=30 gone echoed
grep -q '^refused: mpc:alignment: ' "$RUN/log/echoed.log" || die "A takes its own digest for one of the other party: $(cat "$RUN/log/echoed.log")"

step "mistakes that are known beforehand are; what can be written is, whatever else cannot"
party_a() { usage_says "$1" party --listen 127.0.0.1:0 --data "$RUN/a-train.csv" "${OPEN[@]}" "${@:2}"; }
party_b() { usage_says "$1" party --connect 127.0.0.1:1 --data "$RUN/b-train.csv" "${OPEN[@]}" "${@:2}"; }
party_a '--model-out: --weights b gives' --label y --weights b --model-out "$RUN/x"
party_b '--model-out: --weights a gives' --weights a --model-out "$RUN/x"
party_b '--model-out: --weights a gives' --program kmeans --weights a --model-out "$RUN/x"
party_a '--scores-out: this party scores' --label y --scores-out "$RUN/x"
party_b '--scores-out: --score-to labels gives' --test "$RUN/b-test.csv" --scores-out "$RUN/x"
party_b '--scores-out: --score-to a gives' --test "$RUN/b-test.csv" --score-to a --scores-out "$RUN/x"
B=(--data "$RUN/b-test.csv" --model "$RUN/b.own")
"$MPC" party "${B[@]}" --scores-out "$RUN/x" "${OPEN[@]}" --program score --connect 127.0.0.1:1 >"$RUN/out" 2>&1 || true
grep -q '^error: mpc:scores-out: ' "$RUN/out" || die "scores of nobody: $(cat "$RUN/out")"
mkdir "$RUN/folder"
for out in "$RUN/none/x" "$RUN/folder"; do
    for option in --model-out --scores-out --json; do
        "$MPC" party --data "$RUN/a-train.csv" --test "$RUN/a-test.csv" --label y $option "$out" "${OPEN[@]}" --connect 127.0.0.1:1 >"$RUN/out" 2>&1 || true
        grep -q '^error: mpc:output: ' "$RUN/out" || die "$option $out: $(cat "$RUN/out")"
    done
done
rm -f "$RUN/port" "$RUN"/late.*
mkdir "$RUN/late"
start late "$MPC" party --data "$RUN/a-train.csv" --label y --test "$RUN/a-test.csv" "${OPEN[@]}" --epochs 1 --listen 127.0.0.1:0 --port-file "$RUN/port" \
    --model-out "$RUN/late/model" --scores-out "$RUN/late.scores" --json "$RUN/late.json"
wait_file late "$RUN/port" 20
rmdir "$RUN/late"
"$MPC" party --data "$RUN/b-train.csv" --test "$RUN/b-test.csv" "${OPEN[@]}" --epochs 1 --connect "127.0.0.1:$(cat "$RUN/port")" >"$RUN/out" 2>&1 || true
LIMIT=30 gone late
[ -s "$RUN/late.scores" ] && [ -s "$RUN/late.json" ] && grep -q '^error: file:' "$RUN/log/late.log" || die "an output was lost: $(cat "$RUN/log/late.log")"

step "what one party has to say of its own values does not reach the other one"
sed '/^r013,/s/[^,]*$/-73.96875/' "$RUN/b-train.csv" >"$RUN/b-large.csv"
A=(--data "$RUN/a-train.csv" --label y) B=(--data "$RUN/b-large.csv")
pair 3 2 party "${OPEN[@]}" --raw
says b 'mpcml:range: row [0-9]+, column [0-9]+: expected at most 16' # where it is, not what: logs may be read by others
says a '^error: chan:closed: mpcml:range$'
! grep -qF '73.9' "$RUN/log/a" || die "A learned a value of B: $(cat "$RUN/log/a")"

step "a party is killed in the middle: the other one says so, and writes nothing"
rm -f "$RUN/port" "$RUN"/*.model
long=(--epochs 400 --batch 8 "${OPEN[@]}")
start lives "$MPC" party --data "$RUN/a-train.csv" --label y "${long[@]}" --model-out "$RUN/a.model" --listen 127.0.0.1:0 --port-file "$RUN/port"
wait_file lives "$RUN/port" 20
start dies "$MPC" party --data "$RUN/b-train.csv" "${long[@]}" --connect "127.0.0.1:$(cat "$RUN/port")"
for ((i = 0; i < 1200; i++)); do grep -q '^plan' "$RUN/log/dies.log" && break; sleep 0.05; done
grep -q '^plan' "$RUN/log/dies.log" || die "it did not begin: $(cat "$RUN/log/dies.log")"
sleep 0.3
kill -KILL "${PIDS[dies]}"
unset 'PIDS[dies]'
LIMIT=60 gone lives
grep -q '^error: chan:closed: ' "$RUN/log/lives.log" && grep -q '^no result was revealed' "$RUN/log/lives.log" || die "$(cat "$RUN/log/lives.log")"
[ ! -e "$RUN/a.model" ] || die "it wrote a model"

step "a dealer: verifies parties, is verified, serves one session after another"
dealer() { # NAME OPTION...
    local name=$1
    shift
    rm -f "$RUN/$name.port"
    start "$name" "$MPC" dealer --listen 127.0.0.1:0 --port-file "$RUN/$name.port" "$@"
    wait_file "$name" "$RUN/$name.port" 20
    DEALER=(--optimize dealer --dealer "127.0.0.1:$(cat "$RUN/$name.port")")
}
dealer dealer "${MUTUAL[@]}" --sessions 2
A=(--data "$RUN/a-train.csv" --label y) B=(--data "$RUN/b-train.csv")
for n in 1 2; do pair 0 0 party "${PROGRAM[@]}" "${MUTUAL[@]}" "${DEALER[@]}" --dealer-policy "$RUN/policy.json"; done
finish dealer
[ "$(grep -c '^session dealt' "$RUN/log/dealer.log")" = 2 ] || die "not two sessions: $(cat "$RUN/log/dealer.log")"
dealer forgetful "${TEE[@]}" --unattested-insecure --sessions 2
status=0
"$BIN/cczoo-mpc-attack" replay --connect "${DEALER[3]}" >"$RUN/out" 2>&1 || status=$?
[ $status != 0 ] || die "a dealer deals to a session twice"
LIMIT=30 gone forgetful
[ "$(grep -c '^session dealt' "$RUN/log/forgetful.log")" = 1 ] && grep -q 'mpc:dealer-session: ' "$RUN/log/forgetful.log" ||
    die "not one session, one refusal: $(cat "$RUN/log/forgetful.log" "$RUN/out")"
dealer strict "${MUTUAL[@]}"
A+=(--dealer-policy "$RUN/policy.json" --trust-sim "$RUN/sim/trust") B+=(--dealer-policy "$RUN/policy.json" --trust-sim "$RUN/sim/trust")
pair '[13]' '[13]' party "${PROGRAM[@]}" "${OPEN[@]}" "${DEALER[@]}" # parties that give no evidence; who hears it first tells the other
grep -q 'refused: peer:ratls:no-evidence: ' "$RUN/log/a" "$RUN/log/b" || die "no reason: $(cat "$RUN/log/a")"
stop strict
dealer other "${MUTUAL[@]}"
A=(--data "$RUN/a-train.csv" --label y --dealer-policy "$RUN/other.json") B=(--data "$RUN/b-train.csv" --dealer-policy "$RUN/other.json")
pair '[13]' '[13]' party "${PROGRAM[@]}" "${MUTUAL[@]}" "${DEALER[@]}" # a dealer that is not the one they mean
grep -q 'refused: policy:mrenclave: ' "$RUN/log/a" "$RUN/log/b" || die "no reason: $(cat "$RUN/log/a")"
stop other
dealer small "${MUTUAL[@]}" --len-max 100
A=(--data "$RUN/a-train.csv" --label y --dealer-policy "$RUN/policy.json") B=(--data "$RUN/b-train.csv" --dealer-policy "$RUN/policy.json")
pair 3 3 party "${PROGRAM[@]}" "${MUTUAL[@]}" "${DEALER[@]}"
grep -q 'mpc:dealer-limit' "$RUN/log/small.log" || die "no limit: $(cat "$RUN/log/small.log")"
stop small

step "plans and tables"
"$MPC" plan --rows 1280 --columns 5,5 --batch 128 --epochs 1 --rtt 50 >"$RUN/out"
grep -q '^total ' "$RUN/out" || die "a plan without a total: $(cat "$RUN/out")"
"$MPC" plan --rows 1280 --columns 5,5 --batch 128 --epochs 1 --rtt 50 --optimize all >"$RUN/out"
[ "$(wc -l <"$RUN/out")" = 7 ] || die "not seven settings: $(cat "$RUN/out")"
rounds=$(awk '$1 == "rounds" { print $4 }' "$RUN/out")
"$MPC" plan --program kmeans --rows 100 --columns 3,3 --clusters 3 | grep '^total ' >/dev/null || die "no plan of clusters"
"$MPC" plan --program mlp --network "$RUN/net.public" --rows 40 | grep '^total ' >/dev/null || die "no plan of a network"
[ "$rounds" -le 255 ] || die "$rounds rounds for an epoch over a slow line, at most 255 are allowed"
TMPDIR=$RUN "$MPC" table --rows 128 --columns 3,3 --batch 32 --epochs 1 --score-rows 10 --optimize dealer --csv "$RUN/t.csv" --svg "$RUN/t.svg" >"$RUN/out" 2>&1
[ "$(wc -l <"$RUN/t.csv")" = 2 ] && grep -q '</svg>' "$RUN/t.svg" || die "no table: $(cat "$RUN/out")"
ls -d "$RUN"/cczoo-mpc.* >/dev/null 2>&1 && die "the table left its folder"
for signal in INT TERM KILL; do
    TMPDIR=$RUN setsid "$MPC" table --rows 4096 --columns 3,3 --epochs 1000 --optimize dealer >"$RUN/out" 2>&1 &
    table=$!
    for ((i = 0; i < 400; i++)); do [ "$(ps -o pid= --ppid "$table" | wc -l)" = 2 ] && [ -s "$(echo "$RUN"/cczoo-mpc.*/party)" ] && break; sleep 0.05; done
    children=$(ps -o pid= --ppid "$table")
    [ "$(wc -w <<<"$children")" = 2 ] || die "a table has two processes: $children"
    kill -"$signal" "$table"
    wait "$table" 2>/dev/null || true
    for ((i = 0; i < 200; i++)); do
        left=
        for pid in $children; do [ ! -d "/proc/$pid" ] || left+=" $pid"; done
        [ -n "$left" ] || break
        sleep 0.05
    done
    [ -z "$left" ] || die "SIG$signal left$left"
    [ $signal = KILL ] || ! ls -d "$RUN"/cczoo-mpc.* >/dev/null 2>&1 || die "SIG$signal left the folder"
done
say "ok"
