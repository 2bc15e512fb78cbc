#!/usr/bin/env bash
# Why a release was refused, and what another policy would do: decisions, recorded workloads, replay, a trial and its roll-out.
. "$(dirname "$0")/kms.sh"
run_begin test-kms-why

key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$RUN/$1.key" 2>/dev/null; }
sha256() { sha256sum "$1" | cut -d ' ' -f 1; }
in_hours() { date -u -d "now + $1 hours" +%Y-%m-%dT%H:%M:%SZ; }
cp_changed() { # cp_changed NAME: the same program with another measurement
    cp "$BIN/kms-probe" "$RUN/$1"
    printf '%s' "$1" >>"$RUN/$1"
}
changed() { # changed NAME ITEM
    local name=$1
    shift
    reach
    "$RUN/$name" release "$@" "${REACH[@]}" --sim-dir "$RUN/sim"
}

step "set up"
kms_setup
key auditor
status 0 "$BIN/cczoo-kmsd" admin --state "$RUN/kms" --admin-key "$RUN/auditor.key" --role auditor
kms_start
"$BIN/cczoo" pf keygen "$RUN/model.key"
status 0 kms policy put workload "$RUN/probe-policy.json"
status 0 kms key import model --from "$RUN/model.key" --bind workload
cp_changed next
cp_changed stranger
policy_for "$RUN/next-policy.json" "$RUN/next"
python3 - "$RUN" <<'PY'
import json, sys
run = sys.argv[1]
one, two = (json.load(open(f"{run}/{n}-policy.json")) for n in ("probe", "next"))
two["rules"][0]["name"] = "next"
json.dump({"version": 1, "rules": one["rules"] + two["rules"]}, open(f"{run}/both.json", "w"))
PY

step "a refusal names its decision, and no more"
status 0 probe release key/model "$RUN/got"
status 1 changed next key/model
has err '^refused: policy:mrenclave: [0-9a-f]{64} / see decision D[0-9]+$'
has err '^hint: an auditor of the KMS sees why: cczoo kms why D[0-9]+$'
measured=$("$BIN/cczoo" sim measure "$BIN/kms-probe")
! grep -q "$measured" "$RUN/err" || die "the refused one is told what the policy expects"
d=$(sed -nE 's/^refused: .*see decision (D[0-9]+)$/\1/p' "$RUN/err")
ADMIN_KEY=$RUN/auditor.key status 0 kms why "$d"
has out "^$d Release refused at 2"
has out '^item +key/model$'
has out "^policy sha256 +$(sha256 "$RUN/probe-policy.json")\$"
has out '^rule +program$'
has out '^where +policy:mrenclave$'
has out "^got +$("$BIN/cczoo" sim measure "$RUN/next")\$"
has out "^expected +$measured\$"
status 0 kms why "$d" --json
has out "^\{\"decision\":\"$d\",.*\"accepted\":false,\"item\":\"key/model\",\"version\":1,\"policy\":\"workload\".*\"where\":\"policy:mrenclave\""
python3 -c 'import json,sys; json.load(open(sys.argv[1]))["entry"]["peer"]' "$RUN/out"
status 1 kms why "x$d"
has err '^refused: kms:decision'
status 3 kms why D1000000
has err 'kms:decision'

step "workloads"
status 1 changed stranger key/model
status 0 kms workloads
[ "$(grep -c ' under workload: ' "$RUN/out")" = 3 ] || die "three workloads asked"
has out " sgx ${measured:0:16} UpToDate SIMULATED under workload: 1 accepted, 0 refused, last 2"
has out ': 0 accepted, 1 refused, last 2'
status 0 kms workloads --under workload --json
[ "$(wc -l <"$RUN/out")" = 3 ]
python3 - "$RUN/out" "$measured" <<'PY'
import json, sys
rows = [json.loads(line) for line in open(sys.argv[1])]
mine = [r for r in rows if r["claims"]["mrenclave"] == sys.argv[2]]
assert len(mine) == 1 and mine[0]["accepted"] == 1 and mine[0]["measurement"] == sys.argv[2], rows
assert [r["id"] for r in rows] == sorted(r["id"] for r in rows)
PY

step "replay"
status 1 kms replay workload --try "$RUN/next-policy.json" # it would block one: exit 1
has out "BLOCKED: policy:mrenclave: $measured / [0-9a-f]{64} \(rule \"program\"\)$"
has out 'ADMITTED by rule "program"$'
has out '^would block 1 and admit 1 of 3 workloads$'
status 0 kms replay workload --try "$RUN/both.json"
has out '^would block 0 and admit 1 of 3 workloads$'
status 0 kms replay workload --try "$RUN/both.json" --all
has out 'refused as now: policy:mrenclave'
has out 'accepted as now by rule "program"$'
status 3 kms replay workload
has err 'kms:not-staged'
status 3 kms replay absent --try "$RUN/both.json"
has err 'kms:not-found'
printf '{"version":1,"rules":[{"name":"x","tee":"sgx"}]}' >"$RUN/unpinned.json"
status 1 kms replay workload --try "$RUN/unpinned.json"
has err 'policy:unpinned'

step "a trial decides nothing"
status 1 kms stage workload "$RUN/both.json"
has err '^refused: kms:until'
status 1 kms stage workload "$RUN/both.json" --until 2020-01-01T00:00:00Z
has err '^refused: kms:stage-end'
status 0 kms stage workload "$RUN/next-policy.json" --until "$(in_hours 2)"
has out '^staged policy/workload, audit line'
status 3 kms stage workload "$RUN/both.json" --until "$(in_hours 2)"
has err 'kms:staged-exists'
has err '^hint: .*cczoo kms staged POLICY shows it$'
status 0 kms staged workload
cmp -s "$RUN/out" "$RUN/next-policy.json" || die "another text is staged"
has err "^staged for policy/workload until 2.*, sha256 $(sha256 "$RUN/next-policy.json")\$"
status 3 kms staged absent
has err 'kms:not-staged'
status 0 probe release key/model "$RUN/got"
status 1 changed next key/model
status 0 kms staged
has out "^workload +$(sha256 "$RUN/next-policy.json" | cut -c 1-16)  until 2.* would accept 1, would refuse 1 releases\$"
status 0 kms audit --last 2 --json
has out '"staged":\{"verdict":"reject","policy_sha256":"[0-9a-f]{64}","rule":"program","where":"policy:mrenclave"'
has out '"staged":\{"verdict":"accept"'
ADMIN_KEY=$RUN/auditor.key status 1 kms stage workload "$RUN/both.json" --until "$(in_hours 2)" --replace
has err '^refused: kms:role: auditor / author'
status 0 kms stage workload "$RUN/both.json" --until "$(in_hours 2)" --replace
status 0 kms replay workload
has out '^would block 0 and admit 1 of 3 workloads$'

step "it outlives the daemon, and so do the workloads"
kms_stop
status 0 "$BIN/cczoo-kmsd" check --state "$RUN/kms"
kms_start
status 0 kms staged --json
has out "\"sha256\":\"$(sha256 "$RUN/both.json")\".*\"ended\":false"
status 0 kms workloads
[ "$(grep -c ' under workload: ' "$RUN/out")" = 3 ] || die "workloads are forgotten"
status 1 changed next key/model # still the old one

step "the roll-out"
zeros=$(printf '0%.0s' {1..64})
status 1 kms rollout workload --digest "$zeros" # of another text than what is staged
has err '^refused: kms:staged-changed'
status 2 kms policy put workload "$RUN/both.json" --replace --if-version 77
has err '^hint: --if-version is an option of cczoo kms secret put$'
status 2 kms show key/model --version 1
has err '^hint: --version is an option of cczoo kms rm, undelete, '
status 2 kms role ls --namespace team
has err '^hint: --namespace is an option of cczoo kms role set, quorum set, evidence get$'
status 0 kms rollout workload --digest "$(sha256 "$RUN/both.json")"
has out '^rolled out policy/workload, audit line'
has err '^on trial it would have accepted [0-9]+ and refused [0-9]+ releases$'
status 0 changed next key/model "$RUN/got"
cmp -s "$RUN/got" "$RUN/model.key" || die "another key was released"
status 0 probe release key/model "$RUN/got"
status 0 kms policy show workload
cmp -s "$RUN/out" "$RUN/both.json" || die "another policy was rolled out"
status 0 kms staged
has err '^nothing is staged$'
status 3 kms rollout workload
has err 'kms:not-staged'
status 0 kms stage workload "$RUN/probe-policy.json" --until "$(in_hours 1)"
status 0 kms unstage workload
has out '^took back policy/workload'

step "where approvals are needed, the roll-out is one of the things that need them"
for who in anne bob; do
    key $who
    openssl pkey -in "$RUN/$who.key" -pubout -out "$RUN/$who.pub" 2>/dev/null
done
kms_stop
for who in anne bob; do
    status 0 "$BIN/cczoo-kmsd" admin --state "$RUN/kms" --admin-key "$RUN/$who.key" --role approver
done
kms_start
status 0 kms quorum set 1
status 0 kms stage workload "$RUN/probe-policy.json" --until "$(in_hours 1)"
status 1 kms rollout workload
has err '^refused: kms:approval-needed'
status 0 kms propose rollout workload
has out '^proposal 1 needs 1 approval until'
ADMIN_KEY=$RUN/anne.key status 1 kms replay workload # who approves may look
has out '^would block 1 and admit 0 of 3 workloads$'
ADMIN_KEY=$RUN/anne.key status 0 kms proposals
has out "^RollOut policy=workload sha256=$(sha256 "$RUN/probe-policy.json")\$"
digest=$(sed -n 's/^  digest //p' "$RUN/out")
status 0 kms stage workload "$RUN/next-policy.json" --until "$(in_hours 1)" --replace
ADMIN_KEY=$RUN/anne.key status 1 kms approve 1
has err '^refused: kms:staged-changed'
has err '^hint: what is staged now is not what was proposed'
! grep -q '"rules"' "$RUN/out" || die "another text was shown for approval"
ADMIN_KEY=$RUN/anne.key status 1 kms approve 1 --digest "$digest" # the server looks, too
has err '^refused: kms:staged-changed'
status 1 kms propose rollout workload --digest "$zeros"
has err '^refused: kms:staged-changed'
status 0 kms stage workload "$RUN/probe-policy.json" --until "$(in_hours 1)" --replace
ADMIN_KEY=$RUN/anne.key status 0 kms approve 1
grep -qxF "$(cat "$RUN/probe-policy.json")" "$RUN/out" || die "a policy was approved that was not shown"
status 1 changed next key/model
status 0 probe release key/model "$RUN/got"
kms_stop
status 0 "$BIN/cczoo-kmsd" check --state "$RUN/kms"
