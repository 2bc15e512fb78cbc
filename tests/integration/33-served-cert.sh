#!/usr/bin/env bash
# The REST listener of cczoo-served with a certificate of the KMS: stock curl connects by the authority's file alone, the evidence is in the
# same certificate; the next one comes by itself; without the KMS's word the server does not start, and one in use stays.
. "$(dirname "$0")/served.sh"
run_begin test-served-cert
make_platform
start_kms
protect_model
kms ca create web --names localhost,127.0.0.1 --bind model-server >/dev/null
kms ca cert web --out "$RUN/ca.pem"

step "refused"
served_fails 1 'x509:name-not-allowed' 'each as it stands' --rest 127.0.0.1:0 --cert-from-kms key/web --cert-names other.example
served_args
status 2 "$BIN/cczoo-served" "${ARGS[@]}" --cert-from-kms key/web # no names
has err 'cert-from-kms key/NAME goes with'

step "stock curl"
served_start server --rest 127.0.0.1:0 --cert-from-kms key/web --cert-names localhost,127.0.0.1 --cert-life 60
REST=127.0.0.1:$(cat "$RUN/server.rest")
get() { curl -sS -m 20 --cacert "$RUN/ca.pem" "$@"; }
status 0 get "https://localhost:${REST#*:}/v1/models/fashion-mnist"
has out '"state": "AVAILABLE"'
status 0 get "https://$REST/v1/models/fashion-mnist"
status 60 get --connect-to "other.example:443:$REST" https://other.example/
status 60 curl -sS -m 20 "https://$REST/v1/models/fashion-mnist"

# leaf FILE: the certificate that the listener shows.
leaf() { openssl s_client -connect "$REST" -servername localhost </dev/null 2>/dev/null | openssl x509 -out "$1"; }
step "the evidence in the same certificate"
leaf "$RUN/first.pem"
status 0 "$BIN/cczoo" evidence verify "$RUN/first.pem" --trust-sim "$RUN/sim/trust" --policy "$RUN/policy.json"
status 1 "$BIN/cczoo" evidence verify "$RUN/first.pem" --trust-sim "$RUN/sim/trust" --policy "$RUN/kms-policy.json"
status 0 infer "127.0.0.1:$(cat "$RUN/server.port")" # gRPC is as it was

step "the next one comes in time"
for ((i = 0; i < 600; i++)); do
    leaf "$RUN/next.pem"
    cmp -s "$RUN/first.pem" "$RUN/next.pem" || break
    sleep 0.2
done
cmp -s "$RUN/first.pem" "$RUN/next.pem" && die "still the first certificate"
status 0 openssl verify -purpose sslserver -verify_hostname localhost -CAfile "$RUN/ca.pem" "$RUN/next.pem"
status 0 get "https://$REST/v1/models/fashion-mnist"

step "one in use stays while the KMS refuses"
kms disable key/web >/dev/null
kill -HUP "${PIDS[server]}"
for ((i = 0; i < 100; i++)); do
    ! grep -q 'kms:key-disabled' "$RUN/log/server.log" || break
    sleep 0.1
done
grep -q 'kms:key-disabled' "$RUN/log/server.log" || die "nothing in the log"
status 0 get "https://$REST/v1/models/fashion-mnist"
say ok
