/* SPDX-License-Identifier: Apache-2.0 */
/* What a key may do now: state, versions, expiry, rotation, deletion. Data and a given time, nothing else. */
#include "keys_priv.h"

enum { FORMAT = 1, CLOCK_TOLERANCE_S = 86400 };
enum flag { EXPORTABLE = 1, IMPORTED = 2, DISABLED = 4, UNATTESTED = 8, FLAGS = 15 };

#define BIT   CCZI_OP_BIT
#define SIGNS (BIT(CCZI_OP_SIGN) | BIT(CCZI_OP_VERIFY))
#define SEALS                                                                                      \
    (BIT(CCZI_OP_ENCRYPT) | BIT(CCZI_OP_DECRYPT) | BIT(CCZI_OP_DATA_KEY) | BIT(CCZI_OP_REWRAP) |   \
     BIT(CCZI_OP_WRAP) | BIT(CCZI_OP_UNWRAP))
/* Operations that make something new: only recent versions do them. */
#define MAKES                                                                                      \
    (BIT(CCZI_OP_ENCRYPT) | BIT(CCZI_OP_DATA_KEY) | BIT(CCZI_OP_WRAP) | BIT(CCZI_OP_HMAC) |        \
     BIT(CCZI_OP_SIGN) | BIT(CCZI_OP_ISSUE))
/* Those and what gives out something that is used afterwards, where no expiry is looked at. */
#define ENDS_WITH_EXPIRY                                                                           \
    (MAKES | BIT(CCZI_OP_RELEASE) | BIT(CCZI_OP_EXPORT) | BIT(CCZI_OP_DERIVE) | BIT(CCZI_OP_REWRAP))

/* ------------------------------------------------------------------------- consistency */

/* False for nothing to do, for both to sign and to decrypt: a signature of a chosen text could be a decryption; and for issuing beside
 * anything: a signature of a chosen text could be a certificate. */
static bool use_ok(uint32_t ops)
{
    if ((ops & BIT(CCZI_OP_ISSUE)) && (ops & ~(BIT(CCZI_OP_ISSUE) | BIT(CCZI_OP_PUBLIC))))
        return false;
    bool some = ops & ~(BIT(CCZI_OP_EXPORT) | BIT(CCZI_OP_PUBLIC));
    return some && !((ops & SIGNS) && (ops & SEALS));
}

static bool period_ok(int64_t every_s)
{
    return every_s == 0 ||
           (every_s >= CCZI_KMS_ROTATE_EVERY_MIN_S && every_s <= CCZI_KMS_ROTATE_EVERY_MAX_S);
}

static bool minimum_ok(uint32_t latest, uint32_t min_decrypt, uint32_t min_encrypt)
{
    return min_decrypt >= 1 && min_decrypt <= latest &&
           (min_encrypt == 0 || (min_encrypt >= min_decrypt && min_encrypt <= latest));
}

/* Of what is stored: the year 36,812, so that sums with a period or window stay far below the end of int64. */
#define TIME_MAX_S ((int64_t)1 << 40)
static bool time_ok(int64_t t_s)
{
    return t_s >= 0 && t_s <= TIME_MAX_S;
}

/* A certificate authority is made here, stays here, works for what has evidence, and is replaced by hand, with its certificate. */
static bool ca_ok(uint32_t ops, bool exportable, bool imported, bool unattested, int64_t every_s)
{
    return !(ops & BIT(CCZI_OP_ISSUE)) || !(exportable || imported || unattested || every_s);
}

static bool meta_ok(const struct cczi_kms_key_meta *m)
{
    uint32_t can = cczi_kms_key_kind_ops(m->kind);
    return can != 0 && (m->ops & ~can) == 0 && use_ok(m->ops) && m->latest >= 1 &&
           m->latest <= CCZ_KMS_VERSIONS_MAX &&
           minimum_ok(m->latest, m->min_decrypt, m->min_encrypt) && time_ok(m->created_s) &&
           time_ok(m->expires_s) && time_ok(m->deletion_s) && time_ok(m->next_rotation_s) &&
           period_ok(m->rotate_every_s) && (m->rotate_every_s == 0) == (m->next_rotation_s == 0) &&
           !(m->imported && m->rotate_every_s != 0) &&
           ca_ok(m->ops, m->exportable, m->imported, m->unattested, m->rotate_every_s);
}

/* ------------------------------------------------------------------------------- making */

/* A time that can be added to: what a broken clock says must not make metadata that nobody can read again. */
static ccz_rc check_now(int64_t now_s, struct ccz_err *err)
{
    return now_s >= 1 && now_s <= TIME_MAX_S / 2
               ? CCZ_OK
               : ccz_fail(err, CCZ_E_ARG, "kms:key-time", now_s, "no such time");
}

static ccz_rc check_expiry(int64_t expires_s, int64_t now_s, struct ccz_err *err)
{
    if (expires_s == 0 || (expires_s > now_s && expires_s <= CCZ_TIME_MAX_S))
        return CCZ_OK;
    return ccz_fail(err, CCZ_E_ARG, "kms:key-expiry", expires_s,
                    "got %lld, expected a time after now, which is %lld, and before the year "
                    "10000, or 0",
                    (long long)expires_s, (long long)now_s);
}

static ccz_rc check_period(int64_t every_s, bool imported, struct ccz_err *err)
{
    if (!period_ok(every_s))
        return ccz_fail(err, CCZ_E_ARG, "kms:key-period", every_s,
                        "a period of rotation is an hour to ten years, not %lld s",
                        (long long)every_s);
    if (imported && every_s != 0)
        return ccz_fail(err, CCZ_E_DENIED, "kms:key-imported", every_s,
                        "an imported key cannot rotate by itself");
    return CCZ_OK;
}

static ccz_rc check_use(const struct cczi_kms_key_spec *spec, uint32_t *ops, struct ccz_err *err)
{
    uint32_t can = cczi_kms_key_kind_ops(spec->kind);
    if (can == 0)
        return ccz_fail(err, CCZ_E_ARG, "kms:key-kind", (int64_t)spec->kind, "no such kind of key");
    *ops = spec->ops ? spec->ops : can & ~BIT(CCZI_OP_ISSUE); /* that has to be said */
    if (*ops & ~can)
        return ccz_fail(err, CCZ_E_UNSUPPORTED, "kms:key-op", (int64_t)(*ops & ~can),
                        "a key of kind %s cannot do all of that",
                        cczi_kms_key_kind_name(spec->kind));
    if (!use_ok(*ops))
        return ccz_refuse(err, CCZ_E_DENIED, "kms:key-usage",
                          *ops & BIT(CCZI_OP_ISSUE) ? "to issue certificates and more"
                          : *ops & SIGNS            ? "to sign and to decrypt"
                                                    : "no use",
                          "one use: to sign, to encrypt and wrap, or to issue");
    if (!ca_ok(*ops, spec->exportable, spec->imported, spec->unattested_insecure,
               spec->rotate_every_s))
        return ccz_refuse(err, CCZ_E_DENIED, "kms:ca-key",
                          "exportable, imported, without evidence, or rotated by itself",
                          "none of these, for a key that issues certificates");
    return CCZ_OK;
}

ccz_rc cczi_kms_key_meta_new(struct cczi_kms_key_meta *out, const struct cczi_kms_key_spec *spec,
                             int64_t now_s, struct ccz_err *err)
{
    *out = (struct cczi_kms_key_meta){0};
    uint32_t ops = 0;
    ccz_rc rc = check_now(now_s, err);
    if (rc == CCZ_OK)
        rc = check_use(spec, &ops, err);
    if (rc == CCZ_OK)
        rc = check_expiry(spec->expires_s, now_s, err);
    if (rc == CCZ_OK)
        rc = check_period(spec->rotate_every_s, spec->imported, err);
    if (rc != CCZ_OK)
        return rc;
    *out = (struct cczi_kms_key_meta){
        .kind = spec->kind,
        .ops = ops,
        .latest = 1,
        .min_decrypt = 1,
        .exportable = spec->exportable,
        .imported = spec->imported,
        .unattested = spec->unattested_insecure,
        .created_s = now_s,
        .expires_s = spec->expires_s,
        .rotate_every_s = spec->rotate_every_s,
        .next_rotation_s = spec->rotate_every_s ? now_s + spec->rotate_every_s : 0,
    };
    return CCZ_OK;
}

/* ---------------------------------------------------------------------------- decisions */

/* For as long as the key exists but may not work. */
static ccz_rc check_alive(const struct cczi_kms_key_meta *m, struct ccz_err *err)
{
    if (m->deletion_s != 0)
        return ccz_fail(err, CCZ_E_DENIED, "kms:key-deleting", m->deletion_s,
                        "the key is to be deleted and does nothing until that is cancelled");
    if (m->disabled)
        return ccz_fail(err, CCZ_E_DENIED, "kms:key-disabled", 0, "the key is disabled");
    return CCZ_OK;
}

static bool expired(const struct cczi_kms_key_meta *m, int64_t now_s)
{
    return m->expires_s != 0 && now_s >= m->expires_s;
}

static ccz_rc fail_expired(const struct cczi_kms_key_meta *m, struct ccz_err *err)
{
    char when[21];
    ccz_time_format(when, m->expires_s);
    return ccz_fail(err, CCZ_E_EXPIRED, "kms:key-expired", m->expires_s,
                    "the key expired at %s: it opens and verifies what it made, nothing else",
                    when);
}

static ccz_rc check_op(const struct cczi_kms_key_meta *m, enum cczi_kms_key_op op,
                       struct ccz_err *err)
{
    if ((size_t)op >= CCZI_OPS || !(cczi_kms_key_kind_ops(m->kind) & BIT(op)))
        return ccz_fail(err, CCZ_E_UNSUPPORTED, "kms:key-op", (int64_t)op,
                        "a key of kind %s cannot do %s", cczi_kms_key_kind_name(m->kind),
                        cczi_kms_key_op_name(op));
    if (!(m->ops & BIT(op)))
        return ccz_fail(err, CCZ_E_DENIED, "kms:key-usage", (int64_t)op, "this key is not for %s",
                        cczi_kms_key_op_name(op));
    if (op == CCZI_OP_EXPORT && !m->exportable)
        return ccz_fail(err, CCZ_E_DENIED, "kms:key-export", 0, "the key was made not to leave");
    return CCZ_OK;
}

static ccz_rc check_version(const struct cczi_kms_key_meta *m, enum cczi_kms_key_op op,
                            uint32_t version, enum cczi_kms_version_state state,
                            struct ccz_err *err)
{
    if (version == 0 || version > m->latest)
        return ccz_fail(err, CCZ_E_NOT_FOUND, "kms:key-version", version,
                        "there is no version %u, the latest is %u", version, m->latest);
    uint32_t least = m->min_decrypt;
    if (MAKES & BIT(op))
        least = m->min_encrypt ? m->min_encrypt : m->latest;
    if (version < least)
        return ccz_refuse_num(err, CCZ_E_DENIED, "kms:key-version-old", version, least);
    if (state == CCZI_VERSION_DISABLED)
        return ccz_fail(err, CCZ_E_DENIED, "kms:key-version-disabled", version,
                        "version %u is disabled", version);
    if (state != CCZI_VERSION_ENABLED)
        return ccz_fail(err, CCZ_E_DENIED, "kms:key-version-gone", version,
                        "version %u was destroyed", version);
    return CCZ_OK;
}

uint32_t cczi_kms_key_version(const struct cczi_kms_key_meta *m, uint32_t asked)
{
    return asked ? asked : m->latest;
}

ccz_rc cczi_kms_key_may(const struct cczi_kms_key_meta *m, enum cczi_kms_key_op op,
                        uint32_t version, enum cczi_kms_version_state state, int64_t now_s,
                        struct ccz_err *err)
{
    ccz_rc rc = check_op(m, op, err);
    if (rc == CCZ_OK)
        rc = check_alive(m, err);
    if (rc == CCZ_OK && (ENDS_WITH_EXPIRY & BIT(op)) && expired(m, now_s))
        rc = fail_expired(m, err);
    return rc == CCZ_OK ? check_version(m, op, version, state, err) : rc;
}

/* ------------------------------------------------------------------------------ changes */

ccz_rc cczi_kms_key_rotate(struct cczi_kms_key_meta *m, bool imported, int64_t now_s,
                           struct ccz_err *err)
{
    ccz_rc rc = check_now(now_s, err);
    if (rc == CCZ_OK && (m->ops & BIT(CCZI_OP_ISSUE))) /* clients hold its certificate */
        rc = ccz_refuse(err, CCZ_E_DENIED, "kms:ca-rotate", "a key that issues certificates",
                        "another one beside it");
    if (rc == CCZ_OK)
        rc = check_alive(m, err);
    if (rc == CCZ_OK && expired(m, now_s))
        rc = fail_expired(m, err);
    if (rc != CCZ_OK)
        return rc;
    if (imported != m->imported)
        return ccz_refuse(err, CCZ_E_DENIED, "kms:key-imported",
                          imported ? "an imported version" : "a generated version",
                          m->imported ? "an imported version" : "a generated version");
    if (m->latest >= CCZ_KMS_VERSIONS_MAX)
        return ccz_fail(err, CCZ_E_LIMIT, "kms:key-versions", m->latest,
                        "a key has at most %d versions", CCZ_KMS_VERSIONS_MAX);
    m->latest++;
    if (m->rotate_every_s != 0)
        m->next_rotation_s = now_s + m->rotate_every_s;
    return CCZ_OK;
}

bool cczi_kms_key_rotation_due(const struct cczi_kms_key_meta *m, int64_t now_s)
{
    struct cczi_kms_key_meta next = *m;
    /* one that is further away than any clock would have set it was set by a clock that was far ahead; without this the key would not
     * rotate until that day. A day of tolerance, so that servers whose clocks differ do not take turns */
    bool due = now_s >= m->next_rotation_s ||
               m->next_rotation_s - now_s > m->rotate_every_s + CLOCK_TOLERANCE_S;
    return m->next_rotation_s != 0 && due &&
           cczi_kms_key_rotate(&next, m->imported, now_s, NULL) == CCZ_OK;
}

ccz_rc cczi_kms_key_set_period(struct cczi_kms_key_meta *m, int64_t rotate_every_s, int64_t now_s,
                               struct ccz_err *err)
{
    ccz_rc rc = check_now(now_s, err);
    if (rc == CCZ_OK)
        rc = check_period(rotate_every_s, m->imported, err);
    if (rc == CCZ_OK && !ca_ok(m->ops, false, false, false, rotate_every_s))
        rc = ccz_refuse(err, CCZ_E_DENIED, "kms:ca-rotate", "a key that issues certificates",
                        "another one beside it");
    if (rc != CCZ_OK)
        return rc;
    m->rotate_every_s = rotate_every_s;
    m->next_rotation_s = rotate_every_s ? now_s + rotate_every_s : 0;
    return CCZ_OK;
}

ccz_rc cczi_kms_key_set_minimum(struct cczi_kms_key_meta *m, uint32_t min_decrypt,
                                uint32_t min_encrypt, struct ccz_err *err)
{
    if (!minimum_ok(m->latest, min_decrypt, min_encrypt))
        return ccz_fail(
            err, CCZ_E_ARG, "kms:key-minimum", min_decrypt,
            "got %u to decrypt and %u to encrypt, expected 1 <= the first <= the second "
            "(or 0) <= %u",
            min_decrypt, min_encrypt, m->latest);
    m->min_decrypt = min_decrypt;
    m->min_encrypt = min_encrypt;
    return CCZ_OK;
}

ccz_rc cczi_kms_key_set_expiry(struct cczi_kms_key_meta *m, int64_t expires_s, int64_t now_s,
                               struct ccz_err *err)
{
    ccz_rc rc = check_expiry(expires_s, now_s, err);
    if (rc == CCZ_OK)
        m->expires_s = expires_s;
    return rc;
}

void cczi_kms_key_set_disabled(struct cczi_kms_key_meta *m, bool disabled)
{
    m->disabled = disabled; /* and nothing else: what the key is for stays */
}

/* ----------------------------------------------------------------------------- deletion */

ccz_rc cczi_kms_key_delete(struct cczi_kms_key_meta *m, const struct cczi_kms_key_deletion *how,
                           int64_t now_s, struct ccz_err *err)
{
    int64_t after_s = how->after_s ? how->after_s : CCZI_KMS_DELETE_AFTER_S;
    if (how->at_once_insecure && how->after_s == 0)
        after_s = 0;
    else if (after_s < CCZI_KMS_DELETE_AFTER_MIN_S || after_s > CCZI_KMS_DELETE_AFTER_MAX_S ||
             how->at_once_insecure)
        return ccz_fail(err, CCZ_E_ARG, "kms:key-window", how->after_s,
                        "a deletion can be taken back for a day to a year, not %lld s",
                        (long long)how->after_s);
    if (m->deletion_s != 0)
        return ccz_fail(err, CCZ_E_DENIED, "kms:key-deleting", m->deletion_s,
                        "the key is to be deleted already");
    ccz_rc rc = check_now(now_s, err);
    if (rc != CCZ_OK)
        return rc;
    m->deletion_s = now_s + after_s;
    return CCZ_OK;
}

static ccz_rc not_deleting(struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_DENIED, "kms:key-not-deleting", 0, "the key is not to be deleted");
}

ccz_rc cczi_kms_key_undelete(struct cczi_kms_key_meta *m, struct ccz_err *err)
{
    if (m->deletion_s == 0)
        return not_deleting(err);
    m->deletion_s = 0;
    return CCZ_OK;
}

ccz_rc cczi_kms_key_may_destroy(const struct cczi_kms_key_meta *m, int64_t now_s,
                                struct ccz_err *err)
{
    if (m->deletion_s == 0)
        return not_deleting(err);
    if (now_s < m->deletion_s)
        return ccz_refuse_num(err, CCZ_E_DENIED, "kms:key-early", now_s, m->deletion_s);
    return CCZ_OK;
}

/* ----------------------------------------------------------------------------- encoding */

void cczi_kms_key_meta_put(struct ccz_buf *out, const struct cczi_kms_key_meta *m)
{
    ccz_buf_u8(out, FORMAT);
    ccz_buf_u8(out, (uint8_t)m->kind);
    ccz_buf_u8(out, (uint8_t)((m->exportable ? EXPORTABLE : 0) | (m->imported ? IMPORTED : 0) |
                              (m->disabled ? DISABLED : 0) | (m->unattested ? UNATTESTED : 0)));
    ccz_buf_u8(out, 0);
    ccz_buf_le32(out, m->ops);
    ccz_buf_le32(out, m->latest);
    ccz_buf_le32(out, m->min_decrypt);
    ccz_buf_le32(out, m->min_encrypt);
    ccz_buf_le64(out, (uint64_t)m->created_s);
    ccz_buf_le64(out, (uint64_t)m->expires_s);
    ccz_buf_le64(out, (uint64_t)m->deletion_s);
    ccz_buf_le64(out, (uint64_t)m->rotate_every_s);
    ccz_buf_le64(out, (uint64_t)m->next_rotation_s);
}

ccz_rc cczi_kms_key_meta_get(struct cczi_kms_key_meta *out, struct ccz_span in, struct ccz_err *err)
{
    struct ccz_rd r = ccz_rd_from(in);
    uint8_t format = ccz_rd_u8(&r), kind = ccz_rd_u8(&r), flags = ccz_rd_u8(&r);
    uint8_t zero = ccz_rd_u8(&r);
    struct cczi_kms_key_meta m = {.kind = kind,
                                  .exportable = flags & EXPORTABLE,
                                  .imported = flags & IMPORTED,
                                  .disabled = flags & DISABLED,
                                  .unattested = flags & UNATTESTED};
    m.ops = ccz_rd_le32(&r);
    m.latest = ccz_rd_le32(&r);
    m.min_decrypt = ccz_rd_le32(&r);
    m.min_encrypt = ccz_rd_le32(&r);
    m.created_s = (int64_t)ccz_rd_le64(&r);
    m.expires_s = (int64_t)ccz_rd_le64(&r);
    m.deletion_s = (int64_t)ccz_rd_le64(&r);
    m.rotate_every_s = (int64_t)ccz_rd_le64(&r);
    m.next_rotation_s = (int64_t)ccz_rd_le64(&r);
    bool ok = ccz_rd_done(&r) && format == FORMAT && flags <= FLAGS && zero == 0 && meta_ok(&m);
    *out = ok ? m : (struct cczi_kms_key_meta){0};
    return ok ? CCZ_OK
              : ccz_fail(err, CCZ_E_FORMAT, "kms:key-meta", (int64_t)in.size,
                         "not the metadata of a key");
}
