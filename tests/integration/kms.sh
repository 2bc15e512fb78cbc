# A KMS in the software TEE with an administrator and a workload (kms-probe); sourced by the tests of the KMS.
# shellcheck shell=bash
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"

# policy_for FILE PROGRAM: a policy that accepts this program in the software TEE.
policy_for() {
    printf '{"version":1,"rules":[{"name":"program","tee":"sgx","sim":true,"mrenclave":"%s","tcb_status":["UpToDate"]}]}\n' \
        "$("$BIN/cczoo" sim measure "$2")" >"$1"
}

# kms_setup [OPTION...]: further options go to every command of the daemon.
KMSD=()
NO_RATES=(--rpc-rate 1000000 --rpc-total-rate 1000000) # for tests in which one principal calls as fast as it can
kms_setup() {
    KMSD=("$@")
    "$BIN/cczoo" sim init "$RUN/sim" 2>>"$RUN/log/setup.log"
    policy_for "$RUN/kms-policy.json" "$BIN/cczoo-kmsd"
    policy_for "$RUN/probe-policy.json" "$BIN/kms-probe"
    "$BIN/cczoo-kmsd" init --state "$RUN/kms" --admin-key "$RUN/admin.key" "${KMSD[@]}" 2>>"$RUN/log/setup.log"
}

# kms_start [WRAPPER...]: starts the daemon, sets KMS to its address.
kms_start() {
    rm -f "$RUN/kms.port"
    # not start: its processes are disowned, and the exit status of this one matters
    "$@" "$BIN/cczoo-kmsd" run --state "$RUN/kms" --listen 127.0.0.1:0 --port-file "$RUN/kms.port" --tee sim-sgx \
        --sim-dir "$RUN/sim" --trust-sim "$RUN/sim/trust" "${KMSD[@]}" >>"$RUN/log/kms.log" 2>&1 </dev/null &
    PIDS[kms]=$!
    wait_file kms "$RUN/kms.port" 30
    KMS=127.0.0.1:$(cat "$RUN/kms.port")
}

# kms_start_second: another one on the same store; sets SECOND to its address.
kms_start_second() {
    rm -f "$RUN/second.port"
    "$BIN/cczoo-kmsd" run --state "$RUN/kms" --listen 127.0.0.1:0 --port-file "$RUN/second.port" --tee sim-sgx \
        --sim-dir "$RUN/sim" --trust-sim "$RUN/sim/trust" "${KMSD[@]}" >>"$RUN/log/second.log" 2>&1 </dev/null &
    PIDS[second]=$!
    wait_file second "$RUN/second.port" 30
    SECOND=127.0.0.1:$(cat "$RUN/second.port")
}

# kms_stop: SIGTERM, which must end it in order.
kms_stop() {
    local status=0
    kill -TERM "${PIDS[kms]}"
    wait "${PIDS[kms]}" || status=$?
    unset "PIDS[kms]"
    [ "$status" = 0 ] || { tail -n 20 "$RUN/log/kms.log" >&2; die "cczoo-kmsd ended with status $status"; }
}

REACH=() # set by reach: how clients find and judge the KMS
reach() { REACH=(--kms "$KMS" --policy "$RUN/kms-policy.json" --trust-sim "$RUN/sim/trust"); }

# kms VERB...: the command line as the administrator.
kms() {
    reach
    "$BIN/cczoo" kms "$@" "${REACH[@]}" --admin-key "${ADMIN_KEY:-$RUN/admin.key}"
}

# probe COMMAND...: an attested workload.
probe() {
    reach
    "$BIN/kms-probe" "$@" "${REACH[@]}" --sim-dir "$RUN/sim"
}

# hammer PREFIX COUNT: stores items as the administrator; see kms_probe.c.
hammer() {
    reach
    "$BIN/kms-probe" hammer "$@" "${REACH[@]}" --admin-key "$RUN/admin.key" --bind workload
}

# kms_kill_hammered I: kill -9 of the daemon while items are stored: as soon as one was acknowledged, then at another moment in each cycle I.
# Those that were acknowledged are added to RUN/acked.
kms_kill_hammered() {
    local i=$1 client w status=0
    : >"$RUN/new"
    hammer "c$i" 40 <"$RUN/acked" >>"$RUN/new" 2>"$RUN/err" &
    client=$!
    for ((w = 0; w < 6000; w++)); do
        [ ! -s "$RUN/new" ] && kill -0 "$client" 2>/dev/null || break
        sleep 0.005
    done
    sleep "0.$(printf %03d $((i * 37 % 60)))"
    kill -KILL "${PIDS[kms]}"
    wait "${PIDS[kms]}" 2>/dev/null || true
    unset "PIDS[kms]"
    wait "$client" || status=$?
    [ "$status" != 4 ] || { cat "$RUN/err" >&2; die "cycle $i"; }
    [ -s "$RUN/new" ] || { cat "$RUN/err" "$RUN/log/kms.log" >&2; die "cycle $i: nothing was acknowledged"; }
    cat "$RUN/new" >>"$RUN/acked"
}
