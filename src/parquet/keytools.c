/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Data keys and who wraps them.
 *
 * Double wrapping: a data key under a KEK by AES-GCM with the KEK's identity (16 random bytes) as AAD; the KEK under the
 * master key by the KMS. The KEKs of both directions are remembered, so that a KMS is asked once per master key (writing) and once per
 * KEK (reading). A remembered KEK is found by everything that was said of it, the wrapped KEK included: its identity alone is not authentic.
 */
#define _POSIX_C_SOURCE 200809L /* strdup */
#include "parquet/crypt_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEK_ID_SIZE = 16, KEKS_MAX = 256 };

struct kek {
    struct ccz_secret *key;
    char *master_key, *id; /* id: Base64 */
    struct ccz_buf wrapped;
    bool made_here;
    uint64_t used; /* made here: data keys wrapped */
};

struct ccz_pq_keytools {
    struct ccz_pq_kms kms;
    bool single_wrapping;
    size_t key_size;
    char *instance_id, *instance_url;
    pthread_mutex_t lock; /* of what follows, and of calls to the KMS */
    struct kek keks[KEKS_MAX];
    size_t keks_len, next; /* the oldest one goes */
};

static void kek_deinit(struct kek *k)
{
    ccz_secret_free(k->key);
    free(k->master_key);
    free(k->id);
    ccz_buf_free(&k->wrapped);
    *k = (struct kek){0};
}

static void forget(struct ccz_pq_keytools *k)
{
    for (size_t i = 0; i < k->keks_len; i++)
        kek_deinit(&k->keks[i]);
    k->keks_len = k->next = 0;
}

void ccz_pq_keytools_forget(struct ccz_pq_keytools *k)
{
    pthread_mutex_lock(&k->lock);
    forget(k);
    pthread_mutex_unlock(&k->lock);
}

void ccz_pq_keytools_free(struct ccz_pq_keytools *k)
{
    if (!k)
        return;
    forget(k);
    free(k->instance_id);
    free(k->instance_url);
    pthread_mutex_destroy(&k->lock);
    free(k);
}

ccz_rc ccz_pq_keytools_new(struct ccz_pq_keytools **out, const struct ccz_pq_keytools_cfg *cfg,
                           struct ccz_err *err)
{
    *out = NULL;
    size_t size = cfg->key_size ? cfg->key_size : 32;
    if (!cczi_pq_is_key_size(size))
        return ccz_refuse_num(err, CCZ_E_ARG, "parquet:key-size", (int64_t)size, 32);
    if (!cfg->kms.unwrap)
        return ccz_fail(err, CCZ_E_ARG, "parquet:keytools", 0, "kms.unwrap is missing");
    struct ccz_pq_keytools *k = calloc(1, sizeof(*k));
    if (!k || pthread_mutex_init(&k->lock, NULL) != 0) {
        free(k);
        return ccz_fail(err, CCZ_E_NOMEM, "parquet:keytools", 0, "out of memory");
    }
    k->kms = cfg->kms;
    k->single_wrapping = cfg->single_wrapping;
    k->key_size = size;
    k->instance_id = strdup(cfg->instance_id ? cfg->instance_id : "DEFAULT");
    k->instance_url = strdup(cfg->instance_url ? cfg->instance_url : "DEFAULT");
    if (!k->instance_id || !k->instance_url) {
        ccz_pq_keytools_free(k);
        return ccz_fail(err, CCZ_E_NOMEM, "parquet:keytools", 0, "out of memory");
    }
    *out = k;
    return CCZ_OK;
}

static ccz_rc nomem(struct ccz_err *err, ccz_rc rc)
{
    return ccz_fail(err, rc, "parquet:keytools", 0, "a key cannot be made or read");
}

/* ------------------------------------------------------------------------------------------ KEKs */

/* Moves `from` in; it is empty afterwards. */
static struct kek *remember(struct ccz_pq_keytools *k, struct kek *from)
{
    struct kek *to = &k->keks[k->next];
    kek_deinit(to);
    *to = *from;
    *from = (struct kek){0};
    k->next = (k->next + 1) % KEKS_MAX;
    k->keks_len += k->keks_len < KEKS_MAX;
    return to;
}

static struct kek *find_made(struct ccz_pq_keytools *k, const char *master_key)
{
    for (size_t i = 0; i < k->keks_len; i++) {
        struct kek *e = &k->keks[i];
        if (e->made_here && e->used < CCZ_PQ_INVOCATIONS_MAX &&
            strcmp(e->master_key, master_key) == 0)
            return e;
    }
    return NULL;
}

static struct kek *find_read(struct ccz_pq_keytools *k, const struct ccz_pq_key_material *m)
{
    for (size_t i = 0; i < k->keks_len; i++) {
        struct kek *e = &k->keks[i];
        if (strcmp(e->id, m->kek_id) == 0 && strcmp(e->master_key, m->master_key) == 0 &&
            ccz_span_eq(ccz_buf_span(&e->wrapped), m->wrapped_kek))
            return e;
    }
    return NULL;
}

/* The KMS's answer, checked. */
static ccz_rc unwrap(struct ccz_secret **out, struct ccz_pq_keytools *k, struct ccz_span wrapped,
                     const char *master_key, struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = k->kms.unwrap(out, k->kms.arg, wrapped, master_key, err);
    if (rc != CCZ_OK)
        return rc;
    if (*out && cczi_pq_is_key_size(ccz_secret_size(*out)))
        return CCZ_OK;
    ccz_secret_free(*out);
    *out = NULL;
    return ccz_fail(err, CCZ_E_PEER, "parquet:key-size", 0,
                    "the KMS gave a key that has not 16, 24 or 32 bytes");
}

static ccz_rc wrap(struct ccz_buf *out, struct ccz_pq_keytools *k, const struct ccz_secret *key,
                   const char *master_key, struct ccz_err *err)
{
    if (!k->kms.wrap)
        return ccz_fail(err, CCZ_E_ARG, "parquet:keytools", 0, "kms.wrap is missing");
    ccz_rc rc = k->kms.wrap(out, k->kms.arg, key, master_key, err);
    if (rc != CCZ_OK)
        return rc;
    return out->bad || !out->size ? ccz_fail(err, CCZ_E_PEER, "parquet:wrapped-key", 0,
                                             "the KMS's wrapped key is empty or too long")
                                  : CCZ_OK;
}

static ccz_rc random_key(struct ccz_secret **out, size_t size)
{
    CCZ_AUTO(ccz_secret) key = NULL;
    *out = NULL;
    ccz_rc rc = ccz_secret_new(&key, size);
    if (rc == CCZ_OK)
        rc = ccz_random(ccz_secret_bytes(key), size);
    if (rc == CCZ_OK)
        *out = ccz_secret_take(&key);
    return rc;
}

/* A random identity in Base64, NUL-terminated. */
static char *new_id(void)
{
    uint8_t id[KEK_ID_SIZE];
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, 64);
    if (ccz_random(id, sizeof(id)) != CCZ_OK)
        return NULL;
    ccz_base64_put(&text, CCZ_SPAN(id, sizeof(id)), CCZ_BASE64_STD);
    return text.bad ? NULL : strdup(ccz_buf_str(&text));
}

static ccz_rc kek_to_write(struct kek **out, struct ccz_pq_keytools *k, const char *master_key,
                           struct ccz_err *err)
{
    *out = find_made(k, master_key);
    if (*out)
        return CCZ_OK;
    struct kek fresh = {.made_here = true};
    ccz_buf_init(&fresh.wrapped, CCZ_PQ_WRAPPED_SIZE_MAX);
    ccz_rc rc = random_key(&fresh.key, k->key_size);
    fresh.master_key = strdup(master_key);
    fresh.id = new_id();
    if (rc == CCZ_OK && (!fresh.master_key || !fresh.id))
        rc = CCZ_E_NOMEM;
    rc = rc == CCZ_OK ? wrap(&fresh.wrapped, k, fresh.key, master_key, err) : nomem(err, rc);
    if (rc == CCZ_OK)
        *out = remember(k, &fresh);
    kek_deinit(&fresh);
    return rc;
}

static ccz_rc kek_to_read(struct kek **out, struct ccz_pq_keytools *k,
                          const struct ccz_pq_key_material *m, struct ccz_err *err)
{
    *out = find_read(k, m);
    if (*out)
        return CCZ_OK;
    struct kek fresh = {0};
    ccz_buf_init(&fresh.wrapped, CCZ_PQ_WRAPPED_SIZE_MAX);
    ccz_buf_put_span(&fresh.wrapped, m->wrapped_kek);
    fresh.master_key = strdup(m->master_key);
    fresh.id = strdup(m->kek_id);
    ccz_rc rc = fresh.wrapped.bad || !fresh.master_key || !fresh.id
                    ? nomem(err, CCZ_E_NOMEM)
                    : unwrap(&fresh.key, k, m->wrapped_kek, m->master_key, err);
    if (rc == CCZ_OK)
        *out = remember(k, &fresh);
    kek_deinit(&fresh);
    return rc;
}

/* ------------------------------------------------------------------------------------- data keys */

static ccz_rc kek_aad(struct ccz_buf *out, const char *id)
{
    return ccz_base64_get(out, ccz_span_str(id), CCZ_BASE64_STD, NULL);
}

static ccz_rc wrap_double(struct ccz_buf *out, struct kek *kek, const struct ccz_secret *key)
{
    CCZ_AUTO_BUF aad, bytes;
    ccz_buf_init(&aad, KEK_ID_SIZE);
    ccz_buf_init(&bytes, 256);
    ccz_rc rc = kek_aad(&aad, kek->id);
    kek->used++;
    if (rc == CCZ_OK)
        rc = cczi_pq_wrap(&bytes, kek->key, ccz_buf_span(&aad), key);
    if (rc == CCZ_OK)
        ccz_base64_put(out, ccz_buf_span(&bytes), CCZ_BASE64_STD);
    return rc == CCZ_OK && out->bad ? CCZ_E_NOMEM : rc;
}

static ccz_rc make_locked(struct ccz_pq_key_material *m, struct ccz_buf *wrapped,
                          struct ccz_pq_keytools *k, const struct ccz_secret *key,
                          struct ccz_err *err)
{
    if (k->single_wrapping)
        return wrap(wrapped, k, key, m->master_key, err);
    struct kek *kek;
    ccz_rc rc = kek_to_write(&kek, k, m->master_key, err);
    if (rc != CCZ_OK)
        return rc;
    m->double_wrapped = true;
    m->kek_id = kek->id;
    m->wrapped_kek = ccz_buf_span(&kek->wrapped);
    rc = wrap_double(wrapped, kek, key);
    return rc == CCZ_OK ? rc : nomem(err, rc);
}

ccz_rc cczi_pq_keytools_make(struct ccz_secret **key, struct ccz_buf *metadata,
                             struct ccz_pq_keytools *k, const char *master_key, bool is_footer,
                             struct ccz_err *err)
{
    *key = NULL;
    CCZ_AUTO(ccz_secret) fresh = NULL;
    CCZ_AUTO_BUF wrapped;
    ccz_buf_init(&wrapped, CCZ_PQ_WRAPPED_SIZE_MAX);
    struct ccz_pq_key_material m = {.is_footer = is_footer,
                                    .instance_id = k->instance_id,
                                    .instance_url = k->instance_url,
                                    .master_key = master_key};
    ccz_rc rc = random_key(&fresh, k->key_size);
    if (rc != CCZ_OK)
        return nomem(err, rc);
    pthread_mutex_lock(&k->lock); /* m borrows from a KEK until it is written down */
    rc = make_locked(&m, &wrapped, k, fresh, err);
    if (rc == CCZ_OK) {
        m.wrapped = ccz_buf_span(&wrapped);
        cczi_pq_material_put(metadata, &m);
    }
    pthread_mutex_unlock(&k->lock);
    if (rc == CCZ_OK && metadata->bad)
        rc = nomem(err, CCZ_E_NOMEM);
    if (rc == CCZ_OK)
        *key = ccz_secret_take(&fresh);
    return rc;
}

static ccz_rc unwrap_double(struct ccz_secret **key, const struct kek *kek,
                            const struct ccz_pq_key_material *m, struct ccz_err *err)
{
    CCZ_AUTO_BUF aad, bytes;
    ccz_buf_init(&aad, CCZ_PQ_MASTER_KEY_SIZE_MAX);
    ccz_buf_init(&bytes, CCZ_PQ_WRAPPED_SIZE_MAX);
    if (kek_aad(&aad, m->kek_id) != CCZ_OK ||
        ccz_base64_get(&bytes, m->wrapped, CCZ_BASE64_STD, NULL) != CCZ_OK)
        return ccz_fail(err, CCZ_E_FORMAT, "parquet:key-material", 0,
                        "keyEncryptionKeyID or wrappedDEK is no Base64");
    ccz_rc rc = cczi_pq_unwrap(key, kek->key, ccz_buf_span(&aad), ccz_buf_span(&bytes));
    if (rc == CCZ_E_SIG)
        return ccz_fail(err, rc, "parquet:wrapped-key", 0,
                        "the data key does not unwrap: changed, or another key encryption key");
    return rc == CCZ_OK ? rc : nomem(err, rc);
}

ccz_rc cczi_pq_keytools_get(struct ccz_secret **key, struct ccz_pq_keytools *k,
                            const struct ccz_pq_key_material *m, struct ccz_err *err)
{
    *key = NULL;
    pthread_mutex_lock(&k->lock);
    struct kek *kek;
    ccz_rc rc;
    if (!m->double_wrapped) {
        rc = unwrap(key, k, m->wrapped, m->master_key, err);
    } else {
        rc = kek_to_read(&kek, k, m, err);
        if (rc == CCZ_OK)
            rc = unwrap_double(key, kek, m, err);
    }
    pthread_mutex_unlock(&k->lock);
    return rc;
}

/* ------------------------------------------------------------------------------ keys at hand, as a KMS */

static ccz_rc local_key(const struct ccz_secret **out, void *arg, const char *name,
                        struct ccz_err *err)
{
    const struct ccz_pq_master_keys *keys = arg;
    for (size_t i = 0; i < keys->len; i++) {
        if (strcmp(keys->keys[i].name, name) == 0) {
            *out = keys->keys[i].key;
            return cczi_pq_check_key(*out, err);
        }
    }
    char shown[96];
    ccz_escape(shown, sizeof(shown), ccz_span_str(name));
    return ccz_fail(err, CCZ_E_NOT_FOUND, "parquet:master-key", 0, "no master key \"%s\" at hand",
                    shown);
}

static ccz_rc local_unwrap(struct ccz_secret **out, void *arg, struct ccz_span wrapped,
                           const char *name, struct ccz_err *err)
{
    const struct ccz_secret *master = NULL;
    CCZ_AUTO_BUF bytes;
    ccz_buf_init(&bytes, CCZ_PQ_WRAPPED_SIZE_MAX);
    ccz_rc rc = local_key(&master, arg, name, err);
    if (rc != CCZ_OK)
        return rc;
    rc = ccz_base64_get(&bytes, wrapped, CCZ_BASE64_STD, NULL) == CCZ_OK
             ? cczi_pq_unwrap(out, master, ccz_span_str(name), ccz_buf_span(&bytes))
             : CCZ_E_SIG;
    if (rc == CCZ_E_SIG)
        return ccz_fail(err, rc, "parquet:wrapped-key", 0,
                        "a key does not unwrap: changed, or another master key");
    return rc == CCZ_OK ? rc : nomem(err, rc);
}

static ccz_rc local_wrap(struct ccz_buf *out, void *arg, const struct ccz_secret *key,
                         const char *name, struct ccz_err *err)
{
    const struct ccz_secret *master = NULL;
    CCZ_AUTO_BUF bytes;
    ccz_buf_init(&bytes, 256);
    ccz_rc rc = local_key(&master, arg, name, err);
    if (rc != CCZ_OK)
        return rc;
    rc = cczi_pq_wrap(&bytes, master, ccz_span_str(name), key);
    if (rc != CCZ_OK)
        return nomem(err, rc);
    ccz_base64_put(out, ccz_buf_span(&bytes), CCZ_BASE64_STD);
    return CCZ_OK;
}

struct ccz_pq_kms ccz_pq_local_kms(const struct ccz_pq_master_keys *keys)
{
    return (struct ccz_pq_kms){
        .unwrap = local_unwrap, .wrap = local_wrap, .arg = (void *)(uintptr_t)keys};
}
