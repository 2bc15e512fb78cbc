/* SPDX-License-Identifier: Apache-2.0 */
#include "dataset_priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DRAWS_MAX = 1000 };

/* What a partition works with. */
struct deal {
    uint32_t *part;
    size_t len;
    const struct ccz_dataset_partition_cfg *cfg;
    uint32_t classes;
    size_t *order; /* [len]: samples by class, shuffled within each */
    size_t *start; /* [classes + 1]: where a class starts in it */
    size_t *count; /* [parts]: samples of a part */
    double *share; /* [parts] */
    struct ccz_seeded rng;
};

static void sort_by_class(struct deal *d, const uint32_t *label)
{
    memset(d->start, 0, ((size_t)d->classes + 1) * sizeof(*d->start));
    for (size_t i = 0; i < d->len; i++)
        d->start[(label ? label[i] : 0) + 1]++;
    for (uint32_t c = 0; c < d->classes; c++)
        d->start[c + 1] += d->start[c];
    for (size_t i = 0; i < d->len; i++)
        d->order[d->start[label ? label[i] : 0]++] = i;
    for (uint32_t c = d->classes; c > 0; c--) /* each start moved on to its end */
        d->start[c] = d->start[c - 1];
    d->start[0] = 0;
    for (uint32_t c = 0; c < d->classes; c++)
        ccz_seeded_shuffle(d->order + d->start[c], d->start[c + 1] - d->start[c], &d->rng);
}

static void count_parts(struct deal *d)
{
    memset(d->count, 0, d->cfg->parts * sizeof(*d->count));
    for (size_t i = 0; i < d->len; i++)
        if (d->part[i] != CCZ_DATASET_NO_PART)
            d->count[d->part[i]]++;
}

static size_t least_count(const struct deal *d)
{
    size_t least = d->len;
    for (uint32_t p = 0; p < d->cfg->parts; p++)
        least = d->count[p] < least ? d->count[p] : least;
    return least;
}

/* Parts without a sample take one from the largest. */
static void fill_empty(struct deal *d)
{
    count_parts(d);
    for (uint32_t p = 0; p < d->cfg->parts; p++) {
        if (d->count[p] > 0)
            continue;
        uint32_t largest = 0;
        for (uint32_t q = 1; q < d->cfg->parts; q++)
            if (d->count[q] > d->count[largest])
                largest = q;
        size_t i = 0;
        while (d->part[i] != largest)
            i++;
        d->part[i] = p;
        d->count[p]++;
        d->count[largest]--;
    }
}

/* Equal parts of the order as it is. */
static void cut(struct deal *d)
{
    for (size_t i = 0; i < d->len; i++)
        d->part[d->order[i]] = (uint32_t)(i * d->cfg->parts / d->len);
}

/* ----------------------------------------------------------------------------------- Dirichlet */

static void deal_class(struct deal *d, size_t from, size_t to)
{
    uint32_t parts = d->cfg->parts;
    double sum = 0, up_to = 0;
    for (uint32_t p = 0; p < parts; p++) {
        d->share[p] = ccz_seeded_gamma(&d->rng, d->cfg->alpha);
        if (d->cfg->balanced && d->count[p] >= (d->len + parts - 1) / parts)
            d->share[p] = 0;
        sum += d->share[p];
    }
    for (uint32_t p = 0; sum == 0 && p < parts; p++) /* all drawn shares underflowed: equal ones */
        d->share[p] = 1;
    sum = sum > 0 ? sum : parts;
    size_t next = from;
    for (uint32_t p = 0; p < parts; p++) {
        up_to += d->share[p] / sum;
        size_t stop = p + 1 == parts ? to : from + (size_t)lrint(up_to * (double)(to - from));
        for (stop = stop > to ? to : stop; next < stop; next++, d->count[p]++)
            d->part[d->order[next]] = p;
    }
}

static ccz_rc dirichlet(struct deal *d, const uint32_t *label, struct ccz_err *err)
{
    size_t least = d->cfg->least;
    for (int draw = 0; draw < DRAWS_MAX; draw++) {
        if (draw > 0)
            sort_by_class(d, label);
        memset(d->count, 0, d->cfg->parts * sizeof(*d->count));
        for (uint32_t c = 0; c < d->classes; c++)
            deal_class(d, d->start[c], d->start[c + 1]);
        if (least <= 1 || least_count(d) >= least)
            return CCZ_OK;
    }
    return ccz_fail(err, CCZ_E_LIMIT, "dataset:least", (int64_t)least,
                    "%d draws left a part with fewer than %zu samples", DRAWS_MAX, least);
}

/* --------------------------------------------------------------------------- shards and labels */

static ccz_rc shards(struct deal *d, struct ccz_err *err)
{
    size_t per = d->cfg->per_part, len = per * d->cfg->parts;
    if (len > d->len)
        return ccz_fail(err, CCZ_E_ARG, "dataset:per-part", (int64_t)per,
                        "%zu shards of %zu samples", len, d->len);
    size_t *turn = malloc(len * sizeof(*turn));
    if (!turn)
        return ccz_fail(err, CCZ_E_NOMEM, "dataset:memory", 0, "out of memory");
    for (size_t i = 0; i < len; i++)
        turn[i] = i;
    if (per > 1)
        ccz_seeded_shuffle(turn, len, &d->rng);
    for (size_t i = 0; i < d->len; i++)
        d->part[d->order[i]] = (uint32_t)(turn[i * len / d->len] / per);
    free(turn);
    return CCZ_OK;
}

/* has[p * classes + c]: part p has class c. */
static void choose_classes(bool *has, struct deal *d)
{
    for (uint32_t p = 0; p < d->cfg->parts; p++) {
        bool *mine = has + (size_t)p * d->classes;
        mine[p % d->classes] = true;
        for (uint32_t n = 1; n < d->cfg->per_part;) {
            uint64_t c = ccz_seeded_below(&d->rng, d->classes);
            n += !mine[c];
            mine[c] = true;
        }
    }
}

static ccz_rc labels(struct deal *d, struct ccz_err *err)
{
    uint32_t parts = d->cfg->parts;
    if (d->cfg->per_part > d->classes)
        return ccz_fail(err, CCZ_E_ARG, "dataset:per-part", d->cfg->per_part,
                        "%u classes for each part, there are %u", d->cfg->per_part, d->classes);
    bool *has = calloc((size_t)parts * d->classes, sizeof(*has));
    if (!has)
        return ccz_fail(err, CCZ_E_NOMEM, "dataset:memory", 0, "out of memory");
    choose_classes(has, d);
    for (uint32_t c = 0; c < d->classes; c++) {
        uint32_t owners = 0, k = 0;
        size_t from = d->start[c], len = d->start[c + 1] - from;
        for (uint32_t p = 0; p < parts; p++)
            owners += has[(size_t)p * d->classes + c];
        for (size_t i = 0; owners == 0 && i < len; i++)
            d->part[d->order[from + i]] = CCZ_DATASET_NO_PART;
        for (uint32_t p = 0; p < parts; p++) {
            if (!has[(size_t)p * d->classes + c])
                continue;
            for (size_t i = k * len / owners; i < (k + 1) * len / owners; i++)
                d->part[d->order[from + i]] = p;
            k++;
        }
    }
    free(has);
    return CCZ_OK;
}

/* -------------------------------------------------------------------------------------- groups */

struct member {
    uint32_t group;
    size_t sample;
};

static int by_group(const void *a, const void *b)
{
    const struct member *x = a, *y = b;
    return x->group != y->group ? (x->group > y->group) - (x->group < y->group)
                                : (x->sample > y->sample) - (x->sample < y->sample);
}

static uint32_t smallest_part(const struct deal *d)
{
    uint32_t least = 0;
    for (uint32_t p = 1; p < d->cfg->parts; p++)
        if (d->count[p] < d->count[least])
            least = p;
    return least;
}

/* d->order serves for the groups: where each starts among the sorted members. */
static ccz_rc groups(struct deal *d, const uint32_t *group, struct ccz_err *err)
{
    struct member *m = malloc(d->len * sizeof(*m));
    if (!m)
        return ccz_fail(err, CCZ_E_NOMEM, "dataset:memory", 0, "out of memory");
    size_t len = 0;
    for (size_t i = 0; i < d->len; i++)
        m[i] = (struct member){group[i], i};
    qsort(m, d->len, sizeof(*m), by_group);
    for (size_t i = 0; i < d->len; i++)
        if (i == 0 || m[i].group != m[i - 1].group)
            d->order[len++] = i;
    ccz_seeded_shuffle(d->order, len, &d->rng);
    memset(d->count, 0, d->cfg->parts * sizeof(*d->count));
    for (size_t g = 0; g < len; g++) {
        uint32_t p = smallest_part(d);
        for (size_t i = d->order[g]; i < d->len && m[i].group == m[d->order[g]].group; i++) {
            d->part[m[i].sample] = p;
            d->count[p]++;
        }
    }
    free(m);
    return CCZ_OK;
}

/* --------------------------------------------------------------------------------- all of them */

static ccz_rc deal(struct deal *d, const uint32_t *label, struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    bool by_class = d->cfg->skew != CCZ_DATASET_IID && d->cfg->skew != CCZ_DATASET_GROUPS;
    if (d->cfg->skew != CCZ_DATASET_GROUPS)
        sort_by_class(d, by_class ? label : NULL);
    switch (d->cfg->skew) {
    case CCZ_DATASET_IID:
        cut(d);
        break;
    case CCZ_DATASET_DIRICHLET:
        rc = dirichlet(d, label, err);
        if (rc == CCZ_OK)
            fill_empty(d);
        break;
    case CCZ_DATASET_SHARDS:
        rc = shards(d, err);
        break;
    case CCZ_DATASET_LABELS:
        rc = labels(d, err);
        break;
    case CCZ_DATASET_GROUPS:
        rc = groups(d, label, err);
        break;
    }
    if (rc != CCZ_OK)
        return rc;
    count_parts(d);
    size_t least = least_count(d);
    if (least < d->cfg->least)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "dataset:least", (int64_t)least, d->cfg->least);
    return CCZ_OK;
}

static ccz_rc check(const uint32_t *label, size_t len, uint32_t classes,
                    const struct ccz_dataset_partition_cfg *cfg, struct ccz_err *err)
{
    if (cfg->parts == 0 || cfg->parts > len || cfg->parts > CCZ_DATASET_PARTS_MAX)
        return ccz_fail(err, CCZ_E_ARG, "dataset:parts", cfg->parts, "%u parts of %zu samples",
                        cfg->parts, len);
    if (cfg->skew == CCZ_DATASET_DIRICHLET && !(cfg->alpha > 0 && cfg->alpha < 1e6))
        return ccz_fail(err, CCZ_E_ARG, "dataset:alpha", 0, "alpha is to be above 0");
    bool by_class = cfg->skew != CCZ_DATASET_IID && cfg->skew != CCZ_DATASET_GROUPS;
    if (by_class && (classes == 0 || classes > CCZ_DATASET_CLASSES_MAX))
        return ccz_fail(err, CCZ_E_ARG, "dataset:label", classes, "%u classes", classes);
    for (size_t i = 0; by_class && i < len; i++)
        if (label[i] >= classes)
            return ccz_fail(err, CCZ_E_ARG, "dataset:label", (int64_t)i,
                            "label %u, there are %u classes", label[i], classes);
    return CCZ_OK;
}

ccz_rc ccz_dataset_partition(uint32_t *part, const uint32_t *label, size_t len, uint32_t classes,
                             const struct ccz_dataset_partition_cfg *cfg, struct ccz_err *err)
{
    struct ccz_dataset_partition_cfg own = *cfg;
    ccz_rc rc = check(label, len, classes, cfg, err);
    if (rc != CCZ_OK)
        return rc;
    own.per_part = cfg->per_part ? cfg->per_part : 2;
    own.least = cfg->least ? cfg->least : 1;
    bool by_class = cfg->skew != CCZ_DATASET_IID && cfg->skew != CCZ_DATASET_GROUPS;
    struct deal d = {.part = part,
                     .len = len,
                     .cfg = &own,
                     .classes = by_class ? classes : 1,
                     .rng = ccz_seeded_from(cfg->seed, 1)};
    d.order = malloc(len * sizeof(*d.order));
    d.start = malloc(((size_t)d.classes + 1) * sizeof(*d.start));
    d.count = malloc(cfg->parts * sizeof(*d.count));
    d.share = malloc(cfg->parts * sizeof(*d.share));
    if (d.order && d.start && d.count && d.share)
        rc = deal(&d, label, err);
    else
        rc = ccz_fail(err, CCZ_E_NOMEM, "dataset:memory", 0, "out of memory");
    free(d.order);
    free(d.start);
    free(d.count);
    free(d.share);
    return rc;
}

ccz_rc ccz_dataset_part(struct ccz_dataset **out, const struct ccz_dataset *d, const uint32_t *part,
                        uint32_t which, struct ccz_err *err)
{
    size_t *index = malloc(d->len * sizeof(*index)), len = 0;
    *out = NULL;
    if (!index)
        return ccz_fail(err, CCZ_E_NOMEM, "dataset:memory", 0, "out of memory");
    for (size_t i = 0; i < d->len; i++)
        if (part[i] == which)
            index[len++] = i;
    ccz_rc rc = len > 0 ? ccz_dataset_select(out, d, index, len, err)
                        : ccz_fail(err, CCZ_E_NOT_FOUND, "dataset:part-empty", which,
                                   "part %u has no sample", which);
    free(index);
    return rc;
}

bool ccz_dataset_skew_from(enum ccz_dataset_skew *out, const char *name)
{
    static const char *const names[] = {[CCZ_DATASET_IID] = "iid",
                                        [CCZ_DATASET_DIRICHLET] = "dirichlet",
                                        [CCZ_DATASET_SHARDS] = "shards",
                                        [CCZ_DATASET_LABELS] = "labels",
                                        [CCZ_DATASET_GROUPS] = "groups"};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (strcmp(name, names[i]) == 0) {
            *out = (enum ccz_dataset_skew)i;
            return true;
        }
    return false;
}
