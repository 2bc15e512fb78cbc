/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Run under valgrind: any branch or address that depends on a secret is reported. Secret are the material of keys, the key of
 * import tokens and what is computed from them; public is whether a MAC or token is the right one. Encryption and signatures
 * are OpenSSL's and not looked at here.
 */
#include "kms/kms_keys.h"

#include "base/ct.h"
#include "kms/wrapping_key.h"

#include <stdio.h>
#include <string.h>

enum { NOW = 1700000000 };

static struct ccz_secret *secret_bytes(size_t size)
{
    struct ccz_secret *s = NULL;
    if (ccz_secret_new(&s, size) != CCZ_OK)
        return NULL;
    memset(ccz_secret_bytes(s), 0x5a, size);
    CCZ_CT_SECRET(ccz_secret_bytes(s), size);
    return s;
}

/* A right MAC, one that differs in its first byte, one in its last. @return how many are taken */
static int macs(uint8_t mac[CCZI_KMS_KEY_MAC_SIZE])
{
    CCZ_AUTO(ccz_secret) foreign = secret_bytes(32);
    CCZ_AUTO(ccz_secret) material = NULL;
    CCZ_AUTO(cczi_kms_key) key = NULL;
    const struct ccz_span msg = ccz_span_str("message");
    if (!foreign || cczi_kms_key_import(&material, CCZI_KEY_HMAC_SHA256, foreign, NULL) != CCZ_OK ||
        cczi_kms_key_open(&key, CCZI_KEY_HMAC_SHA256, 1, material, NULL) != CCZ_OK ||
        cczi_kms_key_hmac(mac, key, msg, NULL) != CCZ_OK)
        return -1;
    int taken = 0;
    static const uint8_t change[3][2] = {{0, 0}, {0, 1}, {31, 1}};
    for (size_t i = 0; i < 3; i++) {
        uint8_t tried[CCZI_KMS_KEY_MAC_SIZE];
        memcpy(tried, mac, sizeof(tried));
        tried[change[i][0]] ^= change[i][1];
        taken += cczi_kms_key_hmac_verify(key, msg, CCZ_SPAN(tried, 32), NULL) == CCZ_OK;
    }
    return taken;
}

/* The same with tokens, which are public once they are out. */
static int tokens(void)
{
    CCZ_AUTO(ccz_secret) token_key = secret_bytes(CCZI_KMS_IMPORT_TOKEN_KEY_SIZE);
    CCZ_AUTO(ccz_secret) der = NULL;
    CCZ_AUTO(ccz_pkey) wrapping = NULL;
    CCZ_AUTO(cczi_kms_import_used) used = NULL;
    CCZ_AUTO_BUF token;
    ccz_buf_init(&token, CCZI_KMS_IMPORT_TOKEN_SIZE_MAX);
    size_t size = strlen(wrapping_pkcs8) / 2;
    if (!token_key || ccz_secret_new(&der, size) != CCZ_OK ||
        ccz_unhex(ccz_secret_bytes(der), size, wrapping_pkcs8, 2 * size) != CCZ_OK ||
        ccz_pkey_from_pkcs8(&wrapping, der, CCZ_PKEY_OWN, NULL) != CCZ_OK ||
        cczi_kms_import_used_new(&used) != CCZ_OK)
        return -1;
    const struct cczi_kms_import what = {
        .name = "a", .spec = {.kind = CCZI_KEY_AES_256}, .wrapping = wrapping};
    if (cczi_kms_import_token(&token, token_key, &what, 0, NOW, NULL) != CCZ_OK)
        return -1;
    CCZ_CT_PUBLIC(token.ptr, token.size);
    int taken = 0;
    for (int i = 0; i < 2; i++) { /* the changed one first: each is good once */
        token.ptr[60] ^= i == 0 ? 1 : 0;
        struct ccz_secret *none;
        struct ccz_err err = {0};
        (void)cczi_kms_import_open(&none, used, token_key, &what, ccz_buf_span(&token),
                                   ccz_span_str("no blob"), NOW, &err);
        taken += strcmp(err.where, "kms:import-blob") == 0;
        token.ptr[60] ^= i == 0 ? 1 : 0;
    }
    return taken;
}

int main(int argc, char **argv)
{
    uint8_t mac[CCZI_KMS_KEY_MAC_SIZE];
    int taken = macs(mac), tokens_taken = tokens();
    /* Negative control: an address out of the MAC, which comes from the key. */
    if (argc > 1 && strcmp(argv[1], "--leak") == 0) {
        static volatile uint8_t table[256];
        taken += table[mac[0]];
    }
    CCZ_CT_PUBLIC(&taken, sizeof(taken));
    printf("macs=%d tokens=%d\n", taken, tokens_taken);
    return taken == 1 && tokens_taken == 1 ? 0 : 1;
}
