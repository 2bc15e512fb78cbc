#!/usr/bin/env bash
. "$(dirname "$0")/solution.sh"
or_skip "the data" "$ROOT/solutions/04-he-lr-inference/prepare.sh" >/dev/null
solution_test 04-he-lr-inference
python3 - "$OUTPUT" <<'PY'
import re, sys
text = open(sys.argv[1]).read() # what the figures in the README rest on
errors = [float(v) for v in re.findall(r"largest error 2\^(-[0-9.]+)", text)]
assert len(errors) == 6 and max(errors) <= -24, errors
classes = re.findall(r"equal classes: (\d+) of (\d+)", text)
assert len(classes) == 6 and all(a == b for a, b in classes), classes
few, many = map(int, re.search(r"client for 4,096 rows: (\d+) MB, for 20,000: (\d+) MB", text).groups())
assert many <= few + 4, (few, many)
assert int(re.search(r"memory of the server: (\d+) MB", text)[1]) <= 160
PY
