#!/usr/bin/env bash
# What serving costs: images/s of one attested server over gRPC + RA-TLS against the same TF_SessionRun in process.
# One model thread on core 0 in both cases; the client (and nothing else) on core 1. Medians of RUNS interleaved runs.
# usage: bench/serving.sh [RUNS]
. "$(dirname "$0")/../solutions/03-tf-serving-cluster/cluster.sh"
runs=${1:-5}
bench=$ROOT/build/release/bench_engine
[ -x "$bench" ] || bench=$(find "$ROOT/build/release" -name bench_engine -type f | head -n 1)
[ -n "$bench" ] || die "build it first: cmake --build --preset release --target bench_engine"
run_begin bench-serving
make_platform
start_kms
protect_model
start_server 1
wait_server 1
taskset -a -cp 0 "${PIDS[server-1]}" >/dev/null
in_process=() served=()
for ((i = 0; i < runs; i++)); do
    in_process+=("$(taskset -c 0 env TF_CPP_MIN_LOG_LEVEL=3 "$bench" --lib "$TF/libtensorflow_cc.so.2" --model "$MODEL" \
        --batch 32 --threads 1 --intra 1 --inter -1 --seconds 3 | awk -F'\t' 'END {print $6}')")
    served+=("$(taskset -c 1 "$BIN/cczoo" infer --target "127.0.0.1:$(cat "$RUN/server-1.port")" --policy "$RUN/policy.json" \
        --trust-sim "$RUN/sim/trust" --model fashion-mnist --images "$DATA/t10k-images-idx3-ubyte.gz" \
        --labels "$DATA/t10k-labels-idx1-ubyte.gz" --batch 32 --connections 1 --in-flight 4 --json 2>/dev/null |
        sed 's/.*"images_per_s":\([0-9.]*\).*/\1/')")
done
a=$(median "${in_process[@]}") b=$(median "${served[@]}")
printf 'in process\t%s images/s\t(%s)\n' "$a" "${in_process[*]}"
printf 'served\t%s images/s\t(%s)\n' "$b" "${served[*]}"
awk -v a="$a" -v b="$b" 'BEGIN {printf "ratio\t%.3f\n", b / a}'
