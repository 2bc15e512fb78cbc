#!/usr/bin/env bash
# kill -9 at any moment while keys and secrets are created, CYCLES times: whatever was acknowledged is there after the
# restart, and no item is partial.
. "$(dirname "$0")/kms.sh"
CYCLES=${CYCLES:-200}
run_begin test-kms-kill9
kms_setup
KMSD+=("${NO_RATES[@]}")
kms_start
kms policy put workload "$RUN/probe-policy.json" >/dev/null 2>&1
kms_stop
: >"$RUN/acked"

for ((i = 1; i <= CYCLES; i++)); do
    kms_start # checks every row, every sealed value and the audit chain before it listens
    kms_kill_hammered "$i"
    [ -t 1 ] && printf '\r   cycle %d of %d' "$i" "$CYCLES"
done

acked=$(wc -l <"$RUN/acked")
"$BIN/cczoo-kmsd" check --state "$RUN/kms" | tee "$RUN/check"
versions=$(sed -n 's/.*versions=\([0-9]*\).*/\1/p' "$RUN/check")
bindings=$(sed -n 's/.*bindings=\([0-9]*\).*/\1/p' "$RUN/check")
lines=$(sed -n 's/.*audit_lines=\([0-9]*\).*/\1/p' "$RUN/check")
# at most one item per cycle was on disk with its acknowledgement still on the way
((versions >= acked && versions <= acked + CYCLES)) || die "$acked acknowledged, $versions stored"
[ "$bindings" = "$versions" ] || die "$versions items, but $bindings of them are bound"
[ "$lines" = $((versions + 3)) ] || die "$versions items, but $((lines - 3)) audit lines tell of one" # and init, PutPolicy, audit-key
kms_start
probe verify <"$RUN/acked" # each has the value it was given
kms_stop
say "ok: $CYCLES cycles of kill -9, $acked acknowledged, $versions stored, none lost, none partial"
