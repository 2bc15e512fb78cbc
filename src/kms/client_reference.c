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

struct set_sink {
    ccz_kms_reference_fn fn;
    void *arg;
};

static ccz_rc take_one(char name[CCZ_KMS_NAME_SIZE], struct ccz_span one, void *to,
                       struct ccz_err *err)
{
    const struct set_sink *sink = to;
    struct ccz_kms_reference set;
    ccz_rc rc = take_set(&set, one, err);
    if (rc != CCZ_OK)
        return rc;
    memcpy(name, set.name, sizeof(set.name));
    sink->fn(sink->arg, &set);
    return CCZ_OK;
}

ccz_rc ccz_kms_list_references(struct ccz_rpc_client *c, ccz_kms_reference_fn fn, void *arg,
                               struct ccz_err *err)
{
    struct set_sink sink = {fn, arg};
    return cczi_kms_list_by_name(c, "ListReferences", take_one, &sink, err);
}
