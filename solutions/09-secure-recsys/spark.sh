#!/usr/bin/env bash
# The same ratings on a Spark cluster: each executor attests by a key agent of its own; the factors come back encrypted and are judged as those of run.sh are.
# usage: spark.sh      needs a JDK 17; PySpark is fetched the first time (430 MB)
. "$(dirname "$0")/parties.sh"
run_begin "$NAME-spark"
command -v javac >/dev/null || die "no JDK: apt-get install openjdk-17-jdk-headless"
ENVIRONMENT=$("$ROOT/scripts/fetch-spark")
JAVA=$(dirname "$(dirname "$(readlink -f "$(command -v javac)")")")
export SPARK_LOCAL_IP=127.0.0.1 PYTHONUNBUFFERED=1
QUICK="-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"

TRAINER=cczoo-recsys-spark # what gets the owner's ratings, and signs the model
PARAMETERS=(--trainer spark --kind implicit-hkv --factors 32 --iterations 10 --alpha 10 --reg 0.05 --expect 1.2)

step "1 software TEE (SIMULATED), KMS, and the owner's encrypted ratings"
make_platform
start_kms
protect_ratings
order
new_model_key 1
"$ROOT/java/build" "$RUN/jars"
JAR=$RUN/jars/cczoo-spark.jar
# What an agent is told to do is part of its measurement: program, arguments, variables, working directory, and files beside them. What Spark makes
# up for each executor goes to its standard input (executor-java): the command line is the same for all.
KMS_INSTANCE=$(kms status | sed -n 's/^instance //p') # measured: agents of one job are several, and must not have several KMS
AGENT=(--kms "$KMS" --kms-id "$KMS_INSTANCE" --policy "$RUN/kms-policy.json" "${TEE[@]}" --unwrap 'spark/*' --wrap spark/factors)
JOB=("$ENVIRONMENT/bin/python" "$HERE/spark_als.py" --ratings "$RUN/part.parquet" --out "$RUN/factors" --out-key spark/factors --secret spark/auth --jar "$JAR"
    --master 'local-cluster[2,1,1024]' --rank 32 --iterations 10 --implicit --alpha 10 --reg 0.05 --conf spark.driver.host=127.0.0.1
    --conf "spark.driver.extraJavaOptions=$QUICK" --conf spark.sql.shuffle.partitions=2)
DRIVER=("${AGENT[@]}" --secret spark/auth --measure "$HERE/spark_als.py,$JAR"
    --pass-env "PATH,SPARK_LOCAL_IP,PYTHONUNBUFFERED,SPARK_HOME=$RUN/spark,JAVA_HOME=$RUN/java")
EXECUTOR=("${AGENT[@]}" --env _SPARK_AUTH_SECRET=spark/auth --measure "$HERE/executor.opts,$JAR" --pass-env "SPARK_LOCAL_IP=127.0.0.1,SPARK_HOME=$RUN/spark" --
    "$JAVA/bin/java" -cp "$JAR:$RUN/spark/jars/*" -Xmx1024M -XX:TieredStopAtLevel=1 -XX:+UseSerialGC "@$HERE/executor.opts" io.cczoo.spark.Executor)
DRIVER_ID=$("$BIN/cczoo-agent" --measurement "${DRIVER[@]}" -- "${JOB[@]}")
EXECUTOR_ID=$(cd / && "$BIN/cczoo-agent" --measurement "${EXECUTOR[@]}")
for policy in spark-keys spark-secret; do
    sed -e "s/@TRAINER@/$TRAINER_ID/" -e "s/@DRIVER@/$DRIVER_ID/" -e "s/@EXECUTOR@/$EXECUTOR_ID/" "$HERE/$policy-policy.json" >"$RUN/$policy-policy.json"
    kms policy put $policy "$RUN/$policy-policy.json" >/dev/null
done
for key in spark/ratings spark/factors; do kms key create $key --alg aes-256 --bind spark-keys >/dev/null; done
SECRET=$(head -c 32 /dev/urandom | base64)
kms secret put spark/auth --from - --bind spark-secret <<<"$SECRET" >/dev/null

step "2 the training part is handed over: by numbers, ids stay; under a key for Spark alone"
SPLIT=(--order secret/orders/films --in "$RUN/ratings.parquet" --titles "$RUN/titles.enc" "${TEE[@]}" "${ASK_KMS[@]}")
"$BIN/cczoo-recsys-spark" export "${SPLIT[@]}" --master-key key/spark/ratings "$RUN/part.parquet" 2>>"$RUN/log/export.log"
say "part.parquet: $(stat -c %s "$RUN/part.parquet") bytes, begins with $(head -c 4 "$RUN/part.parquet")"

step "3 Spark: two executors, each starts inside a key agent and gets what the KMS gives to its evidence"
real=$("$ENVIRONMENT/bin/python" -c 'import os, pyspark; print(os.path.dirname(pyspark.__file__))')
mkdir -p "$RUN/spark" "$RUN/java/bin"
ln -s "$real/bin" "$real/jars" "$RUN/spark/" # executors log into SPARK_HOME
EXECUTORS=$RUN/spark/work
ln -s "$JAVA" "$RUN/java/java"
ln -s "$BIN/cczoo-agent" "$RUN/java/cczoo-agent"
cp "$HERE/executor-java" "$RUN/java/bin/java"
printf '%s\n' "${EXECUTOR[@]}" >"$RUN/java/agent"
als() { "$BIN/cczoo-agent" "${DRIVER[@]}" -- "${JOB[@]}"; } # the job; its driver has an agent, too
als 2>"$RUN/log/spark.log" | sed 's/^/   /' || {
    cat "$EXECUTORS"/*/*/stderr >"$RUN/log/executors.log"
    die "the job failed: see spark.log and executors.log"
}
kms audit --last 40 | grep -E 'Release accept (key|secret)/spark' | sed -E 's/mrenclave=([0-9a-f]{12})[0-9a-f]*/mrenclave=\1../; s/^/   /' | tail -n 8

say "the same agent around another program, or around the same one with other arguments, gets no key:"
head -c 16 /dev/urandom >"$RUN/some.key"
chmod 600 "$RUN/some.key"
WRAP=("$BIN/cczoo" agent wrap spark/factors --in "$RUN/some.key")
expect_refusal 'policy:mrenclave: ' "$BIN/cczoo-agent" "${DRIVER[@]}" -- "${WRAP[@]}" | sed 's/^/   /'
expect_refusal 'policy:mrenclave: ' "$BIN/cczoo-agent" "${DRIVER[@]}" -- "${JOB[0]}" -c 'import os, sys; os.execv(sys.argv[1], sys.argv[1:])' "${WRAP[@]}" | sed 's/^/   /'

step "4 the factors come back: judged on the same films, by the same metrics, and made a bundle"
"$BIN/cczoo-recsys-spark" import "${SPLIT[@]}" --user-factors "$RUN/factors/user_factors" --item-factors "$RUN/factors/item_factors" \
    --master-key key/spark/factors --out "$RUN/films-1" 2>"$RUN/log/import.log" | sed 's/^/   /'

step "5 served as any other"
publish 1
start_server
rest /v1/models/films:predict '{"signature_name": "fold_in", "instances": [{"rated_items": [260, 1196, 1210, 2571, 589], "ratings": [5, 5, 4.5, 5, 4], "k": 5}]}' |
    titled | sed 's/^/   /'

step "6 the key of the ratings is revoked: the next job gets nothing"
printf '{}' >"$RUN/nobody.json" # accepts nobody
kms policy put nobody "$RUN/nobody.json" >/dev/null
kms bind key/spark/ratings nobody >/dev/null
mv "$RUN/factors" "$RUN/factors-1" # the same command as before
status=0
als 2>"$RUN/log/revoked.log" || status=$?
[ $status = 1 ] && [ ! -e "$RUN/factors" ] || die "the job was to be refused, status $status"
grep -E '^refused: ' "$RUN/log/revoked.log" | tail -n 1 | sed 's/^/   /'
nothing_in_clear
for f in "$RUN/part.parquet" "$RUN"/factors-1/*/part-*.parquet; do # a footer in clear ends in PAR1, and names columns and Spark
    [ "$(head -c 4 "$f")$(tail -c 4 "$f")" = PAREPARE ] || die "$f is not encrypted"
    ! grep -aqE 'features|org\.apache\.spark' "$f" || die "$f names what is in it"
done
grep -rqF 'Spark Executor Command' "$EXECUTORS" || die "executors log their command line no more: the next search looks in vain"
! grep -rqF "$SECRET" "$EXECUTORS" "$RUN/log" "$RUN/factors-1" || die "Spark's secret is in a file"
for ((i = 0; i < 20; i++)); do rm -rf "$RUN/spark" 2>/dev/null && break; sleep 0.5; done # executors that are told to end still write their logs
say "ok"
