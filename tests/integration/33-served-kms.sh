#!/usr/bin/env bash
# cczoo-served and its KMS, with one model of protected files: the key is taken back and given again; the KMS is down, is started again, is down
# for longer than the grace. What is answered meanwhile is the same answer, or a refusal. CCZOO_KMS_DOWN_S: for how long it is down.
. "$(dirname "$0")/served.sh"
run_begin test-served-kms
DOWN=${CCZOO_KMS_DOWN_S:-6}
make_platform
start_kms
protect_model
INPUT='images:float[1,28,28,1]=random'

# served_by NAME: what follows asks this server.
served_by() {
    SERVER=$1 REST=https://127.0.0.1:$(cat "$RUN/$1.rest")
}
asks() { # status of a prediction
    python3 -c 'import json; print(json.dumps({"instances": [[[[0.5]] * 28] * 28]}))' >"$RUN/body"
    curl -sk -m 30 -o "$RUN/out" -w '%{http_code}' --data-binary "@$RUN/body" "$REST/v1/models/fashion-mnist:predict"
}
until_asks() { # STATUS SECONDS
    local i got
    for ((i = 0; i < 10 * $2; i++)); do
        got=$(asks)
        [ "$got" != "$1" ] || return 0
        sleep 0.1
    done
    tail -n 5 "$RUN/log/$SERVER.log" >&2
    die "a call is answered $got, expected $1"
}
kms_again() { # the same store at the same address
    rm -f "$RUN/kms.port"
    start kms "$BIN/cczoo-kmsd" run --state "$RUN/kms" --listen "$KMS" --port-file "$RUN/kms.port" \
        --tee sim-sgx --sim-dir "$RUN/sim" --trust-sim "$RUN/sim/trust"
    wait_file kms "$RUN/kms.port" 20
}

step "the key is taken back: unloaded within seconds"
served_start server --rest 127.0.0.1:0 --kms-poll 1
served_by server
until_asks 200 20
kms disable key/fashion-mnist --version 1 >/dev/null
until_asks 404 20
wait_log "$SERVER" 'revoked item=key/fashion-mnist version=1 where=kms:disabled decision=D[1-9]'
kill -HUP "${PIDS[server]}" # asking again changes nothing
wait_log "$SERVER" 'model=kept where=kms:disabled'
[ "$(asks)" = 404 ] || die "it is served again"

step "the key is given again"
kms enable key/fashion-mnist --version 1 >/dev/null
kill -HUP "${PIDS[server]}"
until_asks 200 60

step "the KMS is down for $DOWN seconds: no call fails, and none is answered otherwise"
"$BIN/cczoo" load --target "127.0.0.1:$(cat "$RUN/server.port")" --policy "$RUN/policy.json" --trust-sim "$RUN/sim/trust" \
    --model fashion-mnist --input "$INPUT" --connections 2 --in-flight 2 --warm-up 0 --seconds "$((DOWN + 6))" --retries 0 --answers-max 1 \
    --json-file "$RUN/load.json" >"$RUN/log/load.log" 2>&1 &
load=$!
sleep 1
stop kms KILL
sleep "$DOWN"
[ "$(asks)" = 200 ] || die "it is not served any more"
wait_log "$SERVER" 'kms=silent .*model=kept'
served_fails 3 'net:connect: .*Connection refused' 'key management service, and does it run' # who has no key yet, gets none
kms_again
wait_log "$SERVER" 'kms=answers'
wait "$load" || { cat "$RUN/log/load.log" >&2; die "calls failed"; }
say "$(sed -n 's/^answered *//p' "$RUN/log/load.log"), no call failed"
kms disable key/fashion-mnist --version 1 >/dev/null # it is asked again, as before
until_asks 404 20
kms enable key/fashion-mnist --version 1 >/dev/null
stop server

step "it is down for longer than the grace: unloaded, until the key is given again"
served_start short --rest 127.0.0.1:0 --kms-poll 1 --kms-grace 3
served_by short
until_asks 200 20
stop kms KILL
until_asks 404 30
wait_log "$SERVER" 'model=unloaded .*where=served:kms-grace'
kms_again
kill -HUP "${PIDS[short]}"
until_asks 200 60
say ok
