#!/usr/bin/env bash
# Reference values: a set that policies name, its versions, what decided, another set on trial; where approvals are needed.
. "$(dirname "$0")/kms.sh"
run_begin test-kms-reference

set_of() { # set_of FILE NAME=MEASUREMENT...: a set
    python3 - "$@" <<'PY'
import json, sys
values = [dict(zip(("name", "value", "until"), a.split("=")[:3])) for a in sys.argv[2:]]
json.dump({"version": 1, "values": values}, open(sys.argv[1], "w"))
PY
}
changed() { # changed ITEM: the same program with another measurement
    reach
    "$RUN/next" release "$@" "${REACH[@]}" --sim-dir "$RUN/sim"
}

step "set up"
kms_setup
kms_start
"$BIN/cczoo" pf keygen "$RUN/model.key"
cp "$BIN/kms-probe" "$RUN/next"
printf next >>"$RUN/next"
one=$("$BIN/cczoo" sim measure "$BIN/kms-probe") two=$("$BIN/cczoo" sim measure "$RUN/next")
printf '{"version":1,"rules":[{"name":"program","tee":"sgx","sim":true,"mrenclave":{"reference":"builds"}}]}' >"$RUN/by-set.json"
set_of "$RUN/first.json" "1.0=$one"
set_of "$RUN/second.json" "1.0=$one" "2.0=$two"

step "a policy names a set that has to be there"
status 1 kms policy put workload "$RUN/by-set.json"
has err "^refused: kms:reference-missing: "
has err "^hint: put the set first: cczoo kms reference put NAME FILE\$"
status 1 kms reference put builds "$RUN/by-set.json"
has err 'policy:unknown-field'
status 0 kms reference put builds "$RUN/first.json"
has out '^stored reference/builds version 1, audit line [0-9]+$'
status 0 kms policy put workload "$RUN/by-set.json"
status 0 kms key import model --from "$RUN/model.key" --bind workload
status 0 "$BIN/cczoo" policy explain "$RUN/by-set.json"
has out "^the reference values \"builds\" are not at hand: every rule refuses\$"

step "what decided is on record"
status 0 probe release key/model "$RUN/got"
cmp -s "$RUN/got" "$RUN/model.key" || die "another key was released"
status 1 changed key/model
has err "^refused: policy:mrenclave: $two / see decision D[0-9]+\$"
d=$(sed -nE 's/^refused: .*see decision (D[0-9]+)$/\1/p' "$RUN/err")
status 0 kms why "$d"
has out "^expected +builds@1: 1.0 $one\$"
status 0 kms why "D$((${d#D} - 1))"
has out '^references +mrenclave=builds@1:1.0$'

step "another set is tried on those that were judged, and then put"
status 0 kms replay workload --reference builds --values "$RUN/second.json"
has out 'ADMITTED by rule "program", by mrenclave=builds@0:2.0$'
has out '^would block 0 and admit 1 of 2 workloads$'
set_of "$RUN/other.json" "2.0=$two"
status 1 kms replay workload --reference builds --values "$RUN/other.json"
has out '^would block 1 and admit 1 of 2 workloads$'
status 1 kms replay workload --reference none --values "$RUN/other.json"
has err 'kms:reference-unnamed'
status 1 kms replay workload --reference builds
has err 'kms:replay-set'
status 3 kms reference put builds "$RUN/second.json"
has err 'kms:reference-exists'
status 0 kms reference put builds "$RUN/second.json" --replace
has out '^stored reference/builds version 2'
status 0 changed key/model "$RUN/got"
status 0 kms reference list
has out '^builds +2  2.*  2 values of 32 bytes$'
status 0 kms reference get builds
cmp -s <(head -c -1 "$RUN/out") "$RUN/second.json" || die "another set came back"
has err '^version 2 of 2'
status 0 kms reference get builds --version 1
cmp -s <(head -c -1 "$RUN/out") "$RUN/first.json" || die "another version came back"
status 3 kms reference get builds --version 3
status 0 kms reference list --json
has out "\"reference\":\"builds\",\"version\":2,\"sha256\":\"$(sha256sum "$RUN/second.json" | cut -d ' ' -f 1)\""

step "the doctor says which workloads a value that ends will leave behind"
set_of "$RUN/ending.json" "1.0=$one" "2.0=$two=$(date -u -d 'now + 5 days' +%Y-%m-%dT%H:%M:%SZ)"
status 0 kms reference put builds "$RUN/ending.json" --replace
status 1 kms doctor
has out '^warn  grace +policy/workload will refuse 1 of 2 workloads within 30 days$'

step "a value that has ended does not hold"
set_of "$RUN/ended.json" "1.0=$one" "2.0=$two=2020-01-01T00:00:00Z"
status 0 kms reference put builds "$RUN/ended.json" --replace
status 1 changed key/model
d=$(sed -nE 's/^refused: .*see decision (D[0-9]+)$/\1/p' "$RUN/err")
status 0 kms why "$d"
has out '^expected +builds@4: 2.0 ended 2020-01-01T00:00:00Z$'

step "a set in use stays"
status 1 kms reference delete builds
has err '^refused: kms:reference-in-use: workload / no policy that names it$'
status 0 kms reference put spare "$RUN/first.json"
status 0 kms reference delete spare
has out '^deleted reference/spare, audit line'
status 3 kms reference delete spare

step "it outlives the daemon"
kms_stop
status 0 "$BIN/cczoo-kmsd" check --state "$RUN/kms"
kms_start
status 0 probe release key/model "$RUN/got"

step "where approvals are needed, sets are one of the things that need them"
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$RUN/anne.key" 2>/dev/null
kms_stop
status 0 "$BIN/cczoo-kmsd" admin --state "$RUN/kms" --admin-key "$RUN/anne.key" --role approver
kms_start
status 0 kms quorum set 1
status 1 kms reference put builds "$RUN/second.json" --replace
has err '^refused: kms:approval-needed'
status 1 kms reference delete builds
has err '^refused: kms:approval-needed'
status 0 kms propose reference put builds "$RUN/second.json" --replace
has out '^proposal 1 needs 1 approval until'
ADMIN_KEY=$RUN/anne.key status 0 kms proposals
has out '^PutReference reference=builds \(another version of it\)$'
has out "$two"
status 1 changed key/model
ADMIN_KEY=$RUN/anne.key status 0 kms approve 1
status 0 changed key/model "$RUN/got"
status 1 kms propose reference delete builds
has err '^refused: kms:reference-in-use'
kms_stop
status 0 "$BIN/cczoo-kmsd" check --state "$RUN/kms"
