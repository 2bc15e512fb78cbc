/* SPDX-License-Identifier: Apache-2.0 */
/* What reading and writing share: given keys, the AAD prefix, the state of a file. */
#define _POSIX_C_SOURCE 200809L /* strdup */
#include "parquet/crypt_priv.h"

#include <stdlib.h>
#include <string.h>

static ccz_rc nomem(struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_NOMEM, "parquet:crypt", 0, "out of memory");
}

/* --------------------------------------------------------------------------------- given keys */

static void given_deinit(struct cczi_pq_given *g)
{
    free(g->column);
    ccz_secret_free(g->key);
    ccz_buf_free(&g->metadata);
    free(g->master_key);
}

static ccz_rc given_init(struct cczi_pq_given *g, const struct ccz_pq_key_of *from, bool is_footer,
                         struct ccz_err *err)
{
    ccz_buf_init(&g->metadata, CCZ_PQ_KEY_METADATA_SIZE_MAX);
    atomic_init(&g->own_count, from->invocations);
    g->count = &g->own_count;
    if (from->key && from->master_key)
        return ccz_fail(err, CCZ_E_ARG, "parquet:key", 0, "a key and a master key for one column");
    if (from->master_key &&
        (!*from->master_key || strlen(from->master_key) > CCZ_PQ_MASTER_KEY_SIZE_MAX))
        return ccz_fail(err, CCZ_E_ARG, "parquet:master-key", 0,
                        "a name of 1 to %d bytes is needed", CCZ_PQ_MASTER_KEY_SIZE_MAX);
    if (from->metadata.size > CCZ_PQ_KEY_METADATA_SIZE_MAX)
        return ccz_fail(err, CCZ_E_ARG, "parquet:key", 0, "key metadata are too long");
    ccz_rc rc = from->key ? cczi_pq_check_key(from->key, err) : CCZ_OK;
    if (rc != CCZ_OK)
        return rc;
    if (from->key &&
        ccz_secret_from(&g->key, ccz_secret_view(from->key), ccz_secret_size(from->key)) != CCZ_OK)
        return nomem(err);
    ccz_buf_put_span(&g->metadata, from->metadata);
    g->column = is_footer ? NULL : strdup(from->column);
    g->master_key = from->master_key ? strdup(from->master_key) : NULL;
    bool lacks = (!is_footer && !g->column) || (from->master_key && !g->master_key);
    return lacks || g->metadata.bad ? nomem(err) : CCZ_OK;
}

/* One key, one count: the limit is of the key and not of the column. */
static void share_count(struct cczi_pq_crypt *c, size_t at)
{
    struct cczi_pq_given *g = &c->given[at];
    size_t size = g->key ? ccz_secret_size(g->key) : 0;
    for (size_t i = 0; size && i < at; i++) {
        struct cczi_pq_given *e = &c->given[i];
        if (e->key && ccz_secret_size(e->key) == size &&
            ccz_ct_eq(ccz_secret_view(e->key), ccz_secret_view(g->key), size)) {
            atomic_fetch_add(e->count, atomic_load(&g->own_count));
            g->count = e->count;
            return;
        }
    }
}

ccz_rc cczi_pq_crypt_init(struct cczi_pq_crypt *c, const struct ccz_pq_key_of *footer,
                          const struct ccz_pq_key_of *columns, size_t columns_len,
                          struct ccz_span aad_prefix, struct ccz_err *err)
{
    if (columns_len > CCZ_PQ_COLUMNS_MAX)
        return ccz_fail(err, CCZ_E_ARG, "parquet:key-column", (int64_t)columns_len,
                        "too many columns");
    if (aad_prefix.size > CCZ_PQ_AAD_PREFIX_SIZE_MAX)
        return ccz_fail(err, CCZ_E_ARG, "parquet:aad-prefix", (int64_t)aad_prefix.size,
                        "at most %d bytes", CCZ_PQ_AAD_PREFIX_SIZE_MAX);
    if (aad_prefix.size)
        memcpy(c->aad_prefix, aad_prefix.ptr, aad_prefix.size);
    c->aad_prefix_size = aad_prefix.size;
    c->given = calloc(columns_len + 1, sizeof(*c->given));
    if (!c->given)
        return nomem(err);
    for (size_t i = 0; i <= columns_len; i++) {
        const struct ccz_pq_key_of *from = i ? &columns[i - 1] : footer;
        if (i && (!from->column || !*from->column))
            return ccz_fail(err, CCZ_E_ARG, "parquet:key-column", (int64_t)i - 1,
                            "a column without a name");
        for (size_t j = 1; j < i; j++) {
            if (strcmp(c->given[j].column, from->column) == 0)
                return ccz_fail(err, CCZ_E_ARG, "parquet:key-column", (int64_t)i - 1,
                                "a column that is named twice");
        }
        c->given_len = i + 1;
        ccz_rc rc = given_init(&c->given[i], from, i == 0, err);
        if (rc != CCZ_OK)
            return rc;
        share_count(c, i);
    }
    return CCZ_OK;
}

bool cczi_pq_given_is(const struct cczi_pq_given *g, const char *path)
{
    size_t size = strlen(g->column);
    return strncmp(g->column, path, size) == 0 && (path[size] == 0 || path[size] == '.');
}

struct cczi_pq_given *cczi_pq_given_find(const struct cczi_pq_crypt *c, const char *path)
{
    struct cczi_pq_given *by_name = NULL;
    for (size_t i = 1; i < c->given_len; i++) {
        if (strcmp(c->given[i].column, path) == 0)
            return &c->given[i];
        if (cczi_pq_given_is(&c->given[i], path))
            by_name = &c->given[i];
    }
    return by_name;
}

void ccz_pq_crypt_free(struct ccz_pq_crypt *hook)
{
    struct cczi_pq_crypt *c = (struct cczi_pq_crypt *)hook;
    if (!c)
        return;
    for (size_t i = 0; i < c->given_len; i++)
        given_deinit(&c->given[i]);
    free(c->given);
    for (size_t i = 0; i < c->master_keys_len; i++)
        free(c->master_keys[i]);
    free(c->master_keys);
    ccz_json_free(c->key_material);
    free(c);
}

/* ----------------------------------------------------------------------------------------- files */

ccz_rc cczi_pq_file_new(struct cczi_pq_file **out, const struct cczi_pq_crypt *c,
                        struct ccz_err *err)
{
    *out = NULL;
    struct cczi_pq_file *f = calloc(1, sizeof(*f));
    if (!f)
        return nomem(err);
    f->crypt = c;
    ccz_buf_init(&f->footer.metadata, CCZ_PQ_KEY_METADATA_SIZE_MAX);
    f->has_lock = pthread_mutex_init(&f->lock, NULL) == 0;
    f->used = calloc(c->given_len, sizeof(*f->used));
    if (!f->has_lock || !f->used) {
        cczi_pq_file_free(f);
        return nomem(err);
    }
    *out = f;
    return CCZ_OK;
}

void cczi_pq_slot_deinit(struct cczi_pq_slot *s)
{
    ccz_secret_free(s->key);
    ccz_buf_free(&s->metadata);
    free(s->path);
}

void cczi_pq_file_free(void *file)
{
    struct cczi_pq_file *f = file;
    if (!f)
        return;
    for (size_t i = 0; i < f->slots_len; i++) {
        for (struct cczi_pq_slot *s = f->slots[i], *next; s; s = next) {
            next = s->next;
            cczi_pq_slot_deinit(s);
            free(s);
        }
    }
    free(f->slots);
    cczi_pq_slot_deinit(&f->footer);
    free(f->used);
    if (f->has_lock)
        pthread_mutex_destroy(&f->lock);
    free(f);
}

const struct ccz_secret *cczi_pq_slot_key(const struct cczi_pq_slot *s)
{
    return s->key ? s->key : s->given ? s->given->key : NULL;
}
