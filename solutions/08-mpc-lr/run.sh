#!/usr/bin/env bash
# Two hospitals train and score on secret shares; no third party, and no TEE is needed. See README.md.
. "$(dirname "$0")/parties.sh"
run_begin "$NAME"
record "$NAME" false # until the last line says otherwise

step "1 software TEE (SIMULATED); 569 patients: hospital A has the diagnosis and 15 columns, B 15 others"
make_platform
make_data
for party in a b; do
    say "$party: $(($(wc -l <"$RUN/$party-train.csv") - 1)) rows to train with, $(($(wc -l <"$RUN/$party-test.csv") - 1)) to test; first id $(sed -n '2s/,.*//p' "$RUN/$party-train.csv")"
done

step "2 train and score: common patients by private set intersection, then everything on shares"
DATA=train
program=(--epochs 5 --batch 64 --rate 0.1)
OPTIONS_A=(--test "$RUN/a-test.csv" --model-out "$RUN/a.model" --scores-out "$RUN/a.scores" --json "$RUN/a.json")
OPTIONS_B=(--test "$RUN/b-test.csv" --model-out "$RUN/b.model")
both train party "${program[@]}"
told a-train '^(train|test|plan|revealed|setup|offline|online|total)'

step "3 the same arithmetic in one place, with both tables: what must come out"
"$PARTY" simulate --data "$RUN/a-train.csv" --data-2 "$RUN/b-train.csv" --label y --test "$RUN/a-test.csv" --test-2 "$RUN/b-test.csv" \
    "${program[@]}" --compare "$RUN/a.model" --compare-2 "$RUN/b.model" --scores-out "$RUN/simulated.scores" | sed 's/^/   /'
cut -d, -f1,3 "$RUN/a.scores" | cmp -s - "$RUN/simulated.scores" || die "scores differ from those of the simulation"
say "$(($(wc -l <"$RUN/simulated.scores") - 1)) scores are equal, too"

step "4 the expensive part the night before: randomness of all products is stored, then used, once"
head -c 16 /dev/urandom >"$RUN/a.key"
head -c 16 /dev/urandom >"$RUN/b.key"
OPTIONS_A=(--test "$RUN/a-test.csv" --store "$RUN/a.store" --store-key "$RUN/a.key")
OPTIONS_B=(--test "$RUN/b-test.csv" --store "$RUN/b.store" --store-key "$RUN/b.key")
both night offline "${program[@]}"
told a-night '^done'
OPTIONS_A+=(--model-out "$RUN/a2.model")
both day party "${program[@]}"
say "at night: $(grep '^total' "$RUN/log/a-night.log" | sed 's/^total *//')"
say "by day:   $(grep '^total' "$RUN/log/a-day.log" | sed 's/^total *//')"
cmp -s "$RUN/a.model" "$RUN/a2.model" || die "the model differs from that of step 2"
say "the same model, bit by bit"

step "5 an attested dealer makes that randomness instead: both hospitals verify its measurement first"
start dealer "$PARTY" dealer "${attested[@]}" --listen 127.0.0.1:0 --port-file "$RUN/dealer.port" --sessions 1
wait_file dealer "$RUN/dealer.port" 20
OPTIONS_A=(--test "$RUN/a-test.csv" --model-out "$RUN/a3.model")
OPTIONS_B=(--test "$RUN/b-test.csv")
both dealt party "${program[@]}" --optimize dealer --dealer "127.0.0.1:$(cat "$RUN/dealer.port")" --dealer-policy "$RUN/policy.json"
finish dealer
told dealer '^session'
told a-dealt '^total'
cmp -s "$RUN/a.model" "$RUN/a3.model" || die "the model differs from that of step 2"
say "the same model, bit by bit"

step "6 a model that nobody has: its weights stay shares, and score the test patients"
OPTIONS_A=(--model-out "$RUN/a.shares") OPTIONS_B=(--model-out "$RUN/b.shares")
both shares party "${program[@]}" --weights shared
DATA=test
OPTIONS_A=(--model "$RUN/a.shares") OPTIONS_B=(--model "$RUN/b.shares")
both score party --program score --weights shared
told a-shares '^revealed'
told a-score '^(score|revealed|test)'

step "7 what it costs by where the randomness comes from: one epoch, 420 rows, 15 and 15 columns, on this machine"
"$PARTY" table --rows 420 --epochs 1 --optimize all --csv "$RUN/table.csv" --svg "$RUN/table.svg" 2>/dev/null | sed 's/^/   /'
say "$(awk -F, 'NR > 1 { b[$1] = $5 + $6 + $7; r[$1] = $8 + $9 + $10 }
    END { printf "rounds: %.1f times fewer bytes than he-each, %.1f times fewer rounds than ot", b["he-each"] / b["rounds"], r["ot"] / r["rounds"] }' "$RUN/table.csv")"
record "$NAME" true
say "ok: one model of both hospitals' columns, equal to the plain computation bit by bit; neither saw a value of the other's"
