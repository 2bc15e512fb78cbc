/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_POLICY_PRIV_H
#define CCZ_POLICY_PRIV_H
/* A rule is one value per line of the table of fields; a kind says how such a value is read and
 * judged. */
#include <cczoo/codec.h>
#include <cczoo/policy.h>

enum { CCZI_POLICY_FIELDS_MAX = 40 };

/** What a rule says about one field. Which members count depends on the kind. */
struct cczi_value {
    bool set;
    uint8_t *list; /**< len elements, owned */
    size_t len;
    uint64_t num; /**< flag, minimum, seconds, set of TCB statuses (1 << status) */
};

struct cczi_rule {
    char name[64];
    enum ccz_tee tee;
    struct cczi_value value[CCZI_POLICY_FIELDS_MAX]; /**< indexed as cczi_fields */
    uint64_t grace_statuses;                         /**< accepted as well.. */
    int64_t grace_until_s;                           /**< ..until then */
};

/** Where parsing is: the JSON path is built on the way down, for messages. */
struct cczi_at {
    char path[160];
    struct ccz_err *err;
};
/** "<path>: <text>" as CCZ_E_FORMAT. */
CCZ_FMT(3, 4) ccz_rc cczi_at_fail(struct cczi_at *at, const char *where, const char *fmt, ...);
/** Appends ".key" (escaped) or "[i]" to the path; returns the size to give to cczi_at_leave(). */
size_t cczi_at_key(struct cczi_at *at, const char *key);
size_t cczi_at_index(struct cczi_at *at, size_t i);
void cczi_at_leave(struct cczi_at *at, size_t mark);

struct cczi_field;
/** One field of one rule against one set of claims. */
struct cczi_check {
    const struct cczi_field *field;
    const struct cczi_value *value;
    const struct cczi_rule *rule;
    const struct ccz_claims *claims;
    int64_t now_s;
    bool *used_grace;
};

struct cczi_kind {
    /** @param rule  only dated grace writes elsewhere than to @p out */
    ccz_rc (*parse)(struct cczi_value *out, struct cczi_rule *rule, const struct cczi_field *f,
                    const struct ccz_json *j, struct cczi_at *at);
    /** CCZ_OK, or CCZ_E_POLICY with got and expected filled; NULL = nothing to judge on its own */
    ccz_rc (*eval)(const struct cczi_check *c, const char *where, struct ccz_err *err);
    /** Appends the JSON value that accepts these claims; nothing = leave the field out */
    void (*draft)(struct ccz_buf *out, const struct cczi_field *f, const struct ccz_claims *claims);
};
extern const struct cczi_kind cczi_kind_flag, cczi_kind_bytes, cczi_kind_number, cczi_kind_minimum,
    cczi_kind_mask, cczi_kind_statuses, cczi_kind_grace, cczi_kind_advisories, cczi_kind_since,
    cczi_kind_age;

struct cczi_field {
    const char *name;
    const struct cczi_kind *kind;
    unsigned tees;       /**< 1 << enum ccz_tee: rules in which it may stand */
    size_t offset, size; /**< of the claim in struct ccz_claims */
    const char *absent;  /**< JSON that a rule without the field stands for; NULL = not judged */
    bool draft;          /**< ccz_policy_draft() writes it */
    const char *hint;
};
/** In the order of evaluation: who first, then how healthy the platform is. */
extern const struct cczi_field cczi_fields[];
extern const size_t cczi_fields_len;
/** Index of field @p name, or cczi_fields_len. */
size_t cczi_field_find(const char *name);
#endif
