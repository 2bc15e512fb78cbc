#!/usr/bin/env bash
# One round of federated averaging with members that compute nothing: cczoo-fld and bench_fl (mutual RA-TLS, models signed and verified,
# updates checked) beside Flower (gRPC without TLS). Each member is a process of its own, everything on 127.0.0.1; the two take turns
# TURNS times, ROUNDS rounds each, of which the first does not count. Columns: who, median and best seconds of a round, peak memory of the
# server in units of one model, largest peak of a member; then the ratio of the medians.
# On a machine that does other things too, put `chrt -r 1` in front (as root): all programs then have the cores first.
# usage: bench/fl_round.sh [TURNS [ROUNDS [CLIENTS [PARAMETERS]]]]      default 3 4 10 25000000; ONLY=ours or ONLY=flower for one of them
. "$(dirname "$0")/../scripts/lib.sh"
turns=${1:-3} rounds=${2:-4} clients=${3:-10} len=${4:-25000000}
BIN=$ROOT/build/release/bin
bench=$(find "$ROOT/build/release" -name bench_fl -type f 2>/dev/null | head -n 1)
[ -n "$bench" ] && [ -x "$BIN/cczoo-fld" ] || die "build it first: cmake --build --preset release --target bench_fl cczoo cczoo-fld"
venv=$CACHE/fl-peers-venv
if [ "${ONLY:-}" != ours ] && ! cmp -s "$ROOT/bench/fl_peers.txt" "$venv/installed.txt"; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary=:all: \
        --requirement "$ROOT/bench/fl_peers.txt"
    cp "$ROOT/bench/fl_peers.txt" "$venv/installed.txt"
fi
run_begin bench-fl
cd "$RUN"
"$BIN/cczoo" sim init sim 2>log/sim.log
policy() { printf '{"version":1,"rules":[{"name":"%s","tee":"sgx","sim":true,"mrenclave":"%s"}]}\n' "$1" "$("$BIN/cczoo" sim measure "$2")"; }
policy server "$BIN/cczoo-fld" >server.json
policy member "$bench" >member.json
printf '{"rounds":%d,"members_min":%d,"members_max":%d,"seed":1}\n' "$rounds" "$clients" "$clients" >config.json
[ "${ONLY:-}" = flower ] || "$bench" model "$len" first.model

wait_end() { # NAME...: until these processes have ended well
    local name i
    for name in "$@"; do
        for ((i = 0; i < 12000; i++)); do kill -0 "${PIDS[$name]}" 2>/dev/null || break; sleep 0.1; done
        kill -0 "${PIDS[$name]}" 2>/dev/null && die "$name does not end"
        unset "PIDS[$name]"
    done
}
peak() { awk '/^VmHWM/ {print $2}' "/proc/${PIDS[$1]}/status" 2>/dev/null || true; }

ours() {
    local i names=() hwm=0 now
    rm -f port rounds.jsonl log/member-*.log
    start fld "$BIN/cczoo-fld" --config config.json --model first.model --listen 127.0.0.1:0 --port-file port --policy member.json \
        --tee sim-sgx --sim-dir sim --trust-sim sim/trust --sign-key key.pem --log rounds.jsonl
    wait_file fld port 60
    for ((i = 0; i < clients; i++)); do
        start "member-$i" "$bench" client "127.0.0.1:$(cat port)" "m-$i" "$len" server.json sim
        names+=("member-$i")
    done
    while kill -0 "${PIDS[fld]}" 2>/dev/null; do
        now=$(peak fld)
        hwm=${now:-$hwm}
        sleep 0.1
    done
    wait_end fld "${names[@]}"
    [ "$(wc -l <rounds.jsonl)" = "$rounds" ] || { tail -n 5 log/fld.log >&2; die "cczoo-fld did not finish"; }
    python3 -c 'import json,sys
for l in list(open("rounds.jsonl"))[1:]: print(json.loads(l)["duration_ms"] / 1000)' >>ours.rounds
    echo "$hwm" >>ours.server
    awk -F'\t' '{print $2}' log/member-*.log | sort -n | tail -n 1 >>ours.member
}

flower() {
    local i names=() port
    port=$("$ROOT/scripts/free-port")
    rm -f log/flower*.log
    start flower "$venv/bin/python" "$ROOT/bench/peer_flower.py" server "127.0.0.1:$port" "$clients" "$rounds" "$len"
    for ((i = 0; i < clients; i++)); do
        start "flower-$i" "$venv/bin/python" "$ROOT/bench/peer_flower.py" client "127.0.0.1:$port"
        names+=("flower-$i")
    done
    for i in "${names[@]}"; do # members, while they live
        (while sleep 0.5; do peak "$i" | tail -n 1 || break; kill -0 "${PIDS[$i]}" 2>/dev/null || break; done | sort -n | tail -n 1 >"$i.peak") &
    done
    wait_end flower "${names[@]}"
    wait
    grep -E '^[0-9.]+$' log/flower.log | tail -n +2 >>flower.rounds
    awk '/^peak/ {print $2}' log/flower.log >>flower.server
    cat flower-*.peak | sort -n | tail -n 1 >>flower.member
}

for ((t = 0; t < turns; t++)); do
    [ "${ONLY:-}" = flower ] || ours
    [ "${ONLY:-}" = ours ] || flower
done
python3 - "$len" <<'PY'
import os, statistics, sys
size = int(sys.argv[1]) * 4 / 1024
medians = {}
print("who\tmedian s\tbest s\tserver, models\tmember, models")
for who in ("ours", "flower"):
    if not os.path.exists(f"{who}.rounds"):
        continue
    get = lambda what: [float(x) for x in open(f"{who}.{what}") if x.strip()]
    times, server, member = get("rounds"), get("server"), get("member")
    medians[who] = statistics.median(times)
    print(f"{who}\t{medians[who]:.2f}\t{min(times):.2f}\t{max(server) / size:.2f}\t{max(member, default=0) / size:.2f}")
if len(medians) == 2:
    print(f"ratio of medians\t{medians['flower'] / medians['ours']:.1f}")
PY
