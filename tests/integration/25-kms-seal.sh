#!/usr/bin/env bash
# Master keys that are not in a file, and the counter outside of the store: sealed to the program, in shares, in a token; rolled back.
. "$(dirname "$0")/kms.sh"
run_begin test-kms-seal

DAEMON=$BIN/cczoo-kmsd
TEE=(--tee sim-sgx --sim-dir "$RUN/sim")
MASTER=() # how the daemon of kms_start opens its store
serve() {
    KMSD=("${MASTER[@]}")
    kms_start
}
mkdir "$RUN/elsewhere"

step "a file, as before, with a counter on another disk"
kms_setup
rm -rf "$RUN/kms"
EPOCH=(--epoch "file:$RUN/elsewhere/counter")
status 2 "$DAEMON" init --state "$RUN/kms" --admin-key "$RUN/admin.key" --epoch-lag 99999
status 3 "$DAEMON" init --state "$RUN/kms" --admin-key "$RUN/admin.key" --epoch "file:$RUN/nowhere/counter"
mkdir -m 0700 "$RUN/kms1" "$RUN/kms2" "$RUN/elsewhere/blocked.lock"
status 3 "$DAEMON" init --state "$RUN/kms1" --admin-key "$RUN/admin.key" --epoch "file:$RUN/elsewhere/blocked" # no counter, no store
status 0 "$DAEMON" init --state "$RUN/kms1" --admin-key "$RUN/admin.key"
status 0 "$DAEMON" check --state "$RUN/kms1"
: >"$RUN/kms2/epoch" # as an init that was cut short leaves it
status 1 "$DAEMON" init --state "$RUN/kms2" --admin-key "$RUN/admin.key"
has err 'kms:epoch-required.*kms2'
[ ! -e "$RUN/kms2/master.key" ] || die "a key was made for a store that does not open"
status 0 "$DAEMON" init --state "$RUN/kms2" --admin-key "$RUN/admin.key" --epoch "file:$RUN/elsewhere/counter2"
status 0 "$DAEMON" check --state "$RUN/kms2" --epoch "file:$RUN/elsewhere/counter2"
status 0 "$DAEMON" init --state "$RUN/kms" --admin-key "$RUN/admin.key" "${EPOCH[@]}"
MASTER=("${EPOCH[@]}" --epoch-lag 1)
serve
status 0 kms policy put workload "$RUN/probe-policy.json"
status 0 kms key create model --alg aes-256 --bind workload
status 0 probe release key/model "$RUN/first"
kms_stop
cp -a "$RUN/kms" "$RUN/backup"
MASTER=("${EPOCH[@]}")
serve
status 0 probe release key/model
kms_stop
mv "$RUN/kms" "$RUN/newest"
cp -a "$RUN/backup" "$RUN/kms"
status 1 "$DAEMON" check --state "$RUN/kms" "${EPOCH[@]}"
has err '^refused: kms:rolled-back: [0-9]+ / [0-9]+'
has err '^hint: .*--accept-rolled-back'
status 1 "$DAEMON" check --state "$RUN/kms" # not without, either
has err 'kms:epoch-required'
status 0 "$DAEMON" check --state "$RUN/kms" "${EPOCH[@]}" --accept-rolled-back # looks, changes nothing
status 1 "$DAEMON" check --state "$RUN/kms" "${EPOCH[@]}"
status 2 "$DAEMON" run --state "$RUN/kms" --listen 127.0.0.1:0 "${TEE[@]}" "${EPOCH[@]}" --accept-rolled-back
status 0 "$DAEMON" epoch --state "$RUN/kms" "${EPOCH[@]}" --accept-rolled-back
has out '^accepted=rolled-back$'
status 0 "$DAEMON" check --state "$RUN/kms" "${EPOCH[@]}"
rm "$RUN/elsewhere/counter"
status 3 "$DAEMON" check --state "$RUN/kms" "${EPOCH[@]}"
has err 'kms:epoch-lost'
status 0 "$DAEMON" epoch --state "$RUN/kms" "${EPOCH[@]}" --accept-lost
status 0 "$DAEMON" epoch --state "$RUN/kms" "${EPOCH[@]}"
has out '^accepted=nothing$'

step "a backup while it runs, and back to it"
mkdir -m 0700 "$RUN/copies"
MASTER=("${EPOCH[@]}" --backup "$RUN/copies/kms.sqlite")
status 2 "$DAEMON" run --state "$RUN/kms" --listen 127.0.0.1:0 "${TEE[@]}" --database 'host=nowhere' --backup "$RUN/copies/kms.sqlite"
has err '^error: --backup is for SQLite'
# backed_up RESULT: makes a backup and waits until the log says what came of it.
backed_up() {
    local i before
    before=$(grep -c 'kmsd: backup=' "$RUN/log/kms.log" || true)
    kill -USR2 "${PIDS[kms]}"
    for ((i = 0; i < 200; i++)); do
        [ "$(grep -c 'kmsd: backup=' "$RUN/log/kms.log" || true)" = "$before" ] || break
        sleep 0.1
    done
    grep 'kmsd: backup=' "$RUN/log/kms.log" | tail -n 1 | grep -q "backup=$1" || { tail -n 3 "$RUN/log/kms.log" >&2; die "no backup=$1"; }
}
serve
hammer during 500 </dev/null >"$RUN/acked" 2>"$RUN/err" &
HAMMER=$!
for ((w = 0; w < 400; w++)); do [ ! -s "$RUN/acked" ] || break; sleep 0.01; done
cp "$RUN/acked" "$RUN/acked.before" # what was acknowledged before the copy has to be in it
backed_up "written file=$RUN/copies/kms.sqlite"
wait "$HAMMER" || { cat "$RUN/err" >&2; die "a backup disturbs those who call"; }
[ -s "$RUN/acked.before" ] || die "nothing was stored before the backup"
[ "$(stat -c %a "$RUN/copies/kms.sqlite")" = 600 ] || die "others may read the backup"
status 0 kms key create later --alg aes-256 --bind workload
mv "$RUN/copies" "$RUN/moved" # a backup that cannot be written harms nobody
backed_up 'failed where=file:'
mv "$RUN/moved" "$RUN/copies"
status 0 probe release key/later
kms_stop
status 1 "$DAEMON" check --state "$RUN/copies" --master-key "$RUN/kms/master.key" "${EPOCH[@]}"
has err '^refused: kms:rolled-back: '
status 0 "$DAEMON" check --state "$RUN/copies" --master-key "$RUN/kms/master.key" "${EPOCH[@]}" --accept-rolled-back
cp -a "$RUN/kms" "$RUN/newer"
rm -f "$RUN/kms/kms.sqlite-wal"
cp "$RUN/copies/kms.sqlite" "$RUN/kms/kms.sqlite"
status 0 "$DAEMON" epoch --state "$RUN/kms" "${EPOCH[@]}" --accept-rolled-back
MASTER=("${EPOCH[@]}")
serve
probe verify <"$RUN/acked.before"
status 3 probe release key/later
has err 'kms:not-found'
backed_up 'none'
kms_stop

step "rekey: sealed to this program"
status 2 "$DAEMON" rekey --state "$RUN/kms" "${EPOCH[@]}"
status 1 "$DAEMON" rekey --state "$RUN/kms" "${EPOCH[@]}" --new-master-key tee:mrenclave --tee sim-tdx --sim-dir "$RUN/sim"
has err 'tee:seal'
status 0 "$DAEMON" rekey --state "$RUN/kms" "${EPOCH[@]}" "${TEE[@]}" --new-master-key tee:mrenclave
status 1 "$DAEMON" check --state "$RUN/kms" "${EPOCH[@]}" # the old key opens nothing
has err 'kms:master-key'
rm "$RUN/kms/master.key"
status 1 "$DAEMON" check --state "$RUN/kms" "${EPOCH[@]}"
has err 'kms:master-kind'
status 0 "$DAEMON" check --state "$RUN/kms" "${EPOCH[@]}" "${TEE[@]}" --master-key tee:mrenclave
cp "$DAEMON" "$RUN/tampered" # one byte more: another measurement
printf x >>"$RUN/tampered"
status 1 "$RUN/tampered" check --state "$RUN/kms" "${EPOCH[@]}" "${TEE[@]}" --master-key tee:mrenclave
has err '^refused: kms:master-tee: [0-9a-f]{64} / [0-9a-f]{64}'
MASTER=("${EPOCH[@]}" --master-key tee:mrenclave)
serve
status 0 probe release key/model "$RUN/got"
cmp -s "$RUN/got" "$RUN/first" || die "another key after the rekey"
kms_stop

step "rekey: in shares, 2 of 3"
status 0 "$DAEMON" rekey --state "$RUN/kms" "${EPOCH[@]}" "${TEE[@]}" --master-key tee:mrenclave --new-master-key shamir:2/3 \
    --shares-dir "$RUN/shares"
[ "$(stat -c %a "$RUN/shares" "$RUN"/shares/*.txt | sort -u | tr '\n' ' ')" = "600 700 " ] || die "shares are open to others"
status 3 "$DAEMON" check --state "$RUN/kms" "${EPOCH[@]}" --master-key shamir:
has err 'kms:sealed.*0 of 2'
cat "$RUN/shares/share-1.txt" "$RUN/shares/share-3.txt" >"$RUN/two"
cat "$RUN/shares/share-1.txt" >"$RUN/share1"
chmod 600 "$RUN/two" "$RUN/share1"
status 0 "$DAEMON" check --state "$RUN/kms" "${EPOCH[@]}" --master-key shamir: --shares "$RUN/two"
MASTER=("${EPOCH[@]}" --master-key shamir:)
serve
reach
unseal() { "$BIN/cczoo" kms unseal "${REACH[@]}" "$@"; }
status 0 unseal
has out '^sealed: 0 of 2 shares are given$'
status 3 kms ls # everything else waits
has err 'kms:sealed'
status 3 probe release key/model
has err 'kms:sealed'
sed 's/^\(cczs1-[0-9a-f]*-2-3-\)2-/\11-/' "$RUN/shares/share-2.txt" >"$RUN/typo"
chmod 600 "$RUN/typo"
status 2 unseal --kms-id 00000000000000000000000000000000 # which one it is, is sealed as well
has err '^error: --kms-id: a sealed KMS does not say which one it is$'
status 1 unseal --from "$RUN/typo"
has err 'kms:share:'
python3 - "$RUN/shares/share-2.txt" >"$RUN/forged" <<'PY'
import hashlib, sys
part = open(sys.argv[1]).read().strip().split("-")
part[5] = ("0" if part[5][0] != "0" else "1") + part[5][1:]
text = "-".join(part[:6])
print(text + "-" + hashlib.sha256(text.encode()).hexdigest()[:8])
PY
chmod 600 "$RUN/forged"
status 1 unseal --from "$RUN/forged"
has err 'kms:share-wrong.*share 2'
kill -USR1 "${PIDS[kms]}" # the daemon's own signal, from somebody else
status 0 unseal --from "$RUN/shares/share-2.txt"
has out '^sealed: 1 of 2 shares are given$'
status 0 unseal --from "$RUN/shares/share-2.txt" --json
has out '^\{"sealed":true,"given":1,"needed":2,"total":3\}$'
status 0 unseal --from - <"$RUN/shares/share-3.txt"
has out '^unsealed$'
for _ in $(seq 100); do
    grep -q ' ready port=' <(tail -n 3 "$RUN/log/kms.log") && break
    sleep 0.1
done
[ "$KMS" = "127.0.0.1:$(cat "$RUN/kms.port")" ] || die "the open KMS is somewhere else"
status 1 unseal
has err '^hint: it is open: '
status 0 probe release key/model "$RUN/got"
cmp -s "$RUN/got" "$RUN/first" || die "another key from the shares"
status 0 kms audit
has out ' rekey accept'
has out ' epoch accept'
kms_stop
if grep -qF -f <(cut -d- -f6 "$RUN"/shares/*.txt) "$RUN"/log/* "$RUN"/kms/*; then die "a share is on disk or in a log"; fi
serve # a sealed one ends in order, too
kms_stop
# at a path, before and after
"$DAEMON" run --state "$RUN/kms" --listen "unix:$RUN/kms.sock" --port-file "$RUN/kms.port" --tee sim-sgx --sim-dir "$RUN/sim" --trust-sim "$RUN/sim/trust" \
    "${MASTER[@]}" --shares "$RUN/share1" >>"$RUN/log/kms.log" 2>&1 </dev/null &
PIDS[kms]=$!
for _ in $(seq 100); do [ -S "$RUN/kms.sock" ] && break; sleep 0.1; done
KMS=unix:$RUN/kms.sock
reach
status 0 unseal --from "$RUN/shares/share-2.txt"
has out '^unsealed$'
for _ in $(seq 100); do
    status=0
    kms ls >"$RUN/out" 2>"$RUN/err" || status=$?
    [ "$status" != 0 ] || break
    sleep 0.1
done
[ "$status" = 0 ] || { cat "$RUN/err" >&2; die "the open KMS is not at its path"; }
kms_stop

step "a token"
if [ -e /usr/lib/softhsm/libsofthsm2.so ]; then
    mkdir "$RUN/tokens"
    printf 'directories.tokendir = %s\nlog.level = ERROR\n' "$RUN/tokens" >"$RUN/softhsm2.conf"
    export SOFTHSM2_CONF=$RUN/softhsm2.conf
    printf 'pin-1234\n' >"$RUN/elsewhere/pin"
    chmod 600 "$RUN/elsewhere/pin"
    softhsm2-util --init-token --free --label kms --so-pin so-1234 --pin pin-1234 >>"$RUN/log/setup.log"
    module="module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=$RUN/elsewhere/pin"
    status 0 "$DAEMON" rekey --state "$RUN/kms" "${EPOCH[@]}" --master-key shamir: --shares "$RUN/two" \
        --new-master-key "pkcs11:token=kms;object=master?$module"
    TOKEN=(--master-key "pkcs11:token=kms;object=master?$module" --epoch "pkcs11:token=kms;object=counter;type=data?$module")
    status 3 "$DAEMON" check --state "$RUN/kms" "${TOKEN[@]}"
    has err 'kms:epoch-lost'
    status 0 "$DAEMON" epoch --state "$RUN/kms" "${TOKEN[@]}" --accept-lost
    MASTER=("${TOKEN[@]}")
    serve
    status 0 probe release key/model "$RUN/got"
    cmp -s "$RUN/got" "$RUN/first" || die "another key from the token"
    kms_stop
    status 1 "$DAEMON" check --state "$RUN/kms" --master-key "pkcs11:token=kms;object=master?module-path=/x.so&pin-value=1"
    has err '^refused: kms:p11-pin: pin-value'
    status 3 "$DAEMON" check --state "$RUN/kms" --master-key "pkcs11:token=kmz;object=master?$module" "${TOKEN[@]:2}"
    has err '^error: kms:p11-token: .*"kmz"$'
    has err '^hint: .*--list-token-slots'
else
    say "SoftHSM is not installed: skipped"
fi
say ok
