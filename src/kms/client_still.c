/* SPDX-License-Identifier: Apache-2.0 */
/* The caller's side of StillReleased. */
#include "client_priv.h"

#include <cczoo/codec.h>

#include <string.h>

enum { TIMEOUT_MS = 5000 }; /* who asks again and again does not wait long for any one answer */

static void put_held(struct ccz_buf *out, const struct ccz_kms_held *held, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        const struct cczi_msg_release_req m = {.item = ccz_span_str(held[i].item),
                                               .version = held[i].version};
        size_t mark = ccz_pb_open(out, CCZI_MSG_REPEATED);
        cczi_msg_put(out, cczi_msg_release_req, &m);
        ccz_pb_close(out, mark);
    }
}

static bool take_standing(struct ccz_kms_held *h, struct ccz_span in)
{
    struct cczi_msg_standing m = {0};
    if (cczi_msg_get(&m, cczi_msg_standing, in, NULL) != CCZ_OK || (m.released && m.where.size))
        return false;
    if (!m.released && m.where.size == 0) /* a "no" says why */
        return false;
    if (m.decision.size && ccz_kms_decision_parse(&h->decision, m.decision, NULL) != CCZ_OK)
        return false;
    cczi_kms_take_text(h->where, sizeof(h->where), m.where);
    h->released = m.released;
    return true;
}

/* As many answers as there were questions, or none counts. */
static ccz_rc take_answer(struct ccz_kms_held *held, size_t len,
                          const struct ccz_kms_instance *instance, struct ccz_span in,
                          struct ccz_err *err)
{
    struct cczi_msg_still_resp m = {0};
    struct ccz_kms_release from = {0};
    struct ccz_kms_instance pin = *instance;
    ccz_rc rc = cczi_msg_get(&m, cczi_msg_still_resp, in, NULL);
    if (rc != CCZ_OK)
        return cczi_kms_malformed(err);
    rc = cczi_kms_take_instance(from.instance, m.instance, err);
    if (rc == CCZ_OK) /* before any answer of it is looked at */
        rc = ccz_kms_instance_check(&pin, &from, err);
    if (rc != CCZ_OK)
        return rc;
    struct ccz_rd r = ccz_rd_from(in);
    struct ccz_pb_field f;
    size_t n = 0;
    while (ccz_pb_next(&f, &r)) {
        if (f.number != CCZI_MSG_REPEATED)
            continue;
        if (n == len || f.wire != CCZ_PB_LEN || !take_standing(&held[n], f.bytes))
            return cczi_kms_malformed(err);
        n++;
    }
    return r.bad || n != len ? cczi_kms_malformed(err) : CCZ_OK;
}

static void clear(struct ccz_kms_held *held, size_t len)
{
    for (size_t i = 0; i < len; i++)
        held[i] = (struct ccz_kms_held){.item = held[i].item, .version = held[i].version};
}

ccz_rc ccz_kms_still_released(struct ccz_kms_held *held, size_t len,
                              const struct ccz_kms_instance *instance, struct ccz_rpc_client *c,
                              struct ccz_err *err)
{
    if (len < 1 || len > CCZ_KMS_HELD_MAX || !instance->known)
        return ccz_fail(err, CCZ_E_ARG, "kms:held", (int64_t)len,
                        "expected 1 to %d items, and the KMS that they are from", CCZ_KMS_HELD_MAX);
    clear(held, len);
    for (size_t i = 0; i < len; i++)
        if (held[i].version == 0)
            return ccz_fail(err, CCZ_E_ARG, "kms:held", (int64_t)i, "%s has no version",
                            held[i].item);
    CCZ_AUTO_BUF request;
    ccz_buf_init(&request, CCZ_KMS_MESSAGE_SIZE_MAX);
    put_held(&request, held, len);
    CCZ_AUTO_BUF response = {0};
    ccz_rc rc = cczi_kms_call_bytes(&response, c, "StillReleased", &request, TIMEOUT_MS, err);
    if (rc == CCZ_OK)
        rc = take_answer(held, len, instance, ccz_buf_span(&response), err);
    if (rc != CCZ_OK)
        clear(held, len);
    return rc;
}
