#!/usr/bin/env python3
"""kms_clear.py MASTER_KEY FOLDER...: no file below the folders holds a secret in clear: the mark of every value that kms-load stores, and the master key, as
bytes, as hex and as base64 of either alphabet at any of its three positions. The master key's own file may. Exit 1 names what was found."""
import base64, os, sys

MARK = b"ccz-marker-0Pq7vX2mK9tL4sWz"

def forms(secret):
    out = {secret, secret.hex().encode(), secret.hex().upper().encode()}
    for shift in range(3):  # behind so many bytes of something else
        text = base64.b64encode(b"\0" * shift + secret)
        first, last = -(-shift * 8 // 6), (shift + len(secret)) * 8 // 6  # characters that depend on the secret alone
        out |= {text[first:last], text[first:last].replace(b"+", b"-").replace(b"/", b"_")}
    return out

def below(top):
    if os.path.isfile(top):
        yield top
    for root, _, names in os.walk(top):
        yield from (os.path.join(root, n) for n in names)

def search(needles, own, tops):
    files, found = 0, []
    for top in tops:
        for name in below(top):
            if os.path.islink(name) or not os.path.isfile(name) or name == own:
                continue
            try:
                with open(name, "rb") as f:
                    data = f.read()
            except FileNotFoundError:  # a database server tidies up
                continue
            files += 1
            found += [name for n in needles if n in data]
    return files, found

def control(folder):
    """The search finds each form, wherever it stands."""
    os.makedirs(folder)
    for i, (pad, coded) in enumerate([(b"", bytes), (b"", lambda b: b.hex().encode()), (b"a", base64.b64encode), (b"ab", base64.urlsafe_b64encode),
                                      (b"abc", base64.b64encode)]):
        with open(f"{folder}/{i}", "wb") as f:
            f.write(b"before" + coded(pad + MARK + b"-and more") + b"behind")
    found = set(search(forms(MARK), None, [folder])[1])
    if len(found) != 5:
        sys.exit(f"the search does not find {5 - len(found)} of its own forms")

master, *tops = sys.argv[1:]
control(os.path.join(os.environ["RUN"], f"control.{os.getpid()}"))
with open(master, "rb") as f:
    files, found = search(forms(MARK) | forms(f.read()), master, tops)
if found:
    sys.exit("in clear: " + ", ".join(sorted(set(found))))
if files < 2:
    sys.exit("there is nothing to look at")
print(f"   {files} files, no secret in clear")
