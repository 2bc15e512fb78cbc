/* SPDX-License-Identifier: Apache-2.0 */
/* Pinned keys and their roles. */
#include "kms_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char table[] = "admin";

/* Fields of a row, in the order of its MAC. */
static void row_fields(struct ccz_span f[2], uint8_t role_byte[1], const struct cczi_kms_admin *a)
{
    role_byte[0] = (uint8_t)a->role;
    f[0] = CCZ_SPAN(a->spki_sha256, 32);
    f[1] = CCZ_SPAN(role_byte, 1);
}

/* Columns role, mac of the current row; spki_sha256 is set already. */
static ccz_rc read_row(struct cczi_kms_admin *a, struct ccz_kms_store *s, struct cczi_q *q,
                       struct ccz_err *err)
{
    int64_t role = cczi_q_col_int(q, 0);
    cczi_q_col_bytes(a->mac, sizeof(a->mac), q, 1);
    /* a number that no role has must not be cut to one that has */
    if (role != CCZ_KMS_ROLE_AUDITOR && role != CCZ_KMS_ROLE_ADMIN)
        return ccz_fail(err, CCZ_E_SIG, "kms:row-mac", role,
                        "a row of table \"admin\" has an unknown role");
    a->role = (enum ccz_kms_role)role;
    struct ccz_span f[2];
    uint8_t role_byte[1];
    row_fields(f, role_byte, a);
    return cczi_kms_row_check(s, table, f, 2, a->mac, err);
}

ccz_rc cczi_kms_admin_get(struct cczi_kms_admin *out, struct ccz_kms_store *s,
                          const uint8_t spki_sha256[32], struct ccz_err *err)
{
    *out = (struct cczi_kms_admin){0};
    struct cczi_kms_admin a = {0};
    memcpy(a.spki_sha256, spki_sha256, 32);
    struct cczi_q q = cczi_q_start(&s->db, CCZI_SQL_ADMIN_GET);
    cczi_q_blob(&q, CCZ_SPAN(spki_sha256, 32));
    ccz_rc rc = cczi_q_row(&q) ? read_row(&a, s, &q, err) : CCZ_E_NOT_FOUND;
    rc = cczi_q_end_after(&q, rc, err);
    if (rc == CCZ_OK)
        *out = a;
    return rc;
}

ccz_rc cczi_kms_admin_put(struct ccz_kms_store *s, const uint8_t spki_sha256[32],
                          enum ccz_kms_role role, struct ccz_err *err)
{
    struct cczi_kms_admin old, a = {.role = role};
    memcpy(a.spki_sha256, spki_sha256, 32);
    ccz_rc rc = cczi_kms_admin_get(&old, s, spki_sha256, err);
    if (rc != CCZ_OK && rc != CCZ_E_NOT_FOUND)
        return rc;
    if (rc == CCZ_OK) {
        struct cczi_q q = cczi_q_start(&s->db, CCZI_SQL_ADMIN_DEL);
        cczi_q_blob(&q, CCZ_SPAN(spki_sha256, 32));
        rc = cczi_q_end(&q, err);
        if (rc == CCZ_OK)
            rc = cczi_kms_row_remove(s, old.mac);
        if (rc != CCZ_OK)
            return rc;
    }
    if (role == CCZ_KMS_ROLE_NONE)
        return CCZ_OK;
    struct ccz_span f[2];
    uint8_t role_byte[1];
    row_fields(f, role_byte, &a);
    rc = cczi_kms_row_add(a.mac, s, table, f, 2);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "kms:row-mac", 0, "cannot compute the MAC of a row");
    struct cczi_q q = cczi_q_start(&s->db, CCZI_SQL_ADMIN_PUT);
    cczi_q_blob(&q, CCZ_SPAN(spki_sha256, 32));
    cczi_q_int(&q, role);
    cczi_q_blob(&q, CCZ_SPAN(a.mac, sizeof(a.mac)));
    return cczi_q_end(&q, err);
}

ccz_rc cczi_kms_admin_each(struct ccz_kms_store *s, cczi_kms_admin_fn fn, void *arg,
                           struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    struct cczi_q q = cczi_q_start(&s->db, CCZI_SQL_ADMIN_ALL);
    while (rc == CCZ_OK && cczi_q_row(&q)) {
        struct cczi_kms_admin a = {0};
        cczi_q_col_bytes(a.spki_sha256, sizeof(a.spki_sha256), &q, 2);
        rc = read_row(&a, s, &q, err);
        if (rc == CCZ_OK)
            rc = fn(arg, &a, err);
    }
    return cczi_q_end_after(&q, rc, err);
}

static ccz_rc count_admin(void *arg, const struct cczi_kms_admin *a, struct ccz_err *err)
{
    (void)err;
    if (a->role == CCZ_KMS_ROLE_ADMIN)
        ++*(uint64_t *)arg;
    return CCZ_OK;
}

/* Inside a transaction. */
static ccz_rc set_admin(struct ccz_kms_store *s, const uint8_t spki_sha256[32],
                        enum ccz_kms_role role, int64_t now_s, struct ccz_err *err)
{
    uint64_t admins = 0;
    ccz_rc rc = cczi_kms_admin_put(s, spki_sha256, role, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_admin_each(s, count_admin, &admins, err);
    if (rc == CCZ_OK && admins == 0)
        rc = ccz_refuse(err, CCZ_E_DENIED, "kms:last-admin", "no administrator left",
                        "at least one");
    if (rc != CCZ_OK)
        return rc;
    char hex[65], entry[192];
    ccz_hex(hex, spki_sha256, 32);
    int n = snprintf(entry, sizeof(entry),
                     "{\"op\":\"set-admin\",\"verdict\":\"accept\",\"key\":\"%s\",\"role\":\"%s\"}",
                     hex, ccz_kms_role_name(role));
    struct ccz_kms_receipt receipt;
    return cczi_kms_audit_append(&receipt, s, now_s, CCZ_SPAN(entry, (size_t)n), err);
}

ccz_rc ccz_kms_store_set_admin(struct ccz_kms_store *s, const uint8_t spki_sha256[32],
                               enum ccz_kms_role role, int64_t now_s, struct ccz_err *err)
{
    ccz_rc rc = cczi_kms_begin(s, err);
    if (rc == CCZ_OK)
        rc = set_admin(s, spki_sha256, role, now_s, err);
    if (rc == CCZ_OK) {
        rc = cczi_kms_commit(s, err);
        return rc == CCZ_OK ? cczi_kms_settle(s, err) : rc;
    }
    cczi_kms_rollback(s);
    return rc;
}

/* ---------------------------------------------------------------------------- rekey */

struct admins {
    struct cczi_kms_admin *all;
    size_t len;
};

static ccz_rc keep_admin(void *arg, const struct cczi_kms_admin *a, struct ccz_err *err)
{
    struct admins *list = arg;
    struct cczi_kms_admin *p = realloc(list->all, (list->len + 1) * sizeof(*p));
    if (!p)
        return ccz_fail(err, CCZ_E_NOMEM, "kms:rekey", 0, "out of memory");
    list->all = p;
    p[list->len++] = *a;
    return CCZ_OK;
}

static ccz_rc rekey_admin(uint8_t set[32], struct ccz_kms_store *s, struct cczi_kms_sealer *to,
                          const struct cczi_kms_admin *a, struct ccz_err *err)
{
    struct ccz_span f[2];
    uint8_t role_byte[1], mac[32];
    row_fields(f, role_byte, a);
    ccz_rc rc = cczi_kms_row_mac(mac, to, table, f, 2);
    if (rc == CCZ_OK)
        rc = cczi_kms_set_toggle(set, to, mac);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "kms:row-mac", 0, "cannot compute the MAC of a row");
    struct cczi_q q = cczi_q_start(&s->db, CCZI_SQL_ADMIN_REKEY);
    cczi_q_blob(&q, CCZ_SPAN(mac, sizeof(mac)));
    cczi_q_blob(&q, CCZ_SPAN(a->spki_sha256, 32));
    return cczi_q_end(&q, err);
}

/* All are read, then written: a database has one statement with rows at a time. */
ccz_rc cczi_kms_admins_rekey(uint8_t set[32], struct ccz_kms_store *s, struct cczi_kms_sealer *to,
                             struct ccz_err *err)
{
    struct admins list = {0};
    ccz_rc rc = cczi_kms_admin_each(s, keep_admin, &list, err);
    for (size_t i = 0; rc == CCZ_OK && i < list.len; i++)
        rc = rekey_admin(set, s, to, &list.all[i], err);
    free(list.all);
    return rc;
}
