/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of evidence: whatever opens can be described. Invariants: fields have a group and a name,
 * views are readable, text ends, and a failure says where.
 */
#include <cczoo/evidence.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look(void *arg, const struct ccz_field *f)
{
    size_t *sum = arg;
    char date[21];
    if (!f->group || !f->group[0] || !f->name || (f->number < 0 && f->kind != CCZ_FIELD_TIME))
        abort();
    ccz_time_format(date, f->number);
    for (size_t i = 0; i < f->bytes.size; i++)
        *sum += f->bytes.ptr[i];
    *sum += f->text ? strlen(f->text) : 0;
    for (size_t i = 0; i < f->names_len; i++)
        *sum += strlen(f->names[i]);
}

/* Accepts what it is given, so that only the binding of the container decides. */
static ccz_rc accept(void *arg, struct ccz_claims *claims, struct ccz_span evidence,
                     struct ccz_err *err)
{
    (void)evidence;
    (void)err;
    *claims = (struct ccz_claims){.tee = CCZ_TEE_SGX};
    *(bool *)arg = true;
    return CCZ_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ccz_evidence *e = NULL;
    struct ccz_err err = {0};
    size_t sum = 0;
    if (ccz_evidence_open(&e, CCZ_SPAN(data, size), &err) != CCZ_OK) {
        if (e || !err.where[0])
            abort();
        return 0;
    }
    ccz_rc rc = ccz_evidence_describe(e, look, &sum, &err);
    if (rc != CCZ_OK && (err.rc != rc || !err.where[0]))
        abort();
    struct ccz_claims claims;
    bool asked = false;
    rc = ccz_evidence_appraise(&claims, e, accept, &asked, &err);
    /* report data of zeros is what no certificate is bound to */
    if ((rc == CCZ_OK) != (asked && !ccz_evidence_cert(e)))
        abort();
    if (rc != CCZ_OK && claims.tee != CCZ_TEE_NONE)
        abort();
    ccz_evidence_free(e);
    return 0;
}
