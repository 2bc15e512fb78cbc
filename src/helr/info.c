/* SPDX-License-Identifier: Apache-2.0 */
/* The info message. Who sends it and who reads it stand side by side. */
#include "helr/helr_priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N_MAX = 32768, DATA_MAX = 6 };

static void put_double(struct ccz_buf *out, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof(bits));
    ccz_buf_le64(out, bits);
}

static double get_double(struct ccz_rd *r)
{
    uint64_t bits = ccz_rd_le64(r);
    double v;
    memcpy(&v, &bits, sizeof(v));
    return v;
}

static void put_name(struct ccz_buf *out, const char *name)
{
    ccz_buf_u8(out, (uint8_t)strlen(name));
    ccz_buf_put_str(out, name);
}

/* Printable or UTF-8 text without control characters, those from U+0080 on included: it is shown to users. */
static bool get_name(char out[CCZ_HELR_NAME_SIZE], struct ccz_rd *r, bool may_be_empty)
{
    struct ccz_span s = ccz_rd_take(r, ccz_rd_u8(r));
    if (r->bad || s.size >= CCZ_HELR_NAME_SIZE || (s.size == 0 && !may_be_empty))
        return false;
    for (size_t i = 0; i < s.size; i++)
        if (s.ptr[i] < 0x20 || s.ptr[i] == 0x7f ||
            (s.ptr[i] == 0xc2 && i + 1 < s.size && s.ptr[i + 1] < 0xa0))
            return false;
    if (s.size > 0)
        memcpy(out, s.ptr, s.size);
    out[s.size] = 0;
    return true;
}

void cczi_helr_put_info(struct ccz_buf *out, const struct ccz_helr_info *info,
                        const uint8_t params_id[CCZ_RLWE_PARAMS_ID_SIZE])
{
    const struct ccz_rlwe_cfg *ring = &info->ring;
    cczi_helr_put_head(out, CCZI_HELR_INFO);
    ccz_buf_put(out, params_id, CCZ_RLWE_PARAMS_ID_SIZE);
    ccz_buf_le32(out, (uint32_t)ring->n);
    ccz_buf_u8(out, (uint8_t)ring->data_len);
    ccz_buf_u8(out, (uint8_t)ring->special_len);
    ccz_buf_put(out, ring->bits, ring->data_len + ring->special_len);
    ccz_buf_u8(out, (uint8_t)info->scale_bits);
    ccz_buf_u8(out, (uint8_t)info->degree);
    ccz_buf_u8(out, info->encrypted_model);
    put_double(out, info->radius);
    put_name(out, info->name);
    ccz_buf_le32(out, (uint32_t)info->features_len);
    for (size_t i = 0; i < info->features_len; i++) {
        put_name(out, info->features[i].name);
        put_double(out, info->features[i].mean);
        put_double(out, info->features[i].scale);
    }
}

static bool get_ring(struct ccz_rlwe_cfg *ring, struct ccz_rd *r)
{
    ring->n = ccz_rd_le32(r);
    ring->data_len = ccz_rd_u8(r);
    ring->special_len = ccz_rd_u8(r);
    size_t primes = ring->data_len + ring->special_len;
    /* tables and keys grow with these: a server cannot make a client fill its memory */
    if (r->bad || ring->n > N_MAX || ring->data_len > DATA_MAX || ring->special_len > 1)
        return false;
    ccz_rd_copy(r, ring->bits, primes);
    return !r->bad;
}

static bool get_features(struct ccz_helr_info *out, struct ccz_rd *r)
{
    size_t len = ccz_rd_le32(r);
    /* each has at least 18 bytes, so memory stays in proportion to the message */
    if (r->bad || len > CCZ_HELR_FEATURES_MAX || len > r->left / 18 ||
        (len == 0) != out->encrypted_model)
        return false;
    out->features = calloc(len + 1, sizeof(*out->features));
    if (!out->features)
        return false;
    out->features_len = len;
    for (size_t i = 0; i < len; i++) {
        struct ccz_helr_feature *f = &out->features[i];
        if (!get_name(f->name, r, false))
            return false;
        f->mean = get_double(r);
        f->scale = get_double(r);
        if (!isfinite(f->mean) || !isfinite(f->scale) || !(f->scale > 0))
            return false;
    }
    return ccz_rd_done(r);
}

ccz_rc cczi_helr_get_info(struct ccz_helr_info *out, uint8_t params_id[CCZ_RLWE_PARAMS_ID_SIZE],
                          struct ccz_span msg, struct ccz_err *err)
{
    struct ccz_rd r;
    memset(out, 0, sizeof(*out));
    ccz_rc rc = cczi_helr_get_head(&r, msg, CCZI_HELR_INFO, CCZ_HELR_INFO_SIZE_MAX, err);
    if (rc != CCZ_OK)
        return rc;
    ccz_rd_copy(&r, params_id, CCZ_RLWE_PARAMS_ID_SIZE);
    bool ok = get_ring(&out->ring, &r);
    out->scale_bits = ccz_rd_u8(&r);
    out->degree = ccz_rd_u8(&r);
    unsigned encrypted = ccz_rd_u8(&r);
    out->encrypted_model = encrypted == 1;
    out->radius = get_double(&r);
    ok = ok && !r.bad && encrypted <= 1 && out->scale_bits == CCZI_HELR_SCALE_BITS &&
         (out->degree == 3 || out->degree == 5 || out->degree == 7) &&
         out->ring.data_len >= cczi_helr_primes(out->degree) && out->radius >= 1 &&
         out->radius <= CCZI_HELR_RADIUS_MAX && get_name(out->name, &r, out->encrypted_model) &&
         get_features(out, &r);
    if (ok)
        return CCZ_OK;
    cczi_helr_info_deinit(out);
    return ccz_fail(err, CCZ_E_FORMAT, "helr:info", (int64_t)msg.size,
                    "truncated, trailing bytes, or a value out of range");
}

void cczi_helr_info_deinit(struct ccz_helr_info *info)
{
    free(info->features);
    memset(info, 0, sizeof(*info));
}
