#!/usr/bin/env bash
# Six attacks that must be refused, each with its reason. See README.md, "Break it".
. "$(dirname "$0")/parties.sh"
run_begin "$NAME-break"

make_platform
make_data >/dev/null
make_key workers 2048
config=(--mode homo --parties 1 --rounds 3)

# An aggregator that worker-1 attacks while it runs; its refusal is the output.
attacked_by() {
    local pattern=$1
    shift
    rm -f "$RUN/aggregator.port"
    (
        for ((i = 0; i < 400; i++)); do [ -s "$RUN/aggregator.port" ] && break; sleep 0.02; done
        exec "$@" --aggregator "127.0.0.1:$(cat "$RUN/aggregator.port")"
    ) >>"$RUN/log/attacker.log" 2>&1 </dev/null &
    expect_refusal "$pattern" "$BIN/cczoo-fedlr" aggregator "${config[@]}" --tee sim-sgx --sim-dir "$RUN/sim" \
        --trust-sim "$RUN/sim/trust" "${policy[@]}" --listen 127.0.0.1:0 --port-file "$RUN/aggregator.port" | sed 's/^/   /'
    wait "$!" || true
}
policy=()
attack() { attacked_by "$2" "$BIN/cczoo-fedlr-attack" "$1" --data "$RUN/data/worker-1.csv" --key "$RUN/workers.key"; }

step "(a) a worker offers a key of 1024 bits"
attack weak-key 'paillier:n-bits: '

step "(b) a ciphertext that is not below n^2"
attack large 'paillier:c-range: '

step "(c) a ciphertext that shares a factor with n: decrypting such a one can give the key away"
attack factor 'paillier:c-gcd: '

step "(d) a ciphertext under another key"
attack other-key 'paillier:key: '

step "(e) a careless worker would send a ciphertext without randomness, which everybody can read"
expect_refusal 'paillier:not-randomised: ' "$BIN/cczoo-fedlr-attack" plain --key "$RUN/workers.key" | sed 's/^/   /'

step "(f) a worker without evidence, where the aggregator asks for some"
policy=(--client-policy "$RUN/policy.json")
rm -f "$RUN/aggregator.port"
start aggregator "$BIN/cczoo-fedlr" aggregator "${config[@]}" --tee sim-sgx --sim-dir "$RUN/sim" --trust-sim "$RUN/sim/trust" \
    "${policy[@]}" --listen 127.0.0.1:0 --port-file "$RUN/aggregator.port"
wait_file aggregator "$RUN/aggregator.port" 10
unattested() { # it asks for evidence, but gives none
    "$BIN/cczoo-fedlr" worker "${config[@]}" --aggregator "127.0.0.1:$(cat "$RUN/aggregator.port")" --data "$RUN/data/worker-1.csv" \
        --key "$RUN/workers.key" --trust-sim "$RUN/sim/trust" --policy "$RUN/policy.json"
}
expect_refusal 'peer:ratls:no-evidence: ' unattested | sed 's/^/   /'

say "ok: six attacks, six refusals"
