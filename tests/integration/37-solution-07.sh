#!/usr/bin/env bash
. "$(dirname "$0")/solution.sh"
or_skip "TensorFlow or the split networks" "$ROOT/solutions/07-vertical-fl/prepare.sh" >/dev/null
solution_test 07-vertical-fl
python3 - "$OUTPUT" <<'PY'
import re, sys
sent = float(re.search(r"norm attack [\d.]+ -> ([\d.]+)", open(sys.argv[1]).read())[1])
if sent > 0.60:
    sys.exit(f"the norm attack has an AUC of {sent} on protected gradients, expected at most 0.60")
PY
