#!/usr/bin/env bash
# Five attacks that must be refused, each with its reason. See README.md, "Break it".
. "$(dirname "$0")/cluster.sh"
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
