/* SPDX-License-Identifier: Apache-2.0 */
/* What certificates and CRLs share: outer shape, names, times, extensions, signatures (RFC 5280).
 */
#include "rsa_priv.h"
#include "x509_priv.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

enum { RSA_BITS_MIN = 3072 };

ccz_rc cczi_x509_signed(struct cczi_signed *out, struct ccz_span der,
                        const struct cczi_x509_kind *kind, struct ccz_err *err)
{
    *out = (struct cczi_signed){0};
    if (der.size > kind->size_max)
        return ccz_fail(err, CCZ_E_LIMIT, kind->at_size, (int64_t)der.size,
                        "a %s of %zu bytes is above the limit of %zu", kind->name, der.size,
                        kind->size_max);
    struct ccz_rd r = ccz_rd_from(der);
    struct ccz_rd seq = ccz_rd_from(cczi_der_take(&r, CCZI_DER_SEQUENCE));
    struct cczi_signed s;
    s.tbs = cczi_der_whole(&seq, CCZI_DER_SEQUENCE);
    s.algorithm = cczi_der_whole(&seq, CCZI_DER_SEQUENCE);
    struct ccz_span bits = cczi_der_take(&seq, CCZI_DER_BIT_STRING);
    if (!ccz_rd_done(&r) || !ccz_rd_done(&seq) || bits.size == 0 || bits.ptr[0] != 0)
        return ccz_fail(err, CCZ_E_FORMAT, kind->at_shape, (int64_t)der.size,
                        "not exactly one %s in DER: truncated, trailing bytes or malformed",
                        kind->name);
    s.signature = ccz_span_sub(bits, 1, bits.size - 1); /* behind the count of unused bits */
    *out = s;
    return CCZ_OK;
}

ccz_rc cczi_x509_same_algorithm(struct ccz_span inner, const struct cczi_signed *s,
                                const struct cczi_x509_kind *kind, struct ccz_err *err)
{
    if (ccz_span_eq(inner, s->algorithm))
        return CCZ_OK;
    return ccz_refuse_bytes(err, CCZ_E_FORMAT, kind->at_algorithm, s->algorithm.ptr,
                            s->algorithm.size, inner.ptr, inner.size);
}

/* RDNSequence ::= SEQUENCE OF SET SIZE (1..MAX) OF SEQUENCE { type OID, value ANY } */
struct ccz_span cczi_x509_name(struct ccz_rd *r)
{
    struct ccz_span name = cczi_der_whole(r, CCZI_DER_SEQUENCE);
    struct ccz_rd outer = ccz_rd_from(name);
    struct ccz_rd rdns = ccz_rd_from(cczi_der_take(&outer, CCZI_DER_SEQUENCE));
    while (rdns.left > 0 && !rdns.bad) {
        struct ccz_rd set = ccz_rd_from(cczi_der_take(&rdns, CCZI_DER_SET));
        do {
            struct ccz_rd atv = ccz_rd_from(cczi_der_take(&set, CCZI_DER_SEQUENCE));
            struct ccz_span type = cczi_der_take(&atv, CCZI_DER_OID);
            (void)cczi_der_whole(&atv, 0);
            if (type.size == 0 || !ccz_rd_done(&atv))
                set.bad = true;
        } while (set.left > 0 && !set.bad);
        if (!ccz_rd_done(&set))
            rdns.bad = true;
    }
    if (rdns.bad)
        r->bad = true;
    return r->bad ? (struct ccz_span){0} : name;
}

bool cczi_x509_cn(char out[CCZI_X509_CN_SIZE_MAX + 1], struct ccz_span dn)
{
    static const uint8_t oid[] = {0x55, 0x04, 0x03}; /* 2.5.4.3 */
    struct ccz_rd name = ccz_rd_from(dn);
    struct ccz_rd rdns = ccz_rd_from(cczi_der_take(&name, CCZI_DER_SEQUENCE));
    out[0] = 0;
    while (rdns.left > 0 && !rdns.bad) {
        struct ccz_rd set = ccz_rd_from(cczi_der_take(&rdns, CCZI_DER_SET));
        while (set.left > 0 && !set.bad) {
            struct ccz_rd atv = ccz_rd_from(cczi_der_take(&set, CCZI_DER_SEQUENCE));
            if (!ccz_span_eq(cczi_der_take(&atv, CCZI_DER_OID), CCZ_SPAN(oid, sizeof(oid))))
                continue;
            uint8_t tag = atv.left > 0 ? atv.ptr[0] : 0;
            struct ccz_span v = cczi_der_take(&atv, tag);
            bool bytes = tag == CCZI_DER_UTF8_STRING || tag == CCZI_DER_PRINTABLE_STRING ||
                         tag == CCZI_DER_IA5_STRING || tag == CCZI_DER_TELETEX_STRING;
            if (!bytes || v.size > CCZI_X509_CN_SIZE_MAX ||
                (v.size > 0 && memchr(v.ptr, 0, v.size)))
                return false;
            if (v.size > 0)
                memcpy(out, v.ptr, v.size);
            out[v.size] = 0;
            return true;
        }
    }
    return true;
}

ccz_rc cczi_x509_refuse_cn(struct ccz_err *err, ccz_rc rc, const char *where, const char *got,
                           const char *expected)
{
    char g[CCZ_ERR_VALUE_SIZE], e[CCZ_ERR_VALUE_SIZE];
    ccz_escape(g, sizeof(g), ccz_span_str(got));
    ccz_escape(e, sizeof(e), ccz_span_str(expected));
    return ccz_refuse(err, rc, where, g, e);
}

bool cczi_x509_time_peek(const struct ccz_rd *r)
{
    return cczi_der_peek(r, CCZI_DER_UTC_TIME) || cczi_der_peek(r, CCZI_DER_GENERALIZED_TIME);
}

int64_t cczi_x509_time(struct ccz_rd *r)
{
    bool utc = cczi_der_peek(r, CCZI_DER_UTC_TIME);
    struct ccz_span t = cczi_der_take(r, utc ? CCZI_DER_UTC_TIME : CCZI_DER_GENERALIZED_TIME);
    size_t century = utc ? 2 : 0; /* UTCTime leaves it out */
    if (t.size != 15 - century || t.ptr[t.size - 1] != 'Z') {
        r->bad = true;
        return 0;
    }
    /* the digits as an RFC 3339 time, whose parser checks each field; 4.1.2.5.1: 50..99 is 19xx,
     * 00..49 is 20xx */
    char text[] = "YYYY-MM-DDThh:mm:ssZ";
    static const uint8_t to[14] = {0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18};
    memcpy(text, t.ptr[0] >= '5' ? "19" : "20", 2);
    for (size_t i = century; i < sizeof(to); i++)
        text[to[i]] = (char)t.ptr[i - century];
    int64_t t_s = 0;
    if (ccz_time_parse(&t_s, text, sizeof(text) - 1) != CCZ_OK)
        r->bad = true;
    return t_s;
}

ccz_rc cczi_x509_refuse_ext(struct ccz_err *err, ccz_rc rc, const char *where,
                            const struct cczi_ext *e, const char *expected)
{
    char oid[CCZ_ERR_VALUE_SIZE];
    cczi_der_oid_text(oid, sizeof(oid), e->oid);
    return ccz_refuse(err, rc, where, oid, expected);
}

ccz_rc cczi_x509_exts(struct cczi_exts *out, struct ccz_rd *r, const struct cczi_x509_kind *kind,
                      struct ccz_err *err)
{
    out->len = 0;
    struct ccz_rd seq = ccz_rd_from(cczi_der_take(r, CCZI_DER_SEQUENCE));
    if (seq.left == 0)
        r->bad = true; /* SIZE (1..MAX) */
    while (seq.left > 0 && !seq.bad) {
        struct ccz_rd one = ccz_rd_from(cczi_der_take(&seq, CCZI_DER_SEQUENCE));
        struct cczi_ext e;
        e.oid = cczi_der_take(&one, CCZI_DER_OID);
        e.critical = cczi_der_default_false(&one);
        e.value = cczi_der_take(&one, CCZI_DER_OCTET_STRING);
        if (e.oid.size == 0 || !ccz_rd_done(&one))
            seq.bad = true;
        if (out->len == CCZI_X509_EXT_LEN_MAX)
            return ccz_fail(err, CCZ_E_LIMIT, kind->at_extensions, CCZI_X509_EXT_LEN_MAX,
                            "more than %d extensions", CCZI_X509_EXT_LEN_MAX);
        for (size_t i = 0; i < out->len && !seq.bad; i++) {
            if (ccz_span_eq(out->list[i].oid, e.oid))
                return cczi_x509_refuse_ext(err, CCZ_E_FORMAT, kind->at_repeated, &e, "once");
        }
        out->list[out->len++] = e;
    }
    if (r->bad || seq.bad)
        return ccz_fail(err, CCZ_E_FORMAT, kind->at_extensions, 0, "malformed extensions of the %s",
                        kind->name);
    return CCZ_OK;
}

const struct cczi_ext *cczi_x509_ext_ce(const struct cczi_exts *exts, uint8_t ce)
{
    const uint8_t oid[] = {0x55, 0x1d, ce}; /* 2.5.29.ce */
    for (size_t i = 0; i < exts->len; i++) {
        if (ccz_span_eq(exts->list[i].oid, CCZ_SPAN(oid, sizeof(oid))))
            return &exts->list[i];
    }
    return NULL;
}

/* ----------------------------------------------------------------------------- signatures */

/* Signature algorithms as whole AlgorithmIdentifiers: with their parameters there is one encoding
 * of each, but for the trailerField of RSASSA-PSS, which some of AMD's certificates spell out
 * although it has the default value. */
/* clang-format off */
#define OID_SHA384     0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02
#define OID_MGF1       0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08
#define OID_RSASSA_PSS 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a
#define OID_ECDSA_SHA2 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03 /* and one byte more */
#define SHA384_NULL    0x30, 0x0d, OID_SHA384, 0x05, 0x00
#define PSS_HASH       0xa0, 0x0f, SHA384_NULL
#define PSS_MASK       0xa1, 0x1c, 0x30, 0x1a, OID_MGF1, SHA384_NULL
#define PSS_SALT_48    0xa2, 0x03, 0x02, 0x01, 0x30
#define PSS_TRAILER    0xa3, 0x03, 0x02, 0x01, 0x01
/* RFC 5758, 3.2: no parameters */
static const uint8_t ecdsa_sha256[] = {0x30, 0x0a, OID_ECDSA_SHA2, 0x02};
static const uint8_t ecdsa_sha384[] = {0x30, 0x0a, OID_ECDSA_SHA2, 0x03};
/* RFC 4055, 3.1: SHA-384, MGF1 with SHA-384, 48 bytes of salt; the chains of AMD SEV-SNP */
static const uint8_t pss_sha384[] = {
    0x30, 0x41, OID_RSASSA_PSS, 0x30, 0x34, PSS_HASH, PSS_MASK, PSS_SALT_48};
static const uint8_t pss_sha384_trailer[] = {
    0x30, 0x46, OID_RSASSA_PSS, 0x30, 0x39, PSS_HASH, PSS_MASK, PSS_SALT_48, PSS_TRAILER};

enum scheme { SCHEME_ECDSA, SCHEME_RSA_PSS };
static const struct algorithm {
    enum scheme scheme;
    enum ccz_hash hash;
    struct ccz_span der;
} algorithms[] = {
    {SCHEME_ECDSA,   CCZ_SHA256, {ecdsa_sha256, sizeof(ecdsa_sha256)}},
    {SCHEME_ECDSA,   CCZ_SHA384, {ecdsa_sha384, sizeof(ecdsa_sha384)}},
    {SCHEME_RSA_PSS, CCZ_SHA384, {pss_sha384, sizeof(pss_sha384)}},
    {SCHEME_RSA_PSS, CCZ_SHA384, {pss_sha384_trailer, sizeof(pss_sha384_trailer)}},
};
/* clang-format on */

/* RSASSA-PSS, SHA-384 throughout. @retval CCZ_E_UNSUPPORTED the key is no RSA key of enough bits, or one that is dear to check */
static ccz_rc check_rsa_pss(struct ccz_span spki, const struct cczi_signed *s)
{
    const uint8_t *p = spki.ptr;
    EVP_PKEY *key = d2i_PUBKEY(NULL, &p, (long)spki.size);
    bool usable = key && EVP_PKEY_is_a(key, "RSA") && EVP_PKEY_get_bits(key) >= RSA_BITS_MIN &&
                  cczi_rsa_cheap(key);
    ccz_rc rc = usable ? CCZ_E_SIG : CCZ_E_UNSUPPORTED;
    EVP_MD_CTX *md = usable ? EVP_MD_CTX_new() : NULL;
    EVP_PKEY_CTX *ctx = NULL; /* belongs to md */
    if (md && EVP_DigestVerifyInit_ex(md, &ctx, "SHA384", NULL, NULL, key, NULL) == 1 &&
        EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
        EVP_PKEY_CTX_set_rsa_mgf1_md_name(ctx, "SHA384", NULL) == 1 &&
        EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) == 1 &&
        EVP_DigestVerify(md, s->signature.ptr, s->signature.size, s->tbs.ptr, s->tbs.size) == 1)
        rc = CCZ_OK;
    EVP_MD_CTX_free(md);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return rc;
}

/* The algorithm of @p s, or NULL and a refusal. */
static const struct algorithm *
find_algorithm(const struct cczi_signed *s, const struct cczi_x509_kind *kind, struct ccz_err *err)
{
    for (size_t i = 0; i < sizeof(algorithms) / sizeof(algorithms[0]); i++) {
        if (ccz_span_eq(s->algorithm, algorithms[i].der))
            return &algorithms[i];
    }
    char got[2 * sizeof(pss_sha384_trailer) + 1];
    size_t size = s->algorithm.size;
    ccz_hex(got, s->algorithm.ptr, size < sizeof(got) / 2 ? size : sizeof(got) / 2);
    (void)ccz_refuse(err, CCZ_E_UNSUPPORTED, kind->at_signature_algorithm, got,
                     "ECDSA with SHA-256 or SHA-384, or RSASSA-PSS with SHA-384");
    return NULL;
}

static ccz_rc refuse_issuer_key(const struct cczi_x509_kind *kind, struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_UNSUPPORTED, kind->at_issuer_key, 0,
                    "the issuer's key is not of the kind that the %s's signature needs",
                    kind->name);
}

ccz_rc cczi_x509_refuse_signature(const struct cczi_x509_kind *kind, ccz_rc rc, struct ccz_err *err)
{
    if (rc == CCZ_E_SIG)
        return ccz_fail(err, rc, kind->at_signature, 0,
                        "the signature of the %s does not verify with its issuer's key",
                        kind->name);
    return ccz_fail(err, rc, kind->at_signature, 0, "the signature of the %s could not be checked",
                    kind->name);
}

ccz_rc cczi_x509_key_job(struct ccz_ecdsa_job *out, const struct cczi_signed *s,
                         const struct ccz_key *key, const struct cczi_x509_kind *kind,
                         struct ccz_err *err)
{
    const struct algorithm *a = find_algorithm(s, kind, err);
    if (!a)
        return CCZ_E_UNSUPPORTED;
    if (!key || a->scheme != SCHEME_ECDSA)
        return refuse_issuer_key(kind, err);
    *out = (struct ccz_ecdsa_job){.key = key,
                                  .sig = s->signature,
                                  .form = CCZ_SIG_DER,
                                  .digest_size = ccz_hash_size(a->hash)};
    ccz_rc rc = ccz_hash(out->digest, a->hash, &s->tbs, 1);
    return rc == CCZ_OK ? rc : cczi_x509_refuse_signature(kind, rc, err);
}

ccz_rc cczi_x509_signature_job(struct ccz_ecdsa_job *out, const struct cczi_signed *s,
                               const struct ccz_cert *issuer, const struct cczi_x509_kind *kind,
                               struct ccz_err *err)
{
    return cczi_x509_key_job(out, s, ccz_cert_key(issuer), kind, err);
}

ccz_rc cczi_x509_check_signature(const struct cczi_signed *s, const struct ccz_cert *issuer,
                                 const struct cczi_x509_kind *kind, struct ccz_err *err)
{
    const struct algorithm *a = find_algorithm(s, kind, err);
    if (!a)
        return CCZ_E_UNSUPPORTED;
    ccz_rc rc;
    if (a->scheme == SCHEME_ECDSA) {
        struct ccz_ecdsa_job job;
        rc = cczi_x509_signature_job(&job, s, issuer, kind, err);
        if (rc != CCZ_OK)
            return rc;
        rc = ccz_ecdsa_verify_batch(&job, 1);
    } else {
        rc = ccz_cert_key(issuer) ? CCZ_E_UNSUPPORTED : check_rsa_pss(ccz_cert_spki(issuer), s);
        if (rc == CCZ_E_UNSUPPORTED)
            return refuse_issuer_key(kind, err);
    }
    return rc == CCZ_OK ? rc : cczi_x509_refuse_signature(kind, rc, err);
}
