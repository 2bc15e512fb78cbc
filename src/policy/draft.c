/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/policy_priv.h"

/* What no draft should bless. */
static ccz_rc check_claims(const struct ccz_claims *claims, struct ccz_err *err)
{
    if (claims->tee < CCZ_TEE_SGX || claims->tee > CCZ_TEE_SNP)
        return ccz_refuse(err, CCZ_E_POLICY, "policy:draft-tee", ccz_tee_name(claims->tee),
                          "sgx, tdx or snp");
    if (claims->debug) {
        ccz_rc rc = ccz_refuse(err, CCZ_E_POLICY, "policy:draft-debug", "DEBUG",
                               "evidence of a production build");
        return ccz_hint(
            err, rc,
            "a debug enclave, TD or guest keeps no secret: draft from the build that will run");
    }
    if (claims->tee != CCZ_TEE_SNP &&
        (claims->tcb_status == CCZ_TCB_NONE || claims->tcb_status >= CCZ_TCB_REVOKED))
        return ccz_refuse(err, CCZ_E_POLICY, "policy:draft-status",
                          ccz_tcb_status_name(claims->tcb_status),
                          "a TCB status that a rule may accept");
    if (claims->tee == CCZ_TEE_SNP &&
        (claims->snp.product == CCZ_SNP_NONE || claims->snp.signer == CCZ_SNP_SIGNER_NONE))
        return ccz_refuse(err, CCZ_E_POLICY, "policy:draft-signer",
                          ccz_snp_product_name(claims->snp.product),
                          "a product line and a signing key of AMD");
    return CCZ_OK;
}

ccz_rc ccz_policy_draft(struct ccz_buf *out, const struct ccz_claims *claims, struct ccz_err *err)
{
    ccz_rc rc = check_claims(claims, err);
    if (rc != CCZ_OK)
        return rc;
    size_t before = out->size;
    CCZ_AUTO_BUF value;
    ccz_buf_init(&value, out->max_size);
    ccz_buf_printf(out,
                   "{\n  \"version\": 1,\n  \"rules\": [\n    {\n      \"name\": \"draft\",\n      "
                   "\"tee\": \"%s\"",
                   ccz_tee_name(claims->tee));
    for (size_t i = 0; i < cczi_fields_len; i++) {
        const struct cczi_field *f = &cczi_fields[i];
        if (!(f->flags & CCZI_DRAFT) || !(f->tees & 1u << claims->tee))
            continue;
        ccz_buf_clear(&value);
        f->kind->draft(&value, f, claims);
        if (value.size > 0)
            ccz_buf_printf(out, ",\n      \"%s\": %s", f->name, ccz_buf_str(&value));
        out->bad = out->bad || value.bad;
    }
    ccz_buf_put_str(out, "\n    }\n  ]\n}\n");
    if (out->bad) {
        out->size = before;
        return ccz_fail(err, CCZ_E_LIMIT, "policy:draft-size", (int64_t)out->max_size,
                        "the draft is larger than the buffer may grow");
    }
    return CCZ_OK;
}
