#!/usr/bin/env bash
# Quality of lists on MovieLens (scripts/fetch-movielens): the last rating of each user is held out, all items are ranked. Implicit factors
# at the defaults of the PyPI package `implicit` beside that package, several seeds; baselines; and what the search finds by a validation
# part: the last five of each user's other ratings. Prints lines of single runs, then a table: means and deviations over seeds.
# usage: bench/recsys_quality.sh [SEEDS [TRIALS [REPORT.HTML]]]      10 60
set -eu -o pipefail
here=$(cd "$(dirname "$0")" && pwd)
seeds=${1:-10} trials=${2:-60} html=${3:-}
cd "$here/.."
[ -d build/release ] || cmake --preset release >/dev/null
cmake --build build/release --target bench_recsys_quality >/dev/null
ours=$(find build/release -name bench_recsys_quality -type f)
venv=${CCZOO_CACHE:-$HOME/.cache/cczoo}/recsys-peers-venv
if ! cmp -s "$here/recsys_peers.txt" "$venv/installed.txt"; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary=:all: \
        --requirement "$here/recsys_peers.txt"
    cp "$here/recsys_peers.txt" "$venv/installed.txt"
fi
data=$(scripts/fetch-movielens)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$ours" split "$data/ratings.csv" "$work"
peer() { env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE OPENBLAS_NUM_THREADS=1 "$venv/bin/python" "$here/recsys_quality.py" "$work" "$@"; }
peer "$seeds" | tee "$work/theirs"
"$ours" fixed "$work" "$seeds" | tee "$work/fixed"
"$ours" baselines "$work" | tee "$work/baselines"
"$ours" search "$work" "$seeds" "$trials" ${html:+"$html"} | tee "$work/search"
echo
peer SUM "$work/theirs" "$work/fixed" "$work/search"
grep -h 'to ' "$work/baselines" "$work/search"
