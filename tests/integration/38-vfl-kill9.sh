#!/usr/bin/env bash
# kill -9 of leader and follower in turn, again and again: they resume, and in synchronous, seeded mode every number of
# the report is the one of a training that nothing disturbed.
. "$(dirname "$0")/../../scripts/lib.sh"
if ! TF=$("$ROOT/scripts/fetch-tensorflow" 2>/dev/null) || ! NETS=$("$ROOT/scripts/export-split" 2>/dev/null); then
    echo "skipped: TensorFlow or the split networks cannot be had here"
    exit 77
fi
run_begin test-vfl-kill9
python3 - "$RUN" <<'PY'
import os, random, sys
random.seed(7)
rows = [[random.gauss(0, 1) for _ in range(11)] for _ in range(6000)]
for what, part in (("train", range(5000)), ("test", range(5000, 6000))):
    for name, columns in (("leader", range(4)), ("follower-1", range(4, 11))):
        os.makedirs(f"{sys.argv[1]}/{name}", exist_ok=True)
        with open(f"{sys.argv[1]}/{name}/{what}.csv", "w") as f:
            f.write("id," + ("y," if name == "leader" else "") + ",".join(f"c{j}" for j in columns) + "\n")
            for i in part:
                y = f"{int(sum(rows[i][::2]) > 1)}," if name == "leader" else ""
                f.write(f"r{i},{y}" + ",".join(f"{rows[i][j]:.6f}" for j in columns) + "\n")
PY
for key in seal noise; do head -c 32 /dev/urandom >"$RUN/$key"; done
"$BIN/cczoo" sim init "$RUN/sim" 2>/dev/null
config=(--epochs 6 --batch 25 --staleness 0 --checkpoint-steps 40 --retry 60 --seal "$RUN/seal" --aligned --tensorflow "$TF/libtensorflow_cc.so.2")
PORT=$("$ROOT/scripts/free-port")

start_party() {
    case $1 in
        leader) start leader "$BIN/cczoo-vfl" leader "${config[@]}" --tee sim-sgx --sim-dir "$RUN/sim" --listen "127.0.0.1:$PORT" \
            --data "$RUN/leader" --model "$NETS/credit/leader" --state "$RUN/leader.state" --noise-seed "$RUN/noise" --report "$RUN/report-$attempt" ;;
        follower) start follower "$BIN/cczoo-vfl" follower "${config[@]}" --unattested-insecure --leader "127.0.0.1:$PORT" \
            --data "$RUN/follower-1" --model "$NETS/credit/follower-1" --state "$RUN/follower.state" ;;
    esac
    attempt=$((attempt + 1))
}
# The last epoch's numbers, without times and traffic.
numbers() { cat "$RUN"/report-* 2>/dev/null | python3 -c '
import json, sys
last = {r["epoch"]: r for r in map(json.loads, sys.stdin)}
for r in last.values():
    for k in ("rows_per_s", "waited_s", "cpu_s", "sent_size", "received_size"): del r[k]
print(json.dumps([last[k] for k in sorted(last)]))'; }

stage() { stat -c %n.%i "$RUN"/leader.state.[01] 2>/dev/null || true; } # which states there are

attempt=0
start_party leader
start_party follower
finish leader follower
numbers >"$RUN/calm.json"
rm "$RUN"/*.state.* "$RUN"/report-* "$RUN"/log/{leader,follower}.log

kills=0
start_party leader
start_party follower
for victim in follower leader follower leader leader follower follower leader; do
    before=$(stage)
    for ((i = 0; i < 1200; i++)); do # a state further, at another moment each time
        [ "$(stage)" != "$before" ] && break
        running $victim || break
        sleep 0.01
    done
    sleep "0.0$((kills * 37 % 9))"
    running $victim || break
    kill -KILL "${PIDS[$victim]}"
    unset "PIDS[$victim]"
    kills=$((kills + 1))
    start_party $victim
done
((kills >= 4)) || die "the training was over after $kills kills"
finish leader follower
numbers >"$RUN/killed.json"
cmp "$RUN/calm.json" "$RUN/killed.json" || die "another model than without kills"
echo "ok: $kills kills, the same numbers to the last bit"
