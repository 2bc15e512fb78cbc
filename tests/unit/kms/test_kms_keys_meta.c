/* SPDX-License-Identifier: Apache-2.0 */
/* What a key may do when: every operation in every state, life cycles, the stored form. */
#include "kms/kms_keys.h"

#include "ccz_test.h"
#include "refused.h"

#include <string.h>

#define NOW  1700000000
#define DAY  86400
#define EVER INT64_C(4000000000)

static struct ccz_err err;

#define REFUSED(expr, want, at) CHECK(is_refused((expr), (want), &err, (at)))

static struct cczi_kms_key_meta meta(const struct cczi_kms_key_spec *spec)
{
    struct cczi_kms_key_meta m;
    CHECK(cczi_kms_key_meta_new(&m, spec, NOW, &err) == CCZ_OK);
    return m;
}

/* An AES key of `versions` versions. */
static struct cczi_kms_key_meta rotated(uint32_t versions)
{
    struct cczi_kms_key_meta m = meta(&(struct cczi_kms_key_spec){.kind = CCZI_KEY_AES_256_GCM});
    while (m.latest < versions)
        CHECK(cczi_kms_key_rotate(&m, false, NOW, &err) == CCZ_OK);
    return m;
}

static ccz_rc may(const struct cczi_kms_key_meta *m, enum cczi_kms_key_op op, uint32_t version,
                  int64_t now_s)
{
    return cczi_kms_key_may(m, op, version, CCZI_VERSION_ENABLED, now_s, &err);
}

static bool same(const struct cczi_kms_key_meta *a, const struct cczi_kms_key_meta *b)
{
    uint8_t x[2][CCZI_KMS_KEY_META_SIZE];
    const struct cczi_kms_key_meta *m[2] = {a, b};
    for (size_t i = 0; i < 2; i++) {
        CCZ_AUTO_BUF out;
        ccz_buf_init(&out, CCZI_KMS_KEY_META_SIZE);
        cczi_kms_key_meta_put(&out, m[i]);
        CHECK(!out.bad && out.size == CCZI_KMS_KEY_META_SIZE);
        memcpy(x[i], out.ptr, out.size);
    }
    return memcmp(x[0], x[1], sizeof(x[0])) == 0;
}

static void test_new(void)
{
    struct cczi_kms_key_meta m = meta(&(struct cczi_kms_key_spec){.kind = CCZI_KEY_AES_256_GCM});
    CHECK(m.ops == cczi_kms_key_kind_ops(CCZI_KEY_AES_256_GCM) && m.latest == 1);
    CHECK(m.min_decrypt == 1 && m.min_encrypt == 0 && m.created_s == NOW && m.deletion_s == 0);
    CHECK(!m.exportable && !m.imported && !m.disabled && m.next_rotation_s == 0);
    static const struct {
        struct cczi_kms_key_spec spec;
        ccz_rc rc;
        const char *where;
    } bad[] = {
        {{.kind = CCZI_KEY_NONE}, CCZ_E_ARG, "kms:key-kind"},
        {{.kind = CCZI_KEY_KINDS}, CCZ_E_ARG, "kms:key-kind"},
        {{.kind = CCZI_KEY_ED25519, .ops = CCZI_OP_BIT(CCZI_OP_ENCRYPT)},
         CCZ_E_UNSUPPORTED,
         "kms:key-op"},
        {{.kind = CCZI_KEY_ED25519, .ops = 1u << 31}, CCZ_E_UNSUPPORTED, "kms:key-op"},
        {{.kind = CCZI_KEY_RSA_3072}, CCZ_E_DENIED, "kms:key-usage"}, /* it has to be said */
        {{.kind = CCZI_KEY_RSA_3072,
          .ops = CCZI_OP_BIT(CCZI_OP_SIGN) | CCZI_OP_BIT(CCZI_OP_DECRYPT)},
         CCZ_E_DENIED,
         "kms:key-usage"},
        {{.kind = CCZI_KEY_RSA_3072,
          .ops = CCZI_OP_BIT(CCZI_OP_SIGN) | CCZI_OP_BIT(CCZI_OP_UNWRAP)},
         CCZ_E_DENIED,
         "kms:key-usage"},
        {{.kind = CCZI_KEY_ED25519, .ops = CCZI_OP_BIT(CCZI_OP_PUBLIC)},
         CCZ_E_DENIED,
         "kms:key-usage"},
        {{.kind = CCZI_KEY_AES_256, .expires_s = NOW}, CCZ_E_ARG, "kms:key-expiry"},
        {{.kind = CCZI_KEY_AES_256, .expires_s = -1}, CCZ_E_ARG, "kms:key-expiry"},
        {{.kind = CCZI_KEY_AES_256, .expires_s = INT64_MAX}, CCZ_E_ARG, "kms:key-expiry"},
        {{.kind = CCZI_KEY_AES_256, .expires_s = CCZ_TIME_MAX_S + 1}, CCZ_E_ARG, "kms:key-expiry"},
        {{.kind = CCZI_KEY_AES_256, .rotate_every_s = 3599}, CCZ_E_ARG, "kms:key-period"},
        {{.kind = CCZI_KEY_AES_256, .rotate_every_s = -1}, CCZ_E_ARG, "kms:key-period"},
        {{.kind = CCZI_KEY_AES_256, .rotate_every_s = INT64_MAX}, CCZ_E_ARG, "kms:key-period"},
        {{.kind = CCZI_KEY_AES_256, .rotate_every_s = DAY, .imported = true},
         CCZ_E_DENIED,
         "kms:key-imported"},
    };
    const struct cczi_kms_key_meta zero = {0};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        REFUSED(cczi_kms_key_meta_new(&m, &bad[i].spec, NOW, &err), bad[i].rc, bad[i].where);
        CHECK(same(&m, &zero));
    }
    const struct cczi_kms_key_spec good = {.kind = CCZI_KEY_AES_256};
    REFUSED(cczi_kms_key_meta_new(&m, &good, 0, &err), CCZ_E_ARG, "kms:key-time");
    REFUSED(cczi_kms_key_meta_new(&m, &good, INT64_MAX, &err), CCZ_E_ARG, "kms:key-time");
}

/* One key of each kind: what its kind cannot do, and what it was not made for. */
static void test_usage(void)
{
    for (unsigned k = 1; k < CCZI_KEY_KINDS; k++) {
        uint32_t can = cczi_kms_key_kind_ops(k);
        for (unsigned only = 0; only < CCZI_OPS; only++) {
            struct cczi_kms_key_meta m;
            const struct cczi_kms_key_spec spec = {
                .kind = k, .ops = CCZI_OP_BIT(only), .exportable = true};
            if (!(can & spec.ops) ||
                cczi_kms_key_meta_new(&m, &spec, NOW, NULL) != CCZ_OK) /* export alone */
                continue;
            for (unsigned op = 0; op <= CCZI_OPS; op++) {
                ccz_rc rc = may(&m, op, 1, NOW);
                if (op == only)
                    CHECK(rc == CCZ_OK);
                else if (op < CCZI_OPS && (can & CCZI_OP_BIT(op)))
                    CHECK(is_refused(rc, CCZ_E_DENIED, &err, "kms:key-usage"));
                else
                    CHECK(is_refused(rc, CCZ_E_UNSUPPORTED, &err, "kms:key-op"));
            }
        }
    }
    struct cczi_kms_key_spec spec = {.kind = CCZI_KEY_AES_256_GCM};
    struct cczi_kms_key_meta m = meta(&spec);
    REFUSED(may(&m, CCZI_OP_EXPORT, 1, NOW), CCZ_E_DENIED, "kms:key-export");
    spec.exportable = true;
    m = meta(&spec);
    CHECK(may(&m, CCZI_OP_EXPORT, 1, NOW) == CCZ_OK);
}

/* Changing the state of a key leaves alone what it is for. */
static void test_state_keeps_usage(void)
{
    const uint32_t sign = CCZI_OP_BIT(CCZI_OP_SIGN) | CCZI_OP_BIT(CCZI_OP_VERIFY);
    struct cczi_kms_key_meta m =
        meta(&(struct cczi_kms_key_spec){.kind = CCZI_KEY_RSA_2048, .ops = sign});
    const struct cczi_kms_key_meta before = m;
    cczi_kms_key_set_disabled(&m, true);
    REFUSED(may(&m, CCZI_OP_SIGN, 1, NOW), CCZ_E_DENIED, "kms:key-disabled");
    REFUSED(may(&m, CCZI_OP_VERIFY, 1, NOW), CCZ_E_DENIED, "kms:key-disabled");
    REFUSED(cczi_kms_key_rotate(&m, false, NOW, &err), CCZ_E_DENIED, "kms:key-disabled");
    cczi_kms_key_set_disabled(&m, false);
    CHECK(same(&m, &before));
    CHECK(cczi_kms_key_delete(&m, &(struct cczi_kms_key_deletion){0}, NOW, &err) == CCZ_OK);
    CHECK(cczi_kms_key_undelete(&m, &err) == CCZ_OK && same(&m, &before));
    CHECK(cczi_kms_key_rotate(&m, false, NOW, &err) == CCZ_OK && m.latest == 2);
    CHECK(cczi_kms_key_set_minimum(&m, 2, 2, &err) == CCZ_OK);
    CHECK(cczi_kms_key_set_period(&m, DAY, NOW, &err) == CCZ_OK);
    CHECK(cczi_kms_key_set_expiry(&m, EVER, NOW, &err) == CCZ_OK);
    CHECK(m.ops == sign && m.kind == CCZI_KEY_RSA_2048 && !m.exportable && !m.imported);
    REFUSED(may(&m, CCZI_OP_DECRYPT, 2, NOW), CCZ_E_DENIED, "kms:key-usage");
}

static void test_expiry(void)
{
    static const struct {
        enum cczi_kms_key_kind kind;
        enum cczi_kms_key_op op;
        bool ends;
    } cases[] = {
        {CCZI_KEY_AES_256, CCZI_OP_RELEASE, true},
        {CCZI_KEY_AES_256_GCM, CCZI_OP_ENCRYPT, true},
        {CCZI_KEY_AES_256_GCM, CCZI_OP_DECRYPT, false},
        {CCZI_KEY_AES_256_GCM, CCZI_OP_DATA_KEY, true},
        {CCZI_KEY_AES_256_GCM, CCZI_OP_REWRAP, true},
        {CCZI_KEY_AES_256_GCM, CCZI_OP_WRAP, true},
        {CCZI_KEY_AES_256_GCM, CCZI_OP_UNWRAP, false},
        {CCZI_KEY_AES_256_GCM, CCZI_OP_DERIVE, true},
        {CCZI_KEY_HMAC_SHA256, CCZI_OP_HMAC, true},
        {CCZI_KEY_HMAC_SHA256, CCZI_OP_HMAC_VERIFY, false},
        {CCZI_KEY_ED25519, CCZI_OP_SIGN, true},
        {CCZI_KEY_ED25519, CCZI_OP_VERIFY, false},
        {CCZI_KEY_ED25519, CCZI_OP_PUBLIC, false},
        {CCZI_KEY_ED25519, CCZI_OP_EXPORT, true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        CHECK(cases[i].op == i); /* none left out */
        struct cczi_kms_key_meta m = meta(&(struct cczi_kms_key_spec){
            .kind = cases[i].kind, .exportable = true, .expires_s = NOW + DAY});
        CHECK(may(&m, cases[i].op, 1, NOW + DAY - 1) == CCZ_OK);
        ccz_rc rc = may(&m, cases[i].op, 1, NOW + DAY);
        CHECK(cases[i].ends ? is_refused(rc, CCZ_E_EXPIRED, &err, "kms:key-expired")
                            : rc == CCZ_OK);
        /* it is there as before: expiry deletes nothing, neither then nor ten days before */
        REFUSED(cczi_kms_key_may_destroy(&m, NOW + DAY, &err), CCZ_E_DENIED,
                "kms:key-not-deleting");
        REFUSED(cczi_kms_key_may_destroy(&m, EVER, &err), CCZ_E_DENIED, "kms:key-not-deleting");
        REFUSED(cczi_kms_key_rotate(&m, false, NOW + DAY, &err), CCZ_E_EXPIRED, "kms:key-expired");
        CHECK(cczi_kms_key_set_expiry(&m, NOW + 2 * DAY, NOW + DAY, &err) == CCZ_OK);
        CHECK(may(&m, cases[i].op, 1, NOW + DAY) == CCZ_OK);
        REFUSED(cczi_kms_key_set_expiry(&m, NOW + DAY, NOW + DAY, &err), CCZ_E_ARG,
                "kms:key-expiry");
        CHECK(m.expires_s == NOW + 2 * DAY);
        CHECK(cczi_kms_key_set_expiry(&m, 0, NOW, &err) == CCZ_OK);
        CHECK(may(&m, cases[i].op, 1, EVER) == CCZ_OK);
    }
}

static void test_versions(void)
{
    struct cczi_kms_key_meta m = rotated(5);
    CHECK(cczi_kms_key_version(&m, 0) == 5 && cczi_kms_key_version(&m, 3) == 3);
    for (uint32_t v = 1; v <= 4; v++) { /* old ones read, the latest alone makes */
        CHECK(may(&m, CCZI_OP_DECRYPT, v, NOW) == CCZ_OK);
        CHECK(may(&m, CCZI_OP_REWRAP, v, NOW) == CCZ_OK);
        REFUSED(may(&m, CCZI_OP_ENCRYPT, v, NOW), CCZ_E_DENIED, "kms:key-version-old");
        REFUSED(may(&m, CCZI_OP_DATA_KEY, v, NOW), CCZ_E_DENIED, "kms:key-version-old");
        REFUSED(may(&m, CCZI_OP_WRAP, v, NOW), CCZ_E_DENIED, "kms:key-version-old");
    }
    CHECK(may(&m, CCZI_OP_ENCRYPT, 5, NOW) == CCZ_OK);
    REFUSED(may(&m, CCZI_OP_DECRYPT, 0, NOW), CCZ_E_NOT_FOUND, "kms:key-version");
    REFUSED(may(&m, CCZI_OP_DECRYPT, 6, NOW), CCZ_E_NOT_FOUND, "kms:key-version");
    REFUSED(may(&m, CCZI_OP_ENCRYPT, UINT32_MAX, NOW), CCZ_E_NOT_FOUND, "kms:key-version");
    CHECK(cczi_kms_key_set_minimum(&m, 3, 4, &err) == CCZ_OK);
    REFUSED(may(&m, CCZI_OP_DECRYPT, 2, NOW), CCZ_E_DENIED, "kms:key-version-old");
    REFUSED(may(&m, CCZI_OP_REWRAP, 2, NOW), CCZ_E_DENIED, "kms:key-version-old");
    REFUSED(may(&m, CCZI_OP_UNWRAP, 2, NOW), CCZ_E_DENIED, "kms:key-version-old");
    REFUSED(may(&m, CCZI_OP_DERIVE, 2, NOW), CCZ_E_DENIED, "kms:key-version-old");
    CHECK(may(&m, CCZI_OP_DECRYPT, 3, NOW) == CCZ_OK);
    REFUSED(may(&m, CCZI_OP_ENCRYPT, 3, NOW), CCZ_E_DENIED, "kms:key-version-old");
    CHECK(may(&m, CCZI_OP_ENCRYPT, 4, NOW) == CCZ_OK);
    static const uint32_t bad[][2] = {{0, 0}, {6, 0}, {3, 2}, {3, 6}, {6, 6}, {0, 1}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        REFUSED(cczi_kms_key_set_minimum(&m, bad[i][0], bad[i][1], &err), CCZ_E_ARG,
                "kms:key-minimum");
        CHECK(m.min_decrypt == 3 && m.min_encrypt == 4);
    }
    for (unsigned op = CCZI_OP_ENCRYPT; op <= CCZI_OP_DECRYPT; op++) {
        REFUSED(cczi_kms_key_may(&m, op, 5, CCZI_VERSION_DISABLED, NOW, &err), CCZ_E_DENIED,
                "kms:key-version-disabled");
        REFUSED(cczi_kms_key_may(&m, op, 5, CCZI_VERSION_GONE, NOW, &err), CCZ_E_DENIED,
                "kms:key-version-gone");
        REFUSED(cczi_kms_key_may(&m, op, 5, 7, NOW, &err), CCZ_E_DENIED, "kms:key-version-gone");
    }
}

static void test_rotate(void)
{
    struct cczi_kms_key_meta m =
        meta(&(struct cczi_kms_key_spec){.kind = CCZI_KEY_AES_256_GCM, .rotate_every_s = 30 * DAY});
    CHECK(m.next_rotation_s == NOW + 30 * DAY);
    CHECK(!cczi_kms_key_rotation_due(&m, NOW + 30 * DAY - 1));
    CHECK(cczi_kms_key_rotation_due(&m, NOW + 30 * DAY));
    struct cczi_kms_key_meta off =
        m; /* what could not be rotated is not due, so that nobody tries for ever */
    cczi_kms_key_set_disabled(&off, true);
    CHECK(!cczi_kms_key_rotation_due(&off, NOW + 30 * DAY));
    off = m;
    CHECK(cczi_kms_key_delete(&off, &(struct cczi_kms_key_deletion){0}, NOW, &err) == CCZ_OK);
    CHECK(!cczi_kms_key_rotation_due(&off, NOW + 30 * DAY));
    REFUSED(cczi_kms_key_rotate(&off, false, NOW, &err), CCZ_E_DENIED, "kms:key-deleting");
    off = m;
    CHECK(cczi_kms_key_set_expiry(&off, NOW + 30 * DAY, NOW, &err) == CCZ_OK);
    CHECK(!cczi_kms_key_rotation_due(&off, NOW + 30 * DAY));
    CHECK(cczi_kms_key_rotate(&m, false, NOW + 31 * DAY, &err) == CCZ_OK);
    CHECK(m.latest == 2 && m.next_rotation_s == NOW + 61 * DAY && m.min_decrypt == 1);
    CHECK(!cczi_kms_key_rotation_due(&m, NOW + 60 * DAY));
    CHECK(cczi_kms_key_set_period(&m, 0, NOW, &err) == CCZ_OK && m.next_rotation_s == 0);
    CHECK(!cczi_kms_key_rotation_due(&m, EVER));
    REFUSED(cczi_kms_key_set_period(&m, 60, NOW, &err), CCZ_E_ARG, "kms:key-period");
    REFUSED(cczi_kms_key_set_period(&m, DAY, INT64_MAX, &err), CCZ_E_ARG, "kms:key-time");
    REFUSED(cczi_kms_key_rotate(&m, true, NOW, &err), CCZ_E_DENIED, "kms:key-imported");
    REFUSED(cczi_kms_key_rotate(&m, false, INT64_MAX, &err), CCZ_E_ARG, "kms:key-time");
    CHECK(m.latest == 2 && m.rotate_every_s == 0);
    m = rotated(CCZ_KMS_VERSIONS_MAX);
    CHECK(cczi_kms_key_set_period(&m, DAY, NOW, &err) == CCZ_OK);
    REFUSED(cczi_kms_key_rotate(&m, false, NOW, &err), CCZ_E_LIMIT, "kms:key-versions");
    CHECK(m.latest == CCZ_KMS_VERSIONS_MAX && !cczi_kms_key_rotation_due(&m, EVER));
    m = meta(&(struct cczi_kms_key_spec){.kind = CCZI_KEY_AES_256_GCM, .imported = true});
    REFUSED(cczi_kms_key_rotate(&m, false, NOW, &err), CCZ_E_DENIED, "kms:key-imported");
    REFUSED(cczi_kms_key_set_period(&m, DAY, NOW, &err), CCZ_E_DENIED, "kms:key-imported");
    CHECK(cczi_kms_key_rotate(&m, true, NOW, &err) == CCZ_OK && m.latest == 2);
}

static void test_delete(void)
{
    struct cczi_kms_key_meta m = rotated(2);
    const struct cczi_kms_key_meta before = m;
    struct cczi_kms_key_deletion how = {0};
    REFUSED(cczi_kms_key_may_destroy(&m, EVER, &err), CCZ_E_DENIED, "kms:key-not-deleting");
    REFUSED(cczi_kms_key_undelete(&m, &err), CCZ_E_DENIED, "kms:key-not-deleting");
    CHECK(cczi_kms_key_delete(&m, &how, NOW, &err) == CCZ_OK);
    CHECK(m.deletion_s == NOW + 7 * DAY);
    for (unsigned op = 0; op < CCZI_OPS; op++) { /* it does nothing, not even what reads */
        if (op != CCZI_OP_EXPORT && (m.ops & CCZI_OP_BIT(op)))
            REFUSED(may(&m, op, 2, NOW), CCZ_E_DENIED, "kms:key-deleting");
    }
    REFUSED(cczi_kms_key_may_destroy(&m, NOW + 7 * DAY - 1, &err), CCZ_E_DENIED, "kms:key-early");
    REFUSED(cczi_kms_key_may_destroy(&m, 0, &err), CCZ_E_DENIED, "kms:key-early");
    CHECK(cczi_kms_key_may_destroy(&m, NOW + 7 * DAY, &err) == CCZ_OK);
    how.after_s = DAY; /* neither sooner nor later by calling again */
    REFUSED(cczi_kms_key_delete(&m, &how, NOW, &err), CCZ_E_DENIED, "kms:key-deleting");
    how = (struct cczi_kms_key_deletion){.at_once_insecure = true};
    REFUSED(cczi_kms_key_delete(&m, &how, NOW, &err), CCZ_E_DENIED, "kms:key-deleting");
    CHECK(m.deletion_s == NOW + 7 * DAY);
    CHECK(cczi_kms_key_undelete(&m, &err) == CCZ_OK && same(&m, &before));
    CHECK(may(&m, CCZI_OP_DECRYPT, 1, NOW) == CCZ_OK);
    static const struct cczi_kms_key_deletion bad[] = {
        {.after_s = 1},         {.after_s = DAY - 1},
        {.after_s = -1},        {.after_s = 365 * DAY + 1},
        {.after_s = INT64_MAX}, {.after_s = DAY, .at_once_insecure = true}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        REFUSED(cczi_kms_key_delete(&m, &bad[i], NOW, &err), CCZ_E_ARG, "kms:key-window");
        CHECK(m.deletion_s == 0);
    }
    REFUSED(cczi_kms_key_delete(&m, &how, INT64_MAX, &err), CCZ_E_ARG, "kms:key-time");
    CHECK(cczi_kms_key_delete(&m, &how, NOW, &err) == CCZ_OK && m.deletion_s == NOW);
    CHECK(cczi_kms_key_may_destroy(&m, NOW, &err) == CCZ_OK);
}

/* ------------------------------------------------------------------------ the stored form */

static void test_encoding(void)
{
    struct cczi_kms_key_meta m = meta(&(struct cczi_kms_key_spec){.kind = CCZI_KEY_AES_256_GCM,
                                                                  .exportable = true,
                                                                  .unattested_insecure = true,
                                                                  .expires_s = EVER,
                                                                  .rotate_every_s = DAY});
    CHECK(cczi_kms_key_rotate(&m, false, NOW, &err) == CCZ_OK);
    CHECK(cczi_kms_key_set_minimum(&m, 2, 2, &err) == CCZ_OK);
    CHECK(cczi_kms_key_delete(&m, &(struct cczi_kms_key_deletion){0}, NOW, &err) == CCZ_OK);
    cczi_kms_key_set_disabled(&m, true);
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, CCZI_KMS_KEY_META_SIZE + 1);
    cczi_kms_key_meta_put(&out, &m);
    CHECK(out.size == CCZI_KMS_KEY_META_SIZE);
    struct cczi_kms_key_meta back;
    CHECK(cczi_kms_key_meta_get(&back, ccz_buf_span(&out), &err) == CCZ_OK && same(&back, &m));
    const struct cczi_kms_key_meta zero = {0};
    for (size_t cut = 0; cut < out.size; cut++) {
        REFUSED(cczi_kms_key_meta_get(&back, CCZ_SPAN(out.ptr, cut), &err), CCZ_E_FORMAT,
                "kms:key-meta");
        CHECK(same(&back, &zero));
    }
    ccz_buf_u8(&out, 0);
    REFUSED(cczi_kms_key_meta_get(&back, ccz_buf_span(&out), &err), CCZ_E_FORMAT, "kms:key-meta");
    /* what no function would make: offset, new byte */
    static const uint8_t wrong[][2] = {{0, 2},     {1, 0},    {1, 13}, {2, 16}, {3, 1},
                                       {4, 0},     {7, 0x80}, {8, 0},  {8, 1},  {11, 1},
                                       {12, 0},    {12, 3},   {16, 1}, {16, 3}, {27, 0x80},
                                       {35, 0x80}, {43, 1},   {48, 1}, {51, 1}, {59, 1}};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        uint8_t copy[CCZI_KMS_KEY_META_SIZE];
        memcpy(copy, out.ptr, sizeof(copy));
        CHECK(copy[wrong[i][0]] != wrong[i][1]);
        copy[wrong[i][0]] = wrong[i][1];
        if (wrong[i][0] == 4) /* ops: nothing but export is left */
            copy[5] &= 0x20;
        REFUSED(cczi_kms_key_meta_get(&back, CCZ_SPAN(copy, sizeof(copy)), &err), CCZ_E_FORMAT,
                "kms:key-meta");
    }
    struct cczi_kms_key_meta half = m; /* a period without a date, and the other way round */
    half.next_rotation_s = 0;
    ccz_buf_clear(&out);
    cczi_kms_key_meta_put(&out, &half);
    REFUSED(cczi_kms_key_meta_get(&back, ccz_buf_span(&out), &err), CCZ_E_FORMAT, "kms:key-meta");
    half = m;
    half.imported = true; /* and a period */
    ccz_buf_clear(&out);
    cczi_kms_key_meta_put(&out, &half);
    REFUSED(cczi_kms_key_meta_get(&back, ccz_buf_span(&out), &err), CCZ_E_FORMAT, "kms:key-meta");
    /* an RSA key that signs and decrypts */
    half = meta(
        &(struct cczi_kms_key_spec){.kind = CCZI_KEY_RSA_2048, .ops = CCZI_OP_BIT(CCZI_OP_SIGN)});
    half.ops |= CCZI_OP_BIT(CCZI_OP_DECRYPT);
    ccz_buf_clear(&out);
    cczi_kms_key_meta_put(&out, &half);
    REFUSED(cczi_kms_key_meta_get(&back, ccz_buf_span(&out), &err), CCZ_E_FORMAT, "kms:key-meta");
}

static const struct ccz_test tests[] = {
    {"kms.key_meta_new", test_new},
    {"kms.key_meta_usage", test_usage},
    {"kms.key_meta_state_keeps_usage", test_state_keeps_usage},
    {"kms.key_meta_expiry", test_expiry},
    {"kms.key_meta_versions", test_versions},
    {"kms.key_meta_rotate", test_rotate},
    {"kms.key_meta_delete", test_delete},
    {"kms.key_meta_encoding", test_encoding},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
