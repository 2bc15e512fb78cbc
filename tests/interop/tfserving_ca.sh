#!/usr/bin/env bash
# One gRPC port for both: stock TensorFlow Serving clients that know an authority, and clients that attest. The certificate of the port is
# issued by a key of the KMS, and the evidence is inside.
. "$(dirname "$0")/../integration/served.sh"
python3 "$ROOT/tests/interop/test_tfserving_ca.py" --packages || exit $? # 77: cannot be had here
run_begin test-tfserving-ca
make_platform
start_kms
protect_model
for ca in web other; do
    kms ca create $ca --names localhost,127.0.0.1 --bind model-server >/dev/null
    kms ca cert $ca --out "$RUN/$ca.pem"
done
# gRPC's TLS refuses every certificate for an address whose authority is limited to addresses, so this one has a name alone
CERT=(--cert-from-kms key/web --cert-names localhost --cert-life 60)
stock() { python3 "$ROOT/tests/interop/test_tfserving_ca.py" "$@" "$DATA/t10k-images-idx3-ubyte.gz" "$DATA/t10k-labels-idx1-ubyte.gz"; }
leaf() { openssl s_client -connect "127.0.0.1:$PORT" -alpn h2 </dev/null 2>/dev/null | openssl x509 -out "$1"; }

step "refused before anything is served"
served_args
cp "$RUN/policy.json" "$RUN/clients.json"
status 2 "$BIN/cczoo-served" "${ARGS[@]}" "${CERT[@]}" --client-policy "$RUN/clients.json"
has err 'client-policy refuses'
status 2 "$BIN/cczoo-served" "${ARGS[@]}" "${CERT[@]}" --insecure-tls-only
has err 'shows another certificate'

step "stock clients and attesting ones, at the same port"
served_start server "${CERT[@]}" --enable_grpc_healthcheck_service --leave 60
PORT=$(cat "$RUN/server.port")
status 0 infer "127.0.0.1:$PORT"
stock serve "$PORT" "$RUN/web.pem" "$RUN/other.pem"
status 0 infer "127.0.0.1:$PORT"
sed 's/"mrenclave": *"[0-9a-f]*"/"mrenclave": "'"$(printf '0%.0s' {1..64})"'"/' "$RUN/policy.json" >"$RUN/wrong.json"
cmp -s "$RUN/policy.json" "$RUN/wrong.json" && die "the wrong policy is the right one"
status 1 "$BIN/cczoo" infer --target "127.0.0.1:$PORT" --policy "$RUN/wrong.json" --trust-sim "$RUN/sim/trust" \
    --model fashion-mnist --images "$DATA/t10k-images-idx3-ubyte.gz" --labels "$DATA/t10k-labels-idx1-ubyte.gz"

step "the evidence in the same certificate"
leaf "$RUN/first.pem"
status 0 openssl verify -purpose sslserver -verify_hostname localhost -CAfile "$RUN/web.pem" "$RUN/first.pem"
status 0 "$BIN/cczoo" evidence verify "$RUN/first.pem" --trust-sim "$RUN/sim/trust" --policy "$RUN/policy.json"
status 1 "$BIN/cczoo" evidence verify "$RUN/first.pem" --trust-sim "$RUN/sim/trust" --policy "$RUN/wrong.json"

step "the next one comes in time"
for ((i = 0; i < 600; i++)); do
    leaf "$RUN/next.pem"
    cmp -s "$RUN/first.pem" "$RUN/next.pem" || break
    sleep 0.2
done
cmp -s "$RUN/first.pem" "$RUN/next.pem" && die "still the first certificate"
stock serve "$PORT" "$RUN/web.pem" "$RUN/other.pem"
status 0 infer "127.0.0.1:$PORT"

step "balancers hear of the end before connections do"
stock leave "$PORT" "$RUN/web.pem" "${PIDS[server]}"
stop server

step "where clients must attest, stock ones do not get in"
served_start mutual --client-policy "$RUN/clients.json"
PORT=$(cat "$RUN/mutual.port")
stock refused "$PORT" "$RUN/web.pem"
grep -q 'ratls:alpn' "$RUN/log/mutual.log" || die "no reason in the log"
say ok
