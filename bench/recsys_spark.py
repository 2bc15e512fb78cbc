# SPDX-License-Identifier: Apache-2.0
"""MLlib's ALS in local[2], for bench/recsys_spark.sh: usage: recsys_spark.py FILE FACTORS. FILE is of bench_recsys_als.

Prints seconds of CPU time (of the whole JVM) and of wall time of one iteration: the difference of fits with 4 and with 1 iterations, by 3.
What a fit does once is left out.
"""
import os
import sys
import tempfile
import time

import numpy
from pyspark.ml.recommendation import ALS
from pyspark.sql import SparkSession


def load(path):
    with open(path, "rb") as f:
        users, _ = numpy.fromfile(f, "<u4", 2)
        (ratings,) = numpy.fromfile(f, "<u8", 1)
        start = numpy.fromfile(f, "<u8", int(users) + 1).astype(numpy.int64)
        item = numpy.fromfile(f, "<u4", int(ratings))
        value = numpy.fromfile(f, "<f4", int(ratings))
    return numpy.stack([numpy.repeat(numpy.arange(users), numpy.diff(start)), item, value], axis=1)


def main():
    path, factors = sys.argv[1], int(sys.argv[2])
    spark = (SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").config("spark.driver.memory", "6g")
             .config("spark.driver.host", "127.0.0.1").getOrCreate())
    with tempfile.NamedTemporaryFile("w", suffix=".csv", delete=False) as f:
        numpy.savetxt(f, load(path), fmt=("%d", "%d", "%g"), delimiter=",")
    ratings = spark.read.csv(f.name, schema="user int, item int, rating float").repartition(2).cache()
    ratings.count()
    os.unlink(f.name)

    jvm = spark.sparkContext._jvm.java.lang.ProcessHandle.current().pid()

    def cpu():
        with open(f"/proc/{jvm}/stat") as f:
            fields = f.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def fit(iterations):
        began, busy = time.monotonic(), cpu()
        als = ALS(rank=factors, maxIter=iterations, regParam=0.1, alpha=10.0, implicitPrefs=True, numUserBlocks=2, numItemBlocks=2, seed=1)
        als.fit(ratings).itemFactors.count()
        return cpu() - busy, time.monotonic() - began

    fit(1)
    one, four = fit(1), fit(4)
    print("\t".join("%.3f" % ((b - a) / 3) for a, b in zip(one, four)), flush=True)
    spark.stop()


main()
