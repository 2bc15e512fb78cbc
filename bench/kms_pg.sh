#!/usr/bin/env bash
# bench_kms on a PostgreSQL of its own, which runs on the client's processor; the same arguments.
# usage: bench/kms_pg.sh [SECONDS [SERVER_CPU CLIENT_CPU]]
. "$(dirname "$0")/../tests/integration/kms.sh"
. "$(dirname "$0")/../tests/integration/pg.sh"
seconds=${1:-3} server=${2:-0} client=${3:-1}
bench=$(find "$ROOT/build/release" -name bench_kms -type f 2>/dev/null | head -n 1)
[ -n "$bench" ] || die "build it first: cmake --build --preset release --target bench_kms kms-pg-cases"
pg_find
run_begin bench-kms-pg
taskset -cp "$client" $$ >/dev/null # and what is started from here
pg_begin
taskset -c "$server,$client" "$bench" "$seconds" "$server" "$client" "$RUN" "host=$PG port=5499 user=tester dbname=postgres"
