/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Elementwise products: slots modulo primes t_i, T their product.
 *
 * The factors are the integers below 2^k that stand for the elements, so that a sum of at most two products is below 2^(2 k + 1).
 * The evaluator adds r, uniform below 2^(2 k + 1 + s), s = 40 + 21 (bits for the elements of a session): the sum stays below
 * 2^(2 k + 2 + s) < T / 2, so that the owner of the key has it as an integer, and its distribution is within 2^-s of that of r.
 * Then both reduce modulo 2^k: the evaluator -r, uniform, the owner the sum.
 */
#include "mpc/source_he_priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FLOOD_BITS = 52, STAT_BITS = CCZI_HE_STAT_BITS, PRIME_BITS_MAX = 48 };

static ccz_rc no_memory(struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_NOMEM, "mpc:memory", 0, "out of memory");
}

/* -------------------------------------------------------------------------------------- contexts */

static ccz_rc new_context(struct cczi_he_slots *s, size_t i, uint64_t prime, struct ccz_err *err)
{
    const struct ccz_bfv_goal goal = {.plain_prime = prime,
                                      .secret_key = true,
                                      .multiply = true,
                                      .terms = 2,
                                      .flood_bits = s->flood_bits,
                                      .n_min = s->n};
    struct ccz_bfv_plan plan;
    ccz_rc rc = ccz_bfv_plan(&plan, &goal, err);
    if (rc == CCZ_OK && plan.cfg.ring.n != s->n)
        rc = ccz_fail(err, CCZ_E_INTERNAL, "mpc:he-degree", (int64_t)plan.cfg.ring.n,
                      "a prime of another degree");
    if (rc == CCZ_OK)
        rc = ccz_bfv_new(&s->c[i], &plan.cfg, err);
    if (rc == CCZ_OK)
        rc = ccz_bfv_eval_new(&s->e[i], s->c[i], NULL, err);
    s->return_limbs = plan.return_limbs;
    return rc;
}

static void compose_init(struct cczi_he_slots *s)
{
    s->whole = 1;
    for (size_t i = 0; i < s->len; i++) {
        const struct ccz_modulus *m = &s->t[i];
        uint64_t others = 1, word = 1;
        for (size_t k = 0; k < s->len; k++) {
            if (k == i)
                continue;
            others = ccz_mod_mul(others, ccz_mod_reduce(s->t[k].q, m), m);
            word *= s->t[k].q;
        }
        s->inverse[i] = ccz_mulc_from(ccz_mod_inv(others, m), m);
        s->inv_t[i] = 1 / (double)m->q;
        s->factor[i] = word;
        s->whole *= m->q;
    }
}

/* The degree that holds products modulo primes of so many bits. */
static ccz_rc degree(size_t *n, unsigned bits, unsigned flood_bits, struct ccz_err *err)
{
    const struct ccz_bfv_goal goal = {.plain_prime = (UINT64_C(1) << bits) - 1,
                                      .secret_key = true,
                                      .multiply = true,
                                      .terms = 2,
                                      .flood_bits = flood_bits};
    struct ccz_bfv_plan plan;
    ccz_rc rc = ccz_bfv_plan(&plan, &goal, err);
    *n = plan.cfg.ring.n;
    return rc;
}

ccz_rc cczi_he_slots_new(struct cczi_he_slots **out, unsigned bits, struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO(cczi_he_slots) s = calloc(1, sizeof(*s));
    if (!s)
        return no_memory(err);
    const unsigned all = 2 * bits + 3 + STAT_BITS;
    s->bits = bits;
    s->flood_bits = FLOOD_BITS;
    s->len = cczi_he_ceil(all, PRIME_BITS_MAX);
    const unsigned size = (unsigned)cczi_he_ceil(all, s->len);
    uint64_t primes[CCZI_HE_PRIMES_MAX];
    ccz_rc rc = degree(&s->n, size, s->flood_bits, err);
    if (rc == CCZ_OK)
        rc = ccz_ntt_primes(primes, s->len, size, s->n, CCZ_PRIMES_BELOW, NULL, 0, err);
    for (size_t i = 0; rc == CCZ_OK && i < s->len; i++) {
        rc = ccz_modulus_init(&s->t[i], primes[i], err);
        if (rc == CCZ_OK)
            rc = new_context(s, i, primes[i], err);
    }
    if (rc != CCZ_OK)
        return rc;
    compose_init(s);
    *out = cczi_he_slots_take(&s);
    return CCZ_OK;
}

void cczi_he_slots_free(struct cczi_he_slots *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < CCZI_HE_PRIMES_MAX; i++) {
        ccz_rlwe_sk_free(s->sk[i]);
        ccz_rlwe_pk_free(s->pk[i]);
        ccz_bfv_eval_free(s->e[i]);
        ccz_bfv_free(s->c[i]);
    }
    free(s);
}

/* ------------------------------------------------------------------------------------------ keys */

size_t cczi_he_slots_keys_size(const struct cczi_he_slots *s)
{
    size_t size = 0;
    for (size_t i = 0; i < s->len; i++)
        size += ccz_rlwe_pk_size(ccz_bfv_ring(s->c[i]));
    return size;
}

ccz_rc cczi_he_slots_keys_write(struct ccz_buf *out, struct cczi_he_slots *s, struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; rc == CCZ_OK && i < s->len; i++) {
        CCZ_AUTO(ccz_rlwe_pk) pk = NULL;
        struct ccz_rlwe_work *w = ccz_bfv_eval_work(s->e[i]);
        if (!s->sk[i])
            rc = ccz_rlwe_sk_new(&s->sk[i], w, err);
        if (rc == CCZ_OK)
            rc = ccz_rlwe_pk_new(&pk, w, s->sk[i], err);
        if (rc == CCZ_OK)
            rc = ccz_rlwe_pk_write(out, pk, err);
    }
    s->own_sent = rc == CCZ_OK;
    return rc;
}

ccz_rc cczi_he_slots_keys_read(struct cczi_he_slots *s, struct ccz_span in, struct ccz_err *err)
{
    struct ccz_rd rd = ccz_rd_from(in);
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; rc == CCZ_OK && i < s->len; i++) {
        ccz_rlwe_pk_free(s->pk[i]);
        s->pk[i] = NULL;
        rc = ccz_rlwe_pk_read(&s->pk[i], ccz_bfv_eval_work(s->e[i]),
                              ccz_rd_take(&rd, ccz_rlwe_pk_size(ccz_bfv_ring(s->c[i]))), NULL, err);
    }
    if (rc == CCZ_OK && !ccz_rd_done(&rd))
        rc = ccz_fail(err, CCZ_E_PEER, "mpc:he-size", (int64_t)in.size, "not %zu public keys",
                      s->len);
    s->peer_got = rc == CCZ_OK;
    return rc;
}

/* -------------------------------------------------------------------------------------- products */

size_t cczi_he_slots_up_size(const struct cczi_he_slots *s, size_t operands, size_t len)
{
    size_t size = 0;
    for (size_t i = 0; i < s->len; i++)
        size += cczi_he_up_size(s->c[i]);
    return size * operands * cczi_he_ceil(len, s->n);
}

size_t cczi_he_slots_down_size(const struct cczi_he_slots *s, size_t len)
{
    size_t size = 0;
    for (size_t i = 0; i < s->len; i++)
        size += cczi_he_down_size(s->c[i], s->return_limbs);
    return size * cczi_he_ceil(len, s->n);
}

/* What a block and prime work with. */
struct slots_work {
    struct ccz_bfv_pt *p[2];
    struct ccz_bfv_ct *ct[2], *sum;
    uint64_t *v; /* [WORDS][n]: residues, sums; the words of masks */
    size_t words;
};

static void work_deinit(struct slots_work *w)
{
    for (size_t i = 0; i < 2; i++) {
        ccz_bfv_pt_free(w->p[i]);
        ccz_bfv_ct_free(w->ct[i]);
    }
    ccz_bfv_ct_free(w->sum);
    *w = (struct slots_work){0};
}

static ccz_rc work_init(struct slots_work *w, const struct ccz_bfv *c, struct ccz_err *err)
{
    *w = (struct slots_work){0};
    ccz_rc rc = ccz_bfv_ct_new(&w->sum, c, err);
    for (size_t i = 0; rc == CCZ_OK && i < 2; i++) {
        rc = ccz_bfv_pt_new(&w->p[i], c, err);
        if (rc == CCZ_OK)
            rc = ccz_bfv_ct_new(&w->ct[i], c, err);
    }
    return rc;
}

/* Words, wiped when they go. */
struct words {
    uint64_t *v;
    size_t len;
};
static void words_deinit(struct words *w)
{
    if (w->v)
        ccz_wipe(w->v, w->len * sizeof(*w->v));
    free(w->v);
}
#define AUTO_WORDS __attribute__((cleanup(words_deinit))) struct words

static ccz_rc words_init(struct words *w, size_t len, struct ccz_err *err)
{
    w->v = calloc(len, sizeof(*w->v));
    w->len = w->v ? len : 0;
    return w->v ? CCZ_OK : no_memory(err);
}

static size_t block_len(const struct cczi_he_slots *s, size_t len, size_t block)
{
    const size_t left = len - block * s->n;
    return left < s->n ? left : s->n;
}

/* Plaintext @p i of elements at prime @p t. */
static ccz_rc encode(struct ccz_bfv_pt *out, struct cczi_he_slots *s, size_t i, const uint64_t *v,
                     size_t len, uint64_t *tmp, struct ccz_err *err)
{
    ccz_kernels(NULL)->reduce_u64(tmp, v, len, &s->t[i]);
    return ccz_bfv_encode(out, s->e[i], tmp, len, err);
}

ccz_rc cczi_he_slots_up(struct ccz_buf *out, struct cczi_he_slots *s,
                        const struct cczi_he_elements *el, struct ccz_err *err)
{
    AUTO_WORDS tmp = {0};
    ccz_rc rc = words_init(&tmp, s->n, err);
    for (size_t i = 0; rc == CCZ_OK && i < s->len; i++) {
        struct slots_work w;
        rc = work_init(&w, s->c[i], err);
        for (size_t at = 0; rc == CCZ_OK && at < el->len; at += s->n)
            for (size_t k = 0; rc == CCZ_OK && k < el->operands; k++) {
                rc = encode(w.p[0], s, i, el->enc[k] + at, block_len(s, el->len, at / s->n), tmp.v,
                            err);
                if (rc == CCZ_OK)
                    rc = ccz_bfv_encrypt_sk(w.ct[0], s->e[i], s->sk[i], w.p[0], 0, err);
                if (rc == CCZ_OK)
                    rc = ccz_bfv_ct_write(out, w.ct[0], err);
            }
        work_deinit(&w);
    }
    return rc;
}

/* Bits of the mask's topmost word, and its words. */
static unsigned mask_top(const struct cczi_he_slots *s, size_t *words)
{
    const unsigned bits = 2 * s->bits + 1 + STAT_BITS;
    *words = cczi_he_ceil(bits, 64);
    return bits - 64 * (unsigned)(*words - 1);
}

/* Masks of a whole block, [words][n], lowest word first. */
static ccz_rc draw_masks(struct words *r, const struct cczi_he_slots *s,
                         const struct cczi_he_rng *rng, struct ccz_err *err)
{
    size_t words;
    const unsigned top = mask_top(s, &words);
    ccz_rc rc = rng->fill(rng->arg, r->v, (words - 1) * s->n, 64, err);
    return rc == CCZ_OK ? rng->fill(rng->arg, r->v + (words - 1) * s->n, s->n, top, err) : rc;
}

/* Masks modulo prime i, by Horner's rule. */
static void mask_residues(uint64_t *out, const struct cczi_he_slots *s, size_t i,
                          const struct words *r, uint64_t *tmp)
{
    const struct ccz_kernels *k = ccz_kernels(NULL);
    const struct ccz_modulus *m = &s->t[i];
    const struct ccz_mulc base = ccz_mulc_from(ccz_mod_pow(2, 64, m), m);
    size_t words;
    (void)mask_top(s, &words);
    k->reduce_u64(out, r->v + (words - 1) * s->n, s->n, m);
    for (size_t w = words - 1; w-- > 0;) {
        k->reduce_u64(tmp, r->v + w * s->n, s->n, m);
        k->mul_const(out, out, base, s->n, m);
        k->add(out, out, tmp, s->n, m);
    }
}

/* One block at one prime: read, multiply, mask, flood, write. */
static ccz_rc eval_block(struct ccz_buf *out, struct cczi_he_slots *s, size_t i,
                         struct slots_work *w, const struct cczi_he_elements *el, size_t at,
                         struct ccz_rd *up, const struct words *r, struct words *tmp,
                         struct ccz_err *err)
{
    struct ccz_bfv_eval *e = s->e[i];
    ccz_rc rc = CCZ_OK;
    for (size_t k = 0; rc == CCZ_OK && k < el->operands; k++) {
        const struct ccz_span bytes = ccz_rd_take(up, cczi_he_up_size(s->c[i]));
        rc = ccz_bfv_ct_read_fresh(w->ct[k], e, bytes, ccz_rlwe_pk_id(s->pk[i]), err);
        if (rc == CCZ_OK && !w->ct[k]->ct.seeded)
            rc = ccz_fail(err, CCZ_E_PEER, "mpc:he-ciphertext", (int64_t)i,
                          "not a fresh encryption under the secret key");
        if (rc == CCZ_OK)
            rc = encode(w->p[k], s, i, el->fac[k] + at, block_len(s, el->len, at / s->n), tmp->v,
                        err);
        if (rc == CCZ_OK)
            rc = ccz_bfv_pt_prepare(w->p[k], e, 0, err);
    }
    if (rc == CCZ_OK)
        rc = ccz_bfv_dot_plain(w->sum, e, (const struct ccz_bfv_ct *const *)w->ct,
                               (const struct ccz_bfv_pt *const *)w->p, el->operands, err);
    if (rc != CCZ_OK)
        return rc;
    mask_residues(tmp->v, s, i, r, tmp->v + s->n);
    rc = ccz_bfv_encode(w->p[0], e, tmp->v, s->n, err);
    if (rc == CCZ_OK)
        rc = ccz_bfv_flood(w->sum, e, w->sum, w->p[0], s->pk[i], s->flood_bits, err);
    if (rc == CCZ_OK)
        rc = ccz_bfv_mod_switch(w->sum, e, w->sum, s->return_limbs, err);
    if (rc != CCZ_OK)
        return rc;
    cczi_he_ct_public(w->sum);
    return ccz_bfv_ct_write(out, w->sum, err);
}

/* Masks of all blocks are drawn first, as primes come one after the other. */
ccz_rc cczi_he_slots_eval(struct ccz_buf *out, struct cczi_he_slots *s,
                          const struct cczi_he_elements *el, struct ccz_span up,
                          const struct cczi_he_rng *rng, struct ccz_err *err)
{
    const size_t blocks = cczi_he_ceil(el->len, s->n);
    const uint64_t mask = ~UINT64_C(0) >> (64 - s->bits);
    struct ccz_rd rd = ccz_rd_from(up);
    AUTO_WORDS tmp = {0};
    AUTO_WORDS all = {0};
    size_t words;
    (void)mask_top(s, &words);
    ccz_rc rc = words_init(&tmp, 2 * s->n, err);
    if (rc == CCZ_OK)
        rc = words_init(&all, blocks * words * s->n, err);
    for (size_t b = 0; rc == CCZ_OK && b < blocks; b++) {
        struct words r = {all.v + b * words * s->n, words * s->n};
        rc = draw_masks(&r, s, rng, err);
        for (size_t x = 0; rc == CCZ_OK && x < block_len(s, el->len, b); x++)
            el->out[b * s->n + x] = (el->out[b * s->n + x] - r.v[x]) & mask;
    }
    for (size_t i = 0; rc == CCZ_OK && i < s->len; i++) {
        struct slots_work w;
        rc = work_init(&w, s->c[i], err);
        for (size_t b = 0; rc == CCZ_OK && b < blocks; b++) {
            const struct words r = {all.v + b * words * s->n, words * s->n};
            rc = eval_block(out, s, i, &w, el, b * s->n, &rd, &r, &tmp, err);
        }
        work_deinit(&w);
    }
    if (rc == CCZ_OK && !ccz_rd_done(&rd))
        rc = ccz_fail(err, CCZ_E_PEER, "mpc:he-size", (int64_t)up.size, "not %zu bytes",
                      cczi_he_slots_up_size(s, el->operands, el->len));
    return rc;
}

/* From z_i = y_i (T / t_i)^-1 mod t_i: the sum of z_i T / t_i, less as many T as are in it. */
static void compose(const struct cczi_he_slots *s, const struct cczi_he_elements *el, size_t at,
                    const uint64_t *z, uint64_t *over, size_t n_all, size_t len)
{
    const uint64_t mask = ~UINT64_C(0) >> (64 - s->bits);
    const uint64_t *a[CCZI_HE_PRIMES_MAX];
    for (size_t i = 0; i < s->len; i++)
        a[i] = z + i * n_all + at;
    /* The fraction that is left is below 1/4: the half that is added does not reach the next number. */
    ccz_kernels(NULL)->round_sum(over, a, s->inv_t, s->len, len);
    for (size_t x = 0; x < len; x++) {
        uint64_t v = 0 - over[x] * s->whole;
        for (size_t i = 0; i < s->len; i++)
            v += a[i][x] * s->factor[i];
        el->out[at + x] = (el->out[at + x] + v) & mask;
    }
}

ccz_rc cczi_he_slots_down(struct cczi_he_slots *s, const struct cczi_he_elements *el,
                          struct ccz_span down, struct ccz_err *err)
{
    const size_t n_all = cczi_he_ceil(el->len, s->n) * s->n;
    struct ccz_rd rd = ccz_rd_from(down);
    AUTO_WORDS z = {0};
    AUTO_WORDS over = {0};
    ccz_rc rc = words_init(&z, s->len * n_all, err);
    if (rc == CCZ_OK)
        rc = words_init(&over, s->n, err);
    for (size_t i = 0; rc == CCZ_OK && i < s->len; i++) {
        struct slots_work w;
        rc = work_init(&w, s->c[i], err);
        for (size_t at = 0; rc == CCZ_OK && at < el->len; at += s->n) {
            uint64_t *to = z.v + i * n_all + at;
            const struct ccz_span bytes =
                ccz_rd_take(&rd, cczi_he_down_size(s->c[i], s->return_limbs));
            rc = ccz_bfv_ct_read(w.ct[0], s->e[i], bytes, ccz_rlwe_sk_id(s->sk[i]), err);
            if (rc == CCZ_OK)
                rc = ccz_bfv_decrypt(w.p[0], s->e[i], s->sk[i], w.ct[0], err);
            if (rc == CCZ_OK)
                rc = ccz_bfv_decode(to, s->n, s->e[i], w.p[0], err);
            if (rc == CCZ_OK)
                ccz_kernels(NULL)->mul_const(to, to, s->inverse[i], s->n, &s->t[i]);
        }
        work_deinit(&w);
    }
    if (rc == CCZ_OK && !ccz_rd_done(&rd))
        rc = ccz_fail(err, CCZ_E_PEER, "mpc:he-size", (int64_t)down.size, "not %zu bytes",
                      cczi_he_slots_down_size(s, el->len));
    for (size_t at = 0; rc == CCZ_OK && at < el->len; at += s->n)
        compose(s, el, at, z.v, over.v, n_all, block_len(s, el->len, at / s->n));
    return rc;
}
