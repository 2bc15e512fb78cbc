#!/usr/bin/env bash
# Logistic regression on data of several parties, under Paillier encryption, in four protocols. See README.md.
. "$(dirname "$0")/parties.sh"
run_begin "$NAME"
record "$NAME" false # until the last line says otherwise

step "1 software TEE (SIMULATED), keys of 3072 bits, 569 patients cut up"
make_platform
make_key arbiter 3072
make_key workers 3072
head -c 32 /dev/urandom >"$RUN/host.seal"
make_data | sed 's/^/   /'

step "2 encrypted model: workers compute on it, the aggregator adds, only the arbiter has the key"
config=(--mode encrypted-model --parties 2 --rounds 20 --l2 0.001)
server aggregator aggregator "${config[@]}"
for n in 1 2; do
    party "worker-$n" worker "${config[@]}" --aggregator "$ADDRESS" --name "worker-$n" --data "$RUN/data/worker-$n.csv" \
        --key-id "$(cat "$RUN/arbiter.id")"
done
party arbiter arbiter "${config[@]}" --aggregator "$ADDRESS" --key "$RUN/arbiter.key" --test "$RUN/data/test.csv" \
    --model-out "$RUN/model.json"
finish arbiter worker-1 worker-2 aggregator
rounds arbiter 5
say "a worker's own time and traffic: $(grep '^round 20 ' "$RUN/log/worker-1.log" | sed 's/^round 20 of 20 *//')"

step "3 homogeneous: workers train in plain, hold the key, and see averages only; the aggregator has no key"
config=(--mode homo --parties 2 --rounds 10 --local-steps 20 --l2 0.001)
server aggregator aggregator "${config[@]}"
for n in 1 2; do
    party "homo-$n" worker "${config[@]}" --aggregator "$ADDRESS" --name "worker-$n" --data "$RUN/data/worker-$n.csv" \
        --key "$RUN/workers.key" --test "$RUN/data/test.csv"
done
finish homo-1 homo-2 aggregator
rounds homo-1 5

step "4 heterogeneous: guest has labels and 10 columns, host 20, an arbiter decrypts what it cannot read"
config=(--mode hetero --parties 1 --rounds 10 --batch 152 --eta 0.2 --momentum 0.5 --l2 0.01)
retry=(--retry 30)
server arbiter arbiter "${config[@]}" "${retry[@]}" --key "$RUN/arbiter.key"
arbiter=$ADDRESS
server guest guest "${config[@]}" "${retry[@]}" --arbiter "$arbiter" --data "$RUN/data/guest.csv" --test "$RUN/data/guest-test.csv" \
    --state "$RUN/guest.state" --seal "$RUN/host.seal"
guest=$ADDRESS
start_host() {
    party host host "${config[@]}" "${retry[@]}" --arbiter "$arbiter" --guest "$guest" --data "$RUN/data/host-1.csv" \
        --test "$RUN/data/host-1-test.csv" --state "$RUN/host.state" --seal "$RUN/host.seal"
}
start_host
for ((i = 0; i < 400; i++)); do # some rounds, then
    grep -q '^round 10 ' "$RUN/log/host.log" && break
    sleep 0.02
done
kill -KILL "${PIDS[host]}"
say "the host was killed with SIGKILL $(grep -c '^round' "$RUN/log/host.log") rounds into the training; it starts again"
rm -f "$RUN/log/host.log"
start_host
finish host guest arbiter
say "it went on with: $(grep -m 1 '^round' "$RUN/log/host.log" | cut -d' ' -f1-4)"
grep 'training loss' "$RUN/log/arbiter.log" | awk 'NR % 3 == 1 { print "   arbiter: " $0 }'
rounds guest 15

step "5 the same two without an arbiter, each with a key of its own"
make_key guest 3072
make_key host 3072
config=(--mode hetero-two --rounds 6 --batch 152 --eta 0.3 --momentum 0.5 --l2 0.01)
server guest-2 guest "${config[@]}" --data "$RUN/data/guest.csv" --test "$RUN/data/guest-test.csv" --key "$RUN/guest.key" --key-id "$(cat "$RUN/host.id")"
party host-2 host "${config[@]}" --guest "$ADDRESS" --data "$RUN/data/host-1.csv" --test "$RUN/data/host-1-test.csv" \
    --key "$RUN/host.key" --key-id "$(cat "$RUN/guest.id")"
finish host-2 guest-2
rounds guest-2 9

step "6 what the optimisations do: one heterogeneous epoch, 2048 bits, three parties in one process"
"$BIN/cczoo-fedlr" keygen --out "$RUN/table.key" --bits 2048 >/dev/null
table() {
    "$BIN/cczoo-fedlr" table --data "$RUN/patients.csv" --guest-cols 10 --key "$RUN/table.key" --optimize "$1" --rows "$2" --for 569
}
for what in none djn pack ifma; do table $what 24; done >"$RUN/table.txt" # all rows would take a minute
table all 569 >>"$RUN/table.txt"
sed 's/^/   /' "$RUN/table.txt"
say "$(awk '{ s[$1] = $2; b[$1] = $4 }
    END { printf "all: %.0f times the speed of none, %.1f times fewer bytes", s["none"] / s["all"], b["none"] / b["all"] }' "$RUN/table.txt")"
record "$NAME" true
say "ok: four protocols, and nobody but its owner had a row, a label or a weight in clear"
