#!/usr/bin/env bash
# kill -9 at any moment of changes that a counter follows, and of rekeys: the store always opens, strictly, with every value that was acknowledged.
. "$(dirname "$0")/kms.sh"
CYCLES=${CYCLES:-30}
run_begin test-kms-seal-kill9
mkdir "$RUN/elsewhere"
EPOCH=(--epoch "file:$RUN/elsewhere/counter")
kms_setup "${EPOCH[@]}"
kms_start
kms policy put workload "$RUN/probe-policy.json" >/dev/null 2>&1
kms_stop
: >"$RUN/acked"

step "changes"
for ((i = 1; i <= CYCLES; i++)); do
    KMSD=("${EPOCH[@]}" --epoch-lag $((i % 2))) # with and without
    kms_start
    kms_kill_hammered "$i"
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
KMSD=("${EPOCH[@]}")
kms_start
probe verify <"$RUN/acked" # each has the value it was given
kms_stop
say "ok: $(wc -l <"$RUN/acked") acknowledged and there; rekeys killed: $old left the old key, $new the new one"
