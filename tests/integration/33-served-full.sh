#!/usr/bin/env bash
# A full disk below cczoo-served (a limit on file sizes stands for it): its log, its port file, and a version that was copied there half. What
# is served stays, what is not whole is not served, and it goes on once there is room.
. "$(dirname "$0")/served.sh"
run_begin test-served-full
make_platform
start_kms
protect_model
B=$RUN/store

# full COMMAND...: no file grows beyond what it has.
full() {
    trap '' XFSZ # as a full disk does: an error, no signal
    ulimit -f 0
    exec "$@"
}

step "no room for the port file: a server that nobody finds does not start"
served_args
status=0
(cd "$RUN" && full "$BIN/cczoo-served" "${ARGS[@]}" --port-file "$RUN/never.port") >/dev/null 2> >(cat >"$RUN/err") || status=$?
for ((i = 0; i < 100; i++)); do
    if grep -q '^error' "$RUN/err"; then break; fi
    sleep 0.05
done
[ "$status" = 3 ] && grep -qE '^error: file:' "$RUN/err" || die "status $status: $(cat "$RUN/err")"
[ ! -s "$RUN/never.port" ] || die "a port file that is not whole"
say "$(grep '^error' "$RUN/err" | cut -c1-110)"

step "no room for the log: it serves"
mkdir -p "$B/fashion-mnist"
"$BIN/cczoo" pf keygen "$RUN/plain.key" 2>>"$RUN/log/setup.log"
for version in 1 2; do "$BIN/cczoo" pf encrypt --key "$RUN/plain.key" "$MODEL/1" "$B/fashion-mnist/$version" 2>>"$RUN/log/setup.log"; done
mv "$B/fashion-mnist/2" "$RUN/whole"
kms key import files --alg aes-128 --from "$RUN/plain.key" --bind model-server >/dev/null
cat >"$RUN/models.config" <<EOF
model_config_list { config { name: "files" base_path: "$B/fashion-mnist" } }
EOF
(cd "$RUN" && TF_CPP_MIN_LOG_LEVEL=3 exec "$BIN/cczoo-served" --listen 127.0.0.1:0 --port-file "$RUN/server.port" --rest 127.0.0.1:0 \
    --rest-port-file "$RUN/server.rest" --tensorflow "$TF/libtensorflow_cc.so.2" --tee sim-sgx --sim-dir "$RUN/sim" --trust-sim "$RUN/sim/trust" \
    --kms "$KMS" --kms-policy "$RUN/kms-policy.json" --model_config_file="$RUN/models.config" --file_system_poll_wait_seconds=1 \
    --load_retry_interval_micros=200000 --max_num_load_retries=1) >/dev/full 2>&1 </dev/null &
started server
: >"$RUN/log/server.log"
wait_file server "$RUN/server.port" 60
REST=https://127.0.0.1:$(cat "$RUN/server.rest")
state() { # VERSION: its state and error
    curl -sk -m 20 "$REST/v1/models/files" | python3 -c 'import json, sys
for v in json.load(sys.stdin).get("model_version_status", []):
    if v["version"] == sys.argv[1]: print(v["state"], v["status"]["error_message"])' "$1"
}
until_state() { # VERSION PATTERN
    local i got
    for ((i = 0; i < 600; i++)); do
        got=$(state "$1" || true)
        if grep -qE "$2" <<<"$got"; then return 0; fi
        sleep 0.1
    done
    die "version $1 is '$got', expected '$2'"
}
# two answers: they name the version, which is 1, then 2
"$BIN/cczoo" load --target "127.0.0.1:$(cat "$RUN/server.port")" --policy "$RUN/policy.json" --trust-sim "$RUN/sim/trust" --model files \
    --input 'images:float[1,28,28,1]=random' --connections 2 --in-flight 2 --warm-up 0 --seconds 30 --retries 0 --answers-max 2 \
    >"$RUN/log/load.log" 2>&1 &
load=$!
until_state 1 AVAILABLE

step "a version that was copied as far as there was room"
whole=$(stat -c %s "$RUN/whole/saved_model.pb")
status=0
(trap '' XFSZ; ulimit -f "$((whole / 2048))"; cp -r "$RUN/whole" "$B/fashion-mnist/2") 2>"$RUN/err" || status=$?
[ "$status" != 0 ] && [ "$(stat -c %s "$B/fashion-mnist/2/saved_model.pb")" -lt "$whole" ] || die "it was copied: this tests nothing"
until_state 2 'END .*pf:'
until_state 1 AVAILABLE
say "version 2: $(state 2 | cut -c1-100)"

step "room again"
rm -r "$B/fashion-mnist/2"
sleep 5 # seen to be gone: it looks every second
cp -r "$RUN/whole" "$B/fashion-mnist/.2" && mv "$B/fashion-mnist/.2" "$B/fashion-mnist/2"
until_state 2 AVAILABLE
until_state 1 END
wait "$load" || { cat "$RUN/log/load.log" >&2; die "calls failed"; }
grep -qE '^answers +2 different' "$RUN/log/load.log" || die "the load ended before version 2 came: this tests less than it says"
say "$(sed -n 's/^answered *//p' "$RUN/log/load.log"), no call failed"
say ok
