#!/usr/bin/env bash
. "$(dirname "$0")/solution.sh"
or_skip "the data" "$ROOT/solutions/05-paillier-lr/prepare.sh" >/dev/null
solution_test 05-paillier-lr
python3 - "$OUTPUT" <<'PY'
import re, sys
faster, smaller = map(float, re.search(r"all: (\d+) times the speed of none, ([\d.]+) times", open(sys.argv[1]).read()).groups())
if smaller < 10: # bytes do not depend on the machine; time is a benchmark's business
    sys.exit(f"all optimisations save {smaller} times the bytes, expected 10")
PY
