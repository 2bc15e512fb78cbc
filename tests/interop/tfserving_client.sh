#!/usr/bin/env bash
# A cczoo-served for test_tfserving_client.py: attested to its KMS as always, but open to stock gRPC clients.
. "$(dirname "$0")/../integration/served.sh"
run_begin test-tfserving-client
make_platform
start_kms
protect_model
served_start server --insecure-tls-only --threads 2 --rest 127.0.0.1:0
images=("$DATA/t10k-images-idx3-ubyte.gz" "$DATA/t10k-labels-idx1-ubyte.gz")
python3 "$ROOT/tests/interop/test_tfserving_client.py" "$(cat "$RUN/server.port")" "${images[@]}"
python3 "$ROOT/tests/interop/test_tfserving_load.py" "$(cat "$RUN/server.port")" "$(cat "$RUN/server.rest")" \
    "${PIDS[server]}" "${images[@]}"
stop server
