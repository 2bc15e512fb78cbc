/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates out of PEM text, each distinct one parsed and verified once: the root stands in each
 * of up to four chains, the signer and the PCK CA in two. Two are the same if their bytes are, the
 * signature included, so that what was found about one holds for the other.
 */
#include "quote/quote_priv.h"

#include <string.h>

static const char begin[] = "-----BEGIN CERTIFICATE-----", end[] = "-----END CERTIFICATE-----";

/* Size of a line end (LF or CR LF) in front of @p text, else 0. */
static size_t line_end(struct ccz_span text)
{
    if (text.size > 0 && text.ptr[0] == '\n')
        return 1;
    return text.size > 1 && text.ptr[0] == '\r' && text.ptr[1] == '\n' ? 2 : 0;
}

static bool starts_with(struct ccz_span text, const char *marker)
{
    size_t size = strlen(marker);
    return text.size >= size && memcmp(text.ptr, marker, size) == 0;
}

static struct ccz_span behind(struct ccz_span text, size_t size)
{
    return CCZ_SPAN(text.ptr + size, text.size - size);
}

bool cczi_pem_at_end(struct ccz_span *pem)
{
    while (pem->size > 0 && pem->ptr[pem->size - 1] == 0)
        pem->size--;
    for (size_t n; (n = line_end(*pem)) > 0;)
        *pem = behind(*pem, n);
    return pem->size == 0;
}

/* Is the base64 in @p body, from the end of the BEGIN line on, in lines of 64 characters (RFC 7468, section 2) or of 76
 * (RFC 2045, as in genuine quotes of 2020), the last one shorter, and are all line ends alike? */
static bool regular_lines(struct ccz_span body)
{
    const size_t eol = line_end(body);
    size_t width = 0;
    body = behind(body, eol);
    while (body.size > 0) {
        const uint8_t *nl = memchr(body.ptr, '\n', body.size);
        size_t line = nl ? (size_t)(nl - body.ptr) + 1 : 0;
        if (line <= eol) /* empty, or without an end */
            return false;
        size_t text = line - eol;
        bool cr = nl[-1] == '\r';
        if (cr != (eol == 2))
            return false;
        if (width == 0)
            width = text;
        if (text > width || (text < width && line < body.size))
            return false;
        body = behind(body, line);
    }
    return width == 64 || width == 76;
}

/* Quotes carry chains unsigned: any byte that does not become part of a certificate would be a
 * place to hide data, so that only line ends and final NULs (most quoting libraries count the C
 * string's end) may stand around, and lines break where everybody breaks them. Genuine quotes of 2021 have END and BEGIN in one line, so that
 * the block is cut out before it is read. The first dash behind the BEGIN line is that of END: there
 * is none in base64. */
static ccz_rc take_block(struct ccz_span *block, struct ccz_span *pem, struct ccz_err *err)
{
    struct ccz_span text = *pem;
    if (cczi_pem_at_end(&text)) {
        *pem = text;
        return ccz_fail(err, CCZ_E_NOT_FOUND, "pem:begin", 0, "no (further) certificate");
    }
    if (!starts_with(text, begin) || line_end(behind(text, sizeof(begin) - 1)) == 0)
        return ccz_fail(err, CCZ_E_FORMAT, "pem:text", 0, "text outside of certificates");
    struct ccz_span body = behind(text, sizeof(begin) - 1);
    const uint8_t *dash = memchr(body.ptr, '-', body.size);
    if (!dash || !starts_with(behind(text, (size_t)(dash - text.ptr)), end))
        return ccz_fail(err, CCZ_E_FORMAT, "pem:end", 0, "the certificate has no END line");
    if (!regular_lines(CCZ_SPAN(body.ptr, (size_t)(dash - body.ptr))))
        return ccz_fail(err, CCZ_E_FORMAT, "pem:lines", 0,
                        "the certificate is not in lines of 64 or 76 characters with equal ends");
    *block = CCZ_SPAN(text.ptr, (size_t)(dash - text.ptr) + sizeof(end) - 1);
    *pem = behind(text, block->size);
    return CCZ_OK;
}

static ccz_rc take_der(struct ccz_buf *der, struct ccz_span *pem, struct ccz_err *err)
{
    struct ccz_span rest = *pem, block;
    ccz_rc rc = take_block(&block, &rest, err);
    if (rc == CCZ_OK)
        rc = ccz_pem_next(der, &block, "CERTIFICATE", err);
    if (rc == CCZ_OK)
        *pem = rest;
    return rc;
}

ccz_rc cczi_pem_cert(struct ccz_cert **out, struct ccz_span *pem, struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO_BUF der;
    ccz_buf_init(&der, pem->size);
    ccz_rc rc = take_der(&der, pem, err);
    return rc == CCZ_OK ? ccz_cert_parse(out, ccz_buf_span(&der), err) : rc;
}

/* ------------------------------------------------------------------------------ collection */

static const struct cczi_seen *find(const struct cczi_certs *c, struct ccz_span der)
{
    for (size_t i = 0; i < c->len; i++) {
        if (ccz_span_eq(ccz_cert_der(c->seen[i].cert), der))
            return &c->seen[i];
    }
    return c->older ? find(c->older, der) : NULL;
}

ccz_rc cczi_certs_take(const struct ccz_cert **out, struct cczi_certs *c, struct ccz_span *pem,
                       struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO_BUF der;
    ccz_buf_init(&der, pem->size);
    ccz_rc rc = take_der(&der, pem, err);
    if (rc != CCZ_OK)
        return rc;
    const struct cczi_seen *known = find(c, ccz_buf_span(&der));
    if (known) {
        *out = known->cert;
        return CCZ_OK;
    }
    if (c->len == CCZI_CERTS_MAX)
        return ccz_fail(err, CCZ_E_LIMIT, "pem:certificates", CCZI_CERTS_MAX,
                        "too many certificates");
    rc = ccz_cert_parse(&c->seen[c->len].cert, ccz_buf_span(&der), err);
    if (rc == CCZ_OK)
        *out = c->seen[c->len++].cert;
    return rc;
}

static bool has_link(const struct cczi_certs *c, const struct ccz_cert *cert,
                     const struct ccz_cert *issuer)
{
    for (size_t i = 0; i < c->len; i++) {
        if (c->seen[i].cert == cert && c->seen[i].issuer == issuer)
            return true;
    }
    return c->older && has_link(c->older, cert, issuer);
}

ccz_rc cczi_certs_link(struct cczi_certs *c, struct cczi_sigs *sigs, const struct ccz_cert *cert,
                       const struct ccz_cert *issuer, const struct cczi_sig_refusal *refusal,
                       struct ccz_err *err)
{
    if (has_link(c, cert, issuer))
        return CCZ_OK;
    struct ccz_ecdsa_job job;
    ccz_rc rc = ccz_cert_issuer_job(&job, cert, issuer, err);
    if (rc != CCZ_OK)
        return rc;
    (void)cczi_sigs_add(sigs, &job, refusal);
    for (size_t i = 0; i < c->len; i++) {
        if (c->seen[i].cert == cert && !c->seen[i].issuer)
            c->seen[i].issuer = issuer;
    }
    return CCZ_OK;
}

void cczi_certs_free(struct cczi_certs *c)
{
    for (size_t i = 0; i < c->len; i++)
        ccz_cert_free(c->seen[i].cert);
    *c = (struct cczi_certs){0};
}
