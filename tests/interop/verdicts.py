# SPDX-License-Identifier: Apache-2.0
"""Published evidence, our verdict on it, and the comparison with the verdict of another verifier.

A difference fails the test, unless it is listed as an exception of this very case with a row of the table in
docs/design/verification.md that explains it. An exception that no longer differs fails as well.
"""
import collections
import datetime
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

DOC = pathlib.Path(__file__).resolve().parents[2] / "docs/design/verification.md"
# With one of these missing, the other is of the same signer (see bundle_load() in tests/unit/quote/vectors.c).
SAME_SIGNER = (("qe_identity_issuer_chain.pem", "tcb_info_issuer_chain.pem"),
               ("pck_crl_issuer_chain.pem", "pck_sign_chain.pem"))

Case = collections.namedtuple("Case", "name tee evidence folder time negative meta")
# status None: refused, or the vendor has none; where: the check that refused, or the text of another verifier's error
Verdict = collections.namedtuple("Verdict", "accepted status advisories where claims")
Excused = collections.namedtuple("Excused", "theirs row")  # theirs: part of the other's refusal, or its status
FLIPS, FLIPS_COLLATERAL = 24, 3  # positions per evidence and per file of collateral
STATUSES = ("UpToDate", "SWHardeningNeeded", "ConfigurationNeeded", "ConfigurationAndSWHardeningNeeded",
                    "OutOfDate", "OutOfDateConfigurationNeeded")


def refusal(where):
    return Verdict(False, None, None, where, None)


def when(stamp):
    """Seconds of the forms of time in metadata and claims; None stays."""
    return stamp and int(datetime.datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp())


def vectors(argument):
    folder = pathlib.Path(os.environ.get("CCZOO_VECTORS") or argument) / "tee"
    if not folder.is_dir():
        print("skipped: no published evidence in %s" % folder)
        sys.exit(77)
    return folder


def sets(folder):
    for path in sorted(folder.glob("*/evidence.bin")):
        yield path, json.loads((path.parent / "meta.json").read_text())


def tee_of(name):
    return re.match(r"(?:neg-)?(sgx|tdx|snp)", name).group(1)


def cases(folder, tees, scratch):
    """Every case with collateral and a time, its folder completed as the C tests do it."""
    for path, meta in sets(folder):
        if tee_of(meta["set"]) not in tees:
            continue
        for one in meta["cases"]:
            at = one.get("verification_time")
            if not one.get("collateral_dir") or not at:
                continue
            copy = scratch / one["case"]
            shutil.copytree(path.parent / one["collateral_dir"], copy)
            for missing, other in SAME_SIGNER:
                if not (copy / missing).exists() and (copy / other).exists():
                    shutil.copy(copy / other, copy / missing)
            yield Case(one["case"], tee_of(meta["set"]), path, copy, at["unix"], one["negative"], one)


def ours(cczoo, evidence, folder, time, policy=None):
    at = datetime.datetime.fromtimestamp(time, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    command = [cczoo, "evidence", "verify", str(evidence), "--collateral", str(folder), "--at", at, "--json"]
    run = subprocess.run(command + (["--policy", str(policy)] if policy else []), stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, timeout=60)
    text = run.stderr.decode(errors="replace")
    answer = json.loads(run.stdout) if run.stdout else {}
    if run.returncode == 0 and answer.get("claims"):
        claims = answer["claims"]
        return Verdict(True, claims.get("tcb_status"), set(claims.get("advisories", ())), None, claims)
    if run.returncode == 1 and "error" in answer:
        return refusal(answer["error"]["where"])
    error = re.match(r"(?:error|refused): (\S+): ", text)
    if run.returncode < 1 or not error:
        sys.exit("failed: %s: status %d: %s" % (" ".join(command), run.returncode, text))
    return refusal(error.group(1))


def flipped(data, count):
    """Copies of @p data with one bit changed, spread evenly: (position, copy)."""
    for i in range(min(count, len(data))):
        at = (2 * i + 1) * len(data) // (2 * min(count, len(data)))
        yield at, data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]


def changes(case, claims, scratch):
    """Variants of a case that was accepted, made to be refused or at the edge of it: (what, position, evidence, folder,
    time). The files are those of the latest variant only."""
    evidence = scratch / "changed-evidence"
    for at, data in flipped(case.evidence.read_bytes(), FLIPS):
        evidence.write_bytes(data)
        yield "evidence", at, evidence, case.folder, case.time
    copy = scratch / "changed-folder"
    shutil.copytree(case.folder, copy)
    for path in sorted(case.folder.iterdir()):
        if path.name == "source_collateral.json":
            continue
        for at, data in flipped(path.read_bytes(), FLIPS_COLLATERAL):
            (copy / path.name).write_bytes(data)
            yield path.name, at, case.evidence, copy, case.time
        shutil.copy(path, copy)
    shutil.rmtree(copy)
    if case.tee == "snp":
        facts = case.meta["reference_evaluation"]
        begin, end = when(facts["vek_not_before"]), when(facts["vek_not_after"])
    else:
        issued = [re.search(rb'"issueDate" *: *"([^"]+)"', (case.folder / f).read_bytes()).group(1).decode()
                  for f in ("tcb_info.json", "qe_identity.json")]
        begin, end = max(map(when, issued)), when(claims["collateral_expires"])
    for what, time in (("second before", begin - 1), ("first second", begin), ("last second", end),
                       ("second after", end + 1)):
        yield what, None, case.evidence, case.folder, time


def refused_by_default(cczoo, case, us, scratch, field):
    """Whether the strict default of that policy field refuses the case, with all that precedes it allowed."""
    rule = {"name": "any", "tee": case.tee, "tcb_status": STATUSES, "advisories": {"allow": sorted(us.advisories)}}
    for pin in ("mrenclave", "mrtd"):
        if pin in us.claims:
            rule[pin] = us.claims[pin]
    policy = scratch / "policy.json"
    policy.write_text(json.dumps({"version": 1, "rules": [rule]}))
    return ours(cczoo, case.evidence, case.folder, case.time, policy).where == "policy:" + field


class Comparison:
    def __init__(self, peer, excused):
        self.peer, self.excused, self.met = peer, excused, set()
        self.doc = DOC.read_text()
        self.accepted = self.refused = self.graded = self.changed = 0
        self.failures = []
        self.by_row = {"cases": collections.Counter(), "changes": collections.Counter()}

    def fail(self, text):
        self.failures.append(text)

    def explain(self, kind, row):
        if "\n| %s |" % row not in self.doc:
            self.fail("no row \"%s\" in %s" % (row, DOC.name))
        self.by_row[kind][row] += 1

    def differ(self, name, us, them):
        self.fail("%s: ours is %s, that of %s is %s" % (name, us.where or us[:3], self.peer, them.where or them[:3]))

    def case(self, case, us, them, equal):
        """One verdict each; @p equal: whether they are the same in the terms of the other verifier."""
        if case.negative and us.accepted:
            self.fail("%s: its publisher wants it refused, we accept it" % case.name)
        e = self.excused.get(case.name)
        if equal:
            self.accepted += them.accepted
            self.refused += not us.accepted
            self.graded += us.accepted and not them.accepted
        elif e and e.theirs in (them.where or them.status or "accepted"):
            self.met.add(case.name)
            self.explain("cases", e.row)
        else:
            self.differ(case.name, us, them)

    def change(self, name, us, them, equal, row):
        """A changed case; @p row explains a difference, or is None."""
        self.changed += equal
        if not equal and row:
            self.explain("changes", row)
        elif not equal:
            self.differ(name, us, them)

    def finish(self, least):
        for name in sorted(set(self.excused) - self.met):
            self.fail("%s: an exception that is none (any more)" % name)
        print("%s: %d cases accepted and %d refused by both, %d refused with our status; %d changed cases judged alike"
              % (self.peer, self.accepted, self.refused, self.graded, self.changed))
        for kind, rows in self.by_row.items():
            for row, count in rows.items():
                print("  %d %s differ: %s" % (count, kind, row))
        if self.accepted < least:
            self.fail("only %d cases were accepted by both" % self.accepted)
        for text in self.failures:
            print("failed: " + text)
        return 1 if self.failures else 0
