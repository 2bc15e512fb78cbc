# The parties of this solution, one function each; sourced by run.sh and break.sh.
# shellcheck shell=bash
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"

HERE=$ROOT/solutions/02-attestation-kms
NAME=02-attestation-kms
NS=pay                                                 # the namespace of the payments team: policies and items are pay/..
SECRET=pay/db/password
KEY=pay/orders

# A key pair, which is what a person is to the KMS.
person() {
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$RUN/$1.key" 2>>"$RUN/log/setup.log"
    openssl req -x509 -new -key "$RUN/$1.key" -subj "/CN=$1" -days 1 -out "$RUN/$1.crt" 2>>"$RUN/log/setup.log" # for curl: a wrapper of the key
}

# A software TEE, two versions of the workload, and policies with the measurements of the real programs.
make_platform() {
    "$BIN/cczoo" sim init "$RUN/sim" 2>>"$RUN/log/setup.log"
    cp "$BIN/cczoo-pay" "$RUN/pay-1"
    cp "$BIN/cczoo-pay" "$RUN/pay-2"
    printf 'version 2' >>"$RUN/pay-2"
    measure() { "$BIN/cczoo" sim measure "$1"; }
    PAY1=$(measure "$RUN/pay-1") PAY2=$(measure "$RUN/pay-2") BATCH=$(measure "$BIN/cczoo") KMS_ID=$(measure "$BIN/cczoo-kmsd")
    sed "s/@KMS@/$KMS_ID/" "$HERE/kms-policy.json" >"$RUN/kms-policy.json"
    sed -e "s/@PAY@/$PAY1/" -e "s/@BATCH@/$BATCH/" "$HERE/policy.json" >"$RUN/policy-1.json"
    sed -e "s/@PAY@/$PAY1\", \"$PAY2/" -e "s/@BATCH@/$BATCH/" "$HERE/policy.json" >"$RUN/policy-2.json"
}

# The store, with its counter on another disk, and who may do what: in the namespace of the payments team two of three have to agree.
make_store() {
    local who
    for who in root dora anne bob carl olga hugo; do person "$who"; done
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=kms -addext subjectAltName=IP:127.0.0.1 -days 1 \
        -keyout "$RUN/tls.key" -out "$RUN/tls.crt" 2>>"$RUN/log/setup.log"
    mkdir "$RUN/elsewhere"
    STORE=(--state "$RUN/kms" --epoch "file:$RUN/elsewhere/counter")
    "$BIN/cczoo-kmsd" init "${STORE[@]}" --admin-key "$RUN/root.key" 2>>"$RUN/log/setup.log"
    role() { "$BIN/cczoo-kmsd" admin "${STORE[@]}" --admin-key "$RUN/$1.key" --role "$2" --namespace "$3" --label "$1" >>"$RUN/log/setup.log" 2>&1; }
    role dora author,operator $NS
    for who in anne bob carl; do role $who approver $NS; done
    role olga auditor '*'
    role hugo author,operator hr
    "$BIN/cczoo-kmsd" admin "${STORE[@]}" --approvals 2 --namespace $NS >>"$RUN/log/setup.log" 2>&1
}

# kmsd_is: KMSD is the command of the daemon: gRPC and RA-TLS for all, HTTPS for curl, and the KBS protocol on it.
kmsd_is() {
    KMSD=("$BIN/cczoo-kmsd" run "${STORE[@]}" --listen 127.0.0.1:0 --port-file "$RUN/kms.port" --tee sim-sgx --sim-dir "${SIM:-$RUN/sim}"
        --trust-sim "${SIM:-$RUN/sim}/trust" --https 127.0.0.1:0 --https-port-file "$RUN/https.port" --tls-cert "$RUN/tls.crt"
        --tls-key "$RUN/tls.key" --kbs)
}
start_kms() {
    rm -f "$RUN/kms.port" "$RUN/https.port"
    kmsd_is
    start kms "${KMSD[@]}"
    wait_file kms "$RUN/kms.port" 20
    wait_file kms "$RUN/https.port" 20
    KMS=127.0.0.1:$(cat "$RUN/kms.port")
    HTTPS=https://127.0.0.1:$(cat "$RUN/https.port")
}

# as PERSON VERB...: a person at the command line; the KMS's evidence is judged by kms-policy.json before anything is sent to it.
as() {
    "$BIN/cczoo" kms "${@:2}" --kms "$KMS" --admin-key "$RUN/$1.key" --policy "${KMS_POLICY:-$RUN/kms-policy.json}" \
        --trust-sim "${SIM:-$RUN/sim}/trust"
}
quiet() { "$@" >>"$RUN/log/admin.log" 2>&1 || { tail -n 4 "$RUN/log/admin.log" >&2; die "$*"; }; }
# propose VERB...: dora proposes; the number is then in PROPOSAL, the digest of what she asks for in DIGEST.
propose() {
    local line
    line=$(as dora propose "$@" 2>>"$RUN/log/admin.log") || { tail -n 4 "$RUN/log/admin.log" >&2; die "propose $*"; }
    PROPOSAL=$(sed -n 's/^proposal \([0-9]*\) needs .*/\1/p' <<<"$line")
    DIGEST=$(sed -n 's/.* digest \([0-9a-f]*\)$/\1/p' <<<"$line")
    say "dora proposes: $*" | sed "s|$RUN/||g"
}
# agree VERB...: a proposal that two of three approve, each the very text that was proposed.
agree() {
    propose "$@"
    quiet as anne approve "$PROPOSAL" --digest "$DIGEST"
    quiet as carl approve "$PROPOSAL" --digest "$DIGEST"
    say "   anne and carl approve proposal $PROPOSAL"
}

# What is there before the story of a policy change: a policy, a secret, a key that works inside the KMS.
fill_kms() {
    agree policy put $NS/app "$RUN/policy-1.json"
    VALUE=$(head -c 24 /dev/urandom | base64)
    printf %s "$VALUE" | quiet as dora secret put $SECRET --from -
    agree bind secret/$SECRET $NS/app
    agree key create $KEY --alg ecdsa-p256 --bind $NS/app
}

# pay VERSION OPTION...: the workload, in the software TEE.
pay() {
    "$RUN/pay-$1" --kms "$KMS" --policy "${KMS_POLICY:-$RUN/kms-policy.json}" --trust-sim "${SIM:-$RUN/sim}/trust" --tee sim-sgx \
        --sim-dir "${SIM:-$RUN/sim}" "${@:2}"
}

# http [OPTION...] PATH: curl; prints the status. The answer is in RUN/answer.
http() {
    curl --silent --show-error --noproxy '*' --max-time 20 --output "$RUN/answer" --write-out '%{http_code}' --cacert "$RUN/tls.crt" \
        "${@:1:$#-1}" "$HTTPS${*: -1}" 2>>"$RUN/log/curl.log" || true
}
answer() { python3 -c 'import json,sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$RUN/answer" "$1"; }
# wants STATUS COMMAND...
wants() {
    local got
    got=$("${@:2}")
    [ "$got" = "$1" ] || { cat "$RUN/answer" >&2; echo >&2; die "HTTP status $got, expected $1: ${*:2}"; }
}
# http_refuses STATUS WHERE COMMAND...: as expect_refusal, for an answer of HTTPS.
http_refuses() {
    local line
    wants "$1" "${@:3}"
    line=$(python3 -c 'import json,sys
a = json.load(open(sys.argv[1]))
print(a["where"] + ":", a["got"] + " / " + a["expected"] if "got" in a else a["message"])' "$RUN/answer")
    grep -qE "^$2: " <<<"$line" || die "expected HTTP $1 with '$2', got '$line'"
    say "refused: $line (HTTP $1)"
}

# kbs_key: the key of a client of the KBS protocol, as a file and as JSON.
kbs_key() {
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -outform DER -out "$RUN/batch.ec" 2>>"$RUN/log/setup.log"
    openssl pkcs8 -topk8 -nocrypt -inform DER -outform DER -in "$RUN/batch.ec" -out "$RUN/batch.der" 2>>"$RUN/log/setup.log"
    JWK=$(openssl pkey -inform DER -in "$RUN/batch.der" -pubout -outform DER | python3 -c 'import base64, sys
point = sys.stdin.buffer.read()[-64:]
x, y = (base64.urlsafe_b64encode(point[i:i + 32]).decode().rstrip("=") for i in (0, 32))
print("{\"alg\":\"ECDH-ES+A256KW\",\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"%s\",\"y\":\"%s\"}" % (x, y), end="")')
}
# kbs_attest: challenge, evidence over challenge and key, token. Evidence is made by cczoo, which so is the program that is measured.
kbs_attest() {
    local nonce digest
    rm -f "$RUN/cookies"
    wants 200 http --cookie-jar "$RUN/cookies" --data '{"version":"0.4.0","tee":"sgx","extra-params":""}' /kbs/v0/auth
    nonce=$(answer nonce)
    digest=$(printf '{"additional-evidence":"","nonce":"%s","tee-pubkey":%s}' "$nonce" "$JWK" | openssl dgst -sha384 -r | cut -d' ' -f1)
    "$BIN/cczoo" evidence get --provider sim-sgx --sim "$RUN/sim" --report-data "$digest" --out "$RUN/quote" 2>>"$RUN/log/setup.log"
    printf '{"init-data":null,"runtime-data":{"nonce":"%s","tee-pubkey":%s},"tee-evidence":{"primary_evidence":{"quote":"%s"},"additional_evidence":""}}' \
        "$nonce" "$JWK" "$(openssl base64 -A -in "$RUN/quote")" >"$RUN/attestation"
    wants 200 kbs_post
    TOKEN=$(answer token)
}
kbs_post() { http --cookie "$RUN/cookies" -H 'Content-Type: application/json' --data "@$RUN/attestation" /kbs/v0/attest; }
# kbs_get RESOURCE: with the token alone.
kbs_get() { http -H "Authorization: Bearer $TOKEN" "/kbs/v0/resource/$1"; }
