# Real photos and a network of 1,000 classes, as two signed bundles for two engines; sourced by run.sh and break.sh after cluster.sh.
# shellcheck shell=bash

# Sets PHOTOS, the folder of model, labels and photos, and ORT. False, after saying which: it cannot be had here.
find_photos() {
    local status=0 what="the weights of EfficientNet-Lite0"
    PHOTOS=$("$ROOT/scripts/fetch-efficientnet" 2>>"$RUN/log/setup.log") || status=$?
    if [ "$status" = 0 ]; then
        what="ONNX Runtime"
        ORT=$("$ROOT/scripts/fetch-onnxruntime" 2>>"$RUN/log/setup.log") || status=$?
    fi
    [ "$status" != 0 ] || return 0
    [ "$status" = 77 ] || die "status $status while fetching $what: $(tail -n 1 "$RUN/log/setup.log")"
    say "skipped: the photos need $what, which cannot be had here"
    return 1
}

# The owner's steps: who may load the bundles (this server with both engines in it), and who signs them.
prepare_photos() {
    local id
    id=$("$BIN/cczoo" sim measure "$BIN/cczoo-served" "${TF_LIBS[@]}" "$ORT/libonnxruntime.so.1")
    sed "s/@MODEL_SERVER@/$id/" "$HERE/policy.json" >"$RUN/photo-policy.json"
    kms policy put photo-server "$RUN/photo-policy.json" >/dev/null
    "$BIN/cczoo" model keygen "$RUN/signer" >/dev/null 2>>"$RUN/log/setup.log"
    cp "$RUN/signer.pub" "$RUN/signer.value"
    chmod 600 "$RUN/signer.value" # as the KMS takes values
    kms secret put trust/signer --from "$RUN/signer.value" --bind photo-server >/dev/null
}

# pack FOLDER NAME VERSION BUNDLE: encrypted under a fresh version of the KMS's key models/NAME, and signed.
pack() {
    mkdir -p "$(dirname "$4")"
    "$BIN/cczoo" model pack "$1" "$4" --name "$2" --version "$3" --sign-key "$RUN/signer" --key "key/models/$2" --bind photo-server \
        --kms "$KMS" --admin-key "$RUN/admin.key" --trust-sim "$RUN/sim/trust" --policy "$RUN/kms-policy.json" 2>>"$RUN/log/setup.log"
}

# photo_server NAME...: in the foreground, for these models below RUN/photos; what a bundle is, its manifest says.
photo_server() {
    local name
    for name in "$@"; do printf "  config { name: '%s' base_path: '%s' }\n" "$name" "$RUN/photos/$name"; done |
        { echo 'model_config_list {' && cat && echo '}'; } >"$RUN/models.config"
    rm -f "$RUN/photos.port"
    exec env TF_CPP_MIN_LOG_LEVEL=3 "$BIN/cczoo-served" --listen 127.0.0.1:0 --port-file "$RUN/photos.port" \
        --model_config_file "$RUN/models.config" --max_num_load_retries 0 --bundle-signer secret/trust/signer --threads 1 \
        --tensorflow "$TF/libtensorflow_cc.so.2" --onnxruntime "$ORT/libonnxruntime.so.1" --tee sim-sgx --sim-dir "$RUN/sim" \
        --trust-sim "$RUN/sim/trust" --kms "$KMS" --kms-policy "$RUN/kms-policy.json"
}

start_photo_server() { # NAME...
    (photo_server "$@") >>"$RUN/log/photos.log" 2>&1 </dev/null &
    started photos
    wait_file photos "$RUN/photos.port" 120
}

# classify_photos: both photos by both models; the client verifies the server by photo-policy.json first.
classify_photos() {
    "$BIN/cczoo-photos" "127.0.0.1:$(cat "$RUN/photos.port")" "$RUN/photo-policy.json" "$RUN/sim/trust" "$PHOTOS/labels.txt" \
        efficientnet,efficientnet-onnx "$PHOTOS/china.f32" "$PHOTOS/flower.f32"
}
