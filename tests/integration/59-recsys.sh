#!/usr/bin/env bash
# cczoo recsys: every verb with keys from files and from a KMS, what comes out of a cluster and goes into one, and refusals.
. "$(dirname "$0")/recsys.sh"
run_begin test-recsys
made_up_ratings
cd "$RUN"
recsys() { "$BIN/cczoo" recsys "$@"; }
quiet() { recsys "$@" >>"$RUN/log/all.log" 2>&1 || { tail -n 3 "$RUN/log/all.log" >&2; die "failed: $*"; }; }
# fails STATUS PATTERN ARGUMENT...: exit status and a line of standard error.
fails() {
    local want=$1 pattern=$2 status=0 out
    shift 2
    out=$(recsys "$@" 2>&1 >/dev/null) || status=$?
    [ "$status" = "$want" ] && grep -qE "$pattern" <<<"$out" || { printf '%s\n' "$out" >&2; die "status $status, expected $want and '$pattern': $*"; }
}
LOCAL=(--model-key model.key --any-trainer-insecure)
ALS=(--factors 12 --iterations 6 --reg 0.02 --unobserved 0.2 --threads 1)
"$BIN/cczoo" pf keygen data.key 2>/dev/null
"$BIN/cczoo" pf keygen model.key 2>/dev/null
"$BIN/cczoo" pf keygen other.key 2>/dev/null

step "ratings in clear, as a protected file and as encrypted Parquet give the same model"
quiet encrypt --key data.key made-up/ratings.csv ratings.enc
quiet encrypt --key data.key --titles made-up/movies.csv titles.enc
quiet encrypt --key data.key --parquet made-up/ratings.csv ratings.parquet
[ "$(head -c 4 ratings.parquet)" = PARE ] || die "no encrypted footer"
! grep -aqE 'film [0-9]|Title [0-9]' ratings.enc titles.enc ratings.parquet || die "ids or titles lie there in clear"
TRAIN=(train "${ALS[@]}" --split none --name films --model-key model.key)
quiet "${TRAIN[@]}" --in made-up/ratings.csv --titles made-up/movies.csv --out clear
quiet "${TRAIN[@]}" --in ratings.enc --data-key data.key --titles titles.enc --out protected
quiet "${TRAIN[@]}" --in ratings.parquet --format parquet --data-key data.key --titles titles.enc --out parquet
for form in protected parquet; do # and by way of a sort on the disk
    case $form in protected) from=(--in ratings.enc) ;; *) from=(--in ratings.parquet --format parquet) ;; esac
    quiet "${TRAIN[@]}" "${from[@]}" --data-key data.key --titles titles.enc --memory 0.005 --spill-dir . --out "$form-spilled"
done
for bundle in clear protected parquet protected-spilled parquet-spilled; do
    recsys recommend --bundle $bundle "${LOCAL[@]}" --k 6 u1 u2 >$bundle.txt 2>/dev/null
    recsys recommend --bundle $bundle "${LOCAL[@]}" --oblivious --k 6 u1 u2 | cmp - $bundle.txt
    cmp $bundle.txt clear.txt
    recsys inspect --bundle $bundle "${LOCAL[@]}" 2>/dev/null | python3 -c '
import hashlib, json, sys
m = json.load(sys.stdin)
digest = hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest()
assert (m["name"], m["version"], m["users"], m["items"], m["key"], m["data_sha256"]) == ("films", 1, 120, 60, "", digest), m' \
        "$(case $bundle in clear) echo made-up/ratings.csv ;; protected*) echo ratings.enc ;; *) echo ratings.parquet ;; esac)"
done
[ "$(wc -l <clear.txt)" = 12 ] && grep -q 'Title [0-9]* of kind 1$' clear.txt || die "lists without titles"

step "lists for who is new, similar items, JSON"
recsys recommend --bundle clear "${LOCAL[@]}" --rated "film 3=5,film 6=4,film 9=5" --k 5 --json | python3 -c '
import json, sys
items = json.load(sys.stdin)["items"]
kinds = [int(i["title"].split()[-1]) for i in items]
assert len(items) == 5 and kinds.count(0) >= 4 and not {"film 3", "film 6", "film 9"} & {i["id"] for i in items}, items'
recsys similar --bundle clear "${LOCAL[@]}" --k 4 --json "film 4" | python3 -c '
import json, sys
items = json.load(sys.stdin)["items"]
assert [int(i["id"].split()[1]) % 3 for i in items].count(1) >= 3, items'

step "metrics, baselines, search, page, plan"
recsys evaluate --in made-up/ratings.csv "${ALS[@]}" --baselines --bootstrap 50 --html page.html --by-factors 4,8 2>/dev/null >table.txt
for row in popularity item-kNN EASE ALS; do grep -qE "^$row +10 " table.txt || die "no row of $row"; done
[ "$(grep -c '<svg' page.html)" -ge 1 ] || die "no curves"
fails 1 'refused: recsys:ndcg: .* / at least' evaluate --in made-up/ratings.csv "${ALS[@]}" --expect 900 --bootstrap 0
fails 2 'by-factors is a list' evaluate --in nowhere --by-factors 8,x # before anything is read or trained
recsys search --in made-up/ratings.csv --trials 4 --iterations 4 --threads 1 2>/dev/null | grep -qE '^best: --iterations [0-9]+ --factors' || die "no best"
recsys plan --ratings 25000000000 --users 200000000 --items 1000000 --memory 128 | grep -q '^one machine: not enough' || die "it fits?"
recsys plan --ratings 20000000 --users 138000 --items 27000 --memory 16 --gflops 30 | grep -q '^one machine: enough' || die "it does not fit?"

step "to a cluster and back"
quiet export --in ratings.enc --data-key data.key --master-key data.key numbers.parquet
quiet export --bundle clear "${LOCAL[@]}" --master-key data.key factors
IMPORT=(import --in made-up/ratings.csv --titles made-up/movies.csv --user-factors factors/user_factors --item-factors factors/item_factors
    --name films --version 2 --model-key model.key --kind implicit-ials --reg 0.02 --unobserved 0.2)
recsys "${IMPORT[@]}" --master-key data.key --bootstrap 0 --out back 2>/dev/null | grep -qE '^Spark ALS +10 ' || die "not judged"
recsys recommend --bundle back "${LOCAL[@]}" --k 6 u1 u2 2>/dev/null | cmp - clear.txt
recsys inspect --bundle back "${LOCAL[@]}" 2>/dev/null | grep -q '"trainer": "spark"'

step "refusals"
fails 1 'refused: agent:wrapped' "${IMPORT[@]}" --master-key other.key --out never
"$ROOT/scripts/flip-byte" factors/item_factors/part-00000.parquet 500
fails 1 'refused: parquet:.*row group 0, column' "${IMPORT[@]}" --master-key data.key --out never
fails 3 'recsys:open.*nowhere' import --in made-up/ratings.csv --user-factors nowhere --item-factors nowhere --master-key data.key \
    --name x --model-key model.key --out never
fails 1 'refused: pf:metadata: ' "${TRAIN[@]}" --in ratings.enc --data-key other.key --out never
fails 1 'refused: pf:path: ' "${TRAIN[@]}" --in titles.enc --data-key data.key --out never
fails 1 'refused: agent:wrapped' "${TRAIN[@]}" --in ratings.parquet --format parquet --data-key other.key --out never
fails 1 'parquet:encrypted' "${TRAIN[@]}" --in ratings.parquet --format parquet --out never
fails 2 'recsys:trainer' recommend --bundle clear --model-key model.key u1
fails 1 'refused: pf:metadata: ' recommend --bundle clear --model-key other.key --any-trainer-insecure u1
fails 3 'does not know user nobody' recommend --bundle clear "${LOCAL[@]}" nobody
fails 3 'does not know item film 99' recommend --bundle clear "${LOCAL[@]}" --rated 'film 99=5'
fails 2 'memory' train "${ALS[@]}" --name films --model-key model.key --in ratings.enc --data-key data.key --memory 1 --out never
fails 3 'recsys:bundle-dir' "${TRAIN[@]}" --in made-up/ratings.csv --out clear
fails 2 'recsys:kms' "${TRAIN[@]}" --in ratings.enc --data-key key/ratings --out never --model-key key/films
# what the KMS gives for one purpose does not flow into what anybody reads, nor the other way round
fails 2 'recsys:mixed-keys' "${TRAIN[@]}" --in made-up/ratings.csv --out never --model-key key/films
fails 2 'recsys:mixed-keys' "${TRAIN[@]}" --in ratings.enc --data-key data.key --out never --model-key key/films
fails 2 'recsys:mixed-keys' "${TRAIN[@]}" --in ratings.enc --data-key key/ratings --out never # under model.key
fails 2 'recsys:mixed-keys' export --in ratings.enc --data-key key/ratings --master-key data.key never
fails 2 'recsys:mixed-keys' export --bundle clear --model-key key/films --any-trainer-insecure --master-key data.key never
fails 2 'recsys:mixed-keys' "${IMPORT[@]}" --master-key key/factors --out never
DIGEST=$(sha256sum made-up/ratings.csv | cut -d ' ' -f 1)
recsys inspect --bundle clear "${LOCAL[@]}" --data-sha256 "$DIGEST" --trainer-kind cczoo >>"$RUN/log/all.log" 2>&1 || die "the data is not what was trained on?"
fails 1 'refused: recsys:data: ' inspect --bundle protected "${LOCAL[@]}" --data-sha256 "$DIGEST"
fails 1 'refused: recsys:trainer-kind: spark / cczoo' inspect --bundle back "${LOCAL[@]}" --trainer-kind cczoo
fails 2 'recsys:data' inspect --bundle clear "${LOCAL[@]}" --data-sha256 12
[ ! -e never ] || die "something was written"

step "orders: what the options say, of these files; a bundle that was made without one fulfils none"
ORDER=(order "${ALS[@]:0:8}" --in ratings.enc --titles titles.enc --data-key key/ratings --model-key key/films --name films --split none)
recsys "${ORDER[@]}" >local.json 2>/dev/null
python3 - <<'PY'
import hashlib, json
o = json.load(open("local.json"))
digest = lambda name: hashlib.sha256(open(name, "rb").read()).hexdigest()
assert (o["version"], o["name"], o["trainer"], o["model_key"], o["parent_sha256"]) == (1, "films", "cczoo", "films", ""), o
assert o["data"] == {"key": "ratings", "name": "ratings", "format": "csv", "sha256": digest("ratings.enc"),
                     "titles_format": "movielens-csv-titles", "titles_sha256": digest("titles.enc")}, o
assert o["filter"] == {"value_min": None, "binarize": False, "per_user": 0, "per_item": 0, "twice": "refuse"}, o
assert o["als"] == {"kind": "implicit-ials", "factors": 12, "iterations": 6, "reg": 0.02, "alpha": 0, "unobserved": 0.2, "nu": 1, "seed": 1,
                    "cg": 0, "biases": False, "nonnegative": False}, o
assert o["judge"] == {"split": "none", "share": 0, "expect": 0}, o
PY
recsys "${ORDER[@]}" 2>/dev/null | cmp - local.json
fails 1 'refused: recsys:order: 0{64} / [0-9a-f]{64}' inspect --bundle protected "${LOCAL[@]}" --order local.json
fails 1 'refused: recsys:order-value' "${ORDER[@]}" --data-key data.key
fails 1 'refused: recsys:order-value: trainer: somebody / ' "${ORDER[@]}" --trainer somebody
fails 1 'refused: recsys:order-value: spark.ratings_key: a key of no KMS / ' "${ORDER[@]}" --trainer spark
fails 1 'refused: recsys:order-value: judge.expect: no judge / ' "${ORDER[@]}" --trainer spark --spark-ratings-key key/a --spark-factors-key key/b
fails 1 'refused: recsys:order-value: spark: keys / ' "${ORDER[@]}" --spark-ratings-key key/a
fails 1 'refused: recsys:order-value' "${ORDER[@]}" --expect 2 # of nothing that is judged
fails 2 'parent' "${ORDER[@]}" --parent 12
fails 3 'pinned:open' "${ORDER[@]}" --in nowhere
fails 3 'pinned:open' "${ORDER[@]}" --titles .
sed 's/"seed": 1/"seed": 1, "seed": 2/' local.json >twice.json
fails 1 'recsys:order-format' inspect --bundle protected "${LOCAL[@]}" --order twice.json
sed 's/"seed": 1/"sead": 1/' local.json >typo.json
fails 1 'recsys:order-format.*member als.seed is missing' inspect --bundle protected "${LOCAL[@]}" --order typo.json

step "the name of a data set: another file under the same key is none of it"
PARQUET=("${TRAIN[@]}" --format parquet --data-key data.key --titles titles.enc)
fails 1 'refused: parquet:aad-prefix: ' "${PARQUET[@]}" --in numbers.parquet --out never # an export of the same ratings
fails 1 'refused: parquet:aad-prefix: ' "${PARQUET[@]}" --in ratings.parquet --data-name ratings-2 --out never
quiet encrypt --key data.key --parquet --data-name ratings-2 made-up/ratings.csv named.parquet
fails 1 'refused: parquet:aad-prefix: ' "${PARQUET[@]}" --in named.parquet --out never
quiet "${PARQUET[@]}" --in named.parquet --data-name ratings-2 --out named
quiet "${PARQUET[@]}" --in named.parquet --any-data-name-insecure --out unnamed
rm -r factors
quiet export --bundle clear "${LOCAL[@]}" --master-key data.key --export-name films-1 factors
fails 1 'refused: parquet:aad-prefix: ' "${IMPORT[@]}" --master-key data.key --factors-name films-2 --out never
mv factors/user_factors factors/x && mv factors/item_factors factors/user_factors && mv factors/x factors/item_factors
fails 1 'refused: parquet:aad-prefix: ' "${IMPORT[@]}" --master-key data.key --factors-name films-1 --out never # sides swapped
mv factors/user_factors factors/x && mv factors/item_factors factors/user_factors && mv factors/x factors/item_factors
quiet "${IMPORT[@]}" --master-key data.key --factors-name films-1 --bootstrap 0 --out imported
fails 2 'data-name' "${PARQUET[@]}" --in named.parquet --data-name '' --out never
fails 1 'refused: recsys:ratings: [0-9]+ / 100' "${PARQUET[@]}" --in ratings.parquet --ratings-max 100 --out never
[ ! -e never ] || die "something was written"

step "a bundle without evidence is refused by who asks for a trainer's; oblivious lists are served as well"
mv "$RUN/titles.enc" "$RUN/other-titles.enc"
head -n 100 made-up/ratings.csv >part.csv # some of the users alone
rm -r "$RUN/made-up" "$RUN/ratings.parquet"
recsys_server --oblivious
fails 1 'refused: ratls:no-evidence' recommend --bundle clear --model-key model.key --trainer-policy "$RUN/trainer-policy.json" \
    --trust-sim "$RUN/sim/trust" u1
recsys recommend --bundle clear "${LOCAL[@]}" --k 6 --json u1 2>>"$RUN/log/all.log" >said.json # the same ratings and parameters
rest /v1/models/films:predict '{"inputs": {"user_id": ["u1"], "k": 6}}' >served.json
python3 - <<'PY'
import json
ids = json.load(open("served.json"))["outputs"]["item_ids"][0]
want = [i["id"] for i in json.load(open("said.json"))["items"]]
assert ids == want and len(ids) == 6, (ids, want)
PY
[ "$(rest /v2/health/ready | wc -c)" = 0 ] || die "health has a body"

# signal PATTERN: SIGHUP; waits for the line that the server writes then
signal() {
    kill -HUP "${PIDS[server]}"
    for ((i = 0; i < 200; i++)); do
        grep -qE "$1" "$RUN/log/server.log" && return
        sleep 0.05
    done
    die "no line like '$1': $(tail -n 1 "$RUN/log/server.log")"
}

step "the bundle that is served changes nothing; another one under its version is refused at SIGHUP"
signal ' version=1 unchanged'
mv "$RUN/films-1" "$RUN/films-first"
order --seed 2
signal 'model=kept where=recsys:order.*got="[0-9a-f]{64}"' # the owner wants another model than this one by now
train "$BIN/cczoo-trainer" 1 >>"$RUN/log/train.log" 2>&1
publish 1
signal 'model=kept where=recsys:version-reused.*got="version 1, manifest [0-9a-f]{64}".*expected="manifest [0-9a-f]{64}"'
rest /v1/models/films:predict '{"inputs": {"user_id": ["u1"], "k": 6}}' | cmp - served.json

step "the key has a newer version, the folder has not: at SIGHUP the server says so, and goes on with what it has"
new_model_key 2
signal 'model=kept where=recsys:rolled-back.*got="version 1 of the key"'
rest /v1/models/films:predict '{"inputs": {"user_id": ["u1"], "k": 6}}' | cmp - served.json
stop server

step "what can do more than train gets no key of the KMS, and cczoo-trainer can do nothing else"
KMS_KEYS=(--in "$RUN/ratings.parquet" --format parquet --data-key key/ratings --data-name "$DATA_NAME" "${TEE[@]}" "${ASK_KMS[@]}")
fails 1 'refused: policy:mrenclave: ' recommend --bundle "$RUN/films" --model-key key/films --any-trainer-insecure "${TEE[@]}" "${ASK_KMS[@]}" u1
fails 1 'refused: policy:mrenclave: ' export "${KMS_KEYS[@]}" --master-key key/films never
fails 1 'refused: policy:mrenclave: ' train "${KMS_KEYS[@]}" --split none --name films --model-key key/films --out never
fails 1 'refused: policy:mrenclave: ' inspect --bundle protected "${LOCAL[@]}" --order secret/orders/films "${TEE[@]}" "${ASK_KMS[@]}" # nor the order
recsys() { "$BIN/cczoo-trainer" "$@"; } # for fails
ORDERED=(--order secret/orders/films --in "$RUN/ratings.parquet" --titles "$RUN/titles.enc" --out never)
REST_OF_IT=("${TEE[@]}" "${ASK_KMS[@]}")
fails 1 'refused: recsys:kms-only: local.json / secret/NAME' "${ORDERED[@]}" "${REST_OF_IT[@]}" --order local.json
fails 1 'refused: recsys:data: [0-9a-f]{64} / [0-9a-f]{64}' "${ORDERED[@]}" "${REST_OF_IT[@]}" --in ratings.enc
fails 1 'refused: recsys:titles: [0-9a-f]{64} / [0-9a-f]{64}' "${ORDERED[@]}" "${REST_OF_IT[@]}" --titles other-titles.enc
fails 1 'refused: recsys:titles: no titles / ' "${ORDERED[@]:0:4}" --out never "${REST_OF_IT[@]}"
fails 2 'recsys:kms' "${ORDERED[@]}" "${ASK_KMS[@]}" # no evidence
fails 2 'recsys:memory' "${ORDERED[@]}" "${REST_OF_IT[@]}" --memory 1 # with a split
fails 2 'order and --in' "${ORDERED[@]:2}" "${REST_OF_IT[@]}"
fails 2 'out is required' "${ORDERED[@]:0:6}" "${REST_OF_IT[@]}"
for option in --version=7 --value-min=1 --binarize --twice=sum --per-user=2 --per-item=2 --any-data-name-insecure --master-key=data.key --bundle=clear \
    --format=csv --data-key=key/x --data-name=x --titles-format=x --model-key=key/x --name=x --parent=x --kind=explicit --factors=8 --iterations=2 --reg=1 --alpha=1 \
    --unobserved=1 --nu=0 --cg=3 --nonneg --no-biases --seed=2 --split=none --share=0.5 --expect=0; do
    fails 2 'unknown option' "${ORDERED[@]}" "${REST_OF_IT[@]}" "$option"
done
recsys() { "$BIN/cczoo-recsys-spark" "$@"; }
fails 1 'refused: policy:mrenclave: ' export "${ORDERED[@]:0:6}" "${REST_OF_IT[@]}" never # a policy for the trainer is none for it
fails 1 'refused: recsys:kms-only: local.json / secret/NAME' export "${ORDERED[@]:0:6}" "${REST_OF_IT[@]}" --order local.json never
fails 2 'export . import' encrypt a b
[ ! -e never ] || die "something was written"

step "cczoo-recsys-spark: the order says which ratings, and what the factors must be"
SPARK_ID=$("$BIN/cczoo" sim measure "$BIN/cczoo-recsys-spark")
CLI_ID=$("$BIN/cczoo" sim measure "$BIN/cczoo") # in the place of a cluster
sed "s/$TRAINER_ID/$SPARK_ID/; s/$SERVER_ID/$CLI_ID/" "$RUN/model-policy.json" >"$RUN/spark-policy.json"
kms policy put spark "$RUN/spark-policy.json" >/dev/null
for item in key/ratings key/films secret/orders/films; do kms bind $item spark >/dev/null; done
for key in factors part; do kms key create $key --alg aes-128 --bind spark >/dev/null; done
FACTORS=(--user-factors factors/user_factors --item-factors factors/item_factors)
CLUSTER=(--trainer spark --spark-ratings-key key/part --spark-factors-key key/factors)
fails 1 'refused: recsys:trainer-kind: spark / cczoo' export "${ORDERED[@]:0:6}" "${REST_OF_IT[@]}" never
fails 1 'refused: recsys:trainer-kind: spark / cczoo' import "${ORDERED[@]}" "${REST_OF_IT[@]}" "${FACTORS[@]}"
order "${CLUSTER[@]}" --expect 900
fails 1 'refused: recsys:data: ' export "${ORDERED[@]:0:6}" "${REST_OF_IT[@]}" --in ratings.enc never
fails 1 'refused: recsys:data: ' import "${ORDERED[@]}" "${REST_OF_IT[@]}" "${FACTORS[@]}" --in ratings.enc
quiet export "${ORDERED[@]:0:6}" "${REST_OF_IT[@]}" spark.parquet
for option in --split=none --seed=3 --name=x --model-key=key/x --kind=explicit --expect=0 --any-data-name-insecure --version=7 --master-key=key/x --export-name=x --factors-name=x; do
    fails 2 'unknown option' import "${ORDERED[@]}" "${REST_OF_IT[@]}" "${FACTORS[@]}" "$option"
    fails 2 'unknown option' export "${ORDERED[@]:0:6}" "${REST_OF_IT[@]}" "$option" never
done
recsys() { "$BIN/cczoo" recsys "$@"; }
quiet train "${KMS_KEYS[@]}" "${PARAMETERS[@]}" --split none --model-key key/films --name films --out cluster
rm -r factors
quiet export --bundle cluster --model-key key/films --any-trainer-insecure --master-key key/factors factors "${REST_OF_IT[@]}"
quiet encrypt --key key/ratings part.csv part.enc "${REST_OF_IT[@]}"
quiet train --in part.enc --data-key key/ratings --split none "${PARAMETERS[@]}" --model-key key/films --name films --out few-users "${REST_OF_IT[@]}"
quiet export --bundle few-users --model-key key/films --any-trainer-insecure --master-key key/factors few "${REST_OF_IT[@]}"
recsys() { "$BIN/cczoo-recsys-spark" "$@"; }
IMPORT=(import "${ORDERED[@]}" "${RUNNING[@]}" "${REST_OF_IT[@]}" "${FACTORS[@]}")
fails 1 'refused: recsys:ndcg: .* / at least' "${IMPORT[@]}"
order "${CLUSTER[@]}" --factors 11 --expect 0.01
fails 1 'refused: recsys:factors: 12 / 11' "${IMPORT[@]}"
order "${CLUSTER[@]}" --kind explicit --expect 0.01
fails 1 'refused: recsys:biases: no biases / ' "${IMPORT[@]}"
order --trainer spark --spark-ratings-key key/part --spark-factors-key key/part --expect 0.01
fails 1 'refused: parquet:master-key: factors / ' "${IMPORT[@]}" # the file says another key
order "${CLUSTER[@]}" --expect 0.01
FEW=(import "${ORDERED[@]}" "${RUNNING[@]}" "${REST_OF_IT[@]}" --user-factors few/user_factors --item-factors few/item_factors)
fails 1 'refused: recsys:factors: [1-9][0-9]* of [0-9]+ rows are missing / one for each user' "${FEW[@]}" # of who has ratings in what was exported
[ ! -e never ] || die "something was written"
quiet "${IMPORT[@]}" --out from-cluster
recsys() { "$BIN/cczoo" recsys "$@"; }
recsys inspect --bundle from-cluster --model-key key/films --any-trainer-insecure --order secret/orders/films "${REST_OF_IT[@]}" 2>>"$RUN/log/all.log" |
    python3 -c '
import hashlib, json, sys
m = json.load(sys.stdin)
digest = lambda name: hashlib.sha256(open(name, "rb").read()).hexdigest()
assert (m["trainer"], m["order_sha256"], m["titles_sha256"]) == ("spark", digest("order.json"), digest("titles.enc")), m
assert m["parameters"]["kind"] == "implicit-ials" and "ndcg@10" in m["metrics"], m'
for item in key/ratings key/films secret/orders/films; do kms bind $item "$([ $item = key/ratings ] && echo data || echo model)" >/dev/null; done
order --seed 2

step "a second model under one version of the key, and a server that starts anew"
once() { # OPTION...: a server that must not come up; a refusal in log/once.log
    local status=0
    served "$BIN/cczoo-served" --port-file "$RUN/once.port" "$@"
    timeout 20 "${SERVED[@]}" >"$RUN/log/once.log" 2>&1 || status=$?
    [ $status = "${WANT:-1}" ] || die "status $status: $(tail -n 2 "$RUN/log/once.log")"
}
train "$BIN/cczoo-trainer" new 2>"$RUN/log/new.log" >/dev/null # the key has version 2 by now, and so has the model
grep -q 'films version 2, manifest' "$RUN/log/new.log" || die "not version 2: $(tail -n 1 "$RUN/log/new.log")"
publish 1
once
grep -q '^refused: recsys:rolled-back: version 1 of the key' "$RUN/log/once.log" || die "an older model"
publish new
order --seed 3
once
grep -qE '^refused: recsys:order: [0-9a-f]{64} / [0-9a-f]{64}' "$RUN/log/once.log" || die "a model of an older order"
grep -q '^hint: made for another order' "$RUN/log/once.log" || die "no hint"
order --seed 2
start_server
[[ $(rest /v2/models/films) = *'"versions":["2"]'* ]] || die "version 2 is not served"
step "two models of one order are the same"
rest /v1/models/films:predict '{"inputs": {"user_id": ["u1", "u2", "u3"], "k": 20}}' >served.json
stop server
train "$BIN/cczoo-trainer" again --threads 3 >>"$RUN/log/train.log" 2>&1
publish again
start_server
rest /v1/models/films:predict '{"inputs": {"user_id": ["u1", "u2", "u3"], "k": 20}}' | cmp - served.json
stop server

step "keys and order of one run come from one KMS: another of the same program, with items of the same names, is refused"
host() { "$BIN/cczoo" kms "$@" --kms "$HOST" --admin-key "$RUN/host.key" --trust-sim "$RUN/sim/trust" --policy "$RUN/kms-policy.json" 2>>"$RUN/log/admin.log"; }
host_kms() { # PORT
    rm -f "$RUN/host.port"
    start host "$BIN/cczoo-kmsd" run --state "$RUN/host-kms" --listen "127.0.0.1:$1" --port-file "$RUN/host.port" "${TEE[@]}"
    wait_file host "$RUN/host.port" 20
    HOST=127.0.0.1:$(cat "$RUN/host.port")
}
"$BIN/cczoo-kmsd" init --state "$RUN/host-kms" --admin-key "$RUN/host.key" 2>>"$RUN/log/setup.log"
host_kms 0
"$BIN/cczoo" pf keygen evil.key 2>/dev/null
host policy put model "$RUN/model-policy.json" >/dev/null
for key in ratings films; do host key import $key --alg aes-128 --from evil.key --bind model >/dev/null; done
host secret put orders/films --from "$RUN/order.json" --bind model >/dev/null
OWNER_ID=$(kms status | sed -n 's/^instance //p')
HOST_ID=$(host status | sed -n 's/^instance //p')
# mixed OPTION...: a trainer that finds both: its second value comes from the other one, but for a connection that is late
mixed() {
    local said
    for ((i = 0; i < 20; i++)); do
        rm -rf never
        said=$("$BIN/cczoo-trainer" "${ORDERED[@]}" "${RUNNING[@]}" "${TEE[@]}" --kms "$KMS,$HOST" --kms-policy "$RUN/kms-policy.json" "$@" 2>&1 >/dev/null) && continue
        [[ $said = *"refused: kms:instance: "*"hint: all values of one run come from one KMS"* ]] || continue # all of the host, which has no such ratings
        [ ! -e never ] || die "something was written"
        return
    done
    die "never refused: $said"
}
mixed
mixed --kms-id "$OWNER_ID"
rm -rf never
recsys() { "$BIN/cczoo-trainer" "$@"; }
fails 1 "refused: kms:instance: $OWNER_ID / $HOST_ID" "${ORDERED[@]}" "${REST_OF_IT[@]}" --kms-id "$HOST_ID"
fails 2 'kms:instance-id' "${ORDERED[@]}" "${REST_OF_IT[@]}" --kms-id 12
once --kms-id "$HOST_ID"
grep -q "^refused: kms:instance: $OWNER_ID / $HOST_ID" "$RUN/log/once.log" || die "another KMS: $(tail -n 1 "$RUN/log/once.log")"
WANT=2 once --kms-id nobody
start_server # with a KMS in the place of the one that it has started with
rest /v1/models/films:predict '{"inputs": {"user_id": ["u1", "u2", "u3"], "k": 20}}' | cmp - served.json
stop host
stop kms
host_kms "${KMS##*:}"
signal "model=kept where=kms:instance.*got=\"$HOST_ID\".*expected=\"$OWNER_ID\""
rest /v1/models/films:predict '{"inputs": {"user_id": ["u1", "u2", "u3"], "k": 20}}' | cmp - served.json
stop server
WANT=2 once --order local.json
grep -q 'secret/NAME' "$RUN/log/once.log" || die "an order of a file"
WANT=2 once --any-order-insecure
grep -q 'and not both' "$RUN/log/once.log" || die "an order, and any"
say "ok"
