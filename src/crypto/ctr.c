/* SPDX-License-Identifier: Apache-2.0 */
/* AES-CTR (NIST SP 800-38A) over text. Context and cipher live as long as the object, as in aead.c. */
#include <cczoo/crypto.h>

#include <openssl/evp.h>
#include <stdlib.h>

struct ccz_ctr {
    EVP_CIPHER *cipher;
    EVP_CIPHER_CTX *ctx;
};

/* EVP counts in int; a multiple of the block size keeps its fast path. */
#define CTR_STEP_SIZE ((size_t)1 << 30)

static const char *name_of(size_t key_size)
{
    switch (key_size) {
    case 16:
        return "AES-128-CTR";
    case 24:
        return "AES-192-CTR";
    case 32:
        return "AES-256-CTR";
    default:
        return NULL;
    }
}

ccz_rc ccz_ctr_new(struct ccz_ctr **out, size_t key_size)
{
    *out = NULL;
    const char *name = name_of(key_size);
    if (!name)
        return CCZ_E_ARG;
    CCZ_AUTO(ccz_ctr) c = calloc(1, sizeof(*c));
    if (!c)
        return CCZ_E_NOMEM;
    c->cipher = EVP_CIPHER_fetch(NULL, name, NULL);
    c->ctx = EVP_CIPHER_CTX_new();
    if (!c->cipher || !c->ctx)
        return CCZ_E_NOMEM;
    if (EVP_EncryptInit_ex2(c->ctx, c->cipher, NULL, NULL, NULL) != 1)
        return CCZ_E_INTERNAL;
    *out = ccz_ctr_take(&c);
    return CCZ_OK;
}

void ccz_ctr_free(struct ccz_ctr *c)
{
    if (!c)
        return;
    EVP_CIPHER_CTX_free(c->ctx);
    EVP_CIPHER_free(c->cipher);
    free(c);
}

ccz_rc ccz_ctr_apply(struct ccz_ctr *c, uint8_t *out, const uint8_t *key,
                     const uint8_t iv[CCZ_CTR_IV_SIZE], struct ccz_span in)
{
    size_t done = 0;
    if (EVP_EncryptInit_ex2(c->ctx, NULL, key, iv, NULL) != 1)
        goto fail;
    while (done < in.size) {
        size_t step = in.size - done < CTR_STEP_SIZE ? in.size - done : CTR_STEP_SIZE;
        int n;
        if (EVP_EncryptUpdate(c->ctx, out + done, &n, in.ptr + done, (int)step) != 1 ||
            (size_t)n != step)
            goto fail;
        done += step;
    }
    return CCZ_OK;
fail:
    ccz_wipe(out, in.size); /* never leave a half-done buffer, in place or not */
    return CCZ_E_INTERNAL;
}
