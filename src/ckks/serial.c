/* SPDX-License-Identifier: Apache-2.0 */
/* Ciphertexts as bytes: rlwe's format with scale, bound and noise. */
#include "ckks_priv.h"

#include <math.h>
#include <string.h>

enum { META_SIZE = 24 };
#define SCALE_MIN 0x1p-1000 /* its inverse is a number */

size_t ccz_ckks_ct_size(const struct ccz_ckks_ct *ct)
{
    return ccz_rlwe_ct_size(&ct->ct, META_SIZE);
}

/* IEEE 754, little-endian */
static void put(uint8_t *out, double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof(bits));
    for (size_t i = 0; i < sizeof(bits); i++)
        out[i] = (uint8_t)(bits >> 8 * i);
}

static double get(struct ccz_rd *in)
{
    uint64_t bits = ccz_rd_le64(in);
    double x;
    memcpy(&x, &bits, sizeof(x));
    return x;
}

ccz_rc ccz_ckks_ct_write(struct ccz_buf *out, const struct ccz_ckks_ct *ct, struct ccz_err *err)
{
    uint8_t meta[META_SIZE];
    put(meta, ct->scale);
    put(meta + 8, ct->bound);
    put(meta + 16, ct->noise);
    return ccz_rlwe_ct_write(out, &ct->ct, CCZ_SPAN(meta, sizeof(meta)), err);
}

ccz_rc ccz_ckks_ct_read(struct ccz_ckks_ct *out, struct ccz_ckks_eval *e, struct ccz_span in,
                        const uint8_t *key_id, struct ccz_err *err)
{
    uint8_t meta[META_SIZE];
    if (out->ctx != e->ctx)
        return ccz_fail(err, CCZ_E_MISMATCH, "ckks:context", 0, "the output is of another context");
    ccz_rc rc = ccz_rlwe_ct_read(&out->ct, meta, sizeof(meta), e->work, in, key_id, err);
    if (rc != CCZ_OK)
        return rc;
    struct ccz_rd rd = ccz_rd_from(CCZ_SPAN(meta, sizeof(meta)));
    out->scale = get(&rd);
    out->bound = get(&rd);
    out->noise = get(&rd);
    /* numbers, none of them a zero with a sign: that would be a second form of one object */
    if (out->ct.ntt && out->scale >= SCALE_MIN && out->scale < CCZI_CKKS_SCALE_MAX &&
        out->bound >= 0 && !signbit(out->bound) && out->noise >= 0 && !signbit(out->noise) &&
        out->noise < CCZI_CKKS_SCALE_MAX &&
        cczi_ckks_fits(out->ctx, out->bound, out->ct.limbs, NULL) == CCZ_OK)
        return CCZ_OK;
    out->ct.parts = 0;
    return ccz_fail(err, CCZ_E_FORMAT, "ckks:meta", 0,
                    "scale %g, bound %g, noise %g: out of range for %zu primes", out->scale,
                    out->bound, out->noise, out->ct.limbs);
}
