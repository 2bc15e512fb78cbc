/* SPDX-License-Identifier: Apache-2.0 */
/* What requests that wait for approvals are made of: who agrees to one agrees to all of it, so nothing in it may be unknown. */
#include "use_priv.h"

#include "kms_why_msg.h"

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
