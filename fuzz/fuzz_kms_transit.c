/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Vault's transit API: u8 what, then
 *   0..5  a body for that operation: what is accepted is a message that names the key, and accepted again; decrypted and
 *         rewrapped texts come back in their own form
 *   6     a path segment and, behind a NUL, a namespace
 *   7     a UseResponse   8  KeyInfoResponse, le16 size first, and ListResponse: answers are JSON
 */
#include "kmsdoor/transit.h"

#include "kms/kms_keys.h"

#include <cczoo/codec.h>

#include <stdlib.h>
#include <string.h>

enum { OUT_MAX = 1 << 20 };

static void require(bool holds)
{
    if (!holds)
        abort();
}

static bool is_json(const struct ccz_buf *b)
{
    struct ccz_json *j = NULL;
    bool ok = ccz_json_parse(&j, ccz_buf_span(b), NULL) == CCZ_OK;
    ccz_json_free(j);
    return ok;
}

static void fuzz_body(enum cczi_transit_op op, struct ccz_span in)
{
    struct ccz_err err = {0};
    CCZ_AUTO_BUF out, again;
    ccz_buf_init(&out, OUT_MAX);
    ccz_buf_init(&again, OUT_MAX);
    ccz_rc rc = cczi_transit_get(&out, op, "ns/k", in, &err);
    require(rc == cczi_transit_get(&again, op, "ns/k", in, NULL));
    if (rc != CCZ_OK) {
        require(out.size == 0 && strncmp(err.where, "transit:", 8) == 0 && err.msg[0]);
        return;
    }
    require(ccz_span_eq(ccz_buf_span(&out), ccz_buf_span(&again)));
    struct ccz_rd r = ccz_rd_from(ccz_buf_span(&out));
    struct ccz_pb_field f;
    size_t keys = 0;
    while (ccz_pb_next(&f, &r)) {
        keys += f.number == 1;
        require(f.number != 1 || ccz_span_eq(f.bytes, ccz_span_str("ns/k")));
        if (f.number == 5 && f.wire == CCZ_PB_LEN) { /* a ciphertext of the KMS */
            uint32_t version;
            CCZ_AUTO_BUF bytes;
            ccz_buf_init(&bytes, OUT_MAX);
            require(cczi_kms_key_text_get(&version, &bytes, f.bytes, NULL) == CCZ_OK);
        }
    }
    require(!r.bad && keys == 1);
}

static void fuzz_name(struct ccz_span in)
{
    char segment[512], ns[512], name[CCZ_KMS_NAME_SIZE];
    size_t n = in.size < sizeof(segment) - 1 ? in.size : sizeof(segment) - 1;
    memcpy(segment, in.ptr ? in.ptr : (const uint8_t *)"", n);
    segment[n] = 0;
    size_t used = strlen(segment) + 1;
    n = in.size > used ? in.size - used : 0;
    n = n < sizeof(ns) - 1 ? n : sizeof(ns) - 1;
    memcpy(ns, n ? in.ptr + used : (const uint8_t *)"", n);
    ns[n] = 0;
    if (cczi_transit_key(name, n ? ns : NULL, segment, NULL) == CCZ_OK)
        require(strlen(name) > 0 && strlen(name) < CCZ_KMS_NAME_SIZE &&
                name[strlen(name) - 1] != '/' && name[0] != '/' && !strpbrk(name, " \t\r\n"));
}

static void fuzz_answers(struct ccz_span in, bool key)
{
    struct ccz_err err = {0};
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, OUT_MAX);
    struct ccz_rd r = ccz_rd_from(in);
    ccz_rc rc;
    if (key) {
        struct ccz_span info = ccz_rd_take(&r, ccz_rd_le16(&r));
        const struct cczi_transit_key_info k = {
            .name = "k", .info = info, .versions = CCZ_SPAN(r.ptr, r.left)};
        rc = cczi_transit_put_key(&out, &k, &err);
    } else {
        enum cczi_transit_op op = ccz_rd_u8(&r) & 1 ? CCZI_TRANSIT_ENCRYPT : CCZI_TRANSIT_DECRYPT;
        rc = cczi_transit_put_use(&out, op, CCZ_SPAN(r.ptr, r.left), &err);
    }
    require(rc == CCZ_OK ? is_json(&out) : err.where[0] != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct ccz_span in = {data + 1, size - 1};
    unsigned what = data[0] % 9;
    if (what < CCZI_TRANSIT_OPS)
        fuzz_body((enum cczi_transit_op)what, in);
    else if (what == 6)
        fuzz_name(in);
    else
        fuzz_answers(in, what == 8);
    return 0;
}
