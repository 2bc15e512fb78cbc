#!/usr/bin/env bash
. "$(dirname "$0")/solution.sh"
if [ ! -x "$BIN/cczoo-greet-server" ]; then
    echo "skipped: stubs could not be made here (protoc, protoc-gen-c, libprotobuf-c)"
    exit 77
fi
solution_test 01-grpc-ra-tls
lines=$(cat "$ROOT"/solutions/01-grpc-ra-tls/*.c | wc -l)
[ "$lines" -le 400 ] || die "the solution has $lines lines of C"
