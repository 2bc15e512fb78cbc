#!/usr/bin/env bash
# A KMS whose rules change only when two of three agree, and a workload that uses a key which it can never fetch. See README.md.
. "$(dirname "$0")/parties.sh"
run_begin "$NAME"
record "$NAME" false # until the last line says otherwise
show() { sed 's/^/   /'; }
in_a_day() { date -u -d "@$(($(date +%s) + 86400))" +%Y-%m-%dT%H:%M:%SZ; }

step "1 software TEE (SIMULATED), and a KMS in which two of three have to agree about everything in $NS/"
make_platform
make_store
start_kms
as olga role ls 2>>"$RUN/log/admin.log" | awk '/^approvals/ { print "   " $0; next } { printf "   %-6s %-4s %s\n", (NF > 3 ? $4 : "root"), $2, $3 }'

step "2 a policy, a secret bound to it, and a key that works inside the KMS"
fill_kms

step "3 the workload attests: it gets its secret, has an order signed, and cannot have the key"
echo 'pay 100.00 to ada' >"$RUN/order"
pay 1 --secret secret/$SECRET --receipt "$RUN/receipt" --key $KEY --order "$RUN/order" --signature "$RUN/order.sig" >"$RUN/paid.txt"
show <"$RUN/paid.txt"
grep -q "its SHA-256 is $(printf %s "$VALUE" | sha256sum | cut -d' ' -f1)$" "$RUN/paid.txt" || die "another secret came"
as olga key public $KEY >"$RUN/orders.pem" 2>>"$RUN/log/admin.log"
say "openssl, with the public key: $(openssl dgst -sha256 -verify "$RUN/orders.pem" -signature "$RUN/order.sig" "$RUN/order")"
expect_refusal 'kms:key-export: ' pay 1 --fetch key/$KEY | show

step "4 the same secret through other doors: KBS protocol and REST, with curl"
kbs_key
kbs_attest
say "attested with curl; a token of ${#TOKEN} characters"
wants 200 kbs_get $SECRET
[ "$("$BIN/cczoo-kbs-open" "$RUN/batch.der" <"$RUN/answer")" = "$VALUE" ] || die "another secret came"
say "kbs:///$SECRET, encrypted to the key that was attested: the same value"
wants 200 http --cert "$RUN/olga.crt" --key "$RUN/olga.key" -H 'Content-Type: application/json' --data '{}' /v1/List
! grep -q "$VALUE" "$RUN/answer" || die "the list shows a value"
say "POST /v1/List, by an auditor: $(python3 -c 'import json,sys; print(", ".join(i["item"] for i in json.load(open(sys.argv[1]))["items"]))' "$RUN/answer"); no values"
http_refuses 403 kms:workload-required http --cert "$RUN/root.crt" --key "$RUN/root.key" -H 'Content-Type: application/json' \
    --data "{\"item\":\"secret/$SECRET\"}" /v1/Release

step "5 version 2 of the program: refused, and an auditor sees why"
expect_refusal 'policy:mrenclave: [0-9a-f]{64} / see decision D[0-9]+' pay 2 --secret secret/$SECRET | tee "$RUN/refused.txt" | show
DECISION=$(grep -o 'D[0-9]*$' "$RUN/refused.txt")
as olga why "$DECISION" 2>>"$RUN/log/admin.log" | show
! grep -q "$PAY1" "$RUN/refused.txt" || die "the refused one is told what the policy expects"

step "6 the policy changes: what would it do, a trial, two of three, in force"
as dora replay $NS/app --try "$RUN/policy-2.json" 2>>"$RUN/log/admin.log" | show
quiet as dora stage $NS/app "$RUN/policy-2.json" --until "$(in_a_day)"
pay 1 --secret secret/$SECRET >/dev/null
as dora staged 2>>"$RUN/log/admin.log" | show
agree rollout $NS/app
pay 2 --secret secret/$SECRET | show
pay 1 --secret secret/$SECRET >/dev/null || die "version 1 is refused now"
as olga doctor >"$RUN/doctor.txt" 2>>"$RUN/log/admin.log" || { cat "$RUN/doctor.txt" >&2; die "the doctor finds something"; }
say "cczoo kms doctor: $(grep -c '^ok' "$RUN/doctor.txt") checks are well, nothing is to be done"

step "7 the audit log, verified without the KMS"
as olga audit keys >"$RUN/keys.pem" 2>>"$RUN/log/admin.log"
as olga audit export "$RUN/audit.jsonl" 2>>"$RUN/log/admin.log" | sed "s|$RUN/||" | show
stop kms
"$BIN/cczoo" kms audit verify "$RUN/audit.jsonl" --key "$RUN/keys.pem" --receipt "$RUN/receipt" | show
! grep -rqsF "$VALUE" "$RUN/kms" "$RUN/log" "$RUN/audit.jsonl" || die "the secret is in a file"
say "the secret is in no file of the KMS, and in no log"
[ "${KEEP:-0}" = 0 ] || start_kms

record "$NAME" true
say "ok: nobody got anything that two people had not agreed to, and all of it is on record"
