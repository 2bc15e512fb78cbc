#!/usr/bin/env bash
# Fashion-MNIST with 10 clients, 50 rounds of 10 local epochs, LeNet: the setting of Flower's baseline niid_bench (batch 64, rate 0.01, momentum 0.9,
# weight decay 1e-5; FedProx with mu 0.01), FedAvg, FedProx and SCAFFOLD on IID and Dirichlet(0.5) parts.
#
#   bench/fl_fmnist.sh DIR [NAME...]     NAME: fedavg-iid, fedavg-dirichlet, fedprox-iid, ..; default all six
#
# Each run is 30 million samples (10 to 15 minutes on one free core, half of that on two). Kill it and start it again: it goes on behind the last round.
# PARTS=FILE: the parts of the -dirichlet runs from a file, as bench/fl_parts.py draws those of the baseline itself.
# In DIR: NAME.jsonl with a line for each round, NAME.html, all.html. Prints accuracy after the last round, the mean of the last five, the best, and what the
# baseline has published. CCZOO: the program, default build/release/bin/cczoo. DATA: default /usr/share/datasets/fashion-mnist (dataset-fashion-mnist).
set -euo pipefail
dir=${1:?usage: bench/fl_fmnist.sh DIR [NAME...]}
shift
cczoo=${CCZOO:-$(dirname "$0")/../build/release/bin/cczoo}
data=${DATA:-/usr/share/datasets/fashion-mnist}
names=("$@")
[ $# -gt 0 ] || names=(fedavg-iid fedavg-dirichlet fedprox-iid fedprox-dirichlet scaffold-iid scaffold-dirichlet)
declare -A published=([fedavg-iid]=89.23 [fedavg-dirichlet]=88.09 [fedprox-iid]=89.42 [fedprox-dirichlet]=88.15 [scaffold-iid]=89.33 [scaffold-dirichlet]=88.44)
mkdir -p "$dir"
[ -e "$dir/key" ] || (umask 077 && head -c 32 /dev/urandom >"$dir/key")
parts=()
for name in "${names[@]}"; do
    case $name in *-dirichlet) [ -z "${PARTS:-}" ] || parts=(--parts "$PARTS") ;; *) parts=() ;; esac
    [ -n "${published[$name]:-}" ] || { echo "no such run: $name" >&2; exit 2; }
    "$cczoo" fl simulate --idx "$data" --clients 10 --partition "${name#*-}" --alpha 0.5 --model lenet --strategy "${name%-*}" --rounds "${ROUNDS:-50}" \
        "${parts[@]}" --epochs 10 --batch 64 --lr 0.01 --momentum 0.9 --weight-decay 0.00001 --seed "${SEED:-1}" \
        --log "$dir/$name.jsonl" --html "$dir/$name.html" --checkpoint "$dir/$name" --key "$dir/key"
done
logs=()
for name in "${names[@]}"; do logs+=("$name=$dir/$name.jsonl"); done
"$cczoo" fl report --html "$dir/all.html" --title "Fashion-MNIST, 10 clients, LeNet" "${logs[@]}"
for name in "${names[@]}"; do
    python3 - "$dir/$name.jsonl" "$name" "${published[$name]}" <<'PY'
import json, sys
rounds = {}
for line in open(sys.argv[1]):
    r = json.loads(line)
    if "round" in r:
        rounds[r["round"]] = 100 * r["eval"]["accuracy"]
a = [rounds[k] for k in sorted(rounds)]
print(f"{sys.argv[2]}\t{len(a)} rounds\tlast {a[-1]:.2f}\tlast five {sum(a[-5:]) / len(a[-5:]):.2f}\tbest {max(a):.2f}\tpublished {sys.argv[3]}")
PY
done
