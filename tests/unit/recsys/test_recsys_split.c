/* SPDX-License-Identifier: Apache-2.0 */
/* Parts: nothing is lost or twice, and the right ones are held out. */
#include "eval_kit.h"
#include "refused.h"

enum { USERS = 40, ITEMS = 30, LEN = 600 };

/* Values are places, so that each rating is known again; times have ties. */
static struct ccz_recsys_ratings some(void)
{
    struct ccz_recsys_ratings r;
    struct ccz_seeded rnd = ccz_seeded_from(4, 4);
    CHECK(ccz_recsys_ratings_init(&r, USERS, ITEMS, LEN, true, NULL) == CCZ_OK);
    for (int i = 0; i < LEN; i++) {
        r.user[i] = (uint32_t)ccz_seeded_below(&rnd, USERS - 1); /* the last one has none */
        r.item[i] = (uint32_t)ccz_seeded_below(&rnd, ITEMS);
        r.value[i] = (float)i;
        r.time[i] = (int64_t)ccz_seeded_below(&rnd, 100) - 50;
    }
    return r;
}

/* True: in the first, false: in the second; each once, in order, as it was. `out` are in neither. */
static void where(bool in_train[LEN], const struct ccz_recsys_ratings *r,
                  const struct ccz_recsys_ratings *train, const struct ccz_recsys_ratings *test,
                  uint64_t out)
{
    bool met[LEN] = {false};
    const struct ccz_recsys_ratings *part[] = {train, test};
    CHECK(train->len + test->len + out == LEN);
    for (int p = 0; p < 2; p++) {
        CHECK(part[p]->users == USERS && part[p]->items == ITEMS);
        for (uint64_t i = 0; i < part[p]->len; i++) {
            const int at = (int)part[p]->value[i];
            CHECK(!met[at] && (i == 0 || part[p]->value[i] > part[p]->value[i - 1]));
            met[at] = true;
            in_train[at] = p == 0;
            CHECK(part[p]->user[i] == r->user[at] && part[p]->item[i] == r->item[at] &&
                  (!r->time || part[p]->time[i] == r->time[at]));
        }
    }
}

static struct ccz_recsys_split split(bool in_train[LEN], const struct ccz_recsys_ratings *r,
                                     const struct ccz_recsys_split_cfg *cfg)
{
    struct ccz_recsys_ratings train, test;
    struct ccz_recsys_split info;
    CHECK(ccz_recsys_split(&train, &test, &info, r, cfg, NULL) == CCZ_OK);
    CHECK(info.train == train.len && info.test == test.len);
    where(in_train, r, &train, &test, info.cold + info.seen);
    ccz_recsys_ratings_deinit(&train);
    ccz_recsys_ratings_deinit(&test);
    return info;
}

static void by_time(void)
{
    struct ccz_recsys_ratings r = some();
    bool train[LEN] = {false};
    struct ccz_recsys_split_cfg cfg = {.keep_seen = true};
    struct ccz_recsys_split info = split(train, &r, &cfg);
    CHECK(info.test >= LEN / 5 && info.test < LEN / 4 && info.test_before_train == 0);
    for (int i = 0; i < LEN; i++)
        CHECK(train[i] == (r.time[i] < info.from_s));
    cfg.from_s = -10;
    info = split(train, &r, &cfg);
    CHECK(info.from_s == -10);
    for (int i = 0; i < LEN; i++)
        CHECK(train[i] == (r.time[i] < -10));
    ccz_recsys_ratings_deinit(&r);
}

/* Later than every one of the same user that stays. */
static void last(void)
{
    struct ccz_recsys_ratings r = some();
    for (uint32_t leave = 1; leave <= 3; leave++) {
        bool train[LEN] = {false};
        const struct ccz_recsys_split_cfg cfg = {
            .kind = CCZ_RECSYS_SPLIT_LAST, .leave = leave == 1 ? 0 : leave, .keep_seen = true};
        const struct ccz_recsys_split info = split(train, &r, &cfg);
        CHECK(info.users == USERS - 1 && info.users_kept == 0 && info.test == leave * info.users &&
              info.test_before_train > 0);
        for (int i = 0; i < LEN; i++)
            for (int j = 0; j < LEN; j++)
                if (r.user[i] == r.user[j] && train[i] && !train[j])
                    CHECK(r.time[i] < r.time[j] || (r.time[i] == r.time[j] && i < j));
    }
    const struct ccz_recsys_split_cfg all = {
        .kind = CCZ_RECSYS_SPLIT_LAST, .remain = 1000, .keep_seen = true};
    bool train[LEN] = {false};
    const struct ccz_recsys_split info = split(train, &r, &all);
    CHECK(info.test == 0 && info.users_kept == USERS - 1);
    ccz_recsys_ratings_deinit(&r);
}

static void at_random(void)
{
    struct ccz_recsys_ratings r = some();
    bool train[LEN] = {false}, again[LEN] = {false}, other[LEN] = {false};
    int64_t *time = r.time;
    r.time = NULL; /* not needed */
    struct ccz_recsys_split_cfg cfg = {
        .kind = CCZ_RECSYS_SPLIT_LEAVE, .leave = 2, .keep_seen = true, .seed = 1};
    struct ccz_recsys_split info = split(train, &r, &cfg);
    CHECK(info.test == 2 * (uint64_t)(USERS - 1) && info.test_before_train == 0);
    (void)split(again, &r, &cfg);
    CHECK(memcmp(train, again, sizeof(train)) == 0);
    cfg.seed = 2;
    (void)split(other, &r, &cfg);
    CHECK(memcmp(train, other, sizeof(train)) != 0);
    cfg = (struct ccz_recsys_split_cfg){
        .kind = CCZ_RECSYS_SPLIT_RANDOM, .share = 0.4, .keep_seen = true};
    info = split(train, &r, &cfg);
    CHECK(fabs((double)info.test - 0.4 * LEN) < 4 * sqrt(0.24 * LEN));
    r.time = time;
    ccz_recsys_ratings_deinit(&r);
}

/* What is left out of the test part, and only there. */
static void left_out(void)
{
    uint32_t user[] = {0, 0, 0, 1, 2, 2}, item[] = {0, 1, 0, 0, 1, 3};
    float value[] = {0, 1, 2, 3, 4, 5};
    int64_t time[] = {1, 2, 9, 9, 3, 9};
    const struct ccz_recsys_ratings r = {
        .users = 3, .items = 4, .len = 6, .user = user, .item = item, .value = value, .time = time};
    struct ccz_recsys_ratings train, test;
    struct ccz_recsys_split info;
    struct ccz_recsys_split_cfg cfg = {.from_s = 9};
    CHECK(ccz_recsys_split(&train, &test, &info, &r, &cfg, NULL) == CCZ_OK);
    /* user 0 knows item 0 already; user 1 and item 3 are new */
    CHECK(train.len == 3 && test.len == 2 && test.value[0] == 3 && test.value[1] == 5 &&
          info.seen == 1 && info.cold == 0 && info.users == 2);
    ccz_recsys_ratings_deinit(&train);
    ccz_recsys_ratings_deinit(&test);
    cfg.drop_cold = true;
    CHECK(ccz_recsys_split(&train, &test, &info, &r, &cfg, NULL) == CCZ_OK);
    CHECK(train.len == 3 && test.len == 0 && info.seen == 1 && info.cold == 2);
    ccz_recsys_ratings_deinit(&train);
    ccz_recsys_ratings_deinit(&test);
    cfg.keep_seen = true;
    CHECK(ccz_recsys_split(&train, &test, NULL, &r, &cfg, NULL) == CCZ_OK && test.len == 1);
    ccz_recsys_ratings_deinit(&train);
    ccz_recsys_ratings_deinit(&test);
    const struct ccz_recsys_ratings none = {.users = 2, .items = 2};
    for (int kind = 0; kind < 4; kind++) {
        cfg = (struct ccz_recsys_split_cfg){.kind = (enum ccz_recsys_split_kind)kind};
        CHECK(ccz_recsys_split(&train, &test, &info, &none, &cfg, NULL) == CCZ_OK &&
              train.len == 0 && test.len == 0);
        ccz_recsys_ratings_deinit(&train);
        ccz_recsys_ratings_deinit(&test);
    }
}

static void refuse(void)
{
    struct ccz_recsys_ratings r = some(), train, test;
    struct ccz_err err = {0};
    struct ccz_recsys_split_cfg cfg = {.share = 1};
    CHECK(is_refused(ccz_recsys_split(&train, &test, NULL, &r, &cfg, &err), CCZ_E_ARG, &err,
                     "recsys:share"));
    cfg.share = -0.5;
    CHECK(is_refused(ccz_recsys_split(&train, &test, NULL, &r, &cfg, &err), CCZ_E_ARG, &err,
                     "recsys:share"));
    int64_t *time = r.time;
    r.time = NULL;
    for (int kind = CCZ_RECSYS_SPLIT_TIME; kind <= CCZ_RECSYS_SPLIT_LAST; kind++) {
        cfg = (struct ccz_recsys_split_cfg){.kind = (enum ccz_recsys_split_kind)kind};
        CHECK(is_refused(ccz_recsys_split(&train, &test, NULL, &r, &cfg, &err), CCZ_E_ARG, &err,
                         "recsys:time"));
    }
    r.time = time;
    r.user[7] = USERS;
    CHECK(is_refused(ccz_recsys_split(&train, &test, NULL, &r, &cfg, &err), CCZ_E_ARG, &err,
                     "recsys:user") &&
          err.aux == 7);
    r.user[7] = 0;
    r.item[8] = ITEMS;
    CHECK(is_refused(ccz_recsys_split(&train, &test, NULL, &r, &cfg, &err), CCZ_E_ARG, &err,
                     "recsys:item") &&
          err.aux == 8);
    r.item[8] = 0;
    r.value[9] = NAN;
    CHECK(is_refused(ccz_recsys_split(&train, &test, NULL, &r,
                                      &(struct ccz_recsys_split_cfg){.kind = CCZ_RECSYS_SPLIT_LAST,
                                                                     .remain = 1000},
                                      &err),
                     CCZ_E_ARG, &err, "recsys:value"));
    CHECK(train.len == 0 && test.len == 0 && !train.user && !test.user);
    ccz_recsys_ratings_deinit(&r);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {{"recsys.split_time", by_time},
                                            {"recsys.split_last", last},
                                            {"recsys.split_random", at_random},
                                            {"recsys.split_left_out", left_out},
                                            {"recsys.split_refuse", refuse}};
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
