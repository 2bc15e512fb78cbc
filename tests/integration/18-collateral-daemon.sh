#!/usr/bin/env bash
# Collateral that is fetched by who needs it: a daemon with a PCCS, and commands with --collateral URL.
. "$(dirname "$0")/kms.sh"
run_begin test-collateral-daemon
cd "$RUN"
[ -x "$BIN/fake-pcs" ] || { echo "skipped: $BIN/fake-pcs is not built"; exit 77; }
export CCZOO_CACHE=$RUN/cache

# start_pccs BUNDLE_DIR...: URL is its base.
start_pccs() {
    rm -f "$RUN/port"
    start pccs "$BIN/fake-pcs" "$RUN/port" "$@"
    wait_file pccs "$RUN/port" 10
    URL=http://127.0.0.1:$(cat "$RUN/port")
}
# start_kms OPTION...: trusts the software TEE in RUN/t, where only its root is at first.
start_kms() {
    rm -f "$RUN/kms.port"
    : >"$RUN/log/kms.log"
    start kms "$BIN/cczoo-kmsd" run --state "$RUN/kms" --listen 127.0.0.1:0 --port-file "$RUN/kms.port" \
        --tee sim-sgx --sim-dir "$RUN/sim" --trust-sim "$RUN/t" "$@"
    wait_file kms "$RUN/kms.port" 30
    KMS=127.0.0.1:$(cat "$RUN/kms.port")
}
# comes_to PATTERN: within 20 s, a line of the KMS's log is like that.
comes_to() {
    local i
    for ((i = 0; i < 400; i++)); do
        grep -qE "$1" "$RUN/log/kms.log" && return 0
        sleep 0.05
    done
    cat "$RUN/log/kms.log" >&2
    die "no line like '$1' in the log"
}
released() {
    status 0 probe release key/model "$RUN/got"
    cmp -s "$RUN/got" "$RUN/model.key" || die "another key was released"
}

kms_setup
mkdir t
cp sim/trust/root.pem t/
start_pccs sim/trust/sgx sim/trust/tdx

step "usage"
RUN_KMS=("$BIN/cczoo-kmsd" run --state "$RUN/kms" --listen 127.0.0.1:0 --tee sim-sgx --sim-dir "$RUN/sim")
status 2 "${RUN_KMS[@]}" --collateral-from pcs
has err 'needs --collateral'
status 2 "${RUN_KMS[@]}" --trust-sim t --reattest -1
status 3 "${RUN_KMS[@]}" --trust-sim t # strict by default: nothing is there, nobody is asked
has err 'pcs:empty'
status 2 "${RUN_KMS[@]}" --trust-sim t --collateral-from ftp://x
has err 'pcs:url'

step "the first peer of a platform makes the daemon fetch, and may come again"
start_kms --collateral-from "$URL" --reattest 3600
status 0 "$BIN/cczoo" pf keygen "$RUN/model.key"
kms policy put workload "$RUN/probe-policy.json" >/dev/null
kms key import model --from "$RUN/model.key" --bind workload >/dev/null
status 0 kms status
has out '^collateral expires never: there is none$'
status 3 probe release key/model "$RUN/got"
has err 'party:collateral-pending'
comes_to 'collateral=ok expires=20'
released
[ -s t/*-sgx-platform/tcb_info.json ] || die "nothing was stored"
status 0 kms status
has out '^collateral expires 20[0-9-]+T'
status 0 kms status --json
has out '"collateral_expires":"20'

step "restarted, offline: what is stored is good"
stop kms
start_kms
released
stop kms

step "what is due is refreshed at the start"
python3 - t/*-sgx-platform/source.json <<'PY'
import re, sys
text = open(sys.argv[1]).read()
open(sys.argv[1], "w").write(re.sub(r'"refresh":"[^"]*"', '"refresh":"2020-01-01T00:00:00Z"', text))
PY
start_kms --collateral-from "$URL"
for ((i = 0; i < 200; i++)); do grep -q '"refresh":"2020' t/*-sgx-platform/source.json || break; sleep 0.05; done
grep -q '"refresh":"2020' t/*-sgx-platform/source.json && die "nothing was refreshed"
released
stop kms

step "the PCCS is down: what is stored is good, and the log says so"
stop pccs
sed -i 's/"refresh":"[^"]*"/"refresh":"2020-01-01T00:00:00Z"/g' t/*-sgx-platform/source.json
start_kms --collateral-from "$URL"
comes_to 'fetch=[0-9a-f]+-sgx-platform where=http:connect .*hint'
comes_to 'collateral=ok expires=20'
released
stop kms

step "evidence verify --collateral URL"
start_pccs sim/trust/sgx
"$BIN/evidence-probe" quote q.sgx --sim-dir sim
status 1 "$BIN/cczoo" evidence verify q.sgx --collateral "$URL" # not genuine: nobody is asked, nothing is stored
has err '^error: quote:pck-root'
[ -z "$(ls cache/collateral)" ] || die "something was stored"
status 1 "$BIN/cczoo" evidence verify q.sgx --collateral http://192.0.2.1/
has err '^error: quote:pck-root'
stop pccs
REAL=${CCZOO_VECTORS:-$ROOT/../shared/vectors}/tee/tdx4-phala-b0c06f-2025-06
[ -s "$REAL/evidence.bin" ] || { say "without published evidence: $REAL is not there"; exit 0; }
AT=(--at 2025-07-19T10:00:34Z)
start_pccs "$REAL/collateral"
status 0 "$BIN/cczoo" evidence verify "$REAL/evidence.bin" --collateral "$URL" "${AT[@]}"
has out 'UpToDate'
ls cache/collateral-at/*-tdx-platform/tcb_info.json >/dev/null || die "nothing was stored"
mkdir corpus
cp "$REAL/evidence.bin" corpus/phala.bin
status 0 "$BIN/cczoo" evidence radar corpus --collateral "$URL" "${AT[@]}"
status 2 "$BIN/cczoo" evidence radar corpus --collateral cache
stop pccs
status 0 "$BIN/cczoo" evidence verify "$REAL/evidence.bin" --collateral "$URL" "${AT[@]}" # from the cache
status 0 "$BIN/cczoo" policy from-evidence "$REAL/evidence.bin" --collateral "$URL" "${AT[@]}"
cp out policy.json
status 0 "$BIN/cczoo" policy test policy.json corpus --collateral "$URL" "${AT[@]}"
rm -r cache
status 3 "$BIN/cczoo" evidence verify "$REAL/evidence.bin" --collateral "$URL" "${AT[@]}"
has err '^error: http:connect'
status 1 "$BIN/cczoo" evidence verify "$REAL/evidence.bin" --collateral http://192.0.2.1/ "${AT[@]}"
has err '^refused: http:plain'
say ok
