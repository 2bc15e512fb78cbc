/* SPDX-License-Identifier: Apache-2.0 */
/* AES-GCM (NIST SP 800-38D) and ChaCha20-Poly1305 (RFC 8439). Cipher and context live as long as
 * the object, so that a call costs one key schedule and no allocation or algorithm look-up. */
#include <cczoo/crypto.h>

#include <openssl/evp.h>
#include <stdlib.h>

struct ccz_aead {
    EVP_CIPHER *cipher;
    EVP_CIPHER_CTX *ctx;
};

/* SP 800-38D, 5.2.1.1: a plaintext has at most 2^39 - 256 bits; RFC 8439 allows more. */
#define AEAD_IN_SIZE_MAX 0xfffffffe0ull
/* EVP counts in int; a multiple of the block size keeps its fast path. */
#define AEAD_STEP_SIZE ((size_t)1 << 30)

static const struct {
    const char *name;
    size_t key_size;
} algs[] = {
    [CCZ_AES_128_GCM] = {"AES-128-GCM", 16},
    [CCZ_AES_256_GCM] = {"AES-256-GCM", 32},
    [CCZ_CHACHA20_POLY1305] = {"ChaCha20-Poly1305", 32},
    [CCZ_AES_192_GCM] = {"AES-192-GCM", 24},
};

static bool is_known(enum ccz_aead_alg alg)
{
    return (size_t)alg < sizeof(algs) / sizeof(algs[0]);
}

size_t ccz_aead_key_size(enum ccz_aead_alg alg)
{
    return is_known(alg) ? algs[alg].key_size : 0;
}

ccz_rc ccz_aead_new(struct ccz_aead **out, enum ccz_aead_alg alg)
{
    *out = NULL;
    if (!is_known(alg))
        return CCZ_E_ARG;
    CCZ_AUTO(ccz_aead) a = calloc(1, sizeof(*a));
    if (!a)
        return CCZ_E_NOMEM;
    a->cipher = EVP_CIPHER_fetch(NULL, algs[alg].name, NULL);
    a->ctx = EVP_CIPHER_CTX_new();
    if (!a->cipher || !a->ctx)
        return CCZ_E_NOMEM;
    if (EVP_CipherInit_ex2(a->ctx, a->cipher, NULL, NULL, 1, NULL) != 1)
        return CCZ_E_INTERNAL;
    *out = ccz_aead_take(&a);
    return CCZ_OK;
}

void ccz_aead_free(struct ccz_aead *a)
{
    if (!a)
        return;
    EVP_CIPHER_CTX_free(a->ctx);
    EVP_CIPHER_free(a->cipher);
    free(a);
}

/* Feeds `in`: as AAD when `out` is NULL, else as text. */
static int update(EVP_CIPHER_CTX *ctx, uint8_t *out, struct ccz_span in)
{
    while (in.size) {
        int step = (int)(in.size < AEAD_STEP_SIZE ? in.size : AEAD_STEP_SIZE), n;
        if (EVP_CipherUpdate(ctx, out, &n, in.ptr, step) != 1 || n != step)
            return 0;
        in.ptr += step;
        in.size -= (size_t)step;
        out = out ? out + step : NULL;
    }
    return 1;
}

ccz_rc ccz_aead_seal(struct ccz_aead *a, uint8_t *out, uint8_t tag[16], const uint8_t *key,
                     const uint8_t nonce[12], struct ccz_span aad, struct ccz_span in)
{
    if (in.size > AEAD_IN_SIZE_MAX)
        return CCZ_E_LIMIT;
    uint8_t none[1]; /* a final AEAD block never has bytes */
    int n;
    if (EVP_EncryptInit_ex2(a->ctx, NULL, key, nonce, NULL) == 1 && update(a->ctx, NULL, aad) &&
        update(a->ctx, out, in) && EVP_EncryptFinal_ex(a->ctx, none, &n) == 1 &&
        EVP_CIPHER_CTX_ctrl(a->ctx, EVP_CTRL_AEAD_GET_TAG, CCZ_AEAD_TAG_SIZE, tag) == 1)
        return CCZ_OK;
    ccz_wipe(out, in.size); /* never leave a half-encrypted buffer, in place or not */
    ccz_wipe(tag, CCZ_AEAD_TAG_SIZE);
    return CCZ_E_INTERNAL;
}

ccz_rc ccz_aead_open(struct ccz_aead *a, uint8_t *out, const uint8_t tag[16], const uint8_t *key,
                     const uint8_t nonce[12], struct ccz_span aad, struct ccz_span in)
{
    if (in.size > AEAD_IN_SIZE_MAX)
        return CCZ_E_LIMIT;
    uint8_t want[CCZ_AEAD_TAG_SIZE], none[1];
    for (size_t i = 0; i < sizeof(want); i++) /* the control call takes a writable pointer */
        want[i] = tag[i];
    int n;
    if (EVP_DecryptInit_ex2(a->ctx, NULL, key, nonce, NULL) != 1 ||
        EVP_CIPHER_CTX_ctrl(a->ctx, EVP_CTRL_AEAD_SET_TAG, CCZ_AEAD_TAG_SIZE, want) != 1 ||
        !update(a->ctx, NULL, aad) || !update(a->ctx, out, in)) {
        ccz_wipe(out, in.size);
        return CCZ_E_INTERNAL;
    }
    if (EVP_DecryptFinal_ex(a->ctx, none, &n) != 1) {
        ccz_wipe(out, in.size);
        return CCZ_E_SIG;
    }
    return CCZ_OK;
}
