/* SPDX-License-Identifier: Apache-2.0 */
#include "log_diff.h"

#include <stdlib.h>

enum { LEN_MAX = 4096 };

/* The events that extended one register. */
struct side {
    struct ccz_event *e;
    size_t len;
};

static void side_free(struct side *s)
{
    free(s->e);
}
#define AUTO_SIDE __attribute__((cleanup(side_free))) struct side

static bool collect(struct side *out, const struct ccz_eventlog *log, uint32_t mr_index)
{
    struct ccz_eventlog_iter it = ccz_eventlog_begin(log);
    struct ccz_event e;
    *out = (struct side){.e = calloc(log->events_len + 1, sizeof(e))};
    if (!out->e)
        return false;
    while (ccz_eventlog_next(&e, &it))
        if (e.extended && e.mr_index == mr_index)
            out->e[out->len++] = e;
    return true;
}

static bool same(const struct ccz_event *a, const struct ccz_event *b)
{
    return ccz_span_eq(a->digest, b->digest);
}

/* Longest common subsequence: best[i][j] is its length for the events from a[i] and b[j] on. */
static void walk(uint16_t *best, struct side a, struct side b, cli_log_diff_fn fn, void *arg)
{
    size_t row = b.len + 1;
    for (size_t i = a.len; i-- > 0;)
        for (size_t j = b.len; j-- > 0;) {
            uint16_t skip_a = best[(i + 1) * row + j], skip_b = best[i * row + j + 1];
            best[i * row + j] = same(&a.e[i], &b.e[j]) ? (uint16_t)(best[(i + 1) * row + j + 1] + 1)
                                : skip_a > skip_b      ? skip_a
                                                       : skip_b;
        }
    for (size_t i = 0, j = 0; i < a.len || j < b.len;)
        if (i < a.len && j < b.len && same(&a.e[i], &b.e[j])) {
            i++;
            j++;
        } else if (j == b.len || (i < a.len && best[(i + 1) * row + j] >= best[i * row + j + 1]))
            fn(arg, false, &a.e[i++]);
        else
            fn(arg, true, &b.e[j++]);
}

static ccz_rc diff_register(struct side a, struct side b, cli_log_diff_fn fn, void *arg,
                            struct ccz_err *err)
{
    for (; a.len && b.len && same(a.e, b.e); a.len--, b.len--) {
        a.e++;
        b.e++;
    }
    while (a.len && b.len && same(&a.e[a.len - 1], &b.e[b.len - 1])) {
        a.len--;
        b.len--;
    }
    if (a.len > LEN_MAX || b.len > LEN_MAX)
        return ccz_fail(err, CCZ_E_LIMIT, "cli:diff", 0,
                        "more than %d events between the first and the last difference", LEN_MAX);
    uint16_t *best = calloc((a.len + 1) * (b.len + 1), sizeof(*best));
    if (!best)
        return ccz_fail(err, CCZ_E_NOMEM, "cli:diff", 0, "out of memory");
    walk(best, a, b, fn, arg);
    free(best);
    return CCZ_OK;
}

ccz_rc cli_log_diff(const struct ccz_eventlog *from, const struct ccz_eventlog *to,
                    cli_log_diff_fn fn, void *arg, struct ccz_err *err)
{
    for (uint32_t mr = 1; mr <= CCZ_RTMR_LEN; mr++) {
        AUTO_SIDE a = {0};
        AUTO_SIDE b = {0};
        if (!collect(&a, from, mr) || !collect(&b, to, mr))
            return ccz_fail(err, CCZ_E_NOMEM, "cli:diff", 0, "out of memory");
        ccz_rc rc = diff_register(a, b, fn, arg, err);
        if (rc != CCZ_OK)
            return rc;
    }
    return CCZ_OK;
}
