/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_POLICY_PRIV_H
#define CCZ_POLICY_PRIV_H
/* A rule is one value per line of the table of fields; a kind says how such a value is read, judged,
 * shown, drafted and described in the JSON Schema. */
#include <cczoo/codec.h>
#include <cczoo/policy.h>

enum { CCZI_POLICY_FIELDS_MAX = 96, CCZI_TEXT_SIZE_MAX = 1 << 20 };

/** One value of a set. */
struct cczi_entry {
    char name[64];
    uint8_t value[64];
    int64_t until_s; /**< does not hold from then on; 0 = never ends */
};
struct ccz_reference {
    struct cczi_entry *entry;
    size_t len, size; /**< bytes of each value */
};
/** A set that a policy names, and its values once they are given. */
struct cczi_ref {
    char name[CCZ_REFERENCE_NAME_SIZE];
    size_t size; /**< of the fields that name it */
    bool given;
    uint32_t version;
    struct ccz_reference set;
};

/** What a rule says about one field. Which members count depends on the kind. */
struct cczi_value {
    bool set;      /**< said by the rule or by the strict default */
    bool named;    /**< by the rule */
    uint8_t *list; /**< len elements, owned */
    size_t len;
    uint64_t num; /**< flag, seconds, set of enumerators (1 << value), form of the list */
    const struct cczi_ref *ref; /**< instead of a list: values of a set; owned by the policy */
};

struct cczi_rule {
    char name[64];
    enum ccz_tee tee;
    struct cczi_value value[CCZI_POLICY_FIELDS_MAX]; /**< indexed as cczi_fields */
    struct cczi_value grace[CCZI_POLICY_FIELDS_MAX]; /**< holds as well.. */
    int64_t grace_until_s;                           /**< ..before then */
};

struct ccz_policy {
    struct cczi_rule *rule;
    size_t len;
    struct cczi_ref *ref[CCZ_POLICY_REFERENCES_MAX]; /**< each where rules point to it */
    size_t refs_len;
};

/** Where parsing is: the JSON path is built on the way down, for messages. */
struct cczi_at {
    char path[160];
    struct ccz_policy *policy; /**< that is being read; NULL = something else */
    struct ccz_err *err;
};
/** "<path>: <text>" as CCZ_E_FORMAT. */
CCZ_FMT(3, 4) ccz_rc cczi_at_fail(struct cczi_at *at, const char *where, const char *fmt, ...);
/** Appends ".key" (escaped) or "[i]" to the path; returns the size to give to cczi_at_leave(). */
size_t cczi_at_key(struct cczi_at *at, const char *key);
size_t cczi_at_index(struct cczi_at *at, size_t i);
void cczi_at_leave(struct cczi_at *at, size_t mark);

/* --------------------------------------------------- reading values, shared by the kinds (read.c) */

/** Appends an element of @p size bytes; one that is there already is a mistake worth telling. */
ccz_rc cczi_list_add(struct cczi_value *v, const void *element, size_t size, struct cczi_at *at);
/** A list of at most CCZ_POLICY_LIST_MAX values. */
ccz_rc cczi_check_list(const struct ccz_json *j, bool may_be_empty, struct cczi_at *at);
/** An object that may only hold the keys in @p known (NULL-terminated). */
ccz_rc cczi_check_members(const struct ccz_json *j, const char *const *known, struct cczi_at *at);
ccz_rc cczi_get_uint(uint64_t *out, const struct ccz_json *j, uint64_t max, struct cczi_at *at);
ccz_rc cczi_get_hex(uint8_t *out, size_t size, const struct ccz_json *j, struct cczi_at *at);
ccz_rc cczi_get_time(int64_t *out, const struct ccz_json *j, struct cczi_at *at);

struct cczi_field;
typedef ccz_rc cczi_item_fn(struct cczi_value *out, const struct cczi_field *f,
                            const struct ccz_json *j, struct cczi_at *at);
/** One value, or a list of them. */
ccz_rc cczi_one_or_list(struct cczi_value *out, const struct cczi_field *f,
                        const struct ccz_json *j, struct cczi_at *at, cczi_item_fn *item);

/** Names stand in log lines and messages: 1 to 63 letters, digits, spaces or any of . _ - */
bool cczi_good_name(const char *s);

/* ---------------------------------------------------------------- reference values (reference.c) */

/** {"reference": NAME} for a field of @p size bytes. */
ccz_rc cczi_ref_parse(struct cczi_value *out, size_t size, const struct ccz_json *j,
                      struct cczi_at *at);
/** The value of the set that is these bytes, whether it has ended or not; NULL = none. */
const struct cczi_entry *cczi_ref_find(const struct cczi_ref *r, const uint8_t *bytes);
bool cczi_entry_holds(const struct cczi_entry *e, int64_t now_s);
/** Appends what the set accepts; @p brief: its first value and how many more. */
void cczi_ref_want(struct ccz_buf *out, const struct cczi_ref *r, bool brief);
/** Which values accepted, of a rule that did. */
void cczi_ref_decided(char out[CCZ_POLICY_DECIDED_SIZE], const struct cczi_rule *r,
                      const struct ccz_claims *claims);
/** What is wrong with the sets of a policy: where, got, expected; false = nothing. */
struct cczi_lack {
    const char *name, *where;
    char got[40], expected[40];
};
bool cczi_ref_lack(struct cczi_lack *out, const struct ccz_policy *p);
void cczi_refs_free(struct ccz_policy *p);

/* ------------------------------------------------------------------------------ fields, kinds */

/** One value of one field against one set of claims. */
struct cczi_check {
    const struct cczi_field *field;
    const struct cczi_value *value;
    const struct ccz_claims *claims;
    int64_t now_s;
};

struct cczi_kind {
    cczi_item_fn *parse;
    bool (*holds)(const struct cczi_check *c);
    /** Appends what the evidence says; where only a part of it does not hold, that part. */
    void (*got)(struct ccz_buf *out, const struct cczi_check *c);
    /** Appends what the value accepts; @p brief: of a list the first element and how many more. */
    void (*want)(struct ccz_buf *out, const struct cczi_field *f, const struct cczi_value *v,
                 bool brief);
    /** Appends the JSON value that accepts these claims; nothing = leave the field out. */
    void (*draft)(struct ccz_buf *out, const struct cczi_field *f, const struct ccz_claims *claims);
    /** Appends the JSON Schema of the value. */
    void (*schema)(struct ccz_buf *out, const struct cczi_field *f);
};
extern const struct cczi_kind cczi_kind_flag, cczi_kind_flag_not, cczi_kind_bytes, cczi_kind_text,
    cczi_kind_mask, cczi_kind_mask_num; /* kinds.c */
extern const struct cczi_kind cczi_kind_number, cczi_kind_svn, cczi_kind_svns, cczi_kind_tcb,
    cczi_kind_tcb_whole, cczi_kind_version; /* kinds_num.c */
extern const struct cczi_kind cczi_kind_products, cczi_kind_signers, cczi_kind_statuses,
    cczi_kind_advisories, cczi_kind_since, cczi_kind_age; /* kinds_tcb.c */

/** What else may be done with a field. */
enum {
    CCZI_DRAFT = 1, /**< ccz_policy_draft() writes it */
    CCZI_GRACE =
        2 /**< may stand in "grace": it is about how healthy a platform is, not who it is */
};
struct cczi_field {
    const char *name;
    const struct cczi_kind *kind;
    unsigned tees;       /**< 1 << enum ccz_tee: rules in which it may stand */
    size_t offset, size; /**< of the claim in struct ccz_claims */
    const char *absent;  /**< JSON that a rule without the field stands for; NULL = not judged */
    unsigned flags;
    const char *hint;
};
/** In the order of evaluation: who first, then how healthy the platform is. */
extern const struct cczi_field cczi_fields[];
extern const size_t cczi_fields_len;
/** Index of field @p name, or cczi_fields_len. */
size_t cczi_field_find(const char *name);
static inline const uint8_t *cczi_claim(const struct cczi_field *f, const struct ccz_claims *c)
{
    return (const uint8_t *)c + f->offset;
}

/** Fields that together say who a rule is about; a rule needs all of one set of its TEE. */
struct cczi_pin {
    enum ccz_tee tee;
    const char *field[4];
};
extern const struct cczi_pin cczi_pins[];
extern const size_t cczi_pins_len;
/** The demand in words, for messages. */
const char *cczi_pin_text(enum ccz_tee tee);

/* -------------------------------------------------------------------------------- judgement */

/** How field @p i of @p r fares. */
enum ccz_policy_outcome cczi_judge(const struct cczi_rule *r, size_t i,
                                   const struct ccz_claims *claims, int64_t now_s);
/** Appends what the rule accepts at @p now_s, its grace included. */
void cczi_want(struct ccz_buf *out, const struct cczi_rule *r, size_t i,
               const struct ccz_claims *claims, int64_t now_s, bool brief);
#endif
