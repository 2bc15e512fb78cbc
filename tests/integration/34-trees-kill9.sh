#!/usr/bin/env bash
# kill -9 of guest and hosts of boosted trees at random moments: they resume, and all parts of the model are, bit by bit, those of a
# training that nothing disturbed. KILLS=N times; SEED=N repeats the moments.
. "$(dirname "$0")/kill9.sh"
run_begin test-trees-kill9
KILLS=${KILLS:-9}
SEED=${SEED:-$((RANDOM * 32768 + RANDOM))}
RANDOM=$((SEED % 32768))
fedlr_tables "x[0] * x[3] - x[1] + x[5] / 2" 2 2
for name in guest host-1 host-2; do head -c 32 /dev/urandom >"$RUN/$name.seal"; done
config=(--mode trees --rounds $((4 * KILLS + 8)) --depth 3 --bins 8 --goss-top 0.3 --goss-rest 0.4 --parties 2 --unattested-insecure --retry 20 --timeout 20)
PORT=$("$ROOT/scripts/free-port")

# start_party NAME: with the state that it has
start_party() {
    local own=(--state "$RUN/$1.state" --seal "$RUN/$1.seal" --data "$RUN/data/$1.csv" --model-out "$RUN/$1.json")
    case $1 in
        guest) start guest "$BIN/cczoo-fedlr" guest "${config[@]}" "${own[@]}" --tee sim-sgx --sim-dir "$RUN/sim" --listen "127.0.0.1:$PORT" \
            --key "$RUN/key" --seed 5 ;;
        *) start "$1" "$BIN/cczoo-fedlr" host "${config[@]}" "${own[@]}" --name "$1" --guest "127.0.0.1:$PORT" ;;
    esac
}
parties=(guest host-1 host-2)
stage() { stat -c %n.%i "$RUN"/guest.state.[01] 2>/dev/null || true; } # which states there are

step "undisturbed"
for name in "${parties[@]}"; do start_party "$name"; done
finish "${parties[@]}"
mkdir "$RUN/calm"
mv "$RUN"/{guest,host-1,host-2}.json "$RUN/calm"
rm "$RUN"/*.state.? "$RUN"/log/{guest,host-1,host-2}.log

step "killed $KILLS times (SEED=$SEED)"
for name in "${parties[@]}"; do start_party "$name"; done
while ((kills < KILLS)); do
    next_stage guest 30 # a tree further, so that it ends one day
    sleep "0.$(printf %03d $((RANDOM % 250)))"
    victim=${parties[RANDOM % 3]}
    kill9 "$victim" || break
    start_party "$victim"
done
finish "${parties[@]}"
((kills == KILLS)) || die "the training was over after $kills kills"
for name in "${parties[@]}"; do
    cmp "$RUN/calm/$name.json" "$RUN/$name.json" || die "$name has another part of the model than without kills (SEED=$SEED)"
done
grep -q 'connecting again' "$RUN/log/host-1.log" "$RUN/log/host-2.log" || die "no host ever lost the guest"
trees=$(grep -c '^round' "$RUN/log/guest.log")
[ "$trees" -le $((4 * KILLS + 8)) ] || die "$trees trees were told of, more than there are"
[ -z "$(find "$RUN" -name '*.tmp')" ] || die "half-written states are left"

step "who was killed when all was done needs nobody; what was changed is refused, and is not passed over for the older one"
rm "$RUN/host-1.json" "$RUN/log/host-1.log"
config+=(--retry 1)
start_party host-1
finish host-1
cmp "$RUN/calm/host-1.json" "$RUN/host-1.json" || die "the stored part is another one"
newest=$(ls -t "$RUN"/host-1.state.? | head -n 1)
python3 - "$newest" <<'PY'
import sys
with open(sys.argv[1], "r+b") as f:
    f.seek(200)
    byte = f.read(1)[0]
    f.seek(200)
    f.write(bytes([byte ^ 1]))
PY
rm "$RUN/log/host-1.log"
start_party guest
start_party host-1
gone host-1
grep -q '^refused: pf:' "$RUN/log/host-1.log" || { cat "$RUN/log/host-1.log" >&2; die "a changed state is not refused"; }
stop guest
say "ok: $kills kills, the same bits"
