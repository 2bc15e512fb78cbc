/* SPDX-License-Identifier: Apache-2.0 */
/* Issuing certificates (RFC 5280, 4.1 and 4.2). What is written here, x509.c reads. */
#include "x509_priv.h"

#include <stdio.h>
#include <string.h>

enum {
    KEY_ID_SIZE = 20,
    NAME_SIZE_MAX = 64, /* ub-common-name, ub-organization-name */
    SERIAL_SIZE = 16,
};

/* ---------------------------------------------------------------------- shared with CRLs */

void cczi_x509_put_time(struct ccz_buf *b, int64_t t_s)
{
    char iso[21], text[16];
    ccz_time_format(iso, t_s);
    bool utc = memcmp(iso, "1950", 4) >= 0 && memcmp(iso, "2050", 4) < 0; /* 4.1.2.5 */
    (void)snprintf(text, sizeof(text), "%.4s%.2s%.2s%.2s%.2s%.2sZ", iso, iso + 5, iso + 8, iso + 11,
                   iso + 14, iso + 17);
    cczi_der_put(b, utc ? CCZI_DER_UTC_TIME : CCZI_DER_GENERALIZED_TIME,
                 ccz_span_str(utc ? text + 2 : text));
}

void cczi_x509_put_ext(struct ccz_buf *b, const char *oid, bool critical, struct ccz_span value)
{
    static const uint8_t yes[] = {0xff};
    size_t ext = cczi_der_open(b, CCZI_DER_SEQUENCE);
    cczi_der_put_oid(b, oid);
    if (critical)
        cczi_der_put(b, CCZI_DER_BOOLEAN, CCZ_SPAN(yes, sizeof(yes)));
    cczi_der_put(b, CCZI_DER_OCTET_STRING, value);
    cczi_der_close(b, ext);
}

void cczi_x509_put_authority_key_id(struct ccz_buf *b, struct ccz_span key_id)
{
    enum { KEY_IDENTIFIER = 0x80 }; /* [0] IMPLICIT OCTET STRING */
    CCZ_AUTO_BUF value;
    ccz_buf_init(&value, CCZ_CERT_SIZE_MAX);
    size_t seq = cczi_der_open(&value, CCZI_DER_SEQUENCE);
    cczi_der_put(&value, KEY_IDENTIFIER, key_id);
    cczi_der_close(&value, seq);
    if (value.bad)
        b->bad = true;
    if (key_id.size > 0) /* an issuer without SubjectKeyIdentifier: nothing to point to */
        cczi_x509_put_ext(b, "2.5.29.35", false, ccz_buf_span(&value));
}

/* ecdsa-with-SHA256 for P-256, ecdsa-with-SHA384 for P-384: what ccz_ecdsa_sign() makes. */
void cczi_x509_put_algorithm(struct ccz_buf *b, const struct ccz_key *issuer_key)
{
    size_t seq = cczi_der_open(b, CCZI_DER_SEQUENCE);
    bool p256 = ccz_key_curve(issuer_key) == CCZ_P256;
    cczi_der_put_oid(b, p256 ? "1.2.840.10045.4.3.2" : "1.2.840.10045.4.3.3");
    cczi_der_close(b, seq);
}

ccz_rc cczi_x509_sign(struct ccz_buf *out, struct ccz_span tbs, const struct ccz_key *issuer_key)
{
    uint8_t raw[96];
    ccz_rc rc = ccz_ecdsa_sign(raw, issuer_key, &tbs, 1);
    if (rc != CCZ_OK)
        return rc;
    size_t before = out->size;
    size_t seq = cczi_der_open(out, CCZI_DER_SEQUENCE);
    ccz_buf_put_span(out, tbs);
    cczi_x509_put_algorithm(out, issuer_key);
    size_t bits = cczi_der_open(out, CCZI_DER_BIT_STRING);
    ccz_buf_u8(out, 0); /* no unused bits */
    cczi_ecdsa_put_der(out, raw, ccz_key_curve(issuer_key) == CCZ_P256 ? 64 : 96);
    cczi_der_close(out, bits);
    cczi_der_close(out, seq);
    if (!out->bad)
        return CCZ_OK;
    out->size = before;
    return CCZ_E_LIMIT;
}

/* --------------------------------------------------------------------------- certificates */

static void put_rdn(struct ccz_buf *b, const char *oid, const char *text)
{
    size_t set = cczi_der_open(b, CCZI_DER_SET);
    size_t atv = cczi_der_open(b, CCZI_DER_SEQUENCE);
    cczi_der_put_oid(b, oid);
    cczi_der_put(b, CCZI_DER_UTF8_STRING, ccz_span_str(text));
    cczi_der_close(b, atv);
    cczi_der_close(b, set);
}

void cczi_x509_put_name(struct ccz_buf *b, const char *org, const char *cn)
{
    size_t name = cczi_der_open(b, CCZI_DER_SEQUENCE);
    if (org)
        put_rdn(b, "2.5.4.10", org);
    put_rdn(b, "2.5.4.3", cn);
    cczi_der_close(b, name);
}

static ccz_rc put_serial(struct ccz_buf *b, uint64_t serial)
{
    uint8_t v[SERIAL_SIZE] = {0};
    for (size_t i = 0; i < 8; i++)
        v[SERIAL_SIZE - 1 - i] = (uint8_t)(serial >> (8 * i));
    if (serial == 0) {
        ccz_rc rc = ccz_random(v, sizeof(v));
        if (rc != CCZ_OK)
            return rc;
        v[0] &= 0x7f; /* positive */
    }
    size_t skip = 0;
    while (skip < SERIAL_SIZE - 1 && v[skip] == 0 && v[skip + 1] < 0x80)
        skip++;
    cczi_der_put(b, CCZI_DER_INTEGER, CCZ_SPAN(v + skip, SERIAL_SIZE - skip));
    return CCZ_OK;
}

/* RFC 7093, 2 method 1: the first 160 bits of SHA-256 over the bits of the public key. */
static ccz_rc key_id_of(uint8_t id[KEY_ID_SIZE], const struct ccz_key *key)
{
    uint8_t point[1 + 96] = {4}, digest[32];
    ccz_rc rc = ccz_key_xy(point + 1, key);
    if (rc == CCZ_OK)
        rc = ccz_sha256(digest, CCZ_SPAN(point, ccz_key_curve(key) == CCZ_P256 ? 65 : 97));
    if (rc == CCZ_OK)
        memcpy(id, digest, KEY_ID_SIZE);
    return rc;
}

static ccz_rc put_exts(struct ccz_buf *b, const struct ccz_cert_cfg *cfg)
{
    static const uint8_t ca_true[] = {CCZI_DER_SEQUENCE, 3, CCZI_DER_BOOLEAN, 1, 0xff};
    static const uint8_t ca_last[] = {
        CCZI_DER_SEQUENCE, 6, CCZI_DER_BOOLEAN, 1, 0xff, CCZI_DER_INTEGER, 1, 0};
    static const uint8_t ca_false[] = {CCZI_DER_SEQUENCE, 0};
    /* BIT STRING, one byte, and how many of its low bits are unused */
    static const uint8_t ca_usage[] = {CCZI_DER_BIT_STRING, 2, 1,
                                       CCZI_KU_KEY_CERT_SIGN | CCZI_KU_CRL_SIGN};
    static const uint8_t leaf_usage[] = {CCZI_DER_BIT_STRING, 2, 7, CCZI_KU_DIGITAL_SIGNATURE};
    uint8_t own_id[2 + KEY_ID_SIZE] = {CCZI_DER_OCTET_STRING, KEY_ID_SIZE};
    ccz_rc rc = key_id_of(own_id + 2, cfg->key);
    if (rc != CCZ_OK)
        return rc;
    size_t explicit3 = cczi_der_open(b, CCZI_DER_CONTEXT(3));
    size_t exts = cczi_der_open(b, CCZI_DER_SEQUENCE);
    cczi_x509_put_ext(b, "2.5.29.19", true,
                      !cfg->ca           ? CCZ_SPAN(ca_false, sizeof(ca_false))
                      : cfg->no_ca_below ? CCZ_SPAN(ca_last, sizeof(ca_last))
                                         : CCZ_SPAN(ca_true, sizeof(ca_true)));
    cczi_x509_put_ext(b, "2.5.29.15", true,
                      cfg->ca ? CCZ_SPAN(ca_usage, sizeof(ca_usage))
                              : CCZ_SPAN(leaf_usage, sizeof(leaf_usage)));
    cczi_x509_put_ext(b, "2.5.29.14", false, CCZ_SPAN(own_id, sizeof(own_id)));
    cczi_x509_put_authority_key_id(b, cfg->issuer ? cczi_cert_subject_key_id(cfg->issuer)
                                                  : CCZ_SPAN(own_id + 2, KEY_ID_SIZE));
    for (size_t i = 0; i < cfg->ext_len; i++)
        cczi_x509_put_ext(b, cfg->ext[i].oid, cfg->ext[i].critical, cfg->ext[i].value);
    cczi_der_close(b, exts);
    cczi_der_close(b, explicit3);
    return CCZ_OK;
}

static ccz_rc put_tbs(struct ccz_buf *b, const struct ccz_cert_cfg *cfg,
                      const struct ccz_key *signer)
{
    static const uint8_t v3[] = {CCZI_DER_INTEGER, 1, 2};
    size_t tbs = cczi_der_open(b, CCZI_DER_SEQUENCE);
    cczi_der_put(b, CCZI_DER_CONTEXT(0), CCZ_SPAN(v3, sizeof(v3)));
    ccz_rc rc = put_serial(b, cfg->serial);
    if (rc != CCZ_OK)
        return rc;
    cczi_x509_put_algorithm(b, signer);
    if (cfg->issuer)
        ccz_buf_put_span(b, ccz_cert_subject(cfg->issuer));
    else
        cczi_x509_put_name(b, cfg->org, cfg->cn);
    size_t validity = cczi_der_open(b, CCZI_DER_SEQUENCE);
    cczi_x509_put_time(b, cfg->not_before_s);
    cczi_x509_put_time(b, cfg->not_after_s);
    cczi_der_close(b, validity);
    cczi_x509_put_name(b, cfg->org, cfg->cn);
    rc = ccz_key_spki(b, cfg->key);
    if (rc == CCZ_OK)
        rc = put_exts(b, cfg);
    cczi_der_close(b, tbs);
    return rc;
}

bool cczi_x509_is_name_text(const char *s)
{
    size_t size = strlen(s);
    return size > 0 && size <= NAME_SIZE_MAX;
}

ccz_rc ccz_cert_issue(struct ccz_buf *out_der, const struct ccz_cert_cfg *cfg, struct ccz_err *err)
{
    const struct ccz_key *signer = cfg->issuer_key ? cfg->issuer_key : cfg->key;
    if (!cfg->key || !cfg->cn || !cczi_x509_is_name_text(cfg->cn) ||
        (cfg->org && !cczi_x509_is_name_text(cfg->org)))
        return ccz_fail(err, CCZ_E_ARG, "x509:issue-name", 0,
                        "a key and a name of 1 to %d bytes are needed", NAME_SIZE_MAX);
    if ((cfg->issuer != NULL) != (cfg->issuer_key != NULL))
        return ccz_fail(err, CCZ_E_ARG, "x509:issue-issuer", 0,
                        "the issuer's certificate and key are given both or not at all");
    if (cfg->not_after_s < cfg->not_before_s)
        return ccz_fail(err, CCZ_E_ARG, "x509:issue-validity", 0, "not_after is before not_before");
    if (cfg->not_after_s > CCZ_TIME_MAX_S) /* RFC 5280, 4.1.2.5: four digits */
        return ccz_refuse_num(err, CCZ_E_ARG, "x509:issue-validity", cfg->not_after_s,
                              CCZ_TIME_MAX_S);

    CCZ_AUTO_BUF tbs, der;
    ccz_buf_init(&tbs, CCZ_CERT_SIZE_MAX);
    ccz_buf_init(&der, CCZ_CERT_SIZE_MAX);
    ccz_rc rc = put_tbs(&tbs, cfg, signer);
    if (rc == CCZ_OK && tbs.bad)
        rc = CCZ_E_LIMIT;
    if (rc == CCZ_OK)
        rc = cczi_x509_sign(&der, ccz_buf_span(&tbs), signer);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "x509:issue", (int64_t)tbs.size,
                        "cannot sign, bad extension OID, or more than %d bytes", CCZ_CERT_SIZE_MAX);
    /* The parser is the judge: a repeated extension or a key that is not the issuer's shows here.
     */
    CCZ_AUTO(ccz_cert) made = NULL;
    rc = ccz_cert_parse(&made, ccz_buf_span(&der), err);
    if (rc == CCZ_OK && cfg->issuer)
        rc = cczi_cert_check_signature(made, cfg->issuer, err);
    if (rc != CCZ_OK)
        return rc;
    ccz_buf_put_span(out_der, ccz_buf_span(&der));
    return out_der->bad
               ? ccz_fail(err, CCZ_E_LIMIT, "x509:issue", (int64_t)der.size, "no room for it")
               : CCZ_OK;
}
