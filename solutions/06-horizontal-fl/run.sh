#!/usr/bin/env bash
# Two or more attested workers train one TensorFlow model; their data stay with them. See README.md.
# usage: run.sh            image classification, 2 workers, half a minute
#        run.sh ten        10 workers with unequal data and a larger network (an hour on 2 cores; WORKERS, ROUNDS, EPOCHS, LIMIT_ROWS)
#        run.sh recommend  recommendation, 4 workers with their own users
. "$(dirname "$0")/parties.sh"
run_begin "$NAME"
story=${1:-images}
[ "$story" != images ] || record "$NAME" false # until the last line says otherwise

images() { # WORKERS SKEW LIMIT-OF-ROWS LIMIT-OF-TEST-ROWS
    printf '{"kind": "fashion-mnist", "dir": "%s", "parts": %d, "seed": 1, "limit": %d, "held_out_limit": %d, %s}' \
        "$IMAGES" "$1" "$3" "$4" "$2"
}

# Baselines with as many passes over the data: one who has everything, and members alone.
baselines() { # WORKER-CONFIG PARTS
    local n
    alone central central 0
    for n in $(seq 1 "$2"); do
        alone "alone-$n" alone "$((n - 1))"
        [ $((n % 2)) = 0 ] || continue
        finish "alone-$n" "alone-$((n - 1))"
    done
    finish central
}

compare() { # SERVER PARTS
    local n sum=0
    for n in $(seq 1 "$2"); do sum=$(awk -v a="$sum" -v b="$(accuracy "alone-$n")" 'BEGIN { print a + b }'); done
    ALONE=$(awk -v s="$sum" -v n="$2" 'BEGIN { printf "%.4f", s / n }')
    say "central training on all data:  $(accuracy central)"
    say "federated, data stay put:      $(accuracy "$1")"
    say "alone, mean of $2 members:      $ALONE"
}

# Three members twice: in the clear, and with updates that nobody can read, the server included.
secret_updates() {
    local n who names=(bank-1 bank-2 bank-3) rounds='"rounds": 4, "members_min": 3, "seed": 1, "samples_max": 10000, "train": {"batch": 32, "lr": 0.01}'
    builtin members "$(images 3 '"skew": "iid"' 1000 500)"
    first_model members
    roster "${names[@]}"
    for who in clear masked; do
        local server=() insists=() secagg=""
        [ "$who" = clear ] || server=(--roster "$RUN/roster.json") secagg=', "secagg": {"on": true, "range": 1}'
        training training "{$rounds$secagg}"
        PORT=0 start_server "$who" "${server[@]}"
        for n in 1 2 3; do
            [ "$who" = clear ] || insists=(--roster "$RUN/roster.json" --identity "$RUN/bank-$n.pem")
            start_worker "bank-$n" members "$((n - 1))" "${insists[@]}"
        done
        finish "$who" "${names[@]}"
        rm "$RUN"/log/bank-?.log
    done
    rounds masked
    say "the same training in the clear: accuracy $(accuracy clear)"
    awk -v a="$(accuracy clear)" -v b="$(accuracy masked)" 'BEGIN { exit !((a - b) ^ 2 < 1e-5) }' || die "the sums are others"
}

step "1 software TEE (SIMULATED), a network exported from Keras, its first weights"
make_platform
case $story in
    images)
        network "${NETWORK:-lenet}" # resnet8: as here, in three minutes
        skew='"skew": "dirichlet", "alpha": 0.3, "least": 100'
        workers=2
        data workers "$(images 2 "$skew" 2000 1000)"
        data alone "$(images 2 "$skew, \"whole_test\": true" 2000 2000)"
        data central "$(images 1 '"skew": "iid"' 4000 2000)"
        training training '{"rounds": 8, "members_min": 2, "seed": 1, "norm_max": 50,
            "train": {"epochs": 1, "batch": 32, "lr": 0.05, "momentum": 0.9}, "codec": {"kind": "f16"}}'
        ;;
    ten)
        network "${NETWORK:-resnet20}"
        skew='"skew": "dirichlet", "alpha": 0.5, "least": 10, "balanced": true'
        workers=${WORKERS:-10} LIMIT=36000
        data workers "$(images "$workers" "$skew" "${LIMIT_ROWS:-0}" 0)"
        data alone "$(images "$workers" "$skew, \"whole_test\": true" "${LIMIT_ROWS:-0}" 0)"
        data central "$(images 1 '"skew": "iid"' "$((${LIMIT_ROWS:-0} * workers))" 0)"
        training training "{\"rounds\": ${ROUNDS:-20}, \"members_min\": $workers, \"seed\": 1, \"norm_max\": 200,
            \"train\": {\"epochs\": ${EPOCHS:-1}, \"batch\": 64, \"lr\": 0.05, \"momentum\": 0.9}, \"codec\": {\"kind\": \"f16\"}}"
        ;;
    recommend)
        network "${NETWORK:-wide_deep}"
        workers=${WORKERS:-4}
        ratings=$("$ROOT/scripts/fetch-movielens")
        rows() { printf '{"kind": "movielens", "dir": "%s", "parts": %d, "seed": 1, "skew": "groups"}' "$ratings" "$1"; }
        data workers "$(rows "$workers")"
        data alone "$(rows "$workers")"
        data central "$(rows 1)"
        training training "{\"rounds\": ${ROUNDS:-6}, \"members_min\": $workers, \"seed\": 1,
            \"train\": {\"epochs\": 1, \"batch\": 128, \"lr\": 0.05}, \"codec\": {\"kind\": \"bf16\"}}"
        ;;
    *) die "usage: run.sh [images|ten|recommend]" ;;
esac
first_model workers
say "$(sed -n 's/.*"model": "\(.*\)",/\1/p' "$MODEL.json"): $(sed -n 's/.*"parameters": \([0-9]*\),.*/\1/p' "$MODEL.json") parameters"
say "a worker is measured as ${WORKER_ID:0:16}... (program, TensorFlow, graph), the server as ${SERVER_ID:0:16}..."

step "2 server and $workers workers verify each other; the server is killed in the middle, and goes on"
start_server server --state "$RUN/state" --seal "$RUN/server.seal" --model-out "$RUN/last.model"
names=()
for n in $(seq 1 "$workers"); do
    start_worker "worker-$n" workers "$((n - 1))"
    names+=("worker-$n")
done
until_round server 3
kill -KILL "${PIDS[server]}"
say "the server was killed with SIGKILL after round $(grep -c '^round' "$RUN/log/server.log")"
start_server server --state "$RUN/state" --seal "$RUN/server.seal" --model-out "$RUN/last.model"
finish server "${names[@]}"
rounds server
say "worker-1: $(grep -c accepted "$RUN/log/worker-1.log") updates accepted, $(grep '^round' "$RUN/log/worker-1.log" | tail -n 1 | grep -oE '[0-9]+ rows') of its own"

step "3 what it is worth"
baselines workers "$workers"
compare server "$workers"
"$BIN/cczoo" fl report --html "$RUN/report.html" "federated=$RUN/server.jsonl" >>"$RUN/log/setup.log" 2>&1 ||
    die "no report: $(tail -n 1 "$RUN/log/setup.log")"
say "curves: $(stat -c %s "$RUN/report.html") bytes of HTML; metrics for Prometheus: $(grep -c '^cczoo_fl' "$RUN/server.prom") series"
[ -z "${REPORT:-}" ] || cp "$RUN/report.html" "$REPORT"
awk -v f="$(accuracy server)" -v a="$ALONE" 'BEGIN { exit !(f > a) }' || die "training together was no better than alone"
if [ "$story" = images ]; then
    step "4 secure aggregation: members know each other's keys, and the server adds up what it cannot read"
    secret_updates
    record "$NAME" true
fi
say "ok: one model of all data, and no row left its worker"
