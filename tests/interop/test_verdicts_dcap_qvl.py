#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The verdict of `cczoo evidence verify` on published SGX and TDX quotes, against that of the package dcap-qvl.

usage: test_verdicts_dcap_qvl.py CCZOO VECTORS     (the program; the folder with tee/SET/evidence.bin)
The same status and advisories, or refused by both; then the same with one bit changed, and at the edges of validity.
Exit 77 without vectors, or if the package cannot be had.
"""
import json
import pathlib
import re
import sys
import tempfile

import interop_venv

interop_venv.enter()

import dcap_qvl  # noqa: E402

import verdicts  # noqa: E402
from verdicts import Excused  # noqa: E402

EXCUSED = {
    "sgx3-automata-00606a-2025-02": Excused("missing field `sgxtcbcomponents`", "TCB info of version 2"),
    "sgx3-automata-solana-00a06711-2025-05": Excused("Debug mode is enabled", "DEBUG"),
    "tdx4-trustee-50806f-2026-03": Excused("Debug mode is enabled", "DEBUG"),
    "tdx5-automata-alibaba-90c06f-2025-06": Excused("Invalid MR service TD", "MRSERVICETD"),
}
# Where dcap-qvl refuses what is a question of policy here, the default of the policy must refuse it too.
BY_POLICY = {"DEBUG": "debug", "MRSERVICETD": "mrservicetd"}
PEM = re.compile(rb"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/\s]+)-----END CERTIFICATE-----")


def signed(folder, name, member):
    """The bytes of the signed member as they are in the file, and the signature."""
    text = (folder / name).read_bytes().decode()
    start = text.index(":", text.index('"%s"' % member)) + 1
    start += len(text[start:]) - len(text[start:].lstrip())
    end = json.JSONDecoder().raw_decode(text, start)[1]
    return text[start:end], bytes.fromhex(json.loads(text)["signature"])


def theirs(evidence, folder, time):
    def read(name):
        return (folder / name).read_bytes() if (folder / name).exists() else b""
    try:
        tcb_info, tcb_signature = signed(folder, "tcb_info.json", "tcbInfo")
        qe_identity, qe_signature = signed(folder, "qe_identity.json", "enclaveIdentity")
        collateral = dcap_qvl.QuoteCollateralV3(
            read("pck_crl_issuer_chain.pem").decode(), read("root_ca_crl.der"), read("pck_crl.der"),
            read("tcb_info_issuer_chain.pem").decode(), tcb_info, tcb_signature,
            read("qe_identity_issuer_chain.pem").decode(), qe_identity, qe_signature)
        report = dcap_qvl.verify(evidence.read_bytes(), collateral, time)
    except (FileNotFoundError, ValueError) as e:  # not published; refused, or not even JSON, UTF-8, hex
        return verdicts.refusal(str(e) or "no text")
    return verdicts.Verdict(True, report.status, set(report.advisory_ids), None, None)


def equal(us, them):
    return us[:3] == them[:3]


def needed(path, at, count):
    """Whether the byte is in the body of one of the first @p count certificates of a chain, and not of the line ends."""
    data = path.read_bytes()
    bodies = [m.span(1) for m in PEM.finditer(data)][:count]
    first = data.find(b"-----BEGIN")
    return first < 0 or at < first or (any(a <= at < b for a, b in bodies) and not data[at:at + 1].isspace())


def reason(case, what, at, us, them):
    """The row that explains why a changed case is judged differently."""
    if what == "last second" and us.accepted:
        return "the second of nextUpdate"
    if us.accepted or not them.accepted:
        return None
    if what == "first second" and us.where.endswith("-crl-not-yet-valid"):
        return "notBefore, issueDate, thisUpdate in the future"
    if what == "pck_crl_issuer_chain.pem":
        return "issuer chain of the PCK CRL"
    if what in ("tcb_info_issuer_chain.pem", "qe_identity_issuer_chain.pem"):
        return None if needed(case.folder / what, at, 1) else "root certificate and line ends of a chain"
    if what == "evidence" and not needed(case.evidence, at, 2):
        return "root certificate and line ends of a chain"
    return None


def compare(comparison, cczoo, case, scratch):
    us = verdicts.ours(cczoo, case.evidence, case.folder, case.time)
    them = theirs(case.evidence, case.folder, case.time)
    comparison.case(case, us, them, equal(us, them))
    field = BY_POLICY.get(EXCUSED[case.name].row) if case.name in EXCUSED else None
    if field and not verdicts.refused_by_default(cczoo, case, us, scratch, field):
        comparison.fail("%s: the default policy does not refuse it for %s" % (case.name, field))
    if not us.accepted or not them.accepted:
        return
    for what, at, evidence, folder, time in verdicts.changes(case, us.claims, scratch):
        us = verdicts.ours(cczoo, evidence, folder, time)
        them = theirs(evidence, folder, time)
        comparison.change("%s, %s %s" % (case.name, what, at), us, them, equal(us, them),
                          reason(case, what, at, us, them))


def main():
    cczoo, vectors = sys.argv[1], verdicts.vectors(sys.argv[2])
    comparison = verdicts.Comparison("dcap-qvl " + dcap_qvl.__version__, EXCUSED)
    with tempfile.TemporaryDirectory(prefix="cczoo-verdicts-") as scratch:
        scratch = pathlib.Path(scratch)
        for case in verdicts.cases(vectors, ("sgx", "tdx"), scratch):
            compare(comparison, cczoo, case, scratch)
    sys.exit(comparison.finish(least=24))


main()
