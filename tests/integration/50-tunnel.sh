#!/usr/bin/env bash
# Unmodified programs through an attested tunnel: Redis, PostgreSQL, Python's gRPC, HAProxy and nginx, each on private ports. Then
# who is refused, and how it stops. What is not installed is skipped by name.
. "$(dirname "$0")/../../scripts/lib.sh"
run_begin test-tunnel
SKIPPED=""
PG=""
as=()
stop_pg() { # the process that was started is runuser's; the server itself has to be gone before its folder is
    [ -n "$PG" ] || return 0
    (cd / && "${as[@]}" "$bin/pg_ctl" -D "$PG/data" -m fast -w stop >>"$RUN/log/postgres.log" 2>&1)
    stop postgres
    rm -rf "$PG"
    PG=""
}
clean_up() { # also when something failed: nothing may end it early
    local status=$?
    set +e
    stop_pg
    (exit "$status")
    run_end
}
trap clean_up EXIT

"$BIN/cczoo" sim init "$RUN/sim" 2>>"$RUN/log/setup.log"
policy() { # FILE MRENCLAVE
    printf '{"version":1,"rules":[{"name":"tunnel","tee":"sgx","sim":true,"mrenclave":"%s"}]}\n' "$2" >"$1"
}
policy "$RUN/good.json" "$("$BIN/cczoo" sim measure "$BIN/cczoo")"
policy "$RUN/other.json" "$(printf '%064d' 7)"
TRUST=(--trust-sim "$RUN/sim/trust")
EVIDENCE=(--tee sim-sgx --sim-dir "$RUN/sim")
digest() { sha256sum | cut -d ' ' -f 1; }

# tunnel NAME SIDE OPTION...: starts one end, sets PORT
tunnel() {
    local name=$1 side=$2
    shift 2
    rm -f "$RUN/$name.port"
    start "$name" "$BIN/cczoo" tunnel "$side" --port-file "$RUN/$name.port" "$@"
    wait_file "$name" "$RUN/$name.port" 20
    PORT=$(head -n 1 "$RUN/$name.port")
}
# through NAME CONNECT: mutual attestation to CONNECT; sets PORT, where plain clients connect
through() {
    tunnel "$1-in" server --listen 127.0.0.1:0 --connect "$2" "${EVIDENCE[@]}" --policy "$RUN/good.json" "${TRUST[@]}"
    tunnel "$1-out" client --listen 127.0.0.1:0 --connect "127.0.0.1:$PORT" --policy "$RUN/good.json" "${TRUST[@]}" "${EVIDENCE[@]}"
}
logged() { # NAME PATTERN
    local i
    for ((i = 0; i < 100; i++)); do
        grep -qE "$2" "$RUN/log/$1.log" && return 0
        sleep 0.1
    done
    cat "$RUN/log/$1.log" >&2
    die "$1 does not log: $2"
}

step "usage"
status() {
    local want=$1 got=0
    shift
    "$@" >"$RUN/out" 2>"$RUN/err" </dev/null || got=$?
    [ "$got" = "$want" ] || { cat "$RUN/out" "$RUN/err" >&2; die "status $got, expected $want: $*"; }
}
status 2 "$BIN/cczoo" tunnel
status 0 "$BIN/cczoo" tunnel --help
status 2 "$BIN/cczoo" tunnel client --listen 127.0.0.1:0 --connect 127.0.0.1:1
grep -q -- '--policy is required' "$RUN/err" || die "a client without a policy"
status 2 "$BIN/cczoo" tunnel server --listen 127.0.0.1:0 --connect 127.0.0.1:1
status 2 "$BIN/cczoo" tunnel server --listen 127.0.0.1:0 "${EVIDENCE[@]}"
status 2 "$BIN/cczoo" tunnel server 127.0.0.1:0 "${EVIDENCE[@]}"
status 2 "$BIN/cczoo" tunnel server --listen 127.0.0.1:0 --connect 127.0.0.1:1 "${EVIDENCE[@]}" --reattest 5
status 2 "$BIN/cczoo" tunnel server --listen nowhere --connect 127.0.0.1:1 "${EVIDENCE[@]}"
grep -q 'net:address' "$RUN/err" || die "a bad address: $(cat "$RUN/err")"
status 2 "$BIN/cczoo" tunnel client --listen 127.0.0.1:0 --connect 127.0.0.1:1 --policy "$RUN/good.json" --proxy-v2 "${TRUST[@]}"
printf '{"tunnels":[{"side":"client","listen":"127.0.0.1:0","connect":"127.0.0.1:1","polcy":"x"}]}' >"$RUN/bad.conf"
status 2 "$BIN/cczoo" tunnel run "$RUN/bad.conf"
grep -q '"polcy": unknown' "$RUN/err" || die "an unknown key: $(cat "$RUN/err")"

step "Redis"
if command -v redis-server >/dev/null && command -v redis-benchmark >/dev/null; then
    start redis redis-server --port 0 --unixsocket "$RUN/redis.sock" --dir "$RUN" --save '' --appendonly no
    through redis "unix:$RUN/redis.sock"
    for ((i = 0; i < 100; i++)); do [ -S "$RUN/redis.sock" ] && break; sleep 0.1; done
    REDIS=(redis-cli -h 127.0.0.1 -p "$PORT")
    [ "$("${REDIS[@]}" ping)" = PONG ] || die "no PONG"
    head -c 20000000 /dev/urandom >"$RUN/value"
    "${REDIS[@]}" -x set large <"$RUN/value" >/dev/null
    [ "$("${REDIS[@]}" --raw get large | head -c 20000000 | digest)" = "$(digest <"$RUN/value")" ] || die "a value was changed"
    redis-benchmark -h 127.0.0.1 -p "$PORT" -n 20000 -c 20 -P 8 -t set,get -q >"$RUN/benchmark" 2>&1 || { cat "$RUN/benchmark"; die "redis-benchmark"; }
    say "$(tr '\r' '\n' <"$RUN/benchmark" | grep 'GET:.*requests per second' | tail -n 1)"
    logged redis-in 'open map=.* attested=1 fresh=1 measurement=[0-9a-f]{64} SIMULATED'
    grep -q '^SIMULATED: ' "$RUN/log/redis-in.log" && grep -q '^SIMULATED: ' "$RUN/log/redis-out.log" || die "SIMULATED is not said"

    step "whoever is not what the policy says is refused, and both logs say why"
    in_port=$(cat "$RUN/redis-in.port")
    tunnel wrong client --listen 127.0.0.1:0 --connect "127.0.0.1:$in_port" --policy "$RUN/other.json" "${TRUST[@]}" "${EVIDENCE[@]}"
    ! redis-cli -h 127.0.0.1 -p "$PORT" ping >"$RUN/out" 2>&1 || die "a wrong server was talked to"
    ! grep -q PONG "$RUN/out" || die "a wrong server was listened to"
    logged wrong 'refused map=.* where=policy:mrenclave got="[0-9a-f]{64}" expected="0*7"'
    logged redis-in 'refused map=.* where=peer:policy:mrenclave got="[0-9a-f]{64}" expected="0*7"'
    tunnel bare client --listen 127.0.0.1:0 --connect "127.0.0.1:$in_port" --policy "$RUN/good.json" "${TRUST[@]}"
    ! redis-cli -h 127.0.0.1 -p "$PORT" ping 2>&1 | grep -q PONG || die "a client without evidence was let in"
    logged redis-in 'refused map=.* where=ratls:no-evidence'
    logged bare 'refused map=.* where=peer:ratls:no-evidence'
    ! redis-cli -h 127.0.0.1 -p "$in_port" ping 2>&1 | grep -q PONG || die "plain bytes reached the attested port"
    logged redis-in 'refused map=.* where=tls:'
    [ "$("${REDIS[@]}" ping)" = PONG ] || die "the others are not served any more"
    stop wrong; stop bare

    step "Redis with evidence in certificates, and asked again"
    tunnel cert-in server --listen 127.0.0.1:0 --connect "unix:$RUN/redis.sock" "${EVIDENCE[@]}" --profile certificate
    tunnel cert-out client --listen 127.0.0.1:0 --connect "127.0.0.1:$PORT" --policy "$RUN/good.json" "${TRUST[@]}" --profile certificate
    [ "$(redis-cli -h 127.0.0.1 -p "$PORT" ping)" = PONG ] || die "no PONG with certificates"
    logged cert-out 'open map=.* attested=1 fresh=0'
    cert=$PORT
    (echo ping; sleep 1.5; echo ping) | redis-cli -h 127.0.0.1 -p "$cert" >"$RUN/out" &
    talk=$!
    sleep 0.5
    kill -HUP "${PIDS[cert-in]}" # a new identity, new evidence
    logged cert-in 'reload identity=new'
    [ "$(redis-cli -h 127.0.0.1 -p "$cert" ping)" = PONG ] || die "no PONG with the new identity"
    wait "$talk" || die "redis-cli"
    [ "$(grep -c PONG "$RUN/out")" = 2 ] || die "a connection did not outlive a new identity: $(cat "$RUN/out")"
    tunnel again-in server --listen 127.0.0.1:0 --connect "unix:$RUN/redis.sock" "${EVIDENCE[@]}" --policy "$RUN/good.json" "${TRUST[@]}" --reattest 1
    tunnel again-out client --listen 127.0.0.1:0 --connect "127.0.0.1:$PORT" --policy "$RUN/good.json" "${TRUST[@]}" "${EVIDENCE[@]}"
    (for ((i = 0; i < 5; i++)); do echo ping; sleep 0.5; done) | redis-cli -h 127.0.0.1 -p "$PORT" >"$RUN/out"
    [ "$(grep -c PONG "$RUN/out")" = 5 ] || die "lost while evidence is given again: $(cat "$RUN/out")"
    for name in cert-in cert-out again-in again-out redis-out redis-in redis; do stop "$name"; done
else
    SKIPPED+=" redis-server"
fi

step "PostgreSQL"
bin=$(find /usr/lib/postgresql -maxdepth 3 -path '*/bin/initdb' 2>/dev/null | sort -V | tail -n 1)
if [ -n "$bin" ] && command -v psql >/dev/null && { [ "$(id -u)" != 0 ] || id postgres >/dev/null 2>&1; }; then
    bin=$(dirname "$bin")
    PG=$(mktemp -d /tmp/cczoo-pg.XXXXXX)
    if [ "$(id -u)" = 0 ]; then # the server refuses to run as root
        chown postgres "$PG"
        as=(runuser -u postgres --)
    fi
    (cd / && "${as[@]}" "$bin/initdb" -D "$PG/data" -U tester -A trust -N >>"$RUN/log/initdb.log" 2>&1) || die "initdb: $(tail -n 3 "$RUN/log/initdb.log")"
    (cd / && exec "${as[@]}" "$bin/postgres" -D "$PG/data" -c listen_addresses= -c unix_socket_directories="$PG" -c port=5499 \
        -c fsync=off >>"$RUN/log/postgres.log" 2>&1 </dev/null) &
    started postgres
    for ((i = 0; i < 200; i++)); do "$bin/pg_isready" -q -h "$PG" -p 5499 && break; sleep 0.1; done
    through pg "unix:$PG/.s.PGSQL.5499"
    PSQL=(psql -X -q -h 127.0.0.1 -p "$PORT" -U tester -d postgres -v ON_ERROR_STOP=1)
    [ "$("${PSQL[@]}" -A -t -c 'SELECT 6 * 7')" = 42 ] || die "no answer from PostgreSQL"
    seq 1 400000 | awk '{printf "%d\t%s\n", $1, sprintf("row %d of a table that goes both ways", $1 * 7919)}' >"$RUN/rows"
    "${PSQL[@]}" -c 'CREATE TABLE t (id int, text text)' -c '\copy t FROM '"'$RUN/rows'"
    "${PSQL[@]}" -c '\copy (SELECT * FROM t ORDER BY id) TO STDOUT' >"$RUN/back"
    [ "$(digest <"$RUN/back")" = "$(digest <"$RUN/rows")" ] || die "rows were changed"
    say "COPY of $(stat -c %s "$RUN/rows") bytes in and out: the same digest"

    step "SIGTERM: what runs ends, nothing new begins"
    opened=$(grep -c 'open map' "$RUN/log/pg-out.log")
    "${PSQL[@]}" -A -t -c "SELECT 'first', pg_sleep(2), 'last'" >"$RUN/slow" &
    slow=$!
    for ((i = 0; i < 200; i++)); do # until it is through
        [ "$(grep -c 'open map' "$RUN/log/pg-out.log")" = "$opened" ] || break
        sleep 0.1
    done
    pid=${PIDS[pg-out]}
    kill -TERM "$pid"
    logged pg-out 'stopping signal='
    sleep 0.3
    ! "${PSQL[@]}" -c 'SELECT 1' >/dev/null 2>&1 || die "a stopping tunnel takes new connections"
    wait "$slow" || die "a running query was cut"
    grep -q 'first||last' "$RUN/slow" || die "half an answer: $(cat "$RUN/slow")"
    for ((i = 0; i < 100; i++)); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
    ! kill -0 "$pid" 2>/dev/null || die "the tunnel does not end behind its last connection"
    logged pg-out 'stopped accepted=[0-9]+ refused=0'
    unset 'PIDS[pg-out]'
    stop pg-in

    step "many tunnels of one process, from a file"
    printf '{"threads":2,"tunnels":[
 {"name":"in","side":"server","listen":"127.0.0.1:0","connect":"unix:%s","tee":"sim-sgx","sim_dir":"%s"},
 {"name":"out","side":"client","listen":"unix:%s","connect":"127.0.0.1:%s","policy":"%s","trust_sim":"%s"}]}\n' \
        "$PG/.s.PGSQL.5499" "$RUN/sim" "$RUN/.s.PGSQL.5498" "$("$ROOT/scripts/free-port")" "$RUN/good.json" "$RUN/sim/trust" >"$RUN/both.conf"
    port=$(grep -oE '"connect":"127.0.0.1:[0-9]+' "$RUN/both.conf" | grep -oE '[0-9]+$')
    sed -i "s/\"listen\":\"127.0.0.1:0\"/\"listen\":\"127.0.0.1:$port\"/" "$RUN/both.conf"
    start both "$BIN/cczoo" tunnel run "$RUN/both.conf" --port-file "$RUN/both.port"
    wait_file both "$RUN/both.port" 20
    [ "$(cat "$RUN/both.port")" = "$port"$'\n'0 ] || die "ports: $(cat "$RUN/both.port")"
    [ "$(psql -X -q -h "$RUN" -p 5498 -U tester -d postgres -A -t -c 'SELECT count(*) FROM t')" = 400000 ] || die "no answer over unix sockets"
    stop both
    [ ! -e "$RUN/.s.PGSQL.5498" ] || die "a socket file is left"
    stop_pg
else
    SKIPPED+=" postgresql"
fi

step "gRPC from Python"
start grpc "$ROOT/tests/interop/tunnel_grpc.py" server "$RUN/grpc.port"
for ((i = 0; i < 2400; i++)); do [ -s "$RUN/grpc.port" ] || ! kill -0 "${PIDS[grpc]}" 2>/dev/null || { sleep 0.1; continue; }; break; done
if [ -s "$RUN/grpc.port" ]; then
    through grpc "127.0.0.1:$(cat "$RUN/grpc.port")"
    say "$("$ROOT/tests/interop/tunnel_grpc.py" client "$PORT")" || die "gRPC through the tunnel"
    for name in grpc-out grpc-in grpc; do stop "$name"; done
else
    SKIPPED+=" grpcio"
    unset 'PIDS[grpc]'
fi

step "a server is told who is connected"
# told NAME PORT OPTION...: what a web server on PORT says of its client
told() {
    local name=$1 web=$2 got
    shift 2
    tunnel "$name-in" server --listen 127.0.0.1:0 --connect "127.0.0.1:$web" "${EVIDENCE[@]}" --policy "$RUN/good.json" "${TRUST[@]}" --proxy-v2 "$@"
    tunnel "$name-out" client --listen 127.0.0.1:0 --connect "127.0.0.1:$PORT" --policy "$RUN/good.json" "${TRUST[@]}" "${EVIDENCE[@]}"
    got=$(curl -sS --max-time 20 "http://127.0.0.1:$PORT/") || { cat "$RUN/log/$name.log" >&2; die "$name does not take the header"; }
    [[ $got =~ ^from\ 127\.0\.0\.1:[0-9]+$ ]] || die "$name was told: $got"
    logged "$name-in" "open map=.* peer=${got#from }"
    say "$name: $got"
    stop "$name-out"; stop "$name-in"
}
# listens PORT: within 10 s
listens() {
    local i
    for ((i = 0; i < 200; i++)); do
        if (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then return; fi
        sleep 0.05
    done
    die "nobody listens on port $1"
}
if command -v haproxy >/dev/null; then
    web=$("$ROOT/scripts/free-port")
    printf '%s\n' defaults ' mode http' ' timeout client 9s' ' timeout server 9s' ' timeout connect 9s' 'frontend x' \
        " bind 127.0.0.1:$web accept-proxy" ' http-request return status 200 content-type text/plain lf-string "from %ci:%cp"' >"$RUN/haproxy.conf"
    start haproxy haproxy -db -f "$RUN/haproxy.conf"
    listens "$web"
    told haproxy "$web"
    stop haproxy
else
    SKIPPED+=" haproxy"
fi
if command -v nginx >/dev/null; then
    web=$("$ROOT/scripts/free-port")
    printf '%s\n' 'daemon off; master_process off; pid nginx.pid; error_log stderr;' 'events {}' "http { access_log off;" \
        'client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;' \
        "server { listen 127.0.0.1:$web proxy_protocol; location / { return 200 \"from \$proxy_protocol_addr:\$proxy_protocol_port\\n\"; } } }" >"$RUN/nginx.conf"
    start nginx nginx -p "$RUN/" -c "$RUN/nginx.conf"
    listens "$web"
    told nginx "$web" --proxy-v2-short
    stop nginx
else
    SKIPPED+=" nginx"
fi
[ -z "$SKIPPED" ] || say "skipped, not installed:$SKIPPED"
