/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What callers hand to keys of the KMS, and what lies in the store. First byte: "ccz1:" text, metadata, a ciphertext,
 * a wrapped key, a token, a blob with a token that is good.
 */
#include "kms/kms_keys.h"
#include "kms/wrapping_key.h"

#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

enum { NOW = 1700000000, ROOM = 200000 };

static void require(bool ok)
{
    if (!ok)
        abort();
}

static void text(struct ccz_span in)
{
    CCZ_AUTO_BUF bytes, back;
    ccz_buf_init(&bytes, ROOM);
    ccz_buf_init(&back, ROOM);
    uint32_t version;
    struct ccz_err err = {0};
    if (cczi_kms_key_text_get(&version, &bytes, in, &err) != CCZ_OK) {
        require(version == 0 && bytes.size == 0 && strcmp(err.where, "kms:key-text") == 0);
        return;
    }
    require(version >= 1 && version <= CCZ_KMS_VERSIONS_MAX);
    cczi_kms_key_text_put(&back, version, ccz_buf_span(&bytes));
    require(ccz_span_eq(ccz_buf_span(&back), in));
}

static void meta(struct ccz_span in)
{
    struct cczi_kms_key_meta m;
    if (cczi_kms_key_meta_get(&m, in, NULL) != CCZ_OK)
        return;
    CCZ_AUTO_BUF back;
    ccz_buf_init(&back, ROOM);
    cczi_kms_key_meta_put(&back, &m);
    require(ccz_span_eq(ccz_buf_span(&back), in));
    for (unsigned op = 0; op < CCZI_OPS; op++) {
        ccz_rc rc = cczi_kms_key_may(&m, op, m.latest, CCZI_VERSION_ENABLED, NOW, NULL);
        require(rc != CCZ_OK || ((m.ops & CCZI_OP_BIT(op)) && !m.disabled && m.deletion_s == 0));
    }
    /* what a function makes of it can be read again */
    if (cczi_kms_key_rotate(&m, m.imported, NOW, NULL) == CCZ_OK ||
        cczi_kms_key_delete(&m, &(struct cczi_kms_key_deletion){0}, NOW, NULL) == CCZ_OK) {
        ccz_buf_clear(&back);
        cczi_kms_key_meta_put(&back, &m);
        require(cczi_kms_key_meta_get(&m, ccz_buf_span(&back), NULL) == CCZ_OK);
    }
}

/* Material 00 01 ..., as in the known answers. */
static struct cczi_kms_key *key(enum cczi_kms_key_kind kind)
{
    struct ccz_secret *m;
    struct cczi_kms_key *k;
    require(ccz_secret_new(&m, 32) == CCZ_OK);
    for (size_t i = 0; i < 32; i++)
        ccz_secret_bytes(m)[i] = (uint8_t)i;
    require(cczi_kms_key_open(&k, kind, 7, m, NULL) == CCZ_OK);
    ccz_secret_free(m);
    return k;
}

static void sealed(struct ccz_span in)
{
    CCZ_AUTO(cczi_kms_key) k = key(CCZI_KEY_AES_256_GCM);
    CCZ_AUTO(ccz_secret) out = NULL;
    if (cczi_kms_key_decrypt(&out, k, ccz_span_str("the aad"), in, NULL) == CCZ_OK)
        require(ccz_secret_size(out) + CCZI_KMS_KEY_SEALED_OVERHEAD == in.size);
    else
        require(!out);
}

static void wrapped(struct ccz_span in)
{
    CCZ_AUTO(cczi_kms_key) k = key(CCZI_KEY_AES_256_GCM);
    CCZ_AUTO(ccz_secret) out = NULL;
    CCZ_AUTO_BUF back;
    ccz_buf_init(&back, ROOM);
    if (cczi_kms_key_unwrap(&out, k, in, NULL) != CCZ_OK) {
        require(!out);
        return;
    }
    require(cczi_kms_key_wrap(&back, k, CCZ_SPAN(ccz_secret_view(out), ccz_secret_size(out)),
                              NULL) == CCZ_OK);
    require(ccz_span_eq(ccz_buf_span(&back), in));
}

static struct ccz_pkey *wrapping_key(void)
{
    size_t size = strlen(wrapping_pkcs8) / 2;
    struct ccz_secret *der;
    struct ccz_pkey *k;
    require(ccz_secret_new(&der, size) == CCZ_OK);
    require(ccz_unhex(ccz_secret_bytes(der), size, wrapping_pkcs8, 2 * size) == CCZ_OK);
    require(ccz_pkey_from_pkcs8(&k, der, CCZ_PKEY_OWN, NULL) == CCZ_OK);
    ccz_secret_free(der);
    return k;
}

static void import(struct ccz_span in, bool good_token)
{
    static struct ccz_pkey *wrapping;
    static struct ccz_secret *token_key;
    if (!wrapping) {
        wrapping = wrapping_key();
        require(ccz_secret_new(&token_key, CCZI_KMS_IMPORT_TOKEN_KEY_SIZE) == CCZ_OK);
    }
    CCZ_AUTO(cczi_kms_import_used) used = NULL;
    CCZ_AUTO(ccz_secret) out = NULL;
    CCZ_AUTO_BUF token;
    ccz_buf_init(&token, CCZI_KMS_IMPORT_TOKEN_SIZE_MAX);
    require(cczi_kms_import_used_new(&used) == CCZ_OK);
    const struct cczi_kms_import what = {
        .name = "a", .spec = {.kind = CCZI_KEY_AES_256_GCM}, .wrapping = wrapping};
    struct ccz_err err = {0};
    if (good_token)
        require(cczi_kms_import_token(&token, token_key, &what, 0, NOW, NULL) == CCZ_OK);
    else
        ccz_buf_put_span(&token, in);
    ccz_rc rc =
        cczi_kms_import_open(&out, used, token_key, &what, ccz_buf_span(&token), in, NOW, &err);
    require(rc == CCZ_OK ? good_token && ccz_secret_size(out) == 32 : !out && err.where[0] != 0);
    require(good_token || strcmp(err.where, "kms:import-token") == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct ccz_span in = CCZ_SPAN(data + 1, size - 1);
    switch (data[0] % 6) {
    case 0:
        text(in);
        break;
    case 1:
        meta(in);
        break;
    case 2:
        sealed(in);
        break;
    case 3:
        wrapped(in);
        break;
    default:
        import(in, data[0] % 6 == 5);
    }
    require(ERR_peek_error() == 0);
    return 0;
}
