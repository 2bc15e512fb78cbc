/* SPDX-License-Identifier: Apache-2.0 */
/* Decryption modulo p^2 and q^2, blinded, checked for faults. */
#include "base/ct.h"
#include "paillier/paillier_priv.h"

#include <stdlib.h>
#include <string.h>

enum { ITEMS_MAX = CCZI_PAI_CHUNK, GRAIN = 8 };

/*
 * Working memory for a chunk: the items, and behind them a check item. With one item the check
 * is the same under another blinding factor; with more it is the product of all, whose plain
 * number must be the sum of theirs. An error in one half of one item, which would give away a
 * factor of n to whoever knows the right result, does not pass. Two more checks: the numbers of the
 * key are what they were when it was made (a wrong coefficient would be wrong for the check, too),
 * and x^(p-1) = 1 mod p for every item, as Fermat has it (an item that is no unit gets there only
 * if it was not read through the checks of this module; its result would be a multiple of p).
 */
struct scratch {
    size_t len;      /* items, without the check */
    uint64_t *c;     /* [len + 1], modulo n^2, blinded */
    uint64_t *half;  /* [2][len + 1], modulo p^2 and q^2 */
    uint8_t *bytes;  /* [len + 1][2 size of n]: c; then halves of pairs */
    uint64_t *prime; /* [len + 1], modulo p or q */
    struct ccz_mont_job *jobs;
    uint64_t *m[2]; /* [len + 1][words of n]: the two summands of the plain numbers */
};

static ccz_rc scratch_init(struct scratch *s, size_t len, const struct ccz_paillier_key *k,
                           struct ccz_err *err)
{
    const struct ccz_paillier_pub *pub = k->pub;
    *s = (struct scratch){.len = len};
    s->c = cczi_resident_new(len + 1, pub->len);
    s->half = cczi_resident_new(2 * (len + 1), ccz_mont_len(k->p.square));
    s->bytes = malloc((len + 1) * 2 * pub->size);
    s->prime = cczi_resident_new(len + 1, ccz_mont_len(k->p.prime));
    s->jobs = calloc(2 * (len + 1), sizeof(*s->jobs));
    s->m[0] = cczi_resident_new(len + 1, pub->words);
    s->m[1] = cczi_resident_new(len + 1, pub->words);
    bool all = s->c && s->half && s->bytes && s->prime && s->jobs && s->m[0] && s->m[1];
    return all ? CCZ_OK : cczi_no_memory(err);
}

static void scratch_deinit(struct scratch *s, const struct ccz_paillier_key *k)
{
    const struct ccz_paillier_pub *pub = k->pub;
    cczi_resident_free(s->c, s->len + 1, pub->len);
    cczi_resident_free(s->half, 2 * (s->len + 1), ccz_mont_len(k->p.square));
    if (s->bytes)
        ccz_wipe(s->bytes, (s->len + 1) * 2 * pub->size);
    free(s->bytes);
    cczi_resident_free(s->prime, s->len + 1, ccz_mont_len(k->p.prime));
    free(s->jobs);
    cczi_resident_free(s->m[0], s->len + 1, pub->words);
    cczi_resident_free(s->m[1], s->len + 1, pub->words);
}

/* -------------------------------------------------------------------------------- blinding */

/* A random n-th residue for @p out that was never used before; the next one is its square. */
static ccz_rc next_blind(uint64_t *out, const struct ccz_paillier_key *key, struct ccz_err *err)
{
    static const struct ccz_paillier_enc_cfg full = {.method = CCZ_PAILLIER_FULL};
    struct ccz_paillier_key *k = (struct ccz_paillier_key *)(uintptr_t)key; /* under its lock */
    ccz_rc rc = CCZ_OK;
    (void)pthread_mutex_lock(&k->lock);
    if (k->blind_uses == 0 && (rc = cczi_obfuscators(k->blind, 1, k->pub, &full, err)) == CCZ_OK)
        k->blind_uses = CCZI_PAI_BLIND_USES;
    if (rc == CCZ_OK) {
        memcpy(out, k->blind, 8 * k->pub->len);
        ccz_mont_sqr(k->pub->m, k->blind, k->blind, 1);
        k->blind_uses--;
    }
    (void)pthread_mutex_unlock(&k->lock);
    return rc;
}

/* The items times an n-th residue decrypt to the same numbers. */
static ccz_rc blind(struct scratch *s, const struct ccz_paillier_key *k, const uint64_t *c,
                    struct ccz_err *err)
{
    const struct ccz_paillier_pub *pub = k->pub;
    uint64_t factor[CCZ_MONT_LEN_MAX], *check = s->c + s->len * pub->len;
    ccz_rc rc = next_blind(factor, k, err);
    if (rc != CCZ_OK)
        return rc;
    ccz_mont_mul_one(pub->m, s->c, c, factor, s->len);
    if (s->len == 1)
        ccz_mont_mul(pub->m, check, s->c, factor, 1);
    else
        ccz_mont_product(pub->m, check, s->c, s->len);
    ccz_wipe(factor, sizeof(factor));
    return CCZ_OK;
}

/* ---------------------------------------------------------------------------------- halves */

/* All powers modulo p^2 and q^2 at once. */
static ccz_rc powers(struct scratch *s, const struct ccz_paillier_key *k, struct ccz_err *err)
{
    const struct cczi_half *halves[2] = {&k->p, &k->q};
    const size_t count = s->len + 1, len = ccz_mont_len(k->p.square);
    ccz_mont_to_bytes(k->pub->m, s->bytes, s->c, count);
    for (size_t side = 0; side < 2; side++) {
        uint64_t *w = s->half + side * count * len;
        ccz_rc rc = ccz_mont_from_bytes(halves[side]->square, w, s->bytes, 2 * k->pub->size, count);
        if (rc != CCZ_OK)
            return cczi_no_memory(err);
        for (size_t i = 0; i < count; i++)
            s->jobs[side * count + i] = (struct ccz_mont_job){halves[side]->square, w + i * len,
                                                              w + i * len, halves[side]->exp};
    }
    return ccz_mont_pow(s->jobs, 2 * count, 8 * k->size, err);
}

/*
 * x^(p-1) = 1 + L p mod p^2, and L times the coefficient is the factor of the other prime in the plain
 * number. *good becomes 0 if some x^(p-1) is not 1 mod p.
 */
static ccz_rc finish_half(struct scratch *s, size_t side, const struct ccz_paillier_key *k,
                          uint64_t *good)
{
    const struct cczi_half *half = side == 0 ? &k->p : &k->q, *other = side == 0 ? &k->q : &k->p;
    const size_t count = s->len + 1, len = ccz_mont_len(half->square);
    uint8_t *low = s->bytes, *high = s->bytes + count * k->size;
    uint64_t r[CCZI_PAI_WORDS_MAX / 2];
    ccz_mont_to_pair(half->square, low, high, s->half + side * count * len, count);
    for (size_t i = 0; i < count * k->size; i++) {
        uint8_t want = i % k->size == k->size - 1;
        *good &= 1 - cczi_nonzero((uint64_t)(low[i] ^ want));
    }
    ccz_rc rc = ccz_mont_from_bytes(half->prime, s->prime, high, k->size, count);
    if (rc != CCZ_OK)
        return rc;
    ccz_mont_mul_one(half->prime, s->prime, s->prime, half->coef, count);
    ccz_mont_to_bytes(half->prime, high, s->prime, count);
    for (size_t i = 0; i < count; i++) {
        cczi_words_from_be(r, k->words, high + i * k->size, k->size);
        cczi_words_mul(s->m[side] + i * k->pub->words, r, other->p, k->words);
    }
    ccz_wipe(r, sizeof(r));
    return CCZ_OK;
}

/* r = a + b mod n for a, b < n */
static void add_mod(uint64_t *r, const uint64_t *a, const uint64_t *b,
                    const struct ccz_paillier_pub *pub)
{
    uint64_t t[CCZI_PAI_WORDS_MAX];
    uint64_t carry = cczi_words_add(r, a, b, ~(uint64_t)0, pub->words);
    uint64_t borrow = cczi_words_sub(t, r, pub->n, ~(uint64_t)0, pub->words);
    cczi_words_select(r, t, r, cczi_mask(carry | (1 - borrow)), pub->words);
    ccz_wipe(t, sizeof(t));
}

/* Joins the halves in m[0]. @return 1 if the check item is the sum of the items */
static uint64_t join(struct scratch *s, const struct ccz_paillier_pub *pub)
{
    uint64_t sum[CCZI_PAI_WORDS_MAX] = {0}, diff = 0;
    for (size_t i = 0; i <= s->len; i++) {
        uint64_t *m = s->m[0] + i * pub->words;
        add_mod(m, m, s->m[1] + i * pub->words, pub);
        if (i < s->len)
            add_mod(sum, sum, m, pub);
    }
    for (size_t i = 0; i < pub->words; i++)
        diff |= sum[i] ^ s->m[0][s->len * pub->words + i];
    ccz_wipe(sum, sizeof(sum));
    return 1 - cczi_nonzero(diff);
}

/* ---------------------------------------------------------------------------------- chunks */

struct work {
    const struct ccz_paillier_key *k;
    const struct ccz_paillier_vec *v;
    struct ccz_paillier_plain *p;
};

static ccz_rc fault(struct ccz_err *err)
{
    ccz_rc rc = ccz_fail(err, CCZ_E_INTERNAL, "paillier:fault", 0,
                         "a decryption does not satisfy its check, nothing is returned");
    return ccz_hint(err, rc, "the hardware computes wrongly, or somebody makes it do so");
}

/* 1 if the numbers of the key have not changed. */
static uint64_t intact(const struct ccz_paillier_key *k)
{
    uint8_t digest[32];
    if (cczi_key_digest(digest, k) != CCZ_OK)
        return 0;
    return (uint64_t)ccz_ct_eq(digest, ccz_secret_view(k->numbers), sizeof(digest));
}

static ccz_rc decrypt_chunk(struct scratch *s, const struct work *work, size_t from,
                            struct ccz_err *err)
{
    const struct ccz_paillier_key *k = work->k;
    const size_t words = k->pub->words;
    uint64_t good = intact(k), bad = 0;
    ccz_rc rc = blind(s, k, work->v->w + from * k->pub->len, err);
    if (rc == CCZ_OK)
        rc = powers(s, k, err);
    if (rc == CCZ_OK)
        rc = finish_half(s, 0, k, &good);
    if (rc == CCZ_OK)
        rc = finish_half(s, 1, k, &good);
    if (rc != CCZ_OK)
        return rc;
    good &= join(s, k->pub);
    CCZ_CT_PUBLIC(&good, sizeof(good));
    if (good != 1)
        return fault(err);
    for (size_t i = 0; i < s->len; i++)
        bad |= cczi_residue_to_signed(work->p->w + (from + i) * words, s->m[0] + i * words, k->pub);
    CCZ_CT_PUBLIC(&bad, sizeof(bad));
    return bad ? ccz_fail(err, CCZ_E_LIMIT, "paillier:overflow", 0,
                          "a plain number is beyond n / 3: an overflow, or no number of this kind")
               : CCZ_OK;
}

static ccz_rc range(void *arg, size_t from, size_t len, struct ccz_err *err)
{
    const struct work *work = arg;
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; rc == CCZ_OK && i < len; i += ITEMS_MAX) {
        struct scratch s;
        size_t n = len - i < ITEMS_MAX ? len - i : ITEMS_MAX;
        rc = scratch_init(&s, n, work->k, err);
        if (rc == CCZ_OK)
            rc = decrypt_chunk(&s, work, from + i, err);
        scratch_deinit(&s, work->k);
    }
    return rc;
}

ccz_rc ccz_paillier_decrypt(struct ccz_paillier_plain **out, const struct ccz_paillier_key *k,
                            const struct ccz_paillier_vec *v,
                            const struct ccz_paillier_dec_cfg *cfg, struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO(ccz_paillier_plain) p = NULL;
    ccz_rc rc = cczi_same_key(k->pub, v->pub, err);
    if (rc == CCZ_OK)
        rc = cczi_plain_new(&p, k->pub, v->len * v->pack.slots, (struct ccz_paillier_format){0, 1},
                            v->pack.slot_bits ? &v->pack : NULL, err);
    if (rc != CCZ_OK)
        return rc;
    p->exponent = v->exponent;
    p->bound = v->bound;
    struct work work = {k, v, p};
    rc = ccz_parallel(range, &work, v->len, GRAIN, cfg ? cfg->threads : 1, err);
    if (rc == CCZ_OK)
        *out = ccz_paillier_plain_take(&p);
    return rc;
}
