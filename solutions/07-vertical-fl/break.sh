#!/usr/bin/env bash
# Five attacks and accidents, each refused with its reason, or survived. See README.md, "Break it".
. "$(dirname "$0")/parties.sh"
run_begin "$NAME-break"

make_platform
make_attested
make_images --rows 20000 --test-rows 1000 --overlap 100 >/dev/null
config=(--epochs 3 --batch 256 --staleness 1)

# leader_refuses PATTERN NETWORK OPTIONS... -- COMMAND...: the leader's refusal of what the command does is the output.
leader_refuses() {
    local pattern=$1 net=$2 options=()
    shift 2
    while [ "$1" != -- ]; do options+=("$1"); shift; done
    shift
    rm -f "$RUN/victim.port"
    (
        for ((i = 0; i < 1200; i++)); do [ -s "$RUN/victim.port" ] && break; sleep 0.05; done
        exec "$@" "127.0.0.1:$(cat "$RUN/victim.port")" "${after[@]}"
    ) >>"$RUN/log/attacker.log" 2>&1 </dev/null &
    expect_refusal "$pattern" "$BIN/cczoo-vfl" leader "${attested[@]}" --listen 127.0.0.1:0 --port-file "$RUN/victim.port" \
        --data "$RUN/data/leader" --model "$NETS/$net/leader" "${config[@]}" "${options[@]}" | sed 's/^/   /'
    wait "$!" || true
}
honest=("$BIN/cczoo-vfl" follower "${attested[@]}" --policy "$RUN/policy.json" --model "$NETS/fashion-mnist-10/follower-1" "${config[@]}")

step "(a) misaligned ids: both say that their rows are the same already, but they are in another order"
after=()
leader_refuses 'vfl:alignment: ' fashion-mnist-10 --client-policy "$RUN/policy.json" --aligned -- \
    "${honest[@]}" --data "$RUN/data/follower-1" --aligned --leader

step "(b) a replayed batch: a follower sends its third batch a second time"
mkdir "$RUN/same"
cp "$RUN"/data/leader/*.ids "$RUN/same"
after=("$RUN/same" "$(sha256sum "$NETS/fashion-mnist-10/leader/split.json" | cut -d' ' -f1)" "$RUN/sim" "$RUN/sim/trust")
leader_refuses 'vfl:batch: 3 / 4' fashion-mnist-10 --aligned -- "$BIN/cczoo-vfl-attack"

step "(c) the same follower where evidence is asked for: it is another program"
leader fussy fashion-mnist-10 "${config[@]}" --aligned
attacker() { "$BIN/cczoo-vfl-attack" "$ADDRESS" "${after[@]}" 2>&1 | sed -n 's/^peer:/refused: peer:/p'; return 1; }
expect_refusal 'peer:policy:' attacker | cut -c1-150 | sed 's/^/   /'
stop fussy

step "(d) schema mismatch: the follower's bottom model is half of another network"
after=()
leader_refuses 'vfl:schema: ' fashion-mnist-10 --client-policy "$RUN/policy.json" -- \
    "$BIN/cczoo-vfl" follower "${attested[@]}" --policy "$RUN/policy.json" --model "$NETS/fashion-mnist/follower-1" "${config[@]}" \
    --data "$RUN/data/follower-1" --leader

step "(e) a follower drops out mid-epoch: the leader waits, then gives up; later both go on where both had been"
state=(--checkpoint-steps 20 --retry 4)
leader patient fashion-mnist-10 "${config[@]}" "${state[@]}" --state "$RUN/leader.state" --seal "$RUN/leader.seal"
follower faint fashion-mnist-10 "${config[@]}" "${state[@]}" --state "$RUN/follower.state" --seal "$RUN/follower.seal"
wait_line patient '^epoch 1 '
kill -KILL "${PIDS[faint]}"
unset 'PIDS[faint]'
for ((i = 0; i < 600; i++)); do
    kill -0 "${PIDS[patient]}" 2>/dev/null || break
    sleep 0.05
done
((i < 600)) || die "the leader waits for ever"
unset 'PIDS[patient]'
say "the leader: $(grep '^error: ' "$RUN/log/patient.log")"
leader patient-2 fashion-mnist-10 "${config[@]}" "${state[@]}" --state "$RUN/leader.state" --seal "$RUN/leader.seal"
follower faint-2 fashion-mnist-10 "${config[@]}" "${state[@]}" --state "$RUN/follower.state" --seal "$RUN/follower.seal"
finish faint-2 patient-2
told patient-2 | grep -E 'stored|done'

say "ok: four refusals, one accident survived"
