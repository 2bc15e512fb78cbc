/* SPDX-License-Identifier: Apache-2.0 */
/* RFC 8949 section 3 (heads), 4.2.1 (the deterministic encoding is the only one accepted). */
#include "codec/codec_priv.h"

enum {
    CBOR_SIMPLE = 7, /* major type of false, true, null, undefined, floats */
    CBOR_DEPTH_MAX = 16,
};

/* Any head. Additional information 28..30 is reserved, 31 means indefinite length. */
static uint64_t head_any(unsigned *major, unsigned *info, struct ccz_rd *r)
{
    uint8_t first = ccz_rd_u8(r);
    *major = first >> 5;
    *info = first & 0x1f;
    switch (*info) {
    case 24:
        return ccz_rd_u8(r);
    case 25:
        return ccz_rd_be16(r);
    case 26:
        return ccz_rd_be32(r);
    case 27:
        return ccz_rd_be64(r);
    default:
        if (*info > 23)
            r->bad = true;
        return *info;
    }
}

/* True if @p arg is written in the fewest bytes (4.2.1). */
static bool head_minimal(unsigned info, uint64_t arg)
{
    static const uint64_t least[] = {24, 0x100, 0x10000, 0x100000000}; /* for info 24..27 */
    return info < 24 || arg >= least[info - 24];
}

uint64_t ccz_cbor_head(struct ccz_rd *r, enum ccz_cbor_type want)
{
    unsigned major, info;
    uint64_t arg = head_any(&major, &info, r);
    if (r->bad || major != (unsigned)want || !head_minimal(info, arg)) {
        r->bad = true;
        return 0;
    }
    return arg;
}

struct ccz_span ccz_cbor_string(struct ccz_rd *r, enum ccz_cbor_type want)
{
    if (want != CCZ_CBOR_BYTES && want != CCZ_CBOR_TEXT) {
        r->bad = true;
        return (struct ccz_span){0};
    }
    struct ccz_span s = ccz_rd_take(r, ccz_cbor_head(r, want));
    if (want == CCZ_CBOR_TEXT && !ccz_utf8_ok(s)) { /* 5.3.1: a text string must be UTF-8 */
        r->bad = true;
        return (struct ccz_span){0};
    }
    return s;
}

/* Takes one head with its string bytes, if any. @return number of items inside */
static uint64_t skip_one(struct ccz_rd *r)
{
    unsigned major = r->left > 0 ? r->ptr[0] >> 5 : 0, info;
    uint64_t arg;
    switch (major) {
    case CCZ_CBOR_BYTES:
    case CCZ_CBOR_TEXT:
        (void)ccz_cbor_string(r, (enum ccz_cbor_type)major);
        return 0;
    case CBOR_SIMPLE:
        arg = head_any(&major, &info, r);
        if (info == 24 && arg < 32) /* 3.3: not well formed; floats (25..27) carry plain bits */
            r->bad = true;
        return 0;
    case CCZ_CBOR_UINT:
    case CCZ_CBOR_NEGINT:
        (void)ccz_cbor_head(r, (enum ccz_cbor_type)major);
        return 0;
    case CCZ_CBOR_TAG:
        (void)ccz_cbor_head(r, CCZ_CBOR_TAG);
        return 1;
    default: /* array or map */
        arg = ccz_cbor_head(r, (enum ccz_cbor_type)major);
        if (arg > r->left) /* every item takes a byte; this also keeps 2 * arg in range */
            r->bad = true;
        return major == CCZ_CBOR_MAP ? 2 * arg : arg;
    }
}

void ccz_cbor_skip(struct ccz_rd *r)
{
    uint64_t open[CBOR_DEPTH_MAX] = {0}; /* items still to come at each level */
    size_t depth = 0;
    do {
        uint64_t inside = skip_one(r);
        if (r->bad)
            return;
        if (inside > 0) {
            if (depth == CBOR_DEPTH_MAX) {
                r->bad = true;
                return;
            }
            open[depth++] = inside;
            continue;
        }
        while (depth > 0 && --open[depth - 1] == 0) /* the item may close several levels */
            depth--;
    } while (depth > 0);
}

void ccz_cbor_put_head(struct ccz_buf *out, enum ccz_cbor_type type, uint64_t arg)
{
    uint8_t major = (uint8_t)((unsigned)type << 5);
    if (arg < 24) {
        ccz_buf_u8(out, (uint8_t)(major | arg));
    } else if (arg <= UINT8_MAX) {
        ccz_buf_u8(out, major | 24);
        ccz_buf_u8(out, (uint8_t)arg);
    } else if (arg <= UINT16_MAX) {
        ccz_buf_u8(out, major | 25);
        ccz_buf_be16(out, (uint16_t)arg);
    } else if (arg <= UINT32_MAX) {
        ccz_buf_u8(out, major | 26);
        ccz_buf_be32(out, (uint32_t)arg);
    } else {
        ccz_buf_u8(out, major | 27);
        ccz_buf_be64(out, arg);
    }
}

void ccz_cbor_put_string(struct ccz_buf *out, enum ccz_cbor_type type, struct ccz_span s)
{
    ccz_cbor_put_head(out, type, s.size);
    ccz_buf_put_span(out, s);
}
