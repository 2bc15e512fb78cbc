#!/usr/bin/env bash
# Seven attacks that must be refused, each with its reason. See README.md, "Break it".
. "$(dirname "$0")/parties.sh"
run_begin "$NAME-break"

# The built-in trainer will do: attestation and aggregation are the same, and it needs a second where TensorFlow needs ten.
# A worker without TensorFlow is another program, so it is measured as one.
make_platform
WORKER_ID=$("$BIN/cczoo" sim measure "$BIN/cczoo-fl-worker")
LIAR_ID=$("$BIN/cczoo" sim measure "$BIN/cczoo-fl-attack")
sed "s/@WORKER@/$WORKER_ID/" "$HERE/worker-policy.json" >"$RUN/honest-policy.json"
sed "s/@WORKER@/$LIAR_ID/" "$HERE/worker-policy.json" >"$RUN/liar-policy.json"
python3 - "$RUN" <<'PYTHON'
import json, sys
both = [json.load(open(f"{sys.argv[1]}/{who}-policy.json")) for who in ("honest", "liar")]
both[0]["rules"] += [dict(r, name="a worker with a hole") for r in both[1]["rules"]]
json.dump(both[0], open(f"{sys.argv[1]}/both-policy.json", "w"))
PYTHON
printf '{"trainer": "nn", "model": "softmax", "seed": 1, "data": {"kind": "fashion-mnist", "dir": "%s", "parts": 4, "seed": 1, "limit": 2000, "held_out_limit": 500}}\n' \
    "$IMAGES" >"$RUN/workers.json"
first_model workers
flip() { # PROGRAM: a copy of it with one byte changed, in RUN
    cp "$BIN/$1" "$RUN/$1"
    chmod u+wx "$RUN/$1"
    "$ROOT/scripts/flip-byte" "$RUN/$1" "$(grep -abo "$1" "$RUN/$1" | head -n 1 | cut -d: -f1)"
}
worker() { # PROGRAM: one that must not get in
    "$1" --config "$RUN/workers.json" --part 0 --server "$SERVER" --name worker-1 --sim-dir "$RUN/sim" \
        --trust-sim "$RUN/sim/trust" --policy "$RUN/policy.json" "${EVIDENCE[@]}"
}
liar() { # ATTACK NAME SIZE
    "$BIN/cczoo-fl-attack" --attack "$1" --server "$SERVER" --name "$2" --model "$RUN/first.model" --size "$3" \
        --sim-dir "$RUN/sim" --trust-sim "$RUN/sim/trust" --policy "$RUN/policy.json"
}
train='"train": {"epochs": 1, "batch": 32, "lr": 0.01}'

step "(a) a worker program with one byte changed"
cp "$RUN/honest-policy.json" "$RUN/worker-policy.json"
training training "{\"rounds\": 2, \"members_min\": 1, $train}"
start_server server --state "$RUN/state" --seal "$RUN/server.seal"
flip cczoo-fl-worker
EVIDENCE=(--tee sim-sgx)
expect_refusal '.*policy:mrenclave: ' worker "$RUN/cczoo-fl-worker" | sed 's/^/   /'

step "(b) a worker without evidence"
EVIDENCE=()
expect_refusal '.*ratls:no-evidence: ' worker "$BIN/cczoo-fl-worker" | sed 's/^/   /'

step "(c) a checkpoint that was tampered with"
start_worker worker-1 workers 0
finish worker-1 server
state=$(find "$RUN/state" -name '*.ccz' | sort | tail -n 1)
"$ROOT/scripts/flip-byte" "$state" 5000
resume() {
    "$BIN/cczoo-fld" --config "$RUN/training.json" --model "$RUN/first.model" --listen 127.0.0.1:0 "${TEE[@]}" \
        --policy "$RUN/worker-policy.json" --sign-key "$RUN/server.pem" --state "$RUN/state" --seal "$RUN/server.seal"
}
expect_refusal 'fl:checkpoint-seal: ' resume | sed 's/^/   /'

step "(d) poisoned updates of a member that was let in: against the bound, then against a robust rule"
cp "$RUN/liar-policy.json" "$RUN/worker-policy.json"
training training "{\"rounds\": 2, \"members_min\": 1, \"norm_max\": 10, \"attempts\": 1, $train}"
PORT=0 start_server bounded
expect_refusal 'fl:norm-bound: ' liar poison worker-1 100 | sed 's/^/   /'
stop bounded
cp "$RUN/both-policy.json" "$RUN/worker-policy.json"
for rule in mean median; do # without a bound, three honest members and one liar
    training training "{\"rounds\": 4, \"members_min\": 4, $train, \"aggregate\": {\"rule\": \"$rule\"}}"
    PORT=0 start_server "$rule"
    for n in 1 2 3; do start_worker "$rule-$n" workers "$n"; done
    liar poison liar 1 >>"$RUN/log/liar.log" 2>&1
    finish "$rule-1" "$rule-2" "$rule-3" "$rule"
done
say "one liar of four, accuracy of the others: by the mean $(accuracy mean), by the median $(accuracy median)"
awk -v bad="$(accuracy mean)" -v good="$(accuracy median)" 'BEGIN { exit !(good > 0.6 && good > bad + 0.1) }' ||
    die "the median should have kept the liar out"

step "(e) an update of an older round, sent again"
cp "$RUN/liar-policy.json" "$RUN/worker-policy.json"
training training "{\"rounds\": 9, \"members_min\": 1, $train}"
PORT=0 start_server replayed
expect_refusal 'fl:stale-update: ' liar replay worker-1 0.001 | sed 's/^/   /'
stop replayed

step "(f) a server program with one byte changed, refused by a worker"
cp "$RUN/honest-policy.json" "$RUN/worker-policy.json"
training training "{\"rounds\": 1, \"members_min\": 1, $train}"
flip cczoo-fld
real=$BIN
mkdir "$RUN/bin"
ln -s "$RUN/cczoo-fld" "$RUN/bin/cczoo-fld"
BIN=$RUN/bin PORT=0 start_server impostor
BIN=$real
EVIDENCE=(--tee sim-sgx)
expect_refusal 'policy:mrenclave: ' worker "$BIN/cczoo-fl-worker" | sed 's/^/   /'

step "(g) a server that wants single updates: asks for one in the clear; then vouches for the members' keys itself"
roster worker-1 worker-2 worker-3
EVIDENCE=(--tee sim-sgx --roster "$RUN/roster.json" --identity "$RUN/worker-1.pem")
PORT=0 start_server clear
expect_refusal 'fl:not-private: ' worker "$BIN/cczoo-fl-worker" | sed 's/^/   /'
stop clear
training training "{\"rounds\": 1, \"members_min\": 3, \"samples_max\": 10000, $train, \"secagg\": {\"on\": true, \"range\": 1}}"
PORT=0 start_server relay
for n in 2 3; do start_worker "worker-$n" workers "$((n - 1))"; done
expect_refusal 'fl:plan-roster: ' worker "$BIN/cczoo-fl-worker" | sed 's/^/   /'

say "ok: seven attacks, seven refusals"
