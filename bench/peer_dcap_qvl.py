# SPDX-License-Identifier: Apache-2.0
"""Verifications per second by the package dcap-qvl. usage: peer_dcap_qvl.py DIR@TIME...   lines: name, 1/s, verdict; the
last line is all of them in turn"""
import itertools
import json
import os
import sys
import time

import dcap_qvl

ROUNDS, ROUND_S = 7, 0.3


def member(text, name):
    """The signed bytes of a PCS document, as they stand in it."""
    start = text.index('"%s":' % name) + len(name) + 3
    _, end = json.JSONDecoder().raw_decode(text, start)
    return text[start:end]


def load(folder):
    def read(name):
        with open(os.path.join(folder, name), "rb") as f:
            return f.read()

    tcb, qe = read("collateral/tcb_info.json").decode(), read("collateral/qe_identity.json").decode()
    return read("evidence.bin"), dcap_qvl.QuoteCollateralV3(
        read("collateral/pck_crl_issuer_chain.pem").decode(), read("collateral/root_ca_crl.der"),
        read("collateral/pck_crl.der"), read("collateral/tcb_info_issuer_chain.pem").decode(),
        member(tcb, "tcbInfo"), bytes.fromhex(json.loads(tcb)["signature"]),
        read("collateral/qe_identity_issuer_chain.pem").decode(), member(qe, "enclaveIdentity"),
        bytes.fromhex(json.loads(qe)["signature"]))


def per_second(call):
    """Best of ROUNDS, by processor time, as bench_quote does it."""
    best = 0
    for _ in range(ROUNDS):
        n, start = 0, time.process_time()
        while time.process_time() - start < ROUND_S:
            for _ in range(20):
                call()
            n += 20
        best = max(best, n / (time.process_time() - start))
    return best


cases = []
for where in sys.argv[1:]:
    folder, _, now = where.rpartition("@")
    quote, collateral = load(folder)
    verdict = dcap_qvl.verify(quote, collateral, int(now)).status
    cases.append((quote, collateral, int(now)))
    rate = per_second(lambda: dcap_qvl.verify(*cases[-1]))
    print("%s\t%.0f\t%s" % (os.path.basename(folder), rate, verdict))
turn = itertools.cycle(cases)
print("in turn\t%.0f\t%d quotes" % (per_second(lambda: dcap_qvl.verify(*next(turn))), len(cases)))
