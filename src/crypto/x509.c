/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates: parsing and one-step checks (RFC 5280, 4.1, 4.2 and the steps of 6.1.3). */
#include "x509_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SERIAL_SIZE_MAX = 21, /* 4.1.2.2: 20 bytes; with one for a sign byte that real CAs add */
    PATH_LEN_NONE = -1,
};

static const struct cczi_x509_kind cert_kind = {
    .name = "certificate",
    .size_max = CCZ_CERT_SIZE_MAX,
    .at_size = "x509:size",
    .at_shape = "x509:certificate",
    .at_algorithm = "x509:algorithm-mismatch",
    .at_extensions = "x509:extensions",
    .at_repeated = "x509:repeated-extension",
    .at_signature = "x509:signature",
    .at_signature_algorithm = "x509:signature-algorithm",
    .at_issuer_key = "x509:issuer-key",
};

struct ccz_cert {
    struct ccz_span der;
    struct cczi_signed sig;
    struct ccz_span serial, issuer, subject, spki;
    int64_t not_before_s, not_after_s;
    struct cczi_exts exts;
    bool ca;
    int path_len; /* PATH_LEN_NONE: not limited */
    bool usage_present;
    uint8_t usage; /* first byte of KeyUsage */
    char cn[CCZI_X509_CN_SIZE_MAX + 1];
    struct ccz_key *key;
    uint8_t bytes[]; /* what every span points into */
};

void ccz_cert_free(struct ccz_cert *c)
{
    if (!c)
        return;
    ccz_key_free(c->key);
    free(c);
}

/* -------------------------------------------------------------------------------- parsing */

/* BasicConstraints ::= SEQUENCE { cA BOOLEAN DEFAULT FALSE, pathLenConstraint INTEGER OPTIONAL } */
static ccz_rc parse_basic_constraints(struct ccz_cert *c, struct ccz_err *err)
{
    c->path_len = PATH_LEN_NONE;
    const struct cczi_ext *e = cczi_x509_ext_ce(&c->exts, CCZI_CE_BASIC_CONSTRAINTS);
    if (!e)
        return CCZ_OK;
    struct ccz_rd r = ccz_rd_from(e->value);
    struct ccz_rd seq = ccz_rd_from(cczi_der_take(&r, CCZI_DER_SEQUENCE));
    c->ca = cczi_der_default_false(&seq);
    if (cczi_der_peek(&seq, CCZI_DER_INTEGER)) {
        struct ccz_span v = cczi_der_integer(&seq);
        if (v.size != 1 || !c->ca) /* 4.2.1.9: meaningful only for a CA */
            seq.bad = true;
        else
            c->path_len = v.ptr[0];
    }
    if (ccz_rd_done(&r) && ccz_rd_done(&seq))
        return CCZ_OK;
    return ccz_fail(err, CCZ_E_FORMAT, "x509:basic-constraints", 0, "malformed basicConstraints");
}

static ccz_rc parse_key_usage(struct ccz_cert *c, struct ccz_err *err)
{
    const struct cczi_ext *e = cczi_x509_ext_ce(&c->exts, CCZI_CE_KEY_USAGE);
    if (!e)
        return CCZ_OK;
    struct ccz_rd r = ccz_rd_from(e->value);
    struct ccz_span bits = cczi_der_take(&r, CCZI_DER_BIT_STRING);
    /* nine named bits: a count of unused bits, then one or two bytes */
    if (!ccz_rd_done(&r) || bits.size < 2 || bits.size > 3 || bits.ptr[0] > 7)
        return ccz_fail(err, CCZ_E_FORMAT, "x509:key-usage", 0, "malformed keyUsage");
    c->usage_present = true;
    c->usage = bits.ptr[1];
    return CCZ_OK;
}

/* The public key, if it is of a kind used here. Other keys are left for the caller to refuse. */
static ccz_rc parse_key(struct ccz_cert *c, struct ccz_err *err)
{
    struct ccz_err key_err;
    ccz_rc rc = ccz_key_from_spki(&c->key, c->spki, &key_err);
    if (rc == CCZ_OK || rc == CCZ_E_UNSUPPORTED)
        return CCZ_OK;
    return ccz_fail(err, rc, "x509:public-key", 0, "%s", key_err.msg);
}

/* Version ::= [0] EXPLICIT INTEGER { v3(2) }: extensions exist only in v3, and everything here has
 * some. */
static bool take_version_3(struct ccz_rd *tbs)
{
    static const uint8_t v3[] = {CCZI_DER_INTEGER, 1, 2};
    return ccz_span_eq(cczi_der_take(tbs, CCZI_DER_CONTEXT(0)), CCZ_SPAN(v3, sizeof(v3)));
}

/* TBSCertificate, in the order of RFC 5280, 4.1. Unique identifiers (4.1.2.8) are not accepted. */
static ccz_rc parse_tbs(struct ccz_cert *c, struct ccz_err *err)
{
    struct ccz_rd r = ccz_rd_from(c->sig.tbs);
    struct ccz_rd tbs = ccz_rd_from(cczi_der_take(&r, CCZI_DER_SEQUENCE));
    if (!take_version_3(&tbs))
        return ccz_fail(err, CCZ_E_FORMAT, "x509:version", 0, "not an X.509 version 3 certificate");
    c->serial = cczi_der_integer(&tbs);
    if (tbs.bad || c->serial.size > SERIAL_SIZE_MAX)
        return ccz_fail(err, CCZ_E_FORMAT, "x509:serial", (int64_t)c->serial.size,
                        "the serial number is malformed, negative or longer than %d bytes",
                        SERIAL_SIZE_MAX);
    ccz_rc rc =
        cczi_x509_same_algorithm(cczi_der_whole(&tbs, CCZI_DER_SEQUENCE), &c->sig, &cert_kind, err);
    if (rc != CCZ_OK)
        return rc;
    c->issuer = cczi_x509_name(&tbs);
    struct ccz_rd validity = ccz_rd_from(cczi_der_take(&tbs, CCZI_DER_SEQUENCE));
    c->not_before_s = cczi_x509_time(&validity);
    c->not_after_s = cczi_x509_time(&validity);
    c->subject = cczi_x509_name(&tbs);
    c->spki = cczi_der_whole(&tbs, CCZI_DER_SEQUENCE);
    if (!tbs.bad && !ccz_rd_done(&validity))
        return ccz_fail(err, CCZ_E_FORMAT, "x509:validity", 0, "malformed validity period");
    struct ccz_rd exts = {0};
    if (cczi_der_peek(&tbs, CCZI_DER_CONTEXT(3)))
        exts = ccz_rd_from(cczi_der_take(&tbs, CCZI_DER_CONTEXT(3)));
    if (!ccz_rd_done(&tbs))
        return ccz_fail(err, CCZ_E_FORMAT, "x509:tbs", 0, "malformed or unexpected field");
    if (exts.ptr) {
        rc = cczi_x509_exts(&c->exts, &exts, &cert_kind, err);
        if (rc == CCZ_OK && !ccz_rd_done(&exts))
            rc = ccz_fail(err, CCZ_E_FORMAT, "x509:extensions", 0, "bytes behind the extensions");
    }
    return rc;
}

ccz_rc ccz_cert_parse(struct ccz_cert **out, struct ccz_span der, struct ccz_err *err)
{
    *out = NULL;
    struct cczi_signed probe; /* size and shape first: what is not one certificate is not copied */
    ccz_rc rc = cczi_x509_signed(&probe, der, &cert_kind, err);
    if (rc != CCZ_OK)
        return rc;
    CCZ_AUTO(ccz_cert) c = calloc(1, sizeof(*c) + der.size);
    if (!c)
        return ccz_fail(err, CCZ_E_NOMEM, "x509:size", (int64_t)der.size, "out of memory");
    memcpy(c->bytes, der.ptr, der.size);
    c->der = CCZ_SPAN(c->bytes, der.size);
    rc = cczi_x509_signed(&c->sig, c->der, &cert_kind, err);
    if (rc == CCZ_OK)
        rc = parse_tbs(c, err);
    if (rc == CCZ_OK && !cczi_x509_cn(c->cn, c->subject))
        rc = ccz_fail(err, CCZ_E_FORMAT, "x509:common-name", 0,
                      "the common name is too long, has a NUL or is of a wide string type");
    if (rc == CCZ_OK)
        rc = parse_basic_constraints(c, err);
    if (rc == CCZ_OK)
        rc = parse_key_usage(c, err);
    if (rc == CCZ_OK)
        rc = parse_key(c, err);
    if (rc == CCZ_OK)
        *out = ccz_cert_take(&c);
    return rc;
}

/* ------------------------------------------------------------------------------ accessors */

struct ccz_span ccz_cert_der(const struct ccz_cert *c)
{
    return c->der;
}

struct ccz_span ccz_cert_subject(const struct ccz_cert *c)
{
    return c->subject;
}

struct ccz_span ccz_cert_issuer(const struct ccz_cert *c)
{
    return c->issuer;
}

struct ccz_span ccz_cert_serial(const struct ccz_cert *c)
{
    return c->serial;
}

struct ccz_span ccz_cert_spki(const struct ccz_cert *c)
{
    return c->spki;
}

const char *ccz_cert_cn(const struct ccz_cert *c)
{
    return c->cn;
}

int64_t ccz_cert_not_before(const struct ccz_cert *c)
{
    return c->not_before_s;
}

int64_t ccz_cert_not_after(const struct ccz_cert *c)
{
    return c->not_after_s;
}

bool ccz_cert_is_ca(const struct ccz_cert *c)
{
    return c->ca;
}

const struct ccz_key *ccz_cert_key(const struct ccz_cert *c)
{
    return c->key;
}

struct ccz_span ccz_cert_ext(bool *critical, const struct ccz_cert *c, const char *oid)
{
    uint8_t want[64];
    size_t size = cczi_der_oid(want, sizeof(want), oid);
    if (critical)
        *critical = false;
    for (size_t i = 0; i < c->exts.len && size > 0; i++) {
        const struct cczi_ext *e = &c->exts.list[i];
        if (!ccz_span_eq(e->oid, CCZ_SPAN(want, size)))
            continue;
        if (critical)
            *critical = e->critical;
        return e->value;
    }
    return (struct ccz_span){0};
}

bool cczi_cert_may(const struct ccz_cert *issuer, uint8_t usage)
{
    return !issuer->usage_present || (issuer->usage & usage) != 0;
}

struct ccz_span cczi_cert_subject_key_id(const struct ccz_cert *c)
{
    const struct cczi_ext *e = cczi_x509_ext_ce(&c->exts, CCZI_CE_SUBJECT_KEY_ID);
    struct ccz_rd r = ccz_rd_from(e ? e->value : (struct ccz_span){0});
    struct ccz_span id = cczi_der_take(&r, CCZI_DER_OCTET_STRING);
    return ccz_rd_done(&r) ? id : (struct ccz_span){0};
}

/* --------------------------------------------------------------------------------- checks */

/* RFC 5280, 6.1.4 (o): a critical extension that is not processed means "reject". */
static ccz_rc check_critical(const struct ccz_cert *c, struct ccz_err *err)
{
    const struct cczi_ext *basic = cczi_x509_ext_ce(&c->exts, CCZI_CE_BASIC_CONSTRAINTS);
    const struct cczi_ext *usage = cczi_x509_ext_ce(&c->exts, CCZI_CE_KEY_USAGE);
    for (size_t i = 0; i < c->exts.len; i++) {
        const struct cczi_ext *e = &c->exts.list[i];
        if (e->critical && e != basic && e != usage)
            return cczi_x509_refuse_ext(err, CCZ_E_UNSUPPORTED, "x509:critical-extension", e,
                                        "basicConstraints or keyUsage");
    }
    return CCZ_OK;
}

ccz_rc cczi_cert_check_signature(const struct ccz_cert *c, const struct ccz_cert *issuer,
                                 struct ccz_err *err)
{
    return cczi_x509_check_signature(&c->sig, issuer, &cert_kind, err);
}

/* All of ccz_cert_check_issuer() but the signature. */
static ccz_rc check_issuing(const struct ccz_cert *c, const struct ccz_cert *issuer,
                            struct ccz_err *err)
{
    if (!ccz_span_eq(c->issuer, issuer->subject)) {
        char named[CCZI_X509_CN_SIZE_MAX + 1];
        (void)cczi_x509_cn(named, c->issuer);
        cczi_x509_refuse_cn(err, CCZ_E_MISMATCH, "x509:issuer-name", issuer->cn, named);
        return ccz_hint(err, CCZ_E_MISMATCH, "the chain is in the wrong order or of another CA");
    }
    if (!issuer->ca)
        return cczi_x509_refuse_cn(err, CCZ_E_UNTRUSTED, "x509:not-ca", issuer->cn,
                                   "a CA certificate");
    if (!cczi_cert_may(issuer, CCZI_KU_KEY_CERT_SIGN))
        return cczi_x509_refuse_cn(err, CCZ_E_UNTRUSTED, "x509:issuer-key-usage", issuer->cn,
                                   "keyCertSign");
    /* 4.2.1.9: path length 0 allows no CA below; a self-issued certificate (the root) does not
     * count */
    if (issuer->path_len == 0 && c->ca && !ccz_span_eq(c->subject, c->issuer))
        return cczi_x509_refuse_cn(err, CCZ_E_UNTRUSTED, "x509:path-length", c->cn,
                                   "no CA below this issuer");
    ccz_rc rc = check_critical(c, err);
    if (rc == CCZ_OK)
        rc = check_critical(issuer, err);
    return rc;
}

ccz_rc ccz_cert_check_issuer(const struct ccz_cert *c, const struct ccz_cert *issuer,
                             struct ccz_err *err)
{
    ccz_rc rc = check_issuing(c, issuer, err);
    return rc == CCZ_OK ? cczi_cert_check_signature(c, issuer, err) : rc;
}

ccz_rc ccz_cert_issuer_job(struct ccz_ecdsa_job *out, const struct ccz_cert *c,
                           const struct ccz_cert *issuer, struct ccz_err *err)
{
    *out = (struct ccz_ecdsa_job){0};
    ccz_rc rc = check_issuing(c, issuer, err);
    return rc == CCZ_OK ? cczi_x509_signature_job(out, &c->sig, issuer, &cert_kind, err) : rc;
}

ccz_rc ccz_cert_check_time(const struct ccz_cert *c, int64_t now_s, struct ccz_err *err)
{
    char now[21], limit[21];
    ccz_time_format(now, now_s);
    if (now_s < c->not_before_s) {
        ccz_time_format(limit, c->not_before_s);
        return ccz_refuse(err, CCZ_E_EXPIRED, "x509:not-yet-valid", now, limit);
    }
    if (now_s > c->not_after_s) {
        ccz_time_format(limit, c->not_after_s);
        return ccz_refuse(err, CCZ_E_EXPIRED, "x509:expired", now, limit);
    }
    return CCZ_OK;
}
