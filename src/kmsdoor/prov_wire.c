/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of secret provisioning, and of the one method of the KMS that is called for it. */
#include "prov.h"

#include <cczoo/codec.h>

#include <string.h>

/* With their NULs, which are sent. @source Gramine, tools/sgx/ra-tls/secret_prov_common.h */
static const char request_text[] = "SECRET_PROVISION_RA_TLS_REQUEST_V1";
static const char response_text[] = "SECRET_PROVISION_RA_TLS_RESPONSE_V1:";
_Static_assert(sizeof(request_text) == CCZI_PROV_REQUEST_SIZE, "with its NUL");
_Static_assert(sizeof(response_text) + 4 == CCZI_PROV_HEAD_SIZE, "and a 32-bit size behind it");

/* ReleaseRequest.item, ReleaseResponse.value of proto/kms.proto */
enum { REQUEST_ITEM = 1, RESPONSE_VALUE = 1 };

ccz_rc cczi_prov_request_feed(bool *done, struct cczi_prov_request *r, struct ccz_span in,
                              struct ccz_err *err)
{
    *done = false;
    for (size_t i = 0; i < in.size && r->have < sizeof(request_text); i++) {
        if (in.ptr[i] != (uint8_t)request_text[r->have])
            return ccz_fail(
                err, CCZ_E_FORMAT, "prov:request", r->have,
                "byte %u of the request is 0x%02x: this is not secret provisioning, version 1",
                r->have, in.ptr[i]);
        r->have++;
    }
    *done = r->have == sizeof(request_text);
    return CCZ_OK;
}

void cczi_prov_head_put(uint8_t out[CCZI_PROV_HEAD_SIZE], uint32_t secret_size)
{
    memcpy(out, response_text, sizeof(response_text));
    for (int i = 0; i < 4; i++)
        out[sizeof(response_text) + (size_t)i] = (uint8_t)(secret_size >> (24 - 8 * i));
}

void cczi_prov_release_put(struct ccz_buf *out, const char *item)
{
    ccz_pb_put_str(out, REQUEST_ITEM, item);
}

ccz_rc cczi_prov_release_get(struct ccz_span *value, struct ccz_span response, struct ccz_err *err)
{
    *value = (struct ccz_span){0};
    struct ccz_rd r = ccz_rd_from(response);
    struct ccz_pb_field f;
    while (ccz_pb_next(&f, &r))
        if (f.number == RESPONSE_VALUE && f.wire == CCZ_PB_LEN)
            *value = f.bytes;
    if (r.bad ||
        value->size ==
            0) { /* no value is empty: a size of 0 would mean something else to the client */
        *value = (struct ccz_span){0};
        return ccz_fail(err, CCZ_E_INTERNAL, "prov:response", 0, "the KMS gave no value");
    }
    return CCZ_OK;
}
