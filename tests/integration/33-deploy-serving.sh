#!/usr/bin/env bash
# The model server as deploy/serving starts it: the arguments of its manifests (base, tensorflow, sim) and the steps of its README, with paths and ports of
# this machine.
. "$(dirname "$0")/served.sh"
DEPLOY=$ROOT/deploy/serving
run_begin test-deploy-serving
make_platform
start_kms
ADMIN=(--kms "$KMS" --admin-key "$RUN/admin.key" --trust-sim "$RUN/sim/trust" --policy "$RUN/kms-policy.json")

step "the owner: policy, keys, a bundle"
kms policy put model-server "$RUN/policy.json" >/dev/null
"$BIN/cczoo" model keygen "$RUN/signer.key" >/dev/null 2>>"$RUN/log/model.log"
(umask 077 && cp "$RUN/signer.key.pub" "$RUN/signer.value")
kms secret put trust/signer --from "$RUN/signer.value" --bind model-server >/dev/null
mkdir -p "$RUN/models/fashion-mnist" "$RUN/etc"
"$BIN/cczoo" model pack "$MODEL/1" "$RUN/models/fashion-mnist/1" --name fashion-mnist --version 1 --sign-key "$RUN/signer.key" \
    --key key/models/fashion-mnist --bind model-server "${ADMIN[@]}" >/dev/null 2>>"$RUN/log/model.log"
cat >"$RUN/etc/models.config" <<CONFIG
model_config_list { config { name: 'fashion-mnist' base_path: '$RUN/models/fashion-mnist' } }
CONFIG
KMS_ID=$(kms status | awk '$1 == "instance" {print $2}')
[[ $KMS_ID =~ ^[0-9a-f]{32}$ ]] || die "no id of the KMS: $(kms status)"

step "the arguments of the manifests"
mapfile -t ARGUMENTS < <(
    sed -nE 's/^            - (--[^ ]+).*/\1/p' "$DEPLOY/base/served.yaml" | grep -v '^--onnxruntime='
    sed -nE 's/.*value: (--[^ }]+)\}.*/\1/p' "$DEPLOY/tensorflow/kustomization.yaml" "$DEPLOY/sim/kustomization.yaml" | grep -v '^--onnxruntime='
)
# arguments KMS_ID: those of a pod, in ARGS
arguments() {
    mapfile -t ARGS < <(printf '%s\n' "${ARGUMENTS[@]}" |
        sed -e "s|/opt/engine|$TF|" -e "s|/etc/cczoo/models|$RUN/etc|" -e "s|/etc/cczoo/kms/policy.json|$RUN/kms-policy.json|" \
            -e "s|/var/lib/cczoo/sim|$RUN/sim|" -e 's|0\.0\.0\.0:.*|127.0.0.1:0|' \
            -e "s|\$(KMS_ADDRESS)|$KMS|" -e "s|\$(KMS_ID)|$1|" -e 's|$(POD_NAME)|pod-1|')
}
[ ${#ARGUMENTS[@]} -ge 15 ] || die "arguments were not found: ${ARGUMENTS[*]}"

step "another KMS than the one that was named is refused"
status=0
arguments "$(tr 0-9a-f 1-9a-f0 <<<"$KMS_ID")"
timeout 60 "$BIN/cczoo-served" "${ARGS[@]}" --max_num_load_retries=0 >"$RUN/log/other.log" 2>&1 </dev/null || status=$?
[ "$status" != 0 ] && [ "$status" != 124 ] && grep -q 'kms:instance' "$RUN/log/other.log" || die "status $status: $(tail -n 3 "$RUN/log/other.log")"

step "it serves, and probes and adapter find what the manifests name"
arguments "$KMS_ID"
METRICS=$("$ROOT/scripts/free-port")
start server env TF_CPP_MIN_LOG_LEVEL=3 "$BIN/cczoo-served" "${ARGS[@]}" --port-file "$RUN/server.port" --rest-port-file "$RUN/server.rest" \
    --metrics "127.0.0.1:$METRICS"
wait_file server "$RUN/server.port" 120
for path in $(sed -nE 's/.*path: ([^,]+), port: rest.*/\1/p' "$DEPLOY/base/served.yaml"); do
    [ "$(curl -sk -m 20 -o /dev/null -w '%{http_code}' "https://127.0.0.1:$(cat "$RUN/server.rest")$path")" = 200 ] || die "$path is not 200"
done
infer "127.0.0.1:$(cat "$RUN/server.port")" --limit 100 >"$RUN/answers" 2>>"$RUN/log/infer.log" || die "$(tail -n 3 "$RUN/log/infer.log")"
metric=$(sed -nE 's/.*metric: \{name: (\w+)\}.*/\1/p' "$DEPLOY/base/scale.yaml")
curl -s -m 20 -o "$RUN/page" "http://127.0.0.1:$METRICS/metrics"
grep -q "^$metric{model_name=\"fashion-mnist\"} 0" "$RUN/page" || die "no metric $metric"

ready() { curl -sk -m 20 -o /dev/null -w '%{http_code}' "https://127.0.0.1:$(cat "$RUN/server.rest")/v2/health/$1"; }
# policy_of MEASUREMENTS: the policy of servers, with these.
policy_of() { sed "s/\"mrenclave\": \"@MODEL_SERVER@\"/\"mrenclave\": [$1]/" "$HERE/policy.json" >"$RUN/next.json"; }

step "a roll: two measurements leave the old server alone, the new one without it does not"
OTHER=$(printf '%064d' 7)
policy_of "\"$SERVER_ID\", \"$OTHER\""
kms replay model-server --try "$RUN/next.json" >/dev/null || die "both are allowed, and somebody would be refused"
kms policy put model-server "$RUN/next.json" --replace >/dev/null
sleep 5 # some polls
[ "$(ready ready)" = 200 ] || die "the old server has lost its model: $(tail -n 3 "$RUN/log/server.log")"
policy_of "\"$OTHER\""
status=0
kms replay model-server --try "$RUN/next.json" >/dev/null || status=$?
[ "$status" = 1 ] || die "replay: status $status, the old server would be refused"
kms policy put model-server "$RUN/next.json" --replace >/dev/null
for ((i = 0; i < 300; i++)); do
    [ "$(ready ready)" != 400 ] || break
    sleep 0.1
done
[ "$(ready ready)" = 400 ] || die "a server without a model is ready"
[ "$(ready live)" = 200 ] || die "it would be killed for what is no fault of its own"
grep -q 'model=unloaded name=fashion-mnist version=1 ' "$RUN/log/server.log" || die "$(tail -n 3 "$RUN/log/server.log")"
