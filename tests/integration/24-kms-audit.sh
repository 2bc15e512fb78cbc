#!/usr/bin/env bash
# The audit log of a KMS in a file: verified without the KMS, against receipts of workloads and what was kept of it earlier; tampered with in every way that has a name.
. "$(dirname "$0")/kms.sh"
run_begin test-kms-audit

verify() { "$BIN/cczoo" kms audit verify "$@"; }

step "releases with receipts, an export, a checkpoint"
kms_setup
kms_start
status 0 kms policy put workload "$RUN/probe-policy.json"
status 0 kms key create model --bind workload
for _ in 1 2 3; do status 0 probe release key/model --receipt "$RUN/receipts"; done
[ "$(wc -l <"$RUN/receipts")" = 3 ] || die "no three receipts"
status 0 kms audit keys
has out '^-----BEGIN PUBLIC KEY-----$'
cp "$RUN/out" "$RUN/keys.pem"
status 0 kms audit checkpoint
cp "$RUN/out" "$RUN/checkpoint"
[ "$(head -n 1 "$RUN/checkpoint" | cut -c 1-16)" = "cczoo.kms/audit/" ] || die "not a checkpoint"
status 0 kms audit export "$RUN/old.jsonl"
has out "^exported [0-9]+ lines to .*, signed by key [0-9a-f]{64}$"
status 3 kms audit export "$RUN/old.jsonl" # never over an older one
status 0 probe release key/model --receipt "$RUN/later"
status 3 probe release secret/absent --receipt "$RUN/none" # a refusal is on record, and has no receipt
[ ! -e "$RUN/none" ] || die "a receipt for a refusal"
status 0 kms audit export "$RUN/new.jsonl"

step "without reading the log: it continues what was kept of it"
status 0 kms audit consistency "$RUN/checkpoint"
has err '^[0-9]+ lines, the first [0-9]+ are those of .*/checkpoint \(a proof of [0-9]+ hashes\)$'
cp "$RUN/out" "$RUN/today"
[ "$(head -n 1 "$RUN/today")" = "$(head -n 1 "$RUN/checkpoint")" ] || die "not a checkpoint of the same log"
status 0 kms audit consistency "$RUN/checkpoint" --known "$RUN/keys.pem"
status 0 kms audit consistency "$RUN/today" --known "$RUN/keys.pem"
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 2>/dev/null | openssl pkey -pubout -out "$RUN/other.pem" 2>/dev/null
status 1 kms audit consistency "$RUN/checkpoint" --known "$RUN/other.pem"
has err 'kms:checkpoint-key'
sed '2s/$/0/' "$RUN/checkpoint" >"$RUN/longer" # as if there had been more lines
status 1 kms audit consistency "$RUN/longer"
has err '^refused: kms:rolled-back'
sed '3s/./A/' "$RUN/checkpoint" >"$RUN/forged"
cmp -s "$RUN/forged" "$RUN/checkpoint" && sed -i '3s/./B/' "$RUN/forged"
! kms audit consistency "$RUN/forged" >"$RUN/out" 2>"$RUN/err" || die "another root passes"
status 1 kms audit rotate-key # the key was made just now
has err '^refused: kms:audit-key-young'
kms_stop

step "verified offline"
status 0 verify "$RUN/new.jsonl" --key "$RUN/keys.pem" --receipt "$RUN/receipts" --from "$RUN/old.jsonl"
has out '^accepted: [0-9]+ lines, 1 checkpoints, the last one of .* by key [0-9a-f]{64}$'
has out '^accepted: 3 receipts$'
has out '^accepted: it continues '
[ ! -s "$RUN/err" ] || die "it says something although the key was given"
# a year of a workload: more than fits a buffer
awk '{for (i = 0; i < 40000; i++) print}' "$RUN/receipts" >"$RUN/many"
[ "$(stat -c %s "$RUN/many")" -gt $((16 << 20)) ] || die "receipts are too small to be many"
status 0 verify "$RUN/new.jsonl" --key "$RUN/keys.pem" --receipt "$RUN/many"
has out '^accepted: 120000 receipts$'
(cat "$RUN/receipts" && head -c 20000 /dev/zero | tr '\0' x) >"$RUN/many"
status 1 verify "$RUN/new.jsonl" --key "$RUN/keys.pem" --receipt "$RUN/many"
has err '^refused: kms:receipt-size: 16385 / 16384$'
rm "$RUN/many"
status 0 verify "$RUN/new.jsonl" --key "$RUN/keys.pem" --from "$RUN/checkpoint"
for f in checkpoint old.jsonl; do # what was kept says which key may sign
    status 0 verify "$RUN/new.jsonl" --from "$RUN/$f" --json
    has out '^\{"verdict":"accept",.*"key_given":false,"receipts":0,"continues":true\}$'
    [ ! -s "$RUN/err" ] || die "it says something although there is an anchor"
done
status 4 verify "$RUN/new.jsonl" --receipt "$RUN/receipts"
has out '^consistent: 3 receipts$'
status 4 verify "$RUN/new.jsonl" --json # it fits together, and nobody says whose key that is
has out '^\{"verdict":"consistent","lines":[0-9]+,"checkpoints":1,"signed":".*","key":"[0-9a-f]{64}","key_given":false,"receipts":0,"continues":false\}$'
has err 'the key comes from the export itself'
status 0 "$BIN/cczoo" kms audit receipt "$RUN/new.jsonl" 2 --key "$RUN/keys.pem"
cp "$RUN/out" "$RUN/two"
status 0 verify "$RUN/new.jsonl" --key "$RUN/keys.pem" --receipt "$RUN/two"
status 3 "$BIN/cczoo" kms audit receipt "$RUN/new.jsonl" 999
status 2 verify
status 3 verify "$RUN/absent"

step "tampered with"
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$RUN/evil.key" 2>/dev/null
openssl pkey -in "$RUN/evil.key" -pubout -out "$RUN/evil.pem" 2>/dev/null
python3 - "$RUN" <<'PY'
import hashlib, json, struct, sys
run = sys.argv[1]
records = open(f"{run}/new.jsonl").read().splitlines()
def write(name, rs): open(f"{run}/{name}.jsonl", "w").write("\n".join(rs) + "\n")
accept = next(i for i, r in enumerate(records) if '"op":"Release","verdict":"accept"' in r)
changed = list(records)
changed[accept] = changed[accept].replace('"verdict":"accept"', '"verdict":"reject"')
write("changed", changed)
write("removed", records[:accept] + records[accept + 1:])
write("cut", records[:-2] + records[-1:])
write("unsigned", records[:-1])
# the line changed, and every hash after it made anew
prev, rewritten = bytes(32), records[:1]
for r in changed[1:-1]:
    line, raw = json.loads(r), r[r.index('"entry":') + 8:-1]
    h = hashlib.sha256(prev + struct.pack("<QQ", line["seq"], line["time"]) + raw.encode()).digest()
    rewritten.append('{"seq":%d,"time":%d,"prev":"%s","hash":"%s","entry":%s}' % (line["seq"], line["time"], prev.hex(), h.hex(), raw))
    prev = h
write("rewritten", rewritten + records[-1:])
PY
accept=$(grep -n '"op":"Release","verdict":"accept"' "$RUN/new.jsonl" | head -n 1 | cut -d: -f1)
for f in changed:audit-chain removed:audit-chain cut:checkpoint-size unsigned:export-unsigned rewritten:checkpoint-root; do
    status 1 verify "$RUN/${f%:*}.jsonl" --key "$RUN/keys.pem"
    has err "kms:${f#*:}: "
    status 1 verify "$RUN/${f%:*}.jsonl"
done
status 1 verify "$RUN/changed.jsonl"
has err "audit line $((accept - 1)) \(record $accept\) is not what its hash says"
status 1 verify "$RUN/new.jsonl" --key "$RUN/evil.pem"
has err '^refused: kms:checkpoint-key: [0-9a-f]{64} / [0-9a-f]{64}'
status 1 verify "$RUN/old.jsonl" --key "$RUN/keys.pem" --from "$RUN/new.jsonl"
has err '^refused: kms:rolled-back: [0-9]+ / [0-9]+'
status 1 verify "$RUN/old.jsonl" --key "$RUN/keys.pem" --receipt "$RUN/later"
has err '^refused: kms:rolled-back: '
sed '2s/"seq":\([0-9]*\)/"seq":1/' "$RUN/receipts" >"$RUN/forged"
status 1 verify "$RUN/new.jsonl" --key "$RUN/keys.pem" --receipt "$RUN/forged"
has err 'kms:inclusion: '

vectors=$(dirname "$0")/../vectors/kms/audit # a line made up, signed by a key that the header brings beside the right one
status 1 verify "$vectors/forged.jsonl" --from "$vectors/old.checkpoint"
has err '^refused: kms:checkpoint-key: '
status 4 verify "$vectors/forged.jsonl"

step "an older copy of the whole store is found by what was kept elsewhere"
cp -r "$RUN/kms" "$RUN/kms-old"
kms_start
status 0 kms key create another --bind workload
status 0 kms audit checkpoint
cp "$RUN/out" "$RUN/checkpoint2"
kms_stop
rm -rf "$RUN/kms" && mv "$RUN/kms-old" "$RUN/kms"
kms_start # consistent in itself, so it starts
status 0 kms audit export "$RUN/rolled.jsonl"
status 1 verify "$RUN/rolled.jsonl" --key "$RUN/keys.pem" --from "$RUN/checkpoint2"
has err '^refused: kms:rolled-back: '
status 0 kms key create other --bind workload # and goes on another way
status 0 kms audit export "$RUN/forked.jsonl"
status 1 verify "$RUN/forked.jsonl" --key "$RUN/keys.pem" --from "$RUN/checkpoint2"
has err 'kms:forked: '
kms_stop
say ok
