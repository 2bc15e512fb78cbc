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
if pkg-config --exists cczoo-grpc; then # built where libgrpc is: the example in C outside the tree
    read -ra grpc < <(pkg-config --cflags --libs cczoo-grpc)
    cc -std=c17 -Wall -Wextra -Werror "$ROOT/examples/grpc-c/client.c" -o "$RUN/grpc-client" "${grpc[@]}"
    status=0
    LD_LIBRARY_PATH=$libs "$RUN/grpc-client" 2>/dev/null || status=$?
    [ "$status" = 2 ] || die "the gRPC example does not start"
fi
"$RUN/prefix/bin/cczoo" --version | grep '^cczoo [0-9]' >/dev/null || die "the installed program does not start"
say "$out"
