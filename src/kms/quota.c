/* SPDX-License-Identifier: Apache-2.0 */
/* What one namespace may have in the store. */
#include "quota.h"

#include "kms_priv.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { KNOWN = 64, AHEAD = 16, AHEAD_MAX = 1024, FRESH_MS = 1000 };

enum what { ITEMS, VERSIONS, BYTES, POLICIES, POLICY_BYTES, WHATS };
static const struct {
    const char *where, *label;
} whats[WHATS] = {{"kms:quota-items", "items"},
                  {"kms:quota-versions", "versions"},
                  {"kms:quota-bytes", "bytes"},
                  {"kms:quota-policies", "policies"},
                  {"kms:quota-policy-bytes", "policy_bytes"}};

/* Items of a namespace as they were counted last. */
struct known {
    char ns[CCZ_KMS_NAME_SIZE];
    bool set;
    uint64_t has[BYTES + 1];
    uint64_t ahead;     /* puts until they are counted again: they fit, whatever their size is */
    int64_t counted_ms; /* 0: something was taken away since */
};

struct cczi_kms_quotas {
    uint64_t max[WHATS];
    struct known known[KNOWN];
    atomic_uint_fast64_t refused[WHATS];
    atomic_uint most[WHATS]; /* percent that a namespace had when it was looked at last */
};

void cczi_kms_quotas_limit(struct cczi_kms_quotas *q, const struct ccz_kms_quota *l)
{
    q->max[ITEMS] = l->items ? l->items : CCZ_KMS_QUOTA_ITEMS;
    q->max[VERSIONS] = l->versions ? l->versions : CCZ_KMS_QUOTA_VERSIONS;
    q->max[BYTES] = l->bytes ? l->bytes : CCZ_KMS_QUOTA_BYTES;
    q->max[POLICIES] = l->policies ? l->policies : CCZ_KMS_QUOTA_POLICIES;
    q->max[POLICY_BYTES] = l->policy_bytes ? l->policy_bytes : CCZ_KMS_QUOTA_POLICY_BYTES;
    memset(q->known, 0, sizeof(q->known));
}

ccz_rc cczi_kms_quotas_new(struct cczi_kms_quotas **out)
{
    *out = calloc(1, sizeof(**out));
    if (!*out)
        return CCZ_E_NOMEM;
    cczi_kms_quotas_limit(*out, &(struct ccz_kms_quota){0});
    return CCZ_OK;
}

void cczi_kms_quotas_free(struct cczi_kms_quotas *q)
{
    free(q);
}

static ccz_rc refuse(struct cczi_kms_quotas *q, enum what w, uint64_t want, struct ccz_err *err)
{
    atomic_fetch_add(&q->refused[w], 1);
    ccz_refuse_num(err, CCZ_E_LIMIT, whats[w].where, (int64_t)want, (int64_t)q->max[w]);
    return cczi_kms_hint(err, CCZ_E_LIMIT);
}

/* The highest that any had: a gauge of a namespace would need its name. */
static void note(struct cczi_kms_quotas *q, enum what w, uint64_t has)
{
    uint64_t percent = has >= q->max[w] ? 100 : 100 * has / q->max[w];
    if (percent > atomic_load(&q->most[w]))
        atomic_store(&q->most[w], (unsigned)percent);
}

/* ------------------------------------------------------------------------------ items */

/* One place for each namespace, by the names that meet there the last one. */
static struct known *place_of(struct cczi_kms_quotas *q, const char *ns)
{
    uint32_t h = 2166136261; /* FNV-1a: who meets whom costs a count, no more */
    for (const char *p = ns; *p; p++)
        h = (h ^ (uint8_t)*p) * 16777619;
    struct known *k = &q->known[h % KNOWN];
    if (!k->set || strcmp(k->ns, ns) != 0) {
        *k = (struct known){.set = true};
        memcpy(k->ns, ns, strlen(ns) + 1);
    }
    return k;
}

/* Whether a put may be refused by what was counted: who is at the limit and asks again and again does not have all rows counted each time.
 * What another server takes away is room within FRESH_MS. */
static bool is_fresh(const struct known *k)
{
    return k->counted_ms && ccz_mono_ms() - k->counted_ms < FRESH_MS;
}

static ccz_rc count(struct known *k, struct cczi_kms_quotas *q, struct ccz_kms_store *s,
                    const char *name, struct ccz_err *err)
{
    struct cczi_kms_range range;
    struct cczi_q st = cczi_kms_range_query(CCZI_SQL_QUOTA_ITEMS, &range, s, name, true);
    if (cczi_q_row(&st))
        for (int i = ITEMS; i <= BYTES; i++)
            k->has[i] = (uint64_t)cczi_q_col_int(&st, i);
    ccz_rc rc = cczi_q_end(&st, err);
    k->counted_ms = ccz_mono_ms();
    uint64_t left[BYTES + 1];
    for (int i = ITEMS; i <= BYTES; i++) {
        left[i] = k->has[i] < q->max[i] ? q->max[i] - k->has[i] : 0;
        note(q, (enum what)i, k->has[i]);
    }
    left[BYTES] /= CCZ_KMS_VALUE_SIZE_MAX + CCZI_KMS_METADATA_SIZE_MAX;
    k->ahead = AHEAD_MAX * AHEAD;
    for (int i = ITEMS; i <= BYTES; i++)
        k->ahead = left[i] < k->ahead ? left[i] : k->ahead;
    k->ahead /= AHEAD;
    return rc;
}

/* The first limit that a put goes beyond, or WHATS. */
static enum what beyond(const struct known *k, const struct cczi_kms_quotas *q,
                        const uint64_t add[BYTES + 1])
{
    for (int i = ITEMS; i <= BYTES; i++)
        if (add[i] && k->has[i] + add[i] > q->max[i])
            return (enum what)i;
    return WHATS;
}

ccz_rc cczi_kms_quota_item(struct ccz_kms_store *s, const struct cczi_kms_slot *slot, size_t bytes,
                           struct ccz_err *err)
{
    struct cczi_kms_quotas *q = s->quotas;
    char ns[CCZ_KMS_NAME_SIZE];
    const uint64_t add[BYTES + 1] = {slot->version == 1, 1, bytes};
    if (!q || slot->ref.kind == CCZI_KMS_SYSTEM) /* no quotas: a store that is being made */
        return CCZ_OK;
    cczi_kms_ns_of(ns, slot->ref.name);
    struct known *k = place_of(q, ns);
    ccz_rc rc = CCZ_OK;
    if (beyond(k, q, add) != WHATS ? !is_fresh(k) : k->ahead == 0)
        rc = count(k, q, s, slot->ref.name, err);
    if (rc != CCZ_OK) {
        k->set = false;
        return rc;
    }
    enum what w = beyond(k, q, add);
    if (w != WHATS)
        return refuse(q, w, k->has[w] + add[w], err);
    k->ahead -= k->ahead > 0;
    return CCZ_OK;
}

void cczi_kms_quotas_forget(struct cczi_kms_quotas *q)
{
    if (q)
        memset(q->known, 0, sizeof(q->known));
}

void cczi_kms_quota_gone(struct ccz_kms_store *s, const char *name)
{
    char ns[CCZ_KMS_NAME_SIZE];
    if (!s->quotas)
        return;
    cczi_kms_ns_of(ns, name);
    place_of(s->quotas, ns)->counted_ms = 0;
}

/* --------------------------------------------------------------------------- policies */

ccz_rc cczi_kms_quota_policy(struct ccz_kms_store *s, const char *name, unsigned rows, size_t bytes,
                             size_t was, struct ccz_err *err)
{
    struct cczi_kms_quotas *q = s->quotas;
    struct cczi_kms_range range;
    uint64_t has[2] = {0};
    if (!q)
        return CCZ_OK;
    struct cczi_q st = cczi_kms_range_query(CCZI_SQL_QUOTA_POLICIES, &range, s, name, true);
    if (cczi_q_row(&st)) {
        has[0] = (uint64_t)cczi_q_col_int(&st, 0);
        has[1] = (uint64_t)cczi_q_col_int(&st, 1);
    }
    ccz_rc rc = cczi_q_end(&st, err);
    if (rc != CCZ_OK)
        return rc;
    uint64_t all = has[1] + bytes - (was < has[1] ? was : has[1]);
    note(q, POLICIES, has[0] + rows);
    note(q, POLICY_BYTES, all);
    if (rows && has[0] + rows > q->max[POLICIES])
        return refuse(q, POLICIES, has[0] + rows, err);
    if (bytes > was && all > q->max[POLICY_BYTES]) /* what gets smaller is never too much */
        return refuse(q, POLICY_BYTES, all, err);
    return CCZ_OK;
}

unsigned cczi_kms_quotas_most(struct cczi_kms_quotas *q)
{
    unsigned most = 0;
    for (int i = 0; q && i < WHATS; i++) {
        unsigned percent = atomic_load(&q->most[i]);
        most = percent > most ? percent : most;
    }
    return most;
}

void cczi_kms_quotas_metrics(struct cczi_kms_quotas *q, struct ccz_buf *out)
{
    ccz_buf_put_str(out, "# HELP cczoo_kms_quota_refused_total Puts that were refused because a "
                         "namespace has as much as it may.\n"
                         "# TYPE cczoo_kms_quota_refused_total counter\n");
    for (int i = 0; i < WHATS; i++)
        ccz_buf_printf(out, "cczoo_kms_quota_refused_total{of=\"%s\"} %llu\n", whats[i].label,
                       (unsigned long long)atomic_load(&q->refused[i]));
    ccz_buf_put_str(out,
                    "# HELP cczoo_kms_quota_most_percent The most that a namespace was seen to "
                    "have of its quota, since the start.\n"
                    "# TYPE cczoo_kms_quota_most_percent gauge\n");
    for (int i = 0; i < WHATS; i++)
        ccz_buf_printf(out, "cczoo_kms_quota_most_percent{of=\"%s\"} %u\n", whats[i].label,
                       atomic_load(&q->most[i]));
}
