#!/usr/bin/env bash
# Bundles from end to end: pack with a key of the KMS, serve, publish version 2, roll back, swap files, take the key back, lose the KMS.
. "$(dirname "$0")/served.sh"
run_begin test-model-bundle
make_platform
start_kms
kms policy put model-server "$RUN/policy.json" >/dev/null
ADMIN=(--kms "$KMS" --admin-key "$RUN/admin.key" --trust-sim "$RUN/sim/trust" --policy "$RUN/kms-policy.json")
model() { "$BIN/cczoo" model "$@" 2>>"$RUN/log/model.log"; }

step "keygen, pack"
model keygen "$RUN/signer" >/dev/null
model keygen --ed25519 "$RUN/owner" >/dev/null
model keygen "$RUN/stranger" >/dev/null
[ "$(stat -c %a "$RUN/signer")" = 600 ] || die "the private key is not for its owner alone"
# pack DIR VERSION OPTION...
pack() {
    local dir=$1 version=$2
    shift 2
    model pack "$MODEL/1" "$dir" --name fashion-mnist --version "$version" --sign-key "$RUN/signer" --owner-key "$RUN/owner" \
        --key key/models/fashion --bind model-server "${ADMIN[@]}" "$@"
}
pack "$RUN/v1" 1
pack "$RUN/v2" 2
grep -q 'key key/models/fashion version 2 is in the KMS' "$RUN/log/model.log"
grep -q 'cczoo kms disable key/models/fashion --version 1' "$RUN/log/model.log"
model inspect "$RUN/v2" >"$RUN/inspect"
grep -qE '^key +key/models/fashion version 2$' "$RUN/inspect" && grep -qE '^engine +tensorflow$' "$RUN/inspect" || die "$(cat "$RUN/inspect")"
model inspect --json "$RUN/v2" | python3 -c '
import hashlib, json, os, sys
text = sys.stdin.read().rstrip("\n")
m = json.loads(text)
folder = sys.argv[1]
assert text == open(folder + "/manifest.json").read() == json.dumps(m, sort_keys=True, separators=(",", ":"))
for f in m["files"]:
    path = os.path.join(folder, "files", f["path"])
    assert hashlib.sha256(open(path, "rb").read()).hexdigest() == f["sha256"], path
    plain = os.path.join(sys.argv[2], f["path"])
    assert os.path.getsize(plain) == f["size"]
    assert hashlib.sha256(open(plain, "rb").read()).hexdigest() not in text  # which public model it is, nobody reads there
assert len(m["files"]) >= 3' "$RUN/v2" "$MODEL/1"
# both signatures by somebody else
openssl dgst -sha256 -verify "$RUN/signer.pub" -signature <(python3 -c '
import sys
s = open(sys.argv[1], "rb").read()
def integer(b):
    b = b.lstrip(b"\0") or b"\0"
    b = b"\0" + b if b[0] & 128 else b
    return bytes([2, len(b)]) + b
body = integer(s[:32]) + integer(s[32:])
sys.stdout.buffer.write(bytes([48, len(body)]) + body)' "$RUN/v2/manifest.sig") "$RUN/v2/manifest.json" >/dev/null
openssl pkeyutl -verify -pubin -inkey "$RUN/owner.pub" -rawin -in "$RUN/v2/manifest.json" -sigfile "$RUN/v2/owner.sig" >/dev/null
model verify "$RUN/v2" --signer "$RUN/stranger.pub,$RUN/signer.pub" --owner "$RUN/owner.pub" --version 2 --name fashion-mnist >/dev/null
status 1 "$BIN/cczoo" model verify "$RUN/v2" --signer "$RUN/stranger.pub"
has err 'refused: bundle:signer: '
status 1 "$BIN/cczoo" model verify "$RUN/v1" --signer "$RUN/signer.pub" --min-version 2
has err 'refused: bundle:rolled-back: version 1 / version 2 or later'
cp -r "$RUN/v2" "$RUN/flipped"
"$ROOT/scripts/flip-byte" "$RUN/flipped/files/saved_model.pb" 70
status 1 "$BIN/cczoo" model verify "$RUN/flipped" --signer "$RUN/signer.pub"
has err 'refused: bundle:sealed-digest: saved_model.pb / '
status 3 "$BIN/cczoo" model pack "$MODEL/1" "$RUN/v2" --name fashion-mnist --version 2 --sign-key "$RUN/signer" --key key/models/fashion "${ADMIN[@]}"
has err 'file:exists' # and the KMS has made no version for it
kms describe key/models/fashion | grep -q 'version 3' && die "a version for nothing"
cp "$RUN/signer.pub" "$RUN/signer.value" # a value has a file of mode 0600
chmod 600 "$RUN/signer.value"
kms secret put trust/signer --from "$RUN/signer.value" --bind model-server >/dev/null

BUNDLE=(--kms-key key/models/fashion --bundle-signer secret/trust/signer --bundle-owner "$RUN/owner.pub" --rest 127.0.0.1:0 --model-dir model)
# put VERSION: this one lies where the server looks.
put() { rm -rf "$RUN/model" && cp -r "$RUN/v$1" "$RUN/model"; }
# served VERSION|none: what the server says of the model.
says() { curl -sk -m 20 "https://127.0.0.1:$(cat "$RUN/server.rest")/v1/models/fashion-mnist"; }
# serves SECONDS VERSION: within that time this version is available, 0 = none.
serves() {
    local i got
    for ((i = 0; i < 10 * $1; i++)); do
        got=$(says | python3 -c 'import json, sys; print(max([int(v["version"]) for v in json.load(sys.stdin).get("model_version_status", []) if v["state"] == "AVAILABLE"], default=0))')
        [ "$got" != "$2" ] || return 0
        sleep 0.1
    done
    tail -n 5 "$RUN/log/server.log" >&2
    die "version $got is served, expected $2"
}
audit_lines() { kms audit | grep -c StillReleased || true; }

step "what is not served"
mkdir "$RUN/models"
put 1
served_fails 1 'bundle:signer: ' '' "${BUNDLE[@]}" --bundle-signer "$RUN/stranger.pub"
served_fails 1 'bundle:owner: ' '' "${BUNDLE[@]}" --bundle-owner "$RUN/stranger.pub"
served_fails 1 'bundle:name: fashion-mnist / other' '' "${BUNDLE[@]}" --model-name other
served_fails 1 'served:bundle-key: key/models/fashion / key/other' '' "${BUNDLE[@]}" --kms-key key/other
served_fails 1 'bundle:rolled-back: version 1 / version 2 or later' 'older bundle' "${BUNDLE[@]}" --model-version 2

step "version 1 is served, then version 2; nothing of it on record but the releases"
served_start server "${BUNDLE[@]}" --kms-grace 0
serves 20 1
put 2
kill -HUP "${PIDS[server]}"
serves 60 2
sleep 5 # some polls
[ "$(audit_lines)" = 0 ] || die "polls are on record"

step "the folder is rolled back"
put 1
kill -HUP "${PIDS[server]}"
wait_log server 'model=kept where=bundle:rolled-back'
serves 5 2
kms disable key/models/fashion --version 1 >/dev/null
served_fails 1 'kms:disabled: ' '' "${BUNDLE[@]}" # a new server, which knows of no version 2
put 2
for file in manifest.json manifest.sig owner.sig files/saved_model.pb; do
    "$ROOT/scripts/flip-byte" "$RUN/model/$file" 40
    served_fails 1 '(bundle|pf):' '' "${BUNDLE[@]}"
    put 2
done

step "the KMS is away for ten seconds: the server goes on"
kill -STOP "${PIDS[kms]}"
sleep 10
serves 1 2
kill -CONT "${PIDS[kms]}"
wait_log server 'kms=silent .*model=kept'
wait_log server 'kms=answers'
serves 1 2

step "the key is taken back: unloaded within seconds"
kms disable key/models/fashion --version 2 >/dev/null
serves 15 0
wait_log server 'revoked item=key/models/fashion version=2 where=kms:disabled decision=D[1-9]'
[ "$(audit_lines)" = 1 ] || die "$(audit_lines) lines of a no"
kill -HUP "${PIDS[server]}" # asking again changes nothing
wait_log server 'model=kept where=kms:disabled'
serves 1 0
kms enable key/models/fashion --version 2 >/dev/null
kill -HUP "${PIDS[server]}"
serves 60 2

step "a key with a minimum version"
for version in 1 2; do
    model pack "$MODEL/1" "$RUN/m$version" --name fashion-mnist --version $version --sign-key "$RUN/signer" --key key/models/minimum \
        --minimum --bind model-server "${ADMIN[@]}" >/dev/null
done
kms key minimum models/minimum --decrypt 2 >/dev/null
MINIMUM=(--bundle-signer "$RUN/signer.pub" --model-dir m1)
served_fails 1 'kms:key-version-old: ' '' --kms-key key/models/minimum "${MINIMUM[@]}"
served_start minimum --kms-key key/models/minimum "${MINIMUM[@]}" --model-dir m2
stop minimum

step "another policy: the server is not what it accepts any more"
sed "s/$SERVER_ID/$KMS_ID/" "$RUN/policy.json" >"$RUN/policy2.json"
kms policy put model-server "$RUN/policy2.json" --replace >/dev/null
serves 15 0
wait_log server 'revoked .*where=policy:mrenclave'
kms policy put model-server "$RUN/policy.json" --replace >/dev/null
stop server

step "a KMS that stays away, and a grace that ends"
served_start server "${BUNDLE[@]}" --kms-grace 4 --kms-poll 1
serves 60 2
stop kms
wait_log server 'kms=silent .*model=unloaded'
serves 5 0
