#!/usr/bin/env bash
# Attacks that must be refused, each with its reason. See README.md, "Break it".
. "$(dirname "$0")/parties.sh"
run_begin "$NAME-break"
make_platform
make_store
start_kms
fill_kms >>"$RUN/log/setup.log"

# refused PATTERN COMMAND...: the command must end with status 1, a verified "no", and say this; where there is no "got / expected", in words.
refused() {
    local pattern=$1 status=0
    shift
    "$@" >"$RUN/said" 2>&1 </dev/null || status=$?
    [ "$status" = 1 ] && grep -qE "^(refused|error): $pattern" "$RUN/said" ||
        { cat "$RUN/said" >&2; die "status $status, expected 1 and '$pattern': $*"; }
    grep -E "^(refused|error): $pattern" "$RUN/said" | head -n 1 | sed -E 's/^[a-z]+: /   refused: /'
}
# refused_as PERSON PATTERN VERB...
refused_as() {
    local line
    line=$(refused "$2" as "$1" "${@:3}")
    echo "$line ($1: ${*:3:3})" | sed "s|$RUN/||g"
}
verify() { "$BIN/cczoo" kms audit verify "$@" --key "$RUN/keys.pem"; }
# gets VERSION: the workload is still served, and so the refusals around it are not those of a broken KMS.
gets() { pay "$1" --secret secret/$SECRET --receipt "$RUN/receipt" >>"$RUN/log/pay.log" 2>&1 || { tail -n 2 "$RUN/log/pay.log" >&2; die "version $1 is not served"; }; }

step "(a) a tampered audit log: a release is denied, the hashes behind it made anew, the end cut off"
gets 1
as olga audit keys >"$RUN/keys.pem" 2>>"$RUN/log/admin.log"
quiet as olga audit export "$RUN/audit.jsonl"
quiet verify "$RUN/audit.jsonl" --receipt "$RUN/receipt"
"$HERE/forge.py" "$RUN/audit.jsonl" "$RUN"
refused 'kms:audit-chain: audit line [0-9]+ ' verify "$RUN/changed.jsonl"
refused 'kms:checkpoint-root: lines [0-9]+ to [0-9]+ ' verify "$RUN/anew.jsonl"
refused 'kms:checkpoint-size: a checkpoint signs [0-9]+ lines' verify "$RUN/cut.jsonl"

step "(b) the database of yesterday, with yesterday's policy"
stop kms
cp -a "$RUN/kms" "$RUN/yesterday"
start_kms
agree policy put $NS/app "$RUN/policy-2.json" --replace >>"$RUN/log/setup.log"
gets 2
stop kms
mv "$RUN/kms" "$RUN/today"
cp -a "$RUN/yesterday" "$RUN/kms"
refused 'kms:rolled-back: [0-9]+ / [0-9]+' timeout 30 "${KMSD[@]}"
refused 'kms:epoch-required: ' "$BIN/cczoo-kmsd" check --state "$RUN/kms" # without its counter
rm -r "$RUN/kms"
mv "$RUN/today" "$RUN/kms"
start_kms
gets 2

step "(c) replay: an attestation, a token that was changed, one whose policy has changed, one of before a restart"
kbs_key
kbs_attest
wants 200 kbs_get $SECRET
http_refuses 401 replay:used kbs_post
GOOD=$TOKEN TOKEN=${TOKEN%?}$([ "${TOKEN: -1}" = A ] && echo B || echo A)
http_refuses 401 kbs:token kbs_get $SECRET
TOKEN=$GOOD
python3 - "$RUN" <<'PY'
import json, sys
policy = json.load(open(f"{sys.argv[1]}/policy-2.json"))
policy["rules"] = [rule for rule in policy["rules"] if rule["name"] == "payments"]
json.dump(policy, open(f"{sys.argv[1]}/policy-3.json", "w"))
PY
agree policy put $NS/app "$RUN/policy-3.json" --replace >>"$RUN/log/setup.log"
http_refuses 403 policy:mrenclave kbs_get $SECRET
agree policy put $NS/app "$RUN/policy-2.json" --replace >>"$RUN/log/setup.log"
wants 200 kbs_get $SECRET
stop kms KILL
start_kms
http_refuses 401 kbs:token kbs_get $SECRET

step "(d) the wrong namespace"
quiet as hugo policy put hr/app "$RUN/policy-2.json"
printf salaries | quiet as hugo secret put hr/salaries --from - --bind hr/app
refused_as hugo 'kms:role: none / operator' disable secret/$SECRET
refused_as hugo 'kms:role: none / author' propose policy put $NS/app "$RUN/policy-2.json" --replace
refused_as root 'kms:role: .* / author' propose policy put $NS/app "$RUN/policy-2.json" --replace # everything in *, and nothing here
refused_as dora 'kms:namespace: ' propose bind secret/$SECRET hr/app
refused_as dora 'kms:role: none / operator' disable secret/hr/salaries
printf x >"$RUN/x"
chmod 600 "$RUN/x"
refused_as dora 'kms:role: none / operator' secret put ${NS}roll/x --from "$RUN/x" # a prefix is no namespace

step "(e) the platform has fallen behind its TCB"
stop kms
"$BIN/cczoo" sim init "$RUN/behind" --tcb-status OutOfDate 2>>"$RUN/log/setup.log"
SIM=$RUN/behind
start_kms
refused_as olga 'policy:tcb_status: OutOfDate / UpToDate' status # the KMS runs there, too
sed 's/\["UpToDate"\]/["UpToDate", "OutOfDate"], "advisories": {"allow": ["SIMULATED-SA-00001"]}/' "$RUN/kms-policy.json" >"$RUN/lenient.json"
KMS_POLICY=$RUN/lenient.json
refused 'policy:tcb_status: OutOfDate / see decision D[0-9]+' pay 2 --secret secret/$SECRET
! as olga doctor >"$RUN/doctor.txt" 2>>"$RUN/log/admin.log" || die "the doctor finds nothing"
grep -A1 '^warn  *evidence .* OutOfDate' "$RUN/doctor.txt" | sed 's/^/   /' || die "the doctor does not see it"
stop kms
unset SIM KMS_POLICY
start_kms
gets 2

step "(f) an approver is missing"
refused_as dora 'kms:approval-needed: a direct call / a proposal with 2 approvals' policy put $NS/app "$RUN/policy-1.json" --replace
propose policy put $NS/app "$RUN/policy-1.json" --replace
quiet as anne approve "$PROPOSAL" --digest "$DIGEST"
gets 2 # one of two is nothing
refused_as anne 'kms:approved-already: ' approve "$PROPOSAL"
refused_as dora 'kms:role: .* / approver' approve "$PROPOSAL"
refused_as bob "kms:proposal-changed: .* / " approve "$PROPOSAL" --digest "$(printf '0%.0s' {1..64})"
quiet as bob reject "$PROPOSAL"
refused_as carl 'kms:proposal-closed: rejected' approve "$PROPOSAL"
refused_as root 'kms:role: ' quorum set 1 --namespace $NS
gets 2

step "(g) a changed KMS on the real store"
stop kms
cp "$BIN/cczoo-kmsd" "$RUN/changed-kmsd"
printf x >>"$RUN/changed-kmsd"
mkdir "$RUN/bin"
mv "$RUN/changed-kmsd" "$RUN/bin/cczoo-kmsd"
REAL=$BIN
BIN=$RUN/bin
start_kms
BIN=$REAL
refused_as dora "policy:mrenclave: [0-9a-f]{64} / $KMS_ID" secret put $SECRET --new-version --from "$RUN/x"
stop kms
TEE=(--tee sim-sgx --sim-dir "$RUN/sim")
quiet "$BIN/cczoo-kmsd" rekey "${STORE[@]}" "${TEE[@]}" --new-master-key tee:mrenclave # and now sealed to the real program
refused "kms:master-tee: [0-9a-f]{64} / [0-9a-f]{64}" "$RUN/bin/cczoo-kmsd" check "${STORE[@]}" "${TEE[@]}" --master-key tee:mrenclave

say "ok: seven attacks, all refused"
