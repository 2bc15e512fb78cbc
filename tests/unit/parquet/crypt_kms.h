/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_TEST_CRYPT_KMS_H
#define CCZ_TEST_CRYPT_KMS_H
/* Keys, places and a KMS for the tests of Modular Encryption. */
#include "parquet/crypt_priv.h"

#include "ccz_test.h"

static inline struct ccz_secret *key_from(int seed, size_t size)
{
    uint8_t bytes[32];
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(seed * 37 + (int)i);
    struct ccz_secret *s = NULL;
    CHECK(ccz_secret_from(&s, bytes, size) == CCZ_OK);
    return s;
}

static const size_t key_sizes[] = {16, 24, 32};

static inline struct cczi_pq_at at_of(int module, int row_group, int column, int page)
{
    return (struct cczi_pq_at){.module = (enum cczi_pq_module)module,
                               .row_group = row_group,
                               .column = column,
                               .page = page,
                               .key = {.kind = CCZ_PQ_KEY_FOOTER, .path = "rating"}};
}

/* A KMS that counts and can refuse. */
struct kms {
    struct ccz_pq_master_key keys[3];
    struct ccz_pq_master_keys list;
    struct ccz_pq_kms local;
    int wraps, unwraps;
    const char *refuses; /* this master key is revoked */
    bool odd;            /* answers with a key of 20 bytes */
};

static inline ccz_rc kms_unwrap(struct ccz_secret **out, void *arg, struct ccz_span wrapped,
                                const char *name, struct ccz_err *err)
{
    struct kms *k = arg;
    k->unwraps++;
    if (k->refuses && strcmp(k->refuses, name) == 0)
        return ccz_fail(err, CCZ_E_DENIED, "kms:revoked", 0, "revoked");
    if (k->odd)
        return ccz_secret_new(out, 20);
    return k->local.unwrap(out, k->local.arg, wrapped, name, err);
}

static inline ccz_rc kms_wrap(struct ccz_buf *out, void *arg, const struct ccz_secret *key,
                              const char *name, struct ccz_err *err)
{
    struct kms *k = arg;
    k->wraps++;
    if (k->refuses && strcmp(k->refuses, name) == 0)
        return ccz_fail(err, CCZ_E_DENIED, "kms:revoked", 0, "revoked");
    if (k->odd)
        return CCZ_OK; /* and writes nothing */
    return k->local.wrap(out, k->local.arg, key, name, err);
}

static inline struct kms *kms_new(void)
{
    struct kms *k = calloc(1, sizeof(*k));
    CHECK(k);
    static const char *const names[] = {"kf", "k1", "k2"};
    for (int i = 0; i < 3; i++)
        k->keys[i] = (struct ccz_pq_master_key){names[i], key_from(50 + i, key_sizes[i])};
    k->list = (struct ccz_pq_master_keys){k->keys, 3};
    k->local = ccz_pq_local_kms(&k->list);
    return k;
}

static inline void kms_free(struct kms *k)
{
    for (int i = 0; i < 3; i++)
        ccz_secret_free((struct ccz_secret *)(uintptr_t)k->keys[i].key);
    free(k);
}

static inline struct ccz_pq_keytools *tools_of(struct kms *k, bool single_wrapping, size_t key_size)
{
    struct ccz_pq_keytools *t = NULL;
    struct ccz_pq_keytools_cfg cfg = {
        .kms = {kms_unwrap, kms_wrap, k}, .single_wrapping = single_wrapping, .key_size = key_size};
    CHECK(ccz_pq_keytools_new(&t, &cfg, NULL) == CCZ_OK);
    return t;
}

#endif
