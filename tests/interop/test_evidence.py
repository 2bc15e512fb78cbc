#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What `cczoo evidence inspect --json` reads in published quotes, against the parser of the package dcap-qvl.

usage: test_evidence.py CCZOO VECTORS     (the program; the folder with tee/SET/evidence.bin)
Exit 77 without vectors, or if the package cannot be had.
"""
import json
import os
import pathlib
import subprocess
import sys

import interop_venv

interop_venv.enter()

import dcap_qvl  # noqa: E402

HEADER = ("version", "attestation_key_type", "qe_vendor_id", "user_data")
SGX = {"cpu_svn": "cpu_svn", "attributes": "attributes", "mr_enclave": "mrenclave", "mr_signer": "mrsigner",
       "report_data": "report_data"}
TD = {"tee_tcb_svn": "tee_tcb_svn", "mr_seam": "mrseam", "mr_signer_seam": "mrsignerseam",
      "seam_attributes": "seam_attributes", "td_attributes": "td_attributes", "xfam": "xfam", "mr_td": "mrtd",
      "mr_config_id": "mrconfigid", "mr_owner": "mrowner", "mr_owner_config": "mrownerconfig", "rt_mr0": "rtmr0",
      "rt_mr1": "rtmr1", "rt_mr2": "rtmr2", "rt_mr3": "rtmr3", "report_data": "report_data"}
TD_15 = {"tee_tcb_svn2": "tee_tcb_svn2", "mr_service_td": "mrservicetd"}
BAD_CHAIN = ("tdx4-intelqvl-sample-testroot",)  # random bytes where the certificates belong, which dcap-qvl leaves alone
PCK = ("ppid", "cpu_svn", "pce_svn", "pce_id", "fmspc", "sgx_type", "platform_instance_id")


def same(name, what, theirs, ours):
    theirs = theirs.hex() if isinstance(theirs, bytes) else theirs
    if theirs != ours:
        sys.exit("failed: %s: %s is %s, dcap-qvl has %s" % (name, what, ours, theirs))


def compare(name, quote, ours):
    for field in HEADER:
        same(name, field, getattr(quote.header, field), ours["header"][field])
    if quote.header.version > 3:
        same(name, "tee_type", quote.header.tee_type, ours["header"]["tee_type"])
    else:
        same(name, "qe_svn", quote.header.qe_svn, ours["header"]["qe_svn"])
        same(name, "pce_svn", quote.header.pce_svn, ours["header"]["pce_svn"])
    td = "td_report" in ours
    fields = dict(TD, **(TD_15 if hasattr(quote.report, "tee_tcb_svn2") else {})) if td else SGX
    same(name, "TD report 1.5", hasattr(quote.report, "tee_tcb_svn2"), "tee_tcb_svn2" in ours.get("td_report", {}))
    for theirs, mine in fields.items():
        same(name, mine, getattr(quote.report, theirs), ours["td_report" if td else "sgx_report"][mine])
    if "pck_certificate" not in ours:
        return 0
    pck = quote.pck_extension()
    for field in PCK:
        same(name, field, getattr(pck, field), ours["pck_certificate"].get(field))
    return 1


def main():
    cczoo, folder = sys.argv[1], pathlib.Path(os.environ.get("CCZOO_VECTORS") or sys.argv[2]) / "tee"
    sets = [p for p in sorted(folder.glob("*/evidence.bin")) if "snp" not in p.parent.name]
    if not sets:
        print("skipped: no published evidence in %s" % folder)
        sys.exit(77)
    compared = certificates = 0
    for path in sets:
        name = path.parent.name
        run = subprocess.run([cczoo, "evidence", "inspect", "--json", str(path)], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE)
        ours = json.loads(run.stdout)
        if ours["complete"] != (run.returncode == 0) or ours["verified"]:
            sys.exit("failed: %s: status %d and %s" % (name, run.returncode, ours))
        try:
            quote = dcap_qvl.parse_quote(path.read_bytes())
        except ValueError as e:
            if run.returncode == 0 and not name.startswith("neg-"):
                sys.exit("failed: %s: dcap-qvl does not read it (%s), we do" % (name, e))
            continue
        if run.returncode != 0 and not name.startswith("neg-") and name not in BAD_CHAIN:
            sys.exit("failed: %s: dcap-qvl reads it, we do not: %s" % (name, ours["error"]))
        compared += 1
        certificates += compare(name, quote, ours)
    print("%d quotes, %d of them with a PCK certificate: the same fields" % (compared, certificates))
    if compared < 80 or certificates < 70:
        sys.exit("failed: too few could be compared")


main()
