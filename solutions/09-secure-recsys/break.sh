#!/usr/bin/env bash
# Nine attacks that must be refused, each with its reason. See README.md, "Break it".
. "$(dirname "$0")/parties.sh"
run_begin "$NAME-break"

make_platform
start_kms
OLDER=$RUN/older.csv # the owner had encrypted fewer ratings before, under the same key and name
head -n 40000 "$RATINGS/ratings.csv" >"$OLDER"
protect_ratings
PARAMETERS=(--kind implicit-ials --factors 16 --iterations 3 --seed 1 --split none) # good enough to be stolen
order
new_model_key 1
flip() { # PROGRAM: a copy of it with one byte changed, in RUN
    cp "$BIN/$1" "$RUN/$1"
    chmod u+wx "$RUN/$1"
    "$ROOT/scripts/flip-byte" "$RUN/$1" "$(grep -abo "$2" "$RUN/$1" | head -n 1 | cut -d: -f1)"
}
serve_once() { # a server that must not come up
    served "$BIN/cczoo-served" --port-file "$RUN/never.port"
    "${SERVED[@]}"
}

step "(a) one bit of a page of the encrypted Parquet file"
cp "$RUN/ratings.parquet" "$RUN/ratings.good"
"$ROOT/scripts/flip-byte" "$RUN/ratings.parquet" 400000
expect_refusal 'recsys:data: ' train "$BIN/cczoo-trainer" 1 | sed 's/^/   /'
order # of the file as it lies there now: encryption sees it, where the order does not
expect_refusal 'parquet:data-page: ' train "$BIN/cczoo-trainer" 1 | sed 's/^/   /'
mv "$RUN/ratings.good" "$RUN/ratings.parquet"
order

step "(b) a trainer with one byte changed asks for the ratings"
flip cczoo-trainer 'unexpected operand: '
expect_refusal 'policy:mrenclave: ' train "$RUN/cczoo-trainer" 1 | sed 's/^/   /'

step "(c) a bundle signed by another trainer than the one that the policy names"
train "$BIN/cczoo-trainer" 1 2>>"$RUN/log/train.log"
publish 1
cp "$RUN/trainer-policy.json" "$RUN/trainer-policy.good"
"$BIN/cczoo" sim measure "$RUN/cczoo-trainer" >"$RUN/other" # as if its trainer were another program
sed "s/$TRAINER_ID/$(cat "$RUN/other")/" "$RUN/trainer-policy.good" >"$RUN/trainer-policy.json"
expect_refusal 'policy:mrenclave: ' serve_once | sed 's/^/   /'
mv "$RUN/trainer-policy.good" "$RUN/trainer-policy.json"

step "(d) one bit of the served bundle"
"$ROOT/scripts/flip-byte" "$RUN/films/item.f32" 30000
expect_refusal 'pf:data-node: .*item.f32' serve_once | sed 's/^/   /'

step "(e) yesterday's model is put back, after a new one was published"
new_model_key 2
train "$BIN/cczoo-trainer" 2 2>>"$RUN/log/train.log"
publish 2
start_server
stop server
publish 1
expect_refusal 'recsys:rolled-back: version 1' serve_once | sed 's/^/   /'
sed -i 's/"key_version": 1/"key_version": 2/' "$RUN/films/key.json" # and its folder lies about the key
expect_refusal 'pf:metadata: ' serve_once | sed 's/^/   /'

step "(f) the genuine command line, with arguments of the trainer's host: it could export ratings, and run programs that get keys"
as_trainer() { "$BIN/cczoo" recsys "$@" --in "$RUN/ratings.parquet" --format parquet --data-key key/ratings --data-name "$DATA_NAME" "${TEE[@]}" "${ASK_KMS[@]}"; }
expect_refusal 'policy:mrenclave: ' as_trainer export --master-key key/films "$RUN/stolen.parquet" | sed 's/^/   /'
head -c 16 /dev/urandom >"$RUN/some.key"
chmod 600 "$RUN/some.key"
for agent in "cczoo agent run" cczoo-agent; do
    expect_refusal 'policy:mrenclave: ' "$BIN"/$agent --kms "$KMS" --policy "$RUN/kms-policy.json" "${TEE[@]}" --wrap ratings -- \
        "$BIN/cczoo" agent wrap ratings --in "$RUN/some.key" | sed 's/^/   /'
done
[ ! -e "$RUN/stolen.parquet" ] || die "something was exported"

step "(g) the genuine trainer with other files: ratings in clear, an older state that their owner had encrypted, other titles"
with() { # RATINGS TITLES
    "$BIN/cczoo-trainer" --order secret/orders/films --in "$1" --titles "$2" --out "$RUN/poisoned" "${TEE[@]}" "${ASK_KMS[@]}"
}
expect_refusal 'recsys:data: ' with "$OLDER" "$RUN/titles.enc" | sed 's/^/   /'
expect_refusal 'recsys:data: ' with "$RUN/older.parquet" "$RUN/titles.enc" | sed 's/^/   /'
expect_refusal 'recsys:titles: ' with "$RUN/ratings.parquet" "$RATINGS/movies.csv" | sed 's/^/   /'
[ ! -e "$RUN/poisoned" ] || die "something was trained"

step "(h) another model of the genuine trainer under the same version of the key: of an order that its owner has replaced since"
order --seed 2
train "$BIN/cczoo-trainer" other 2>>"$RUN/log/train.log"
order # the first one again
publish other
expect_refusal 'recsys:order: ' serve_once | sed 's/^/   /'

step "(i) the key of the model is revoked"
publish 2
printf '{}' >"$RUN/nobody.json"
kms policy put nobody "$RUN/nobody.json" >/dev/null
kms bind key/films nobody >/dev/null
expect_refusal 'policy:empty: ' serve_once | sed 's/^/   /'

say "ok: nine attacks, fifteen refusals"
