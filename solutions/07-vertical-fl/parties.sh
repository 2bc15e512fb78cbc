# The parties of this solution, one function each; sourced by run.sh and break.sh.
# shellcheck shell=bash
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"

HERE=$ROOT/solutions/07-vertical-fl
NAME=07-vertical-fl
DATA=${CCZOO_DATA:-/usr/share/datasets/fashion-mnist}
TF=$("$ROOT/scripts/fetch-tensorflow") # prints the folder; fetches only the first time
NETS=$("$ROOT/scripts/export-split")   # the same for the split networks
TF_LIBS=("$TF/libtensorflow_framework.so.2" "$TF/libtensorflow_cc.so.2")

# The software TEE, and the policy with the measurement of the real program in it: everybody runs the same program.
make_platform() {
    "$BIN/cczoo" sim init "$RUN/sim" 2>>"$RUN/log/setup.log"
    VFL_ID=$("$BIN/cczoo" sim measure "$BIN/cczoo-vfl" "${TF_LIBS[@]}")
    sed "s/@VFL@/$VFL_ID/" "$HERE/policy.json" >"$RUN/policy.json"
    head -c 32 /dev/urandom >"$RUN/leader.seal"
    head -c 32 /dev/urandom >"$RUN/follower.seal"
}

# make_images OPTIONS...: left halves and labels for the leader, right halves for the follower.
make_images() {
    "$BIN/cczoo-vfl" split --images "$DATA/train-images-idx3-ubyte.gz" --labels "$DATA/train-labels-idx1-ubyte.gz" \
        --test-images "$DATA/t10k-images-idx3-ubyte.gz" --test-labels "$DATA/t10k-labels-idx1-ubyte.gz" --out "$RUN/data" "$@"
}

# Both ask the other for evidence. What follows the role is up to the caller.
attested=()
make_attested() {
    attested=(--tee sim-sgx --sim-dir "$RUN/sim" --trust-sim "$RUN/sim/trust" --tensorflow "$TF/libtensorflow_cc.so.2")
}

# leader NAME NETWORK OPTIONS...: its address is in ADDRESS. PORT: the one to listen at, 0 = any.
leader() {
    local name=$1 net=$2
    shift 2
    rm -f "$RUN/$name.port"
    start "$name" "$BIN/cczoo-vfl" leader "${attested[@]}" --client-policy "$RUN/policy.json" --listen "127.0.0.1:${PORT:-0}" \
        --port-file "$RUN/$name.port" --data "$RUN/data/leader" --model "$NETS/$net/leader" "$@"
    wait_file "$name" "$RUN/$name.port" 60
    ADDRESS=127.0.0.1:$(cat "$RUN/$name.port")
}

# follower NAME NETWORK OPTIONS...: connects to ADDRESS.
follower() {
    local name=$1 net=$2
    shift 2
    start "$name" "$BIN/cczoo-vfl" follower "${attested[@]}" --policy "$RUN/policy.json" --leader "$ADDRESS" \
        --data "$RUN/data/follower-1" --model "$NETS/$net/follower-1" "$@"
}

# workers W NETWORK OPTIONS...: both parties with W workers each, leader-1 .. and follower-1 ..; each pair has its own channel, and
# the workers of a party have channels to its first one. The party's seal proves that they are of it.
workers() {
    local w=$1 net=$2 party k team
    shift 2
    for party in leader follower; do
        for ((k = 1; k <= w; k++)); do
            team=(--worker "$k/$w" --team-policy "$RUN/policy.json" --seal "$RUN/$party.seal")
            if ((k == 1)); then
                team+=(--team-listen 127.0.0.1:0 --team-port-file "$RUN/$party.team")
            else
                wait_file "$party-1" "$RUN/$party.team" 60
                team+=(--team "127.0.0.1:$(cat "$RUN/$party.team")")
            fi
            ADDRESS=127.0.0.1:$(cat "$RUN/leader-$k.port" 2>/dev/null || true)
            "$party" "$party-$k" "$net" "${team[@]}" "$@"
        done
    done
}

# told NAME: what a party printed, without what TensorFlow says.
told() { grep -E '^(train|test|epoch|done|  )' "$RUN/log/$1.log" | sed 's/^/   /'; }

# wait_line NAME PATTERN: until its log has such a line.
wait_line() {
    local i
    for ((i = 0; i < 1200; i++)); do
        grep -qE "$2" "$RUN/log/$1.log" 2>/dev/null && return 0
        kill -0 "${PIDS[$1]}" 2>/dev/null || break
        sleep 0.05
    done
    tail -n 3 "$RUN/log/$1.log" >&2
    die "$1 did not come to: $2"
}
