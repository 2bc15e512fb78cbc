#!/usr/bin/env bash
# kill -9 of the server and of both workers in turn, at moments that differ: the training goes on, and its model is, bit by bit, the one
# of a training that nothing disturbed. With control variates, and with an encoding that keeps its error; the server that is killed has
# its model in a file while updates come in.
. "$(dirname "$0")/fld.sh"
fld_begin test-fld-kill9
KILLS=${KILLS:-12} # for each kind
base="\"rounds\":$((3 * KILLS + 1)),"'"members_min":2,"seed":7,"train":{"epochs":3,"batch":8,"lr":0.002}'

kills_all=0
for kind in '"aggregate":{"scaffold":true}' '"codec":{"kind":"int8"}'; do
    fld_config "$base,$kind"
    rm -rf "$RUN"/state "$RUN"/worker-*.state "$RUN"/*.model.calm "$RUN"/log/* "$RUN/rounds.jsonl"
    server
    worker 0
    worker 1
    finish server worker-0 worker-1
    cp "$RUN/server.model" "$RUN/server.model.calm"
    rm -rf "$RUN"/state "$RUN"/worker-*.state "$RUN"/log/* "$RUN/rounds.jsonl"
    server --spill "$RUN" --last-wait 10
    worker 0 --retry 60
    worker 1 --retry 60
    kills=0
    for ((i = 0; i < 400; i++)); do # before the first round is over: the members know this training already
        [ -e "$RUN/worker-0.state" ] && break
        sleep 0.005
    done
    kill -KILL "${PIDS[server]}"
    unset "PIDS[server]"
    server --spill "$RUN" --last-wait 10
    for ((k = 0; k < KILLS; k++)); do
        read -r victim <<<"$(printf 'server\nworker-0\nworker-1\n' | sed -n "$((k % 3 + 1))p")"
        told=$(wc -l <"$RUN/rounds.jsonl" 2>/dev/null || echo 0)
        for ((i = 0; i < 400; i++)); do # a round further, at another moment each time
            [ "$(wc -l <"$RUN/rounds.jsonl" 2>/dev/null || echo 0)" -gt "$told" ] && break
            running server || break
            sleep 0.01
        done
        sleep "0.0$((k * 37 % 9))"
        running "$victim" || break
        kill -KILL "${PIDS[$victim]}"
        unset "PIDS[$victim]"
        kills=$((kills + 1))
        case $victim in
            server) server --spill "$RUN" --last-wait 10 ;;
            worker-*) worker "${victim#worker-}" --retry 60 ;;
        esac
    done
    finish server worker-0 worker-1
    ((kills >= 3)) || die "the training was over after $kills kills"
    kills_all=$((kills_all + kills))
    # the signature differs each time, what is signed does not
    python3 - "$RUN/server.model.calm" "$RUN/server.model" <<'PY'
import sys
a, b = (open(f, "rb").read()[-4 * 3140:] for f in sys.argv[1:])
assert a == b, "the model is another one"
PY
    [ -z "$(find "$RUN/state" -name '*.tmp')" ] || die "half-written checkpoints are left"
    # whoever is killed behind its last model has it, though nobody is left to say so
    rm "$RUN/log/worker-0.log"
    worker 0
    finish worker-0
    rm "$RUN/log/worker-0.log"
    cp "$RUN/first.model" "$RUN/worker-0.model"
    worker 0
    ended_badly worker-0
    grep -q 'fl:last-model' "$RUN/log/worker-0.log" || die "it took another model for the last one"
done
cd "$RUN" # a configuration that cannot be read: before there is a member
status 3 "$BIN/cczoo-fl-worker" --config "$RUN" --server "127.0.0.1:$PORT" --name worker-0 --unattested-insecure
say "ok: $kills_all kills, the same bits"
