#!/usr/bin/env bash
# cczoo exec: unmodified programs get secrets from a KMS in every form; what must be refused, and that the program does
# not run then; signals, exit status, descriptors; Redis and PostgreSQL; no secret on a disk.
. "$(dirname "$0")/kms.sh"
for p in redis-server redis-cli psql strace; do
    command -v $p >/dev/null || { echo "skipped: $p is not installed"; exit 77; }
done
PGBIN=$(find /usr/lib/postgresql -maxdepth 2 -name bin 2>/dev/null | sort | tail -n 1)
[ -x "$PGBIN/initdb" ] || { echo "skipped: no PostgreSQL server is installed"; exit 77; }
run_begin test-exec
PY=/usr/bin/python3 # not a shim: a script is not a program that can be measured
OUTSIDE=()          # what this test makes outside of RUN
trap 'got=$?; set +e; rm -rf "${OUTSIDE[@]}"; (exit $got); run_end' EXIT

has() { grep -qE -- "$2" "$RUN/$1" || { cat "$RUN/$1" >&2; die "no line like '$2' in $1"; }; }
# launch ARG...: cczoo exec in the software TEE, against this KMS.
launch() {
    reach
    timeout --foreground -s KILL 60 "$BIN/cczoo" exec "${REACH[@]}" --tee sim-sgx --sim-dir "$RUN/sim" "$@"
}
# admit ARG...: makes the KMS release to this launch and to no other.
admit() {
    local mrenclave
    mrenclave=$(launch --show "$@" | awk '$1 == "mrenclave" {print $2}')
    [ ${#mrenclave} = 64 ] || die "no measurement to admit"
    printf '{"version":1,"rules":[{"name":"launch","tee":"sgx","sim":true,"mrenclave":"%s","tcb_status":["UpToDate"]}]}\n' \
        "$mrenclave" >"$RUN/launch-policy.json"
    kms policy put launch "$RUN/launch-policy.json" --replace >/dev/null 2>>"$RUN/log/setup.log"
}
# admitted STATUS ARG...: admits this launch, runs it, compares the exit status.
admitted() {
    local want=$1
    shift
    admit "$@"
    status "$want" launch "$@"
}
store() { kms secret put "$1" --from - --bind launch >/dev/null 2>>"$RUN/log/setup.log"; }

kms_setup
kms_start
printf '{"version":1,"rules":[{"name":"nobody","tee":"sgx","sim":true,"mrenclave":"%064d","tcb_status":["UpToDate"]}]}\n' 0 >"$RUN/nobody.json"
kms policy put launch "$RUN/nobody.json" >/dev/null 2>>"$RUN/log/setup.log"
VALUE=tulip-$(head -c 12 /dev/urandom | base64 | tr -dc A-Za-z0-9) # looked for on disks below
printf %s "$VALUE" | store db/password
printf 'a\0b' | store nul
printf %s second | store second
mkdir "$RUN/empty" "$RUN/full"
touch "$RUN/full/other"

step "every form"
cat >"$RUN/show.py" <<'P'
import os, stat, sys
def fd(n):
    os.lseek(n, 0, 0)
    try:
        os.write(n, b"x")
        sys.exit("writable")
    except OSError:
        pass
    return os.read(n, 100).decode()
def path(p):
    st = os.stat(p)
    assert stat.S_ISREG(st.st_mode) and stat.S_IMODE(st.st_mode) == 0o400, oct(st.st_mode)
    return open(p).read()
how = sys.argv[1]
if how == "fd": print(fd(9))
if how == "number": print(fd(int(os.environ["PW_FD"])))
if how == "default": print(fd(int(os.environ["CCZOO_SECRET_DB_PASSWORD"])))
if how == "path": print(path(os.environ["PW_PATH"]))
if how == "file": print(path(sys.argv[2]))
if how == "run": print(path(os.environ["CCZOO_SECRET_DB_PASSWORD"]))
if how == "env": print(os.environ["PW"])
P
try() { # try SPEC ARG...: the program finds the secret there
    local spec=$1
    shift
    admitted 0 --secret "$spec" --measure "$RUN/show.py" -- $PY "$RUN/show.py" "$@"
    [ "$(cat "$RUN/out")" = "$VALUE" ] || { cat "$RUN/out" >&2; die "no secret by $spec"; }
}
try secret/db/password=fd:9 fd
has err '^SIMULATED: '
try secret/db/password=fd:PW_FD number
try secret/db/password=fd default
try secret/db/password@1=path:PW_PATH path
try "secret/db/password=file:$RUN/empty/password" file "$RUN/empty/password"
[ ! -e "$RUN/empty/password" ] || die "the private file is seen by others"
shm=/dev/shm/cczoo-test-exec.$$
OUTSIDE+=("$shm")
try "secret/db/password=tmpfs:$shm" file "$shm"
status 125 launch --secret "secret/db/password=tmpfs:$shm" --measure "$RUN/show.py" -- $PY "$RUN/show.py" file "$shm"
has err '^error: handover:file: .*exists' # never into a file that is there
[ "$(cat "$shm")" = "$VALUE" ] || die "another file was removed"
rm "$shm"
try secret/db/password=env:PW env
made=0
[ -d /run/cczoo ] || made=1
if mkdir -p /run/cczoo 2>/dev/null; then try secret/db/password=file run; fi
[ $made = 0 ] || rmdir /run/cczoo 2>/dev/null || true
admitted 0 --secret secret/db/password=fd:3 --secret secret/second=fd:4 -- /bin/cat /proc/self/fd/4 /proc/self/fd/3 # in any order
[ "$(cat "$RUN/out")" = "second$VALUE" ] || die "two secrets were mixed up"
status 125 launch --secret secret/db/password@2=fd:3 --secret secret/second=fd:4 -- /bin/cat /proc/self/fd/4 /proc/self/fd/3

step "all secrets of one launch come from one KMS"
OWNER_ID=$(kms status | sed -n 's/^instance //p')
"$BIN/cczoo-kmsd" init --state "$RUN/host-kms" --admin-key "$RUN/host.key" 2>>"$RUN/log/setup.log"
start host "$BIN/cczoo-kmsd" run --state "$RUN/host-kms" --listen 127.0.0.1:0 --port-file "$RUN/host.port" --tee sim-sgx --sim-dir "$RUN/sim" --trust-sim "$RUN/sim/trust"
wait_file host "$RUN/host.port" 30
HOST=127.0.0.1:$(cat "$RUN/host.port")
host() { KMS=$HOST ADMIN_KEY=$RUN/host.key kms "$@" 2>>"$RUN/log/setup.log"; }
HOST_ID=$(host status | sed -n 's/^instance //p')
MANY=(--secret secret/db/password=fd:9)
for n in $(seq 10 20); do MANY+=(--secret "secret/second=fd:$n"); done
LINE=(--env PATH "${MANY[@]}" -- /bin/touch "$RUN/mixed")
admit "${LINE[@]}"
host policy put launch "$RUN/launch-policy.json" >/dev/null
for name in db/password second; do printf theirs | host secret put $name --from - --bind launch >/dev/null; done
for _ in $(seq 20); do # at once, but for a connection that is late
    rm -f "$RUN/mixed"
    got=0
    KMS=$KMS,$HOST launch "${LINE[@]}" >"$RUN/out" 2>"$RUN/err" || got=$?
    [ $got = 0 ] || break
done
[ $got = 124 ] || die "status $got, expected 124"
has err '^refused: kms:instance: [0-9a-f]{32} / [0-9a-f]{32}$'
[ ! -e "$RUN/mixed" ] || die "the program was started"
admitted 0 --kms-id "$OWNER_ID" "${LINE[@]}"
status 124 launch "${LINE[@]}" # another launch
has err '^refused: policy:mrenclave: '
rm "$RUN/mixed"
admitted 124 --kms-id "$HOST_ID" "${LINE[@]}"
has err "^refused: kms:instance: $OWNER_ID / $HOST_ID"
status 125 launch --kms-id "${HOST_ID}0" "${LINE[@]}"
has err '^error: kms:instance-id: '
[ ! -e "$RUN/mixed" ] || die "the program was started"
stop host

step "what the program has, and has not"
admitted 0 --secret secret/db/password=fd:9 -- /usr/bin/env
[ ! -s "$RUN/out" ] || die "a variable was inherited"
admitted 0 --env PATH --env A=b --env NOT_SET --secret secret/second=env:S -- /usr/bin/env
[ "$(sort "$RUN/out")" = "$(printf 'A=b\nPATH=%s\nS=second' "$PATH")" ] || die "another environment than asked for"
MARK=1 admitted 0 --inherit-env --env A=b --secret secret/second=env:HOME -- /usr/bin/env
has out '^MARK=1$'
[ "$(grep ^HOME= "$RUN/out")" = HOME=second ] || die "a secret does not win over a variable"
exec 8<"$RUN/show.py"
admitted 0 --secret secret/db/password=fd:9 -- /bin/ls /proc/self/fd
exec 8<&-
[ "$(tr '\n' ' ' <"$RUN/out")" = "0 1 2 3 9 " ] || die "descriptors were inherited" # 3 is the folder being listed
admitted 0 --secret secret/db/password=fd:9 -- /bin/cat /proc/self/limits
has out '^Max core file size +1 +1 '
admitted 0 --secret secret/db/password=fd:9 -- /bin/grep Umask /proc/self/status
here=$(grep Umask /proc/self/status)
[ "$(cat "$RUN/out")" = "$here" ] || die "the umask is another one"
admit --secret secret/db/password=fd:9 -- /bin/cat
[ "$(printf 'in and out' | launch --secret secret/db/password=fd:9 -- /bin/cat 2>/dev/null)" = "in and out" ] ||
    die "stdin and stdout are not the program's"

step "exit status"
admitted 42 --secret secret/db/password=fd:9 -- /bin/sh -c 'exit 42'
admitted 143 --secret secret/db/password=fd:9 -- /bin/sh -c 'kill -TERM $$'
mark=$RUN/ran
status 127 launch --secret secret/db/password=fd:9 -- no-such-program
has err '^error: exec:program: no-such-program: No such file'
status 127 launch --secret secret/db/password=fd:9 -- /no/such/program
status 126 launch --secret secret/db/password=fd:9 -- /etc/passwd
status 126 launch --secret secret/db/password=fd:9 -- /
printf 'no program' >"$RUN/garbage"
chmod 755 "$RUN/garbage"
admitted 126 --secret secret/db/password=fd:9 -- "$RUN/garbage"
has err '^error: handover:exec: '
printf '#!/bin/sh\ntouch "%s"\n' "$mark" >"$RUN/script"
chmod 755 "$RUN/script"
status 126 launch --secret secret/db/password=fd:9 -- "$RUN/script"
has err 'exec:script: '
has err '^hint: --measure SCRIPT -- INTERPRETER'
for bad in "--secret secret/a=fd:2" "--secret other/a=fd:3" "--secret secret/a=fd:3 --secret secret/b=fd:3" \
    "--secret secret/a=env:V --env V=1" "--secret secret/a=fd:3 --env V=1 --env V=2" "--secret secret/a=fd:3 --env 1=2" "" "--secret" \
    "--secret secret/a=fd:3 --identity image" "--secret secret/a=fd:3 operand" "--secret secret/a=fd:3 --no-such-option"; do
    got=0
    # shellcheck disable=SC2086
    launch $bad -- /usr/bin/touch "$mark" >"$RUN/out" 2>"$RUN/err" || got=$?
    [ $got = 125 ] || [ $got = 124 ] || { cat "$RUN/err" >&2; die "status $got: $bad"; }
done
status 125 launch --secret secret/db/password=fd:9 /usr/bin/touch "$mark"
reach
status 125 "$BIN/cczoo" exec "${REACH[@]}" --secret secret/db/password=fd:9 -- /usr/bin/touch "$mark"
has err 'tee is required'
status 125 "$BIN/cczoo" exec "${REACH[@]}" --tee gramine --secret secret/db/password=fd:9 -- /usr/bin/touch "$mark"
has err 'identity is required'
status 125 "$BIN/cczoo" exec "${REACH[@]}" --tee sev-guest --identity rtmr --secret secret/db/password=fd:9 -- /usr/bin/touch "$mark"
has err 'needs a TDX guest'
status 125 "$BIN/cczoo" exec "${REACH[@]}" --tee tdx-guest --identity image --measure "$RUN/show.py" \
    --secret secret/db/password=fd:9 -- /usr/bin/touch "$mark"
status 0 "$BIN/cczoo" exec --help

step "refused: then nothing runs"
A=(--secret secret/db/password=fd:9 -- /usr/bin/touch "$mark")
admit "${A[@]}"
refused() { # refused PATTERN ARG...: a verified no
    local pattern=$1
    shift
    status 124 launch "$@"
    has err "$pattern"
}
mine='^refused: policy:mrenclave: [0-9a-f]{64} / see decision D[0-9]+$'
refused "$mine" "${A[@]}" other-argument
(
    cd "$RUN/empty" # relative names mean other files there
    refused "$mine" "${A[@]}"
)
mkdir "$RUN/gone"
(
    cd "$RUN/gone"
    rmdir "$RUN/gone"
    status 125 launch "${A[@]}"
    has err 'exec:cwd'
)
refused "$mine" --secret secret/db/password=fd:9 -- /usr/bin/touch "$mark.other"
refused "$mine" --env X=1 "${A[@]}"
refused "$mine" --inherit-env "${A[@]}"
refused "$mine" --allow-swap "${A[@]}"
refused "$mine" --measure "$RUN/show.py" "${A[@]}"
refused "$mine" --secret secret/second=fd:8 "${A[@]}"
refused "$mine" --secret secret/db/password=fd:8 -- /usr/bin/touch "$mark"
cp /usr/bin/touch "$RUN/touch"
refused "$mine" --secret secret/db/password=fd:9 -- "$RUN/touch" "$mark" # argv[0]
admit --secret secret/db/password=fd:9 -- "$RUN/touch" "$mark"
printf x >>"$RUN/touch" # another program under the very same name
refused "$mine" --secret secret/db/password=fd:9 -- "$RUN/touch" "$mark"
admit "${A[@]}"
cp "$RUN/kms-policy.json" "$RUN/kms-policy.kept"
printf ' ' >>"$RUN/kms-policy.json" # another policy for the KMS, if only in its spelling
refused "$mine" "${A[@]}"
cp "$RUN/kms-policy.kept" "$RUN/kms-policy.json"
shown() { "$BIN/cczoo" exec --show --policy "$RUN/kms-policy.json" --tee sim-sgx --sim-dir "$RUN/sim" "$@" | awk '$1 == "mrenclave" {print $2}'; }
one=$(shown --trust-sim "$RUN/sim/trust" "${A[@]}")
[ "$one" = "$(shown --trust-sim "$RUN/sim/trust" "${A[@]}")" ] || die "one launch, two measurements"
cp -r "$RUN/sim/trust" "$RUN/trust2"
for f in root.pem snp/ark.pem; do # another root that the KMS may have
    printf '\n' >>"$RUN/trust2/$f"
    [ "$one" != "$(shown --trust-sim "$RUN/trust2" "${A[@]}")" ] || die "$f is not in the record"
    cp "$RUN/sim/trust/$f" "$RUN/trust2/$f"
done
[ "$one" != "$(shown "${A[@]}")" ] || die "--trust-sim is not in the record"
[ "$one" != "$(shown --trust-sim "$RUN/sim/trust" --fs-root "$RUN/full" "${A[@]}")" ] || die "--fs-root is not in the record"
E1=$(X=1 shown --env X "${A[@]}") E2=$(X=2 shown --env X "${A[@]}") E3=$(shown --env X "${A[@]}")
[ "$E1" != "$E2" ] && [ "$E1" != "$E3" ] || die "the value of a variable is not in the record"
[ ! -e "$mark" ] || die "the program ran"
status 0 launch "${A[@]}" # what was admitted does run
[ -e "$mark" ] || die "the program did not run"
rm "$mark"
"$BIN/cczoo" sim init "$RUN/other-sim" 2>>"$RUN/log/setup.log"
reach
status 125 "$BIN/cczoo" exec "${REACH[@]}" --tee sim-sgx --sim-dir "$RUN/other-sim" "${A[@]}" # the KMS does not believe this TEE
has err 'peer:quote:pck-root'
status 124 "$BIN/cczoo" exec --kms "$KMS" --policy "$RUN/probe-policy.json" --trust-sim "$RUN/sim/trust" --tee sim-sgx \
    --sim-dir "$RUN/sim" "${A[@]}" # a KMS that is not the one that was asked for
has err '^refused: policy:mrenclave: '
status 124 "$BIN/cczoo" exec --kms "$KMS" --policy "$RUN/kms-policy.json" --trust-sim "$RUN/other-sim/trust" --tee sim-sgx \
    --sim-dir "$RUN/sim" "${A[@]}"
has err 'quote:pck-root'
KMS=127.0.0.1:1 status 125 launch "${A[@]}"
admitted 125 --secret secret/absent=fd:3 -- /usr/bin/touch "$mark"
has err 'kms:not-found'
admitted 125 --secret secret/db/password=fd:9 --secret secret/absent=fd:3 -- /usr/bin/touch "$mark" # one of two
printf x | kms secret put unbound --from - >/dev/null 2>&1
admitted 124 --secret secret/db/password=fd:9 --secret secret/unbound=fd:3 -- /usr/bin/touch "$mark"
has err '^refused: kms:unbound'
admitted 124 --secret secret/nul=env:V -- /usr/bin/touch "$mark"
has err 'exec:env-nul: secret/nul has a NUL byte'
OUTSIDE+=("/var/tmp/cczoo-test-exec.$$")
admitted 124 --secret "secret/db/password=tmpfs:/var/tmp/cczoo-test-exec.$$" -- /usr/bin/touch "$mark"
has err '^refused: handover:ram: /var/tmp/.* / ramfs or tmpfs$'
[ ! -e "/var/tmp/cczoo-test-exec.$$" ] || die "something was left on the disk"
admitted 124 --secret "secret/db/password=tmpfs:$shm" --secret secret/nul=env:V -- /usr/bin/touch "$mark" # undone
[ ! -e "$shm" ] || die "a secret was left in a shared place"
status 125 launch --secret "secret/db/password=file:$RUN/full/password" -- /usr/bin/touch "$mark"
has err 'handover:ram-dir: .*not empty'
status 125 launch --secret "secret/db/password=file:$RUN/absent/password" -- /usr/bin/touch "$mark"
mkdir -p "$RUN/root/proc"
printf 'Filename\tType\tSize\tUsed\tPriority\n/dev/sda2 partition 1 0 -2\n' >"$RUN/root/proc/swaps"
status 124 launch --fs-root "$RUN/root" "${A[@]}"
has err '^refused: handover:swap: /dev/sda2 / no swap'
if unshare -Ur true 2>/dev/null; then
    cat >"$RUN/no-mounts" <<N
#!/bin/sh
echo 0 >/proc/sys/user/max_mnt_namespaces
exec "\$@"
N
    chmod +x "$RUN/no-mounts"
    reach
    status 124 unshare -Ur "$RUN/no-mounts" "$BIN/cczoo" exec "${REACH[@]}" --tee sim-sgx --sim-dir "$RUN/sim" \
        --secret "secret/db/password=file:$RUN/empty/password" -- /usr/bin/touch "$mark"
    has err 'handover:mounts: '
fi
[ ! -e "$mark" ] || die "the program ran"

step "standard streams that the caller has closed"
N=(--secret secret/db/password=fd:9 -- /bin/readlink /proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2)
admit "${N[@]}"
got=0
launch "${N[@]}" >"$RUN/out" 0<&- 2>&- || got=$?
[ "$got" = 0 ] && [ "$(tr '\n' ' ' <"$RUN/out")" = "/dev/null $RUN/out /dev/null " ] || { cat "$RUN/out"; die "status $got: other descriptors than the caller's"; }

step "what was measured is what runs"
cat >"$RUN/late.py" <<'P'
import sys, time, os
open(sys.argv[1] + ".ready", "w").close()
while not os.path.exists(sys.argv[1] + ".go"):
    time.sleep(0.05)
print(open(sys.argv[0]).read().count("REPLACED" + "!"), os.readlink("/proc/self/exe"))
P
L=(--secret secret/db/password=fd:9 --measure "$RUN/late.py" -- $PY "$RUN/late.py" "$RUN/late")
admit "${L[@]}"
launch "${L[@]}" >"$RUN/out" 2>"$RUN/err" &
PIDS[late]=$!
for ((i = 0; i < 200; i++)); do [ -e "$RUN/late.ready" ] && break; sleep 0.05; done
printf '# REPLACED!\n' >>"$RUN/late.py"
touch "$RUN/late.go"
wait "${PIDS[late]}"
unset "PIDS[late]"
[ "$(cat "$RUN/out")" = "0 $(realpath $PY)" ] || { cat "$RUN/out" "$RUN/err" >&2; die "the program reads another file than was measured"; }
status 124 launch "${L[@]}" # the changed file is another launch

# replaced FILE ARG...: admits, holds the KMS up until FILE was replaced behind the back of cczoo exec, lets it go on.
replaced() {
    local file=$1 got=0 i
    shift
    admit "$@"
    kill -STOP "${PIDS[kms]}"
    reach
    "$BIN/cczoo" exec "${REACH[@]}" --tee sim-sgx --sim-dir "$RUN/sim" "$@" >"$RUN/out" 2>"$RUN/err" &
    PIDS[late]=$!
    for ((i = 0; i < 200; i++)); do ls -l "/proc/${PIDS[late]}/fd" | grep -q 'socket:' && break; sleep 0.05; done
    cp "$RUN/replacement" "$file.new"
    chmod 755 "$file.new"
    mv "$file.new" "$file"
    kill -CONT "${PIDS[kms]}"
    wait "${PIDS[late]}" || got=$?
    unset "PIDS[late]"
    [ "$got" = "${WANT:-0}" ] || { cat "$RUN/err" >&2; die "status $got after $file was replaced"; }
}
cp /bin/echo "$RUN/program"
cp /bin/true "$RUN/replacement"
replaced "$RUN/program" --secret secret/db/password=fd:9 -- "$RUN/program" measured
[ "$(cat "$RUN/out")" = measured ] || die "another program ran than was measured"
# With mounts of its own the copy lies over the name, until the kernel takes it away with the file that is replaced.
cp /bin/echo "$RUN/program"
replaced "$RUN/program" --secret secret/db/password=fd:9 --measure "$RUN/show.py" -- "$RUN/program" measured
[ "$(cat "$RUN/out")" = measured ] || die "another program ran than was measured"
cp "$RUN/show.py" "$RUN/measured.py"
WANT=125 replaced "$RUN/measured.py" --secret secret/db/password=fd:9 --measure "$RUN/measured.py" -- /usr/bin/touch "$mark"
has err 'handover:pin: .*leads elsewhere'
[ ! -e "$mark" ] || die "the program ran without what was measured"
# The policy is replaced after it went into the record and before it is read by the verifier: while the platform, a FIFO, is read.
cp -r "$RUN/sim" "$RUN/slow"
slow=$RUN/slow/platform/sgx/qe_certification.bin
rm "$slow"
mkfifo "$slow"
K=(--secret secret/db/password=fd:9 -- /bin/true)
admit "${K[@]}"
reach
timeout -s KILL 60 "$BIN/cczoo" exec "${REACH[@]}" --tee sim-sgx --sim-dir "$RUN/slow" "${K[@]}" >"$RUN/out" 2>"$RUN/err" &
PIDS[late]=$!
{
    cp "$RUN/probe-policy.json" "$RUN/kms-policy.json" # under which this KMS would be refused
    cat "$RUN/sim/platform/sgx/qe_certification.bin"
} >"$slow"
got=0
wait "${PIDS[late]}" || got=$?
unset "PIDS[late]"
[ "$got" = 0 ] || { cat "$RUN/err" >&2; die "the KMS was judged by another policy than the record names"; }
cp "$RUN/kms-policy.kept" "$RUN/kms-policy.json"

step "a register of a TDX guest"
T=(--policy "$RUN/kms-policy.json" --trust-sim "$RUN/sim/trust" --tee tdx-guest --identity rtmr --fs-root "$RUN/td" "${A[@]}")
regs=$RUN/td/sys/devices/virtual/misc/tdx_guest/measurements
mkdir -p "$regs"
"$BIN/cczoo" exec --show "${T[@]}" >"$RUN/shown"
want=$(awk '$1 == "rtmr3" {print $2}' "$RUN/shown")
[ ${#want} = 96 ] || die "no register is shown"
head -c 48 /dev/zero >"$regs/rtmr3:sha384"
status 124 "$BIN/cczoo" exec --kms "$KMS" "${T[@]}" # a plain file keeps what was written: not what the register would have
has err "^refused: exec:rtmr: [0-9a-f]{96} / $want"
[ "$(python3 - "$regs/rtmr3:sha384" <<'P'
import hashlib, sys
print(hashlib.sha384(bytes(48) + open(sys.argv[1], "rb").read()).hexdigest())
P
)" = "$want" ] || die "the register was extended by something else"
status 124 "$BIN/cczoo" exec --kms "$KMS" "${T[@]}"
has err '^refused: exec:rtmr-used: '
python3 -c 'import sys; open(sys.argv[1], "wb").write(bytes.fromhex(sys.argv[2]))' "$regs/rtmr3:sha384" "$want" # after a restart
status 125 "$BIN/cczoo" exec --kms "$KMS" "${T[@]}"
has err 'tee:tdx' # and on to the evidence, which there is none of here
status 125 "$BIN/cczoo" exec --kms "$KMS" "${T[@]/rtmr/rtmr:2}"
has err 'tee:rtmr-read'
[ ! -e "$mark" ] || die "the program ran"

step "signals"
cat >"$RUN/signals.py" <<'P'
import os, signal, sys, time
def term(*_):
    open(sys.argv[1] + ".term", "w").close()
    sys.exit(7)
signal.signal(signal.SIGTERM, term)
open(sys.argv[1] + ".pid", "w").write(str(os.getpid()))
time.sleep(60)
P
S=(--secret secret/db/password=env:PW --measure "$RUN/signals.py" -- $PY "$RUN/signals.py" "$RUN/sig")
admit "${S[@]}"
reach
"$BIN/cczoo" exec "${REACH[@]}" --tee sim-sgx --sim-dir "$RUN/sim" "${S[@]}" >"$RUN/out" 2>"$RUN/err" &
PIDS[sig]=$!
wait_file sig "$RUN/sig.pid" 20
[ "$(cat "$RUN/sig.pid")" = "${PIDS[sig]}" ] || die "the program is another process"
! tr '\0' ' ' <"/proc/${PIDS[sig]}/cmdline" | grep -qF "$VALUE" || die "a secret is an argument"
kill -TERM "${PIDS[sig]}"
got=0
wait "${PIDS[sig]}" || got=$?
unset "PIDS[sig]"
[ "$got" = 7 ] && [ -e "$RUN/sig.term" ] || die "SIGTERM did not reach the program: $got"

step "no core dump"
(cd "$RUN" && ulimit -c unlimited && admitted 134 --secret secret/db/password=env:PW -- /bin/sh -c 'kill -ABRT $$')
[ -z "$(find "$RUN" -maxdepth 1 -name 'core*')" ] || die "there is a core dump"

step "Redis"
printf 'port 0\nunixsocket %s\nrequirepass %s\nsave ""\nappendonly no\ndir %s\nlogfile ""\n' "$RUN/redis.sock" "$VALUE" "$RUN" | store redis
R=(--secret secret/redis=fd:9 -- redis-server /proc/self/fd/9)
admit "${R[@]}"
reach
"$BIN/cczoo" exec "${REACH[@]}" --tee sim-sgx --sim-dir "$RUN/sim" "${R[@]}" >>"$RUN/log/redis.log" 2>&1 </dev/null &
started redis
for ((i = 0; i < 200; i++)); do [ -S "$RUN/redis.sock" ] && break; sleep 0.05; done
[ "$(redis-cli -s "$RUN/redis.sock" ping 2>&1 | head -c 6)" = NOAUTH ] || die "Redis asks for no password"
[ "$(REDISCLI_AUTH=$VALUE redis-cli -s "$RUN/redis.sock" ping 2>/dev/null)" = PONG ] || die "Redis has another password"
! tr '\0' '\n' <"/proc/${PIDS[redis]}/environ" | grep -qF "$VALUE" || die "the secret is in the environment"
stop redis
printf 'port 0\nunixsocket %s\nrequirepass %s\nsave ""\n' "$RUN/redis.sock" "$VALUE" | store redis-file
R=(--secret "secret/redis-file=file:$RUN/empty/redis.conf" -- redis-server "$RUN/empty/redis.conf")
admit "${R[@]}"
launch "${R[@]}" >>"$RUN/log/redis.log" 2>&1 </dev/null &
started redis
for ((i = 0; i < 200; i++)); do REDISCLI_AUTH=$VALUE redis-cli -s "$RUN/redis.sock" ping 2>/dev/null | grep -q PONG && break; sleep 0.05; done
[ "$(REDISCLI_AUTH=$VALUE redis-cli -s "$RUN/redis.sock" ping 2>/dev/null)" = PONG ] || die "Redis with a private file does not answer"
[ -z "$(ls -A "$RUN/empty")" ] || die "the private file is seen by others"
REDISCLI_AUTH=$VALUE redis-cli -s "$RUN/redis.sock" shutdown nosave 2>/dev/null || true
stop redis

step "PostgreSQL"
PGDIR=$(mktemp -d "${TMPDIR:-/tmp}/cczoo-test-pg.XXXXXX")
OUTSIDE+=("$PGDIR")
as_pg=()
if [ "$(id -u)" = 0 ]; then
    chown postgres "$PGDIR"
    as_pg=(runuser -u postgres --)
fi
(
    cd /
    printf %s "pg-init" >"$PGDIR/pw" && chmod 644 "$PGDIR/pw"
    "${as_pg[@]}" "$PGBIN/initdb" -D "$PGDIR/data" -U app -A scram-sha-256 --pwfile="$PGDIR/pw" --no-sync
) >>"$RUN/log/postgres.log" 2>&1
(cd / && exec "${as_pg[@]}" "$PGBIN/postgres" -D "$PGDIR/data" -k "$PGDIR" -c listen_addresses= -F) >>"$RUN/log/postgres.log" 2>&1 </dev/null &
started postgres
for ((i = 0; i < 400; i++)); do "$PGBIN/pg_isready" -q -h "$PGDIR" && break; sleep 0.05; done
printf '*:*:*:app:pg-init\n' | store pgpass
PSQL=$(find /usr/lib/postgresql -path '*/bin/psql' | sort | tail -n 1) # /usr/bin/psql is a script of Debian's
P=(--secret secret/pgpass=path:PGPASSFILE -- "$PSQL" -h "$PGDIR" -U app -w -d postgres -Atc "select 6*7")
admitted 0 "${P[@]}"
[ "$(cat "$RUN/out")" = 42 ] || die "psql could not log in"
status 2 env -u PGPASSFILE "$PSQL" -h "$PGDIR" -U app -w -d postgres -Atc "select 6*7" # the password is needed
stop postgres INT

step "tunnels"
rm -f "$RUN/redis.sock"
policy_for "$RUN/cli-policy.json" "$BIN/cczoo" # clients: `cczoo tunnel`, or a program with arguments of its own
R=(--tunnel "listen=127.0.0.1:0,connect=unix:$RUN/redis.sock,policy=$RUN/cli-policy.json" --port-file "$RUN/port"
    --secret secret/redis=fd:9 -- redis-server /proc/self/fd/9)
admit "${R[@]}"
cp "$RUN/launch-policy.json" "$RUN/redis-policy.json" # what a client demands: this program with these arguments
refused "$mine" "${R[@]/127.0.0.1:0/127.0.0.2:0}"
refused "$mine" "${R[@]/cli-policy/probe-policy}"
refused "$mine" "${R[@]/policy=*json/anyone}"
refused "$mine" "${R[@]:4}" # the same without the tunnel
[ ! -e "$RUN/redis.sock" ] || die "Redis ran"
reach
"$BIN/cczoo" exec "${REACH[@]}" --tee sim-sgx --sim-dir "$RUN/sim" "${R[@]}" >"$RUN/log/redis-tunnel.log" 2>&1 </dev/null &
PIDS[redis]=$!
wait_file redis "$RUN/port" 20
for ((i = 0; i < 200; i++)); do [ -S "$RUN/redis.sock" ] && break; sleep 0.05; done
child=$(pgrep -P "${PIDS[redis]}")
[ "$(readlink "/proc/$child/exe")" = "/memfd:$(realpath "$(command -v redis-server)") (deleted)" ] || die "the child is not Redis"
client() { # client NAME POLICY ARG...: a tunnel of its own to Redis; its plain end is RUN/NAME.sock
    local name=$1 policy=$2
    shift 2
    start "$name" "$BIN/cczoo" tunnel client --listen "unix:$RUN/$name.sock" --connect "127.0.0.1:$(cat "$RUN/port")" \
        --policy "$policy" --trust-sim "$RUN/sim/trust" "$@"
    for ((i = 0; i < 200; i++)); do [ -S "$RUN/$name.sock" ] && break; sleep 0.05; done
}
client attested "$RUN/redis-policy.json" --tee sim-sgx --sim-dir "$RUN/sim"
[ "$(REDISCLI_AUTH=$VALUE redis-cli -s "$RUN/attested.sock" set k v 2>/dev/null)" = OK ] || die "no way through the tunnel"
[ "$(REDISCLI_AUTH=$VALUE redis-cli -s "$RUN/attested.sock" get k 2>/dev/null)" = v ] || die "no way through the tunnel"
client strict "$RUN/cli-policy.json" --tee sim-sgx --sim-dir "$RUN/sim" # wants another program behind it
REDISCLI_AUTH=$VALUE redis-cli -s "$RUN/strict.sock" get k >"$RUN/out" 2>&1 || true
! grep -q '^v$' "$RUN/out" || die "a client got through to a program that it does not accept"
grep -q 'policy:mrenclave' "$RUN/log/strict.log" || die "the client does not say why"
client bare "$RUN/redis-policy.json" # no evidence of its own
REDISCLI_AUTH=$VALUE redis-cli -s "$RUN/bare.sock" get k >"$RUN/out" 2>&1 || true
! grep -q '^v$' "$RUN/out" || die "a client without evidence got through"
for n in attested strict bare; do stop $n; done
# The program that is reached through a tunnel of its own: plain in its own unix socket, attested out to Redis.
X=(--tunnel "side=out,listen=unix:$RUN/out.sock,connect=127.0.0.1:$(cat "$RUN/port"),policy=$RUN/redis-policy.json"
    --secret secret/db/password=env:REDISCLI_AUTH -- /usr/bin/redis-cli -s "$RUN/out.sock" get k)
admit "${X[@]}"
status 1 launch "${X[@]}" # Redis wants `cczoo tunnel`, not this program
! grep -q '^v$' "$RUN/out" || die "Redis accepted another client than its policy says"
X=(--tunnel "side=out,listen=unix:$RUN/out.sock,connect=127.0.0.1:@,policy=$RUN/cli-policy.json"
    --secret secret/db/password=env:REDISCLI_AUTH -- /usr/bin/redis-cli -s "$RUN/out.sock" ping)
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
X=("${X[@]/@/$port}")
admit "${X[@]}" # and a server that wants just this program with these arguments
cp "$RUN/launch-policy.json" "$RUN/out-policy.json"
start server "$BIN/cczoo" tunnel server --listen "127.0.0.1:$port" --connect "unix:$RUN/redis.sock" --port-file "$RUN/server.port" \
    --policy "$RUN/out-policy.json" --trust-sim "$RUN/sim/trust" --tee sim-sgx --sim-dir "$RUN/sim"
wait_file server "$RUN/server.port" 10
status 0 launch "${X[@]}"
[ "$(cat "$RUN/out")" = PONG ] || die "the program did not get out"
stop server
kill -TERM "${PIDS[redis]}"
got=0
wait "${PIDS[redis]}" || got=$?
unset "PIDS[redis]"
[ "$got" = 0 ] && grep -q 'Received SIGTERM' "$RUN/log/redis-tunnel.log" || die "SIGTERM did not reach Redis: $got"
grep -q 'where=policy:mrenclave' "$RUN/log/redis-tunnel.log" || die "the refused client is not in the log"
! grep -qF "$VALUE" "$RUN/log/redis-tunnel.log" || die "the secret is in the log"

step "tunnels: status, signals, and the end of either process"
T=(--tunnel "listen=127.0.0.1:0,connect=127.0.0.1:1,anyone" --port-file "$RUN/port" --secret secret/db/password=env:PW)
CHLD=("${T[@]}" -- /bin/sh -c 'exit 42')
admitted 42 "${CHLD[@]}"
# Where the caller ignores SIGCHLD, the end of the program is noticed all the same.
reach
status 42 timeout -s KILL 60 $PY -c 'import os, signal, sys
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
os.execv(sys.argv[1], sys.argv[1:])' "$BIN/cczoo" exec "${REACH[@]}" --tee sim-sgx --sim-dir "$RUN/sim" "${CHLD[@]}"
admitted 143 "${T[@]}" -- /bin/sh -c 'kill -TERM $$'
admitted 126 "${T[@]}" -- "$RUN/garbage"
has err '^error: handover:exec: '
admitted 124 "${T[@]}" --secret secret/nul=env:V -- /usr/bin/touch "$mark"
status 124 launch "${T[@]}" -- /usr/bin/touch "$mark"
has err "$mine"
admitted 0 "${T[@]}" --secret "secret/second=tmpfs:$shm" -- /bin/cat "$shm"
[ "$(cat "$RUN/out")" = second ] && [ ! -e "$shm" ] || die "a file in a shared place outlives the program"
printf keep >"$shm"
admitted 125 "${T[@]}" --secret "secret/second=tmpfs:$shm" -- /bin/cat "$shm"
[ "$(cat "$shm")" = keep ] || die "somebody else's file was removed"
rm "$shm"
# A child that is killed when it has everything and does not run yet: the parent waits for its own evidence, from a FIFO.
F=("${T[@]}" --secret "secret/second=tmpfs:$shm" -- /usr/bin/touch "$mark")
admit "${F[@]}"
reach
"$BIN/cczoo" exec "${REACH[@]}" --tee sim-sgx --sim-dir "$RUN/slow" "${F[@]}" >"$RUN/out" 2>"$RUN/err" &
PIDS[pair]=$!
cat "$RUN/sim/platform/sgx/qe_certification.bin" >"$slow" # for the child
for ((i = 0; i < 200; i++)); do [ -s "$shm" ] && break; sleep 0.05; done
[ "$(cat "$shm")" = second ] || die "the child has no secret"
for ((i = 0; i < 400; i++)); do # it has said so, and the parent waits for a writer
    if grep -qE 'partner|fifo|pipe' "/proc/${PIDS[pair]}/wchan" 2>/dev/null; then break; fi
    sleep 0.05
done
sleep 0.5
kill -KILL "$(cat "/proc/${PIDS[pair]}/task/${PIDS[pair]}/children")"
timeout 20 sh -c 'cat "$1" >"$2"' - "$RUN/sim/platform/sgx/qe_certification.bin" "$slow" || true # for the parent
got=0
wait "${PIDS[pair]}" || got=$?
unset "PIDS[pair]"
[ "$got" = 137 ] || { cat "$RUN/err" >&2; die "status $got after the child was killed"; }
[ ! -e "$shm" ] || die "the secret of a program that never ran is left"
B=("${T[@]/anyone/policy=$RUN/absent.json}")
status 125 launch "${B[@]}" -- /usr/bin/touch "$mark"
python3 -c 'import socket, sys, time
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen(); print(s.getsockname()[1], flush=True); time.sleep(60)' >"$RUN/taken" &
PIDS[taken]=$!
wait_file taken "$RUN/taken" 10
B=("${T[@]/127.0.0.1:0/127.0.0.1:$(cat "$RUN/taken")}")
admitted 125 "${B[@]}" -- /usr/bin/touch "$mark" # no tunnel, no program
has err '^error: net:listen'
stop taken
for bad in listen=127.0.0.1:0 listen=a:1,connect=b:2 listen=a:1,connect=b:2,anyone,policy=x side=out,listen=a:1,connect=b:2,anyone \
    side=up,listen=a:1,connect=b:2,anyone listen=a:1,connect=b:2,anyone,reattest=9 listen=a:1,connect=b:2,policy=x,reattest=0 \
    listen=a:1,listen=a:1,connect=b:2,anyone listen=a:1,connect=b:2,anyone,anyone listen=a:1,connect=b:2,anyone=1 ,; do
    status 125 launch --tunnel "$bad" --secret secret/db/password=env:PW -- /usr/bin/touch "$mark"
    has err 'exec:tunnel: '
done
[ ! -e "$mark" ] || die "the program ran"
S=("${T[@]}" --measure "$RUN/signals.py" -- $PY "$RUN/signals.py" "$RUN/sig")
admit "${S[@]}"
reach
in_memory() { # in_memory PID: 0 if the secret is in what this process can read, 1 if not
    $PY - "$1" "$VALUE" <<'P'
import re, sys
pid, value, looked = sys.argv[1], sys.argv[2].encode(), 0
mem = open(f"/proc/{pid}/mem", "rb", 0)
for line in open(f"/proc/{pid}/maps"):
    m = re.match(r"([0-9a-f]+)-([0-9a-f]+) r", line)
    a, b = (int(m[1], 16), int(m[2], 16)) if m else (0, 0)
    if "[v" in line or b - a > 1 << 32: # shadows of sanitizers
        continue
    while a < b: # pieces overlap by more than the value is long
        mem.seek(a)
        try:
            piece = mem.read(min(b - a, 1 << 24))
        except OSError:
            break
        looked += len(piece)
        if value in piece:
            sys.exit(0)
        a += max(len(piece) - 100, 1) if a + len(piece) < b else b - a
sys.exit(1 if looked > 1 << 20 else 2)
P
}
for signal in TERM KILL; do
    rm -f "$RUN"/sig.*
    "$BIN/cczoo" exec "${REACH[@]}" --tee sim-sgx --sim-dir "$RUN/sim" "${S[@]}" >"$RUN/out" 2>"$RUN/err" &
    PIDS[sig]=$!
    wait_file sig "$RUN/sig.pid" 20
    child=$(cat "$RUN/sig.pid")
    [ "$child" != "${PIDS[sig]}" ] || die "there is no parent"
    grep -q "$VALUE" <(tr '\0' '\n' <"/proc/$child/environ") || die "the program has no secret"
    if [ "$(id -u)" = 0 ]; then # no secret in the memory of the process that stays
        in_memory "$child" || die "the search does not even find the secret where it is"
        [ "$(in_memory "${PIDS[sig]}" 2>&1; echo $?)" = 1 ] || die "the process of the tunnel has the secret, or could not be read"
    fi
    kill -$signal "${PIDS[sig]}"
    got=0
    wait "${PIDS[sig]}" || got=$?
    unset "PIDS[sig]"
    for ((i = 0; i < 100; i++)); do kill -0 "$child" 2>/dev/null || break; sleep 0.05; done
    ! kill -0 "$child" 2>/dev/null || die "the program outlives its tunnel"
    if [ $signal = TERM ]; then
        [ "$got" = 7 ] && [ -e "$RUN/sig.term" ] || die "SIGTERM did not reach the program: $got"
    else
        [ "$got" = 137 ] || die "status $got"
    fi
done

step "no secret on a disk"
before=$(date +%s)
cat >"$RUN/quiet.py" <<'P'
import os, sys
values = [os.environ["PW"], open(os.environ["PW_PATH"]).read(), open(sys.argv[1]).read(), os.read(9, 100).decode()]
sys.exit(0 if len(set(values)) == 1 and len(values[0]) > 10 else 1)
P
D=(--secret secret/db/password=env:PW --secret secret/db/password=path:PW_PATH --secret "secret/db/password=file:$RUN/empty/password"
    --secret secret/db/password=fd:9 --measure "$RUN/quiet.py" -- $PY -B "$RUN/quiet.py" "$RUN/empty/password")
admit "${D[@]}"
reach
strace -f -qq -o "$RUN/trace" -e trace=openat,open,creat,mknodat,linkat,renameat2,rename,mount,fsopen,fsmount,write,pwrite64,sendto,sendmsg,execve \
    -e write=all -s 4096 "$BIN/cczoo" exec "${REACH[@]}" --tee sim-sgx --sim-dir "$RUN/sim" "${D[@]}" 2>"$RUN/err" || {
    tail -n 20 "$RUN/err" >&2
    die "the program under strace did not run"
}
python3 - "$RUN/trace" "$RUN" "$VALUE" <<'P'
import re, sys
run, value = sys.argv[2], sys.argv[3]
lines = open(sys.argv[1], errors="replace").read().splitlines()
opened = [m for l in lines if (m := re.search(r'open(?:at)?\([^"]*"([^"]*)", (\S+?)[,)].*= (-?\d+)', l))]
assert len(opened) > 20, "strace did not work"
assert any('fsopen("ramfs"' in l for l in lines), "no private file system was made"
private = [m[1] for l in lines if (m := re.search(r"fsmount\(.*= (\d+)", l))]
assert len(private) == 1 and any(f'openat({private[0]}, "password", O_WRONLY' in l for l in lines), "not made in the private folder"
allowed = {"password", "/dev/null", "/dev/tty"} | {re.match(r"(.*)/[^/]*$", p)[1] + "/copy" for p in
    [run + "/quiet.py"] + [m[1] for m in opened if "/python3" in m[1]]}
bad = [m[0] for m in opened if re.search(r"O_WRONLY|O_RDWR|O_CREAT", m[2]) and int(m[3]) >= 0 and m[1] not in allowed
       and not m[1].startswith("/proc/self/")]
assert not bad, "opened for writing:\n" + "\n".join(bad)
clear = [l for l in lines if value in l and re.search(r"\b(sendto|sendmsg)\(", l)]
assert not clear, "sent in clear"
# in clear it is written to two memory files and the private file, and nowhere else
writes = [l for l in lines if value in l and re.search(r"\bp?write(64)?\(", l)]
assert len(writes) == 3, writes
args = [l for l in lines if "execve" in l and value in re.sub(r"/\*.*", "", l)]
assert not args, "a secret in execve's arguments"
P
rm "$RUN/trace" # which has the secret, as it should
python3 - "$before" "$VALUE" "$RUN" /tmp /var/tmp /run /dev/shm "$STATE" <<'P'
import os, stat, sys
since, value, found = float(sys.argv[1]), sys.argv[2].encode(), []
for top in sys.argv[3:]:
    for root, _, names in os.walk(top):
        for n in names:
            f = os.path.join(root, n)
            try:
                st = os.lstat(f)
                if stat.S_ISREG(st.st_mode) and st.st_mtime >= since and value in open(f, "rb").read():
                    found.append(f)
            except OSError: # somebody else's temporary file
                pass
sys.exit("the secret is in " + " ".join(found) if found else 0)
P
! grep -qF "$VALUE" "$RUN"/log/* || die "the secret is in a log"
kms_stop
say ok
