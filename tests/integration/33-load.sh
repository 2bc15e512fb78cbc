#!/usr/bin/env bash
# `cczoo load` on an attested server: every interface, reports, and what it says of failures and of other answers.
. "$(dirname "$0")/served.sh"
run_begin test-load
make_platform
start_kms
protect_model
served_start server --rest 127.0.0.1:0 --rest-port-file "$RUN/server.rest"
TARGET=127.0.0.1:$(cat "$RUN/server.port") REST=https://127.0.0.1:$(cat "$RUN/server.rest")
INPUT='images:float[2,28,28,1]=random'

load() { # OPTION...: the answer in RUN/out
    "$BIN/cczoo" load --model fashion-mnist --input "$INPUT" --warm-up 0 --seconds 60 "$@" >"$RUN/out" 2>"$RUN/err"
}
attested() { load --target "$TARGET" --policy "$RUN/policy.json" --trust-sim "$RUN/sim/trust" "$@"; }
fails() { # STATUS PATTERN COMMAND...
    local want=$1 pattern=$2 status=0
    shift 2
    "$@" || status=$?
    [ "$status" = "$want" ] && grep -qE -- "$pattern" "$RUN/err" || { cat "$RUN/err" >&2; die "status $status, expected $want and '$pattern': $*"; }
}
number() { # WHAT: one number of the JSON
    python3 -c 'import json, sys; v = json.load(open(sys.argv[1]))
for k in sys.argv[2].split("."): v = v[k]
print(v)' "$RUN/out" "$1"
}

step "every interface answers, each time the same"
for api in grpc grpc-v2; do
    attested --api $api --in-flight 4 --calls 100 --answers-max 1 --json || die "$api: $(cat "$RUN/err")"
    [ "$(number latency_ms.calls) $(number codes.OK) $(number simulated)" = "100 100 True" ] || die "$api: $(cat "$RUN/out")"
    grep -q SIMULATED "$RUN/err" || die "evidence of a software TEE was not called SIMULATED"
done
for api in rest rest-v2 rest-v2-binary; do
    load --rest "$REST" --any-certificate-insecure --api $api --in-flight 2 --calls 30 --answers-max 1 --json || die "$api: $(cat "$RUN/err")"
    [ "$(number latency_ms.calls)" = 30 ] || die "$api: $(cat "$RUN/out")"
done

step "a fixed rate, a page with curves"
attested --rate 200 --in-flight 8 --calls 100 --json-file "$RUN/load.json" --html-file "$RUN/load.html" || die "$(cat "$RUN/err")"
grep -q '^answered    100 calls' "$RUN/out" && grep -q SIMULATED "$RUN/out" || die "$(cat "$RUN/out")"
grep -q '<svg' "$RUN/load.html" && grep -q SIMULATED "$RUN/load.html" && python3 -m json.tool "$RUN/load.json" >/dev/null || die "the reports are not whole"

step "failures are counted by code, and are a failure"
fails 1 'load:failures: 20 / 0' attested --model none --calls 20
grep -q '^failed      20 calls: NOT_FOUND' "$RUN/out" || die "$(cat "$RUN/out")"
attested --model none --calls 20 --failures-max 20 || die "failures that were allowed: $(cat "$RUN/err")"
fails 1 'load:failures: 5 / 0' load --rest "$REST" --any-certificate-insecure --api rest --calls 5 --signature none
grep -q '^failed      5 calls: INVALID_ARGUMENT' "$RUN/out" || die "$(cat "$RUN/out")"

step "who is asked, and how, is not left to chance"
sed 's/"mrenclave": "[0-9a-f]*"/"mrenclave": "'"$(printf '0%.0s' {1..64})"'"/' "$RUN/policy.json" >"$RUN/other.json"
fails 1 'policy:mrenclave' attested --policy "$RUN/other.json" --calls 1
fails 2 'insecure-tls-only' load --target "$TARGET" --calls 1
fails 2 'needs --rest URL' attested --api rest --calls 1
fails 1 'http:certificate' load --rest "$REST" --api rest --calls 1
say "ok"
