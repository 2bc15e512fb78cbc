#!/usr/bin/env bash
# What `cmake --install` puts down is enough to build and run a program outside the tree.
. "$(dirname "$0")/../../scripts/lib.sh"
run_begin test-install
cmake --install "$(dirname "$BIN")" --prefix "$RUN/prefix" >"$RUN/log/install.txt"
export PKG_CONFIG_PATH=$RUN/prefix/lib/pkgconfig:$RUN/prefix/lib/x86_64-linux-gnu/pkgconfig
read -ra flags < <(pkg-config --cflags --libs cczoo)
cc -std=c17 -Wall -Wextra -Werror "$ROOT/examples/consumer.c" -o "$RUN/consumer" "${flags[@]}"
libs=$(dirname "$(find "$RUN/prefix" -name libcczoo.so | head -n 1)")
out=$(LD_LIBRARY_PATH=$libs "$RUN/consumer" "$RUN/sim")
[ "$out" = "sgx UpToDate SIMULATED" ] || die "the example printed: $out"
read -ra ssl < <(pkg-config --cflags --libs openssl)
cc -std=c17 -Wall -Wextra -Werror "$ROOT/examples/openssl-server-client.c" -o "$RUN/openssl" "${flags[@]}" "${ssl[@]}"
if command -v protoc protoc-gen-c >/dev/null && pkg-config --exists libprotobuf-c; then # as docs/reference/grpc.md says
    mkdir "$RUN/greeter"
    (PATH=$RUN/prefix/bin:$PATH && cd "$ROOT/examples/greeter" && protoc --ccz_out=messages,descriptors:"$RUN/greeter" greeter.proto)
    read -ra pb < <(pkg-config --cflags --libs libprotobuf-c)
    for part in server client; do
        cc -std=c17 -Wall -Wextra -Werror -I "$RUN/greeter" "$ROOT/examples/greeter/$part.c" "$RUN"/greeter/*.c -o "$RUN/greeter-$part" \
            "${flags[@]}" "${pb[@]}"
    done
    "$RUN/prefix/bin/cczoo" sim init "$RUN/sim-now" 2>>"$RUN/log/setup.log"
    start server env LD_LIBRARY_PATH="$libs" "$RUN/greeter-server" 127.0.0.1:0 "$RUN/sim-now"
    wait_file server "$RUN/log/server.log" 20
    printf '{"version":1,"rules":[{"name":"greeter","tee":"sgx","sim":true,"mrenclave":"%s"}]}\n' \
        "$("$RUN/prefix/bin/cczoo" sim measure "$RUN/greeter-server")" >"$RUN/policy.json"
    hello=$(LD_LIBRARY_PATH=$libs "$RUN/greeter-client" "127.0.0.1:$(awk '{ print $NF }' "$RUN/log/server.log")" "$RUN/policy.json" \
        "$RUN/sim-now/trust" ada 2)
    [ "$hello" = $'hello ada\nhello, 1 to go\nhello, 0 to go' ] || die "the greeter printed: $hello"
    stop server
fi
if pkg-config --exists cczoo-grpc; then # built where libgrpc is: the example in C outside the tree
    read -ra grpc < <(pkg-config --cflags --libs cczoo-grpc)
    cc -std=c17 -Wall -Wextra -Werror "$ROOT/examples/grpc-c/client.c" -o "$RUN/grpc-client" "${grpc[@]}"
    status=0
    LD_LIBRARY_PATH=$libs "$RUN/grpc-client" 2>/dev/null || status=$?
    [ "$status" = 2 ] || die "the gRPC example does not start"
fi
"$RUN/prefix/bin/cczoo" --version | grep '^cczoo [0-9]' >/dev/null || die "the installed program does not start"
say "$out"
