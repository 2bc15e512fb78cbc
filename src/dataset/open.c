/* SPDX-License-Identifier: Apache-2.0 */
/* Collections as they are published. */
#include "dataset_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { PATH_SIZE = 4096, BATCHES = 5, HELD_OUT_EVERY = 10 };
enum { ORDER_STREAM = 2, TEST_STREAM = 3, RATINGS_STREAM = 4 }; /* 1 is the partition's */

struct collection {
    const char *kind;
    ccz_rc (*read)(struct ccz_dataset **train, struct ccz_dataset **test, const char *dir,
                   struct ccz_err *err); /* test NULL: it has none of its own */
    float mean[3], deviation[3];         /* by channel; 0, 0: numbers are left as they are */
};

/* DIR/NAME, or DIR/NAME.gz if only that is there. */
static ccz_rc find_file(char path[PATH_SIZE], const char *dir, const char *name,
                        struct ccz_err *err)
{
    struct stat st;
    int n = snprintf(path, PATH_SIZE, "%s/%s", dir, name);
    if (n < 0 || n >= PATH_SIZE - 3)
        return ccz_fail(err, CCZ_E_LIMIT, "dataset:open", n, "the path of %s is too long", name);
    if (stat(path, &st) != 0)
        memcpy(path + n, ".gz", 4);
    return CCZ_OK;
}

static ccz_rc read_idx_pair(struct ccz_dataset **out, const char *dir, const char *set,
                            struct ccz_err *err)
{
    char images[PATH_SIZE], labels[PATH_SIZE], name[64];
    (void)snprintf(name, sizeof(name), "%s-images-idx3-ubyte", set);
    ccz_rc rc = find_file(images, dir, name, err);
    (void)snprintf(name, sizeof(name), "%s-labels-idx1-ubyte", set);
    if (rc == CCZ_OK)
        rc = find_file(labels, dir, name, err);
    return rc == CCZ_OK ? ccz_dataset_idx(out, images, labels, 10, err) : rc;
}

static ccz_rc read_mnist(struct ccz_dataset **train, struct ccz_dataset **test, const char *dir,
                         struct ccz_err *err)
{
    ccz_rc rc = read_idx_pair(train, dir, "train", err);
    return rc == CCZ_OK ? read_idx_pair(test, dir, "t10k", err) : rc;
}

static ccz_rc read_cifar10(struct ccz_dataset **train, struct ccz_dataset **test, const char *dir,
                           struct ccz_err *err)
{
    char path[BATCHES][PATH_SIZE], name[64];
    const char *paths[BATCHES];
    ccz_rc rc = CCZ_OK;
    for (int i = 0; rc == CCZ_OK && i < BATCHES; i++) {
        (void)snprintf(name, sizeof(name), "data_batch_%d.bin", i + 1);
        rc = find_file(path[i], dir, name, err);
        paths[i] = path[i];
    }
    if (rc == CCZ_OK)
        rc = ccz_dataset_cifar10(train, paths, BATCHES, err);
    if (rc == CCZ_OK)
        rc = find_file(path[0], dir, "test_batch.bin", err);
    return rc == CCZ_OK ? ccz_dataset_cifar10(test, paths, 1, err) : rc;
}

static ccz_rc read_movielens(struct ccz_dataset **train, struct ccz_dataset **test, const char *dir,
                             struct ccz_err *err)
{
    char ratings[PATH_SIZE], films[PATH_SIZE];
    *test = NULL;
    ccz_rc rc = find_file(ratings, dir, "ratings.csv", err);
    if (rc == CCZ_OK)
        rc = find_file(films, dir, "movies.csv", err);
    return rc == CCZ_OK ? ccz_dataset_movielens(train, ratings, films, 0, err) : rc;
}

static const struct collection collections[] = {
    {"mnist", read_mnist, {0.1307F}, {0.3081F}},
    {"fashion-mnist", read_mnist, {0.2860F}, {0.3530F}},
    {"cifar10", read_cifar10, {0.4914F, 0.4822F, 0.4465F}, {0.2470F, 0.2435F, 0.2616F}},
    {"movielens", read_movielens, {0}, {0}},
};

static void normalise(struct ccz_dataset *d, const struct collection *c)
{
    for (size_t i = 0; d && i < 3 && c->deviation[i] > 0; i++) {
        d->mean[i] = c->mean[i];
        d->deviation[i] = c->deviation[i];
    }
}

/* Samples order[from .. to-1] of *d, at most @p limit (0 = all), in place of *d. */
static ccz_rc keep_some(struct ccz_dataset **d, const size_t *order, size_t len, size_t limit,
                        struct ccz_err *err)
{
    struct ccz_dataset *less = NULL;
    ccz_rc rc = ccz_dataset_select(&less, *d, order, limit && limit < len ? limit : len, err);
    if (rc != CCZ_OK)
        return rc;
    ccz_dataset_free(*d);
    *d = less;
    return CCZ_OK;
}

/* The part of this party, of *d. */
static ccz_rc keep_part(struct ccz_dataset **d, const struct ccz_dataset_partition_cfg *cfg,
                        uint32_t which, struct ccz_err *err)
{
    struct ccz_dataset *mine = NULL;
    const uint32_t *by = (*d)->label;
    if (cfg->skew == CCZ_DATASET_GROUPS) {
        if (!(*d)->group)
            return ccz_fail(err, CCZ_E_ARG, "dataset:kind", 0, "these samples have no groups");
        by = (*d)->group;
    }
    uint32_t *part = calloc((*d)->len, sizeof(*part));
    ccz_rc rc = part ? ccz_dataset_partition(part, by, (*d)->len, (*d)->classes, cfg, err)
                     : ccz_fail(err, CCZ_E_NOMEM, "dataset:memory", 0, "out of memory");
    if (rc == CCZ_OK)
        rc = ccz_dataset_part(&mine, *d, part, which, err);
    free(part);
    if (rc != CCZ_OK)
        return rc;
    ccz_dataset_free(*d);
    *d = mine;
    return CCZ_OK;
}

/* Every tenth of *train, at random, goes to *test. */
static ccz_rc hold_out(struct ccz_dataset **train, struct ccz_dataset **test, uint64_t seed,
                       struct ccz_err *err)
{
    size_t len = (*train)->len, held = len / HELD_OUT_EVERY;
    if (held == 0)
        return ccz_fail(err, CCZ_E_LIMIT, "dataset:size", (int64_t)len,
                        "%zu samples are too few to hold some out", len);
    size_t *order = calloc(len, sizeof(*order));
    if (!order)
        return ccz_fail(err, CCZ_E_NOMEM, "dataset:memory", 0, "out of memory");
    ccz_dataset_order(order, len, seed, RATINGS_STREAM);
    ccz_rc rc = ccz_dataset_select(test, *train, order, held, err);
    if (rc == CCZ_OK)
        rc = keep_some(train, order + held, len - held, 0, err);
    free(order);
    return rc;
}

static ccz_rc limit_to(struct ccz_dataset **d, size_t limit, uint64_t seed, uint64_t stream,
                       struct ccz_err *err)
{
    if (limit == 0 || limit >= (*d)->len)
        return CCZ_OK;
    size_t *order = calloc((*d)->len, sizeof(*order));
    if (!order)
        return ccz_fail(err, CCZ_E_NOMEM, "dataset:memory", 0, "out of memory");
    ccz_dataset_order(order, (*d)->len, seed, stream);
    ccz_rc rc = keep_some(d, order, (*d)->len, limit, err);
    free(order);
    return rc;
}

/* Cuts what was read down to what this party has. */
static ccz_rc cut_down(struct ccz_dataset **train, struct ccz_dataset **test,
                       const struct ccz_dataset_source *s, struct ccz_err *err)
{
    struct ccz_dataset_partition_cfg share = {
        .skew = CCZ_DATASET_IID, .parts = s->parts.parts, .seed = s->parts.seed};
    ccz_rc rc = CCZ_OK;
    if (s->parts.parts > 0)
        rc = keep_part(train, &s->parts, s->which, err);
    if (rc == CCZ_OK && !*test)
        rc = hold_out(train, test, s->parts.seed, err);
    else if (rc == CCZ_OK && s->parts.parts > 0 && !s->whole_test)
        rc = keep_part(test, &share, s->which, err);
    if (rc == CCZ_OK)
        rc = limit_to(train, s->limit, s->parts.seed, ORDER_STREAM, err);
    return rc == CCZ_OK ? limit_to(test, s->held_out_limit, s->parts.seed, TEST_STREAM, err) : rc;
}

ccz_rc ccz_dataset_open(struct ccz_dataset **train, struct ccz_dataset **held_out,
                        const struct ccz_dataset_source *source, struct ccz_err *err)
{
    CCZ_AUTO(ccz_dataset) d = NULL;
    CCZ_AUTO(ccz_dataset) test = NULL;
    const struct collection *c = NULL;
    *train = *held_out = NULL;
    for (size_t i = 0; !c && i < sizeof(collections) / sizeof(*collections); i++)
        if (strcmp(source->kind, collections[i].kind) == 0)
            c = &collections[i];
    if (!c)
        return ccz_hint(err,
                        ccz_fail(err, CCZ_E_ARG, "dataset:kind", 0, "no collection is called %.40s",
                                 source->kind),
                        "one of: mnist, fashion-mnist, cifar10, movielens");
    if (source->parts.parts > 0 && source->which >= source->parts.parts)
        return ccz_refuse_num(err, CCZ_E_ARG, "dataset:which", source->which,
                              (int64_t)source->parts.parts - 1);
    ccz_rc rc = c->read(&d, &test, source->dir, err);
    if (rc == CCZ_OK) {
        normalise(d, c);
        normalise(test, c);
        rc = cut_down(&d, &test, source, err);
    }
    if (rc != CCZ_OK)
        return rc;
    *train = ccz_dataset_take(&d);
    *held_out = ccz_dataset_take(&test);
    return CCZ_OK;
}
