/* SPDX-License-Identifier: Apache-2.0 */
/* Keys that a stranger imports: what is accepted has one encoding. First byte: which reader. */
#include <cczoo/pkey.h>

#include <openssl/err.h>
#include <stdlib.h>

static void require(bool ok)
{
    if (!ok)
        abort();
}

static void read_spki(struct ccz_span in)
{
    CCZ_AUTO(ccz_pkey) k = NULL;
    struct ccz_err err = {0};
    if (ccz_pkey_from_spki(&k, in, &err) != CCZ_OK) {
        require(!k && err.where[0] != 0);
        return;
    }
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, CCZ_PKEY_SPKI_SIZE_MAX);
    require(ccz_pkey_spki(&out, k) == CCZ_OK && ccz_span_eq(ccz_buf_span(&out), in));
}

static void read_pkcs8(struct ccz_span in)
{
    CCZ_AUTO(ccz_pkey) k = NULL;
    CCZ_AUTO(ccz_secret) der = NULL;
    struct ccz_err err = {0};
    if (in.size == 0)
        return;
    require(ccz_secret_from(&der, in.ptr, in.size) == CCZ_OK);
    /* OWN: the primality tests of a FOREIGN one would be all that the fuzzer's time goes into */
    if (ccz_pkey_from_pkcs8(&k, der, CCZ_PKEY_OWN, &err) != CCZ_OK) {
        require(!k && err.where[0] != 0);
        return;
    }
    require(ccz_pkey_is_private(k));
    CCZ_AUTO(ccz_secret) once = NULL;
    CCZ_AUTO(ccz_secret) twice = NULL;
    CCZ_AUTO(ccz_pkey) back = NULL;
    require(ccz_pkey_to_pkcs8(&once, k, NULL) == CCZ_OK);
    require(ccz_pkey_from_pkcs8(&back, once, CCZ_PKEY_OWN, NULL) == CCZ_OK);
    require(ccz_pkey_to_pkcs8(&twice, back, NULL) == CCZ_OK);
    require(ccz_span_eq(CCZ_SPAN(ccz_secret_view(once), ccz_secret_size(once)),
                        CCZ_SPAN(ccz_secret_view(twice), ccz_secret_size(twice))));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct ccz_span in = CCZ_SPAN(data + 1, size - 1);
    if (data[0] & 1)
        read_pkcs8(in);
    else
        read_spki(in);
    require(ERR_peek_error() == 0);
    return 0;
}
