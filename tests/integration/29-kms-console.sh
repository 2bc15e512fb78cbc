#!/usr/bin/env bash
# The console in a browser: every view with data of every kind, markup in what the server says, keyboard, phone; see tests/web/console.mjs.
# CCZ_SCREENSHOTS=DIR keeps its pictures.
. "$(dirname "$0")/kms.sh"
. "$(dirname "$0")/../web/modules.sh"
CHROMIUM=$(command -v chromium || command -v chromium-browser || true)
[ -n "$CHROMIUM" ] || { echo "skipped: no Chromium (apt-get install chromium)"; exit 77; }
why=$(mktemp)
web_modules >"$why" || { echo "skipped: $(cat "$why")"; rm -f "$why"; exit 77; }
rm -f "$why"
run_begin test-kms-console

pair() {
    [ -f "$RUN/$1.key" ] || openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$RUN/$1.key" 2>/dev/null
    openssl req -x509 -new -key "$RUN/$1.key" -subj "/CN=$1" -addext "subjectAltName=IP:127.0.0.1" -days 30 -out "$RUN/$1.crt" 2>/dev/null
}
in_days() { date -u -d "now + $1 days" +%Y-%m-%dT%H:%M:%SZ; }

step "a KMS with keys, secrets, policies, proposals, decisions"
EVIL='<img src=x onerror=alert(1)>'
kms_setup
for who in tls admin anne bob olga stranger; do pair "$who"; done
status 0 "$BIN/cczoo-kmsd" admin --state "$RUN/kms" --admin-key "$RUN/anne.key" --role auditor,approver --label "Anne $EVIL"
status 0 "$BIN/cczoo-kmsd" admin --state "$RUN/kms" --admin-key "$RUN/bob.key" --role auditor --namespace team --label Bob
status 0 "$BIN/cczoo-kmsd" admin --state "$RUN/kms" --admin-key "$RUN/olga.key" --role operator --label Olga
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$RUN/issuer.key" 2>/dev/null
python3 - "$RUN" "$(openssl pkey -in "$RUN/issuer.key" -pubout -outform DER 2>/dev/null | base64 -w0)" <<'PY'
import base64, json, sys
point = base64.b64decode(sys.argv[2])[-64:]
b64 = lambda b: base64.urlsafe_b64encode(b).rstrip(b"=").decode()
json.dump({"keys": [{"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "one", "x": b64(point[:32]), "y": b64(point[32:])}]}, open(sys.argv[1] + "/jwks.json", "w"))
PY
status 0 "$BIN/cczoo-kmsd" admin --state "$RUN/kms" --jwt-issuer https://issuer.example --jwt-subject alice --role auditor
KMSD=(--https 127.0.0.1:0 --https-port-file "$RUN/https.port" --tls-cert "$RUN/tls.crt" --tls-key "$RUN/tls.key"
    --jwt-issuer https://issuer.example --jwt-audience kms --jwt-keys "$RUN/jwks.json")
kms_start
"$BIN/cczoo" pf keygen "$RUN/model.key"
status 0 kms policy put workload "$RUN/probe-policy.json"
status 0 kms policy put team/server "$RUN/probe-policy.json"
printf '{"version":1,"values":[{"name":"1.0","value":"00"},{"name":"old","value":"01","until":"2020-01-01T00:00:00Z"}]}' >"$RUN/builds.json"
status 0 kms reference put builds "$RUN/builds.json"
status 0 kms key import model --from "$RUN/model.key" --bind workload
status 0 kms secret put db/password --from - --expires "$(in_days 5)" --metadata "{\"owner\":\"$EVIL\",\"note\":\"<script>alert(2)</script>\"}" <<<THE-VALUE-ITSELF
status 0 kms secret put team/token --from - <<<THE-VALUE-ITSELF
status 0 kms disable secret/team/token
cp "$BIN/kms-probe" "$RUN/other"
printf x >>"$RUN/other"
policy_for "$RUN/other-policy.json" "$RUN/other"
status 0 kms stage workload "$RUN/other-policy.json" --until "$(in_days 30)"
status 0 probe release key/model "$RUN/got"
reach
status 1 "$RUN/other" release key/model "${REACH[@]}" --sim-dir "$RUN/sim"
status 0 kms quorum set 1
status 0 kms propose policy put team/server "$RUN/other-policy.json" --replace
status 0 kms propose role set "$RUN/anne.key" auditor,approver --namespace team --label "$EVIL"
status 0 kms propose bind secret/team/token team/server
status 0 kms propose quorum set 0
status 0 kms propose rollout workload

step "the browser"
mkdir -p "${CCZ_SCREENSHOTS:-$RUN/pictures}"
NODE_PATH= CHROMIUM=$CHROMIUM WEB_MODULES=$WEB_MODULES RUN=$RUN ROOT=$ROOT PORT=$(cat "$RUN/https.port") PICTURES=${CCZ_SCREENSHOTS:-$RUN/pictures} EVIL=$EVIL \
    BIN=$BIN KMS=$KMS timeout 420 node "$ROOT/tests/web/console.mjs" || die "the console"
kms_stop
