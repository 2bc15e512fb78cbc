#!/usr/bin/env bash
# Solution 04 from its first line to its last, then its attacks; the output must contain expected.txt, in order.
. "$(dirname "$0")/../../scripts/lib.sh"
solution=$ROOT/solutions/04-he-lr-inference
if ! "$solution/prepare.sh" >/dev/null; then
    echo "skipped: the data sets cannot be had here"
    exit 77
fi
run_begin test-solution-04
export CCZOO_STATE=$RUN/state
"$solution/run.sh" >"$RUN/log/run.txt" 2>"$RUN/log/run.err" || { cat "$RUN/log/run.txt" "$RUN/log/run.err" >&2; die "run.sh failed"; }
"$solution/break.sh" >"$RUN/log/break.txt" 2>"$RUN/log/break.err" || { cat "$RUN/log/break.txt" "$RUN/log/break.err" >&2; die "break.sh failed"; }
cat "$RUN/log/run.txt" "$RUN/log/break.txt" >"$RUN/log/all.txt"
cat "$RUN/log/all.txt"

python3 - "$solution/expected.txt" "$RUN/log/all.txt" <<'PY'
import re, sys
lines = open(sys.argv[2]).read().splitlines()
at = 0
for want in open(sys.argv[1]).read().splitlines():
    if not want or want.startswith("#"):
        continue
    while at < len(lines) and not re.search(want, lines[at]):
        at += 1
    if at == len(lines):
        sys.exit(f"expected.txt: no (further) line matches: {want}")
    at += 1
# what the figures in the text rest on
text = "\n".join(lines)
errors = [float(v) for v in re.findall(r"largest error 2\^(-[0-9.]+)", text)]
assert len(errors) == 6 and max(errors) <= -24, errors
classes = re.findall(r"equal classes: (\d+) of (\d+)", text)
assert len(classes) == 6 and all(a == b for a, b in classes), classes
few, many = map(int, re.search(r"client for 4,096 rows: (\d+) MB, for 20,000: (\d+) MB", text).groups())
assert many <= few + 4, (few, many)
assert int(re.search(r"memory of the server: (\d+) MB", text)[1]) <= 160
PY
"$BIN/cczoo" table --json --solutions "$ROOT/solutions" --state "$CCZOO_STATE" |
    python3 -c 'import json,sys; r=[x for x in json.load(sys.stdin) if x["number"]==4][0]; assert r["status"].startswith("runs, verified at"), r'
left=$(pgrep -f "$CCZOO_STATE" || true)
[ -z "$left" ] || die "still running: $(ps -o args= -p "$left")"
[ -z "$(ls -A "$CCZOO_STATE/tmp")" ] || die "left behind: $(ls "$CCZOO_STATE/tmp")"
