# The parties of this solution, one function each; sourced by run.sh and break.sh.
# shellcheck shell=bash
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"

HERE=$ROOT/solutions/05-paillier-lr
NAME=05-paillier-lr
PATIENTS=$("$HERE/prepare.sh") # prints the file; fetches only the first time

# The software TEE, and the policy with the measurement of the real program in it: everybody runs the same program.
make_platform() {
    "$BIN/cczoo" sim init "$RUN/sim" 2>>"$RUN/log/setup.log"
    FEDLR_ID=$("$BIN/cczoo" sim measure "$BIN/cczoo-fedlr")
    sed "s/@FEDLR@/$FEDLR_ID/" "$HERE/policy.json" >"$RUN/policy.json"
}

# Patients with a header and a name each, then cut up: rows for two workers, columns for guest and host.
make_data() {
    awk -F, 'NR == 1 { printf "id,y"; for (i = 0; i < 30; i++) printf ",x%d", i; print ""; next }
             { printf "p%03d,%s", NR - 1, $31; for (i = 1; i <= 30; i++) printf ",%s", $i; print "" }' \
        "$PATIENTS" >"$RUN/patients.csv"
    "$BIN/cczoo-fedlr" split --data "$RUN/patients.csv" --out "$RUN/data" --test 20 --seed 1 \
        --workers 2 --skew dirichlet --alpha 1 --hosts 1 --guest-cols 10
}

# make_key NAME BITS: the key and, in NAME.id, what others know it by.
make_key() {
    "$BIN/cczoo-fedlr" keygen --out "$RUN/$1.key" --bits "$2" >"$RUN/$1.id"
}

# party NAME ROLE OPTIONS...: one process, attested by the software TEE, which asks the others for evidence, too.
party() {
    local name=$1 role=$2
    shift 2
    start "$name" "$BIN/cczoo-fedlr" "$role" --tee sim-sgx --sim-dir "$RUN/sim" --trust-sim "$RUN/sim/trust" \
        --policy "$RUN/policy.json" --client-policy "$RUN/policy.json" "$@"
}

# server NAME ROLE OPTIONS...: likewise for one that listens; its address is in ADDRESS.
server() {
    rm -f "$RUN/$1.port"
    party "$@" --listen "127.0.0.1:${PORT:-0}" --port-file "$RUN/$1.port"
    wait_file "$1" "$RUN/$1.port" 20
    ADDRESS=127.0.0.1:$(cat "$RUN/$1.port")
}

# rounds NAME EVERY: some of the rounds that NAME told.
rounds() {
    awk -v every="$2" '/^round / { split($0, w, " "); if (w[2] == 1 || w[2] % every == 0) print "   " $0; next }
                       /^test rows|^done/ { print "   " $0 }' "$RUN/log/$1.log"
}
