#!/usr/bin/env bash
# Alternating least squares on one machine beside Spark's MLlib in local[2], on the same synthetic feedback of the shape of MovieLens 1M: implicit,
# exact solver (the only one that MLlib has), two threads each, all data in memory. Spark without any encryption, after a first fit that warms it up.
# Columns: what, seconds of CPU time of an iteration here and there, their ratio; the same of wall time. Each the median of ROUNDS.
# usage: bench/recsys_spark.sh [ROUNDS [FACTORS...]]     64 128
set -eu -o pipefail
here=$(cd "$(dirname "$0")" && pwd)
rounds=${1:-3}
[ $# -lt 1 ] || shift
[ $# -gt 0 ] || set -- 64 128
cd "$here/.."
[ -d build/release ] || cmake --preset release >/dev/null
cmake --build build/release --target bench_recsys_als >/dev/null
ours=$(find build/release -name bench_recsys_als -type f)
env=$(scripts/fetch-spark)
JAVA_HOME=$(dirname "$(dirname "$(readlink -f "$(command -v java)")")")
export JAVA_HOME SPARK_LOCAL_IP=127.0.0.1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$ours" write "$work/data" 6040 3706 1000000
printf 'what\tcczoo CPU s\tSpark\tratio\tcczoo wall s\tSpark\tratio\n'
median() { sort -g | sed -n "$(((rounds + 1) / 2))p"; }
for f in "$@"; do
    for ((r = 0; r < rounds; r++)); do
        "$ours" run "$work/data" "$f" exact 2 5 | cut -f3,5 >>"$work/ours.$f"
        env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE "$env/bin/python" "$here/recsys_spark.py" "$work/data" "$f" 2>/dev/null >>"$work/theirs.$f"
    done
    row="implicit exact f=$f threads=2"
    for column in 1 2; do
        here_s=$(cut -f$column "$work/ours.$f" | median)
        there_s=$(cut -f$column "$work/theirs.$f" | median)
        row+=$(awk -v OFS='\t' -v a="$here_s" -v b="$there_s" 'BEGIN { print "", a, b, sprintf("%.1f", b / a) }')
    done
    echo "$row"
done
