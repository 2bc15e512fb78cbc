/* SPDX-License-Identifier: Apache-2.0 */
/* AES-256-CTR (NIST SP 800-38A) as an expander of seeds. */
#include <cczoo/crypto.h>

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

struct ccz_stream {
    EVP_CIPHER *cipher;
    EVP_CIPHER_CTX *ctx;
    bool keyed;
};

/* Zeros to encrypt are made and used in the first-level cache. */
#define STREAM_STEP_SIZE ((size_t)8192)

ccz_rc ccz_stream_new(struct ccz_stream **out)
{
    *out = NULL;
    CCZ_AUTO(ccz_stream) s = calloc(1, sizeof(*s));
    if (!s)
        return CCZ_E_NOMEM;
    s->cipher = EVP_CIPHER_fetch(NULL, "AES-256-CTR", NULL);
    s->ctx = EVP_CIPHER_CTX_new();
    if (!s->cipher || !s->ctx)
        return CCZ_E_NOMEM;
    if (EVP_EncryptInit_ex2(s->ctx, s->cipher, NULL, NULL, NULL) != 1)
        return CCZ_E_INTERNAL;
    *out = ccz_stream_take(&s);
    return CCZ_OK;
}

void ccz_stream_free(struct ccz_stream *s)
{
    if (!s)
        return;
    EVP_CIPHER_CTX_free(s->ctx);
    EVP_CIPHER_free(s->cipher);
    free(s);
}

ccz_rc ccz_stream_start(struct ccz_stream *s, const uint8_t seed[CCZ_STREAM_SEED_SIZE],
                        const uint8_t iv[CCZ_STREAM_IV_SIZE])
{
    if (!seed && !s->keyed)
        return CCZ_E_ARG;
    s->keyed = false;
    if (EVP_EncryptInit_ex2(s->ctx, NULL, seed, iv, NULL) != 1)
        return CCZ_E_INTERNAL;
    s->keyed = true;
    return CCZ_OK;
}

ccz_rc ccz_stream_read(void *out, struct ccz_stream *s, size_t size)
{
    if (!s->keyed)
        return CCZ_E_ARG;
    uint8_t *p = out;
    while (size) {
        size_t step = size < STREAM_STEP_SIZE ? size : STREAM_STEP_SIZE;
        int n;
        memset(p, 0, step);
        if (EVP_EncryptUpdate(s->ctx, p, &n, p, (int)step) != 1 || (size_t)n != step) {
            ccz_wipe(out, (size_t)(p - (uint8_t *)out) + step);
            return CCZ_E_INTERNAL;
        }
        p += step;
        size -= step;
    }
    return CCZ_OK;
}
