#!/usr/bin/env bash
# kill -9 of each party of a heterogeneous training in turn, again and again: they resume, and the model is the one of a
# training that nothing disturbed. KILLS=N times; MODE=hetero-rlwe: with lattices, without an arbiter.
. "$(dirname "$0")/kill9.sh"
run_begin test-fedlr-kill9
KILLS=${KILLS:-8}
MODE=${MODE:-hetero}
epochs=$((4 * KILLS + 4)) # of three mini-batches: more than two for each kill, however slow this script is
fedlr_tables "x[0] - x[1] + x[3] / 2 - x[5] / 2" 1 3
head -c 32 /dev/urandom >"$RUN/seal"
config=(--mode "$MODE" --rounds $epochs --batch 40 --eta 0.3 --momentum 0.5 --l2 0.01 --unattested-insecure)
RETRY=60
mapfile -t free < <("$ROOT/scripts/free-port" 2)
declare -A PORT=([arbiter]=${free[0]} [guest]=${free[1]})

# start_party NAME: with the state that it has in $RUN/$1.state
start_party() {
    local at=() state=(--state "$RUN/$1.state" --seal "$RUN/seal" --retry "$RETRY")
    [ "$MODE" != hetero ] || at=(--arbiter "127.0.0.1:${PORT[arbiter]}")
    case $1 in
        arbiter) start arbiter "$BIN/cczoo-fedlr" arbiter "${config[@]}" --retry "$RETRY" --tee "$TEE" --sim-dir "$RUN/sim" --listen "127.0.0.1:${PORT[arbiter]}" --key "$RUN/key" ;;
        guest) start guest "$BIN/cczoo-fedlr" guest "${config[@]}" --tee "$TEE" --sim-dir "$RUN/sim" "${at[@]}" "${state[@]}" --listen "127.0.0.1:${PORT[guest]}" \
            --data "$RUN/data/guest.csv" --model-out "$RUN/guest.json" ;;
        host) start host "$BIN/cczoo-fedlr" host "${config[@]}" "${at[@]}" "${state[@]}" --guest "127.0.0.1:${PORT[guest]}" \
            --data "$RUN/data/host-1.csv" --model-out "$RUN/host.json" ;;
    esac
}
TEE=sim-sgx

parties=(guest host)
[ "$MODE" != hetero ] || parties=(arbiter guest host)
[ "$MODE" != hetero ] || start_party arbiter
start_party guest
for ((i = 0; i < 400; i++)); do (: <"/dev/tcp/127.0.0.1/${PORT[guest]}") 2>/dev/null && break; sleep 0.05; done
at=()
[ "$MODE" != hetero ] || at=(--arbiter "127.0.0.1:${PORT[arbiter]}")
if "$BIN/cczoo-fedlr" host "${config[@]}" --name host-9 "${at[@]}" --guest "127.0.0.1:${PORT[guest]}" \
    --data "$RUN/data/host-1.csv" >"$RUN/log/stranger.log" 2>&1; then
    die "a party that nobody expects was let in"
fi
grep -q 'links:name' "$RUN/log/stranger.log" || { tail -n 3 "$RUN/log/stranger.log" >&2; die "a stranger was not refused for its name"; }
start_party host
finish "${parties[@]}"
mkdir "$RUN/calm"
mv "$RUN/guest.json" "$RUN/host.json" "$RUN/calm"
rm "$RUN"/*.state "$RUN"/log/*.log
stage() { stat -c %i "$RUN/host.state" 2>/dev/null || true; } # which state there is

for name in "${parties[@]}"; do start_party "$name"; done
order=(host guest arbiter guest host)
[ "$MODE" = hetero ] || order=(host guest guest host)
while ((kills < KILLS)); do
    victim=${order[kills % ${#order[@]}]}
    for round in 1 2; do next_stage host 12; done # a round or two further, at another moment each time
    short_nap
    kill9 "$victim" || break
    start_party "$victim"
done
((kills >= KILLS * 3 / 4)) || die "the training was over after $kills kills"
finish "${parties[@]}"
grep -q 'connecting again' "$RUN/log/guest.log" || die "the guest never lost a peer"
python3 - "$RUN" $epochs <<'PY'
import json, sys
rounds = 3 * int(sys.argv[2])
for name in ("guest", "host"):
    calm, wild = (json.load(open(f"{sys.argv[1]}/{d}{name}.json")) for d in ("calm/", ""))
    assert calm["rounds"] == wild["rounds"] == rounds, (calm["rounds"], wild["rounds"])
    for k in calm["weights"]:
        assert abs(calm["weights"][k] - wild["weights"][k]) < 1e-4, (name, k, calm["weights"][k], wild["weights"][k])
    assert abs(calm["intercept"] - wild["intercept"]) < 1e-4
PY
# a party that was killed when all was done finds nobody, and has its model all the same
RETRY=2
for name in guest host; do
    mv "$RUN/$name.json" "$RUN/$name.was"
    start_party "$name"
    finish "$name"
    cmp "$RUN/$name.json" "$RUN/$name.was" || die "another model"
    grep -q 'all rounds were done already' "$RUN/log/$name.log" || die "it does not say why it ends"
done
for role in host worker; do # a table that cannot be read is no lost peer
    status 3 "$BIN/cczoo-fedlr" $role --mode "$([ $role = host ] && echo "$MODE" || echo homo)" --unattested-insecure --guest 127.0.0.1:1 --aggregator 127.0.0.1:1 \
        --arbiter 127.0.0.1:1 --key "$RUN/key" --data "$RUN"
    has err '^error: file:'
done
say "ok: $kills kills, the same model"
