/* SPDX-License-Identifier: Apache-2.0 */
/* Work spaces, and transforms spread over their threads. */
#include "rlwe_priv.h"

#include <stdlib.h>
#include <string.h>

enum { THREADS_MAX = 16 };

static size_t special_words(const struct ccz_rlwe *r)
{
    return 2 * (r->special_len + 2) * r->stride;
}

static size_t coeff_words(const struct ccz_rlwe *r)
{
    return (r->data_len + r->dnum) * r->stride;
}

static ccz_rc alloc_thread(struct ccz_rlwe_work *w, size_t i)
{
    w->buf[i] = ccz_rlwe_words_new(cczi_rlwe_bufs(w->r) * w->r->stride);
    return w->buf[i] ? ccz_stream_new(&w->stream[i]) : CCZ_E_NOMEM;
}

static ccz_rc alloc_all(struct ccz_rlwe_work *w)
{
    const size_t n = w->r->n;
    w->stream = calloc(w->threads, sizeof(*w->stream));
    w->buf = calloc(w->threads, sizeof(*w->buf));
    w->coeff = ccz_rlwe_words_new(coeff_words(w->r));
    w->special = ccz_rlwe_words_new(special_words(w->r));
    w->sum = (int64_t *)ccz_rlwe_words_new(n);
    if (!w->stream || !w->buf || !w->coeff || !w->special || !w->sum)
        return CCZ_E_NOMEM;
    for (size_t i = 0; i < 3; i++) {
        w->small[i] = (int8_t *)ccz_rlwe_words_new(n / sizeof(uint64_t));
        if (!w->small[i])
            return CCZ_E_NOMEM;
    }
    for (size_t i = 0; i < w->threads; i++) {
        ccz_rc rc = alloc_thread(w, i);
        if (rc != CCZ_OK)
            return rc;
    }
    return cczi_pool_new(&w->pool, w->threads);
}

ccz_rc ccz_rlwe_work_new(struct ccz_rlwe_work **out, const struct ccz_rlwe *r,
                         const struct ccz_rlwe_work_cfg *cfg, struct ccz_err *err)
{
    *out = NULL;
    static const struct ccz_rlwe_work_cfg strict;
    cfg = cfg ? cfg : &strict;
    if (cfg->threads > THREADS_MAX)
        return ccz_refuse_num(err, CCZ_E_ARG, "rlwe:threads", cfg->threads, THREADS_MAX);
    CCZ_AUTO(ccz_rlwe_work) w = calloc(1, sizeof(*w));
    if (!w)
        return ccz_fail(err, CCZ_E_NOMEM, "rlwe:work", 0, "out of memory");
    w->r = r;
    w->rng = cfg->rng;
    w->threads = cfg->threads > 1 ? cfg->threads : 1;
    ccz_rc rc = alloc_all(w);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "rlwe:work", 0, "no memory or no thread for the work space");
    *out = ccz_rlwe_work_take(&w);
    return CCZ_OK;
}

static void wipe_words(uint64_t *v, size_t words)
{
    if (v)
        ccz_wipe(v, words * sizeof(*v));
    ccz_rlwe_words_free(v);
}

void cczi_rlwe_wipe_bufs(struct ccz_rlwe_work *w)
{
    for (size_t i = 0; i < w->threads; i++)
        ccz_wipe(w->buf[i], 2 * w->r->n * sizeof(*w->buf[i]));
}

void ccz_rlwe_work_free(struct ccz_rlwe_work *w)
{
    if (!w)
        return;
    const size_t n = w->r->n;
    cczi_pool_free(w->pool);
    for (size_t i = 0; i < w->threads; i++) {
        if (w->buf)
            wipe_words(w->buf[i], cczi_rlwe_bufs(w->r) * w->r->stride);
        if (w->stream)
            ccz_stream_free(w->stream[i]);
    }
    free(w->buf);
    free(w->stream);
    wipe_words(w->coeff, coeff_words(w->r));
    wipe_words(w->special, special_words(w->r));
    ccz_rlwe_words_free(w->digits);
    for (size_t i = 0; i < 3; i++)
        wipe_words((uint64_t *)w->small[i], n / sizeof(uint64_t));
    wipe_words((uint64_t *)w->sum, n);
    free(w);
}

const struct ccz_rlwe *ccz_rlwe_work_ctx(const struct ccz_rlwe_work *w)
{
    return w->r;
}

struct plain_job {
    void (*fn)(void *arg, size_t i);
    void *arg;
};

static void plain_item(void *arg, size_t i, size_t thread)
{
    (void)thread;
    const struct plain_job *j = arg;
    j->fn(j->arg, i);
}

void ccz_rlwe_parallel(struct ccz_rlwe_work *w, size_t len, void (*fn)(void *arg, size_t i),
                       void *arg)
{
    struct plain_job j = {.fn = fn, .arg = arg};
    cczi_pool_run(w->pool, len, plain_item, &j);
}

struct transform_job {
    const struct ccz_rlwe *r;
    uint64_t *v;
    const int64_t *coeff;
    bool ntt;
};

static void signed_limb(void *arg, size_t i, size_t thread)
{
    (void)thread;
    const struct transform_job *j = arg;
    uint64_t *v = j->v + i * j->r->n;
    j->r->k->reduce_i64(v, j->coeff, j->r->n, &j->r->mod[i]);
    if (j->ntt)
        ccz_ntt_forward(v, v, j->r->ntt[i]);
}

void ccz_rlwe_from_signed(uint64_t *out, struct ccz_rlwe_work *w, const int64_t *coeff,
                          size_t limbs, bool ntt)
{
    struct transform_job j = {.r = w->r, .v = out, .coeff = coeff, .ntt = ntt};
    cczi_pool_run(w->pool, limbs, signed_limb, &j);
}

static void forward_limb(void *arg, size_t i, size_t thread)
{
    (void)thread;
    const struct transform_job *j = arg;
    ccz_ntt_forward(j->v + i * j->r->n, j->v + i * j->r->n, j->r->ntt[i]);
}

static void inverse_limb(void *arg, size_t i, size_t thread)
{
    (void)thread;
    const struct transform_job *j = arg;
    ccz_ntt_inverse(j->v + i * j->r->n, j->v + i * j->r->n, j->r->ntt[i]);
}

void ccz_rlwe_forward(uint64_t *v, struct ccz_rlwe_work *w, size_t limbs)
{
    struct transform_job j = {.r = w->r, .v = v};
    cczi_pool_run(w->pool, limbs, forward_limb, &j);
}

void ccz_rlwe_inverse(uint64_t *v, struct ccz_rlwe_work *w, size_t limbs)
{
    struct transform_job j = {.r = w->r, .v = v};
    cczi_pool_run(w->pool, limbs, inverse_limb, &j);
}
