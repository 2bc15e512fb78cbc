#!/usr/bin/env bash
# Attacks that must be refused, each with its reason. See README.md, "Break it".
. "$(dirname "$0")/parties.sh"
run_begin "$NAME-break"
ATTACK=$BIN/cczoo-greet-attack
make_platform
one_way open
two_way mutual

# refused PATTERN COMMAND...: the command must end with status 1 and say this.
refused() { expect_refusal "$@" | sed 's/^/   /'; }

# server_refuses PATTERN COMMAND...: the server that asks for evidence must refuse the command's connection, and log this.
server_refuses() {
    local pattern=$1 before line i
    shift
    before=$(wc -l <"$RUN/log/mutual.log")
    "$@" >>"$RUN/log/attacker.log" 2>&1 </dev/null || true
    for ((i = 0; i < 100; i++)); do
        line=$(tail -n "+$((before + 1))" "$RUN/log/mutual.log" |
            sed -nE 's/.* refused peer=[^ ]* where=([^ ]*) got="(.*)" expected="(.*)" msg=.*/refused: \1: \2 \/ \3/p' | head -n 1)
        [ -z "$line" ] || break
        sleep 0.05
    done
    grep -qE "^refused: $pattern" <<<"$line" || die "expected the server to log 'refused: $pattern', got '$line'"
    say "$line (the server's log)"
}

# listening NAME COMMAND...: an attacker that waits for its victim; its address is then in ADDR.
listening() {
    rm -f "$RUN/$1.port"
    start "$@"
    wait_file "$1" "$RUN/$1.port" 20
    ADDR=127.0.0.1:$(cat "$RUN/$1.port")
}

# change PROGRAM: a copy with one bit changed, in the text of its usage.
change() {
    cp "$BIN/$1" "$RUN/changed-$1"
    chmod u+wx "$RUN/changed-$1"
    "$ROOT/scripts/flip-byte" "$RUN/changed-$1" "$(grep -abo "$1 --" "$RUN/changed-$1" | head -n 1 | cut -d: -f1)"
}

step "(a) a server with one bit changed"
change cczoo-greet-server
PROGRAM=$RUN/changed-cczoo-greet-server one_way changed
refused "policy:mrenclave: [0-9a-f]{64} / $SERVER_ID" greet "$ADDR_changed"

step "(b) a client with one bit changed: the server refuses it, and the client is told why"
change cczoo-greet-client
changed_client() {
    "$RUN/changed-cczoo-greet-client" --target "$ADDR_mutual" --policy "$RUN/policy.json" "${TRUST[@]}" "$RUN/sim/trust" \
        "${ATTESTED[@]}" "$RUN/sim"
}
refused "peer:policy:mrenclave: [0-9a-f]{64} / $CLIENT_ID" changed_client
server_refuses "policy:mrenclave: [0-9a-f]{64} / $CLIENT_ID" changed_client

step "(c) no evidence, on either side"
serve bare --share "$SHARE"
refused 'ratls:no-evidence: no evidence / evidence' greet "$ADDR_bare"
refused 'peer:ratls:no-evidence: no evidence / evidence' greet "$ADDR_mutual"

step "(d) replay: evidence of the genuine server, and of the genuine client, from an earlier session"
"$ATTACK" --target "$ADDR_open" --keep "$RUN/server.quote" >>"$RUN/log/attacker.log" 2>&1 || true
[ -s "$RUN/server.quote" ] || die "nothing was recorded"
listening replay "$ATTACK" --listen 127.0.0.1:0 --port-file "$RUN/replay.port" --show "$RUN/server.quote"
refused 'ratls:report-data: [0-9a-f]{128} / [0-9a-f]{128}' greet "$ADDR"
listening recorder "$ATTACK" --listen 127.0.0.1:0 --port-file "$RUN/recorder.port" --keep "$RUN/client.quote"
greet_attested "$ADDR" >>"$RUN/log/attacker.log" 2>&1 || true # it notices, but has shown its evidence
wait_file recorder "$RUN/client.quote" 10
refused 'peer:ratls:report-data: [0-9a-f]{128} / [0-9a-f]{128}' "$ATTACK" --target "$ADDR_mutual" --show "$RUN/client.quote"

step "(e) reflection: each gets its own evidence back, from this very session, where the policy would accept it"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=mitm -keyout "$RUN/mitm.key" \
    -out "$RUN/mitm.crt" 2>>"$RUN/log/setup.log"
cat "$RUN/mitm.key" "$RUN/mitm.crt" >"$RUN/mitm.pem"
listening mirror "$HERE/mitm.py" "$RUN/mitm.pem" --listen "$RUN/mirror.port"
sed "s/@SERVER@/$SERVER_ID\", \"$CLIENT_ID/" "$HERE/policy.json" >"$RUN/either.json"
sed "s/@CLIENT@/$SERVER_ID\", \"$CLIENT_ID/" "$HERE/client-policy.json" >"$RUN/client-policy.json" # of the server that starts now
refused 'ratls:report-data: [0-9a-f]{128} / [0-9a-f]{128}' greet_attested "$ADDR" --policy "$RUN/either.json"
stop mutual
two_way mutual
server_refuses 'ratls:report-data: [0-9a-f]{128} / [0-9a-f]{128}' "$HERE/mitm.py" "$RUN/mitm.pem" --target "$ADDR_mutual"

step "(f) TLS 1.2, and gRPC without RA-TLS"
server_refuses 'tls:version: an older version / TLS 1.3' openssl s_client -connect "$ADDR_mutual" -tls1_2 -alpn ccz-ratls/1 \
    -cert "$RUN/mitm.pem"
port=$("$ROOT/scripts/free-port")
start old openssl s_server -accept "127.0.0.1:$port" -www -tls1_2 -alpn ccz-ratls/1 -cert "$RUN/mitm.pem"
for ((i = 0; i < 100; i++)); do (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break; sleep 0.05; done
refused 'tls:peer-alert: alert 70 \(protocol version\) / no alert' greet "127.0.0.1:$port"
server_refuses 'ratls:alpn: .* / ccz-ratls/1' curl --silent --show-error --insecure --http2 --max-time 10 \
    -H 'content-type: application/grpc' -H 'te: trailers' --data-binary '' "https://$ADDR_mutual/hello.v1.Greeter/SayHello"

step "(g) relay: a man in the middle between the honest client and the honest server hands everything on"
listening relay "$HERE/mitm.py" "$RUN/mitm.pem" --listen "$RUN/relay.port" --target "$ADDR_mutual"
refused '(peer:)?ratls:report-data: [0-9a-f]{128} / [0-9a-f]{128}' greet_attested "$ADDR"

say "ok: seven attacks, all refused"
