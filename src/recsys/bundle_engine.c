/* SPDX-License-Identifier: Apache-2.0 */
/* The engine "als": questions with ids of outside become questions with numbers, and lists of numbers become lists of ids. */
#define _DEFAULT_SOURCE
#include "bundle_priv.h"
#include "recsys_priv.h"

#include <cczoo/recsys_eval.h>
#include <cczoo/recsys_rank.h>

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { K_DEFAULT = 10, LIST_LEN_MAX = 1 << 26 /* entries of an answer */ };

struct served {
    const struct ccz_recsys_engine_cfg *cfg;
    struct ccz_recsys_bundle *bundle;
    const struct ccz_recsys_contents *c;
    struct ccz_recsys_index *index;
    struct ccz_recsys_popular *popular;
    pthread_mutex_t lock; /* of fold, which one thread at a time may use */
    struct ccz_recsys_fold *fold;
};

/* Inputs and outputs of all signatures, in the order of names, which is the order of arrays in run(). */
enum { IN_EXCLUDE = 0, IN_K, IN_SUBJECT, IN_RATED = 2, IN_RATINGS };
enum { OUT_IDS = 0, OUT_KNOWN = 1 };

/* ------------------------------------------------------------------------------ description */

static enum ccz_dtype dtype_of(const struct ccz_recsys_ids *ids)
{
    return ccz_recsys_ids_kind(ids) == CCZ_RECSYS_ID_INT ? CCZ_DT_INT64 : CCZ_DT_STRING;
}

static void describe(struct ccz_buf *out, const struct ccz_recsys_contents *c)
{
    static const int64_t any[2] = {-1, -1};
    static const int64_t k_default = K_DEFAULT;
    const enum ccz_dtype user = dtype_of(c->user), item = dtype_of(c->item);
    const struct ccz_tensor ten = {
        .dtype = CCZ_DT_INT64, .len = 1, .data = CCZ_SPAN(&k_default, sizeof(k_default))};
    const struct ccz_tensor no_items = {.dtype = item, .rank = 2};
    const struct ccz_tensor no_ratings = {.dtype = CCZ_DT_FLOAT, .rank = 2};
    const struct ccz_tensor_spec exclude = {"exclude", item, 2, any, &no_items},
                                 k = {"k", CCZ_DT_INT64, -1, NULL, &ten},
                                 ids = {"item_ids", item, 2, any, NULL},
                                 scores = {"scores", CCZ_DT_FLOAT, 2, any, NULL};
    const struct ccz_tensor_spec users[] = {exclude, k, {"user_id", user, 1, any, NULL}},
                                 items[] = {{"item_id", item, 1, any, NULL}, k},
                                 rated[] = {exclude,
                                            k,
                                            {"rated_items", item, 2, any, NULL},
                                            {"ratings", CCZ_DT_FLOAT, 2, any, &no_ratings}};
    const struct ccz_tensor_spec lists[] = {ids, scores},
                                 known[] = {ids, {"known", CCZ_DT_BOOL, 1, any, NULL}, scores};
    ccz_signature_put(out, &(struct ccz_signature_spec){"fold_in", rated, lists, 4, 2});
    ccz_signature_put(out,
                      &(struct ccz_signature_spec){"recommend_or_popular", users, known, 3, 3});
    ccz_signature_put(out, &(struct ccz_signature_spec){"serving_default", users, lists, 3, 2});
    ccz_signature_put(out, &(struct ccz_signature_spec){"similar_items", items, lists, 2, 2});
}

/* ---------------------------------------------------------------------------------- loading */

static void unload(void *model)
{
    struct served *s = model;
    ccz_recsys_fold_free(s->fold);
    ccz_recsys_popular_free(s->popular);
    ccz_recsys_index_free(s->index);
    ccz_recsys_bundle_free(s->bundle);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

static ccz_rc prepare(struct served *s, struct ccz_err *err)
{
    struct ccz_recsys_als_cfg als = ccz_recsys_bundle_manifest(s->bundle)->als;
    const struct ccz_recsys_index_cfg index = {.threads = s->cfg->threads};
    als.threads = s->cfg->threads;
    s->c = ccz_recsys_bundle_contents(s->bundle);
    ccz_rc rc = ccz_recsys_index_new(&s->index, s->c->model, &index, err);
    if (rc == CCZ_OK)
        rc = ccz_recsys_popular_new(&s->popular, s->c->seen, false, err);
    return rc == CCZ_OK ? ccz_recsys_fold_new(&s->fold, s->c->model, CCZ_RECSYS_USERS, &als, err)
                        : rc;
}

static ccz_rc load(void **model, struct ccz_buf *signatures, void *arg,
                   const struct ccz_model_cfg *files, struct ccz_err *err)
{
    struct served *s = calloc(1, sizeof(*s));
    if (!s)
        return cczi_recsys_no_memory(err);
    s->cfg = arg;
    (void)pthread_mutex_init(&s->lock, NULL);
    ccz_rc rc = ccz_recsys_bundle_read(&s->bundle, files, &s->cfg->bundle, err);
    if (rc == CCZ_OK)
        rc = prepare(s, err);
    if (rc != CCZ_OK) {
        unload(s);
        return rc;
    }
    describe(signatures, s->c);
    const struct ccz_recsys_manifest *m = ccz_recsys_bundle_manifest(s->bundle);
    if (s->cfg->version)
        *s->cfg->version = m->version;
    if (s->cfg->sha256)
        memcpy(s->cfg->sha256, m->sha256, sizeof(m->sha256));
    *model = s;
    return CCZ_OK;
}

/* ---------------------------------------------------------------------------------- one run */

struct run {
    struct served *s;
    struct ccz_result *r;
    struct ccz_run_status *st;
    const struct ccz_tensor *const *in;
    struct ccz_err err;
    uint32_t k;
    size_t len; /* rows of the answer */
    uint32_t *item;
    float *score;
};

static ccz_rc no_memory(struct run *q)
{
    return ccz_run_status_set(q->st, CCZ_RUN_RESOURCE_EXHAUSTED, "no memory for the answer");
}

/* What a caller may be told of a failure inside: which step, not which values. */
static ccz_rc failed(struct run *q, ccz_rc rc)
{
    if (rc == CCZ_OK)
        return CCZ_OK;
    const enum ccz_run_code code = rc == CCZ_E_NOMEM ? CCZ_RUN_RESOURCE_EXHAUSTED
                                   : rc == CCZ_E_ARG || rc == CCZ_E_LIMIT ? CCZ_RUN_INVALID_ARGUMENT
                                                                          : CCZ_RUN_INTERNAL;
    return ccz_run_status_set(q->st, code, "%.40s: %.150s", q->err.where, q->err.msg);
}

static struct ccz_recsys_id id_at(const struct ccz_tensor *t, size_t i)
{
    int64_t num = 0;
    if (t->dtype == CCZ_DT_STRING)
        return ccz_recsys_id_text(t->strings[i]);
    memcpy(&num, t->data.ptr + i * sizeof(num), sizeof(num));
    return ccz_recsys_id_int(num);
}

static ccz_rc take_k(struct run *q, const struct ccz_tensor *t)
{
    int64_t first = 0;
    for (size_t i = 0; i < t->len; i++) {
        const int64_t k = id_at(t, i).num;
        if (i && k != first)
            return ccz_run_status_set(q->st, CCZ_RUN_INVALID_ARGUMENT, "k differs from row to row");
        first = k;
    }
    if (first < 1 || first > CCZ_RECSYS_K_MAX)
        return ccz_run_status_set(q->st, CCZ_RUN_INVALID_ARGUMENT,
                                  "k is %" PRId64 ", 1 to %d are allowed", first, CCZ_RECSYS_K_MAX);
    q->k = (uint32_t)first;
    if (q->len > LIST_LEN_MAX / q->k)
        return ccz_run_status_set(q->st, CCZ_RUN_INVALID_ARGUMENT,
                                  "%zu lists of %u items are more than an answer holds", q->len,
                                  q->k);
    q->item = ccz_result_alloc(q->r, q->len * q->k, sizeof(*q->item));
    q->score = ccz_result_alloc(q->r, q->len * q->k, sizeof(*q->score));
    return q->item && q->score ? CCZ_OK : no_memory(q);
}

/* Rows of `exclude`: none, one for all, or one for each. */
static ccz_rc check_exclude(struct run *q, const struct ccz_tensor *t)
{
    return t->len == 0 || t->dims[0] == 1 || t->dims[0] == (int64_t)q->len
               ? CCZ_OK
               : ccz_run_status_set(q->st, CCZ_RUN_INVALID_ARGUMENT,
                                    "exclude has %" PRId64 " rows for %zu lists", t->dims[0],
                                    q->len);
}

/* What row @p row shall not get, as numbers in @p deny; returns how many. */
static size_t denied(uint32_t *deny, const struct run *q, size_t row)
{
    const struct ccz_tensor *t = q->in[IN_EXCLUDE];
    if (t->len == 0)
        return 0;
    const size_t width = (size_t)t->dims[1], from = t->dims[0] == 1 ? 0 : row * width;
    size_t n = 0;
    for (size_t i = 0; i < width; i++) {
        const uint32_t number = ccz_recsys_ids_find(q->s->c->item, id_at(t, from + i));
        if (number != CCZ_RECSYS_NONE)
            deny[n++] = number;
    }
    return n;
}

/* Asks @p fn about row after row where each has a list of its own of what to exclude, else about all at once. */
typedef ccz_rc (*lists_fn)(struct run *q, uint32_t *item, float *score,
                           const struct ccz_recsys_ask *ask, size_t row);
static ccz_rc ask_rows(struct run *q, const uint32_t *user, const struct ccz_recsys_csr *seen,
                       lists_fn fn)
{
    const struct ccz_tensor *t = q->in[IN_EXCLUDE];
    uint32_t *deny = t->len ? ccz_result_alloc(q->r, (size_t)t->dims[1], sizeof(*deny)) : NULL;
    if (t->len && !deny)
        return no_memory(q);
    const bool each = t->len && t->dims[0] > 1;
    const size_t step = each ? 1 : q->len;
    ccz_rc rc = CCZ_OK;
    for (size_t row = 0; rc == CCZ_OK && row < q->len; row += step) {
        const struct ccz_recsys_ask ask = {.user = user + row,
                                           .users_len = step,
                                           .k = q->k,
                                           .seen = seen,
                                           .deny = deny,
                                           .deny_len = denied(deny, q, row),
                                           .threads = q->s->cfg->threads,
                                           .oblivious = q->s->cfg->oblivious};
        rc = fn(q, q->item + row * q->k, q->score + row * q->k, &ask, row);
    }
    return rc;
}

/* ------------------------------------------------------------------------------------ answer */

static void shape_lists(struct ccz_tensor *t, const struct run *q)
{
    t->rank = 2;
    t->dims[0] = (int64_t)q->len;
    t->dims[1] = q->k;
    t->len = q->len * q->k;
}

/* Numbers become ids; a list that ends early ends in -1 or "" with the lowest float, which JSON can say. */
static ccz_rc put_lists(struct run *q, struct ccz_tensor *ids, struct ccz_tensor *scores)
{
    const struct ccz_recsys_ids *names = q->s->c->item;
    const size_t len = q->len * q->k;
    shape_lists(ids, q);
    shape_lists(scores, q);
    int64_t *num = NULL;
    struct ccz_span *text = NULL;
    if (ids->dtype == CCZ_DT_INT64)
        num = ccz_result_alloc(q->r, len, sizeof(*num));
    else
        text = ccz_result_alloc(q->r, len, sizeof(*text));
    if (!num && !text)
        return no_memory(q);
    for (size_t i = 0; i < len; i++) {
        const bool none = q->item[i] == CCZ_RECSYS_NONE;
        const struct ccz_recsys_id id =
            none ? (struct ccz_recsys_id){.num = -1} : ccz_recsys_ids_get(names, q->item[i]);
        if (num)
            num[i] = id.num;
        else
            text[i] = id.text;
        if (none)
            q->score[i] = -FLT_MAX;
    }
    ids->data = num ? CCZ_SPAN(num, len * sizeof(*num)) : (struct ccz_span){0};
    ids->strings = text;
    scores->data = CCZ_SPAN(q->score, len * sizeof(*q->score));
    return CCZ_OK;
}

/* -------------------------------------------------------------------------------- signatures */

static ccz_rc by_index(struct run *q, uint32_t *item, float *score,
                       const struct ccz_recsys_ask *ask, size_t row)
{
    (void)row;
    return failed(q, ccz_recsys_recommend_index(item, score, q->s->index, ask, &q->err));
}

/* One row of known users, or of one who is not: the same list of what is popular. */
static ccz_rc or_popular(struct run *q, uint32_t *item, float *score,
                         const struct ccz_recsys_ask *ask, size_t row)
{
    for (size_t i = 0; i < ask->users_len; i++) {
        struct ccz_recsys_ask one = *ask;
        const bool known = ask->user[i] != CCZ_RECSYS_NONE;
        static const uint32_t first = 0;
        one.user = known ? &ask->user[i] : &first;
        one.users_len = 1;
        ccz_rc rc;
        if (known) {
            rc = by_index(q, item + i * q->k, score + i * q->k, &one, row + i);
        } else {
            one.seen = NULL;       /* nobody has been this user */
            one.oblivious = false; /* what is popular is no secret of a user */
            rc = failed(q, ccz_recsys_popular_recommend(item + i * q->k, score + i * q->k,
                                                        q->s->popular, &one, &q->err));
        }
        if (rc != CCZ_OK)
            return rc;
    }
    return CCZ_OK;
}

static ccz_rc find_all(uint32_t **number, struct run *q, const struct ccz_recsys_ids *ids,
                       const struct ccz_tensor *t, const char *what, bool must)
{
    *number = ccz_result_alloc(q->r, t->len, sizeof(**number));
    if (!*number)
        return no_memory(q);
    for (size_t i = 0; i < t->len; i++) {
        (*number)[i] = ccz_recsys_ids_find(ids, id_at(t, i));
        if ((*number)[i] == CCZ_RECSYS_NONE && must)
            return ccz_run_status_set(q->st, CCZ_RUN_NOT_FOUND, "%s number %zu is not known", what,
                                      i);
    }
    return CCZ_OK;
}

static ccz_rc recommend(struct run *q, struct ccz_tensor *out, bool or_what_is_popular)
{
    const struct ccz_tensor *users = q->in[IN_SUBJECT];
    uint32_t *number;
    q->len = users->len;
    ccz_rc rc = take_k(q, q->in[IN_K]);
    if (rc == CCZ_OK)
        rc = check_exclude(q, q->in[IN_EXCLUDE]);
    if (rc == CCZ_OK)
        rc = find_all(&number, q, q->s->c->user, users, "user", !or_what_is_popular);
    if (rc == CCZ_OK && q->len)
        rc = ask_rows(q, number, q->s->c->seen, or_what_is_popular ? or_popular : by_index);
    if (rc != CCZ_OK || !or_what_is_popular)
        return rc == CCZ_OK ? put_lists(q, &out[OUT_IDS], &out[1]) : rc;
    uint8_t *known = ccz_result_alloc(q->r, q->len, 1);
    if (!known)
        return no_memory(q);
    for (size_t i = 0; i < q->len; i++)
        known[i] = number[i] != CCZ_RECSYS_NONE;
    struct ccz_tensor *t = &out[OUT_KNOWN];
    t->rank = 1;
    t->dims[0] = (int64_t)q->len;
    t->len = q->len;
    t->data = CCZ_SPAN(known, q->len);
    return put_lists(q, &out[OUT_IDS], &out[2]);
}

static ccz_rc similar(struct run *q, struct ccz_tensor *out)
{
    const struct ccz_tensor *items = q->in[0];
    uint32_t *number;
    q->len = items->len;
    ccz_rc rc = take_k(q, q->in[1]);
    if (rc == CCZ_OK)
        rc = find_all(&number, q, q->s->c->item, items, "item", true);
    if (rc == CCZ_OK && q->len) {
        const struct ccz_recsys_ask ask = {.user = number,
                                           .users_len = q->len,
                                           .k = q->k,
                                           .threads = q->s->cfg->threads,
                                           .oblivious = q->s->cfg->oblivious};
        rc = failed(q, ccz_recsys_similar_items(q->item, q->score, q->s->index, &ask, &q->err));
    }
    return rc == CCZ_OK ? put_lists(q, &out[OUT_IDS], &out[1]) : rc;
}

/* ------------------------------------------------------------------------------------ folding */

struct pair {
    uint32_t item;
    float value;
};

static int by_item(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;
    return (x->item > y->item) - (x->item < y->item);
}

/* The known items of a row in order; returns how many. @p twice: one of them is there more than once. */
static size_t row_pairs(struct pair *to, bool *twice, const struct run *q, size_t row)
{
    const struct ccz_tensor *items = q->in[IN_RATED], *ratings = q->in[IN_RATINGS];
    const size_t width = (size_t)items->dims[1];
    size_t n = 0;
    for (size_t i = row * width; i < (row + 1) * width; i++) {
        struct pair p = {.item = ccz_recsys_ids_find(q->s->c->item, id_at(items, i)), .value = 1};
        if (ratings->len)
            memcpy(&p.value, ratings->data.ptr + i * sizeof(p.value), sizeof(p.value));
        if (p.item != CCZ_RECSYS_NONE)
            to[n++] = p;
    }
    qsort(to, n, sizeof(*to), by_item);
    for (size_t i = 1; i < n; i++)
        *twice = *twice || to[i].item == to[i - 1].item;
    return n;
}

/* Rows as a matrix in memory of the result: nothing to free. */
static ccz_rc rated_rows(struct ccz_recsys_csr *m, struct run *q)
{
    const size_t width = (size_t)q->in[IN_RATED]->dims[1];
    struct pair *pairs = ccz_result_alloc(q->r, width, sizeof(*pairs));
    *m =
        (struct ccz_recsys_csr){.rows = (uint32_t)q->len,
                                .cols = q->s->c->model->item.len,
                                .start = ccz_result_alloc(q->r, q->len + 1, sizeof(*m->start)),
                                .col = ccz_result_alloc(q->r, q->len * width, sizeof(*m->col)),
                                .value = ccz_result_alloc(q->r, q->len * width, sizeof(*m->value))};
    if (!pairs || !m->start || !m->col || !m->value)
        return no_memory(q);
    for (size_t row = 0; row < q->len; row++) {
        bool twice = false;
        const size_t n = row_pairs(pairs, &twice, q, row);
        if (n == 0)
            return ccz_run_status_set(q->st, CCZ_RUN_NOT_FOUND,
                                      "row %zu has no item that the model knows", row);
        if (twice)
            return ccz_run_status_set(q->st, CCZ_RUN_INVALID_ARGUMENT, "row %zu has an item twice",
                                      row);
        for (size_t i = 0; i < n; i++) {
            m->col[m->len] = pairs[i].item;
            m->value[m->len++] = pairs[i].value;
        }
        m->start[row + 1] = m->len;
    }
    return CCZ_OK;
}

/* What ask_rows() needs besides: vectors that were found just now. */
struct folded {
    struct run q; /* first: what is given to functions of rows */
    struct ccz_recsys_factors users;
};

static ccz_rc by_vectors(struct run *q, uint32_t *item, float *score,
                         const struct ccz_recsys_ask *ask, size_t row)
{
    const struct folded *f = (const struct folded *)(const void *)q;
    (void)row;
    return failed(q,
                  ccz_recsys_recommend_vectors(item, score, q->s->index, &f->users, ask, &q->err));
}

static ccz_rc check_rated(struct run *q)
{
    const struct ccz_tensor *items = q->in[IN_RATED], *ratings = q->in[IN_RATINGS];
    if (ratings->len && (ratings->dims[0] != items->dims[0] || ratings->dims[1] != items->dims[1]))
        return ccz_run_status_set(q->st, CCZ_RUN_INVALID_ARGUMENT,
                                  "ratings have another shape than rated_items");
    return q->len < UINT32_MAX
               ? CCZ_OK
               : ccz_run_status_set(q->st, CCZ_RUN_INVALID_ARGUMENT, "too many rows");
}

static ccz_rc fold_in(struct run *given, struct ccz_tensor *out)
{
    struct folded f = {.q = *given};
    struct run *q = &f.q;
    struct ccz_recsys_csr rows;
    q->len = (size_t)q->in[IN_RATED]->dims[0];
    ccz_rc rc = check_rated(q);
    if (rc == CCZ_OK)
        rc = take_k(q, q->in[IN_K]);
    if (rc == CCZ_OK)
        rc = check_exclude(q, q->in[IN_EXCLUDE]);
    uint32_t *number = ccz_result_alloc(q->r, q->len, sizeof(*number));
    if (rc == CCZ_OK && !number)
        rc = no_memory(q);
    if (rc == CCZ_OK)
        rc = rated_rows(&rows, q);
    if (rc == CCZ_OK && q->len) {
        pthread_mutex_lock(&q->s->lock);
        rc = failed(q, ccz_recsys_fold_rows(&f.users, q->s->fold, &rows, &q->err));
        pthread_mutex_unlock(&q->s->lock);
        for (size_t i = 0; i < q->len; i++)
            number[i] = (uint32_t)i;
        if (rc == CCZ_OK)
            rc = ask_rows(q, number, &rows, by_vectors);
    }
    ccz_recsys_factors_deinit(&f.users);
    return rc == CCZ_OK ? put_lists(q, &out[OUT_IDS], &out[1]) : rc;
}

static ccz_rc run(struct ccz_tensor *out, struct ccz_result *r, struct ccz_run_status *st,
                  void *model, const struct ccz_signature *sig, const struct ccz_tensor *const *in,
                  uint32_t timeout_ms)
{
    struct run q = {.s = model, .r = r, .st = st, .in = in};
    (void)timeout_ms; /* a scan is not cut short: the caller finds that it took too long */
    if (strcmp(sig->name, "similar_items") == 0)
        return similar(&q, out);
    if (strcmp(sig->name, "fold_in") == 0)
        return fold_in(&q, out);
    return recommend(&q, out, strcmp(sig->name, "recommend_or_popular") == 0);
}

ccz_rc ccz_recsys_engine(struct ccz_engine **out, const struct ccz_recsys_engine_cfg *cfg,
                         struct ccz_err *err)
{
    static const struct ccz_engine_ops ops = {"als", NULL, load, unload, run};
    return ccz_engine_custom(out, &ops, (void *)(uintptr_t)cfg, err);
}
