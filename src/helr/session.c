/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the evaluation keys of a client. */
#include "helr/helr_priv.h"

#include <stdlib.h>
#include <string.h>

/* Which layouts a set of keys allows; 0: it is not exactly the keys of one of them. */
static size_t per_ct_max(const struct ccz_rlwe_galois_set *set, size_t n)
{
    if (!set)
        return 1;
    unsigned keys = 0;
    uint32_t elt = ccz_rlwe_conjugation_elt(n);
    while (keys < 31 && cczi_helr_step(n, keys) + (keys == 0) > 0 &&
           ccz_rlwe_galois_find(set, elt)) {
        keys++;
        elt = ccz_rlwe_rotation_elt(n, cczi_helr_step(n, keys));
    }
    return keys > 0 && keys == ccz_rlwe_galois_len(set) ? (size_t)1 << keys : 0;
}

static ccz_rc read_keys(struct cczi_helr_session *s, struct ccz_ckks_eval *e, struct ccz_rd *r,
                        size_t features_max, struct ccz_err *err)
{
    struct ccz_rlwe_work *work = ccz_ckks_eval_work(e);
    const struct ccz_rlwe *ring = ccz_rlwe_work_ctx(work);
    size_t n = ccz_rlwe_n(ring);
    struct ccz_span relin = ccz_rd_take(r, ccz_rd_le32(r));
    struct ccz_span galois = ccz_rd_take(r, r->left);
    size_t keys = ccz_helr_layout(n, features_max, 1, 0).switches;
    if (!ccz_rd_done(r) || galois.size > keys * relin.size + 256) /* all keys have one size */
        return ccz_fail(err, CCZ_E_FORMAT, "helr:keys", (int64_t)relin.size,
                        "truncated, or more keys than a model of this size needs");
    ccz_rc rc = ccz_rlwe_swk_read(&s->relin, work, relin, NULL, err);
    if (rc != CCZ_OK)
        return rc;
    memcpy(s->key_id, ccz_rlwe_swk_id(s->relin), sizeof(s->key_id));
    if (ccz_rlwe_swk_elt(s->relin) != 0)
        return ccz_fail(err, CCZ_E_FORMAT, "helr:keys", 0, "no relinearization key");
    if (galois.size > 0)
        rc = ccz_rlwe_galois_set_read(&s->galois, work, galois, s->key_id, err);
    if (rc != CCZ_OK)
        return rc;
    s->per_ct_max = per_ct_max(s->galois, n);
    if (s->per_ct_max == 0)
        return ccz_fail(err, CCZ_E_FORMAT, "helr:keys", 0, "the rotations of no layout");
    return CCZ_OK;
}

ccz_rc cczi_helr_session_read(struct cczi_helr_session **out, struct ccz_ckks_eval *e,
                              struct ccz_span msg, size_t features_max, struct ccz_err *err)
{
    struct ccz_rd r;
    *out = NULL;
    ccz_rc rc = cczi_helr_get_head(&r, msg, CCZI_HELR_KEYS, CCZ_HELR_KEYS_SIZE_MAX, err);
    if (rc != CCZ_OK)
        return rc;
    struct cczi_helr_session *s = calloc(1, sizeof(*s));
    if (!s)
        return ccz_fail(err, CCZ_E_NOMEM, "helr:memory", 0, "out of memory");
    rc = cczi_helr_session_id(s->id, msg, err);
    if (rc == CCZ_OK)
        rc = read_keys(s, e, &r, features_max, err);
    if (rc == CCZ_OK)
        *out = s;
    else
        cczi_helr_session_free(s);
    return rc;
}

void cczi_helr_session_free(struct cczi_helr_session *s)
{
    if (!s)
        return;
    cczi_helr_model_free(s->model);
    ccz_rlwe_galois_set_free(s->galois);
    ccz_rlwe_swk_free(s->relin);
    free(s);
}

void cczi_helr_model_free(struct cczi_helr_model *m)
{
    if (!m)
        return;
    for (size_t i = 0; m->w && i < m->layout.cts; i++)
        ccz_ckks_ct_free(m->w[i]);
    free(m->w);
    ccz_ckks_ct_free(m->bias);
    free(m);
}
