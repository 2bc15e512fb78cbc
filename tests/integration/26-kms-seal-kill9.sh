#!/usr/bin/env bash
# kill -9 at any moment of changes that a counter follows, and of rekeys: the store always opens, strictly, with every value that was acknowledged.
. "$(dirname "$0")/kms.sh"
CYCLES=${CYCLES:-30}
run_begin test-kms-seal-kill9
mkdir "$RUN/elsewhere"
kms_setup
rm -rf "$RUN/kms"
EPOCH=(--epoch "file:$RUN/elsewhere/counter")
"$BIN/cczoo-kmsd" init --state "$RUN/kms" --admin-key "$RUN/admin.key" "${EPOCH[@]}" 2>>"$RUN/log/setup.log"
LAG=0
serve() {
    rm -f "$RUN/kms.port"
    "$BIN/cczoo-kmsd" run --state "$RUN/kms" --listen 127.0.0.1:0 --port-file "$RUN/kms.port" --tee sim-sgx --sim-dir "$RUN/sim" \
        --trust-sim "$RUN/sim/trust" "${EPOCH[@]}" --epoch-lag "$LAG" >>"$RUN/log/kms.log" 2>&1 </dev/null &
    PIDS[kms]=$!
    wait_file kms "$RUN/kms.port" 30
    KMS=127.0.0.1:$(cat "$RUN/kms.port")
}
serve
kms policy put workload "$RUN/probe-policy.json" >/dev/null 2>&1
kms_stop
: >"$RUN/acked"

step "changes"
for ((i = 1; i <= CYCLES; i++)); do
    LAG=$((i % 2)) # with and without
    serve
    : >"$RUN/new"
    hammer "c$i" 40 <"$RUN/acked" >>"$RUN/new" 2>"$RUN/err" &
    client=$!
    for ((w = 0; w < 400; w++)); do
        [ ! -s "$RUN/new" ] && kill -0 "$client" 2>/dev/null || break
        sleep 0.005
    done
    sleep "0.$(printf %03d $((i * 37 % 60)))"
    kill -KILL "${PIDS[kms]}"
    wait "${PIDS[kms]}" 2>/dev/null || true
    unset "PIDS[kms]"
    status=0
    wait "$client" || status=$?
    [ "$status" != 4 ] || { cat "$RUN/err" >&2; die "cycle $i"; }
    [ -s "$RUN/new" ] || { cat "$RUN/err" "$RUN/log/kms.log" >&2; die "cycle $i: nothing was acknowledged"; }
    cat "$RUN/new" >>"$RUN/acked"
done
"$BIN/cczoo-kmsd" check --state "$RUN/kms" "${EPOCH[@]}" >"$RUN/check"

step "rekeys"
old=0 new=0
key=$(sha256sum <"$RUN/kms/master.key")
started=$(date +%s%N)
"$BIN/cczoo-kmsd" rekey --state "$RUN/kms" "${EPOCH[@]}" --new-master-key "$RUN/kms/master.key" 2>/dev/null
took_us=$((($(date +%s%N) - started) / 1000)) # an undisturbed one
for ((i = 0; i < CYCLES; i++)); do
    was=$(sqlite3 "$RUN/kms/kms.sqlite" 'SELECT hex(key_check) FROM meta')
    "$BIN/cczoo-kmsd" rekey --state "$RUN/kms" "${EPOCH[@]}" --new-master-key "$RUN/kms/master.key" >/dev/null 2>&1 &
    rekey=$!
    sleep "$(printf '0.%06d' $((took_us * (CYCLES / 3 + i) / CYCLES % 1000000)))"
    kill -KILL $rekey 2>/dev/null || true
    wait $rekey 2>/dev/null || true
    "$BIN/cczoo-kmsd" check --state "$RUN/kms" "${EPOCH[@]}" >"$RUN/check" 2>"$RUN/err" || { cat "$RUN/err" >&2; die "rekey $i"; }
    if [ "$(sqlite3 "$RUN/kms/kms.sqlite" 'SELECT hex(key_check) FROM meta')" = "$was" ]; then old=$((old + 1)); else new=$((new + 1)); fi
done
[ "$(sha256sum <"$RUN/kms/master.key")" != "$key" ] || die "no rekey came through"
LAG=0
serve
probe verify <"$RUN/acked" # each has the value it was given
kms_stop
say "ok: $(wc -l <"$RUN/acked") acknowledged and there; rekeys killed: $old left the old key, $new the new one"
