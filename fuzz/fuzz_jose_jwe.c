/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first byte says what follows. 0: a JWE for the key of RFC 7518, C; nobody but who knows a content key can make one that opens,
 * so that only the one of the corpus does, as it stands or with other white space. 1: text that is sealed and opened again.
 */
#include "jose/jose_priv.h"
#include "jose/rfc_vectors.h"

#include <stdlib.h>
#include <string.h>

static void expect(bool ok)
{
    if (!ok)
        abort();
}

static struct ccz_jwe_key *bob;

static void make_key(void)
{
    static const uint8_t head[] = {0x30, 0x81, 0x87, 0x02, 0x01, 0x00, 0x30, 0x13, 0x06,
                                   0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06,
                                   0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07,
                                   0x04, 0x6d, 0x30, 0x6b, 0x02, 0x01, 0x01, 0x04, 0x20};
    static const uint8_t middle[] = {0xa1, 0x44, 0x03, 0x42, 0x00, 0x04};
    CCZ_AUTO_BUF der;
    CCZ_AUTO(ccz_secret) s = NULL;
    ccz_buf_init(&der, 200);
    if (bob)
        return;
    ccz_buf_put(&der, head, sizeof(head));
    expect(ccz_base64_get(&der, ccz_span_str(bob_d), CCZ_BASE64_URL, NULL) == CCZ_OK);
    ccz_buf_put(&der, middle, sizeof(middle));
    expect(ccz_base64_get(&der, ccz_span_str(bob_x), CCZ_BASE64_URL, NULL) == CCZ_OK);
    expect(ccz_base64_get(&der, ccz_span_str(bob_y), CCZ_BASE64_URL, NULL) == CCZ_OK);
    expect(ccz_secret_from(&s, der.ptr, der.size) == CCZ_OK);
    expect(ccz_jwe_key_from_pkcs8(&bob, s, NULL) == CCZ_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CCZ_AUTO_BUF out;
    CCZ_AUTO_BUF jwe;
    struct ccz_err err = {0};
    ccz_buf_init(&out, CCZ_JWE_PLAIN_SIZE_MAX);
    ccz_buf_init(&jwe, CCZ_JWE_SIZE_MAX);
    if (size == 0)
        return 0;
    make_key();
    struct ccz_span rest = CCZ_SPAN(data + 1, size - 1);
    if (data[0] % 2 == 0) {
        ccz_rc rc = ccz_jwe_open(&out, bob, rest, &err);
        expect(rc == CCZ_OK ? ccz_span_eq(ccz_buf_span(&out), ccz_span_str("hello"))
                            : err.rc == rc && out.size == 0);
        return 0;
    }
    if (rest.size > CCZ_JWE_PLAIN_SIZE_MAX)
        return 0;
    expect(ccz_jwe_seal(&jwe, ccz_jwe_key_public(bob), rest, &err) == CCZ_OK);
    expect(ccz_jwe_open(&out, bob, ccz_buf_span(&jwe), &err) == CCZ_OK);
    expect(out.size == rest.size && (rest.size == 0 || memcmp(out.ptr, rest.ptr, rest.size) == 0));
    return 0;
}
