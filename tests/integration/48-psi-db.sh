#!/usr/bin/env bash
# cczoo psi prepare, answer, ask: a database is prepared once and answers many clients, also after it was started again; and who and
# what is refused.
. "$(dirname "$0")/psi.sh"
psi_begin test-psi-db
says() { grep -qE -- "$1" "$RUN/err" || { cat "$RUN/err" >&2; die "it does not say: $1"; }; }
PSI=("$BIN/cczoo" psi)
head -c 32 /dev/urandom >"$RUN/seal"
head -c 32 /dev/urandom >"$RUN/other-seal"
for ((i = 0; i < 6000; i += 2)); do echo "customer-$i"; done >"$RUN/large.txt"
for ((i = 0; i < 60; i += 3)); do echo "customer-$i"; done >"$RUN/small.txt"
{ echo "name,id"; for ((i = 5990; i < 6010; i++)); do echo "\"somebody, $i\", Customer-$i"; done; } >"$RUN/small.csv"
HOW=(--domain customer --trim --fold-case)
answer() { # OPTION...: starts the server, sets PORT
    rm -f "$RUN/port"
    start answer "${PSI[@]}" answer --db "$RUN/db" --seal "$RUN/seal" --listen 127.0.0.1:0 --port-file "$RUN/port" "$@"
    wait_file answer "$RUN/port" 20
    PORT=$(cat "$RUN/port")
}
ask() { # STATUS OPTION...
    local want=$1
    shift
    status "$want" "${PSI[@]}" ask --connect "127.0.0.1:$PORT" "${HOW[@]}" "$@"
}

step "usage: what a verb would ignore is an error"
status 2 "${PSI[@]}" prepare --ids "$RUN/large.txt" --db "$RUN/db"
says '--db and --seal are required'
status 2 "${PSI[@]}" prepare --db "$RUN/db" --seal "$RUN/seal"
status 2 "${PSI[@]}" prepare --ids "$RUN/large.txt" --db "$RUN/db" --seal "$RUN/seal" --listen 127.0.0.1:0
says '--listen is not for psi prepare'
status 2 "${PSI[@]}" prepare --ids "$RUN/large.txt" --db "$RUN/db" --seal "$RUN/seal" --protocol ecdh
status 2 "${PSI[@]}" answer --db "$RUN/db" --seal "$RUN/seal" --listen 127.0.0.1:0 "${MUTUAL[@]}" --ids "$RUN/large.txt"
status 2 "${PSI[@]}" answer --db "$RUN/db" --seal "$RUN/seal" --listen 127.0.0.1:0
says '--policy is required'
status 2 "${PSI[@]}" answer --db "$RUN/db" --seal "$RUN/seal" --connect 127.0.0.1:1 "${MUTUAL[@]}"
status 2 "${PSI[@]}" answer --db "$RUN/db" --seal "$RUN/seal" --listen 127.0.0.1:0 "${MUTUAL[@]}" --min 3
says 'it needs --trusted-receiver'
status 2 "${PSI[@]}" ask --connect 127.0.0.1:1 --ids "$RUN/small.txt" "${MUTUAL[@]}" --cardinality
status 2 "${PSI[@]}" ask --listen 127.0.0.1:0 --ids "$RUN/small.txt" "${MUTUAL[@]}"
status 2 "${PSI[@]}" receive --connect 127.0.0.1:1 --ids "$RUN/small.txt" "${MUTUAL[@]}" --filter "$RUN/filter"

step "a database, made once"
status 0 "${PSI[@]}" prepare --ids "$RUN/large.txt" --db "$RUN/db" --seal "$RUN/seal" "${HOW[@]}"
says 'database [0-9a-f]{16}: 3000 ids'
status 3 "${PSI[@]}" prepare --ids "$RUN/large.txt" --db "$RUN/db" --seal "$RUN/seal" "${HOW[@]}"
says 'file:'
grep -q 'customer-' "$RUN/db" && die "ids are in the database"

step "clients one after the other and at once; the filter is downloaded once"
answer "${MUTUAL[@]}"
ask 0 --ids "$RUN/small.txt" "${MUTUAL[@]}" --filter "$RUN/filter" --out "$RUN/rows"
says '10 common ids; database [0-9a-f]{16} of 3000 ids'
[ "$(sort -n "$RUN/rows" | tr '\n' ' ')" = "0 2 4 6 8 10 12 14 16 18 " ] || die "rows: $(tr '\n' ' ' <"$RUN/rows")"
ask 0 --ids "$RUN/small.csv" --column id "${MUTUAL[@]}" --filter "$RUN/filter" --json --out "$RUN/rows"
[ "$(sort -n "$RUN/rows" | tr '\n' ' ')" = "0 2 4 6 8 " ] || die "rows of the table: $(cat "$RUN/rows")"
received=$(sed 's/.*"received":\([0-9]*\).*/\1/' "$RUN/out")
[ "$received" -lt 2000 ] || die "the filter was downloaded again: $received bytes"
for i in 1 2 3 4 5; do
    start "ask-$i" "${PSI[@]}" ask --connect "127.0.0.1:$PORT" --name "client-$i" --ids "$RUN/small.txt" "${HOW[@]}" "${MUTUAL[@]}"
done
for i in 1 2 3 4 5; do ended "ask-$i" 0; done
grep -q '10 common ids' "$RUN/log/ask-3.log" || die "a client among several: $(cat "$RUN/log/ask-3.log")"
kill -TERM "${PIDS[answer]}"
ended answer 0
grep -q 'done: 7 clients' "$RUN/log/answer.log" || die "the server: $(cat "$RUN/log/answer.log")"
grep -q 'answered party=client-5 ids=20' "$RUN/log/answer.log" || die "a client is not recorded"

step "started again, the same database: the filter is still good"
answer "${MUTUAL[@]}" --clients 1
ask 0 --ids "$RUN/small.txt" "${MUTUAL[@]}" --filter "$RUN/filter"
ended answer 0

step "another measurement, on either side; no evidence"
answer "${MUTUAL[@]}"
ask 1 --ids "$RUN/small.txt" "${TRUST[@]}" "${EVIDENCE[@]}" --policy "$RUN/other.json"
says 'policy:mrenclave'
ask 1 --ids "$RUN/small.txt" "${TRUST[@]}" --policy "$RUN/good.json"
stop answer
answer "${TRUST[@]}" "${EVIDENCE[@]}" --policy "$RUN/other.json"
ask 1 --ids "$RUN/small.txt" "${MUTUAL[@]}"
says 'policy:mrenclave'
[ ! -s "$RUN/out" ] || die "rows, although the server refused"
stop answer
if grep -q '^answered' "$RUN/log/answer.log"; then die "a client of another measurement was answered"; fi

step "ids that are prepared differently, queries that are too long, a total"
answer "${MUTUAL[@]}" --query-max 20 --total-max 30
status 1 "${PSI[@]}" ask --connect "127.0.0.1:$PORT" --ids "$RUN/small.txt" --domain other "${MUTUAL[@]}"
says 'psi:peer-ids'
head -n 21 "$RUN/large.txt" >"$RUN/21.txt"
got=0
"${PSI[@]}" ask --connect "127.0.0.1:$PORT" --ids "$RUN/21.txt" "${HOW[@]}" "${MUTUAL[@]}" >"$RUN/out" 2>"$RUN/err" || got=$?
[ $got != 0 ] && grep -q 'psi:query-len' "$RUN/err" || die "21 ids: $(cat "$RUN/err")"
ask 0 --ids "$RUN/small.txt" "${MUTUAL[@]}"
got=0
"${PSI[@]}" ask --connect "127.0.0.1:$PORT" --ids "$RUN/small.txt" "${HOW[@]}" "${MUTUAL[@]}" >"$RUN/out" 2>"$RUN/err" || got=$?
[ $got != 0 ] && [ ! -s "$RUN/out" ] || die "more ids than the total"
grep -q 'where=psi:query-len' "$RUN/log/answer.log" || die "the server does not say why"
stop answer

step "too few common ids"
answer "${MUTUAL[@]}" --min 11 --trusted-receiver
ask 1 --ids "$RUN/small.txt" "${MUTUAL[@]}" --min 11
says 'psi:minimum'
[ ! -s "$RUN/out" ] || die "rows below the minimum"
ask 1 --ids "$RUN/small.txt" "${MUTUAL[@]}"
says 'psi:peer-minimum'
stop answer

step "another version of the database: said, and taken if asked for"
cp "$RUN/db" "$RUN/db.old"
{ cat "$RUN/large.txt"; echo customer-3; } >"$RUN/larger.txt"
status 0 "${PSI[@]}" prepare --ids "$RUN/larger.txt" --db "$RUN/db" --seal "$RUN/seal" "${HOW[@]}" --replace
answer "${MUTUAL[@]}"
cp "$RUN/filter" "$RUN/filter.old"
ask 1 --ids "$RUN/small.txt" "${MUTUAL[@]}" --filter "$RUN/filter"
says 'psi:filter-old'
cmp "$RUN/filter" "$RUN/filter.old" || die "the filter was replaced"
ask 0 --ids "$RUN/small.txt" "${MUTUAL[@]}" --filter "$RUN/filter" --refresh
says '11 common ids; database [0-9a-f]{16} of 3001 ids'
ask 0 --ids "$RUN/small.txt" "${MUTUAL[@]}" --filter "$RUN/filter"

step "a damaged filter, a damaged database, another seal"
flip() {
    python3 - "$1" "$2" <<'PY'
import sys
with open(sys.argv[1], "r+b") as f:
    f.seek(int(sys.argv[2]))
    byte = f.read(1)[0]
    f.seek(int(sys.argv[2]))
    f.write(bytes([byte ^ 1]))
PY
}
flip "$RUN/filter" 3 # its version
ask 1 --ids "$RUN/small.txt" "${MUTUAL[@]}" --filter "$RUN/filter"
says 'psi:filter'
stop answer
for at in 100 5000 9000; do
    cp "$RUN/db" "$RUN/damaged"
    flip "$RUN/damaged" $at
    status 1 "${PSI[@]}" answer --db "$RUN/damaged" --seal "$RUN/seal" --listen 127.0.0.1:0 "${MUTUAL[@]}"
    says 'pf:'
done
status 1 "${PSI[@]}" answer --db "$RUN/db" --seal "$RUN/other-seal" --listen 127.0.0.1:0 "${MUTUAL[@]}"
says 'pf:'
status 3 "${PSI[@]}" answer --db "$RUN/none" --seal "$RUN/seal" --listen 127.0.0.1:0 "${MUTUAL[@]}"
say "ok: three databases, twenty refusals"
