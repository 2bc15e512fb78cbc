/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evidence and endorsements in certificates. First byte 0: the rest is a certificate; 1 to 6: it is the value of the
 * DICE extension, of one of the four legacy extensions or of the endorsements, in a certificate for a fixed key.
 */
#include "ratls/ratls_priv.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok)
        abort();
}

/* The key with private scalar 1 (PKCS#8), so that seeds bound to it stay valid. */
static const struct ccz_key *fixed_key(void)
{
    static struct ccz_key *key;
    static const uint8_t head[] = {
        0x30, 0x41, 2,    1,    0,    0x30, 0x13, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6,   8,
        0x2a, 0x86, 0x48, 0xce, 0x3d, 3,    1,    7, 4, 0x27, 0x30, 0x25, 2,    1,    1, 4, 0x20};
    uint8_t der[sizeof(head) + 32] = {0};
    CCZ_AUTO(ccz_secret) secret = NULL;
    memcpy(der, head, sizeof(head));
    der[sizeof(der) - 1] = 1;
    if (!key)
        require(ccz_secret_from(&secret, der, sizeof(der)) == CCZ_OK &&
                ccz_key_from_pkcs8(&key, secret, NULL) == CCZ_OK);
    return key;
}

static bool contains(struct ccz_span s, const uint8_t *what, size_t size)
{
    for (size_t i = 0; i + size <= s.size; i++)
        if (memcmp(s.ptr + i, what, size) == 0)
            return true;
    return false;
}

/* The rule behind all others: evidence without a hash of this certificate's key is never found
 * good. */
static void check(const struct ccz_cert *cert)
{
    static const uint8_t zero[64];
    struct ccz_ratls_evidence e;
    struct ccz_err err = {0};
    ccz_rc rc = ccz_ratls_cert_evidence(&e, cert, &err);
    if (rc != CCZ_OK) {
        require(err.rc == rc && err.where[0] && e.format == CCZ_RATLS_FORMAT_NONE && !e.quote.ptr);
        require(memcmp(e.report_data, zero, 64) == 0);
        return;
    }
    struct ccz_span der = ccz_cert_der(cert), spki = ccz_cert_spki(cert);
    require(e.quote.ptr >= der.ptr && e.quote.ptr + e.quote.size <= der.ptr + der.size);
    require(memcmp(e.report_data + 32, zero, 32) == 0);
    if (e.format != CCZ_RATLS_FORMAT_DICE)
        return;
    struct ccz_span value = ccz_cert_ext(NULL, cert, "2.23.133.5.4.9");
    bool bound = false;
    for (int alg = CCZ_SHA256; alg <= CCZ_SHA512; alg++) {
        uint8_t hash[CCZ_HASH_SIZE_MAX];
        require(ccz_hash(hash, (enum ccz_hash)alg, &spki, 1) == CCZ_OK);
        bound |= contains(value, hash, ccz_hash_size((enum ccz_hash)alg));
    }
    require(bound);
}

static void check_endorsements(const struct ccz_cert *cert)
{
    static const struct ccz_collateral_src none;
    struct ccz_collateral_src src;
    struct ccz_err err = {0};
    ccz_rc rc = ccz_ratls_cert_endorsements(&src, cert, &err);
    if (rc != CCZ_OK) {
        require(err.rc == rc && err.where[0] && memcmp(&src, &none, sizeof(src)) == 0);
        return;
    }
    struct ccz_span der = ccz_cert_der(cert);
    const struct ccz_span parts[] = {src.tcb_info,         src.tcb_info_chain, src.qe_identity,
                                     src.root_ca_crl,      src.pck_crl,        src.pck_crl_chain,
                                     src.qe_identity_chain};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        require(parts[i].ptr >= der.ptr && parts[i].ptr + parts[i].size <= der.ptr + der.size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const oids[] = {NULL,
                                       "2.23.133.5.4.9",
                                       "0.6.9.42.840.113741.1337.6",
                                       "1.2.840.113741.1337.6",
                                       "1.2.840.113741.1337.8",
                                       "1.2.840.113741.1337.20",
                                       "2.23.133.5.4.2",
                                       NULL};
    if (size == 0)
        return 0;
    CCZ_AUTO(ccz_cert) cert = NULL;
    CCZ_AUTO_BUF der;
    ccz_buf_init(&der, CCZ_CERT_SIZE_MAX);
    struct ccz_cert_ext_in ext = {.oid = oids[data[0] & 7], .value = CCZ_SPAN(data + 1, size - 1)};
    if (!ext.oid)
        ccz_buf_put(&der, data + 1, size - 1);
    else if (ccz_cert_issue(&der,
                            &(struct ccz_cert_cfg){.cn = "x",
                                                   .key = fixed_key(),
                                                   .serial = 1,
                                                   .not_after_s = 1,
                                                   .ext = &ext,
                                                   .ext_len = 1},
                            NULL) != CCZ_OK)
        return 0;
    if (!der.bad && ccz_cert_parse(&cert, ccz_buf_span(&der), NULL) == CCZ_OK) {
        check(cert);
        check_endorsements(cert);
    }
    return 0;
}
