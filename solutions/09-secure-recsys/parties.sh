# The parties of this solution, one function each; sourced by run.sh and break.sh.
# shellcheck shell=bash
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"

HERE=$ROOT/solutions/09-secure-recsys
NAME=09-secure-recsys
RATINGS=${CCZOO_RATINGS:-$("$ROOT/scripts/fetch-movielens")} # the folder; fetched only the first time
# What the owner orders. Found by bench/recsys_quality.sh on a validation part of the training data, not on the films that step 3 judges by.
PARAMETERS=(--kind implicit-hkv --factors 64 --iterations 14 --reg 0.0139 --alpha 0.116 --seed 1)
RUNNING=() # what the trainer's host may choose

# What the owner calls these ratings: another file under the same key, or an older state under another name, is refused.
DATA_NAME=films/ratings

# The software TEE, and policies with the measurements of the real programs in them.
make_platform() {
    "$BIN/cczoo" sim init "$RUN/sim" 2>>"$RUN/log/setup.log"
    TRAINER_ID=$("$BIN/cczoo" sim measure "$BIN/${TRAINER:-cczoo-trainer}")
    SERVER_ID=$("$BIN/cczoo" sim measure "$BIN/cczoo-served")
    KMS_ID=$("$BIN/cczoo" sim measure "$BIN/cczoo-kmsd")
    local policy
    for policy in policy.json model-policy.json kms-policy.json; do
        sed -e "s/@TRAINER@/$TRAINER_ID/" -e "s/@SERVER@/$SERVER_ID/" -e "s/@KMS@/$KMS_ID/" \
            "$HERE/$policy" >"$RUN/$policy"
    done
    cp "$RUN/policy.json" "$RUN/trainer-policy.json" # whom the server believes a model
    TEE=(--tee sim-sgx --sim-dir "$RUN/sim" --trust-sim "$RUN/sim/trust")
}

start_kms() {
    "$BIN/cczoo-kmsd" init --state "$RUN/kms" --admin-key "$RUN/admin.key" 2>>"$RUN/log/setup.log"
    start kms "$BIN/cczoo-kmsd" run --state "$RUN/kms" --listen 127.0.0.1:0 --port-file "$RUN/kms.port" "${TEE[@]}"
    wait_file kms "$RUN/kms.port" 20
    KMS=127.0.0.1:$(cat "$RUN/kms.port")
    ASK_KMS=(--kms "$KMS" --kms-policy "$RUN/kms-policy.json")
}

# The administrator's side of the KMS: verifies its evidence before anything is sent.
kms() {
    "$BIN/cczoo" kms "$@" --kms "$KMS" --admin-key "$RUN/admin.key" --trust-sim "$RUN/sim/trust" \
        --policy "$RUN/kms-policy.json" 2>>"$RUN/log/admin.log"
}

# encrypt_ratings CSV OUT
encrypt_ratings() {
    "$BIN/cczoo" recsys encrypt --parquet --format "${FORMAT:-movielens-csv}" --key "$RUN/ratings.key" --key-name ratings --data-name "$DATA_NAME" \
        "$1" "$2" 2>>"$RUN/log/setup.log"
}

# The owner of the ratings: encrypts them on a machine of his own; the key goes to the KMS, and nowhere else.
protect_ratings() {
    "$BIN/cczoo" pf keygen "$RUN/ratings.key" 2>>"$RUN/log/setup.log"
    [ -z "${OLDER:-}" ] || encrypt_ratings "$OLDER" "$RUN/older.parquet"
    encrypt_ratings "$RATINGS/ratings.csv" "$RUN/ratings.parquet"
    "$BIN/cczoo" recsys encrypt --titles --key "$RUN/ratings.key" "$RATINGS/movies.csv" "$RUN/titles.enc" 2>>"$RUN/log/setup.log"
    kms policy put data "$RUN/policy.json" >/dev/null
    kms key import ratings --alg aes-128 --from "$RUN/ratings.key" --bind data >/dev/null
    rm "$RUN/ratings.key" # only the KMS has it now
}

# order [OPTIONS]: the owner says what is to be trained, on these very files, and how good it has to be: a secret of the KMS that trainer and
# server get, and nobody else. The latest counts.
order() {
    local how=(--new-version)
    if [ ! -e "$RUN/order.json" ]; then
        kms policy put model "$RUN/model-policy.json" >/dev/null
        how=(--bind model)
    fi
    "$BIN/cczoo" recsys order --in "$RUN/ratings.parquet" --format parquet --data-key key/ratings --data-name "$DATA_NAME" \
        --titles "$RUN/titles.enc" --model-key key/films --name films "${PARAMETERS[@]}" "$@" >"$RUN/order.json"
    kms secret put orders/films --from "$RUN/order.json" "${how[@]}" >/dev/null
}

# Who publishes a model makes a new version of its key first: older models then open for nobody.
new_model_key() {
    if [ "$1" = 1 ]; then
        kms key create films --alg aes-128 --bind model >/dev/null
    else
        kms key create films --alg aes-128 --new-version >/dev/null
    fi
}

# train PROGRAM VERSION [OPTIONS]: attests, gets the order and both keys, does what the order says; the bundle is RUN/films-VERSION. The model
# has the version that its key has in the KMS.
train() {
    local program=$1 version=$2
    shift 2
    "$program" --order secret/orders/films --in "$RUN/ratings.parquet" --titles "$RUN/titles.enc" --out "$RUN/films-$version" \
        "${RUNNING[@]}" "${TEE[@]}" "${ASK_KMS[@]}" "$@"
}

# What is served is the folder RUN/films: renaming puts another model there.
publish() {
    [ ! -e "$RUN/films" ] || mv "$RUN/films" "$RUN/films.old-$RANDOM"
    cp -r "$RUN/films-$1" "$RUN/films.new"
    mv "$RUN/films.new" "$RUN/films"
}

# in_clear PATH: how many of the owner's marks are in each file there, summed up: 100 titles, and the times of 100 ratings as text and as 64-bit
# numbers (s, ms, us), which is what CSV, JSON, dictionaries and Parquet would hold. Numbers that are short, as ids and stars, cannot be told from chance.
in_clear() {
    python3 -c '
import csv, os, pathlib, struct, sys
folder = pathlib.Path(sys.argv[1])
def column(name, which):
    values = [r[which] for r in csv.DictReader(open(folder / name, encoding="utf-8"))]
    values = [v for v in values if len(v) >= 8 and chr(34) not in v]  # none that is there by chance, or escaped in CSV
    return values[:: max(1, len(values) // 100)][:100]
times = column("ratings.csv", "timestamp")
marks = {t.encode() for t in column("movies.csv", "title")} | {t.encode() for t in times}
marks |= {struct.pack("<q", int(t) * scale) for t in times for scale in (1, 1000, 1000000)}
found = files = 0
for base, _, names in os.walk(sys.argv[2]):
    for path in (pathlib.Path(base, n) for n in names):
        if path.is_file() and not path.is_symlink():
            data = path.read_bytes()
            found += sum(m in data for m in marks)
            files += 1
if not files:
    sys.exit("error: no file to search")
print(found)
' "$RATINGS" "$1"
}

# nothing_in_clear: the files of this run have none of these marks; the search is shown to find them in what the owner has.
nothing_in_clear() {
    local found
    found=$(in_clear "$RATINGS")
    [ "$found" = 200 ] || die "the search finds $found marks in the owner's own files"
    mkdir "$RUN/control" # a title, and a time as a number, at odd places
    { head -c 1000001 /dev/zero; sed -n 2p "$RATINGS/movies.csv"; } >"$RUN/control/text"
    [ "$(in_clear "$RUN/control")" = 1 ] || die "the search does not find a title"
    python3 -c 'import csv, struct, sys; sys.stdout.buffer.write(b"x" * 1001 + struct.pack("<q", int(next(csv.DictReader(open(sys.argv[1])))["timestamp"])))' \
        "$RATINGS/ratings.csv" >"$RUN/control/number"
    [ "$(in_clear "$RUN/control")" = 2 ] || die "the search does not find a number"
    rm -r "$RUN/control"
    found=$(in_clear "$RUN")
    [ "$found" = 0 ] || die "$found titles or times of ratings are in files in clear"
}

# served PROGRAM OPTIONS...: the command of a server, in SERVED.
served() {
    SERVED=("$1" --engine als --model-name films --model-dir "$RUN/films" --trainer-policy "$RUN/trainer-policy.json"
        --order secret/orders/films --kms-key key/films "${TEE[@]}" "${ASK_KMS[@]}" --listen 127.0.0.1:0 "${@:2}")
}

start_server() {
    rm -f "$RUN/server.port" "$RUN/server.rest"
    served "$BIN/cczoo-served" --port-file "$RUN/server.port" --rest 127.0.0.1:0 --rest-port-file "$RUN/server.rest"
    start server "${SERVED[@]}"
    wait_file server "$RUN/server.port" 30
    REST=https://127.0.0.1:$(cat "$RUN/server.rest")
}

# rest PATH [JSON]: a stock client; the certificate carries the server's evidence, which curl does not look at.
rest() {
    if [ $# = 2 ]; then curl -sk --max-time 20 -d "$2" "$REST$1"; else curl -sk --max-time 20 "$REST$1"; fi
}

# titled: lists of an answer with the titles that people know.
titled() {
    python3 -c '
import csv, json, sys
titles = {int(r["movieId"]): r["title"] for r in csv.DictReader(open(sys.argv[1], encoding="utf-8"))}
answer = json.load(sys.stdin)
if "error" in answer:
    sys.exit("error: " + answer["error"])
if "predictions" in answer:
    lists = [(row["item_ids"], row["scores"]) for row in answer["predictions"]]
else:
    out = {o["name"]: o["data"] for o in answer["outputs"]}
    lists = [(out["item_ids"], out["scores"])]
for ids, scores in lists:
    for place, (i, score) in enumerate(zip(ids, scores), 1):
        print(f"{place:3}  {score:6.3f}  {titles.get(i, i)}")
' "$RATINGS/movies.csv"
}
