# The parties of this solution, one function each; sourced by run.sh and break.sh.
# shellcheck shell=bash
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"

HERE=$ROOT/solutions/08-mpc-lr
NAME=08-mpc-lr
PATIENTS=$("$HERE/prepare.sh") # prints the file; fetches only the first time
PARTY=$BIN/cczoo-mpc

# The software TEE, and the policy with the measurement of the real program in it: hospitals and dealer run the same one.
make_platform() {
    "$BIN/cczoo" sim init "$RUN/sim" 2>>"$RUN/log/setup.log"
    MPC_ID=$("$BIN/cczoo" sim measure "$PARTY")
    sed "s/@MPC@/$MPC_ID/" "$HERE/policy.json" >"$RUN/policy.json"
    attested=(--tee sim-sgx --sim-dir "$RUN/sim" --trust-sim "$RUN/sim/trust" --policy "$RUN/policy.json")
}

# table OUT PART FIRST LAST LABELS SKIP STEP: columns FIRST to LAST (from 1) of the patients of PART (every fifth one is for the test), without
# every SKIP-th patient, in an order of its own.
table() {
    {
        printf id
        [ "$5" = 0 ] || printf ',y'
        for ((i = $3; i <= $4; i++)); do printf ',x%d' $((i - 1)); done
        echo
        awk -F, -v part="$2" -v first="$3" -v last="$4" -v labels="$5" -v skip="$6" -v step="$7" 'NR > 1 {
            n = NR - 1
            if (n % skip == 0 || (n % 5 == 0 ? "test" : "train") != part) next
            printf "%d\tp%03d", (n + skip) * step % 569, n
            if (labels) printf ",%s", $31
            for (i = first; i <= last; i++) printf ",%s", $i
            print ""
        }' "$PATIENTS" | sort -n | cut -f2
    } >"$1"
}

# Hospital A has the diagnosis and 15 measurements, B 15 others. Each lacks some patients of the other.
make_data() {
    for part in train test; do
        table "$RUN/a-$part.csv" $part 1 15 1 23 100
        table "$RUN/b-$part.csv" $part 16 30 0 29 211
    done
}

# hospital_a NAME OPTIONS..., hospital_b NAME OPTIONS...: A listens (PORT: at which port), its address is in ADDRESS.
hospital_a() {
    local name=$1
    shift
    rm -f "$RUN/$name.port"
    start "$name" "$PARTY" "$@" --listen "127.0.0.1:${PORT:-0}" --port-file "$RUN/$name.port"
    wait_file "$name" "$RUN/$name.port" 20
    ADDRESS=127.0.0.1:$(cat "$RUN/$name.port")
}
hospital_b() {
    local name=$1
    shift
    start "$name" "$PARTY" "$@" --connect "$ADDRESS"
}

# both WHAT COMMAND OPTIONS...: both hospitals, with their own files, to the end; logs a-WHAT and b-WHAT. OPTIONS_A, OPTIONS_B: further ones.
OPTIONS_A=() OPTIONS_B=()
both() {
    local what=$1 command=$2
    shift 2
    hospital_a "a-$what" "$command" "${attested[@]}" --data "$RUN/a-$DATA.csv" --label y "${OPTIONS_A[@]}" "$@"
    hospital_b "b-$what" "$command" "${attested[@]}" --data "$RUN/b-$DATA.csv" "${OPTIONS_B[@]}" "$@"
    finish "b-$what" "a-$what"
}

# told NAME PATTERN: lines that NAME printed.
told() { grep -E "$2" "$RUN/log/$1.log" | sed 's/^/   /'; }
