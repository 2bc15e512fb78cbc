#!/usr/bin/env bash
# An encrypted TensorFlow model, served by three attested servers behind a load balancer. See README.md.
. "$(dirname "$0")/cluster.sh"
. "$HERE/photos.sh"
run_begin "$NAME"
record "$NAME" false # until the last line says otherwise

step "1 software TEE (SIMULATED): a platform and its test root"
make_platform
say "a model server is measured as ${SERVER_ID:0:16}..., the KMS as ${KMS_ID:0:16}..."

step "2 attestation server & KMS"
start_kms
say "its evidence is verified by kms-policy.json before anything is sent to it"

step "3 the owner encrypts the model and gives the key to the KMS"
protect_model
say "$(find "$RUN/models" -type f | wc -l) protected files; the key is bound to policy.json: only the measured server gets it"

step "4 three servers attest, get the key and load the model in memory"
for n in 1 2 3; do start_server "$n"; done
for n in 1 2 3; do wait_server "$n"; done
kms audit --last 3 | sed 's/^/   /'
start_balancer
say "load balancer: nginx, TCP only, at $BALANCER"

step "5 10,000 images; one server is killed meanwhile and comes back by attesting again"
expected=$(sed -n 's/.*"test_correct": *\([0-9]*\).*/\1/p' "$MODEL/model.json")
classes=$(sed -n 's/.*"test_classes_sha256": *"\([0-9a-f]*\)".*/\1/p' "$MODEL/model.json")
(
    until [ -e "$RUN/half" ] || [ ! -d "$RUN" ]; do sleep 0.02; done
    kill -KILL "${PIDS[server-2]}"
) &
killer=$!
infer "$BALANCER" --batch 32 --connections 6 --half-file "$RUN/half" --expect-correct "$expected" \
    --expect-classes "$classes" | sed 's/^/   /'
wait "$killer" || die "server-2 ended before it was to be killed"
unset 'PIDS[server-2]'
start_server 2
wait_server 2
say "server-2 is back: $(kms audit --last 1 | tail -n 1)"

step "6 again, with all three"
sleep 1.5 # the balancer tries a server again a second after it failed
infer "$BALANCER" --batch 32 --connections 6 --expect-correct "$expected" --expect-classes "$classes" | sed 's/^/   /'

step "7 one image, with the client in classify.c; and what a stock HTTPS client sees"
say "the first test image is: $(first_image | "$BIN/cczoo-classify" "$BALANCER" "$RUN/policy.json" "$RUN/sim/trust" -)"
say "GET /v1/models/fashion-mnist: $(curl -sk --max-time 10 "https://127.0.0.1:$(cat "$RUN/server-1.rest")/v1/models/fashion-mnist" | tr -d ' \n')"

step "8 two photos and a real network, EfficientNet-Lite0, as two signed bundles: for TensorFlow and for ONNX Runtime"
if find_photos; then
    prepare_photos
    mkdir "$RUN/photos"
    pack "$PHOTOS/saved_model/1" efficientnet 1 "$RUN/photos/efficientnet/1" | sed "s|$RUN/||; s/^/   /"
    pack "$PHOTOS/onnx/1" efficientnet-onnx 1 "$RUN/photos/efficientnet-onnx/1" | sed "s|$RUN/||; s/^/   /"
    say "one server, measured with both engines, attests and loads both models, each once (a few seconds)"
    start_photo_server efficientnet efficientnet-onnx
    kms audit --last 4 | grep ' key/models/' | sed 's/^/   /'
    classify_photos | sed 's/^/   /'
fi
record "$NAME" true
say "ok: each of the 10,000 answers, and so the accuracy ($expected right), equals TensorFlow's own"
