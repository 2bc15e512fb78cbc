/* SPDX-License-Identifier: Apache-2.0 */
/* What requests that wait for approvals are made of: who agrees to one agrees to all of it, so nothing in it may be unknown, and to what it
 * replaces, so that may not change meanwhile. */
#include "use_priv.h"

#include "kms_why_msg.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *method;
    const struct cczi_msg_field *fields;
} requests[] = {
    {"PutPolicy", cczi_msg_put_policy_req},
    {"Bind", cczi_msg_bind_req},
    {"Delete", cczi_msg_delete_req},
    {"SetDoors", cczi_msg_set_doors_req},
    {"SetRole", cczi_msg_role},
    {"SetQuorum", cczi_msg_quorum},
    {"Generate", cczi_msg_generate_req},
    {"SetExpiry", cczi_msg_set_expiry_req},
    {"RollOut", cczi_msg_roll_out_req},
    {"PutReference", cczi_msg_put_reference_req},
    {"DeleteReference", cczi_msg_name},
};

bool cczi_kms_request_known(uint32_t *field, const char *method, struct ccz_span body)
{
    *field = 0;
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
        if (strcmp(method, requests[i].method) == 0) {
            *field = cczi_msg_unknown(requests[i].fields, body);
            return *field == 0;
        }
    return false;
}

/* ------------------------------------------------------------------------------- what it replaces */

static ccz_rc policy_time(int64_t *at_s, struct ccz_kms_store *s, const char *name,
                          struct ccz_err *err)
{
    struct cczi_kms_policy p = {0};
    ccz_buf_init(&p.json, CCZ_POLICY_SIZE_MAX);
    ccz_rc rc = cczi_kms_policy_get(&p, s, name, err);
    *at_s = p.created_s;
    ccz_buf_free(&p.json);
    return rc;
}

static ccz_rc set_time(int64_t *at_s, struct ccz_kms_store *s, const char *name,
                       struct ccz_err *err)
{
    struct cczi_kms_reference r;
    struct cczi_kms_row keep;
    cczi_kms_row_init(&keep);
    ccz_rc rc = cczi_kms_reference_get(&r, &keep, s, name, 0, err);
    *at_s = r.created_s;
    cczi_kms_row_deinit(&keep);
    return rc;
}

/* Of keys no time counts: those with a period rotate by themselves, and could never be deleted. */
static ccz_rc item_time(int64_t *at_s, struct ccz_kms_store *s, struct ccz_span target,
                        struct ccz_err *err)
{
    struct cczi_kms_ref ref;
    struct cczi_kms_item it;
    ccz_rc rc = cczi_kms_ref_parse(&ref, target, err);
    if (rc != CCZ_OK || ref.kind == CCZI_KMS_KEY)
        return rc;
    if (ref.kind == CCZI_KMS_POLICY)
        return policy_time(at_s, s, ref.name, err);
    cczi_kms_item_init(&it);
    rc = cczi_kms_item_get(&it, s, &ref, 0, err);
    *at_s = it.created_s;
    cczi_kms_item_deinit(&it);
    return rc;
}

/* When what @p p replaces or takes away was written last; 0 = there is none, or it does not matter. */
static ccz_rc base_time(int64_t *at_s, struct ccz_kms_store *s, const struct cczi_kms_proposal *p,
                        struct ccz_err *err)
{
    struct cczi_msg_name named = {0};
    struct cczi_msg_delete_req d = {0};
    char name[CCZ_KMS_NAME_SIZE];
    const char *m = p->method;
    *at_s = 0;
    if (strcmp(m, "Delete") == 0) {
        ccz_rc rc = cczi_msg_get(&d, cczi_msg_delete_req, p->body, err);
        return rc != CCZ_OK || d.version ? rc : item_time(at_s, s, d.target, err);
    }
    bool policy = strcmp(m, "PutPolicy") == 0 || strcmp(m, "RollOut") == 0;
    if (!policy && strcmp(m, "PutReference") != 0 && strcmp(m, "DeleteReference") != 0)
        return CCZ_OK;
    ccz_rc rc = cczi_msg_get(&named, cczi_msg_name, p->body, err); /* field 1 of all of them */
    if (rc == CCZ_OK)
        rc = cczi_kms_name(name, named.name, err);
    if (rc != CCZ_OK)
        return rc;
    return policy ? policy_time(at_s, s, name, err) : set_time(at_s, s, name, err);
}

ccz_rc cczi_kms_proposal_fresh(struct ccz_kms_store *s, const struct cczi_kms_proposal *p,
                               struct ccz_err *err)
{
    int64_t at_s;
    char got[21], expected[48], until[21];
    ccz_rc rc = base_time(&at_s, s, p, err);
    if (rc == CCZ_E_NOT_FOUND) /* the call itself knows whether it should be there */
        return CCZ_OK;
    if (rc != CCZ_OK || at_s <= p->created_s)
        return rc;
    ccz_time_format(got, at_s);
    ccz_time_format(until, p->created_s);
    (void)snprintf(expected, sizeof(expected), "no change since %s", until);
    ccz_refuse(err, CCZ_E_MISMATCH, "kms:proposal-outdated", got, expected);
    return cczi_kms_hint(err, CCZ_E_MISMATCH);
}
