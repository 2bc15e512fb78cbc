#!/usr/bin/env bash
# The key agent between a KMS and programs that know nothing of attestation: what it opens, what it refuses, how it starts and ends.
. "$(dirname "$0")/kms.sh"
run_begin test-agent

SOCKET=
ask() { "$BIN/cczoo" agent "$@" --socket "$SOCKET"; }
# agent NAME PROGRAM OPTIONS...: an agent that listens on RUN/NAME.sock; sets SOCKET
agent() {
    local name=$1 program=$2
    shift 2
    SOCKET=$RUN/$name.sock
    rm -f "$RUN/$name.ready"
    reach
    start "$name" "$program" agent run "${REACH[@]}" --tee sim-sgx --sim-dir "$RUN/sim" --socket "$SOCKET" --ready-file "$RUN/$name.ready" "$@"
    wait_file "$name" "$RUN/$name.ready" 30
}

step "a KMS with a master key and a secret for the agent"
kms_setup
kms_start
policy_for "$RUN/agent-policy.json" "$BIN/cczoo"
status 0 kms policy put agent "$RUN/agent-policy.json"
status 0 kms policy put other "$RUN/probe-policy.json"
status 0 kms key create ratings --alg aes-256 --bind agent
status 0 kms key create unused --alg aes-256 --bind agent
printf 'a long secret of Spark' >"$RUN/auth"
status 0 kms secret put spark/auth --from "$RUN/auth" --bind agent
head -c 16 /dev/urandom >"$RUN/dek"

step "options"
status 2 "$BIN/cczoo" agent run --kms x --policy x --tee sim-sgx --socket "$RUN/x"
has err 'this agent may use nothing'
status 2 "$BIN/cczoo" agent run --kms x --policy x --tee sim-sgx --unwrap a
has err '^error: --socket is required'
status 2 "$BIN/cczoo" agent run --kms x --policy x --tee sim-sgx --socket x --secret a --env A=b
has err '^error: --env needs a program'
status 2 "$BIN/cczoo" agent run --kms x --policy x --tee sim-sgx --env 'A B=c' -- true
has err 'expected VARIABLE=NAME'
status 3 "$BIN/cczoo" agent ping --socket "$RUN/nobody.sock"
has err 'agent:connect: no agent at'

step "wrap, unwrap, secrets"
agent first "$BIN/cczoo" --unwrap ratings --wrap ratings --secret 'spark/*'
[ "$(stat -c %a "$SOCKET")" = 600 ] || die "the socket is open to others"
grep -q '^SIMULATED' "$RUN/log/first.log" || die "the agent does not say SIMULATED"
status 0 ask ping
status 0 ask wrap ratings --in "$RUN/dek"
cp "$RUN/out" "$RUN/wrapped"
has out '^ccz1\.[A-Za-z0-9+/=]+$'
status 0 ask unwrap ratings --in "$RUN/wrapped" --out "$RUN/got"
cmp -s "$RUN/got" "$RUN/dek" || die "another key came back"
[ "$(stat -c %a "$RUN/got")" = 600 ] || die "the key is in a file that others read"
status 0 ask secret spark/auth --out "$RUN/got"
cmp -s "$RUN/got" "$RUN/auth" || die "another secret came back"
status 0 kms audit --last 3
has out 'Release accept key/ratings version 1 policy=agent rule=program by workload sgx mrenclave=[0-9a-f]{64}'
grep -qE 'unwrap name=ratings pid=[0-9]+ uid=[0-9]+ verdict=accept version=1 kms_audit=[0-9]+' "$RUN/log/first.log" || die "no log line of an unwrap"

step "refusals"
status 1 ask secret other --out "$RUN/none"
has err '^refused: agent:not-allowed: other / '
status 1 ask unwrap unused --in "$RUN/wrapped" --out "$RUN/none"
has err '^refused: agent:not-allowed: unused / '
tr A-Za-z N-ZA-Mn-za-m <"$RUN/wrapped" | sed 's/^[a-z]*1/ccz1/' >"$RUN/changed"
status 1 ask unwrap ratings --in "$RUN/changed" --out "$RUN/none"
[ ! -e "$RUN/none" ] || die "something was written for a refused key"
agent second "$BIN/cczoo" --unwrap 'ratings,unused'
status 1 ask unwrap unused --in "$RUN/wrapped" --out "$RUN/none" # another master key
has err 'agent:wrapped: it was wrapped under another master key'
status 1 ask wrap ratings --in "$RUN/dek"
has err '^refused: agent:not-allowed: ratings / '
stop second
[ ! -e "$SOCKET" ] || die "the socket outlived its agent"
cp "$BIN/cczoo" "$RUN/tampered" # one byte more: another measurement
printf x >>"$RUN/tampered"
agent tampered "$RUN/tampered" --unwrap ratings --secret spark/auth
status 1 ask unwrap ratings --in "$RUN/wrapped" --out "$RUN/none"
has err '^refused: policy:mrenclave: [0-9a-f]{64} / see decision D[0-9]+$'
status 1 ask secret spark/auth --out "$RUN/none"
has err '^refused: policy:mrenclave: '
stop tampered
status 0 kms bind key/ratings agent
agent measured "$BIN/cczoo" --measure "$RUN/kms-policy.json" --unwrap ratings # measured files are part of who it is
status 1 ask unwrap ratings --in "$RUN/wrapped" --out "$RUN/none"
has err '^refused: policy:mrenclave: '
stop measured
reach
status 1 "$BIN/cczoo" agent run --kms "$KMS" --trust-sim "$RUN/sim/trust" --policy "$RUN/probe-policy.json" --tee sim-sgx --sim-dir "$RUN/sim" \
    --socket "$RUN/wrong-kms.sock" --unwrap ratings # the KMS is judged first
has err '^refused: policy:mrenclave: '
"$BIN/cczoo" sim init "$RUN/other-sim" 2>>"$RUN/log/setup.log" # evidence of a platform that the KMS does not know
status 3 "$BIN/cczoo" agent run "${REACH[@]}" --tee sim-sgx --sim-dir "$RUN/other-sim" --socket "$RUN/stranger.sock" --unwrap ratings
has err 'peer:quote:pck-root'
SOCKET=$RUN/first.sock
status 3 "$BIN/cczoo" agent run "${REACH[@]}" --tee sim-sgx --sim-dir "$RUN/sim" --socket "$SOCKET" --unwrap ratings
has err 'agent:socket: somebody listens on'
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then # another user, in a folder where he could reach the socket
    OPEN=$(mktemp -d /tmp/cczoo-agent-test.XXXXXX)
    chmod 711 "$OPEN"
    cp "$BIN/cczoo" "$OPEN/cczoo"
    chmod 755 "$OPEN/cczoo"
    start open "$BIN/cczoo" agent run "${REACH[@]}" --tee sim-sgx --sim-dir "$RUN/sim" --socket "$OPEN/agent.sock" --ready-file "$RUN/open.ready" --unwrap ratings
    wait_file open "$RUN/open.ready" 30
    other() { setpriv --reuid 65534 --regid 65534 --clear-groups "$OPEN/cczoo" agent ping --socket "$OPEN/agent.sock"; }
    status 3 other
    has err 'agent:connect: .*Permission denied'
    chmod 666 "$OPEN/agent.sock" # also where the mode does not help; he, in turn, takes keys of root only because root could read his anyway
    status 1 other
    has err '^refused: agent:peer-uid: 65534 / 0'
    stop open
    rm -rf "$OPEN"
fi

step "revoked, rotated, removed: at the next call"
status 0 kms bind key/ratings other
status 1 ask unwrap ratings --in "$RUN/wrapped" --out "$RUN/none"
has err '^refused: policy:mrenclave: '
status 0 kms bind key/ratings agent
status 0 ask unwrap ratings --in "$RUN/wrapped" --out "$RUN/got"
status 0 kms key create ratings --alg aes-256 --new-version
status 0 ask unwrap ratings --in "$RUN/wrapped" --out "$RUN/got" # of version 1
cmp -s "$RUN/got" "$RUN/dek" || die "another key after the rotation"
status 0 ask wrap ratings --in "$RUN/dek"
cp "$RUN/out" "$RUN/wrapped2"
status 0 ask unwrap ratings --in "$RUN/wrapped2" --out "$RUN/got"
grep -qE 'unwrap name=ratings .* version=2 ' "$RUN/log/first.log" || die "the new version was not used"
status 0 kms rm key/ratings --version 1
status 1 ask unwrap ratings --in "$RUN/wrapped" --out "$RUN/none"
has err '^refused: kms:deleted: '
status 0 kms undelete key/ratings --version 1
status 0 ask unwrap ratings --in "$RUN/wrapped" --out "$RUN/got"
status 0 kms rm key/ratings --version 1 --no-recovery
status 3 ask unwrap ratings --in "$RUN/wrapped" --out "$RUN/none"
has err 'kms:not-found'
status 0 ask unwrap ratings --in "$RUN/wrapped2" --out "$RUN/got"

step "the KMS goes and comes back"
port=${KMS##*:}
kms_stop
status 3 ask unwrap ratings --in "$RUN/wrapped2" --out "$RUN/none"
"$BIN/cczoo-kmsd" run --state "$RUN/kms" --listen "127.0.0.1:$port" --port-file "$RUN/kms.port" --tee sim-sgx --sim-dir "$RUN/sim" \
    --trust-sim "$RUN/sim/trust" >>"$RUN/log/kms.log" 2>&1 </dev/null &
PIDS[kms]=$!
for _ in $(seq 100); do
    ask unwrap ratings --in "$RUN/wrapped2" --out "$RUN/got" 2>/dev/null && break
    sleep 0.1
done
status 0 ask unwrap ratings --in "$RUN/wrapped2" --out "$RUN/got"
agent fresh "$BIN/cczoo" --unwrap ratings --refresh 1
status 0 ask unwrap ratings --in "$RUN/wrapped2" --out "$RUN/got"
sleep 1.1
status 0 ask unwrap ratings --in "$RUN/wrapped2" --out "$RUN/got"
grep -q 'renewed evidence for the KMS' "$RUN/log/fresh.log" || die "the evidence was not renewed"
stop fresh
SOCKET=$RUN/first.sock

step "one agent, one KMS: others behind its address, or in its place, are refused"
# another owner's: the same program with the same evidence, and items of the same names
kmsd() { # NAME PORT OPTIONS...
    rm -f "$RUN/$1.port"
    start "$1" "$BIN/cczoo-kmsd" run --listen "127.0.0.1:$2" --port-file "$RUN/$1.port" --tee sim-sgx --sim-dir "$RUN/sim" --trust-sim "$RUN/sim/trust" "${@:3}"
    wait_file "$1" "$RUN/$1.port" 30
}
host() { KMS=$HOST ADMIN_KEY=$RUN/host.key kms "$@"; }
OWNER=$KMS
"$BIN/cczoo-kmsd" init --state "$RUN/host-kms" --admin-key "$RUN/host.key" 2>>"$RUN/log/setup.log"
kmsd host 0 --state "$RUN/host-kms"
HOST=127.0.0.1:$(cat "$RUN/host.port")
status 0 host policy put agent "$RUN/agent-policy.json"
printf "another's secret" | status 0 host secret put spark/auth --from - --bind agent
OWNER_ID=$(kms status | sed -n 's/^instance //p')
HOST_ID=$(host status | sed -n 's/^instance //p')
[ ${#OWNER_ID} = 32 ] && [ ${#HOST_ID} = 32 ] && [ "$OWNER_ID" != "$HOST_ID" ] || die "two KMS of one id"
# some COUNT: asks that often; sets VALUES and REFUSED, the kinds of what came back
some() {
    VALUES=() REFUSED=0
    for ((i = 0; i < $1; i++)); do
        rm -f "$RUN/got"
        if ask secret spark/auth --out "$RUN/got" 2>"$RUN/err"; then
            [[ " ${VALUES[*]} " = *" $(sha256sum <"$RUN/got" | cut -c 1-8) "* ]] || VALUES+=("$(sha256sum <"$RUN/got" | cut -c 1-8)")
        else
            has err '^refused: kms:instance: [0-9a-f]{32} / [0-9a-f]{32}$'
            has err '^hint: all values of one run come from one KMS'
            [ ! -e "$RUN/got" ] || die "a refused value was handed over"
            REFUSED=$((REFUSED + 1))
        fi
    done
}
KMS=$OWNER,$HOST agent pair "$BIN/cczoo" --secret spark/auth
some 20
[ ${#VALUES[@]} = 1 ] && [ $REFUSED -gt 0 ] || die "values of ${#VALUES[@]} KMS, $REFUSED refused"
stop pair
KMS=$HOST,$OWNER agent pair "$BIN/cczoo" --secret spark/auth --kms-id "$OWNER_ID" --refresh 1
some 10
sleep 1.1 # other connections, and still the same KMS
some 10
[ "${VALUES[*]}" = "$(sha256sum <"$RUN/auth" | cut -c 1-8)" ] && [ $REFUSED -gt 0 ] || die "another KMS than the one that was named"
grep -q 'where=kms:instance' "$RUN/log/pair.log" || die "no log line of a refusal"
stop pair
agent wrong "$BIN/cczoo" --secret spark/auth --kms-id "$HOST_ID"
status 1 ask secret spark/auth --out "$RUN/none"
has err "^refused: kms:instance: $OWNER_ID / $HOST_ID"
stop wrong
status 2 "$BIN/cczoo" agent run "${REACH[@]}" --tee sim-sgx --sim-dir "$RUN/sim" --socket "$RUN/x" --secret spark/auth --kms-id "${HOST_ID}0"
has err '^error: kms:instance-id: '
kms_stop # another one in its place, where it cannot be told by its address
stop host
kmsd host "$port" --state "$RUN/host-kms"
SOCKET=$RUN/first.sock # has had values of the first
for _ in $(seq 100); do
    ask secret spark/auth --out "$RUN/none" 2>"$RUN/err" && die "an agent changed its KMS"
    grep -q 'kms:instance' "$RUN/err" && break
    sleep 0.1
done
has err "^refused: kms:instance: $HOST_ID / $OWNER_ID"
[ ! -e "$RUN/none" ] || die "a value of another KMS was handed over"
stop host
"$BIN/cczoo-kmsd" run --state "$RUN/kms" --listen "127.0.0.1:$port" --port-file "$RUN/kms.port" --tee sim-sgx --sim-dir "$RUN/sim" \
    --trust-sim "$RUN/sim/trust" >>"$RUN/log/kms.log" 2>&1 </dev/null &
PIDS[kms]=$!
for _ in $(seq 100); do
    ask secret spark/auth --out "$RUN/got" 2>/dev/null && break
    sleep 0.1
done
status 0 ask secret spark/auth --out "$RUN/got"
cmp -s "$RUN/got" "$RUN/auth" || die "another secret than before"

step "around a program"
reach
around() { "$BIN/cczoo" agent run "${REACH[@]}" --tee sim-sgx --sim-dir "$RUN/sim" "$@"; }
status 7 around --secret 'spark/*' --env SPARK_AUTH=spark/auth -- sh -c 'echo "$SPARK_AUTH"; "$0" agent ping; stat -c %a "$(dirname "$CCZ_AGENT")"; exit 7' "$BIN/cczoo"
has out '^a long secret of Spark$'
has out '^an agent answers at /tmp/cczoo-agent\.'
has out '^700$'
[ ! -e "$(sed -n 's/^an agent answers at //p' "$RUN/out")" ] || die "the socket outlived the program"
status 125 around --unwrap ratings --env A=spark/none -- touch "$RUN/started"
has err '^error: kms:not-found: '
status 124 "$RUN/tampered" agent run "${REACH[@]}" --tee sim-sgx --sim-dir "$RUN/sim" --env A=spark/auth -- touch "$RUN/started"
has err '^refused: policy:mrenclave: '
status 124 "$BIN/cczoo" agent run --kms "$KMS" --trust-sim "$RUN/sim/trust" --policy "$RUN/probe-policy.json" --tee sim-sgx --sim-dir "$RUN/sim" --unwrap ratings -- touch "$RUN/started"
status 125 around --unwrap ratings -- "$RUN/no-such-program"
[ ! -e "$RUN/started" ] || die "a program was started without its secrets"
left() { find /tmp -maxdepth 1 -name 'cczoo-agent.*' | sort; }
left >"$RUN/left"
status 137 around --unwrap ratings -- sh -c 'kill -KILL $$' # the agent ends as the program does, and cleans up before
status 125 around --unwrap ratings --env A=spark/none -- true
cmp -s "$RUN/left" <(left) || die "a folder was left in /tmp"
reach
start wrapped "$BIN/cczoo" agent run "${REACH[@]}" --tee sim-sgx --sim-dir "$RUN/sim" --unwrap ratings -- sh -c 'echo $$ >"$0"; exec sleep 300' "$RUN/child"
wait_file wrapped "$RUN/child" 30
stop wrapped TERM # passed on
sleep 0.2
kill -0 "$(cat "$RUN/child")" 2>/dev/null && die "the program outlived its agent"
rm "$RUN/child"
start wrapped "$BIN/cczoo" agent run "${REACH[@]}" --tee sim-sgx --sim-dir "$RUN/sim" --unwrap ratings -- sh -c 'echo $$ >"$0"; exec sleep 300' "$RUN/child"
wait_file wrapped "$RUN/child" 30
kill -KILL "${PIDS[wrapped]}"
for _ in $(seq 50); do
    kill -0 "$(cat "$RUN/child")" 2>/dev/null || break
    sleep 0.1
done
kill -0 "$(cat "$RUN/child")" 2>/dev/null && die "the program outlived its agent that was killed"
unset "PIDS[wrapped]"

step "cczoo-agent: its evidence names the program, its arguments, variables and files"
# launch ARG...: cczoo-agent in the software TEE, against this KMS
LAUNCHER=$BIN/cczoo-agent
launch() {
    reach
    timeout --foreground -s KILL 60 "$LAUNCHER" "${REACH[@]}" --tee sim-sgx --sim-dir "$RUN/sim" "$@"
}
# admit ARG...: makes the KMS release the master key to this launch and to no other
admit() {
    local id
    id=$(launch --measurement "$@")
    [ ${#id} = 64 ] || die "no measurement to admit"
    sed -E "s/[0-9a-f]{64}/$id/" "$RUN/agent-policy.json" >"$RUN/launch-policy.json"
    kms policy put launch "$RUN/launch-policy.json" --replace >/dev/null 2>>"$RUN/log/setup.log"
}
# refused ARG...: as what is admitted, but for one thing
refused() {
    status 1 launch "$@"
    has err '^refused: policy:mrenclave: '
    [ ! -e "$RUN/none" ] || die "a key was written"
}
admit --unwrap ratings -- "$BIN/cczoo" agent ping
status 0 kms bind key/ratings launch
WRAPPED=$RUN/wrapped2
cp "$WRAPPED" "$RUN/in"
OPEN=("$BIN/cczoo" agent unwrap ratings --in "$RUN/in" --out "$RUN/none")
admit --unwrap ratings -- "${OPEN[@]}"
status 0 launch --unwrap ratings -- "${OPEN[@]}"
cmp -s "$RUN/none" "$RUN/dek" || die "another key came back"
rm "$RUN/none"
refused --unwrap ratings -- "$BIN/cczoo" agent unwrap ratings --in "$RUN/wrapped2" --out "$RUN/none" # an argument
(
    cd "$RUN/sim" # relative names mean other files there
    refused --unwrap ratings -- "${OPEN[@]}"
)
cp "$BIN/cczoo" "$RUN/cczoo"
refused --unwrap ratings -- "$RUN/cczoo" "${OPEN[@]:1}" # its name
refused --unwrap ratings -- sh -c '"$0" "$@"' "${OPEN[@]}"
refused --unwrap ratings --pass-env X=1 -- "${OPEN[@]}"
refused --unwrap ratings --inherit-env -- "${OPEN[@]}"
refused --unwrap ratings --any-arguments-insecure -- "${OPEN[@]}"
refused --unwrap ratings --measure "$RUN/dek" -- "${OPEN[@]}"
refused --unwrap ratings --wrap ratings -- "${OPEN[@]}"
refused --unwrap ratings --secret spark/auth -- "${OPEN[@]}"
refused --unwrap 'ratings,unused' -- "${OPEN[@]}"
refused --unwrap ratings --kms-id "$OWNER_ID" -- "${OPEN[@]}"
admit --unwrap ratings --kms-id "$OWNER_ID" -- "${OPEN[@]}"
status 0 launch --unwrap ratings --kms-id "$OWNER_ID" -- "${OPEN[@]}"
rm "$RUN/none"
refused --unwrap ratings --kms-id "$HOST_ID" -- "${OPEN[@]}" # which KMS is part of what is admitted
refused --unwrap ratings -- "${OPEN[@]}"
admit --unwrap ratings --kms-id "$HOST_ID" -- "${OPEN[@]}"
status 1 launch --unwrap ratings --kms-id "$HOST_ID" -- "${OPEN[@]}"
has err '^refused: kms:instance: '
[ ! -e "$RUN/none" ] || die "a key was written"
admit --unwrap ratings -- "${OPEN[@]}"
cp "$RUN/kms-policy.json" "$RUN/kms-policy.kept"
printf ' ' >>"$RUN/kms-policy.json" # another policy for the KMS, if only in its spelling
refused --unwrap ratings -- "${OPEN[@]}"
cp "$RUN/kms-policy.kept" "$RUN/kms-policy.json"
reach
status 1 "$BIN/cczoo" agent run "${REACH[@]}" --tee sim-sgx --sim-dir "$RUN/sim" --unwrap ratings -- "${OPEN[@]}" # nor the command line
has err '^refused: policy:mrenclave: '
cp "$BIN/cczoo-agent" "$RUN/cczoo-agent"
printf x >>"$RUN/cczoo-agent"
LAUNCHER=$RUN/cczoo-agent refused --unwrap ratings -- "${OPEN[@]}"
admit --unwrap ratings -- "$RUN/cczoo" agent unwrap ratings --in "$RUN/in" --out "$RUN/none"
printf x >>"$RUN/cczoo" # another program under the very same name
refused --unwrap ratings -- "$RUN/cczoo" "${OPEN[@]:1}"
PATH=$BIN:$PATH admit --unwrap ratings -- cczoo "${OPEN[@]:1}"
PATH=$BIN:$PATH status 0 launch --unwrap ratings -- cczoo "${OPEN[@]:1}" # found as the shell finds it
rm "$RUN/none"
# one that serves whoever asks is another one, also with files that have the bytes of what it does not start
admit --unwrap ratings -- "${OPEN[@]}"
reach
SOCKET=$RUN/alone.sock
start alone "$BIN/cczoo-agent" "${REACH[@]}" --tee sim-sgx --sim-dir "$RUN/sim" --socket "$RUN/alone.sock" --ready-file "$RUN/alone.there" --unwrap ratings
wait_file alone "$RUN/alone.there" 30
status 1 ask unwrap ratings --in "$RUN/in" --out "$RUN/none"
has err '^refused: policy:mrenclave: '
stop alone
# a file that it measures, variables, and those that nobody named
admit --unwrap ratings --measure "$RUN/in" -- "${OPEN[@]}"
status 0 launch --unwrap ratings --measure "$RUN/in" -- "${OPEN[@]}"
rm "$RUN/none"
cp "$RUN/wrapped2" "$RUN/in.kept"
printf ' ' >>"$RUN/in"
refused --unwrap ratings --measure "$RUN/in" -- "${OPEN[@]}"
cp "$RUN/in.kept" "$RUN/in"
X=1 admit --unwrap ratings --pass-env X,Y=2 -- /usr/bin/env
X=1 status 0 launch --unwrap ratings --pass-env X,Y=2 -- /usr/bin/env
[ "$(sort "$RUN/out" | sed -E 's/(CCZ_AGENT(_PID)?=).*/\1/' | tr '\n' ' ')" = "CCZ_AGENT= CCZ_AGENT_PID= X=1 Y=2 " ] || { cat "$RUN/out" >&2; die "other variables than those that were named"; }
one=$(X=1 launch --measurement --unwrap ratings --pass-env X -- "${OPEN[@]}")
launch --measurement --unwrap ratings -- "${OPEN[@]}" >/dev/full 2>"$RUN/err" && die "a measurement was lost, and nothing said"
has err 'cannot write to standard output'
[ "$one" = "$(X=1 launch --measurement --unwrap ratings --pass-env X -- "${OPEN[@]}")" ] || die "one launch, two measurements"
[ "$one" != "$(X=2 launch --measurement --unwrap ratings --pass-env X -- "${OPEN[@]}")" ] || die "the value of a variable is not measured"
[ "$one" != "$(launch --measurement --unwrap ratings --pass-env X -- "${OPEN[@]}")" ] || die "its absence is not measured"
MARK=1 status 0 launch --unwrap ratings --any-arguments-insecure -- /usr/bin/env
has out '^MARK=1$'
admit --unwrap ratings --any-arguments-insecure -- "$BIN/cczoo" # what such a policy means: any of its verbs
(
    cd "$RUN/sim"
    status 0 launch --unwrap ratings --any-arguments-insecure -- "${OPEN[@]}"
)
rm "$RUN/none"
refused --unwrap ratings -- "${OPEN[@]}"
refused --unwrap ratings --any-arguments-insecure -- sh -c '"$0" "$@"' "${OPEN[@]}"
for bad in CCZ_AGENT=x CCZ_AGENT CCZ_AGENT_PID=1; do
    status 2 launch --unwrap ratings --pass-env $bad -- true
    has err "^error: ${bad%=*} is set by the agent"
done
status 2 launch --unwrap ratings --socket "$RUN/x" -- true
has err '^error: --socket is for an agent without a program'
status 2 launch --env CCZ_AGENT=spark/auth -- true
status 2 launch --unwrap ratings --inherit-env --socket "$RUN/x"
status 2 "$BIN/cczoo-agent" --kms x --policy x --tee configfs --unwrap a --any-arguments-insecure -- true
has err 'are for the software TEE'
status 2 "$BIN/cczoo-agent" --policy x --tee tdx-guest --unwrap a --measurement -- true
status 2 "$BIN/cczoo-agent" --kms x --policy x --tee gramine --unwrap a --measure x -- true
status 2 "$BIN/cczoo" agent run --kms x --policy x --tee sim-sgx --unwrap a --measurement -- true
status 125 launch --unwrap ratings -- no-such-program
has err 'exec:program: no-such-program'
printf '#!/bin/sh\nexit 0\n' >"$RUN/script"
chmod 755 "$RUN/script"
status 124 launch --unwrap ratings -- "$RUN/script"
has err 'exec:script'
status 0 kms bind key/ratings agent

step "nobody else listens where a program finds its agent"
# steal PATH: a sibling puts a socket of its own there, and takes whatever comes
cat >"$RUN/steal.py" <<'EOF'
import os, socket, sys
at, told = sys.argv[1:3]
try:
    os.rename(at, at + ".real")
    s = socket.socket(socket.AF_UNIX)
    s.bind(at)
    s.listen()
except OSError as e:
    print(type(e).__name__, e.errno, file=open(told, "w"))
    sys.exit(0)
print("listens", file=open(told + ".there", "w"))
with open(told, "w", buffering=1) as log:
    f = s.accept()[0].makefile("rwb", buffering=0)
    for line in f:
        log.write(line.decode())
        f.write(b"ok 1\n" if line.startswith(b"hello") else b"ok ccz1.\n")
EOF
WAIT='echo $$ >"$0.pid"; while [ ! -e "$0" ]; do sleep 0.05; done; exec "$@"' # sh -c WAIT FILE PROGRAM: when FILE is there
reach
"$BIN/cczoo" agent run "${REACH[@]}" --tee sim-sgx --sim-dir "$RUN/sim" --socket "$RUN/taken.sock" --wrap ratings -- \
    sh -c "$WAIT" "$RUN/told.there" "$BIN/cczoo" agent wrap ratings --in "$RUN/dek" >"$RUN/log/taken.log" 2>&1 &
PIDS[taken]=$!
wait_file taken "$RUN/told.there.pid" 30
python3 "$RUN/steal.py" "$RUN/taken.sock" "$RUN/told" &
thief=$!
wait "${PIDS[taken]}" && die "a program talked to somebody else"
unset "PIDS[taken]"
wait "$thief"
grep -qE '^refused: agent:server-pid: [0-9]+ / [0-9]+' "$RUN/log/taken.log" || die "another refusal than that it is another process"
[ ! -s "$RUN/told" ] || die "the sibling was told: $(head -c 100 "$RUN/told")"
rm "$RUN"/told*
# cczoo-agent: there is no such place for him; not even through the door that /proc opens to processes of one user
"$BIN/cczoo-agent" "${REACH[@]}" --tee sim-sgx --sim-dir "$RUN/sim" --unwrap ratings --ready-file "$RUN/private.ready" -- \
    sh -c "$WAIT" "$RUN/told" "$BIN/cczoo" agent ping >"$RUN/log/private.log" 2>&1 &
PIDS[private]=$!
wait_file private "$RUN/told.pid" 30
at=$(cat "$RUN/private.ready")
door=/proc/$(cat "$RUN/told.pid")/root$at
[ ! -e "$at" ] || die "others see $at"
[ -S "$door" ] || die "no socket at $at of the program"
for change in "rm -f $door" "rmdir $(dirname "$at")" "mv $(dirname "$at") $RUN/away"; do
    $change 2>/dev/null && die "a sibling can: $change"
done
python3 "$RUN/steal.py" "$door" "$RUN/told"
wait "${PIDS[private]}" || die "the program did not find its agent"
unset "PIDS[private]"
grep -qx 'OSError 30' "$RUN/told" || die "the sibling could change that folder: $(cat "$RUN/told")" # EROFS

step "an agent around a program serves it and what it starts, not others of the same user"
reach
start around "$BIN/cczoo" agent run "${REACH[@]}" --tee sim-sgx --sim-dir "$RUN/sim" --socket "$RUN/around.sock" --unwrap ratings -- \
    sh -c '(sh -c "\"$0\" agent unwrap ratings --in \"$1/wrapped2\" --out \"$1/inside\"; :" "$0" "$1"); echo done >"$1/asked"; exec sleep 300' "$BIN/cczoo" "$RUN"
wait_file around "$RUN/asked" 30
cmp -s "$RUN/inside" "$RUN/dek" || die "a grandchild of the program was not served"
status 1 "$BIN/cczoo" agent unwrap ratings --in "$RUN/wrapped2" --out "$RUN/none" --socket "$RUN/around.sock"
has err '^refused: agent:peer: process [0-9]+ / process [0-9]+, or one that it started'
status 1 "$BIN/cczoo" agent ping --socket "$RUN/around.sock"
[ ! -e "$RUN/none" ] || die "a sibling got a key"
grep -q 'turned away pid=' "$RUN/log/around.log" || die "no log line of who was turned away"
stop around TERM
SOCKET=$RUN/first.sock

step "a killed agent's socket is taken over; nothing secret is in the logs"
stop first KILL
[ -S "$SOCKET" ] || die "expected a socket that was left"
agent first "$BIN/cczoo" --unwrap ratings
status 0 ask unwrap ratings --in "$RUN/wrapped2" --out "$RUN/got"
if grep -qaF "$(base64 "$RUN/dek")" "$RUN"/log/* || grep -qaF 'a long secret' "$RUN"/log/*; then
    die "a secret is in a log"
fi
say ok
