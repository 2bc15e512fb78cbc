/* SPDX-License-Identifier: Apache-2.0 */
/* CRLs: issue and read back, one bad list per refusal, every cut, every bit. */
#define _DEFAULT_SOURCE
#include "ccz_test.h"
#include "crypto/x509_priv.h"
#include "der_text.h"

#include <openssl/err.h>
#include <openssl/x509.h>

enum { NOW = 1735689600, MONTH = 2592000 }; /* 2025-01-01T00:00:00Z */

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

struct ca {
    struct ccz_key *key;
    struct ccz_cert *cert;
};

static struct ca new_ca(const char *cn, bool ca)
{
    struct ca made;
    CCZ_AUTO_BUF der;
    ccz_buf_init(&der, CCZ_CERT_SIZE_MAX);
    CHECK(ccz_key_generate(&made.key, CCZ_P256) == CCZ_OK);
    CHECK(ccz_cert_issue(
              &der, &(struct ccz_cert_cfg){.cn = cn, .key = made.key, .ca = ca, .not_after_s = NOW},
              &err) == CCZ_OK);
    CHECK(ccz_cert_parse(&made.cert, ccz_buf_span(&der), &err) == CCZ_OK);
    return made;
}

static void free_ca(struct ca *ca)
{
    ccz_cert_free(ca->cert);
    ccz_key_free(ca->key);
}

static void test_issue(void)
{
    struct ca ca = new_ca("Root", true), twin = new_ca("Root", true), other = new_ca("Other", true),
              no_ca = new_ca("Root", false);
    const struct ccz_span revoked[] = {DER("7f"), DER("00"), DER("0080"),
                                       DER("0102030405060708090a")};
    CCZ_AUTO_BUF der;
    ccz_buf_init(&der, CCZ_CRL_SIZE_MAX);
    CHECK(ccz_crl_issue(&der, ca.cert, ca.key, NOW, NOW + MONTH, revoked, 4) == CCZ_OK);
    CCZ_AUTO(ccz_crl) crl = NULL;
    CHECK(ccz_crl_parse(&crl, ccz_buf_span(&der), &err) == CCZ_OK);
    CHECK(ccz_span_eq(ccz_crl_issuer(crl), ccz_cert_subject(ca.cert)));
    CHECK(ccz_crl_this_update(crl) == NOW && ccz_crl_next_update(crl) == NOW + MONTH);
    for (size_t i = 0; i < 4; i++)
        CHECK(ccz_crl_revokes(crl, revoked[i]));
    CHECK(!ccz_crl_revokes(crl, DER("7e")) && !ccz_crl_revokes(crl, DER("0081")));
    CHECK(!ccz_crl_revokes(crl, DER("0102030405060708090b")) && !ccz_crl_revokes(crl, DER("")));

    CHECK(ccz_crl_check_issuer(crl, ca.cert, &err) == CCZ_OK);
    CHECK_WHERE(ccz_crl_check_issuer(crl, other.cert, &err), CCZ_E_MISMATCH,
                "x509:crl-issuer-name");
    CHECK_WHERE(ccz_crl_check_issuer(crl, twin.cert, &err), CCZ_E_SIG, "x509:crl-signature");
    CHECK_WHERE(ccz_crl_check_issuer(crl, no_ca.cert, &err), CCZ_E_UNTRUSTED,
                "x509:crl-issuer-not-ca");
    struct ccz_ecdsa_job jobs[2];
    CHECK(ccz_crl_issuer_job(&jobs[0], crl, ca.cert, &err) == CCZ_OK);
    CHECK(ccz_crl_issuer_job(&jobs[1], crl, twin.cert, &err) == CCZ_OK);
    CHECK(ccz_ecdsa_verify_batch(jobs, 2) == CCZ_E_SIG);
    CHECK(jobs[0].rc == CCZ_OK && jobs[1].rc == CCZ_E_SIG);
    CHECK_WHERE(ccz_crl_issuer_job(&jobs[0], crl, other.cert, &err), CCZ_E_MISMATCH,
                "x509:crl-issuer-name");
    CHECK_WHERE(ccz_crl_issuer_job(&jobs[0], crl, no_ca.cert, &err), CCZ_E_UNTRUSTED,
                "x509:crl-issuer-not-ca");

    const uint8_t *p = der.ptr; /* OpenSSL reads and verifies what we write */
    X509_CRL *x = d2i_X509_CRL(NULL, &p, (long)der.size);
    p = ccz_cert_der(ca.cert).ptr;
    X509 *root = d2i_X509(NULL, &p, (long)ccz_cert_der(ca.cert).size);
    CHECK(x && root && X509_CRL_verify(x, X509_get0_pubkey(root)) == 1);
    CHECK(sk_X509_REVOKED_num(X509_CRL_get_REVOKED(x)) == 4);
    X509_CRL_free(x);
    X509_free(root);

    ccz_buf_clear(&der);
    CHECK(ccz_crl_issue(&der, ca.cert, ca.key, NOW, NOW + MONTH, NULL, 0) == CCZ_OK);
    CCZ_AUTO(ccz_crl) empty = NULL;
    CHECK(ccz_crl_parse(&empty, ccz_buf_span(&der), &err) == CCZ_OK);
    CHECK(ccz_crl_check_issuer(empty, ca.cert, &err) == CCZ_OK);
    CHECK(!ccz_crl_revokes(empty, revoked[0]));

    const struct ccz_span bad[] = {DER(""), DER("80"), DER("0001")}; /* not INTEGER content */
    for (size_t i = 0; i < 3; i++)
        CHECK(ccz_crl_issue(&der, ca.cert, ca.key, NOW, NOW + MONTH, &bad[i], 1) == CCZ_E_ARG);
    free_ca(&ca);
    free_ca(&twin);
    free_ca(&other);
    free_ca(&no_ca);
}

/* Thousands of entries: sorted once, found by binary search, none lost. */
static void test_many(void)
{
    enum { LEN = 5000 };
    static uint8_t bytes[LEN][4];
    static struct ccz_span serials[LEN];
    struct ca ca = new_ca("Root", true);
    for (uint32_t i = 0; i < LEN; i++) {
        uint32_t v = 0x01000000u | (i * 2654435761u >> 8); /* scattered order, no leading zero */
        for (size_t j = 0; j < 4; j++)
            bytes[i][j] = (uint8_t)(v >> (24 - 8 * j));
        serials[i] = CCZ_SPAN(bytes[i], 4);
    }
    CCZ_AUTO_BUF der;
    ccz_buf_init(&der, CCZ_CRL_SIZE_MAX);
    CHECK(ccz_crl_issue(&der, ca.cert, ca.key, NOW, NOW + MONTH, serials, LEN) == CCZ_OK);
    CCZ_AUTO(ccz_crl) crl = NULL;
    CHECK(ccz_crl_parse(&crl, ccz_buf_span(&der), &err) == CCZ_OK);
    for (size_t i = 0; i < LEN; i++)
        CHECK(ccz_crl_revokes(crl, serials[i]));
    CHECK(!ccz_crl_revokes(crl, DER("7fffffff")));
    free_ca(&ca);
}

#define VERSION2 "020101"
#define ECDSA256 "30(06(2a8648ce3d040302))"
#define NAME_X   "30(31(30(06(550403) 0c('X'))))"
#define TIMES    "17('250101000000Z') 17('250201000000Z')"
#define NUMBER   "30(06(551d14) 04(020101))"
#define EXTS     "a0(30(" NUMBER "))"

static ccz_rc parse_forged(const char *tbs_text)
{
    CCZ_AUTO(ccz_key) k = NULL;
    CHECK(ccz_key_generate(&k, CCZ_P256) == CCZ_OK);
    CCZ_AUTO_BUF tbs, der;
    ccz_buf_init(&tbs, CCZ_CRL_SIZE_MAX);
    ccz_buf_init(&der, CCZ_CRL_SIZE_MAX);
    size_t seq = cczi_der_open(&tbs, CCZI_DER_SEQUENCE);
    der_text(&tbs, tbs_text);
    cczi_der_close(&tbs, seq);
    CHECK(cczi_x509_sign(&der, ccz_buf_span(&tbs), k) == CCZ_OK);
    CCZ_AUTO(ccz_crl) crl = NULL;
    ccz_rc rc = ccz_crl_parse(&crl, ccz_buf_span(&der), &err);
    CHECK((rc == CCZ_OK) == (crl != NULL));
    return rc;
}

static void test_refuse(void)
{
#define ENTRY(more)              "30(30(020105 17('250101000000Z')" more "))"
#define REFUSED(rc, where, text) CHECK_WHERE(parse_forged(text), rc, where)
    CHECK(parse_forged(VERSION2 ECDSA256 NAME_X TIMES EXTS) == CCZ_OK);
    CHECK(parse_forged(VERSION2 ECDSA256 NAME_X TIMES ENTRY("30(30(06(551d15) 04(0a0101)))")
                           EXTS) == CCZ_OK);
    REFUSED(CCZ_E_FORMAT, "x509:crl-version", "020100" ECDSA256 NAME_X TIMES EXTS);
    REFUSED(CCZ_E_FORMAT, "x509:crl-version", ECDSA256 NAME_X TIMES EXTS); /* v1 */
    REFUSED(CCZ_E_FORMAT, "x509:crl-algorithm-mismatch",
            VERSION2 "30(06(2a8648ce3d040303))" NAME_X TIMES EXTS);
    REFUSED(CCZ_E_FORMAT, "x509:crl-next-update",
            VERSION2 ECDSA256 NAME_X "17('250101000000Z')" EXTS);
    REFUSED(CCZ_E_FORMAT, "x509:crl-next-update", VERSION2 ECDSA256 "30(3100)" TIMES EXTS);
    REFUSED(CCZ_E_FORMAT, "x509:crl-tbs",
            VERSION2 ECDSA256 NAME_X "17('250101000000Z') 17('250230000000Z')" EXTS);
    REFUSED(CCZ_E_FORMAT, "x509:crl-tbs", VERSION2 ECDSA256 NAME_X TIMES); /* no extensions */
    REFUSED(CCZ_E_FORMAT, "x509:crl-tbs", VERSION2 ECDSA256 NAME_X TIMES EXTS "0500");
    REFUSED(CCZ_E_FORMAT, "x509:crl-extensions", VERSION2 ECDSA256 NAME_X TIMES "a0(30())");
    REFUSED(CCZ_E_FORMAT, "x509:crl-extensions",
            VERSION2 ECDSA256 NAME_X TIMES "a0(30(" NUMBER ") 00)");
    REFUSED(CCZ_E_FORMAT, "x509:crl-repeated-extension",
            VERSION2 ECDSA256 NAME_X TIMES "a0(30(" NUMBER NUMBER "))");
    /* a delta list, and one that speaks about some certificates only */
    REFUSED(CCZ_E_UNSUPPORTED, "x509:crl-critical-extension",
            VERSION2 ECDSA256 NAME_X TIMES "a0(30(30(06(551d1b) 0101ff 04(020101))))");
    REFUSED(CCZ_E_UNSUPPORTED, "x509:crl-critical-extension",
            VERSION2 ECDSA256 NAME_X TIMES "a0(30(30(06(551d1c) 0101ff 04(3000))))");
    REFUSED(CCZ_E_FORMAT, "x509:crl-entry", VERSION2 ECDSA256 NAME_X TIMES "30(30(020105))" EXTS);
    REFUSED(CCZ_E_FORMAT, "x509:crl-entry", VERSION2 ECDSA256 NAME_X TIMES "30(30(0500))" EXTS);
    REFUSED(CCZ_E_FORMAT, "x509:crl-entry", VERSION2 ECDSA256 NAME_X TIMES ENTRY("0500") EXTS);
    REFUSED(CCZ_E_FORMAT, "x509:crl-entry", VERSION2 ECDSA256 NAME_X TIMES ENTRY("30()") EXTS);
    REFUSED(CCZ_E_FORMAT, "x509:crl-entry", /* certificateIssuer: an indirect list */
            VERSION2 ECDSA256 NAME_X TIMES ENTRY("30(30(06(551d1d) 0101ff 04(3000)))") EXTS);
}

/* A CA whose KeyUsage has keyCertSign alone may not speak about revocation. */
static void test_issuer_key_usage(void)
{
    CCZ_AUTO(ccz_key) k = NULL;
    CHECK(ccz_key_generate(&k, CCZ_P256) == CCZ_OK);
    for (int may = 0; may < 2; may++) {
        CCZ_AUTO_BUF tbs, der;
        ccz_buf_init(&tbs, CCZ_CERT_SIZE_MAX);
        ccz_buf_init(&der, CCZ_CERT_SIZE_MAX);
        size_t seq = cczi_der_open(&tbs, CCZI_DER_SEQUENCE);
        der_text(&tbs, "a0(020102) 020101" ECDSA256 NAME_X "30(" TIMES ")" NAME_X);
        CHECK(ccz_key_spki(&tbs, k) == CCZ_OK);
        der_text(&tbs, may ? "a3(30(30(06(551d13) 04(30(0101ff))) 30(06(551d0f) 04(03(01 06)))))"
                           : "a3(30(30(06(551d13) 04(30(0101ff))) 30(06(551d0f) 04(03(02 04)))))");
        cczi_der_close(&tbs, seq);
        CHECK(cczi_x509_sign(&der, ccz_buf_span(&tbs), k) == CCZ_OK);
        CCZ_AUTO(ccz_cert) issuer = NULL;
        CHECK(ccz_cert_parse(&issuer, ccz_buf_span(&der), &err) == CCZ_OK);

        ccz_buf_clear(&der);
        CHECK(ccz_crl_issue(&der, issuer, k, NOW, NOW + MONTH, NULL, 0) == CCZ_OK);
        CCZ_AUTO(ccz_crl) crl = NULL;
        CHECK(ccz_crl_parse(&crl, ccz_buf_span(&der), &err) == CCZ_OK);
        if (may)
            CHECK(ccz_crl_check_issuer(crl, issuer, &err) == CCZ_OK);
        else
            CHECK_WHERE(ccz_crl_check_issuer(crl, issuer, &err), CCZ_E_UNTRUSTED,
                        "x509:crl-issuer-key-usage");
    }
}

static void test_every_cut_and_bit(void)
{
    struct ca ca = new_ca("Root", true);
    const struct ccz_span revoked[] = {DER("1234"), DER("5678")};
    CCZ_AUTO_BUF der;
    ccz_buf_init(&der, CCZ_CRL_SIZE_MAX);
    CHECK(ccz_crl_issue(&der, ca.cert, ca.key, NOW, NOW + MONTH, revoked, 2) == CCZ_OK);
    for (size_t cut = 0; cut < der.size; cut++) {
        CCZ_AUTO(ccz_crl) bad = NULL;
        uint8_t *exact = malloc(cut ? cut : 1); /* a sanitizer sees the first byte read too far */
        CHECK(exact != NULL);
        memcpy(exact, der.ptr, cut);
        CHECK_WHERE(ccz_crl_parse(&bad, CCZ_SPAN(exact, cut), &err), CCZ_E_FORMAT, "x509:crl");
        free(exact);
    }
    size_t parsed = 0; /* as for certificates, no bit is free */
    for (size_t bit = 0; bit < 8 * der.size; bit++) {
        der.ptr[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        CCZ_AUTO(ccz_crl) flipped = NULL;
        if (ccz_crl_parse(&flipped, ccz_buf_span(&der), &err) == CCZ_OK) {
            CHECK(ccz_crl_check_issuer(flipped, ca.cert, &err) != CCZ_OK);
            parsed++;
        }
        der.ptr[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    CHECK(parsed > 0);
    ccz_buf_u8(&der, 0);
    CCZ_AUTO(ccz_crl) trailing = NULL;
    CHECK_WHERE(ccz_crl_parse(&trailing, ccz_buf_span(&der), &err), CCZ_E_FORMAT, "x509:crl");
    free_ca(&ca);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"crl.issue", test_issue},
        {"crl.many", test_many},
        {"crl.refuse", test_refuse},
        {"crl.issuer_key_usage", test_issuer_key_usage},
        {"crl.every_cut_and_bit", test_every_cut_and_bit},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
