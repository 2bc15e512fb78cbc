#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What columns of ratings mean when pyarrow writes them: read as that, or refused with the column; never read as another number.

usage: test_recsys_columns.py CCZOO     (the command)
Exit 77 if the packages cannot be had.
"""
import datetime
import decimal
import os
import subprocess
import sys
import tempfile

import interop_venv

interop_venv.enter("requirements-parquet")

import pyarrow as pa  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402

CCZOO = sys.argv[1]
NOW = datetime.datetime(2020, 1, 2, 3, 4, 5)
PLAIN = {
    "user": pa.array([1, 2, 3], pa.int64()),
    "item": pa.array([4, 5, 6], pa.int32()),
    "rating": pa.array([4.5, 3, 1], pa.float32()),
    "timestamp": pa.array([10, 20, 30], pa.int64()),
}


def times(unit, zone=None):
    return pa.array([NOW] * 3, pa.timestamp(unit, zone))


def decimals(kind):
    return pa.array([decimal.Decimal(v) for v in ("4.5", "3.0", "1.0")], kind)


GOOD = [
    ("user", pa.array([1, 2, 2**63 - 1], pa.uint64())), ("user", pa.array(["a", "b", "c"])), ("user", pa.array([1, 2, 255], pa.uint8())),
    ("item", pa.array([b"a", b"b", b"c"])), ("rating", pa.array([1, 2, 3], pa.int8())), ("rating", pa.array([4.5, 3, 1], pa.float64())),
    ("timestamp", times("ms")), ("timestamp", times("us")), ("timestamp", times("ns", "UTC")), ("timestamp", pa.array([NOW.date()] * 3)),
]
BAD = [
    ("user", pa.array([1, 2, 2**63], pa.uint64()), "recsys:id"), ("item", pa.array([b"a", b"\xff", b"c"]), "recsys:id"),
    ("user", pa.array([NOW.date()] * 3), "recsys:column-type"), ("item", times("ms"), "recsys:column-type"),
    ("rating", decimals(pa.decimal128(3, 1)), "recsys:column-type"), ("rating", pa.array([NOW.date()] * 3), "recsys:column-type"),
    ("timestamp", pa.array([NOW.time()] * 3, pa.time32("ms")), "recsys:column-type"),
    ("timestamp", pa.array([NOW.time()] * 3, pa.time64("us")), "recsys:column-type"),
    ("timestamp", decimals(pa.decimal128(12, 1)), "recsys:column-type"),
]


def read(work, number, column, values, integers):
    path = os.path.join(work, f"{number}.parquet")
    pq.write_table(pa.table({**PLAIN, column: values}), path, store_decimal_as_integer=integers)
    run = subprocess.run([CCZOO, "recsys", "encrypt", "--parquet", "--format", "parquet", "--key", os.path.join(work, "key"), path, path + ".out"],
                         capture_output=True, text=True, check=False)
    return run.returncode, run.stderr


with tempfile.TemporaryDirectory() as work:
    subprocess.run([CCZOO, "pf", "keygen", os.path.join(work, "key")], check=True, capture_output=True)
    number = 0
    for integers in (False, True):  # decimals as bytes, and as INT32 and INT64
        for column, values in GOOD:
            number += 1
            status, said = read(work, number, column, values, integers)
            if status != 0:
                sys.exit(f"failed: {column} {values.type}: {said}")
        for column, values, where in BAD:
            number += 1
            status, said = read(work, number, column, values, integers)
            if status == 0 or where not in said:
                sys.exit(f"failed: {column} {values.type}: status {status}, expected {where}: {said}")
print(f"ok: {number} tables")
