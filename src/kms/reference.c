/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policies and the sets of reference values that they name. A policy takes the latest version of a set of its own namespace, as it
 * is in the transaction in which it judges: which rows these are is read each time, and what is in them only when they are others
 * than before.
 */
#include "kms_priv.h"

#include <stdio.h>
#include <string.h>

/* Whoever may change a set decides what the policy accepts: so that is somebody of the policy's own namespace. */
static bool is_own(const char *set, const char *policy)
{
    char a[CCZ_KMS_NAME_SIZE], b[CCZ_KMS_NAME_SIZE];
    cczi_kms_ns_of(a, set);
    cczi_kms_ns_of(b, policy);
    return strcmp(a, b) == 0;
}

/* @retval CCZ_E_NOT_FOUND  err is not filled */
static ccz_rc read_set(struct cczi_kms_reference *out, struct cczi_kms_row *keep,
                       struct ccz_kms_store *s, const char *name, const char *policy,
                       struct ccz_err *err)
{
    return is_own(name, policy) ? cczi_kms_reference_get(out, keep, s, name, 0, err)
                                : CCZ_E_NOT_FOUND;
}

static ccz_rc give(struct ccz_policy *p, size_t i, struct ccz_kms_store *s, const char *policy,
                   struct ccz_err *err)
{
    struct cczi_kms_reference row = {0};
    struct cczi_kms_row keep;
    CCZ_AUTO(ccz_reference) set = NULL;
    cczi_kms_row_init(&keep);
    ccz_rc rc = read_set(&row, &keep, s, ccz_policy_reference(p, i), policy, err);
    if (rc == CCZ_OK)
        rc = ccz_reference_parse(&set, row.json, err);
    cczi_kms_row_deinit(&keep);
    return rc == CCZ_OK || rc == CCZ_E_NOT_FOUND ? ccz_policy_resolve(p, i, row.version, set, err)
                                                 : rc;
}

ccz_rc cczi_kms_resolve(struct ccz_policy *p, struct ccz_kms_store *s, const char *policy,
                        struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; rc == CCZ_OK && ccz_policy_reference(p, i); i++)
        rc = give(p, i, s, policy, err);
    return rc;
}

/* Of the rows that the sets are in; zeros stand for one that is not there. */
static ccz_rc digest_of(uint8_t out[32], const struct ccz_policy *p, struct ccz_kms_store *s,
                        const char *policy, struct ccz_err *err)
{
    uint8_t macs[CCZ_POLICY_REFERENCES_MAX][32] = {{0}};
    size_t n = 0;
    ccz_rc rc = CCZ_OK;
    for (; rc == CCZ_OK && ccz_policy_reference(p, n); n++) {
        struct cczi_kms_reference row;
        struct cczi_kms_row keep;
        cczi_kms_row_init(&keep);
        rc = read_set(&row, &keep, s, ccz_policy_reference(p, n), policy, err);
        if (rc == CCZ_OK)
            memcpy(macs[n], row.mac, sizeof(macs[n]));
        cczi_kms_row_deinit(&keep);
        rc = rc == CCZ_E_NOT_FOUND ? CCZ_OK : rc;
    }
    if (rc == CCZ_OK && ccz_sha256(out, CCZ_SPAN(macs, n * sizeof(macs[0]))) != CCZ_OK)
        rc = ccz_fail(err, CCZ_E_INTERNAL, "kms:reference", 0, "cannot hash");
    return rc;
}

ccz_rc cczi_kms_parsed_resolve(struct cczi_kms_parsed *p, struct ccz_kms_store *s,
                               const char *policy, struct ccz_err *err)
{
    uint8_t sets[32];
    if (!ccz_policy_reference(p->policy, 0))
        return CCZ_OK;
    ccz_rc rc = digest_of(sets, p->policy, s, policy, err);
    if (rc != CCZ_OK || memcmp(sets, p->sets, sizeof(sets)) == 0)
        return rc;
    memset(p->sets, 0, sizeof(p->sets)); /* no digest: what stops halfway is done again */
    rc = cczi_kms_resolve(p->policy, s, policy, err);
    if (rc == CCZ_OK)
        memcpy(p->sets, sets, sizeof(sets));
    return rc;
}

ccz_rc cczi_kms_references_check(struct ccz_policy *p, struct ccz_kms_store *s, const char *policy,
                                 struct ccz_err *err)
{
    const char *name;
    char valid[CCZ_KMS_NAME_SIZE];
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; rc == CCZ_OK && (name = ccz_policy_reference(p, i)) != NULL; i++) {
        rc = cczi_kms_name(valid, ccz_span_str(name), err);
        if (rc == CCZ_OK && !is_own(name, policy)) {
            ccz_refuse(err, CCZ_E_DENIED, "kms:reference-namespace", name,
                       "a set of the policy's own namespace");
            return cczi_kms_hint(err, CCZ_E_DENIED);
        }
    }
    if (rc == CCZ_OK)
        rc = cczi_kms_resolve(p, s, policy, err);
    if (rc != CCZ_OK)
        return rc;
    rc = ccz_policy_resolved(p, err);
    if (rc == CCZ_OK)
        return rc;
    if (err) {
        (void)snprintf(err->where, sizeof(err->where), "%s",
                       rc == CCZ_E_NOT_FOUND ? "kms:reference-missing" : "kms:reference-size");
        err->hint[0] = 0;
    }
    return cczi_kms_hint(err, rc);
}
