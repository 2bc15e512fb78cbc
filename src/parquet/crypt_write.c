/* SPDX-License-Identifier: Apache-2.0 */
/* Encrypting: which key a column has, counted encryptions, nonces by the generator alone. */
#define _POSIX_C_SOURCE 200809L /* strdup */
#include "parquet/crypt_priv.h"

#include <stdlib.h>
#include <string.h>

static ccz_rc check_keys(const struct ccz_pq_encrypt_cfg *cfg, struct ccz_err *err)
{
    if (!cfg->footer.key && !cfg->footer.master_key)
        return ccz_fail(err, CCZ_E_ARG, "parquet:key", 0, "none for the footer");
    bool names = cfg->footer.master_key != NULL;
    for (size_t i = 0; i < cfg->columns_len; i++)
        names = names || cfg->columns[i].master_key;
    if (names && !cfg->keytools)
        return ccz_fail(err, CCZ_E_ARG, "parquet:key", 0, "a master key without keytools");
    if (cfg->aad_prefix_apart && !cfg->aad_prefix.size)
        return ccz_fail(err, CCZ_E_ARG, "parquet:aad-prefix", 0,
                        "is to be kept apart and is empty");
    if (cfg->algorithm != CCZ_PQ_AES_GCM_V1 && cfg->algorithm != CCZ_PQ_AES_GCM_CTR_V1)
        return ccz_fail(err, CCZ_E_ARG, "parquet:algorithm", cfg->algorithm, "no such algorithm");
    if (cfg->invocations_max > CCZ_PQ_INVOCATIONS_MAX)
        return ccz_fail(err, CCZ_E_ARG, "parquet:invocations", (int64_t)cfg->invocations_max,
                        "random nonces allow 2^32 encryptions under one key");
    return CCZ_OK;
}

ccz_rc ccz_pq_encrypt_new(struct ccz_pq_crypt **out, const struct ccz_pq_encrypt_cfg *cfg,
                          struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = check_keys(cfg, err);
    if (rc != CCZ_OK)
        return rc;
    struct cczi_pq_crypt *c = calloc(1, sizeof(*c));
    if (!c)
        return ccz_fail(err, CCZ_E_NOMEM, "parquet:crypt", 0, "out of memory");
    c->hook = cczi_pq_write_hook;
    c->hook.arg = c;
    rc = cczi_pq_crypt_init(c, &cfg->footer, cfg->columns, cfg->columns_len, cfg->aad_prefix, err);
    if (rc != CCZ_OK) {
        ccz_pq_crypt_free(&c->hook);
        return rc;
    }
    c->keytools = cfg->keytools;
    c->algorithm = cfg->algorithm;
    c->plain_footer = cfg->plain_footer;
    c->others_plain = cfg->others_plain_insecure;
    c->aad_prefix_apart = cfg->aad_prefix_apart;
    c->invocations_max = cfg->invocations_max ? cfg->invocations_max : CCZ_PQ_INVOCATIONS_MAX;
    *out = &c->hook;
    return CCZ_OK;
}

/* ----------------------------------------------------------------------------------------- files */

static ccz_rc slot_key(struct cczi_pq_slot *s, struct cczi_pq_file *f,
                       const struct cczi_pq_given *g, bool is_footer, struct ccz_err *err)
{
    s->given = g;
    if (g->master_key)
        return cczi_pq_keytools_make(&s->key, &s->metadata, f->crypt->keytools, g->master_key,
                                     is_footer, err);
    ccz_buf_put_span(&s->metadata, ccz_buf_span(&g->metadata));
    return s->metadata.bad ? ccz_fail(err, CCZ_E_NOMEM, "parquet:crypt", 0, "out of memory")
                           : CCZ_OK;
}

/* Prefix and a random name make up the AAD that all modules of this file share. */
static ccz_rc make_aad(struct cczi_pq_file *f, struct ccz_err *err)
{
    struct ccz_span prefix = cczi_pq_prefix(f->crypt);
    if (prefix.size)
        memcpy(f->aad.bytes, prefix.ptr, prefix.size);
    f->aad.prefix_size = prefix.size;
    f->aad.size = prefix.size + CCZI_PQ_UNIQUE_SIZE;
    if (ccz_random(f->aad.bytes + prefix.size, CCZI_PQ_UNIQUE_SIZE) != CCZ_OK)
        return ccz_fail(err, CCZ_E_INTERNAL, "parquet:crypt", 0, "no random numbers");
    return CCZ_OK;
}

static ccz_rc begin_write(void **file, struct cczi_pq_file_crypt *said, void *arg,
                          struct ccz_err *err)
{
    const struct cczi_pq_crypt *c = arg;
    struct cczi_pq_file *f;
    *file = NULL;
    ccz_rc rc = cczi_pq_file_new(&f, c, err);
    if (rc != CCZ_OK)
        return rc;
    rc = make_aad(f, err);
    if (rc == CCZ_OK)
        rc = slot_key(&f->footer, f, &c->given[0], true, err);
    if (rc != CCZ_OK) {
        cczi_pq_file_free(f);
        return rc;
    }
    bool ctr = c->algorithm == CCZ_PQ_AES_GCM_CTR_V1;
    bool stored = f->aad.prefix_size && !c->aad_prefix_apart;
    f->used[0] = true;
    f->said = (struct cczi_pq_file_crypt){
        .kind = c->plain_footer ? CCZI_PQ_FILE_SIGNED : CCZI_PQ_FILE_ENCRYPTED,
        .algorithm = ctr ? CCZI_PQ_GCM_CTR_V1 : CCZI_PQ_GCM_V1,
        .has_aad_prefix = stored,
        .aad_prefix = CCZ_SPAN(f->aad.bytes, stored ? f->aad.prefix_size : 0),
        .aad_file_unique = CCZ_SPAN(f->aad.bytes + f->aad.prefix_size, CCZI_PQ_UNIQUE_SIZE),
        .supply_aad_prefix = c->aad_prefix_apart,
        .key_metadata = ccz_buf_span(&f->footer.metadata)};
    *said = f->said;
    *file = f;
    return CCZ_OK;
}

static struct cczi_pq_slot *new_slot(struct cczi_pq_file *f, const char *path)
{
    struct cczi_pq_slot **more =
        realloc(f->slots, (f->slots_len + 1) * sizeof(struct cczi_pq_slot *));
    if (!more)
        return NULL;
    f->slots = more;
    struct cczi_pq_slot *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    ccz_buf_init(&s->metadata, CCZ_PQ_KEY_METADATA_SIZE_MAX);
    f->slots[f->slots_len++] = s;
    s->path = strdup(path);
    return s->path ? s : NULL;
}

static ccz_rc column_key(enum ccz_pq_key *kind, struct ccz_span *metadata, void *file,
                         const char *path, const char *name, struct ccz_err *err)
{
    struct cczi_pq_file *f = file;
    const struct cczi_pq_crypt *c = f->crypt;
    struct cczi_pq_given *g = cczi_pq_given_find(c, path);
    (void)name; /* the path begins with it */
    *metadata = CCZ_SPAN(NULL, 0);
    if (g)
        f->used[g - c->given] = true;
    if (!g || (!g->key && !g->master_key)) {
        *kind = !g && c->others_plain ? CCZ_PQ_KEY_NONE : CCZ_PQ_KEY_FOOTER;
        return CCZ_OK;
    }
    struct cczi_pq_slot *s = new_slot(f, path);
    ccz_rc rc = s ? slot_key(s, f, g, false, err)
                  : ccz_fail(err, CCZ_E_NOMEM, "parquet:crypt", 0, "out of memory");
    if (rc != CCZ_OK)
        return rc;
    *kind = CCZ_PQ_KEY_COLUMN;
    *metadata = ccz_buf_span(&s->metadata);
    return CCZ_OK;
}

/* A misspelt column would go out under the footer's key, or in clear. */
static ccz_rc check_used(struct cczi_pq_file *f, struct ccz_err *err)
{
    if (f->checked)
        return CCZ_OK;
    for (size_t i = 1; i < f->crypt->given_len; i++) {
        if (!f->used[i]) {
            char shown[96];
            ccz_escape(shown, sizeof(shown), ccz_span_str(f->crypt->given[i].column));
            return ccz_fail(err, CCZ_E_ARG, "parquet:key-column", (int64_t)i - 1,
                            "a key for column %s, which the file has not", shown);
        }
    }
    f->checked = true;
    return CCZ_OK;
}

static struct cczi_pq_slot *slot_of(struct cczi_pq_file *f, const struct cczi_pq_key *key)
{
    if (key->kind != CCZ_PQ_KEY_COLUMN)
        return &f->footer;
    for (size_t i = 0; i < f->slots_len; i++) {
        if (strcmp(f->slots[i]->path, key->path) == 0)
            return f->slots[i];
    }
    return NULL;
}

/* Takes one of the encryptions that a key is good for. */
static ccz_rc count(struct cczi_pq_file *f, struct cczi_pq_slot *s, struct ccz_err *err)
{
    uint64_t max = f->crypt->invocations_max, before;
    if (s->key) {
        before = s->own_count;
        s->own_count += before < max;
    } else {
        before = atomic_fetch_add(s->given->count, 1);
        if (before >= max)
            atomic_fetch_sub(s->given->count, 1);
    }
    if (before < max)
        return CCZ_OK;
    ccz_rc rc = ccz_fail(err, CCZ_E_LIMIT, "parquet:invocations", (int64_t)max,
                         "the key has encrypted as many modules as it may");
    return ccz_hint(err, rc, "take another key, or larger pages");
}

static ccz_rc seal(struct ccz_buf *out, void *file, const struct cczi_pq_at *at, struct ccz_span in,
                   struct ccz_err *err)
{
    struct cczi_pq_file *f = file;
    struct cczi_pq_slot *s = slot_of(f, &at->key);
    if (!s || at->key.kind == CCZ_PQ_KEY_NONE)
        return cczi_pq_fail(err, CCZ_E_INTERNAL, at, "no key was asked for");
    ccz_rc rc = check_used(f, err);
    if (rc == CCZ_OK)
        rc = count(f, s, err);
    return rc == CCZ_OK ? cczi_pq_module_seal(out, cczi_pq_slot_key(s), &f->aad, at,
                                              f->said.algorithm == CCZI_PQ_GCM_CTR_V1, in, err)
                        : rc;
}

static ccz_rc sign(struct ccz_buf *out, void *file, struct ccz_span footer, struct ccz_err *err)
{
    struct cczi_pq_file *f = file;
    uint8_t signature[CCZI_PQ_SIGNATURE_SIZE];
    ccz_rc rc = check_used(f, err);
    if (rc == CCZ_OK)
        rc = count(f, &f->footer, err);
    if (rc == CCZ_OK)
        rc = cczi_pq_module_sign(signature, cczi_pq_slot_key(&f->footer), &f->aad, footer, err);
    if (rc == CCZ_OK)
        ccz_buf_put(out, signature, sizeof(signature));
    return rc;
}

const struct ccz_pq_crypt cczi_pq_write_hook = {.begin_write = begin_write,
                                                .column_key = column_key,
                                                .seal = seal,
                                                .sign = sign,
                                                .end = cczi_pq_file_free};
