/* SPDX-License-Identifier: Apache-2.0 */
/* AES key wrap with padding (RFC 5649; NIST SP 800-38F, 6.3). */
#include <cczoo/pkey.h>

#include <openssl/err.h>
#include <openssl/evp.h>

enum { SEMIBLOCK = 8 };

static const char *cipher_name(size_t kek_size)
{
    switch (kek_size) {
    case 16:
        return "AES-128-WRAP-PAD";
    case 24:
        return "AES-192-WRAP-PAD";
    case 32:
        return "AES-256-WRAP-PAD";
    }
    return NULL;
}

/* @param[out] out  room for in.size + 16 @return bytes written, 0 = refused */
static size_t run(uint8_t *out, struct ccz_span kek, struct ccz_span in, bool wrap)
{
    EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, cipher_name(kek.size), NULL);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int n = 0;
    if (ctx)
        EVP_CIPHER_CTX_set_flags(ctx, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
    bool ok = cipher && ctx && EVP_CipherInit_ex2(ctx, cipher, kek.ptr, NULL, wrap, NULL) == 1 &&
              EVP_CipherUpdate(ctx, out, &n, in.ptr, (int)in.size) == 1 && n > 0;
    EVP_CIPHER_CTX_free(ctx);
    EVP_CIPHER_free(cipher);
    ERR_clear_error();
    return ok ? (size_t)n : 0;
}

ccz_rc ccz_aes_kwp_wrap(struct ccz_buf *out, struct ccz_span kek, struct ccz_span in)
{
    if (!cipher_name(kek.size))
        return CCZ_E_ARG;
    if (in.size == 0 || in.size > CCZ_KWP_SIZE_MAX)
        return CCZ_E_LIMIT;
    size_t size = (in.size + SEMIBLOCK - 1) / SEMIBLOCK * SEMIBLOCK + SEMIBLOCK;
    CCZ_AUTO(ccz_secret)
    work = NULL; /* OpenSSL works in its output, which holds the key for a while */
    ccz_rc rc = ccz_secret_new(&work, in.size + 2 * SEMIBLOCK);
    if (rc != CCZ_OK)
        return rc;
    if (run(ccz_secret_bytes(work), kek, in, true) != size)
        return CCZ_E_INTERNAL;
    ccz_buf_put(out, ccz_secret_view(work), size);
    return out->bad ? CCZ_E_NOMEM : CCZ_OK;
}

ccz_rc ccz_aes_kwp_unwrap(struct ccz_secret **out, struct ccz_span kek, struct ccz_span in)
{
    *out = NULL;
    if (!cipher_name(kek.size))
        return CCZ_E_ARG;
    if (in.size < 2 * SEMIBLOCK || in.size % SEMIBLOCK != 0 ||
        in.size > CCZ_KWP_SIZE_MAX + SEMIBLOCK)
        return CCZ_E_SIG;
    CCZ_AUTO(ccz_secret) work = NULL;
    ccz_rc rc = ccz_secret_new(&work, in.size + 2 * SEMIBLOCK);
    if (rc != CCZ_OK)
        return rc;
    size_t size = run(ccz_secret_bytes(work), kek, in, false);
    return size > 0 ? ccz_secret_from(out, ccz_secret_view(work), size) : CCZ_E_SIG;
}
