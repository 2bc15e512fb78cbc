#!/usr/bin/env bash
# The REST API of cczoo-served with stock curl and openssl: status, metadata, predictions, each error, the connection,
# and the evidence in the certificate.
. "$(dirname "$0")/served.sh"
run_begin test-rest
here=$ROOT/tests/integration
IMAGES=$DATA/t10k-images-idx3-ubyte.gz
make_platform
start_kms
protect_model
served_start server --rest 127.0.0.1:0 --insecure-tls-only
REST=https://127.0.0.1:$(cat "$RUN/server.rest")
M=$REST/v1/models/fashion-mnist

# ask STATUS CURL-ARGUMENT...: one request; answer in RUN/out, status and type compared.
ask() {
    local want=$1 got
    shift
    got=$(curl -sk -m 60 -o "$RUN/out" -w '%{http_code} %{content_type}' "$@") || die "curl ended with status $?: $*"
    [ "$got" = "$want application/json" ] || { cat "$RUN/out" >&2; die "got $got, expected $want: $*"; }
}
# error STATUS TEXT CURL-ARGUMENT...: a refused request; TEXT is the whole message, or its beginning if it ends in '*'.
error() {
    ask "$1" "${@:3}"
    python3 - "$RUN/out" "$2" <<'PY' || die "another error: $(cat "$RUN/out")"
import json, sys
body, want = open(sys.argv[1]).read(), sys.argv[2]
text = json.loads(body)["error"]
assert body.startswith('{\n    "error": "'), "layout"
assert text.startswith(want[:-1]) if want.endswith("*") else text == want, (text, want)
PY
}
post() { error "$1" "$2" -d "$3" "$M${4:-}:predict"; }

step "status and metadata"
ask 200 "$M"
python3 - "$RUN/out" <<'PY'
import json, sys
text = open(sys.argv[1]).read()
want = {"model_version_status": [{"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}]}
assert json.loads(text) == want and text == json.dumps(want, indent=1) + "\n", text
PY
cp "$RUN/out" "$RUN/status"
for path in /versions/1 /VERSIONS/1 '?x=1'; do
    ask 200 "$M$path"
    cmp "$RUN/out" "$RUN/status"
done
ask 200 "$REST/V1/Models/fashion%2dmnist" # paths in any case, names %-decoded
for path in /metadata /versions/1/metadata; do
    ask 200 "$M$path"
    python3 "$here/rest.py" metadata "$RUN/out"
done

step "predictions equal those over gRPC"
for form in row object column; do
    python3 "$here/rest.py" body $form "$IMAGES" 5 >"$RUN/body.$form"
    ask 200 --data-binary "@$RUN/body.$form" "$M:predict"
    cp "$RUN/out" "$RUN/answer.$form"
done
ask 200 --data-binary "@$RUN/body.row" "$M/versions/1:predict"
cmp "$RUN/out" "$RUN/answer.row"
python3 "$here/rest.py" grpc-body "$IMAGES" 5 >"$RUN/grpc.in"
curl -sk -m 60 --http2 -H 'content-type: application/grpc' -H 'te: trailers' --data-binary "@$RUN/grpc.in" -o "$RUN/grpc.out" \
    "https://127.0.0.1:$(cat "$RUN/server.port")/tensorflow.serving.PredictionService/Predict"
python3 "$here/rest.py" same "$RUN/answer" "$RUN/grpc.out" 5

step "errors: codes and words of TensorFlow Serving"
post 400 "JSON Parse error: The document is empty" ''
post 400 "JSON Parse error: Missing a comma or *" '{"instances":[1'
post 400 "JSON Value: [1] Is not object" '[1]'
post 400 "Missing 'inputs' or 'instances' key" '{}'
post 400 "JSON Value: {*" '{"inputs":1,"instances":[1]}'
post 400 "JSON Value: {*" '{"signature_name":1,"instances":[1]}'
post 400 'Serving signature name: "no" not found in signature def' '{"signature_name":"no","instances":[1]}'
post 400 "Missing named input: images in 'inputs' object." '{"inputs":{"pictures":[1]}}'
post 400 "Failed to process element: 0 key: x of 'instances' list. Error: INVALID_ARGUMENT: JSON object: does not have named input: x" \
    '{"instances":[{"x":1}]}'
post 400 "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: JSON Value: \"a\" Type: String is not of expected type: float" \
    '{"instances":[1,"a"]}'
post 400 "Encountered list at unexpected size: 1 at level: 2 expected size: 2" '{"inputs":[[[[1],[2]],[[3]]]]}'
post 400 "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: Expecting tensor size: 1 but got: 2" \
    '{"instances":[[1],[1,2]]}'
post 400 "input images has shape [1], the signature says [?,28,28,1]" '{"instances":[1]}'
post 404 "Servable not found for request: Specific(fashion-mnist, 9)" '{"instances":[1]}' /versions/9
post 400 "Unrecognized servable version label: best" '{"instances":[1]}' /labels/best
post 400 "Failed to convert version: 99999999999999999999 to numeric." '{"instances":[1]}' /versions/99999999999999999999
error 404 "Servable not found for request: Latest(other)" -d '{"instances":[1]}' "$REST/v1/models/other:predict"
error 404 "Could not find any versions of model other" "$REST/v1/models/other"
error 404 "Could not find version 9 of model fashion-mnist" "$M/versions/9"
error 404 "Servable not found for request: Specific(fashion-mnist, 9)" "$M/versions/9/metadata"
error 400 "Missing model name in request." "$REST/v1/models"
error 400 "Malformed request: GET /v1/modules/x" "$REST/v1/modules/x"
error 400 "Malformed request: GET /v1/models/fashion-mnist:predict" "$M:predict"
error 400 "Malformed request: POST /v1/models/fashion-mnist" -d '{}' "$M"
error 400 "Malformed request: DELETE /v1/models/fashion-mnist" -X DELETE "$M"
[ "$(curl -sk -m 60 -o /dev/null -w '%{http_code}' -X OPTIONS "$M")" = 400 ] || die "OPTIONS of no origin"
code() { curl -sk -m 60 -o "$RUN/out" -w '%{http_code}' "$@" || true; }
[ "$(code "$REST/")" = 404 ] || die "/ is not 404"
[ "$(code "$REST/metrics")" = 404 ] || die "/metrics is not 404"
[ "$(code --path-as-is "$REST/v1/../etc/passwd")" = 400 ] || die "a path that climbs is not malformed"
[ "$(code -X PATCH "$M")" = 501 ] || die "PATCH is not 501"
gzip -c "$RUN/body.row" >"$RUN/body.gz"
ask 200 -H 'Content-Encoding: gzip' --data-binary "@$RUN/body.gz" "$M:predict" # as it is taken there
cmp "$RUN/out" "$RUN/answer.row"
head -c 200 "$RUN/body.gz" >"$RUN/cut.gz"
[ "$(code -H 'Content-Encoding: gzip' --data-binary "@$RUN/cut.gz" "$M:predict")" = 400 ] || die "a compressed body that is cut off is not 400"
(cat "$RUN/body.gz"; printf more) >"$RUN/more.gz"
[ "$(code -H 'Content-Encoding: gzip' --data-binary "@$RUN/more.gz" "$M:predict")" = 400 ] || die "bytes behind a compressed body are not 400"
[ "$(code -H 'Content-Encoding: br' --data-binary "@$RUN/body.row" "$M:predict")" = 415 ] || die "an encoding that nobody knows is not 415"
[ "$(code -H 'Content-Encoding: gzip' -H 'Content-Encoding: identity' --data-binary "@$RUN/body.gz" "$M:predict")" = 415 ] || die "two encodings are not 415"
head -c 67108865 /dev/zero | gzip -1 >"$RUN/bomb.gz" # small as it comes, one byte too large as it is
[ "$(code -H 'Content-Encoding: gzip' --data-binary "@$RUN/bomb.gz" "$M:predict")" = 413 ] || die "a small body that becomes a large one is not 413"
head -c 67108865 /dev/zero >"$RUN/big" # one byte more than is taken
[ "$(code --data-binary "@$RUN/big" "$M:predict")" = 413 ] || die "a large body is not 413"
[ "$(code -H 'Transfer-Encoding: chunked' --data-binary "@$RUN/big" "$M:predict")" = 413 ] || die "a large chunked body is not 413"

step "the connection"
connects=$(curl -sk -m 60 -o /dev/null -o /dev/null -o /dev/null -w '%{num_connects} ' "$M" "$M/metadata" "$REST/v1/models/other")
[ "$connects" = "1 0 0 " ] || die "requests did not share one connection: $connects"
head=$(curl -sk -m 60 -I "$M" | tr -d '\r')
grep -q '^HTTP/1.1 400' <<<"$head" && grep -qi '^Content-Length: [1-9]' <<<"$head" || die "HEAD: $head" # as there: GET and POST only
for v in 1.0 1.1 1.2; do
    if curl -sk -m 20 --tls-max "$v" -o /dev/null "$M"; then die "TLS $v was accepted"; fi
done
if curl -s -m 20 -o /dev/null "http${M#https}"; then die "plain HTTP was answered"; fi
if curl -s -m 20 -o /dev/null "$M"; then die "a self-signed certificate passed as a known one"; fi
for i in $(seq 100); do # a request may travel together with the end of the handshake, or after it
    [ "$(code -m 5 "$M")" = 200 ] || die "request $i on a new connection was not answered"
done

step "the certificate"
openssl s_client -connect "${REST#https://}" </dev/null 2>/dev/null | openssl x509 -outform DER -out "$RUN/cert.der"
python3 "$here/rest.py" evidence "$RUN/cert.der" "$RUN/quote"
for quote in legacy dice; do
    "$BIN/cczoo" evidence inspect "$RUN/quote.$quote" 2>/dev/null | grep -E "^ +mrenclave +$SERVER_ID\$" >/dev/null || die "another measurement"
    "$BIN/cczoo" evidence verify "$RUN/quote.$quote" --trust-sim "$RUN/sim/trust" --policy "$RUN/policy.json" 2>"$RUN/err" ||
        die "the evidence is refused: $(cat "$RUN/err")"
    grep -q '^accepted: ' "$RUN/err" && grep -q '^SIMULATED: ' "$RUN/err" || die "$(cat "$RUN/err")"
    expect_refusal 'policy:mrenclave: [0-9a-f]{64} / [0-9a-f]{64}' "$BIN/cczoo" evidence verify "$RUN/quote.$quote" \
        --trust-sim "$RUN/sim/trust" --policy "$RUN/kms-policy.json" >/dev/null
done

step "a new identity while it serves"
fingerprint() { openssl s_client -connect "${REST#https://}" </dev/null 2>/dev/null | openssl x509 -noout -fingerprint -sha256; }
before=$(fingerprint)
kill -HUP "${PIDS[server]}"
for _ in $(seq 100); do
    grep -q 'served-rest: reload identity=new' "$RUN/log/server.log" && break
    sleep 0.1
done
grep -q 'served: reload identity=new' "$RUN/log/server.log" || die "no new identity of gRPC"
after=$(fingerprint)
[ -n "$after" ] && [ "$before" != "$after" ] || die "the certificate is still $before"
[ "$(code "$M")" = 200 ] || die "no answer under the new identity"
kill -0 "${PIDS[server]}" || die "the server ended meanwhile"
say ok
