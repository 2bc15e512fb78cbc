#!/usr/bin/env bash
# The KBS protocol of cczoo-kmsd with curl and openssl: an exchange by hand, statuses, the audit log, kill -9. What is in the answers is opened in
# tests/interop/test_kbs.py.
. "$(dirname "$0")/kms.sh"
run_begin test-kms-kbs

KEY_JSON='' # the JWK of the workload's key
# key NAME: a key pair; sets KEY_JSON.
key() {
    local point
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$RUN/$1.key" 2>/dev/null
    point=$(openssl pkey -in "$RUN/$1.key" -pubout -outform DER 2>/dev/null | tail -c 64 | od -An -tx1 | tr -d ' \n')
    KEY_JSON=$(printf '{"alg":"ECDH-ES+A256KW","crv":"P-256","kty":"EC","x":"%s","y":"%s"}' "$(b64 "${point:0:64}")" "$(b64 "${point:64}")")
}
b64() { python3 -c 'import base64,sys; print(base64.urlsafe_b64encode(bytes.fromhex(sys.argv[1])).decode().rstrip("="))' "$1"; }
# ask [OPTION...] PATH: prints the status; the answer is in RUN/out. Cookies are kept in RUN/cookies.
ask() { curl -sS --noproxy '*' -m 20 -o "$RUN/out" -w '%{http_code}' --cacert "$RUN/tls.crt" -b "$RUN/cookies" -c "$RUN/cookies" "${@:1:$#-1}" "https://127.0.0.1:$PORT${*: -1}" 2>"$RUN/err" || true; }
admin() { ask --cert "$RUN/admin.crt" --key "$RUN/admin.key" "$@"; }
# expect STATUS COMMAND...
expect() { [ "$("${@:2}")" = "$1" ] || { cat "$RUN/out" "$RUN/err" >&2; die "expected $1: ${*:2}"; }; }
# says TEXT: in the last answer.
says() { grep -qF -- "$1" "$RUN/out" || { cat "$RUN/out" >&2; die "the answer does not say $1"; }; }
member() { python3 -c 'import json,sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$RUN/out" "$1"; }
auth() {
    expect 200 ask -d "{\"version\":\"0.4.0\",\"tee\":\"$1\",\"extra-params\":\"\"}" /kbs/v0/auth
    NONCE=$(member nonce)
}
# attestation TEE: a body in RUN/body, with evidence of the software TEE over the nonce and the key.
attestation() {
    local digest
    digest=$(printf '{"additional-evidence":"","nonce":"%s","tee-pubkey":%s}' "$NONCE" "$KEY_JSON" | openssl dgst -sha384 -r | cut -d' ' -f1)
    "$BIN/cczoo" evidence get --provider "sim-$1" --sim "$RUN/sim" --report-data "$digest" --out "$RUN/quote" 2>>"$RUN/log/setup.log"
    printf '{"init-data":null,"runtime-data":{"nonce":"%s","tee-pubkey":%s},"tee-evidence":{"primary_evidence":{"quote":"%s"},"additional_evidence":""}}' \
        "$NONCE" "$KEY_JSON" "$(openssl base64 -A -in "$RUN/quote")" >"$RUN/body"
}
up() {
    rm -f "$RUN/https.port"
    kms_start
    PORT=$(cat "$RUN/https.port")
}

step "an exchange"
kms_setup
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=kms -addext subjectAltName=IP:127.0.0.1 -days 30 \
    -keyout "$RUN/tls.key" -out "$RUN/tls.crt" 2>/dev/null
openssl req -x509 -new -key "$RUN/admin.key" -subj /CN=admin -days 30 -out "$RUN/admin.crt" 2>/dev/null
KMSD=(--https 127.0.0.1:0 --https-port-file "$RUN/https.port" --tls-cert "$RUN/tls.crt" --tls-key "$RUN/tls.key" --kbs --issuer https://kms.example)
up
kms token-key rotate >"$RUN/out" 2>"$RUN/err" # the first one
has out '^from now on [A-Za-z0-9_-]{43} signs, audit line [0-9]+$'
KID=$(cut -d' ' -f4 "$RUN/out")
status 1 kms token-key rotate
has err 'kms:token-key-soon'
kms token-key list >"$RUN/out" 2>"$RUN/err"
has out '^issuer https://kms\.example$'
has out "^$KID +signs$"
kms token-key list --json >"$RUN/out" 2>"$RUN/err"
says "{\"signs\":true,\"kid\":\"$KID\",\"issuer\":\"https://kms.example\",\"jwk\":{"
policy_for "$RUN/workload.json" "$BIN/cczoo" # which makes the evidence here
kms policy put default/workload "$RUN/workload.json" >"$RUN/out" 2>"$RUN/err"
expect 200 admin -H 'Content-Type: application/octet-stream' --data-binary 'correct horse' '/kbs/v0/resource/default/key/one?policy=default/workload'
key workload
expect 401 ask /kbs/v0/resource/default/key/one
says '"type":"https://github.com/confidential-containers/kbs/errors/'
auth sgx
attestation sgx
expect 200 ask -H 'Content-Type: application/json' -d "@$RUN/body" /kbs/v0/attest
TOKEN=$(member token)
expect 200 ask /kbs/v0/resource/default/key/one
says '"encrypted_key"'
! grep -q horse "$RUN/out" || die "the value is in the answer"
rm -f "$RUN/cookies"
expect 200 ask -H "Authorization: Bearer $TOKEN" /kbs/v0/resource/default/key/one
expect 404 ask -H "Authorization: Bearer $TOKEN" /kbs/v0/resource/default/key/two
expect 200 ask /.well-known/openid-configuration
says '"jwks_uri":"https://kms.example/.well-known/jwks.json"'
expect 200 ask /.well-known/jwks.json
says '"alg":"ES256"'

step "raw evidence by reference"
auth sgx
attestation sgx
expect 200 ask -H 'Content-Type: application/json' -d "@$RUN/body" '/kbs/v0/attest?evidence=keep'
URI=$(python3 - "$(member token)" <<'PY'
import base64, json, sys
body = sys.argv[1].split(".")[1]
print(json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))["submods"]["cpu0"]["ear.veraison.annotated-evidence"]["sgx"]["raw_evidence"])
PY
)
status 0 kms evidence get "$URI" --out "$RUN/kept"
cmp -s "$RUN/kept" "$RUN/quote" || die "other evidence was kept"
status 0 "$BIN/cczoo" evidence verify "$RUN/kept" --trust-sim "$RUN/sim/trust"
status 3 kms evidence get "$(sha256sum "$RUN/quote" | cut -d ' ' -f 1)" --out "$RUN/kept"
has err 'file:exists'
rm "$RUN/kept"
status 0 kms evidence get "$(sha256sum "$RUN/quote" | cut -d ' ' -f 1)" --out "$RUN/kept"
status 2 kms evidence get "$(sha256sum "$RUN/quote" | cut -d ' ' -f 1)" --out -
status 3 kms evidence get "$(sha256sum "$RUN/body" | cut -d ' ' -f 1)" --out "$RUN/kept"
has err 'kms:not-found'
status 1 kms evidence get "${URI}x" --out "$RUN/kept"
has err 'kms:evidence-id'
kms audit --json >"$RUN/audit" 2>"$RUN/err"
grep -q "evidence_sha256.*$(sha256sum "$RUN/quote" | cut -d ' ' -f 1)" "$RUN/audit" || die "no audit line of what is kept"

step "what is refused"
expect 400 ask -d '{"version":"0.3.0","tee":"sgx"}' /kbs/v0/auth
says '"supported":["0.4.0"]'
expect 403 ask -d '{"version":"0.4.0","tee":"sample"}' /kbs/v0/auth
expect 401 ask -H "Authorization: Bearer $TOKEN" -d x /kbs/v0/resource/default/key/one
expect 401 ask -H "Authorization: Bearer x$TOKEN" /kbs/v0/resource/default/key/one
auth sgx
attestation sgx
expect 200 ask -H 'Content-Type: application/json' -d "@$RUN/body" /kbs/v0/attest
expect 401 ask -H 'Content-Type: application/json' -d "@$RUN/body" /kbs/v0/attest
says 'replay:used'
auth tdx
attestation sgx
expect 403 ask -H 'Content-Type: application/json' -d "@$RUN/body" /kbs/v0/attest
says 'kbs:tee-kind'
# the policy changes under a token
auth sgx
attestation sgx
expect 200 ask -H 'Content-Type: application/json' -d "@$RUN/body" /kbs/v0/attest
expect 200 ask /kbs/v0/resource/default/key/one
kms policy put default/workload "$RUN/probe-policy.json" --replace >"$RUN/out" 2>"$RUN/err"
expect 403 ask /kbs/v0/resource/default/key/one
says 'policy:mrenclave'
kms policy put default/workload "$RUN/workload.json" --replace >"$RUN/out" 2>"$RUN/err"
expect 200 ask /kbs/v0/resource/default/key/one

step "on the record, and not in the log"
kms audit >"$RUN/audit" 2>"$RUN/err"
for op in Attest Release PutSecret token-key; do grep -q "$op" "$RUN/audit" || die "no audit line of $op"; done
! grep -rqs 'correct horse' "$RUN/log" "$RUN/audit" "$RUN/kms" || die "the value is in a file"
grep -q 'refused route=kbs_attest status=403 .*kbs:tee-kind' "$RUN/log/kms.log" || die "the log does not tell of the refusal"
! grep -qF "$TOKEN" "$RUN/log/kms.log" || die "a token is in the log"

step "kill -9: who has attested attests again, tokens still verify"
kill -KILL "${PIDS[kms]}"
wait "${PIDS[kms]}" 2>/dev/null || true
up
expect 401 ask /kbs/v0/resource/default/key/one
expect 401 ask -H 'Content-Type: application/json' -d "@$RUN/body" /kbs/v0/attest
auth sgx
attestation sgx
expect 200 ask -H 'Content-Type: application/json' -d "@$RUN/body" /kbs/v0/attest
expect 200 ask /kbs/v0/resource/default/key/one
kid=$(python3 -c 'import base64,json,sys; h=sys.argv[1].split(".")[0]; print(json.loads(base64.urlsafe_b64decode(h+"="*(-len(h)%4)))["kid"])' "$TOKEN")
expect 200 ask /.well-known/jwks.json
says "$kid"
kms_stop
say ok
