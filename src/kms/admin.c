/* SPDX-License-Identifier: Apache-2.0 */
/* Who may do what: principals and their roles. */
#include "kms_priv.h"

#include <stdio.h>
#include <string.h>

static ccz_rc count_admin(void *arg, const struct cczi_kms_admin *a, struct ccz_err *err)
{
    (void)err;
    /* somebody who may do everything to everything, given the approvals that a quorum wants */
    if ((a->roles & CCZ_KMS_ROLE_ADMIN) == CCZ_KMS_ROLE_ADMIN &&
        strcmp(a->ns, CCZI_KMS_NS_ALL) == 0)
        ++*(uint64_t *)arg;
    return CCZ_OK;
}

/* Inside a transaction. */
static ccz_rc set_admin(struct ccz_kms_store *s, const uint8_t spki_sha256[32], uint32_t roles,
                        int64_t now_s, struct ccz_err *err)
{
    uint64_t admins = 0;
    struct cczi_kms_admin a = {.ns = CCZI_KMS_NS_ALL, .roles = roles};
    memcpy(a.id, spki_sha256, sizeof(a.id));
    ccz_rc rc = cczi_kms_admin_put(s, &a, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_admin_each(s, NULL, count_admin, &admins, err);
    if (rc == CCZ_OK && admins == 0)
        rc = ccz_refuse(err, CCZ_E_DENIED, "kms:last-admin", "no administrator left",
                        "at least one");
    if (rc != CCZ_OK)
        return rc;
    char hex[65], entry[256], text[CCZ_KMS_ROLES_SIZE];
    ccz_kms_roles_print(text, roles);
    ccz_hex(hex, spki_sha256, 32);
    int n = snprintf(entry, sizeof(entry),
                     "{\"op\":\"set-admin\",\"verdict\":\"accept\",\"key\":\"%s\",\"role\":\"%s\"}",
                     hex, text);
    struct ccz_kms_receipt receipt;
    return cczi_kms_audit_append(&receipt, s, now_s, CCZ_SPAN(entry, (size_t)n), err);
}

ccz_rc ccz_kms_store_set_admin(struct ccz_kms_store *s, const uint8_t spki_sha256[32],
                               uint32_t roles, int64_t now_s, struct ccz_err *err)
{
    ccz_rc rc = cczi_kms_begin(s, err);
    if (rc == CCZ_OK)
        rc = set_admin(s, spki_sha256, roles, now_s, err);
    if (rc == CCZ_OK) {
        rc = cczi_kms_commit(s, err);
        return rc == CCZ_OK ? cczi_kms_settle(s, err) : rc;
    }
    cczi_kms_rollback(s);
    return rc;
}
