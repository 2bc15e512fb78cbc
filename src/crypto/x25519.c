/* SPDX-License-Identifier: Apache-2.0 */
/* X25519 (RFC 7748), as OpenSSL has it: it computes the public key with each private one, which takes as long as an agreement. */
#include <cczoo/crypto.h>

#include <openssl/evp.h>
#include <stdlib.h>

struct ccz_x25519_key {
    EVP_PKEY *pkey;
    EVP_PKEY_CTX *ctx;
};

ccz_rc ccz_x25519_key_new(struct ccz_x25519_key **out, const uint8_t priv[CCZ_X25519_SIZE])
{
    *out = NULL;
    CCZ_AUTO(ccz_x25519_key) k = calloc(1, sizeof(*k));
    if (!k)
        return CCZ_E_NOMEM;
    k->pkey = EVP_PKEY_new_raw_private_key_ex(NULL, "X25519", NULL, priv, CCZ_X25519_SIZE);
    k->ctx = k->pkey ? EVP_PKEY_CTX_new_from_pkey(NULL, k->pkey, NULL) : NULL;
    if (!k->ctx || EVP_PKEY_derive_init(k->ctx) != 1)
        return CCZ_E_INTERNAL;
    *out = ccz_x25519_key_take(&k);
    return CCZ_OK;
}

void ccz_x25519_key_free(struct ccz_x25519_key *k)
{
    if (!k)
        return;
    EVP_PKEY_CTX_free(k->ctx);
    EVP_PKEY_free(k->pkey);
    free(k);
}

ccz_rc ccz_x25519_key_public(uint8_t pub[CCZ_X25519_SIZE], const struct ccz_x25519_key *k)
{
    size_t size = CCZ_X25519_SIZE;
    if (EVP_PKEY_get_raw_public_key(k->pkey, pub, &size) == 1 && size == CCZ_X25519_SIZE)
        return CCZ_OK;
    ccz_wipe(pub, CCZ_X25519_SIZE);
    return CCZ_E_INTERNAL;
}

static ccz_rc derive(uint8_t *out, EVP_PKEY_CTX *ctx, EVP_PKEY *peer)
{
    static const uint8_t zero[CCZ_X25519_SIZE];
    size_t size = CCZ_X25519_SIZE;
    if (EVP_PKEY_derive_set_peer(ctx, peer) != 1)
        return CCZ_E_INTERNAL;
    /* OpenSSL refuses to derive zeros; said here once more, for other providers */
    bool derived = EVP_PKEY_derive(ctx, out, &size) == 1 && size == CCZ_X25519_SIZE;
    return derived && !ccz_ct_eq(out, zero, sizeof(zero)) ? CCZ_OK : CCZ_E_PEER;
}

ccz_rc ccz_x25519_key_agree(uint8_t out[CCZ_X25519_SIZE], struct ccz_x25519_key *k,
                            const uint8_t peer[CCZ_X25519_SIZE])
{
    EVP_PKEY *pub = EVP_PKEY_new_raw_public_key_ex(NULL, "X25519", NULL, peer, CCZ_X25519_SIZE);
    ccz_rc rc = pub ? derive(out, k->ctx, pub) : CCZ_E_INTERNAL;
    EVP_PKEY_free(pub);
    if (rc != CCZ_OK)
        ccz_wipe(out, CCZ_X25519_SIZE);
    return rc;
}

ccz_rc ccz_x25519_public(uint8_t pub[CCZ_X25519_SIZE], const uint8_t priv[CCZ_X25519_SIZE])
{
    CCZ_AUTO(ccz_x25519_key) k = NULL;
    ccz_rc rc = ccz_x25519_key_new(&k, priv);
    if (rc == CCZ_OK)
        return ccz_x25519_key_public(pub, k);
    ccz_wipe(pub, CCZ_X25519_SIZE);
    return rc;
}

ccz_rc ccz_x25519(uint8_t out[CCZ_X25519_SIZE], const uint8_t priv[CCZ_X25519_SIZE],
                  const uint8_t peer[CCZ_X25519_SIZE])
{
    CCZ_AUTO(ccz_x25519_key) k = NULL;
    ccz_rc rc = ccz_x25519_key_new(&k, priv);
    if (rc == CCZ_OK)
        return ccz_x25519_key_agree(out, k, peer);
    ccz_wipe(out, CCZ_X25519_SIZE);
    return rc;
}
