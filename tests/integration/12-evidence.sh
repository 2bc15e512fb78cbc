#!/usr/bin/env bash
# cczoo evidence: every encoding and container, damaged files, verdicts, valid JSON, exit statuses.
. "$(dirname "$0")/../../scripts/lib.sh"
run_begin test-evidence
cd "$RUN"

# json EXPRESSION: of the object d on stdout
json() {
    python3 - "$RUN/out" "$1" <<'PY' || die "not true of the JSON: $1"
import json, sys
d = json.load(open(sys.argv[1]))
sys.exit(not eval(sys.argv[2]))
PY
}
inspect() { "$BIN/cczoo" evidence inspect "$@"; }
verify() { "$BIN/cczoo" evidence verify "$@"; }

"$BIN/cczoo" sim init sim 2>/dev/null
make() { "$BIN/evidence-probe" "$@" --sim-dir sim; }
make quote q.sgx
make quote q.tdx --tee sim-tdx
make cert c.pem
make stolen stolen.pem
python3 - <<'PY'
import base64, json
q = open("q.tdx", "rb").read()
open("q.hex", "w").write("0x" + q.hex().upper() + "\n")
open("q.b64", "wb").write(base64.encodebytes(q))
open("q.json", "w").write(json.dumps({"cc_eventlog": "", "quote": base64.b64encode(q).decode()}))
pem = open("c.pem").read()
open("c.trusted.pem", "w").write(pem.replace("CERTIFICATE", "TRUSTED CERTIFICATE"))
open("c.der", "wb").write(base64.b64decode("".join(pem.splitlines()[1:-1])))
PY

step "inspect"
status 0 inspect q.sgx
has err '^nothing was verified'
has out '^header$'
has out '^  mrenclave +[0-9a-f]{64}$'
has out '^  flags +INIT, MODE64BIT$'
has out '^  subject +.*SIMULATED'
for f in q.tdx q.hex q.b64 q.json; do
    status 0 inspect "$f"
    has out '^  tee_type +129 \(TDX\)$'
    has out '^  td_attributes_bits +SEPT_VE_DISABLE$'
    has out '^  mrtd +[0-9a-f]{96}$'
    status 0 inspect --json "$f"
    json 'd["verified"] is False and d["complete"] is True and d["file"]["evidence"] == "quote"'
    json 'd["td_report"]["report_data"] == "ab" * 64 and d["header"]["tee_type_name"] == "TDX"'
done
for f in c.pem c.trusted.pem c.der; do
    status 0 inspect --json "$f"
    json 'd["file"]["container"] == "certificate" and d["ra_tls"]["report_data_matches_key"] is True'
    json 'd["claims"]["pubkey-hash"].startswith("82015820") and d["ra_tls"]["legacy_extension"] is True'
done
status 0 inspect --json stolen.pem
json 'd["ra_tls"]["report_data_matches_key"] is False'
inspect - <q.sgx >out 2>/dev/null
has out '^  mrenclave '

step "damaged files"
head -c 700 q.tdx >cut
status 1 inspect cut
has out '^  mrtd ' # what stands in front of the cut
has err '^error: quote:signature-size: '
status 1 inspect --json cut
json 'd["complete"] is False and d["error"]["where"] == "quote:signature-size" and d["td_report"]["mrtd"]'
cp q.sgx bad
printf '\x09' | dd of=bad bs=1 conv=notrunc status=none # version 9
status 1 inspect bad
has err '^refused: evidence:kind: 09000200'
: >empty
status 1 inspect empty
has err '^error: evidence:empty: '
echo hello world >text
status 1 inspect text
has err '^refused: evidence:text: '
echo '{}' >none.json
status 1 inspect none.json
has err '^refused: evidence:json: '
status 1 inspect "$ROOT/LICENSE"
status 3 inspect missing
status 2 inspect
status 2 inspect a b
status 2 inspect --bogus q.sgx
status 0 inspect --help

step "verify"
status 2 verify q.sgx # trusts nobody
status 0 verify q.sgx --trust-sim sim/trust
has err '^SIMULATED: '
has err '^genuine, not judged by any policy: sgx, TCB UpToDate$'
has out '^verdict +genuine$'
has out '^simulated +SIMULATED$'
has out '^collateral_expires +20'
status 0 verify q.tdx --trust-sim sim/trust --json
json 'd["verdict"] == "genuine" and d["claims"]["tee"] == "tdx" and d["claims"]["simulated"] is True'
status 0 verify q.b64 --trust-sim sim/trust
mrenclave=$("$BIN/cczoo" evidence inspect --json q.sgx 2>/dev/null | python3 -c 'import json, sys; print(json.load(sys.stdin)["sgx_report"]["mrenclave"])')
rule='{"version":1,"rules":[{"name":"probe","tee":"sgx","mrenclave":"%s","sim":true}]}\n'
# shellcheck disable=SC2059
printf "$rule" "$mrenclave" >good.policy
# shellcheck disable=SC2059
printf "$rule" "$(printf '0%.0s' {1..64})" >other.policy
status 0 verify q.sgx --trust-sim sim/trust --policy good.policy
has out '^verdict +accepted$'
has out '^rule +probe$'
has err '^accepted: sgx, TCB UpToDate$'
status 1 verify q.sgx --trust-sim sim/trust --policy other.policy
has out '^verdict +refused$'
has out "^mrenclave +$mrenclave\$" # genuine, and this is what it is
has err '^refused: policy:mrenclave: '
status 1 verify q.sgx --trust-sim sim/trust --policy other.policy --json
json 'd["verdict"] == "refused" and d["error"]["where"] == "policy:mrenclave" and d["claims"]["tee"] == "sgx"'
status 1 verify q.sgx --trust-sim sim/trust --at 2001-01-01T00:00:00Z
has err '^refused: .*not-yet-valid: 2001-01-01T00:00:00Z / not before '
status 1 verify q.sgx --trust-sim sim/trust --at 2001-01-01T00:00:00Z --json
json 'd["verdict"] == "refused" and "claims" not in d'
cp q.sgx bad
"$ROOT/scripts/flip-byte" bad 120
status 1 verify bad --trust-sim sim/trust
has err '^error: quote:signature: '
has out '^verdict +refused$'
status 2 verify q.sgx --trust-sim sim/trust --at yesterday
CCZOO_CACHE=$RUN/cache status 1 verify q.sgx --collateral https://pcs.invalid/ # not Intel's: nobody is asked
has err '^error: quote:pck-root'
status 3 verify missing --trust-sim sim/trust
status 3 verify q.sgx --trust-sim missing
"$BIN/cczoo" sim init sim2 2>/dev/null
status 1 verify q.sgx --trust-sim sim2/trust # another authority

step "certificates"
for f in c.pem c.trusted.pem c.der; do
    status 0 verify "$f" --trust-sim sim/trust --policy good.policy --json
    json 'd["verdict"] == "accepted" and len(d["bound_key_sha256"]) == 64'
done
status 0 verify c.pem --trust-sim sim/trust
has out '^bound_key_sha256 +[0-9a-f]{64}$'
status 1 verify stolen.pem --trust-sim sim/trust
has err '^refused: ratls:'
has out '^verdict +refused$'
say ok
