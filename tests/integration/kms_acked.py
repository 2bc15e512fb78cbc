#!/usr/bin/env python3
"""kms_acked.py EXPORT ACKED: each line that kms-load wrote is in the exported audit log under its number and hash, as the operation that it was; no version of
an item was acknowledged to two clients, no line of the log to two calls; and each accepted release in the log is one operation with one line."""
import collections, json, sys

OPS = {"put": "PutSecret", "rotated": "Rotate", "sealed": "Encrypt", "released": "Release"}
log = {}
for text in open(sys.argv[1]):
    line = json.loads(text)
    if "seq" in line and "entry" in line:
        log[line["seq"]] = line
puts, seqs, counts = {}, {}, collections.Counter()
for text in open(sys.argv[2]):
    what, item, number, seq, sha256 = text.split()
    line = log.get(int(seq))
    if not line or line["hash"] != sha256:
        sys.exit(f"not in the log as acknowledged: {text}")
    entry = line["entry"]
    if entry["op"] != OPS[what] or entry["verdict"] != "accept" or entry["item"] != item:
        sys.exit(f"the log has something else there: {text}{entry}")
    if what in ("put", "released") and entry["version"] != int(number):
        sys.exit(f"another version in the log: {text}{entry}")
    if seqs.setdefault(int(seq), text) is not text:
        sys.exit(f"one line of the log for two calls: {text}{seqs[int(seq)]}")
    if what == "put" and puts.setdefault((item, number), text) is not text:
        sys.exit(f"one version stored twice: {text}{puts[(item, number)]}")
    counts[what] += 1
if len(counts) < 2:
    sys.exit("there was no load")
print("   on record, once each: " + ", ".join(f"{n} {what}" for what, n in sorted(counts.items())) + f"; {len(log)} lines")
