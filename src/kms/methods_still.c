/* SPDX-License-Identifier: Apache-2.0 */
/*
 * StillReleased: whether what a workload holds would be released to it now. Each item is judged by the very code of Release
 * (cczi_kms_releasable()), as a call of its own: nothing is unsealed, nothing is counted among the workloads that were seen. What is the
 * same as before leaves no line, so that a fleet can ask every other second; an answer that has become "no" is on record before it leaves.
 */
#include "kms_priv.h"
#include "msg_fields.h"

#include <cczoo/codec.h>

#include <stdio.h>
#include <string.h>

enum { HELD_SIZE_MAX = 512 };

const struct cczi_msg_field cczi_msg_standing[] = {
    UINT(1, cczi_msg_standing, released, 1),
    SPAN(2, cczi_msg_standing, where, CCZ_ERR_WHERE_SIZE - 1),
    SPAN(3, cczi_msg_standing, decision, CCZ_KMS_DECISION_SIZE - 1),
    END,
};
const struct cczi_msg_field cczi_msg_still_resp[] = {
    SPAN(3, cczi_msg_still_resp, instance, CCZ_KMS_INSTANCE_SIZE),
    END,
};

/* Each is what a Release asks for. */
struct held {
    struct cczi_msg_release_req of[CCZ_KMS_HELD_MAX];
    size_t len;
};

static ccz_rc get_held(struct held *h, struct ccz_span body, struct ccz_err *err)
{
    struct ccz_rd r = ccz_rd_from(body);
    struct ccz_pb_field f;
    h->len = 0;
    while (ccz_pb_next(&f, &r)) {
        if (f.number != CCZI_MSG_REPEATED)
            continue;
        if (f.wire != CCZ_PB_LEN || f.bytes.size > HELD_SIZE_MAX)
            return ccz_fail(err, CCZ_E_FORMAT, "kms:request", 1, "field 1 is no item that is held");
        if (h->len == CCZ_KMS_HELD_MAX)
            return ccz_refuse_num(err, CCZ_E_LIMIT, "kms:held", (int64_t)h->len + 1,
                                  CCZ_KMS_HELD_MAX);
        struct cczi_msg_release_req *m = &h->of[h->len++];
        *m = (struct cczi_msg_release_req){0};
        ccz_rc rc = cczi_msg_get(m, cczi_msg_release_req, f.bytes, err);
        if (rc != CCZ_OK)
            return rc;
        if (m->version == 0) /* "the latest" is another question each time */
            return ccz_refuse(err, CCZ_E_FORMAT, "kms:held", "no version", "the version held");
    }
    if (r.bad)
        return ccz_fail(err, CCZ_E_FORMAT, "kms:request", (int64_t)body.size,
                        "truncated or malformed message");
    return h->len ? CCZ_OK : ccz_refuse(err, CCZ_E_FORMAT, "kms:held", "none", "1 to 16 items");
}

/* Who holds what. */
static ccz_rc held_id(uint8_t id[32], const struct ccz_ratls_peer *peer,
                      const struct cczi_msg_release_req *m)
{
    uint8_t version[4];
    for (unsigned i = 0; i < 4; i++)
        version[i] = (uint8_t)(m->version >> 8 * i);
    const struct ccz_span parts[] = {CCZ_SPAN(peer->spki_sha256, 32), CCZ_SPAN(version, 4),
                                     m->item};
    return ccz_hash(id, CCZ_SHA256, parts, 3);
}

/* A refusal is an answer; that the store does not work, or a malformed name, is none. */
static bool is_no(ccz_rc rc)
{
    return rc == CCZ_E_DENIED || rc == CCZ_E_POLICY || rc == CCZ_E_NOT_FOUND || rc == CCZ_E_EXPIRED;
}

static ccz_rc record_no(char decision[CCZ_KMS_DECISION_SIZE], struct cczi_kms_call *call,
                        const struct cczi_kms_call *one, const struct ccz_err *why,
                        struct ccz_err *err)
{
    struct ccz_kms_receipt receipt = {0};
    ccz_rc rc = cczi_kms_record(&receipt, one, "StillReleased", why, err);
    if (rc != CCZ_OK)
        return rc;
    call->shows_log =
        true; /* the answer names this line, and is withheld as that of a recorded call is */
    cczi_kms_log_text(call->log, one, "StillReleased", why, &receipt);
    ccz_buf_u8(call->log, '\n');
    ccz_kms_decision_print(decision, receipt.audit_seq);
    return CCZ_OK;
}

static ccz_rc answer_one(struct ccz_buf *response, struct cczi_kms_call *call,
                         const struct cczi_msg_release_req *m, struct ccz_err *err)
{
    struct cczi_kms_still *still = call->store->watch->still;
    struct cczi_kms_call one = *call;
    struct cczi_kms_item it;
    struct ccz_err why = {0};
    uint8_t id[32];
    char decision[CCZ_KMS_DECISION_SIZE] = "";
    cczi_kms_item_init(&it);
    ccz_rc no = cczi_kms_releasable(&it, &one, m->item, (uint32_t)m->version, &why);
    cczi_kms_item_deinit(&it);
    ccz_rc rc = held_id(id, call->req->peer, m);
    if (no != CCZ_OK && !is_no(no)) {
        *err = why;
        return no;
    }
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "kms:held", 0, "cannot hash");
    if (no == CCZ_OK)
        cczi_kms_still_yes(still, id);
    else if (cczi_kms_still_no(still, id))
        rc = record_no(decision, call, &one, &why, err);
    if (rc != CCZ_OK)
        return rc;
    const struct cczi_msg_standing out = {.released = no == CCZ_OK,
                                          .where = ccz_span_str(why.where),
                                          .decision = ccz_span_str(decision)};
    size_t mark = ccz_pb_open(response, CCZI_MSG_REPEATED);
    cczi_msg_put(response, cczi_msg_standing, &out);
    ccz_pb_close(response, mark);
    return CCZ_OK;
}

ccz_rc cczi_kms_run_still_released(struct ccz_buf *response, struct cczi_kms_call *call,
                                   struct ccz_err *err)
{
    struct held h;
    ccz_rc rc = get_held(&h, call->req->body, err);
    if (rc != CCZ_OK)
        return rc;
    for (size_t i = 0; rc == CCZ_OK && i < h.len; i++)
        rc = answer_one(response, call, &h.of[i], err);
    const struct cczi_msg_still_resp out = {
        .instance = CCZ_SPAN(call->store->instance, CCZ_KMS_INSTANCE_SIZE)};
    if (rc == CCZ_OK)
        cczi_msg_put(response, cczi_msg_still_resp, &out);
    return rc;
}
