/* SPDX-License-Identifier: Apache-2.0 */
/* The builder: ratings are collected, sorted and, when memory is full, put to disk as a sorted run; at the end the runs are
 * merged straight into compressed rows. Runs are merged in between when there are many, always neighbours, so that equal
 * ratings stay in the order in which they came. */
#include "ingest.h"
#include "spill.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    RECORDS_FIRST = 4096,
    RUNS_MAX = 1024,
    FAN_MAX = 64,
    BUFFER_MIN = 16 * CCZ_PF_NODE_SIZE,
    BUFFER_MAX = 256 * CCZ_PF_NODE_SIZE,
};

struct level_run {
    struct cczi_recsys_run *run;
    unsigned level; /* how often its records were merged */
};
struct ccz_recsys_builder {
    struct ccz_recsys_build_cfg cfg;
    struct ccz_recsys_ids *user, *item;
    struct ccz_recsys_counts counts;
    bool by_number, by_id, failed;
    uint32_t users, items; /* largest numbers + 1 */
    unsigned width;        /* words of a record */
    uint32_t *rec;         /* [cap * width] */
    uint64_t len, cap, cap_max;
    uint64_t total; /* records in memory and on disk */
    struct level_run run[RUNS_MAX];
    size_t runs;
    uint64_t sort_memory; /* what sorting and merging may take; 0: no limit */
    uint64_t peak, spilled;
    uint64_t ids_peak[2]; /* of users and items, as of the last rating */
};

/* --------------------------------------------------------------------------------------- memory */

static uint64_t record_size(const struct ccz_recsys_builder *b)
{
    return b->width * sizeof(uint32_t);
}

static uint64_t dictionary_size(const struct ccz_recsys_builder *b)
{
    return (b->user ? ccz_recsys_ids_size(b->user) : 0) +
           (b->item ? ccz_recsys_ids_size(b->item) : 0);
}

/* Takes note of `size` bytes beside the dictionaries; refused if that is more than may be. */
static ccz_rc may_take(struct ccz_recsys_builder *b, uint64_t size, struct ccz_err *err)
{
    const uint64_t all = dictionary_size(b) + size;
    if (b->cfg.memory_max > 0 && all > b->cfg.memory_max) {
        (void)ccz_refuse_num(err, CCZ_E_LIMIT, "recsys:memory-max", (int64_t)all,
                             (int64_t)b->cfg.memory_max);
        return ccz_hint(
            err, CCZ_E_LIMIT,
            "the matrix itself has to fit: more memory, or ccz_recsys_plan() and Spark");
    }
    b->peak = all > b->peak ? all : b->peak;
    return CCZ_OK;
}

/* Dictionaries may grow as far as sorting leaves room. */
static void limit_dictionaries(struct ccz_recsys_builder *b)
{
    if (b->cfg.memory_max == 0)
        return;
    const uint64_t room = b->cfg.memory_max - b->sort_memory;
    const uint64_t user = ccz_recsys_ids_size(b->user), item = ccz_recsys_ids_size(b->item);
    cczi_recsys_ids_limit(b->user, item < room ? room - item : 1);
    cczi_recsys_ids_limit(b->item, user < room ? room - user : 1);
}

ccz_rc ccz_recsys_builder_new(struct ccz_recsys_builder **out,
                              const struct ccz_recsys_build_cfg *cfg, struct ccz_err *err)
{
    *out = NULL;
    if (cfg->memory_max > 0 && cfg->memory_max < CCZ_RECSYS_BUILD_MEMORY_MIN)
        return ccz_refuse_num(err, CCZ_E_ARG, "recsys:memory-max", (int64_t)cfg->memory_max,
                              (int64_t)CCZ_RECSYS_BUILD_MEMORY_MIN);
    struct ccz_recsys_builder *b = calloc(1, sizeof(*b));
    if (!b)
        return cczi_recsys_no_memory(err);
    b->cfg = *cfg;
    b->width = cfg->filter.twice == CCZ_RECSYS_TWICE_LAST ? 5 : 3;
    b->sort_memory = cfg->memory_max / 2;
    b->cap_max = cfg->memory_max > 0 ? b->sort_memory / 2 / record_size(b) : CCZ_RECSYS_RATINGS_MAX;
    *out = b;
    return CCZ_OK;
}

void ccz_recsys_builder_free(struct ccz_recsys_builder *b)
{
    if (!b)
        return;
    ccz_recsys_ids_free(b->user);
    ccz_recsys_ids_free(b->item);
    cczi_recsys_wipe_free(b->rec, (size_t)(b->cap * record_size(b)));
    for (size_t i = 0; i < b->runs; i++)
        cczi_recsys_run_free(b->run[i].run);
    free(b);
}

/* ------------------------------------------------------------------------------------------ runs */

/* Sorts what is in memory; its buffer is the only one afterwards. */
static ccz_rc sort_records(struct ccz_recsys_builder *b, struct ccz_err *err)
{
    const uint64_t size = b->len * record_size(b);
    ccz_rc rc = may_take(b, b->cap * record_size(b) + size, err);
    uint32_t *tmp = rc == CCZ_OK ? cczi_recsys_alloc(b->len, record_size(b)) : NULL;
    if (rc == CCZ_OK && !tmp)
        rc = cczi_recsys_no_memory(err);
    if (rc != CCZ_OK)
        return rc;
    if (cczi_recsys_sort(b->rec, tmp, b->len, b->width) == tmp)
        memcpy(b->rec, tmp, (size_t)size);
    cczi_recsys_wipe_free(tmp, (size_t)size);
    return CCZ_OK;
}

/* How many runs one merge takes, and with which buffers. */
static size_t fan(size_t *buffer, const struct ccz_recsys_builder *b)
{
    const uint64_t room = b->sort_memory - CCZI_RECSYS_RUN_WRITE_SIZE;
    uint64_t n = room / (CCZI_RECSYS_RUN_READ_SIZE + BUFFER_MIN);
    n = n > FAN_MAX ? FAN_MAX : n;
    uint64_t size = room / n - CCZI_RECSYS_RUN_READ_SIZE;
    size = size / CCZ_PF_NODE_SIZE * CCZ_PF_NODE_SIZE;
    *buffer = (size_t)(size > BUFFER_MAX ? BUFFER_MAX : size);
    return (size_t)n;
}

static ccz_rc copy_merged(struct cczi_recsys_run *to, struct cczi_recsys_run **runs, size_t len,
                          size_t buffer, struct ccz_err *err)
{
    CCZ_AUTO(cczi_recsys_merge) m = NULL;
    ccz_rc rc = cczi_recsys_merge_new(&m, runs, len, buffer, err);
    for (const uint32_t *rec = NULL; rc == CCZ_OK;) {
        rc = cczi_recsys_merge_next(&rec, m, err);
        if (rc != CCZ_OK || !rec)
            break;
        rc = cczi_recsys_run_put(to, rec, 1, err);
    }
    return rc == CCZ_OK ? cczi_recsys_run_end(to, err) : rc;
}

/* The last `len` runs become one. */
static ccz_rc merge_last(struct ccz_recsys_builder *b, size_t len, size_t buffer,
                         struct ccz_err *err)
{
    struct level_run *first = &b->run[b->runs - len];
    struct cczi_recsys_run *part[FAN_MAX];
    uint64_t records = 0;
    for (size_t i = 0; i < len; i++) {
        part[i] = first[i].run;
        records += cczi_recsys_run_len(part[i]);
    }
    CCZ_AUTO(cczi_recsys_run) to = NULL;
    ccz_rc rc = may_take(b,
                         b->cap * record_size(b) + CCZI_RECSYS_RUN_WRITE_SIZE +
                             records * record_size(b) / 3072 + /* see ccz_pf_writer_new() */
                             len * (CCZI_RECSYS_RUN_READ_SIZE + buffer),
                         err);
    if (rc == CCZ_OK)
        rc = cczi_recsys_run_new(&to, b->cfg.spill_dir, records, b->width, err);
    if (rc == CCZ_OK)
        rc = copy_merged(to, part, len, buffer, err);
    if (rc != CCZ_OK)
        return rc;
    b->spilled += cczi_recsys_run_size(to);
    for (size_t i = 0; i < len; i++)
        cczi_recsys_run_free(first[i].run);
    first[0].run = cczi_recsys_run_take(&to);
    first[0].level++;
    b->runs -= len - 1;
    return CCZ_OK;
}

/* Memory for records is given back, as merging needs it. */
static void free_records(struct ccz_recsys_builder *b)
{
    cczi_recsys_wipe_free(b->rec, (size_t)(b->cap * record_size(b)));
    b->rec = NULL;
    b->len = b->cap = 0;
}

static ccz_rc merge_levels(struct ccz_recsys_builder *b, struct ccz_err *err)
{
    size_t buffer;
    const size_t most = fan(&buffer, b);
    for (ccz_rc rc = CCZ_OK;;) {
        const unsigned level = b->run[b->runs - 1].level;
        size_t same = 0;
        while (same < b->runs && b->run[b->runs - 1 - same].level == level)
            same++;
        if (same < most)
            return CCZ_OK;
        free_records(b);
        if ((rc = merge_last(b, most, buffer, err)) != CCZ_OK)
            return rc;
    }
}

/* What is in memory goes to disk as a run. */
static ccz_rc spill(struct ccz_recsys_builder *b, struct ccz_err *err)
{
    if (!b->cfg.spill_dir)
        return ccz_hint(err,
                        ccz_refuse_num(err, CCZ_E_LIMIT, "recsys:memory-max",
                                       (int64_t)(2 * (b->len + 1) * record_size(b)),
                                       (int64_t)b->sort_memory),
                        "more than is to be sorted in memory: name a folder for encrypted runs");
    if (b->runs == RUNS_MAX) /* merging by levels keeps them far below; it bounds the array */
        return ccz_refuse_num(err, CCZ_E_LIMIT, "recsys:runs", RUNS_MAX + 1, RUNS_MAX);
    CCZ_AUTO(cczi_recsys_run) r = NULL;
    ccz_rc rc = sort_records(b, err);
    if (rc == CCZ_OK)
        rc = cczi_recsys_run_new(&r, b->cfg.spill_dir, b->len, b->width, err);
    if (rc == CCZ_OK)
        rc = cczi_recsys_run_put(r, b->rec, b->len, err);
    if (rc == CCZ_OK)
        rc = cczi_recsys_run_end(r, err);
    if (rc != CCZ_OK)
        return rc;
    b->spilled += cczi_recsys_run_size(r);
    b->run[b->runs++] = (struct level_run){.run = cczi_recsys_run_take(&r)};
    b->len = 0;
    return merge_levels(b, err);
}

/* ---------------------------------------------------------------------------------------- adding */

static ccz_rc grow(struct ccz_recsys_builder *b, struct ccz_err *err)
{
    uint64_t cap = b->cap > 0 ? 2 * b->cap : RECORDS_FIRST;
    cap = cap > b->cap_max ? b->cap_max : cap;
    ccz_rc rc = may_take(b, (b->cap + cap) * record_size(b), err);
    if (rc != CCZ_OK)
        return rc;
    void *rec = b->rec;
    if (!cczi_recsys_move(&rec, b->len * record_size(b), cap * record_size(b)))
        return cczi_recsys_no_memory(err);
    b->rec = rec;
    b->cap = cap;
    return CCZ_OK;
}

static ccz_rc put(void *arg, const struct ccz_recsys_rating *r, struct ccz_err *err)
{
    struct ccz_recsys_builder *b = arg;
    ccz_rc rc = CCZ_OK;
    if (b->len == b->cap_max)
        rc = spill(b, err);
    if (rc == CCZ_OK && b->len == b->cap)
        rc = grow(b, err);
    if (rc != CCZ_OK)
        return rc;
    uint32_t *rec = b->rec + b->len++ * b->width;
    rec[0] = r->user;
    rec[1] = r->item;
    memcpy(&rec[2], &r->value, sizeof(rec[2]));
    if (b->width == RECORD_WIDTH_MAX) {
        rec[3] = (uint32_t)(uint64_t)r->time;
        rec[4] = (uint32_t)((uint64_t)r->time >> 32);
    }
    b->total++;
    b->users = r->user >= b->users ? r->user + 1 : b->users;
    b->items = r->item >= b->items ? r->item + 1 : b->items;
    return CCZ_OK;
}

static ccz_rc check_by_number(struct ccz_recsys_builder *b, struct ccz_err *err)
{
    if (b->failed || b->by_id)
        return ccz_fail(err, CCZ_E_ARG, "recsys:builder", 0,
                        b->failed ? "an earlier call failed" : "ids were read before");
    if (b->cfg.filter.per_user > 1 || b->cfg.filter.per_item > 1)
        return ccz_fail(err, CCZ_E_ARG, "recsys:builder", 0,
                        "a filter of users and items needs their ids");
    b->by_number = true;
    return CCZ_OK;
}

static ccz_rc check_rating(const struct ccz_recsys_rating *r, size_t i, struct ccz_err *err)
{
    if (r->user >= CCZ_RECSYS_LEN_MAX)
        return ccz_refuse_num(err, CCZ_E_ARG, "recsys:user", r->user, CCZ_RECSYS_LEN_MAX - 1);
    if (r->item >= CCZ_RECSYS_LEN_MAX)
        return ccz_refuse_num(err, CCZ_E_ARG, "recsys:item", r->item, CCZ_RECSYS_LEN_MAX - 1);
    if (!isfinite(r->value))
        return ccz_fail(err, CCZ_E_ARG, "recsys:value", (int64_t)i, "not a finite number");
    return CCZ_OK;
}

ccz_rc ccz_recsys_builder_add(struct ccz_recsys_builder *b, const struct ccz_recsys_rating *r,
                              size_t len, struct ccz_err *err)
{
    ccz_rc rc = check_by_number(b, err);
    for (size_t i = 0; rc == CCZ_OK && i < len; i++) {
        struct ccz_recsys_rating one = r[i];
        rc = check_rating(&one, i, err);
        if (rc == CCZ_OK)
            rc = cczi_recsys_one_more(&b->cfg.filter, &b->counts, err);
        if (rc == CCZ_OK && cczi_recsys_passes(&one.value, &b->cfg.filter, &b->counts))
            rc = put(b, &one, err);
    }
    b->failed = rc != CCZ_OK;
    return rc;
}

/* What a dictionary took while it grew, beside the other one and the records. */
static void note_growth(struct ccz_recsys_builder *b, int side, const struct ccz_recsys_ids *ids)
{
    if (ids->size_peak == b->ids_peak[side])
        return;
    b->ids_peak[side] = ids->size_peak;
    const uint64_t all =
        dictionary_size(b) - ccz_recsys_ids_size(ids) + ids->size_peak + b->cap * record_size(b);
    b->peak = all > b->peak ? all : b->peak;
}

static ccz_rc put_by_id(void *arg, const struct ccz_recsys_rating *r, struct ccz_err *err)
{
    struct ccz_recsys_builder *b = arg;
    note_growth(b, 0, b->user);
    note_growth(b, 1, b->item);
    limit_dictionaries(b);
    return put(b, r, err);
}

static ccz_rc read_feed(struct ccz_recsys_builder *b, const struct cczi_recsys_feed *feed,
                        struct ccz_err *err)
{
    if (b->failed || b->by_number)
        return ccz_fail(err, CCZ_E_ARG, "recsys:builder", 0,
                        b->failed ? "an earlier call failed" : "numbers were added before");
    b->by_id = true;
    const struct cczi_recsys_sink sink = {&b->cfg.filter, &b->user,  &b->item,
                                          &b->counts,     put_by_id, b};
    ccz_rc rc = cczi_recsys_ingest(feed, &sink, err);
    b->failed = rc != CCZ_OK;
    return rc;
}

ccz_rc ccz_recsys_builder_read(struct ccz_recsys_builder *b, struct ccz_recsys_source *source,
                               const struct ccz_recsys_format *format, struct ccz_err *err)
{
    return read_feed(b, &(struct cczi_recsys_feed){.source = source, .format = format}, err);
}

ccz_rc ccz_recsys_builder_read_parquet(struct ccz_recsys_builder *b, const struct ccz_pq_source *io,
                                       const struct ccz_recsys_table *table, struct ccz_err *err)
{
    return read_feed(b, &(struct cczi_recsys_feed){.io = io, .table = table}, err);
}

/* ------------------------------------------------------------------------------------- finishing */

/* Records in order, from memory or from runs. */
struct sorted {
    const struct ccz_recsys_builder *b;
    uint64_t at;
    struct cczi_recsys_merge *merge; /* NULL: memory */
};

static ccz_rc next_record(const uint32_t **rec, struct sorted *s, struct ccz_err *err)
{
    if (s->merge)
        return cczi_recsys_merge_next(rec, s->merge, err);
    *rec = s->at < s->b->len ? s->b->rec + s->at * s->b->width : NULL;
    s->at++;
    return CCZ_OK;
}

static int64_t time_of(const uint32_t *rec, unsigned width)
{
    return width == RECORD_WIDTH_MAX ? (int64_t)(rec[3] | (uint64_t)rec[4] << 32) : 0;
}

/* A further rating of the pair at m->len - 1; `time` is the latest so far. */
static ccz_rc again(struct ccz_recsys_csr *m, int64_t *time, const uint32_t *rec, unsigned width,
                    enum ccz_recsys_twice twice, struct ccz_err *err)
{
    float *value = &m->value[m->len - 1], v;
    memcpy(&v, &rec[2], sizeof(v));
    if (twice == CCZ_RECSYS_TWICE_REFUSE)
        return ccz_fail(err, CCZ_E_EXISTS, "recsys:twice", 0, "user %u has rated item %u before",
                        rec[0], rec[1]);
    if (twice == CCZ_RECSYS_TWICE_SUM) {
        *value += v;
        if (!isfinite(*value))
            return ccz_fail(err, CCZ_E_FORMAT, "recsys:value", (int64_t)m->len - 1,
                            "the sum of repeated ratings is too large");
    } else if (time_of(rec, width) >= *time) {
        *value = v;
        *time = time_of(rec, width);
    }
    return CCZ_OK;
}

/* Rows as records come; m has room for all of them and m->len is what is filled in. */
static ccz_rc fill_rows(struct ccz_recsys_csr *m, struct sorted *s, enum ccz_recsys_twice twice,
                        struct ccz_err *err)
{
    const unsigned width = s->b->width;
    int64_t time = 0;
    uint32_t row = 0;
    bool any = false;
    for (;;) {
        const uint32_t *rec;
        ccz_rc rc = next_record(&rec, s, err);
        if (rc != CCZ_OK)
            return rc;
        if (!rec)
            break;
        if (any && rec[0] == row && rec[1] == m->col[m->len - 1]) {
            if ((rc = again(m, &time, rec, width, twice, err)) != CCZ_OK)
                return rc;
            continue;
        }
        while (row < rec[0])
            m->start[++row] = m->len;
        any = true;
        m->col[m->len] = rec[1];
        memcpy(&m->value[m->len++], &rec[2], sizeof(*m->value));
        time = time_of(rec, width);
    }
    while (row < m->rows)
        m->start[++row] = m->len;
    return CCZ_OK;
}

/* Not zeroed where it need not be: pages that repeats would have filled are never touched. */
static ccz_rc rows_new(struct ccz_recsys_csr **out, const struct ccz_recsys_builder *b,
                       struct ccz_err *err)
{
    CCZ_AUTO(ccz_recsys_csr) m = calloc(1, sizeof(*m));
    if (!m)
        return cczi_recsys_no_memory(err);
    m->rows = b->users;
    m->cols = b->items;
    m->start = cczi_recsys_alloc((uint64_t)m->rows + 1, sizeof(*m->start));
    m->col = malloc(b->total > 0 ? b->total * sizeof(*m->col) : 1);
    m->value = malloc(b->total > 0 ? b->total * sizeof(*m->value) : 1);
    if (!m->start || !m->col || !m->value)
        return cczi_recsys_no_memory(err);
    *out = ccz_recsys_csr_take(&m);
    return CCZ_OK;
}

static ccz_rc merge_to_rows(struct ccz_recsys_csr *m, struct ccz_recsys_builder *b,
                            uint64_t matrix_size, struct ccz_err *err)
{
    struct cczi_recsys_run *part[FAN_MAX];
    struct sorted s = {.b = b};
    CCZ_AUTO(cczi_recsys_merge) merge = NULL;
    ccz_rc rc = CCZ_OK;
    if (b->runs > 0) {
        size_t buffer;
        (void)fan(&buffer, b);
        for (size_t i = 0; i < b->runs; i++)
            part[i] = b->run[i].run;
        rc = may_take(b, matrix_size + b->runs * (CCZI_RECSYS_RUN_READ_SIZE + buffer), err);
        if (rc == CCZ_OK)
            rc = cczi_recsys_merge_new(&merge, part, b->runs, buffer, err);
        s.merge = merge;
    } else {
        rc = may_take(b, matrix_size + b->cap * record_size(b), err);
    }
    return rc == CCZ_OK ? fill_rows(m, &s, b->cfg.filter.twice, err) : rc;
}

/* Everything is sorted, in memory or in so many runs that one merge takes them. */
static ccz_rc sort_all(struct ccz_recsys_builder *b, struct ccz_err *err)
{
    if (b->runs == 0)
        return sort_records(b, err);
    ccz_rc rc = b->len > 0 ? spill(b, err) : CCZ_OK;
    free_records(b);
    size_t buffer;
    const size_t most = fan(&buffer, b);
    while (rc == CCZ_OK && b->runs > most) {
        const size_t len = b->runs - most + 1;
        rc = merge_last(b, len < most ? len : most, buffer, err);
    }
    return rc;
}

static uint64_t matrix_size(uint64_t len, uint64_t rows)
{
    return len * 8 + (rows + 1) * sizeof(uint64_t);
}

static ccz_rc drop_few(struct ccz_recsys_matrices *m, struct ccz_recsys_builder *b,
                       struct ccz_err *err)
{
    struct cczi_recsys_keep keep;
    const uint64_t before = m->by_user->len;
    ccz_rc rc = cczi_recsys_keep_init(&keep, m->by_user, m->by_item, &b->cfg.filter, err);
    if (rc != CCZ_OK)
        return rc;
    cczi_recsys_csr_keep(m->by_user, keep.user, keep.users_left, keep.item, keep.items_left);
    cczi_recsys_csr_keep(m->by_item, keep.item, keep.items_left, keep.user, keep.users_left);
    cczi_recsys_ids_keep(b->user, keep.user);
    cczi_recsys_ids_keep(b->item, keep.item);
    b->counts.dropped = before - m->by_user->len;
    b->counts.users_dropped = keep.users - keep.users_left;
    b->counts.items_dropped = keep.items - keep.items_left;
    cczi_recsys_keep_deinit(&keep);
    return CCZ_OK;
}

static ccz_rc finish(struct ccz_recsys_matrices *m, struct ccz_recsys_builder *b,
                     struct ccz_err *err)
{
    const bool few = b->cfg.filter.per_user > 1 || b->cfg.filter.per_item > 1;
    const uint64_t by_user = matrix_size(b->total, b->users);
    const uint64_t both = by_user + matrix_size(b->total, b->items) +
                          (few ? 17 * ((uint64_t)b->users + b->items) : 0);
    ccz_rc rc = may_take(b, few || b->cfg.by_item ? both : by_user, err);
    if (rc == CCZ_OK)
        rc = sort_all(b, err);
    if (rc == CCZ_OK)
        rc = rows_new(&m->by_user, b, err);
    if (rc == CCZ_OK)
        rc = merge_to_rows(m->by_user, b, by_user, err);
    if (rc != CCZ_OK)
        return rc;
    b->counts.twice = b->total - m->by_user->len;
    free_records(b);
    m->runs = (uint32_t)b->runs;
    for (; b->runs > 0; b->runs--)
        cczi_recsys_run_free(b->run[b->runs - 1].run);
    if (few || b->cfg.by_item)
        rc = ccz_recsys_csr_transpose(&m->by_item, m->by_user, err);
    if (rc == CCZ_OK && few)
        rc = drop_few(m, b, err);
    if (rc == CCZ_OK && !b->cfg.by_item) {
        ccz_recsys_csr_free(m->by_item);
        m->by_item = NULL;
    }
    return rc;
}

ccz_rc ccz_recsys_builder_finish(struct ccz_recsys_matrices *out, struct ccz_recsys_builder *b,
                                 struct ccz_err *err)
{
    *out = (struct ccz_recsys_matrices){0};
    struct ccz_recsys_matrices m = {0};
    if (b->failed)
        return ccz_fail(err, CCZ_E_ARG, "recsys:builder", 0, "an earlier call failed");
    b->failed = true; /* whatever comes out, this was the last call */
    ccz_rc rc = finish(&m, b, err);
    if (rc != CCZ_OK) {
        ccz_recsys_matrices_deinit(&m);
        return rc;
    }
    m.counts = b->counts;
    m.counts.left = m.by_user->len;
    m.memory_peak = b->peak;
    m.spilled = b->spilled;
    m.user = ccz_recsys_ids_take(&b->user);
    m.item = ccz_recsys_ids_take(&b->item);
    *out = m;
    return CCZ_OK;
}

void ccz_recsys_matrices_deinit(struct ccz_recsys_matrices *m)
{
    ccz_recsys_csr_free(m->by_user);
    ccz_recsys_csr_free(m->by_item);
    ccz_recsys_ids_free(m->user);
    ccz_recsys_ids_free(m->item);
    *m = (struct ccz_recsys_matrices){0};
}

ccz_rc ccz_recsys_build(struct ccz_recsys_matrices *out, struct ccz_recsys_source *source,
                        const struct ccz_recsys_format *format,
                        const struct ccz_recsys_build_cfg *cfg, struct ccz_err *err)
{
    *out = (struct ccz_recsys_matrices){0};
    CCZ_AUTO(ccz_recsys_builder) b = NULL;
    ccz_rc rc = ccz_recsys_builder_new(&b, cfg, err);
    if (rc == CCZ_OK)
        rc = ccz_recsys_builder_read(b, source, format, err);
    return rc == CCZ_OK ? ccz_recsys_builder_finish(out, b, err) : rc;
}
