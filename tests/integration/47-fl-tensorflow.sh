#!/usr/bin/env bash
# A worker is measured with its model's graph. A TensorFlow training whose server and whose worker are killed ends with the very bits of one that ran in peace.
cache=${CCZOO_CACHE:-$HOME/.cache/cczoo}
for need in "$cache"/tensorflow-*/lib "$cache"/models/federated-* /usr/share/datasets/fashion-mnist; do
    [ -d "$need" ] || {
        echo "skipped: TensorFlow, the exported networks or the images are missing (solutions/06-horizontal-fl/prepare.sh)"
        exit 77
    }
done
. "$(dirname "$0")/../../solutions/06-horizontal-fl/parties.sh"
run_begin test-fl-tensorflow
make_platform
network lenet
data workers "$(printf '{"kind": "fashion-mnist", "dir": "%s", "parts": 2, "seed": 1, "skew": "dirichlet", "alpha": 0.5, "limit": 300, "held_out_limit": 100}' "$IMAGES")"
training training '{"rounds": 14, "members_min": 2, "seed": 7, "train": {"epochs": 1, "batch": 16, "lr": 0.02, "momentum": 0.9},
    "aggregate": {"optimizer": "fedadam", "lr": 0.01}, "codec": {"kind": "int8"}}'
first_model workers

workers() { # RUN: both, each with a state of its own, which int8 needs
    local n
    for n in 1 2; do
        head -c 32 /dev/urandom >"$RUN/$1-$n.seal"
        start_worker "$1-$n" workers "$((n - 1))" --name "worker-$n" --state "$RUN/$1-$n.state" --seal "$RUN/$1-$n.seal"
    done
}
digest() { # RUN: of its last model
    python3 -c 'import json, sys; r = [json.loads(l) for l in open(sys.argv[1])][-1]; assert r["round"] == 14, r; print(r["digest"])' "$RUN/$1.jsonl"
}

step "another graph in the same worker program"
start_server guarded
policy=$(cat "$RUN/worker-policy.json")
network resnet8 # writes the policy of workers anew, but the server has read its own
data others "$(printf '{"kind": "fashion-mnist", "dir": "%s", "limit": 10}' "$IMAGES")"
printf '%s\n' "$policy" >"$RUN/worker-policy.json"
other() {
    "$BIN/cczoo-fl-worker" --config "$RUN/others.json" --server "$SERVER" --name worker-1 "${TEE[@]}" --policy "$RUN/policy.json"
}
expect_refusal 'peer:policy:mrenclave: ' other
stop guarded
PORT=0

step "in peace"
start_server peace --state "$RUN/peace.state" --seal "$RUN/server.seal"
workers peace
finish peace-1 peace-2 peace

step "with deaths"
PORT=0
start_server deaths --state "$RUN/deaths.state" --seal "$RUN/server.seal"
workers deaths
until_round deaths 2
kill -KILL "${PIDS[deaths]}"
start_server deaths --state "$RUN/deaths.state" --seal "$RUN/server.seal"
until_round deaths 3
kill -KILL "${PIDS[deaths-2]}"
start_worker deaths-2 workers 1 --name worker-2 --state "$RUN/deaths-2.state" --seal "$RUN/deaths-2.seal"
finish deaths-1 deaths-2 deaths
grep -q '^resumed behind round' "$RUN/log/deaths.log" || die "the server did not resume"

peace=$(digest peace) deaths=$(digest deaths)
say "$peace in peace"
say "$deaths with deaths"
[ "$peace" = "$deaths" ] || die "the models differ"
