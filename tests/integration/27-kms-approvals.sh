#!/usr/bin/env bash
# Two of three have to agree: from init over proposals and approvals to a release, through the daemon; and each way around it.
. "$(dirname "$0")/kms.sh"
run_begin test-kms-approvals

key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$RUN/$1.key" 2>/dev/null; }
as() { local who=$1; shift; ADMIN_KEY=$RUN/$who.key kms "$@"; }
sha() { openssl pkey -in "$RUN/$1.key" -pubout -outform DER 2>/dev/null | sha256sum | cut -d ' ' -f 1; }
for who in admin anne bob carl dora eve; do key $who; done
openssl pkey -in "$RUN/carl.key" -pubout -out "$RUN/carl.pub" 2>/dev/null # he keeps the other half to himself

step "init"
status 1 "$BIN/cczoo-kmsd" init --state "$RUN/few" --admin-key "$RUN/admin.key" --approvals 2 --approver "$RUN/anne.key"
has err '^refused: kms:quorum-unreachable: 1 / 2'
status 2 "$BIN/cczoo-kmsd" init --state "$RUN/twice" --admin-key "$RUN/admin.key" --approvals 101
status 1 "$BIN/cczoo-kmsd" init --state "$RUN/twice" --admin-key "$RUN/admin.key" --approvals 1 --approver "$RUN/anne.key,$RUN/anne.key"
has err '^refused: kms:init-approver'
status 1 "$BIN/cczoo-kmsd" init --state "$RUN/own" --admin-key "$RUN/admin.key" --approvals 1 --approver "$RUN/admin.key"
has err '^refused: kms:init-approver'
kms_setup --approvals 2 --approver "$RUN/anne.key,$RUN/bob.key,$RUN/carl.pub"
KMSD=()
kms_start
status 0 kms role ls
has out "^$(sha anne) +\* +approver +approver\$"
has out "^$(sha admin) +\* +admin"
has out '^approvals needed in \*: 2$'

step "a proposal, two approvals, a release"
status 1 kms policy put workload "$RUN/probe-policy.json"
has err '^refused: kms:approval-needed: a direct call / a proposal with 2 approvals'
has err '^hint: .*cczoo kms propose'
status 0 kms propose policy put workload "$RUN/probe-policy.json"
has out '^proposal 1 needs 2 approvals until .*, digest [0-9a-f]{64}$'
digest=$(sed -n 's/.*digest //p' "$RUN/out")
status 0 as anne proposals
has out '^proposal 1 open, namespace \(none\), 0 of 2 approvals'
has out '^PutPolicy policy=workload$'
has out '"mrenclave"'
status 1 as admin approve 1
has err '^refused: kms:approver-proposer'
status 1 as anne approve 1 --digest "$(printf '0%.0s' {1..64})"
has err '^refused: kms:proposal-changed'
status 0 as anne approve 1 --digest "$digest"
has out '^approved: 1 of 2$'
status 1 as anne approve 1
has err '^refused: kms:approved-already'
status 3 kms policy show workload
status 2 as anne reject 1 --digest "$(printf '0%.0s' {1..64})"
has err '^hint: --digest is an option of cczoo kms approve, rollout$'
status 0 as carl approve 1 --json
has out '"method":"PutPolicy".*mrenclave' # what is approved is shown to scripts, too
has out '"done":true,"approvals":2,"needed":2,"executed":[0-9]+'
status 0 kms policy show workload
cmp -s "$RUN/out" "$RUN/probe-policy.json" || die "another policy came out of the proposal"
status 1 as bob approve 1
has err '^refused: kms:proposal-closed: done'
status 1 kms secret put password --from - --bind workload <<<hunter2
has err '^refused: kms:approval-needed: PutSecret / a proposal with 2 approvals'
has err '^hint: put it without --bind'
status 0 kms secret put password --from - <<<hunter2
status 2 kms bind secret/password workload --valid 3 # nothing is proposed here
has err '^hint: --valid is an option of cczoo kms propose$'
status 0 kms propose bind secret/password workload
status 0 as anne approve 2
has out '^Bind item=secret/password policy=workload$'
status 0 as bob approve 2
status 0 probe release secret/password "$RUN/got"
[ "$(cat "$RUN/got")" = hunter2 ] || die "another secret was released"

step "roles: a namespace of its own, given by approval; whoever gets one can connect at once"
status 1 as dora status
has err 'kms:admin-unknown'
status 1 kms role set "$RUN/dora.key" author,approver --namespace team
has err '^refused: kms:approval-needed'
status 0 kms propose role set "$RUN/dora.key" author,operator --namespace team --label Dora
status 0 as anne approve 3
has out 'principal=[0-9a-f]{64} roles=operator,author kind=key namespace=team label=Dora$'
status 0 as bob approve 3
status 0 as dora ls
[ ! -s "$RUN/out" ] || die "a namespace shows what is not in it"
status 1 as dora policy show workload
has err '^refused: kms:role: none / '
status 0 as dora secret put team/s --from - <<<x
status 1 as dora secret put teams/s --from - <<<x
has err '^refused: kms:role: none / operator'
status 1 as dora audit
has err '^refused: kms:role'
status 0 as dora propose policy put team/p "$RUN/probe-policy.json"
status 0 as anne reject 4
status 1 as bob approve 4
has err '^refused: kms:proposal-closed: rejected'
status 0 as bob proposals
[ ! -s "$RUN/out" ] || die "closed proposals are listed"
status 0 as bob proposals --all
has out '^proposal 4 rejected'
status 2 kms propose secret put x --from - <<<x
has err 'cannot be proposed'

step "what cannot be proposed as it is has another way; a key lives longer by approval"
status 1 kms key create plain --alg aes-256 --bind workload
has err '^refused: kms:approval-needed: CreateKey / '
has err '^hint: make it without --bind, then: cczoo kms propose bind key/NAME POLICY$'
printf 0123456789abcdef0123456789ABCDEF >"$RUN/foreign"
status 1 kms key import leaves --alg aes-256-gcm --from "$RUN/foreign" --exportable
has err '^refused: kms:approval-needed: Import(Token)? / '
has err '^hint: an import cannot be proposed: '
status 0 kms propose key create leaves --alg aes-256-gcm --exportable --expires 2099-01-31T00:00:00Z
has out '^proposal 5 '
status 0 as anne approve 5
status 0 as bob approve 5
status 1 kms key expiry leaves never
has err '^refused: kms:approval-needed: a direct call / '
status 0 kms propose key expiry leaves never --valid 1
has out '^proposal 6 '
status 0 as anne approve 6
has out '^SetExpiry key=leaves expires never '
status 0 as bob approve 6
status 0 kms key info leaves --json
has out '"expires":""'
status 2 kms propose key rotate leaves
has err '^hint: key create, key expiry, key bind and key unbind can be proposed$'

step "the quorum is lowered by the quorum, and not below what can be reached"
status 1 kms quorum set 0
has err '^refused: kms:approval-needed'
status 1 kms propose quorum set 4
has err '^refused: kms:quorum-unreachable: 3 / 4'
status 0 kms propose quorum set 1
status 0 as anne approve 7
status 1 kms policy put other "$RUN/probe-policy.json"
status 0 as carl approve 7
status 0 kms propose policy put other "$RUN/probe-policy.json"
status 0 as bob approve 8
has out '^approved, and executed as audit line [0-9]+$'

step "audit"
status 0 kms audit
has out 'Propose accept policy/workload proposal=1 by admin'
has out 'PutPolicy accept policy/workload proposal=1 '
has out 'Approve accept proposal=1 '
has out 'Approve reject proposal=1 .*where=kms:approver-proposer'
has out "SetRole accept proposal=3 namespace=team principal=$(sha dora) roles=operator,author"

step "the machine's operator, and a rekey: the same KMS afterwards"
kill -TERM "${PIDS[kms]}" && wait "${PIDS[kms]}"
status 0 "$BIN/cczoo-kmsd" check --state "$RUN/kms"
id=$(sed -n 's/.* instance=//p' "$RUN/out")
status 1 "$BIN/cczoo-kmsd" admin --state "$RUN/kms" --admin-key "$RUN/admin.key" --role auditor
has err '^refused: kms:last-admin'
status 0 "$BIN/cczoo-kmsd" admin --state "$RUN/kms" --admin-key "$RUN/eve.key" --role author,approver --namespace eve
status 1 "$BIN/cczoo-kmsd" admin --state "$RUN/kms" --approvals 1 --namespace eve
has err '^refused: kms:quorum-unreachable: 0 / 1'
status 0 "$BIN/cczoo-kmsd" admin --state "$RUN/kms" --approvals 0
status 2 "$BIN/cczoo-kmsd" admin --state "$RUN/kms" --role author
status 0 "$BIN/cczoo-kmsd" rekey --state "$RUN/kms" --new-master-key "$RUN/new.key"
KMSD=(--master-key "$RUN/new.key")
status 0 "$BIN/cczoo-kmsd" check --state "$RUN/kms" "${KMSD[@]}"
has out " instance=$id\$"
kms_start
status 0 kms policy put direct "$RUN/probe-policy.json"
status 1 kms propose policy put again "$RUN/probe-policy.json"
has err '^refused: kms:quorum-none'
status 0 as eve policy put eve/p "$RUN/probe-policy.json"
status 0 probe release secret/password "$RUN/got"
