#!/usr/bin/env bash
# How cczoo-served fails: at the start, with a reason, a hint and the right status; at the end, without losing a call.
. "$(dirname "$0")/served.sh"
run_begin test-served-failures
here=$ROOT/tests/integration
IMAGES=$DATA/t10k-images-idx3-ubyte.gz
make_platform
start_kms
protect_model
dead=$("$ROOT/scripts/free-port")

step "the KMS"
served_fails 3 'net:connect: .*Connection refused' 'key management service, and does it run' --kms "127.0.0.1:$dead"
served_fails 3 'net:resolve: ' 'key management service' --kms "kms.invalid:8443"
kill -STOP "${PIDS[kms]}"
served_fails 3 'rpc:connect-timeout: ' 'key management service'
kill -CONT "${PIDS[kms]}"
served_fails 1 'policy:mrenclave: [0-9a-f]{64} / [0-9a-f]{64}' '' --kms-policy "$RUN/policy.json" # it is not what this accepts

step "the key"
head -c 16 /dev/urandom >"$RUN/another.key"
kms key import loose --alg aes-128 --from "$RUN/another.key" >/dev/null
kms key import another --alg aes-128 --from "$RUN/another.key" --bind model-server >/dev/null
served_fails 3 'kms:not-found: ' 'cczoo kms ls' --kms-key key/absent
served_fails 1 'kms:name: ' '' --kms-key absent
served_fails 1 'kms:unbound: ' 'cczoo kms bind' --kms-key key/loose
served_fails 1 'pf:metadata: .*tag' 'key is not the one of this file' --kms-key key/another

step "the model"
mkdir "$RUN/empty"
cp -r "$RUN/models/fashion-mnist" "$RUN/models/moved"
cp -r "$MODEL/1" "$RUN/clear"
served_fails 3 'pf:tree: .*No such file' 'cczoo pf encrypt' --model-dir models/absent
served_fails 3 'served:model: .*holds no file' 'cczoo pf encrypt' --model-dir empty
served_fails 1 'pf:path: models/fashion-mnist/.* / models/moved/' 'another place' --model-dir models/moved
served_fails 1 'pf:' 'not a protected file' --model-dir clear # never served in clear by mistake
served_fails 3 'served:library: ' 'fetch-tensorflow' --tensorflow "$RUN/absent/libtensorflow_cc.so.2"

step "the ports"
served_fails 3 'net:listen: .*Address already in use' 'port 0' --listen "$KMS"
served_fails 3 'net:listen: .*Address already in use' 'port 0' --rest "$KMS"

step "SIGTERM while it waits for a model that is not there yet"
mkdir "$RUN/nothing"
"$BIN/cczoo-served" --listen 127.0.0.1:0 --model_name m --model_base_path "$RUN/nothing" --models-in-clear-insecure \
    --tensorflow "$TF/libtensorflow_cc.so.2" --tee sim-sgx --sim-dir "$RUN/sim" >"$RUN/log/waits.log" 2>&1 </dev/null &
waits=$!
for ((i = 0; i < 600; i++)); do grep -q 'alarm model=m' "$RUN/log/waits.log" && break || sleep 0.1; done
kill -TERM "$waits"
for ((i = 0; i < 600; i++)); do kill -0 "$waits" 2>/dev/null && sleep 0.1 || break; done
if kill -0 "$waits" 2>/dev/null; then
    kill -KILL "$waits"
    die "a server that waits for a model did not end"
fi
wait "$waits" || die "a server that waits for a model did not end well: $(cat "$RUN/log/waits.log")"
grep 'stopping signal=15' "$RUN/log/waits.log"

# Five long gRPC calls keep the only worker busy; REST calls wait behind them. All are under way when SIGTERM comes.
step "SIGTERM with calls in flight: each is answered"
served_start server --rest 127.0.0.1:0 --threads 1 --grace 120 # a busy machine must not decide
pid=${PIDS[server]} rest=https://127.0.0.1:$(cat "$RUN/server.rest")
for form in row object column; do python3 "$here/rest.py" body $form "$IMAGES" 5 >"$RUN/body.$form"; done
calls=()
for i in 1 2 3 4; do # ahead of the calls that are looked at: a fast processor is through with one client in half a second
    infer "127.0.0.1:$(cat "$RUN/server.port")" --batch 2000 --connections 5 --in-flight 5 --retries 0 >"$RUN/ahead.$i" 2>&1 &
    calls+=($!)
done
sleep 0.1
infer "127.0.0.1:$(cat "$RUN/server.port")" --batch 2000 --connections 5 --in-flight 5 --retries 0 \
    --expect-classes "$(sed -n 's/.*"test_classes_sha256": *"\([0-9a-f]*\)".*/\1/p' "$MODEL/model.json")" \
    >"$RUN/grpc.out" 2>"$RUN/grpc.err" &
calls+=($!)
for ((i = 0; i < 100; i++)); do # until the first call keeps the worker busy
    grep -qs 'server accepted' "$RUN/grpc.err" && break
    sleep 0.05
done
sleep 0.3
for form in row object column; do
    curl -sk -m 60 -o "$RUN/rest.$form" -w '%{http_code}' --data-binary "@$RUN/body.$form" \
        "$rest/v1/models/fashion-mnist:predict" >"$RUN/rest.$form.code" &
    calls+=($!)
done
sleep 0.4
[ ! -s "$RUN/rest.row.code" ] && [ ! -s "$RUN/grpc.out" ] || die "the calls were over before the signal: this tests nothing"
kill -TERM "$pid"
for ((i = 0; i < 200; i++)); do # until it has heard it, and a moment more
    if grep -q 'stopping signal=15' "$RUN/log/server.log"; then break; fi
    sleep 0.05
done
sleep 0.1
[ ! -s "$RUN/rest.row.code" ] && [ ! -s "$RUN/grpc.out" ] || die "the calls did not outlast the signal: this tests nothing"
if curl -sk -m 5 -o /dev/null "$rest/v1/models/fashion-mnist"; then die "a new connection was served after the signal"; fi
for call in "${calls[@]}"; do wait "$call" || die "a call was lost: $(cat "$RUN/grpc.err")"; done
grep '^accuracy' "$RUN/grpc.out"
for form in row object column; do
    [ "$(cat "$RUN/rest.$form.code")" = 200 ] || die "REST call $form was lost: $(cat "$RUN/rest.$form.code")"
done
for ((i = 0; i < 100; i++)); do kill -0 "$pid" 2>/dev/null && sleep 0.1; done
if kill -0 "$pid" 2>/dev/null; then die "the server did not end"; fi
grep -q 'stopping signal=15' "$RUN/log/server.log" || die "it ended for another reason"
unset 'PIDS[server]'
served_start again --insecure-tls-only # the answers are those of a calm server
python3 "$here/rest.py" grpc-body "$IMAGES" 5 >"$RUN/grpc.in"
curl -sk -m 60 --http2 -H 'content-type: application/grpc' -H 'te: trailers' --data-binary "@$RUN/grpc.in" -o "$RUN/grpc.answer" \
    "https://127.0.0.1:$(cat "$RUN/again.port")/tensorflow.serving.PredictionService/Predict"
python3 "$here/rest.py" same "$RUN/rest" "$RUN/grpc.answer" 5

# A client that never takes its answer must not keep the server alive for ever.
step "SIGTERM with a client that does not read"
served_start stuck --rest 127.0.0.1:0
pid=${PIDS[stuck]}
python3 - "$(cat "$RUN/stuck.rest")" <<'PY' &
import socket, ssl, sys, time
c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
c.check_hostname, c.verify_mode = False, ssl.CERT_NONE
s = c.wrap_socket(socket.create_connection(("127.0.0.1", int(sys.argv[1]))))
s.sendall(b"POST /v1/models/fashion-mnist:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n{")
time.sleep(30)  # the rest of the body never comes
PY
slow=$!
sleep 1
kill -TERM "$pid"
for ((i = 0; i < 120; i++)); do kill -0 "$pid" 2>/dev/null && sleep 0.1; done
kill "$slow" 2>/dev/null || true
if kill -0 "$pid" 2>/dev/null; then die "a slow client keeps the server alive"; fi
unset 'PIDS[stuck]'
say ok
