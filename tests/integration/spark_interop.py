# SPDX-License-Identifier: Apache-2.0
"""Encrypted Parquet between Spark and ours, for 56-spark.sh: the table of parquet_probe.c, by the same formulas. One session for all of it.

usage: spark_interop.py JAR [write|read|denied|ratings|clear DIR]..
  write   DIR/<codec>-<algorithm>-<footer>-<keys>.parquet, every combination; names are printed
  read    every DIR/*.parquet has the right values; names are printed
  denied  no DIR/*.parquet can be read: prints "NAME: why" of each
  ratings writes DIR: user, item, rating, encrypted
  clear   writing without a key is refused
"""
import glob
import os
import re
import shutil
import sys

from pyspark.sql import SparkSession

ROWS = 3000
FORMULAS = {
    "id": "id",
    "b": "id % 3 = 0",
    "i32": "cast(id * 7919 % 100003 - 50000 as int)",
    "i64": "id * 1000000007",
    "f32": "cast(id / 8 as float)",
    "f64": "cast(id as double) / 16",
    "s": "concat('name-', id % 50)",
    "raw": "encode(concat('raw', id), 'UTF-8')",
    "dec": "cast(id as decimal(20, 2))",
    "day": "date_add(date '2020-01-01', cast(id as int))",
    "features": "array(cast(id as float), cast(id + 0.5 as float))",
}


def session(jar):
    conf = {
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": "2",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
        "spark.driver.extraClassPath": jar,
        "spark.hadoop.parquet.crypto.factory.class": "io.cczoo.spark.StrictCryptoFactory",
        "spark.hadoop.parquet.encryption.kms.client.class": "io.cczoo.spark.AgentKmsClient",
        "spark.hadoop.parquet.encryption.kek.length.bits": "256",
    }
    builder = SparkSession.builder.master("local[2]")
    for name, value in conf.items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("OFF")  # refusals are expected, and told below
    return spark


def nullable(name, formula):
    return f"if(id % 7 = 0, null, {formula})" if name not in ("id", "features") else formula


def table(spark):
    return spark.range(ROWS).coalesce(1).selectExpr(*(f"{nullable(n, f)} as {n}" for n, f in FORMULAS.items()))


def write(spark, into):
    t = table(spark).cache()
    cases = [(codec, algorithm, footer, "uniform", "double")
             for codec in ("none", "snappy", "gzip", "zstd") for algorithm in ("gcm", "ctr") for footer in ("encrypted", "plain")]
    cases += [("zstd", "gcm", footer, "columns", wrapping) for footer in ("encrypted", "plain") for wrapping in ("double", "single")]
    cases += [("snappy", "gcm", "encrypted", bits, "double") for bits in ("128", "192", "256")]
    for codec, algorithm, footer, keys, wrapping in cases:
        name = f"{codec}-{algorithm}-{footer}-{keys}-{wrapping}"
        options = {
            "compression": codec,
            "parquet.encryption.algorithm": "AES_GCM_V1" if algorithm == "gcm" else "AES_GCM_CTR_V1",
            "parquet.encryption.plaintext.footer": str(footer == "plain").lower(),
            "parquet.encryption.double.wrapping": str(wrapping == "double").lower(),
            "parquet.encryption.data.key.length.bits": keys if keys.isdigit() else "256",
        }
        if keys == "columns":
            options |= {"parquet.encryption.footer.key": "ratings", "parquet.encryption.column.keys": "columns:s,features.list.element",
                        "parquet.encryption.complete.columns": "true"}
        else:
            options["parquet.encryption.uniform.key"] = "ratings"
        t.write.options(**options).parquet(f"{into}/{name}.d")
        (part,) = glob.glob(f"{into}/{name}.d/part-*.parquet")
        shutil.move(part, f"{into}/{name}.parquet")
        shutil.rmtree(f"{into}/{name}.d")
        print(name)


def wrong(spark, path):
    """How many rows are not what the formulas say; -1: another number of rows."""
    got = spark.read.parquet(path)
    tests = []
    for name, formula in FORMULAS.items():
        column = name
        if name == "dec" and dict(got.dtypes)["dec"] == "binary":  # ours are bytes without a meaning: the same ones
            column, formula = "hex(dec)", "lpad(hex(id * 100), 18, '0')"
        tests.append(f"not ({column} <=> {nullable(name, formula)})")
    rows, bad = got.selectExpr("count(*)", f"count_if({' or '.join(tests)})").first()
    return bad if rows == ROWS else -1


def read(spark, folder):
    for path in sorted(glob.glob(f"{folder}/*.parquet")):
        bad = wrong(spark, path)
        if bad:
            sys.exit(f"{path}: {bad} rows are wrong")
        print(os.path.basename(path)[:-len(".parquet")])


def denied(spark, folder):
    for path in sorted(glob.glob(f"{folder}/*.parquet")):
        try:
            bad = wrong(spark, path)
            why = f"was read, {bad} rows are wrong"
        except Exception as error:  # whatever Java threw
            causes = re.findall(r"(?:KeyAccessDenied|ParquetCryptoRuntime|AEADBadTag|TagVerification)\w*(?:: [^\n]*)?", str(error))
            why = causes[-1] if causes else "ERROR " + str(error)
        print(f"{os.path.basename(path)[:-len('.parquet')]}: {why}")


def ratings(spark, folder):
    rows = spark.range(12000).selectExpr("cast(pmod(hash(id), 300) as int) as user", "cast(pmod(hash(id, 1), 200) as int) as item")
    rows.dropDuplicates(["user", "item"]).selectExpr("user", "item", "cast(1 + pmod(user * item, 5) as float) as rating").write.option(
        "parquet.encryption.uniform.key", "ratings").parquet(folder)


def clear(spark, folder):
    try:
        table(spark).write.parquet(folder)
    except Exception as error:
        if "cczoo:plaintext-write" not in str(error):
            raise
        return
    sys.exit("a file was written in clear")


def main():
    jar, todo = sys.argv[1], sys.argv[2:]
    spark = session(jar)
    for what, folder in zip(todo[::2], todo[1::2]):
        {"write": write, "read": read, "denied": denied, "ratings": ratings, "clear": clear}[what](spark, folder)
    spark.stop()


main()
