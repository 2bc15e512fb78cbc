/* SPDX-License-Identifier: Apache-2.0 */
/* Certificate requests (PKCS#10, RFC 2986), read and written. */
#include "x509_priv.h"

#include <stdlib.h>
#include <string.h>

#define OID_EXTENSION_REQUEST "1.2.840.113549.1.9.14" /* RFC 2985, 5.4.2 */

static const struct cczi_x509_kind csr_kind = {
    .name = "certificate request",
    .size_max = CCZ_CERT_SIZE_MAX,
    .at_size = "x509:csr-size",
    .at_shape = "x509:csr",
    .at_algorithm = "x509:csr-algorithm-mismatch",
    .at_extensions = "x509:csr-extensions",
    .at_repeated = "x509:csr-repeated-extension",
    .at_signature = "x509:csr-signature",
    .at_signature_algorithm = "x509:csr-signature-algorithm",
    .at_issuer_key = "x509:csr-key",
};

enum { OID_TEXT_SIZE = 96 };
struct ccz_csr {
    struct ccz_span spki;
    struct ccz_key *key;
    struct ccz_cert_ext_in ext[CCZ_CSR_EXT_LEN_MAX];
    char oid[CCZ_CSR_EXT_LEN_MAX][OID_TEXT_SIZE];
    size_t ext_len;
    uint8_t bytes[]; /* what every span points into */
};

void ccz_csr_free(struct ccz_csr *c)
{
    if (!c)
        return;
    ccz_key_free(c->key);
    free(c);
}

/* -------------------------------------------------------------------------------- parsing */

static ccz_rc keep_exts(struct ccz_csr *c, const struct cczi_exts *exts, struct ccz_err *err)
{
    if (exts->len > CCZ_CSR_EXT_LEN_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "x509:csr-extensions", (int64_t)exts->len,
                              CCZ_CSR_EXT_LEN_MAX);
    for (size_t i = 0; i < exts->len; i++) {
        const struct cczi_ext *e = &exts->list[i];
        cczi_der_oid_text(c->oid[i], OID_TEXT_SIZE, e->oid);
        uint8_t again[OID_TEXT_SIZE];
        size_t size = cczi_der_oid(again, sizeof(again), c->oid[i]);
        /* the text is what the extension is known by: it has to mean the same bytes */
        if (!ccz_span_eq(CCZ_SPAN(again, size), e->oid))
            return ccz_fail(err, CCZ_E_FORMAT, "x509:csr-extensions", (int64_t)i,
                            "an extension whose OID cannot be written as numbers");
        c->ext[i] =
            (struct ccz_cert_ext_in){.oid = c->oid[i], .value = e->value, .critical = e->critical};
    }
    c->ext_len = exts->len;
    return CCZ_OK;
}

/* attributes [0] IMPLICIT SET OF Attribute: none, or the one that asks for extensions. */
static ccz_rc parse_attributes(struct ccz_csr *c, struct ccz_rd *info, struct ccz_err *err)
{
    uint8_t want[16];
    size_t want_size = cczi_der_oid(want, sizeof(want), OID_EXTENSION_REQUEST);
    struct cczi_exts exts = {0};
    struct ccz_rd set = ccz_rd_from(cczi_der_take(info, CCZI_DER_CONTEXT(0)));
    if (info->bad || set.left == 0)
        return info->bad ? CCZ_E_FORMAT : CCZ_OK;
    struct ccz_rd attribute = ccz_rd_from(cczi_der_take(&set, CCZI_DER_SEQUENCE));
    struct ccz_span type = cczi_der_take(&attribute, CCZI_DER_OID);
    if (attribute.bad || !ccz_span_eq(type, CCZ_SPAN(want, want_size)))
        return ccz_fail(err, CCZ_E_UNSUPPORTED, "x509:csr-attribute", 0,
                        "an attribute that is no request for extensions");
    struct ccz_rd values = ccz_rd_from(cczi_der_take(&attribute, CCZI_DER_SET));
    ccz_rc rc = cczi_x509_exts(&exts, &values, &csr_kind, err);
    if (rc != CCZ_OK)
        return rc;
    if (!ccz_rd_done(&values) || !ccz_rd_done(&attribute) || !ccz_rd_done(&set))
        return ccz_fail(err, CCZ_E_FORMAT, "x509:csr-attribute", 0,
                        "more than one attribute or value, or bytes behind it");
    return keep_exts(c, &exts, err);
}

/* CertificationRequestInfo, RFC 2986, 4.1. Whom it names is for the issuer to decide: the subject is not kept. */
static ccz_rc parse_info(struct ccz_csr *c, struct ccz_span tbs, struct ccz_err *err)
{
    struct ccz_rd r = ccz_rd_from(tbs);
    struct ccz_rd info = ccz_rd_from(cczi_der_take(&r, CCZI_DER_SEQUENCE));
    struct ccz_span version = cczi_der_integer(&info);
    if (info.bad || version.size != 1 || version.ptr[0] != 0)
        return ccz_fail(err, CCZ_E_FORMAT, "x509:csr-version", 0, "not a request of version 0");
    (void)cczi_x509_name(&info);
    c->spki = cczi_der_whole(&info, CCZI_DER_SEQUENCE);
    if (info.bad)
        return ccz_fail(err, CCZ_E_FORMAT, "x509:csr", 0, "malformed subject or key");
    struct ccz_err why = {0};
    ccz_rc rc = ccz_key_from_spki(&c->key, c->spki, &why);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "x509:csr-key", 0, "%s", why.msg);
    rc = parse_attributes(c, &info, err);
    if (rc == CCZ_OK && ccz_rd_done(&info))
        return CCZ_OK;
    return rc != CCZ_OK && !info.bad
               ? rc
               : ccz_fail(err, CCZ_E_FORMAT, "x509:csr", 0, "malformed or unexpected field");
}

ccz_rc ccz_csr_parse(struct ccz_csr **out, struct ccz_span der, struct ccz_err *err)
{
    *out = NULL;
    struct cczi_signed s; /* size and shape first: what is not one request is not copied */
    ccz_rc rc = cczi_x509_signed(&s, der, &csr_kind, err);
    if (rc != CCZ_OK)
        return rc;
    CCZ_AUTO(ccz_csr) c = calloc(1, sizeof(*c) + der.size);
    if (!c)
        return ccz_fail(err, CCZ_E_NOMEM, "x509:csr-size", (int64_t)der.size, "out of memory");
    memcpy(c->bytes, der.ptr, der.size);
    rc = cczi_x509_signed(&s, CCZ_SPAN(c->bytes, der.size), &csr_kind, err);
    if (rc == CCZ_OK)
        rc = parse_info(c, s.tbs, err);
    struct ccz_ecdsa_job job;
    if (rc == CCZ_OK)
        rc = cczi_x509_key_job(&job, &s, c->key, &csr_kind, err);
    if (rc != CCZ_OK)
        return rc;
    rc = ccz_ecdsa_verify_batch(&job, 1);
    if (rc != CCZ_OK)
        return cczi_x509_refuse_signature(&csr_kind, rc, err);
    *out = ccz_csr_take(&c);
    return CCZ_OK;
}

/* ------------------------------------------------------------------------------ accessors */

struct ccz_span ccz_csr_spki(const struct ccz_csr *c)
{
    return c->spki;
}

const struct ccz_key *ccz_csr_key(const struct ccz_csr *c)
{
    return c->key;
}

const struct ccz_cert_ext_in *ccz_csr_exts(size_t *len, const struct ccz_csr *c)
{
    *len = c->ext_len;
    return c->ext;
}

struct ccz_span ccz_csr_ext(bool *critical, const struct ccz_csr *c, const char *oid)
{
    if (critical)
        *critical = false;
    for (size_t i = 0; i < c->ext_len; i++) {
        if (strcmp(c->ext[i].oid, oid) != 0)
            continue;
        if (critical)
            *critical = c->ext[i].critical;
        return c->ext[i].value;
    }
    return (struct ccz_span){0};
}

/* -------------------------------------------------------------------------------- writing */

static ccz_rc put_info(struct ccz_buf *b, const struct ccz_key *key, const char *cn,
                       const struct ccz_cert_ext_in *ext, size_t ext_len)
{
    static const uint8_t version[] = {0};
    size_t info = cczi_der_open(b, CCZI_DER_SEQUENCE);
    cczi_der_put(b, CCZI_DER_INTEGER, CCZ_SPAN(version, sizeof(version)));
    cczi_x509_put_name(b, NULL, cn);
    ccz_rc rc = ccz_key_spki(b, key);
    size_t attributes = cczi_der_open(b, CCZI_DER_CONTEXT(0));
    if (ext_len > 0) {
        size_t attribute = cczi_der_open(b, CCZI_DER_SEQUENCE);
        cczi_der_put_oid(b, OID_EXTENSION_REQUEST);
        size_t values = cczi_der_open(b, CCZI_DER_SET);
        size_t exts = cczi_der_open(b, CCZI_DER_SEQUENCE);
        for (size_t i = 0; i < ext_len; i++)
            cczi_x509_put_ext(b, ext[i].oid, ext[i].critical, ext[i].value);
        cczi_der_close(b, exts);
        cczi_der_close(b, values);
        cczi_der_close(b, attribute);
    }
    cczi_der_close(b, attributes);
    cczi_der_close(b, info);
    return rc == CCZ_OK && b->bad ? CCZ_E_LIMIT : rc;
}

ccz_rc ccz_csr_make(struct ccz_buf *out_der, const struct ccz_key *key, const char *cn,
                    const struct ccz_cert_ext_in *ext, size_t ext_len, struct ccz_err *err)
{
    if (!cczi_x509_is_name_text(cn) || ext_len > CCZ_CSR_EXT_LEN_MAX)
        return ccz_fail(err, CCZ_E_ARG, "x509:csr", (int64_t)ext_len,
                        "a name of 1 to 64 bytes and at most %d extensions", CCZ_CSR_EXT_LEN_MAX);
    CCZ_AUTO_BUF info, der;
    ccz_buf_init(&info, CCZ_CERT_SIZE_MAX);
    ccz_buf_init(&der, CCZ_CERT_SIZE_MAX);
    ccz_rc rc = put_info(&info, key, cn, ext, ext_len);
    if (rc == CCZ_OK)
        rc = cczi_x509_sign(&der, ccz_buf_span(&info), key);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "x509:csr", (int64_t)info.size,
                        "cannot sign, bad extension OID, or more than %d bytes", CCZ_CERT_SIZE_MAX);
    CCZ_AUTO(ccz_csr) made = NULL; /* the parser is the judge */
    rc = ccz_csr_parse(&made, ccz_buf_span(&der), err);
    if (rc != CCZ_OK)
        return rc;
    ccz_buf_put_span(out_der, ccz_buf_span(&der));
    return out_der->bad
               ? ccz_fail(err, CCZ_E_LIMIT, "x509:csr", (int64_t)der.size, "no room for it")
               : CCZ_OK;
}
