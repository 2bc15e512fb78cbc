/* SPDX-License-Identifier: Apache-2.0 */
/* What gradients tell about labels, measured as the attacks of Li et al. (ICLR 2022) do it. */
#include "vfl/vfl_priv.h"

#include <stdlib.h>
#include <string.h>

struct scored {
    double score;
    uint8_t positive;
};

static int by_score(const void *a, const void *b)
{
    double x = ((const struct scored *)a)->score, y = ((const struct scored *)b)->score;
    return (x > y) - (x < y);
}

/* Mann-Whitney: the share of pairs in the right order. */
static double auc_of(struct scored *s, size_t len)
{
    double pairs = 0, below = 0, positives = 0;
    qsort(s, len, sizeof(*s), by_score);
    for (size_t i = 0; i < len;) {
        double tied[2] = {0, 0};
        size_t k = i;
        for (; k < len && s[k].score == s[i].score; k++)
            tied[s[k].positive]++;
        pairs += tied[1] * (below + tied[0] / 2);
        below += tied[0];
        positives += tied[1];
        i = k;
    }
    return positives > 0 && below > 0 ? pairs / (positives * below) : NAN;
}

double cczi_vfl_auc(const double *score, const uint8_t *positive, size_t len)
{
    struct scored *s = calloc(len ? len : 1, sizeof(*s));
    if (!s)
        return NAN;
    for (size_t i = 0; i < len; i++)
        s[i] = (struct scored){score[i], positive[i]};
    double auc = auc_of(s, len);
    free(s);
    return auc;
}

/* The class that is looked for: 1 of two, else the rarest that occurs. */
static uint32_t target(const struct ccz_vfl_labels *b)
{
    uint32_t best = 1, count[CCZ_VFL_CLASSES_MAX] = {0}, least = UINT32_MAX;
    for (size_t i = 0; i < b->rows; i++)
        count[b->label[i]]++;
    for (uint32_t c = 0; b->classes > 2 && c < b->classes; c++)
        if (count[c] > 0 && count[c] < least) {
            least = count[c];
            best = c;
        }
    return best;
}

static double dot(const float *a, const float *b, size_t len)
{
    double sum = 0;
    for (size_t i = 0; i < len; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

bool ccz_vfl_attack(double *norm_auc, double *cosine_auc, const float *grad, size_t width,
                    const struct ccz_vfl_labels *batch)
{
    *norm_auc = *cosine_auc = NAN;
    if (batch->classes < 2)
        return false;
    uint32_t wanted = target(batch);
    struct scored *by_norm = calloc(2 * batch->rows, sizeof(*by_norm));
    if (!by_norm)
        return false;
    struct scored *by_cosine = by_norm + batch->rows;
    const float *known = NULL;
    size_t known_at = 0, len = 0;
    for (size_t i = batch->rows; i-- > 0;)
        if (batch->label[i] == wanted) {
            known = grad + i * width;
            known_at = i;
        }
    double known_norm = known ? sqrt(dot(known, known, width)) : 0;
    for (size_t i = 0; i < batch->rows; i++) {
        const float *g = grad + i * width;
        uint8_t positive = batch->label[i] == wanted;
        double norm = sqrt(dot(g, g, width));
        by_norm[i] = (struct scored){norm, positive};
        if (known && i != known_at)
            by_cosine[len++] = (struct scored){
                norm > 0 && known_norm > 0 ? dot(g, known, width) / (norm * known_norm) : 0,
                positive};
    }
    *norm_auc = auc_of(by_norm, batch->rows);
    *cosine_auc = auc_of(by_cosine, len);
    free(by_norm);
    return !isnan(*norm_auc);
}

static double fold(double auc)
{
    return auc < 0.5 ? 1 - auc : auc;
}

static size_t bin_of(double auc)
{
    return (size_t)floor((fold(auc) - 0.5) * 2 * (CCZI_VFL_LEAK_BINS - 1));
}

void cczi_vfl_leak_add(struct cczi_vfl_leak_sum *s, const float *grad, size_t width,
                       const struct ccz_vfl_labels *batch)
{
    double norm, cosine;
    /* With a single row of the class there is nobody left for the cosine attack to find. */
    if (!ccz_vfl_attack(&norm, &cosine, grad, width, batch) || isnan(cosine))
        return;
    s->batches++;
    s->norm += norm;
    s->cosine += cosine;
    s->norm_bin[bin_of(norm)]++;
    s->cosine_bin[bin_of(cosine)]++;
}

/* Upper end of the bin in which 95 % of the batches are reached. */
static double quantile95(const uint32_t *bin, uint64_t batches)
{
    uint64_t seen = 0;
    size_t i = 0;
    for (; i < CCZI_VFL_LEAK_BINS - 1; i++) {
        seen += bin[i];
        if (seen * 100 >= batches * 95)
            break;
    }
    double end = 0.5 + (double)(i + 1) / (2 * (CCZI_VFL_LEAK_BINS - 1));
    return end < 1 ? end : 1;
}

struct ccz_vfl_leakage cczi_vfl_leak_of(const struct cczi_vfl_leak_sum *s)
{
    if (s->batches == 0)
        return (struct ccz_vfl_leakage){
            .norm = NAN, .cosine = NAN, .norm_q95 = NAN, .cosine_q95 = NAN};
    return (struct ccz_vfl_leakage){.batches = s->batches,
                                    .norm = fold(s->norm / (double)s->batches),
                                    .cosine = fold(s->cosine / (double)s->batches),
                                    .norm_q95 = quantile95(s->norm_bin, s->batches),
                                    .cosine_q95 = quantile95(s->cosine_bin, s->batches)};
}
