/* SPDX-License-Identifier: Apache-2.0 */
/* Keys and ECDSA: known answers, every encoding both ways, every refusal. */
#define _DEFAULT_SOURCE
#include <cczoo/crypto.h>

#include "ccz_test.h"
#include "crypto/crypto_priv.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

static struct ccz_err err;

#define CHECK_WHERE(rc_expr, want_rc, want_where)                                                  \
    do {                                                                                           \
        err = (struct ccz_err){.rc = CCZ_OK};                                                      \
        CHECK((rc_expr) == (want_rc));                                                             \
        CHECK(err.rc == (want_rc));                                                                \
        CHECK(strcmp(err.where, (want_where)) == 0);                                               \
        CHECK(ERR_peek_error() == 0); /* nothing left in OpenSSL's queue */                        \
    } while (0)

static struct ccz_key *new_key(enum ccz_curve curve)
{
    struct ccz_key *k;
    CHECK(ccz_key_generate(&k, curve) == CCZ_OK);
    return k;
}

static size_t unhex(uint8_t *out, const char *hex)
{
    size_t size = strlen(hex) / 2;
    CHECK(ccz_unhex(out, size, hex, 2 * size) == CCZ_OK);
    return size;
}

/* RFC 6979, A.2.5 and A.2.6: message "sample" */
static const struct vector {
    enum ccz_curve curve;
    const char *xy, *sig;
} vectors[] = {
    {CCZ_P256,
     "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6"
     "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299",
     "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"
     "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"},
    {CCZ_P384,
     "ec3a4e415b4e19a4568618029f427fa5da9a8bc4ae92e02e06aae5286b300c64def8f0ea9055866064a254515480b"
     "c13"
     "8015d9b72d7d57244ea8ef9ac0c621896708a59367f9dfb9f54ca84b3f1c9db1288b231c3ae0d4fe7344fd2533264"
     "720",
     "94edbb92a5ecb8aad4736e56c691916b3f88140666ce9fa73d64c4ea95ad133c81a648152e44acf96e36dd1e80fab"
     "e46"
     "99ef4aeb15f178cea1fe40db2603138f130e740a19624526203b6351d0a3a94fa329c145786e679e7b82c71a38628"
     "ac8"},
};

static void test_kat(void)
{
    const struct ccz_span whole = ccz_span_str("sample");
    const struct ccz_span parts[] = {ccz_span_str("sam"), ccz_span_str(""), ccz_span_str("ple")};
    for (size_t i = 0; i < 2; i++) {
        uint8_t xy[96], sig[96], back[96];
        size_t size = unhex(xy, vectors[i].xy);
        CHECK(unhex(sig, vectors[i].sig) == size);
        CCZ_AUTO(ccz_key) k = NULL;
        CHECK(ccz_key_from_xy(&k, vectors[i].curve, CCZ_SPAN(xy, size)) == CCZ_OK);
        CHECK(ccz_key_curve(k) == vectors[i].curve);
        CHECK(ccz_key_xy(back, k) == CCZ_OK && memcmp(back, xy, size) == 0);
        CHECK(ccz_ecdsa_verify(k, sig, size, &whole, 1) == CCZ_OK);
        CHECK(ccz_ecdsa_verify(k, sig, size, parts, 3) == CCZ_OK);
        CHECK(ccz_ecdsa_verify(k, sig, size, parts, 2) == CCZ_E_SIG);
        if (vectors[i].curve == CCZ_P256)
            CHECK(ccz_ecdsa_verify_p256(xy, sig, whole) == CCZ_OK);
        CHECK(ccz_ecdsa_sign(sig, k, &whole, 1) == CCZ_E_ARG); /* no private half */
        CCZ_AUTO(ccz_secret) der = NULL;
        CHECK(ccz_key_to_pkcs8(&der, k) == CCZ_E_ARG && der == NULL);
    }
}

static void test_refuse(void)
{
    /* FIPS 186-5: the order n of P-256; r and s must be in 1..n-1 */
    static const char *const order =
        "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    const struct ccz_span msg = ccz_span_str("sample");
    uint8_t xy[64], good[64], sig[64], n[32];
    unhex(xy, vectors[0].xy);
    unhex(good, vectors[0].sig);
    unhex(n, order);
    CCZ_AUTO(ccz_key) k = NULL;
    CHECK(ccz_key_from_xy(&k, CCZ_P256, CCZ_SPAN(xy, 64)) == CCZ_OK);
    for (size_t half = 0; half < 64; half += 32) {
        memcpy(sig, good, 64);
        memset(sig + half, 0, 32); /* r = 0, s = 0 */
        CHECK(ccz_ecdsa_verify(k, sig, 64, &msg, 1) == CCZ_E_SIG);
        memcpy(sig + half, n, 32); /* r = n, s = n */
        CHECK(ccz_ecdsa_verify(k, sig, 64, &msg, 1) == CCZ_E_SIG);
        CHECK(ccz_ecdsa_verify_p256(xy, sig, msg) == CCZ_E_SIG);
        memset(sig + half, 0xff, 32);
        CHECK(ccz_ecdsa_verify(k, sig, 64, &msg, 1) == CCZ_E_SIG);
    }
    for (size_t bit = 0; bit < 512; bit++) {
        memcpy(sig, good, 64);
        sig[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        CHECK(ccz_ecdsa_verify(k, sig, 64, &msg, 1) == CCZ_E_SIG);
    }
    CHECK(ccz_ecdsa_verify(k, good, 63, &msg, 1) == CCZ_E_SIG);
    CHECK(ccz_ecdsa_verify(k, good, 0, &msg, 1) == CCZ_E_SIG);
    uint8_t wide[66] = {0}; /* the same r and s in 33 bytes each: one form only */
    memcpy(wide + 1, good, 32);
    memcpy(wide + 34, good + 32, 32);
    CHECK(ccz_ecdsa_verify(k, wide, 66, &msg, 1) == CCZ_E_SIG);
    for (size_t bit = 0; bit < 512; bit++) { /* no other point of the curve has 511 of the bits */
        uint8_t off[64];
        memcpy(off, xy, 64);
        off[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        CCZ_AUTO(ccz_key) bad = NULL;
        CHECK(ccz_key_from_xy(&bad, CCZ_P256, CCZ_SPAN(off, 64)) == CCZ_E_FORMAT && bad == NULL);
        CHECK(ccz_ecdsa_verify_p256(off, good, msg) == CCZ_E_FORMAT);
    }
    CCZ_AUTO(ccz_key) bad = NULL;
    CHECK(ccz_key_from_xy(&bad, CCZ_P256, CCZ_SPAN(xy, 63)) == CCZ_E_FORMAT);
    CHECK(ccz_key_from_xy(&bad, CCZ_P384, CCZ_SPAN(xy, 64)) == CCZ_E_FORMAT);
    CHECK(ccz_key_from_xy(&bad, (enum ccz_curve)7, CCZ_SPAN(xy, 64)) == CCZ_E_ARG);
    CHECK(ccz_key_generate(&bad, (enum ccz_curve)7) == CCZ_E_ARG);
    CHECK(ERR_peek_error() == 0);
}

/* Often enough that r or s starts with a zero byte, or with its top bit set: both DER forms of
 * both. */
static void test_sign(void)
{
    enum { ROUNDS = 1500 };
    for (enum ccz_curve c = CCZ_P256; c <= CCZ_P384; c++) {
        size_t size = c == CCZ_P256 ? 64 : 96, short_r = 0, short_s = 0;
        CCZ_AUTO(ccz_key) k = new_key(c);
        CCZ_AUTO(ccz_key) other = new_key(c);
        for (uint32_t i = 0; i < (c == CCZ_P256 ? ROUNDS : 20); i++) {
            uint8_t sig[96];
            const struct ccz_span msg = CCZ_SPAN(&i, sizeof(i));
            CHECK(ccz_ecdsa_sign(sig, k, &msg, 1) == CCZ_OK);
            CHECK(ccz_ecdsa_verify(k, sig, size, &msg, 1) == CCZ_OK);
            if (i == 0)
                CHECK(ccz_ecdsa_verify(other, sig, size, &msg, 1) == CCZ_E_SIG);
            short_r += sig[0] == 0;
            short_s += sig[size / 2] == 0;
        }
        CHECK(c == CCZ_P384 || (short_r > 0 && short_s > 0)); /* else ROUNDS is too small */
    }
    CHECK(ERR_peek_error() == 0);
}

static void test_spki(void)
{
    static const size_t want_size[] = {91, 120};
    for (enum ccz_curve c = CCZ_P256; c <= CCZ_P384; c++) {
        CCZ_AUTO(ccz_key) k = new_key(c);
        CCZ_AUTO_BUF spki;
        ccz_buf_init(&spki, 200);
        CHECK(ccz_key_spki(&spki, k) == CCZ_OK && spki.size == want_size[c]);
        /* OpenSSL reads it as the same key */
        const uint8_t *p = spki.ptr;
        EVP_PKEY *pkey = d2i_PUBKEY(NULL, &p, (long)spki.size);
        CHECK(pkey && p == spki.ptr + spki.size);
        EVP_PKEY_free(pkey);
        CCZ_AUTO(ccz_key) back = NULL;
        CHECK(ccz_key_from_spki(&back, ccz_buf_span(&spki), &err) == CCZ_OK);
        uint8_t a[96], b[96];
        CHECK(ccz_key_xy(a, k) == CCZ_OK && ccz_key_xy(b, back) == CCZ_OK);
        CHECK(memcmp(a, b, c == CCZ_P256 ? 64 : 96) == 0);
        for (size_t cut = 0; cut < spki.size; cut++) {
            CCZ_AUTO(ccz_key) bad = NULL;
            CHECK_WHERE(ccz_key_from_spki(&bad, CCZ_SPAN(spki.ptr, cut), &err), CCZ_E_UNSUPPORTED,
                        "key:spki");
        }
        spki.ptr[spki.size - 1] ^= 1;
        CCZ_AUTO(ccz_key) bad = NULL;
        CHECK_WHERE(ccz_key_from_spki(&bad, ccz_buf_span(&spki), &err), CCZ_E_FORMAT, "key:point");
        ccz_buf_u8(&spki, 0); /* trailing byte */
        CHECK_WHERE(ccz_key_from_spki(&bad, ccz_buf_span(&spki), &err), CCZ_E_UNSUPPORTED,
                    "key:spki");
    }
}

static ccz_rc from_pkcs8(const uint8_t *der, size_t size)
{
    CCZ_AUTO(ccz_secret) s = NULL;
    CCZ_AUTO(ccz_key) k = NULL;
    CHECK(ccz_secret_from(&s, der, size) == CCZ_OK);
    ccz_rc rc = ccz_key_from_pkcs8(&k, s, &err);
    CHECK((rc == CCZ_OK) == (k != NULL));
    return rc;
}

static void test_pkcs8(void)
{
    CCZ_AUTO(ccz_key) k = new_key(CCZ_P256);
    CCZ_AUTO(ccz_secret) der = NULL;
    CHECK(ccz_key_to_pkcs8(&der, k) == CCZ_OK);
    uint8_t copy[256];
    size_t size = ccz_secret_size(der);
    CHECK(size + 1 <= sizeof(copy));
    memcpy(copy, ccz_secret_view(der), size);
    copy[size] = 0;

    CCZ_AUTO(ccz_key) back = NULL;
    CHECK(ccz_key_from_pkcs8(&back, der, &err) == CCZ_OK);
    uint8_t sig[64];
    const struct ccz_span msg = ccz_span_str("m");
    CHECK(ccz_ecdsa_sign(sig, back, &msg, 1) == CCZ_OK); /* the private half came along */
    CHECK(ccz_ecdsa_verify(k, sig, 64, &msg, 1) == CCZ_OK);

    for (size_t cut = 1; cut < size; cut++)
        CHECK_WHERE(from_pkcs8(copy, cut), CCZ_E_FORMAT, "key:pkcs8");
    CHECK_WHERE(from_pkcs8(copy, size + 1), CCZ_E_FORMAT, "key:pkcs8"); /* trailing byte */
    /* the public half of another key, which is the last 64 bytes */
    CCZ_AUTO(ccz_key) other = new_key(CCZ_P256);
    CHECK(ccz_key_xy(copy + size - 64, other) == CCZ_OK);
    CHECK_WHERE(from_pkcs8(copy, size), CCZ_E_FORMAT, "key:pair");
    ccz_wipe(copy, sizeof(copy));
}

/* Keys of kinds that are not supported, made with OpenSSL. */
static void test_other_kinds(void)
{
    EVP_PKEY *keys[] = {EVP_EC_gen("P-521"), EVP_PKEY_Q_keygen(NULL, NULL, "X25519"),
                        EVP_EC_gen("secp256k1")};
    for (size_t i = 0; i < 3; i++) {
        uint8_t *p8 = NULL, *spki = NULL;
        PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(keys[i]);
        int p8_size = i2d_PKCS8_PRIV_KEY_INFO(info, &p8), spki_size = i2d_PUBKEY(keys[i], &spki);
        CHECK(p8_size > 0 && spki_size > 0);
        CHECK_WHERE(from_pkcs8(p8, (size_t)p8_size), CCZ_E_UNSUPPORTED, "key:curve");
        CCZ_AUTO(ccz_key) k = NULL;
        CHECK_WHERE(ccz_key_from_spki(&k, CCZ_SPAN(spki, (size_t)spki_size), &err),
                    CCZ_E_UNSUPPORTED, "key:spki");
        OPENSSL_free(p8);
        OPENSSL_free(spki);
        PKCS8_PRIV_KEY_INFO_free(info);
        EVP_PKEY_free(keys[i]);
    }
}

static void write_file(const char *path, const void *data, size_t size, mode_t mode)
{
    (void)unlink(path);
    FILE *f = fopen(path, "wb");
    CHECK(f && fwrite(data, 1, size, f) == size);
    fclose(f);
    CHECK(chmod(path, mode) == 0);
}

static void test_files(void)
{
    char dir[] = "/tmp/cczoo-ec-XXXXXX", path[64];
    CHECK(mkdtemp(dir) != NULL);
    (void)snprintf(path, sizeof(path), "%s/key.pem", dir);
    CCZ_AUTO(ccz_key) k = new_key(CCZ_P384);
    CHECK(ccz_key_save(k, path, &err) == CCZ_OK);
    struct stat st;
    CHECK(stat(path, &st) == 0 && (st.st_mode & 07777) == 0600);
    CHECK_WHERE(ccz_key_save(k, path, &err), CCZ_E_EXISTS, "file:exists"); /* never overwritten */

    CCZ_AUTO(ccz_key) back = NULL;
    CHECK(ccz_key_load(&back, path, &err) == CCZ_OK);
    uint8_t a[96], b[96];
    CHECK(ccz_key_xy(a, k) == CCZ_OK && ccz_key_xy(b, back) == CCZ_OK && memcmp(a, b, 96) == 0);
    const struct ccz_span msg = ccz_span_str("m");
    CHECK(ccz_ecdsa_sign(a, back, &msg, 1) == CCZ_OK);

    CCZ_AUTO(ccz_key) none = NULL;
    CHECK(chmod(path, 0640) == 0);
    CHECK_WHERE(ccz_key_load(&none, path, &err), CCZ_E_DENIED, "file:permissions");
    CHECK(none == NULL);
    static const char text[] =
        "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n";
    write_file(path, text, sizeof(text) - 1, 0600);
    CHECK_WHERE(ccz_key_load(&none, path, &err), CCZ_E_FORMAT, "key:pem");
    CHECK(err.hint[0] != 0);
    static const char bad[] = "-----BEGIN PRIVATE KEY-----\nMAAA\n-----END PRIVATE KEY-----\n";
    write_file(path, bad, sizeof(bad) - 1, 0600);
    CHECK_WHERE(ccz_key_load(&none, path, &err), CCZ_E_FORMAT, "key:pkcs8");
    CHECK(unlink(path) == 0);
    CHECK_WHERE(ccz_key_load(&none, path, &err), CCZ_E_NOT_FOUND, "file:read");
    CCZ_AUTO(ccz_key) pub = NULL;
    uint8_t xy[96];
    CHECK(ccz_key_xy(xy, k) == CCZ_OK);
    CHECK(ccz_key_from_xy(&pub, CCZ_P384, CCZ_SPAN(xy, 96)) == CCZ_OK);
    CHECK_WHERE(ccz_key_save(pub, path, &err), CCZ_E_ARG, "key:pkcs8");
    CHECK(rmdir(dir) == 0);
}

/* Every job gets its own rc, whatever stands beside it; both curves, both forms, damage of each kind.
 */
static void test_batch(void)
{
    enum { LEN = 23 };
    struct ccz_key *keys[] = {new_key(CCZ_P256), new_key(CCZ_P384), new_key(CCZ_P256)};
    struct ccz_ecdsa_job jobs[LEN] = {0};
    uint8_t sigs[LEN][104];
    CHECK(ccz_ecdsa_verify_batch(NULL, 0) == CCZ_OK);
    for (uint32_t i = 0; i < LEN; i++) {
        struct ccz_ecdsa_job *j = &jobs[i];
        const struct ccz_span msg = CCZ_SPAN(&i, sizeof(i));
        j->key = keys[i % 3];
        j->sig = CCZ_SPAN(sigs[i], i % 3 == 1 ? 96 : 64);
        j->digest_size = i % 3 == 1 ? 48 : 32;
        CHECK(ccz_hash(j->digest, i % 3 == 1 ? CCZ_SHA384 : CCZ_SHA256, &msg, 1) == CCZ_OK);
        CHECK(ccz_ecdsa_sign(sigs[i], j->key, &msg, 1) == CCZ_OK);
        if (i % 2) {
            CCZ_AUTO_BUF der;
            ccz_buf_init(&der, sizeof(sigs[i]));
            cczi_ecdsa_put_der(&der, sigs[i], j->sig.size);
            memcpy(sigs[i], der.ptr, der.size);
            j->sig.size = der.size;
            j->form = CCZ_SIG_DER;
        }
    }
    for (size_t len = 0; len <= LEN; len++)
        CHECK(ccz_ecdsa_verify_batch(jobs, len) == CCZ_OK);
    for (size_t bad = 0; bad < LEN; bad++) {
        struct ccz_ecdsa_job copy[LEN];
        memcpy(copy, jobs, sizeof(jobs));
        copy[bad].digest[bad % 32] ^= 0x10;
        CHECK(ccz_ecdsa_verify_batch(copy, LEN) == CCZ_E_SIG);
        for (size_t i = 0; i < LEN; i++)
            CHECK(copy[i].rc == (i == bad ? CCZ_E_SIG : CCZ_OK));
        copy[bad] = jobs[bad];
        copy[bad].sig.size--;
        CHECK(ccz_ecdsa_verify_batch(copy, LEN) == CCZ_E_SIG && copy[bad].rc == CCZ_E_SIG);
        copy[bad].sig.size += 2; /* a trailing byte */
        CHECK(ccz_ecdsa_verify_batch(copy, LEN) == CCZ_E_SIG && copy[bad].rc == CCZ_E_SIG);
        copy[bad].sig = CCZ_SPAN(NULL, 0);
        CHECK(ccz_ecdsa_verify_batch(copy, LEN) == CCZ_E_SIG && copy[bad].rc == CCZ_E_SIG);
        copy[bad] = jobs[bad];
        copy[bad].form = copy[bad].form == CCZ_SIG_RAW ? CCZ_SIG_DER : CCZ_SIG_RAW;
        CHECK(ccz_ecdsa_verify_batch(copy, LEN) == CCZ_E_SIG && copy[bad].rc == CCZ_E_SIG);
        copy[bad] = jobs[bad];
        copy[bad].digest_size = 20;
        CHECK(ccz_ecdsa_verify_batch(copy, LEN) == CCZ_E_ARG && copy[bad].rc == CCZ_E_ARG);
    }
    for (size_t i = 0; i < 3; i++)
        ccz_key_free(keys[i]);
    CHECK(ERR_peek_error() == 0);
}

static void *use_key(void *arg)
{
    const struct ccz_key *k = arg;
    for (uint32_t i = 0; i < 200; i++) {
        uint8_t sig[64], xy[64];
        const struct ccz_span msg = CCZ_SPAN(&i, sizeof(i));
        CHECK(ccz_ecdsa_sign(sig, k, &msg, 1) == CCZ_OK);
        CHECK(ccz_ecdsa_verify(k, sig, 64, &msg, 1) == CCZ_OK);
        CHECK(ccz_key_xy(xy, k) == CCZ_OK && ccz_ecdsa_verify_p256(xy, sig, msg) == CCZ_OK);
    }
    return NULL;
}

static void test_threads(void)
{
    CCZ_AUTO(ccz_key) k = new_key(CCZ_P256);
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, use_key, k) == 0);
    for (size_t i = 0; i < 4; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"ec.kat", test_kat},     {"ec.refuse", test_refuse}, {"ec.sign", test_sign},
        {"ec.spki", test_spki},   {"ec.pkcs8", test_pkcs8},   {"ec.other_kinds", test_other_kinds},
        {"ec.files", test_files}, {"ec.batch", test_batch},   {"ec.threads", test_threads},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
