# The parties of this solution; sourced by run.sh and break.sh.
# shellcheck shell=bash
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"

HERE=$ROOT/solutions/04-he-lr-inference
NAME=04-he-lr-inference
DATA=$("$HERE/prepare.sh") # prints the folder; makes it only the first time

# A software TEE, and the policy with the measurement of the real server binary in it.
make_platform() {
    "$BIN/cczoo" sim init "$RUN/sim" 2>>"$RUN/log/setup.log"
    sed "s/@SERVER@/$("$BIN/cczoo" sim measure "$BIN/cczoo-he-serve")/" "$HERE/policy.json" >"$RUN/policy.json"
}

# serve NAME [OPTIONS]: a server; its address is then in ADDR_<NAME>.
serve() {
    rm -f "$RUN/$1.port"
    start "$1" "$BIN/cczoo-he-serve" --listen 127.0.0.1:0 --port-file "$RUN/$1.port" "${@:2}"
    wait_file "$1" "$RUN/$1.port" 20
    declare -g "ADDR_$1=127.0.0.1:$(cat "$RUN/$1.port")"
}

# Evidence of the software TEE; a server in a real one has another provider here.
ATTESTED=(--tee sim-sgx --sim-dir)

# score ADDRESS DATA [OPTIONS]: the client, which accepts the server of policy.json only.
score() {
    "$BIN/cczoo-he-score" --target "$1" --data "$DATA/$2.csv" --policy "$RUN/policy.json" \
        --trust-sim "$RUN/sim/trust" "${@:3}"
}
