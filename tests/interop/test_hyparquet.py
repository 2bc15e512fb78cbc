#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Our Parquet files as hyparquet (JavaScript) reads them, against what our reader gives.

usage: test_hyparquet.py PEER     (the program built from parquet_peer.c)
hyparquet comes from npm, pinned by version and archive digest, into ${CCZOO_CACHE:-$HOME/.cache/cczoo}. Exit 77 if it, node or pyarrow
(which makes the source) cannot be had.
"""
import hashlib
import json
import math
import os
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile

import interop_venv

interop_venv.enter("requirements-parquet")

import pyarrow as pa  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402

PEER = sys.argv[1]
PACKAGES = {"hyparquet": ("1.33.0", "6af16c6ed33e983d6ee6e5e05b1ef3ae766efc22240fac3eb56ecd2ab5780e9b"), "hyparquet-compressors": ("1.1.2", "d0b146d31c35a8f51ee05358326fb833ff13347e64d7c61b8592e9de0a76c3cc"), "fzstd": ("0.1.1", "5ed2ee2d3439067be211d0093292c708a831045372342c897437e5a4997c45c5"),
            "hysnappy": ("1.1.1", "3935b671bab5e639e061d473f45ab19c756c65ff6b6fb884f4370eb6b8ae528f")}
SCRIPT = """
import { parquetReadObjects, asyncBufferFromFile } from 'hyparquet'
import { compressors } from 'hyparquet-compressors'
const file = await asyncBufferFromFile(process.argv[2])
const rows = await parquetReadObjects({ file, compressors, utf8: false })
const plain = (v) => v === undefined || v === null ? null
    : typeof v === 'bigint' ? { n: v.toString() }
    : typeof v === 'number' && !Number.isInteger(v) ? { f: v.toString() }
    : Array.isArray(v) ? v.map(plain)
    : ArrayBuffer.isView(v) ? (v instanceof Uint8Array ? { b: Buffer.from(v).toString('hex') } : Array.from(v, plain))
    : v
console.log(JSON.stringify(rows.map(r => Object.fromEntries(Object.entries(r).map(([k, v]) => [k, plain(v)])))))
"""


def skip(why):
    print("skipped: %s" % why)
    sys.exit(77)


def check(ok, what):
    if not ok:
        sys.exit("failed: %s" % (what,))


def modules():
    """A folder with node_modules of these packages."""
    if not shutil.which("npm") or not shutil.which("node"):
        skip("node and npm are not installed")
    cache = os.environ.get("CCZOO_CACHE") or os.path.expanduser("~/.cache/cczoo")
    stamp = hashlib.sha256(json.dumps(PACKAGES).encode()).hexdigest()[:16]
    home = os.path.join(cache, "hyparquet-" + stamp)
    if os.path.isdir(home):
        return home
    os.makedirs(cache, exist_ok=True)
    work = tempfile.mkdtemp(dir=cache)
    for name, (version, digest) in PACKAGES.items():
        run = subprocess.run(["npm", "pack", "--silent", "%s@%s" % (name, version)], cwd=work, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if run.returncode != 0:
            shutil.rmtree(work)
            skip("npm gives no %s" % name)
        archive = os.path.join(work, run.stdout.split()[-1])
        check(hashlib.sha256(open(archive, "rb").read()).hexdigest() == digest, "%s is another archive than pinned" % name)
        target = os.path.join(work, "node_modules", name)
        with tarfile.open(archive) as t:
            t.extractall(target + ".tmp", filter="data")
        os.rename(os.path.join(target + ".tmp", "package"), target)
        shutil.rmtree(target + ".tmp")
    with open(os.path.join(work, "read.mjs"), "w") as f:
        f.write(SCRIPT)
    try:
        os.rename(work, home)
    except OSError:  # another test was first
        shutil.rmtree(work)
    return home


def theirs(v):
    """A value as the script prints it."""
    if isinstance(v, list):
        return [theirs(x) for x in v]
    if isinstance(v, dict):
        return int(v["n"]) if "n" in v else float(v["f"]) if "f" in v else bytes.fromhex(v["b"])
    return v


def same(a, b):
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float) and isinstance(b, (int, float)):
        return a == b or (math.isnan(a) and math.isnan(b))
    if isinstance(b, str) and isinstance(a, bytes):
        return a.decode() == b
    return a == b


def main():
    home = modules()
    n = 300
    f32 = lambda x: struct.unpack("<f", struct.pack("<f", x))[0]  # noqa: E731
    table = pa.table({
        "user": pa.array([i * 7919 - 50 for i in range(n)], pa.int64()), "item": pa.array([None if i % 9 == 0 else "film %d" % (i % 40) for i in range(n)]),
        "rating": pa.array([None if i % 11 == 0 else i % 10 / 2 for i in range(n)], pa.float32()), "w": pa.array([1 / (i + 1) for i in range(n)]),
        "i": pa.array([i % 5 for i in range(n)], pa.int32()), "seen": pa.array([i % 3 == 0 for i in range(n)]),
        "raw": pa.array([bytes([i % 256] * (i % 4)) for i in range(n)]),
        "features": pa.array([None if i % 13 == 0 else [f32(i / (k + 1)) for k in range(i % 6)] for i in range(n)], pa.list_(pa.float32())),
    })
    want = table.to_pylist()
    files = 0
    with tempfile.TemporaryDirectory() as work:
        source, file = os.path.join(work, "source.parquet"), os.path.join(work, "ours.parquet")
        pq.write_table(table, source)
        for codec in (0, 1, 2, 6):
            for version in (1, 2):
                for encode in (0, 1, 2, 3):
                    subprocess.run([PEER, "copy", source, file, str(codec), str(version), str(encode), "700"], check=True)
                    run = subprocess.run(["node", os.path.join(home, "read.mjs"), file], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                    what = "codec %d, version %d, encoding %d" % (codec, version, encode)
                    check(run.returncode == 0, "%s: %s" % (what, run.stderr))
                    got = json.loads(run.stdout)
                    check(len(got) == n, "%s: %d rows" % (what, len(got)))
                    for i, (g, w) in enumerate(zip(got, want)):
                        for k in w:
                            check(same(theirs(g.get(k)), w[k]), "%s: row %d, %s: %r, not %r" % (what, i, k, g.get(k), w[k]))
                    files += 1
    print("hyparquet %s reads %d files of ours" % (PACKAGES["hyparquet"][0], files))


main()
