# A KMS and model servers in the software TEE; sourced by the tests of cczoo-served. Made of the steps of solution 03.
# shellcheck shell=bash
TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
. "$TOP/scripts/lib.sh"
or_skip "TensorFlow" "$TOP/scripts/fetch-tensorflow" >/dev/null
or_skip "the trained model" "$TOP/scripts/train-model" >/dev/null
. "$TOP/solutions/03-tf-serving-cluster/cluster.sh"

# served_args: the options that every server needs, in ARGS.
served_args() {
    ARGS=(--listen 127.0.0.1:0 --model-name fashion-mnist --model-dir models/fashion-mnist
        --tensorflow "$TF/libtensorflow_cc.so.2" --tee sim-sgx --sim-dir "$RUN/sim"
        --trust-sim "$RUN/sim/trust" --kms "$KMS" --kms-policy "$RUN/kms-policy.json" --kms-key key/fashion-mnist)
}

# served_start NAME OPTION...: a server of its own name; its files are NAME.port and NAME.rest, its log NAME.log.
served_start() {
    local name=$1
    shift
    served_args
    rm -f "$RUN/$name.port" "$RUN/$name.rest"
    (cd "$RUN" && exec env TF_CPP_MIN_LOG_LEVEL=3 "$BIN/cczoo-served" "${ARGS[@]}" --port-file "$RUN/$name.port" \
        --rest-port-file "$RUN/$name.rest" --replica "$name" "$@") >>"$RUN/log/$name.log" 2>&1 </dev/null &
    started "$name"
    wait_file "$name" "$RUN/$name.port" 60
}

# served_fails STATUS PATTERN HINT OPTION...: a server that must end by itself, with this status and such lines.
served_fails() {
    local want=$1 pattern=$2 hint=$3 status=0 out
    shift 3
    served_args
    rm -f "$RUN/never.port"
    out=$(cd "$RUN" && timeout 60 "$BIN/cczoo-served" "${ARGS[@]}" --port-file "$RUN/never.port" "$@" 2>&1 </dev/null) || status=$?
    if [ "$status" != "$want" ] || ! grep -qE "^(error|refused): $pattern" <<<"$out" || ! grep -qE "^hint: .*$hint" <<<"$out"; then
        printf '%s\n' "$out" >&2
        die "expected exit status $want, '$pattern' and a hint like '$hint', got status $status"
    fi
    [ ! -e "$RUN/never.port" ] || die "a server that failed said it was ready"
    say "$(grep -E "^(error|refused): $pattern" <<<"$out" | cut -c1-110)"
}
