/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCB info and QE identity behind their signatures: the input is the signed JSON value. Invariants:
 * whatever is read has a known TEE, levels strictly descending and no level without a status; the
 * level that is matched for a platform is reached by it and no higher one is.
 */
#include "quote/quote_priv.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void check_svn_levels(const struct cczi_svn_levels *l)
{
    must(l->len > 0);
    for (size_t i = 0; i < l->len; i++) {
        must(l->list[i].level.status != CCZ_TCB_NONE);
        must(i == 0 || l->list[i - 1].isv_svn > l->list[i].isv_svn);
        must(cczi_svn_levels_find(l, l->list[i].isv_svn) == &l->list[i].level);
    }
    must(cczi_svn_levels_find(l, UINT16_MAX) == &l->list[0].level);
}

static bool reached(const struct cczi_tcb_level *l, const struct cczi_pck *p)
{
    bool ok = p->pce_svn >= l->pce_svn;
    for (int i = 0; i < CCZI_SVN_LEN; i++)
        ok = ok && p->comp_svn[i] >= l->sgx[i];
    return ok;
}

/* A platform that stands exactly on level @p at. */
static void check_match(const struct cczi_tcb_info *t, size_t at)
{
    static const struct cczi_level qe = {.status = CCZ_TCB_UP_TO_DATE, .date_s = INT64_MAX};
    struct cczi_pck p = {.pce_svn = t->levels[at].pce_svn};
    memcpy(p.comp_svn, t->levels[at].sgx, sizeof(p.comp_svn));
    struct cczi_tcb_verdict v;
    ccz_rc rc = cczi_tcb_evaluate(&v, t, &p, NULL, &qe, NULL);
    must(rc == CCZ_OK); /* its own level at least */
    for (size_t i = 0; i <= at; i++) {
        if (reached(&t->levels[i], &p)) {
            must(v.platform == t->levels[i].level.status && v.status == v.platform);
            return;
        }
    }
    abort();
}

static void tcb_info(const struct ccz_jnode *json)
{
    struct cczi_tcb_info t;
    if (cczi_tcb_info_read(&t, json, NULL) == CCZ_OK) {
        must(t.tee == CCZ_TEE_SGX || t.tee == CCZ_TEE_TDX);
        must(t.levels_len > 0);
        must(t.tee == CCZ_TEE_TDX || t.identities_len == 0);
        for (size_t i = 0; i < t.identities_len; i++)
            check_svn_levels(&t.identities[i].levels);
        for (size_t i = 0; i < t.levels_len; i++) {
            must(t.levels[i].level.status != CCZ_TCB_NONE);
            if (t.tee == CCZ_TEE_SGX)
                check_match(&t, i);
        }
    }
    cczi_tcb_info_deinit(&t);
}

static void qe_identity(const struct ccz_jnode *json)
{
    struct cczi_qe_identity q;
    if (cczi_qe_identity_read(&q, json, NULL) == CCZ_OK) {
        must(q.tee == CCZ_TEE_SGX || q.tee == CCZ_TEE_TDX);
        check_svn_levels(&q.levels);
    }
    cczi_qe_identity_deinit(&q);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CCZ_AUTO(ccz_jdoc) json = NULL;
    if (ccz_jdoc_parse(&json, CCZ_SPAN(data, size), NULL) != CCZ_OK)
        return 0;
    tcb_info(ccz_jdoc_root(json));
    qe_identity(ccz_jdoc_root(json));
    return 0;
}
