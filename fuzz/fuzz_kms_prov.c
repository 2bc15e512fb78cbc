/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secret provisioning: u8 what, then
 *   0  u8 size of pieces, a request in such pieces: accepted iff its first 35 bytes are the request
 *   1  claims of SGX (mrenclave, mrsigner, le16 product) and a map: whoever gets an item is named by it
 *   2  a ReleaseResponse
 */
#include "kmsdoor/prov.h"

#include <stdlib.h>
#include <string.h>

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void fuzz_request(struct ccz_span in)
{
    static const char want[] = "SECRET_PROVISION_RA_TLS_REQUEST_V1";
    struct ccz_err err = {0};
    struct cczi_prov_request r = {0};
    bool done = false;
    ccz_rc rc = CCZ_OK;
    size_t piece = in.size ? in.ptr[0] % 40 + 1u : 1;
    struct ccz_span text = ccz_span_sub(in, 1, in.size ? in.size - 1 : 0);
    for (size_t at = 0; at < text.size && rc == CCZ_OK && !done; at += piece) {
        size_t n = text.size - at < piece ? text.size - at : piece;
        rc = cczi_prov_request_feed(&done, &r, CCZ_SPAN(text.ptr + at, n), &err);
    }
    size_t n = text.size < sizeof(want) ? text.size : sizeof(want);
    bool same = n == 0 || memcmp(text.ptr, want, n) == 0;
    require((rc == CCZ_OK) == same);
    require(done == (same && n == sizeof(want)));
    require(rc == CCZ_OK || strcmp(err.where, "prov:request") == 0);
}

static void fuzz_map(struct ccz_span in)
{
    struct ccz_rd r = ccz_rd_from(in);
    struct ccz_claims c = {.tee = CCZ_TEE_SGX};
    ccz_rd_copy(&r, c.mrenclave, sizeof(c.mrenclave));
    ccz_rd_copy(&r, c.mrsigner, sizeof(c.mrsigner));
    c.isv_prod_id = ccz_rd_le16(&r);
    struct ccz_err err = {0};
    struct cczi_prov_map *m;
    if (cczi_prov_map_parse(&m, CCZ_SPAN(r.ptr, r.left), &err) != CCZ_OK) {
        require(!m && err.where[0] && err.msg[0]);
        return;
    }
    require(cczi_prov_map_len(m) > 0);
    const char *item;
    if (cczi_prov_map_find(&item, m, &c, &err) == CCZ_OK) {
        char enclave[65], signer[65];
        ccz_hex(enclave, c.mrenclave, 32);
        ccz_hex(signer, c.mrsigner, 32);
        /* its digits stand in the text, in either case */
        bool named = false;
        for (size_t i = 0; i + 64 <= r.left && !named; i++) {
            char text[65] = {0};
            for (size_t k = 0; k < 64; k++)
                text[k] = (char)(r.ptr[i + k] >= 'A' && r.ptr[i + k] <= 'F' ? r.ptr[i + k] | 0x20
                                                                            : r.ptr[i + k]);
            named = strcmp(text, enclave) == 0 || strcmp(text, signer) == 0;
        }
        /* or hide behind escapes, which JSON allows */
        require(named || memchr(r.ptr, '\\', r.left));
        require(strncmp(item, "key/", 4) == 0 || strncmp(item, "secret/", 7) == 0);
    } else {
        require(strcmp(err.where, "prov:no-item") == 0);
    }
    c.tee = CCZ_TEE_NONE;
    require(cczi_prov_map_find(&item, m, &c, &err) != CCZ_OK && !item);
    cczi_prov_map_free(m);
}

static void fuzz_response(struct ccz_span in)
{
    struct ccz_span value;
    struct ccz_err err = {0};
    if (cczi_prov_release_get(&value, in, &err) == CCZ_OK)
        require(value.size > 0 && value.ptr >= in.ptr &&
                value.ptr + value.size <= in.ptr + in.size);
    else
        require(value.size == 0 && strcmp(err.where, "prov:response") == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct ccz_span in = {data + 1, size - 1};
    if (data[0] % 3 == 0)
        fuzz_request(in);
    else if (data[0] % 3 == 1)
        fuzz_map(in);
    else
        fuzz_response(in);
    return 0;
}
