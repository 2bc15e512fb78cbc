#!/usr/bin/env bash
# How homomorphic encryption scales: time by degree, primes, features, rows, size of key, batch and threads; memory. Leaves
# docs/benchmarks/he-*.tsv and the plots. One core for one thread (CPU time), all cores for more (wall time).
# usage: bench/he_scaling.sh [FOLDER]        default: docs/benchmarks
set -eu -o pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/.." && pwd)
out=$(mkdir -p "${1:-$root/docs/benchmarks}" && cd "${1:-$root/docs/benchmarks}" && pwd)
cd "$root"
[ -d build/release ] || cmake --preset release >/dev/null
cmake --build build/release --target bench_ckks bench_helr bench_paillier cczoo-he-serve cczoo-he-score >/dev/null
find_program() { find build/release -name "$1" -type f -perm -u+x | head -n 1; }
bench_ckks=$(find_program bench_ckks) bench_helr=$(find_program bench_helr) bench_paillier=$(find_program bench_paillier)
serve=$(find_program cczoo-he-serve) score=$(find_program cczoo-he-score)
last=$(($(nproc --all) - 1))
one() { taskset -c "$last" "$@"; }
all() { taskset -c "0-$last" "$@"; }
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$work"' EXIT
table() { printf 'series\tx\tleast\tmedian\n' >"$out/he-$1.tsv"; }
add() { cat >>"$out/he-$1.tsv"; }
# ckks_rows X NAME;NAME..: of the rows of bench_ckks those named, as lines of a table
ckks_rows() {
    awk -F'\t' -v x="$1" -v names="$2" 'BEGIN { n = split(names, name, ";"); OFS = "\t" }
        { sub(/^[0-9]+ /, "", $1); for (i = 1; i <= n; i++) if ($1 == name[i]) print $1, x, $2, $3 }'
}

operations='encode;encrypt pk;encrypt sym;decode;add;multiply;relinearize;rescale;rotate'
table degree
table memory-keys
for n in 4096 8192 16384 32768 65536; do
    one "$bench_ckks" chain $n 2 1 36 >"$work/rows"
    ckks_rows $n "$operations" <"$work/rows" | add degree
    awk -F'\t' -v n=$n '/peak memory/ { printf "2 + 1 primes\t%s\t%.1f\t%.1f\n", n, $2 / 1024, $2 / 1024 }' "$work/rows" | add memory-keys
done
chains='8192 4 1 43;16384 8 1 48;32768 15 3 48'
while read -r -d ';' n data special bits; do
    one "$bench_ckks" chain "$n" "$data" "$special" "$bits" 1 'no row' |
        awk -F'\t' -v n="$n" '/peak memory/ { printf "chain of 128 bits\t%s\t%.1f\t%.1f\n", n, $2 / 1024, $2 / 1024 }' | add memory-keys
done <<<"$chains;"
table limbs
for limbs in 2 3 4 6 8 10 12 14 15; do
    one "$bench_ckks" chain 32768 $limbs 3 48 | ckks_rows $limbs "$operations" | add limbs
done

# helr_rows X: lines of bench_helr in milliseconds
helr_rows() {
    awk -F'\t' -v x="$1" '/: client|: server/ { sub(/.*: /, "", $1); printf "%s\t%s\t%.3f\t%.3f\n", $1, x, $2 / 1e3, $3 / 1e3 }'
}
table features
for features in 10 20 40 80 160 320 640; do
    one "$bench_helr" $features 2000 | helr_rows $features | add features
done
table rows
for rows in 1 4 16 64 256 512 1024 2048 4096; do
    one "$bench_helr" 80 $rows | helr_rows $rows | add rows
done

# paillier_rows X SUFFIX: "encrypt_djn_2048_8" and so on
paillier_rows() {
    awk -F'\t' -v x="$1" -v after="$2" '$1 ~ /^(encrypt_djn|encrypt_pool|decrypt|add|mul_53)_[0-9]/ {
        sub(/_[0-9]+_[0-9]+$/, "", $1); print $1 after "\t" x "\t" $2 "\t" $3 }' |
        sed 's/^encrypt_djn/encrypt (DJN)/; s/^encrypt_pool/encrypt from pool/; s/^mul_53/multiply by 53 bits/'
}
table paillier-bits
for bits in 2048 3072 4096; do
    one "$bench_paillier" --len 8 $bits | paillier_rows $bits '' | add paillier-bits
done
table paillier-batch
for bits in 2048 3072; do
    for len in 1 2 4 8 16 32 64 128; do
        one "$bench_paillier" --len $len $bits | paillier_rows $len ", $bits" | grep -E '^(encrypt \(DJN|decrypt|multiply)' |
            add paillier-batch
    done
done

# The same with one thread and with two (by wall time: the machine has to be idle).
table threads
for threads in 1 2; do
    all "$bench_ckks" 16384 $threads >"$work/rows"
    ckks_rows $threads 'encode;encrypt pk;multiply;relinearize;rescale;rotate' <"$work/rows" | sed 's/^/CKKS, N = 16,384: /' | add threads
    all "$bench_helr" 80 2000 $threads | helr_rows $threads | grep '^server' | sed 's/^/scoring 2,000 x 80: /' | add threads
    all "$bench_paillier" --len 64 --threads $threads 3072 | paillier_rows $threads '' | grep -E '^(encrypt \(DJN|decrypt)' |
        sed 's/^/Paillier 3072, 64 items: /' | add threads
done

# The programs of solution 04, TLS and gRPC included, and a file of rows.
table memory-rows
python3 solutions/04-he-lr-inference/data.py "$work" generated
largest=32000
python3 solutions/04-he-lr-inference/data.py "$work" large $largest
for rows in 1000 2000 4000 8000 16000 $largest; do
    rm -f "$work/port"
    "$serve" --listen 127.0.0.1:0 --port-file "$work/port" --model "$work/original.json" >/dev/null 2>&1 &
    server=$!
    for ((i = 0; i < 200; i++)); do [ ! -s "$work/port" ] || break; sleep 0.05; done
    mb=$("$score" --target "127.0.0.1:$(cat "$work/port")" --data "$work/large.csv" --limit $rows |
        sed -n 's/.*peak memory \([0-9]*\) MB.*/\1/p')
    printf 'client\t%s\t%s\t%s\n' $rows "$mb" "$mb" | add memory-rows
    awk -v rows=$rows '/VmHWM/ { mb = $2 / 1024; printf "server\t%s\t%.0f\t%.0f\n", rows, mb, mb }' "/proc/$server/status" | add memory-rows
    kill "$server"
    wait "$server" 2>/dev/null || true
    server=
done
sort -s -t "$(printf '\t')" -k1,1 -o "$work/sorted" <(tail -n +2 "$out/he-memory-rows.tsv")
table memory-rows
add memory-rows <"$work/sorted"
python3 "$here/he_plot.py" "$out"
