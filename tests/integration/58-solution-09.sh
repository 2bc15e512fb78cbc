#!/usr/bin/env bash
. "$(dirname "$0")/solution.sh"
or_skip "the ratings" "$ROOT/solutions/09-secure-recsys/prepare.sh" >/dev/null
solution_test 09-secure-recsys
python3 - "$OUTPUT" <<'PY'
import re, sys
text = open(sys.argv[1]).read()
popular, als = (float(re.search(rf"{name} +10 +[\d.]+ +([\d.]+)", text)[1]) for name in ("popularity", "ALS"))
if als < 1.5 * popular:
    sys.exit(f"ndcg@10 {als}, expected 1.5 times that of popularity, {popular}")
PY
