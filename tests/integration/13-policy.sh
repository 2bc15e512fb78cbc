#!/usr/bin/env bash
# Policies on the command line: explained, tested against a folder of evidence, drafted, as JSON Schema; the radar.
. "$(dirname "$0")/../../scripts/lib.sh"
run_begin test-policy
cd "$RUN"

hasnt() { ! grep -qE "$2" "$RUN/$1" || { cat "$RUN/$1" >&2; die "a line like '$2' in $1"; }; }

AT=$("$BIN/evidence-kit" "$RUN/kit")
trust=(--trust-sim kit/standard --at "$AT")

step "from-evidence: a draft accepts what it was made from"
status 0 "$BIN/cczoo" policy from-evidence kit/evidence/sgx-good "${trust[@]}"
has err '^SIMULATED: '
cp out sgx.json
status 0 "$BIN/cczoo" policy check sgx.json
status 0 "$BIN/cczoo" evidence verify kit/evidence/sgx-good --policy sgx.json "${trust[@]}"
status 2 "$BIN/cczoo" policy from-evidence kit/evidence/sgx-good --policy sgx.json "${trust[@]}"

step "explain: the demands, then one piece of evidence"
status 0 "$BIN/cczoo" policy explain sgx.json
has out '^rule "draft" accepts evidence of tee sgx'
has out '^  debug +default +false$'
has out '^  sim +named +true or false$'
has out '^  not judged:$'
status 0 "$BIN/cczoo" policy explain sgx.json --evidence kit/evidence/sgx-good "${trust[@]}"
has err '^accepted by rule "draft"$'
status 1 "$BIN/cczoo" policy explain sgx.json --evidence kit/evidence/sgx-refused "${trust[@]}"
has out '^  tcb_status +named +fail +got OutOfDate, expected UpToDate$'
has out '^  mrenclave +named +pass '
has err '^refused: policy:tcb_status: OutOfDate / UpToDate$'
status 1 "$BIN/cczoo" policy explain sgx.json --json --evidence kit/evidence/sgx-refused "${trust[@]}"
python3 - "$RUN/out" <<'PY'
import json, sys
d = json.load(open(sys.argv[1]))
f = {x["field"]: x for x in d["rules"][0]["fields"]}
assert d["accept"] is False and d["where"] == "policy:tcb_status", d
assert f["tcb_status"] == {"field": "tcb_status", "named": True, "judged": True, "outcome": "fail", "got": "OutOfDate",
                           "expected": "UpToDate"}, f["tcb_status"]
assert f["debug"]["named"] is False and f["debug"]["outcome"] == "pass"
assert f["xfrm"]["outcome"] == "not-judged" and f["xfrm"]["expected"] is None
PY
status 2 "$BIN/cczoo" policy explain sgx.json --trust-sim kit/standard # says nothing without evidence
status 2 "$BIN/cczoo" policy explain

step "test: a folder of evidence"
status 1 "$BIN/cczoo" policy test sgx.json kit/evidence "${trust[@]}"
has out '^sgx-good +sgx +UpToDate +accept +draft$'
has out '^sgx-refused +sgx +OutOfDate +refuse +policy:tcb_status: OutOfDate / UpToDate$'
has out '^tdx-good +tdx +UpToDate +refuse +policy:tee: tdx / sgx$'
has err '^2 of 7 accepted$'
mkdir only
cp kit/evidence/sgx-good only/a
status 0 "$BIN/cczoo" policy test sgx.json only "${trust[@]}"
printf '# fates\nsgx-good\taccept\nsgx-ending\taccept\nsgx-refused\trefuse\ntdx-good\trefuse\ntdx-ending\trefuse\n' >expect
printf 'tdx-refused\trefuse\ntdx-relaunch\trefuse\n' >>expect
status 0 "$BIN/cczoo" policy test sgx.json kit/evidence --expect expect "${trust[@]}"
sed 's/^sgx-ending\taccept/sgx-ending\trefuse/' expect >wrong
status 1 "$BIN/cczoo" policy test sgx.json kit/evidence --expect wrong "${trust[@]}"
has out '^sgx-ending .*\(not as expected\)$'
grep -v tdx-relaunch expect >wrong # evidence that nobody expected
status 1 "$BIN/cczoo" policy test sgx.json kit/evidence --expect wrong "${trust[@]}"
(cat expect; printf 'gone\taccept\n') >wrong
status 1 "$BIN/cczoo" policy test sgx.json kit/evidence --expect wrong "${trust[@]}"
has err '^expected, but not there: gone$'
printf 'sgx-good\tmaybe\n' >wrong
status 1 "$BIN/cczoo" policy test sgx.json kit/evidence --expect wrong "${trust[@]}"
has err 'cli:expect: line 1: '
printf 'a\trefuse\t2035-01-01T00:00:00Z\n' >late # a time of its own
status 0 "$BIN/cczoo" policy test sgx.json only --expect late "${trust[@]}"
has out 'collateral:.*expired|collateral:.*late'
mkdir empty
status 3 "$BIN/cczoo" policy test sgx.json empty "${trust[@]}"
has err 'corpus:empty'
status 2 "$BIN/cczoo" policy test sgx.json only --at "$AT" # trusts nobody
status 1 "$BIN/cczoo" policy test sgx.json kit/evidence --json "${trust[@]}"
python3 - "$RUN/out" <<'PY'
import json, sys
rows = {r["name"]: r for r in json.load(open(sys.argv[1]))}
assert len(rows) == 7 and rows["sgx-good"]["accept"] and rows["sgx-good"]["rule"] == "draft"
assert rows["sgx-refused"]["where"] == "policy:tcb_status" and rows["sgx-refused"]["got"] == "OutOfDate"
PY

step "test: a folder per case, with collateral of its own"
mkdir -p cases/new cases/none
cp kit/evidence/sgx-good cases/new/evidence.bin
cp -r kit/standard/sgx cases/new/collateral
cp sgx.json cases/none/ # no evidence.bin: not a case
status 1 "$BIN/cczoo" policy test sgx.json cases --at "$AT" # its root is not Intel's
has out '^new +- +- +refuse +.*collateral:.*-root'
has err '^0 of 1 accepted$'

step "schema"
status 0 "$BIN/cczoo" policy schema
cmp out "$ROOT/docs/reference/policy.schema.json"
if python3 -c 'import jsonschema' 2>/dev/null; then
    python3 - "$RUN/out" sgx.json <<'PY'
import json, sys
from jsonschema import Draft202012Validator
schema = json.load(open(sys.argv[1]))
Draft202012Validator.check_schema(schema)
v = Draft202012Validator(schema)
good = json.load(open(sys.argv[2]))
snp = {"name": "s", "tee": "snp", "measurement": "0" * 96, "product": ["Milan"],
       "reported_tcb": {"boot_loader": 4, "tee": [0, {"min": 2}], "snp": {"min": 8, "max": 9}, "microcode": {"min": 1}},
       "current_version": {"min": "1.55.21"}, "csp_id": "x",
       "grace": {"until": "2027-01-01T00:00:00Z", "current_version": "1.55.20"}}
doc = lambda rule: {"version": 1, "rules": [rule]}
assert v.is_valid(good) and v.is_valid({}) and v.is_valid(doc(snp))
bad = [{"rules": []}, {"version": 2}, doc({**snp, "mrtd": "0" * 96}), doc({**snp, "measurement": "0" * 95}),
       doc({k: x for k, x in snp.items() if k != "product"}), doc({**snp, "vmpl": -1}), doc({**snp, "sim": 1}),
       doc({**snp, "grace": {"until": "2027-01-01T00:00:00Z"}}), doc({**snp, "nonsense": 1}),
       doc({**snp, "grace": {"until": "2027-01-01T00:00:00Z", "measurement": "0" * 96}}),
       doc({"name": "t", "tee": "sgx", "mrsigner": "0" * 64})]
for b in bad:
    assert not v.is_valid(b), b
PY
else
    say "jsonschema is not installed: the schema is compared, not tried"
fi

step "radar: what the early collateral refuses"
radar=("$BIN/cczoo" evidence radar kit/evidence --standard kit/standard --early kit/early --sim --at "$AT")
status 1 "${radar[@]}"
has err '^SIMULATED: '
has err '^2 good, 2 end, 0 live on grace, 3 are refused, 0 unknown$'
has out '^sgx-ending +sgx +ending +2025-07-15T15:06:40Z +UpToDate +SWHardeningNeeded +radar:tcb_status: SWHardeningNeeded / UpToDate$'
has out '^    sgx-component 2 \(SGX Late Microcode Update\): has 5, needs 6 \(1 short\); update the microcode'
has out '^tdx-relaunch .*refused +now +TDRelaunchAdvised'
has out 'tdx-module \(TDX Module\): has 2, needs 4 \(2 short\); launch the TD again$'
[ "$(cut -d' ' -f1 out | grep -E '^(sgx|tdx)-' | tail -n 2 | tr '\n' ' ')" = "sgx-good tdx-good " ] || die "not by urgency"
status 1 "${radar[@]}" --json
python3 - "$RUN/out" <<'PY'
import json, sys
rows = {r["name"]: r for r in json.load(open(sys.argv[1]))}
r = rows["tdx-ending"]
assert r["state"] == "ending" and (r["standard"]["tcb_eval_number"], r["early"]["tcb_eval_number"]) == (17, 19), r
assert [(s["kind"], s["index"], s["have"], s["need"]) for s in r["short"]] == [("sgx-component", 2, 5, 6)], r
assert rows["sgx-good"]["until"] is None and rows["sgx-good"]["short"] == []
PY
python3 - sgx.json >grace.json <<'PY'
import json, sys
p = json.load(open(sys.argv[1]))
p["rules"][0]["grace"] = {"until": "2025-07-01T00:00:00Z", "tcb_status": ["SWHardeningNeeded"]}
print(json.dumps(p))
PY
status 1 "${radar[@]}" --policy grace.json
has out '^sgx-ending +sgx +grace +2025-07-01T00:00:00Z +.*policy:tcb_status: SWHardeningNeeded / UpToDate$'
has out '^tdx-good +tdx +refused +now +.*policy:tee: tdx / sgx$'
cp -r kit/evidence good-only
rm good-only/*-ending good-only/*-refused good-only/*-relaunch
status 0 "$BIN/cczoo" evidence radar good-only --standard kit/standard --early kit/early --sim --at "$AT"
hasnt out 'short'
mkdir -p half/sgx
cp kit/early/root.pem half/
cp kit/early/sgx/* half/sgx/
status 3 "$BIN/cczoo" evidence radar good-only --standard kit/standard --early half --sim --at "$AT" # nothing known of TDX
has out '^tdx-good +tdx +unknown .*verifier:no-collateral'
status 2 "$BIN/cczoo" evidence radar good-only --standard kit/standard
status 3 "$BIN/cczoo" evidence radar missing --standard kit/standard --early kit/early --sim
say ok
