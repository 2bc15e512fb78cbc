#!/usr/bin/env bash
# A program with an SSL_CTX of its own speaks RA-TLS; a policy's refusal ends the handshake and is told in full.
. "$(dirname "$0")/../../scripts/lib.sh"
run_begin test-openssl
PROGRAM=$BIN/openssl-server-client
"$BIN/cczoo" sim init "$RUN/sim" 2>>"$RUN/log/setup.log"
policy() { # FILE MRENCLAVE
    printf '{"version":1,"rules":[{"name":"example","tee":"sgx","sim":true,"mrenclave":"%s"}]}\n' "$2" >"$1"
}
policy "$RUN/good.json" "$("$BIN/cczoo" sim measure "$PROGRAM")"
policy "$RUN/other.json" "$(printf '%064d' 7)"

# both POLICY_OF_SERVER POLICY_OF_CLIENT: sets SERVER and CLIENT to the exit statuses
both() {
    local port
    port=$("$ROOT/scripts/free-port")
    SERVER=0 CLIENT=0
    timeout 20 "$PROGRAM" server "127.0.0.1:$port" "$RUN/$1" "$RUN/sim" >"$RUN/server.out" 2>"$RUN/server.err" &
    PIDS[server]=$!
    for _ in $(seq 100); do
        grep -q listening "$RUN/server.out" 2>/dev/null && break
        sleep 0.1
    done
    timeout 20 "$PROGRAM" client "127.0.0.1:$port" "$RUN/$2" "$RUN/sim" >"$RUN/client.out" 2>"$RUN/client.err" || CLIENT=$?
    wait "${PIDS[server]}" || SERVER=$?
    unset "PIDS[server]"
}
both good.json good.json
[ "$SERVER $CLIENT" = "0 0" ] || { cat "$RUN"/*.err >&2; die "attested peers do not talk: $SERVER $CLIENT"; }
grep -qx 'sgx: hello from an attested server' "$RUN/client.out" || die "the client printed: $(cat "$RUN/client.out")"
say "$(cat "$RUN/client.out")"

both good.json other.json
[ "$CLIENT" = 1 ] && grep -q '^refused: policy:mrenclave: got [0-9a-f]*, expected 0*7$' "$RUN/client.err" ||
    { cat "$RUN/client.err" >&2; die "the client accepted another program, or does not say why not"; }
[ "$SERVER" = 1 ] && grep -q 'alert bad certificate' "$RUN/server.err" || { cat "$RUN/server.err" >&2; die "the server does not notice"; }
! grep -q hello "$RUN/client.out" || die "a refused server was listened to"
say "$(grep refused "$RUN/client.err")"

both other.json good.json
[ "$SERVER" = 1 ] && grep -q '^refused: policy:mrenclave: ' "$RUN/server.err" || die "the server accepted another program"
[ "$CLIENT" = 1 ] || die "the client was answered by a server that refused it"
