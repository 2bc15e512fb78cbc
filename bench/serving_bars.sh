#!/usr/bin/env bash
# The bars of the model server, each measured by `cczoo load` on servers that attest (software TEE: SIMULATED), and a table of them:
# bar, figure, what is wanted, verdict. docs/benchmarks.md, "Model server: bars", says how each is measured.
# usage: bench/serving_bars.sh [BAR...]     overhead tiny image rest swap batching soak; without: all but soak
# Settings: RUN_S=10 seconds of one measurement, ROUNDS=5 interleaved ones of which medians are taken, SOAK=3600 seconds, REST_MODEL=means
# (transport alone) or efficientnet, SOAK_RATE=70 % of what the server can do, measured first. Programs: build/release, or CCZOO_BIN. Two cores: server on 0, client on 1, where it says "pinned".
# On a machine that is not idle put `chrt -r 1` in front (as root), and say so.
. "$(dirname "$0")/../solutions/03-tf-serving-cluster/cluster.sh"
. "$HERE/photos.sh"

RUN_S=${RUN_S:-10} ROUNDS=${ROUNDS:-5} SOAK=${SOAK:-3600} REST_MODEL=${REST_MODEL:-means}
IMAGE='float[1,224,224,3]'
BUILD=$(cd "$BIN/.." && pwd)
ROWS=()

# ------------------------------------------------------------------------------ numbers

row() { ROWS+=("$(printf '%s\t%s\t%s\t%s' "$1" "$2" "$3" "$4")"); say "$1: $2 (wanted: $3): $4"; } # BAR FIGURE WANTED VERDICT
met() { awk "BEGIN {print ($1) ? \"met\" : \"NOT met\"}"; }                                       # CONDITION
calc() { awk "BEGIN {printf \"%.${2:-3}f\", ($1)}"; }                                              # EXPRESSION [DIGITS]
# BAR A B LIMIT [UNIT]: A over B is at least LIMIT. Runs that were too short for a figure are told as that.
at_least() {
    if [ "$(calc "$2 > 0 && $3 > 0" 0)" = 1 ]; then
        row "$1" "$(calc "$2 / $3") ($2 of $3 ${5:-calls/s})" ">= $4" "$(met "$2 / $3 >= $4")"
    else
        row "$1" "- ($2 of $3 ${5:-calls/s})" ">= $4" "no figure: RUN_S is too short"
    fi
}
program() { # NAME: of the build that is measured
    find "$BUILD" -name "$1" -type f -perm -u+x | head -n 1 | grep . || die "build it first: cmake --build $BUILD --target $1"
}
get() { # FILE KEY: one number of what `cczoo load` wrote
    python3 -c 'import json, sys
v = json.load(open(sys.argv[1]))
for k in sys.argv[2].split("."): v = v[k]
print(v if isinstance(v, int) else round(v, 3))' "$1" "$2"
}

# ------------------------------------------------------------------------------ servers and load

# model NAME VERSION FOLDER: a version of a model, in clear, for the servers of this run
model() {
    mkdir -p "$RUN/models/$1"
    cp -r "$3" "$RUN/models/$1/.$2" && mv "$RUN/models/$1/.$2" "$RUN/models/$1/$2" # a server may be looking
}
written() { # NAME: a model of bench_model
    mkdir -p "$RUN/written/$1"
    "$(program bench_model)" "$1" "$RUN/written/$1/model.onnx"
    model "$1" 1 "$RUN/written/$1"
}

# server MODEL [OPTION...]: the only one that runs; its cores are CORES. Options come last.
server() {
    stop server
    printf "model_config_list { config { name: '%s' base_path: '%s' } }\n" "$1" "$RUN/models/$1" >"$RUN/models.config"
    rm -f "$RUN/grpc" "$RUN/rest"
    start server env TF_CPP_MIN_LOG_LEVEL=3 taskset -c "${CORES:-0,1}" "$BIN/cczoo-served" --listen 127.0.0.1:0 --port-file "$RUN/grpc" \
        --rest 127.0.0.1:0 --rest-port-file "$RUN/rest" --model_config_file "$RUN/models.config" --models-in-clear-insecure \
        --tensorflow "$TF/libtensorflow_cc.so.2" --onnxruntime "$ORT/libonnxruntime.so.1" --tee sim-sgx --sim-dir "$RUN/sim" \
        --trust-sim "$RUN/sim/trust" --threads 1 "${@:2}"
    wait_file server "$RUN/grpc" 120
}

# load NAME OPTION...: calls on gRPC; what came of them is in RUN/NAME.json
load() {
    ask "$@" --target "127.0.0.1:$(cat "$RUN/grpc")" --policy "$RUN/bars-policy.json" --trust-sim "$RUN/sim/trust"
}
ticks() { awk '{print $14 + $15}' "/proc/${PIDS[server]}/stat"; } # processor time that the server has used, all threads
# As load(), without a warm-up that is not counted; CPU_MS: the server's processor time of a call.
timed_load() {
    local from
    from=$(ticks)
    load "$@" --warm-up 0
    CPU_MS=$(calc "($(ticks) - $from) * 1000 / $(getconf CLK_TCK) / $(get "$RUN/$1.json" latency_ms.calls)")
}
load_rest() { # NAME URL OPTION...
    ask "$1" --rest "$2" --any-certificate-insecure "${@:3}"
}
ask() { # NAME OPTION...
    taskset -c "${CLIENT_CORES:-0,1}" "$BIN/cczoo" load --seconds "$RUN_S" --warm-up 1 --json-file "$RUN/$1.json" "${@:2}" \
        >"$RUN/log/load-$1.txt" 2>&1 || { cat "$RUN/log/load-$1.txt" >&2; die "cczoo load failed: $1"; }
}
rate() { get "$RUN/$1.json" calls_per_s; }
p99() { get "$RUN/$1.json" latency_ms.p99; }

# ------------------------------------------------------------------------------ bars

# One model thread, one image at a time; in process and served take turns. Server and client share both cores. Two calls under way: the model never waits for one.
# Beside the rates the processor time of a call, of which the server's includes transport: all there is to say on a machine that is not idle.
overhead_of() { # ENGINE FOLDER
    local lib=$TF/libtensorflow_cc.so.2 i line call
    local rate_in=() rate_served=() cpu_in=() cpu_served=()
    [ "$1" = tensorflow ] || lib=$ORT/libonnxruntime.so.1
    call=(--model "efficientnet-$1" --input "images:$IMAGE=@$PHOTOS/china.f32" --in-flight 2)
    server "efficientnet-$1"
    load warm "${call[@]}" --seconds 1
    for ((i = 0; i < ROUNDS; i++)); do
        line=$(TF_CPP_MIN_LOG_LEVEL=3 taskset -c 0,1 "$(program bench_engine)" --engine "$1" --lib "$lib" --model "$2" --batch 1 \
            --threads 1 --intra 1 --inter -1 --seconds "$RUN_S" 2>>"$RUN/log/engine.log" | tail -n 1)
        rate_in+=("$(cut -f6 <<<"$line")") cpu_in+=("$(cut -f8 <<<"$line")")
        timed_load overhead "${call[@]}"
        rate_served+=("$(rate overhead)") cpu_served+=("$CPU_MS")
    done
    at_least "EfficientNet-Lite0 b1, $1: served over in process" "$(median "${rate_served[@]}")" "$(median "${rate_in[@]}")" 0.97 images/s
    row "the same, processor time of a call: in process, server" "$(median "${cpu_in[@]}"), $(median "${cpu_served[@]}") ms" "-" "-"
}
overhead() {
    overhead_of tensorflow "$PHOTOS/saved_model"
    overhead_of onnxruntime "$PHOTOS/onnx"
}

tiny() {
    written tiny
    server tiny
    load tiny --model tiny --input 'x:float[1,4]=random' --in-flight 64
    row "4 floats in, 1 out, 64 streams: calls/s" "$(rate tiny)" ">= 30000" "$(met "$(rate tiny) >= 30000")"
    row "the same: p99, ms" "$(p99 tiny)" "<= 5" "$(met "$(p99 tiny) <= 5")"
}

# What is left of the rate at which the RPC engine alone moves messages of 1 MiB, both with four calls under way on RA-TLS. The two take turns.
image() {
    local raw=() served=() i
    written image
    server image
    for ((i = 0; i < ROUNDS; i++)); do
        raw+=("$("$(program bench_rpc)" "$RUN_S" bulk | awk -F'\t' '{print $5 * 1.048576}')")
        load image --model image --input "images:$IMAGE=random" --in-flight 4
        served+=("$(calc "$(rate image) * 0.602112")")
    done
    at_least "600 kB tensors there and back: over the raw bulk rate" "$(median "${served[@]}")" "$(median "${raw[@]}")" 0.7 "MB/s each way"
}

# The Python side: PEER, a virtual environment. False: it cannot be had here.
peer() {
    local status=0 pins=("$ROOT/scripts/tensorflow-requirements.txt" "$ROOT/bench/serving_peer.txt")
    PEER=$CACHE/serving-peer-venv
    cat "${pins[@]}" | cmp -s - "$PEER/installed.txt" && return 0
    rm -rf "$PEER"
    python3 -m venv "$PEER" || die "no virtual environment: apt-get install python3-venv"
    "$ROOT/scripts/pip-fetch" "$PEER/bin/python" install --no-deps --require-hashes --only-binary=:all: --requirement "${pins[0]}" \
        --requirement "${pins[1]}" || status=$?
    [ $status = 0 ] || [ $status = 77 ] || die "status $status of pip"
    [ $status = 0 ] && cat "${pins[@]}" >"$PEER/installed.txt"
}
start_peer() { # FOLDER JSON: how it reads and writes JSON
    local port i
    port=$("$ROOT/scripts/free-port")
    stop peer
    start peer env PEER_JSON="$2" taskset -c 0 "$PEER/bin/python" "$ROOT/bench/peer_serving.py" serve "$1" "$port" "$RUN/peer.pem" "$RUN/peer.key"
    for ((i = 0; i < 1200; i++)); do
        running peer || break
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && { PEER_URL=https://127.0.0.1:$port && return 0; }
        sleep 0.05
    done
    tail -n 5 "$RUN/log/peer.log" >&2
    die "the Python server did not start"
}

# Pinned; one SavedModel in both, HTTPS in both, four connections; ours and theirs take turns.
rest() {
    local folder json binary plain fast i api
    local -A got=()
    if ! peer; then
        row "REST against Python" "-" ">= 10 times, v2 binary >= 20 times" "skipped: the Python packages cannot be had here"
        return 0
    fi
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost -days 2 -keyout "$RUN/peer.key" \
        -out "$RUN/peer.pem" 2>/dev/null
    folder=$PHOTOS/saved_model/1
    if [ "$REST_MODEL" = means ]; then
        folder=$RUN/means
        "$PEER/bin/python" "$ROOT/bench/peer_serving.py" export "$folder" 2>>"$RUN/log/setup.log"
    fi
    model "rest-$REST_MODEL" 1 "$folder"
    CORES=0 server "rest-$REST_MODEL"
    for ((i = 0; i < ROUNDS; i++)); do
        for api in rest rest-v2-binary; do
            CLIENT_CORES=1 load_rest ours "https://127.0.0.1:$(cat "$RUN/rest")" --api $api --model "rest-$REST_MODEL" \
                --input "images:$IMAGE=random" --in-flight 4
            got[$api]+=" $(rate ours)"
        done
        for json in plain orjson; do
            start_peer "$folder" $json
            CLIENT_CORES=1 load_rest theirs "$PEER_URL" --api rest --model "rest-$REST_MODEL" --input "images:$IMAGE=random" --in-flight 4
            got[$json]+=" $(rate theirs)"
            stop peer
        done
    done
    read -r json binary plain fast < <(for api in rest rest-v2-binary plain orjson; do
        # shellcheck disable=SC2086 # a list
        median ${got[$api]}
    done | xargs)
    at_least "REST JSON, $REST_MODEL: over FastAPI (pydantic)" "$json" "$plain" 10
    at_least "v2 binary, $REST_MODEL: over FastAPI (pydantic)" "$binary" "$plain" 20
    row "the same two over FastAPI (orjson), $fast calls/s" "$(calc "$json / ($fast + 1e-9)" 1), $(calc "$binary / ($fast + 1e-9)" 1)" "-" "-"
}

state() { curl -sk --max-time 10 "https://127.0.0.1:$(cat "$RUN/rest")/v1/models/$1/versions/$2" | grep -c AVAILABLE || true; } # MODEL VERSION
swapped() { [ -e "$RUN/swap.end" ] || [ ! -d "$RUN" ]; }
# One new version after the other until RUN/swap.end; their number is in RUN/swap.count.
publish() { # MODEL FOLDER
    local version=1
    until swapped; do
        version=$((version + 1))
        model "$1" $version "$2"
        until [ "$(state "$1" $version)" = 1 ] || swapped; do sleep 0.1; done
        [ -d "$RUN" ] || return 0
        echo $((version - 1)) >"$RUN/swap.count"
        rm -rf "$RUN/models/$1/$((version - 1))"
    done
}
# Half of what the server can do, by the clock: first without, then with a new version as soon as the last one is served, all the time.
swap() {
    local rate steady swapping publisher common
    server efficientnet-tensorflow --file_system_poll_wait_seconds 1
    common=(--model efficientnet-tensorflow --input "images:$IMAGE=@$PHOTOS/china.f32" --in-flight 64)
    load most "${common[@]}"
    rate=$(calc "$(rate most) / 2" 2)
    load steady "${common[@]}" --rate "$rate"
    rm -f "$RUN/swap.end"
    publish efficientnet-tensorflow "$PHOTOS/saved_model/1" >>"$RUN/log/publish.log" 2>&1 &
    publisher=$!
    load swapping "${common[@]}" --rate "$rate" --failures-max 1000000000
    touch "$RUN/swap.end"
    wait "$publisher"
    steady=$(p99 steady) swapping=$(p99 swapping)
    row "hot swap: failed calls in $(cat "$RUN/swap.count" 2>/dev/null || echo 0) swaps" "$(get "$RUN/swapping.json" failed_ms.calls)" "0" \
        "$(met "$(get "$RUN/swapping.json" failed_ms.calls) == 0 && -s \"$RUN/swap.count\"")"
    row "hot swap: p99 over steady p99" "$(calc "$swapping / $steady" 2) ($swapping of $steady ms at $rate calls/s)" "<= 2" "$(met "$swapping / $steady <= 2")"
}

# 64 clients, one model thread, server and client on both cores. A call may wait for the run before it, then for the delay; then comes its own run.
batching() {
    local delay_us=2000 run_ms bound one many cpu_one call=(--model cpu --input 'x:float[1,64]=random' --in-flight 64)
    written cpu
    printf 'max_batch_size { value: 64 }\nbatch_timeout_micros { value: %d }\nnum_batch_threads { value: 1 }\nmax_enqueued_batches { value: 64 }\n' \
        $delay_us >"$RUN/batching.config"
    server cpu
    load one "${call[@]}" --seconds 1
    timed_load one "${call[@]}"
    cpu_one=$CPU_MS
    server cpu --enable_batching --batching_parameters_file "$RUN/batching.config"
    load many "${call[@]}" --seconds 1
    timed_load many "${call[@]}"
    mkdir -p "$RUN/in-process"
    ln -sfn "$RUN/written/cpu" "$RUN/in-process/1"
    run_ms=$(taskset -c 0 "$(program bench_engine)" --engine onnxruntime --lib "$ORT/libonnxruntime.so.1" --model "$RUN/in-process" --batch 64 \
        --threads 1 --intra 1 --inter -1 --seconds "$RUN_S" | awk -F'\t' 'END {print $7}')
    one=$(rate one) many=$(rate many) bound=$(calc "$delay_us / 1000 + 2 * $run_ms")
    at_least "dynamic batching: over batch 1" "$many" "$one" 2
    row "the same, processor time of a call: batch 1, batched" "$cpu_one, $CPU_MS ms" "-" "-"
    row "dynamic batching: p99, ms" "$(p99 many)" "<= $bound: the delay, the run before, its own" "$(met "$(p99 many) <= $bound")"
}

# 70 % of what the server can do, by the clock. Memory every minute (or, of a short one, sixtieth), the first minute not counted.
soak() {
    local rate loader pid step share
    server efficientnet-tensorflow
    pid=${PIDS[server]}
    load most --model efficientnet-tensorflow --input "images:$IMAGE=@$PHOTOS/china.f32" --in-flight 4
    rate=${SOAK_RATE:-$(calc "$(rate most) * 0.7" 2)}
    step=$(calc "$SOAK >= 3600 ? 60 : $SOAK / 60")
    : >"$RUN/rss"
    load soak --model efficientnet-tensorflow --input "images:$IMAGE=@$PHOTOS/china.f32" --in-flight 16 --rate "$rate" --seconds "$SOAK" --failures-max 1000000000 &
    loader=$!
    while kill -0 $loader 2>/dev/null; do
        sleep "$step"
        awk '/^VmRSS/ {print $2}' "/proc/$pid/status" >>"$RUN/rss"
    done
    wait $loader
    share=$(tail -n +2 "$RUN/rss" | sort -n | awk '{v[NR]=$1} END {if (NR < 2) print "nan"; else {m=v[int((NR+1)/2)]; a=v[NR]-m; b=m-v[1]; printf "%.2f", 100*(a>b?a:b)/m}}')
    row "soak of $SOAK s at $rate calls/s: failed calls" "$(get "$RUN/soak.json" failed_ms.calls)" "0" "$(met "$(get "$RUN/soak.json" failed_ms.calls) == 0")"
    row "the same: VmRSS, farthest from its median in $(wc -l <"$RUN/rss") looks, %" "$share" "<= 2" "$(met "\"$share\" != \"nan\" && $share <= 2")"
}

# ------------------------------------------------------------------------------ all of it

[ $# -gt 0 ] || set -- overhead tiny image rest swap batching
for bar in "$@"; do
    case $bar in overhead | tiny | image | rest | swap | batching | soak) ;; *) die "no such bar: $bar" ;; esac
done
run_begin bench-serving-bars
find_photos || exit 0
make_platform
sed "s/@MODEL_SERVER@/$("$BIN/cczoo" sim measure "$BIN/cczoo-served" "${TF_LIBS[@]}" "$ORT/libonnxruntime.so.1")/" "$HERE/policy.json" >"$RUN/bars-policy.json"
model efficientnet-tensorflow 1 "$PHOTOS/saved_model/1"
model efficientnet-onnxruntime 1 "$PHOTOS/onnx/1"
say "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc) cores, load $(cut -d' ' -f1 /proc/loadavg); $BIN; $(git -C "$ROOT" rev-parse --short HEAD); $RUN_S s, $ROUNDS rounds"
for bar in "$@"; do
    step "$bar"
    "$bar"
done
step "bars (SIMULATED evidence)"
printf '%s\n' "$(printf 'bar\tfigure\twanted\tverdict')" "${ROWS[@]}" | column -t -s $'\t' -o ' | '
