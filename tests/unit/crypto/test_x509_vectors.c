/* SPDX-License-Identifier: Apache-2.0 */
/* Intel's and AMD's real chains and CRLs: all parse, each link verifies, wrong links do not. */
#define _DEFAULT_SOURCE
#include <cczoo/x509.h>

#include "ccz_test.h"

#include <glob.h>
#include <openssl/err.h>
#include <openssl/pem.h>

static struct ccz_err err;

/* Skips the test (77) where there are no vectors. */
static void find(glob_t *out, const char *pattern)
{
    const char *dir = getenv("CCZOO_VECTORS");
    char path[1024];
    (void)snprintf(path, sizeof(path), "%s/tee/%s",
                   dir ? dir : CCZ_TEST_SOURCE_DIR "/../shared/vectors", pattern);
    if (glob(path, 0, NULL, out) != 0) {
        fprintf(stderr, "skipped: no %s\n", path);
        exit(77);
    }
}

static struct ccz_cert *parse_cert(struct ccz_span der, const char *path)
{
    struct ccz_cert *c;
    if (ccz_cert_parse(&c, der, &err) == CCZ_OK)
        return c;
    fprintf(stderr, "%s: %s: %s\n", path, err.where, err.msg);
    exit(1);
}

/* A certificate and its root; a few files carry them the other way round. */
static void read_pair(struct ccz_cert *out[2], const char *path)
{
    FILE *f = fopen(path, "r");
    CHECK(f != NULL);
    size_t len = 0;
    char *name, *header;
    uint8_t *der;
    long size;
    while (PEM_read(f, &name, &header, &der, &size) == 1) {
        CHECK(len < 2);
        out[len++] = parse_cert(CCZ_SPAN(der, (size_t)size), path);
        OPENSSL_free(name);
        OPENSSL_free(header);
        OPENSSL_free(der);
    }
    ERR_clear_error(); /* the end of the file is an error to OpenSSL */
    fclose(f);
    CHECK(len == 2);
    if (ccz_span_eq(ccz_cert_subject(out[0]), ccz_cert_issuer(out[0]))) {
        struct ccz_cert *root = out[0];
        out[0] = out[1];
        out[1] = root;
    }
}

static struct ccz_cert *read_der(const char *path)
{
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, CCZ_CERT_SIZE_MAX);
    CHECK(ccz_file_read(&b, path, &err) == CCZ_OK);
    return parse_cert(ccz_buf_span(&b), path);
}

static void sibling(char out[1024], const char *path, const char *name)
{
    (void)snprintf(out, 1024, "%.*s/%s", (int)(strrchr(path, '/') - path), path, name);
}

/* Leaf (or intermediate) first, its root last. */
static void test_intel_chains(void)
{
    glob_t files;
    size_t links = 0;
    find(&files, "*/collateral*/*_issuer_chain.pem");
    for (size_t i = 0; i < files.gl_pathc; i++) {
        struct ccz_cert *c[2];
        read_pair(c, files.gl_pathv[i]);
        CHECK(ccz_cert_is_ca(c[1]) && ccz_cert_check_issuer(c[1], c[1], &err) == CCZ_OK);
        CHECK(ccz_cert_check_issuer(c[0], c[1], &err) == CCZ_OK);
        CHECK(ccz_cert_check_issuer(c[1], c[0], &err) == CCZ_E_MISMATCH); /* the other way round */
        CHECK(ccz_cert_check_issuer(c[0], c[0], &err) == CCZ_E_MISMATCH);
        CHECK(ccz_cert_check_time(c[1], ccz_cert_not_before(c[1]) - 1, &err) == CCZ_E_EXPIRED);
        CHECK(ccz_cert_check_time(c[1], ccz_cert_not_after(c[1]) + 1, &err) == CCZ_E_EXPIRED);
        links++;
        ccz_cert_free(c[0]);
        ccz_cert_free(c[1]);
    }
    printf("%zu chains\n", links);
    globfree(&files);
    CHECK(ERR_peek_error() == 0);
}

/* 0 if there is no such file: some cases of 2020 come without the list of the root. */
static size_t check_crl(const char *crl_path, const struct ccz_cert *issuer,
                        const struct ccz_cert *wrong)
{
    CCZ_AUTO_BUF der;
    ccz_buf_init(&der, CCZ_CRL_SIZE_MAX);
    CCZ_AUTO(ccz_crl) crl = NULL;
    if (ccz_file_read(&der, crl_path, &err) == CCZ_E_NOT_FOUND)
        return 0;
    if (ccz_crl_parse(&crl, ccz_buf_span(&der), &err) != CCZ_OK ||
        ccz_crl_check_issuer(crl, issuer, &err) != CCZ_OK) {
        fprintf(stderr, "%s: %s: %s\n", crl_path, err.where, err.msg);
        exit(1);
    }
    CHECK(ccz_crl_check_issuer(crl, wrong, &err) == CCZ_E_MISMATCH);
    CHECK(ccz_crl_this_update(crl) < ccz_crl_next_update(crl));
    CHECK(!ccz_crl_revokes(crl, ccz_cert_serial(issuer)));
    /* what OpenSSL finds revoked, we find revoked */
    const uint8_t *p = der.ptr;
    X509_CRL *x = d2i_X509_CRL(NULL, &p, (long)der.size);
    CHECK(x != NULL);
    STACK_OF(X509_REVOKED) *list = X509_CRL_get_REVOKED(x);
    for (int i = 0; i < sk_X509_REVOKED_num(list); i++) {
        uint8_t serial[64], *to = serial;
        int size =
            i2d_ASN1_INTEGER(X509_REVOKED_get0_serialNumber(sk_X509_REVOKED_value(list, i)), &to);
        CHECK(size > 2 && ccz_crl_revokes(crl, CCZ_SPAN(serial + 2, (size_t)size - 2)));
    }
    X509_CRL_free(x);
    return 1;
}

static void test_intel_crls(void)
{
    glob_t files;
    size_t lists = 0;
    find(&files, "*/collateral*/pck_crl_issuer_chain.pem");
    for (size_t i = 0; i < files.gl_pathc; i++) {
        struct ccz_cert *c[2];
        char path[1024];
        read_pair(c, files.gl_pathv[i]);
        sibling(path, files.gl_pathv[i], "pck_crl.der");
        lists += check_crl(path, c[0], c[1]);
        sibling(path, files.gl_pathv[i], "root_ca_crl.der");
        lists += check_crl(path, c[1], c[0]);
        ccz_cert_free(c[0]);
        ccz_cert_free(c[1]);
    }
    printf("%zu lists\n", lists);
    CHECK(lists > files.gl_pathc);
    globfree(&files);
}

/* ARK and ASK sign with RSA-4096, RSASSA-PSS, SHA-384; the VCEK is a P-384 key. */
static void test_amd_chains(void)
{
    glob_t files;
    size_t good = 0;
    find(&files, "snp*/collateral/vcek.der");
    for (size_t i = 0; i < files.gl_pathc; i++) {
        char path[1024];
        CCZ_AUTO(ccz_cert) vcek = read_der(files.gl_pathv[i]);
        sibling(path, files.gl_pathv[i], "ask.der");
        CCZ_AUTO(ccz_cert) ask = read_der(path);
        sibling(path, files.gl_pathv[i], "ark.der");
        CCZ_AUTO(ccz_cert) ark = read_der(path);
        CHECK(ccz_key_curve(ccz_cert_key(vcek)) == CCZ_P384 && ccz_cert_key(ask) == NULL);
        CHECK(ccz_cert_check_issuer(vcek, ask, &err) == CCZ_OK);
        CHECK(ccz_cert_check_issuer(ask, ark, &err) == CCZ_OK);
        CHECK(ccz_cert_check_issuer(ark, ark, &err) == CCZ_OK);
        struct ccz_ecdsa_job job; /* RSA is no job for a batch of ECDSA */
        CHECK(ccz_cert_issuer_job(&job, ask, ark, &err) == CCZ_E_UNSUPPORTED);
        CHECK(strcmp(err.where, "x509:issuer-key") == 0);
        CHECK(ccz_cert_check_issuer(vcek, ark, &err) == CCZ_E_MISMATCH);
        good++;

        /* one changed bit in the chip id that the certificate is about */
        struct ccz_span der = ccz_cert_der(vcek),
                        hwid = ccz_cert_ext(NULL, vcek, "1.3.6.1.4.1.3704.1.4");
        CHECK(hwid.size >= 8);
        CCZ_AUTO_BUF bad;
        ccz_buf_init(&bad, CCZ_CERT_SIZE_MAX);
        ccz_buf_put_span(&bad, der);
        bad.ptr[hwid.ptr - der.ptr] ^= 1;
        CCZ_AUTO(ccz_cert) changed = NULL;
        CHECK(ccz_cert_parse(&changed, ccz_buf_span(&bad), &err) == CCZ_OK);
        CHECK(ccz_cert_check_issuer(changed, ask, &err) == CCZ_E_SIG);
        CHECK(strcmp(err.where, "x509:signature") == 0);
    }
    printf("%zu chains\n", good);
    globfree(&files);
    CHECK(ERR_peek_error() == 0);
}

/* A published VCEK with one byte changed in the algorithm inside the signed part. */
static void test_amd_damaged(void)
{
    glob_t files;
    find(&files, "snp2-trustee-milan/collateral-2/vcek.der");
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, CCZ_CERT_SIZE_MAX);
    CHECK(ccz_file_read(&b, files.gl_pathv[0], &err) == CCZ_OK);
    CCZ_AUTO(ccz_cert) c = NULL;
    CHECK(ccz_cert_parse(&c, ccz_buf_span(&b), &err) == CCZ_E_FORMAT);
    CHECK(strcmp(err.where, "x509:algorithm-mismatch") == 0);
    globfree(&files);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"x509.intel_chains", test_intel_chains},
        {"x509.intel_crls", test_intel_crls},
        {"x509.amd_chains", test_amd_chains},
        {"x509.amd_damaged", test_amd_damaged},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
