#!/usr/bin/env bash
# The balancer of `cczoo cluster` is killed under load: it is started again and clients with retries lose no call; clients that know every
# replica's address do not notice. There is one answer alone.
. "$(dirname "$0")/served.sh"
run_begin test-balancer
make_platform
start_kms
protect_model
served_args
DIR=$RUN/cluster FRONT=127.0.0.1:$("$ROOT/scripts/free-port")
cluster() { "$BIN/cczoo" cluster "$1" --dir "$DIR" "${@:2}"; }
asked() { cluster status --json | python3 -c "import json, sys; s = json.load(sys.stdin); print($1)"; }
until_is() { # VALUE EXPRESSION
    local i
    for ((i = 0; i < 1200; i++)); do
        [ "$(asked "$2" 2>/dev/null)" = "$1" ] && return 0
        sleep 0.1
    done
    cluster status >&2
    die "$2 is not $1"
}
loaded() { # NAME TARGET RETRIES
    "$BIN/cczoo" load --target "$2" --policy "$RUN/policy.json" --trust-sim "$RUN/sim/trust" --model fashion-mnist \
        --input 'images:float[1,28,28,1]=random' --connections 4 --in-flight 4 --warm-up 0 --seconds 12 --retries "$3" \
        --answers-max 1 >"$RUN/log/$1.load" 2>&1 &
    LOADS[$1]=$!
}
declare -A LOADS=()
serves() { # the balancer that is known is the one that has the port
    local i
    for ((i = 0; i < 600; i++)); do
        grep -qs "^$(asked 's["balancer"]')\$" "$DIR/nginx.pid" && (exec 3<>"/dev/tcp/${FRONT/://}") 2>/dev/null && return 0
        sleep 0.1
    done
    cat "$DIR/nginx-error.log" >&2
    die "the balancer does not listen"
}

step "two replicas behind $FRONT"
(cd "$RUN" && exec "$BIN/cczoo" cluster up --dir "$DIR" --replicas 2 --listen "$FRONT" -- "$BIN/cczoo-served" "${ARGS[@]:2}" --grace 10) \
    >"$RUN/log/cluster.log" 2>&1 </dev/null &
started cluster
until_is 2 's["ready"]'
direct=127.0.0.1:$(cat "$DIR/replica-0.port"),127.0.0.1:$(cat "$DIR/replica-1.port")

step "the balancer is killed three times"
loaded front "$FRONT" 10
loaded direct "$direct" 0 # the other way in: not even a retry
sleep 1
for i in 1 2 3; do
    balancer=$(asked 's["balancer"]')
    [ "$balancer" -gt 1 ] || die "no balancer"
    kill -KILL "$balancer"
    until_is True "s[\"balancer\"] not in (0, $balancer)"
    serves
    say "balancer $balancer was killed, $(asked 's["balancer"]') is there"
    sleep 1
done
for name in front direct; do
    wait "${LOADS[$name]}" || { cat "$RUN/log/$name.load" >&2; die "calls failed: $name"; }
    say "$name: $(sed -n 's/^answered *//p' "$RUN/log/$name.load"), no call failed"
done
[ "$(asked 's["ready"]')" = 2 ] || die "a replica went with the balancer"
cluster down || die "down"
say ok
