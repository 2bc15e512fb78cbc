/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_MPC_HE_KIT_H
#define TEST_MPC_HE_KIT_H
/* Both ends of products by ciphertexts in one process, and what they should give, by definition. */
#include "mpc/source_he_priv.h"

#include "ccz_test.h"
#include "refused.h"
#include "test_rng.h"

#include <stdlib.h>

static inline ccz_rc test_words(void *arg, uint64_t *out, size_t len, unsigned bits,
                                struct ccz_err *err)
{
    (void)err;
    for (size_t i = 0; i < len; i++)
        out[i] = rnd(arg) >> (64 - bits);
    return CCZ_OK;
}

static const struct cczi_he_weights test_weights = {
    .up = 12800, .product = 90, .out = 900, .down = 13600};

/* Random elements, many of them at an edge: 0, 1, -1, the largest and smallest below the bound. */
static inline void he_values(uint64_t *out, size_t len, unsigned bits, uint64_t max_abs,
                             uint64_t *rng)
{
    const uint64_t mask = ~UINT64_C(0) >> (64 - bits);
    for (size_t i = 0; i < len; i++) {
        const uint64_t r = rnd(rng), kind = rnd(rng) % 8;
        uint64_t v = max_abs > UINT64_MAX / 4 ? r : r % (2 * max_abs + 1) - max_abs;
        if (kind == 0)
            v = 0 - max_abs;
        else if (kind == 1)
            v = max_abs > UINT64_MAX / 4 ? max_abs - 1 : max_abs;
        else if (kind == 2)
            v = r % 3 - 1;
        out[i] = v & mask;
    }
}

/* A convolution; a matrix product m k n is {m, k, n}: see he_matmul(). */
struct he_shape {
    size_t images, in_c, in_h, in_w, k_h, k_w, o, stride, pad;
};

struct he_case {
    struct he_shape s;
    size_t oh, ow, x_len, v_len, out_len;
    uint64_t *x, *v, *out[2], *want;
};

static inline uint64_t *he_alloc(size_t len)
{
    uint64_t *v = calloc(len + 1, sizeof(*v));
    CHECK(v);
    return v;
}

/* x[kh, kw, c, o], v[b, h, w, c], out[b, oh, ow, o], as struct ccz_mpc_need says */
static inline void he_expect(struct he_case *c, unsigned bits)
{
    const struct he_shape *s = &c->s;
    const uint64_t mask = ~UINT64_C(0) >> (64 - bits);
    for (size_t b = 0, at = 0; b < s->images; b++)
        for (size_t y = 0; y < c->oh; y++)
            for (size_t x = 0; x < c->ow; x++)
                for (size_t o = 0; o < s->o; o++, at++) {
                    uint64_t sum = 0;
                    for (size_t i = 0; i < s->k_h; i++)
                        for (size_t k = 0; k < s->k_w; k++) {
                            const size_t row = y * s->stride + i - s->pad,
                                         col = x * s->stride + k - s->pad;
                            if (row >= s->in_h || col >= s->in_w)
                                continue;
                            for (size_t ch = 0; ch < s->in_c; ch++)
                                sum += c->x[((i * s->k_w + k) * s->in_c + ch) * s->o + o] *
                                       c->v[((b * s->in_h + row) * s->in_w + col) * s->in_c + ch];
                        }
                    c->want[at] = sum & mask;
                }
}

static inline void he_case_init(struct he_case *c, struct he_shape s, unsigned bits,
                                uint64_t max_abs, uint64_t *rng)
{
    *c = (struct he_case){.s = s};
    c->oh = (s.in_h + 2 * s.pad - s.k_h) / s.stride + 1;
    c->ow = (s.in_w + 2 * s.pad - s.k_w) / s.stride + 1;
    c->x_len = s.k_h * s.k_w * s.in_c * s.o;
    c->v_len = s.images * s.in_h * s.in_w * s.in_c;
    c->out_len = s.images * c->oh * c->ow * s.o;
    c->x = he_alloc(c->x_len);
    c->v = he_alloc(c->v_len);
    c->want = he_alloc(c->out_len);
    for (size_t i = 0; i < 2; i++)
        c->out[i] = he_alloc(c->out_len);
    he_values(c->x, c->x_len, bits, max_abs, rng);
    he_values(c->v, c->v_len, bits, UINT64_C(1) << (bits - 1), rng);
    he_expect(c, bits);
}

static inline void he_case_deinit(struct he_case *c)
{
    free(c->x);
    free(c->v);
    free(c->want);
    free(c->out[0]);
    free(c->out[1]);
}

/* v[k, n], x[k, m] as a convolution of n images of one pixel: what the tests call a matrix product. */
static inline struct he_shape he_matmul(size_t m, size_t k, size_t n)
{
    return (struct he_shape){n, k, 1, 1, 1, 1, m, 1, 0};
}

/* The same list of jobs at both ends; at one of them without x, at the other without v. */
static inline void he_add_job(struct cczi_he_plan *p, const struct he_case *c, unsigned end)
{
    const struct he_shape *s = &c->s;
    struct cczi_he_job *j = cczi_he_job_add(p);
    CHECK(j);
    *j = (struct cczi_he_job){.x = end ? c->x : NULL,
                              .x_o = 1,
                              .x_c = s->o,
                              .x_x = s->in_c * s->o,
                              .x_y = s->k_w * s->in_c * s->o,
                              .in_c = s->in_c,
                              .in_h = s->in_h,
                              .in_w = s->in_w,
                              .k_h = s->k_h,
                              .k_w = s->k_w,
                              .o = s->o,
                              .oh = c->oh,
                              .ow = c->ow,
                              .stride = s->stride,
                              .pad = s->pad};
    const struct cczi_he_part part = {.images = s->images,
                                      .v = end ? NULL : c->v,
                                      .out = c->out[end],
                                      .v_c = 1,
                                      .v_x = s->in_c,
                                      .v_y = s->in_w * s->in_c,
                                      .v_image = s->in_h * s->in_w * s->in_c,
                                      .out_o = 1,
                                      .out_x = s->o,
                                      .out_y = c->ow * s->o,
                                      .out_image = c->oh * c->ow * s->o};
    CHECK(cczi_he_part_add(j, &part, NULL) == CCZ_OK);
    cczi_he_job_derive(j);
}

/* Two ends with keys for a plan: 0 owns the key, 1 evaluates. */
struct he_pair {
    struct cczi_he_plan plan[2];
    struct cczi_he_suite *suite[2];
    struct ccz_buf up, down;
    uint64_t rng;
};

static inline void he_keys(struct he_pair *q)
{
    CCZ_AUTO_BUF keys;
    ccz_buf_init(&keys, 1 << 26);
    const uint32_t d = q->plan[0].doublings;
    CHECK(cczi_he_keys_write(&keys, q->suite[0], d, NULL) == CCZ_OK);
    CHECK(keys.size == cczi_he_keys_size(q->suite[0], d));
    CHECK(cczi_he_keys_read(q->suite[1], ccz_buf_span(&keys), d, NULL) == CCZ_OK);
}

static inline void he_pair_init(struct he_pair *q, const struct he_case *cases, size_t len,
                                unsigned bits, uint64_t max_abs,
                                const struct cczi_he_weights *weights)
{
    *q = (struct he_pair){.rng = 77};
    ccz_buf_init(&q->up, 1 << 28);
    ccz_buf_init(&q->down, 1 << 28);
    for (unsigned end = 0; end < 2; end++) {
        for (size_t i = 0; i < len; i++)
            he_add_job(&q->plan[end], &cases[i], end);
        CHECK(cczi_he_suite_new(&q->suite[end], bits, (double)max_abs, 64, 0, CCZI_HE_FLOOD,
                                NULL) == CCZ_OK);
        CHECK(cczi_he_plan_tiles(&q->plan[end], q->suite[end]->n, weights, NULL) == CCZ_OK);
        cczi_he_suite_free(q->suite[end]);
        CHECK(cczi_he_suite_new(&q->suite[end], bits, (double)max_abs, q->plan[end].terms,
                                q->plan[end].n, CCZI_HE_FLOOD, NULL) == CCZ_OK);
        CHECK(q->suite[end]->n == q->plan[end].n);
    }
    he_keys(q);
}

static inline void he_pair_deinit(struct he_pair *q)
{
    ccz_buf_free(&q->up);
    ccz_buf_free(&q->down);
    for (unsigned end = 0; end < 2; end++) {
        cczi_he_plan_deinit(&q->plan[end]);
        cczi_he_suite_free(q->suite[end]);
    }
}

/* Runs all jobs of the pair; sizes are those of the plan. */
static inline void he_run(struct he_pair *q)
{
    struct cczi_he_suite **s = q->suite;
    const struct cczi_he_rng rng = {test_words, &q->rng};
    ccz_buf_clear(&q->up);
    ccz_buf_clear(&q->down);
    CHECK(cczi_he_linear_up(&q->up, &q->plan[0], s[0], NULL) == CCZ_OK);
    CHECK(q->up.size == q->plan[0].up * cczi_he_up_size(s[0]->c));
    CHECK(cczi_he_linear_eval(&q->down, &q->plan[1], s[1], ccz_buf_span(&q->up), &rng, NULL) ==
          CCZ_OK);
    CHECK(q->down.size == q->plan[1].down * cczi_he_down_size(s[1]->pack_c, s[1]->return_limbs));
    CHECK(cczi_he_linear_down(&q->plan[0], s[0], ccz_buf_span(&q->down), NULL) == CCZ_OK);
}

static inline void he_check(const struct he_case *c, unsigned bits)
{
    const uint64_t mask = ~UINT64_C(0) >> (64 - bits);
    for (size_t i = 0; i < c->out_len; i++) {
        CHECK(c->out[0][i] <= mask && c->out[1][i] <= mask);
        CHECK(((c->out[0][i] + c->out[1][i]) & mask) == c->want[i]);
    }
}
#endif
