/* SPDX-License-Identifier: Apache-2.0 */
/* Random n-th residues, and what is multiplied by them. */
#include <cczoo/crypto.h>

#include "base/ct.h"
#include "paillier/paillier_priv.h"

#include <stdlib.h>

enum {
    SPARE_SIZE = 16, /* a number of so many bytes more than n is uniform mod n up to 2^-128 */
    GRAIN = 8
};

ccz_rc cczi_random_fill(const struct ccz_paillier_rng *rng, void *out, size_t size,
                        struct ccz_err *err)
{
    ccz_rc rc = rng && rng->fill ? rng->fill(rng->arg, out, size) : ccz_random(out, size);
    if (rc == CCZ_OK) {
        CCZ_CT_SECRET(out, size);
        return CCZ_OK;
    }
    ccz_wipe(out, size);
    return ccz_fail(err, CCZ_E_INTERNAL, "paillier:random", 0, "the random generator failed");
}

/* ---------------------------------------------------------------------------- obfuscators */

/* h_s^a, a of half the bits of n; or r^n. At most CCZI_PAI_CHUNK of them. */
static ccz_rc obfuscate_chunk(uint64_t *out, size_t len, const struct ccz_paillier_pub *pub,
                              bool full, const struct ccz_paillier_rng *rng, struct ccz_err *err)
{
    const struct ccz_mont_comb *comb = NULL;
    size_t each = full ? pub->size + SPARE_SIZE : pub->size / 2;
    ccz_rc rc = full ? CCZ_OK : cczi_pub_comb(&comb, pub, err);
    if (rc != CCZ_OK)
        return rc;
    uint8_t *r = malloc(len * each);
    if (!r)
        return cczi_no_memory(err);
    rc = cczi_random_fill(rng, r, len * each, err);
    if (rc == CCZ_OK && full)
        rc = ccz_mont_from_bytes(pub->m, out, r, each, len);
    if (rc == CCZ_OK)
        rc = full ? ccz_mont_pow_var(pub->m, out, out, len, CCZ_SPAN(pub->n_bytes, pub->size), err)
                  : ccz_mont_comb_pow(comb, out, r, len, err);
    ccz_wipe(r, len * each);
    free(r);
    return rc;
}

ccz_rc cczi_obfuscators(uint64_t *out, size_t len, const struct ccz_paillier_pub *pub,
                        const struct ccz_paillier_enc_cfg *cfg, struct ccz_err *err)
{
    bool full = !pub->djn || (cfg && cfg->method == CCZ_PAILLIER_FULL);
    for (size_t i = 0; i < len; i += CCZI_PAI_CHUNK) {
        size_t n = len - i < CCZI_PAI_CHUNK ? len - i : CCZI_PAI_CHUNK;
        ccz_rc rc = obfuscate_chunk(out + i * pub->len, n, pub, full, cfg ? &cfg->rng : NULL, err);
        if (rc != CCZ_OK)
            return rc;
    }
    return CCZ_OK;
}

/* From the pool, and what it does not have, computed now. */
static ccz_rc draw(uint64_t *out, size_t len, const struct ccz_paillier_pub *pub,
                   const struct ccz_paillier_enc_cfg *cfg, struct ccz_err *err)
{
    size_t have = cfg && cfg->pool ? cczi_pool_take(out, len, cfg->pool) : 0;
    if (have == len)
        return CCZ_OK;
    if (cfg && cfg->pool && cfg->pool_only)
        return ccz_hint(err,
                        ccz_fail(err, CCZ_E_UNAVAILABLE, "paillier:pool-empty", (int64_t)have,
                                 "%zu of %zu random factors in the pool", have, len),
                        "refill the pool, or leave pool_only out");
    return cczi_obfuscators(out + have * pub->len, len - have, pub, cfg, err);
}

/* ------------------------------------------------------------------------------- encrypt */

struct work {
    struct ccz_paillier_vec *v;
    const struct ccz_paillier_plain *p; /* NULL: to randomise */
    const struct ccz_paillier_enc_cfg *cfg;
    bool trivial;
};

/* t = 1 + m n for CCZI_PAI_CHUNK items at most. */
static void put_plain(uint64_t *t, uint8_t *residues, const struct ccz_paillier_plain *p,
                      size_t from, size_t len)
{
    cczi_plain_residues(residues, p, from, len);
    ccz_mont_from_pair(p->pub->m, t, NULL, residues, len);
}

static ccz_rc range(void *arg, size_t from, size_t len, struct ccz_err *err)
{
    const struct work *work = arg;
    const struct ccz_paillier_pub *pub = work->v->pub;
    uint8_t *residues = malloc(CCZI_PAI_CHUNK * pub->size);
    uint64_t *t = cczi_resident_new(CCZI_PAI_CHUNK, pub->len);
    ccz_rc rc = residues && t ? CCZ_OK : cczi_no_memory(err);
    for (size_t i = 0; rc == CCZ_OK && i < len; i += CCZI_PAI_CHUNK) {
        size_t n = len - i < CCZI_PAI_CHUNK ? len - i : CCZI_PAI_CHUNK;
        uint64_t *w = work->v->w + (from + i) * pub->len;
        if (work->trivial) {
            put_plain(w, residues, work->p, from + i, n);
            continue;
        }
        uint64_t *factors = work->p ? w : t;
        rc = draw(factors, n, pub, work->cfg, err);
        if (rc == CCZ_OK && work->p)
            put_plain(t, residues, work->p, from + i, n);
        if (rc == CCZ_OK)
            ccz_mont_mul(pub->m, w, w, t, n);
    }
    if (residues)
        ccz_wipe(residues, CCZI_PAI_CHUNK * pub->size);
    free(residues);
    cczi_resident_free(t, CCZI_PAI_CHUNK, pub->len);
    return rc;
}

static ccz_rc pool_fits(const struct ccz_paillier_enc_cfg *cfg, const struct ccz_paillier_pub *pub,
                        struct ccz_err *err)
{
    if (!cfg || !cfg->pool || cczi_pool_serves(cfg->pool, pub))
        return CCZ_OK;
    return ccz_fail(err, CCZ_E_MISMATCH, "paillier:key", 0, "the pool is for another key");
}

static ccz_rc encrypt(struct ccz_paillier_vec **out, const struct ccz_paillier_plain *p,
                      const struct ccz_paillier_enc_cfg *cfg, bool trivial, struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO(ccz_paillier_vec) v = NULL;
    ccz_rc rc = pool_fits(cfg, p->pub, err);
    if (rc == CCZ_OK)
        rc = cczi_vec_new(&v, p->pub, p->len, err);
    struct work work = {v, p, cfg, trivial};
    if (rc == CCZ_OK)
        rc = ccz_parallel(range, &work, p->len, GRAIN, cfg ? cfg->threads : 1, err);
    if (rc != CCZ_OK)
        return rc;
    v->exponent = p->exponent;
    v->pack = p->pack;
    v->bound = p->bound;
    v->random = trivial ? CCZI_RANDOM_NONE : CCZI_RANDOM_FULL;
    if (!trivial)
        CCZ_CT_PUBLIC(v->w, 8 * v->len * v->pub->len);
    *out = ccz_paillier_vec_take(&v);
    return CCZ_OK;
}

ccz_rc ccz_paillier_encrypt(struct ccz_paillier_vec **out, const struct ccz_paillier_plain *p,
                            const struct ccz_paillier_enc_cfg *cfg, struct ccz_err *err)
{
    return encrypt(out, p, cfg, false, err);
}

ccz_rc ccz_paillier_encrypt_trivial(struct ccz_paillier_vec **out,
                                    const struct ccz_paillier_plain *p, struct ccz_err *err)
{
    return encrypt(out, p, NULL, true, err);
}

ccz_rc ccz_paillier_randomise(struct ccz_paillier_vec *v, const struct ccz_paillier_enc_cfg *cfg,
                              struct ccz_err *err)
{
    struct work work = {v, NULL, cfg, false};
    ccz_rc rc = pool_fits(cfg, v->pub, err);
    if (rc == CCZ_OK)
        rc = ccz_parallel(range, &work, v->len, GRAIN, cfg ? cfg->threads : 1, err);
    if (rc == CCZ_OK) /* else some items may have randomness, and others not */
        v->random = CCZI_RANDOM_FULL;
    CCZ_CT_PUBLIC(v->w, 8 * v->len * v->pub->len);
    return rc;
}
