# The parties of this solution, one function each; sourced by run.sh and break.sh.
# shellcheck shell=bash
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"

HERE=$ROOT/solutions/01-grpc-ra-tls
NAME=01-grpc-ra-tls
[ -x "$BIN/cczoo-greet-server" ] || die "not built: it needs protoc, protoc-gen-c and libprotobuf-c (scripts/install-deps demo)"

# A software TEE, and two policies: which program may be the server, which may be the client.
make_platform() {
    "$BIN/cczoo" sim init "$RUN/sim" 2>>"$RUN/log/setup.log"
    SERVER_ID=$("$BIN/cczoo" sim measure "$BIN/cczoo-greet-server")
    CLIENT_ID=$("$BIN/cczoo" sim measure "$BIN/cczoo-greet-client")
    sed "s/@SERVER@/$SERVER_ID/" "$HERE/policy.json" >"$RUN/policy.json"
    sed "s/@CLIENT@/$CLIENT_ID/" "$HERE/client-policy.json" >"$RUN/client-policy.json"
}

# What a party in the software TEE has; a real TEE has another provider here. And whose evidence is genuine.
ATTESTED=(--tee sim-sgx --sim-dir)
TRUST=(--trust-sim)

# serve NAME [OPTIONS]: a server ($PROGRAM, if it is not the usual one); its address is then in ADDR_<NAME>.
serve() {
    rm -f "$RUN/$1.port"
    start "$1" "${PROGRAM:-$BIN/cczoo-greet-server}" --listen 127.0.0.1:0 --port-file "$RUN/$1.port" "${@:2}"
    wait_file "$1" "$RUN/$1.port" 20
    declare -g "ADDR_$1=127.0.0.1:$(cat "$RUN/$1.port")"
}

# one_way NAME, two_way NAME: servers that show evidence; the second asks its clients for some. SHARE is what they give away.
SHARE=$BIN/cczoo-greet-client
one_way() { serve "$1" --share "$SHARE" "${ATTESTED[@]}" "$RUN/sim" "${@:2}"; }
two_way() { one_way "$1" --policy "$RUN/client-policy.json" "${TRUST[@]}" "$RUN/sim/trust"; }

# greet ADDRESS [OPTIONS]: a client without a TEE, which accepts the server of policy.json only.
greet() { "$BIN/cczoo-greet-client" --target "$1" --policy "$RUN/policy.json" "${TRUST[@]}" "$RUN/sim/trust" "${@:2}"; }
# greet_attested: the same client in a TEE of its own.
greet_attested() { greet "$@" "${ATTESTED[@]}" "$RUN/sim"; }
