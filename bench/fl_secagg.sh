#!/usr/bin/env bash
# Rounds of cczoo-fld with secure aggregation and without, which take turns: MEMBERS members in each round, a perceptron of 1.0 M
# parameters, mutual RA-TLS on 127.0.0.1, models signed and verified. In each round LOST members have sent their shares, get the model, and
# vanish; others take their places in the next. Members are threads of one process (bench_fl_members), with a connection each, on the same
# cores as the server. Without training (SAMPLES 0) all members send the same vector, and the last models of both ways must agree.
# Columns: way, median and best seconds of a round without the first one of each turn, what of it is removing masks, bytes up and down
# in it for each member; then the ratios of medians and bytes.
# On a machine that does other things too, put `chrt -r 1` in front (as root): all programs then have the cores first.
# usage: bench/fl_secagg.sh [TURNS [ROUNDS [MEMBERS [LOST [SAMPLES]]]]]      default 3 4 100 10 0
. "$(dirname "$0")/../scripts/lib.sh"
turns=${1:-3} rounds=${2:-4} members=${3:-100} lost=${4:-10} samples=${5:-0} hidden=1260
BIN=$ROOT/build/release/bin
bench=$(find "$ROOT/build/release" -name bench_fl_members -type f 2>/dev/null | head -n 1)
[ -n "$bench" ] && [ -x "$BIN/cczoo-fld" ] || die "build it first: cmake --build --preset release --target bench_fl_members cczoo cczoo-fld"
run_begin bench-fl-secagg
cd "$RUN"
"$BIN/cczoo" sim init sim 2>log/sim.log
policy() { printf '{"version":1,"rules":[{"name":"%s","tee":"sgx","sim":true,"mrenclave":"%s"}]}\n' "$1" "$("$BIN/cczoo" sim measure "$2")"; }
policy server "$BIN/cczoo-fld" >server.json
policy member "$bench" >member.json
"$bench" model "$hidden" first.model
all=$((members + lost * rounds)) # those who vanish do not come again

turn() { # WAY SETTINGS
    rm -f port rounds.jsonl log/members.log
    printf '{"rounds":%d,"members_min":%d,"members_max":%d,"sample":%d,"quorum":%d,"seed":1,"aggregate":{"equal_weights":true}%s}\n' \
        "$rounds" "$members" "$all" "$members" "$((members - lost))" "$2" >config.json
    start fld "$BIN/cczoo-fld" --config config.json --model first.model --listen 127.0.0.1:0 --port-file port --policy member.json \
        --tee sim-sgx --sim-dir sim --trust-sim sim/trust --sign-key key.pem --log rounds.jsonl --model-out "$1.model"
    wait_file fld port 60
    start members "$bench" run "127.0.0.1:$(cat port)" "$all" "$hidden" "$samples" "$lost" server.json sim
    LIMIT=900 gone fld members
    [ "$(wc -l <rounds.jsonl)" = "$rounds" ] || { tail -n 5 log/fld.log log/members.log >&2; die "cczoo-fld did not finish"; }
    tail -n +2 rounds.jsonl >>"$1.jsonl"
}

for ((t = 0; t < turns; t++)); do
    turn plain ""
    turn secagg ',"secagg":{"on":true,"range":0.5}'
done
python3 - "$members" "$lost" "$samples" <<'PY'
import array, json, statistics, sys
members, lost, samples = (int(x) for x in sys.argv[1:])
print("way\tmedian s\tbest s\tmasks ms\tbytes of a member")
time, size = {}, {}
for way in ("plain", "secagg"):
    rows = [json.loads(l) for l in open(f"{way}.jsonl")]
    assert all(r["selected"] == members and r["delivered"] == members - lost and r["attempt"] == 1 for r in rows), rows
    seconds = [r["duration_ms"] / 1000 for r in rows]
    time[way] = statistics.median(seconds)
    size[way] = statistics.median((r["sent_bytes"] + r["received_bytes"]) / members for r in rows)
    masks = statistics.median(r.get("private_ms", 0) for r in rows)
    print(f"{way}\t{time[way]:.3f}\t{min(seconds):.3f}\t{masks:.0f}\t{size[way]:.0f}")
print(f"ratio of medians\t{time['secagg'] / time['plain']:.2f}\tof bytes\t{size['secagg'] / size['plain']:.4f}")
if samples == 0:
    def model(name):
        a = array.array("f")
        a.frombytes(open(name, "rb").read()[-4 * 1001710:])
        return a
    worst = max(abs(a - b) for a, b in zip(model("plain.model"), model("secagg.model")))
    assert worst < 1e-5, f"the sums differ by {worst}"
    print(f"largest difference of the last models\t{worst:.1e}")
PY
