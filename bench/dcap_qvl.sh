#!/usr/bin/env bash
# Cold verification of genuine quotes, collateral and quote from bytes each time: cczoo beside the Python package dcap-qvl
# (a Rust library), one after the other on the same evidence and the same core.
# The last row has all of them in turn: give it more than 32 keys, and none but the issuers' is known when its turn comes.
# usage: bench/dcap_qvl.sh DIR@TIME...     DIR holds evidence.bin and collateral/, TIME is in seconds since 1970
set -eu -o pipefail
[ $# -gt 0 ] || { sed -n '2,5s/^# //p' "$0" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
bench=$(find "$here/../build/release" -name bench_quote -type f 2>/dev/null | head -n 1)
[ -n "$bench" ] || { echo "build it first: cmake --build --preset release --target bench_quote" >&2; exit 3; }
venv=${CCZOO_CACHE:-$HOME/.cache/cczoo}/dcap-qvl-venv
if [ ! -x "$venv/bin/python" ]; then
    python3 -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary=:all: \
        --requirement "$here/dcap_qvl.txt"
fi
theirs=$("$venv/bin/python" "$here/peer_dcap_qvl.py" "$@")
ours=$(for where in "$@"; do "$bench" "$where" | awk -F'\t' '$1 ~ /_cold$/ {print $2}'; done
    "$bench" --turn "$@" | cut -f 2)
printf 'evidence\tcczoo 1/s\tdcap-qvl 1/s\tratio\n'
paste <(cut -f 1,2 <<<"$theirs") <(printf '%s\n' "$ours") |
    awk -F'\t' '{printf "%s\t%d\t%d\t%.2f\n", $1, $3, $2, $3 / $2}'
