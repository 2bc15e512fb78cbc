#!/usr/bin/env bash
# Recommenders beside the PyPI package `implicit`: training by alternating least squares, on synthetic feedback of the shape of
# MovieLens 1M. One thread on one core each, the two take turns ROUNDS times; first both do the same sweep from the same factors,
# and the results have to agree. Columns: what, seconds of CPU time of an iteration here and there, medians, their ratio.
# With two cores to run on, two threads here beside one follow, in wall time.
# usage: bench/recsys_peers.sh [ROUNDS [FACTORS...]]     64 128
set -eu -o pipefail
here=$(cd "$(dirname "$0")" && pwd)
rounds=${1:-3}
[ $# -lt 1 ] || shift
[ $# -gt 0 ] || set -- 64 128
cd "$here/.."
[ -d build/release ] || cmake --preset release >/dev/null
cmake --build build/release --target bench_recsys_als >/dev/null
ours=$(find build/release -name bench_recsys_als -type f)
venv=${CCZOO_CACHE:-$HOME/.cache/cczoo}/recsys-peers-venv
if ! cmp -s "$here/recsys_peers.txt" "$venv/installed.txt"; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary=:all: \
        --requirement "$here/recsys_peers.txt"
    cp "$here/recsys_peers.txt" "$venv/installed.txt"
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
core=$(taskset -cp $$ | sed 's/.*[:,-] *//') # the last one that we may use
peer() { env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 \
    taskset -c "$core" "$venv/bin/python" "$here/recsys_peers_als.py" "$@"; }
"$ours" write "$work/data" 6040 3706 1000000
for f in "$@"; do
    for solver in exact cg; do
        "$ours" factors "$work/data" "$f" "$solver" 1 2 "$work/factors"
        peer check "$work/data" "$f" "$solver" "$work/factors"
    done
done
for ((r = 0; r < rounds; r++)); do
    for f in "$@"; do
        for solver in exact cg; do
            taskset -c "$core" "$ours" run "$work/data" "$f" "$solver" 1 5 >>"$work/ours"
            peer run "$work/data" "$f" "$solver" 1 3 >>"$work/theirs"
        done
    done
done
# medians FILE COLUMN: one line for each name
medians() {
    sort -t "$(printf '\t')" -k1,1 -k"$2,$2"g "$1" | awk -F'\t' -v c="$2" '
        function out() { if (n) print name "\t" v[int((n + 1) / 2)] }
        $1 != name { out(); name = $1; n = 0 }
        { v[++n] = $c }
        END { out() }'
}
printf 'what\tcczoo s\timplicit s\tratio\n'
join -t "$(printf '\t')" <(medians "$work/ours" 3) <(medians "$work/theirs" 3) | awk -F'\t' -v OFS='\t' '{ print $1, $2, $3, sprintf("%.1f", $3 / $2) }'
[ "$(nproc)" -ge 2 ] || exit 0
for ((r = 0; r < rounds; r++)); do
    for f in "$@"; do
        for solver in exact cg; do
            for threads in 1 2; do
                "$ours" run "$work/data" "$f" "$solver" "$threads" 5 | sed 's/ threads=\(.\)/\t\1/' >>"$work/threads"
            done
        done
    done
done
printf 'what\tone thread, wall s\ttwo\tratio\n' # least: others use these cores, too
awk -F'\t' -v OFS='\t' '
    { key = $1; if (!((key, $2) in least) || $5 < least[key, $2]) least[key, $2] = $5; if (!(key in seen)) { seen[key]; order[++n] = key } }
    END { for (i = 1; i <= n; i++) print order[i], least[order[i], 1], least[order[i], 2], sprintf("%.2f", least[order[i], 1] / least[order[i], 2]) }' "$work/threads"
