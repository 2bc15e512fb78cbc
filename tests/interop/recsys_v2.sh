#!/usr/bin/env bash
# A cczoo-served with a recommender for test_v2.py: attested to its KMS as always, but open to stock clients.
. "$(dirname "$0")/../integration/recsys.sh"
run_begin test-recsys-v2
recsys_server --insecure-tls-only --threads 2
python3 "$ROOT/tests/interop/test_v2.py" "$(cat "$RUN/server.port")" "$(cat "$RUN/server.rest")"
stop server
