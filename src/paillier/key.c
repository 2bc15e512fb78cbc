/* SPDX-License-Identifier: Apache-2.0 */
/* Public keys and key pairs: what is computed once, and the rules for numbers of others. */
#include <cczoo/bignum.h>
#include <cczoo/crypto.h>

#include "base/ct.h"
#include "paillier/paillier_priv.h"

#include <stdlib.h>
#include <string.h>

enum { BITS_MIN = 2048, BITS_MIN_INSECURE = 1024 };

/* -------------------------------------------------------------------------------- rules */

ccz_rc cczi_pub_bits_ok(size_t bits, bool bits_1024, struct ccz_err *err)
{
    size_t min = bits_1024 ? BITS_MIN_INSECURE : BITS_MIN;
    if (bits < min) {
        ccz_rc rc =
            ccz_refuse_num(err, CCZ_E_LIMIT, "paillier:n-bits", (int64_t)bits, (int64_t)min);
        return ccz_hint(err, rc, "such an n can be factored: make a key of 2048 bits or more");
    }
    if (bits > CCZ_PAILLIER_BITS_MAX || bits % 64 != 0)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "paillier:n-bits", (int64_t)bits,
                              CCZ_PAILLIER_BITS_MAX);
    return CCZ_OK;
}

static ccz_rc check_n(struct ccz_span n, const struct ccz_paillier_pub_cfg *cfg,
                      struct ccz_err *err)
{
    uint32_t factor;
    bool prime, power;
    if (n.size == 0 || n.size > CCZ_PAILLIER_N_SIZE_MAX || n.ptr[0] < 0x80)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "paillier:n-bits", (int64_t)n.size * 8,
                              CCZ_PAILLIER_BITS_MAX);
    ccz_rc rc = cczi_pub_bits_ok(8 * n.size, cfg && cfg->bits_1024_insecure, err);
    if (rc != CCZ_OK)
        return rc;
    if (n.ptr[n.size - 1] % 2 == 0)
        return ccz_fail(err, CCZ_E_FORMAT, "paillier:n-odd", 0, "n is even");
    if (ccz_bignum_small_factor(&factor, n) != CCZ_OK || ccz_bignum_is_prime(&prime, n) != CCZ_OK)
        return cczi_no_memory(err);
    if (factor)
        return ccz_fail(err, CCZ_E_FORMAT, "paillier:n-factor", factor, "n is divisible by %u",
                        (unsigned)factor);
    if (prime)
        return ccz_fail(err, CCZ_E_FORMAT, "paillier:n-prime", 0, "n is a prime");
    if (ccz_bignum_is_power(&power, n) != CCZ_OK)
        return cczi_no_memory(err);
    if (power)
        return ccz_fail(err, CCZ_E_FORMAT, "paillier:n-power", 0, "n is a power of an integer");
    return CCZ_OK;
}

/*
 * The elements of small order that one can name without the factors of n. The id of a key is that of n: who passes on
 * somebody's key could put such an h in, and read what is encrypted with it.
 */
static bool is_one_or_minus_one(struct ccz_span h, struct ccz_span n)
{
    size_t same = n.size - 1; /* n is odd: n - 1 differs from it in the last byte only */
    uint8_t any = 0;
    for (size_t i = 0; i < same; i++)
        any |= h.ptr[i];
    return (any == 0 && h.ptr[same] == 1) ||
           (memcmp(h.ptr, n.ptr, same) == 0 && h.ptr[same] == n.ptr[same] - 1);
}

static ccz_rc check_h(struct ccz_span h, struct ccz_span n, struct ccz_err *err)
{
    bool coprime;
    int symbol;
    uint8_t any = 0;
    for (size_t i = 0; i < h.size; i++)
        any |= h.ptr[i];
    if (h.size != n.size || any == 0 || memcmp(h.ptr, n.ptr, n.size) >= 0)
        return ccz_fail(err, CCZ_E_FORMAT, "paillier:h-range", 0, "h is not between 0 and n");
    if (ccz_bignum_coprime(&coprime, h, n) != CCZ_OK || ccz_bignum_jacobi(&symbol, h, n) != CCZ_OK)
        return cczi_no_memory(err);
    if (!coprime)
        return ccz_fail(err, CCZ_E_FORMAT, "paillier:h-gcd", 0, "h and n have a common factor");
    if (symbol != 1)
        return ccz_refuse_num(err, CCZ_E_FORMAT, "paillier:h-jacobi", symbol, 1);
    return is_one_or_minus_one(h, n) ? ccz_fail(err, CCZ_E_FORMAT, "paillier:h-order", 0,
                                                "h is 1 or -1: its powers hide nothing")
                                     : CCZ_OK;
}

/* --------------------------------------------------------------------------- public keys */

/* max = floor(n / 3) - 1, and its magnitude rounded down to a bound. */
static void set_limit(struct ccz_paillier_pub *pub)
{
    uint64_t rest = 0, one[CCZI_PAI_WORDS_MAX] = {1};
    for (size_t i = 2 * pub->words; i-- > 0;) { /* by halves of words */
        unsigned shift = i % 2 ? 32 : 0;
        uint64_t part = rest << 32 | (pub->n[i / 2] >> shift & UINT32_MAX);
        pub->max[i / 2] |= part / 3 << shift;
        rest = part % 3;
    }
    (void)cczi_words_sub(pub->max, pub->max, one, ~(uint64_t)0, pub->words);
    uint64_t top = pub->max[pub->words - 1];
    unsigned zeros = (unsigned)__builtin_clzll(top);
    /* top is at least 2^63 / 3; the bits that its word lacks are left out: rounded down */
    (void)cczi_bound_from(&pub->limit, top << zeros >> 11, (int32_t)(pub->bits - 1 - zeros));
}

static ccz_rc set_id(struct ccz_paillier_pub *pub)
{
    const struct ccz_span parts[] = {ccz_span_str("CCZ-Paillier-n"),
                                     CCZ_SPAN(pub->n_bytes, pub->size)};
    return ccz_hash(pub->id, CCZ_SHA256, parts, 2);
}

/* h^n mod n^2 */
static ccz_rc set_h(struct ccz_paillier_pub *pub, const uint8_t *h, struct ccz_err *err)
{
    memcpy(pub->h, h, pub->size);
    pub->djn = true;
    pub->h_s = cczi_resident_new(1, pub->len);
    if (!pub->h_s)
        return cczi_no_memory(err);
    ccz_rc rc = ccz_mont_from_bytes(pub->m, pub->h_s, h, pub->size, 1);
    if (rc == CCZ_OK)
        rc =
            ccz_mont_pow_var(pub->m, pub->h_s, pub->h_s, 1, CCZ_SPAN(pub->n_bytes, pub->size), err);
    return rc;
}

ccz_rc cczi_pub_make(struct ccz_paillier_pub **out, const uint8_t *n, size_t size, const uint8_t *h,
                     struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO(ccz_paillier_pub) pub = calloc(1, sizeof(*pub));
    if (!pub || pthread_mutex_init(&pub->lock, NULL) != 0) {
        free(pub);
        pub = NULL;
        return cczi_no_memory(err);
    }
    atomic_init(&pub->refs, 1);
    pub->bits = (unsigned)(8 * size);
    pub->words = size / 8;
    pub->size = size;
    memcpy(pub->n_bytes, n, size);
    cczi_words_from_be(pub->n, pub->words, n, size);
    cczi_words_mul(pub->square, pub->n, pub->n, pub->words);
    set_limit(pub);
    ccz_rc rc = set_id(pub);
    if (rc == CCZ_OK)
        rc = ccz_mont_new_squared(&pub->m, CCZ_SPAN(n, size), err);
    if (rc != CCZ_OK)
        return rc;
    pub->len = ccz_mont_len(pub->m);
    if (h && (rc = set_h(pub, h, err)) != CCZ_OK)
        return rc;
    *out = ccz_paillier_pub_take(&pub);
    return CCZ_OK;
}

ccz_rc ccz_paillier_pub_new(struct ccz_paillier_pub **out, struct ccz_span n, struct ccz_span h,
                            const struct ccz_paillier_pub_cfg *cfg, struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = check_n(n, cfg, err);
    if (rc == CCZ_OK && h.size > 0)
        rc = check_h(h, n, err);
    return rc == CCZ_OK ? cczi_pub_make(out, n.ptr, n.size, h.size > 0 ? h.ptr : NULL, err) : rc;
}

struct ccz_paillier_pub *cczi_pub_ref(const struct ccz_paillier_pub *pub)
{
    struct ccz_paillier_pub *p = (struct ccz_paillier_pub *)(uintptr_t)pub; /* counts only */
    atomic_fetch_add(&p->refs, 1);
    return p;
}

void ccz_paillier_pub_free(struct ccz_paillier_pub *pub)
{
    if (!pub || atomic_fetch_sub(&pub->refs, 1) > 1)
        return;
    ccz_mont_comb_free(pub->comb);
    ccz_mont_free(pub->m);
    free(pub->h_s);
    (void)pthread_mutex_destroy(&pub->lock);
    free(pub);
}

ccz_rc cczi_pub_comb(const struct ccz_mont_comb **out, const struct ccz_paillier_pub *pub,
                     struct ccz_err *err)
{
    struct ccz_paillier_pub *p = (struct ccz_paillier_pub *)(uintptr_t)pub; /* under its lock */
    ccz_rc rc = CCZ_OK;
    (void)pthread_mutex_lock(&p->lock);
    if (!p->comb)
        rc = ccz_mont_comb_new(&p->comb, p->m, p->h_s, p->bits / 2, 0, err);
    *out = p->comb;
    (void)pthread_mutex_unlock(&p->lock);
    return rc;
}

ccz_rc ccz_paillier_prepare(const struct ccz_paillier_pub *pub, struct ccz_err *err)
{
    const struct ccz_mont_comb *comb;
    return pub->djn ? cczi_pub_comb(&comb, pub, err) : CCZ_OK;
}

unsigned ccz_paillier_bits(const struct ccz_paillier_pub *pub)
{
    return pub->bits;
}

bool ccz_paillier_has_djn(const struct ccz_paillier_pub *pub)
{
    return pub->djn;
}

void ccz_paillier_id(uint8_t out[CCZ_PAILLIER_ID_SIZE], const struct ccz_paillier_pub *pub)
{
    memcpy(out, pub->id, CCZ_PAILLIER_ID_SIZE);
}

void ccz_paillier_n(uint8_t *out, const struct ccz_paillier_pub *pub)
{
    memcpy(out, pub->n_bytes, pub->size);
}

/* ------------------------------------------------------------------------------ key pairs */

enum { DIGEST_SIZE = 32 };

ccz_rc cczi_key_digest(uint8_t digest[32], const struct ccz_paillier_key *k)
{
    return ccz_sha256(digest, CCZ_SPAN(ccz_secret_view(k->numbers) + DIGEST_SIZE,
                                       ccz_secret_size(k->numbers) - DIGEST_SIZE));
}

/* Layout of `numbers`: digest of the rest; p, q and p - 1, q - 1 as bytes, p, q as words, then the
 * coefficients. */
static ccz_rc lay_out(struct ccz_paillier_key *k, const uint8_t *p, const uint8_t *q)
{
    size_t coef_len = ccz_mont_len(k->p.prime);
    ccz_rc rc = ccz_secret_new(&k->numbers, DIGEST_SIZE + 6 * k->size + 2 * 8 * coef_len);
    if (rc != CCZ_OK)
        return rc;
    uint8_t *at = ccz_secret_bytes(k->numbers) + DIGEST_SIZE;
    k->p_bytes = memcpy(at, p, k->size);
    k->q_bytes = memcpy(at + k->size, q, k->size);
    uint8_t *p_exp = memcpy(at + 2 * k->size, p, k->size);
    uint8_t *q_exp = memcpy(at + 3 * k->size, q, k->size);
    p_exp[k->size - 1] &= 0xfe; /* p is odd */
    q_exp[k->size - 1] &= 0xfe;
    uint64_t *words = (uint64_t *)(void *)(at + 4 * k->size);
    cczi_words_from_be(words, k->words, p, k->size);
    cczi_words_from_be(words + k->words, k->words, q, k->size);
    k->p.p = words;
    k->q.p = words + k->words;
    k->p.exp = p_exp;
    k->q.exp = q_exp;
    k->p.coef = words + 2 * k->words;
    k->q.coef = k->p.coef + coef_len;
    return CCZ_OK;
}

/*
 * With u = x^(p-1) mod p^2 = 1 + L p the plain number is m = L h mod p, h = 1 / L((1 + n)^(p-1)) =
 * -1 / q, and m = (m_p / q mod p) q + (m_q / p mod q) p mod n. Both factors at once: -1 / q^2 mod p.
 */
static ccz_rc set_coef(struct cczi_half *half, const uint8_t *p, const uint8_t *other, size_t size,
                       struct ccz_err *err)
{
    uint8_t bytes[CCZ_PAILLIER_N_SIZE_MAX / 2], exp[CCZ_PAILLIER_N_SIZE_MAX / 2];
    uint64_t r[CCZI_PAI_WORDS_MAX / 2];
    memcpy(exp, p, size); /* p - 2; p is odd, and p = 1 mod 256 has a borrow */
    for (size_t i = size, borrow = 2; i-- > 0;) {
        unsigned d = 256u + exp[i] - (unsigned)borrow;
        exp[i] = (uint8_t)d;
        borrow = 1 - d / 256;
    }
    ccz_rc rc = ccz_mont_from_bytes(half->prime, half->coef, other, size, 1);
    const struct ccz_mont_job job = {half->prime, half->coef, half->coef, exp};
    if (rc == CCZ_OK)
        rc = ccz_mont_pow(&job, 1, 8 * size, err);
    if (rc == CCZ_OK) {
        ccz_mont_sqr(half->prime, half->coef, half->coef, 1);
        ccz_mont_to_bytes(half->prime, bytes, half->coef, 1);
        cczi_words_from_be(r, size / 8, bytes, size);
        (void)cczi_words_sub(r, half->p, r, ~(uint64_t)0, size / 8);
        cczi_words_to_be(bytes, size, r);
        rc = ccz_mont_from_bytes(half->prime, half->coef, bytes, size, 1);
    }
    ccz_wipe(bytes, sizeof(bytes));
    ccz_wipe(exp, sizeof(exp));
    ccz_wipe(r, sizeof(r));
    return rc;
}

static ccz_rc new_half(struct cczi_half *half, const uint8_t *p, size_t size, struct ccz_err *err)
{
    ccz_rc rc = ccz_mont_new(&half->prime, CCZ_SPAN(p, size), err);
    return rc == CCZ_OK ? ccz_mont_new_squared(&half->square, CCZ_SPAN(p, size), err) : rc;
}

void cczi_key_product(uint8_t *n, const uint8_t *p, const uint8_t *q, size_t size)
{
    uint64_t a[CCZI_PAI_WORDS_MAX / 2], b[CCZI_PAI_WORDS_MAX / 2], r[CCZI_PAI_WORDS_MAX];
    cczi_words_from_be(a, size / 8, p, size);
    cczi_words_from_be(b, size / 8, q, size);
    cczi_words_mul(r, a, b, size / 8);
    cczi_words_to_be(n, 2 * size, r);
    ccz_wipe(a, sizeof(a));
    ccz_wipe(b, sizeof(b));
    CCZ_CT_PUBLIC(n, 2 * size);
}

ccz_rc cczi_key_make(struct ccz_paillier_key **out, const uint8_t *p, const uint8_t *q, size_t size,
                     const uint8_t *h, struct ccz_err *err)
{
    uint8_t n[CCZ_PAILLIER_N_SIZE_MAX];
    *out = NULL;
    CCZ_AUTO(ccz_paillier_key) k = calloc(1, sizeof(*k));
    if (!k || pthread_mutex_init(&k->lock, NULL) != 0) {
        free(k);
        k = NULL;
        return cczi_no_memory(err);
    }
    k->size = size;
    k->words = size / 8;
    cczi_key_product(n, p, q, size);
    ccz_rc rc = cczi_pub_make(&k->pub, n, 2 * size, h, err);
    if (rc == CCZ_OK)
        rc = new_half(&k->p, p, size, err);
    if (rc == CCZ_OK)
        rc = new_half(&k->q, q, size, err);
    if (rc == CCZ_OK)
        rc = lay_out(k, p, q);
    if (rc == CCZ_OK)
        rc = set_coef(&k->p, p, q, size, err);
    if (rc == CCZ_OK)
        rc = set_coef(&k->q, q, p, size, err);
    if (rc == CCZ_OK)
        rc = cczi_key_digest(ccz_secret_bytes(k->numbers), k);
    if (rc == CCZ_OK && !(k->blind = cczi_resident_new(1, k->pub->len)))
        rc = cczi_no_memory(err);
    if (rc == CCZ_OK)
        *out = ccz_paillier_key_take(&k);
    return rc;
}

ccz_rc cczi_key_import(struct ccz_paillier_key **out, struct ccz_span p, struct ccz_span q,
                       struct ccz_span h, const struct ccz_paillier_pub_cfg *cfg,
                       struct ccz_err *err)
{
    uint8_t n[CCZ_PAILLIER_N_SIZE_MAX];
    *out = NULL;
    if (p.size != q.size || p.size == 0 || p.size > CCZ_PAILLIER_N_SIZE_MAX / 2)
        return ccz_fail(err, CCZ_E_FORMAT, "paillier:p-q", 0,
                        "the factors are not of the same length, or too long");
    ccz_rc rc = cczi_pub_bits_ok(16 * p.size, cfg && cfg->bits_1024_insecure, err);
    if (rc != CCZ_OK)
        return rc;
    if ((rc = ccz_primes_check(p.ptr, q.ptr, p.size, h.size > 0, err)) != CCZ_OK)
        return rc;
    cczi_key_product(n, p.ptr, q.ptr, p.size);
    if (n[0] < 0x80)
        return ccz_fail(err, CCZ_E_FORMAT, "paillier:p-q", 0, "n is a bit too short");
    if (h.size > 0 && (rc = check_h(h, CCZ_SPAN(n, 2 * p.size), err)) != CCZ_OK)
        return rc;
    return cczi_key_make(out, p.ptr, q.ptr, p.size, h.size > 0 ? h.ptr : NULL, err);
}

void ccz_paillier_key_free(struct ccz_paillier_key *k)
{
    if (!k)
        return;
    ccz_mont_free(k->p.square);
    ccz_mont_free(k->p.prime);
    ccz_mont_free(k->q.square);
    ccz_mont_free(k->q.prime);
    ccz_secret_free(k->numbers);
    if (k->blind)
        cczi_resident_free(k->blind, 1, k->pub->len);
    ccz_paillier_pub_free(k->pub);
    (void)pthread_mutex_destroy(&k->lock);
    free(k);
}

struct ccz_paillier_pub *ccz_paillier_key_pub(const struct ccz_paillier_key *k)
{
    return cczi_pub_ref(k->pub);
}
