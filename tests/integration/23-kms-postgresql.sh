#!/usr/bin/env bash
# The KMS on PostgreSQL: a private cluster on a unix socket; two daemons on one database, one of them killed.
. "$(dirname "$0")/kms.sh"
. "$(dirname "$0")/pg.sh"
pg_find
run_begin test-kms-postgresql
pg_begin
cat >"$RUN/restart" <<END
#!/bin/sh
cd / && exec ${as[*]} $pgbin/pg_ctl -D $PG/data -s -w -m immediate -l $PG/log -o '$PG_OPTIONS' restart >>$RUN/log/pg_ctl.log 2>&1 </dev/null
END
chmod +x "$RUN/restart"
export CCZ_TEST_PG_DIR=$PG CCZ_TEST_PG_RESTART=$RUN/restart CCZ_TEST_VECTORS=$ROOT/tests/vectors/kms/v2
export TMPDIR=${TMPDIR:-/tmp}

for c in ${CASES:-$("$BIN/kms-pg-cases" --list)}; do
    step "$c"
    "$BIN/kms-pg-cases" "$c" || die "$c"
done
[ -z "${CASES:-}" ] || exit 0

step "two daemons"
export PGHOST=$PG # only for psql
PSQL=(psql -X -q -A -t -p 5499 -U tester -d postgres -v ON_ERROR_STOP=1)
"${PSQL[@]}" -c 'DROP SCHEMA public CASCADE' -c 'CREATE SCHEMA public' 2>/dev/null
DB=(--database "host=$PG port=5499 user=tester dbname=postgres")
kms_setup "${DB[@]}"
KMSD+=("${NO_RATES[@]}")
kms_start
kms policy put workload "$RUN/probe-policy.json" >/dev/null 2>&1
kms_start_second
: >"$RUN/acked1"
: >"$RUN/acked2"
hammer one 60 </dev/null >"$RUN/acked1" 2>"$RUN/err1" &
h1=$!
(KMS=$SECOND; hammer two 100000 </dev/null >"$RUN/acked2" 2>"$RUN/err2") &
h2=$!
for ((w = 0; w < 2000; w++)); do [ "$(wc -l <"$RUN/acked2")" -lt 20 ] || break; sleep 0.01; done
kill -KILL "${PIDS[second]}"
wait "${PIDS[second]}" 2>/dev/null || true
unset "PIDS[second]"
wait "$h2" || true
wait "$h1" || die "the server that was left: $(cat "$RUN/err1")"
cat "$RUN/acked1" "$RUN/acked2" >"$RUN/acked"
probe verify <"$RUN/acked" # what either acknowledged, the other has
kms_start_second
(KMS=$SECOND; probe verify <"$RUN/acked")
"$BIN/cczoo-kmsd" check --state "$RUN/kms" "${DB[@]}" | tee "$RUN/check" # while both run
acked=$(wc -l <"$RUN/acked")
versions=$(sed -n 's/.*versions=\([0-9]*\).*/\1/p' "$RUN/check")
((versions >= acked && versions <= acked + 1)) || die "$acked acknowledged, $versions stored"
step "one audit log, whichever server is asked"
item=$(head -n 1 "$RUN/acked")
probe release "$item" --receipt "$RUN/receipts" >/dev/null
(KMS=$SECOND; probe release "$item" --receipt "$RUN/receipts") >/dev/null
kms audit keys >"$RUN/keys.pem" 2>/dev/null
(KMS=$SECOND; kms audit export "$RUN/export.jsonl") 2>/dev/null
"$BIN/cczoo" kms audit verify "$RUN/export.jsonl" --key "$RUN/keys.pem" --receipt "$RUN/receipts" | tee "$RUN/out"
grep -q '^accepted: 2 receipts$' "$RUN/out" || die "the receipts of two servers are not both in the log"
say "ok: $acked acknowledged by two servers, one of them killed; $versions stored, one chain"

step "another master key"
"$BIN/cczoo-kmsd" rekey --state "$RUN/kms" "${DB[@]}" --new-master-key "$RUN/kms/master.key" 2>>"$RUN/log/setup.log"
"$BIN/cczoo-kmsd" check --state "$RUN/kms" "${DB[@]}" >"$RUN/check"
! kms ls >"$RUN/out" 2>"$RUN/err" || die "a server went on under the old master key"
grep -q 'kms:master-key' "$RUN/err" || { cat "$RUN/err" >&2; die "not the reason"; }
kms_stop
kms_start
probe verify <"$RUN/acked"
say "ok: every row and value under the new one"

step "a rekey with a counter on each of two machines"
mkdir "$RUN/counters"
A=("${DB[@]}" --epoch "file:$RUN/counters/a")
B=("${DB[@]}" --epoch "file:$RUN/counters/b")
kms_stop
cp -a "$RUN/kms" "$RUN/kms2" # the folder of another machine
status 0 "$BIN/cczoo-kmsd" epoch --state "$RUN/kms" "${A[@]}" --accept-lost
status 0 "$BIN/cczoo-kmsd" epoch --state "$RUN/kms2" "${B[@]}" --accept-lost
status 0 "$BIN/cczoo-kmsd" check --state "$RUN/kms" "${A[@]}"
KMSD=("${A[@]}" --epoch-lag 3600)
kms_start
status 0 kms key create due --alg aes-256 --bind workload # to be counted when this one ends
was=$(sha256sum <"$RUN/counters/a")
status 0 "$BIN/cczoo-kmsd" rekey --state "$RUN/kms" "${A[@]}" --new-master-key "$RUN/kms/master.key"
counter=$(sha256sum <"$RUN/counters/a")
[ "$counter" != "$was" ] || die "the rekey counted nothing"
kms_stop # under the old key
[ "$(sha256sum <"$RUN/counters/a")" = "$counter" ] || die "a server under the old key took the counter back"
status 0 "$BIN/cczoo-kmsd" check --state "$RUN/kms" "${A[@]}"
status 1 "$BIN/cczoo-kmsd" check --state "$RUN/kms2" "${B[@]}"
has err 'kms:master-key'
cp "$RUN/kms/master.key" "$RUN/kms2/master.key"
status 0 "$BIN/cczoo-kmsd" check --state "$RUN/kms2" "${B[@]}"
status 0 "$BIN/cczoo-kmsd" epoch --state "$RUN/kms2" "${B[@]}"
has out '^accepted=nothing$'
status 0 "$BIN/cczoo-kmsd" check --state "$RUN/kms2" "${B[@]}"
KMSD=("${A[@]}")
kms_start
probe verify <"$RUN/acked"
status 0 kms ls
say "ok: each goes on from where it was"
