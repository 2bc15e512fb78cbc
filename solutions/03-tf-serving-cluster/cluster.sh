# The cluster of this solution, step by step; sourced by run.sh and break.sh.
# shellcheck shell=bash
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"

HERE=$ROOT/solutions/03-tf-serving-cluster
NAME=03-tf-serving-cluster
DATA=${CCZOO_DATA:-/usr/share/datasets/fashion-mnist}
TF=$("$ROOT/scripts/fetch-tensorflow")  # prints the folder; fetches only the first time
MODEL=$("$ROOT/scripts/train-model")    # the same for the trained model
TF_LIBS=("$TF/libtensorflow_framework.so.2" "$TF/libtensorflow_cc.so.2")

# What every party needs: the software TEE, and policies with the measurements of the real binaries in them.
make_platform() {
    "$BIN/cczoo" sim init "$RUN/sim" 2>>"$RUN/log/setup.log"
    SERVER_ID=$("$BIN/cczoo" sim measure "$BIN/cczoo-served" "${TF_LIBS[@]}")
    KMS_ID=$("$BIN/cczoo" sim measure "$BIN/cczoo-kmsd")
    sed "s/@MODEL_SERVER@/$SERVER_ID/" "$HERE/policy.json" >"$RUN/policy.json"
    sed "s/@KMS@/$KMS_ID/" "$HERE/kms-policy.json" >"$RUN/kms-policy.json"
}

start_kms() {
    "$BIN/cczoo-kmsd" init --state "$RUN/kms" --admin-key "$RUN/admin.key" 2>>"$RUN/log/setup.log"
    start kms "$BIN/cczoo-kmsd" run --state "$RUN/kms" --listen 127.0.0.1:0 --port-file "$RUN/kms.port" \
        --tee sim-sgx --sim-dir "$RUN/sim" --trust-sim "$RUN/sim/trust"
    wait_file kms "$RUN/kms.port" 20
    KMS=127.0.0.1:$(cat "$RUN/kms.port")
}

# The administrator's side of the KMS: verifies its evidence by kms-policy.json before anything is sent.
kms() {
    "$BIN/cczoo" kms "$@" --kms "$KMS" --admin-key "$RUN/admin.key" --trust-sim "$RUN/sim/trust" \
        --policy "$RUN/kms-policy.json" 2>>"$RUN/log/admin.log"
}

# The owner's steps: key, encrypted model, policy, key into the KMS.
protect_model() {
    "$BIN/cczoo" pf keygen "$RUN/model.key" 2>>"$RUN/log/setup.log"
    mkdir -p "$RUN/models"
    (cd "$RUN" && "$BIN/cczoo" pf encrypt --key model.key "$MODEL/1" models/fashion-mnist 2>>"$RUN/log/setup.log")
    kms policy put model-server "$RUN/policy.json" >/dev/null
    kms key import fashion-mnist --alg aes-128 --from "$RUN/model.key" --bind model-server >/dev/null
    rm "$RUN/model.key" # only the KMS has it now
}

# start_server N [PROGRAM]: one model server; it attests to the KMS, gets the key, loads the model, listens.
start_server() {
    local program=${2:-$BIN/cczoo-served} port=0
    rm -f "$RUN/server-$1.port"
    [ ! -s "$RUN/server-$1.fixed" ] || port=$(cat "$RUN/server-$1.fixed")
    (cd "$RUN" && exec "$program" --listen "127.0.0.1:$port" --port-file "$RUN/server-$1.port" \
        --rest 127.0.0.1:0 --rest-port-file "$RUN/server-$1.rest" --model-name fashion-mnist --model-dir models/fashion-mnist --threads 1 --replica "server-$1" \
        --tensorflow "$TF/libtensorflow_cc.so.2" --tee sim-sgx --sim-dir "$RUN/sim" \
        --trust-sim "$RUN/sim/trust" --kms "$KMS" --kms-policy "$RUN/kms-policy.json" --kms-key key/fashion-mnist) \
        >>"$RUN/log/server-$1.log" 2>&1 </dev/null &
    started "server-$1"
}

wait_server() {
    wait_file "server-$1" "$RUN/server-$1.port" 60
    cp "$RUN/server-$1.port" "$RUN/server-$1.fixed" # a restarted server keeps its address
}

# nginx passes bytes: TLS ends in the servers, not here.
start_balancer() {
    local n upstream=""
    for n in 1 2 3; do
        upstream+="server 127.0.0.1:$(cat "$RUN/server-$n.port") max_fails=1 fail_timeout=1s; "
    done
    BALANCER=127.0.0.1:$("$ROOT/scripts/free-port")
    sed -e "s|@RUN@|$RUN|g" -e "s|@LISTEN@|$BALANCER|" -e "s|@UPSTREAM@|$upstream|" "$HERE/nginx.conf" >"$RUN/nginx.conf"
    start balancer nginx -p "$RUN" -c "$RUN/nginx.conf" -e "$RUN/log/nginx-error.log"
    local i
    for ((i = 0; i < 100; i++)); do
        (exec 3<>"/dev/tcp/${BALANCER/://}") 2>/dev/null && return 0
        sleep 0.05
    done
    die "nginx did not start: $(tail -n 1 "$RUN/log/nginx-error.log")"
}

# The first of the 10,000 test images: 784 bytes behind the 16 of the header.
first_image() {
    (set +o pipefail; gzip -dc "$DATA/t10k-images-idx3-ubyte.gz" 2>/dev/null | head -c 800 | tail -c 784)
}

# infer TARGET [OPTIONS]: the client; verifies the server by policy.json before it sends an image.
infer() {
    "$BIN/cczoo" infer --target "$1" --policy "$RUN/policy.json" --trust-sim "$RUN/sim/trust" --model fashion-mnist \
        --images "$DATA/t10k-images-idx3-ubyte.gz" --labels "$DATA/t10k-labels-idx1-ubyte.gz" "${@:2}"
}
