/* SPDX-License-Identifier: Apache-2.0 */
/* Names of items and policies, key algorithms. */
#include "kms_priv.h"

#include <stdio.h>
#include <string.h>

static const char *const kind_names[] = {
    [CCZI_KMS_KEY] = "key",
    [CCZI_KMS_SECRET] = "secret",
    [CCZI_KMS_POLICY] = "policy",
    [CCZI_KMS_SYSTEM] = "system", /* not one that a caller can write, nor the next */
    [CCZI_KMS_REFERENCE] = "reference",
};

const char *cczi_kms_kind_name(enum cczi_kms_kind kind)
{
    return kind_names[kind];
}

static const struct {
    const char *name;
    uint32_t roles;
} role_names[] = {
    {"admin", CCZ_KMS_ROLE_ADMIN}, /* first: it prints as one */
    {"auditor", CCZ_KMS_ROLE_AUDITOR}, {"operator", CCZ_KMS_ROLE_OPERATOR},
    {"author", CCZ_KMS_ROLE_AUTHOR},   {"approver", CCZ_KMS_ROLE_APPROVER},
    {"client", CCZ_KMS_ROLE_CLIENT},
};
enum { ROLE_NAMES = sizeof(role_names) / sizeof(role_names[0]) };

void ccz_kms_roles_print(char out[CCZ_KMS_ROLES_SIZE], uint32_t roles)
{
    size_t n = 0;
    out[0] = 0;
    for (size_t i = 0; i < ROLE_NAMES; i++) {
        if ((roles & role_names[i].roles) != role_names[i].roles)
            continue;
        roles &= ~role_names[i].roles;
        n += (size_t)snprintf(out + n, CCZ_KMS_ROLES_SIZE - n, "%s%s", n ? "," : "",
                              role_names[i].name);
    }
    if (n == 0)
        (void)snprintf(out, CCZ_KMS_ROLES_SIZE, "none");
}

ccz_rc ccz_kms_roles_parse(uint32_t *out, const char *text, struct ccz_err *err)
{
    *out = 0;
    if (strcmp(text, "none") == 0)
        return CCZ_OK;
    uint32_t roles = 0;
    for (const char *p = text;; p++) {
        size_t n = strcspn(p, ","), i = 0;
        while (i < ROLE_NAMES &&
               (strlen(role_names[i].name) != n || strncmp(p, role_names[i].name, n) != 0))
            i++;
        if (i == ROLE_NAMES) {
            char got[CCZ_ERR_VALUE_SIZE];
            ccz_escape(got, sizeof(got), CCZ_SPAN(p, n));
            return ccz_refuse(err, CCZ_E_ARG, "kms:role-name", got,
                              "auditor, operator, author, approver, client, admin or none");
        }
        roles |= role_names[i].roles;
        p += n;
        if (*p == 0)
            break;
    }
    *out = roles;
    return CCZ_OK;
}

static bool is_name_byte(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
}

/* Segments like those of a path, without "." and "..", so that a name can safely become a file
 * name. */
static bool name_ok(struct ccz_span t)
{
    if (t.size == 0 || t.size >= CCZ_KMS_NAME_SIZE || t.ptr[t.size - 1] == '/')
        return false;
    bool first = true; /* of a segment */
    for (size_t i = 0; i < t.size; i++) {
        if (t.ptr[i] == '/' ? first : (!is_name_byte(t.ptr[i]) || (first && t.ptr[i] == '.')))
            return false;
        first = t.ptr[i] == '/';
    }
    return true;
}

ccz_rc cczi_kms_name(char out[CCZ_KMS_NAME_SIZE], struct ccz_span text, struct ccz_err *err)
{
    memset(out, 0, CCZ_KMS_NAME_SIZE);
    if (!name_ok(text)) {
        char got[CCZ_ERR_VALUE_SIZE];
        ccz_escape(got, sizeof(got), text);
        ccz_refuse(err, CCZ_E_FORMAT, "kms:name", got,
                   "1..128 of [A-Za-z0-9._-] in segments split by /");
        return cczi_kms_hint(err, CCZ_E_FORMAT);
    }
    memcpy(out, text.ptr, text.size);
    return CCZ_OK;
}

ccz_rc cczi_kms_about_parse(struct cczi_kms_ref *out, struct ccz_span text)
{
    static const char prefix[] = "reference/";
    const size_t n = sizeof(prefix) - 1;
    if (text.size <= n || memcmp(text.ptr, prefix, n) != 0)
        return cczi_kms_ref_parse(out, text, NULL);
    *out = (struct cczi_kms_ref){0};
    ccz_rc rc = cczi_kms_name(out->name, ccz_span_sub(text, n, text.size - n), NULL);
    out->kind = rc == CCZ_OK ? CCZI_KMS_REFERENCE : (enum cczi_kms_kind)0;
    return rc;
}

ccz_rc cczi_kms_ref_parse(struct cczi_kms_ref *out, struct ccz_span text, struct ccz_err *err)
{
    *out = (struct cczi_kms_ref){0};
    for (unsigned k = CCZI_KMS_KEY; k <= CCZI_KMS_POLICY; k++) {
        size_t n = strlen(kind_names[k]);
        if (text.size <= n || memcmp(text.ptr, kind_names[k], n) != 0 || text.ptr[n] != '/')
            continue;
        ccz_rc rc = cczi_kms_name(out->name, ccz_span_sub(text, n + 1, text.size - n - 1), err);
        if (rc == CCZ_OK)
            out->kind = (enum cczi_kms_kind)k;
        return rc;
    }
    char got[CCZ_ERR_VALUE_SIZE];
    ccz_escape(got, sizeof(got), text);
    return ccz_refuse(err, CCZ_E_FORMAT, "kms:name", got, "key/NAME, secret/NAME or policy/NAME");
}

void cczi_kms_ref_print(char out[CCZ_KMS_ITEM_SIZE], const struct cczi_kms_ref *ref)
{
    (void)snprintf(out, CCZ_KMS_ITEM_SIZE, "%s/%s", kind_names[ref->kind], ref->name);
}

size_t cczi_kms_alg_size(struct ccz_span alg)
{
    if (ccz_span_eq(alg, ccz_span_str("aes-128"))) /* the wrap key of protected files */
        return 16;
    return ccz_span_eq(alg, ccz_span_str("aes-256")) ? 32 : 0;
}
