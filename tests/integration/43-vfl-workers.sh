#!/usr/bin/env bash
# Two parties of two workers each, everything attested: kill -9 of each of the four in turn; they resume, and with a seed every
# number of both leaders' reports is the one of a training that nothing disturbed. KILLS=N times. Then what workers refuse.
. "$(dirname "$0")/vfl.sh"
KILLS=${KILLS:-4}
vfl_begin test-vfl-workers 7 3
for key in leader.seal follower.seal; do head -c 32 /dev/urandom >"$RUN/$key"; done
VFL_ID=$("$BIN/cczoo" sim measure "$BIN/cczoo-vfl" "$TF/libtensorflow_framework.so.2" "$TF/libtensorflow_cc.so.2")
sed "s/@VFL@/$VFL_ID/" "$ROOT/solutions/07-vertical-fl/policy.json" >"$RUN/policy.json"
attested=(--tee sim-sgx --sim-dir "$RUN/sim" --trust-sim "$RUN/sim/trust" --tensorflow "$TF/libtensorflow_cc.so.2" --team-policy "$RUN/policy.json")
# The network has dropout: generators are state, too, and each worker has its own.
config=(--epochs 5 --batch 25 --staleness 1 --average-steps 8 --checkpoint-steps 24 --retry 60)
declare -A PORT=()
mapfile -t free < <("$ROOT/scripts/free-port" 4)
for name in leader-1 leader-2 leader-team follower-team; do
    PORT[$name]=${free[0]}
    free=("${free[@]:1}")
done

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
numbers() { for k in 1 2; do vfl_numbers "$RUN/report-$k"; done; } # of both leaders
stage() { stat -c %n.%i "$RUN"/leader.state.w1.[01] 2>/dev/null || true; } # which states there are
clean() { rm -f "$RUN"/*.state.* "$RUN"/report-* "$RUN"/log/{leader,follower}-[12].log; }

attempt=0
start_all "${config[@]}" --aligned
finish "${ALL[@]}"
numbers >"$RUN/calm.json"
grep -q test_accuracy "$RUN/calm.json" || die "no numbers"
clean

start_all "${config[@]}" --aligned
while ((kills < KILLS)); do
    victim=${ALL[$(((kills * 3 + kills / 4) % 4))]}
    next_stage "$victim" 24 # a state further, at another moment each time
    short_nap
    kill9 "$victim" || break
    worker "${victim%-?}" "${victim#*-}" "${config[@]}" --aligned
done
((kills > 0 && kills >= KILLS / 2)) || die "the training was over after $kills kills"
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
