#!/usr/bin/env bash
# Getting evidence on the command line: providers, evidence of the software TEE and of a fake Gramine, boot event logs
# replayed, compared with quotes and with each other, measurement registers.
. "$(dirname "$0")/../../scripts/lib.sh"
run_begin test-tee-cli
cd "$RUN"

hasnt() { ! grep -qE "$2" "$RUN/$1" || { cat "$RUN/$1" >&2; die "a line like '$2' in $1"; }; }
# json EXPRESSION: of the object d on stdout
json() {
    python3 - "$RUN/out" "$1" <<'PY' || die "not true of the JSON: $1"
import json, sys
d = json.load(open(sys.argv[1]))
sys.exit(not eval(sys.argv[2]))
PY
}
evidence() { "$BIN/cczoo" evidence "$@"; }
get() { evidence get "$@"; }
eventlog() { evidence eventlog "$@"; }

"$BIN/cczoo" sim init sim 2>/dev/null
ab=$(printf 'ab%.0s' {1..64})

step "providers"
mkdir -p none gramine/dev/attestation
status 3 evidence providers --fs-root none
has err '^no provider of hardware answers'
has out '^gramine +no +tee:gramine-type: cannot read none/dev/attestation/attestation_type'
has out '^ +hint: run inside Gramine'
has out '^configfs +no +tee:configfs-mkdir: '
has out '^tdx-guest +no '
has out '^sev-guest +no '
status 3 evidence providers --fs-root none --json
json '[p["provider"] for p in d] == ["gramine", "configfs", "tdx-guest", "sev-guest"]'
json 'not any(p["answers"] for p in d) and all(p["error"]["message"] and p["error"]["hint"] for p in d)'
printf dcap >gramine/dev/attestation/attestation_type
status 0 evidence providers --fs-root gramine
has out '^gramine +answers +sgx$'
status 0 evidence providers --fs-root gramine --json
json 'd[0] == {"provider": "gramine", "answers": True, "tee": "sgx"} and not d[1]["answers"]'
status 2 evidence providers sim-sgx

step "get: what it does not guess"
status 2 get --sim sim --nonce-random
has err '^hint: cczoo evidence providers'
status 2 get --provider sim-tdx --sim sim --out q
has err 'expected one of --report-data'
status 2 get --provider sim-tdx --sim sim --nonce-random --report-data ab --out q
status 2 get --provider sim-tdx --nonce-random --out q
status 2 get --provider gramine --sim sim --nonce-random --out q
status 2 get --provider nitro --nonce-random --out q
has err '^error: tee:provider: .*gramine, configfs, tdx-guest, sev-guest, sim-sgx, sim-tdx'
for bad in '' a xy "${ab}ab"; do
    status 2 get --provider sim-tdx --sim sim --report-data "$bad" --out q
    has err 'cli:report-data|expected one of'
done
for bad in -1000 0 3600001; do status 2 get --provider sim-tdx --sim sim --nonce-random --timeout "$bad" --out q; done
for bad in -2 4; do status 2 get --provider sev-guest --nonce-random --vmpl "$bad" --out q; done
status 2 get --provider sim-tdx --sim sim --nonce-random --vmpl 0 --out q # no levels there
has err '^error: tee:vmpl: only SEV-SNP'
: >empty
head -c 65 /dev/zero >long
for bad in empty long; do
    status 2 get --provider sim-tdx --sim sim --report-data-file "$bad" --out q
    has err '^hint: the bytes themselves'
done
status 3 get --provider sim-tdx --sim sim --report-data-file missing --out q
status 3 get --provider sim-tdx --sim missing --nonce-random --out q
status 3 get --provider configfs --fs-root none --nonce-random --out q
[ ! -e q ] || die "something was written"

step "get: the software TEE"
status 0 get --provider sim-tdx --sim sim --report-data "$ab" --out q.tdx
has err '^SIMULATED: '
has err "^tdx evidence from sim-tdx, [0-9]+ bytes, over report data $ab\$"
[ ! -s out ] || die "evidence on stdout and in a file"
status 0 evidence verify q.tdx --trust-sim sim/trust
has out "^report_data +$ab\$"
printf 'a nonce' >nonce
status 0 get --provider sim-sgx --sim sim --report-data-file nonce
cp out q.sgx
status 0 evidence verify q.sgx --trust-sim sim/trust
has out "^report_data +$(printf 'a nonce' | od -An -tx1 | tr -d ' ')0{114}\$"
get --provider sim-sgx --sim sim --report-data-file - --out - <nonce >q.sgx2 2>/dev/null
[ "$(head -c 432 q.sgx2 | sha256sum)" = "$(head -c 432 q.sgx | sha256sum)" ] || die "other signed bytes"
status 0 get --provider sim-sgx --sim sim --nonce-random --out n1
cp err first
status 0 get --provider sim-sgx --sim sim --nonce-random --out n2
cmp -s err first && die "the same nonce twice"
status 0 evidence verify n2 --trust-sim sim/trust
status 3 sh -c "'$BIN/cczoo' evidence get --provider sim-sgx --sim sim --nonce-random >/dev/full"
has err '^error: cannot write to standard output'
status 3 get --provider sim-sgx --sim sim --nonce-random --out missing/q
on_terminal() { python3 -c 'import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))' "$@" </dev/null; }
status 2 on_terminal "$BIN/cczoo" evidence get --provider sim-sgx --sim sim --nonce-random
has out '^error: evidence is binary'
status 0 on_terminal "$BIN/cczoo" evidence get --provider sim-sgx --sim sim --nonce-random --out -

step "get: a fake Gramine"
cp q.sgx gramine/dev/attestation/quote
: >gramine/dev/attestation/user_report_data
status 0 get --provider gramine --fs-root gramine --report-data-file nonce --out g
cmp g q.sgx
hasnt err SIMULATED # the provider is not
[ "$(head -c 7 gramine/dev/attestation/user_report_data)" = 'a nonce' ] || die "other report data were set"
status 1 get --provider gramine --fs-root gramine --report-data "$ab" --out g2 # a quote over other report data
has err '^refused: tee:binding: '
[ ! -e g2 ] || die "evidence over other report data was written"
printf epid >gramine/dev/attestation/attestation_type
status 3 get --provider gramine --fs-root gramine --nonce-random --out g2
has err '^error: tee:gramine-type: got epid, expected dcap'

# Logs with known registers, and quotes that have them. TD report 1.0 in a v4 quote: RTMR0 at 48 + 328.
python3 - <<'PY'
import hashlib, struct
sha = lambda b: hashlib.sha384(b).digest()
HEADER = struct.pack("<II20sI", 1, 3, bytes(20), 33) + b"Spec ID Event03\0" + struct.pack("<IBBBBIHHB", 0, 0, 2, 0, 2, 1, 12, 48, 0)
def event(mr, kind, digest, data):
    return struct.pack("<IIIH", mr, kind, 1, 12) + digest + struct.pack("<I", len(data)) + data
def variable(name, value):
    return bytes(16) + struct.pack("<QQ", len(name), len(value)) + name.encode("utf-16le") + value
VAR, BOOT, SEP, ACTION, IPL, NOTE = 0x80000001, 0x80000002, 4, 0x80000007, 13, 3
order = variable("BootOrder", b"\1\0")
secure = variable("SecureBoot", b"\1")
cmd = "grub_cmd: linux /vmlinuz ro\0".encode()
boot = [
    (1, VAR, sha(secure), secure),
    (1, BOOT, sha(b"\1\0"), order),
    (1, SEP, sha(bytes(4)), bytes(4)),
    (1, NOTE, bytes(48), b"a note\0"),
    (2, ACTION, sha(b"Calling EFI Application"), b"Calling EFI Application"),
    (3, IPL, sha(b"linux /vmlinuz ro"), cmd),
    (3, IPL, sha(b"stub"), "console=ttyS0 \"x\"\0".encode("utf-16le")),
    (0, IPL, sha(b"?"), b"of MRTD"),
    (3, 0x12345678, sha(b"u"), b"\xff\x00\x01"),
]
def replay(events):
    r = [bytes(48)] * 4
    for mr, kind, digest, _ in events:
        if mr and kind != NOTE:
            r[mr - 1] = sha(r[mr - 1] + digest)
    return r
def write(name, events, pad=64):
    open(name, "wb").write(HEADER + b"".join(event(*e) for e in events) + b"\xff" * pad)
def quote(name, rtmrs):
    q = bytearray(open("q.tdx", "rb").read())
    q[376:376 + 192] = b"".join(rtmrs)
    open(name, "wb").write(q)
write("boot.log", boot)
quote("q.boot", replay(boot))
other = boot[:5] + [(3, IPL, sha(b"linux /vmlinuz ro init=/bin/sh"), b"grub_cmd: linux /vmlinuz ro init=/bin/sh\0")] + boot[6:]
write("other.log", other)
quote("q.swapped", replay(boot)[:1] + replay(boot)[:1] + replay(boot)[2:])
moved = [boot[4]] + boot[:4] + boot[5:]  # between registers, order is not measured
write("moved.log", moved)
write("relabelled.log", [(m, k, d, b"other words\0" if k == IPL else x) for m, k, d, x in boot])
write("lying.log", [(m, k, d, b"Calling EFI Nothing" if k == ACTION else x) for m, k, d, x in boot])
write("header.log", [])
write("behind.log", boot)
open("behind.log", "ab").write(b"x")
open("cut.log", "wb").write(open("boot.log", "rb").read()[:300])
secret = sha(b"configuration")
open("replayed", "w").write("".join(f"rtmr{i} {v.hex()}\n" for i, v in enumerate(replay(boot))))
extended = replay(boot)
extended[3] = sha(sha(extended[3] + secret) + sha(b"second"))
quote("q.extended", extended)
write("huge-a.log", [(1, IPL, sha(b"a%d" % i), b"") for i in range(4097)])
write("huge-b.log", [(1, IPL, sha(b"b%d" % i), b"") for i in range(3)])
def ccel(kind):
    t = bytearray(b"CCEL" + struct.pack("<IBB6s8sIII", 56, 1, 0, b"CCZOO ", b"TESTLOG ", 1, 0, 1) + struct.pack("<BBHQQ", kind, 0, 0, 65536, 0))
    t[9] = -sum(t) % 256
    return bytes(t)
import os
for root, kind in (("td", 2), ("sev", 1)):
    os.makedirs(f"{root}/sys/firmware/acpi/tables/data")
    open(f"{root}/sys/firmware/acpi/tables/CCEL", "wb").write(ccel(kind))
    open(f"{root}/sys/firmware/acpi/tables/data/CCEL", "wb").write(open("boot.log", "rb").read())
os.makedirs("td/sys/devices/virtual/misc/tdx_guest/measurements")
for i, v in enumerate(replay(boot)):
    open(f"td/sys/devices/virtual/misc/tdx_guest/measurements/rtmr{i}:sha384", "wb").write(v)
PY

step "eventlog: shown and replayed"
status 0 eventlog boot.log
has err '^compared with no quote: nothing in the log is proven$'
has out '^ +1  rtmr0  EV_EFI_VARIABLE_DRIVER_CONFIG +matches +[0-9a-f]{96}  "SecureBoot = 01"$'
has out '^ +2  rtmr0  EV_EFI_VARIABLE_BOOT +matches +[0-9a-f]{96}  "BootOrder = 0100"$'
has out '^ +3  rtmr0  EV_SEPARATOR +matches +[0-9a-f]{96}$'
has out '^ +4  rtmr0  EV_NO_ACTION +unproven +0{96}  "a note"$'
has out '^ +6  rtmr2  EV_IPL +label +[0-9a-f]{96}  "grub_cmd: linux /vmlinuz ro"$'
has out '^ +7  rtmr2  EV_IPL +label +[0-9a-f]{96}  "console=ttyS0 \\x22x\\x22"$'
has out '^ +8  mrtd +EV_IPL +unproven '
has out '^ +9  rtmr2  0x12345678 +label +[0-9a-f]{96}$'
while read -r name value; do has out "^$name  replayed  $value\$"; done <replayed
cp out text
eventlog - <boot.log >out 2>/dev/null
cmp out text
status 0 eventlog boot.log --json
json 'len(d["events"]) == 9 and d["quote_verified"] is False and "error" not in d'
json 'd["events"][0]["digest_matches_data"] and d["events"][0]["text"] == "SecureBoot = 01" and d["events"][0]["register"] == "rtmr0"'
json 'd["events"][6]["text"] == "console=ttyS0 \"x\"" and not d["events"][6]["digest_over_data"]'
json 'd["events"][8]["type"] == 0x12345678 and d["events"][8]["type_name"] == "unknown" and d["events"][8]["data"] == "ff0001"'
json '[k + " " + v["replayed"] for k, v in d["registers"].items()] == open("replayed").read().splitlines()'
status 0 eventlog header.log --json
json 'd["events"] == []'
status 1 eventlog lying.log
has out ' EV_EFI_ACTION +CHANGED '
has err '^refused: eventlog:data: event 5: '
status 1 eventlog lying.log --json
json 'd["error"]["where"] == "eventlog:data" and len(d["events"]) == 9'

step "eventlog: damaged, usage"
status 1 eventlog cut.log
has err '^error: eventlog:event: event [0-9]+ is truncated'
[ ! -s out ] || die "events of a damaged log were shown"
status 1 eventlog behind.log
status 1 eventlog q.tdx
status 1 eventlog empty
status 3 eventlog missing
status 2 eventlog
status 2 eventlog boot.log other.log
status 2 eventlog boot.log --live
status 2 eventlog boot.log --fs-root td
status 2 eventlog boot.log --trust-sim sim/trust
status 2 eventlog boot.log --quote q.boot --at 2026-01-01T00:00:00Z

step "eventlog: against a quote"
status 0 eventlog boot.log --quote q.boot
has err '^the quote was not verified: nothing is proven'
for i in 0 1 2 3; do has out "^rtmr$i  replayed  [0-9a-f]{96}  matches\$"; done
hasnt out DIFFERS
status 0 eventlog moved.log --quote q.boot
status 0 eventlog relabelled.log --quote q.boot # labels are not measured
base64 q.boot >q.b64
status 0 eventlog boot.log --quote q.b64 --json
json 'all(r["matches"] and r["quoted"] == r["replayed"] for r in d["registers"].values())'
status 1 eventlog boot.log --quote q.swapped
has err '^refused: eventlog:rtmr1: [0-9a-f]{96} / [0-9a-f]{96}$'
has out '^rtmr0  .*matches$'
has out '^rtmr1  .*DIFFERS$'
has out "^rtmr1  quoted    $(grep rtmr0 replayed | cut -d' ' -f2)\$"
status 1 eventlog other.log --quote q.boot --json
json 'd["error"]["where"] == "eventlog:rtmr2" and not d["registers"]["rtmr2"]["matches"] and d["registers"]["rtmr0"]["matches"]'
json 'd["error"]["got"] == d["registers"]["rtmr2"]["replayed"] and d["error"]["expected"] == d["registers"]["rtmr2"]["quoted"]'
status 1 eventlog lying.log --quote q.boot # the digests are right, what is said of them is not
has err '^refused: eventlog:data: '
status 1 eventlog lying.log --quote q.swapped # registers weigh more
has err '^refused: eventlog:rtmr1: '
status 1 eventlog boot.log --quote q.sgx
has err '^refused: cli:quote: no TD report / evidence of TDX$'
head -c 500 q.boot >q.cut
status 1 eventlog boot.log --quote q.cut
has err '^error: quote:'
status 3 eventlog boot.log --quote missing

step "eventlog: against a verified quote"
status 0 eventlog header.log --quote q.tdx --trust-sim sim/trust # nothing extends registers of the software TEE
has err '^SIMULATED: '
has err '^the log explains the registers of a genuine quote$'
status 0 eventlog header.log --quote q.tdx --trust-sim sim/trust --json
json 'd["quote_verified"] is True and d["simulated"] is True'
status 1 eventlog boot.log --quote q.tdx --trust-sim sim/trust
has err '^refused: eventlog:rtmr0: '
status 1 eventlog boot.log --quote q.boot --trust-sim sim/trust # its registers were never signed
has err '^error: quote:signature: '
[ ! -s out ] || die "compared with a quote that is not genuine"
status 1 eventlog header.log --quote q.tdx --trust-sim sim/trust --at 2001-01-01T00:00:00Z
status 3 eventlog header.log --quote q.tdx --trust-sim missing

step "a policy that refuses registers leads to the log"
status 0 "$BIN/cczoo" policy from-evidence q.tdx --trust-sim sim/trust
sed -E 's/("rtmr2" *: *")00/\1ff/' out >other.policy
status 1 evidence verify q.tdx --trust-sim sim/trust --policy other.policy
has err '^refused: policy:rtmr2: '
has err '^hint: cczoo evidence eventlog LOG --quote FILE --diff GOODLOG'

step "eventlog: what changed"
status 0 eventlog boot.log --diff boot.log
has err '^0 measured events differ from boot.log$'
status 0 eventlog moved.log --diff boot.log
status 0 eventlog relabelled.log --diff boot.log
status 1 eventlog other.log --diff boot.log
has err '^2 measured events differ'
[ "$(grep -cE '^[-+] ' out)" = 2 ] || die "not two lines"
has out '^- +6  rtmr2  EV_IPL +label .*"grub_cmd: linux /vmlinuz ro"$'
has out '^\+ +6  rtmr2  EV_IPL +label .*"grub_cmd: linux /vmlinuz ro init=/bin/sh"$'
status 1 eventlog other.log --diff boot.log --json
json '[(c["change"], c["register"], c["number"]) for c in d["changes"]] == [("removed", "rtmr2", 6), ("added", "rtmr2", 6)]'
status 1 eventlog header.log --diff boot.log
[ "$(grep -cE '^- ' out)" = 7 ] || die "not the seven events that were extended"
status 1 eventlog boot.log --diff header.log --quote q.boot
has err '^7 measured events differ'
status 1 eventlog boot.log --diff cut.log
status 3 eventlog boot.log --diff missing
status 1 eventlog huge-a.log --diff huge-b.log --json
has err '^error: cli:diff: '
[ ! -s out ] || die "half a JSON object"

step "eventlog: of this machine"
status 0 eventlog --live --fs-root td --quote q.boot
status 1 eventlog --live --fs-root td --diff other.log
status 1 eventlog --live --fs-root sev
has err '^refused: cli:ccel-type: 1 / 2$'
status 3 eventlog --live --fs-root none
has err '^error: tee:ccel-table: '
has err '^hint: firmware shows no ACPI table CCEL'
printf 'x' | dd of=td/sys/firmware/acpi/tables/CCEL bs=1 seek=20 conv=notrunc status=none
status 1 eventlog --live --fs-root td
has err 'eventlog:ccel-checksum'

step "rtmr"
measurements=td/sys/devices/virtual/misc/tdx_guest/measurements
status 0 evidence rtmr read --fs-root td
cmp out replayed
status 0 evidence rtmr read --fs-root td --json
json '[f"{k} {v}" for k, v in d.items()] == open("replayed").read().splitlines()'
status 0 evidence rtmr read --fs-root td --index 2
[ "$(cat out)" = "$(grep rtmr2 replayed)" ] || die "another register"
status 0 evidence rtmr read --fs-root td --index 2 --json
json 'list(d) == ["rtmr2"]'
printf configuration >configuration
status 0 evidence rtmr extend --fs-root td --index 3 --file configuration
has err '^warning: RTMR3 cannot be set back'
[ "$(cat out)" = "3 $(sha384sum <configuration | cut -d' ' -f1)" ] || die "another digest"
[ "$(od -An -v -tx1 "$measurements/rtmr3:sha384" | tr -d ' \n')" = "$(cut -d' ' -f2 out)" ] || die "another extend"
cp out extends.log
evidence rtmr extend --fs-root td --index 3 --digest "$(printf second | sha384sum | cut -d' ' -f1)" >>extends.log 2>/dev/null
[ "$(wc -l <extends.log)" = 2 ] || die "not two lines"
status 1 eventlog boot.log --quote q.extended
has err '^refused: eventlog:rtmr3: '
has err '^hint: extends after boot are not in the boot log'
status 0 eventlog boot.log --quote q.extended --extends extends.log --json
json 'd["extends"] == 2 and d["registers"]["rtmr3"]["matches"]'
(echo '# mine'; sed 's/$/ a file/' extends.log) >commented.log
status 0 eventlog boot.log --quote q.extended --extends commented.log
tac extends.log >reversed.log
status 1 eventlog boot.log --quote q.extended --extends reversed.log
for bad in "4 $ab" "3 $ab" "3 ${ab:0:95}" "3${ab:0:96}"; do
    printf '%s\n' "$bad" >bad.log
    status 1 eventlog boot.log --extends bad.log
    has err '^error: cli:extends: .*line 1 '
done
digest=${ab:0:96}
status 2 evidence rtmr
status 2 evidence rtmr reset
status 2 evidence rtmr read --index 4 --fs-root td
status 2 evidence rtmr extend --fs-root td --digest "$digest"
status 2 evidence rtmr extend --fs-root td --index 4 --digest "$digest"
status 2 evidence rtmr extend --fs-root td --index 3
status 2 evidence rtmr extend --fs-root td --index 3 --digest "$digest" --file configuration
status 2 evidence rtmr extend --fs-root td --index 3 --digest "${digest}00"
status 3 evidence rtmr extend --fs-root td --index 3 --file missing
status 3 evidence rtmr extend --fs-root td --index 3 --file none # a folder
status 3 evidence rtmr extend --fs-root none --index 3 --digest "$digest"
has err '^hint: this must be a TDX guest with Linux >= 6.16'
[ ! -s out ] || die "a line for the log of an extend that was not made"
status 3 evidence rtmr read --fs-root none
printf short >"$measurements/rtmr3:sha384"
status 3 evidence rtmr read --fs-root td
has err '^error: tee:rtmr-read: '
[ ! -s out ] || die "some registers were shown"
say ok
