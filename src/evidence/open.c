/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a file is. Text and bytes cannot be confused: quotes, reports and DER all have bytes below
 * 0x20 that no text has (version fields, tags of integers).
 */
#include "evidence_priv.h"

#include <cczoo/codec.h>

#include <stdlib.h>
#include <string.h>

const char *ccz_evidence_kind_name(enum ccz_evidence_kind k)
{
    switch (k) {
    case CCZ_EVIDENCE_NONE:
        return "none";
    case CCZ_EVIDENCE_QUOTE:
        return "quote";
    case CCZ_EVIDENCE_SNP_REPORT:
        return "snp-report";
    }
    return "none";
}

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_text(struct ccz_span s)
{
    for (size_t i = 0; i < s.size; i++)
        if ((s.ptr[i] < ' ' && !is_space(s.ptr[i])) || s.ptr[i] == 0x7f)
            return false;
    return true;
}

static bool contains(struct ccz_span s, const char *what)
{
    size_t size = strlen(what);
    for (size_t i = 0; i + size <= s.size; i++)
        if (memcmp(s.ptr + i, what, size) == 0)
            return true;
    return false;
}

/* ---------------------------------------------------------------------------------- text */

static bool is_hex(struct ccz_span s)
{
    for (size_t i = 0; i < s.size; i++)
        if (!memchr("0123456789abcdefABCDEF", s.ptr[i], 22))
            return false;
    return s.size % 2 == 0;
}

/* Hex or base64, whichever it can be: all of our binary formats have letters above F in base64. */
static ccz_rc decode(struct ccz_buf *out, const char **encoding, struct ccz_span text,
                     struct ccz_err *err)
{
    CCZ_AUTO_BUF packed;
    ccz_buf_init(&packed, text.size);
    bool url = false;
    for (size_t i = 0; i < text.size; i++) {
        if (!is_space(text.ptr[i]))
            ccz_buf_u8(&packed, text.ptr[i]);
        url = url || text.ptr[i] == '-' || text.ptr[i] == '_';
    }
    struct ccz_span s = ccz_buf_span(&packed);
    if (s.size >= 2 && s.ptr[0] == '0' && (s.ptr[1] == 'x' || s.ptr[1] == 'X'))
        s = ccz_span_sub(s, 2, s.size - 2);
    if (s.size == 0)
        return ccz_fail(err, CCZ_E_FORMAT, "evidence:empty", 0, "nothing but white space");
    ccz_buf_init(out, CCZ_EVIDENCE_FILE_MAX);
    if (is_hex(s)) {
        *encoding = "hex";
        uint8_t *to = ccz_buf_extend(out, s.size / 2);
        return to ? ccz_unhex(to, s.size / 2, (const char *)s.ptr, s.size) : CCZ_E_NOMEM;
    }
    *encoding = "base64";
    bool padded = s.size > 0 && s.ptr[s.size - 1] == '=';
    ccz_rc rc = ccz_base64_get(
        out, s, url || (!padded && s.size % 4) ? CCZ_BASE64_URL : CCZ_BASE64_STD, NULL);
    if (rc != CCZ_OK)
        return ccz_refuse(err, CCZ_E_FORMAT, "evidence:text", "some other text",
                          "PEM, JSON, hex or base64");
    return CCZ_OK;
}

/* The end entity comes first, as in TLS. */
static ccz_rc decode_pem(struct ccz_buf *out, struct ccz_span text, struct ccz_err *err)
{
    static const char *const labels[] = {"CERTIFICATE", "TRUSTED CERTIFICATE"};
    ccz_rc rc = CCZ_E_NOT_FOUND;
    for (size_t i = 0; i < 2 && rc == CCZ_E_NOT_FOUND; i++) {
        struct ccz_span rest = text;
        ccz_buf_init(out, CCZ_EVIDENCE_FILE_MAX);
        rc = ccz_pem_next(out, &rest, labels[i], err);
    }
    if (rc == CCZ_E_NOT_FOUND)
        return ccz_refuse(err, CCZ_E_FORMAT, "evidence:pem", "PEM of something else",
                          "CERTIFICATE or TRUSTED CERTIFICATE");
    return rc;
}

static ccz_rc decode_json(struct ccz_buf *out, struct ccz_span text, struct ccz_err *err)
{
    CCZ_AUTO(ccz_json) json = NULL;
    const char *inner;
    ccz_rc rc = ccz_json_parse(&json, text, err);
    if (rc != CCZ_OK)
        return rc;
    struct ccz_span quote = ccz_json_bytes(ccz_json_get(json, "quote"));
    if (quote.size == 0)
        return ccz_refuse(err, CCZ_E_FORMAT, "evidence:json", "no such member",
                          "a member \"quote\" in hex or base64");
    return decode(out, &inner, quote, err);
}

static ccz_rc decode_text(struct ccz_buf *out, const char **encoding, struct ccz_span text,
                          struct ccz_err *err)
{
    size_t skip = 0;
    while (skip < text.size && is_space(text.ptr[skip]))
        skip++;
    if (contains(text, "-----BEGIN ")) {
        *encoding = "pem";
        return decode_pem(out, text, err);
    }
    if (skip < text.size && text.ptr[skip] == '{') {
        *encoding = "json";
        return decode_json(out, text, err);
    }
    return decode(out, encoding, text, err);
}

/* --------------------------------------------------------------------------------- bytes */

/* Quotes: version u16 3 to 5, then the type of the attestation key, never 0. Reports: version u32 2 to 5. */
static enum ccz_evidence_kind kind_of(struct ccz_span s)
{
    struct ccz_rd r = ccz_rd_from(s);
    uint16_t version = ccz_rd_le16(&r), next = ccz_rd_le16(&r);
    if (r.bad || version < 2 || version > 5)
        return CCZ_EVIDENCE_NONE;
    if (next == 0)
        return CCZ_EVIDENCE_SNP_REPORT;
    return version >= 3 ? CCZ_EVIDENCE_QUOTE : CCZ_EVIDENCE_NONE;
}

static ccz_rc open_cert(struct ccz_evidence *e, struct ccz_err *err)
{
    ccz_rc rc = ccz_cert_parse(&e->cert, ccz_buf_span(&e->bytes), err);
    ccz_buf_clear(&e->bytes);
    if (rc == CCZ_OK)
        e->cert_rc = ccz_ratls_cert_evidence(&e->found, e->cert, &e->cert_err);
    return rc;
}

static ccz_rc open_bytes(struct ccz_evidence *e, struct ccz_err *err)
{
    enum { DER_SEQUENCE_LONG = 0x80 };
    struct ccz_span s = ccz_buf_span(&e->bytes);
    if (s.size > 1 && s.ptr[0] == CCZ_DER_SEQUENCE && s.ptr[1] > DER_SEQUENCE_LONG)
        return open_cert(e, err);
    if (kind_of(s) == CCZ_EVIDENCE_NONE) {
        (void)ccz_refuse_bytes(err, CCZ_E_FORMAT, "evidence:kind", s.ptr, s.size < 4 ? s.size : 4,
                               NULL, 0);
        return ccz_hint(err, CCZ_E_FORMAT,
                        "quotes of version 3 to 5, SNP reports and certificates are known");
    }
    return CCZ_OK;
}

ccz_rc ccz_evidence_open(struct ccz_evidence **out, struct ccz_span file, struct ccz_err *err)
{
    *out = NULL;
    if (file.size > CCZ_EVIDENCE_FILE_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "evidence:size", (int64_t)file.size,
                              CCZ_EVIDENCE_FILE_MAX);
    if (file.size == 0)
        return ccz_fail(err, CCZ_E_FORMAT, "evidence:empty", 0, "the file is empty");
    CCZ_AUTO(ccz_evidence) e = calloc(1, sizeof(*e));
    if (!e)
        return ccz_fail(err, CCZ_E_NOMEM, "evidence:memory", 0, "out of memory");
    ccz_buf_init(&e->bytes, CCZ_EVIDENCE_FILE_MAX);
    ccz_rc rc = CCZ_OK;
    if (is_text(file)) {
        rc = decode_text(&e->bytes, &e->encoding, file, err);
    } else {
        e->encoding = "binary";
        ccz_buf_put_span(&e->bytes, file);
    }
    if (rc == CCZ_OK && e->bytes.bad)
        rc = ccz_fail(err, CCZ_E_NOMEM, "evidence:memory", 0, "out of memory");
    if (rc == CCZ_OK)
        rc = open_bytes(e, err);
    if (rc == CCZ_OK)
        *out = ccz_evidence_take(&e);
    return rc;
}

void ccz_evidence_free(struct ccz_evidence *e)
{
    if (!e)
        return;
    ccz_buf_free(&e->bytes);
    ccz_cert_free(e->cert);
    free(e);
}

enum ccz_evidence_kind ccz_evidence_kind(const struct ccz_evidence *e)
{
    return kind_of(ccz_evidence_bytes(e));
}

struct ccz_span ccz_evidence_bytes(const struct ccz_evidence *e)
{
    return e->cert ? e->found.quote : ccz_buf_span(&e->bytes);
}

const struct ccz_cert *ccz_evidence_cert(const struct ccz_evidence *e)
{
    return e->cert;
}

ccz_rc ccz_evidence_appraise(struct ccz_claims *claims, const struct ccz_evidence *e,
                             ccz_ratls_appraise_fn appraise, void *appraise_arg,
                             struct ccz_err *err)
{
    return e->cert ? ccz_ratls_cert_verify(claims, e->cert, appraise, appraise_arg, err)
                   : appraise(appraise_arg, claims, ccz_evidence_bytes(e), err);
}
