#!/usr/bin/env bash
# Collateral from a PCCS, into an archive, onto a machine without a network.
. "$(dirname "$0")/../../scripts/lib.sh"
run_begin test-collateral
cd "$RUN"
[ -x "$BIN/fake-pcs" ] || { echo "skipped: $BIN/fake-pcs is not built"; exit 77; }

# start_pccs SIM: serves the collateral of a software TEE; URL is its base.
start_pccs() {
    rm -f "$RUN/port"
    "$BIN/fake-pcs" "$RUN/port" "$1/trust/sgx" "$1/trust/tdx" &
    PIDS[pccs]=$!
    for _ in $(seq 100); do [ -s "$RUN/port" ] && break; sleep 0.05; done
    URL=http://127.0.0.1:$(cat "$RUN/port")
}
collateral() { "$BIN/cczoo" collateral "$@"; }
fetch() { collateral fetch --from "$URL" --trust-sim "$RUN/sim/trust" --out "$RUN/store" "$@"; }

"$BIN/cczoo" sim init "$RUN/sim" 2>/dev/null
fmspc=$(grep -oE '"fmspc":"[0-9A-Fa-f]{12}"' "$RUN/sim/trust/sgx/tcb_info.json" | grep -oE '[0-9A-Fa-f]{12}' | tr A-F a-f)
start_pccs "$RUN/sim"

step "usage"
status 2 collateral fetch --out x
has err 'expected --quote'
status 2 fetch --fmspc 00 --tee sgx
status 2 fetch --fmspc "$fmspc" --tee arm
status 2 fetch --fmspc "$fmspc" --tee sgx --ca root
status 2 fetch --fmspc "$fmspc" --tee sgx --update never
status 2 collateral status "$RUN/nowhere"
status 2 collateral bundle
status 2 collateral bundle import x --out y --signer 00

step "fetch"
status 1 collateral fetch --from "$URL" --fmspc "$fmspc" --tee sgx --out "$RUN/real" # not Intel's
has err 'refused: collateral:tcb-info-root|error: collateral:tcb-info-root'
[ -z "$(ls "$RUN/real")" ] || die "something was stored"
status 0 fetch --fmspc "$fmspc" --tee sgx
status 0 fetch --fmspc "$fmspc" --tee tdx
status 3 fetch --fmspc 000000000000 --tee sgx
has err '^error: pcs:not-found'
status 1 collateral fetch --from http://192.0.2.1/ --trust-sim "$RUN/sim/trust" --out "$RUN/x" --fmspc "$fmspc" --tee sgx --wait 0
has err 'refused: http:plain'

step "status"
status 0 collateral status "$RUN/store" --trust-sim "$RUN/sim/trust"
has out "^$fmspc-sgx-platform +sgx .* standard +ok SIMULATED"
has out "^$fmspc-tdx-platform +tdx "
status 0 collateral status "$RUN/store" --trust-sim "$RUN/sim/trust" --json
has out '"expired":false'

step "a busy server"
echo 429 >"$RUN/port.fail"
sleep 0.2
status 0 fetch --fmspc "$fmspc" --tee sgx # nothing is due
status 3 collateral fetch --from "$URL" --trust-sim "$RUN/sim/trust" --out "$RUN/busy" --fmspc "$fmspc" --tee sgx --wait 0
has err '^error: pcs:rate'
rm "$RUN/port.fail"
sleep 0.2

step "bundle"
status 0 collateral bundle keygen key.pem
cp out signer
[ "$(stat -c %a key.pem)" = 600 ] || die "the signing key is open to others"
status 0 collateral bundle create store --key key.pem --out c.tar --trust-sim sim/trust
cmp -s out signer || die "another signer"
tar -tf c.tar >list; grep -qx "$fmspc-sgx-platform/tcb_info.json" list || die "tar does not list the bundle"
status 0 collateral bundle inspect c.tar
has out '"format":"cczoo-collateral-1"'
status 0 collateral bundle import c.tar --signer "$(cat signer)" --out airgap --trust-sim sim/trust
status 0 collateral status airgap --trust-sim sim/trust
diff -r -x '.*' -x source.json -x MANIFEST.json store airgap || die "another content"
status 1 collateral bundle import c.tar --signer "$(tr 0-8 1-9 <signer)" --out airgap2 --trust-sim sim/trust
has err '^refused: archive:signer'
status 1 collateral bundle import c.tar --signer "$(cat signer)" --out airgap2
has err 'collateral:tcb-info-root'
cp c.tar changed.tar
"$ROOT/scripts/flip-byte" changed.tar 20000
status 1 collateral bundle import changed.tar --signer "$(cat signer)" --out airgap2 --trust-sim sim/trust
has err '^error: archive:'
[ ! -e airgap2 ] || die "something was written"

step "older ones do not come back"
sleep 1
status 0 collateral bundle create store --key key.pem --out d.tar --trust-sim sim/trust
status 0 collateral bundle import d.tar --signer "$(cat signer)" --out airgap --trust-sim sim/trust
status 1 collateral bundle import c.tar --signer "$(cat signer)" --out airgap --trust-sim sim/trust
has err '^refused: archive:rollback'
status 0 collateral bundle import c.tar --signer "$(cat signer)" --out airgap --trust-sim sim/trust --older-insecure

step "expired"
status 1 collateral status store --trust-sim sim/trust --at 2099-01-01T00:00:00Z
has out " EXPIRED SIMULATED"
