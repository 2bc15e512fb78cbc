/* SPDX-License-Identifier: Apache-2.0 */
/* Packing of ciphertexts: c_0 c_1^(2^s) c_2^(2^2s) .. holds their numbers in slots of s bits. */
#include "paillier/paillier_priv.h"

#include <string.h>

enum { GRAIN = 8 };

struct work {
    struct ccz_paillier_vec *out;
    const struct ccz_paillier_vec *v;
};

/* Horner's rule from the last slot to the first, results side by side. */
static ccz_rc range(void *arg, size_t from, size_t len, struct ccz_err *err)
{
    const struct work *work = arg;
    const struct ccz_paillier_vec *v = work->v;
    const struct ccz_paillier_packing pack = work->out->pack;
    const size_t words = v->pub->len;
    uint64_t *out = work->out->w + from * words, *next = cczi_resident_new(len, words);
    if (!next)
        return cczi_no_memory(err);
    for (size_t i = 0; i < len; i++)
        ccz_mont_one(v->pub->m, out + i * words);
    for (size_t slot = pack.slots; slot-- > 0;) {
        size_t have = 0; /* only the last result may lack an item for a slot */
        for (size_t i = 0; i < len; i++) {
            size_t at = (from + i) * pack.slots + slot;
            if (at < v->len)
                memcpy(next + have++ * words, v->w + at * words, 8 * words);
        }
        if (slot + 1 < pack.slots)
            for (unsigned k = 0; k < pack.slot_bits; k++)
                ccz_mont_sqr(v->pub->m, out, out, len);
        ccz_mont_mul(v->pub->m, out, out, next, have);
    }
    cczi_resident_free(next, len, words);
    return CCZ_OK;
}

ccz_rc ccz_paillier_squeeze(struct ccz_paillier_vec **out, const struct ccz_paillier_vec *v,
                            struct ccz_paillier_packing pack, unsigned threads, struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO(ccz_paillier_vec) o = NULL;
    if (v->pack.slot_bits)
        return ccz_fail(err, CCZ_E_MISMATCH, "paillier:packing", v->pack.slot_bits,
                        "these ciphertexts are packed already");
    ccz_rc rc = cczi_packing_check(&pack, v->pub, err);
    if (rc != CCZ_OK)
        return rc;
    struct cczi_bound limit = cczi_limit(v->pub, pack);
    if (!cczi_bound_fits(v->bound, limit))
        return cczi_overflow(err, v->bound, limit);
    rc = cczi_vec_new(&o, v->pub, (v->len + pack.slots - 1) / pack.slots, err);
    if (rc != CCZ_OK)
        return rc;
    o->pack = pack;
    o->exponent = v->exponent;
    o->bound = v->bound;
    o->random = v->random;
    struct work work = {o, v};
    rc = ccz_parallel(range, &work, o->len, GRAIN, threads, err);
    if (rc == CCZ_OK)
        *out = ccz_paillier_vec_take(&o);
    return rc;
}
