/* SPDX-License-Identifier: Apache-2.0 */
/* Arrays of ciphertexts, kept in the form the arithmetic wants. */
#include "paillier/paillier_priv.h"

#include <stdlib.h>
#include <string.h>

ccz_rc cczi_no_memory(struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_NOMEM, "paillier:memory", 0, "out of memory");
}

uint64_t *cczi_resident_new(size_t values, size_t len)
{
    size_t words = values * len;
    if (len != 0 && words / len != values)
        return NULL;
    if (words > SIZE_MAX / 8 - 64)
        return NULL;
    size_t size = (8 * words + 63) / 64 * 64;
    uint64_t *w = aligned_alloc(64, size ? size : 64);
    if (w)
        memset(w, 0, size);
    return w;
}

void cczi_resident_free(uint64_t *w, size_t values, size_t len)
{
    if (w)
        ccz_wipe(w, 8 * values * len);
    free(w);
}

ccz_rc cczi_vec_new(struct ccz_paillier_vec **out, const struct ccz_paillier_pub *pub, size_t len,
                    struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO(ccz_paillier_vec) v = calloc(1, sizeof(*v));
    if (!v)
        return cczi_no_memory(err);
    v->pub = cczi_pub_ref(pub);
    v->len = len;
    v->pack = (struct ccz_paillier_packing){0, 1};
    v->w = cczi_resident_new(len, pub->len);
    if (!v->w)
        return cczi_no_memory(err);
    *out = ccz_paillier_vec_take(&v);
    return CCZ_OK;
}

void ccz_paillier_vec_free(struct ccz_paillier_vec *v)
{
    if (!v)
        return;
    /* An item without randomness is its plain number. */
    cczi_resident_free(v->w, v->len, v->pub->len);
    ccz_paillier_pub_free(v->pub);
    free(v);
}

size_t ccz_paillier_vec_len(const struct ccz_paillier_vec *v)
{
    return v->len;
}

int32_t ccz_paillier_vec_exponent(const struct ccz_paillier_vec *v)
{
    return v->exponent;
}

double ccz_paillier_vec_bound(const struct ccz_paillier_vec *v)
{
    return cczi_bound_log2(v->bound);
}

struct ccz_paillier_packing ccz_paillier_vec_packing(const struct ccz_paillier_vec *v)
{
    return v->pack;
}

bool ccz_paillier_vec_randomised(const struct ccz_paillier_vec *v)
{
    return v->random == CCZI_RANDOM_FULL;
}

void ccz_paillier_vec_taint(struct ccz_paillier_vec *v)
{
    v->random = CCZI_RANDOM_NONE;
}

/* ---------------------------------------------------------------------------------- match */

ccz_rc cczi_same_key(const struct ccz_paillier_pub *a, const struct ccz_paillier_pub *b,
                     struct ccz_err *err)
{
    if (a == b || memcmp(a->id, b->id, sizeof(a->id)) == 0)
        return CCZ_OK;
    return ccz_refuse_bytes(err, CCZ_E_MISMATCH, "paillier:key", b->id, sizeof(b->id), a->id,
                            sizeof(a->id));
}

/* Same key, exponent and packing. */
static ccz_rc same_kind(const struct ccz_paillier_vec *v, const struct ccz_paillier_vec *w,
                        struct ccz_err *err)
{
    ccz_rc rc = cczi_same_key(v->pub, w->pub, err);
    if (rc != CCZ_OK)
        return rc;
    if (v->exponent != w->exponent) {
        rc = ccz_refuse_num(err, CCZ_E_MISMATCH, "paillier:exponent", w->exponent, v->exponent);
        return ccz_hint(err, rc, "ccz_paillier_rescale() brings the larger down to the smaller");
    }
    if (v->pack.slot_bits != w->pack.slot_bits || v->pack.slots != w->pack.slots)
        return ccz_refuse_num(err, CCZ_E_MISMATCH, "paillier:packing", w->pack.slot_bits,
                              v->pack.slot_bits);
    return CCZ_OK;
}

ccz_rc cczi_vec_match(const struct ccz_paillier_vec *v, const struct ccz_paillier_vec *w,
                      struct ccz_err *err)
{
    ccz_rc rc = same_kind(v, w, err);
    if (rc == CCZ_OK && w->len != v->len && w->len != 1)
        rc = ccz_refuse_num(err, CCZ_E_MISMATCH, "paillier:len", (int64_t)w->len, (int64_t)v->len);
    return rc;
}

/* --------------------------------------------------------------------------------- copies */

/* An empty vec of @p len items that are as those of v. */
static ccz_rc new_like(struct ccz_paillier_vec **out, const struct ccz_paillier_vec *v, size_t len,
                       struct ccz_err *err)
{
    ccz_rc rc = cczi_vec_new(out, v->pub, len, err);
    if (rc != CCZ_OK)
        return rc;
    (*out)->exponent = v->exponent;
    (*out)->pack = v->pack;
    (*out)->bound = v->bound;
    (*out)->random = v->random;
    return CCZ_OK;
}

static void copy_items(struct ccz_paillier_vec *out, size_t to, const struct ccz_paillier_vec *v,
                       size_t from, size_t len)
{
    if (len > 0)
        memcpy(out->w + to * v->pub->len, v->w + from * v->pub->len, 8 * len * v->pub->len);
}

ccz_rc ccz_paillier_vec_slice(struct ccz_paillier_vec **out, const struct ccz_paillier_vec *v,
                              size_t from, size_t len, struct ccz_err *err)
{
    *out = NULL;
    if (from > v->len || len > v->len - from)
        return ccz_refuse_num(err, CCZ_E_ARG, "paillier:index", (int64_t)(from + len),
                              (int64_t)v->len);
    ccz_rc rc = new_like(out, v, len, err);
    if (rc == CCZ_OK)
        copy_items(*out, 0, v, from, len);
    return rc;
}

ccz_rc ccz_paillier_vec_gather(struct ccz_paillier_vec **out, const struct ccz_paillier_vec *v,
                               const size_t *index, size_t len, struct ccz_err *err)
{
    *out = NULL;
    for (size_t i = 0; i < len; i++)
        if (index[i] >= v->len)
            return ccz_refuse_num(err, CCZ_E_ARG, "paillier:index", (int64_t)index[i],
                                  (int64_t)v->len);
    ccz_rc rc = new_like(out, v, len, err);
    for (size_t i = 0; rc == CCZ_OK && i < len; i++)
        copy_items(*out, i, v, index[i], 1);
    return rc;
}

ccz_rc ccz_paillier_vec_concat(struct ccz_paillier_vec **out,
                               const struct ccz_paillier_vec *const *v, size_t len,
                               struct ccz_err *err)
{
    *out = NULL;
    size_t total = 0;
    if (len == 0)
        return ccz_refuse_num(err, CCZ_E_ARG, "paillier:len", 0, 1);
    for (size_t i = 0; i < len; i++) {
        ccz_rc rc = same_kind(v[0], v[i], err);
        if (rc != CCZ_OK)
            return rc;
        total += v[i]->len;
    }
    ccz_rc rc = new_like(out, v[0], total, err);
    for (size_t i = 0, at = 0; rc == CCZ_OK && i < len; at += v[i++]->len) {
        struct ccz_paillier_vec *o = *out;
        copy_items(o, at, v[i], 0, v[i]->len);
        o->bound = cczi_bound_fits(v[i]->bound, o->bound) ? o->bound : v[i]->bound;
        o->random = v[i]->random == CCZI_RANDOM_FULL ? o->random : CCZI_RANDOM_NONE;
    }
    return rc;
}

/* ------------------------------------------------------------------------------ untrusted */

/* A common factor of an item with n would be a factor of n: who sees a decryption of it, or of its
 * multiples, learns p. One inverse, of the product, finds out for all. */
static ccz_rc check_units(const struct ccz_paillier_vec *v, struct ccz_err *err)
{
    uint64_t product[CCZ_MONT_LEN_MAX];
    struct ccz_err inner;
    if (v->len == 0)
        return CCZ_OK;
    ccz_mont_product(v->pub->m, product, v->w, v->len);
    ccz_rc rc = ccz_mont_inv_var(v->pub->m, product, product, 1, &inner);
    if (rc == CCZ_E_FORMAT) {
        (void)ccz_refuse(err, CCZ_E_FORMAT, "paillier:c-gcd",
                         "a ciphertext that has a factor in common with n", "gcd(c, n) = 1");
        if (err)
            err->aux = -1;
        return CCZ_E_FORMAT;
    }
    return rc == CCZ_OK ? CCZ_OK : cczi_no_memory(err);
}

ccz_rc cczi_vec_load(struct ccz_paillier_vec *v, const uint8_t *residues, struct ccz_err *err)
{
    const size_t words = 2 * v->pub->words, size = 2 * v->pub->size;
    uint64_t c[2 * CCZI_PAI_WORDS_MAX];
    for (size_t i = 0; i < v->len; i++) {
        uint64_t any = 0;
        cczi_words_from_be(c, words, residues + i * size, size);
        for (size_t k = 0; k < words; k++)
            any |= c[k];
        if (any == 0 || !cczi_words_less(c, v->pub->square, words)) {
            (void)ccz_refuse(err, CCZ_E_FORMAT, "paillier:c-range", any == 0 ? "c = 0" : "c >= n^2",
                             "0 < c < n^2");
            if (err)
                err->aux = (int64_t)i;
            return CCZ_E_FORMAT;
        }
    }
    if (v->len > 0 && ccz_mont_from_bytes(v->pub->m, v->w, residues, size, v->len) != CCZ_OK)
        return cczi_no_memory(err);
    return check_units(v, err);
}
