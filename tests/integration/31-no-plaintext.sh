#!/usr/bin/env bash
# No byte of the plaintext model on any file system that is not RAM: every file that the server opens for writing is
# known, and nothing it has open, maps or leaves behind holds a piece of the weights.
. "$(dirname "$0")/../../solutions/03-tf-serving-cluster/cluster.sh"
command -v strace >/dev/null || { echo "skipped: strace is not installed"; exit 77; }
run_begin test-no-plaintext
make_platform
start_kms
protect_model

# Three pieces of the weights, 48 bytes each, from the plaintext that only this test still has.
mkdir "$RUN/probe"
python3 - "$MODEL/1" "$RUN/probe" <<'PY'
import pathlib, sys
data = max((p.read_bytes() for p in pathlib.Path(sys.argv[1]).rglob("variables.data*")), key=len)
for i, at in enumerate((len(data) // 4, len(data) // 2, len(data) * 3 // 4)):
    piece = data[at:at + 48]
    assert len(set(piece)) > 8, "the piece is not distinctive"
    pathlib.Path(sys.argv[2], str(i)).write_bytes(piece)
PY
found() { # found SINCE PATH...: files at or below PATH, changed after SINCE (seconds), that hold a piece
    python3 - "$RUN/probe" "$@" <<'PY'
import os, pathlib, stat, sys
pieces = [p.read_bytes() for p in pathlib.Path(sys.argv[1]).iterdir()]
def below(top):
    if os.path.isfile(top):
        yield top
    for root, _, names in os.walk(top):
        yield from (os.path.join(root, n) for n in names)
for top in sys.argv[3:]:
    for f in below(top):
        try:
            st = os.lstat(f)
            if f.startswith(sys.argv[1]) or not stat.S_ISREG(st.st_mode) or st.st_mtime < float(sys.argv[2]):
                continue
            data = open(f, "rb").read()
        except FileNotFoundError: # somebody else's temporary file
            continue
        if any(p in data for p in pieces):
            print(f)
PY
}
[ -n "$(found 0 "$MODEL/1")" ] || die "the search does not even find the plaintext model"
before=$(date +%s)

step "a server under strace"
mkdir "$RUN/tmp"
export TMPDIR=$RUN/tmp
cat >"$RUN/traced" <<T
#!/bin/sh
exec strace -f -qq -o "$RUN/trace" -e trace=openat,open,creat,memfd_create,mknodat,linkat,renameat2,rename "$BIN/cczoo-served" "\$@"
T
chmod +x "$RUN/traced"
start_server 1 "$RUN/traced"
wait_server 1
pid=$(pgrep -f "^$BIN/cczoo-served .*$RUN" | head -n 1)
[ -n "$pid" ] || die "the server is not running"
PIDS[server]=$pid # ending strace does not end it
infer "127.0.0.1:$(cat "$RUN/server-1.port")" --limit 320 >"$RUN/log/infer.txt"

step "what it opened for writing"
python3 - "$RUN/trace" "$RUN" <<'PY'
import re, sys
allowed = re.compile(r"^(/dev/null|/dev/tty|/proc/self/.*|/sys/.*|" + re.escape(sys.argv[2]) + r"/server-1\.(port|rest)(\.\d+\.tmp)?)$")
bad, opened = [], 0
for line in open(sys.argv[1], errors="replace"):
    if "memfd_create" in line or "creat(" in line and "openat" not in line:
        bad.append(line.strip())
    m = re.search(r'open(?:at)?\([^"]*"([^"]*)", (\S+?)[,)]', line)
    if not m:
        continue
    opened += 1
    if re.search(r"O_WRONLY|O_RDWR|O_CREAT", m[2]) and not allowed.match(m[1]) and "= -1" not in line:
        bad.append(line.strip())
if opened < 20:
    sys.exit("the trace is empty: strace did not work")
if bad:
    sys.exit("opened for writing:\n" + "\n".join(bad))
PY

step "what it has open and maps"
while read -r path; do
    case "$path" in /*) ;; *) continue ;; esac
    [ -f "$path" ] || continue
    case "$path" in "$TF"/* | /usr/* | /lib/* | "$BIN"/*) continue ;; esac
    [ -z "$(found 0 "$path")" ] || die "$path holds plaintext"
done < <({ find "/proc/$pid/fd" -type l -printf '%l\n'; awk '{print $6}' "/proc/$pid/maps"; } 2>/dev/null | sort -u)

step "what is left on disk"
hits=$(found "$before" "$RUN" /tmp /var/tmp "$STATE")
[ -z "$hits" ] || die "plaintext on disk: $hits"
say ok
