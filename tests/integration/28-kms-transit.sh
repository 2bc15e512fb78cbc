#!/usr/bin/env bash
# Vault's transit API on the HTTPS door: curl as its client, with client certificates; keys across rotation and restart; and where there is
# an OpenBao (BAO=FILE, or bao in PATH), it is initialised and unseals itself with a key of the KMS.
. "$(dirname "$0")/kms.sh"
BAO=${BAO:-$(command -v bao || true)}
run_begin test-kms-transit

self_signed() { # NAME: a client's pair; nobody has to have signed it
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$RUN/$1.key" -subj "/CN=$1" -days 2 -out "$RUN/$1.crt" 2>/dev/null
    chmod 600 "$RUN/$1.key"
}
# vault AS METHOD PATH [BODY [CURL OPTION...]]: the body on stdout, the status in RUN/code.
vault() {
    local as=$1 method=$2 path=$3 body=${4:-}
    shift $(($# < 4 ? $# : 4))
    curl -sS --cacert "$RUN/ca.crt" --cert "$RUN/$as.crt" --key "$RUN/$as.key" -X "$method" -H 'Content-Type: application/json' \
        ${body:+--data-binary "$body"} -o "$RUN/out" -w '%{http_code}' "$@" "$HTTPS/v1/transit/$path" >"$RUN/code" 2>"$RUN/err" || die "curl: $(cat "$RUN/err")"
}
code() { [ "$(cat "$RUN/code")" = "$1" ] || { cat "$RUN/out" >&2; die "status $(cat "$RUN/code"), expected $1"; }; }
data() { python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["data"][sys.argv[2]])' "$RUN/out" "$1"; }
serve() {
    kms_start
    HTTPS=https://localhost:$(cat "$RUN/https.port")
}

step "set-up"
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$RUN/ca.key" 2>/dev/null
openssl req -x509 -new -key "$RUN/ca.key" -subj "/CN=test authority" -days 2 -out "$RUN/ca.crt"
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$RUN/server.key" 2>/dev/null
openssl req -new -key "$RUN/server.key" -subj /CN=localhost -out "$RUN/server.csr"
openssl x509 -req -in "$RUN/server.csr" -CA "$RUN/ca.crt" -CAkey "$RUN/ca.key" -CAcreateserial -days 2 -sha256 \
    -extfile <(printf 'subjectAltName=DNS:localhost') -out "$RUN/server.crt" 2>/dev/null
kms_setup
self_signed seal
self_signed stranger
openssl req -x509 -new -key "$RUN/admin.key" -subj /CN=admin -days 2 -out "$RUN/admin.crt"
status 0 "$BIN/cczoo-kmsd" admin --state "$RUN/kms" --admin-key "$RUN/seal.key" --role client
status 2 "$BIN/cczoo-kmsd" run --state "$RUN/kms" --listen 127.0.0.1:0 --tee sim-sgx --transit
KMSD+=(--https 127.0.0.1:0 --https-port-file "$RUN/https.port" --tls-cert "$RUN/server.crt" --tls-key "$RUN/server.key" --transit)
serve

step "a key for clients without evidence, and one that is not"
vault admin POST keys/seal '{"type":"aes256-gcm96","unattested_insecure":true}'
code 204
vault admin PUT keys/closed '{}'
code 204
vault seal GET keys/seal
code 403
vault admin GET keys/seal
code 200
[ "$(data type) $(data latest_version)" = 'aes256-gcm96 1' ] || die "another key"

step "there and back, across rotation and restart"
text=$(printf 'a root key that nobody may see' | base64)
vault seal PUT encrypt/seal "{\"plaintext\":\"$text\"}"
code 200
first=$(data ciphertext)
[[ $first == vault:v1:* ]] || die "a ciphertext of another form: $first"
vault admin POST keys/seal/rotate '{}'
code 204
kms_stop
serve
vault seal PUT decrypt/seal "{\"ciphertext\":\"$first\"}"
code 200
[ "$(data plaintext)" = "$text" ] || die "another text"
vault seal POST rewrap/seal "{\"ciphertext\":\"$first\"}"
code 200
second=$(data ciphertext)
[[ $second == vault:v2:* ]] || die "not of the new version: $second"
vault seal PUT decrypt/seal "{\"ciphertext\":\"$second\"}"
code 200
[ "$(data plaintext)" = "$text" ] || die "another text after rewrapping"

step "who gets nothing"
vault seal PUT encrypt/closed "{\"plaintext\":\"$text\"}"
code 403
has out '"errors":\["kms:key-unattested'
vault admin PUT decrypt/seal "{\"ciphertext\":\"$second\"}"
code 403
vault stranger PUT decrypt/seal "{\"ciphertext\":\"$second\"}"
code 403
has out '"errors":\["kms:admin-unknown'
vault seal PUT decrypt/seal "{\"ciphertext\":\"${second%??????}AAAAA=\"}"
code 400
vault seal PUT decrypt/seal "{\"ciphertext\":\"$second\"}" -H 'X-Vault-Token: stolen'
code 403
vault seal PUT encrypt/seal "{\"plaintext\":\"$text\",\"context\":\"AAAA\"}"
code 400
has out 'transit:unsupported'
vault seal PUT encrypt/seal "{\"plaintext\":\"$text\"}" -H 'X-Vault-Namespace: elsewhere/'
code 400
has out 'kms:not-found'

if [ -n "$BAO" ]; then
    step "OpenBao unseals itself: $("$BAO" version)"
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    export BAO_ADDR=http://127.0.0.1:$port
    mkdir "$RUN/bao"
    cat >"$RUN/bao.hcl" <<HCL
api_addr = "$BAO_ADDR"
cluster_addr = "http://127.0.0.1:$((port + 1))"
storage "raft" {
  path = "$RUN/bao"
  node_id = "one"
}
listener "tcp" {
  address = "127.0.0.1:$port"
  tls_disable = true
}
seal "transit" {
  address = "$HTTPS"
  mount_path = "transit/"
  key_name = "seal"
  tls_ca_cert = "$RUN/ca.crt"
  tls_client_cert = "$RUN/seal.crt"
  tls_client_key = "$RUN/seal.key"
}
HCL
    bao_start() {
        "$BAO" server -config "$RUN/bao.hcl" >>"$RUN/log/bao.log" 2>&1 </dev/null &
        PIDS[bao]=$!
        for _ in {1..120}; do
            "$BAO" status >"$RUN/status" 2>&1 || true
            ! grep -qE "^Sealed +$1" "$RUN/status" || return 0
            sleep 0.25
        done
        cat "$RUN/status" "$RUN/log/bao.log" >&2
        die "OpenBao is not sealed=$1"
    }
    bao_stop() {
        kill -TERM "${PIDS[bao]}"
        wait "${PIDS[bao]}" || true
        unset "PIDS[bao]"
    }
    bao_start true
    status 0 "$BAO" operator init -recovery-shares=1 -recovery-threshold=1
    bao_stop
    bao_start false
    vault admin POST keys/seal/rotate '{}'
    code 204
    bao_stop
    bao_start false # what was sealed under the old version opens
    bao_stop
else
    say "there is no OpenBao here: BAO=FILE names one"
fi

step "the record"
status 0 kms audit --json
grep -q '"op":"Decrypt","verdict":"accept"' "$RUN/out" || die "uses are not on record"
grep -q '"op":"Encrypt","verdict":"reject"' "$RUN/out" || die "refusals are not on record"
kms_stop
for secret in "$text" 'a root key that nobody may see'; do
    ! grep -qF "$secret" "$RUN/log/kms.log" || die "a text is in the log"
done
