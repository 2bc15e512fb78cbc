#!/usr/bin/env bash
# Rows per second of split training (two processes, RA-TLS on loopback, one TensorFlow thread each) beside the same network in
# one process with two threads. One tab-separated line each: network, how, rows/s, ratio, processor seconds per epoch of each
# process; medians over all epochs but the first. On a machine with other work only the last column means something.
# usage: bench/vfl.sh [NETWORK...]    CCZOO_BIN: where the programs are
. "$(dirname "$0")/../scripts/lib.sh"
run_begin bench-vfl
DATA=${CCZOO_DATA:-/usr/share/datasets/fashion-mnist}
LIB=$("$ROOT/scripts/fetch-tensorflow")/libtensorflow_cc.so.2
NETS=$("$ROOT/scripts/export-split")
EPOCHS=${EPOCHS:-5} BATCH=${BATCH:-256}
"$BIN/cczoo" sim init "$RUN/sim" 2>/dev/null
"$BIN/cczoo-vfl" split --images "$DATA/train-images-idx3-ubyte.gz" --labels "$DATA/train-labels-idx1-ubyte.gz" --rows "${ROWS:-60000}" --test-rows 1000 \
    --test-images "$DATA/t10k-images-idx3-ubyte.gz" --test-labels "$DATA/t10k-labels-idx1-ubyte.gz" --out "$RUN/data" >/dev/null

cpu() { sed -n 's/^epoch \([0-9]*\) .* cpu \([0-9.]*\) s.*/\1 \2/p' "$1" | awk '$1 > 1 { print $2 }' | sort -n | awk '{ a[NR] = $1 } END { print a[int((NR + 1) / 2)] }'; }
median() { sed -n 's/^epoch \([0-9]*\) .* \([0-9]*\) rows\/s.*/\1 \2/p' "$1" | awk '$1 > 1 { print $2 }' | sort -n | awk '{ a[NR] = $1 } END { print a[int((NR + 1) / 2)] }'; }
line() { printf '%s\t%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "$(awk -v a="$3" -v b="$whole" 'BEGIN { printf "%.2f", a / b }')" "$4"; }
two_classes() { case $1 in fashion-mnist) echo --positive 1 ;; esac; }

split() { # NETWORK HOW OPTIONS...
    local net=$1 how=$2
    shift 2
    rm -f "$RUN/port"
    start leader "$BIN/cczoo-vfl" leader --tee sim-sgx --sim-dir "$RUN/sim" --listen 127.0.0.1:0 --port-file "$RUN/port" --data "$RUN/data/leader" \
        --model "$NETS/$net/leader" --tensorflow "$LIB" --epochs "$EPOCHS" --batch "$BATCH" $(two_classes "$net") "$@"
    wait_file leader "$RUN/port" 60
    "$BIN/cczoo-vfl" follower --unattested-insecure --leader "127.0.0.1:$(cat "$RUN/port")" --data "$RUN/data/follower-1" \
        --model "$NETS/$net/follower-1" --tensorflow "$LIB" --epochs "$EPOCHS" --batch "$BATCH" "$@" >"$RUN/log/follower.log" 2>&1
    for ((i = 0; i < 200; i++)); do kill -0 "${PIDS[leader]}" 2>/dev/null || break; sleep 0.05; done
    line "$net" "$how" "$(median "$RUN/log/leader.log")" "leader $(cpu "$RUN/log/leader.log"), follower $(cpu "$RUN/log/follower.log")"
    rm -f "$RUN/log/leader.log"
}

[ $# -gt 0 ] || set -- fashion-mnist fashion-mnist-10 fashion-mnist-conv
for net in "$@"; do
    "$BIN/cczoo-vfl" local --model "$NETS/$net/whole" --split "$NETS/$net/leader" --data "$RUN/data/leader" --data-2 "$RUN/data/follower-1" \
        --tensorflow "$LIB" --epochs "$EPOCHS" --batch "$BATCH" --threads 2 $(two_classes "$net") >"$RUN/log/local.log" 2>&1
    whole=$(median "$RUN/log/local.log")
    line "$net" "one process" "$whole" "$(cpu "$RUN/log/local.log")"
    split "$net" "split, staleness 1" --staleness 1
    split "$net" "split, staleness 0" --staleness 0
    [ "$net" != fashion-mnist-conv ] || split fashion-mnist-kept "split, staleness 1, forward pass kept" --staleness 1
done
