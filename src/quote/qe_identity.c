/* SPDX-License-Identifier: Apache-2.0 */
/* QE identity: PCS API v3 and v4 documentation, "Enclave Identity v2". */
#include "quote/quote_priv.h"

#include <stdlib.h>
#include <string.h>

static enum ccz_tee read_tee(struct cczi_fields *f, const struct ccz_jnode *o)
{
    struct ccz_span id = cczi_field_str(f, o, "id");
    if (ccz_span_eq(id, ccz_span_str("QE")))
        return CCZ_TEE_SGX;
    if (ccz_span_eq(id, ccz_span_str("TD_QE")))
        return CCZ_TEE_TDX;
    cczi_fields_fail(f, CCZ_E_UNSUPPORTED, "id",
                     "neither QE nor TD_QE"); /* QVE and QAE sign no quotes */
    return CCZ_TEE_NONE;
}

ccz_rc cczi_qe_identity_read(struct cczi_qe_identity *out, const struct ccz_jnode *o,
                             struct ccz_err *err)
{
    *out = (struct cczi_qe_identity){0};
    struct cczi_fields f = {.where = "collateral:qe-identity", .err = err};
    uint32_t version = cczi_field_uint(&f, o, "version", UINT32_MAX);
    if (f.rc == CCZ_OK && version != 2)
        return ccz_refuse_num(err, CCZ_E_UNSUPPORTED, "collateral:qe-identity-version", version, 2);
    out->tee = read_tee(&f, o);
    out->issued_s = cczi_field_date(&f, o, "issueDate");
    out->next_update_s = cczi_field_date(&f, o, "nextUpdate");
    out->eval_number = cczi_field_uint(&f, o, "tcbEvaluationDataNumber", UINT32_MAX);
    cczi_field_hex(&f, out->misc_select, sizeof(out->misc_select), o, "miscselect");
    cczi_field_hex(&f, out->misc_select_mask, sizeof(out->misc_select_mask), o, "miscselectMask");
    cczi_field_hex(&f, out->attributes, sizeof(out->attributes), o, "attributes");
    cczi_field_hex(&f, out->attributes_mask, sizeof(out->attributes_mask), o, "attributesMask");
    cczi_field_hex(&f, out->mrsigner, sizeof(out->mrsigner), o, "mrsigner");
    out->isv_prod_id = (uint16_t)cczi_field_uint(&f, o, "isvprodid", UINT16_MAX);
    cczi_svn_levels_read(&out->levels, &f, o);
    return f.rc;
}

void cczi_qe_identity_deinit(struct cczi_qe_identity *q)
{
    free(q->levels.list);
    *q = (struct cczi_qe_identity){0};
}

/* (got & mask) == want, byte by byte. */
static bool masked_equal(const uint8_t *got, const uint8_t *mask, const uint8_t *want, size_t size)
{
    unsigned diff = 0;
    for (size_t i = 0; i < size; i++)
        diff |= (unsigned)((got[i] & mask[i]) ^ want[i]);
    return diff == 0;
}

ccz_rc cczi_qe_identity_match(const struct cczi_level **level, const struct cczi_qe_identity *q,
                              const struct cczi_sgx_report *r, struct ccz_err *err)
{
    *level = NULL;
    if (!masked_equal(r->misc_select, q->misc_select_mask, q->misc_select, sizeof(q->misc_select)))
        return ccz_refuse_bytes(err, CCZ_E_MISMATCH, "quote:qe-miscselect", r->misc_select,
                                sizeof(r->misc_select), q->misc_select, sizeof(q->misc_select));
    /* covers DEBUG: anybody could read the attestation key out of a debug QE */
    if (!masked_equal(r->attributes, q->attributes_mask, q->attributes, sizeof(q->attributes)))
        return ccz_refuse_bytes(err, CCZ_E_MISMATCH, "quote:qe-attributes", r->attributes,
                                sizeof(r->attributes), q->attributes, sizeof(q->attributes));
    if (memcmp(r->mrsigner, q->mrsigner, sizeof(q->mrsigner)) != 0)
        return ccz_refuse_bytes(err, CCZ_E_MISMATCH, "quote:qe-mrsigner", r->mrsigner,
                                sizeof(r->mrsigner), q->mrsigner, sizeof(q->mrsigner));
    if (r->isv_prod_id != q->isv_prod_id)
        return ccz_refuse_num(err, CCZ_E_MISMATCH, "quote:qe-isvprodid", r->isv_prod_id,
                              q->isv_prod_id);
    *level = cczi_svn_levels_find(&q->levels, r->isv_svn);
    if (!*level)
        return ccz_refuse_num(err, CCZ_E_MISMATCH, "quote:qe-isvsvn", r->isv_svn,
                              q->levels.list[q->levels.len - 1].isv_svn);
    return CCZ_OK;
}
