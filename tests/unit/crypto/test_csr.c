/* SPDX-License-Identifier: Apache-2.0 */
/* Certificate requests and names of certificates; OpenSSL reads and judges what is written here. */
#define _DEFAULT_SOURCE
#include "ccz_test.h"
#include "crypto/x509_priv.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

enum { NOW = 1735689600, YEAR = 31536000 };

static struct ccz_err err;

#define REFUSED(rc_expr, want_rc, want_where)                                                      \
    do {                                                                                           \
        err = (struct ccz_err){.rc = CCZ_OK};                                                      \
        ccz_rc check_rc = (rc_expr);                                                               \
        if (check_rc != (want_rc) || strcmp(err.where, (want_where)) != 0)                         \
            fprintf(stderr, "got %s at \"%s\": %s\n", ccz_rc_name(check_rc), err.where, err.msg);  \
        CHECK(check_rc == (want_rc) && strcmp(err.where, (want_where)) == 0);                      \
    } while (0)

static struct ccz_span S(const char *text) {
    return ccz_span_str(text);
}

static struct ccz_key *
new_key(enum ccz_curve curve)
{
    struct ccz_key *k;
    CHECK(ccz_key_generate(&k, curve) == CCZ_OK);
    return k;
}

static const struct ccz_cert_ext_in two[] = {{"1.2.3.4", {(const uint8_t *)"abc", 3}, false},
                                             {"2.5.29.17", {(const uint8_t *)"0", 1}, true}};

static void test_make(void)
{
    for (int curve = CCZ_P256; curve <= CCZ_P384; curve++) {
        CCZ_AUTO(ccz_key) k = new_key((enum ccz_curve)curve);
        CCZ_AUTO(ccz_csr) c = NULL;
        CCZ_AUTO_BUF der, spki;
        ccz_buf_init(&der, CCZ_CERT_SIZE_MAX);
        ccz_buf_init(&spki, 256);
        for (size_t n = 0; n <= 2; n += 2) {
            ccz_buf_clear(&der);
            ccz_csr_free(c);
            CHECK(ccz_csr_make(&der, k, "me", two, n, &err) == CCZ_OK);
            CHECK(ccz_csr_parse(&c, ccz_buf_span(&der), &err) == CCZ_OK);
            size_t len;
            const struct ccz_cert_ext_in *ext = ccz_csr_exts(&len, c);
            CHECK(len == n);
            for (size_t i = 0; i < n; i++)
                CHECK(strcmp(ext[i].oid, two[i].oid) == 0 && ext[i].critical == two[i].critical &&
                      ccz_span_eq(ext[i].value, two[i].value));
            /* OpenSSL sees the same request, and that its key signed it */
            const uint8_t *p = der.ptr;
            X509_REQ *req = d2i_X509_REQ(NULL, &p, (long)der.size);
            CHECK(req && p == der.ptr + der.size);
            CHECK(X509_REQ_verify(req, X509_REQ_get0_pubkey(req)) == 1);
            STACK_OF(X509_EXTENSION) *exts = X509_REQ_get_extensions(req);
            CHECK((exts ? sk_X509_EXTENSION_num(exts) : 0) == (int)n);
            sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
            X509_REQ_free(req);
        }
        bool critical = false;
        CHECK(ccz_span_eq(ccz_csr_ext(&critical, c, "2.5.29.17"), S("0")) && critical);
        CHECK(ccz_csr_ext(&critical, c, "1.2.3").ptr == NULL && !critical);
        CHECK(ccz_key_spki(&spki, k) == CCZ_OK);
        CHECK(ccz_span_eq(ccz_csr_spki(c), ccz_buf_span(&spki)));
        CHECK(ccz_key_curve(ccz_csr_key(c)) == (enum ccz_curve)curve);
    }
}

/* The signed part with something in it that no request of ours has. */
static void forge(struct ccz_buf *out, const struct ccz_key *subject, const struct ccz_key *signer,
                  uint8_t version, const char *attribute, size_t attributes, size_t exts)
{
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, CCZ_CERT_SIZE_MAX);
    size_t info = cczi_der_open(&b, CCZI_DER_SEQUENCE);
    cczi_der_put(&b, CCZI_DER_INTEGER, CCZ_SPAN(&version, 1));
    cczi_x509_put_name(&b, NULL, "x");
    CHECK(ccz_key_spki(&b, subject) == CCZ_OK);
    size_t all = cczi_der_open(&b, CCZI_DER_CONTEXT(0));
    for (size_t i = 0; i < attributes; i++) {
        size_t one = cczi_der_open(&b, CCZI_DER_SEQUENCE);
        cczi_der_put_oid(&b, attribute);
        size_t set = cczi_der_open(&b, CCZI_DER_SET);
        size_t seq = cczi_der_open(&b, CCZI_DER_SEQUENCE);
        for (size_t e = 0; e < exts; e++) {
            char oid[] = "1.2.3.0";
            oid[6] = (char)('0' + e % 9);
            cczi_x509_put_ext(&b, oid, false, S("v"));
        }
        cczi_der_close(&b, seq);
        cczi_der_close(&b, set);
        cczi_der_close(&b, one);
    }
    cczi_der_close(&b, all);
    cczi_der_close(&b, info);
    ccz_buf_clear(out);
    CHECK(cczi_x509_sign(out, ccz_buf_span(&b), signer) == CCZ_OK);
}

static void test_refused(void)
{
    static const char extensions[] = "1.2.840.113549.1.9.14";
    CCZ_AUTO(ccz_key) k = new_key(CCZ_P256);
    CCZ_AUTO(ccz_key) other = new_key(CCZ_P256);
    CCZ_AUTO(ccz_csr) c = NULL;
    CCZ_AUTO_BUF der;
    ccz_buf_init(&der, 2 * CCZ_CERT_SIZE_MAX);
    forge(&der, k, k, 0, extensions, 1, 1);
    CHECK(ccz_csr_parse(&c, ccz_buf_span(&der), &err) == CCZ_OK);
    ccz_csr_free(c);
    forge(&der, k, other, 0, extensions, 1, 1); /* the key of somebody else */
    REFUSED(ccz_csr_parse(&c, ccz_buf_span(&der), &err), CCZ_E_SIG, "x509:csr-signature");
    CHECK(c == NULL);
    forge(&der, k, k, 1, extensions, 1, 1);
    REFUSED(ccz_csr_parse(&c, ccz_buf_span(&der), &err), CCZ_E_FORMAT, "x509:csr-version");
    forge(&der, k, k, 0, "1.2.840.113549.1.9.7", 1, 1); /* challengePassword */
    REFUSED(ccz_csr_parse(&c, ccz_buf_span(&der), &err), CCZ_E_UNSUPPORTED, "x509:csr-attribute");
    forge(&der, k, k, 0, extensions, 2, 1);
    REFUSED(ccz_csr_parse(&c, ccz_buf_span(&der), &err), CCZ_E_FORMAT, "x509:csr-attribute");
    forge(&der, k, k, 0, extensions, 1, 0);
    REFUSED(ccz_csr_parse(&c, ccz_buf_span(&der), &err), CCZ_E_FORMAT, "x509:csr-extensions");
    forge(&der, k, k, 0, extensions, 1, 9);
    REFUSED(ccz_csr_parse(&c, ccz_buf_span(&der), &err), CCZ_E_LIMIT, "x509:csr-extensions");
    forge(&der, k, k, 0, extensions, 1, 10); /* the tenth repeats the first */
    REFUSED(ccz_csr_parse(&c, ccz_buf_span(&der), &err), CCZ_E_FORMAT,
            "x509:csr-repeated-extension");
    forge(&der, k, k, 0, extensions, 1, 1);
    ccz_buf_u8(&der, 0);
    REFUSED(ccz_csr_parse(&c, ccz_buf_span(&der), &err), CCZ_E_FORMAT, "x509:csr");
    while (der.size <= CCZ_CERT_SIZE_MAX)
        ccz_buf_u8(&der, 0);
    REFUSED(ccz_csr_parse(&c, ccz_buf_span(&der), &err), CCZ_E_LIMIT, "x509:csr-size");
    REFUSED(ccz_csr_make(&der, k, "", NULL, 0, &err), CCZ_E_ARG, "x509:csr");
    const struct ccz_cert_ext_in bad = {"no oid", S("v"), false};
    REFUSED(ccz_csr_make(&der, k, "me", &bad, 1, &err), CCZ_E_LIMIT, "x509:csr");
    CHECK(ERR_peek_error() == 0);
}

static void test_every_cut_and_bit(void)
{
    CCZ_AUTO(ccz_key) k = new_key(CCZ_P256);
    CCZ_AUTO(ccz_csr) c = NULL;
    CCZ_AUTO_BUF der;
    ccz_buf_init(&der, CCZ_CERT_SIZE_MAX);
    CHECK(ccz_csr_make(&der, k, "me", two, 2, &err) == CCZ_OK);
    for (size_t n = 0; n < der.size; n++)
        CHECK(ccz_csr_parse(&c, CCZ_SPAN(der.ptr, n), NULL) != CCZ_OK);
    for (size_t bit = 0; bit < 8 * der.size; bit++) {
        der.ptr[bit / 8] ^= (uint8_t)(1u << bit % 8);
        CHECK(ccz_csr_parse(&c, ccz_buf_span(&der), NULL) != CCZ_OK);
        der.ptr[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

/* ------------------------------------------------------------------------------- names */

static void test_names(void)
{
    static const char *const good[] = {
        "localhost", "als.example", "a,b",
        "10.0.0.7",  "fd00::7",     "::1",
        "x-1.y2z",   "1.2.3.4a",    "127.0.0.1,::1,localhost",
        "a.b.c.d.e",
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        CHECK(ccz_names_check(S(good[i]), &err) == CCZ_OK);
}

static void test_names_refused(void)
{
    static const char *const bad[] = {
        "",      ",",      "a,",    ",a",       "a,,b",      "A.example", "*.example",
        "a.",    ".a",     "a..b",  "-a",       "a-",        "a-.b",      "a b",
        "a,a",   "a/b",    "1.2.3", "1.2.3.04", "1.2.3.256", "FD00::7",   "fd00:0::7",
        "[::1]", "::1%lo", "a_b",   "127.1",    "::1,::1",   "a\x01",     "\xc3\xa4.example",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (ccz_names_check(S(bad[i]), NULL) == CCZ_OK)
            fprintf(stderr, "\"%s\" is taken\n", bad[i]);
        REFUSED(ccz_names_check(S(bad[i]), &err), CCZ_E_FORMAT, "x509:names");
    }
    char label[66] = "";
    memset(label, 'a', 63);
    CHECK(ccz_names_check(S(label), NULL) == CCZ_OK);
    memset(label, 'a', 64);
    REFUSED(ccz_names_check(S(label), &err), CCZ_E_FORMAT, "x509:names");
    REFUSED(ccz_names_check(CCZ_SPAN("a\0b", 3), &err), CCZ_E_FORMAT, "x509:names");
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 2 * CCZ_NAMES_SIZE_MAX);
    for (int i = 0; i < CCZ_NAMES_MAX; i++)
        ccz_buf_printf(&b, "%sn%d", i ? "," : "", i);
    CHECK(ccz_names_check(ccz_buf_span(&b), NULL) == CCZ_OK);
    ccz_buf_put_str(&b, ",one-more");
    REFUSED(ccz_names_check(ccz_buf_span(&b), &err), CCZ_E_LIMIT, "x509:names");
    while (b.size <= CCZ_NAMES_SIZE_MAX)
        ccz_buf_put_str(&b, ".a");
    REFUSED(ccz_names_check(ccz_buf_span(&b), &err), CCZ_E_LIMIT, "x509:names");
}

static void test_names_within(void)
{
    const struct ccz_span allowed = S("als.example,10.0.0.7");
    CHECK(ccz_names_within(S("10.0.0.7"), allowed, &err) == CCZ_OK);
    CHECK(ccz_names_within(S("10.0.0.7,als.example"), allowed, &err) == CCZ_OK);
    static const char *const others[] = {"example",   "a.als.example",         "als.exampl",
                                         "10.0.0.70", "als.example,localhost", "als.example,",
                                         ""};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        REFUSED(ccz_names_within(S(others[i]), allowed, &err), CCZ_E_DENIED,
                "x509:name-not-allowed");
    REFUSED(ccz_names_within(S("a"), (struct ccz_span){0}, &err), CCZ_E_DENIED,
            "x509:name-not-allowed");
}

static X509 *x509_of(struct ccz_span der)
{
    const uint8_t *p = der.ptr;
    X509 *x = d2i_X509(NULL, &p, (long)der.size);
    CHECK(x);
    return x;
}

static void test_san(void)
{
    CCZ_AUTO(ccz_key) k = new_key(CCZ_P256);
    CCZ_AUTO_BUF der, san;
    ccz_buf_init(&der, CCZ_CERT_SIZE_MAX);
    ccz_buf_init(&san, CCZ_CERT_SIZE_MAX);
    ccz_names_put_san(&san, S("als.example,10.0.0.7,fd00::7"));
    const struct ccz_cert_ext_in ext = {"2.5.29.17", ccz_buf_span(&san), false};
    CHECK(ccz_cert_issue(&der,
                         &(struct ccz_cert_cfg){.cn = "a server",
                                                .key = k,
                                                .not_before_s = NOW,
                                                .not_after_s = NOW + YEAR,
                                                .ext = &ext,
                                                .ext_len = 1},
                         &err) == CCZ_OK);
    X509 *x = x509_of(ccz_buf_span(&der));
    CHECK(X509_check_host(x, "als.example", 0, 0, NULL) == 1);
    CHECK(X509_check_host(x, "a.als.example", 0, 0, NULL) == 0);
    CHECK(X509_check_ip_asc(x, "10.0.0.7", 0) == 1 && X509_check_ip_asc(x, "fd00::7", 0) == 1);
    CHECK(X509_check_ip_asc(x, "10.0.0.8", 0) == 0);
    X509_free(x);
}

/* What OpenSSL says about a certificate for `names` by an authority with constraints for `allowed`. */
static int judged(const char *names, const char *allowed)
{
    CCZ_AUTO(ccz_key) ca_key = new_key(CCZ_P256);
    CCZ_AUTO(ccz_key) k = new_key(CCZ_P256);
    CCZ_AUTO(ccz_cert) root = NULL;
    CCZ_AUTO_BUF nc, san, root_der, der;
    ccz_buf_init(&nc, CCZ_CERT_SIZE_MAX);
    ccz_buf_init(&san, CCZ_CERT_SIZE_MAX);
    ccz_buf_init(&root_der, CCZ_CERT_SIZE_MAX);
    ccz_buf_init(&der, CCZ_CERT_SIZE_MAX);
    ccz_names_put_constraints(&nc, S(allowed));
    ccz_names_put_san(&san, S(names));
    const struct ccz_cert_ext_in of_root = {"2.5.29.30", ccz_buf_span(&nc), true};
    const struct ccz_cert_ext_in of_leaf = {"2.5.29.17", ccz_buf_span(&san), false};
    struct ccz_cert_cfg cfg = {.cn = "a root",
                               .key = ca_key,
                               .not_before_s = NOW,
                               .not_after_s = NOW + YEAR,
                               .ca = true,
                               .no_ca_below = true,
                               .ext = &of_root,
                               .ext_len = 1};
    CHECK(ccz_cert_issue(&root_der, &cfg, &err) == CCZ_OK);
    CHECK(ccz_cert_parse(&root, ccz_buf_span(&root_der), &err) == CCZ_OK);
    cfg = (struct ccz_cert_cfg){.cn = "a server",
                                .key = k,
                                .issuer = root,
                                .issuer_key = ca_key,
                                .not_before_s = NOW,
                                .not_after_s = NOW + YEAR,
                                .ext = &of_leaf,
                                .ext_len = 1};
    CHECK(ccz_cert_issue(&der, &cfg, &err) == CCZ_OK);
    X509 *issuer = x509_of(ccz_buf_span(&root_der)), *leaf = x509_of(ccz_buf_span(&der));
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    CHECK(store && ctx && X509_STORE_add_cert(store, issuer) == 1);
    CHECK(X509_STORE_CTX_init(ctx, store, leaf, NULL) == 1);
    X509_VERIFY_PARAM_set_time(X509_STORE_CTX_get0_param(ctx), NOW + 1);
    X509_VERIFY_PARAM_set_flags(X509_STORE_CTX_get0_param(ctx), X509_V_FLAG_X509_STRICT);
    int ok = X509_verify_cert(ctx), why = X509_STORE_CTX_get_error(ctx);
    CHECK(X509_get_pathlen(issuer) == 0); /* no CA below it */
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(store);
    X509_free(leaf);
    X509_free(issuer);
    ERR_clear_error();
    return ok == 1 ? X509_V_OK : why;
}

static void test_constraints(void)
{
    static const char both[] = "als.example,10.0.0.7,fd00::7";
    CHECK(judged("als.example", both) == X509_V_OK);
    CHECK(judged(both, both) == X509_V_OK);
    CHECK(judged("other.example", both) == X509_V_ERR_PERMITTED_VIOLATION);
    CHECK(judged("10.0.0.8", both) == X509_V_ERR_PERMITTED_VIOLATION);
    CHECK(judged("fd00::8", both) == X509_V_ERR_PERMITTED_VIOLATION);
    /* a kind of name that is not among those allowed */
    CHECK(judged("als.example,10.0.0.7", "als.example") == X509_V_ERR_EXCLUDED_VIOLATION);
    CHECK(judged("als.example,fd00::7", "als.example") == X509_V_ERR_EXCLUDED_VIOLATION);
    CHECK(judged("als.example,10.0.0.7", "10.0.0.7") == X509_V_ERR_EXCLUDED_VIOLATION);
    CHECK(judged("fd00::7", "10.0.0.7") == X509_V_ERR_PERMITTED_VIOLATION);
    CHECK(judged("10.0.0.7", "10.0.0.7") == X509_V_OK);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"csr.make", test_make},
        {"csr.refused", test_refused},
        {"csr.every_cut_and_bit", test_every_cut_and_bit},
        {"csr.names", test_names},
        {"csr.names_refused", test_names_refused},
        {"csr.names_within", test_names_within},
        {"csr.san", test_san},
        {"csr.constraints", test_constraints},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
