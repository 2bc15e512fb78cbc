#!/usr/bin/env bash
# cczoo fl: a simulation with comparisons and a page, the same bits from any number of threads and after kill -9, refusals.
. "$(dirname "$0")/../../scripts/lib.sh"
run_begin test-fl-simulate
cd "$RUN"

digest() { sed -n 's/.*"round":'"$2"',.*"digest":"\([0-9a-f]*\)".*/\1/p' "$1" | tail -n 1; }

step "data: squares in one of four corners"
mkdir data
python3 - <<'PY'
import gzip, random, struct
random.seed(1)
def write(name, n, plain):
    images, labels = bytearray(), bytearray()
    for _ in range(n):
        c = random.randrange(4)
        labels.append(c)
        for y in range(16):
            for x in range(16):
                inside = (x >= 8) == (c % 2 == 1) and (y >= 8) == (c >= 2)
                images.append(min(255, random.randrange(160) + (80 if inside else 0)))
    for kind, head, body in (("images-idx3", struct.pack(">IIII", 0x803, n, 16, 16), images), ("labels-idx1", struct.pack(">II", 0x801, n), labels)):
        with (open if plain else gzip.open)(f"data/{name}-{kind}-ubyte" + ("" if plain else ".gz"), "wb") as f:
            f.write(head + bytes(body))
write("train", 1200, False)
write("t10k", 200, True)
PY
ARGS=(fl simulate --idx data --clients 8 --partition dirichlet --model lenet --epochs 2 --batch 16 --lr 0.02 --momentum 0.9 --seed 3)
sim() { "$BIN/cczoo" "${ARGS[@]}" "$@"; }

step "a run with comparisons, a log and a page"
status 0 sim --rounds 6 --central 6 --alone 6 --log a.jsonl --html a.html --expect 90
has out '^central, 6 epochs: (9[0-9]|100)'
has out '^each alone, 6 epochs, mean of 8: '
has out '^     6 '
[ "$(grep -c '"round":' a.jsonl)" = 6 ] || die "not 6 rounds in the log"
python3 -c 'import json, sys; [json.loads(l) for l in open("a.jsonl")]' || die "the log is no JSON"
grep -q '<polyline' a.html && ! grep -qE 'https?:|<script' a.html || die "the page has no curves, or loads something"
status 1 sim --rounds 1 --expect 100 --quiet
has err '^refused: fl:accuracy: '

step "the same bits from one thread"
status 0 sim --rounds 6 --threads 1 --log b.jsonl --quiet
[ "$(digest a.jsonl 6)" = "$(digest b.jsonl 6)" ] || die "other bits from one thread"
status 0 sim --rounds 6 --seed 4 --log c.jsonl --quiet
[ "$(digest a.jsonl 6)" != "$(digest c.jsonl 6)" ] || die "the seed does not matter"

step "kill -9 in the middle, with what clients keep"
(umask 077 && head -c 32 /dev/urandom >key)
status 0 sim --rounds 30 --strategy scaffold --momentum 0 --log whole.jsonl --quiet
killed=0
for delay in 0.1 0.2 0.3 0.5 0.8 1.2; do
    "$BIN/cczoo" "${ARGS[@]}" --rounds 30 --strategy scaffold --momentum 0 --log killed.jsonl --checkpoint state --key key --quiet &
    pid=$!
    sleep "$delay"
    kill -9 "$pid" 2>/dev/null && killed=$((killed + 1))
    wait "$pid" || true
done 2>/dev/null
status 0 sim --rounds 30 --strategy scaffold --momentum 0 --log killed.jsonl --checkpoint state --key key --quiet
[ "$killed" -gt 0 ] || die "nothing was killed"
[ "$(digest whole.jsonl 30)" = "$(digest killed.jsonl 30)" ] || die "other bits after kill -9"
status 0 "$BIN/cczoo" fl report --html both.html --title "a & b" whole=whole.jsonl killed=killed.jsonl
grep -q '<title>a &amp; b</title>' both.html || die "no title"

step "a partition from a file: other parts, other bits; damaged files are refused"
awk 'BEGIN { for (i = 0; i < 1200; i++) print i % 8 }' >parts
status 0 sim --rounds 6 --parts parts --log parts.jsonl --quiet
[ "$(digest a.jsonl 6)" != "$(digest parts.jsonl 6)" ] || die "the file does not matter"
for damage in '7d' '1200d' '9s/.*/8/' '9s/.*/-1/' '9s/.*/1x/' '9s/.*//' '$p'; do
    sed "$damage" parts >damaged
    status 1 sim --rounds 1 --parts damaged --quiet
    has err 'fl:parts'
done
awk '{ print $1 == 7 ? 6 : $1 }' parts >damaged # nothing for the last client
status 2 sim --rounds 1 --parts damaged --quiet
has err 'fl:sim-part: client 7'
status 3 sim --rounds 1 --parts nowhere --quiet

step "refusals"
(umask 077 && head -c 32 /dev/urandom >other)
status 1 sim --rounds 31 --strategy scaffold --momentum 0 --checkpoint state --key other --quiet
has err 'fl:checkpoint-seal'
status 1 sim --rounds 30 --strategy scaffold --momentum 0 --lr 0.5 --checkpoint state --key key --quiet
has err 'fl:checkpoint-config'
status 2 "$BIN/cczoo" fl simulate
has err '^error: data are needed'
status 2 sim --strategy nonsense
status 2 sim --codec nonsense
status 2 sim --momentum 1
status 2 sim --lr 0.1x
status 2 sim --checkpoint state
status 2 sim --html x.html
status 2 "$BIN/cczoo" fl nonsense
status 2 "$BIN/cczoo" fl report a.jsonl
status 0 "$BIN/cczoo" fl --help
head -c 300 a.jsonl >cut.jsonl
status 1 "$BIN/cczoo" fl report --html cut.html cut.jsonl
[ ! -e cut.html ] || die "a page of a broken log"
say ok
