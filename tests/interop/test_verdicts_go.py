#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The verdict of `cczoo evidence verify` on published SEV-SNP reports and TDX quotes, against those of Google's
go-sev-guest and go-tdx-guest.

usage: test_verdicts_go.py CCZOO VECTORS     (the program; the folder with tee/SET/evidence.bin)
Both accept or both refuse; then the same with one bit changed, and at the edges of validity. go-tdx-guest refuses what is
not UpToDate and says the status, which must be ours. Its verdict on quotes alone is compared with that of the unit test
quote_vectors.evidence. Exit 77 without vectors or Go, or if the modules cannot be had.
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import verdicts
from verdicts import Excused

HERE = pathlib.Path(__file__).resolve().parent
DAY_S = 86400
NO_FACTS_S = 1735689600  # a time for quotes whose certificates say none; both refuse them
FMSPC = Excused("is not equal to FMSPC value", "hex digits of FMSPC and PCEID")
V5 = Excused("quote format not supported", "quotes of version 5")
EXCUSED_SNP = {
    "snp5-attrs-genoa-fms19a002": Excused("any trusted roots. Last error: <nil>", "product line"),
    "snp5-attrs-genoa-report2": Excused("any trusted roots. Last error: <nil>", "product line"),
    "snp5-microsoft-turin": Excused("not an AMD KDS OID: 1.3.6.1.4.1.3704.1.3.9", "patch level of the FMC"),
}
EXCUSED_TDX = {
    "tdx4-automata-1025-00806f-2025-10": FMSPC,
    "tdx4-flashbots-azure-90c06f-2026-02": FMSPC,
    "tdx4-flashbots-gcp-00806f-2026-01": FMSPC,
    "tdx4-phala-b0c06f-2025-06": FMSPC,
    "tdx4-trustee-gnr-00a06d08-2025-11": FMSPC,
    "tdx5-automata-alibaba-90c06f-2025-06": V5,
    "tdx5-gotdx-90c06f-2026-02": V5,
}
EXCUSED_ALONE = {"tdx5-automata-alibaba-90c06f-2025-06": V5, "tdx5-gotdx-90c06f-2026-02": V5,
                 "tdx5-phala-outdated-90c06f-2026-02": V5, "tdx5-trustee-90c06f-2026-03": V5}


def skip(text):
    print("skipped: " + text)
    sys.exit(77)


def build(program):
    """Returns the versions of the modules. They are kept in ${CCZOO_CACHE:-$HOME/.cache/cczoo}/go."""
    cache = pathlib.Path(os.environ.get("CCZOO_CACHE") or os.path.expanduser("~/.cache/cczoo")) / "go"
    if not shutil.which("go"):
        skip("go is not installed")
    env = dict(os.environ, GOMODCACHE=str(cache / "mod"), GOCACHE=str(cache / "build"), GOTOOLCHAIN="local",
               GOFLAGS="-mod=readonly -modcacherw -buildvcs=false", CGO_ENABLED="0")
    listing = subprocess.run(["go", "list", "-deps", "-f", "{{with .Module}}{{.Path}} {{.Version}}{{end}}", "."],
                             cwd=HERE / "gopeers", env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if listing.returncode:
        skip("the modules of tests/interop/gopeers cannot be had: %s" % " ".join(listing.stderr.decode().split())[-300:])
    subprocess.run(["go", "build", "-o", program, "."], cwd=HERE / "gopeers", env=env, check=True)
    return dict(re.findall(r"(go-(?:sev|tdx)-guest) (v\S+)", listing.stdout.decode()))


class Peer:
    """The running program; one question at a time."""

    def __init__(self, program):
        reader, writer = os.pipe()
        self.process = subprocess.Popen([program, "/dev/fd/%d" % writer], stdin=subprocess.PIPE, text=True,
                                        stdout=subprocess.DEVNULL, pass_fds=(writer,))
        os.close(writer)
        self.answers = open(reader, encoding="utf-8", newline="\n")

    def ask(self, evidence, folder, time):
        job = {"evidence": str(evidence), "collateral": str(folder or ""), "time": time}
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.answers.readline())
        if answer.get("error", "").startswith("panic"):
            print("%s: %s" % (evidence, answer["error"]))
        return verdicts.Verdict(answer["accepted"], None, None, answer.get("error"), None)

    def close(self):
        self.process.stdin.close()
        if self.process.wait(60):
            sys.exit("failed: gopeers ended with status %d" % self.process.returncode)


def equal_snp(us, them):
    return us.accepted == them.accepted


def equal_tdx(us, them):
    if us.accepted and us.status != "UpToDate":
        return not them.accepted and 'found "%s"' % us.status in them.where
    return us.accepted == them.accepted


def reason(case, what, at, us, them):
    """The row that explains why a changed case is judged differently."""
    if case.tee != "tdx" or us.accepted or not them.accepted:
        return None
    if what in ("second before", "first second"):
        return "notBefore, issueDate, thisUpdate in the future"
    return "issuer chain of the PCK CRL" if what == "pck_crl_issuer_chain.pem" else None


def compare(comparison, cczoo, peer, case, scratch, equal):
    us = verdicts.ours(cczoo, case.evidence, case.folder, case.time)
    them = peer.ask(case.evidence, case.folder, case.time)
    comparison.case(case, us, them, equal(us, them))
    if not us.accepted or not them.accepted:
        return
    for what, at, evidence, folder, time in verdicts.changes(case, us.claims, scratch):
        us = verdicts.ours(cczoo, evidence, folder, time)
        them = peer.ask(evidence, folder, time)
        comparison.change("%s, %s %s" % (case.name, what, at), us, them, equal(us, them),
                          reason(case, what, at, us, them))


def compare_alone(comparison, peer, vectors):
    text = (HERE.parent / "unit/quote/vector_verdicts.h").read_text().split("case_verdicts[]")[0]
    listed = dict(re.findall(r'\{"([^"]+)", (?:NULL|"([^"]+)")\}', text))
    for path, meta in verdicts.sets(vectors):
        name = meta["set"]
        if verdicts.tee_of(name) != "tdx":
            continue
        begin = verdicts.when((meta.get("pck_facts") or {}).get("not_before"))
        us = verdicts.refusal(listed[name]) if listed[name] else verdicts.Verdict(True, None, None, None, None)
        them = peer.ask(path, None, begin + DAY_S if begin else NO_FACTS_S)
        negative = name.startswith("neg-")
        comparison.case(verdicts.Case(name, "tdx", path, None, begin, negative, meta), us, them, equal_snp(us, them))


def main():
    cczoo, vectors = sys.argv[1], verdicts.vectors(sys.argv[2])
    with tempfile.TemporaryDirectory(prefix="cczoo-verdicts-") as scratch:
        scratch = pathlib.Path(scratch)
        versions = build(str(scratch / "gopeers"))
        sev, tdx = ["%s %s" % (m, versions[m]) for m in ("go-sev-guest", "go-tdx-guest")]
        snp = verdicts.Comparison(sev, EXCUSED_SNP)
        quotes, alone = verdicts.Comparison(tdx, EXCUSED_TDX), verdicts.Comparison(tdx + ", quote alone", EXCUSED_ALONE)
        peer = Peer(str(scratch / "gopeers"))
        for case in verdicts.cases(vectors, ("snp",), scratch):
            compare(snp, cczoo, peer, case, scratch, equal_snp)
        for case in verdicts.cases(vectors, ("tdx",), scratch):
            compare(quotes, cczoo, peer, case, scratch, equal_tdx)
        compare_alone(alone, peer, vectors)
        peer.close()
    sys.exit(snp.finish(least=23) | quotes.finish(least=7) | alone.finish(least=40))


main()
