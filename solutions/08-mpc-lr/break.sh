#!/usr/bin/env bash
# Six attacks and accidents, each of which must end with its reason (at an honest B as well), and with no result revealed. See README.md, "Break it".
. "$(dirname "$0")/parties.sh"
run_begin "$NAME-break"

make_platform
make_data
program=(--epochs 1 --batch 64 --rate 0.1)
open=(--unattested-insecure) # where an attacker is to come further than its evidence would let it

# a_says STATUS PATTERN OPTIONS... -- COMMAND...: what hospital A says, and ends with, while the command does its part; A's address
# is added to the command.
a_says() {
    local status=$1 pattern=$2 options=() out got=0
    shift 2
    while [ "$1" != -- ]; do options+=("$1"); shift; done
    shift
    rm -f "$RUN/victim.port"
    (
        for ((i = 0; i < 400; i++)); do [ -s "$RUN/victim.port" ] && break; sleep 0.05; done
        exec "$@" --connect "127.0.0.1:$(cat "$RUN/victim.port")"
    ) >"$RUN/log/other.log" 2>&1 </dev/null &
    out=$("$PARTY" party "${options[@]}" --data "$RUN/a-train.csv" --label y "${program[@]}" --listen 127.0.0.1:0 \
        --port-file "$RUN/victim.port" 2>&1) || got=$?
    wait "$!" 2>/dev/null || true
    if [ "$got" != "$status" ] || ! grep -qE "$pattern" <<<"$out"; then
        printf '%s\n' "$out" >&2
        die "expected status $status and a line like '$pattern', got status $got"
    fi
    if ! grep -q '^no result was revealed' <<<"$out" || grep -q '^revealed' <<<"$out"; then die "A revealed a result: $out"; fi
    grep -E "$pattern|^no result was revealed" <<<"$out" | sed 's/^/   A: /'
}
# b_said PATTERN: what the other side had to say.
b_said() { grep -E "$1" "$RUN/log/other.log" | sed 's/^/   B: /' | grep . || die "B did not say: $1"; }
attack() { echo "$BIN/cczoo-mpc-attack" "$1" --ids "$RUN/a-train.csv"; } # who knows which patients A has
honest=("$PARTY" party --data "$RUN/b-train.csv")

step "(a) mismatched parameters: B was told another number of epochs"
a_says 1 '^refused: mpc:terms-epochs: 6 / 1' "${attested[@]}" -- "${honest[@]}" "${attested[@]}" --epochs 6 --batch 64 --rate 0.1
b_said '^refused: mpc:terms-epochs: 1 / 6'

step "(b) wrong program: B speaks the protocol, but its measurement is another one"
hospital_a fussy party "${attested[@]}" --data "$RUN/a-train.csv" --label y "${program[@]}" --aligned
stranger() {
    "$BIN/cczoo-mpc-attack" stranger --ids "$RUN/a-train.csv" --sim-dir "$RUN/sim" --trust-sim "$RUN/sim/trust" --connect "$ADDRESS" 2>&1 |
        sed -n 's/^error: peer:/refused: peer:/p; s/^refused: peer:/refused: peer:/p'
    return 1
}
expect_refusal 'peer:policy:' stranger | cut -c1-120 | sed 's/^/   A: /'
stop fussy

step "(c) a truncated message: B cuts a byte off in the middle of the training"
# shellcheck disable=SC2046
a_says 1 '^refused: chan:size: ' "${open[@]}" --aligned -- $(attack truncate)

step "(d) B dies in the middle of the training"
# shellcheck disable=SC2046
a_says 3 '^error: chan:closed: ' "${open[@]}" --aligned -- $(attack die)

step "(e) stored randomness is used a second time, and from a copy of the folder that A kept"
head -c 16 /dev/urandom >"$RUN/a.key"
head -c 16 /dev/urandom >"$RUN/b.key"
DATA=train
OPTIONS_A=(--store "$RUN/a.store" --store-key "$RUN/a.key") OPTIONS_B=(--store "$RUN/b.store" --store-key "$RUN/b.key")
both night offline "${program[@]}"
cp -r "$RUN/a.store" "$RUN/a.copy"
both day party "${program[@]}"
again=("${honest[@]}" "${attested[@]}" "${program[@]}" "${OPTIONS_B[@]}")
a_says 1 '^error: mpc:store-used: ' "${attested[@]}" "${OPTIONS_A[@]}" -- "${again[@]}"
b_said '^error: (chan:closed: )?mpc:store-used'
rm -rf "$RUN/a.store"
mv "$RUN/a.copy" "$RUN/a.store"
a_says 3 '^error: chan:closed: mpc:store-used' "${attested[@]}" "${OPTIONS_A[@]}" -- "${again[@]}"
b_said '^error: mpc:store-used: '

step "(f) a dealer with another measurement: it would know every mask"
start dealer "$BIN/cczoo-mpc-attack" dealer --sim-dir "$RUN/sim" --trust-sim "$RUN/sim/trust" --port-file "$RUN/dealer.port"
wait_file dealer "$RUN/dealer.port" 20
dealt=(--optimize dealer --dealer "127.0.0.1:$(cat "$RUN/dealer.port")" --dealer-policy "$RUN/policy.json")
a_says 1 '^refused: policy:' "${attested[@]}" "${dealt[@]}" -- "${honest[@]}" "${attested[@]}" "${program[@]}" "${dealt[@]}" | cut -c1-120
b_said '^(refused: policy:|error: chan:closed: policy:)' | cut -c1-120

say "ok: six attacks, no result revealed"
