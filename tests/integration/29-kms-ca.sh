#!/usr/bin/env bash
# Certificates that a key of the KMS issues after attestation: curl and openssl accept one by the authority's file alone, a verifier of
# evidence accepts the same one; other workloads, names, keys and states get none.
. "$(dirname "$0")/kms.sh"
run_begin test-kms-ca
kms_setup
policy_for "$RUN/cli-policy.json" "$BIN/cczoo"
kms_start

# issue ARGS...: as an attested workload.
issue() {
    reach
    "$BIN/cczoo" kms ca issue "$@" "${REACH[@]}" --tee sim-sgx --sim-dir "$RUN/sim"
}

step "an authority"
status 0 kms policy put cli "$RUN/cli-policy.json"
status 0 kms policy put probe "$RUN/probe-policy.json"
status 0 kms ca create web --names localhost,127.0.0.1 --bind cli
has out '^created key/web version 1, audit line [0-9]+$'
status 1 kms ca create wild --names '*.example'
has err '^refused: x509:names: '
status 1 kms key create ca2 --alg ecdsa-p256 --ops issue,sign
has err '^refused: kms:key-usage: '
status 1 kms key create ca2 --alg ecdsa-p256 --ops issue,public-key
has err '^refused: kms:ca-names: '
status 0 kms ca cert web --out "$RUN/ca.pem"
status 0 openssl x509 -in "$RUN/ca.pem" -noout -text
has out 'CA:TRUE, pathlen:0'
has out 'X509v3 Name Constraints: critical'
status 0 kms key create pair --alg ecdsa-p256 --bind cli
status 1 kms ca cert pair
has err 'kms:ca-none'

step "a certificate, for stock clients and for those that verify evidence"
status 0 issue web --names localhost,127.0.0.1 --key-out "$RUN/web.key" --out "$RUN/chain.pem"
has err 'issued by key/web version 1 until 20'
[ "$(stat -c %a "$RUN/web.key")" = 600 ] || die "the key is open to others"
status 0 openssl verify -x509_strict -purpose sslserver -verify_hostname localhost -CAfile "$RUN/ca.pem" "$RUN/chain.pem"
status 2 openssl verify -verify_hostname other.example -CAfile "$RUN/ca.pem" "$RUN/chain.pem"
openssl x509 -in "$RUN/chain.pem" -out "$RUN/leaf.pem"
status 0 "$BIN/cczoo" evidence verify "$RUN/leaf.pem" --trust-sim "$RUN/sim/trust" --policy "$RUN/cli-policy.json"
status 1 "$BIN/cczoo" evidence verify "$RUN/leaf.pem" --trust-sim "$RUN/sim/trust" --policy "$RUN/probe-policy.json"
port=$("$ROOT/scripts/free-port")
openssl s_server -accept "127.0.0.1:$port" -cert "$RUN/leaf.pem" -key "$RUN/web.key" -tls1_3 -www >"$RUN/log/web.log" 2>&1 </dev/null &
PIDS[web]=$!
for _ in $(seq 100); do
    curl -s --cacert "$RUN/ca.pem" "https://localhost:$port/" -o "$RUN/page" && break
    kill -0 "${PIDS[web]}" || die "the server has ended"
    sleep 0.1
done
status 0 curl -sS --cacert "$RUN/ca.pem" "https://127.0.0.1:$port/" -o "$RUN/page"
status 60 curl -sS --cacert "$RUN/ca.pem" --connect-to "other.example:443:127.0.0.1:$port" https://other.example/
status 60 curl -sS "https://localhost:$port/"

step "none for others"
status 2 issue web --names localhost --key-out - # it would be a file of that name
[ ! -e - ] || die "a key went into a file named -"
status 2 issue web --names localhost --key-out "$RUN/k0" --alg ecdsa-p384
has err '^hint: --alg is an option of cczoo kms ca create$'
status 1 issue web --names other.example --key-out "$RUN/k1"
has err 'x509:name-not-allowed'
status 1 issue pair --names localhost --key-out "$RUN/k2"
has err 'kms:key-usage'
status 0 kms key bind web issue probe
status 1 issue web --names localhost --key-out "$RUN/k3"
has err 'policy:mrenclave'
[ ! -e "$RUN/k3" ] || die "a refusal left a key"
status 0 kms key bind web issue cli
status 0 issue web --names localhost --key-out "$RUN/k3" --out "$RUN/third.pem" # the same command works then
status 3 issue web --names localhost --key-out "$RUN/k3"                        # and its key stays
has err 'file:exists'
[ -s "$RUN/k3" ] || die "a key that was there is gone"
status 0 issue web --names localhost --key-out "$RUN/k4" --life 60 --out "$RUN/short.pem"
status 0 kms disable key/web
status 1 issue web --names localhost --key-out "$RUN/k5"
has err 'kms:key-disabled'
status 0 kms enable key/web
status 1 kms key rotate web
has err 'kms:ca-rotate'
status 2 kms ca issue web --names localhost --key-out "$RUN/k6" # no evidence

step "by approval, where approvals are needed"
status 1 kms propose ca create team/web --names localhost
status 2 kms propose ca cert web

step "on record"
status 0 kms audit --json
serial=$(openssl x509 -in "$RUN/leaf.pem" -noout -serial | tr 'A-F' 'a-f')
has out "\"serial\":\"${serial#serial=}\""
has out '\\?"names\\?":\\?"localhost,127.0.0.1\\?"'
kms_stop
status 0 "$BIN/cczoo-kmsd" check --state "$RUN/kms"
kms_start
status 0 issue web --names 127.0.0.1 --key-out "$RUN/k7" --out "$RUN/again.pem"
status 0 openssl verify -verify_ip 127.0.0.1 -CAfile "$RUN/ca.pem" "$RUN/again.pem"
kms_stop
say ok
