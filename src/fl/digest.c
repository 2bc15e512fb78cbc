/* SPDX-License-Identifier: Apache-2.0 */
/* The digest of a model: a hash over the hashes of its pieces, so that several of them are made side by side. */
#include "fl/fl_priv.h"

#include <string.h>

static const char LABEL[] = "cczoo fl model 1";
enum { PIECE = 1 << 20, SIDE_BY_SIDE = 16 };

static ccz_rc failed(ccz_rc rc, struct ccz_err *err)
{
    return rc == CCZ_OK ? rc : ccz_fail(err, rc, "fl:hash", 0, "hashing failed");
}

ccz_rc cczi_hfl_digest_begin(struct cczi_hfl_digest *d, const struct ccz_fl_layout *l,
                             uint64_t round, struct ccz_err *err)
{
    uint8_t le[8];
    for (unsigned i = 0; i < 8; i++)
        le[i] = (uint8_t)(round >> (8 * i));
    cczi_hfl_digest_free(d);
    ccz_rc rc = ccz_hasher_new(&d->all, CCZ_SHA256);
    d->size = (size_t)l->len * sizeof(float);
    if (rc == CCZ_OK)
        rc = ccz_hasher_put(d->all, CCZ_SPAN(LABEL, sizeof(LABEL)));
    if (rc == CCZ_OK)
        rc = ccz_hasher_put(d->all, CCZ_SPAN(l->digest, sizeof(l->digest)));
    if (rc == CCZ_OK)
        rc = ccz_hasher_put(d->all, CCZ_SPAN(le, sizeof(le)));
    return failed(rc, err);
}

/* The next pieces, all of @p size bytes. */
static ccz_rc put_pieces(struct cczi_hfl_digest *d, const float *params, size_t size, size_t len)
{
    uint8_t h[SIDE_BY_SIDE][CCZ_FL_DIGEST_SIZE];
    ccz_rc rc = ccz_sha256_each(h, (const uint8_t *)params + d->done, size, len);
    d->done += size * len;
    return rc == CCZ_OK ? ccz_hasher_put(d->all, CCZ_SPAN(h, len * sizeof(h[0]))) : rc;
}

ccz_rc cczi_hfl_digest_upto(struct cczi_hfl_digest *d, const float *params, uint64_t have,
                            struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    bool all = have == d->size;
    while (rc == CCZ_OK && d->done < have) {
        size_t pieces = ((size_t)have - d->done) / PIECE;
        if (!all && pieces < SIDE_BY_SIDE)
            break; /* later, with others */
        if (pieces == 0)
            rc = put_pieces(d, params, d->size - d->done, 1);
        else
            rc = put_pieces(d, params, PIECE, pieces < SIDE_BY_SIDE ? pieces : SIDE_BY_SIDE);
    }
    return failed(rc, err);
}

ccz_rc cczi_hfl_digest_end(uint8_t out[CCZ_FL_DIGEST_SIZE], struct cczi_hfl_digest *d,
                           struct ccz_err *err)
{
    return failed(d->done == d->size ? ccz_hasher_done(out, d->all) : CCZ_E_INTERNAL, err);
}

void cczi_hfl_digest_free(struct cczi_hfl_digest *d)
{
    ccz_hasher_free(d->all);
    *d = (struct cczi_hfl_digest){0};
}

ccz_rc ccz_fl_model_digest(uint8_t out[CCZ_FL_DIGEST_SIZE], const struct ccz_fl_layout *l,
                           uint64_t round, const float *params, struct ccz_err *err)
{
    struct cczi_hfl_digest d = {0};
    ccz_rc rc = cczi_hfl_digest_begin(&d, l, round, err);
    if (rc == CCZ_OK)
        rc = cczi_hfl_digest_upto(&d, params, d.size, err);
    if (rc == CCZ_OK)
        rc = cczi_hfl_digest_end(out, &d, err);
    cczi_hfl_digest_free(&d);
    if (rc != CCZ_OK)
        memset(out, 0, CCZ_FL_DIGEST_SIZE);
    return rc;
}

/* What a signature is over: never the same bytes as those of another use of the key. */
static const char SIGNED[] = "cczoo fl signed model 1";

ccz_rc cczi_hfl_sign(uint8_t sig[64], const struct ccz_key *key,
                     const uint8_t digest[CCZ_FL_DIGEST_SIZE], struct ccz_err *err)
{
    const struct ccz_span parts[] = {CCZ_SPAN(SIGNED, sizeof(SIGNED)),
                                     CCZ_SPAN(digest, CCZ_FL_DIGEST_SIZE)};
    ccz_rc rc = ccz_ecdsa_sign(sig, key, parts, 2);
    return rc == CCZ_OK ? rc : ccz_fail(err, rc, "fl:sign", 0, "the model cannot be signed");
}

ccz_rc cczi_hfl_verify(const struct ccz_key *key, struct ccz_span sig,
                       const uint8_t digest[CCZ_FL_DIGEST_SIZE], struct ccz_err *err)
{
    const struct ccz_span parts[] = {CCZ_SPAN(SIGNED, sizeof(SIGNED)),
                                     CCZ_SPAN(digest, CCZ_FL_DIGEST_SIZE)};
    if (ccz_ecdsa_verify(key, sig.ptr, sig.size, parts, 2) == CCZ_OK)
        return CCZ_OK;
    return ccz_fail(err, CCZ_E_SIG, "fl:model-signature", (int64_t)sig.size,
                    "the model is not signed by the server's key");
}
