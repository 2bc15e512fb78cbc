#!/usr/bin/env bash
. "$(dirname "$0")/solution.sh"
if [ ! -x "$BIN/cczoo-greet-server" ]; then
    echo "skipped: stubs could not be made here (protoc, protoc-gen-c, libprotobuf-c)"
    exit 77
fi
solution_test 01-grpc-ra-tls
memory=$(sed -n 's/.*peak memory of the server: \([0-9]*\) MB.*/\1/p' "$OUTPUT")
[ "$memory" -lt 64 ] || nm "$BIN/cczoo-greet-server" | grep __asan_init >/dev/null || die "the server held the file: $memory MB"
lines=$(cat "$ROOT"/solutions/01-grpc-ra-tls/*.c | wc -l)
[ "$lines" -le 400 ] || die "the solution has $lines lines of C"
