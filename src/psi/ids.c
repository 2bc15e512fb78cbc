/* SPDX-License-Identifier: Apache-2.0 */
#define _DEFAULT_SOURCE
#include "psi_priv.h"

#include <cczoo/codec.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 64, READ_SIZE = 65536, BATCH_SIZE_MAX = 2 * CCZ_PSI_ID_SIZE_MAX };

/* Ids on their way in: a batch is normalized, then hashed at once. */
struct builder {
    struct ccz_psi_ids *ids;
    const struct ccz_psi_ids_cfg *cfg;
    struct cczi_ro ro;
    uint64_t row; /* of the next id */
    uint8_t *text;
    size_t text_size;
    struct ccz_span id[BATCH];
    size_t len;
    struct ccz_err *err;
};

void ccz_psi_ids_free(struct ccz_psi_ids *ids)
{
    if (!ids)
        return;
    cczi_spool_free(ids->spool);
    free(ids->dir);
    free(ids);
}

uint64_t ccz_psi_ids_len(const struct ccz_psi_ids *ids)
{
    return ids->len;
}

static ccz_rc no_memory(struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_NOMEM, "psi:ids", 0, "no memory for ids");
}

/* ------------------------------------------------------------------------------ building */

static ccz_rc flush(struct builder *b)
{
    uint8_t hash[BATCH][32];
    cczi_ro_hash_spans(hash, &b->ro, b->id, b->len);
    for (size_t i = 0; i < b->len; i++) {
        struct cczi_psi_rec rec = {.row = b->row - b->len + i};
        memcpy(rec.b, hash[i], sizeof(rec.b));
        ccz_rc rc = cczi_spool_put(b->ids->spool, rec.b[0], &rec, b->err);
        if (rc != CCZ_OK)
            return rc;
    }
    b->len = 0;
    b->text_size = 0;
    return CCZ_OK;
}

static bool is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static ccz_rc refuse_row(const struct builder *b, ccz_rc rc, const char *where, const char *what)
{
    return ccz_fail(b->err, rc, where, (int64_t)b->row, "row %llu: %s", (unsigned long long)b->row,
                    what);
}

static ccz_rc add_id(struct builder *b, struct ccz_span id)
{
    if (b->cfg->trim) {
        while (id.size > 0 && is_space(id.ptr[id.size - 1]))
            id.size--;
        for (; id.size > 0 && is_space(id.ptr[0]); id.ptr++)
            id.size--;
    }
    if (id.size == 0)
        return refuse_row(b, CCZ_E_FORMAT, "psi:id-empty", "the id is empty");
    if (id.size > CCZ_PSI_ID_SIZE_MAX)
        return refuse_row(b, CCZ_E_LIMIT, "psi:id-size", "the id is too long");
    if (b->row == CCZ_PSI_LEN_MAX)
        return refuse_row(b, CCZ_E_LIMIT, "psi:len", "too many ids");
    if (b->len == BATCH || b->text_size + id.size > BATCH_SIZE_MAX) {
        ccz_rc rc = flush(b);
        if (rc != CCZ_OK)
            return rc;
    }
    uint8_t *to = b->text + b->text_size;
    memcpy(to, id.ptr, id.size);
    for (size_t i = 0; b->cfg->fold_case && i < id.size; i++)
        if (to[i] >= 'A' && to[i] <= 'Z')
            to[i] |= 0x20;
    b->id[b->len++] = CCZ_SPAN(to, id.size);
    b->text_size += id.size;
    b->row++;
    return CCZ_OK;
}

/* How ids are prepared is part of the key under which they are hashed. */
static void prepare(struct builder *b)
{
    static const uint8_t zero[32];
    uint8_t how[4 + 32] = {1 /* version */, b->cfg->trim, b->cfg->fold_case, 0};
    struct ccz_span domain = ccz_span_str(b->cfg->domain ? b->cfg->domain : "");
    cczi_psi_derive(how + 4, "cczoo psi domain", zero, domain);
    cczi_psi_derive(b->ids->prepared, "cczoo psi prepared", zero, CCZ_SPAN(how, sizeof(how)));
    cczi_ro_init(&b->ro, "cczoo psi id", b->ids->prepared);
}

static ccz_rc builder_init(struct builder *b, const struct ccz_psi_ids_cfg *cfg,
                           struct ccz_err *err)
{
    static const struct ccz_psi_ids_cfg strict;
    *b = (struct builder){.cfg = cfg ? cfg : &strict, .err = err};
    if ((unsigned)b->cfg->duplicates > CCZ_PSI_FIRST)
        return ccz_fail(err, CCZ_E_ARG, "psi:ids-config", 0, "no such policy for duplicates");
    b->text = malloc(BATCH_SIZE_MAX);
    b->ids = calloc(1, sizeof(*b->ids));
    if (!b->text || !b->ids)
        return no_memory(err);
    if (b->cfg->spool_dir && !(b->ids->dir = strdup(b->cfg->spool_dir)))
        return no_memory(err);
    b->ids->spool_cfg = (struct cczi_spool_cfg){
        .parts = CCZI_PSI_PARTS,
        .memory_len = b->cfg->memory_len ? b->cfg->memory_len : CCZ_PSI_FILE_MEMORY_LEN,
        .dir = b->ids->dir};
    prepare(b);
    return cczi_spool_new(&b->ids->spool, &b->ids->spool_cfg, err);
}

static void builder_deinit(struct builder *b)
{
    if (b->text)
        ccz_wipe(b->text, BATCH_SIZE_MAX);
    free(b->text);
    ccz_psi_ids_free(b->ids);
}

/* ----------------------------------------------------------------------------- different */

/* Open addressing, by the second half of the hash. Entries are positions + 1. */
struct seen {
    uint32_t *at;
    size_t mask;
};

/* Where an equal one is or an entry is free. */
static uint32_t *look(const struct seen *t, const struct cczi_psi_rec *recs,
                      const struct cczi_psi_rec *rec)
{
    uint64_t h;
    memcpy(&h, rec->b + 8, 8);
    size_t i = h & t->mask;
    while (t->at[i] && memcmp(recs[t->at[i] - 1].b, rec->b, 16) != 0)
        i = (i + 1) & t->mask;
    return &t->at[i];
}

/* Keeps the first of equal records, in place. @param[out] twice  a later one's row, if there is any */
static ccz_rc keep_first(struct cczi_psi_rec *recs, size_t *len, uint64_t *twice,
                         struct ccz_err *err)
{
    size_t cap = 16, kept = 0;
    while (cap < 2 * *len)
        cap *= 2;
    struct seen t = {.at = calloc(cap, sizeof(*t.at)), .mask = cap - 1};
    if (!t.at)
        return no_memory(err);
    for (size_t i = 0; i < *len; i++) {
        uint32_t *at = look(&t, recs, &recs[i]);
        if (*at) {
            if (twice)
                *twice = recs[i].row;
            continue;
        }
        recs[kept] = recs[i];
        *at = (uint32_t)++kept;
    }
    free(t.at);
    *len = kept;
    return CCZ_OK;
}

/* One part without repetitions, to @p out. */
static ccz_rc read_part(struct cczi_psi_rec *out, size_t *len, uint64_t *twice,
                        const struct ccz_psi_ids *ids, size_t part, struct ccz_err *err)
{
    *len = (size_t)cczi_spool_len(ids->spool, part);
    ccz_rc rc = cczi_spool_read(out, ids->spool, part, err);
    return rc == CCZ_OK ? keep_first(out, len, twice, err) : rc;
}

ccz_rc cczi_psi_ids_parts(struct cczi_psi_rec **out, size_t *len, size_t room,
                          const struct ccz_psi_ids *ids, size_t first, size_t count,
                          struct ccz_err *err)
{
    size_t all = 0;
    *out = NULL;
    *len = 0;
    for (size_t p = first; p < first + count; p++)
        all += (size_t)cczi_spool_len(ids->spool, p);
    room = room > all ? room : all;
    struct cczi_psi_rec *recs = cczi_psi_alloc(room, sizeof(*recs));
    ccz_rc rc = recs ? CCZ_OK : no_memory(err);
    for (size_t p = first; rc == CCZ_OK && p < first + count; p++) {
        size_t n = 0;
        rc = read_part(recs + *len, &n, NULL, ids, p, err);
        *len += n;
    }
    if (rc != CCZ_OK) {
        cczi_psi_recs_free(recs, room);
        *len = 0;
        return rc;
    }
    *out = recs;
    return CCZ_OK;
}

/* Counts what is different, and refuses repetitions if they are to be refused. */
static ccz_rc finish(struct ccz_psi_ids **out, struct builder *b)
{
    size_t most = 0;
    ccz_rc rc = flush(b);
    for (size_t p = 0; p < CCZI_PSI_PARTS; p++)
        if (cczi_spool_len(b->ids->spool, p) > most)
            most = (size_t)cczi_spool_len(b->ids->spool, p);
    if (most > UINT32_MAX / 4)
        return ccz_fail(b->err, CCZ_E_LIMIT, "psi:len", (int64_t)most, "too many ids in a part");
    struct cczi_psi_rec *recs = cczi_psi_alloc(most, sizeof(*recs));
    if (rc == CCZ_OK && !recs)
        rc = no_memory(b->err);
    for (size_t p = 0; rc == CCZ_OK && p < CCZI_PSI_PARTS; p++) {
        size_t n = 0;
        uint64_t twice = UINT64_MAX;
        rc = read_part(recs, &n, &twice, b->ids, p, b->err);
        if (rc == CCZ_OK && twice != UINT64_MAX && b->cfg->duplicates == CCZ_PSI_REJECT)
            rc = ccz_hint(b->err,
                          ccz_fail(b->err, CCZ_E_FORMAT, "psi:id-twice", (int64_t)twice,
                                   "the id of row %llu occurs before", (unsigned long long)twice),
                          "let the first row stand for all (CCZ_PSI_FIRST), or clean the input");
        b->ids->len += n;
    }
    cczi_psi_recs_free(recs, most);
    if (rc == CCZ_OK) {
        *out = b->ids;
        b->ids = NULL;
    }
    return rc;
}

/* ------------------------------------------------------------------------------- sources */

ccz_rc ccz_psi_ids_new(struct ccz_psi_ids **out, const struct ccz_span *ids, size_t len,
                       const struct ccz_psi_ids_cfg *cfg, struct ccz_err *err)
{
    struct builder b;
    *out = NULL;
    ccz_rc rc = builder_init(&b, cfg, err);
    for (size_t i = 0; rc == CCZ_OK && i < len; i++)
        rc = add_id(&b, ids[i]);
    if (rc == CCZ_OK)
        rc = finish(out, &b);
    builder_deinit(&b);
    return rc;
}

/* Lines of @p f; the last one may lack its end. */
static ccz_rc add_lines(struct builder *b, FILE *f, const char *path)
{
    CCZ_AUTO_BUF line;
    char *chunk = malloc(READ_SIZE);
    ccz_rc rc = chunk ? CCZ_OK : no_memory(b->err);
    ccz_buf_init(&line, (size_t)CCZ_PSI_ID_SIZE_MAX + READ_SIZE);
    line.wipe = true;
    for (size_t n; rc == CCZ_OK && (n = fread(chunk, 1, READ_SIZE, f)) > 0;) {
        for (size_t at = 0; rc == CCZ_OK && at < n;) {
            const char *nl = memchr(chunk + at, '\n', n - at);
            size_t size = nl ? (size_t)(nl - chunk) - at : n - at;
            ccz_buf_put(&line, chunk + at, size);
            at += size + (nl != NULL);
            if (line.bad || line.size > CCZ_PSI_ID_SIZE_MAX + 1) /* and a CR */
                rc = refuse_row(b, CCZ_E_LIMIT, "psi:id-size", "the line is too long");
            if (rc == CCZ_OK && nl) {
                line.size -= line.size > 0 && line.ptr[line.size - 1] == '\r';
                rc = add_id(b, ccz_buf_span(&line));
                ccz_buf_clear(&line);
            }
        }
    }
    if (chunk)
        ccz_wipe(chunk, READ_SIZE);
    free(chunk);
    if (rc == CCZ_OK && ferror(f))
        rc = ccz_fail(b->err, CCZ_E_IO, "psi:file", errno, "cannot read %s", path);
    return rc == CCZ_OK && line.size > 0 ? add_id(b, ccz_buf_span(&line)) : rc;
}

static ccz_rc add_column(struct builder *b, FILE *f, const char *column)
{
    CCZ_AUTO(ccz_csv) csv = NULL;
    size_t col = 0;
    ccz_rc rc = ccz_csv_new(&csv, ccz_csv_from_file, f, NULL, b->err);
    if (rc == CCZ_OK)
        rc = ccz_csv_next(csv, b->err);
    if (rc != CCZ_OK)
        return rc;
    while (col < ccz_csv_len(csv) && !ccz_span_eq(ccz_csv_field(csv, col), ccz_span_str(column)))
        col++;
    if (col == ccz_csv_len(csv))
        return ccz_fail(b->err, CCZ_E_NOT_FOUND, "psi:column", 0, "no column %.64s", column);
    while ((rc = ccz_csv_next(csv, b->err)) == CCZ_OK) {
        rc = add_id(b, ccz_csv_field(csv, col));
        if (rc != CCZ_OK)
            return rc;
    }
    if (rc != CCZ_E_NOT_FOUND)
        return rc;
    if (b->err)
        *b->err = (struct ccz_err){0}; /* the end of the file is no error */
    return CCZ_OK;
}

static ccz_rc read_file(struct ccz_psi_ids **out, const char *path, const char *column,
                        const struct ccz_psi_ids_cfg *cfg, struct ccz_err *err)
{
    struct builder b;
    *out = NULL;
    FILE *f = fopen(path, "rbe");
    if (!f)
        return ccz_fail(err, CCZ_E_IO, "psi:file", errno, "cannot open %s: %s", path,
                        strerror(errno));
    ccz_rc rc = builder_init(&b, cfg, err);
    if (rc == CCZ_OK)
        rc = column ? add_column(&b, f, column) : add_lines(&b, f, path);
    if (rc == CCZ_OK)
        rc = finish(out, &b);
    builder_deinit(&b);
    (void)fclose(f);
    return rc;
}

ccz_rc ccz_psi_ids_read_lines(struct ccz_psi_ids **out, const char *path,
                              const struct ccz_psi_ids_cfg *cfg, struct ccz_err *err)
{
    return read_file(out, path, NULL, cfg, err);
}

ccz_rc ccz_psi_ids_read_csv(struct ccz_psi_ids **out, const char *path, const char *column,
                            const struct ccz_psi_ids_cfg *cfg, struct ccz_err *err)
{
    return read_file(out, path, column, cfg, err);
}
