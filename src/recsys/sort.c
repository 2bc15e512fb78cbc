/* SPDX-License-Identifier: Apache-2.0 */
/* Sorting in memory by counting, eleven bits at a time from the low end of the item to the high end of the user; and merging. */
#include "spill.h"

#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------------------------- in memory */

enum { BITS = 11, BUCKETS = 1 << BITS, DIGITS = 3 /* of 32 bits */ };

static void pass(uint32_t *to, const uint32_t *from, uint64_t len, unsigned width, unsigned word,
                 unsigned shift, uint64_t start[BUCKETS])
{
    uint64_t sum = 0;
    for (unsigned b = 0; b < BUCKETS; b++) {
        const uint64_t n = start[b];
        start[b] = sum;
        sum += n;
    }
    const size_t size = width * sizeof(*from);
    for (uint64_t i = 0; i < len; i++, from += width) {
        const unsigned b = from[word] >> shift & (BUCKETS - 1);
        memcpy(to + start[b]++ * width, from, size);
    }
}

uint32_t *cczi_recsys_sort(uint32_t *rec, uint32_t *tmp, uint64_t len, unsigned width)
{
    for (unsigned word = 2; word-- > 0;) { /* the item, then the user */
        uint64_t count[DIGITS][BUCKETS] = {{0}};
        for (uint64_t i = 0; i < len; i++)
            for (unsigned d = 0; d < DIGITS; d++)
                count[d][rec[i * width + word] >> (d * BITS) & (BUCKETS - 1)]++;
        for (unsigned d = 0; d < DIGITS; d++) {
            if (len == 0 || count[d][rec[word] >> (d * BITS) & (BUCKETS - 1)] == len)
                continue; /* all are the same here */
            pass(tmp, rec, len, width, word, d * BITS, count[d]);
            uint32_t *swap = rec;
            rec = tmp;
            tmp = swap;
        }
    }
    return rec;
}

/* ------------------------------------------------------------------------------------- merging */

struct head {
    uint64_t key; /* user, item */
    uint32_t run;
};
struct cczi_recsys_merge {
    struct cczi_recsys_run **runs;
    const uint32_t **rec; /* [runs] current record of each */
    struct head *heap;    /* [len] the smallest at 0 */
    size_t len;
    bool begun; /* the record at the top was given out */
};

static bool less(const struct head *a, const struct head *b)
{
    return a->key != b->key ? a->key < b->key : a->run < b->run;
}

static void sift_down(struct cczi_recsys_merge *m, size_t i)
{
    const struct head moved = m->heap[i];
    for (size_t child; (child = 2 * i + 1) < m->len; i = child) {
        if (child + 1 < m->len && less(&m->heap[child + 1], &m->heap[child]))
            child++;
        if (!less(&m->heap[child], &moved))
            break;
        m->heap[i] = m->heap[child];
    }
    m->heap[i] = moved;
}

static uint64_t key_of(const uint32_t *rec)
{
    return (uint64_t)rec[0] << 32 | rec[1];
}

ccz_rc cczi_recsys_merge_new(struct cczi_recsys_merge **out, struct cczi_recsys_run **runs,
                             size_t len, size_t buffer, struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO(cczi_recsys_merge) m = calloc(1, sizeof(*m));
    if (m) {
        m->rec = calloc(len, sizeof(*m->rec));
        m->heap = calloc(len, sizeof(*m->heap));
    }
    if (!m || !m->rec || !m->heap)
        return cczi_recsys_no_memory(err);
    m->runs = runs;
    for (uint32_t i = 0; i < len; i++) {
        ccz_rc rc = cczi_recsys_run_start(runs[i], buffer, err);
        if (rc == CCZ_OK)
            rc = cczi_recsys_run_next(&m->rec[i], runs[i], err);
        if (rc != CCZ_OK)
            return rc;
        if (m->rec[i])
            m->heap[m->len++] = (struct head){key_of(m->rec[i]), i};
    }
    for (size_t i = m->len / 2; i-- > 0;)
        sift_down(m, i);
    *out = cczi_recsys_merge_take(&m);
    return CCZ_OK;
}

void cczi_recsys_merge_free(struct cczi_recsys_merge *m)
{
    if (!m)
        return;
    free(m->rec);
    free(m->heap);
    free(m);
}

ccz_rc cczi_recsys_merge_next(const uint32_t **rec, struct cczi_recsys_merge *m,
                              struct ccz_err *err)
{
    *rec = NULL;
    if (m->begun && m->len > 0) {
        const uint32_t run = m->heap[0].run;
        ccz_rc rc = cczi_recsys_run_next(&m->rec[run], m->runs[run], err);
        if (rc != CCZ_OK)
            return rc;
        if (m->rec[run])
            m->heap[0].key = key_of(m->rec[run]);
        else
            m->heap[0] = m->heap[--m->len];
        if (m->len > 0)
            sift_down(m, 0);
    }
    m->begun = true;
    if (m->len > 0)
        *rec = m->rec[m->heap[0].run];
    return CCZ_OK;
}
