#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""MLlib ALS on encrypted ratings: reads Parquet that is encrypted, writes the factors as Parquet that is encrypted.

Runs inside `cczoo-agent .. -- ...`, where keys and Spark's own secret come from; see docs/design/spark.md. The last line on standard
output is JSON with what was trained. Exit status: 0, 1 refused ("refused: why"), 2 usage, 3 anything else.
"""
import argparse
import fnmatch
import json
import os
import re
import sys
import tempfile
import time

# What makes the job confidential; --conf may add to it and not take it back. Defaults are here, too: no file of Hadoop's changes them.
CONF = {
    "spark.authenticate": "true",  # the secret comes from the agent, below
    "spark.network.crypto.enabled": "true",
    "spark.network.crypto.cipher": "AES/GCM/NoPadding",  # the default, CTR, has no integrity
    "spark.network.crypto.authEngineVersion": "2",
    "spark.network.crypto.saslFallback": "false",
    "spark.io.encryption.enabled": "true",  # shuffles and spills; confidentiality only
    "spark.io.encryption.keySizeBits": "256",
    "spark.ui.enabled": "false",  # plain HTTP
    "spark.eventLog.enabled": "false",
    "spark.hadoop.parquet.crypto.factory.class": "io.cczoo.spark.StrictCryptoFactory",
    "spark.hadoop.parquet.encryption.kms.client.class": "io.cczoo.spark.AgentKmsClient",
    "spark.hadoop.parquet.encryption.data.key.length.bits": "256",
    "spark.hadoop.parquet.encryption.kek.length.bits": "256",
    "spark.hadoop.parquet.encryption.cache.lifetime.seconds": "60",  # how long an opened key outlives its revocation
    "spark.hadoop.parquet.encryption.algorithm": "AES_GCM_V1",  # CTR has no tags
    "spark.hadoop.cczoo.plaintext.read": "false",
    "spark.hadoop.cczoo.plaintext.write": "false",
}
# What else is about protection: a name that is not in CONF is not --conf's to set.
PROTECTION = ("spark.hadoop.cczoo.*", "spark.hadoop.parquet.crypto.*", "spark.hadoop.parquet.*encrypt*", "spark.network.*", "spark.authenticate*",
              "spark.io.encryption*", "spark.ssl*")


def takes_back(name, value):
    """Why --conf may not set this; None if it may."""
    if name in CONF:
        return None if CONF[name] == value else f"it is {CONF[name]}"
    if not re.fullmatch(r"[A-Za-z0-9._-]+", name):  # Hadoop trims names: " parquet.encryption.." would be another name here
        return "this is no name"
    if any(fnmatch.fnmatchcase(name, pattern) for pattern in PROTECTION):
        return "what protects is set by the job alone"
    if "JavaOptions" in name and "-Dspark." in value:
        return "a property of the JVM is configuration, too"
    return None


def arguments():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--ratings", required=True, help="encrypted Parquet: a file or folder")
    p.add_argument("--columns", default="user,item,rating", help="names of the three columns")
    p.add_argument("--out", required=True, help="folder for user_factors and item_factors; must not exist")
    p.add_argument("--out-key", required=True, help="master key of the factors")
    p.add_argument("--secret", required=True, help="secret of the KMS that is Spark's own (spark.authenticate.secret)")
    p.add_argument("--jar", required=True, help="cczoo-spark.jar, at this path on every machine")
    p.add_argument("--master", default="local[2]")
    p.add_argument("--rank", type=int, default=64)
    p.add_argument("--iterations", type=int, default=10)
    p.add_argument("--reg", type=float, default=0.1, help="MLlib scales it by the number of ratings of a user or item")
    p.add_argument("--alpha", type=float, default=1.0)
    p.add_argument("--implicit", action="store_true")
    p.add_argument("--nonnegative", action="store_true")
    p.add_argument("--blocks", type=int, default=0, help="of users and of items; default: the parallelism of the cluster")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--checkpoint-dir", help="needed beyond some 100 iterations; Spark writes there in clear: a RAM disk or an encrypted one")
    p.add_argument("--conf", action="append", default=[], metavar="NAME=VALUE", help="more configuration of Spark")
    a = p.parse_args()
    for name, value in (c.split("=", 1) if "=" in c else p.error("--conf NAME=VALUE") for c in a.conf):
        why = takes_back(name, value)
        if why:
            p.error(f"--conf {name} would weaken the job: {why}")
    if a.columns.count(",") != 2:
        p.error("--columns names three: user,item,rating")
    return a


def start(a, nothing):
    """A session whose secret was on no command line: the JVM is started first, and asks the agent itself. Its configuration is ours alone:
    spark-defaults.conf and spark-env.sh are looked for in the empty folder `nothing`."""
    from pyspark import SparkConf, SparkContext
    from pyspark.java_gateway import launch_gateway
    from pyspark.sql import SparkSession
    conf = {"spark.ui.showConsoleProgress": "false", **CONF}  # its line without an end would stand before ours
    conf.update(c.split("=", 1) for c in a.conf)
    # without checkpoints, which are in clear, tasks carry the history of all iterations: deserializing it recurses
    for side in ("driver", "executor"):
        name = f"spark.{side}.extraJavaOptions"
        conf[name] = ("-Xss64m " + conf.get(name, "")).strip()
    conf.update({"spark.master": a.master, "spark.app.name": "secure-als", "spark.driver.extraClassPath": a.jar, "spark.executor.extraClassPath": a.jar})
    os.environ["SPARK_CONF_DIR"] = nothing
    os.environ.pop("PYSPARK_SUBMIT_ARGS", None)  # options of spark-submit by another way
    launch = SparkConf(loadDefaults=False)
    for name, value in conf.items():
        launch.set(name, value)
    gateway = launch_gateway(launch)
    jconf = gateway.jvm.org.apache.spark.SparkConf()  # has what the JVM was started with
    gateway.jvm.io.cczoo.spark.AgentSecret.set(jconf, "spark.authenticate.secret", a.secret)
    context = SparkContext(conf=SparkConf(_jconf=jconf), gateway=gateway)
    context.setLogLevel("WARN")
    if a.checkpoint_dir:
        context.setCheckpointDir(a.checkpoint_dir)
    return SparkSession(context)


def train(a, spark):
    from pyspark.ml.recommendation import ALS
    from pyspark.sql.functions import col
    user, item, rating = a.columns.split(",")
    # ALS takes 32-bit ids, and refuses others
    ratings = spark.read.parquet(a.ratings).select(col(user).cast("int"), col(item).cast("int"), col(rating).cast("float"))
    ratings = ratings.repartition(spark.sparkContext.defaultParallelism).cache()
    blocks = a.blocks or spark.sparkContext.defaultParallelism
    als = ALS(userCol=user, itemCol=item, ratingCol=rating, rank=a.rank, maxIter=a.iterations, regParam=a.reg, alpha=a.alpha,
              implicitPrefs=a.implicit, nonnegative=a.nonnegative, numUserBlocks=blocks, numItemBlocks=blocks, seed=a.seed,
              coldStartStrategy="drop", blockSize=4096, checkpointInterval=10 if a.checkpoint_dir else -1)
    count = ratings.count()  # reading is not part of the time of training
    began = time.monotonic()
    model = als.fit(ratings)
    users, items = model.userFactors.count(), model.itemFactors.count()
    seconds = time.monotonic() - began
    for factors, name in ((model.userFactors, "user_factors"), (model.itemFactors, "item_factors")):
        factors.write.option("parquet.encryption.uniform.key", a.out_key).parquet(os.path.join(a.out, name))
    return {"ratings": count, "users": users, "items": items, "rank": a.rank, "iterations": a.iterations, "seconds": round(seconds, 3)}


def refusal(error):
    """What a key agent, or the check of plaintext, has said: the line that matters among those of Java."""
    found = re.findall(r"(?:KeyAccessDeniedException|ParquetCryptoRuntimeException|Agent\$Refused): ([^\n]*)", str(error))
    return found[-1].strip() if found else None  # the cause of all others


def main():
    a = arguments()
    try:
        with tempfile.TemporaryDirectory(prefix="spark-conf.") as nothing:
            spark = start(a, nothing)
            result = train(a, spark)
            spark.stop()
    except Exception as error:  # every failure ends the job; what differs is what is said
        why = refusal(error)
        print(f"refused: {why}" if why else f"error: {error}", file=sys.stderr)
        sys.exit(1 if why else 3)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
