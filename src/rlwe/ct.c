/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of ciphertexts, and the refusals that all calls share. */
#include "rlwe_priv.h"

#include <string.h>

/* Parts start five cache lines apart from a power of two, so that equal indices do not fall into one set. */
static size_t part_words(const struct ccz_rlwe *r)
{
    return r->data_len * r->n + 40;
}

void ccz_rlwe_ct_init(struct ccz_rlwe_ct *ct, const struct ccz_rlwe *r)
{
    *ct = (struct ccz_rlwe_ct){.ctx = r};
}

void ccz_rlwe_ct_deinit(struct ccz_rlwe_ct *ct)
{
    ccz_rlwe_words_free(ct->c[0]);
    *ct = (struct ccz_rlwe_ct){.ctx = ct->ctx};
}

ccz_rc ccz_rlwe_ct_reserve(struct ccz_rlwe_ct *ct, size_t parts)
{
    if (parts <= ct->cap_parts)
        return CCZ_OK;
    if (parts > 3)
        return CCZ_E_ARG;
    const size_t words = part_words(ct->ctx);
    uint64_t *v = ccz_rlwe_words_new(parts * words);
    if (!v)
        return CCZ_E_NOMEM;
    for (size_t p = 0; p < ct->parts; p++)
        memcpy(v + p * words, ct->c[p], ct->limbs * ct->ctx->n * sizeof(*v));
    ccz_rlwe_words_free(ct->c[0]);
    for (size_t p = 0; p < 3; p++)
        ct->c[p] = p < parts ? v + p * words : NULL;
    ct->cap_parts = parts;
    return CCZ_OK;
}

ccz_rc ccz_rlwe_ct_copy(struct ccz_rlwe_ct *out, const struct ccz_rlwe_ct *in)
{
    if (out == in)
        return CCZ_OK;
    if (out->ctx != in->ctx)
        return CCZ_E_MISMATCH;
    ccz_rc rc = ccz_rlwe_ct_reserve(out, in->parts);
    if (rc != CCZ_OK)
        return rc;
    for (size_t p = 0; p < in->parts; p++)
        memcpy(out->c[p], in->c[p], in->limbs * in->ctx->n * sizeof(uint64_t));
    out->parts = in->parts;
    out->limbs = in->limbs;
    out->ntt = in->ntt;
    out->seeded = in->seeded;
    memcpy(out->seed, in->seed, sizeof(out->seed));
    memcpy(out->key_id, in->key_id, sizeof(out->key_id));
    return CCZ_OK;
}

ccz_rc ccz_rlwe_ct_drop(struct ccz_rlwe_ct *ct, size_t limbs, struct ccz_err *err)
{
    if (limbs < 1 || limbs > ct->limbs)
        return ccz_refuse_num(err, CCZ_E_ARG, "rlwe:drop", (int64_t)limbs, (int64_t)ct->limbs);
    ct->limbs = limbs;
    return CCZ_OK;
}

bool ccz_rlwe_ct_transparent(const struct ccz_rlwe_ct *ct)
{
    for (size_t p = 1; p < ct->parts; p++)
        for (size_t i = 0; i < ct->limbs * ct->ctx->n; i++)
            if (ct->c[p][i])
                return false;
    return true;
}

ccz_rc cczi_rlwe_same(const struct ccz_rlwe *have, const struct ccz_rlwe *want, struct ccz_err *err)
{
    if (have == want || memcmp(have->params_id, want->params_id, CCZ_RLWE_PARAMS_ID_SIZE) == 0)
        return CCZ_OK;
    return ccz_refuse_bytes(err, CCZ_E_MISMATCH, "rlwe:params", have->params_id,
                            CCZ_RLWE_PARAMS_ID_SIZE, want->params_id, CCZ_RLWE_PARAMS_ID_SIZE);
}

ccz_rc cczi_rlwe_same_key(const uint8_t *have, const uint8_t *want, struct ccz_err *err)
{
    if (memcmp(have, want, CCZ_RLWE_KEY_ID_SIZE) == 0)
        return CCZ_OK;
    ccz_rc rc = ccz_refuse_bytes(err, CCZ_E_MISMATCH, "rlwe:key-id", have, CCZ_RLWE_KEY_ID_SIZE,
                                 want, CCZ_RLWE_KEY_ID_SIZE);
    return ccz_hint(err, rc, "the ciphertext and the key come from different secret keys");
}
