#!/usr/bin/env bash
# Gramine's secret provisioning: clients of both TLS versions, with evidence of the software TEE in certificates of both kinds of keys and
# in both extensions, made and shown by programs that are not ours; what each gets, and what nobody gets.
. "$(dirname "$0")/kms.sh"
CLIENT=$(realpath "$(dirname "$0")/prov_client.py")
run_begin test-kms-prov

# identity NAME CN: a certificate of the authority RUN/ca.crt.
identity() {
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$RUN/$1.key" 2>/dev/null
    openssl req -new -key "$RUN/$1.key" -subj "/CN=$2" -out "$RUN/$1.csr"
    openssl x509 -req -in "$RUN/$1.csr" -CA "$RUN/ca.crt" -CAkey "$RUN/ca.key" -CAcreateserial -days 2 -sha256 \
        -extfile <(printf 'subjectAltName=DNS:%s' "$2") -out "$RUN/$1.crt" 2>/dev/null
}

hex() { od -An -v -tx1 | tr -d ' \n'; }
# quote_over HASH: hex of evidence over these 32 bytes and 32 zeros.
quote_over() {
    "$BIN/cczoo" evidence get --provider sim-sgx --sim "$RUN/sim" --report-data "$1$(printf '0%.0s' {1..64})" --out - 2>/dev/null | hex
}
spki_hash() { openssl pkey -in "$1" -pubout -outform DER 2>/dev/null | sha256sum | cut -c1-64; }

# ratls NAME KIND EXTENSION [KEY]: key and self-signed certificate with evidence over KEY, or its own.
ratls() {
    local name=$1 kind=$2 extension=$3 bound claims quote value
    case $kind in
    rsa) [ -e "$RUN/rsa.key" ] || openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072 -out "$RUN/rsa.key" 2>/dev/null
        cp "$RUN/rsa.key" "$RUN/$name.key" ;;
    *) openssl genpkey -algorithm EC -pkeyopt "ec_paramgen_curve:$kind" -out "$RUN/$name.key" 2>/dev/null ;;
    esac
    bound=$(spki_hash "${4:-$RUN/$name.key}")
    if [ "$extension" = dice ]; then
        claims=a16b7075626b65792d686173685824820158 # {"pubkey-hash": << [1, 32 bytes] >>}
        claims=${claims}20$bound
        quote=$(quote_over "$(printf %s "$claims" | xxd -r -p | sha256sum | cut -c1-64)")
        value=2.23.133.5.4.9=DER:d9ea608259$(printf %04x $((${#quote} / 2)))${quote}5833$claims
    else
        value=0.6.9.42.840.113741.1337.6=DER:$(quote_over "$bound")
    fi
    openssl req -x509 -new -key "$RUN/$name.key" -subj /CN=RATLS/O=GramineDevelopers/C=US -days 1000 -sha256 -addext "$value" -out "$RUN/$name.crt"
}

# fetch NAME VERSION [HOW...]
fetch() {
    local name=$1
    shift
    if [ "$name" = - ]; then set -- - - "$@"; else set -- "$RUN/$name.crt" "$RUN/$name.key" "$@"; fi
    python3 "$CLIENT" "$PROV" "$RUN/ca.crt" "$@"
}
is_logged() { tail -n +"$((mark + 1))" "$RUN/log/kms.log" | grep -E "$1" >/dev/null; } # not -q: who writes would end with SIGPIPE
logged() { # within 5 s
    for _ in {1..100}; do
        if is_logged "$1"; then return; fi
        sleep 0.05
    done
    tail -n 20 "$RUN/log/kms.log" >&2
    die "no line like '$1' in the log"
}
mark_log() { mark=$(wc -l <"$RUN/log/kms.log"); }
# refused PATTERN NAME VERSION [HOW...]: nothing comes, and the log says why.
refused() {
    local pattern=$1
    shift
    mark_log
    status 1 fetch "$@"
    [ ! -s "$RUN/out" ] || die "something came: $*"
    logged "$pattern"
}
map() { printf '{"version":1,"items":[%s]}' "$1" >"$RUN/map.json"; }

step "set-up: an authority, a KMS with a map, items of three kinds"
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$RUN/ca.key" 2>/dev/null
openssl req -x509 -new -key "$RUN/ca.key" -subj "/CN=test authority" -days 2 -out "$RUN/ca.crt"
identity server localhost
kms_setup
enclave=$("$BIN/cczoo" sim measure "$BIN/cczoo")
map "{\"item\":\"key/wrap\",\"tee\":\"sgx\",\"mrenclave\":\"$enclave\"}"
PROV_OPTIONS=(--secret-prov 127.0.0.1:0 --secret-prov-cert "$RUN/server.crt" --secret-prov-key "$RUN/server.key" --secret-prov-map "$RUN/map.json"
    --secret-prov-port-file "$RUN/prov.port" --https 127.0.0.1:0 --plain-http-insecure --metrics 127.0.0.1:0 --metrics-port-file "$RUN/metrics.port")
status 2 "$BIN/cczoo-kmsd" run --state "$RUN/kms" --listen 127.0.0.1:0 --tee sim-sgx --secret-prov 127.0.0.1:0
has err 'go together'
status 2 "$BIN/cczoo-kmsd" run --state "$RUN/kms" --listen 127.0.0.1:0 --tee sim-sgx --secret-prov-map "$RUN/map.json"
status 2 "$BIN/cczoo-kmsd" run --state "$RUN/kms" --listen 127.0.0.1:0 --tee sim-sgx --secret-prov-rate 5
has err 'need --secret-prov'
serve() { # with the options of the door
    KMSD+=("${PROV_OPTIONS[@]}")
    kms_start
    PROV=$(cat "$RUN/prov.port")
}
# options that are for `run` alone: kms_setup is over
serve
printf '{"version":1,"rules":[{"name":"tool","tee":"sgx","sim":true,"mrenclave":"%s","tcb_status":["UpToDate"]}]}' "$enclave" >"$RUN/tool.json"
kms policy put tool "$RUN/tool.json" >/dev/null 2>&1
kms policy put other "$RUN/probe-policy.json" >/dev/null 2>&1
printf 0123456789abcdef >"$RUN/wrap"
printf 'a longer secret, with a NUL\0' >"$RUN/text"
kms key import wrap --from "$RUN/wrap" --bind tool --metadata '{"doors":["key-bound"]}' >/dev/null 2>&1
kms secret put text --from "$RUN/text" --bind tool --metadata '{"doors":["key-bound"]}' >/dev/null 2>&1
kms secret put closed --from "$RUN/text" --bind tool >/dev/null 2>&1
kms secret put others --from "$RUN/text" --bind other --metadata '{"doors":["key-bound"]}' >/dev/null 2>&1

step "every generation of clients"
for kind in P-384 rsa; do
    for extension in legacy dice; do
        ratls "$kind-$extension" "$kind" "$extension"
        for version in 1.2 1.3; do
            status 0 fetch "$kind-$extension" "$version"
            cmp -s "$RUN/out" "$RUN/wrap" || die "another secret: $kind $extension $version"
        done
    done
done
status 0 fetch P-384-legacy 1.2 slow
cmp -s "$RUN/out" "$RUN/wrap" || die "another secret, slowly"

step "who gets nothing"
refused 'tls:no-peer-certificate' - 1.3
refused 'tls:no-peer-certificate' - 1.2
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-384 -nodes -keyout "$RUN/plain.key" -subj /CN=RATLS -out "$RUN/plain.crt" 2>/dev/null
refused 'ratls:no-evidence' plain 1.3
for extension in legacy dice; do # evidence of somebody else's key
    ratls "stolen-$extension" P-384 "$extension" "$RUN/P-384-legacy.key"
    for version in 1.2 1.3; do
        refused 'ratls:(cert-key|report-data)' "stolen-$extension" "$version"
    done
done
for how in wrong no-nul; do refused 'prov:request' P-384-dice 1.3 "$how"; done
refused 'tls:closed|prov' P-384-dice 1.2 cut
refused 'refused peer=' P-384-dice 1.3 cut

step "what is not theirs: SIGHUP reads the map again"
remap() {
    mark_log
    map "$1"
    kill -HUP "${PIDS[kms]}"
    logged 'certificate, key and map'
    logged "${2:-were read again}"
}
remap "{\"item\":\"secret/closed\",\"tee\":\"sgx\",\"mrenclave\":\"$enclave\"}"
refused 'Release verdict=reject item=secret/closed .*where=kms:evidence-stale' P-384-dice 1.3
remap "{\"item\":\"secret/others\",\"tee\":\"sgx\",\"mrenclave\":\"$enclave\"}"
refused 'Release verdict=reject item=secret/others .*where=policy:mrenclave' P-384-legacy 1.2
remap "{\"item\":\"key/wrap\",\"tee\":\"sgx\",\"mrenclave\":\"${enclave%?}$(printf %x $(((0x${enclave: -1} + 1) % 16)))\"}"
refused 'prov:no-item' P-384-dice 1.3
remap "{\"item\":\"key/wrap\",\"tee\":\"sgx\",\"mrenclave\":\"${enclave:0:32}\"}" 'stay as they were.*prov:map-hex' # a prefix is no measurement
refused 'prov:no-item' P-384-dice 1.3
remap "{\"item\":\"secret/text\",\"tee\":\"sgx\",\"mrenclave\":\"$enclave\"}"
status 0 fetch P-384-dice 1.3
cmp -s "$RUN/out" "$RUN/text" || die "the other secret did not come"

step "a silent client, and another certificate"
fetch P-384-dice 1.3 silent 3 &
silent=$!
status 0 fetch P-384-legacy 1.2
wait "$silent" || true
identity other elsewhere
cp "$RUN/other.crt" "$RUN/server.crt"
cp "$RUN/other.key" "$RUN/server.key"
remap "{\"item\":\"secret/text\",\"tee\":\"sgx\",\"mrenclave\":\"$enclave\"}"
status 1 fetch P-384-dice 1.3 # who is not called localhost is not believed
has err 'CERTIFICATE_VERIFY_FAILED'

step "the metrics have them, and who comes faster than his rate is not let in"
curl -sS --noproxy '*' -m 20 -o "$RUN/out" "http://127.0.0.1:$(cat "$RUN/metrics.port")/metrics"
has out '^cczoo_kms_prov_released_total 1[0-9]$'
has out '^cczoo_kms_prov_refused_total\{reason="refused"\} [1-9]'
has out '^cczoo_kms_prov_refused_total\{reason="rate_address"\} 0$'
kms_stop
KMSD+=(--secret-prov-rate 1)
kms_start
reach
PROV=$(cat "$RUN/prov.port")
mark_log
for _ in {1..20}; do (exec 3<>"/dev/tcp/127.0.0.1/$PROV") || true; done
logged 'refused peer=127.0.0.1.*where=prov:rate-address'
curl -sS --noproxy '*' -m 20 -o "$RUN/out" "http://127.0.0.1:$(cat "$RUN/metrics.port")/metrics"
has out '^cczoo_kms_prov_refused_total\{reason="rate_address"\} [1-9]'

step "the record"
status 0 kms audit --json
[ "$(grep -c '"op":"Release","verdict":"accept".*"evidence":"key-bound"' "$RUN/out")" -ge 11 ] ||
    { cat "$RUN/out" >&2; die "releases are not on record"; }
grep -q '"where":"kms:evidence-stale"' "$RUN/out" || die "the refusal is not on record"
kms_stop
for secret in 0123456789abcdef 'a longer secret'; do
    ! grep -qF "$secret" "$RUN/log/kms.log" || die "a secret is in the log"
done
