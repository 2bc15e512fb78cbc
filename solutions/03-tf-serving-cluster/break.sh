#!/usr/bin/env bash
# Attacks that must be refused, each with its reason. See README.md, "Break it".
. "$(dirname "$0")/cluster.sh"
. "$HERE/photos.sh"
run_begin "$NAME-break"

make_platform
start_kms
protect_model
start_server 1
wait_server 1
SERVER=127.0.0.1:$(cat "$RUN/server-1.port")

step "(a) a server binary with one byte changed asks for the key"
cp "$BIN/cczoo-served" "$RUN/tampered"
chmod u+wx "$RUN/tampered"
"$ROOT/scripts/flip-byte" "$RUN/tampered" "$(grep -abo 'cczoo-served' "$RUN/tampered" | head -n 1 | cut -d: -f1)"
run_tampered() {
    (cd "$RUN" && "$RUN/tampered" --listen 127.0.0.1:0 --port-file "$RUN/tampered.port" \
        --model-name fashion-mnist --model-dir models/fashion-mnist --tensorflow "$TF/libtensorflow_cc.so.2" \
        --tee sim-sgx --sim-dir "$RUN/sim" --trust-sim "$RUN/sim/trust" --kms "$KMS" \
        --kms-policy "$RUN/kms-policy.json" --kms-key key/fashion-mnist)
}
expect_refusal 'policy:mrenclave: ' run_tampered | sed 's/^/   /'

step "(b) one bit of a model file is flipped"
file=$(cd "$RUN" && find models/fashion-mnist -name 'variables.data*' | head -n 1)
cp -r "$RUN/models" "$RUN/models.good"
"$ROOT/scripts/flip-byte" "$RUN/$file" 100000
run_damaged() {
    (cd "$RUN" && "$BIN/cczoo-served" --listen 127.0.0.1:0 --port-file "$RUN/damaged.port" \
        --model-name fashion-mnist --model-dir models/fashion-mnist --tensorflow "$TF/libtensorflow_cc.so.2" \
        --tee sim-sgx --sim-dir "$RUN/sim" --trust-sim "$RUN/sim/trust" --kms "$KMS" \
        --kms-policy "$RUN/kms-policy.json" --kms-key key/fashion-mnist)
}
expect_refusal 'pf:.*block [0-9]+' run_damaged | sed 's/^/   /'
rm -rf "$RUN/models"
mv "$RUN/models.good" "$RUN/models"

step "(c) a server with a plain self-signed certificate and no evidence"
start impostor "$BIN/cczoo-attack" plain-tls --listen 127.0.0.1:0 --port-file "$RUN/impostor.port"
wait_file impostor "$RUN/impostor.port" 10
expect_refusal 'ratls:' infer "127.0.0.1:$(cat "$RUN/impostor.port")" | sed 's/^/   /'

step "(d) yesterday's evidence of the real server, replayed in a fresh session"
start replayer "$BIN/cczoo-attack" replay --from "$SERVER" --listen 127.0.0.1:0 --port-file "$RUN/replayer.port"
wait_file replayer "$RUN/replayer.port" 10
expect_refusal 'ratls:report-data: ' infer "127.0.0.1:$(cat "$RUN/replayer.port")" | sed 's/^/   /'

step "(e) an empty policy"
echo '{"version":1,"rules":[]}' >"$RUN/policy.json"
expect_refusal 'policy:empty: ' infer "$SERVER" | sed 's/^/   /'

say "ok: five attacks, five refusals"

step "bundles of the network for photos"
find_photos || exit 0
prepare_photos
pack "$PHOTOS/onnx/1" efficientnet-onnx 1 "$RUN/kept/1" >/dev/null
pack "$PHOTOS/onnx/1" efficientnet-onnx 2 "$RUN/kept/2" >/dev/null
pack "$PHOTOS/saved_model/1" efficientnet 1 "$RUN/kept/other" >/dev/null
kms disable key/models/efficientnet-onnx --version 1 >/dev/null # version 2 is served everywhere
say "efficientnet-onnx version 2 is in use; the key of version 1 is disabled"

# put VERSION BUNDLE: the host lets this be the only version of the model.
put() {
    rm -rf "$RUN/photos"
    mkdir -p "$RUN/photos/efficientnet-onnx"
    cp -r "$2" "$RUN/photos/efficientnet-onnx/$1"
}
# not_loaded WHERE: a server that is started now must end, because its only model was refused like that.
not_loaded() {
    local out status=0
    out=$( (photo_server efficientnet-onnx) 2>&1) || status=$?
    if [ "$status" != 3 ] || ! grep -qE "due to error: $1: got .*, expected " <<<"$out" || [ -e "$RUN/photos.port" ]; then
        printf '%s\n' "$out" >&2
        die "expected exit status 3 and a model refused by $1, got status $status"
    fi
    say "refused: $(grep -oE "$1: got [^}]*" <<<"$out" | head -n 1 | sed 's/: got /: /; s/, expected / \/ /')"
}

step "(f) the host brings version 1 back: as it was, then in the place of version 2"
put 1 "$RUN/kept/1"
not_loaded kms:disabled
put 2 "$RUN/kept/1"
not_loaded bundle:version

step "(g) a file of the other bundle, which the same owner has signed, lies in this one"
put 2 "$RUN/kept/2"
cp "$RUN/kept/other/files/saved_model.pb" "$RUN/photos/efficientnet-onnx/2/files/model.onnx"
not_loaded pf:metadata

step "(h) the owner's own mistake: weights that were damaged before they were packed and signed; the two engines do not agree"
mkdir -p "$RUN/damaged"
cp "$PHOTOS/onnx/1/"* "$RUN/damaged/"
chmod -R u+w "$RUN/damaged"
dd if=/dev/zero of="$RUN/damaged/model.onnx" bs=64k seek=230 count=16 conv=notrunc status=none # in the last layer
pack "$RUN/damaged" efficientnet-onnx 3 "$RUN/kept/3" >/dev/null
put 3 "$RUN/kept/3"
mkdir -p "$RUN/photos/efficientnet"
cp -r "$RUN/kept/other" "$RUN/photos/efficientnet/1"
start_photo_server efficientnet efficientnet-onnx
status=0
out=$(classify_photos 2>&1) || status=$?
[ "$status" = 1 ] && grep -q '^refused: photos:disagree: ' <<<"$out" || { printf '%s\n' "$out" >&2; die "expected photos:disagree, got status $status"; }
say "$(grep '^refused: ' <<<"$out")"
stop photos

step "and as it should be"
put 2 "$RUN/kept/2"
start_photo_server efficientnet-onnx
say "ok: four attempts, four refusals; version 2 is served"
