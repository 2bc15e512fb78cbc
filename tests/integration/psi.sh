# Sourced by the tests of cczoo psi: policies, and how programs end, also those in the background.
# shellcheck shell=bash
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"

# psi_begin NAME: a software TEE, EVIDENCE of it, and TRUST in it; MUTUAL is both and the policy good.json. other.json takes nobody.
psi_begin() {
    run_begin "$1"
    "$BIN/cczoo" sim init "$RUN/sim" 2>>"$RUN/log/setup.log"
    psi_policy good "$("$BIN/cczoo" sim measure "$BIN/cczoo")"
    psi_policy other "$(printf '%064d' 7)"
    TRUST=(--trust-sim "$RUN/sim/trust")
    EVIDENCE=(--tee sim-sgx --sim-dir "$RUN/sim")
    MUTUAL=("${TRUST[@]}" "${EVIDENCE[@]}" --policy "$RUN/good.json" --timeout 60)
}
psi_policy() { # NAME MRENCLAVE
    printf '{"version":1,"rules":[{"name":"psi","tee":"sgx","sim":true,"mrenclave":"%s"}]}\n' "$2" >"$RUN/$1.json"
}

start() { # as in lib.sh, but how it ends can be asked for
    local name=$1
    shift
    "$@" >"$RUN/log/$name.log" 2>&1 </dev/null &
    PIDS[$name]=$!
}
ended() { # NAME STATUS: the started one ends like that
    local got=0
    wait "${PIDS[$1]}" || got=$?
    unset "PIDS[$1]"
    [ "$got" = "$2" ] || { cat "$RUN/log/$1.log" >&2; die "$1 ended with $got, expected $2"; }
}
status() { # STATUS COMMAND...: it ends like that; what it says is in $RUN/out and $RUN/err
    local want=$1 got=0
    shift
    "$@" >"$RUN/out" 2>"$RUN/err" </dev/null || got=$?
    [ "$got" = "$want" ] || { cat "$RUN/out" "$RUN/err" >&2; die "status $got, expected $want: $*"; }
}
