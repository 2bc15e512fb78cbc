#!/usr/bin/env bash
# The command line: help, usage errors, exit statuses, stable JSON, nothing overwritten.
. "$(dirname "$0")/../../scripts/lib.sh"
run_begin test-cli
cd "$RUN"

step "usage"
status 2 "$BIN/cczoo"
status 0 "$BIN/cczoo" --help
has out '^usage: cczoo COMMAND'
status 2 "$BIN/cczoo" nonsense
has err '^error: no such command: nonsense'
has err '^hint: '
status 0 "$BIN/cczoo" infer --help
status 2 "$BIN/cczoo" infer --bogus 1
status 2 "$BIN/cczoo" infer --batch x
has err '^error: --batch: "x" is not a number'

step "no port without the client policy"
served() {
    "$BIN/cczoo-served" --listen 127.0.0.1:0 --model-name m --model-dir m --tensorflow ./tf --kms 127.0.0.1:1 \
        --kms-policy p --kms-key key/m --tee sim-sgx --client-policy p "$@"
}
status 2 served --rest 127.0.0.1:0 # HTTPS clients show no evidence: the policy would not hold there
has err '^error: --rest .*--client-policy'
status 2 served --insecure-tls-only
has err '^error: --insecure-tls-only .*--client-policy'

step "software TEE"
status 0 "$BIN/cczoo" sim init "$RUN/sim"
has err '^SIMULATED: '
status 3 "$BIN/cczoo" sim init "$RUN/sim" # not empty: left alone
[ "$(stat -c %a "$RUN/sim/platform")" = 700 ] || die "the private platform folder is open to others"
status 0 "$BIN/cczoo" sim measure "$BIN/cczoo"
has out '^[0-9a-f]{64}$'
cp out first
cp "$BIN/cczoo" other
"$ROOT/scripts/flip-byte" other 5000
status 0 "$BIN/cczoo" sim measure other
cmp -s out first && die "a changed binary has the same measurement"

step "protected files"
mkdir plain
head -c 300000 /dev/urandom >plain/a
: >plain/empty
status 0 "$BIN/cczoo" pf keygen key
[ "$(stat -c %a key)" = 600 ] || die "key file is open to others"
status 3 "$BIN/cczoo" pf keygen key # never overwritten
has err 'exists'
status 0 "$BIN/cczoo" pf encrypt --key key plain enc
status 0 "$BIN/cczoo" pf decrypt --key key enc back
diff -r plain back >/dev/null || die "decryption differs"
"$ROOT/scripts/flip-byte" enc/a 20000
status 1 "$BIN/cczoo" pf decrypt --key key enc/a out.a
has err '^refused: pf:data-node: .*block'
[ ! -e out.a ] || die "a damaged file left plaintext behind"
chmod 644 key
status 1 "$BIN/cczoo" pf decrypt --key key enc/empty out.e
has err '^refused: file:permissions: 0644 / 0600'
has err '^hint: '

step "policy"
echo '{"version":1,"rules":[{"name":"x","tee":"sgx"}]}' >p.json
status 1 "$BIN/cczoo" policy check p.json # pins nothing
echo '{"version":1,"rules":[{"name":"x","tee":"sgx","mrenclave":"'"$(cat first)"'"}]}' >p.json
status 0 "$BIN/cczoo" policy check p.json
status 3 "$BIN/cczoo" policy check missing.json

step "table"
status 0 "$BIN/cczoo" table --json --solutions "$ROOT/solutions"
python3 - "$RUN/out" <<'PY'
import json, sys
rows = json.load(open(sys.argv[1]))
assert [r["number"] for r in rows] == list(range(1, 10)), rows
assert all(r["status"] for r in rows)
PY
say ok
