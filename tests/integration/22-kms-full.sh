#!/usr/bin/env bash
# The file system of the KMS fills up (a limit on file sizes stands for it): a clear refusal, nothing lost, and it goes on
# once there is room.
. "$(dirname "$0")/kms.sh"
run_begin test-kms-full
kms_setup
kms_start
kms policy put workload "$RUN/probe-policy.json" >/dev/null 2>&1
kms_stop

step "no room"
kms_start bash -c 'ulimit -f 1500; exec "$@"' limited # KiB
status=0
hammer full 100000 </dev/null >"$RUN/acked" 2>"$RUN/err" || status=$?
[ "$status" = 3 ] || { cat "$RUN/err" >&2; die "status $status, expected 3"; }
grep -q '^error: kms:store-full: ' "$RUN/err" || { cat "$RUN/err" >&2; die "not the reason"; }
grep -q '^hint: make room' "$RUN/err" || die "no hint"
tail -n 2 "$RUN/err"
acked=$(wc -l <"$RUN/acked")
[ "$acked" -gt 10 ] || die "only $acked items fitted"
kill -0 "${PIDS[kms]}" || die "the daemon did not survive"
first=$(head -n 1 "$RUN/acked")
for ((i = 0; i < 50; i++)); do # an audit line is smaller than an item: a few may still fit
    probe release "$first" >/dev/null 2>"$RUN/err" || break
done
((i < 50)) || die "values are released without an audit line"
grep -q 'kms:store-full' "$RUN/err" || { cat "$RUN/err" >&2; die "not the reason"; }
kms_stop

step "room again"
kms_start
probe verify <"$RUN/acked"
kms key create afterwards >/dev/null 2>&1
kms_stop
"$BIN/cczoo-kmsd" check --state "$RUN/kms"
say "ok: $acked items before it was full, all there afterwards"
