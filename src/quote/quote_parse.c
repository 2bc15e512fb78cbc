/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Quote v3: Intel "SGX ECDSA QuoteLibReference DCAP API", appendix A.4. Quote v4 and v5: "TDX DCAP
 * Quoting Library API", appendix A.3. All integers little-endian.
 *
 *   header 48 | v5: body type u16, body size u32 | body | size u32, signature data | zero padding
 *   signed by the attestation key: everything before the size of the signature data
 */
#include "quote/quote_priv.h"

#include <string.h>

enum {
    HEADER_SIZE = 48,
    KEY_TYPE_P256 = 2,
    TEE_TYPE_SGX = 0,
    TEE_TYPE_TDX = 0x81,
    BODY_SGX = 1,
    BODY_TD_10 = 2,
    BODY_TD_15 = 3,
    CERT_PPID_CLEAR = 1,
    CERT_PPID_RSA2048 = 2,
    CERT_PPID_RSA3072 = 3,
    CERT_PCK_LEAF = 4,
    CERT_PCK_CHAIN = 5,
    CERT_QE_REPORT = 6,
};

/* The QE vendor whose quotes this module knows how to verify. */
static const uint8_t vendor_intel[16] = {0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9,
                                         0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07};

/* A.3 "Quote Header". The last field is user data, signed but without meaning here. */
static ccz_rc parse_header(struct ccz_quote *q, struct ccz_rd *r, struct ccz_err *err)
{
    q->header = CCZ_SPAN(r->ptr, HEADER_SIZE);
    q->version = ccz_rd_le16(r);
    uint16_t key_type = ccz_rd_le16(r);
    uint32_t tee_type = ccz_rd_le32(r); /* v3: reserved */
    uint32_t svns = ccz_rd_le32(r);     /* v3: QE SVN, PCE SVN; v4, v5: reserved */
    struct ccz_span vendor = ccz_rd_take(r, sizeof(vendor_intel));
    (void)ccz_rd_take(r, 20);
    if (r->bad)
        return ccz_fail(err, CCZ_E_FORMAT, "quote:header", 0, "shorter than a quote header");
    if (q->version < 3 || q->version > 5) {
        ccz_rc rc = ccz_refuse_num(err, CCZ_E_UNSUPPORTED, "quote:version", q->version, 3);
        return ccz_hint(err, rc, "quote versions 3, 4 and 5 are supported");
    }
    if (key_type != KEY_TYPE_P256)
        return ccz_refuse_num(err, CCZ_E_UNSUPPORTED, "quote:key-type", key_type, KEY_TYPE_P256);
    if (q->version == 3 && tee_type != 0)
        return ccz_refuse_num(err, CCZ_E_FORMAT, "quote:header-reserved", tee_type, 0);
    if (q->version > 3 && svns != 0)
        return ccz_refuse_num(err, CCZ_E_FORMAT, "quote:header-reserved", svns, 0);
    if (tee_type != TEE_TYPE_SGX && tee_type != TEE_TYPE_TDX)
        return ccz_refuse_num(err, CCZ_E_UNSUPPORTED, "quote:tee-type", tee_type, TEE_TYPE_TDX);
    q->tee = tee_type == TEE_TYPE_SGX ? CCZ_TEE_SGX : CCZ_TEE_TDX;
    if (memcmp(vendor.ptr, vendor_intel, sizeof(vendor_intel)) != 0)
        return ccz_refuse_bytes(err, CCZ_E_UNSUPPORTED, "quote:vendor", vendor.ptr, vendor.size,
                                vendor_intel, sizeof(vendor_intel));
    return CCZ_OK;
}

static size_t body_size(uint16_t type)
{
    switch (type) {
    case BODY_SGX:
        return CCZI_SGX_REPORT_SIZE;
    case BODY_TD_10:
        return CCZI_TD_REPORT_10_SIZE;
    case BODY_TD_15:
        return CCZI_TD_REPORT_15_SIZE;
    default:
        return 0;
    }
}

/* A.3 "Quote Body": v3 and v4 imply its type, v5 states it. */
static ccz_rc parse_body(struct ccz_quote *q, struct ccz_rd *r, struct ccz_err *err)
{
    uint32_t size;
    if (q->version < 5) {
        q->body_type = q->tee == CCZ_TEE_SGX ? BODY_SGX : BODY_TD_10;
        size = (uint32_t)body_size(q->body_type);
    } else {
        q->body_type = ccz_rd_le16(r);
        size = ccz_rd_le32(r);
        if (r->bad)
            return ccz_fail(err, CCZ_E_FORMAT, "quote:body", 0, "truncated before the body");
        if (body_size(q->body_type) == 0)
            return ccz_refuse_num(err, CCZ_E_UNSUPPORTED, "quote:body-type", q->body_type,
                                  BODY_TD_15);
        if (size != body_size(q->body_type))
            return ccz_refuse_num(err, CCZ_E_FORMAT, "quote:body-size", size,
                                  (int64_t)body_size(q->body_type));
        if ((q->body_type == BODY_SGX) != (q->tee == CCZ_TEE_SGX))
            return ccz_refuse(err, CCZ_E_FORMAT, "quote:body-tee",
                              q->body_type == BODY_SGX ? "sgx" : "tdx", ccz_tee_name(q->tee));
    }
    q->body = ccz_rd_take(r, size);
    return r->bad ? ccz_fail(err, CCZ_E_FORMAT, "quote:body", 0,
                             "shorter than its body of %u bytes", size)
                  : CCZ_OK;
}

/* QE report, signature, authentication data, certification data: v3 has them in line, v4 and v5
 * inside certification data of type 6. Everything must be used up. */
static ccz_rc parse_qe(struct ccz_quote *q, struct ccz_rd *r, struct ccz_err *err)
{
    q->qe_report = ccz_rd_take(r, CCZI_SGX_REPORT_SIZE);
    q->qe_signature = ccz_rd_take(r, 64);
    q->qe_auth = ccz_rd_take(r, ccz_rd_le16(r));
    q->cert_type = ccz_rd_le16(r);
    q->cert_data = ccz_rd_take(r, ccz_rd_le32(r));
    if (!ccz_rd_done(r))
        return ccz_fail(err, CCZ_E_FORMAT, "quote:signature-data", (int64_t)r->left,
                        "lengths inside the signature data do not add up to its size");
    return CCZ_OK;
}

static ccz_rc parse_signature_data(struct ccz_quote *q, struct ccz_span data, struct ccz_err *err)
{
    struct ccz_rd r = ccz_rd_from(data);
    q->signature = ccz_rd_take(&r, 64);
    q->attest_key = ccz_rd_take(&r, 64);
    if (q->version == 3)
        return parse_qe(q, &r, err);
    uint16_t type = ccz_rd_le16(&r);
    struct ccz_rd inner = ccz_rd_from(ccz_rd_take(&r, ccz_rd_le32(&r)));
    if (!ccz_rd_done(&r))
        return ccz_fail(err, CCZ_E_FORMAT, "quote:signature-data", (int64_t)r.left,
                        "lengths inside the signature data do not add up to its size");
    if (type != CERT_QE_REPORT)
        return ccz_refuse_num(err, CCZ_E_UNSUPPORTED, "quote:qe-certification", type,
                              CERT_QE_REPORT);
    return parse_qe(q, &inner, err);
}

/* A.4 "QE Certification Data". Types 1 to 3 are PPID | CPUSVN 16 | PCESVN 2 | PCEID 2 and only tell
 * which PCK certificate to fetch; the signature of the QE report shows whether it is the right one.
 */
static ccz_rc check_certification(const struct ccz_quote *q, struct ccz_err *err)
{
    size_t size = q->cert_data.size, want = size;
    switch (q->cert_type) {
    case CERT_PPID_CLEAR:
        want = size == 34 ? 34 : 36; /* Intel's own samples leave PCEID out */
        break;
    case CERT_PPID_RSA2048:
        want = 256 + 20;
        break;
    case CERT_PPID_RSA3072:
        want = 384 + 20;
        break;
    case CERT_PCK_LEAF:
    case CERT_PCK_CHAIN:
        break;
    default:
        return ccz_refuse_num(err, CCZ_E_UNSUPPORTED, "quote:certification-type", q->cert_type,
                              CERT_PCK_CHAIN);
    }
    if (size != want)
        return ccz_refuse_num(err, CCZ_E_FORMAT, "quote:certification-size", (int64_t)size,
                              (int64_t)want);
    return CCZ_OK;
}

/* Quoting libraries hand out fixed buffers, so zeros may follow; anything else would be unsigned
 * content. */
static ccz_rc check_trailing(const struct ccz_quote *q, struct ccz_err *err)
{
    for (size_t i = 0; i < q->trailing.size; i++) {
        if (q->trailing.ptr[i] != 0)
            return ccz_fail(err, CCZ_E_FORMAT, "quote:trailing", (int64_t)i,
                            "byte 0x%02x behind the signature data, expected zero padding only",
                            q->trailing.ptr[i]);
    }
    return CCZ_OK;
}

ccz_rc ccz_quote_parse(struct ccz_quote *out, struct ccz_span in, struct ccz_err *err)
{
    *out = (struct ccz_quote){0};
    if (in.size > CCZ_QUOTE_SIZE_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "quote:size", (int64_t)in.size, CCZ_QUOTE_SIZE_MAX);
    struct ccz_quote q = {0};
    struct ccz_rd r = ccz_rd_from(in);
    ccz_rc rc = parse_header(&q, &r, err);
    if (rc == CCZ_OK)
        rc = parse_body(&q, &r, err);
    if (rc != CCZ_OK)
        return rc;
    q.signed_bytes = CCZ_SPAN(in.ptr, in.size - r.left);
    struct ccz_span data = ccz_rd_take(&r, ccz_rd_le32(&r));
    if (r.bad)
        return ccz_fail(err, CCZ_E_FORMAT, "quote:signature-size", 0,
                        "truncated inside the signature data");
    q.trailing = CCZ_SPAN(r.ptr, r.left);
    rc = parse_signature_data(&q, data, err);
    if (rc == CCZ_OK)
        rc = check_certification(&q, err);
    if (rc == CCZ_OK)
        rc = check_trailing(&q, err);
    if (rc == CCZ_OK)
        *out = q;
    return rc;
}

struct ccz_span ccz_quote_report_data(const struct ccz_quote *q)
{
    enum { SGX_REPORT_DATA = 320, TD_REPORT_DATA = 520 };
    return ccz_span_sub(q->body, q->tee == CCZ_TEE_SGX ? SGX_REPORT_DATA : TD_REPORT_DATA, 64);
}
