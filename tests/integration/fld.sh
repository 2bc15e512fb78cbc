# Sourced by the tests of cczoo-fld: data, policies, and programs of a small training.
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"

# fld_begin NAME: images of four classes for two parties, software TEE, policies, first model.
fld_begin() {
    run_begin "$1"
    cd "$RUN"
    python3 - "$RUN/data" <<'PY'
import os, random, struct, sys
random.seed(3)
os.mkdir(sys.argv[1])
def idx(name, values, dims):
    with open(f"{sys.argv[1]}/{name}", "wb") as f:
        f.write(struct.pack(f">BBBB{len(dims)}I", 0, 0, 8, len(dims), *dims) + bytes(values))
for name, n in (("train", 600), ("t10k", 200)):
    labels = [random.randrange(4) for _ in range(n)]
    pixels = []
    for c in labels:
        pixels += [min(255, max(0, int(random.gauss(60, 60) + (40 if j % 28 // 7 == c else 0)))) for j in range(784)]
    idx(f"{name}-images-idx3-ubyte", pixels, (n, 28, 28))
    idx(f"{name}-labels-idx1-ubyte", labels, (n,))
PY
    "$BIN/cczoo" sim init "$RUN/sim" 2>/dev/null
    fld_policy fld "$BIN/cczoo-fld"
    fld_policy fl-worker "$BIN/cczoo-fl-worker"
    head -c 32 /dev/urandom >"$RUN/seal"
    printf '{"trainer":"nn","model":"softmax","seed":1,"data":{"kind":"mnist","dir":"%s/data","parts":2,"seed":4}}\n' "$RUN" >"$RUN/worker.json"
    printf 'worker-0\nworker-1\n' >"$RUN/members"
    "$BIN/cczoo-fl-worker" --config "$RUN/worker.json" --init-out "$RUN/first.model"
}

# fld_policy NAME PROGRAM: a policy $RUN/NAME.json that takes this program in the software TEE.
fld_policy() {
    printf '{"version":1,"rules":[{"name":"%s","tee":"sgx","sim":true,"mrenclave":"%s"}]}\n' "$1" "$("$BIN/cczoo" sim measure "$2")" >"$RUN/$1.json"
}
fld_config() { printf '{%s}\n' "$1" >"$RUN/config.json"; }

# server [FLAG...]: starts it, on the same port again; POLICY and SEAL choose other files.
server() {
    PORT=${PORT:-$("$ROOT/scripts/free-port")}
    rm -f "$RUN/port"
    start server "$BIN/cczoo-fld" --config "$RUN/config.json" --model "$RUN/first.model" --listen "127.0.0.1:$PORT" --port-file "$RUN/port" \
        --policy "$RUN/${POLICY:-fl-worker}.json" --members "$RUN/members" --tee sim-sgx --sim-dir "$RUN/sim" --trust-sim "$RUN/sim/trust" \
        --sign-key "$RUN/key.pem" --state "$RUN/state" --seal "${SEAL:-$RUN/seal}" --log "$RUN/rounds.jsonl" --prometheus "$RUN/prom.txt" \
        --model-out "$RUN/server.model" --last-wait 60 "$@"
    local i
    for ((i = 0; i < 200; i++)); do [ -s "$RUN/port" ] || ! kill -0 "${PIDS[server]}" 2>/dev/null && break; sleep 0.05; done
}
# worker N [FLAG...]: later flags win.
worker() {
    local n=$1 tee=(--tee sim-sgx --sim-dir "$RUN/sim")
    shift
    [ -n "${TEE-sim-sgx}" ] || tee=()
    start "worker-$n" "$BIN/cczoo-fl-worker" --config "$RUN/worker.json" --part "$n" --server "127.0.0.1:$PORT" --name "worker-$n" \
        --policy "$RUN/fld.json" "${tee[@]}" --trust-sim "$RUN/sim/trust" --state "$RUN/worker-$n.state" --seal "$RUN/seal" \
        --model-out "$RUN/worker-$n.model" "$@"
}
ended_badly() {
    gone "$1"
    ! grep -q '^done' "$RUN/log/$1.log" || die "$1 should have been refused"
    grep -qE '^(refused|error): ' "$RUN/log/$1.log" || die "$1 ended without a word" # killed by a signal, say
}
