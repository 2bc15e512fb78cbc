#!/usr/bin/env bash
# Programs of two parties beside SPU 0.9.5 (PyPI `spu`): Cheetah, which needs nobody else either, and semi2k, whose first party makes
# all triples and so knows all masks (as our dealer, without an enclave). Two processes of one thread, each on its own core, plain TCP
# on the loopback of a network namespace of their own, whose counters say what travelled, headers included. The programs take turns.
# Columns: workload, who, first (set-up included) or again (same session), medians of wall seconds, CPU seconds of either party, MB.
# usage: bench/mpc_peers.sh [ROUNDS] [WORKLOAD...]     matvec relu lr10 lr100 mlp1 mlp32; as root
set -eu -o pipefail
here=$(cd "$(dirname "$0")" && pwd)
rounds=${1:-3}
[ $# -lt 1 ] || shift
[ $# -gt 0 ] || set -- matvec relu lr10 lr100 mlp1 mlp32
unshare -n true 2>/dev/null || { echo "error: it needs root: bytes are counted in a network namespace" >&2; exit 2; }
command -v ip >/dev/null || { echo "error: ip is missing; scripts/install-deps check installs iproute2" >&2; exit 2; }
cd "$here/.."
[ -d build/release ] || cmake --preset release >/dev/null
cmake --build build/release --target bench_mpc_program >/dev/null
ours=$(find build/release -name bench_mpc_program -type f)
venv=${CCZOO_CACHE:-$HOME/.cache/cczoo}/mpc-peers-venv
if ! cmp -s "$here/mpc_peers.txt" "$venv/installed.txt"; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary=:all: \
        --requirement "$here/mpc_peers.txt"
    cp "$here/mpc_peers.txt" "$venv/installed.txt"
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# alone WORKLOAD WHO COMMAND...: in a network namespace of its own
alone() {
    local workload=$1 who=$2
    shift 2
    unshare -n sh -c 'ip link set dev lo up && exec "$@"' sh "$@" 2>"$work/err" | grep -E '^(first|again)' >"$work/out" ||
        { tail -n 5 "$work/err" >&2; echo "error: $who failed: $workload" >&2; exit 1; }
    awk -F'\t' -v OFS='\t' -v w="$workload" -v who="$who" '{ print w, who, $1, $2, $3, $4, $5 / 1e6 }' "$work/out" >>"$work/lines"
}
for ((r = 0; r < rounds; r++)); do
    for workload in "$@"; do
        alone "$workload" cczoo "$ours" "$workload"
        for protocol in cheetah semi2k; do
            alone "$workload" "spu-$protocol" "$venv/bin/python" "$here/peer_spu.py" "$protocol" "$workload"
        done
    done
done
printf 'workload\twho\twhen\twall s\tCPU s\tCPU s\tMB\n'
awk -F'\t' '
    { key = $1 "\t" $2 "\t" $3
      if (!(key in seen)) { seen[key] = 1; order[++keys] = key }
      for (i = 4; i <= 7; i++) v[key, i] = v[key, i] " " $i }
    function middle(list, a, n, i, j, t) {
        n = split(list, a, " ")
        for (i = 2; i <= n; i++) for (j = i; j > 1 && a[j] + 0 < a[j - 1] + 0; j--) { t = a[j]; a[j] = a[j - 1]; a[j - 1] = t }
        return a[int((n + 1) / 2)]
    }
    END {
        for (k = 1; k <= keys; k++) {
            printf "%s", order[k]
            for (i = 4; i <= 7; i++) printf i == 7 ? "\t%.2f" : "\t%.3f", middle(v[order[k], i])
            print ""
        }
    }' "$work/lines"
