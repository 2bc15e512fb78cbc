#!/usr/bin/env bash
# Servers for test_tfs.py: the compatibility suite of TensorFlow Serving.
. "$(dirname "$0")/../../scripts/lib.sh"
TF=$(or_skip "TensorFlow" "$ROOT/scripts/fetch-tensorflow")
python3 "$ROOT/tests/interop/test_tfs.py" --packages || exit $? # 77: cannot be had here
run_begin test-tfs
"$BIN/cczoo" sim init "$RUN/sim" 2>>"$RUN/log/setup.log"
python3 "$ROOT/tests/interop/test_tfs.py" "$BIN/cczoo-served" "$TF/libtensorflow_cc.so.2" "$ROOT/tests/vectors/tfserving" "$RUN"
