/* SPDX-License-Identifier: Apache-2.0 */
/*
 * P-256 and P-384 keys and ECDSA (FIPS 186-5, SEC 1, RFC 5480, RFC 5958).
 *
 * Signatures of P-256 are verified by p256.c. The public halves of P-384 are EC_KEY objects, used
 * through the ECDSA_* calls that OpenSSL 3.0 marks as deprecated: setting up a key costs 2.5 us
 * there and 36-41 us through EVP_PKEY_fromdata(), and a verification with a reused key costs the
 * bare curve arithmetic, where EVP adds a context, a fetch and a signature copy. Private halves
 * live only in an EVP_PKEY.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "crypto_priv.h"
#include "p256_priv.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/obj_mac.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

enum {
    FIELD_SIZE_MAX = 48, /* P-384 */
    SIG_DER_SIZE_MAX = 2 + 2 * (3 + FIELD_SIZE_MAX),
    KEY_FILE_SIZE_MAX = 8192,
    PEM_LINE_BYTES = 48, /* 64 characters */
};

struct curve {
    int nid;
    const char *group;
    enum ccz_hash hash; /* what ECDSA uses with this curve here */
    size_t field_size;
    const uint8_t *spki_head; /* SubjectPublicKeyInfo up to and with the 04 of the point */
    size_t spki_head_size;
};

/* clang-format off */
static const uint8_t p256_spki_head[] = {
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08,
    0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04};
static const uint8_t p384_spki_head[] = {
    0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05,
    0x2b, 0x81, 0x04, 0x00, 0x22, 0x03, 0x62, 0x00, 0x04};
static const struct curve curves[] = {
    [CCZ_P256] = {NID_X9_62_prime256v1, "P-256", CCZ_SHA256, 32, p256_spki_head, sizeof(p256_spki_head)},
    [CCZ_P384] = {NID_secp384r1,        "P-384", CCZ_SHA384, 48, p384_spki_head, sizeof(p384_spki_head)},
};
/* clang-format on */
enum { CURVES_LEN = sizeof(curves) / sizeof(curves[0]) };

struct ccz_key {
    enum ccz_curve curve;
    uint8_t point[1 + 2 * FIELD_SIZE_MAX]; /* 04 || x || y */
    struct cczi_p256_point p256;
    EC_KEY *p384;
    EVP_PKEY *pair; /* NULL for a public key */
    /* Ready to sign; each call works on a copy, so that threads can share the key. */
    EVP_PKEY_CTX *sign;
};

/* A key without a point: EC_KEY_dup() of one is 10 times faster than looking the curve up by name.
 */
static EC_KEY *p384_blank;
static CRYPTO_ONCE p384_once = CRYPTO_ONCE_STATIC_INIT;

static void make_p384_blank(void)
{
    p384_blank = EC_KEY_new_by_curve_name(NID_secp384r1);
}

/* From 04 || x || y; NULL if the point is not on the curve. */
static EC_KEY *p384_from_point(const uint8_t *point)
{
    if (CRYPTO_THREAD_run_once(&p384_once, make_p384_blank) != 1 || !p384_blank)
        return NULL;
    EC_KEY *pub = EC_KEY_dup(p384_blank);
    if (pub && EC_KEY_oct2key(pub, point, 1 + 2 * curves[CCZ_P384].field_size, NULL) != 1) {
        ERR_clear_error();
        EC_KEY_free(pub);
        return NULL;
    }
    return pub;
}

void ccz_key_free(struct ccz_key *k)
{
    if (!k)
        return;
    EVP_PKEY_CTX_free(k->sign);
    EVP_PKEY_free(k->pair);
    EC_KEY_free(k->p384);
    free(k);
}

static ccz_rc key_from_point(struct ccz_key **out, enum ccz_curve curve, const uint8_t *point)
{
    *out = NULL;
    CCZ_AUTO(ccz_key) k = calloc(1, sizeof(*k));
    if (!k)
        return CCZ_E_NOMEM;
    k->curve = curve;
    memcpy(k->point, point, 1 + 2 * curves[curve].field_size);
    if (curve == CCZ_P384)
        k->p384 = p384_from_point(point);
    if (curve == CCZ_P384 ? !k->p384 : !cczi_p256_engine()->curve->read(&k->p256, point + 1))
        return CCZ_E_FORMAT;
    *out = ccz_key_take(&k);
    return CCZ_OK;
}

ccz_rc ccz_key_from_xy(struct ccz_key **out, enum ccz_curve curve, struct ccz_span xy)
{
    *out = NULL;
    if ((size_t)curve >= CURVES_LEN)
        return CCZ_E_ARG;
    if (xy.size != 2 * curves[curve].field_size)
        return CCZ_E_FORMAT;
    uint8_t point[1 + 2 * FIELD_SIZE_MAX] = {POINT_CONVERSION_UNCOMPRESSED};
    memcpy(point + 1, xy.ptr, xy.size);
    return key_from_point(out, curve, point);
}

ccz_rc ccz_key_from_spki(struct ccz_key **out, struct ccz_span spki, struct ccz_err *err)
{
    *out = NULL;
    for (size_t i = 0; i < CURVES_LEN; i++) {
        const struct curve *c = &curves[i];
        if (spki.size != c->spki_head_size + 2 * c->field_size ||
            memcmp(spki.ptr, c->spki_head, c->spki_head_size) != 0)
            continue;
        ccz_rc rc = key_from_point(out, (enum ccz_curve)i, spki.ptr + c->spki_head_size - 1);
        if (rc == CCZ_OK)
            return CCZ_OK;
        return ccz_fail(err, rc, "key:point", 0, "the public key is not a point of %s", c->group);
    }
    return ccz_fail(err, CCZ_E_UNSUPPORTED, "key:spki", (int64_t)spki.size,
                    "not the SubjectPublicKeyInfo of an uncompressed P-256 or P-384 key");
}

/* ------------------------------------------------------------------------- private keys */

/* Takes ownership of @p pair, also on failure. */
static ccz_rc key_from_pair(struct ccz_key **out, EVP_PKEY *pair, struct ccz_err *err)
{
    *out = NULL;
    char group[32] = "";
    size_t i = 0, n = 0;
    uint8_t point[1 + 2 * FIELD_SIZE_MAX] = {0};
    (void)EVP_PKEY_get_group_name(pair, group, sizeof(group), NULL);
    while (i < CURVES_LEN && OBJ_txt2nid(group) != curves[i].nid)
        i++;
    ccz_rc rc = CCZ_OK;
    if (i == CURVES_LEN) {
        rc = ccz_refuse(err, CCZ_E_UNSUPPORTED, "key:curve", group[0] ? group : "no EC key",
                        "P-256 or P-384");
    } else if (EVP_PKEY_get_octet_string_param(pair, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point),
                                               &n) != 1 ||
               n != 1 + 2 * curves[i].field_size) {
        rc = ccz_fail(err, CCZ_E_UNSUPPORTED, "key:point", (int64_t)n,
                      "the public half is not an uncompressed point");
    } else {
        rc = key_from_point(out, (enum ccz_curve)i, point);
        if (rc != CCZ_OK)
            ccz_fail(err, rc, "key:point", 0, "cannot make the public half");
    }
    if (rc == CCZ_OK) {
        struct ccz_key *k = *out;
        k->pair = pair;
        k->sign = EVP_PKEY_CTX_new_from_pkey(NULL, pair, NULL);
        if (k->sign && EVP_PKEY_sign_init(k->sign) == 1)
            return CCZ_OK;
        ccz_key_free(k);
        *out = NULL;
        rc = ccz_fail(err, CCZ_E_INTERNAL, "key:sign", 0, "OpenSSL cannot sign with the key");
    } else {
        EVP_PKEY_free(pair);
    }
    ERR_clear_error();
    return rc;
}

ccz_rc ccz_key_generate(struct ccz_key **out, enum ccz_curve curve)
{
    *out = NULL;
    if ((size_t)curve >= CURVES_LEN)
        return CCZ_E_ARG;
    EVP_PKEY *pair = EVP_EC_gen(curves[curve].group);
    if (!pair) {
        ERR_clear_error();
        return CCZ_E_INTERNAL;
    }
    return key_from_pair(out, pair, NULL);
}

bool cczi_pair_ok(EVP_PKEY *pair)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pair, NULL);
    bool ok = ctx && EVP_PKEY_check(ctx) == 1;
    EVP_PKEY_CTX_free(ctx);
    return ok;
}

EVP_PKEY *cczi_pkcs8_read(struct ccz_span der)
{
    const uint8_t *p = der.ptr;
    PKCS8_PRIV_KEY_INFO *info = d2i_PKCS8_PRIV_KEY_INFO(NULL, &p, (long)der.size);
    bool whole = info && p == der.ptr + der.size;
    EVP_PKEY *pair = whole ? EVP_PKCS82PKEY(info) : NULL;
    PKCS8_PRIV_KEY_INFO_free(info);
    return pair;
}

static ccz_rc key_from_der(struct ccz_key **out, struct ccz_span der, struct ccz_err *err)
{
    *out = NULL;
    EVP_PKEY *pair = cczi_pkcs8_read(der);
    ccz_rc rc;
    if (!pair) {
        rc = ccz_fail(err, CCZ_E_FORMAT, "key:pkcs8", 0, "not one PKCS#8 private key in DER");
    } else if (!cczi_pair_ok(pair)) {
        EVP_PKEY_free(pair);
        rc = ccz_fail(err, CCZ_E_FORMAT, "key:pair", 0,
                      "the private key is out of range or its public half belongs to another");
    } else {
        rc = key_from_pair(out, pair, err);
    }
    ERR_clear_error();
    return rc;
}

ccz_rc ccz_key_from_pkcs8(struct ccz_key **out, const struct ccz_secret *der, struct ccz_err *err)
{
    return key_from_der(out, CCZ_SPAN(ccz_secret_view(der), ccz_secret_size(der)), err);
}

ccz_rc ccz_key_to_pkcs8(struct ccz_secret **out, const struct ccz_key *k)
{
    *out = NULL;
    return k->pair ? cczi_pkcs8_write(out, k->pair) : CCZ_E_ARG;
}

ccz_rc cczi_pkcs8_write(struct ccz_secret **out, EVP_PKEY *pair)
{
    *out = NULL;
    PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(pair);
    int size = info ? i2d_PKCS8_PRIV_KEY_INFO(info, NULL) : 0;
    ccz_rc rc = size > 0 ? ccz_secret_new(out, (size_t)size) : CCZ_E_INTERNAL;
    if (rc == CCZ_OK) {
        uint8_t *p = ccz_secret_bytes(*out); /* encoded straight into the secret, no other copy */
        if (i2d_PKCS8_PRIV_KEY_INFO(info, &p) != size) {
            ccz_secret_free(ccz_secret_take(out));
            rc = CCZ_E_INTERNAL;
        }
    }
    PKCS8_PRIV_KEY_INFO_free(info);
    ERR_clear_error();
    return rc;
}

/* A file with no pass phrase: without this OpenSSL would ask on the terminal. */
static int no_password(char *buf, int size, int rwflag, void *arg)
{
    (void)buf, (void)size, (void)rwflag, (void)arg;
    return -1;
}

ccz_rc ccz_key_load(struct ccz_key **out, const char *path, struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO(ccz_secret) pem = NULL;
    ccz_rc rc = ccz_file_read_secret(&pem, path, KEY_FILE_SIZE_MAX, err);
    if (rc != CCZ_OK)
        return rc;
    BIO *bio = BIO_new_mem_buf(ccz_secret_view(pem), (int)ccz_secret_size(pem));
    uint8_t *der = NULL;
    long der_size = 0;
    if (bio && PEM_bytes_read_bio_secmem(&der, &der_size, NULL, PEM_STRING_PKCS8INF, bio,
                                         no_password, NULL) == 1) {
        rc = key_from_der(out, CCZ_SPAN(der, (size_t)der_size), err);
    } else {
        ccz_fail(err, CCZ_E_FORMAT, "key:pem", 0, "%s holds no \"%s\" block", path,
                 PEM_STRING_PKCS8INF);
        rc = ccz_hint(err, CCZ_E_FORMAT, "convert it with: openssl pkcs8 -topk8 -nocrypt");
    }
    OPENSSL_secure_clear_free(der, (size_t)der_size);
    BIO_free(bio);
    ERR_clear_error();
    return rc;
}

ccz_rc ccz_key_save(const struct ccz_key *k, const char *path, struct ccz_err *err)
{
    CCZ_AUTO(ccz_secret) der = NULL;
    ccz_rc rc = ccz_key_to_pkcs8(&der, k);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "key:pkcs8", 0, "there is no private key to save");
    CCZ_AUTO_BUF pem;
    ccz_buf_init(&pem, KEY_FILE_SIZE_MAX);
    pem.wipe = true;
    ccz_buf_put_str(&pem, "-----BEGIN " PEM_STRING_PKCS8INF "-----\n");
    const uint8_t *p = ccz_secret_view(der);
    for (size_t left = ccz_secret_size(der), n; left > 0; left -= n, p += n) {
        n = left < PEM_LINE_BYTES ? left : PEM_LINE_BYTES;
        uint8_t *line =
            ccz_buf_extend(&pem, (n + 2) / 3 * 4 + 1); /* with the NUL, then a newline */
        if (line)
            line[EVP_EncodeBlock(line, p, (int)n)] = '\n';
    }
    ccz_buf_put_str(&pem, "-----END " PEM_STRING_PKCS8INF "-----\n");
    if (pem.bad)
        return ccz_fail(err, CCZ_E_NOMEM, "key:pem", 0, "out of memory");
    return ccz_file_write(path, ccz_buf_span(&pem), 0600, CCZ_FILE_CREATE_ONLY, err);
}

struct evp_pkey_st *cczi_key_pair(const struct ccz_key *k)
{
    return k->pair;
}

/* -------------------------------------------------------------------------- public half */

enum ccz_curve ccz_key_curve(const struct ccz_key *k)
{
    return k->curve;
}

ccz_rc ccz_key_xy(uint8_t *out, const struct ccz_key *k)
{
    memcpy(out, k->point + 1, 2 * curves[k->curve].field_size);
    return CCZ_OK;
}

ccz_rc ccz_key_spki(struct ccz_buf *out, const struct ccz_key *k)
{
    const struct curve *c = &curves[k->curve];
    ccz_buf_put(out, c->spki_head, c->spki_head_size);
    ccz_buf_put(out, k->point + 1, 2 * c->field_size);
    return out->bad ? CCZ_E_NOMEM : CCZ_OK;
}

/* -------------------------------------------------------------------------------- ECDSA */

/* INTEGER from @p size big-endian bytes: leading zeros off, one on if the top bit is set. */
static size_t put_integer(uint8_t *out, const uint8_t *v, size_t size)
{
    while (size > 1 && v[0] == 0) {
        v++;
        size--;
    }
    size_t pad = v[0] >> 7;
    out[0] = CCZI_DER_INTEGER;
    out[1] = (uint8_t)(size + pad);
    out[2] = 0;
    memcpy(out + 2 + pad, v, size);
    return 2 + pad + size;
}

/* Ecdsa-Sig-Value (RFC 3279, 2.2.3); below 128 bytes, so every length is one byte. */
static size_t sig_to_der(uint8_t out[SIG_DER_SIZE_MAX], const uint8_t *raw, size_t raw_size)
{
    size_t n = 2;
    n += put_integer(out + n, raw, raw_size / 2);
    n += put_integer(out + n, raw + raw_size / 2, raw_size / 2);
    out[0] = CCZI_DER_SEQUENCE;
    out[1] = (uint8_t)(n - 2);
    return n;
}

void cczi_ecdsa_put_der(struct ccz_buf *out, const uint8_t *raw, size_t raw_size)
{
    uint8_t der[SIG_DER_SIZE_MAX];
    ccz_buf_put(out, der, sig_to_der(der, raw, raw_size));
}

/* The same backwards, from strict DER; false also if a number is too long for the curve. */
static bool sig_from_der(uint8_t *raw, size_t field_size, struct ccz_span der)
{
    struct ccz_rd r = ccz_rd_from(der);
    struct ccz_rd seq = ccz_rd_from(cczi_der_take(&r, CCZI_DER_SEQUENCE));
    memset(raw, 0, 2 * field_size);
    for (size_t i = 1; i <= 2; i++) {
        struct ccz_span v = cczi_der_integer(&seq);
        if (v.size > 1 && v.ptr[0] == 0)
            v = ccz_span_sub(v, 1, v.size - 1);
        if (v.size == 0 || v.size > field_size)
            return false;
        memcpy(raw + i * field_size - v.size, v.ptr, v.size);
    }
    return ccz_rd_done(&r) && ccz_rd_done(&seq);
}

ccz_rc cczi_ecdsa_sign_digest(uint8_t *sig, const struct ccz_key *k, struct ccz_span digest)
{
    if (!k->sign)
        return CCZ_E_ARG;
    uint8_t der[SIG_DER_SIZE_MAX];
    size_t der_size = sizeof(der);
    ccz_rc rc = CCZ_OK;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_dup(k->sign);
    if (!ctx || EVP_PKEY_sign(ctx, der, &der_size, digest.ptr, digest.size) != 1)
        rc = CCZ_E_INTERNAL;
    else if (!sig_from_der(sig, curves[k->curve].field_size, CCZ_SPAN(der, der_size)))
        rc = CCZ_E_INTERNAL;
    EVP_PKEY_CTX_free(ctx);
    ERR_clear_error();
    return rc;
}

ccz_rc ccz_ecdsa_sign(uint8_t *sig, const struct ccz_key *k, const struct ccz_span *parts,
                      size_t len)
{
    if (!k->sign)
        return CCZ_E_ARG;
    enum ccz_hash hash = curves[k->curve].hash;
    uint8_t digest[CCZ_HASH_SIZE_MAX];
    ccz_rc rc = ccz_hash(digest, hash, parts, len);
    return rc == CCZ_OK ? cczi_ecdsa_sign_digest(sig, k, CCZ_SPAN(digest, ccz_hash_size(hash)))
                        : rc;
}

static ccz_rc verify_p256(const struct cczi_p256_point *key, const uint8_t *sig,
                          const uint8_t *digest)
{
    struct cczi_p256_job job = {.key = key, .sig = sig, .digest = digest};
    cczi_p256_verify_cached(&job, 1);
    return job.valid ? CCZ_OK : CCZ_E_SIG;
}

/* @param sig  raw r || s of the right size @param digest at least as many bytes as SHA-256 has */
static ccz_rc verify_raw(const struct ccz_key *k, const uint8_t *sig, struct ccz_span digest)
{
    if (k->curve == CCZ_P256) /* a longer digest is cut: FIPS 186-5, 6.4.2 */
        return verify_p256(&k->p256, sig, digest.ptr);
    uint8_t der[SIG_DER_SIZE_MAX];
    size_t der_size = sig_to_der(der, sig, 2 * curves[k->curve].field_size);
    if (ECDSA_verify(0, digest.ptr, (int)digest.size, der, (int)der_size, k->p384) == 1)
        return CCZ_OK;
    ERR_clear_error();
    return CCZ_E_SIG;
}

ccz_rc ccz_ecdsa_verify(const struct ccz_key *k, const uint8_t *sig, size_t sig_size,
                        const struct ccz_span *parts, size_t len)
{
    const struct curve *c = &curves[k->curve];
    uint8_t digest[CCZ_HASH_SIZE_MAX];
    if (sig_size != 2 * c->field_size)
        return CCZ_E_SIG;
    ccz_rc rc = ccz_hash(digest, c->hash, parts, len);
    return rc == CCZ_OK ? verify_raw(k, sig, CCZ_SPAN(digest, ccz_hash_size(c->hash))) : rc;
}

ccz_rc ccz_ecdsa_verify_p256(const uint8_t xy[64], const uint8_t sig[64], struct ccz_span msg)
{
    struct cczi_p256_point key;
    uint8_t digest[32];
    if (!cczi_p256_engine()->curve->read(&key, xy))
        return CCZ_E_FORMAT;
    ccz_rc rc = ccz_sha256(digest, msg);
    return rc == CCZ_OK ? verify_p256(&key, sig, digest) : rc;
}

/* -------------------------------------------------------------------------------- batches */

enum { BATCH_LEN = 32 }; /* jobs handed on together */

/* The signature of a job as raw r || s. @param[out] raw  used if it was in DER; NULL is none */
static ccz_rc job_sig(const uint8_t **out, uint8_t raw[2 * FIELD_SIZE_MAX],
                      const struct ccz_ecdsa_job *j)
{
    size_t field_size = curves[j->key->curve].field_size;
    if (j->digest_size != 32 && j->digest_size != 48 && j->digest_size != 64)
        return CCZ_E_ARG;
    *out = j->form == CCZ_SIG_RAW ? j->sig.ptr : raw;
    if (j->form == CCZ_SIG_RAW ? j->sig.size != 2 * field_size
                               : !sig_from_der(raw, field_size, j->sig))
        return CCZ_E_SIG;
    return CCZ_OK;
}

static void verify_some(struct ccz_ecdsa_job *jobs, size_t len)
{
    uint8_t raw[BATCH_LEN][2 * FIELD_SIZE_MAX];
    struct cczi_p256_job p256[BATCH_LEN];
    size_t at[BATCH_LEN], p256_len = 0;
    for (size_t i = 0; i < len; i++) {
        struct ccz_ecdsa_job *j = &jobs[i];
        const uint8_t *sig;
        j->rc = job_sig(&sig, raw[i], j);
        if (j->rc == CCZ_OK && j->key->curve == CCZ_P256) {
            p256[p256_len] =
                (struct cczi_p256_job){.key = &j->key->p256, .sig = sig, .digest = j->digest};
            at[p256_len++] = i;
        } else if (j->rc == CCZ_OK) {
            j->rc = verify_raw(j->key, sig, CCZ_SPAN(j->digest, j->digest_size));
        }
    }
    cczi_p256_verify_cached(p256, p256_len);
    for (size_t i = 0; i < p256_len; i++)
        jobs[at[i]].rc = p256[i].valid ? CCZ_OK : CCZ_E_SIG;
}

ccz_rc ccz_ecdsa_verify_batch(struct ccz_ecdsa_job *jobs, size_t len)
{
    for (size_t i = 0; i < len; i += BATCH_LEN)
        verify_some(jobs + i, len - i < BATCH_LEN ? len - i : BATCH_LEN);
    for (size_t i = 0; i < len; i++) {
        if (jobs[i].rc != CCZ_OK)
            return jobs[i].rc;
    }
    return CCZ_OK;
}
