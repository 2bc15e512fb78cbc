#!/usr/bin/env bash
# cczoo kms doctor: nothing to do, and then one thing after the other that it has to find, with what to do and the exit status.
. "$(dirname "$0")/kms.sh"
run_begin test-kms-doctor
mkdir "$RUN/elsewhere"
in_days() { date -u -d "@$(($(date +%s) + $1 * 86400))" +%Y-%m-%dT%H:%M:%SZ; }
doctor() {
    reach
    "$BIN/cczoo" kms doctor "${REACH[@]}" --admin-key "${ADMIN_KEY:-$RUN/admin.key}" "$@"
}
# finds LEVEL CHECK TEXT: a finding of the last run, with what to do below it unless it is ok or a note.
finds() {
    grep -qE "^$1 +$2 +$3" "$RUN/out" || { cat "$RUN/out" "$RUN/err" >&2; die "no finding '$1 $2 $3'"; }
    case $1 in ok | note) return ;; esac
    grep -E -A1 "^$1 +$2 +$3" "$RUN/out" | grep -q '^  *-> [a-zA-Z]' || die "it does not say what to do about '$2 $3'"
}
finds_not() { ! grep -qE "^$1 +$2" "$RUN/out" || { cat "$RUN/out" >&2; die "it finds '$1 $2'"; }; }
put() { printf x | kms secret put "$@" --from - >/dev/null 2>>"$RUN/log/setup.log"; }

step "well, but for what was never set up"
kms_setup
kms_start
status 2 "$BIN/cczoo" kms doctor
status 2 doctor --days 0
status 1 doctor
finds ok reach "$KMS answers"
finds ok evidence 'sgx [0-9a-f]{16}\.\., UpToDate, made for this connection'
finds note evidence SIMULATED
finds note instance '[0-9a-f]{32}; not compared'
finds ok collateral 'that it judges workloads by: (29|30) days left'
finds ok clock 'the KMS is 0 s'
finds ok audit '[0-9]+ lines, the last [0-9]+ continue'
finds ok items 'all are bound'
finds ok grace 'no grace or reference value of 0 workloads'
finds ok approvals 'no proposal waits'
finds note roles 'one author alone'
finds note roles 'one key alone'
finds warn counter 'none: an older copy'
id=$(sed -nE 's/^note +instance +([0-9a-f]{32});.*/\1/p' "$RUN/out")

step "well"
kms_stop
rm -rf "$RUN/kms"
kms_setup_counted() { "$BIN/cczoo-kmsd" init --state "$RUN/kms" --admin-key "$RUN/admin.key" --epoch "file:$RUN/elsewhere/counter" 2>>"$RUN/log/setup.log"; }
kms_setup_counted
KMSD=(--epoch "file:$RUN/elsewhere/counter")
kms_start
status 0 doctor
finds ok counter 'a counter outside'
finds ok quotas 'no namespace was seen with more than 0 %'
finds_not warn .
status 1 doctor --kms-id "$id"
finds bad instance "kms:instance: [0-9a-f]{32} / $id"
id=$(sed -nE 's/^bad +instance +kms:instance: ([0-9a-f]{32}) .*/\1/p' "$RUN/out")
status 0 doctor --kms-id "$(tr a-f A-F <<<"$id")"
finds ok instance "$id"
status 2 doctor --kms-id abc
has err 'kms:instance-id'
status 0 doctor --kms-id "$id" --json
python3 - "$RUN/out" <<'PY'
import json, sys
found = [json.loads(line) for line in open(sys.argv[1])]
assert {f["level"] for f in found} <= {"ok", "note"} and all(set(f) == {"level", "check", "what", "do"} for f in found), found
assert any(f["check"] == "instance" and f["level"] == "ok" for f in found)
PY
status 0 kms status
has out '^a counter outside of the store follows it$'

step "items"
put unbound
put unbound-too
kms policy put workload "$RUN/probe-policy.json" >/dev/null 2>>"$RUN/log/setup.log"
put expiring --bind workload --expires "$(in_days 10)"
put later --bind workload --expires "$(in_days 90)"
put off --bind workload
put gone --bind workload
kms disable secret/off >/dev/null 2>&1
kms rm secret/gone >/dev/null 2>&1
kms key create seal --alg aes-256-gcm --bind workload --unattested-insecure --expires "$(in_days 5)" >/dev/null 2>&1
status 1 doctor
finds warn items 'secret/unbound is bound to no policy'
finds warn items 'secret/expiring expires at 2'
finds note items 'secret/off is disabled'
finds note items 'secret/gone is deleted; may be destroyed from 2'
finds warn keys 'key/seal makes nothing new from 2'
finds note keys 'key/seal is used by clients without evidence'
! grep -q 'key/seal is bound to no policy\|key/seal expires' "$RUN/out" || die "it is found twice"
kms key create idle --alg hmac-sha256 >/dev/null 2>&1
status 1 doctor
finds warn keys 'key/idle is bound to no policy'
kms key bind idle hmac workload >/dev/null 2>&1
status 1 doctor
! grep -q 'key/idle' "$RUN/out" || die "it is bound for one operation"
! grep -q 'secret/later' "$RUN/out" || die "90 days are not within 30"
finds_not ok items
status 1 doctor --days 100
finds warn items 'secret/later expires'
for ((i = 0; i < 12; i++)); do put "many/$i"; done
status 1 doctor
finds note items '4 more are bound to no policy'

step "a grace that ends"
python3 - "$RUN" "$(in_days 10)" <<'PY'
import json, sys
run, until = sys.argv[1:]
policy = json.load(open(f"{run}/probe-policy.json"))
policy["rules"][0].update(tcb_status=["SWHardeningNeeded"], grace={"until": until, "tcb_status": ["UpToDate"]})
json.dump(policy, open(f"{run}/grace.json", "w"))
PY
kms policy put workload "$RUN/grace.json" --replace >/dev/null 2>>"$RUN/log/setup.log"
kms enable secret/off >/dev/null 2>&1
status 0 probe release secret/off
status 1 doctor --days 5
finds ok grace 'no grace or reference value of 1 workloads ends within 5 days'
status 1 doctor
finds warn grace 'policy/workload will refuse 1 of 1 workloads within 30 days'

step "trials and approvals"
kms stage workload "$RUN/probe-policy.json" --until "$(in_days 1)" >/dev/null 2>>"$RUN/log/setup.log"
for who in anne bob; do
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$RUN/$who.key" 2>/dev/null
    openssl pkey -in "$RUN/$who.key" -pubout -out "$RUN/$who.pub" 2>/dev/null
    status 0 kms role set "$RUN/$who.pub" approver
done
status 0 kms quorum set 2
status 0 kms propose bind secret/unbound workload --valid 3
status 1 doctor
finds note staged 'policy/workload is on trial until 2'
finds note approvals 'proposal 1 \(Bind\) has 0 of 2 approvals, until 2'
finds_not note 'roles +one author'
status 0 kms propose bind secret/unbound-too workload --valid 1
sleep 1.1 # less than a day is left
status 1 doctor
finds warn approvals 'proposal 2 '

step "clocks"
cat >"$RUN/late.c" <<'C'
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
time_t time(time_t *out)
{
    struct timespec t;
    syscall(SYS_clock_gettime, CLOCK_REALTIME, &t);
    t.tv_sec += atoi(getenv("LATE_S"));
    return out ? (*out = t.tv_sec) : t.tv_sec;
}
C
if cc -shared -fPIC -o "$RUN/late.so" "$RUN/late.c" 2>>"$RUN/log/setup.log"; then
    late() { LATE_S=$1 LD_PRELOAD=$RUN/late.so ASAN_OPTIONS=verify_asan_link_order=0 doctor; }
    status 1 late 20
    finds warn clock 'the KMS is (19|20|21) s behind'
    status 1 late 90
    finds bad clock 'the KMS is (89|90|91) s behind'
    ! grep -q 'clock=back' "$RUN/log/kms.log" || die "the clock of this machine went back"
    kms_stop
    LATE_S=3600 kms_start env LD_PRELOAD="$RUN/late.so" ASAN_OPTIONS=verify_asan_link_order=0
    put ahead
    kms_stop
    kms_start # the last line is of an hour from now
    grep -q 'kms: clock=back now=[0-9TZ:-]* last_line=' "$RUN/log/kms.log" || die "the log does not say that the clock went back"
    status 1 late -86400 # here, before anything was issued
    finds bad reach 'collateral:tcb-info-not-yet-valid'
else
    say "no compiler: clocks are not set wrong here"
fi

step "who may see less, and who nothing"
ADMIN_KEY=$RUN/anne.key status 1 doctor
finds note clock 'not examined: kms:role: approver / auditor'
finds note audit 'not examined: kms:role: approver / auditor'
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$RUN/stranger.key" 2>/dev/null
ADMIN_KEY=$RUN/stranger.key status 1 doctor
finds bad reach 'peer:.*kms:admin-unknown|bad +reach'

step "another KMS, and none"
policy_for "$RUN/kms-policy.json" "$BIN/kms-probe"
status 1 doctor
finds bad reach 'policy:mrenclave: [0-9a-f]{64} / [0-9a-f]{64}'
policy_for "$RUN/kms-policy.json" "$BIN/cczoo-kmsd"
kms_stop
KMSD+=(--quota-items 5) # what is counted before a put is what is seen
kms_start
for i in 1 2 3 4; do put full/$i; done
status 1 doctor
finds ok quotas 'no namespace was seen with more than 60 %'
put full/5
status 1 doctor
finds warn quotas 'a namespace has 80 %'
! grep -E 'quotas' "$RUN/out" | grep -q full || die "it says of which namespace"
kms_stop
status 3 doctor
finds bad reach 'net:connect'

say ok
