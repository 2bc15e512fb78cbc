#!/usr/bin/env bash
# Paillier beside python-paillier (phe, with gmpy2), CKKS beside SEAL as TenSEAL brings it (without HEXL). One thread on one
# core; the two take turns ROUNDS times. Columns: what, least and median microseconds of CPU time here and there, their ratios.
# usage: taskset -c 1 bench/he_peers.sh [ROUNDS]
set -eu -o pipefail
here=$(cd "$(dirname "$0")" && pwd)
rounds=${1:-3}
[ "$(nproc)" -eq 1 ] || { echo "pin it to one core: taskset -c 1 $0" >&2; exit 2; }
cd "$here/.."
[ -d build/release ] || cmake --preset release >/dev/null
cmake --build build/release --target bench_paillier bench_ckks >/dev/null
bench_paillier=$(find build/release -name bench_paillier -type f)
bench_ckks=$(find build/release -name bench_ckks -type f)
venv=${CCZOO_CACHE:-$HOME/.cache/cczoo}/he-peers-venv
if ! cmp -s "$here/he_peers.txt" "$venv/installed.txt"; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary=:all: \
        --requirement "$here/he_peers.txt"
    cp "$here/he_peers.txt" "$venv/installed.txt"
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
theirs() { "$venv/bin/python" "$here/peer_he.py" "$@" | sed "s/^/$2 /" >>"$work/theirs"; }
ours() { "$1" "${@:3}" | sed "s/^/$2 /" >>"$work/ours"; }
for ((r = 0; r < rounds; r++)); do
    for bits in 2048 3072; do
        theirs paillier "$bits"
        for len in 1 8 64; do
            ours "$bench_paillier" "$bits" --len "$len" "$bits"
        done
    done
    for n in 8192 16384 32768; do
        theirs ckks "$n"
        ours "$bench_ckks" "$n" "$n"
    done
done

# Names of both sides, and what is added up: SIZE OURS[+OURS] = THEIRS
{
    for bits in 2048 3072; do
        for len in 1 8 64; do
            for pair in encrypt_djn=encrypt encrypt_full=encrypt decrypt=decrypt add=add mul_53=mul_53; do
                printf '%s %s_%s_%s=%s\n' "$bits" "${pair%=*}" "$bits" "$len" "${pair#*=}"
            done
        done
    done
    for n in 8192 16384 32768; do
        for op in encode 'encrypt pk' 'encrypt sym' decode add multiply square multiply_plain relinearize rescale rotate; do
            printf '%s %s %s=%s\n' "$n" "$n" "$op" "$op"
        done
        printf '%s %s decrypt, every prime=decrypt\n' "$n" "$n"
    done
    # what encrypts and adds needs no more than coefficients; fewer primes are decrypted if the bound says so
    printf '8192 8192 encode, coefficients only+8192 encrypt pk=vector encrypt\n'
    printf '8192 8192 decrypt, primes needed+8192 decode=vector decrypt\n'
    printf '8192 8192 add=vector add\n'
    printf '8192 8192 multiply+8192 relinearize and rescale=vector multiply\n'
} >"$work/pairs"
printf 'what\tpeer\tcczoo least\tmedian\tpeer least\tmedian\tratio of least\tof medians\n'
awk -F'\t' '
    FILENAME ~ /pairs$/ { pair[++pairs] = $0; next }
    { side = FILENAME ~ /ours$/ ? "o" : "t"; key = side $1
      if (!(key in least) || $2 < least[key]) least[key] = $2
      medians[key] = medians[key] " " $3 }
    function middle(list, v, n, i, j, t) {
        n = split(list, v, " ")
        for (i = 2; i <= n; i++) for (j = i; j > 1 && v[j] + 0 < v[j - 1] + 0; j--) { t = v[j]; v[j] = v[j - 1]; v[j - 1] = t }
        return v[int((n + 1) / 2)]
    }
    END {
        for (i = 1; i <= pairs; i++) {
            size = substr(pair[i], 1, index(pair[i], " ") - 1)
            split(substr(pair[i], length(size) + 2), s, "=")
            n = split(s[1], part, "+"); a = b = 0; theirs = "t" size " " s[2]
            for (k = 1; k <= n; k++) {
                key = "o" size " " part[k]
                if (!(key in least) || !(theirs in least)) { print "error: no row for " pair[i] >"/dev/stderr"; exit 1 }
                a += least[key]; b += middle(medians[key])
            }
            c = least[theirs]; d = middle(medians[theirs])
            printf "%s\t%s\t%.2f\t%.2f\t%.2f\t%.2f\t%.1f\t%.1f\n", s[1], s[2], a, b, c, d, c / a, d / b
        }
    }' "$work/pairs" "$work/ours" "$work/theirs"
