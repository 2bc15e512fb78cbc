#!/usr/bin/env bash
# Two daemons on one PostgreSQL, clients that know both. The second one's way to the database is cut for 10 s (in a network namespace of its own where that may be
# made, else by a forwarder that stops): clients go on by the first one
# (at the latest when the way is back, behind a forwarder). Then the first one is killed: they go on by the second. Nothing acknowledged is lost, every
# release is on record, and no compare and set succeeds twice.
. "$(dirname "$0")/kms.sh"
. "$(dirname "$0")/pg.sh"
pg_find
run_begin test-kms-failover
export RUN
NS=ccz$$
DB_NET=10.$((200 + $$ % 50)).$(($$ / 50 % 250)) # addresses of this run: the way to the database,
KMS_NET=10.$((150 + $$ % 50)).$(($$ / 50 % 250)) # and that of clients
pg_before_end() { # the links go with it
    local i
    [ "$CUT" = namespace ] || return 0
    ip netns del "$NS"
    for ((i = 0; i < 100; i++)); do # that happens by and by, and the next test may look at the interfaces
        ip link show "${NS}db" >/dev/null 2>&1 || break
        sleep 0.1
    done
}
CUT=forwarder # WAY=forwarder keeps it
[ "$(id -u)" != 0 ] || [ "${WAY:-}" = forwarder ] || ! ip netns add "$NS" 2>/dev/null || CUT=namespace
pg_begin

# link NAME NET: a pair of interfaces, .1 here and .2 in the namespace.
link() {
    ip link add "$NS$1" type veth peer name "$1" netns "$NS" && ip addr add "$2.1/24" dev "$NS$1" && ip link set "$NS$1" up &&
        ip -n "$NS" addr add "$2.2/24" dev "$1" && ip -n "$NS" link set "$1" up
}
cut_way() {
    if [ "$CUT" = namespace ]; then ip link set "${NS}db" down; else kill -STOP "${PIDS[way]}"; fi
}
join_way() {
    if [ "$CUT" = namespace ]; then ip link set "${NS}db" up; else kill -CONT "${PIDS[way]}"; fi
}
# daemon NAME LISTEN DATABASE [WRAPPER...]
daemon() {
    local name=$1 listen=$2 database=$3
    shift 3
    rm -f "$RUN/$name.port"
    "$@" "$BIN/cczoo-kmsd" run --state "$RUN/kms" --listen "$listen" --port-file "$RUN/$name.port" --tee sim-sgx --sim-dir "$RUN/sim" --trust-sim "$RUN/sim/trust" \
        --database "$database" >>"$RUN/log/$name.log" 2>&1 </dev/null &
    PIDS[$name]=$!
    wait_file "$name" "$RUN/$name.port" 30
}
lines() { cat "$RUN/new.$1" 2>/dev/null | wc -l; }
# goes_on SECONDS WHEN: each client gets further within that time.
goes_on() {
    local c i was
    declare -A was
    for c in one two three; do was[$c]=$(lines $c); done
    for c in one two three; do
        for ((i = 0; i < $1 * 10; i++)); do
            [ "$(lines $c)" -le $((${was[$c]} + 2)) ] || continue 2
            sleep 0.1
        done
        die "client $c does not go on $2"
    done
}

step "two daemons; the way of one of them: $CUT"
HERE=127.0.0.1 THERE=127.0.0.1 WRAP=()
if [ "$CUT" = namespace ]; then
    link db "$DB_NET" && link kms "$KMS_NET" && ip -n "$NS" link set lo up || die "no links"
    HERE=$DB_NET.1 THERE=$KMS_NET.2 WRAP=(ip netns exec "$NS")
fi
start way "$ROOT/tests/integration/forward.py" "$HERE" "$RUN/way.port" "$PG/.s.PGSQL.5499"
wait_file way "$RUN/way.port" 10
LIMITS="user=tester dbname=postgres connect_timeout=2 tcp_user_timeout=1500 options='-c lock_timeout=2s -c idle_in_transaction_session_timeout=1s'"
DB="host=$PG port=5499 $LIMITS"
kms_setup --database "$DB"
policy_for "$RUN/load-policy.json" "$BIN/kms-load"
daemon kms 127.0.0.1:0 "$DB"
FIRST=127.0.0.1:$(cat "$RUN/kms.port")
KMS=$FIRST
daemon second "$THERE:0" "host=$HERE port=$(cat "$RUN/way.port") $LIMITS" "${WRAP[@]}"
SECOND=$THERE:$(cat "$RUN/second.port")
kms policy put workload "$RUN/load-policy.json" >/dev/null 2>&1
kms key create load-t --alg aes-256-gcm --bind workload >/dev/null 2>&1
KMS=$SECOND
kms ls >"$RUN/out" 2>&1 || { cat "$RUN/out" >&2; die "the second one does not answer"; }

step "clients of both"
clients=()
for c in "one $FIRST,$SECOND" "two $SECOND,$FIRST" "three $FIRST,$SECOND"; do
    KMS=${c#* }
    reach
    "$BIN/kms-load" run "${c%% *}" 3600 "${REACH[@]}" --sim-dir "$RUN/sim" --admin-key "$RUN/admin.key" --bind workload --tag t --receipt "$RUN/receipts" --outlast \
        >"$RUN/new.${c%% *}" 2>"$RUN/log/load.${c%% *}" &
    clients+=($!)
    PIDS[${c%% *}]=$!
done
goes_on 10 "at the start"
before=$(wc -l <"$RUN/receipts")

step "ten seconds without the database"
cut_way
began=$(date +%s)
# a stopped forwarder takes bytes as if nothing had happened: what was asked of the second server waits for it
[ "$CUT" = forwarder ] || goes_on 9 "while one of two is without its database"
sleep $((began + 10 - $(date +%s) > 0 ? began + 10 - $(date +%s) : 0))
[ "$CUT" = forwarder ] || [ "$(wc -l <"$RUN/receipts")" -gt "$before" ] || die "no release meanwhile"
join_way
KMS=$SECOND
for ((i = 0; i < 100; i++)); do
    ! kms ls >"$RUN/out" 2>&1 || break
    sleep 0.1
done
[ "$i" -lt 100 ] || { cat "$RUN/out" "$RUN/log/second.log" >&2; die "it does not come back"; }
goes_on 10 "once it is back"

step "the first one is killed"
kill -KILL "${PIDS[kms]}"
wait "${PIDS[kms]}" 2>/dev/null || true
unset "PIDS[kms]"
goes_on 10 "by the second one alone"
KMS=$FIRST,$SECOND
status 0 kms status
ID=$(sed -nE 's/^instance +([0-9a-f]{32})$/\1/p' "$RUN/out")
status 0 kms ls --kms-id "$ID"
status 1 kms ls --kms-id "${ID//[0-9]/f}"
has err '^refused: kms:instance'
status 2 kms ls --kms-id "${ID%?}"
has err 'kms:instance-id'
cp "$RUN/kms-policy.json" "$RUN/kms-policy.keep"
policy_for "$RUN/kms-policy.json" "$BIN/kms-load" # evidence that is refused ends it, there is no next one
status 1 kms ls
has err '^refused: policy:mrenclave'
mv "$RUN/kms-policy.keep" "$RUN/kms-policy.json"
daemon kms "$FIRST" "$DB"
goes_on 10 "once the first one is back"

step "what came of it"
for c in one two three; do kill -TERM "${PIDS[$c]}"; done # between two lines or before one is written: what is there is whole
for c in one two three; do
    wait "${PIDS[$c]}" 2>/dev/null || true
    unset "PIDS[$c]"
done
cat "$RUN"/new.* >"$RUN/acked"
KMS=$FIRST
reach
"$BIN/kms-load" verify "${REACH[@]}" --sim-dir "$RUN/sim" < <(grep '^put\|^sealed' "$RUN/acked" | tail -n 300)
kms audit keys >"$RUN/keys.pem" 2>/dev/null
kms audit export "$RUN/export.jsonl" >/dev/null 2>&1
status 0 "$BIN/cczoo" kms audit verify "$RUN/export.jsonl" --key "$RUN/keys.pem" --receipt "$RUN/receipts"
has out "^accepted: $(wc -l <"$RUN/receipts") receipts\$"
"$ROOT/tests/integration/kms_acked.py" "$RUN/export.jsonl" "$RUN/acked"
"$BIN/cczoo-kmsd" check --state "$RUN/kms" --database "$DB" >"$RUN/out" || die "the store is damaged"
[ "$CUT" = forwarder ] || grep -q 'where=kms:store-' "$RUN/log/second.log" || die "the second one never noticed that its database was away"
if [ "$CUT" = namespace ] && ! { grep -q 'no call is taken until' "$RUN/log/second.log" && grep -q 'the store is back: calls_refused=[1-9]' "$RUN/log/second.log"; }; then
    die "the second one had its callers wait for the database"
fi
say "$(cat "$RUN/out")"
