#!/usr/bin/env bash
# Spark with keys from the key agent: encrypted Parquet both ways, ALS on a cluster whose executors each have an agent, and executors without one.
. "$(dirname "$0")/kms.sh"
command -v javac >/dev/null || { echo "skipped: no JDK (apt-get install openjdk-17-jdk-headless)"; exit 77; }
ENVIRONMENT=$(or_skip "PySpark (scripts/fetch-spark)" "$ROOT/scripts/fetch-spark")
PYTHON=$ENVIRONMENT/bin/python
run_begin test-spark
HERE=$ROOT/tests/integration
export SPARK_LOCAL_IP=127.0.0.1 PYTHONUNBUFFERED=1
JAR=$RUN/jars/cczoo-spark.jar
JAVA=$(dirname "$(dirname "$(readlink -f "$(command -v javac)")")")

# status WANT COMMAND...: runs, keeps stdout and stderr in RUN, compares the exit status.
status() {
    local want=$1 got=0
    shift
    "$@" >"$RUN/out" 2>"$RUN/err" || got=$?
    cat "$RUN/err" >>"$RUN/log/all.log"
    [ "$got" = "$want" ] || { tail -n 30 "$RUN/out" "$RUN/err" >&2; die "status $got, expected $want: $*"; }
}
has() { grep -qE "$2" "$RUN/$1" || { tail -n 30 "$RUN/$1" >&2; die "no line like '$2' in $1"; }; }
# agent OPTIONS... -- PROGRAM...: a program with an agent
agent() {
    reach
    "$BIN/cczoo" agent run "${REACH[@]}" --tee sim-sgx --sim-dir "$RUN/sim" "$@"
}
owner() { agent --unwrap 'ratings,columns,hidden,revoked' --wrap 'ratings,columns,hidden,revoked' -- "$@"; } # of the data

step "a KMS, keys, the classes"
kms_setup
kms_start
"$ROOT/java/build" "$RUN/jars"
# Executors write their logs into SPARK_HOME: one of our own
real=$("$PYTHON" -c 'import os, pyspark; print(os.path.dirname(pyspark.__file__))')
mkdir "$RUN/spark"
ln -s "$real/bin" "$real/jars" "$RUN/spark/"
export SPARK_HOME=$RUN/spark
EXECUTORS=$SPARK_HOME/work # where they log
# agents of the driver and of owners are the command line here, those of executors cczoo-agent around a Java with the arguments of all of them
S=$ROOT/solutions/09-secure-recsys
reach
EXECUTOR=("${REACH[@]}" --tee sim-sgx --sim-dir "$RUN/sim" --unwrap ratings,factors --wrap factors --env _SPARK_AUTH_SECRET=spark/auth
    --measure "$S/executor.opts,$JAR" --pass-env "SPARK_LOCAL_IP,SPARK_HOME" --
    "$JAVA/bin/java" -cp "$JAR:$SPARK_HOME/jars/*" -Xmx1024M -XX:TieredStopAtLevel=1 -XX:+UseSerialGC "@$S/executor.opts" io.cczoo.spark.Executor)
(cd / && "$BIN/cczoo-agent" --measurement "${EXECUTOR[@]}") >"$RUN/executor"
policy_for "$RUN/cli-policy.json" "$BIN/cczoo"
python3 - "$RUN/cli-policy.json" "$(cat "$RUN/executor")" >"$RUN/agent-policy.json" <<'PY'
import json, sys
policy = json.load(open(sys.argv[1]))
policy["rules"].append(policy["rules"][0] | {"name": "executor", "mrenclave": sys.argv[2]})
json.dump(policy, sys.stdout)
PY
kms policy put agent "$RUN/agent-policy.json" >/dev/null 2>>"$RUN/log/setup.log"
kms policy put other "$RUN/probe-policy.json" >/dev/null 2>>"$RUN/log/setup.log"
for key in ratings columns factors hidden revoked; do
    kms key create $key --alg aes-256 --bind agent >/dev/null 2>>"$RUN/log/setup.log"
done
head -c 32 /dev/urandom | base64 >"$RUN/auth"
kms secret put spark/auth --from "$RUN/auth" --bind agent >/dev/null 2>>"$RUN/log/setup.log"
check_class() { "$JAVA/bin/java" -XX:TieredStopAtLevel=1 --add-modules jdk.net -cp "$RUN/jars/*:$real/jars/*" io.cczoo.spark.AgentCheck "$@"; }
status 0 agent --unwrap ratings,columns --wrap ratings -- "$JAVA/bin/java" -XX:TieredStopAtLevel=1 --add-modules jdk.net -cp "$RUN/jars/*:$real/jars/*" \
    io.cczoo.spark.AgentCheck ratings hidden columns
has out '^agent check: ok$'
status 0 check_class none
CCZ_AGENT=$RUN/nobody.sock status 0 check_class gone

step "files both ways: types, codecs, algorithms, footers, keys"
mkdir "$RUN/ours" "$RUN/theirs" "$RUN/bad"
for codec in none snappy gzip zstd; do
    for algorithm in gcm ctr; do
        for footer in encrypted plain; do
            words=($codec)
            [ $algorithm = gcm ] || words+=(ctr)
            [ $footer = encrypted ] || words+=(plain-footer)
            status 0 owner "$BIN/parquet-probe" write "$RUN/ours/$codec-$algorithm-$footer.parquet" "${words[@]}"
        done
    done
done
status 0 owner "$BIN/parquet-probe" write "$RUN/ours/columns.parquet" zstd column-keys
status 0 owner "$BIN/parquet-probe" write "$RUN/ours/single.parquet" snappy column-keys single plain-footer
cp "$RUN/ours/zstd-gcm-encrypted.parquet" "$RUN/bad/page.parquet" # a page, the footer, the signature of a footer
"$ROOT/scripts/flip-byte" "$RUN/bad/page.parquet" 1000
cp "$RUN/ours/zstd-gcm-encrypted.parquet" "$RUN/bad/footer.parquet"
"$ROOT/scripts/flip-byte" "$RUN/bad/footer.parquet" $(($(stat -c %s "$RUN/bad/footer.parquet") - 100))
cp "$RUN/ours/zstd-gcm-plain.parquet" "$RUN/bad/signature.parquet"
"$ROOT/scripts/flip-byte" "$RUN/bad/signature.parquet" $(($(stat -c %s "$RUN/bad/signature.parquet") - 12))
status 0 owner "$BIN/parquet-probe" write "$RUN/bad/clear.parquet" clear # put in the place of an encrypted one
status 0 owner "$BIN/parquet-probe" write "$RUN/bad/hidden.parquet" key=hidden
status 0 owner "$BIN/parquet-probe" write "$RUN/bad/revoked.parquet" key=revoked
kms bind key/revoked other >/dev/null 2>>"$RUN/log/setup.log"
JAVA_HOME=$JAVA status 0 agent --unwrap ratings,columns,revoked --wrap ratings,columns -- "$PYTHON" "$HERE/spark_interop.py" "$JAR" read "$RUN/ours" denied "$RUN/bad" \
    clear "$RUN/cleartext" write "$RUN/theirs" ratings "$RUN/ratings"
[ "$(grep -cE '^(none|snappy|gzip|zstd)-(gcm|ctr)-(encrypted|plain)$|^columns$|^single$' "$RUN/out")" = 18 ] || { cat "$RUN/out" >&2; die "Spark did not read all of ours"; }
has out '^page: .*Tag'
has out '^footer: .*Tag'
has out '^signature: .*(Signature|signature|Tag)'
has out '^clear: ParquetCryptoRuntimeException: Applying decryptor on plaintext file'
has out '^hidden: KeyAccessDeniedException: agent:not-allowed: got hidden'
has out '^revoked: KeyAccessDeniedException: policy:mrenclave: got [0-9a-f]{64}, expected see decision D[0-9]+'
n=0
for f in "$RUN"/theirs/*.parquet; do
    IFS=- read -r codec algorithm footer keys wrapping <<<"$(basename "$f" .parquet)"
    words=()
    [ "$algorithm" = gcm ] || words=(ctr)
    status 0 owner "$BIN/parquet-probe" check "$f" "${words[@]}"
    case $codec in none) codec=0 ;; snappy) codec=1 ;; gzip) codec=2 ;; zstd) codec=6 ;; esac
    [ "$keys" = columns ] && keys=column || keys=footer
    has out "^ok codec=$codec algorithm=$algorithm footer=$footer keys=$keys wrapping=$wrapping\$"
    n=$((n + 1))
done
[ $n = 23 ] || die "Spark wrote $n files"
status 1 owner "$BIN/parquet-probe" check "$RUN/bad/clear.parquet" # ours demands encryption, too
has err 'parquet:plain-file'
status 1 owner "$BIN/parquet-probe" check "$RUN/bad/page.parquet"
has err 'parquet:(data|dictionary)-page'
status 1 owner "$BIN/parquet-probe" check "$RUN/theirs/zstd-ctr-encrypted-uniform-double.parquet" # nor pages without tags
has err 'parquet:algorithm'

step "what shuffles leave on disk"
mkdir "$RUN/local1" "$RUN/local2"
JAVA_HOME=$JAVA status 0 "$PYTHON" "$HERE/spark_spill.py" "$RUN/local1" false # the search finds what is there
has out '^[1-9][0-9]* [1-9][0-9]*$'
JAVA_HOME=$JAVA status 0 "$PYTHON" "$HERE/spark_spill.py" "$RUN/local2" true
has out '^0 [1-9][0-9]*$'

# cluster NAME EXECUTOR_JAVA: a JAVA_HOME whose java starts executors by that script
cluster() {
    mkdir -p "$RUN/$1/bin"
    printf '%s\n' "$JAVA" >"$RUN/$1/home"
    ln -s "$BIN/cczoo-agent" "$RUN/$1/cczoo-agent"
    cp "$2" "$RUN/$1/bin/java"
    printf '%s\n' "${EXECUTOR[@]}" >"$RUN/$1/agent"
}
QUICK="-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
# als OUT EXECUTORS OPTIONS...: the job
als() {
    local out=$1 executors=$2
    shift 2
    agent --unwrap ratings,factors --wrap factors --secret spark/auth -- "$PYTHON" "$ROOT/solutions/09-secure-recsys/spark_als.py" --ratings "$RUN/ratings" \
        --out "$RUN/$out" --out-key factors --secret spark/auth --jar "$JAR" --master "local-cluster[$executors,1,1024]" --rank 8 --iterations 3 --implicit \
        --conf "spark.driver.extraJavaOptions=$QUICK" --conf "spark.executor.extraJavaOptions=$QUICK" --conf spark.driver.host=127.0.0.1 \
        --conf spark.task.maxFailures=1 --conf spark.deploy.maxExecutorRetries=1 --conf spark.sql.shuffle.partitions=2 "$@"
}
# releases ITEM: how many so far
releases() {
    local audit
    audit=$(kms audit 2>>"$RUN/log/audit.log") || die "no audit: $(tail -n 1 "$RUN/log/audit.log")"
    grep -c "Release accept $1" <<<"$audit" || true # none is a count, too
}

step "ALS on two executors, each with an agent of its own"
mkdir "$RUN/spark/conf" # which the job does not read
echo 'spark.serializer no.such.Serializer' >"$RUN/spark/conf/spark-defaults.conf"
cluster good "$ROOT/solutions/09-secure-recsys/executor-java"
before=$(releases secret/spark/auth)
JAVA_HOME=$RUN/good status 0 als factors 2
has out '^\{"ratings": [0-9]+, "users": 300, "items": 200, "rank": 8, "iterations": 3, "seconds": [0-9.]+\}$'
after=$(releases secret/spark/auth)
[ $((after - before)) = 3 ] || die "the driver and two executors were to get Spark's secret, each by its own evidence"
[ "$(grep -h 'agent: ready socket=/proc/tty/driver/' "$EXECUTORS"/*/*/stderr | wc -l)" = 2 ] || die "expected two agents of executors"
grep -q 'agent: unwrap name=ratings .*verdict=accept' "$EXECUTORS"/*/*/stderr || die "no executor opened a key by its own agent"
parts=0
for f in "$RUN"/factors/*/part-*.parquet; do
    [ "$(head -c 4 "$f")$(tail -c 4 "$f")" = PAREPARE ] || die "$f is not encrypted"
    status 0 agent --unwrap factors -- "$BIN/parquet-probe" show "$f" factors
    has out '^rows=[0-9]+ columns=id,features\.list\.element$'
    parts=$((parts + 1))
done
[ $parts -ge 2 ] || die "no factors"
for f in "$EXECUTORS"/*/*/*; do # the command line of an executor is in its log
    ! grep -qaF "$(cat "$RUN/auth")" "$f" || die "Spark's secret is in $f"
done
drop "$EXECUTORS"
# --conf takes no protection back: neither what the job sets, nor what it leaves at a default, nor by a name in disguise
for taken in spark.io.encryption.enabled=false spark.io.encryption.keygen.algorithm=HmacMD5 spark.authenticate=false spark.authenticate.secret=known \
    spark.network.crypto.enabled=false spark.network.crypto.saslFallback=true spark.network.sasl.serverAlwaysEncrypt=false spark.ssl.enabled=false \
    spark.hadoop.cczoo.plaintext.read=true spark.hadoop.cczoo.plaintext.write=true spark.hadoop.cczoo.other=1 \
    spark.hadoop.parquet.encryption.algorithm=AES_GCM_CTR_V1 spark.hadoop.parquet.encryption.plaintext.footer=true \
    spark.hadoop.parquet.encryption.kms.instance.url=elsewhere spark.hadoop.parquet.crypto.factory.class=x \
    'spark.hadoop. cczoo.plaintext.read=true' spark.driver.extraJavaOptions=-Dspark.network.crypto.keyLength=128; do
    status 2 als x 1 --conf "$taken"
    has err "error: --conf ${taken%%=*} would weaken the job"
done

step "an executor is started with its one command line, and with words that load nothing"
executor() (cd "${FOLDER:-/}" && "$BIN/cczoo-agent" "${EXECUTOR[@]}" "$@" <"$RUN/words")
printf '%s\n' --driver-url spark://CoarseGrainedScheduler@127.0.0.1:1 --executor-id 0 --hostname 127.0.0.1 --cores 1 --app-id app-1 \
    --worker-url spark://Worker@127.0.0.1:1 --user-class-path /tmp/evil.jar >"$RUN/words"
status 1 executor # it got Spark's secret, and was started
has err '^refused: executor:argument: got --user-class-path /tmp/evil.jar'
status 124 executor --user-class-path /tmp/evil.jar
has err '^refused: policy:mrenclave: '
FOLDER=$RUN status 124 executor
has err '^refused: policy:mrenclave: '
kept=("${EXECUTOR[@]}")
EXECUTOR=("${kept[@]/#"$JAR:"/"$RUN/evil:$JAR:"}") # another class path
[ "${EXECUTOR[*]}" != "${kept[*]}" ] || die "the class path was not changed"
status 124 executor
has err '^refused: policy:mrenclave: '
EXECUTOR=("${kept[@]}")

step "an executor that was started past its agent gets no keys"
printf '%s\n' '#!/bin/sh' 'case " $* " in *CoarseGrainedExecutorBackend*) unset CCZ_AGENT ;; esac' "exec $JAVA/bin/java \"\$@\"" >"$RUN/past-java"
chmod +x "$RUN/past-java"
cluster past "$RUN/past-java" # it has Spark's secret by the worker, and joins
JAVA_HOME=$RUN/past status 1 als none 1
has err '^refused: agent:none: this process has no key agent \(CCZ_AGENT is not set\): it was started without attestation'
[ ! -e "$RUN/none" ] || die "there are factors"
drop "$EXECUTORS"

step "an executor whose agent is another program is not started"
cluster wrong "$ROOT/solutions/09-secure-recsys/executor-java"
cp --remove-destination "$BIN/cczoo-agent" "$RUN/wrong/cczoo-agent" # one byte more: another measurement
printf x >>"$RUN/wrong/cczoo-agent"
JAVA_HOME=$RUN/wrong status 3 als none 1
has err 'Master removed our application|application has been killed|All masters are unresponsive|SparkContext was shut down|stopped SparkContext'
grep -q '^refused: policy:mrenclave: ' "$EXECUTORS"/*/*/stderr || die "the executor was not refused for its measurement"
! grep -q CoarseGrainedExecutorBackend: "$EXECUTORS"/*/*/stderr || die "the executor was started"
drop "$RUN/spark"
say ok
