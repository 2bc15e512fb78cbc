/* SPDX-License-Identifier: Apache-2.0 */
/* Evidence as the KBS protocol carries it. Nothing is judged here: what comes out is what a verifier would get from the TEE itself. */
#include "json.h"
#include "kbs_priv.h"

#include <string.h>

/* A quote in base64. cc_eventlog is not looked at: what it explains is in the registers that the quote signs. */
static ccz_rc intel_get(struct ccz_buf *out, const struct ccz_jnode *primary, struct ccz_err *err)
{
    struct ccz_err why = {0};
    struct ccz_span text;
    CCZ_AUTO_BUF room;
    ccz_rc rc = cczi_json_str(&text, &room, ccz_jnode_get(primary, "quote"));
    if (rc == CCZ_E_NOMEM)
        return ccz_fail(err, rc, "kbs:memory", 0, "out of memory");
    if (rc != CCZ_OK || text.size == 0)
        return cczi_kbs_missing(err, "quote", "a quote in base64");
    rc = ccz_base64_get(out, text, CCZ_BASE64_STD, &why);
    if (rc == CCZ_OK)
        return rc;
    return ccz_fail(err, rc, rc == CCZ_E_LIMIT ? "kbs:evidence-size" : "kbs:base64", why.aux,
                    "quote: %s", why.msg);
}

ccz_rc cczi_kbs_evidence_get(struct ccz_buf *out, enum ccz_tee tee, const struct ccz_jnode *primary,
                             struct ccz_err *err)
{
    switch (tee) {
    case CCZ_TEE_SGX:
    case CCZ_TEE_TDX:
        return intel_get(out, primary, err);
    case CCZ_TEE_SNP:
        return cczi_kbs_snp_get(out, primary, err);
    default:
        return ccz_fail(err, CCZ_E_ARG, "kbs:tee", tee, "no evidence of this kind");
    }
}
