#!/usr/bin/env bash
# The KMS over HTTPS: curl with an administrator's key, tokens of an issuer, health while it is sealed, new certificates at SIGHUP, metrics.
. "$(dirname "$0")/kms.sh"
run_begin test-kms-https

# pair NAME [OPTION...]: a key and a self-signed certificate of it.
pair() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" -addext "subjectAltName=IP:127.0.0.1" -days 30 \
        -keyout "$RUN/$1.key" -out "$RUN/$1.crt" 2>/dev/null
}
# certificate NAME: around a key that there is.
certificate() { openssl req -x509 -new -key "$RUN/$1.key" -subj "/CN=$1" -days 30 -out "$RUN/$1.crt" 2>/dev/null; }

# https [OPTION...] PATH: prints the status; the answer is in RUN/out.
https() { curl -sS --noproxy '*' -m 20 -o "$RUN/out" -w '%{http_code}' --cacert "$RUN/tls.crt" "${@:1:$#-1}" "https://127.0.0.1:$PORT${*: -1}" 2>"$RUN/err" || true; }
as() { https --cert "$RUN/$1.crt" --key "$RUN/$1.key" "${@:2}"; }
# call WHO METHOD JSON
call() { as "$1" -H 'Content-Type: application/json' -d "$3" "/v1/$2"; }
# expect STATUS COMMAND...
expect() { [ "$("${@:2}")" = "$1" ] || { cat "$RUN/out" "$RUN/err" >&2; die "expected $1: ${*:2}"; }; }

step "it refuses to be insecure by accident"
kms_setup
pair tls
certificate admin
pair stranger
run() { "$BIN/cczoo-kmsd" run --state "$RUN/kms" --listen 127.0.0.1:0 --tee sim-sgx --sim-dir "$RUN/sim" --trust-sim "$RUN/sim/trust" "$@"; }
status 1 run --https 0.0.0.0:0 --plain-http-insecure
has err '^refused: door:plain: 0\.0\.0\.0:0'
status 2 run --https 127.0.0.1:0 --tls-cert "$RUN/tls.crt"
has err 'door:identity'
status 1 run --https 127.0.0.1:0 --tls-cert "$RUN/tls.crt" --tls-key "$RUN/stranger.key"
has err 'tls:web-pair'
has err "^hint: the certificates are those of $RUN/tls.crt, the key that of $RUN/stranger.key$"
status 2 run --tls-cert "$RUN/tls.crt"
status 2 run --https 127.0.0.1:0 --jwt-issuer https://issuer.example
# options that would have no effect
status 2 run --jwt-issuer https://issuer.example --jwt-audience kms --jwt-keys "$RUN/jwks.json"
status 2 run --https-rate 5
status 2 run --https 127.0.0.1:0 --plain-http-insecure --jwt-keys "$RUN/jwks.json"
status 2 run --https 127.0.0.1:0 --plain-http-insecure --kbs-sessions 9
status 2 run --https 127.0.0.1:0 --plain-http-insecure --metrics-port-file "$RUN/metrics.port"
status 2 run --epoch-lag 5
status 2 run --collateral-ca-file "$RUN/tls.crt"
chmod 644 "$RUN/tls.key"
status 1 run --https 127.0.0.1:0 --tls-cert "$RUN/tls.crt" --tls-key "$RUN/tls.key"
has err 'file:permissions'
chmod 600 "$RUN/tls.key"

step "administrators by their keys"
# an issuer of tokens: its key, and what it publishes
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$RUN/issuer.key" 2>/dev/null
b64() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }
unhex() { python3 -c 'import sys; sys.stdout.buffer.write(bytes.fromhex(sys.stdin.read()))'; }
jwks() {
    local point
    point=$(openssl pkey -in "$RUN/issuer.key" -pubout -outform DER 2>/dev/null | tail -c 64 | od -An -tx1 | tr -d ' \n')
    printf '{"keys":[{"kty":"EC","crv":"P-256","alg":"ES256","use":"sig","kid":"%s","x":"%s","y":"%s"}]}' "$1" \
        "$(printf %s "${point:0:64}" | unhex | b64)" "$(printf %s "${point:64}" | unhex | b64)" >"$RUN/jwks.json"
}
jwks one
# token SUBJECT [AUDIENCE [SECONDS]]
token() {
    local now head r s
    now=$(date +%s)
    head=$(printf '{"alg":"ES256","typ":"JWT","kid":"one"}' | b64).$(printf '{"iss":"https://issuer.example","aud":"%s","sub":"%s","iat":%d,"exp":%d}' \
        "${2:-kms}" "$1" "$now" $((now + ${3:-300})) | b64)
    # two numbers of 32 bytes instead of DER
    read -r r s < <(printf %s "$head" | openssl dgst -sha256 -sign "$RUN/issuer.key" | openssl asn1parse -inform DER |
        sed -n 's/.*INTEGER *://p' | while read -r n; do printf '%064s ' "${n#"${n%%[!0]*}"}" | tr ' ' 0 | head -c 64; printf ' '; done)
    printf '%s.%s' "$head" "$(printf '%s%s' "$r" "$s" | unhex | b64)"
}
"$BIN/cczoo-kmsd" admin --state "$RUN/kms" --jwt-issuer https://issuer.example --jwt-subject alice --role auditor 2>"$RUN/err"
has err 'auditor: subject alice of https://issuer.example, id [0-9a-f]{64}'
kms_setup_https() {
    KMSD=(--https 127.0.0.1:0 --https-port-file "$RUN/https.port" --metrics 127.0.0.1:0 --metrics-port-file "$RUN/metrics.port"
        --tls-cert "$RUN/tls.crt" --tls-key "$RUN/tls.key"
        --jwt-issuer https://issuer.example --jwt-audience kms --jwt-keys "$RUN/jwks.json" "$@")
}
# up: starts it, and finds its ports.
up() {
    rm -f "$RUN/https.port"
    kms_start
    PORT=$(cat "$RUN/https.port")
}
kms_setup_https
up
expect 200 https /healthz
grep -q '^ok$' "$RUN/out" || die "health says something else"
expect 200 https /readyz
expect 401 https -d '{}' -H 'Content-Type: application/json' /v1/Status
grep -q '"where":"door:auth-required"' "$RUN/out" || die "no reason"
expect 403 call stranger Status '{}'
expect 200 call admin Status '{}'
grep -q '"simulated":true' "$RUN/out" || die "the status does not say that it is simulated"
expect 200 call admin PutSecret "{\"name\":\"web/one\",\"value\":\"$(printf 'from curl' | base64)\"}"
expect 409 call admin PutSecret '{"name":"web/one","value":"AAAA"}'
expect 400 call admin PutSecret '{"name":"web/one","value":"A"}'
expect 200 call admin PutPolicy "{\"name\":\"probe\",\"json\":\"$(base64 -w0 "$RUN/probe-policy.json")\"}"
expect 200 call admin Bind '{"item":"secret/web/one","policy":"probe"}'
probe release secret/web/one "$RUN/released" >"$RUN/out" 2>"$RUN/err" || { cat "$RUN/err" >&2; die "the workload does not get it"; }
cmp -s "$RUN/released" <(printf 'from curl') || die "it is another value"
expect 403 call admin Release '{"item":"secret/web/one"}'
grep -q 'kms:workload-required' "$RUN/out" || die "an administrator asked for a value"
expect 403 as admin -d '{}' -H 'Content-Type: text/plain' /v1/Status
expect 200 https /openapi.json
cmp -s "$RUN/out" "$ROOT/docs/reference/kms-openapi.json" || die "the document is another one"

step "tokens"
bearer() { https -H "Authorization: Bearer $(token "${@:3}")" -H 'Content-Type: application/json' -d "$2" "/v1/$1"; }
expect 200 bearer Status '{}' alice
expect 403 bearer PutSecret '{"name":"by-token","value":"AAAA"}' alice
grep -q '"where":"kms:role"' "$RUN/out" || die "an auditor wrote"
expect 403 bearer Status '{}' mallory
expect 401 bearer Status '{}' alice another
expect 401 bearer Status '{}' alice kms -5
cp "$RUN/issuer.key" "$RUN/issuer.old"
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$RUN/issuer.key" 2>/dev/null
expect 401 bearer Status '{}' alice

step "SIGHUP: new certificate, new keys of the issuer"
jwks one
cp "$RUN/tls.crt" "$RUN/old.crt"
pair tls
kill -HUP "${PIDS[kms]}"
for ((i = 0; i < 200; i++)); do
    [ "$(https /healthz)" = 200 ] && break # by the new certificate alone
    sleep 0.05
done
expect 200 https /healthz
! curl -sS --noproxy '*' -m 5 --cacert "$RUN/old.crt" "https://127.0.0.1:$PORT/healthz" >/dev/null 2>&1 || die "the old certificate is still shown"
expect 200 bearer Status '{}' alice

step "metrics"
status 2 run --crypto-threads 65
status 2 run --rpc-rate 1000001
expect 401 https /metrics
expect 200 as admin /metrics
has out '^cczoo_kms_secrets 1$'
curl -sS --noproxy '*' -m 20 -o "$RUN/out" "http://127.0.0.1:$(cat "$RUN/metrics.port")/metrics"
has out '^cczoo_kms_http_requests_total\{route="rest",class="2xx"\} [1-9]'
has out '^cczoo_kms_rpc_refused_total\{reason="rate_principal"\} 0$'
! grep -q 'secrets\|web/one' "$RUN/out" || die "metrics tell about secrets"

step "it ends in order, and what it did is on record"
kms_stop
grep -q ' kms-door: ' "$RUN/log/kms.log" || die "the door says nothing in the log"
status 0 "$BIN/cczoo-kmsd" check --state "$RUN/kms"

step "without files: a certificate with evidence"
KMSD=(--https 127.0.0.1:0 --https-port-file "$RUN/https.port")
up
openssl s_client -connect "127.0.0.1:$PORT" -tls1_3 </dev/null 2>/dev/null | openssl x509 -outform PEM >"$RUN/evidence.pem"
status 0 "$BIN/cczoo" evidence inspect "$RUN/evidence.pem"
[ "$(curl -sS -k --noproxy '*' -o /dev/null -w '%{http_code}' "https://127.0.0.1:$PORT/healthz")" = 200 ] || die "no health"
! openssl s_client -connect "127.0.0.1:$PORT" -tls1_2 </dev/null >/dev/null 2>&1 || die "TLS 1.2 is spoken"
kms_stop

step "sealed: alive, not ready"
status 0 "$BIN/cczoo-kmsd" init --state "$RUN/kms3" --admin-key "$RUN/admin.key" --master-key shamir:2/3 --shares-dir "$RUN/shares"
rm -f "$RUN/https.port"
"$BIN/cczoo-kmsd" run --state "$RUN/kms3" --master-key shamir:2/3 --listen 127.0.0.1:0 --tee sim-sgx --sim-dir "$RUN/sim" \
    --trust-sim "$RUN/sim/trust" --https 127.0.0.1:0 --https-port-file "$RUN/https.port" --tls-cert "$RUN/tls.crt" --tls-key "$RUN/tls.key" \
    >>"$RUN/log/sealed.log" 2>&1 </dev/null &
PIDS[sealed]=$!
wait_file sealed "$RUN/https.port" 30
PORT=$(cat "$RUN/https.port")
expect 200 https /healthz
expect 503 https /readyz
grep -q '"where":"kms:sealed"' "$RUN/out" || die "not for that reason"
expect 503 call admin Status '{}'
stop sealed
