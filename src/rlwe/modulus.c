/* SPDX-License-Identifier: Apache-2.0 */
/* Division by the last data prime with rounding (Cheon-Han-Kim-Kim-Song 2018, section 3). */
#include "rlwe_priv.h"

#include <string.h>

struct rescale_job {
    struct ccz_rlwe_work *w;
    const struct ccz_rlwe_ct *in;
    struct ccz_rlwe_ct *out;
    size_t last;
    uint64_t *rest[3]; /* coefficients modulo the last prime */
};

static void rest_part(void *arg, size_t p, size_t thread)
{
    (void)thread;
    struct rescale_job *j = arg;
    const struct ccz_rlwe *r = j->w->r;
    const uint64_t *c = j->in->c[p] + j->last * r->n;
    if (j->in->ntt)
        ccz_ntt_inverse(j->rest[p], c, r->ntt[j->last]);
    else
        memcpy(j->rest[p], c, r->n * sizeof(*c));
}

/* (c - [c mod q_last, centred]) / q_last */
static void divide_limb(void *arg, size_t item, size_t thread)
{
    struct rescale_job *j = arg;
    const struct ccz_rlwe *r = j->w->r;
    const size_t i = item % j->last, p = item / j->last;
    uint64_t *tmp = j->w->buf[thread];
    if (j->in->ntt)
        ccz_ntt_forward_lift_lazy(tmp, j->rest[p], &r->mod[j->last], r->ntt[i]);
    else
        r->k->lift(tmp, j->rest[p], r->n, &r->mod[j->last], &r->mod[i]);
    r->k->sub_mul_const(j->out->c[p] + i * r->n, j->in->c[p] + i * r->n, tmp,
                        r->q_inv[j->last * r->data_len + i], r->n, &r->mod[i]);
}

ccz_rc ccz_rlwe_rescale(struct ccz_rlwe_ct *out, struct ccz_rlwe_work *w,
                        const struct ccz_rlwe_ct *in, struct ccz_err *err)
{
    ccz_rc rc = cczi_rlwe_same(in->ctx, w->r, err);
    if (rc == CCZ_OK)
        rc = cczi_rlwe_same(out->ctx, w->r, err);
    if (rc != CCZ_OK)
        return rc;
    if (in->parts == 0)
        return ccz_fail(err, CCZ_E_ARG, "rlwe:empty", 0, "the ciphertext is empty");
    if (in->limbs < 2)
        return ccz_fail(err, CCZ_E_ARG, "rlwe:last-prime", 0,
                        "only one prime is left, nothing to divide by");
    if (out != in)
        out->parts = 0;
    if (ccz_rlwe_ct_reserve(out, in->parts) != CCZ_OK)
        return ccz_fail(err, CCZ_E_NOMEM, "rlwe:rescale", 0, "out of memory");
    struct rescale_job j = {.w = w, .in = in, .out = out, .last = in->limbs - 1};
    for (size_t p = 0; p < in->parts; p++)
        j.rest[p] = p < 2 ? w->special + p * w->r->n : w->coeff;
    cczi_pool_run(w->pool, in->parts, rest_part, &j);
    cczi_pool_run(w->pool, in->parts * j.last, divide_limb, &j);
    out->parts = in->parts;
    out->limbs = j.last;
    out->ntt = in->ntt;
    out->seeded = false;
    if (out != in)
        memcpy(out->key_id, in->key_id, sizeof(out->key_id));
    return CCZ_OK;
}
