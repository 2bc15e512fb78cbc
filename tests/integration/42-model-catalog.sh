#!/usr/bin/env bash
# cczoo-served with TensorFlow Serving's configuration: signed bundles and protected files of several models, versions that come, go,
# are damaged, roll back or belong to somebody else, a key that is taken back, another configuration. What is good serves on.
. "$(dirname "$0")/served.sh"
run_begin test-model-catalog
make_platform
start_kms
kms policy put model-server "$RUN/policy.json" >/dev/null
ADMIN=(--kms "$KMS" --admin-key "$RUN/admin.key" --trust-sim "$RUN/sim/trust" --policy "$RUN/kms-policy.json")
B=$RUN/store # base paths; absolute, as configurations want them
mkdir -p "$B/signed" "$B/plain" "$B/other"

step "two models: signed bundles of two versions, and protected files under key/plain"
"$BIN/cczoo" model keygen "$RUN/signer" >/dev/null 2>&1
pack() { # DIR NAME VERSION OPTION...
    "$BIN/cczoo" model pack "$MODEL/1" "$1" --name "$2" --version "$3" --sign-key "$RUN/signer" --key "key/bundle-$2" \
        --bind model-server "${ADMIN[@]}" "${@:4}" >>"$RUN/log/model.log" 2>&1 || die "pack: $(tail -n 1 "$RUN/log/model.log")"
}
pack "$RUN/v1" signed 1
pack "$RUN/v2" signed 2
pack "$RUN/v3" signed 3 --min-version 3
pack "$RUN/v4" signed 4
pack "$RUN/foreign" other 1
cp -r "$RUN/v1" "$B/signed/1"
"$BIN/cczoo" pf keygen "$RUN/plain.key" 2>>"$RUN/log/setup.log"
"$BIN/cczoo" pf encrypt --key "$RUN/plain.key" "$MODEL/1" "$B/plain/00000007" 2>>"$RUN/log/setup.log"
kms key import plain --alg aes-128 --from "$RUN/plain.key" --bind model-server >/dev/null
cat >"$RUN/models.config" <<EOF
model_config_list {
  config { name: "signed" base_path: "$B/signed" model_platform: "tensorflow" }
  config { name: 'plain', base_path: '$B/plain' }  # the platform is said by the files
}
EOF

# server NAME OPTION...: with the configuration, and nothing of the one model that served_args names
server() {
    local name=$1
    shift
    served_args
    (cd "$RUN" && exec env TF_CPP_MIN_LOG_LEVEL=3 "$BIN/cczoo-served" --listen 127.0.0.1:0 --port-file "$RUN/$name.port" --rest 127.0.0.1:0 \
        --rest-port-file "$RUN/$name.rest" --tensorflow "$TF/libtensorflow_cc.so.2" --tee sim-sgx --sim-dir "$RUN/sim" --trust-sim "$RUN/sim/trust" \
        --kms "$KMS" --kms-policy "$RUN/kms-policy.json" --bundle-signer "$RUN/signer.pub" --unsigned-too --load_retry_interval_micros=200000 \
        --max_num_load_retries=1 "$@") >>"$RUN/log/$name.log" 2>&1 </dev/null &
    started "$name"
}
server server --model_config_file="$RUN/models.config" --file_system_poll_wait_seconds=1
wait_file server "$RUN/server.port" 60
REST=https://127.0.0.1:$(cat "$RUN/server.rest")
state() { # MODEL VERSION: its state and error
    curl -sk -m 20 "$REST/v1/models/$1" | python3 -c 'import json, sys
for v in json.load(sys.stdin).get("model_version_status", []):
    if v["version"] == sys.argv[1]: print(v["state"], v["status"]["error_message"])' "$2"
}
until_state() { # MODEL VERSION PATTERN
    local i got
    for ((i = 0; i < 600; i++)); do
        got=$(state "$1" "$2" || true)
        if grep -qE "$3" <<<"$got"; then return 0; fi
        sleep 0.1
    done
    tail -n 5 "$RUN/log/server.log" >&2
    die "$1 version $2 is '$got', expected '$3'"
}
asks() { # MODEL[/versions/N]: status of a prediction
    python3 -c 'import json; print(json.dumps({"instances": [[[[0.5]] * 28] * 28]}))' >"$RUN/body"
    curl -sk -m 30 -o "$RUN/out" -w '%{http_code}' --data-binary "@$RUN/body" "$REST/v1/models/$1:predict"
}
until_state signed 1 AVAILABLE
until_state plain 7 AVAILABLE
[ "$(asks signed) $(asks plain) $(asks signed/versions/1)" = "200 200 200" ] || die "$(cat "$RUN/out")"

step "a newer version takes over; damaged, rolled back and foreign ones do not"
cp -r "$RUN/v3" "$B/signed/.3" && mv "$B/signed/.3" "$B/signed/3"
until_state signed 3 AVAILABLE
until_state signed 1 END
cp -r "$RUN/v2" "$B/signed/.2" && mv "$B/signed/.2" "$B/signed/2" # below the minimum of what was accepted, and older than what is served
cp -r "$RUN/v4" "$B/signed/.4" && "$ROOT/scripts/flip-byte" "$B/signed/.4/files/saved_model.pb" 5000 && mv "$B/signed/.4" "$B/signed/4"
until_state signed 4 'END .*(bundle|pf):'
cp -r "$RUN/foreign" "$B/signed/.5" && mv "$B/signed/.5" "$B/signed/5"
until_state signed 5 'END .*bundle:name'
cp -r "$MODEL/1" "$B/plain/.8" && mv "$B/plain/.8" "$B/plain/8" # nobody protected it
until_state plain 8 'END .*pf:'
[ "$(asks signed) $(asks signed/versions/3) $(asks plain)" = "200 200 200" ] || die "what was good is served no more"
[ "$(asks signed/versions/2)" = 404 ] || die "a version below the minimum is served"

step "folders vanish: what is served stays"
rm -rf "$B/signed" "$B/plain/00000007" "$B/plain/8"
sleep 3
[ "$(asks signed) $(asks plain)" = "200 200" ] || die "a model went with its folder"
grep -q 'alarm' "$RUN/log/server.log" || die "nobody was told"

step "a key is taken back: the model goes within seconds, the other one stays"
kms disable key/plain --version 1 >/dev/null
until_state plain 7 END
[ "$(asks plain) $(asks signed)" = "404 200" ] || die "the other model went, too: $(cat "$RUN/out")"

step "another configuration"
mkdir -p "$B/signed"
sed -i '/plain/d' "$RUN/models.config"
printf 'model_config_list { config { name: "x" base_path: "relative" } }\n' >"$RUN/bad.config"
cp "$RUN/models.config" "$RUN/good.config"
cp "$RUN/bad.config" "$RUN/models.config"
kill -HUP "${PIDS[server]}"
for ((i = 0; i < 100; i++)); do grep -q 'serve:base-path' "$RUN/log/server.log" && break; sleep 0.1; done
grep -q 'serve:base-path' "$RUN/log/server.log" || die "a wrong configuration was taken"
[ "$(asks signed)" = 200 ] || die "a wrong configuration took a model away"
cp "$RUN/good.config" "$RUN/models.config"
kill -HUP "${PIDS[server]}"
sleep 1
[ "$(asks signed) $(asks plain)" = "200 404" ] || die "$(cat "$RUN/out")"

step "starts that fail"
status=0
server never --model_config_file="$RUN/bad.config"
for ((i = 0; i < 300; i++)); do running never || break; sleep 0.1; done
! running never || die "a wrong configuration was served"
grep -q 'serve:base-path' "$RUN/log/never.log" || die "$(cat "$RUN/log/never.log")"
unset 'PIDS[never]'
for flags in '--model_base_path=/x --model_config_file=/y' '--batching_parameters_file=/x' '--port=banana' '--enable_batching=maybe'; do
    status=0
    # shellcheck disable=SC2086
    "$BIN/cczoo-served" $flags >"$RUN/out" 2>&1 || status=$?
    [ "$status" = 2 ] || die "$flags: status $status: $(cat "$RUN/out")"
done
"$BIN/cczoo-served" --version | grep -q '^cczoo-served ' || die "no version"
say ok
