/* SPDX-License-Identifier: Apache-2.0 */
/* One document of a bundle as a server delivers it: body, issuer chain header, dates. */
#include "pcs/pcs_priv.h"

#include <cczoo/codec.h>
#include <cczoo/x509.h>

#include <string.h>

static const struct rule {
    enum cczi_part body;
    int chain; /* part, -1 = none */
    const char *headers[2], *member;
} rules[CCZI_DOCS] = {
    [CCZI_DOC_TCB] = {CCZI_TCB_INFO,
                      CCZI_TCB_CHAIN,
                      {"TCB-Info-Issuer-Chain", "SGX-TCB-Info-Issuer-Chain"},
                      "tcbInfo"},
    [CCZI_DOC_QE] = {CCZI_QE_IDENTITY,
                     CCZI_QE_CHAIN,
                     {"SGX-Enclave-Identity-Issuer-Chain", NULL},
                     "enclaveIdentity"},
    [CCZI_DOC_PCK_CRL] = {CCZI_PCK_CRL, CCZI_CRL_CHAIN, {"SGX-PCK-CRL-Issuer-Chain", NULL}, NULL},
    [CCZI_DOC_ROOT_CRL] = {CCZI_ROOT_CRL, -1, {NULL, NULL}, NULL},
};

enum cczi_part cczi_doc_body(enum cczi_doc doc)
{
    return rules[doc].body;
}

int cczi_doc_chain(enum cczi_doc doc)
{
    return rules[doc].chain;
}

void cczi_document_init(struct cczi_document *d)
{
    *d = (struct cczi_document){0};
    ccz_buf_init(&d->body, CCZ_COLLATERAL_SIZE_MAX);
    ccz_buf_init(&d->chain, CCZ_COLLATERAL_SIZE_MAX);
}

void cczi_document_free(struct cczi_document *d)
{
    ccz_buf_free(&d->body);
    ccz_buf_free(&d->chain);
}

/* ------------------------------------------------------------------------------ percent */

static int digit(uint8_t c)
{
    uint8_t low = c | 0x20;
    return c >= '0' && c <= '9' ? c - '0' : low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
}

ccz_rc cczi_unescape(struct ccz_buf *out, struct ccz_span text, struct ccz_err *err)
{
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.ptr[i];
        if (c == '%') {
            int hi = text.size - i > 2 ? digit(text.ptr[i + 1]) : -1;
            int lo = text.size - i > 2 ? digit(text.ptr[i + 2]) : -1;
            if (hi < 0 || lo < 0)
                return ccz_fail(err, CCZ_E_FORMAT, "pcs:chain-header", (int64_t)i,
                                "malformed escape at byte %zu of the issuer chain", i);
            c = (uint8_t)(hi << 4 | lo);
            i += 2;
        }
        ccz_buf_u8(out, c);
    }
    if (out->bad)
        return ccz_fail(err, CCZ_E_LIMIT, "pcs:chain-header", (int64_t)text.size,
                        "the issuer chain is too large");
    return CCZ_OK;
}

/* ------------------------------------------------------------------------------- dates */

static ccz_rc fail_document(struct ccz_err *err, const char *what)
{
    return ccz_fail(err, CCZ_E_FORMAT, "pcs:document", 0, "the answer is no %s", what);
}

static ccz_rc json_dates(struct cczi_document *d, const char *member, struct ccz_err *err)
{
    CCZ_AUTO(ccz_json) json = NULL;
    if (ccz_json_parse(&json, ccz_buf_span(&d->body), NULL) != CCZ_OK)
        return fail_document(err, "JSON document");
    const struct ccz_json *o = ccz_json_get(json, member);
    struct ccz_span from = ccz_json_bytes(ccz_json_get(o, "issueDate"));
    struct ccz_span until = ccz_json_bytes(ccz_json_get(o, "nextUpdate"));
    if (ccz_time_parse(&d->from_s, (const char *)from.ptr, from.size) != CCZ_OK ||
        ccz_time_parse(&d->until_s, (const char *)until.ptr, until.size) != CCZ_OK)
        return fail_document(err, member);
    return CCZ_OK;
}

ccz_rc cczi_document_dates(struct cczi_document *d, enum cczi_doc doc, struct ccz_err *err)
{
    if (rules[doc].member)
        return json_dates(d, rules[doc].member, err);
    CCZ_AUTO_BUF der;
    CCZ_AUTO(ccz_crl) crl = NULL;
    ccz_buf_init(&der, CCZ_COLLATERAL_SIZE_MAX);
    ccz_rc rc = ccz_crl_der(&der, ccz_buf_span(&d->body), "pcs:document", err);
    if (rc == CCZ_OK && ccz_crl_parse(&crl, ccz_buf_span(&der), NULL) != CCZ_OK)
        rc = fail_document(err, "revocation list");
    if (rc != CCZ_OK)
        return rc;
    d->from_s = ccz_crl_this_update(crl);
    d->until_s = ccz_crl_next_update(crl);
    ccz_buf_clear(&d->body); /* files are called .der */
    ccz_buf_put_span(&d->body, ccz_buf_span(&der));
    return CCZ_OK;
}

static bool part_date(int64_t *out, enum cczi_doc doc, const struct ccz_buf parts[CCZI_PARTS])
{
    struct cczi_document d;
    cczi_document_init(&d);
    ccz_buf_put_span(&d.body, ccz_buf_span(&parts[rules[doc].body]));
    bool ok = cczi_document_dates(&d, doc, NULL) == CCZ_OK;
    *out = d.from_s;
    cczi_document_free(&d);
    return ok;
}

bool cczi_parts_older(int64_t *is_s, int64_t *was_s, const struct ccz_buf is[CCZI_PARTS],
                      const struct ccz_buf was[CCZI_PARTS])
{
    for (int doc = 0; doc < CCZI_DOCS; doc++)
        if (part_date(was_s, (enum cczi_doc)doc, was) && part_date(is_s, (enum cczi_doc)doc, is) &&
            *is_s < *was_s)
            return true;
    return false;
}

ccz_rc cczi_document_take(struct cczi_document *d, enum cczi_doc doc, const struct cczi_answer *a,
                          struct ccz_err *err)
{
    const struct rule *r = &rules[doc];
    ccz_buf_put_span(&d->body, ccz_buf_span(&a->body));
    if (d->body.bad || d->body.size == 0)
        return fail_document(err, r->member ? r->member : "revocation list");
    if (r->chain >= 0) {
        struct ccz_span value = cczi_header(a, r->headers[0]);
        if (value.size == 0 && r->headers[1])
            value = cczi_header(a, r->headers[1]);
        if (value.size == 0)
            return ccz_fail(err, CCZ_E_FORMAT, "pcs:chain-header", 0, "the answer has no header %s",
                            r->headers[0]);
        ccz_rc rc = cczi_unescape(&d->chain, value, err);
        if (rc != CCZ_OK)
            return rc;
    }
    return cczi_document_dates(d, doc, err);
}
