#!/usr/bin/env bash
# Keys that work inside the KMS, through the daemon: operators make and rotate them, workloads use them by the policy of each operation,
# clients without evidence use those that were made for that; a restart, another master key, a backup; no value in a log or file.
. "$(dirname "$0")/kms.sh"
run_begin test-kms-keys
kms_setup
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$RUN/client.key" 2>/dev/null
status 0 "$BIN/cczoo-kmsd" admin --state "$RUN/kms" --admin-key "$RUN/client.key" --role client
policy_for "$RUN/cli-policy.json" "$BIN/cczoo"
kms_start

# work VERB...: the command line as an attested workload.
work() {
    reach
    "$BIN/cczoo" kms key "$@" "${REACH[@]}" --tee sim-sgx --sim-dir "$RUN/sim"
}
# client VERB...: without evidence.
client() {
    reach
    "$BIN/cczoo" kms key "$@" "${REACH[@]}" --admin-key "$RUN/client.key"
}
put() { printf '%s' "$2" >"$1" && chmod 600 "$1"; }

step "made"
status 0 kms policy put cli "$RUN/cli-policy.json"
status 0 kms policy put probe "$RUN/probe-policy.json"
status 0 kms key create pay/aead --alg aes-256-gcm --bind cli --rotate-every 90d
has out '^created key/pay/aead version 1, audit line [0-9]+$'
status 0 kms key create sign --alg ecdsa-p256 --bind cli
status 0 kms key create p384 --alg ecdsa-p384 --bind cli
status 0 kms key create rsa --alg rsa-3072 --ops sign,verify,public-key --bind cli
status 0 kms key create mac --alg hmac-sha256 --bind cli
status 1 kms key create rsa2 --alg rsa-2048
has err '^refused: kms:key-usage: '
status 1 kms key create x --alg aes-512
has err '^refused: kms:key-kind: '
status 1 kms key create x --alg aes-256 --ops encrypt
has err '^refused: kms:key-unmanaged: '
status 3 kms key create sign --alg ed25519
has err 'kms:exists'
has err '^hint: .*cczoo kms key rotate'
status 0 kms key info pay/aead
has out '^rotates next 20'
has out '^policy for everything else: cli$'
status 0 kms key info pay/aead --json
has out '"kind":"aes-256-gcm","ops":"encrypt,decrypt,data-key,rewrap,wrap,unwrap,derive,export","latest":1'
status 0 kms ls
has out '^key/sign +ecdsa-p256 +1 '

step "used by a workload, and by nobody else"
put "$RUN/text" "attack at dawn marker"
status 0 work encrypt pay/aead --from "$RUN/text" --aad row7
has out '^ccz1:1:[A-Za-z0-9_-]+$'
cp "$RUN/out" "$RUN/sealed"
status 0 work decrypt pay/aead --from "$RUN/sealed" --aad row7 --out "$RUN/back"
cmp -s "$RUN/text" "$RUN/back" || die "another text came back"
[ "$(stat -c %a "$RUN/back")" = 600 ] || die "a text is open to others"
status 3 work decrypt pay/aead --from "$RUN/sealed" --aad row7 --out "$RUN/back" # it exists
status 1 work decrypt pay/aead --from "$RUN/sealed" --aad row8 --out "$RUN/none"
has err 'kms:key-decrypt'
[ ! -e "$RUN/none" ] || die "a refusal left a file"
status 1 kms key encrypt pay/aead --from "$RUN/text"
has err '^refused: kms:workload-required: '
status 1 client encrypt pay/aead --from "$RUN/text"
has err '^refused: kms:key-unattested: '
status 1 probe release key/pay/aead
has err '^refused: policy:mrenclave: '

step "by the policy of each operation"
status 0 kms key bind pay/aead decrypt probe
status 1 work decrypt pay/aead --from "$RUN/sealed" --aad row7 --out "$RUN/none"
has err '^refused: policy:mrenclave: '
status 0 work encrypt pay/aead --from "$RUN/text"
status 0 kms key info pay/aead
has out '^policy for decrypt: probe$'
status 0 kms key unbind pay/aead decrypt
rm -f "$RUN/back"
status 0 work decrypt pay/aead --from "$RUN/sealed" --aad row7 --out "$RUN/back"

step "signatures, MACs, data keys, wrapping"
status 0 work sign sign --from "$RUN/text" --out "$RUN/sig" --form der
status 0 work verify sign --from "$RUN/text" --signature "$RUN/sig" --form der
status 0 kms key public sign
cp "$RUN/out" "$RUN/sign.pem"
openssl dgst -sha256 -verify "$RUN/sign.pem" -signature "$RUN/sig" "$RUN/text" >/dev/null || die "openssl does not verify it"
status 1 work verify sign --from "$RUN/sealed" --signature "$RUN/sig" --form der
has err 'pkey:signature'
status 0 work sign p384 --from "$RUN/text" --out "$RUN/p384.sig" --form der # with the hash that is usual for the kind
status 0 work verify p384 --from "$RUN/text" --signature "$RUN/p384.sig" --form der
status 0 kms key public p384
cp "$RUN/out" "$RUN/p384.pem"
openssl dgst -sha384 -verify "$RUN/p384.pem" -signature "$RUN/p384.sig" "$RUN/text" >/dev/null || die "openssl does not verify P-384"
openssl dgst -sha384 -binary "$RUN/text" >"$RUN/text.sha384"
status 0 work verify p384 --from "$RUN/text.sha384" --signature "$RUN/p384.sig" --form der --prehashed
status 0 work sign rsa --from "$RUN/text" --out "$RUN/rsa.sig"
status 0 kms key public rsa
cp "$RUN/out" "$RUN/rsa.pem"
openssl dgst -sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32 -verify "$RUN/rsa.pem" -signature "$RUN/rsa.sig" "$RUN/text" \
    >/dev/null || die "openssl does not verify the RSA signature"
status 1 work encrypt sign --from "$RUN/text"
has err 'kms:key-op'
status 0 work hmac mac --from "$RUN/text"
mac=$(cat "$RUN/out")
status 0 work hmac-verify mac --from "$RUN/text" --mac "$mac"
status 1 work hmac-verify mac --from "$RUN/sealed" --mac "$mac"
has err 'kms:key-mac'
status 0 work data-key pay/aead --out "$RUN/dk"
cp "$RUN/out" "$RUN/dk.sealed"
status 0 work decrypt pay/aead --from "$RUN/dk.sealed" --out "$RUN/dk2"
cmp -s "$RUN/dk" "$RUN/dk2" || die "another data key came back"
status 2 work data-key pay/aead --out - # it would be a file of that name
[ ! -e - ] || die "a data key went into a file named -"
status 0 work wrap pay/aead --from "$RUN/dk" --out "$RUN/wrapped"
status 0 work unwrap pay/aead --from "$RUN/wrapped" --out "$RUN/dk3"
cmp -s "$RUN/dk" "$RUN/dk3" || die "another key was unwrapped"
status 0 work derive mac "tenant 7" --out "$RUN/derived"
[ "$(stat -c %s "$RUN/derived")" = 32 ] || die "a derived key of another size"

step "versions"
status 0 kms key rotate pay/aead
has out '^rotated key/pay/aead version 2, '
status 0 work rewrap pay/aead --from "$RUN/sealed" --aad row7
has out '^ccz1:2:'
cp "$RUN/out" "$RUN/sealed2"
status 1 work data-key pay/aead --version 1
has err '^refused: kms:key-version-old: '
status 0 kms key minimum pay/aead --decrypt 1 --encrypt 1
status 0 work data-key pay/aead --version 1
has out '^ccz1:1:'
status 0 work data-key pay/aead
has out '^ccz1:2:'
status 0 kms key minimum pay/aead --decrypt 2
status 1 work decrypt pay/aead --from "$RUN/sealed" --aad row7 --out "$RUN/none"
has err '^refused: kms:key-version-old: 1 / 2'
rm -f "$RUN/back"
status 0 work decrypt pay/aead --from "$RUN/sealed2" --aad row7 --out "$RUN/back"
status 0 kms disable key/pay/aead
status 1 work decrypt pay/aead --from "$RUN/sealed2" --aad row7 --out "$RUN/none"
has err 'kms:key-disabled'
status 0 kms enable key/pay/aead
status 0 kms rm key/pay/aead
status 1 kms destroy key/pay/aead
has err 'kms:key-early'
status 0 kms undelete key/pay/aead

step "which KMS it is, for those who may ask"
status 0 kms status
id=$(sed -n 's/^instance //p' "$RUN/out")
status 0 kms key info sign --kms-id "$id"
status 1 kms key info sign --kms-id "00000000000000000000000000000000"
has err '^refused: kms:instance'
status 2 work encrypt pay/aead --from "$RUN/text" --kms-id "$id"
has err '^error: --kms-id needs --admin-key'

step "without evidence, only where a key was made for it"
status 0 kms key create unseal --alg aes-256-gcm --unattested-insecure
status 0 client encrypt unseal --from "$RUN/text"
cp "$RUN/out" "$RUN/unseal.sealed"
status 0 client decrypt unseal --from "$RUN/unseal.sealed" --out "$RUN/unsealed"
cmp -s "$RUN/text" "$RUN/unsealed" || die "another text for the client"
status 1 client rotate unseal
has err '^refused: kms:role: client / '

step "import"
put "$RUN/foreign" "0123456789abcdef0123456789ABCDEF"
status 0 kms key import in --alg aes-256-gcm --from "$RUN/foreign" --bind cli
has out '^imported key/in version 1'
status 0 kms key import in --alg aes-256-gcm --from "$RUN/foreign" --new-version
has out '^imported key/in version 2'
status 1 kms key rotate in
has err 'kms:key-imported'
status 2 kms key import in --alg aes-256-gcm --from "$RUN/foreign" --new-version --rotate-every 90d
has err '^hint: --rotate-every is an option of cczoo kms key create$'
status 2 kms key info in --version 1
has err '^hint: --version is an option of cczoo kms key encrypt, data-key, '
status 2 kms key bind in decrypt probe --valid 3
has err '^hint: --valid is an option of cczoo kms propose$'
# as an HSM would: openssl wraps, the KMS unwraps
status 0 kms key import-token hsm --alg aes-256-gcm
cp "$RUN/out" "$RUN/params"
python3 -c "import json,base64,sys; p=json.load(open(sys.argv[1])); open(sys.argv[2],'wb').write(base64.b64decode(p['wrapping_key'])); print(p['token'])" \
    "$RUN/params" "$RUN/wrapping.der" >"$RUN/token"
openssl rand 32 >"$RUN/kek"
openssl pkeyutl -encrypt -pubin -keyform DER -inkey "$RUN/wrapping.der" -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 \
    -pkeyopt rsa_mgf1_md:sha256 -in "$RUN/kek" -out "$RUN/blob"
openssl enc -id-aes256-wrap-pad -K "$(od -An -tx1 -v "$RUN/kek" | tr -d ' \n')" -iv A65959A6 -in "$RUN/foreign" >>"$RUN/blob"
status 0 kms key import-wrapped hsm --alg aes-256-gcm --from "$RUN/blob" --token "$(cat "$RUN/token")"
status 1 kms key import-wrapped hsm2 --alg aes-256-gcm --from "$RUN/blob" --token "$(cat "$RUN/token")"
has err 'kms:import-token'
status 0 kms rm key/hsm --no-recovery
status 1 kms key import-wrapped hsm --alg aes-256-gcm --from "$RUN/blob" --token "$(cat "$RUN/token")"
has err 'kms:import-used'

step "a kill, a restart, another master key: the same keys"
kill -KILL "${PIDS[kms]}"
wait "${PIDS[kms]}" 2>/dev/null || true
unset "PIDS[kms]"
kms_start
rm -f "$RUN/back"
status 0 work decrypt pay/aead --from "$RUN/sealed2" --aad row7 --out "$RUN/back"
cmp -s "$RUN/text" "$RUN/back" || die "another text after a kill"
status 1 kms key import-wrapped hsm --alg aes-256-gcm --from "$RUN/blob" --token "$(cat "$RUN/token")" # tokens end with the server
has err 'kms:import-token'
kms_stop
status 0 "$BIN/cczoo-kmsd" rekey --state "$RUN/kms" --new-master-key "$RUN/kms/master.key"
status 0 "$BIN/cczoo-kmsd" check --state "$RUN/kms"
kms_start
rm -f "$RUN/back"
status 0 work decrypt pay/aead --from "$RUN/sealed2" --aad row7 --out "$RUN/back"
cmp -s "$RUN/text" "$RUN/back" || die "another text under another master key"
status 0 work verify sign --from "$RUN/text" --signature "$RUN/sig" --form der

step "on record, and no value anywhere"
status 0 kms audit
has out 'Encrypt accept key/pay/aead version 1 policy=cli rule=program by workload sgx'
has out 'Decrypt reject key/pay/aead .*where=kms:key-version-old got=1 expected=2'
has out 'Encrypt accept key/unseal version 1 by admin'
kms_stop
for f in "$RUN"/kms/kms.sqlite* "$RUN"/log/*; do
    if grep -qaE "dawn marker|0123456789abcdef0123456789ABCDEF|$(cat "$RUN/token")|$mac" "$f" ||
        LC_ALL=C grep -qaF -e "$(tail -c +9 "$RUN/sealed2")" "$f"; then
        die "$f holds a value"
    fi
done
say ok
