#!/usr/bin/env bash
# Two parties of two workers each, everything attested: kill -9 of each of the four in turn; they resume, and with a seed every
# number of both leaders' reports is the one of a training that nothing disturbed. Then what workers refuse.
# KILLS: how many, default 4.
. "$(dirname "$0")/../../scripts/lib.sh"
if ! TF=$("$ROOT/scripts/fetch-tensorflow" 2>/dev/null) || ! NETS=$("$ROOT/scripts/export-split" 2>/dev/null); then
    echo "skipped: TensorFlow or the split networks cannot be had here"
    exit 77
fi
run_begin test-vfl-workers
python3 - "$RUN" <<'PY'
import os, random, sys
random.seed(7)
rows = [[random.gauss(0, 1) for _ in range(7)] for _ in range(6000)]
for what, part in (("train", range(5000)), ("test", range(5000, 6000))):
    for name, columns in (("leader", range(3)), ("follower", range(3, 7))):
        os.makedirs(f"{sys.argv[1]}/{name}", exist_ok=True)
        with open(f"{sys.argv[1]}/{name}/{what}.csv", "w") as f:
            f.write("id," + ("y," if name == "leader" else "") + ",".join(f"c{j}" for j in columns) + "\n")
            for i in part:
                y = f"{int(sum(rows[i][::2]) > 1)}," if name == "leader" else ""
                f.write(f"r{i},{y}" + ",".join(f"{rows[i][j]:.6f}" for j in columns) + "\n")
PY
for key in leader.seal follower.seal noise; do head -c 32 /dev/urandom >"$RUN/$key"; done
"$BIN/cczoo" sim init "$RUN/sim" 2>/dev/null
VFL_ID=$("$BIN/cczoo" sim measure "$BIN/cczoo-vfl" "$TF/libtensorflow_framework.so.2" "$TF/libtensorflow_cc.so.2")
sed "s/@VFL@/$VFL_ID/" "$ROOT/solutions/07-vertical-fl/policy.json" >"$RUN/policy.json"
attested=(--tee sim-sgx --sim-dir "$RUN/sim" --trust-sim "$RUN/sim/trust" --tensorflow "$TF/libtensorflow_cc.so.2" --team-policy "$RUN/policy.json")
# The network has dropout: generators are state, too, and each worker has its own.
config=(--epochs 5 --batch 25 --staleness 1 --average-steps 8 --checkpoint-steps 24 --retry 60)
declare -A PORT=()
for name in leader-1 leader-2 leader-team follower-team; do PORT[$name]=$("$ROOT/scripts/free-port"); done

# worker PARTY K OPTIONS...
worker() {
    local party=$1 k=$2 options
    shift 2
    options=(--worker "$k/2" --data "$RUN/$party" --state "$RUN/$party.state" --seal "$RUN/$party.seal")
    if [ "$k" = 1 ]; then options+=(--team-listen "127.0.0.1:${PORT[$party-team]}"); else options+=(--team "127.0.0.1:${PORT[$party-team]}"); fi
    case $party in
        leader) options+=(--client-policy "$RUN/policy.json" --listen "127.0.0.1:${PORT[leader-$k]}" --model "$NETS/tiny/leader" --noise-seed "$RUN/noise"
            --report "$RUN/report-$k-$attempt") ;;
        follower) options+=(--policy "$RUN/policy.json" --leader "127.0.0.1:${PORT[leader-$k]}" --model "$NETS/tiny/follower-1") ;;
    esac
    attempt=$((attempt + 1))
    start "$party-$k" "$BIN/cczoo-vfl" "$party" "${attested[@]}" "${options[@]}" "$@"
}
ALL=(leader-1 leader-2 follower-1 follower-2)
start_all() { for name in "${ALL[@]}"; do worker "${name%-?}" "${name#*-}" "$@"; done; }
# The last numbers of each epoch of both leaders, without times and traffic.
numbers() { for k in 1 2; do cat "$RUN/report-$k"-* 2>/dev/null | python3 -c '
import json, sys
last = {r["epoch"]: r for r in map(json.loads, sys.stdin)}
for r in last.values():
    for k in ("rows_per_s", "waited_s", "cpu_s", "sent_size", "received_size"): del r[k]
print(json.dumps([last[k] for k in sorted(last)]))'; done; }
stage() { stat -c %n.%i "$RUN"/leader.state.w1.[01] 2>/dev/null || true; } # which states there are
clean() { rm -f "$RUN"/*.state.* "$RUN"/report-* "$RUN"/log/{leader,follower}-[12].log; }

attempt=0
start_all "${config[@]}" --aligned
finish "${ALL[@]}"
numbers >"$RUN/calm.json"
grep -q test_accuracy "$RUN/calm.json" || die "no numbers"
clean

kills=0
start_all "${config[@]}" --aligned
while ((kills < ${KILLS:-4})); do
    victim=${ALL[$(((kills * 3 + kills / 4) % 4))]}
    before=$(stage)
    for ((i = 0; i < 2400; i++)); do # a state further, at another moment each time
        [ "$(stage)" != "$before" ] && break
        running "$victim" || break
        sleep 0.01
    done
    sleep "0.0$((kills * 37 % 9))"
    running "$victim" || break
    kill -KILL "${PIDS[$victim]}"
    unset "PIDS[$victim]"
    kills=$((kills + 1))
    worker "${victim%-?}" "${victim#*-}" "${config[@]}" --aligned
done
((kills > 0 && kills >= ${KILLS:-4} / 2)) || die "the training was over after $kills kills"
finish "${ALL[@]}"
numbers >"$RUN/killed.json"
cmp "$RUN/calm.json" "$RUN/killed.json" || die "another model than without kills"
clean

# gives NAME PATTERN: this worker ends with that error.
gives() {
    gone "$1"
    grep -qE "^(refused|error): $2" "$RUN/log/$1.log" || {
        tail -n 3 "$RUN"/log/*.log >&2
        die "$1 did not end with $2"
    }
}
end_all() { for name in "${ALL[@]}"; do [ -z "${PIDS[$name]:-}" ] || stop "$name"; done; clean; }
short=(--epochs 1 --batch 25 --timeout 60)
# pairs OPTIONS...: all workers, each follower once its leader listens.
pairs() {
    rm -f "$RUN"/*.port
    for k in 1 2; do worker leader "$k" "${short[@]}" --port-file "$RUN/leader-$k.port" "$@"; done
    for k in 1 2; do wait_file "leader-$k" "$RUN/leader-$k.port" 60; worker follower "$k" "${short[@]}" "$@"; done
}
pairs # private set intersection: worker 1 tells the others which rows
finish "${ALL[@]}"
clean

worker follower 1 "${short[@]}" --aligned --retry 60 # it is there when the leader's time begins
until grep -qs 'connecting again' "$RUN/log/follower-1.log"; do running follower-1 && sleep 0.05; done
worker leader 1 "${short[@]}" --aligned --timeout 20
gives leader-1 'vfl:worker-missing: worker 2 of 2 '
end_all

# worker 2 has the key of the other party
rm -f "$RUN"/*.port
worker leader 1 "${short[@]}" --aligned --port-file "$RUN/leader-1.port"
worker leader 2 "${short[@]}" --aligned --port-file "$RUN/leader-2.port" --seal "$RUN/follower.seal"
for k in 1 2; do wait_file "leader-$k" "$RUN/leader-$k.port" 60; worker follower "$k" "${short[@]}" --aligned; done
gives leader-1 'vfl:worker-proof: '
end_all
echo "ok: $kills kills, the same numbers to the last bit; strangers and missing workers refused"
