/* SPDX-License-Identifier: Apache-2.0 */
/* Key generation. Primes: crypto/bignum.c. @source Damgard, Jurik, Nielsen 2010, section 4.2 */
#include <cczoo/bignum.h>

#include "base/ct.h"
#include "paillier/paillier_priv.h"

#include <string.h>

enum { SPARE_SIZE = 16, BITS_INSECURE = 1024 };

/* h = -x^2 mod n, which generates all residues of Jacobi symbol 1 but for a negligible part of the x. */
ccz_rc cczi_key_h(uint8_t *h, const uint8_t *n, size_t size, const uint8_t *x, size_t x_size)
{
    CCZ_AUTO(ccz_mont) m = NULL;
    uint64_t v[CCZ_MONT_LEN_MAX], r[CCZI_PAI_WORDS_MAX], modulus[CCZI_PAI_WORDS_MAX];
    ccz_rc rc = ccz_mont_new(&m, CCZ_SPAN(n, size), NULL);
    if (rc == CCZ_OK)
        rc = ccz_mont_from_bytes(m, v, x, x_size, 1);
    if (rc != CCZ_OK)
        return rc;
    ccz_mont_sqr(m, v, v, 1);
    ccz_mont_to_bytes(m, h, v, 1);
    cczi_words_from_be(r, size / 8, h, size);
    cczi_words_from_be(modulus, size / 8, n, size);
    (void)cczi_words_sub(r, modulus, r, ~(uint64_t)0, size / 8);
    cczi_words_to_be(h, size, r);
    return CCZ_OK;
}

/* A key that does not decrypt what it encrypts is of no use, and may betray its factors. */
static ccz_rc self_test(const struct ccz_paillier_key *k, const struct ccz_paillier_rng *rng,
                        struct ccz_err *err)
{
    static const int64_t probe[2] = {INT64_MAX, -3};
    int64_t back[2] = {0};
    CCZ_AUTO(ccz_paillier_plain) p = NULL;
    CCZ_AUTO(ccz_paillier_plain) d = NULL;
    CCZ_AUTO(ccz_paillier_vec) v = NULL;
    /* r^n: the tables of h_s would be made for two numbers */
    const struct ccz_paillier_enc_cfg cfg = {.method = CCZ_PAILLIER_FULL, .rng = *rng};
    ccz_rc rc = ccz_paillier_plain_i64(&p, k->pub, probe, 2, 63, NULL, err);
    if (rc == CCZ_OK)
        rc = ccz_paillier_encrypt(&v, p, &cfg, err);
    if (rc == CCZ_OK)
        rc = ccz_paillier_decrypt(&d, k, v, NULL, err);
    if (rc == CCZ_OK)
        rc = ccz_paillier_plain_to_i64(back, d, err);
    if (rc != CCZ_OK)
        return rc;
    CCZ_CT_PUBLIC(back, sizeof(back));
    return memcmp(probe, back, sizeof(back)) == 0
               ? CCZ_OK
               : ccz_fail(err, CCZ_E_INTERNAL, "paillier:self-test", 0,
                          "the new key does not decrypt what it encrypted");
}

static ccz_rc make(struct ccz_paillier_key **out, uint8_t *primes, size_t size,
                   const struct ccz_paillier_rng *rng, struct ccz_err *err)
{
    uint8_t n[CCZ_PAILLIER_N_SIZE_MAX], h[CCZ_PAILLIER_N_SIZE_MAX];
    uint8_t x[CCZ_PAILLIER_N_SIZE_MAX + SPARE_SIZE];
    ccz_rc rc = ccz_blum_primes(primes, primes + size, size, err);
    if (rc != CCZ_OK)
        return ccz_fail(err, CCZ_E_INTERNAL, "paillier:prime", 0, "the search for primes failed");
    CCZ_CT_SECRET(primes, 2 * size);
    cczi_key_product(n, primes, primes + size, size);
    rc = cczi_random_fill(rng, x, 2 * size + SPARE_SIZE, err);
    CCZ_CT_PUBLIC(x, sizeof(x)); /* h would be as good with an x known to all */
    if (rc == CCZ_OK)
        rc = cczi_key_h(h, n, 2 * size, x, 2 * size + SPARE_SIZE);
    if (rc == CCZ_OK)
        rc = cczi_key_make(out, primes, primes + size, size, h, err);
    return rc;
}

ccz_rc ccz_paillier_keygen(struct ccz_paillier_key **out, const struct ccz_paillier_keygen_cfg *cfg,
                           struct ccz_err *err)
{
    static const struct ccz_paillier_keygen_cfg defaults;
    *out = NULL;
    if (!cfg)
        cfg = &defaults;
    unsigned bits = cfg->bits ? cfg->bits : CCZ_PAILLIER_BITS_DEFAULT;
    if (cfg->bits_1024_insecure && (cfg->bits == 0 || cfg->bits == BITS_INSECURE))
        bits = BITS_INSECURE;
    else if (bits != 2048 && bits != 3072 && bits != 4096)
        return ccz_hint(
            err,
            ccz_refuse_num(err, CCZ_E_ARG, "paillier:key-bits", bits, CCZ_PAILLIER_BITS_DEFAULT),
            "2048, 3072 or 4096");
    CCZ_AUTO(ccz_secret) primes = NULL;
    CCZ_AUTO(ccz_paillier_key) k = NULL;
    ccz_rc rc = ccz_secret_new(&primes, bits / 8);
    if (rc != CCZ_OK)
        return cczi_no_memory(err);
    rc = make(&k, ccz_secret_bytes(primes), bits / 16, &cfg->rng, err);
    if (rc == CCZ_OK)
        rc = self_test(k, &cfg->rng, err);
    if (rc == CCZ_OK)
        *out = ccz_paillier_key_take(&k);
    return rc;
}
