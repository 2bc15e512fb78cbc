#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Parquet files exchanged with pyarrow (parquet-cpp), in both directions: types, encodings, codecs, versions of pages, shapes, indexes.

usage: test_parquet_plain.py PEER     (the program built from parquet_peer.c)
Exit 77 if the packages cannot be had.
"""
import datetime
import decimal
import json
import math
import os
import random
import struct
import subprocess
import sys
import tempfile

import interop_venv

interop_venv.enter("requirements-parquet")

import pyarrow as pa  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402

PEER = sys.argv[1]
CODECS = {"none": 0, "snappy": 1, "gzip": 2, "zstd": 6}
work = tempfile.TemporaryDirectory()
rng = random.Random(1)
runs = 0


def path(name):
    return os.path.join(work.name, name)


def check(ok, what):
    if not ok:
        sys.exit("failed: %s" % (what,))


def peer(*args, fails=None):
    global runs
    runs += 1
    run = subprocess.run([PEER, *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if fails:
        check(run.returncode == 1 and run.stderr.startswith("refused: %s: " % fails), "%s: %s" % (args, run.stderr))
        return None
    check(run.returncode == 0, "%s: %s %s" % (args, run.returncode, run.stderr))
    return run.stdout


# ---------------------------------------------------------------------------------------------------- values as the peer prints them

def as_printed(v, t):
    if v is None:
        return None
    if pa.types.is_list(t) or pa.types.is_large_list(t):
        return [as_printed(x, t.value_type) for x in v]
    if pa.types.is_dictionary(t):
        return as_printed(v, t.value_type)
    if pa.types.is_float32(t):
        return struct.unpack("<I", struct.pack("<f", v))[0]
    if pa.types.is_float64(t):
        return struct.unpack("<Q", struct.pack("<d", v))[0]
    if pa.types.is_string(t) or pa.types.is_large_string(t):
        return v.encode().hex()
    if pa.types.is_decimal(t):
        return v.scaleb(t.scale).to_integral().__int__().to_bytes(5, "big", signed=True).hex()
    if pa.types.is_binary(t) or pa.types.is_fixed_size_binary(t):
        return v.hex()
    if pa.types.is_date32(t):
        return (v - datetime.date(1970, 1, 1)).days
    if pa.types.is_timestamp(t):
        return v.value if hasattr(v, "value") else v
    if pa.types.is_uint32(t) and v >= 2 ** 31:
        return v - 2 ** 32
    if pa.types.is_uint64(t) and v >= 2 ** 63:
        return v - 2 ** 64
    return v


def values_of(column):
    t = column.type
    if pa.types.is_timestamp(t):
        return column.cast(pa.int64()).to_pylist()
    return [as_printed(v, t) for v in column.to_pylist()]


def check_dump(file, table, what):
    d = json.loads(peer("dump", file))
    check(d["rows"] == table.num_rows, "%s: rows" % what)
    by_name = {c["name"]: c for c in d["columns"]}
    for f in table.schema:
        c = by_name[f.name]
        want = values_of(table.column(f.name))
        check(c["values"] == want, "%s: column %s: %s, not %s" % (what, f.name, first_difference(c["values"], want), ""))
    return by_name


def first_difference(a, b):
    for i, (x, y) in enumerate(zip(a, b)):
        if x != y:
            return "row %d: %r, not %r" % (i, x, y)
    return "lengths %d and %d" % (len(a), len(b))


# ------------------------------------------------------------------------------------------------------------------------- tables

def some(f, n, nulls):
    return [None if nulls and rng.random() < 0.2 else f() for _ in range(n)]


def lists(f, n, nulls, elements):
    return [None if nulls and rng.random() < 0.1 else [None if elements and rng.random() < 0.1 else f() for _ in range(rng.choice((0, 1, 3, 16)))]
            for _ in range(n)]


def f32():
    return struct.unpack("<f", struct.pack("<f", rng.uniform(-1e3, 1e3)))[0]


def text():
    return rng.choice(("", "a", "Ünï", "film %d" % rng.randrange(500), "x" * 40))


def make(n, nulls, few):
    small = lambda: rng.randrange(5)  # noqa: E731
    big = small if few else lambda: rng.randrange(-2 ** 63, 2 ** 63)
    fields = [
        ("bool", pa.bool_(), some(lambda: rng.random() < 0.5, n, nulls)),
        ("i8", pa.int8(), some(lambda: rng.randrange(-128, 128), n, nulls)),
        ("i32", pa.int32(), some(lambda: rng.randrange(-2 ** 31, 2 ** 31) if not few else small(), n, nulls)),
        ("u32", pa.uint32(), some(lambda: rng.randrange(2 ** 32), n, nulls)),
        ("i64", pa.int64(), some(big, n, nulls)),
        ("u64", pa.uint64(), some(lambda: rng.randrange(2 ** 64), n, nulls)),
        ("sorted", pa.int64(), [i * i // 3 for i in range(n)]),
        ("f32", pa.float32(), some(f32, n, nulls)),
        ("f64", pa.float64(), some(lambda: rng.choice((rng.uniform(-1, 1), math.inf, -0.0, 1e300)), n, nulls)),
        ("str", pa.string(), some(text, n, nulls)),
        ("bin", pa.binary(), some(lambda: rng.randbytes(rng.randrange(20)), n, nulls)),
        ("fixed", pa.binary(7), some(lambda: rng.randbytes(7), n, nulls)),
        ("date", pa.date32(), some(lambda: datetime.date(1990, 1, 1) + datetime.timedelta(rng.randrange(20000)), n, nulls)),
        ("ms", pa.timestamp("ms", "UTC"), some(lambda: rng.randrange(2 ** 40), n, nulls)),
        ("us", pa.timestamp("us"), some(lambda: rng.randrange(2 ** 50), n, nulls)),
        ("ns", pa.timestamp("ns"), some(lambda: rng.randrange(2 ** 60), n, nulls)),
        ("dec", pa.decimal128(11, 2), some(lambda: decimal.Decimal(rng.randrange(-10 ** 8, 10 ** 8)).scaleb(-2), n, nulls)),
        ("features", pa.list_(pa.field("element", pa.float32(), nullable=False)), lists(f32, n, False, False)),
        ("lf", pa.list_(pa.float32()), lists(f32, n, nulls, nulls)),
        ("ld", pa.large_list(pa.float64()), lists(lambda: rng.uniform(-1, 1), n, nulls, nulls)),
        ("ls", pa.list_(pa.string()), lists(text, n, nulls, nulls)),
        ("li", pa.list_(pa.int32()), lists(small, n, nulls, nulls)),
        ("null", pa.int32(), [None] * n),
    ]
    schema = pa.schema([pa.field(name, t, nullable=nulls or name == "null") for name, t, _ in fields])
    return pa.table([pa.array(v, t) for _, t, v in fields], schema=schema)


# -------------------------------------------------------------------------------------------------------------------- theirs to us

def theirs(tables):
    n = 0
    for codec in CODECS:
        for version in ("1.0", "2.0"):
            for dictionary in (True, False):
                for name, t in tables.items():
                    file = path("theirs.parquet")
                    pq.write_table(t, file, compression=codec, data_page_version=version, use_dictionary=dictionary, data_page_size=3000,
                                   row_group_size=1100, write_page_index=dictionary, write_page_checksum=version == "2.0",
                                   store_schema=dictionary)
                    check_dump(file, t, "theirs %s %s %s %s" % (codec, version, dictionary, name))
                    peer("verify", file)
                    n += 1
    return n


ENCODINGS = {"bool": ["PLAIN", "RLE"], "i32": ["PLAIN", "DELTA_BINARY_PACKED", "BYTE_STREAM_SPLIT"],
             "i64": ["PLAIN", "DELTA_BINARY_PACKED", "BYTE_STREAM_SPLIT"], "sorted": ["DELTA_BINARY_PACKED"],
             "f32": ["PLAIN", "BYTE_STREAM_SPLIT"], "f64": ["PLAIN", "BYTE_STREAM_SPLIT"],
             "str": ["PLAIN", "DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY"], "bin": ["DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY"],
             "fixed": ["PLAIN", "BYTE_STREAM_SPLIT", "DELTA_BYTE_ARRAY"], "lf": ["BYTE_STREAM_SPLIT"], "ls": ["DELTA_BYTE_ARRAY"]}


def their_encodings(tables):
    n = 0
    for name, t in tables.items():
        for column, encodings in ENCODINGS.items():
            for e in encodings:
                for version in ("1.0", "2.0"):
                    file = path("encoded.parquet")
                    part = t.select([column])
                    leaf = {"lf": "lf.list.element", "ls": "ls.list.element"}.get(column, column)
                    pq.write_table(part, file, use_dictionary=False, column_encoding={leaf: e}, data_page_version=version,
                                   compression="zstd", data_page_size=2000)
                    check(e in pq.ParquetFile(file).metadata.row_group(0).column(0).encodings, "%s is not %s" % (column, e))
                    check_dump(file, part, "%s as %s %s" % (column, e, name))
                    peer("verify", file)
                    n += 1
    return n


def odd_files():
    """Shapes that are refused beside columns that are read, old forms of lists, INT96, empty files, nothing but a schema."""
    t = pa.table({"x": pa.array([1, 2, 3], pa.int64()), "s": pa.array([{"a": 1, "b": None}] * 3), "m": pa.array([[("k", 1)]] * 3, pa.map_(pa.string(), pa.int32())),
                  "ll": pa.array([[[1.0]], [], None], pa.list_(pa.list_(pa.float32())))})
    file = path("odd.parquet")
    pq.write_table(t, file)
    d = json.loads(peer("dump", file))
    by_path = {c["path"]: c for c in d["columns"]}
    check(by_path["x"]["values"] == [1, 2, 3], "x beside nested columns")
    check([by_path[p]["shape"] for p in ("s.a", "s.b", "m.key_value.key", "ll.list.element.list.element")] == [2] * 4, "nested")
    peer("verify", file)
    t = pa.table({"lf": pa.array([[1.5, 2.5], [], None, [None]], pa.list_(pa.float32()))})
    pq.write_table(t, file, use_compliant_nested_type=False)  # list.item
    check_dump(file, t, "the older name of elements")
    t = pa.table({"t": pa.array([0, 10 ** 9], pa.timestamp("ns"))})
    pq.write_table(t, file, use_deprecated_int96_timestamps=True)
    d = json.loads(peer("dump", file))
    check(d["columns"][0]["values"] == ["0000000000000000" + "8c3d2500", "00ca9a3b00000000" + "8c3d2500"], "INT96 %s" % d["columns"][0])
    for n in (0, 1):
        t = make(n, True, False)
        pq.write_table(t, file)
        check_dump(file, t, "%d rows" % n)
        peer("verify", file)
    for codec in ("brotli", "lz4"):
        pq.write_table(t, file, compression=codec)
        peer("dump", file, fails="parquet:codec")
    t = pa.table({"s": pa.array(["a" * 5000, "b"] * 200).dictionary_encode(), "c": pa.array([7] * 400)})
    pq.write_table(t, file, column_encoding=None)
    check_dump(file, t, "dictionaries of arrow")
    t = pa.table({"x": pa.array([1] * 10)})
    pq.write_table(t, file, bloom_filter_options={"x": {"ndv": 10, "fpp": 0.01}}) if has_bloom() else pq.write_table(t, file)
    check_dump(file, t, "a Bloom filter")
    peer("verify", file)


def has_bloom():
    import inspect
    return "bloom_filter_options" in inspect.signature(pq.ParquetWriter.__init__).parameters


# -------------------------------------------------------------------------------------------------------------------- ours to them

def same_table(got, want, what):
    for f in want.schema:
        check(values_of(got.column(f.name)) == values_of(want.column(f.name)), "%s: column %s: %s" % (
            what, f.name, first_difference(values_of(got.column(f.name)), values_of(want.column(f.name)))))


def ours(tables):
    n = 0
    for name, t in tables.items():
        t = t.drop_columns(["dec"])  # what a decimal means is not written
        source, file = path("source.parquet"), path("ours.parquet")
        pq.write_table(t, source)
        for codec in CODECS.values():
            for version in (1, 2):
                for encode in range(5):
                    peer("copy", source, file, codec, version, encode, 2500 if encode % 2 else 100000)
                    f = pq.ParquetFile(file, page_checksum_verification=True)
                    what = "ours %s %d %d %d" % (name, codec, version, encode)
                    same_table(f.read(), t, what)
                    check_meta(f, t, what)
                    check_dump(file, t, what)
                    n += 1
    return n


def check_meta(f, t, what):
    m = f.metadata
    check(m.num_rows == t.num_rows and m.created_by.startswith("cczoo version "), "%s: metadata" % what)
    for f2 in t.schema:
        if not pa.types.is_list(f2.type) and not pa.types.is_large_list(f2.type):
            check(f.schema_arrow.field(f2.name).nullable == f2.nullable, "%s: %s nullable" % (what, f2.name))
    at = 0
    for g in range(m.num_row_groups):
        rows = m.row_group(g).num_rows
        for i, name in enumerate(t.column_names):
            s = m.row_group(g).column(i).statistics
            values = t.column(name).slice(at, rows)
            check(s is not None and s.has_null_count, "%s: %s: no statistics" % (what, name))
            if pa.types.is_integer(values.type) or pa.types.is_string(values.type):
                have = [v for v in values.to_pylist() if v is not None]
                check(s.null_count == values.null_count and s.has_min_max == (len(have) > 0), "%s: %s: nulls" % (what, name))
                if have and max(map(lambda v: len(v) if isinstance(v, str) else 0, have)) < 200:
                    key = (lambda v: v.encode()) if isinstance(have[0], str) else None
                    check((s.min, s.max) == (min(have, key=key), max(have, key=key)), "%s: %s: %s %s" % (what, name, s.min, s.max))
        at += rows


def main():
    tables = {"plain": make(1600, False, False), "nulls": make(1600, True, False), "few": make(1600, True, True)}
    n = theirs(tables) + their_encodings(tables)
    odd_files()
    n += ours(tables)
    print("%d files exchanged with pyarrow %s, %d runs of the peer" % (n, pa.__version__, runs))


main()
