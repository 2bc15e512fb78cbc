/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policies on trial: each release is judged by the staged policy too, after the one that decides. What is staged is read
 * from the database when it may have changed, which is when another transaction than the last one of this server has moved
 * the head: a server that is alone asks once, several ask once per batch.
 */
#include "kms_priv.h"

#include <stdlib.h>
#include <string.h>

/* Of what is in memory, counts that are not written must not be pushed out. So what is beyond PENDING_MAX of them at the end of
 * a transaction is written, and the next one can add as many as it has calls. */
enum { PENDING_MAX = CCZI_KMS_BATCH_MAX, TRIALS_MAX = PENDING_MAX + CCZI_KMS_BATCH_MAX + 1 };

/* What is staged for one policy, which mostly is nothing. */
struct trial {
    bool known; /* `on`, sha256, created_s, ends_s are those of the database */
    bool on;
    char policy[CCZ_KMS_NAME_SIZE];
    uint8_t sha256[32];
    int64_t created_s, ends_s;
    uint64_t used;
    bool written; /* in this transaction */
    int64_t written_s, now_s;
    uint64_t accept, refuse; /* since it was written */
    uint64_t tx_accept, tx_refuse;
};

struct cczi_kms_trials {
    struct trial trial[TRIALS_MAX];
    uint32_t hash[TRIALS_MAX]; /* side by side, as they are looked through for each release */
    size_t len;                /* that were ever used */
    uint64_t turn;
    uint8_t head[32]; /* end of the audit chain as the last transaction left it */
    bool touched;     /* by this transaction */
};

ccz_rc cczi_kms_trials_new(struct cczi_kms_trials **out)
{
    *out = calloc(1, sizeof(**out));
    return *out ? CCZ_OK : CCZ_E_NOMEM;
}

void cczi_kms_trials_free(struct cczi_kms_trials *t)
{
    free(t);
}

static void forget_all(struct cczi_kms_trials *t)
{
    for (size_t i = 0; i < t->len; i++)
        t->trial[i].known = false;
}

/* FNV-1a: only to look at few names. */
static uint32_t hash_of(const char *policy)
{
    uint32_t h = 2166136261U;
    for (; *policy; policy++)
        h = (h ^ (uint8_t)*policy) * 16777619U;
    return h;
}

static const struct trial *find(const struct cczi_kms_trials *t, const char *policy)
{
    const uint32_t h = hash_of(policy);
    for (size_t i = 0; i < t->len; i++)
        if (t->hash[i] == h && strcmp(t->trial[i].policy, policy) == 0)
            return &t->trial[i];
    return NULL;
}

static bool is_pending(const struct trial *p)
{
    return p->on && p->accept + p->refuse + p->tx_accept + p->tx_refuse;
}

/* A trial that is staged anew is another one, also with the same text. */
static bool is_same(const struct trial *p, const struct cczi_kms_staged *st)
{
    return p->created_s == st->created_s && memcmp(p->sha256, st->sha256, sizeof(p->sha256)) == 0;
}

/* ------------------------------------------------------------------------ transactions */

static void end_counts(struct cczi_kms_trials *t, bool committed)
{
    for (size_t i = 0; i < t->len; i++) {
        struct trial *p = &t->trial[i];
        if (committed && p->written) {
            p->written_s = p->now_s;
            p->accept = p->refuse = 0;
        } else if (committed) {
            p->accept += p->tx_accept;
            p->refuse += p->tx_refuse;
        }
        p->tx_accept = p->tx_refuse = 0;
        p->written = false;
    }
}

void cczi_kms_trials_begin(struct cczi_kms_trials *t, const uint8_t head[32])
{
    end_counts(t, false);
    if (t->touched || memcmp(t->head, head, sizeof(t->head)) != 0)
        forget_all(t);
    t->touched = false;
}

void cczi_kms_trials_commit(struct cczi_kms_trials *t, const uint8_t head[32])
{
    end_counts(t, true);
    memcpy(t->head, head, sizeof(t->head));
    t->touched = false;
}

/* What was read after it was changed is not so. */
void cczi_kms_trials_undo(struct cczi_kms_trials *t)
{
    if (t->touched)
        forget_all(t);
}

void cczi_kms_trials_drop(struct cczi_kms_trials *t)
{
    end_counts(t, false);
    cczi_kms_trials_undo(t);
}

void cczi_kms_trials_touch(struct cczi_kms_trials *t, const char *policy)
{
    struct trial *p = (struct trial *)find(t, policy);
    t->touched = true;
    if (p)
        p->known = false;
}

void cczi_kms_trials_pending(uint64_t *would_accept, uint64_t *would_refuse,
                             const struct cczi_kms_trials *t, const struct cczi_kms_staged *st)
{
    const struct trial *p = find(t, st->policy);
    if (!p || !is_same(p, st))
        return;
    *would_accept += p->accept + p->tx_accept;
    *would_refuse += p->refuse + p->tx_refuse;
}

/* ------------------------------------------------------------------------------- trial */

/* The one that was used longest ago, of those with nothing to lose. */
static size_t oldest(const struct cczi_kms_trials *t)
{
    size_t at = 0;
    for (size_t i = 1; i < t->len; i++) {
        const struct trial *p = &t->trial[i], *best = &t->trial[at];
        if (is_pending(p) != is_pending(best) ? is_pending(best) : p->used < best->used)
            at = i;
    }
    return at;
}

static struct trial *place(struct cczi_kms_trials *t, const char *policy)
{
    struct trial *p = (struct trial *)find(t, policy);
    if (!p) {
        size_t at = t->len < TRIALS_MAX ? t->len++ : oldest(t);
        p = &t->trial[at];
        *p = (struct trial){0};
        memcpy(p->policy, policy, strlen(policy) + 1);
        t->hash[at] = hash_of(policy);
    }
    p->used = ++t->turn;
    return p;
}

static void forget_counts(struct trial *p)
{
    p->accept = p->refuse = p->tx_accept = p->tx_refuse = 0;
}

/* Another trial than before begins with no counts. */
static void take(struct trial *p, const struct cczi_kms_staged *st)
{
    if (!p->on || !is_same(p, st)) {
        forget_counts(p);
        p->written_s = 0;
    }
    p->on = true;
    memcpy(p->sha256, st->sha256, sizeof(p->sha256));
    p->created_s = st->created_s;
    p->ends_s = st->ends_s;
}

static ccz_rc look_up(struct trial *p, struct ccz_kms_store *s, struct ccz_err *err)
{
    struct cczi_kms_staged st;
    struct cczi_kms_row keep;
    if (p->known)
        return CCZ_OK;
    cczi_kms_row_init(&keep);
    ccz_rc rc = cczi_kms_staged_get(&st, &keep, s, p->policy, err);
    if (rc == CCZ_OK)
        take(p, &st);
    else if (rc == CCZ_E_NOT_FOUND)
        p->on = false;
    cczi_kms_row_deinit(&keep);
    p->known = rc == CCZ_OK || rc == CCZ_E_NOT_FOUND;
    return p->known ? CCZ_OK : rc;
}

/* Parsed ones are kept with the others, by the digest of their JSON. */
static ccz_rc parsed(struct cczi_kms_parsed **out, struct ccz_kms_store *s, const struct trial *p,
                     struct ccz_err *err)
{
    if (cczi_kms_policies_find(out, s->policies, p->sha256))
        return CCZ_OK;
    struct cczi_kms_policy row = {0};
    struct cczi_kms_staged st;
    struct cczi_kms_row keep;
    cczi_kms_row_init(&keep);
    ccz_buf_init(&row.json, CCZ_POLICY_SIZE_MAX);
    ccz_rc rc = cczi_kms_staged_get(&st, &keep, s, p->policy, err);
    if (rc == CCZ_OK) {
        memcpy(row.mac, st.sha256, sizeof(row.mac));
        ccz_buf_put_span(&row.json, st.json);
        rc = cczi_kms_policies_get(out, s->policies, p->policy, &row, err);
    }
    ccz_buf_free(&row.json);
    cczi_kms_row_deinit(&keep);
    return rc;
}

static void judge(struct cczi_kms_call *call, const struct trial *p,
                  const struct ccz_policy *policy)
{
    struct cczi_kms_shadow *sh = &call->shadow;
    struct ccz_err why = {0};
    struct ccz_verdict v = {0};
    ccz_rc rc = ccz_policy_eval(&v, policy, &call->req->peer->claims, call->req->now_s, &why);
    *sh = (struct cczi_kms_shadow){.tried = true, .accept = rc == CCZ_OK && v.accept};
    memcpy(sh->sha256, p->sha256, sizeof(sh->sha256));
    memcpy(sh->rule, sh->accept ? v.rule : v.nearest, sizeof(sh->rule));
    sh->grace_until_s = sh->accept ? v.grace_until_s : 0;
    if (sh->accept)
        return;
    memcpy(sh->where, why.where, sizeof(sh->where));
    memcpy(sh->got, why.got, sizeof(sh->got));
    memcpy(sh->expected, why.expected, sizeof(sh->expected));
}

void cczi_kms_shadow(struct cczi_kms_call *call)
{
    struct ccz_kms_store *s = call->store;
    struct ccz_err err = {0};
    struct cczi_kms_parsed *policy = NULL;
    if (!s->watch)
        return;
    struct trial *p = place(s->watch->trials, call->policy);
    ccz_rc rc = look_up(p, s, &err);
    if (rc == CCZ_OK && (!p->on || call->req->now_s >= p->ends_s))
        return;
    if (rc == CCZ_OK)
        rc = parsed(&policy, s, p, &err);
    if (rc == CCZ_OK)
        rc = cczi_kms_parsed_resolve(policy, s, p->policy, &err);
    if (rc == CCZ_OK)
        judge(call, p, policy->policy);
    else /* a broken trial is no reason to refuse; if the database is, the next statement says so */
        ccz_log_err(CCZ_LOG_ERROR, "kms", "a staged policy could not be tried", &err);
}

/* ------------------------------------------------------------------------------ counts */

void cczi_kms_trials_note(struct cczi_kms_trials *t, const struct cczi_kms_call *call)
{
    const struct cczi_kms_shadow *sh = &call->shadow;
    struct trial *p = sh->tried ? (struct trial *)find(t, call->policy) : NULL;
    if (!p || memcmp(p->sha256, sh->sha256, sizeof(p->sha256)) != 0)
        return;
    p->now_s = call->req->now_s;
    if (sh->accept)
        p->tx_accept++;
    else
        p->tx_refuse++;
}

/* @param crowd  there are more than may wait */
static bool due(const struct trial *p, bool crowd)
{
    int64_t age_s = p->now_s - p->written_s;
    bool old = age_s >= CCZI_KMS_TRIAL_EVERY_S || age_s <= -CCZI_KMS_TRIAL_EVERY_S;
    return is_pending(p) && (crowd || (p->known && old));
}

/* How many have to be written, whichever. */
static size_t excess(const struct cczi_kms_trials *t)
{
    size_t n = 0;
    for (size_t i = 0; i < t->len; i++)
        n += is_pending(&t->trial[i]);
    return n > PENDING_MAX ? n - PENDING_MAX : 0;
}

bool cczi_kms_trials_due(const struct cczi_kms_trials *t)
{
    const bool crowd = excess(t) > 0;
    for (size_t i = 0; i < t->len; i++)
        if (due(&t->trial[i], crowd))
            return true;
    return false;
}

static ccz_rc write_counts(struct ccz_kms_store *s, struct trial *p, struct ccz_err *err)
{
    struct cczi_kms_staged st;
    struct cczi_kms_row keep;
    cczi_kms_row_init(&keep);
    ccz_rc rc = cczi_kms_staged_get(&st, &keep, s, p->policy, err);
    const bool gone = rc == CCZ_E_NOT_FOUND || (rc == CCZ_OK && !is_same(p, &st));
    if (gone) {
        forget_counts(p);
        rc = CCZ_OK;
    } else if (rc == CCZ_OK) {
        st.would_accept += p->accept + p->tx_accept;
        st.would_refuse += p->refuse + p->tx_refuse;
        rc = cczi_kms_staged_put(s, &st, err);
    }
    cczi_kms_row_deinit(&keep);
    p->written = rc == CCZ_OK && !gone;
    return rc;
}

ccz_rc cczi_kms_trials_flush(struct ccz_kms_store *s, struct ccz_err *err)
{
    struct cczi_kms_trials *t = s->watch->trials;
    size_t left = excess(t);
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; rc == CCZ_OK && i < t->len; i++) {
        if (!due(&t->trial[i], left > 0))
            continue;
        rc = write_counts(s, &t->trial[i], err);
        left -= left > 0;
    }
    for (size_t i = 0; rc != CCZ_OK && i < t->len; i++)
        t->trial[i].written = false; /* all of it is undone */
    return rc;
}
