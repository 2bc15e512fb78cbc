#!/usr/bin/env bash
# One round of federated averaging with members that compute nothing: cczoo-fld and bench_fl (mutual RA-TLS, models signed and verified,
# updates checked) beside Flower 1.42 without TLS, in two ways: "flower" is start_server() with members connected to it (deprecated since
# 1.13), "superlink" is the way of its documentation: flower-superlink, ten flower-supernode, `flwr run`, ServerApp and ClientApp in processes
# of their own (isolation "subprocess", the default), installation of an app's dependencies switched off. Everything on 127.0.0.1, the three take
# turns TURNS times, ROUNDS rounds each, of which the first does not count. Columns: who, median and best seconds of a round, peak memory of
# the server in units of one model (superlink: SuperLink, SuperExec and ServerApp together), largest peak of a member (SuperNode, SuperExec and
# ClientApp together); then the ratios of the medians. SuperLink takes minutes for a round.
# On a machine that does other things too, put `chrt -r 1` in front (as root): all programs then have the cores first.
# usage: bench/fl_round.sh [TURNS [ROUNDS [CLIENTS [PARAMETERS]]]]      default 3 4 10 25000000; ONLY="ours flower superlink" for some of them;
# SPILL=DIR: our server keeps its model there while updates come in (cczoo-fld --spill); a folder on a disk
. "$(dirname "$0")/../scripts/lib.sh"
only=" ${ONLY:-ours flower superlink} "
turns=${1:-3} rounds=${2:-4} clients=${3:-10} len=${4:-25000000}
BIN=$ROOT/build/release/bin
bench=$(find "$ROOT/build/release" -name bench_fl -type f 2>/dev/null | head -n 1)
[ -n "$bench" ] && [ -x "$BIN/cczoo-fld" ] || die "build it first: cmake --build --preset release --target bench_fl cczoo cczoo-fld"
venv=$CACHE/fl-peers-venv
if [[ $only = *" flower "* || $only = *" superlink "* ]] && ! cmp -s "$ROOT/bench/fl_peers.txt" "$venv/installed.txt"; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary=:all: \
        --requirement "$ROOT/bench/fl_peers.txt"
    cp "$ROOT/bench/fl_peers.txt" "$venv/installed.txt"
fi
spill=()
[ -z "${SPILL:-}" ] || spill=(--spill "$SPILL")
run_begin bench-fl
cd "$RUN"
"$BIN/cczoo" sim init sim 2>log/sim.log
policy() { printf '{"version":1,"rules":[{"name":"%s","tee":"sgx","sim":true,"mrenclave":"%s"}]}\n' "$1" "$("$BIN/cczoo" sim measure "$2")"; }
policy server "$BIN/cczoo-fld" >server.json
policy member "$bench" >member.json
printf '{"rounds":%d,"members_min":%d,"members_max":%d,"seed":1}\n' "$rounds" "$clients" "$clients" >config.json
"$bench" model "$len" first.model

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
        --tee sim-sgx --sim-dir sim --trust-sim sim/trust --sign-key key.pem --log rounds.jsonl "${spill[@]}"
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

# Sum of the peaks of a started process and all below it, in KiB.
tree_peak() { # NAME
    local p
    for p in $(ps -eo pid=,ppid= | awk -v root="${PIDS[$1]}" '{up[$1] = $2}
        END {for (p in up) {for (q = p; q > 1 && q != root; q = up[q]); if (q == root) print p}}'); do
        awk '/^VmHWM/ {print $2}' "/proc/$p/status" 2>/dev/null || true
    done | awk '{s += $1} END {print s + 0}'
}

superlink() {
    local i port names=() at=flower-home
    rm -rf "$at" log/super*.log superlink.out super-server.peaks super-member.peaks
    : >superlink.out
    port=$("$ROOT/scripts/free-port")
    "$venv/bin/python" "$ROOT/bench/peer_flower.py" app "$at" "127.0.0.1:$port"
    export FLWR_HOME=$RUN/$at PEER_FLOWER_OUT=$RUN/superlink.out FLWR_TELEMETRY_ENABLED=0
    local path=$PATH
    PATH=$venv/bin:$PATH
    start superlink flower-superlink --insecure --disable-runtime-dependency-installation --port "$port"
    for ((i = 0; i < 240; i++)); do
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break
        sleep 0.5
    done
    for ((i = 0; i < clients; i++)); do
        start "supernode-$i" flower-supernode --insecure --superlink "127.0.0.1:$port" --port "$("$ROOT/scripts/free-port")" \
            --node-config "partition-id=$i num-partitions=$clients"
        names+=("supernode-$i")
    done
    flwr run "$at/app" bench --run-config "clients=$clients rounds=$rounds length=$len" >log/superrun.log 2>&1 ||
        { tail -n 5 log/superrun.log >&2; die "flwr run failed"; }
    for ((i = 0; i < 3600; i++)); do
        [ "$(wc -l <superlink.out)" -ge "$rounds" ] && break
        kill -0 "${PIDS[superlink]}" 2>/dev/null || die "flower-superlink ended"
        tree_peak superlink >>super-server.peaks
        tree_peak supernode-0 >>super-member.peaks
        sleep 0.5
    done
    [ "$(wc -l <superlink.out)" -ge "$rounds" ] || die "the app did not finish: $(tail -n 3 log/superlink.log)"
    PATH=$path
    for i in "${names[@]}"; do kill "${PIDS[$i]}" 2>/dev/null || true; done
    for i in "${names[@]}" superlink; do stop "$i"; done
    tail -n +2 superlink.out | cut -f 1 >>superlink.rounds
    sort -n super-server.peaks | tail -n 1 >>superlink.server
    sort -n super-member.peaks | tail -n 1 >>superlink.member
}

for ((t = 0; t < turns; t++)); do
    for who in ours flower superlink; do
        [[ $only != *" $who "* ]] || "$who"
    done
done
python3 - "$len" <<'PY'
import os, statistics, sys
size = int(sys.argv[1]) * 4 / 1024
medians = {}
print("who\tmedian s\tbest s\tserver, models\tmember, models")
for who in ("ours", "flower", "superlink"):
    if not os.path.exists(f"{who}.rounds"):
        continue
    get = lambda what: [float(x) for x in open(f"{who}.{what}") if x.strip()]
    times, server, member = get("rounds"), get("server"), get("member")
    medians[who] = statistics.median(times)
    print(f"{who}\t{medians[who]:.2f}\t{min(times):.2f}\t{max(server) / size:.2f}\t{max(member, default=0) / size:.2f}")
for who in ("flower", "superlink"):
    if who in medians and "ours" in medians:
        print(f"ratio of medians, {who}\t{medians[who] / medians['ours']:.1f}")
PY
