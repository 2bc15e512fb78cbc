#!/usr/bin/env bash
# `cczoo cluster`: replicas behind one address, under load all the time. One is killed, one drained, all are replaced by another
# program with another measurement, which the policies allow beside the old one; and by one that they do not allow. No call may
# fail, and there may be one answer alone.
. "$(dirname "$0")/served.sh"
run_begin test-cluster
make_platform
cp "$BIN/cczoo-served" "$RUN/served-new" # the next release of the program, and one that nobody released
cp "$BIN/cczoo-served" "$RUN/served-bad"
printf 'new' >>"$RUN/served-new"
printf 'bad' >>"$RUN/served-bad"
NEW_ID=$("$BIN/cczoo" sim measure "$RUN/served-new" "${TF_LIBS[@]}")
[ "$NEW_ID" != "$SERVER_ID" ] || die "the new program has the old measurement"
sed "s/\"$SERVER_ID\"/[\"$SERVER_ID\", \"$NEW_ID\"]/" "$RUN/policy.json" >"$RUN/both.json"
grep -q "$NEW_ID" "$RUN/both.json" || die "the policy does not name both programs"
cp "$RUN/both.json" "$RUN/policy.json"
start_kms
protect_model
served_args
mapfile -t free < <("$ROOT/scripts/free-port" 2)
DIR=$RUN/cluster FRONT=127.0.0.1:${free[0]} REST=127.0.0.1:${free[1]}
REPLICA=("${ARGS[@]:2}" --grace 10) # without --listen: each gets an address of its own

cluster() { "$BIN/cczoo" cluster "$1" --dir "$DIR" "${@:2}"; }
ready() { cluster status --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["ready"])'; }
pid_of() { cluster status --json | python3 -c 'import json, sys; print([s["pid"] for s in json.load(sys.stdin)["slots"] if s["state"] == "ready"][int(sys.argv[1])])' "$1"; }
until_ready() { # N
    local i
    for ((i = 0; i < 1200; i++)); do
        [ "$(ready 2>/dev/null)" = "$1" ] && return 0
        sleep 0.1
    done
    cluster status >&2
    die "there are not $1 replicas"
}
loaded() { # NAME: calls until stop_load
    rm -f "$RUN/$1.json"
    "$BIN/cczoo" load --target "$FRONT" --policy "$RUN/policy.json" --trust-sim "$RUN/sim/trust" --model fashion-mnist \
        --input 'images:float[1,28,28,1]=random' --connections 4 --in-flight 4 --warm-up 0 --seconds "$2" --retries 8 \
        --answers-max 1 --json-file "$RUN/$1.json" >"$RUN/log/$1.load" 2>&1 &
    LOAD=$!
}
clean() { # NAME: the load ended without a failed call
    wait "$LOAD" || { cat "$RUN/log/$1.load" >&2; die "calls failed: $1"; }
    say "$1: $(sed -n 's/^answered *//p' "$RUN/log/$1.load"), no call failed"
}

step "three replicas behind $FRONT"
(cd "$RUN" && exec "$BIN/cczoo" cluster up --dir "$DIR" --replicas 3 --listen "$FRONT" --rest-listen "$REST" -- \
    "$BIN/cczoo-served" "${REPLICA[@]}") >"$RUN/log/cluster.log" 2>&1 </dev/null &
started cluster
until_ready 3
curl -sk -m 30 "https://$REST/v1/models/fashion-mnist" | grep -q AVAILABLE || die "no answer over REST"
! "$BIN/cczoo" cluster up --dir "$DIR" -- true 2>"$RUN/err" || die "a second cluster in one folder"
grep -q 'cluster:dir' "$RUN/err" || die "$(cat "$RUN/err")"

step "one is killed, one leaves in order"
loaded killed 12
sleep 1
kill -KILL "$(pid_of 0)"
sleep 1
until_ready 3
cluster drain 1 >/dev/null || die "it did not leave"
clean killed

step "all become another program, one by one"
loaded rolled 20
cluster roll -- "$RUN/served-new" "${REPLICA[@]}" >"$RUN/out" || die "the roll failed: $(cat "$RUN/out")"
[ "$(grep -c 'generation 1  pid' "$RUN/out")" = 3 ] || die "$(cat "$RUN/out")"
clean rolled

step "a program that the KMS does not know is taken back"
loaded refused 10
status=0
cluster roll -- "$RUN/served-bad" "${REPLICA[@]}" >"$RUN/out" 2>"$RUN/err" || status=$?
[ "$status" = 1 ] && grep -q 'old ones serve on' "$RUN/err" || die "status $status: $(cat "$RUN/err")"
grep -hq 'policy:mrenclave' "$DIR"/replica-*.log || die "it was refused for another reason"
[ "$(ready)" = 3 ] || die "$(cluster status)"
clean refused

step "fewer, then none"
cluster scale 1 >/dev/null || die "scale"
[ "$(ready)" = 1 ] || die "$(cluster status)"
cluster down || die "down"
! running cluster || gone cluster
! pgrep -f "$RUN/served-new" >/dev/null || die "a replica is left"
say "ok"
