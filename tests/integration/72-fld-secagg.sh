#!/usr/bin/env bash
# Secure aggregation among members of a roster, by the programs: the sum is right, and members refuse every other server.
. "$(dirname "$0")/fld.sh"
fld_begin test-fld-secagg
sed -i 's/"parts":2/"parts":5/' "$RUN/worker.json"
seq -f 'worker-%g' 0 4 >"$RUN/members"
rounds='"rounds":3,"members_min":4,"seed":7,"samples_max":1000,"train":{"epochs":1,"batch":16,"lr":0.01}'
secagg="$rounds"',"secagg":{"on":true,"range":0.5}'
fresh() { rm -rf "$RUN"/state "$RUN"/worker-*.state "$RUN/rounds.jsonl"; rm -f "$RUN"/log/*; }

# Keys are made by the members' own program; the entries, and nothing else, come together in a roster.
entry() { "$BIN/cczoo-fl-worker" --roster-entry --name "worker-$1" --identity "$RUN/$1.pem" 2>>"$RUN/log/entries.log"; }
for n in 0 1 2 3 4; do
    entry "$n" >"$RUN/$n.json"
    [ "$(stat -c %a "$RUN/$n.pem")" = 600 ] || die "a key that others can read"
    entry "$n" | cmp -s - "$RUN/$n.json" || die "the second entry is another one"
done
roster() { # FILE MEMBER...
    local out=$1 n list=()
    shift
    for n in "$@"; do list+=("$(cat "$RUN/$n.json")"); done
    (IFS=, && printf '{"members":[%s]}\n' "${list[*]}") >"$RUN/$out"
}
roster roster 0 1 2 3
roster other 0 1 2 4
cp "$RUN/3.json" "$RUN/3.own"
sed 's/worker-4/worker-3/' "$RUN/4.json" >"$RUN/3.json"
roster same-names 0 1 2 3
mv "$RUN/3.own" "$RUN/3.json"
member() { worker "$1" --roster "$RUN/roster" --identity "$RUN/$1.pem" "${@:2}"; }
refuses() { # NAME WHERE
    ended_badly "$1"
    grep -q "$2" "$RUN/log/$1.log" || { tail -n 3 "$RUN/log/$1.log" >&2; die "$1 did not refuse with $2"; }
}
until_said() { # NAME PATTERN
    local i
    for ((i = 0; i < 400; i++)); do grep -q "$2" "$RUN/log/$1.log" 2>/dev/null && return 0; sleep 0.05; done
    tail -n 5 "$RUN/log/$1.log" >&2
    die "$1 did not say: $2"
}

# The same training in the clear and under masks. The stranger is here first, and is left out.
fld_config "$rounds"
server
for n in 0 1 2 3; do worker "$n"; done
finish server worker-0 worker-1 worker-2 worker-3
mv "$RUN/server.model" "$RUN/plain.model"
fresh
fld_config "$secagg"
server --roster "$RUN/roster"
worker 4
until_said server 'member=worker-4 .*joined'
for n in 0 1 2 3; do member "$n"; done
finish server worker-0 worker-1 worker-2 worker-3 worker-4
! grep -q '^round' "$RUN/log/worker-4.log" || die "a stranger to the roster was selected"
python3 - "$RUN" <<'PY'
import array, json, sys
run = sys.argv[1]
def tail(f):
    a = array.array("f")
    a.frombytes(open(f"{run}/{f}", "rb").read()[-4 * 3140:])
    return a
plain, masked, first = (tail(f) for f in ("plain.model", "server.model", "first.model"))
worst = max(abs(a - b) for a, b in zip(plain, masked))
moved = max(abs(a - b) for a, b in zip(plain, first))
assert 0 < worst < 1e-5 < 1e-3 < moved, (worst, moved)
rows = [json.loads(l) for l in open(f"{run}/rounds.jsonl")]
assert len(rows) == 3 and all(r["selected"] == r["delivered"] == 4 and r["private_bytes"] > 0 for r in rows), rows
PY

# Without a roster, with one that names somebody else, and with another key under a name that is known.
fresh
server
for n in 0 1 2 3; do member "$n"; done
for n in 0 1 2 3; do refuses "worker-$n" fl:plan-roster; done
stop server
fresh
server --roster "$RUN/other"
worker 4 --roster "$RUN/other" --identity "$RUN/4.pem"
for n in 0 1 2; do member "$n"; done
for n in 0 1 2; do refuses "worker-$n" fl:plan-roster; done
stop server
stop worker-4
fresh
server --roster "$RUN/same-names"
for n in 0 1 2 3; do member "$n"; done
until_said server 'member=worker-3 .*verdict=refused where=secagg:session'
stop server
for n in 0 1 2 3; do stop "worker-$n"; done
[ ! -s "$RUN/rounds.jsonl" ] || die "a round without agreement"

# Plain tasks, and sums of too few, to members that insist.
insist() { sed '$s/}$/,"secagg":'"$1"'}/' "$RUN/worker.json" >"$RUN/insist.json"; }
fresh
fld_config "$rounds"
insist '{"required":true}'
server
member 0
worker 1 --config "$RUN/insist.json"
for n in 2 3; do worker "$n"; done
for n in 0 1; do refuses "worker-$n" fl:not-private; done
stop server
for n in 2 3; do stop "worker-$n"; done
fresh
fld_config "$secagg"
insist '{"required":true,"quorum_min":5}'
server
worker 0 --config "$RUN/insist.json"
for n in 1 2 3; do worker "$n"; done
refuses worker-0 fl:plan-quorum
stop server
for n in 1 2 3; do stop "worker-$n"; done

# What is wrong in files is said at the start.
fresh
start_refused() { # WHERE WORKER-FLAG...
    local where=$1 out
    shift
    out=$("$BIN/cczoo-fl-worker" --config "$RUN/worker.json" --part 0 --server 127.0.0.1:9 --name worker-0 --unattested-insecure "$@" 2>&1) &&
        die "accepted: $*"
    grep -q -- "$where" <<<"$out" || die "expected $where, got: $out"
}
start_refused fl:identity --roster "$RUN/roster" --identity "$RUN/1.pem"
start_refused fl:identity --roster "$RUN/roster" --identity "$RUN/0.pem" --name worker-4
chmod 644 "$RUN/2.pem"
start_refused file:permissions --roster "$RUN/roster" --identity "$RUN/2.pem"
sed 's/worker-1/worker-0/' "$RUN/roster" >"$RUN/twice"
start_refused fl:roster-name --roster "$RUN/twice" --identity "$RUN/0.pem"
sed 's/"key":"../"key":"zz/' "$RUN/roster" >"$RUN/no-key"
start_refused fl:roster-key --roster "$RUN/no-key" --identity "$RUN/0.pem"
start_refused '--identity is required' --roster "$RUN/roster"
start_refused '--roster is required' --identity "$RUN/0.pem"
insist '{"required":false}'
start_refused fl:config-value --roster "$RUN/roster" --identity "$RUN/0.pem" --config "$RUN/insist.json"
insist '{"quorum_min":3}'
start_refused fl:config-value --config "$RUN/insist.json"
insist '{"require":true}'
start_refused fl:config-name --config "$RUN/insist.json"
fld_config "$rounds"
server --roster "$RUN/roster"
refuses server fl:cfg-privacy
say "ok: the same sum, and no update to a server that members do not agree with"
