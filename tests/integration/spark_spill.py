# SPDX-License-Identifier: Apache-2.0
"""What Spark's shuffles leave on disk, for 56-spark.sh: usage: spark_spill.py LOCAL_DIR true|false (spark.io.encryption.enabled).

Prints how many files of LOCAL_DIR hold the marker in clear while the job is there, and how many files there are.
"""
import os
import sys

from pyspark.sql import SparkSession

folder, encrypted = sys.argv[1:3]
spark = (SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").config("spark.driver.host", "127.0.0.1")
         .config("spark.local.dir", folder).config("spark.io.encryption.enabled", encrypted).config("spark.shuffle.compress", "false")
         .config("spark.driver.extraJavaOptions", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC").getOrCreate())
spark.sparkContext.setLogLevel("OFF")
rows = spark.range(2000).selectExpr("id % 97 as k", "concat('MARKER-IN-CLEAR-', id) as v").repartition(4, "k")
rows.selectExpr("count(distinct v)").collect()
seen = total = 0
for base, _, names in os.walk(folder):
    for name in names:
        total += 1
        with open(os.path.join(base, name), "rb") as f:
            seen += b"MARKER-IN-CLEAR" in f.read()
print(seen, total)
spark.stop()
