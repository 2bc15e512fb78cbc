#!/usr/bin/env bash
# Our gRPC engine beside Debian's gRPC: its C core, and C++ async. TLS 1.3 on 127.0.0.1, one connection, server on CPU 0 and client
# on CPU 1, each a process of its own (bench/grpc_peer.h); also our client with their server and the other way round. The variants
# take turns, ROUNDS times. Columns: workload, server/client, median and best answers per second, median p50 and p99 in
# microseconds, median microseconds of CPU time of server and client for each; then the ratios that matter.
# usage: [WORKLOADS="unary 1024 8,stream 65536 1"] bench/grpc_peers.sh [ROUNDS [SECONDS [VARIANT...]]]      without: all
# On a machine that does other things too, put `chrt -r 1` in front (as root): all programs then have the two cores first.
set -eu -o pipefail
here=$(cd "$(dirname "$0")" && pwd)
rounds=${1:-5}
seconds=${2:-1}
shift "$(($# < 2 ? $# : 2))"
[ "$(nproc)" -ge 2 ] || { echo "needs two cores" >&2; exit 2; }
pkg-config --exists grpc grpc++ || { echo "needs gRPC: apt-get install libgrpc++-dev" >&2; exit 2; }
cd "$here/.."
[ -d build/release ] || cmake --preset release >/dev/null
cmake --build build/release --target bench_rpc_peer >/dev/null
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
ours=$(find "$PWD/build/release" -name bench_rpc_peer -type f)
read -ra core_flags <<<"$(pkg-config --cflags --libs grpc gpr)"
read -ra async_flags <<<"$(pkg-config --cflags --libs grpc++ grpc)"
"${CC:-cc}" -std=c17 -O2 -o "$work/core" bench/grpc_peer_core.c "${core_flags[@]}"
"${CXX:-c++}" -std=c++17 -O2 -o "$work/async" bench/grpc_peer_async.cc "${async_flags[@]}"
export PEER_KEY=$work/key.pem PEER_CERT=$work/cert.pem GRPC_VERBOSITY=NONE
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost -days 2 \
    -keyout "$PEER_KEY" -out "$PEER_CERT" 2>/dev/null

# SERVER/CLIENT. ra-tls: the session profile of our engine, evidence was judged before; ra-tls-again: evidence can be renewed.
variants=("$@")
[ $# -gt 0 ] || variants=(ours/ours ra-tls/ra-tls ra-tls-again/ra-tls-again core/core async/async ours/core core/ours ours/async async/ours)
IFS=, read -ra workloads <<<"${WORKLOADS:-unary 1024 1,unary 1024 8,unary 1024 64,unary 1048576 4,stream 65536 1}"

program() { case $1 in ours | ra-tls*) echo "$ours" ;; *) echo "$work/$1" ;; esac; }
profile() { case $1 in ra-tls*) echo "$1" ;; *) echo tls ;; esac; }
run() { # VARIANT WORKLOAD SIZE STREAMS: one line of the client
    local server=${1%/*} client=${1#*/} port out
    coproc taskset -c 0 "$(program "$server")" server "$(profile "$server")"
    local pid=$COPROC_PID in=${COPROC[1]}
    read -r port <&"${COPROC[0]}"
    out=$(taskset -c 1 timeout $((60 + ${seconds%.*})) "$(program "$client")" client "127.0.0.1:$port" "$pid" "$2" "$3" "$4" "$seconds" "$(profile "$client")") ||
        { echo "error: $*" >&2; exit 1; }
    exec {in}>&-
    wait "$pid"
    printf '%s %s %s\t%s\t%s\n' "$2" "$3" "$4" "$1" "$out"
}

for ((r = 0; r < rounds; r++)); do
    for workload in "${workloads[@]}"; do
        for variant in "${variants[@]}"; do
            read -r name size streams <<<"$workload"
            run "$variant" "$name" "$size" "$streams" >>"$work/rows"
        done
    done
done

awk -F'\t' '
    function median(list, v, n, i, j, t) {
        n = split(list, v, " ")
        for (i = 2; i <= n; i++) for (j = i; j > 1 && v[j] + 0 < v[j - 1] + 0; j--) { t = v[j]; v[j] = v[j - 1]; v[j - 1] = t }
        return v[int((n + 1) / 2)]
    }
    function ratio(what, a, b) { if (b > 0 && a > 0) printf "%s\t%.2f\n", what, a / b }
    { key = $1 "\t" $2
      if (!(key in best)) { order[++keys] = key; best[key] = 0 }
      if (!($1 in seen)) { seen[$1] = 1; load[++loads] = $1 }
      for (i = 3; i <= 7; i++) values[key, i] = values[key, i] " " $i
      if ($3 > best[key]) best[key] = $3 }
    END {
        print "workload\tserver/client\tper s\tbest\tp50 us\tp99 us\tserver us\tclient us"
        for (k = 1; k <= keys; k++) {
            key = order[k]
            for (i = 3; i <= 7; i++) m[key, i] = median(values[key, i])
            rate[key] = m[key, 3]; cpu[key] = m[key, 6] + m[key, 7]
            printf "%s\t%.0f\t%.0f\t%.0f\t%.0f\t%.1f\t%.1f\n", key, m[key, 3], best[key], m[key, 4], m[key, 5], m[key, 6], m[key, 7]
        }
        print ""
        for (l = 1; l <= loads; l++) {
            o = load[l] "\tours/ours"; t = load[l] "\tra-tls/ra-tls"; f = load[l] "\tra-tls-again/ra-tls-again"
            split("core async", peer, " ")
            for (p = 1; p <= 2; p++) {
                q = load[l] "\t" peer[p] "/" peer[p]
                ratio(load[l] ": rate, ours over " peer[p], rate[o], rate[q])
                ratio(load[l] ": CPU time, ours over " peer[p], cpu[o], cpu[q])
            }
            ratio(load[l] ": rate, RA-TLS over TLS", rate[t], rate[o])
            ratio(load[l] ": CPU time, RA-TLS over TLS", cpu[t], cpu[o])
            ratio(load[l] ": rate, RA-TLS that is renewed over TLS", rate[f], rate[o])
            ratio(load[l] ": CPU time, RA-TLS that is renewed over TLS", cpu[f], cpu[o])
        }
    }' "$work/rows"
