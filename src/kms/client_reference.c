/* SPDX-License-Identifier: Apache-2.0 */
/* The caller's side of kms_reference.h. What a server answers is checked like any other input. */
#include "client_priv.h"

#include <cczoo/codec.h>
#include <cczoo/kms_reference.h>

#include <string.h>

static struct cczi_msg_put_reference_req put_msg(const char *name, struct ccz_span json,
                                                 bool replace)
{
    return (struct cczi_msg_put_reference_req){ccz_span_str(name), json, replace};
}

ccz_rc ccz_kms_put_reference(uint32_t *version, struct ccz_kms_receipt *receipt,
                             struct ccz_rpc_client *c, const char *name, struct ccz_span json,
                             bool replace, struct ccz_err *err)
{
    const struct cczi_msg_put_reference_req m = put_msg(name, json, replace);
    return cczi_kms_client_put(version, receipt, c, "PutReference", cczi_msg_put_reference_req, &m,
                               err);
}

ccz_rc ccz_kms_propose_put_reference(struct ccz_kms_proposed *out, struct ccz_rpc_client *c,
                                     const char *name, struct ccz_span json, bool replace,
                                     uint32_t valid_s, struct ccz_err *err)
{
    const struct cczi_msg_put_reference_req m = put_msg(name, json, replace);
    return cczi_kms_propose(out, c, "PutReference", cczi_msg_put_reference_req, &m, valid_s, err);
}

ccz_rc ccz_kms_delete_reference(struct ccz_kms_receipt *receipt, struct ccz_rpc_client *c,
                                const char *name, struct ccz_err *err)
{
    const struct cczi_msg_name m = {ccz_span_str(name)};
    return cczi_kms_change(receipt, c, "DeleteReference", cczi_msg_name, &m, err);
}

ccz_rc ccz_kms_propose_delete_reference(struct ccz_kms_proposed *out, struct ccz_rpc_client *c,
                                        const char *name, uint32_t valid_s, struct ccz_err *err)
{
    const struct cczi_msg_name m = {ccz_span_str(name)};
    return cczi_kms_propose(out, c, "DeleteReference", cczi_msg_name, &m, valid_s, err);
}

ccz_rc ccz_kms_get_reference(struct ccz_kms_reference *out, struct ccz_buf *json,
                             struct ccz_rpc_client *c, const char *name, uint32_t version,
                             struct ccz_err *err)
{
    const struct cczi_msg_get_reference_req req = {ccz_span_str(name), version};
    struct cczi_msg_get_reference_resp m = {0};
    uint8_t digest[32];
    *out = (struct ccz_kms_reference){0};
    CCZ_AUTO_BUF response = {0};
    ccz_rc rc = cczi_kms_call(&response, c, "GetReference", cczi_msg_get_reference_req, &req, err);
    if (rc != CCZ_OK)
        return rc;
    if (cczi_msg_get(&m, cczi_msg_get_reference_resp, ccz_buf_span(&response), NULL) != CCZ_OK ||
        m.version == 0 || (version && m.version != version) ||
        ccz_sha256(digest, m.json) != CCZ_OK || !ccz_span_eq(m.sha256, CCZ_SPAN(digest, 32)))
        return cczi_kms_malformed(err);
    if (json)
        ccz_buf_put_span(json, m.json);
    if (json && json->bad)
        return ccz_fail(err, CCZ_E_LIMIT, "kms:response", (int64_t)json->max_size,
                        "the set is too large");
    out->version = (uint32_t)m.version;
    out->created_s = (int64_t)m.created_s;
    memcpy(out->sha256, digest, sizeof(digest));
    cczi_kms_take_text(out->name, sizeof(out->name), ccz_span_str(name));
    return CCZ_OK;
}

static ccz_rc take_set(struct ccz_kms_reference *out, struct ccz_span in, struct ccz_err *err)
{
    struct cczi_msg_reference_set m = {0};
    *out = (struct ccz_kms_reference){0};
    if (cczi_msg_get(&m, cczi_msg_reference_set, in, NULL) != CCZ_OK || m.sha256.size != 32)
        return cczi_kms_malformed(err);
    cczi_kms_take_text(out->name, sizeof(out->name), m.name);
    out->version = (uint32_t)m.version;
    memcpy(out->sha256, m.sha256.ptr, sizeof(out->sha256));
    out->created_s = (int64_t)m.created_s;
    out->values = (uint32_t)m.values;
    out->value_size = (uint32_t)m.value_size;
    return CCZ_OK;
}

static ccz_rc take_page(bool *more, char last[CCZ_KMS_NAME_SIZE], struct ccz_span in,
                        ccz_kms_reference_fn fn, void *arg, struct ccz_err *err)
{
    struct ccz_rd r = ccz_rd_from(in);
    struct ccz_pb_field f;
    *more = false;
    while (ccz_pb_next(&f, &r)) {
        struct ccz_kms_reference one;
        if (f.number == CCZI_MSG_MORE && f.wire == CCZ_PB_VARINT)
            *more = f.num != 0;
        if (f.number != CCZI_MSG_REPEATED)
            continue;
        ccz_rc rc = f.wire == CCZ_PB_LEN ? take_set(&one, f.bytes, err) : cczi_kms_malformed(err);
        if (rc != CCZ_OK)
            return rc;
        memcpy(last, one.name, sizeof(one.name));
        fn(arg, &one);
    }
    return r.bad ? cczi_kms_malformed(err) : CCZ_OK;
}

ccz_rc ccz_kms_list_references(struct ccz_rpc_client *c, ccz_kms_reference_fn fn, void *arg,
                               struct ccz_err *err)
{
    char after[CCZ_KMS_NAME_SIZE] = "", last[CCZ_KMS_NAME_SIZE] = "";
    for (bool more = true; more;) {
        memcpy(after, last, sizeof(after));
        const struct cczi_msg_name m = {.name = ccz_span_str(after)};
        CCZ_AUTO_BUF response = {0};
        ccz_rc rc = cczi_kms_call(&response, c, "ListReferences", cczi_msg_name, &m, err);
        if (rc == CCZ_OK)
            rc = take_page(&more, last, ccz_buf_span(&response), fn, arg, err);
        if (rc == CCZ_OK && more && strcmp(last, after) <= 0)
            rc = cczi_kms_malformed(err); /* "more", and nothing new: would go on for ever */
        if (rc != CCZ_OK)
            return rc;
    }
    return CCZ_OK;
}
