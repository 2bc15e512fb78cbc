#!/usr/bin/env bash
# The Spark part of solution 9: out encrypted, trained by attested executors, back, judged, served, revoked.
. "$(dirname "$0")/../../scripts/lib.sh"
command -v javac >/dev/null || { echo "skipped: no JDK (apt-get install openjdk-17-jdk-headless)"; exit 77; }
or_skip "PySpark (scripts/fetch-spark)" "$ROOT/scripts/fetch-spark" >/dev/null
or_skip "the ratings" "$ROOT/solutions/09-secure-recsys/prepare.sh" >/dev/null
run_begin test-solution-09-spark
"$ROOT/solutions/09-secure-recsys/spark.sh" | tee "$RUN/out"
[ "$(grep -c 'Release accept secret/spark/auth' "$RUN/out")" = 3 ] || die "the driver and two executors were to get Spark's secret"
grep -qE '^ +refused: policy:empty: ' "$RUN/out" || die "the revoked key was not refused"
grep -qE '^ +ok$' "$RUN/out" || die "it did not end well"
