/* SPDX-License-Identifier: Apache-2.0 */
/* The engine "als": what it answers is what the functions below it say, in ids of outside. */
#define _GNU_SOURCE
#include "bundle_kit.h"

#include <cczoo/recsys_eval.h>
#include <cczoo/recsys_rank.h>

#include <float.h>
#include <pthread.h>

struct serve {
    struct kit k;
    struct ccz_recsys_engine_cfg cfg;
    struct ccz_engine *engine;
    struct ccz_model *model;
    uint64_t version;
};

static void serve_begin(struct serve *s, bool text, bool oblivious, const char *name)
{
    struct ccz_err err = {0};
    kit_begin(&s->k, text);
    const char *dir = kit_save(&s->k, name);
    s->version = 0;
    s->cfg = (struct ccz_recsys_engine_cfg){
        .bundle = kit_cfg(&s->k), .oblivious = oblivious, .version = &s->version};
    CHECK(ccz_recsys_engine(&s->engine, &s->cfg, &err) == CCZ_OK);
    CCZ_AUTO(ccz_recsys_folder) f = NULL;
    CHECK(ccz_recsys_folder_open(&f, dir, s->k.key, 3, &err) == CCZ_OK);
    CHECK(ccz_model_load(&s->model, s->engine, ccz_recsys_folder_files(f), &err) == CCZ_OK);
    CHECK(s->version == 3 && strcmp(ccz_engine_backend(s->engine), "als") == 0);
}

static void serve_end(struct serve *s)
{
    ccz_model_free(s->model);
    ccz_engine_free(s->engine);
    kit_end(&s->k);
}

/* ------------------------------------------------------------------------------- questions */

enum { ARGS_MAX = 4 };
struct question {
    const char *signature;
    struct ccz_tensor in[ARGS_MAX];
    size_t len;
};

static void add_numbers(struct question *q, const char *name, const int64_t *v, int64_t rows,
                        int64_t cols)
{
    struct ccz_tensor *t = &q->in[q->len++];
    *t = (struct ccz_tensor){
        .name = name, .dtype = CCZ_DT_INT64, .rank = cols < 0 ? 1 : 2, .dims = {rows, cols}};
    CHECK(ccz_tensor_len(&t->len, t->rank, t->dims));
    t->data = CCZ_SPAN(v, t->len * sizeof(*v));
}

static void add_floats(struct question *q, const char *name, const float *v, int64_t rows,
                       int64_t cols)
{
    struct ccz_tensor *t = &q->in[q->len++];
    *t = (struct ccz_tensor){.name = name, .dtype = CCZ_DT_FLOAT, .rank = 2, .dims = {rows, cols}};
    CHECK(ccz_tensor_len(&t->len, 2, t->dims));
    t->data = CCZ_SPAN(v, t->len * sizeof(*v));
}

static void add_k(struct question *q, const int64_t *k)
{
    q->in[q->len++] = (struct ccz_tensor){
        .name = "k", .dtype = CCZ_DT_INT64, .len = 1, .data = CCZ_SPAN(k, sizeof(*k))};
}

/* Inputs that are not there get their defaults, as a server does it. */
static ccz_rc ask(struct ccz_result **r, struct ccz_run_status *st, const struct serve *s,
                  struct question q)
{
    static const int64_t ten = 10;
    const struct ccz_signature *sig = ccz_model_signature(s->model, q.signature);
    CHECK(sig && sig->runnable);
    for (size_t i = 0; i < sig->in_len; i++) {
        bool there = false;
        for (size_t k = 0; k < q.len; k++)
            there = there || strcmp(q.in[k].name, sig->in[i].name) == 0;
        if (there)
            continue;
        CHECK(sig->in[i].default_proto.size && q.len < ARGS_MAX);
        if (strcmp(sig->in[i].name, "k") == 0)
            add_k(&q, &ten);
        else
            q.in[q.len++] =
                (struct ccz_tensor){.name = sig->in[i].name, .dtype = sig->in[i].dtype, .rank = 2};
    }
    const struct ccz_run_req req = {.sig = sig, .in = q.in, .in_len = q.len};
    return ccz_model_run(r, st, s->model, &req, NULL);
}

static void refused(const struct serve *s, const struct question *q, enum ccz_run_code code,
                    const char *text)
{
    struct ccz_result *r = NULL;
    struct ccz_run_status st;
    CHECK(ask(&r, &st, s, *q) != CCZ_OK && !r);
    if (st.code != code || strcmp(st.msg, text) != 0)
        fprintf(stderr, "got %d %s\nwant %d %s\n", (int)st.code, st.msg, (int)code, text);
    CHECK(st.code == code && strcmp(st.msg, text) == 0);
}

static int64_t user_id(const struct serve *s, uint32_t number)
{
    return ccz_recsys_ids_get(s->k.data.user, number).num;
}

static int64_t item_id(const struct serve *s, uint32_t number)
{
    return number == CCZ_RECSYS_NONE ? -1 : ccz_recsys_ids_get(s->k.data.item, number).num;
}

static const struct ccz_tensor *output(const struct ccz_result *r, const char *name)
{
    for (size_t i = 0; i < ccz_result_len(r); i++)
        if (strcmp(ccz_result_at(r, i)->name, name) == 0)
            return ccz_result_at(r, i);
    return NULL;
}

static int64_t id_of(const struct ccz_result *r, size_t i)
{
    return ((const int64_t *)(const void *)output(r, "item_ids")->data.ptr)[i];
}

static float score_of(const struct ccz_result *r, size_t i)
{
    return ((const float *)(const void *)output(r, "scores")->data.ptr)[i];
}

static void same_lists(const struct serve *s, const struct ccz_result *r, const uint32_t *item,
                       const float *score, size_t rows, size_t k)
{
    const struct ccz_tensor *t = output(r, "item_ids");
    CHECK(t->rank == 2 && t->dims[0] == (int64_t)rows && t->dims[1] == (int64_t)k);
    for (size_t i = 0; i < rows * k; i++)
        CHECK(id_of(r, i) == item_id(s, item[i]) &&
              score_of(r, i) == (item[i] == CCZ_RECSYS_NONE ? -FLT_MAX : score[i]));
}

/* ----------------------------------------------------------------------------------- tests */

static void test_signatures(void)
{
    struct serve s;
    serve_begin(&s, false, false, "signatures");
    const struct ccz_signature *sig;
    CHECK(ccz_model_signatures(&sig, s.model) == 4);
    static const char *const names[] = {"fold_in", "recommend_or_popular", "serving_default",
                                        "similar_items"};
    for (size_t i = 0; i < 4; i++)
        CHECK(strcmp(sig[i].name, names[i]) == 0 && sig[i].runnable);
    CHECK(sig[2].in_len == 3 && strcmp(sig[2].in[2].name, "user_id") == 0 &&
          sig[2].in[2].dtype == CCZ_DT_INT64 && sig[2].in[0].default_proto.size &&
          !sig[2].in[2].default_proto.size);
    serve_end(&s);
    serve_begin(&s, true, false, "text signatures");
    sig = ccz_model_signature(s.model, "serving_default");
    CHECK(sig->in[2].dtype == CCZ_DT_STRING && sig->out[0].dtype == CCZ_DT_STRING);
    serve_end(&s);
}

static void recommend(bool oblivious, const char *name)
{
    enum { K = 8 };
    struct serve s;
    serve_begin(&s, false, oblivious, name);
    int64_t users[KIT_USERS];
    uint32_t numbers[KIT_USERS], item[KIT_USERS * K];
    float score[KIT_USERS * K];
    for (uint32_t u = 0; u < KIT_USERS; u++) {
        numbers[u] = KIT_USERS - 1 - u;
        users[u] = user_id(&s, numbers[u]);
    }
    const struct ccz_recsys_ask plain = {
        .user = numbers, .users_len = KIT_USERS, .k = K, .seen = s.k.seen};
    CHECK(ccz_recsys_recommend(item, score, s.k.model, &plain, NULL) == CCZ_OK);
    const int64_t k = K;
    struct question q = {.signature = "serving_default"};
    add_numbers(&q, "user_id", users, KIT_USERS, -1);
    add_k(&q, &k);
    struct ccz_result *r = NULL;
    struct ccz_run_status st;
    CHECK(ask(&r, &st, &s, q) == CCZ_OK);
    same_lists(&s, r, item, score, KIT_USERS, K);
    ccz_result_free(r);
    q.len = 1; /* ten, if nobody says how many */
    CHECK(ask(&r, &st, &s, q) == CCZ_OK && output(r, "scores")->dims[1] == 10);
    ccz_result_free(r);
    const int64_t all = KIT_ITEMS; /* more than are left: the list ends early */
    add_k(&q, &all);
    CHECK(ask(&r, &st, &s, q) == CCZ_OK);
    CHECK(id_of(r, KIT_ITEMS - 1) == -1 && score_of(r, KIT_ITEMS - 1) == -FLT_MAX);
    ccz_result_free(r);
    const int64_t nobody = 99;
    q = (struct question){.signature = "serving_default"};
    add_numbers(&q, "user_id", &nobody, 0, -1);
    CHECK(ask(&r, &st, &s, q) == CCZ_OK && output(r, "scores")->len == 0);
    ccz_result_free(r);
    serve_end(&s);
}

static void test_recommend(void)
{
    recommend(false, "recommend");
    recommend(true, "oblivious");
}

static bool has(const struct ccz_result *r, size_t row, size_t k, int64_t id)
{
    for (size_t i = row * k; i < (row + 1) * k; i++)
        if (id_of(r, i) == id)
            return true;
    return false;
}

static void test_exclude(void)
{
    struct serve s;
    serve_begin(&s, false, false, "exclude");
    const int64_t users[2] = {user_id(&s, 0), user_id(&s, 1)};
    struct ccz_result *r = NULL;
    struct ccz_run_status st;
    struct question q = {.signature = "serving_default"};
    const int64_t five = 5;
    add_numbers(&q, "user_id", users, 2, -1);
    add_k(&q, &five);
    CHECK(ask(&r, &st, &s, q) == CCZ_OK);
    const int64_t first[4] = {id_of(r, 0), 777777, id_of(r, 5), id_of(r, 6)};
    ccz_result_free(r);
    struct question one = q, each = q; /* 777777 is no item: passed over */
    add_numbers(&one, "exclude", first, 1, 4);
    CHECK(ask(&r, &st, &s, one) == CCZ_OK);
    for (size_t i = 0; i < 4; i++)
        CHECK(!has(r, 0, 5, first[i]) && !has(r, 1, 5, first[i]));
    ccz_result_free(r);
    add_numbers(&each, "exclude", first, 2, 2);
    CHECK(ask(&r, &st, &s, each) == CCZ_OK);
    CHECK(!has(r, 0, 5, first[0]) && !has(r, 1, 5, first[2]) && !has(r, 1, 5, first[3]));
    ccz_result_free(r);
    const int64_t swapped[4] = {first[2], first[3], first[0],
                                777777}; /* the other's: stays his own */
    each = q;
    add_numbers(&each, "exclude", swapped, 2, 2);
    CHECK(ask(&r, &st, &s, each) == CCZ_OK &&
          has(r, 0, 5, first[0]) == (first[0] != first[2] && first[0] != first[3]));
    ccz_result_free(r);
    each = q;
    add_numbers(&each, "exclude", first, 4, 1);
    refused(&s, &each, CCZ_RUN_INVALID_ARGUMENT, "exclude has 4 rows for 2 lists");
    serve_end(&s);
}

static void test_cold(void)
{
    struct serve s;
    serve_begin(&s, false, false, "cold");
    const int64_t users[3] = {user_id(&s, 4), 5, user_id(&s, 7)};
    struct question q = {.signature = "serving_default"};
    add_numbers(&q, "user_id", users, 3, -1);
    refused(&s, &q, CCZ_RUN_NOT_FOUND, "user number 1 is not known");
    q.signature = "recommend_or_popular";
    struct ccz_result *r = NULL, *known = NULL;
    struct ccz_run_status st;
    CHECK(ask(&r, &st, &s, q) == CCZ_OK);
    const uint8_t *flags = output(r, "known")->data.ptr;
    CHECK(flags[0] == 1 && flags[1] == 0 && flags[2] == 1);
    const int64_t two[2] = {users[0], users[2]};
    struct question warm = {.signature = "serving_default"};
    add_numbers(&warm, "user_id", two, 2, -1);
    CHECK(ask(&known, &st, &s, warm) == CCZ_OK);
    uint32_t count[KIT_ITEMS] = {0};
    for (uint64_t i = 0; i < s.k.seen->len; i++)
        count[s.k.seen->col[i]]++;
    float last = FLT_MAX;
    for (size_t i = 0; i < 10; i++) {
        CHECK(id_of(r, i) == id_of(known, i) && id_of(r, 20 + i) == id_of(known, 10 + i));
        const uint32_t number =
            ccz_recsys_ids_find(s.k.data.item, ccz_recsys_id_int(id_of(r, 10 + i)));
        CHECK(score_of(r, 10 + i) == (float)count[number] && score_of(r, 10 + i) <= last);
        last = score_of(r, 10 + i);
    }
    ccz_result_free(r);
    ccz_result_free(known);
    serve_end(&s);
}

static void test_fold_in(void)
{
    enum { K = 6 };
    struct serve s;
    serve_begin(&s, false, false, "fold");
    uint32_t item[K];
    float score[K];
    struct ccz_recsys_factors users;
    const uint32_t cols[3] = {1, 4, 9};
    const float values[3] = {5, 3, 1};
    const uint64_t start[2] = {0, 3};
    const struct ccz_recsys_csr row = {.rows = 1,
                                       .cols = KIT_ITEMS,
                                       .len = 3,
                                       .start = (uint64_t *)(uintptr_t)start,
                                       .col = (uint32_t *)(uintptr_t)cols,
                                       .value = (float *)(uintptr_t)values};
    CHECK(ccz_recsys_als_fold_in(&users, s.k.model, &row, CCZ_RECSYS_USERS, &s.k.w.manifest.als,
                                 NULL) == CCZ_OK);
    CCZ_AUTO(ccz_recsys_index) index = NULL;
    CHECK(ccz_recsys_index_new(&index, s.k.model, NULL, NULL) == CCZ_OK);
    const struct ccz_recsys_ask plain = {.users_len = 1, .k = K, .seen = &row};
    CHECK(ccz_recsys_recommend_vectors(item, score, index, &users, &plain, NULL) == CCZ_OK);

    /* in another order, filled up with what the model does not know */
    const int64_t ids[5] = {item_id(&s, 9), -1, item_id(&s, 1), item_id(&s, 4), 4711}, k = K;
    const float ratings[5] = {1, 2, 5, 3, 9};
    struct question q = {.signature = "fold_in"};
    add_numbers(&q, "rated_items", ids, 1, 5);
    add_floats(&q, "ratings", ratings, 1, 5);
    add_k(&q, &k);
    struct ccz_result *r = NULL;
    struct ccz_run_status st;
    CHECK(ask(&r, &st, &s, q) == CCZ_OK);
    same_lists(&s, r, item, score, 1, K);
    ccz_result_free(r);
    struct question ones = {.signature = "fold_in"}; /* without ratings each counts as one */
    add_numbers(&ones, "rated_items", ids, 1, 5);
    struct question said = ones;
    const float one[5] = {1, 1, 1, 1, 1};
    add_floats(&said, "ratings", one, 1, 5);
    struct ccz_result *other = NULL;
    CHECK(ask(&r, &st, &s, ones) == CCZ_OK && ask(&other, &st, &s, said) == CCZ_OK);
    for (size_t i = 0; i < 10; i++)
        CHECK(id_of(r, i) == id_of(other, i) && score_of(r, i) == score_of(other, i));
    ccz_result_free(r);
    ccz_result_free(other);

    q.in[1].dims[0] = 5;
    q.in[1].dims[1] = 1;
    refused(&s, &q, CCZ_RUN_INVALID_ARGUMENT, "ratings have another shape than rated_items");
    const int64_t twice[2] = {item_id(&s, 2), item_id(&s, 2)}, none[2] = {-1, -2};
    q = (struct question){.signature = "fold_in"};
    add_numbers(&q, "rated_items", twice, 1, 2);
    refused(&s, &q, CCZ_RUN_INVALID_ARGUMENT, "row 0 has an item twice");
    q.len = 0;
    add_numbers(&q, "rated_items", none, 1, 2);
    refused(&s, &q, CCZ_RUN_NOT_FOUND, "row 0 has no item that the model knows");
    const float bad[1] = {(float)(1e308 * 10)};
    q.len = 0;
    add_numbers(&q, "rated_items", twice, 1, 1);
    add_floats(&q, "ratings", bad, 1, 1);
    CHECK(ask(&r, &st, &s, q) != CCZ_OK && st.code == CCZ_RUN_INVALID_ARGUMENT &&
          strstr(st.msg, "recsys:value"));
    ccz_recsys_factors_deinit(&users);
    serve_end(&s);
}

static void test_similar(void)
{
    struct serve s;
    serve_begin(&s, false, false, "similar");
    uint32_t item[2 * 4];
    float score[2 * 4];
    const uint32_t numbers[2] = {3, 11};
    CCZ_AUTO(ccz_recsys_index) index = NULL;
    CHECK(ccz_recsys_index_new(&index, s.k.model, NULL, NULL) == CCZ_OK);
    const struct ccz_recsys_ask plain = {.user = numbers, .users_len = 2, .k = 4};
    CHECK(ccz_recsys_similar_items(item, score, index, &plain, NULL) == CCZ_OK);
    int64_t ids[2] = {item_id(&s, 3), item_id(&s, 11)};
    const int64_t four = 4, zero = 0, many = CCZ_RECSYS_K_MAX + 1;
    struct question q = {.signature = "similar_items"};
    add_numbers(&q, "item_id", ids, 2, -1);
    add_k(&q, &four);
    struct ccz_result *r = NULL;
    struct ccz_run_status st;
    CHECK(ask(&r, &st, &s, q) == CCZ_OK);
    same_lists(&s, r, item, score, 2, 4);
    ccz_result_free(r);
    q.in[1].data = CCZ_SPAN(&zero, sizeof(zero));
    refused(&s, &q, CCZ_RUN_INVALID_ARGUMENT, "k is 0, 1 to 10000 are allowed");
    q.in[1].data = CCZ_SPAN(&many, sizeof(many));
    refused(&s, &q, CCZ_RUN_INVALID_ARGUMENT, "k is 10001, 1 to 10000 are allowed");
    const int64_t several[2] = {4, 5};
    q.len = 1;
    add_numbers(&q, "k", several, 2, -1);
    refused(&s, &q, CCZ_RUN_INVALID_ARGUMENT, "k differs from row to row");
    q.len = 1;
    ids[1] = 1;
    refused(&s, &q, CCZ_RUN_NOT_FOUND, "item number 1 is not known");
    serve_end(&s);
}

static void test_text(void)
{
    struct serve s;
    serve_begin(&s, true, false, "text");
    struct ccz_result *r = NULL;
    struct ccz_run_status st;
    const struct ccz_span users[2] = {ccz_recsys_ids_get(s.k.data.user, 3).text,
                                      ccz_span_str("nobody")};
    struct question q = {.signature = "recommend_or_popular"};
    q.in[q.len++] = (struct ccz_tensor){.name = "user_id",
                                        .dtype = CCZ_DT_STRING,
                                        .rank = 1,
                                        .dims = {2},
                                        .len = 2,
                                        .strings = users};
    const int64_t all = KIT_ITEMS;
    add_k(&q, &all);
    CHECK(ask(&r, &st, &s, q) == CCZ_OK);
    const struct ccz_tensor *ids = output(r, "item_ids");
    CHECK(ids->dtype == CCZ_DT_STRING && ids->strings[0].size > 5 &&
          memcmp(ids->strings[0].ptr, "film ", 5) == 0);
    CHECK(ids->strings[KIT_ITEMS - 1].size == 0); /* has seen some */
    CHECK(ids->strings[2 * KIT_ITEMS - 1].size > 5);
    ccz_result_free(r);
    serve_end(&s);
}

/* What a bundle is refused for, the engine refuses to load. */
static void test_refuses(void)
{
    struct kit k;
    struct ccz_err err = {0};
    struct ccz_model *m = NULL;
    kit_begin(&k, false);
    const char *dir = kit_save(&k, "refused");
    struct ccz_recsys_engine_cfg cfg = {.bundle = kit_cfg(&k)};
    CCZ_AUTO(ccz_engine) e = NULL;
    CHECK(ccz_recsys_engine(&e, &cfg, &err) == CCZ_OK);
    CCZ_AUTO(ccz_recsys_folder) f = NULL;
    CHECK(ccz_recsys_folder_open(&f, dir, k.key, 0, &err) == CCZ_OK);
    cfg.bundle.key_version = 4;
    CHECK(ccz_model_load(&m, e, ccz_recsys_folder_files(f), &err) == CCZ_E_POLICY && !m &&
          strcmp(err.where, "recsys:rolled-back") == 0);
    cfg.bundle.key_version = 3;
    cfg.bundle.trainer = NULL;
    CHECK(ccz_model_load(&m, e, ccz_recsys_folder_files(f), &err) == CCZ_E_ARG && !m &&
          strcmp(err.where, "recsys:trainer-hook") == 0);
    kit_end(&k);
}

static void *fold_many(void *arg)
{
    const struct serve *s = arg;
    for (int64_t i = 0; i < 50; i++) {
        const int64_t ids[2] = {item_id(s, (uint32_t)(i % 20)), item_id(s, (uint32_t)(i % 20 + 3))};
        struct question q = {.signature = i % 2 ? "fold_in" : "similar_items"};
        add_numbers(&q, i % 2 ? "rated_items" : "item_id", ids, i % 2 ? 1 : 2, i % 2 ? 2 : -1);
        struct ccz_result *r = NULL;
        struct ccz_run_status st;
        CHECK(ask(&r, &st, s, q) == CCZ_OK);
        ccz_result_free(r);
    }
    return NULL;
}

static void test_threads(void)
{
    struct serve s;
    pthread_t t[4];
    serve_begin(&s, false, false, "threads");
    for (size_t i = 0; i < 4; i++)
        CHECK(pthread_create(&t[i], NULL, fold_many, &s) == 0);
    for (size_t i = 0; i < 4; i++)
        CHECK(pthread_join(t[i], NULL) == 0);
    serve_end(&s);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"als_engine.signatures", test_signatures},
        {"als_engine.recommend", test_recommend},
        {"als_engine.exclude", test_exclude},
        {"als_engine.cold", test_cold},
        {"als_engine.fold_in", test_fold_in},
        {"als_engine.similar", test_similar},
        {"als_engine.text", test_text},
        {"als_engine.refuses", test_refuses},
        {"als_engine.threads", test_threads},
    };
    temp_setup();
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
