/* SPDX-License-Identifier: Apache-2.0 */
/* "ccz1:<version>:<base64url>": how ciphertexts, MACs and signatures travel as text. */
#include "kms_keys.h"

#include <cczoo/codec.h>

#include <string.h>

static const char prefix[] = "ccz1:";
enum { PREFIX_SIZE = sizeof(prefix) - 1 };

void cczi_kms_key_text_put(struct ccz_buf *out, uint32_t version, struct ccz_span bytes)
{
    ccz_buf_printf(out, "%s%u:", prefix, (unsigned)version);
    ccz_base64_put(out, bytes, CCZ_BASE64_URL);
}

/* Digits up to the colon, which is consumed: 1..CCZ_KMS_VERSIONS_MAX without a zero in front; 0 = anything else. */
static uint32_t take_version(struct ccz_rd *r)
{
    uint32_t v = 0;
    for (;;) {
        uint8_t c = ccz_rd_u8(r);
        if (c == ':' && !r->bad)
            return v;
        if (r->bad || c < '0' || c > '9' || (v == 0 && c == '0'))
            return 0;
        v = 10 * v + (c - '0');
        if (v > CCZ_KMS_VERSIONS_MAX)
            return 0;
    }
}

ccz_rc cczi_kms_key_text_get(uint32_t *version, struct ccz_buf *bytes, struct ccz_span text,
                             struct ccz_err *err)
{
    *version = 0;
    struct ccz_rd r = ccz_rd_from(text);
    struct ccz_span head = ccz_rd_take(&r, PREFIX_SIZE);
    uint32_t v = ccz_span_eq(head, ccz_span_str(prefix)) ? take_version(&r) : 0;
    if (v == 0 || r.left == 0)
        return ccz_fail(err, CCZ_E_FORMAT, "kms:key-text", (int64_t)(text.size - r.left),
                        "expected \"%s\", a version, \":\" and base64url", prefix);
    struct ccz_err why = {0};
    size_t before = bytes->size;
    ccz_rc rc = ccz_base64_get(bytes, CCZ_SPAN(r.ptr, r.left), CCZ_BASE64_URL, &why);
    if (rc != CCZ_OK) {
        bytes->size = before;
        return ccz_fail(err, rc, "kms:key-text", why.aux, "behind the version: %s", why.msg);
    }
    *version = v;
    return CCZ_OK;
}
