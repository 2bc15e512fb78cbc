#!/usr/bin/env bash
# Programs on the distribution's libgrpc, in C and C++, with our own engine on the other side and with each other, in both
# profiles. Wrong programs, peers without evidence and stock gRPC peers are refused, and whoever refuses says why.
. "$(dirname "$0")/../../scripts/lib.sh"
run_begin test-libgrpc
export GRPC_VERBOSITY=NONE
"$BIN/cczoo" sim init "$RUN/sim" 2>>"$RUN/log/setup.log"

policy() { # FILE MRENCLAVE..
    local out=$1 rules="" m
    shift
    for m in "$@"; do
        rules+="${rules:+,}{\"name\":\"r${#rules}\",\"tee\":\"sgx\",\"sim\":true,\"mrenclave\":\"$m\"}"
    done
    printf '{"version":1,"rules":[%s]}\n' "$rules" >"$out"
}
everybody=()
for p in grpc-c-server grpc-c-client grpc-cpp-server grpc-cpp-client grpc-greeter; do
    [ -x "$BIN/$p" ] && everybody+=("$("$BIN/cczoo" sim measure "$BIN/$p")")
done
policy "$RUN/good.json" "${everybody[@]}"
policy "$RUN/other.json" "$(printf '%064d' 7)"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=plain \
    -keyout "$RUN/plain.key" -out "$RUN/plain.crt" 2>>"$RUN/log/setup.log"

# serve PROGRAM.. : sets PORT. Its standard input stays open until stop.
serve() {
    local i
    rm -f "$RUN/in" "$RUN/server.out"
    mkfifo "$RUN/in"
    "$@" <"$RUN/in" >"$RUN/server.out" 2>"$RUN/server.err" &
    PIDS[server]=$!
    exec 9>"$RUN/in"
    for i in $(seq 200); do
        PORT=$(sed -n 's/^listening //p' "$RUN/server.out" 2>/dev/null)
        [ -n "$PORT" ] && return
        kill -0 "${PIDS[server]}" 2>/dev/null || break
        sleep 0.05
    done
    cat "$RUN/server.err" >&2
    die "$1 does not listen"
}
stop_server() {
    exec 9>&-
    wait "${PIDS[server]}" || die "the server ended with $?"
    unset "PIDS[server]"
}
server_of() { case $1 in greeter) echo "$BIN/grpc-greeter server" ;; *) echo "$BIN/grpc-$1-server" ;; esac; }
client_of() { case $1 in greeter) echo "$BIN/grpc-greeter client" ;; *) echo "$BIN/grpc-$1-client" ;; esac; }
name_of() { case $1 in greeter) echo cczoo ;; c) echo libgrpc ;; cpp) echo libgrpc++ ;; esac; }
# how a server says that it refused somebody: refusal_of SERVER WHERE
refusal_of() { case $1 in greeter) echo " where=$2 " ;; *) echo "^refused: $2: " ;; esac; }
show() { cat "$RUN/server.out" "$RUN/server.err" "$RUN/client.out" "$RUN/client.err" >&2; }

# both SERVER CLIENT PROFILE POLICY_OF_SERVER POLICY_OF_CLIENT: sets CLIENT to the client's exit status
both() {
    # shellcheck disable=SC2046
    serve $(server_of "$1") 127.0.0.1:0 "$RUN/$4" "$RUN/sim" "$3"
    CLIENT=0
    # shellcheck disable=SC2046
    timeout 60 $(client_of "$2") "127.0.0.1:$PORT" "$RUN/$5" "$RUN/sim" "$3" >"$RUN/client.out" 2>"$RUN/client.err" || CLIENT=$?
    stop_server
}

sides="greeter c"
[ -x "$BIN/grpc-cpp-server" ] && sides="$sides cpp"
for profile in handshake certificate; do
    peer="peer: sgx, fresh"
    [ $profile = certificate ] && peer="peer: sgx, not fresh"
    for s in $sides; do
        for c in $sides; do
            both $s $c $profile good.json good.json
            [ $CLIENT = 0 ] || { show; die "$profile: $c does not talk to $s"; }
            grep -qx "hello $(name_of $c)" "$RUN/client.out" || { show; die "$profile: $s does not greet $c"; }
            grep -qx "$peer" "$RUN/client.out" || { show; die "$profile: $c does not know who $s is"; }
            grep -qx "$peer" "$RUN/server.out" || { show; die "$profile: $s does not know who $c is"; }
            say "$profile: $c talks to $s"
        done
    done
    for s in $sides; do # the server is the wrong program: our engine, C and C++ refuse it
        for c in $sides; do
            both $s $c $profile good.json other.json
            [ $CLIENT = 1 ] && grep -q '^refused: policy:mrenclave: .*got [0-9a-f]*, expected 0*7$' "$RUN/client.err" ||
                { show; die "$profile: $c accepted another program, or does not say why not"; }
            ! grep -q hello "$RUN/client.out" || die "$profile: a refused server was listened to"
        done
    done
    say "$profile: $(grep -m1 refused "$RUN/client.err")"
    for s in $sides; do # the client is the wrong program
        for c in $sides; do
            both $s $c $profile other.json good.json
            [ $CLIENT != 0 ] && grep -q "$(refusal_of $s policy:mrenclave)" "$RUN/server.err" ||
                { show; die "$profile: $s accepted another program, or does not say why not"; }
            ! grep -q peer: "$RUN/server.out" || die "$profile: a refused client was served"
            [ "$(grep -c refused "$RUN/server.err")" -le 3 ] || die "$profile: $c comes again and again to $s, which refused it"
        done
    done

    # stock gRPC, without evidence
    for s in $sides; do
        # shellcheck disable=SC2046
        serve $(server_of $s) 127.0.0.1:0 "$RUN/good.json" "$RUN/sim" $profile
        if timeout 60 "$BIN/grpc-plain" client "127.0.0.1:$PORT" "$RUN/plain.crt" "$RUN/plain.key" >"$RUN/client.out" 2>"$RUN/client.err"; then
            show
            die "$profile: $s serves a stock client"
        fi
        stop_server
        grep -qx 'status 14' "$RUN/client.out" || { show; die "$profile: the stock client of $s failed otherwise"; }
        grep -q "$(refusal_of $s ratls:no-evidence)" "$RUN/server.err" || { show; die "$profile: $s does not say why"; }
        serve "$BIN/grpc-plain" server 127.0.0.1:0 "$RUN/plain.crt" "$RUN/plain.key"
        CLIENT=0
        # shellcheck disable=SC2046
        timeout 60 $(client_of $s) "127.0.0.1:$PORT" "$RUN/good.json" "$RUN/sim" $profile >"$RUN/client.out" 2>"$RUN/client.err" || CLIENT=$?
        stop_server
        [ $CLIENT = 1 ] && grep -q '^refused: ratls:no-evidence: ' "$RUN/client.err" || { show; die "$profile: $s talks to a stock server"; }
    done
    say "$profile: stock peers are refused"
done

# profiles that do not fit: nobody takes the certificate's evidence for fresh one
serve "$BIN/grpc-c-server" 127.0.0.1:0 "$RUN/good.json" "$RUN/sim" certificate
CLIENT=0
timeout 60 "$BIN/grpc-c-client" "127.0.0.1:$PORT" "$RUN/good.json" "$RUN/sim" handshake >"$RUN/client.out" 2>"$RUN/client.err" || CLIENT=$?
stop_server
[ $CLIENT = 1 ] && grep -q '^refused: ratls:no-evidence' "$RUN/client.err" || { show; die "old evidence was taken for fresh"; }
