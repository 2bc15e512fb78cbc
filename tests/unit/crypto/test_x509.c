/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates and CRLs: issue and read back, one bad certificate per refusal, every cut, every
 * bit. */
#define _DEFAULT_SOURCE
#include "ccz_test.h"
#include "crypto/x509_priv.h"
#include "der_text.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

enum { NOW = 1735689600, YEAR = 31536000 }; /* 2025-01-01T00:00:00Z */

static struct ccz_err err;

#define CHECK_WHERE(rc_expr, want_rc, want_where)                                                  \
    do {                                                                                           \
        err = (struct ccz_err){.rc = CCZ_OK};                                                      \
        ccz_rc check_rc = (rc_expr);                                                               \
        if (check_rc != (want_rc) || err.rc != (want_rc) || strcmp(err.where, (want_where))) {     \
            fprintf(stderr, "%s:%d: got %s at \"%s\", want %s at \"%s\"\n", __FILE__, __LINE__,    \
                    ccz_rc_name(check_rc), err.where, ccz_rc_name(want_rc), (want_where));         \
            exit(1);                                                                               \
        }                                                                                          \
        CHECK(ERR_peek_error() == 0); /* nothing left in OpenSSL's queue */                        \
    } while (0)

static struct ccz_key *new_key(void)
{
    struct ccz_key *k;
    CHECK(ccz_key_generate(&k, CCZ_P256) == CCZ_OK);
    return k;
}

static struct ccz_cert *issue(const struct ccz_cert_cfg *cfg)
{
    CCZ_AUTO_BUF der;
    ccz_buf_init(&der, CCZ_CERT_SIZE_MAX);
    struct ccz_cert *c;
    struct ccz_cert_cfg full = *cfg;
    full.not_before_s = cfg->not_before_s ? cfg->not_before_s : NOW;
    full.not_after_s = cfg->not_after_s ? cfg->not_after_s : NOW + YEAR;
    CHECK(ccz_cert_issue(&der, &full, &err) == CCZ_OK);
    CHECK(ccz_cert_parse(&c, ccz_buf_span(&der), &err) == CCZ_OK);
    return c;
}

/* A root and its key, used by most tests. */
struct ca {
    struct ccz_key *key;
    struct ccz_cert *cert;
};

static struct ca new_ca(const char *cn)
{
    struct ca ca = {.key = new_key()};
    ca.cert = issue(&(struct ccz_cert_cfg){.cn = cn, .key = ca.key, .ca = true});
    return ca;
}

static void free_ca(struct ca *ca)
{
    ccz_cert_free(ca->cert);
    ccz_key_free(ca->key);
}

/* ------------------------------------------------------- a certificate from chosen pieces */

/* DER of each field; an empty one takes the good value. Signed by `signer` at the end. */
struct forge {
    struct ccz_span version, serial, inner_alg, issuer, validity, subject, spki, exts, tail;
    struct ccz_span outer_alg, bits_head, outer_tail;
    const struct ccz_key *signer;
};

static void put(struct ccz_buf *b, struct ccz_span chosen, struct ccz_span good)
{
    ccz_buf_put_span(b, chosen.size ? chosen : good);
}

#define NAME_X   "30(31(30(06(550403) 0c('X'))))"
#define NAME_Y   "30(31(30(06(550403) 0c('Y'))))"
#define VALIDITY "30(17('250101000000Z') 17('260101000000Z'))"
#define ECDSA256 "30(06(2a8648ce3d040302))"
#define CA_TRUE  "30(06(551d13) 0101ff 04(30(0101ff)))"

static void forge(struct ccz_buf *out, const struct forge *f)
{
    CCZ_AUTO_BUF b, spki;
    ccz_buf_init(&b, 2 * CCZ_CERT_SIZE_MAX);
    ccz_buf_init(&spki, CCZ_CERT_SIZE_MAX);
    CHECK(ccz_key_spki(&spki, f->signer) == CCZ_OK);
    size_t tbs = cczi_der_open(&b, CCZI_DER_SEQUENCE);
    put(&b, f->version, DER("a003020102"));
    put(&b, f->serial, DER("020101"));
    put(&b, f->inner_alg, DER(ECDSA256));
    put(&b, f->issuer, DER(NAME_X));
    put(&b, f->validity, DER(VALIDITY));
    put(&b, f->subject, DER(NAME_X));
    put(&b, f->spki, ccz_buf_span(&spki));
    put(&b, f->exts, DER("a3(30(" CA_TRUE "))"));
    ccz_buf_put_span(&b, f->tail);
    cczi_der_close(&b, tbs);

    uint8_t raw[64];
    struct ccz_span signed_bytes = ccz_buf_span(&b);
    CHECK(ccz_ecdsa_sign(raw, f->signer, &signed_bytes, 1) == CCZ_OK);
    size_t seq = cczi_der_open(out, CCZI_DER_SEQUENCE);
    ccz_buf_put_span(out, signed_bytes);
    put(out, f->outer_alg, f->inner_alg.size ? f->inner_alg : DER(ECDSA256));
    size_t bits = cczi_der_open(out, CCZI_DER_BIT_STRING);
    put(out, f->bits_head, DER("00"));
    cczi_ecdsa_put_der(out, raw, sizeof(raw));
    cczi_der_close(out, bits);
    ccz_buf_put_span(out, f->outer_tail);
    cczi_der_close(out, seq);
    CHECK(!out->bad);
}

static ccz_rc parse_forged(const struct forge *f)
{
    CCZ_AUTO_BUF der;
    ccz_buf_init(&der, 2 * CCZ_CERT_SIZE_MAX);
    forge(&der, f);
    CCZ_AUTO(ccz_cert) c = NULL;
    ccz_rc rc = ccz_cert_parse(&c, ccz_buf_span(&der), &err);
    CHECK((rc == CCZ_OK) == (c != NULL));
    return rc;
}

static void test_forge(void)
{
    CCZ_AUTO(ccz_key) k = new_key();
    CCZ_AUTO_BUF der;
    ccz_buf_init(&der, CCZ_CERT_SIZE_MAX);
    forge(&der, &(struct forge){.signer = k}); /* the good values are good, in OpenSSL's eyes too */
    CCZ_AUTO(ccz_cert) c = NULL;
    CHECK(ccz_cert_parse(&c, ccz_buf_span(&der), &err) == CCZ_OK);
    CHECK(ccz_cert_check_issuer(c, c, &err) == CCZ_OK);
    CHECK(strcmp(ccz_cert_cn(c), "X") == 0 && ccz_cert_is_ca(c));
    CHECK(ccz_cert_not_before(c) == NOW && ccz_cert_not_after(c) == NOW + YEAR);
    const uint8_t *p = der.ptr;
    X509 *x = d2i_X509(NULL, &p, (long)der.size);
    CHECK(x && X509_verify(x, X509_get0_pubkey(x)) == 1);
    X509_free(x);
}

static void test_refuse_tbs(void)
{
    CCZ_AUTO(ccz_key) k = new_key();
#define REFUSED(rc, where, ...)                                                                    \
    CHECK_WHERE(parse_forged(&(struct forge){.signer = k, __VA_ARGS__}), rc, where)
    REFUSED(CCZ_E_FORMAT, "x509:version", .version = DER("a0(020101)"));   /* v2 */
    REFUSED(CCZ_E_FORMAT, "x509:version", .version = DER("a0(020103)"));   /* v4 */
    REFUSED(CCZ_E_FORMAT, "x509:version", .version = DER("a0(02020002)")); /* padded */
    REFUSED(CCZ_E_FORMAT, "x509:version", .version = DER("020101"));       /* v1: no [0] */
    REFUSED(CCZ_E_FORMAT, "x509:serial", .serial = DER("0200"));           /* empty */
    REFUSED(CCZ_E_FORMAT, "x509:serial", .serial = DER("02(80)"));         /* negative */
    REFUSED(CCZ_E_FORMAT, "x509:serial", .serial = DER("02(0001)"));       /* padded */
    REFUSED(CCZ_E_FORMAT, "x509:serial", .serial = DER("02('22 bytes of a serial..')"));
    REFUSED(CCZ_E_FORMAT, "x509:algorithm-mismatch", .outer_alg = DER("30(06(2a8648ce3d040303))"));
    REFUSED(CCZ_E_FORMAT, "x509:certificate", .outer_tail = DER("0500")); /* behind the signature */
    REFUSED(CCZ_E_FORMAT, "x509:certificate", .bits_head = DER("01"));    /* an unused bit */
    REFUSED(CCZ_E_FORMAT, "x509:tbs", .issuer = DER("30(31(30(06(550403))))")); /* no value */
    REFUSED(CCZ_E_FORMAT, "x509:tbs",
            .issuer = DER("30(31(30(06(550403) 0c('X') 0500)))"));                 /* two */
    REFUSED(CCZ_E_FORMAT, "x509:tbs", .subject = DER("30(31())"));                 /* empty SET */
    REFUSED(CCZ_E_FORMAT, "x509:tbs", .subject = DER("30(31(30(0600 0c('X'))))")); /* empty type */
    REFUSED(CCZ_E_FORMAT, "x509:tbs",
            .subject = DER("30(30(30(06(550403) 0c('X'))))")); /* no SET */
    REFUSED(CCZ_E_FORMAT, "x509:tbs", .tail = DER("0500"));    /* a field behind */
    REFUSED(CCZ_E_FORMAT, "x509:tbs",
            .exts = DER("81(00) a3(30(" CA_TRUE "))")); /* issuerUniqueID */
    REFUSED(CCZ_E_FORMAT, "x509:common-name", .subject = DER("30(31(30(06(550403) 0c('X' 00))))"));
    REFUSED(CCZ_E_FORMAT, "x509:common-name", .subject = DER("30(31(30(06(550403) 1e(0058))))"));
    /* a point that is not on the curve, in the SubjectPublicKeyInfo of P-256 */
    REFUSED(CCZ_E_FORMAT, "x509:public-key",
            .spki = DER("30(30(06(2a8648ce3d0201) 06(2a8648ce3d030107)) 03(00 04"
                        "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6"
                        "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462298))"));
}

static void test_refuse_validity(void)
{
    CCZ_AUTO(ccz_key) k = new_key();
#define BAD_TIME(text) REFUSED(CCZ_E_FORMAT, "x509:validity", .validity = DER("30(" text ")"))
#define AFTER          "17('260101000000Z')"
    BAD_TIME("17('2501010000Z')" AFTER);         /* no seconds */
    BAD_TIME("17('250101000000+0100')" AFTER);   /* not UTC */
    BAD_TIME("17('251301000000Z')" AFTER);       /* month 13 */
    BAD_TIME("17('250230000000Z')" AFTER);       /* 30 February */
    BAD_TIME("17('250101240000Z')" AFTER);       /* 24 h */
    BAD_TIME("17('25010100000 Z')" AFTER);       /* no digit */
    BAD_TIME("17('2501010000000')" AFTER);       /* no Z */
    BAD_TIME("18('20250101000000.5Z')" AFTER);   /* fraction */
    BAD_TIME("18('250101000000Z')" AFTER);       /* two digits of the year */
    BAD_TIME("17('20250101000000Z')" AFTER);     /* four digits of the year */
    BAD_TIME("04('250101000000Z')" AFTER);       /* another type */
    BAD_TIME("17('250101000000Z')");             /* one time only */
    BAD_TIME("17('250101000000Z')" AFTER AFTER); /* three times */
    /* both forms of RFC 5280, 4.1.2.5, at the turn of the century window and at the end of time */
    static const struct {
        const char *validity;
        int64_t from, to;
    } good[] = {
        {"30(17('500101000000Z') 17('491231235959Z'))", -631152000, 2524607999},
        {"30(18('20500101000000Z') 18('99991231235959Z'))", 2524608000, 253402300799},
        {"30(17('250101000000Z') 18('99991231235959Z'))", NOW, 253402300799},
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        CCZ_AUTO_BUF der;
        ccz_buf_init(&der, CCZ_CERT_SIZE_MAX);
        forge(&der, &(struct forge){.signer = k, .validity = DER(good[i].validity)});
        CCZ_AUTO(ccz_cert) c = NULL;
        CHECK(ccz_cert_parse(&c, ccz_buf_span(&der), &err) == CCZ_OK);
        CHECK(ccz_cert_not_before(c) == good[i].from && ccz_cert_not_after(c) == good[i].to);
    }
}

static void test_refuse_exts(void)
{
    CCZ_AUTO(ccz_key) k = new_key();
#define BAD_EXT(where, text) REFUSED(CCZ_E_FORMAT, where, .exts = DER("a3(" text ")"))
    BAD_EXT("x509:extensions", "30()");                                 /* none at all */
    BAD_EXT("x509:extensions", "30(" CA_TRUE ") 0500");                 /* bytes behind them */
    BAD_EXT("x509:extensions", "30(30(06(551d0e) 010100 04(0401aa)))"); /* FALSE spelt out */
    BAD_EXT("x509:extensions", "30(30(06(551d0e) 010101 04(0401aa)))"); /* TRUE as 01 */
    BAD_EXT("x509:extensions", "30(30(06(551d0e) 04(0401aa) 0500))");   /* one field more */
    BAD_EXT("x509:extensions", "30(30(06() 04(00)))");                  /* empty OID */
    BAD_EXT("x509:extensions", "30(30(06(551d0e)))");                   /* no value */
    BAD_EXT("x509:repeated-extension", "30(" CA_TRUE CA_TRUE ")");
    BAD_EXT("x509:basic-constraints", "30(30(06(551d13) 04()))");           /* empty */
    BAD_EXT("x509:basic-constraints", "30(30(06(551d13) 04(30(010100))))"); /* FALSE spelt out */
    BAD_EXT("x509:basic-constraints", "30(30(06(551d13) 04(30(020100))))"); /* path length, no CA */
    BAD_EXT("x509:basic-constraints", "30(30(06(551d13) 04(30(0101ff 0201ff))))"); /* negative */
    BAD_EXT("x509:basic-constraints", "30(30(06(551d13) 04(30(0101ff) 00)))");     /* trailing */
    BAD_EXT("x509:key-usage", "30(30(06(551d0f) 04(03(00))))");       /* no bits at all */
    BAD_EXT("x509:key-usage", "30(30(06(551d0f) 04(03(08 06))))");    /* 8 unused bits */
    BAD_EXT("x509:key-usage", "30(30(06(551d0f) 04(03(01 06) 00)))"); /* trailing */
    /* one more than the table holds */
    CCZ_AUTO_BUF many;
    ccz_buf_init(&many, CCZ_CERT_SIZE_MAX);
    size_t explicit3 = cczi_der_open(&many, CCZI_DER_CONTEXT(3));
    size_t seq = cczi_der_open(&many, CCZI_DER_SEQUENCE);
    for (int i = 0; i <= CCZI_X509_EXT_LEN_MAX; i++) {
        char oid[16];
        (void)snprintf(oid, sizeof(oid), "1.2.3.%d", i);
        cczi_x509_put_ext(&many, oid, false, DER("00"));
    }
    cczi_der_close(&many, seq);
    cczi_der_close(&many, explicit3);
    REFUSED(CCZ_E_LIMIT, "x509:extensions", .exts = ccz_buf_span(&many));
    static uint8_t big[CCZ_CERT_SIZE_MAX];
    REFUSED(CCZ_E_LIMIT, "x509:size", .tail = CCZ_SPAN(big, sizeof(big)));
}

/* ------------------------------------------------------------------------------- issuing */

static void test_issue(void)
{
    struct ca ca = new_ca("Test Root");
    CCZ_AUTO(ccz_key) k = new_key();
    const struct ccz_cert_ext_in ext[] = {
        {"1.2.840.113741.1337.6", ccz_span_str("evidence"), false},
        {"2.23.133.5.4.9", ccz_span_str(""), true},
    };
    CCZ_AUTO(ccz_cert)
    c = issue(&(struct ccz_cert_cfg){.cn = "leaf",
                                     .org = "Org",
                                     .key = k,
                                     .issuer = ca.cert,
                                     .issuer_key = ca.key,
                                     .serial = 0x80ff,
                                     .ext = ext,
                                     .ext_len = 2});
    CHECK(strcmp(ccz_cert_cn(c), "leaf") == 0 && !ccz_cert_is_ca(c));
    CHECK(ccz_span_eq(ccz_cert_issuer(c), ccz_cert_subject(ca.cert)));
    CHECK(ccz_span_eq(ccz_cert_serial(c), DER("0080ff")));
    CHECK(ccz_cert_not_before(c) == NOW && ccz_cert_not_after(c) == NOW + YEAR);
    CCZ_AUTO_BUF spki;
    ccz_buf_init(&spki, 200);
    CHECK(ccz_key_spki(&spki, k) == CCZ_OK && ccz_span_eq(ccz_cert_spki(c), ccz_buf_span(&spki)));
    uint8_t a[64], b[64];
    CHECK(ccz_key_xy(a, k) == CCZ_OK && ccz_key_xy(b, ccz_cert_key(c)) == CCZ_OK &&
          !memcmp(a, b, 64));
    bool critical = true;
    CHECK(ccz_span_eq(ccz_cert_ext(&critical, c, ext[0].oid), ext[0].value) && !critical);
    CHECK(ccz_cert_ext(&critical, c, ext[1].oid).ptr != NULL && critical);
    CHECK(ccz_cert_ext(&critical, c, "1.2.840.113741.1337.5").ptr == NULL && !critical);
    CHECK(ccz_cert_ext(NULL, c, "not an oid").ptr == NULL);
    CHECK(ccz_cert_ext(NULL, c, "2.5.29.15").size > 0 &&
          ccz_cert_ext(NULL, c, "2.5.29.35").size > 0);

    /* what we write, OpenSSL reads and verifies */
    struct ccz_span der = ccz_cert_der(c);
    const uint8_t *p = der.ptr;
    X509 *x = d2i_X509(NULL, &p, (long)der.size);
    p = ccz_cert_der(ca.cert).ptr;
    X509 *root = d2i_X509(NULL, &p, (long)ccz_cert_der(ca.cert).size);
    CHECK(x && root && X509_verify(x, X509_get0_pubkey(root)) == 1);
    CHECK(X509_check_issued(root, x) == X509_V_OK); /* names, key identifiers and usage agree */
    X509_free(x);
    X509_free(root);

    /* random serials differ and are positive */
    CCZ_AUTO(ccz_cert) r1 = issue(&(struct ccz_cert_cfg){.cn = "r", .key = k});
    CCZ_AUTO(ccz_cert) r2 = issue(&(struct ccz_cert_cfg){.cn = "r", .key = k});
    CHECK(!ccz_span_eq(ccz_cert_serial(r1), ccz_cert_serial(r2)));
    free_ca(&ca);
}

static void test_issue_refused(void)
{
    struct ca ca = new_ca("Test Root");
    CCZ_AUTO(ccz_key) k = new_key();
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, CCZ_CERT_SIZE_MAX);
    struct ccz_cert_cfg bad = {.cn = "", .key = k, .not_after_s = 1};
    CHECK_WHERE(ccz_cert_issue(&out, &bad, &err), CCZ_E_ARG, "x509:issue-name");
    bad = (struct ccz_cert_cfg){.cn = "x", .key = k, .not_before_s = 2, .not_after_s = 1};
    CHECK_WHERE(ccz_cert_issue(&out, &bad, &err), CCZ_E_ARG, "x509:issue-validity");
    bad = (struct ccz_cert_cfg){.cn = "x", .key = k, .not_after_s = CCZ_TIME_MAX_S + 1};
    CHECK_WHERE(ccz_cert_issue(&out, &bad, &err), CCZ_E_ARG, "x509:issue-validity");
    bad.not_after_s = CCZ_TIME_MAX_S;
    CHECK(ccz_cert_issue(&out, &bad, &err) == CCZ_OK);
    ccz_buf_clear(&out);
    bad = (struct ccz_cert_cfg){.cn = "x", .key = k, .issuer = ca.cert};
    CHECK_WHERE(ccz_cert_issue(&out, &bad, &err), CCZ_E_ARG, "x509:issue-issuer");
    bad = (struct ccz_cert_cfg){
        .cn = "x", .key = k, .issuer = ca.cert, .issuer_key = k}; /* not its key */
    CHECK_WHERE(ccz_cert_issue(&out, &bad, &err), CCZ_E_SIG, "x509:signature");
    const struct ccz_cert_ext_in twice[] = {{"1.2.3", ccz_span_str("x"), false},
                                            {"1.2.3", ccz_span_str("y"), true}};
    bad = (struct ccz_cert_cfg){.cn = "x", .key = k, .ext = twice, .ext_len = 2};
    CHECK_WHERE(ccz_cert_issue(&out, &bad, &err), CCZ_E_FORMAT, "x509:repeated-extension");
    bad.ext = &(struct ccz_cert_ext_in){.oid = "3.1"};
    bad.ext_len = 1;
    CHECK_WHERE(ccz_cert_issue(&out, &bad, &err), CCZ_E_LIMIT, "x509:issue");
    CHECK(out.size == 0);
    free_ca(&ca);
}

/* P-384 keys: Gramine's identities, and the signature of one by another curve. */
static void test_p384(void)
{
    struct ca ca = new_ca("Root 256");
    CCZ_AUTO(ccz_key) k = NULL;
    CHECK(ccz_key_generate(&k, CCZ_P384) == CCZ_OK);
    CCZ_AUTO(ccz_cert)
    sub = issue(&(struct ccz_cert_cfg){
        .cn = "Sub 384", .key = k, .issuer = ca.cert, .issuer_key = ca.key, .ca = true});
    CCZ_AUTO(ccz_cert)
    leaf =
        issue(&(struct ccz_cert_cfg){.cn = "leaf", .key = ca.key, .issuer = sub, .issuer_key = k});
    CHECK(ccz_cert_check_issuer(sub, ca.cert, &err) == CCZ_OK);
    CHECK(ccz_cert_check_issuer(leaf, sub, &err) == CCZ_OK);
    CHECK_WHERE(ccz_cert_check_issuer(leaf, ca.cert, &err), CCZ_E_MISMATCH, "x509:issuer-name");
    free_ca(&ca);
}

/* --------------------------------------------------------------------------------- chains */

static void test_chain(void)
{
    struct ca ca = new_ca("Root"), twin = new_ca("Root"), other = new_ca("Other");
    CCZ_AUTO(ccz_key) k = new_key();
    CCZ_AUTO(ccz_cert)
    c = issue(
        &(struct ccz_cert_cfg){.cn = "leaf", .key = k, .issuer = ca.cert, .issuer_key = ca.key});
    CHECK(ccz_cert_check_issuer(c, ca.cert, &err) == CCZ_OK);
    CHECK(ccz_cert_check_issuer(ca.cert, ca.cert, &err) == CCZ_OK);
    CHECK_WHERE(ccz_cert_check_issuer(c, other.cert, &err), CCZ_E_MISMATCH, "x509:issuer-name");
    CHECK(strcmp(err.got, "Other") == 0 && strcmp(err.expected, "Root") == 0);
    CHECK_WHERE(ccz_cert_check_issuer(c, twin.cert, &err), CCZ_E_SIG, "x509:signature");

    /* the same name and key in a certificate that is no CA */
    CCZ_AUTO(ccz_cert) no_ca = issue(&(struct ccz_cert_cfg){.cn = "Root", .key = ca.key});
    CHECK_WHERE(ccz_cert_check_issuer(c, no_ca, &err), CCZ_E_UNTRUSTED, "x509:not-ca");

    /* the same with the signature left for later */
    struct ccz_ecdsa_job jobs[3], none = {0};
    CHECK(ccz_cert_issuer_job(&jobs[0], c, ca.cert, &err) == CCZ_OK);
    CHECK(ccz_cert_issuer_job(&jobs[1], ca.cert, ca.cert, &err) == CCZ_OK);
    CHECK(ccz_ecdsa_verify_batch(jobs, 2) == CCZ_OK);
    CHECK(ccz_cert_issuer_job(&jobs[2], c, twin.cert, &err) == CCZ_OK);
    CHECK(ccz_ecdsa_verify_batch(jobs, 3) == CCZ_E_SIG && jobs[2].rc == CCZ_E_SIG);
    CHECK(jobs[0].rc == CCZ_OK && jobs[1].rc == CCZ_OK);
    CHECK_WHERE(ccz_cert_issuer_job(&jobs[0], c, other.cert, &err), CCZ_E_MISMATCH,
                "x509:issuer-name");
    CHECK(memcmp(&jobs[0], &none, sizeof(none)) == 0);
    CHECK_WHERE(ccz_cert_issuer_job(&jobs[0], c, no_ca, &err), CCZ_E_UNTRUSTED, "x509:not-ca");

    CHECK(ccz_cert_check_time(c, NOW, &err) == CCZ_OK &&
          ccz_cert_check_time(c, NOW + YEAR, &err) == CCZ_OK);
    CHECK_WHERE(ccz_cert_check_time(c, NOW - 1, &err), CCZ_E_EXPIRED, "x509:not-yet-valid");
    CHECK(strcmp(err.expected, "2025-01-01T00:00:00Z") == 0);
    CHECK_WHERE(ccz_cert_check_time(c, NOW + YEAR + 1, &err), CCZ_E_EXPIRED, "x509:expired");
    CHECK(strcmp(err.got, "2026-01-01T00:00:01Z") == 0);
    free_ca(&ca);
    free_ca(&twin);
    free_ca(&other);
}

static struct ccz_cert *forged(const struct forge *f)
{
    CCZ_AUTO_BUF der;
    ccz_buf_init(&der, CCZ_CERT_SIZE_MAX);
    forge(&der, f);
    struct ccz_cert *c;
    CHECK(ccz_cert_parse(&c, ccz_buf_span(&der), &err) == CCZ_OK);
    return c;
}

/* What ccz_cert_issue() cannot make: issuers and certificates with forged extensions. */
static void test_chain_exts(void)
{
    CCZ_AUTO(ccz_key) k = new_key();
    CCZ_AUTO(ccz_cert) good = forged(&(struct forge){.signer = k});
    CCZ_AUTO(ccz_cert)
    crl_only =
        forged(&(struct forge){/* keyUsage cRLSign */
                               .signer = k,
                               .exts = DER("a3(30(" CA_TRUE "30(06(551d0f) 04(03(01 02)))))")});
    CCZ_AUTO(ccz_cert) sub_ca = forged(&(struct forge){.signer = k, .subject = DER(NAME_Y)});
    CCZ_AUTO(ccz_cert)
    end_entity = forged(&(struct forge){
        .signer = k, .subject = DER(NAME_Y), .exts = DER("a3(30(30(06(551d13) 04(3000))))")});
    CCZ_AUTO(ccz_cert)
    path0 =
        forged(&(struct forge){/* pathLenConstraint 0 */
                               .signer = k,
                               .exts = DER("a3(30(30(06(551d13) 0101ff 04(30(0101ff 020100)))))")});
    CCZ_AUTO(ccz_cert)
    unknown =
        forged(&(struct forge){/* critical nameConstraints */
                               .signer = k,
                               .exts = DER("a3(30(" CA_TRUE "30(06(551d1e) 0101ff 04(3000))))")});
    CCZ_AUTO(ccz_cert)
    sha512 = forged(&(struct forge){/* ecdsa-with-SHA512 */
                                    .signer = k,
                                    .inner_alg = DER("30(06(2a8648ce3d040304))")});
    CCZ_AUTO(ccz_cert)
    x25519 = forged(&(struct forge){
        /* a key that cannot sign */
        .signer = k,
        .spki = DER("30(30(06(2b656e)) 03(00 'thirty-two bytes of a public key'))")});

    CHECK(ccz_cert_check_issuer(good, good, &err) == CCZ_OK);
    CHECK_WHERE(ccz_cert_check_issuer(good, crl_only, &err), CCZ_E_UNTRUSTED,
                "x509:issuer-key-usage");
    CHECK(ccz_cert_check_issuer(path0, path0, &err) == CCZ_OK); /* self-issued does not count */
    CHECK(ccz_cert_check_issuer(end_entity, path0, &err) == CCZ_OK);
    CHECK_WHERE(ccz_cert_check_issuer(sub_ca, path0, &err), CCZ_E_UNTRUSTED, "x509:path-length");
    CHECK_WHERE(ccz_cert_check_issuer(good, unknown, &err), CCZ_E_UNSUPPORTED,
                "x509:critical-extension");
    CHECK_WHERE(ccz_cert_check_issuer(unknown, good, &err), CCZ_E_UNSUPPORTED,
                "x509:critical-extension");
    CHECK_WHERE(ccz_cert_check_issuer(sha512, good, &err), CCZ_E_UNSUPPORTED,
                "x509:signature-algorithm");
    CHECK(ccz_cert_key(x25519) == NULL);
    CHECK_WHERE(ccz_cert_check_issuer(good, x25519, &err), CCZ_E_UNSUPPORTED, "x509:issuer-key");
    struct ccz_ecdsa_job job;
    CHECK_WHERE(ccz_cert_issuer_job(&job, good, x25519, &err), CCZ_E_UNSUPPORTED,
                "x509:issuer-key");
    CHECK_WHERE(ccz_cert_issuer_job(&job, sha512, good, &err), CCZ_E_UNSUPPORTED,
                "x509:signature-algorithm");
    CHECK_WHERE(ccz_cert_issuer_job(&job, unknown, good, &err), CCZ_E_UNSUPPORTED,
                "x509:critical-extension");
}

/* ------------------------------------------------------------------------- every byte, bit */

static void test_every_cut_and_bit(void)
{
    struct ca ca = new_ca("Root");
    CCZ_AUTO(ccz_key) k = new_key();
    CCZ_AUTO(ccz_cert)
    c = issue(
        &(struct ccz_cert_cfg){.cn = "leaf", .key = k, .issuer = ca.cert, .issuer_key = ca.key});
    struct ccz_span der = ccz_cert_der(c);
    uint8_t *copy = malloc(der.size + 1);
    CHECK(copy != NULL);
    for (size_t cut = 0; cut < der.size; cut++) {
        CCZ_AUTO(ccz_cert) bad = NULL;
        uint8_t *exact = malloc(cut ? cut : 1); /* a sanitizer sees the first byte read too far */
        CHECK(exact != NULL);
        memcpy(exact, der.ptr, cut);
        CHECK_WHERE(ccz_cert_parse(&bad, CCZ_SPAN(exact, cut), &err), CCZ_E_FORMAT,
                    "x509:certificate");
        free(exact);
    }
    memcpy(copy, der.ptr, der.size);
    copy[der.size] = 0;
    CCZ_AUTO(ccz_cert) trailing = NULL;
    CHECK_WHERE(ccz_cert_parse(&trailing, CCZ_SPAN(copy, der.size + 1), &err), CCZ_E_FORMAT,
                "x509:certificate");

    /* No bit is free: what is not signed is either compared with what is, or fixed by DER. */
    size_t parsed = 0;
    for (size_t bit = 0; bit < 8 * der.size; bit++) {
        copy[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        CCZ_AUTO(ccz_cert) flipped = NULL;
        if (ccz_cert_parse(&flipped, CCZ_SPAN(copy, der.size), &err) == CCZ_OK) {
            CHECK(ccz_cert_check_issuer(flipped, ca.cert, &err) != CCZ_OK);
            parsed++;
        }
        copy[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    CHECK(parsed > 0); /* the signature was needed */
    CHECK(ERR_peek_error() == 0);
    free(copy);
    free_ca(&ca);
}

/* BER that is not DER: the same certificate with a length in more bytes than needed, or indefinite.
 */
static void test_not_der(void)
{
    CCZ_AUTO(ccz_key) k = new_key();
    CCZ_AUTO(ccz_cert) c = issue(&(struct ccz_cert_cfg){.cn = "x", .key = k});
    struct ccz_span der = ccz_cert_der(c);
    CHECK(der.ptr[1] == 0x82);
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, CCZ_CERT_SIZE_MAX);
    ccz_buf_u8(&b, 0x30);
    ccz_buf_u8(&b, 0x83);
    ccz_buf_u8(&b, 0);
    ccz_buf_put(&b, der.ptr + 2, der.size - 2);
    CCZ_AUTO(ccz_cert) bad = NULL;
    CHECK_WHERE(ccz_cert_parse(&bad, ccz_buf_span(&b), &err), CCZ_E_FORMAT, "x509:certificate");
    ccz_buf_clear(&b);
    ccz_buf_u8(&b, 0x30);
    ccz_buf_u8(&b, 0x80);
    ccz_buf_put(&b, der.ptr + 4, der.size - 4);
    ccz_buf_put(&b, "\0\0", 2);
    CHECK_WHERE(ccz_cert_parse(&bad, ccz_buf_span(&b), &err), CCZ_E_FORMAT, "x509:certificate");
}

static void test_oid(void)
{
    static const struct {
        const char *dotted, *hex;
    } good[] = {
        {"0.6.9.42.840.113741.1337.6", "06092a864886f84d8a3906"}, /* what Gramine writes */
        {"1.2.840.113741.1337.6", "2a864886f84d8a3906"},
        {"2.5.29.15", "551d0f"},
        {"2.999", "8837"},
        {"0.0", "00"},
    };
    static const char *const bad[] = {"",
                                      "1",
                                      "1.",
                                      "1.40",
                                      "3.1",
                                      "1.2.",
                                      "1..2",
                                      "1.2.x",
                                      "1.2 ",
                                      "-1.2",
                                      "1.2.99999999999999999999"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        uint8_t got[64];
        struct ccz_span w = DER(good[i].hex);
        CHECK(cczi_der_oid(got, sizeof(got), good[i].dotted) == w.size &&
              !memcmp(got, w.ptr, w.size));
        CHECK(cczi_der_oid(got, w.size - 1, good[i].dotted) == 0); /* no room */
        char text[64];
        cczi_der_oid_text(text, sizeof(text), w);
        CHECK(strcmp(text, good[i].dotted) == 0);
        for (size_t size = 1; size <= strlen(text); size++) { /* no room for the text */
            char small[64];
            cczi_der_oid_text(small, size, w);
            CHECK(strcmp(small, size > 1 ? "?" : "") == 0);
        }
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint8_t got[64];
        CHECK(cczi_der_oid(got, sizeof(got), bad[i]) == 0);
    }
    static const char *const bad_hex[] = {"", "2a86", "ffffffffffffffffffffff7f"}; /* cut, huge */
    for (size_t i = 0; i < sizeof(bad_hex) / sizeof(bad_hex[0]); i++) {
        char text[64];
        cczi_der_oid_text(text, sizeof(text), DER(bad_hex[i]));
        CHECK(strcmp(text, "?") == 0);
    }
}

/* ------------------------------------------------------------------------------ RSASSA-PSS */

static void sign_pss(uint8_t *sig, size_t *size, EVP_PKEY *key, struct ccz_span tbs, int salt)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    EVP_PKEY_CTX *pkey = NULL; /* belongs to md */
    CHECK(md && EVP_DigestSignInit(md, &pkey, EVP_sha384(), NULL, key) == 1);
    CHECK(EVP_PKEY_CTX_set_rsa_padding(pkey, RSA_PKCS1_PSS_PADDING) == 1);
    CHECK(EVP_PKEY_CTX_set_rsa_pss_saltlen(pkey, salt) == 1);
    CHECK(EVP_DigestSign(md, sig, size, tbs.ptr, tbs.size) == 1);
    EVP_MD_CTX_free(md);
}

/* A self-signed CA whose certificate says: SHA-384, 48 bytes of salt. */
static void put_rsa_ca(struct ccz_buf *out, EVP_PKEY *key)
{
    X509 *x = X509_new();
    X509_NAME *name = X509_NAME_new();
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    EVP_PKEY_CTX *pkey = NULL;
    CHECK(x && name && md && X509_set_version(x, X509_VERSION_3) == 1);
    CHECK(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)"rsa", -1, -1, 0));
    CHECK(X509_set_subject_name(x, name) == 1 && X509_set_issuer_name(x, name) == 1);
    CHECK(X509_gmtime_adj(X509_getm_notBefore(x), 0) && X509_gmtime_adj(X509_getm_notAfter(x), 60));
    CHECK(X509_set_pubkey(x, key) == 1);
    X509_EXTENSION *ca = X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, "critical,CA:TRUE");
    CHECK(ca && X509_add_ext(x, ca, -1) == 1);
    CHECK(EVP_DigestSignInit(md, &pkey, EVP_sha384(), NULL, key) == 1);
    CHECK(EVP_PKEY_CTX_set_rsa_padding(pkey, RSA_PKCS1_PSS_PADDING) == 1);
    CHECK(EVP_PKEY_CTX_set_rsa_pss_saltlen(pkey, 48) == 1 && X509_sign_ctx(x, md) > 0);
    uint8_t *der = NULL;
    int size = i2d_X509(x, &der);
    CHECK(size > 0);
    ccz_buf_put(out, der, (size_t)size);
    OPENSSL_free(der);
    X509_EXTENSION_free(ca);
    EVP_MD_CTX_free(md);
    X509_NAME_free(name);
    X509_free(x);
}

/* Of an RSA-3072 key one with other numbers: modulus and public exponent of so many bits. What is signed with it does not matter. */
static EVP_PKEY *odd_key(const EVP_PKEY *from, int n_bits, int e_bits, bool odd)
{
    BIGNUM *n = NULL, *e = BN_new(), *d = NULL;
    EVP_PKEY *key = NULL;
    OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    CHECK(EVP_PKEY_get_bn_param(from, OSSL_PKEY_PARAM_RSA_N, &n) == 1 &&
          EVP_PKEY_get_bn_param(from, OSSL_PKEY_PARAM_RSA_D, &d) == 1);
    CHECK(BN_set_bit(e, e_bits - 1) == 1 && (!odd || BN_set_bit(e, 0) == 1));
    CHECK(BN_lshift(n, n, n_bits - 3072) == 1 && BN_set_bit(n, 0) == 1);
    CHECK(OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
          OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, e) == 1 &&
          OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_D, d) == 1);
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(bld);
    CHECK(params && EVP_PKEY_fromdata_init(ctx) == 1 &&
          EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params) == 1);
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(bld);
    BN_free(n);
    BN_free(e);
    BN_clear_free(d);
    return key;
}

/* Keys below 3072 bits and above 4096, exponents that are even, one, or above 64 bits, and another salt than the certificate says. */
static void test_pss(void)
{
    static const struct {
        size_t key;
        int salt;
        ccz_rc rc;
        const char *where;
    } cases[] = {
        {0, 48, CCZ_OK, ""},
        {0, 20, CCZ_E_SIG, "x509:signature"},
        {0, 0, CCZ_E_SIG, "x509:signature"},
        {1, 48, CCZ_E_UNSUPPORTED, "x509:issuer-key"},
        {2, 48, CCZ_E_SIG, "x509:signature"}, /* 64 bits: looked at, and of no use */
        {3, 48, CCZ_E_UNSUPPORTED, "x509:issuer-key"},
        {4, 48, CCZ_E_UNSUPPORTED, "x509:issuer-key"},
        {5, 48, CCZ_E_UNSUPPORTED, "x509:issuer-key"},
        {6, 48, CCZ_E_UNSUPPORTED, "x509:issuer-key"},
        {7, 48, CCZ_E_SIG, "x509:signature"},
        {8, 48, CCZ_E_UNSUPPORTED, "x509:issuer-key"},
    };
    EVP_PKEY *good = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)3072);
    EVP_PKEY *keys[] = {good,
                        EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048),
                        odd_key(good, 3072, 64, true),
                        odd_key(good, 3072, 65, true),
                        odd_key(good, 3072, 3000, true),
                        odd_key(good, 3072, 17, false),
                        odd_key(good, 3072, 1, true),
                        odd_key(good, 4096, 17, true),
                        odd_key(good, 4097, 17, true)};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        EVP_PKEY *key = keys[cases[i].key];
        struct cczi_signed parts;
        static const struct cczi_x509_kind kind = {.name = "certificate", .size_max = 65536};
        CCZ_AUTO(ccz_cert) cert = NULL;
        CCZ_AUTO_BUF der;
        ccz_buf_init(&der, 65536);
        put_rsa_ca(&der, key);
        CHECK(cczi_x509_signed(&parts, ccz_buf_span(&der), &kind, &err) == CCZ_OK);
        size_t size = parts.signature.size;
        sign_pss(der.ptr + der.size - size, &size, key, parts.tbs, cases[i].salt);
        CHECK(size == parts.signature.size);
        CHECK(ccz_cert_parse(&cert, ccz_buf_span(&der), &err) == CCZ_OK);
        CHECK_WHERE(ccz_cert_check_issuer(cert, cert, &err), cases[i].rc, cases[i].where);
    }
    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
        EVP_PKEY_free(keys[i]);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"x509.forge", test_forge},
        {"x509.refuse_tbs", test_refuse_tbs},
        {"x509.refuse_validity", test_refuse_validity},
        {"x509.refuse_exts", test_refuse_exts},
        {"x509.issue", test_issue},
        {"x509.issue_refused", test_issue_refused},
        {"x509.p384", test_p384},
        {"x509.chain", test_chain},
        {"x509.chain_exts", test_chain_exts},
        {"x509.every_cut_and_bit", test_every_cut_and_bit},
        {"x509.pss", test_pss},
        {"x509.not_der", test_not_der},
        {"x509.oid", test_oid},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
