/* SPDX-License-Identifier: Apache-2.0 */
/* X25519 (RFC 7748), as OpenSSL has it. */
#include <cczoo/crypto.h>

#include <openssl/evp.h>

ccz_rc ccz_x25519_public(uint8_t pub[CCZ_X25519_SIZE], const uint8_t priv[CCZ_X25519_SIZE])
{
    size_t size = CCZ_X25519_SIZE;
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key_ex(NULL, "X25519", NULL, priv, CCZ_X25519_SIZE);
    bool good = key && EVP_PKEY_get_raw_public_key(key, pub, &size) == 1 && size == CCZ_X25519_SIZE;
    EVP_PKEY_free(key);
    if (good)
        return CCZ_OK;
    ccz_wipe(pub, CCZ_X25519_SIZE);
    return CCZ_E_INTERNAL;
}

static ccz_rc derive(uint8_t *out, EVP_PKEY *key, EVP_PKEY *peer)
{
    static const uint8_t zero[CCZ_X25519_SIZE];
    size_t size = CCZ_X25519_SIZE;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    ccz_rc rc = CCZ_E_INTERNAL;
    if (ctx && EVP_PKEY_derive_init(ctx) == 1 && EVP_PKEY_derive_set_peer(ctx, peer) == 1) {
        /* OpenSSL refuses to derive zeros; said here once more, for other providers */
        bool derived = EVP_PKEY_derive(ctx, out, &size) == 1 && size == CCZ_X25519_SIZE;
        rc = derived && !ccz_ct_eq(out, zero, sizeof(zero)) ? CCZ_OK : CCZ_E_PEER;
    }
    EVP_PKEY_CTX_free(ctx);
    return rc;
}

ccz_rc ccz_x25519(uint8_t out[CCZ_X25519_SIZE], const uint8_t priv[CCZ_X25519_SIZE],
                  const uint8_t peer[CCZ_X25519_SIZE])
{
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key_ex(NULL, "X25519", NULL, priv, CCZ_X25519_SIZE);
    EVP_PKEY *pub = EVP_PKEY_new_raw_public_key_ex(NULL, "X25519", NULL, peer, CCZ_X25519_SIZE);
    ccz_rc rc = key && pub ? derive(out, key, pub) : CCZ_E_INTERNAL;
    EVP_PKEY_free(pub);
    EVP_PKEY_free(key);
    if (rc != CCZ_OK)
        ccz_wipe(out, CCZ_X25519_SIZE);
    return rc;
}
