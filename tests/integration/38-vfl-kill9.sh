#!/usr/bin/env bash
# kill -9 of leader and follower in turn, again and again: they resume, and in synchronous, seeded mode every number of
# the report is the one of a training that nothing disturbed. KILLS=N times.
. "$(dirname "$0")/vfl.sh"
KILLS=${KILLS:-8}
vfl_begin test-vfl-kill9 11 4
head -c 32 /dev/urandom >"$RUN/seal"
# 200 steps an epoch, and more than three states for each kill
config=(--epochs $(((3 * KILLS + 3) / 4)) --batch 25 --staleness 0 --checkpoint-steps 40 --retry 60 --seal "$RUN/seal" --aligned --tensorflow "$TF/libtensorflow_cc.so.2")
PORT=$("$ROOT/scripts/free-port")

start_party() {
    case $1 in
        leader) start leader "$BIN/cczoo-vfl" leader "${config[@]}" --tee sim-sgx --sim-dir "$RUN/sim" --listen "127.0.0.1:$PORT" \
            --data "$RUN/leader" --model "$NETS/credit/leader" --state "$RUN/leader.state" --noise-seed "$RUN/noise" --report "$RUN/report-$attempt" ;;
        follower) start follower "$BIN/cczoo-vfl" follower "${config[@]}" --unattested-insecure --leader "127.0.0.1:$PORT" \
            --data "$RUN/follower" --model "$NETS/credit/follower-1" --state "$RUN/follower.state" ;;
    esac
    attempt=$((attempt + 1))
}
stage() { stat -c %n.%i "$RUN"/leader.state.[01] 2>/dev/null || true; } # which states there are

attempt=0
start_party leader
start_party follower
finish leader follower
vfl_numbers "$RUN/report" >"$RUN/calm.json"
rm "$RUN"/*.state.* "$RUN"/report-* "$RUN"/log/{leader,follower}.log

start_party leader
start_party follower
order=(follower leader follower leader leader follower follower leader)
while ((kills < KILLS)); do
    victim=${order[kills % ${#order[@]}]}
    next_stage $victim 12 # a state further, at another moment each time
    short_nap
    kill9 $victim || break
    start_party $victim
done
((kills > 0 && kills >= KILLS / 2)) || die "the training was over after $kills kills"
finish leader follower
vfl_numbers "$RUN/report" >"$RUN/killed.json"
cmp "$RUN/calm.json" "$RUN/killed.json" || die "another model than without kills"
echo "ok: $kills kills, the same numbers to the last bit"
