#!/usr/bin/env bash
# The KMS from init to audit: administrators, auditors, workloads, strangers; what each gets and what each is refused.
. "$(dirname "$0")/kms.sh"
run_begin test-kms

step "init"
kms_setup
[ "$(stat -c %a "$RUN/kms") $(stat -c %a "$RUN/kms/master.key") $(stat -c %a "$RUN/kms/kms.sqlite")" = "700 600 600" ] ||
    die "the state folder is open to others"
status 3 "$BIN/cczoo-kmsd" init --state "$RUN/kms" --admin-key "$RUN/admin.key"
has err 'kms:init: .*initialised already'
status 0 "$BIN/cczoo-kmsd" check --state "$RUN/kms"
has out '^versions=0 policies=0 bindings=0 admins=1 audit_lines=1 instance=[0-9a-f]{32}$'
id=$(sed -n 's/.* instance=//p' "$RUN/out")
openssl pkey -in "$RUN/admin.key" -pubout -out "$RUN/admin.pub" 2>/dev/null
status 0 "$BIN/cczoo-kmsd" init --state "$RUN/kms2" --admin-key "$RUN/admin.pub" # the public half is enough
status 3 "$BIN/cczoo-kmsd" init --state "$RUN/kms3" --admin-key "$RUN/admin.pub" --master-key "$RUN/kms2/master.key" # another store's
has err 'kms:master-key-exists'
status 2 "$BIN/cczoo-kmsd" check --state "$RUN/kms2" --reuse-master-key # not ignored
has err '^hint: --reuse-master-key is an option of cczoo-kmsd init$'
status 2 "$BIN/cczoo-kmsd" init --state "$RUN/kms4" --admin-key "$RUN/admin.pub" --shares-dir "$RUN/shares"
has err 'shamir:K/N'
status 2 "$BIN/cczoo-kmsd" admin --state "$RUN/kms2" --admin-key "$RUN/admin.pub" --role auditor --approvals 3 # half of it would be done
status 2 "$BIN/cczoo-kmsd" admin --state "$RUN/kms2" --approvals 0 --https=127.0.0.1:0
has err '^hint: --https is an option of cczoo-kmsd run$'
status 0 "$BIN/cczoo-kmsd" init --state "$RUN/kms3" --admin-key "$RUN/admin.pub" --master-key "$RUN/kms2/master.key" --reuse-master-key
cp "$RUN/kms3/kms.sqlite" "$RUN/kms2/kms.sqlite" # one master key, and yet two stores
status 1 "$BIN/cczoo-kmsd" check --state "$RUN/kms2"
has err 'kms:store-identity'
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$RUN/auditor.key" 2>/dev/null
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$RUN/stranger.key" 2>/dev/null
status 0 "$BIN/cczoo-kmsd" admin --state "$RUN/kms" --admin-key "$RUN/auditor.key" --role auditor
status 1 "$BIN/cczoo-kmsd" admin --state "$RUN/kms" --admin-key "$RUN/admin.key" --role none
has err '^refused: kms:last-admin'
status 2 "$BIN/cczoo-kmsd" run --state "$RUN/kms"
status 3 "$BIN/cczoo-kmsd" run --state "$RUN/absent" --listen 127.0.0.1:0 --tee sim-sgx
has err '^hint: create a state folder: cczoo-kmsd init'

status 3 "$BIN/cczoo-kmsd" init --state "$RUN/absent" --admin-key "$RUN/typo.pub" # a private key under a public name helps nobody
has err '^error: file:read: .*typo.pub'
[ ! -e "$RUN/typo.pub" ] || die "a key was made under the name of a public key"
head -c 31 "$RUN/kms/master.key" >"$RUN/cut.key"
chmod 600 "$RUN/cut.key"
status 1 "$BIN/cczoo-kmsd" check --state "$RUN/kms" --master-key "$RUN/cut.key"
has err '^refused: kms:master-key-size: 31 / 32$'
has err '^hint: the file that cczoo-kmsd init made'
chmod 640 "$RUN/cut.key"
status 1 "$BIN/cczoo-kmsd" check --state "$RUN/kms" --master-key "$RUN/cut.key"
has err "^hint: .*chmod 600 $RUN/cut.key\$"
KMS=127.0.0.1:1
status 3 kms ls
has err '^error: net:connect: 127.0.0.1:1: '
has err '^hint: is cczoo-kmsd running there'

step "the KMS is judged before anything is sent to it"
kms_start
grep -q SIMULATED "$RUN/log/kms.log" || die "the daemon does not say SIMULATED"
status 3 "$BIN/cczoo-kmsd" check --state "$RUN/kms" # one user of a state folder
has err 'kms:store-busy'
grep -q " instance=$id SIMULATED" "$RUN/log/kms.log" || die "the daemon does not say which KMS it is"
status 0 kms status
has out "^instance $id\$"
status 1 "$BIN/cczoo" kms status --kms "$KMS" --admin-key "$RUN/admin.key" --trust-sim "$RUN/sim/trust" \
    --policy "$RUN/probe-policy.json"
has err '^refused: policy:mrenclave: [0-9a-f]{64} / [0-9a-f]{64}'
status 0 kms status
has err '^SIMULATED: '
has out 'tee sim-sgx \(SIMULATED\)'

step "keys, secrets, policies"
"$BIN/cczoo" pf keygen "$RUN/model.key"
printf 'hunter2 hunter2' >"$RUN/password"
chmod 600 "$RUN/password"
status 3 kms key import model --from "$RUN/model.key" --bind workload # no such policy: nothing is stored
has err '^error: kms:not-found: there is no policy "workload"$'
status 0 kms policy put workload "$RUN/probe-policy.json"
status 3 kms policy put workload "$RUN/probe-policy.json"
has err 'hint: .*--replace'
status 0 kms key import model --from "$RUN/model.key" --bind workload
has out '^imported key/model version 1, audit line [0-9]+$'
status 3 kms key import model --from "$RUN/model.key"
status 0 kms key create made --alg aes-256 --bind workload --json
has out '^\{"done":"created","item":"key/made","version":1,"audit_seq":[0-9]+,"audit_sha256":"[0-9a-f]{64}"\}$'
status 0 kms secret put db/password --from "$RUN/password"
status 0 kms secret put piped --from - <<<"from a pipe"
chmod 644 "$RUN/password"
status 1 kms secret put open --from "$RUN/password"
has err '^refused: file:permissions'
status 1 kms key import bad --from "$RUN/admin.key"
has err '^refused: kms:key-size'
status 1 kms secret put 'a b' --from - <<<x
has err '^refused: kms:name'
status 0 kms ls
has out '^key/model +aes-128 +1 .* workload$'
has out '^secret/db/password .*\(unbound: released to nobody\)$'
status 0 kms policy show workload
cmp -s "$RUN/out" "$RUN/probe-policy.json" || die "the policy came back changed"

step "the life of a version"
status 0 kms secret put life --from - --if-version 0 --metadata '{"owner":"blue"}' --expires 2099-01-31T00:00:00Z <<<one
status 1 kms secret put life --from - --if-version 0 <<<two
has err '^refused: kms:version-conflict'
status 0 kms secret put life --from - --if-version 1 <<<two
status 0 kms disable secret/life --version 1
status 0 kms rm secret/life --version 2 --recovery 30
has out '^deleted secret/life version 2, audit line'
status 0 kms show secret/life
has out ' 1 .* disabled  expires 2099-01-31T00:00:00Z$'
has out ' 2 .*  DELETED, kept until at least 2'
status 0 kms show secret/life --json
has out '"disabled":true,"expires":"2099-01-31T00:00:00Z","delete_after":"","metadata":"\{\\"owner\\":\\"blue\\"\}"'
status 1 kms destroy secret/life
has err '^refused: kms:recovery-window: .*hint: |^refused: kms:recovery-window'
status 0 kms undelete secret/life
status 0 kms enable secret/life
status 0 kms rm secret/life --no-recovery
has out '^destroyed secret/life, audit line'
status 3 kms show secret/life
has err 'kms:not-found'
status 2 kms rm secret/life --recovery 91

step "release"
status 0 probe release key/model "$RUN/got"
has out '^key/model version 1 alg=aes-128 policy=workload rule=program audit=[0-9]+$'
cmp -s "$RUN/got" "$RUN/model.key" || die "another key was released"
status 1 probe release secret/db/password "$RUN/nothing"
has err '^refused: kms:unbound: '
status 0 kms bind secret/db/password workload
status 0 probe release secret/db/password "$RUN/got"
[ "$(cat "$RUN/got")" = "hunter2 hunter2" ] || die "another secret was released"
status 3 probe release key/absent
cp "$BIN/kms-probe" "$RUN/tampered" # one byte more: another measurement
printf x >>"$RUN/tampered"
reach
status 1 "$RUN/tampered" release key/model "${REACH[@]}" --sim-dir "$RUN/sim"
has err '^refused: policy:mrenclave: [0-9a-f]{64} / see decision D[0-9]+$'
has err '^hint: an auditor of the KMS sees why: cczoo kms why D[0-9]+$'
decision=$(sed -nE 's/^refused: .*see decision (D[0-9]+)$/\1/p' "$RUN/err")
status 0 kms why "$decision"
has out "^$decision Release refused at "
has out '^expected +[0-9a-f]{64}$'
has out '^rule +program$'
grep -qE 'Release verdict=reject item=key/model .*where=policy:mrenclave got=[0-9a-f]{64} expected=[0-9a-f]{64} peer=127' \
    "$RUN/log/kms.log" || die "no log line for the refusal"
status 0 kms policy put workload "$RUN/kms-policy.json" --replace # another program now
status 1 probe release key/model
has err '^refused: policy:mrenclave: '
status 0 kms policy put workload "$RUN/probe-policy.json" --replace

step "who may not"
"$BIN/cczoo" sim init "$RUN/other-sim" 2>>"$RUN/log/setup.log"
reach
status 3 "$BIN/kms-probe" release key/model "${REACH[@]}" --sim-dir "$RUN/other-sim" # the KMS hangs up
has err 'peer:quote:pck-root'
ADMIN_KEY=$RUN/stranger.key status 1 kms ls
has err 'kms:admin-unknown'
has err '^hint: the KMS knows no such --admin-key'
ADMIN_KEY=$RUN/auditor.key status 0 kms audit --last 3
ADMIN_KEY=$RUN/auditor.key status 1 kms rm key/model
has err '^refused: kms:role: auditor / operator,author'
status 1 "$BIN/kms-probe" release key/model "${REACH[@]}" --admin-key "$RUN/admin.key" # an administrator reads nothing
has err '^refused: kms:workload-required: '

step "audit"
status 0 kms audit
lines=$(wc -l <"$RUN/out")
has out '^1 .* init accept'
has out 'Release accept key/model version 1 policy=workload rule=program by workload sgx mrenclave=[0-9a-f]{64} .*SIMULATED$'
has out 'Release reject key/model .*where=policy:mrenclave got='
has out 'Delete reject .*where=kms:role got=auditor expected=operator,author by admin'
status 0 kms audit --json
[ "$(wc -l <"$RUN/out")" = "$lines" ] || die "an audit changed the audit"
python3 - "$RUN/out" <<'PY'
import hashlib, json, struct, sys
prev = bytes(32)
for n, text in enumerate(open(sys.argv[1]), 1):
    line = json.loads(text)
    raw = text[text.index('"entry":') + 8:text.rindex("}")]
    import calendar, time
    t = calendar.timegm(time.strptime(line["time"], "%Y-%m-%dT%H:%M:%SZ"))
    want = hashlib.sha256(prev + struct.pack("<QQ", n, t) + raw.encode()).hexdigest()
    assert line["seq"] == n and line["prev"] == prev.hex() and line["hash"] == want, line
    prev = bytes.fromhex(want)
PY

step "a new TLS identity while it serves"
kill -HUP "${PIDS[kms]}"
for _ in $(seq 100); do
    grep -q 'reload identity=new' "$RUN/log/kms.log" && break
    sleep 0.1
done
grep -q 'reload identity=new' "$RUN/log/kms.log" || die "SIGHUP made no new identity"
status 0 probe release key/model "$RUN/got"
cmp -s "$RUN/got" "$RUN/model.key" || die "another key after the new identity"

step "stop, start, and what is left on disk"
kms_stop
grep -q 'stopping signal=15' "$RUN/log/kms.log" || die "SIGTERM did not stop it in order"
status 0 "$BIN/cczoo-kmsd" check --state "$RUN/kms"
has out '^versions=4 policies=1 bindings=3 admins=2 '
for f in "$RUN"/kms/kms.sqlite* "$RUN"/log/*; do
    if grep -qaE 'hunter2|from a pipe' "$f" || LC_ALL=C grep -qaF -e "$(head -c 16 "$RUN/model.key" | tr -d '\0\n')" "$f"; then
        die "$f holds a value in clear"
    fi
done
kms_start
status 0 probe release key/model "$RUN/got"
cmp -s "$RUN/got" "$RUN/model.key" || die "another key after the restart"
kms_stop
cp "$RUN/kms2/master.key" "$RUN/wrong.key"
status 1 "$BIN/cczoo-kmsd" check --state "$RUN/kms" --master-key "$RUN/wrong.key"
has err '^refused: kms:master-key: '
python3 - "$RUN/kms/kms.sqlite" <<'PY'
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute("UPDATE binding SET policy = 'mine' WHERE name = 'model'")
db.commit()
PY
status 1 "$BIN/cczoo-kmsd" run --state "$RUN/kms" --listen 127.0.0.1:0 --tee sim-sgx --sim-dir "$RUN/sim"
has err 'kms:row-mac'
status 3 sh -c "'$BIN/cczoo-kmsd' --version >/dev/full" # a full disk: nobody reads success
say ok
