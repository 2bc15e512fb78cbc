# The parties of this solution, one function each; sourced by run.sh and break.sh.
# shellcheck shell=bash
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"

HERE=$ROOT/solutions/06-horizontal-fl
NAME=06-horizontal-fl
TF=$("$ROOT/scripts/fetch-tensorflow")     # prints the folder; fetches only the first time
MODELS=$("$ROOT/scripts/export-models")    # the same for the exported networks
IMAGES=${CCZOO_DATA:-/usr/share/datasets/fashion-mnist}
LIBRARY=$TF/libtensorflow_cc.so.2

# network NAME: what all members train. It is a program, so it is part of what a worker is measured by.
network() {
    MODEL=$MODELS/$1
    WORKER_ID=$("$BIN/cczoo" sim measure "$BIN/cczoo-fl-worker" "$TF/libtensorflow_framework.so.2" "$LIBRARY" "$MODEL/saved_model.pb")
    sed "s/@WORKER@/$WORKER_ID/" "$HERE/worker-policy.json" >"$RUN/worker-policy.json"
}

# The software TEE, and the policy of each side with the measurement of the other's program in it.
make_platform() {
    "$BIN/cczoo" sim init "$RUN/sim" 2>>"$RUN/log/setup.log"
    SERVER_ID=$("$BIN/cczoo" sim measure "$BIN/cczoo-fld")
    sed "s/@SERVER@/$SERVER_ID/" "$HERE/policy.json" >"$RUN/policy.json"
    head -c 32 /dev/urandom >"$RUN/server.seal"
    TEE=(--tee sim-sgx --sim-dir "$RUN/sim" --trust-sim "$RUN/sim/trust")
}

# data NAME JSON: a worker's configuration RUN/NAME.json, with this data.
data() {
    printf '{"trainer": "tensorflow", "library": "%s", "model": "%s", "data": %s}\n' "$LIBRARY" "$MODEL" "$2" >"$RUN/$1.json"
}

# builtin NAME JSON: a configuration for the built-in trainer, and its policy: without TensorFlow a worker is another program, measured as one.
builtin() {
    WORKER_ID=$("$BIN/cczoo" sim measure "$BIN/cczoo-fl-worker")
    sed "s/@WORKER@/$WORKER_ID/" "$HERE/worker-policy.json" >"$RUN/worker-policy.json"
    printf '{"trainer": "nn", "model": "softmax", "seed": 1, "data": %s}\n' "$2" >"$RUN/$1.json"
}

# roster NAME...: each worker makes its own signing key; what the others have to know of it comes together in RUN/roster.json.
roster() {
    local name entries=()
    for name in "$@"; do
        entries+=("$("$BIN/cczoo-fl-worker" --roster-entry --name "$name" --identity "$RUN/$name.pem" 2>>"$RUN/log/setup.log")")
    done
    (IFS=, && printf '{"members": [%s]}\n' "${entries[*]}") >"$RUN/roster.json"
}

# first_model NAME: what the server begins with: the weights that the network was exported with.
first_model() {
    "$BIN/cczoo-fl-worker" --config "$RUN/$1.json" --part 0 --init-out "$RUN/first.model" 2>>"$RUN/log/setup.log"
}

# training NAME JSON: the server's configuration RUN/NAME.json.
training() { printf '%s\n' "$2" >"$RUN/$1.json"; }

# start_server NAME [OPTIONS]: its address, kept when it comes again, is in SERVER.
start_server() {
    local name=$1
    shift
    rm -f "$RUN/server.port"
    start "$name" "$BIN/cczoo-fld" --config "$RUN/training.json" --model "$RUN/first.model" --listen "127.0.0.1:${PORT:-0}" \
        --port-file "$RUN/server.port" "${TEE[@]}" --policy "$RUN/worker-policy.json" --sign-key "$RUN/server.pem" \
        --log "$RUN/$name.jsonl" --prometheus "$RUN/$name.prom" --last-wait 600 "$@" # a member may be busy judging the last model
    wait_file "$name" "$RUN/server.port" 20
    PORT=$(cat "$RUN/server.port")
    SERVER=127.0.0.1:$PORT
}

# start_worker NAME CONFIG PART [OPTIONS]
start_worker() {
    local name=$1 config=$2 part=$3
    shift 3
    start "$name" "$BIN/cczoo-fl-worker" --config "$RUN/$config.json" --part "$part" --server "$SERVER" --name "$name" \
        "${TEE[@]}" --policy "$RUN/policy.json" --retry 60 "$@"
}

# alone NAME CONFIG PART: the same training without anybody else; its result is in RUN/log/NAME.log.
alone() { start "$1" "$BIN/cczoo-fl-worker" --config "$RUN/$2.json" --part "$3" --alone "$RUN/training.json"; }

# until_round NAME ROUND: until NAME has said that this round is over.
until_round() {
    local i
    for ((i = 0; i < 20 * ${LIMIT:-300}; i++)); do
        grep -q "^round $2 " "$RUN/log/$1.log" && return 0
        kill -0 "${PIDS[$1]}" 2>/dev/null || break
        sleep 0.05
    done
    tail -n 3 "$RUN/log/$1.log" >&2
    die "$1 did not reach round $2"
}

# rounds NAME: the lines of a server about its rounds and the end.
rounds() { grep -hE "^(round|members|resumed)" "$RUN/log/$1.log" | sed 's/^/   /'; }

# accuracy NAME: the last accuracy in a log.
accuracy() { grep -oE 'held-out rows: .*accuracy [0-9.]+' "$RUN/log/$1.log" | tail -n 1 | grep -oE '[0-9.]+$'; }
