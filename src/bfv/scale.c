/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between plaintexts modulo t and phases modulo Q, exactly.
 *
 * Up: round(Q m / t) = floor(Q / t) m + round((Q mod t) m / t): the first by residues, the second is a
 * number below 2^64. Down: with y_i = x_i (Q / q_i)^-1 mod q_i the phase is the sum of y_i Q / q_i up to
 * a multiple of Q, so that t / Q times it is the sum of y_i t / q_i modulo t. The ratios have 128
 * fractional bits, the sum errs by less than 64 * 2^50 * 2^-128 = 2^-72.
 */
#include "bfv_priv.h"

#include "base/ct.h"

/* round((Q mod t) m / t) for t = 2^k */
static void rest_power(uint64_t *out, const uint64_t *m, size_t n, uint64_t q_mod_t, unsigned bits)
{
    const cczi_u128 half = (cczi_u128)1 << (bits - 1);
    for (size_t x = 0; x < n; x++)
        out[x] = (uint64_t)(((cczi_u128)m[x] * q_mod_t + half) >> bits);
}

/* The same for a prime t < 2^50: quotient by Shoup's method, rounded by what remains. */
static void rest_prime(uint64_t *out, const uint64_t *m, size_t n, struct ccz_mulc c, uint64_t t)
{
    for (size_t x = 0; x < n; x++) {
        uint64_t quot = (uint64_t)((cczi_u128)m[x] * c.quot >> 64);
        uint64_t rest = m[x] * c.w - quot * t; /* in [0, 2 t) */
        uint64_t over = (t - 1 - rest) >> 63;
        rest -= t & -over;
        out[x] = quot + over + ((t / 2 - rest) >> 63);
    }
}

struct job {
    struct ccz_bfv_eval *e;
    const struct cczi_bfv_level *level;
    uint64_t *out;
    const uint64_t *m;
    uint64_t *x;
    size_t limbs;
};

static void up_limb(void *arg, size_t i)
{
    const struct job *j = arg;
    const struct ccz_bfv *c = j->e->ctx;
    const struct ccz_modulus *m = cczi_bfv_modulus(c, i);
    uint64_t *out = j->out + i * c->n, *tmp = j->e->poly[1] + i * c->n;
    c->k->reduce_u64(tmp, j->m, c->n, m);
    c->k->reduce_u64(out, j->e->word, c->n, m);
    c->k->mul_const_add(out, tmp, j->level->delta[i], c->n, m);
}

void cczi_bfv_scale_up(uint64_t *out, struct ccz_bfv_eval *e, const uint64_t *m, size_t limbs)
{
    const struct ccz_bfv *c = e->ctx;
    struct job j = {.e = e, .level = &c->level[limbs - 1], .out = out, .m = m};
    if (c->plain_bits)
        rest_power(e->word, m, c->n, j.level->q_mod_t, c->plain_bits);
    else
        rest_prime(e->word, m, c->n, j.level->q_mod_t_prime, c->t.q);
    ccz_rlwe_parallel(e->work, limbs, up_limb, &j);
    ccz_wipe(e->word, c->n * sizeof(*e->word));
    ccz_wipe(e->poly[1], limbs * c->n * sizeof(*e->poly[1]));
}

void cczi_bfv_centred(uint64_t *out, const struct ccz_bfv *c, const uint64_t *m, size_t i)
{
    if (!c->plain_bits) {
        c->k->lift(out, m, c->n, &c->t, cczi_bfv_modulus(c, i));
        return;
    }
    const uint64_t sign = UINT64_C(1) << (c->plain_bits - 1);
    for (size_t x = 0; x < c->n; x++)
        out[x] = (m[x] ^ sign) - sign; /* sign-extended */
    c->k->reduce_i64(out, (const int64_t *)out, c->n, cczi_bfv_modulus(c, i));
}

static void inverse_limb(void *arg, size_t i)
{
    const struct job *j = arg;
    uint64_t *x = j->x + i * j->e->ctx->n;
    ccz_ntt_inverse_scaled(x, x, &j->level->inverse[i], ccz_rlwe_ntt(j->e->ctx->ring, i));
}

enum { CHUNK_LEN = 512 };

static void down_chunk(void *arg, size_t chunk)
{
    const struct job *j = arg;
    const struct ccz_bfv *c = j->e->ctx;
    const size_t from = chunk * CHUNK_LEN;
    for (size_t x = from; x < from + CHUNK_LEN; x++) {
        cczi_u128 fraction = (cczi_u128)1 << 127; /* one half */
        uint64_t whole = 0;
        for (size_t i = 0; i < j->limbs; i++) {
            const struct cczi_bfv_ratio *r = &c->ratio[i];
            const uint64_t y = j->x[i * c->n + x];
            const cczi_u128 high = (cczi_u128)y * r->high, low = (cczi_u128)y * r->low;
            whole += y * r->whole + (uint64_t)(high >> 64);
            fraction += low;
            whole += fraction < low;
            fraction += high << 64;
            whole += fraction < high << 64;
        }
        j->out[x] = whole;
    }
}

void cczi_bfv_scale_down(uint64_t *out, struct ccz_bfv_eval *e, uint64_t *x, size_t limbs)
{
    const struct ccz_bfv *c = e->ctx;
    struct job j = {.e = e, .level = &c->level[limbs - 1], .out = out, .x = x, .limbs = limbs};
    ccz_rlwe_parallel(e->work, limbs, inverse_limb, &j);
    ccz_rlwe_parallel(e->work, c->n / CHUNK_LEN, down_chunk, &j);
    if (!c->plain_bits) { /* below 64 t < 2^56 */
        c->k->reduce_u64(out, out, c->n, &c->t);
        return;
    }
    const uint64_t mask = ~UINT64_C(0) >> (64 - c->plain_bits);
    for (size_t i = 0; i < c->n; i++)
        out[i] &= mask;
}
