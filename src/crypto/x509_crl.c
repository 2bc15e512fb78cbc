/* SPDX-License-Identifier: Apache-2.0 */
/* Certificate revocation lists (RFC 5280, 5.1 and 5.2): complete lists only. */
#include "x509_priv.h"

#include <stdlib.h>
#include <string.h>

static const struct cczi_x509_kind crl_kind = {
    .name = "CRL",
    .size_max = CCZ_CRL_SIZE_MAX,
    .at_size = "x509:crl-size",
    .at_shape = "x509:crl",
    .at_algorithm = "x509:crl-algorithm-mismatch",
    .at_extensions = "x509:crl-extensions",
    .at_repeated = "x509:crl-repeated-extension",
    .at_signature = "x509:crl-signature",
    .at_signature_algorithm = "x509:crl-signature-algorithm",
    .at_issuer_key = "x509:crl-issuer-key",
};

struct ccz_crl {
    struct cczi_signed sig;
    struct ccz_span issuer;
    int64_t this_update_s, next_update_s;
    struct cczi_exts exts;
    struct ccz_span *serials; /* sorted, so that a lookup is a binary search */
    size_t serials_len;
    uint8_t bytes[]; /* what every span points into */
};

void ccz_crl_free(struct ccz_crl *crl)
{
    if (!crl)
        return;
    free(crl->serials);
    free(crl);
}

/* Minimal INTEGERs: equal numbers have equal bytes, so any total order does. */
static int compare_serials(const void *a, const void *b)
{
    const struct ccz_span *x = a, *y = b;
    if (x->size != y->size)
        return x->size < y->size ? -1 : 1;
    return memcmp(x->ptr, y->ptr, x->size);
}

/* SEQUENCE { serial, revocationDate, crlEntryExtensions OPTIONAL } of revokedCertificates */
static bool take_entry(struct ccz_span *serial, struct ccz_rd *list)
{
    struct ccz_rd entry = ccz_rd_from(cczi_der_take(list, CCZI_DER_SEQUENCE));
    *serial = cczi_der_integer(&entry);
    (void)cczi_x509_time(&entry);
    struct cczi_exts exts; /* set by cczi_x509_exts(); lists are long, so it is not zeroed */
    exts.len = 0;
    if (entry.left > 0 && cczi_x509_exts(&exts, &entry, &crl_kind, NULL) != CCZ_OK)
        return false;
    /* 5.3: certificateIssuer (indirect CRLs) is critical and gives the serial another meaning */
    for (size_t i = 0; i < exts.len; i++) {
        if (exts.list[i].critical)
            return false;
    }
    return ccz_rd_done(&entry) && !list->bad;
}

static bool is_sorted(const struct ccz_span *serials, size_t len)
{
    for (size_t i = 1; i < len; i++) {
        if (compare_serials(&serials[i - 1], &serials[i]) > 0)
            return false;
    }
    return true;
}

static ccz_rc parse_entries(struct ccz_crl *crl, struct ccz_span entries, struct ccz_err *err)
{
    enum { ENTRY_SIZE_MIN = 2 + 3 + 15 }; /* a serial of one byte, UTCTime */
    size_t len = 0, room = entries.size / ENTRY_SIZE_MIN;
    if (entries.size == 0)
        return CCZ_OK;
    crl->serials = calloc(room + 1, sizeof(*crl->serials));
    if (!crl->serials)
        return ccz_fail(err, CCZ_E_NOMEM, "x509:crl-entry", (int64_t)room, "out of memory");
    for (struct ccz_rd r = ccz_rd_from(entries); r.left > 0; len++) {
        if (!take_entry(&crl->serials[len], &r))
            return ccz_fail(err, CCZ_E_FORMAT, "x509:crl-entry", (int64_t)len,
                            "revoked certificate %zu is malformed or has a critical extension",
                            len);
    }
    crl->serials_len = len;
    if (!is_sorted(crl->serials, len))
        qsort(crl->serials, len, sizeof(*crl->serials), compare_serials);
    return CCZ_OK;
}

/* TBSCertList, in the order of RFC 5280, 5.1. */
static ccz_rc parse_tbs(struct ccz_crl *crl, struct ccz_err *err)
{
    static const uint8_t v2[] = {1};
    struct ccz_rd r = ccz_rd_from(crl->sig.tbs);
    struct ccz_rd tbs = ccz_rd_from(cczi_der_take(&r, CCZI_DER_SEQUENCE));
    if (!ccz_span_eq(cczi_der_integer(&tbs), CCZ_SPAN(v2, sizeof(v2))))
        return ccz_fail(err, CCZ_E_FORMAT, "x509:crl-version", 0, "not a version 2 CRL");
    ccz_rc rc = cczi_x509_same_algorithm(cczi_der_whole(&tbs, CCZI_DER_SEQUENCE), &crl->sig,
                                         &crl_kind, err);
    if (rc != CCZ_OK)
        return rc;
    crl->issuer = cczi_x509_name(&tbs);
    crl->this_update_s = cczi_x509_time(&tbs);
    /* 5.1.2.5: a conforming CA says when to look again */
    if (tbs.bad || !cczi_x509_time_peek(&tbs))
        return ccz_fail(err, CCZ_E_FORMAT, "x509:crl-next-update", 0,
                        "malformed issuer or thisUpdate, or no nextUpdate");
    crl->next_update_s = cczi_x509_time(&tbs);
    struct ccz_span entries = {0};
    if (cczi_der_peek(&tbs, CCZI_DER_SEQUENCE))
        entries = cczi_der_take(&tbs, CCZI_DER_SEQUENCE);
    struct ccz_rd exts = ccz_rd_from(cczi_der_take(&tbs, CCZI_DER_CONTEXT(0)));
    if (!ccz_rd_done(&tbs))
        return ccz_fail(err, CCZ_E_FORMAT, "x509:crl-tbs", 0, "malformed or unexpected field");
    rc = cczi_x509_exts(&crl->exts, &exts, &crl_kind, err);
    if (rc == CCZ_OK && !ccz_rd_done(&exts))
        rc = ccz_fail(err, CCZ_E_FORMAT, "x509:crl-extensions", 0, "bytes behind the extensions");
    return rc == CCZ_OK ? parse_entries(crl, entries, err) : rc;
}

/* 5.2: deltaCRLIndicator and issuingDistributionPoint, which limit what a list speaks about, are
 * critical. */
static ccz_rc refuse_critical(const struct ccz_crl *crl, struct ccz_err *err)
{
    for (size_t i = 0; i < crl->exts.len; i++) {
        const struct cczi_ext *e = &crl->exts.list[i];
        if (e->critical)
            return cczi_x509_refuse_ext(err, CCZ_E_UNSUPPORTED, "x509:crl-critical-extension", e,
                                        "a complete list");
    }
    return CCZ_OK;
}

ccz_rc ccz_crl_parse(struct ccz_crl **out, struct ccz_span der, struct ccz_err *err)
{
    *out = NULL;
    struct cczi_signed probe;
    ccz_rc rc = cczi_x509_signed(&probe, der, &crl_kind, err);
    if (rc != CCZ_OK)
        return rc;
    CCZ_AUTO(ccz_crl) crl = calloc(1, sizeof(*crl) + der.size);
    if (!crl)
        return ccz_fail(err, CCZ_E_NOMEM, "x509:crl-size", (int64_t)der.size, "out of memory");
    memcpy(crl->bytes, der.ptr, der.size);
    rc = cczi_x509_signed(&crl->sig, CCZ_SPAN(crl->bytes, der.size), &crl_kind, err);
    if (rc == CCZ_OK)
        rc = parse_tbs(crl, err);
    if (rc == CCZ_OK)
        rc = refuse_critical(crl, err);
    if (rc == CCZ_OK)
        *out = ccz_crl_take(&crl);
    return rc;
}

struct ccz_span ccz_crl_issuer(const struct ccz_crl *crl)
{
    return crl->issuer;
}

int64_t ccz_crl_this_update(const struct ccz_crl *crl)
{
    return crl->this_update_s;
}

int64_t ccz_crl_next_update(const struct ccz_crl *crl)
{
    return crl->next_update_s;
}

/* All of ccz_crl_check_issuer() but the signature. */
static ccz_rc check_issuing(const struct ccz_crl *crl, const struct ccz_cert *issuer,
                            struct ccz_err *err)
{
    if (!ccz_span_eq(crl->issuer, ccz_cert_subject(issuer))) {
        char named[CCZI_X509_CN_SIZE_MAX + 1];
        (void)cczi_x509_cn(named, crl->issuer);
        return cczi_x509_refuse_cn(err, CCZ_E_MISMATCH, "x509:crl-issuer-name", ccz_cert_cn(issuer),
                                   named);
    }
    if (!ccz_cert_is_ca(issuer)) /* only direct CRLs: a CA speaks about what it issued */
        return cczi_x509_refuse_cn(err, CCZ_E_UNTRUSTED, "x509:crl-issuer-not-ca",
                                   ccz_cert_cn(issuer), "a CA certificate");
    if (!cczi_cert_may(issuer, CCZI_KU_CRL_SIGN))
        return cczi_x509_refuse_cn(err, CCZ_E_UNTRUSTED, "x509:crl-issuer-key-usage",
                                   ccz_cert_cn(issuer), "cRLSign");
    return CCZ_OK;
}

ccz_rc ccz_crl_check_issuer(const struct ccz_crl *crl, const struct ccz_cert *issuer,
                            struct ccz_err *err)
{
    ccz_rc rc = check_issuing(crl, issuer, err);
    return rc == CCZ_OK ? cczi_x509_check_signature(&crl->sig, issuer, &crl_kind, err) : rc;
}

ccz_rc ccz_crl_issuer_job(struct ccz_ecdsa_job *out, const struct ccz_crl *crl,
                          const struct ccz_cert *issuer, struct ccz_err *err)
{
    *out = (struct ccz_ecdsa_job){0};
    ccz_rc rc = check_issuing(crl, issuer, err);
    return rc == CCZ_OK ? cczi_x509_signature_job(out, &crl->sig, issuer, &crl_kind, err) : rc;
}

bool ccz_crl_revokes(const struct ccz_crl *crl, struct ccz_span serial)
{
    return crl->serials_len > 0 && bsearch(&serial, crl->serials, crl->serials_len,
                                           sizeof(*crl->serials), compare_serials) != NULL;
}

/* -------------------------------------------------------------------------------- issuing */

/* 5.2.3: grows with every list; the time of issue does. */
static void put_crl_number(struct ccz_buf *b, int64_t this_update_s)
{
    uint8_t der[2 + 8] = {CCZI_DER_INTEGER, 8};
    size_t skip = 2;
    for (size_t i = 0; i < 8; i++)
        der[2 + i] = (uint8_t)((uint64_t)this_update_s >> (56 - 8 * i));
    while (skip < 9 && der[skip] == 0 && der[skip + 1] < 0x80) /* 8.3.2 of X.690: no padding */
        skip++;
    der[skip - 2] = CCZI_DER_INTEGER;
    der[skip - 1] = (uint8_t)(sizeof(der) - skip);
    cczi_x509_put_ext(b, "2.5.29.20", false, CCZ_SPAN(der + skip - 2, sizeof(der) - skip + 2));
}

/* Content bytes of a non-negative INTEGER as a certificate carries it. */
static bool is_serial(struct ccz_span v)
{
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, CCZ_CERT_SIZE_MAX);
    cczi_der_put(&b, CCZI_DER_INTEGER, v);
    struct ccz_rd r = ccz_rd_from(ccz_buf_span(&b));
    (void)cczi_der_integer(&r);
    return ccz_rd_done(&r);
}

static void put_entries(struct ccz_buf *b, const struct ccz_span *serials, size_t len,
                        int64_t revoked_s)
{
    size_t entries = cczi_der_open(b, CCZI_DER_SEQUENCE);
    for (size_t i = 0; i < len; i++) {
        size_t entry = cczi_der_open(b, CCZI_DER_SEQUENCE);
        cczi_der_put(b, CCZI_DER_INTEGER, serials[i]);
        cczi_x509_put_time(b, revoked_s);
        cczi_der_close(b, entry);
    }
    cczi_der_close(b, entries);
}

ccz_rc ccz_crl_issue(struct ccz_buf *out_der, const struct ccz_cert *issuer,
                     const struct ccz_key *issuer_key, int64_t this_update_s, int64_t next_update_s,
                     const struct ccz_span *serials, size_t len)
{
    static const uint8_t v2[] = {1};
    for (size_t i = 0; i < len; i++) {
        if (!is_serial(serials[i]))
            return CCZ_E_ARG;
    }
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, CCZ_CRL_SIZE_MAX);
    size_t tbs = cczi_der_open(&b, CCZI_DER_SEQUENCE);
    cczi_der_put(&b, CCZI_DER_INTEGER, CCZ_SPAN(v2, sizeof(v2)));
    cczi_x509_put_algorithm(&b, issuer_key);
    ccz_buf_put_span(&b, ccz_cert_subject(issuer));
    cczi_x509_put_time(&b, this_update_s);
    cczi_x509_put_time(&b, next_update_s);
    if (len > 0) /* 5.1.2.6: an empty list is left out */
        put_entries(&b, serials, len, this_update_s);
    size_t explicit0 = cczi_der_open(&b, CCZI_DER_CONTEXT(0));
    size_t exts = cczi_der_open(&b, CCZI_DER_SEQUENCE);
    cczi_x509_put_authority_key_id(&b, cczi_cert_subject_key_id(issuer));
    put_crl_number(&b, this_update_s);
    cczi_der_close(&b, exts);
    cczi_der_close(&b, explicit0);
    cczi_der_close(&b, tbs);
    return b.bad ? CCZ_E_NOMEM : cczi_x509_sign(out_der, ccz_buf_span(&b), issuer_key);
}
