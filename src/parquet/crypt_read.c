/* SPDX-License-Identifier: Apache-2.0 */
/* Decrypting: what a file must be, where its keys come from. */
#define _POSIX_C_SOURCE 200809L /* strdup */
#include "parquet/crypt_priv.h"
#include "parquet/format_priv.h"

#include <stdio.h>
#include <stdlib.h>

static ccz_rc nomem(struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_NOMEM, "parquet:crypt", 0, "out of memory");
}

static ccz_rc copy_names(struct cczi_pq_crypt *c, const struct ccz_pq_decrypt_cfg *cfg,
                         struct ccz_err *err)
{
    c->any_master_key = !cfg->master_keys;
    if (!cfg->master_keys_len)
        return CCZ_OK;
    c->master_keys = calloc(cfg->master_keys_len, sizeof(char *));
    if (!c->master_keys)
        return nomem(err);
    for (size_t i = 0; i < cfg->master_keys_len; i++) {
        c->master_keys[i] = strdup(cfg->master_keys[i]);
        if (!c->master_keys[i])
            return nomem(err);
        c->master_keys_len = i + 1;
    }
    return CCZ_OK;
}

static ccz_rc read_material(struct cczi_pq_crypt *c, struct ccz_span text, struct ccz_err *err)
{
    if (!text.size)
        return CCZ_OK;
    ccz_rc rc = text.size > CCZ_PQ_MATERIAL_SIZE_MAX ? CCZ_E_FORMAT
                                                     : ccz_json_parse(&c->key_material, text, NULL);
    if (rc == CCZ_OK && ccz_json_type(c->key_material) != CCZ_JSON_OBJECT)
        rc = CCZ_E_FORMAT;
    if (rc == CCZ_E_NOMEM)
        return nomem(err);
    return rc == CCZ_OK ? rc
                        : ccz_fail(err, CCZ_E_FORMAT, "parquet:key-material", 0,
                                   "the file of key material is no JSON object, or too long");
}

static ccz_rc check_keys(const struct ccz_pq_decrypt_cfg *cfg, struct ccz_err *err)
{
    bool names = cfg->footer.master_key != NULL;
    if (cfg->algorithm != CCZ_PQ_AES_GCM_V1 && cfg->algorithm != CCZ_PQ_AES_GCM_CTR_V1)
        return ccz_fail(err, CCZ_E_ARG, "parquet:algorithm", cfg->algorithm, "no such algorithm");
    for (size_t i = 0; i < cfg->columns_len; i++) {
        names = names || cfg->columns[i].master_key;
        if (!cfg->columns[i].key && !cfg->columns[i].master_key)
            return ccz_fail(err, CCZ_E_ARG, "parquet:key", (int64_t)i, "a column without a key");
    }
    return names && !cfg->keytools
               ? ccz_fail(err, CCZ_E_ARG, "parquet:key", 0, "a master key without keytools")
               : CCZ_OK;
}

ccz_rc ccz_pq_decrypt_new(struct ccz_pq_crypt **out, const struct ccz_pq_decrypt_cfg *cfg,
                          struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = check_keys(cfg, err);
    if (rc != CCZ_OK)
        return rc;
    struct cczi_pq_crypt *c = calloc(1, sizeof(*c));
    if (!c)
        return nomem(err);
    c->hook = cczi_pq_read_hook;
    c->hook.arg = c;
    rc = cczi_pq_crypt_init(c, &cfg->footer, cfg->columns, cfg->columns_len, cfg->aad_prefix, err);
    if (rc == CCZ_OK)
        rc = copy_names(c, cfg, err);
    if (rc == CCZ_OK)
        rc = read_material(c, cfg->key_material, err);
    if (rc != CCZ_OK) {
        ccz_pq_crypt_free(&c->hook);
        return rc;
    }
    c->algorithm = cfg->algorithm;
    c->keytools = cfg->keytools;
    c->find = cfg->find;
    c->arg = cfg->arg;
    c->plain_file = cfg->plain_file_insecure;
    c->plain_columns = cfg->plain_columns_insecure;
    *out = &c->hook;
    return CCZ_OK;
}

/* ------------------------------------------------------------------------------------------ keys */

/* @param must  the one that it has to be; NULL: one of master_keys */
static ccz_rc check_master(const struct cczi_pq_crypt *c, const char *must, const char *name,
                           struct ccz_err *err)
{
    bool ok = must ? strcmp(must, name) == 0 : c->any_master_key;
    for (size_t i = 0; i < c->master_keys_len && !must && !ok; i++)
        ok = strcmp(c->master_keys[i], name) == 0;
    if (ok)
        return CCZ_OK;
    char shown[96], wanted[96];
    ccz_escape(shown, sizeof(shown), ccz_span_str(name));
    ccz_escape(wanted, sizeof(wanted), ccz_span_str(must ? must : ""));
    return ccz_refuse(err, CCZ_E_DENIED, "parquet:master-key", shown,
                      must ? wanted : "one of those that may protect this file");
}

/* What the file beside says under the name that the metadata refer to. */
static ccz_rc follow(struct ccz_pq_key_material *m, const struct cczi_pq_crypt *c,
                     struct ccz_err *err)
{
    const struct ccz_json *text = ccz_json_get(c->key_material, m->reference);
    struct ccz_pq_key_material inner;
    if (ccz_json_type(text) != CCZ_JSON_STRING) {
        ccz_rc rc = ccz_fail(err, CCZ_E_NOT_FOUND, "parquet:key-material", 0, "%s",
                             c->key_material ? "the file of key material has not this key"
                                             : "is in a file beside, which was not given");
        return ccz_hint(err, rc, "it is called _KEY_MATERIAL_FOR_<file name>.json");
    }
    ccz_rc rc = cczi_pq_material_read_external(&inner, ccz_json_bytes(text), err);
    if (rc != CCZ_OK)
        return rc;
    ccz_pq_key_material_deinit(m);
    *m = inner;
    return CCZ_OK;
}

static ccz_rc key_of_material(struct ccz_secret **out, const struct cczi_pq_crypt *c,
                              const char *must, bool is_footer, struct ccz_span metadata,
                              struct ccz_err *err)
{
    struct ccz_pq_key_material m;
    ccz_rc rc = ccz_pq_key_material_read(&m, metadata, err);
    if (rc != CCZ_OK)
        return rc;
    if (m.external)
        rc = follow(&m, c, err);
    if (rc == CCZ_OK && m.is_footer != is_footer)
        rc = ccz_fail(err, CCZ_E_FORMAT, "parquet:key-material", 0,
                      "a column's key for the footer, or the other way round");
    if (rc == CCZ_OK)
        rc = check_master(c, must, m.master_key, err);
    if (rc == CCZ_OK)
        rc = cczi_pq_keytools_get(out, c->keytools, &m, err);
    ccz_pq_key_material_deinit(&m);
    return rc;
}

/* The key that `given` has not: by find(), or by key material. @param path  NULL: the footer's @param must  as check_master() */
static ccz_rc key_of(struct ccz_secret **out, const struct cczi_pq_crypt *c, const char *path,
                     const char *must, struct ccz_span metadata, struct ccz_err *err)
{
    *out = NULL;
    if (metadata.size > CCZ_PQ_KEY_METADATA_SIZE_MAX)
        return ccz_fail(err, CCZ_E_FORMAT, "parquet:key-material", (int64_t)metadata.size,
                        "key metadata are too long");
    if (c->find && !must) {
        ccz_rc rc = c->find(out, c->arg, path, metadata, err);
        if (rc == CCZ_OK && *out)
            rc = cczi_pq_check_key(*out, err);
        if (rc != CCZ_OK || *out) {
            if (rc != CCZ_OK) {
                ccz_secret_free(*out);
                *out = NULL;
            }
            return rc;
        }
    }
    if (c->keytools && metadata.size)
        return key_of_material(out, c, must, !path, metadata, err);
    char shown[96];
    ccz_escape(shown, sizeof(shown), ccz_span_str(path ? path : ""));
    return ccz_fail(err, CCZ_E_NOT_FOUND, "parquet:key", 0, "none for %s%s",
                    path ? "column " : "the footer", shown);
}

/* ----------------------------------------------------------------------------------------- files */

static ccz_rc refuse_prefix(struct ccz_err *err, ccz_rc rc, const char *what)
{
    return ccz_fail(err, rc, "parquet:aad-prefix", 0, "%s", what);
}

static ccz_rc take_prefix(struct ccz_span *out, const struct cczi_pq_crypt *c,
                          const struct cczi_pq_file_crypt *said, struct ccz_err *err)
{
    struct ccz_span want = cczi_pq_prefix(c);
    bool stored = said->has_aad_prefix && said->aad_prefix.size;
    if (!stored && said->supply_aad_prefix && !want.size)
        return refuse_prefix(err, CCZ_E_ARG, "the file's prefix must be supplied");
    if (!stored && !said->supply_aad_prefix && want.size)
        return refuse_prefix(err, CCZ_E_SIG, "one is expected, and the file was written without");
    if (stored && said->aad_prefix.size > CCZ_PQ_AAD_PREFIX_SIZE_MAX)
        return refuse_prefix(err, CCZ_E_LIMIT, "the file's is too long");
    if (stored && want.size && !ccz_span_eq(want, said->aad_prefix))
        return ccz_refuse_bytes(err, CCZ_E_SIG, "parquet:aad-prefix", said->aad_prefix.ptr,
                                said->aad_prefix.size, want.ptr, want.size);
    *out = stored ? said->aad_prefix : want;
    return CCZ_OK;
}

static ccz_rc take_aad(struct cczi_pq_file *f, const struct cczi_pq_file_crypt *said,
                       struct ccz_err *err)
{
    struct ccz_span prefix = {0}, unique = said->aad_file_unique;
    ccz_rc rc = take_prefix(&prefix, f->crypt, said, err);
    if (rc != CCZ_OK)
        return rc;
    if (unique.size != CCZI_PQ_UNIQUE_SIZE && unique.size != CCZI_PQ_UNIQUE_SIZE_OTHERS)
        return ccz_fail(err, CCZ_E_UNSUPPORTED, "parquet:file-unique", (int64_t)unique.size,
                        "aad_file_unique has %zu bytes, not %d or %d", unique.size,
                        CCZI_PQ_UNIQUE_SIZE_OTHERS, CCZI_PQ_UNIQUE_SIZE);
    if (prefix.size)
        memcpy(f->aad.bytes, prefix.ptr, prefix.size);
    memcpy(f->aad.bytes + prefix.size, unique.ptr, unique.size);
    f->aad.prefix_size = prefix.size;
    f->aad.size = prefix.size + unique.size;
    return CCZ_OK;
}

/* The file's word for its algorithm, which is not authentic in FileCryptoMetaData. */
static ccz_rc check_algorithm(const struct cczi_pq_crypt *c, const struct cczi_pq_file_crypt *said,
                              struct ccz_err *err)
{
    bool ctr = said->algorithm == CCZI_PQ_GCM_CTR_V1;
    if (ctr == (c->algorithm == CCZ_PQ_AES_GCM_CTR_V1))
        return CCZ_OK;
    ccz_rc rc =
        ccz_refuse(err, CCZ_E_SIG, "parquet:algorithm", ctr ? "AES_GCM_CTR_V1" : "AES_GCM_V1",
                   ctr ? "AES_GCM_V1" : "AES_GCM_CTR_V1");
    return ccz_hint(err, rc,
                    ctr ? "its pages would be read without a tag; ask for it (algorithm) "
                          "only if changed values do not matter"
                        : "ask for AES_GCM_V1, which is the better one");
}

static ccz_rc begin_file(struct cczi_pq_file *f, const struct cczi_pq_file_crypt *said,
                         struct ccz_err *err)
{
    const struct cczi_pq_crypt *c = f->crypt;
    if (said->algorithm != CCZI_PQ_GCM_V1 && said->algorithm != CCZI_PQ_GCM_CTR_V1)
        return ccz_fail(err, CCZ_E_UNSUPPORTED, "parquet:footer", said->algorithm,
                        "neither AES_GCM_V1 nor AES_GCM_CTR_V1");
    /* A signed footer says it under its signature, which verify() looks at first. */
    ccz_rc rc = said->kind == CCZI_PQ_FILE_ENCRYPTED ? check_algorithm(c, said, err) : CCZ_OK;
    if (rc == CCZ_OK)
        rc = take_aad(f, said, err);
    if (rc != CCZ_OK)
        return rc;
    if (c->given[0].key)
        f->footer.given = &c->given[0];
    else
        rc = key_of(&f->footer.key, c, NULL, c->given[0].master_key, said->key_metadata, err);
    if (rc != CCZ_OK)
        return rc;
    ccz_buf_put_span(&f->footer.metadata, said->key_metadata);
    if (f->footer.metadata.bad)
        return nomem(err);
    f->said = *said;
    f->said.aad_prefix = CCZ_SPAN(f->aad.bytes, f->aad.prefix_size);
    f->said.aad_file_unique =
        CCZ_SPAN(f->aad.bytes + f->aad.prefix_size, f->aad.size - f->aad.prefix_size);
    f->said.key_metadata = ccz_buf_span(&f->footer.metadata);
    return CCZ_OK;
}

static ccz_rc begin(void **file, void *arg, const struct cczi_pq_file_crypt *said,
                    struct ccz_err *err)
{
    const struct cczi_pq_crypt *c = arg;
    struct cczi_pq_file *f;
    *file = NULL;
    if (said->kind == CCZI_PQ_FILE_PLAIN && !c->plain_file)
        return ccz_hint(err,
                        ccz_refuse(err, CCZ_E_SIG, "parquet:plain-file", "a file in clear",
                                   "an encrypted file"),
                        "somebody may have put it there: nothing protects it");
    ccz_rc rc = cczi_pq_file_new(&f, c, err);
    if (rc == CCZ_OK && said->kind != CCZI_PQ_FILE_PLAIN)
        rc = begin_file(f, said, err);
    if (rc == CCZ_OK)
        *file = f;
    else
        cczi_pq_file_free(f);
    return rc;
}

static struct cczi_pq_slot *find_slot(const struct cczi_pq_file *f, const struct cczi_pq_at *at)
{
    struct cczi_pq_slot *s = (size_t)at->column < f->slots_len ? f->slots[at->column] : NULL;
    while (s && !(ccz_span_eq(ccz_buf_span(&s->metadata), at->key.metadata) &&
                  strcmp(s->path, at->key.path) == 0))
        s = s->next;
    return s;
}

static ccz_rc grow_slots(struct cczi_pq_file *f, size_t len)
{
    if (len <= f->slots_len)
        return CCZ_OK;
    struct cczi_pq_slot **more = realloc(f->slots, len * sizeof(struct cczi_pq_slot *));
    if (!more)
        return CCZ_E_NOMEM;
    memset(more + f->slots_len, 0, (len - f->slots_len) * sizeof(struct cczi_pq_slot *));
    f->slots = more;
    f->slots_len = len;
    return CCZ_OK;
}

static ccz_rc add_slot(struct cczi_pq_slot **out, struct cczi_pq_file *f,
                       const struct cczi_pq_at *at, struct ccz_err *err)
{
    struct cczi_pq_slot *s = calloc(1, sizeof(*s));
    if (!s || grow_slots(f, (size_t)at->column + 1) != CCZ_OK) {
        free(s);
        return nomem(err);
    }
    ccz_buf_init(&s->metadata, CCZ_PQ_KEY_METADATA_SIZE_MAX);
    ccz_buf_put_span(&s->metadata, at->key.metadata);
    s->path = strdup(at->key.path);
    struct cczi_pq_given *g = cczi_pq_given_find(f->crypt, at->key.path);
    ccz_rc rc = CCZ_OK;
    if (g && g->key)
        s->given = g;
    else
        rc = key_of(&s->key, f->crypt, at->key.path, g ? g->master_key : NULL, at->key.metadata,
                    err);
    if (rc == CCZ_OK && (!s->path || s->metadata.bad))
        rc = nomem(err);
    if (rc != CCZ_OK) {
        cczi_pq_slot_deinit(s);
        free(s);
        return rc;
    }
    s->next = f->slots[at->column];
    f->slots[at->column] = s;
    *out = s;
    return CCZ_OK;
}

/* Slots are only ever added, so that a key stays where it is once found. */
static ccz_rc column_slot(const struct cczi_pq_slot **out, struct cczi_pq_file *f,
                          const struct cczi_pq_at *at, struct ccz_err *err)
{
    if (at->column < 0 || at->column > CCZ_PQ_CRYPT_ORDINAL_MAX)
        return ccz_fail(err, CCZ_E_LIMIT, "parquet:ordinal", at->column, "no such column");
    pthread_mutex_lock(&f->lock);
    struct cczi_pq_slot *s = find_slot(f, at);
    ccz_rc rc = s ? CCZ_OK : add_slot(&s, f, at, err);
    pthread_mutex_unlock(&f->lock);
    *out = s;
    return rc;
}

static ccz_rc open_module(struct ccz_buf *out, void *file, const struct cczi_pq_at *at,
                          struct ccz_span in, struct ccz_err *err)
{
    struct cczi_pq_file *f = file;
    const struct cczi_pq_slot *s = &f->footer;
    ccz_rc rc = at->key.kind == CCZ_PQ_KEY_COLUMN ? column_slot(&s, f, at, err) : CCZ_OK;
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_secret *key = cczi_pq_slot_key(s);
    if (!key) /* a file in clear with an encrypted column in it */
        return cczi_pq_fail(err, CCZ_E_FORMAT, at, "encrypted, in a file that does not say how");
    return cczi_pq_module_open(out, key, &f->aad, at, f->said.algorithm == CCZI_PQ_GCM_CTR_V1, in,
                               err);
}

static ccz_rc plain(void *file, const struct cczi_pq_at *at, struct ccz_err *err)
{
    const struct cczi_pq_file *f = file;
    if (f->crypt->plain_columns || f->said.kind == CCZI_PQ_FILE_PLAIN)
        return CCZ_OK;
    char place[CCZI_PQ_AT_SIZE];
    ccz_rc rc =
        ccz_fail(err, CCZ_E_SIG, "parquet:plain-column", at->column,
                 "%s: is in clear, an encrypted column is expected", cczi_pq_at_text(place, at));
    return ccz_hint(err, rc, "nothing protects its values; allow it only if that does not matter");
}

static ccz_rc verify(void *file, struct ccz_span footer, struct ccz_span signature,
                     struct ccz_err *err)
{
    struct cczi_pq_file *f = file;
    ccz_rc rc =
        cczi_pq_module_verify(cczi_pq_slot_key(&f->footer), &f->aad, footer, signature, err);
    return rc == CCZ_OK ? check_algorithm(f->crypt, &f->said, err) : rc;
}

static ccz_rc bad_column(const char *column, const char *got, struct ccz_err *err)
{
    char shown[96], what[160];
    ccz_escape(shown, sizeof(shown), ccz_span_str(column));
    snprintf(what, sizeof(what), "column %s %s", shown, got);
    return ccz_refuse(err, CCZ_E_SIG, "parquet:key-column", what, "a column with a key of its own");
}

/* Who holds the footer's key decides under which key a column is: what the reader has a key for must be under that one. */
static ccz_rc ready(void *file, const struct ccz_pq_reader *r, struct ccz_err *err)
{
    const struct cczi_pq_file *f = file;
    const struct cczi_pq_crypt *c = f->crypt;
    for (size_t i = 1; i < c->given_len && f->said.kind != CCZI_PQ_FILE_PLAIN; i++) {
        bool found = false;
        for (size_t column = 0; column < r->schema.len; column++) {
            if (!cczi_pq_given_is(&c->given[i], r->schema.leaves[column].c.path))
                continue;
            found = true;
            for (size_t group = 0; group < r->groups_len; group++) {
                struct cczi_pq_key key;
                ccz_rc rc = cczi_pq_chunk_key(&key, r, group, column, err);
                if (rc != CCZ_OK)
                    return rc;
                if (key.kind != CCZ_PQ_KEY_COLUMN)
                    return bad_column(
                        c->given[i].column,
                        key.kind == CCZ_PQ_KEY_NONE ? "in clear" : "under the footer's key", err);
            }
        }
        if (!found)
            return bad_column(c->given[i].column, "that is not in the file", err);
    }
    return CCZ_OK;
}

const struct ccz_pq_crypt cczi_pq_read_hook = {.begin = begin,
                                               .open = open_module,
                                               .ready = ready,
                                               .plain = plain,
                                               .verify = verify,
                                               .end = cczi_pq_file_free};

/* ------------------------------------------------------------------------------------------ info */

static ccz_rc count_plain(size_t *out, const struct ccz_pq_reader *r, struct ccz_err *err)
{
    for (size_t column = 0; column < r->schema.len; column++) {
        struct cczi_pq_key key = {.kind = CCZ_PQ_KEY_FOOTER};
        for (size_t group = 0; group < r->groups_len && key.kind != CCZ_PQ_KEY_NONE; group++) {
            ccz_rc rc = cczi_pq_chunk_key(&key, r, group, column, err);
            if (rc != CCZ_OK)
                return rc;
        }
        *out += key.kind == CCZ_PQ_KEY_NONE;
    }
    return CCZ_OK;
}

ccz_rc ccz_pq_crypt_info(struct ccz_pq_crypt_info *out, const struct ccz_pq_reader *r,
                         struct ccz_err *err)
{
    *out = (struct ccz_pq_crypt_info){0};
    if (!r->begun)
        return ccz_fail(err, CCZ_E_ARG, "parquet:crypt", 0, "the reader was opened without keys");
    const struct cczi_pq_file *f = r->file;
    if (f->said.kind == CCZI_PQ_FILE_PLAIN)
        return CCZ_OK;
    size_t plain_columns = 0;
    ccz_rc rc = count_plain(&plain_columns, r, err);
    if (rc != CCZ_OK)
        return rc;
    *out = (struct ccz_pq_crypt_info){
        .encrypted = true,
        .plain_footer = f->said.kind == CCZI_PQ_FILE_SIGNED,
        .algorithm =
            f->said.algorithm == CCZI_PQ_GCM_CTR_V1 ? CCZ_PQ_AES_GCM_CTR_V1 : CCZ_PQ_AES_GCM_V1,
        .aad_prefix_apart = f->aad.prefix_size && !f->said.has_aad_prefix,
        .aad_prefix = f->said.aad_prefix,
        .file_unique = f->said.aad_file_unique,
        .key_metadata = f->said.key_metadata,
        .plain_columns = plain_columns};
    return CCZ_OK;
}
