#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Parquet Modular Encryption exchanged with pyarrow (parquet-cpp), in both directions, and every module of the files changed.

usage: test_parquet_crypt.py PEER     (the program built from parquet_crypt_peer.c)
Exit 77 if the packages cannot be had.
"""
import base64
import datetime
import itertools
import json
import os
import random
import struct
import subprocess
import sys
import tempfile

import interop_venv
import thrift_compact as tc

interop_venv.enter("requirements-parquet")

import pyarrow as pa  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402
import pyarrow.parquet.encryption as pe  # noqa: E402
from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: E402

PEER = sys.argv[1]
MASTERS = {"kf": bytes(range(16)), "k1": bytes(range(1, 25)), "k2": bytes(range(2, 34))}
WHERE = ["footer", "column-metadata", "data-page", "dictionary-page", "data-page-header", "dictionary-page-header",
         "column-index", "offset-index", "bloom-header", "bloom-bitset"]
CODECS = ["none", "snappy", "gzip", "zstd"]
work = tempfile.TemporaryDirectory()
rng = random.Random(1)
runs = 0


def path(name):
    return os.path.join(work.name, name)


def check(ok, what):
    if not ok:
        sys.exit("failed: %s" % (what,))


def peer(*args, fails=None, what=""):
    """Runs the peer; FAILS: the `where`s one of which has to refuse."""
    global runs
    runs += 1
    args = [json.dumps(a) if isinstance(a, dict) else a for a in args]
    run = subprocess.run([PEER, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if fails:
        got = run.stderr.split(": ")
        check(run.returncode == 1 and got[0] == "refused" and got[1] in fails, "%s: %s is expected: %s %s" %
              (what, fails, run.returncode, run.stderr))
        return run.stderr
    check(run.returncode == 0, "%s: %s: %s %s" % (what, args, run.returncode, run.stderr))
    return run.stdout


class Kms(pe.KmsClient):
    """As the peer's: the data key under the master key by AES-GCM, its name as AAD."""
    calls = 0

    def __init__(self, _):
        super().__init__()

    def wrap_key(self, key_bytes, master_key_identifier):
        Kms.calls += 1
        nonce = os.urandom(12)
        wrapped = AESGCM(MASTERS[master_key_identifier]).encrypt(nonce, key_bytes, master_key_identifier.encode())
        return base64.b64encode(nonce + wrapped).decode()

    def unwrap_key(self, wrapped_key, master_key_identifier):
        Kms.calls += 1
        raw = base64.b64decode(wrapped_key)
        return AESGCM(MASTERS[master_key_identifier]).decrypt(raw[:12], raw[12:], master_key_identifier.encode())


KMS = {name: key.hex() for name, key in MASTERS.items()}
# What the two sides call the columns with keys of their own; everything else: the footer's key, or none.
COLUMN_KEYS = {"k1": ["i64", "text"], "k2": ["floats.list.element", "fixed"]}
OURS_COLUMNS = {"i64": "@k1", "text": "@k1", "floats": "@k2", "fixed": "@k2"}


def make_table(rows):
    def some(make, nulls=0.2):
        return [None if rng.random() < nulls else make() for _ in range(rows)]

    f32 = lambda: struct.unpack("f", struct.pack("f", rng.gauss(0, 3)))[0]  # noqa: E731
    columns = {
        "bool": (pa.bool_(), [rng.random() < 0.3 for _ in range(rows)]),
        "i32": (pa.int32(), [rng.randrange(-2 ** 31, 2 ** 31) for _ in range(rows)]),
        "i64": (pa.int64(), some(lambda: rng.randrange(40))),
        "f32": (pa.float32(), some(f32)),
        "f64": (pa.float64(), [rng.gauss(0, 1) for _ in range(rows)]),
        "text": (pa.string(), some(lambda: rng.choice(["", "ä", "film %d" % rng.randrange(30)]))),
        "raw": (pa.binary(), some(lambda: rng.randbytes(rng.randrange(20)))),
        "fixed": (pa.binary(5), some(lambda: rng.randbytes(5))),
        "day": (pa.date32(), [datetime.date(2020, 1, 1) + datetime.timedelta(rng.randrange(999)) for _ in range(rows)]),
        "floats": (pa.list_(pa.float32()), some(lambda: [f32() for _ in range(rng.randrange(5))])),
        "doubles": (pa.list_(pa.float64()), [[rng.random() for _ in range(4)] for _ in range(rows)]),
    }
    schema = pa.schema([pa.field(n, t, nullable=any(v is None for v in vs)) for n, (t, vs) in columns.items()])
    return pa.table({n: pa.array(vs, t) for n, (t, vs) in columns.items()}, schema=schema)


TABLE = make_table(900)
WANT = TABLE.to_pydict()


def same(table, what):
    got = table.to_pydict()
    check(list(got) == list(WANT), "%s: columns %s" % (what, list(got)))
    for name, values in WANT.items():
        check(got[name] == values, "%s: column %s" % (what, name))


def write_theirs(file, properties, codec="snappy", version="1.0", table=TABLE, **more):
    pq.write_table(table, file, encryption_properties=properties, compression=codec, data_page_version=version,
                   row_group_size=400, data_page_size=1000, write_batch_size=64, **more)


def read_ours(file, properties):
    return pq.read_table(file, decryption_properties=properties)


def factory():
    return pe.CryptoFactory(lambda config: Kms(config))


def encryption(file, ctr, plain_footer, keys, double, bits, internal=True):
    config = dict(encryption_algorithm="AES_GCM_CTR_V1" if ctr else "AES_GCM_V1", plaintext_footer=plain_footer,
                  double_wrapping=double, data_key_length_bits=bits, internal_key_material=internal)
    if keys == "uniform":
        config["uniform_encryption"] = True
    else:
        config["column_keys"] = COLUMN_KEYS
    return factory().file_encryption_properties(pe.KmsConnectionConfig(), pe.EncryptionConfiguration("kf", **config),
                                                parquet_file_path=file)


def decryption(file):
    return factory().file_decryption_properties(pe.KmsConnectionConfig(), pe.DecryptionConfiguration(),
                                                parquet_file_path=file)


OPTIONS = list(itertools.product((False, True), (False, True), ("uniform", "partial", "complete"), (True, False), (128, 192, 256)))
MORE = [dict(), dict(write_page_index=True), dict(write_page_checksum=True), dict(use_dictionary=False),
        dict(write_page_index=True, write_page_checksum=True),
        dict(write_statistics=False), dict(use_byte_stream_split=["f32", "f64"], use_dictionary=["text"])]


def theirs_to_us():
    """Every algorithm, footer, set of keys, wrapping and length of keys, with every codec and both versions of pages."""
    for n, (options, codec, version) in enumerate(itertools.product(OPTIONS, CODECS, ("1.0", "2.0"))):
        ctr, plain_footer, keys, double, bits = options
        if keys == "complete":
            continue  # only Java and we can
        what = "theirs %s %s %s" % (options, codec, version)
        file, plain = path("theirs.parquet"), path("plain.parquet")
        write_theirs(file, encryption(file, *options), codec, version, **MORE[n % len(MORE)])
        read = {"crypt": True, "kms": KMS, "ctr": ctr, "plain_columns": keys == "partial"}
        peer("verify", file, {"read": read}, what=what)
        if n % 8 == 1:  # which algorithm it is has to be said
            peer("verify", file, {"read": dict(read, ctr=not ctr)}, fails=["parquet:algorithm"], what=what)
        peer("copy", file, plain, {"read": read, "write": {}}, what=what)
        same(pq.read_table(plain), what)
        if keys == "partial" and n % 8 == 0:
            peer("verify", file, {"read": {"crypt": True, "kms": KMS, "ctr": ctr}}, fails=["parquet:plain-column"], what=what)
            peer("verify", file, {}, fails=["parquet:encrypted"], what=what)


def us_to_theirs():
    source = path("source.parquet")
    pq.write_table(TABLE, source)
    for n, (options, codec, v2) in enumerate(itertools.product(OPTIONS, CODECS, (False, True))):
        ctr, plain_footer, keys, double, bits = options
        what = "ours %s %s %s" % (options, codec, v2)
        file = path("ours.parquet")
        write = {"crypt": True, "kms": KMS, "ctr": ctr, "plain_footer": plain_footer, "single_wrapping": not double,
                 "key_size": bits // 8, "footer": "@kf", "codec": codec if codec != "none" else "", "pages_v2": v2,
                 "row_group_rows": 400, "page_size": 1000, "plain_encoding": n % 3 == 0}
        if keys != "uniform":
            write["columns"] = OURS_COLUMNS
            write["others_plain"] = keys == "partial"
        peer("copy", source, file, {"write": write}, what=what)
        same(read_ours(file, decryption(file)), what)
        if n % 4 == 0:  # and ourselves
            read = {"crypt": True, "kms": KMS, "ctr": ctr, "plain_columns": keys == "partial"}
            peer("verify", file, {"read": read}, what=what)
            head = peer("info", file, {"read": read}, what=what).split("\n")[0]
            check("plain_footer=%d ctr=%d" % (plain_footer, ctr) in head, "%s: %s" % (what, head))
            check("plain_columns=%d" % (7 if keys == "partial" else 0) in head, "%s: %s" % (what, head))


def low_level():
    """Keys in the program's hands, AAD prefixes stored, apart, and none: one key for everything is what pyarrow offers."""
    source = path("source.parquet")
    for size, ctr, plain_footer, prefix in itertools.product((16, 24, 32), (False, True), (False, True), (None, "stored", "apart")):
        what = "low level %s" % ((size, ctr, plain_footer, prefix),)
        key, file, plain = os.urandom(size), path("low.parquet"), path("plain.parquet")
        aad = {"aad_prefix": b"table/1"} if prefix else {}
        props = pe.create_encryption_properties(key, encryption_algorithm="AES_GCM_CTR_V1" if ctr else "AES_GCM_V1",
                                                plaintext_footer=plain_footer, store_aad_prefix=prefix != "apart", **aad)
        write_theirs(file, props, write_page_index=True)
        read = {"crypt": True, "footer": key.hex(), "ctr": ctr, "aad_prefix": "table/1" if prefix else ""}
        peer("verify", file, {"read": read}, what=what)
        peer("copy", file, plain, {"read": read, "write": {}}, what=what)
        same(pq.read_table(plain), what)
        wrong = dict(read, footer=os.urandom(size).hex())
        peer("verify", file, {"read": wrong}, fails=["parquet:footer"], what=what)
        wrong = dict(read, aad_prefix="table/2")
        peer("verify", file, {"read": wrong}, fails=["parquet:footer" if prefix == "apart" else "parquet:aad-prefix"], what=what)
        peer("verify", source, {"read": read}, fails=["parquet:plain-file"], what=what)

        write = {"crypt": True, "footer": key.hex(), "ctr": ctr, "plain_footer": plain_footer, "codec": "zstd",
                 "aad_prefix": "table/1" if prefix else "", "apart": prefix == "apart"}
        peer("copy", source, file, {"write": write}, what=what)
        same(read_ours(file, pe.create_decryption_properties(key, **({"aad_prefix": b"table/1"} if prefix == "apart" else {}))), what)
        try:
            read_ours(file, pe.create_decryption_properties(os.urandom(size), **aad))
            check(False, what)
        except (OSError, pa.ArrowException):
            pass


def external():
    """Key material in a file beside."""
    for double in (True, False):
        file, plain = path("external.parquet"), path("plain.parquet")
        write_theirs(file, encryption(file, False, False, "partial", double, 128, internal=False))
        beside = os.path.join(work.name, "_KEY_MATERIAL_FOR_external.parquet.json")
        read = {"crypt": True, "kms": KMS, "plain_columns": True}
        peer("verify", file, {"read": read}, fails=["parquet:key-material"])
        peer("copy", file, plain, {"read": dict(read, material=beside), "write": {}})
        same(pq.read_table(plain), "external")
        os.unlink(beside)


def columns_apart():
    """Who has some keys reads those columns; the footer's key alone does not open the others."""
    file = path("some.parquet")
    write_theirs(file, encryption(file, False, False, "partial", True, 128))
    read = {"crypt": True, "kms": KMS, "plain_columns": True, "master_keys": ["kf", "k1"]}
    peer("verify", file, {"read": read}, fails=["parquet:master-key"])
    peer("info", file, {"read": dict(read, master_keys=["kf", "k1", "k2"])})


# ------------------------------------------------------------------------------------------------ damage

def modules_of(file, read):
    """[(module, row group, column, page, offset, size)], each once"""
    lines = peer("modules", file, {"read": read}).split("\n")
    return sorted({tuple(int(x) for x in line.split()) for line in lines if line})


def changed(file, to, changes):
    data = bytearray(open(file, "rb").read())
    for at, xor in changes:
        data[at] ^= xor
    with open(to, "wb") as f:
        f.write(data)


def aad_of(unique, m):
    aad = unique + bytes([m[0]])
    for ordinal in m[1:1 + (0 if m[0] == 0 else 3 if m[0] in (2, 4) else 2)]:
        aad += struct.pack("<h", ordinal)
    return aad


def damage_one(file, read, ctr, what):
    """Each kind of module, in each of its parts."""
    modules = modules_of(file, read)
    signed = open(file, "rb").read(4) == b"PAR1"
    seen, bad = {}, path("bad.parquet")
    for m in modules:
        kind, at, size = m[0], m[4], m[5]
        seen.setdefault(kind, []).append(m)
        if len(seen[kind]) > 3:
            continue
        where = "parquet:" + WHERE[kind]
        in_ctr = ctr and kind in (2, 3)
        if kind == 0 and signed:  # bytes of the footer that no reader needs, nonce, tag
            places = [size - 28, size - 1]
        elif in_ctr:
            places = [0, 1]
        else:
            places = [0, 3, 4, 15, 16, 16 + (size - 32) // 2, size - 17, size - 16, size - 1]
        for place in places:
            changed(file, bad, [(at + place, 1 << rng.randrange(8))])
            # ColumnMetaData in a footer that is signed: the signature is looked at first
            peer("verify", bad, {"read": read}, fails=[where, "parquet:footer"] if kind == 1 else [where],
                 what="%s: byte %d of %s" % (what, place, m))
        if kind == 0 and signed:  # what it says may become nonsense before the signature is looked at
            for _ in range(60):
                changed(file, bad, [(at + rng.randrange(size - 28), 1 << rng.randrange(8))])
                run = subprocess.run([PEER, "verify", bad, json.dumps({"read": read})], stderr=subprocess.PIPE, text=True)
                check(run.returncode == 1 and run.stderr.startswith("refused: parquet:"), "%s: footer: %s" % (what, run.stderr))
    return seen


def swapped(file, read, a, b, what):
    """Two modules of one size, in each other's place."""
    check(a[5] == b[5], what)
    data = bytearray(open(file, "rb").read())
    data[a[4]:a[4] + a[5]], data[b[4]:b[4] + b[5]] = data[b[4]:b[4] + b[5]], data[a[4]:a[4] + a[5]]
    bad = path("bad.parquet")
    with open(bad, "wb") as f:
        f.write(data)
    peer("verify", bad, {"read": read}, fails=["parquet:" + WHERE[a[0]]] + ["parquet:footer"] * (a[0] == 1), what="%s: swapped %s %s" % (what, a, b))


def swaps(file, read, seen, ctr, what):
    done = set()
    for kind, ms in seen.items():
        if ctr and kind in (2, 3):
            continue
        for a, b in itertools.combinations(ms, 2):
            differs = tuple(x != y for x, y in zip(a[1:4], b[1:4]))
            if a[5] == b[5] and (kind, differs) not in done:
                done.add((kind, differs))
                swapped(file, read, a, b, what)
    return done


def damage():
    kinds, moved = set(), set()
    key = os.urandom(32)
    even = pa.table({"a": pa.array(range(4000), pa.int64()), "b": pa.array(range(4000), pa.int64()),
                     "c": pa.array(["x%d" % (i % 7) for i in range(4000)])})
    source = path("even.parquet")
    pq.write_table(even, source)
    for ctr, plain_footer, theirs in itertools.product((False, True), (False, True), (False, True)):
        what = "damage %s" % ((ctr, plain_footer, theirs),)
        files = [path("one.parquet"), path("two.parquet")]
        for file in files:
            if theirs:
                props = pe.create_encryption_properties(key, plaintext_footer=plain_footer,
                                                        encryption_algorithm="AES_GCM_CTR_V1" if ctr else "AES_GCM_V1")
                pq.write_table(even, file, encryption_properties=props, compression="none", row_group_size=2000,
                               data_page_size=2000, write_batch_size=250, use_dictionary=["c"], write_page_index=True)
            else:
                peer("copy", source, file, {"write": {"crypt": True, "footer": key.hex(), "ctr": ctr, "plain_footer": plain_footer,
                                                      "row_group_rows": 2000, "page_size": 2000, "plain_encoding": False}})
        file, read = files[0], {"crypt": True, "footer": key.hex(), "ctr": ctr}
        seen = damage_one(file, read, ctr, what)
        kinds |= set(seen)
        moved |= swaps(file, read, seen, ctr, what)
        # the same module of another file under the same key
        other = {m[:4]: m for ms in damage_free(files[1], read).values() for m in ms}
        data, two = open(file, "rb").read(), open(files[1], "rb").read()
        for kind, ms in seen.items():
            m = ms[0]
            o = other.get(m[:4])
            if o is None or o[5] != m[5] or kind == 0 or (ctr and kind in (2, 3)):
                continue
            bad = path("bad.parquet")
            with open(bad, "wb") as f:
                f.write(data[:m[4]] + two[o[4]:o[4] + o[5]] + data[m[4] + m[5]:])
            peer("verify", bad, {"read": read}, fails=["parquet:" + WHERE[kind]] + ["parquet:footer"] * (kind == 1), what="%s: from another file %s" % (what, m))
        # our modules opened with nothing of ours: the AAD of each
        unique = bytes.fromhex(dict(x.split("=") for x in peer("info", file, {"read": read}).split("\n")[0].split())["unique"])
        for ms in seen.values():
            for m in ms:
                raw = data[m[4]:m[4] + m[5]]
                if m[0] == 0 and plain_footer:
                    sealed = AESGCM(key).encrypt(raw[-28:-16], raw[:-28], aad_of(unique, m))
                    check(sealed[-16:] == raw[-16:], "%s: signature" % what)
                elif not (ctr and m[0] in (2, 3)):
                    check(struct.unpack("<I", raw[:4])[0] == len(raw) - 4, what)
                    AESGCM(key).decrypt(raw[4:16], raw[16:], aad_of(unique, m))
        # cut anywhere
        for _ in range(30):
            cut = rng.randrange(len(data))
            bad = path("bad.parquet")
            with open(bad, "wb") as f:
                f.write(data[:cut])
            run = subprocess.run([PEER, "verify", bad, json.dumps({"read": read})], stderr=subprocess.PIPE, text=True)
            check(run.returncode == 1 and run.stderr.startswith("refused: parquet:"), "%s: cut at %d: %s" % (what, cut, run.stderr))
    with_bloom = path("bloom.parquet")
    for ctr in (False, True):
        add_bloom(files[0], with_bloom, key, ctr, even)
        read = {"crypt": True, "footer": key.hex(), "ctr": ctr}
        seen = damage_one(with_bloom, read, ctr, "Bloom filters")
        kinds |= set(seen)
        moved |= swaps(with_bloom, read, seen, ctr, "Bloom filters")
    check(kinds == set(range(10)), "modules that were changed: %s" % sorted(kinds))
    print("changed: %s; swapped: %d ways" % (", ".join(WHERE[k] for k in sorted(kinds)), len(moved)))


def sealed(key, unique, kind, plain, *ordinals):
    nonce = os.urandom(12)
    body = AESGCM(key).encrypt(nonce, plain, aad_of(unique, (kind, *ordinals)))
    return struct.pack("<I", len(nonce + body)) + nonce + body


def add_bloom(file, out, key, ctr, table):
    """Neither library writes Bloom filters of encrypted columns: each chunk gets one here, and a footer that says so."""
    props = pe.create_encryption_properties(key, encryption_algorithm="AES_GCM_CTR_V1" if ctr else "AES_GCM_V1")
    pq.write_table(table, file, encryption_properties=props, row_group_size=2000)
    data = open(file, "rb").read()
    length = struct.unpack("<I", data[-8:-4])[0]
    body, r = data[:-8 - length], tc.Reader(data, len(data) - 8 - length)
    crypto = r.struct()
    head = data[len(body):r.at]
    unique = crypto[1][1][2 if ctr else 1][1][2][1]
    footer = data[r.at:-8]
    meta = tc.Reader(AESGCM(key).decrypt(footer[4:16], footer[16:], aad_of(unique, (0,)))).struct()
    empty = (tc.STRUCT, {1: (tc.STRUCT, {})})
    bloom = tc.dump({1: (tc.I32, 64), 2: empty, 3: empty, 4: empty})
    for g, group in enumerate(meta[4][1][1]):
        for c, column in enumerate(group[1][1][1]):
            column[3][1][14] = (tc.I64, len(body))
            body += sealed(key, unique, 8, bloom, g, c) + sealed(key, unique, 9, os.urandom(64), g, c)
    footer = head + sealed(key, unique, 0, tc.dump(meta))
    with open(out, "wb") as f:
        f.write(body + footer + struct.pack("<I", len(footer)) + b"PARE")
    check(read_ours(out, pe.create_decryption_properties(key)).equals(table), "pyarrow reads a file with Bloom filters")
    peer("verify", out, {"read": {"crypt": True, "footer": key.hex(), "ctr": ctr}})


def damage_free(file, read):
    seen = {}
    for m in modules_of(file, read):
        seen.setdefault(m[0], []).append(m)
    return seen


def column_metadata():
    """ColumnMetaData of columns with keys of their own: changed, and swapped between columns under one key."""
    file = path("meta.parquet")
    for plain_footer in (False, True):
        write_theirs(file, encryption(file, False, plain_footer, "partial", True, 128))
        read = {"crypt": True, "kms": KMS, "plain_columns": True}
        # inside the encrypted footer they cannot be reached: what changes there is the footer
        seen = {m[0] for m in map(tuple, modules_in(file, read, plain_footer))}
        check(plain_footer == (1 in seen), "ColumnMetaData of a signed footer: %s" % seen)


def modules_in(file, read, signed):
    if not signed:
        return []
    out = []
    for m in modules_of(file, read):
        if m[0] != 1:
            continue
        out.append(m)
        if len(out) <= 3:
            # the signature covers it: whichever is looked at first names itself
            bad = path("bad.parquet")
            changed(file, bad, [(m[4] + m[5] - 1, 1)])
            peer("verify", bad, {"read": read}, fails=["parquet:column-metadata", "parquet:footer"], what="column metadata")
    return out


def main():
    theirs_to_us()
    print("pyarrow %s -> us: done" % pa.__version__)
    us_to_theirs()
    print("us -> pyarrow: done")
    low_level()
    external()
    columns_apart()
    damage()
    column_metadata()
    print("%d runs; wrapped and unwrapped %d keys" % (runs, Kms.calls))


main()
