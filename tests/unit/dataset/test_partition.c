/* SPDX-License-Identifier: Apache-2.0 */
/* How samples are dealt out. */
#include "ccz_test.h"

#include <cczoo/dataset.h>

#include <math.h>

#define WHERE(err, text) (strcmp((err).where, (text)) == 0)

enum { LEN = 6000, CLASSES = 10, PARTS = 10 };
static uint32_t label[LEN], part[LEN], again[LEN];
static size_t count[PARTS][CLASSES], size_of[PARTS];

static void deal(const struct ccz_dataset_partition_cfg *cfg)
{
    struct ccz_err err = {0};
    for (size_t i = 0; i < LEN; i++)
        label[i] = (uint32_t)(i * 7 % CLASSES);
    if (ccz_dataset_partition(part, label, LEN, CLASSES, cfg, &err) != CCZ_OK) {
        (void)fprintf(stderr, "%s: %s\n", err.where, err.msg);
        CHECK(false);
    }
    memset(count, 0, sizeof(count));
    memset(size_of, 0, sizeof(size_of));
    for (size_t i = 0; i < LEN; i++) {
        if (part[i] == CCZ_DATASET_NO_PART)
            continue;
        CHECK(part[i] < cfg->parts);
        count[part[i]][label[i]]++;
        size_of[part[i]]++;
    }
    CHECK(ccz_dataset_partition(again, label, LEN, CLASSES, cfg, &err) == CCZ_OK);
    CHECK(memcmp(part, again, sizeof(part)) == 0);
    if (cfg->skew == CCZ_DATASET_LABELS && cfg->per_part == 1)
        return; /* nothing is left to chance */
    struct ccz_dataset_partition_cfg other = *cfg;
    other.seed++;
    CHECK(ccz_dataset_partition(again, label, LEN, CLASSES, &other, &err) == CCZ_OK);
    CHECK(memcmp(part, again, sizeof(part)) != 0);
}

static unsigned classes_of(size_t p)
{
    unsigned n = 0;
    for (size_t c = 0; c < CLASSES; c++)
        n += count[p][c] > 0;
    return n;
}

static void iid(void)
{
    deal(&(struct ccz_dataset_partition_cfg){.skew = CCZ_DATASET_IID, .parts = PARTS, .seed = 1});
    for (size_t p = 0; p < PARTS; p++) {
        CHECK(size_of[p] == LEN / PARTS);
        for (size_t c = 0; c < CLASSES; c++) /* 60 expected; 5 standard deviations */
            CHECK(count[p][c] > 23 && count[p][c] < 97);
    }
}

static void dirichlet(void)
{
    double spread[2] = {0}; /* the mean distance of a share from 1/10 */
    for (int k = 0; k < 2; k++) {
        deal(&(struct ccz_dataset_partition_cfg){
            .skew = CCZ_DATASET_DIRICHLET, .parts = PARTS, .alpha = k ? 100 : 0.3, .seed = 5});
        size_t sum = 0;
        for (size_t p = 0; p < PARTS; p++) {
            CHECK(size_of[p] > 0);
            sum += size_of[p];
            for (size_t c = 0; c < CLASSES; c++)
                spread[k] += fabs((double)count[p][c] / (LEN / CLASSES) - 0.1) / 100;
        }
        CHECK(sum == LEN);
    }
    /* The deviation of a share is sqrt(0.1 * 0.9 / (10 alpha + 1)): 0.15 and 0.0095. */
    CHECK(spread[0] > 0.06 && spread[1] < 0.013);
}

static void shards(void)
{
    deal(&(struct ccz_dataset_partition_cfg){
        .skew = CCZ_DATASET_SHARDS, .parts = PARTS, .per_part = 2, .seed = 1});
    size_t few = 0;
    for (size_t p = 0; p < PARTS; p++) {
        CHECK(size_of[p] == LEN / PARTS && classes_of(p) <= 2);
        few += classes_of(p);
    }
    CHECK(few > PARTS); /* not all drew two of the same */
    /* One shard for each: in order. */
    static uint32_t one[LEN];
    CHECK(ccz_dataset_partition(
              one, label, LEN, CLASSES,
              &(struct ccz_dataset_partition_cfg){
                  .skew = CCZ_DATASET_SHARDS, .parts = PARTS, .per_part = 1, .seed = 1},
              NULL) == CCZ_OK);
    for (size_t i = 0; i < LEN; i++)
        CHECK(one[i] == label[i]);
}

static void labels(void)
{
    deal(&(struct ccz_dataset_partition_cfg){
        .skew = CCZ_DATASET_LABELS, .parts = PARTS, .per_part = 3, .seed = 1});
    for (size_t p = 0; p < PARTS; p++) {
        CHECK(classes_of(p) == 3 && count[p][p] > 0);
        for (size_t c = 0; c < CLASSES; c++) /* equal shares of a class */
            for (size_t q = 0; q < PARTS; q++)
                CHECK(!count[p][c] || !count[q][c] || count[p][c] <= count[q][c] + 1);
    }
    /* three parts of one class each: seven classes belong to nobody */
    deal(&(struct ccz_dataset_partition_cfg){
        .skew = CCZ_DATASET_LABELS, .parts = 3, .per_part = 1, .seed = 1});
    for (size_t p = 0; p < 3; p++)
        CHECK(size_of[p] == LEN / CLASSES && count[p][p] == LEN / CLASSES);
}

static void groups(void)
{
    static uint32_t user[LEN];
    struct ccz_seeded r = ccz_seeded_from(3, 3);
    for (size_t i = 0; i < LEN; i++)
        user[i] = (uint32_t)(ccz_seeded_below(&r, 300) * 1000003);
    struct ccz_dataset_partition_cfg cfg = {.skew = CCZ_DATASET_GROUPS, .parts = 7, .seed = 2};
    CHECK(ccz_dataset_partition(part, user, LEN, 0, &cfg, NULL) == CCZ_OK);
    size_t size[7] = {0};
    for (size_t i = 0; i < LEN; i++) {
        size[part[i]]++;
        for (size_t j = i + 1; j < LEN; j += 7)
            CHECK(user[i] != user[j] || part[i] == part[j]);
    }
    for (size_t p = 0; p < 7; p++)
        CHECK(fabs((double)size[p] - LEN / 7.0) < 40);
    cfg.parts = 301; /* one more than there are groups */
    struct ccz_err err = {0};
    CHECK(ccz_dataset_partition(part, user, LEN, 0, &cfg, &err) == CCZ_E_LIMIT);
    CHECK(WHERE(err, "dataset:least"));
}

static void least(void)
{
    deal(&(struct ccz_dataset_partition_cfg){
        .skew = CCZ_DATASET_DIRICHLET, .parts = PARTS, .alpha = 0.5, .least = 400, .seed = 3});
    for (size_t p = 0; p < PARTS; p++)
        CHECK(size_of[p] >= 400);
    struct ccz_err err = {0};
    struct ccz_dataset_partition_cfg cfg = {
        .skew = CCZ_DATASET_DIRICHLET, .parts = PARTS, .alpha = 0.01, .least = 600, .seed = 3};
    CHECK(ccz_dataset_partition(part, label, LEN, CLASSES, &cfg, &err) == CCZ_E_LIMIT);
    CHECK(WHERE(err, "dataset:least"));
    cfg.skew = CCZ_DATASET_IID;
    cfg.least = 601;
    CHECK(ccz_dataset_partition(part, label, LEN, CLASSES, &cfg, &err) == CCZ_E_LIMIT);
    /* as many parts as samples, and a skew that leaves most without: nobody goes without */
    cfg = (struct ccz_dataset_partition_cfg){
        .skew = CCZ_DATASET_DIRICHLET, .parts = 50, .alpha = 0.01, .seed = 3};
    CHECK(ccz_dataset_partition(part, label, 50, CLASSES, &cfg, &err) == CCZ_OK);
    uint64_t seen = 0;
    for (size_t i = 0; i < 50; i++)
        seen |= UINT64_C(1) << part[i];
    CHECK(seen == (UINT64_C(1) << 50) - 1);
}

/* Parts that got a class though they had their equal share before it. */
static size_t fed_when_full(void)
{
    size_t parts = 0;
    for (size_t p = 0; p < PARTS; p++) {
        size_t had = 0, fed = 0;
        for (size_t c = 0; c < CLASSES; had += count[p][c++])
            fed += had >= LEN / PARTS && count[p][c] > 0;
        parts += fed > 0;
    }
    return parts;
}

static void balanced(void)
{
    for (int k = 0; k < 2; k++) {
        deal(&(struct ccz_dataset_partition_cfg){.skew = CCZ_DATASET_DIRICHLET,
                                                 .parts = PARTS,
                                                 .alpha = 0.3,
                                                 .balanced = k,
                                                 .seed = 11});
        /* the last part gets what rounding left over, at most one sample of a class */
        CHECK(k ? fed_when_full() <= 1 : fed_when_full() >= 3);
    }
}

static void refused(struct ccz_dataset_partition_cfg cfg, size_t len, uint32_t classes,
                    const char *where)
{
    struct ccz_err err = {0};
    CHECK(ccz_dataset_partition(part, label, len, classes, &cfg, &err) == CCZ_E_ARG);
    CHECK(WHERE(err, where));
}

static void refusals(void)
{
    for (size_t i = 0; i < LEN; i++)
        label[i] = (uint32_t)(i % CLASSES);
    refused((struct ccz_dataset_partition_cfg){.parts = 0}, 9, CLASSES, "dataset:parts");
    refused((struct ccz_dataset_partition_cfg){.parts = 10}, 9, CLASSES, "dataset:parts");
    struct ccz_dataset_partition_cfg cfg = {.skew = CCZ_DATASET_DIRICHLET, .parts = 2};
    refused(cfg, LEN, CLASSES, "dataset:alpha");
    cfg.alpha = NAN;
    refused(cfg, LEN, CLASSES, "dataset:alpha");
    cfg.alpha = 1;
    refused(cfg, LEN, CLASSES - 1, "dataset:label");
    refused(cfg, LEN, 0, "dataset:label");
    refused(cfg, LEN, CCZ_DATASET_CLASSES_MAX + 1, "dataset:label");
    cfg = (struct ccz_dataset_partition_cfg){.skew = CCZ_DATASET_SHARDS, .parts = 4, .per_part = 3};
    refused(cfg, 11, CLASSES, "dataset:per-part");
    cfg.skew = CCZ_DATASET_LABELS;
    cfg.per_part = CLASSES + 1;
    refused(cfg, LEN, CLASSES, "dataset:per-part");
    enum ccz_dataset_skew skew;
    CHECK(ccz_dataset_skew_from(&skew, "groups") && skew == CCZ_DATASET_GROUPS);
    CHECK(ccz_dataset_skew_from(&skew, "iid") && skew == CCZ_DATASET_IID);
    CHECK(!ccz_dataset_skew_from(&skew, "IID"));
}

static void parts(void)
{
    CCZ_AUTO(ccz_dataset) d = NULL;
    CCZ_AUTO(ccz_dataset) p = NULL;
    struct ccz_err err = {0};
    const struct ccz_dataset_shape shape = {.len = 5, .rank = 1, .dims = {1}, .classes = 5};
    CHECK(ccz_dataset_new(&d, &shape, &err) == CCZ_OK);
    for (uint32_t i = 0; i < 5; i++) {
        d->values[i] = 0.5F + (float)i;
        d->label[i] = i;
    }
    const uint32_t dealt[] = {1, 0, 1, CCZ_DATASET_NO_PART, 1};
    CHECK(ccz_dataset_part(&p, d, dealt, 1, &err) == CCZ_OK);
    CHECK(p->len == 3 && p->label[0] == 0 && p->label[1] == 2 && p->values[2] == 4.5F);
    ccz_dataset_free(p);
    p = NULL;
    CHECK(ccz_dataset_part(&p, d, dealt, 2, &err) == CCZ_E_NOT_FOUND && !p);
    CHECK(WHERE(err, "dataset:part-empty"));
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"dataset.iid", iid},           {"dataset.dirichlet", dirichlet},
        {"dataset.shards", shards},     {"dataset.labels", labels},
        {"dataset.groups", groups},     {"dataset.least", least},
        {"dataset.balanced", balanced}, {"dataset.partition_refusals", refusals},
        {"dataset.part", parts}};
    return ccz_test_main(tests, sizeof(tests) / sizeof(*tests), argc, argv);
}
