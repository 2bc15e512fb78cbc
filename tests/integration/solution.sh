# Sourced by the tests of solutions: a solution from its first line to its last, then its attacks.
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"

# expect_lines FILE: $OUTPUT has lines like those regular expressions, in this order.
expect_lines() {
    python3 - "$1" "$OUTPUT" <<'PY'
import re, sys
lines = open(sys.argv[2]).read().splitlines()
at = 0
for want in open(sys.argv[1]).read().splitlines():
    if not want or want.startswith("#"):
        continue
    while at < len(lines) and not re.search(want, lines[at]):
        at += 1
    if at == len(lines):
        sys.exit(f"{sys.argv[1]}: no (further) line matches: {want}")
    at += 1
PY
}

# solution_test FOLDER: runs it with a state of its own. The output, in $OUTPUT, must contain the lines of expected.txt, in
# order; the table must say that it runs; no process and no temporary file may be left.
solution_test() {
    local folder=$ROOT/solutions/$1 number=$((10#${1%%-*})) part left
    run_begin "test-solution-${1%%-*}"
    export CCZOO_STATE=$RUN/state
    OUTPUT=$RUN/log/all.txt
    for part in run break; do
        "$folder/$part.sh" >"$RUN/log/$part.txt" 2>"$RUN/log/$part.err" ||
            { cat "$RUN/log/$part.txt" "$RUN/log/$part.err" >&2; die "$part.sh failed"; }
    done
    cat "$RUN/log/run.txt" "$RUN/log/break.txt" | tee "$OUTPUT"
    expect_lines "$folder/expected.txt"
    "$BIN/cczoo" table --json --solutions "$ROOT/solutions" --state "$CCZOO_STATE" | python3 -c 'import json,sys
r=[x for x in json.load(sys.stdin) if x["number"]==int(sys.argv[1])][0]; assert r["status"].startswith("runs, verified at"), r' "$number"
    left=$(pgrep -f "$CCZOO_STATE" || true)
    [ -z "$left" ] || die "still running: $(ps -o args= -p "$left")"
    [ -z "$(ls -A "$CCZOO_STATE/tmp")" ] || die "left behind: $(ls "$CCZOO_STATE/tmp")"
}
