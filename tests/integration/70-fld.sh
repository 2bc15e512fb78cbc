#!/usr/bin/env bash
# cczoo-fld and two workers: a training that learns, and who is refused by whom.
. "$(dirname "$0")/fld.sh"
fld_begin test-fld
fld_config '"rounds":4,"members_min":2,"seed":7,"eval_every":1,"train":{"epochs":1,"batch":16,"lr":0.01},"norm_max":50'

# scrape NAME VALUE: what Prometheus reads of this server, once it is so.
scrape() {
    python3 - "http://127.0.0.1:$(cat "$RUN/metrics-port")" "$1" "$2" <<'PY'
import sys, time, urllib.error, urllib.request
url, name, want = sys.argv[1:]
for _ in range(200):
    with urllib.request.urlopen(url + "/metrics", timeout=10) as r:
        assert r.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8", r.headers
        lines = r.read().decode().splitlines()
    assert all(l.startswith(("# HELP cczoo_fl_", "# TYPE cczoo_fl_", "cczoo_fl_")) for l in lines), lines
    if [float(l.split()[1]) for l in lines if l.split()[0] == name] == [float(want)]:
        break
    time.sleep(0.05)
else:
    sys.exit(f"{name} is not {want}: {lines}")
try:
    urllib.request.urlopen(url + "/", timeout=10)
    sys.exit("something else than metrics is served")
except urllib.error.HTTPError as e:
    assert e.code == 404, e.code
PY
}

server --metrics 127.0.0.1:0 --metrics-port-file "$RUN/metrics-port"
scrape cczoo_fl_members 0
worker 0
scrape cczoo_fl_members 1
scrape cczoo_fl_rounds_total 0
worker 1
finish server worker-0 worker-1
grep -q '^done after 4 rounds' "$RUN/log/server.log" || die "the server did not finish"
grep -q '^done after 4 rounds' "$RUN/log/worker-1.log" || die "a worker did not finish"
cmp -s "$RUN/server.model" "$RUN/worker-0.model" && die "the server's model is signed, the worker's copy is not"
python3 - "$RUN" <<'PY'
import json, sys
run = sys.argv[1]
rows = [json.loads(l) for l in open(f"{run}/rounds.jsonl")]
assert [r["round"] for r in rows] == [1, 2, 3, 4], rows
assert all(r["delivered"] == 2 and r["samples"] == 600 for r in rows), rows
assert rows[3]["base_eval"]["loss"] < rows[0]["base_eval"]["loss"], rows
prom = open(f"{run}/prom.txt").read()
assert "cczoo_fl_rounds_total 4" in prom and "cczoo_fl_updates_accepted_total 8" in prom, prom
tail = lambda f: open(f"{run}/{f}", "rb").read()[-4 * 3140:]
assert tail("server.model") == tail("worker-0.model") == tail("worker-1.model")
PY
"$BIN/cczoo" fl report --html "$RUN/report.html" "$RUN/rounds.jsonl" >/dev/null
grep -q '<svg' "$RUN/report.html" || die "a report without curves"

# refuses NAME WHERE: the program NAME ended badly, and said why.
refuses() {
    ended_badly "$1"
    grep -q "$2" "$RUN/log/$1.log" || { tail -n 3 "$RUN/log/$1.log" >&2; die "$1 was not refused with $2"; }
}
fresh() { rm -rf "$RUN"/state "$RUN"/worker-*.state "$RUN/rounds.jsonl"; rm -f "$RUN"/log/*; }

fresh
server
printf '{"version":1,"rules":[{"name":"x","tee":"sgx","sim":true,"mrenclave":"%064d"}]}\n' 0 >"$RUN/nobody.json"
worker 0 --policy "$RUN/nobody.json"
refuses worker-0 policy:
TEE="" worker 0
refuses worker-0 'peer:\|ratls:'
worker 0 --name other
refuses worker-0 fld:member
stop server
grep -q '^done' "$RUN/log/server.log" && die "the server finished without members"

fresh
fld_policy fld-other "$BIN/cczoo" # workers are measured as something else
POLICY=fld-other server
worker 0
refuses worker-0 policy:
stop server

# A server whose model has another layout.
fresh
sed 's/"softmax"/"mlp:8"/' "$RUN/worker.json" >"$RUN/mlp.json"
server
worker 0 --config "$RUN/mlp.json"
refuses worker-0 fl:layout
stop server

# Checkpoints that were changed, or are of another key.
fresh
server
worker 0
worker 1
finish server worker-0 worker-1
rm "$RUN"/log/*
newest=$RUN/state/round-000000000004.ccz
cp "$newest" "$RUN/newest"
python3 - "$newest" <<'PY'
import sys
b = bytearray(open(sys.argv[1], "rb").read())
b[6000] ^= 1
open(sys.argv[1], "wb").write(b)
PY
server
refuses server fl:checkpoint-seal
cp "$RUN/newest" "$newest"
head -c 32 /dev/urandom >"$RUN/other-seal"
SEAL=$RUN/other-seal server
refuses server fl:checkpoint-seal
mv "$newest" "$RUN/newest" # put back to the round before: workers have seen the last one
server
worker 0
refuses worker-0 fl:rollback
stop server
say "ok: refused on both sides, and at rest"
