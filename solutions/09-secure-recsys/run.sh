#!/usr/bin/env bash
# Encrypted ratings in, attested training, private recommendations out. See README.md.
# usage: run.sh        REPORT=FILE keeps the page with tables and curves
. "$(dirname "$0")/parties.sh"
run_begin "$NAME"
record "$NAME" false # until the last line says otherwise

step "1 software TEE (SIMULATED): a platform and its test root"
make_platform
say "the trainer is measured as ${TRAINER_ID:0:16}..., the server as ${SERVER_ID:0:16}..."

step "2 KMS, and the owner's ratings: encrypted on his machine, with an order"
start_kms
protect_ratings
order --expect 1.5
say "ratings.parquet: $(stat -c %s "$RUN/ratings.parquet") bytes, begins with $(head -c 4 "$RUN/ratings.parquet"), an encrypted footer"
say "its key is bound to policy.json: only the measured trainer gets it"
say "his order says what is trained on which files, and that it must beat popularity by half: sha256 $(sha256sum "$RUN/order.json" | cut -c 1-16)..."

step "3 the trainer attests, gets order and keys, trains; judged on films that it had not seen"
new_model_key 1
train "$BIN/cczoo-trainer" 1 --html "$RUN/report.html" --by-factors 8,16,32,64,128 2>"$RUN/log/train.log" | sed 's/^/   /'
grep -hE '^order|ratings of|^bundle' "$RUN/log/train.log" | sed "s|$RUN/||;s/^/   /"
grep -q '<svg' "$RUN/report.html" || die "the page has no curves"
say "page: $(stat -c %s "$RUN/report.html") bytes of HTML"
[ -z "${REPORT:-}" ] || cp "$RUN/report.html" "$REPORT"

step "4 the server attests, gets order and model key, and believes the bundle for its trainer's evidence"
publish 1
start_server
kms audit --last 3 | sed 's/^/   /'

step "5 somebody new, who has rated five films: ids go in, ids come out"
five='{"rated_items": [260, 1196, 1210, 2571, 589], "ratings": [5, 5, 4.5, 5, 4], "k": 5}'
rest /v1/models/films:predict "{\"signature_name\": \"fold_in\", \"instances\": [$five]}" | titled | sed 's/^/   /'
say "a user of the training, by the Open Inference Protocol:"
rest /v2/models/films/infer '{"inputs": [{"name": "user_id", "datatype": "INT64", "shape": [1], "data": [15]},
    {"name": "k", "datatype": "INT64", "shape": [1], "data": [3]}]}' | titled | sed 's/^/   /'
say "nobody knows user 4711, so he gets what is popular:"
rest /v1/models/films:predict '{"signature_name": "recommend_or_popular", "instances": [{"user_id": 4711, "k": 3}]}' | titled | sed 's/^/   /'

step "6 a new model: a new order and a new version of its key first, then the bundle; the server goes on"
order --parent "$(sed -n 's/.*manifest_sha256 //p' "$RUN/log/train.log")" --split none --seed 2
new_model_key 2
train "$BIN/cczoo-trainer" 2 2>>"$RUN/log/train-2.log"
publish 2
kill -HUP "${PIDS[server]}"
served=""
for ((i = 0; i < 200; i++)); do
    served=$(rest /v2/models/films)
    [[ $served != *'"versions":["2"]'* ]] || break
    sleep 0.05
done
[[ $served = *'"versions":["2"]'* ]] || die "the server did not take the new model: $(tail -n 2 "$RUN/log/server.log")"
say "$(rest /v1/models/films | tr -d ' \n')"
rest /v1/models/films:predict "{\"signature_name\": \"fold_in\", \"instances\": [$five]}" | titled | sed -n '1s/^/   /p'
nothing_in_clear
record "$NAME" true
say "ok: the search that finds 100 titles and the times of 100 ratings in the owner's files finds none in those of this run"
