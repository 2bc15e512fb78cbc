#!/usr/bin/env python3
"""What somebody who owns the disk can do to an export of the audit log. usage: forge.py EXPORT FOLDER"""
import hashlib
import json
import struct
import sys

export, folder = sys.argv[1:]
head, *lines, checkpoint = open(export).read().splitlines()
release = next(i for i, line in enumerate(lines) if '"op":"Release","verdict":"accept"' in line)


def write(name, records):
    with open(f"{folder}/{name}.jsonl", "w") as f:
        f.write("\n".join(records) + "\n")


# a release that did not happen, as the line says now
changed = [line.replace('"verdict":"accept"', '"verdict":"reject"') if i == release else line for i, line in enumerate(lines)]
write("changed", [head, *changed, checkpoint])

# the same, with every hash from there on made anew
prev, anew = bytes(32), []
for line in changed:
    entry, record = line[line.index('"entry":') + 8:-1], json.loads(line)
    digest = hashlib.sha256(prev + struct.pack("<QQ", record["seq"], record["time"]) + entry.encode()).digest()
    anew.append('{"seq":%d,"time":%d,"prev":"%s","hash":"%s","entry":%s}' % (record["seq"], record["time"], prev.hex(), digest.hex(), entry))
    prev = digest
write("anew", [head, *anew, checkpoint])

# the end is missing
write("cut", [head, *lines[:-2], checkpoint])
