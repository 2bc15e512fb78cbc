#!/usr/bin/env bash
# Solution 05 from its first line to its last, then its attacks; the output must contain expected.txt, in order.
. "$(dirname "$0")/../../scripts/lib.sh"
solution=$ROOT/solutions/05-paillier-lr
if ! "$solution/prepare.sh" >/dev/null; then
    echo "skipped: the data cannot be had here"
    exit 77
fi
run_begin test-solution-05
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
text = "\n".join(lines)
faster, smaller = map(float, re.search(r"all: (\d+) times the speed of none, ([\d.]+) times", text).groups())
if smaller < 10: # bytes do not depend on the machine; time is a benchmark's business
    sys.exit(f"all optimisations save {smaller} times the bytes, expected 10")
PY
"$BIN/cczoo" table --json --solutions "$ROOT/solutions" --state "$CCZOO_STATE" |
    python3 -c 'import json,sys; r=[x for x in json.load(sys.stdin) if x["number"]==5][0]; assert r["status"].startswith("runs, verified at"), r'
left=$(pgrep -f "$CCZOO_STATE" || true)
[ -z "$left" ] || die "still running: $(ps -o args= -p "$left")"
[ -z "$(ls -A "$CCZOO_STATE/tmp")" ] || die "left behind: $(ls "$CCZOO_STATE/tmp")"
