/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which workloads were judged under which policy, so that another policy can be tried on them. A release costs a look into
 * a table in memory; the row of a workload is written at most once an hour, along with the transaction that it came in.
 */
#include "kms_priv.h"

#include <stdlib.h>
#include <string.h>

enum {
    SETS = 1024, /* a place is found by the first bytes of the id.. */
    WAYS = 8,    /* ..among so many */
    MEMO = 256,
    COUNT_EVERY =
        256,      /* new rows after which they are counted again: other servers make some, too */
    EVICT_MAX = 8 /* rows that go for one that comes */
};

struct slot {
    bool taken, noted; /* noted: in this transaction, so it stays */
    bool known;        /* its row is there, of `written_s` */
    bool written;      /* in this transaction */
    uint8_t id[32];
    int64_t written_s;
    uint64_t used;
    uint64_t accepted, refused; /* since it was written */
    uint64_t tx_accepted, tx_refused;
};

/* The id of claims that came just before: most peers ask more than once. */
struct memo {
    bool taken;
    char policy[CCZ_KMS_NAME_SIZE];
    uint8_t id[32];
    struct ccz_claims claims;
};

struct note {
    struct slot *slot;
    const struct cczi_kms_call *call;
};

enum { OF_POLICY, OF_NS };

/* Rows of the policy that came last, and of its namespace. */
struct counted {
    char policy[CCZ_KMS_NAME_SIZE];
    uint64_t rows[2];
    unsigned left; /* new rows until they are counted again */
};

struct cczi_kms_seen {
    struct slot slot[SETS][WAYS];
    struct memo memo[MEMO];
    struct note note[CCZI_KMS_BATCH_MAX]; /* of this transaction, one per slot */
    size_t notes_len;
    uint64_t turn;
    uint64_t rows_max[2];
    struct counted counted;
};

ccz_rc cczi_kms_seen_new(struct cczi_kms_seen **out)
{
    *out = calloc(1, sizeof(**out));
    if (!*out)
        return CCZ_E_NOMEM;
    cczi_kms_seen_limit(*out, CCZ_KMS_WORKLOADS_OF_POLICY_MAX, CCZ_KMS_WORKLOADS_MAX);
    return CCZ_OK;
}

void cczi_kms_seen_free(struct cczi_kms_seen *s)
{
    free(s);
}

void cczi_kms_seen_limit(struct cczi_kms_seen *s, uint64_t of_policy, uint64_t of_ns)
{
    s->rows_max[OF_POLICY] = of_policy;
    s->rows_max[OF_NS] = of_ns;
    s->counted.left = 0;
}

ccz_rc cczi_kms_seen_id(uint8_t id[32], const struct ccz_claims *claims, const char *policy,
                        struct ccz_err *err)
{
    static const char label[] = "cczoo kms workload"; /* with its NUL */
    struct {
        char label[sizeof(label)];
        uint8_t identity[32];
        char policy[CCZ_KMS_NAME_SIZE];
    } in = {0};
    memset(id, 0, 32);
    ccz_rc rc = ccz_claims_identity(in.identity, claims, err);
    if (rc != CCZ_OK)
        return rc;
    memcpy(in.label, label, sizeof(label));
    memcpy(in.policy, policy, strlen(policy));
    rc = ccz_sha256(id, CCZ_SPAN(&in, sizeof(in))); /* bytes only: there are no gaps */
    return rc == CCZ_OK ? rc : ccz_fail(err, rc, "kms:workload", 0, "cannot hash claims");
}

static const struct slot *find(const struct cczi_kms_seen *s, const uint8_t id[32])
{
    const struct slot *set = s->slot[(id[0] | id[1] << 8) % SETS];
    for (size_t i = 0; i < WAYS; i++)
        if (set[i].taken && memcmp(set[i].id, id, 32) == 0) /* public on both sides */
            return &set[i];
    return NULL;
}

void cczi_kms_seen_pending(uint64_t *accepted, uint64_t *refused, const struct cczi_kms_seen *s,
                           const uint8_t id[32])
{
    const struct slot *p = find(s, id);
    *accepted += p ? p->accepted + p->tx_accepted : 0;
    *refused += p ? p->refused + p->tx_refused : 0;
}

/* The place of an id, its own or that of the one that was not used for longest; NULL if all are in use. */
static struct slot *place(struct cczi_kms_seen *s, const uint8_t id[32])
{
    struct slot *set = s->slot[(id[0] | id[1] << 8) % SETS], *best = NULL;
    for (size_t i = 0; i < WAYS; i++) {
        struct slot *p = &set[i];
        if (p->taken && memcmp(p->id, id, 32) == 0)
            return p;
        if (!p->noted && (!best || p->used < best->used))
            best = p;
    }
    if (best) {
        *best = (struct slot){.taken = true};
        memcpy(best->id, id, 32);
    }
    return best;
}

static bool id_of(uint8_t id[32], struct cczi_kms_seen *s, const struct cczi_kms_call *call)
{
    const struct ccz_ratls_peer *p = call->req->peer;
    struct memo *m = &s->memo[p->spki_sha256[0] % MEMO];
    if (m->taken && memcmp(&m->claims, &p->claims, sizeof(m->claims)) == 0 &&
        strcmp(m->policy, call->policy) == 0) {
        memcpy(id, m->id, 32);
        return true;
    }
    if (cczi_kms_seen_id(id, &p->claims, call->policy, NULL) != CCZ_OK)
        return false; /* claims that no evidence has: no policy accepts them */
    m->taken = true;
    memcpy(m->policy, call->policy, sizeof(m->policy));
    memcpy(m->id, id, 32);
    memcpy(&m->claims, &p->claims, sizeof(m->claims)); /* gaps too: they are compared */
    return true;
}

void cczi_kms_seen_note(struct cczi_kms_seen *s, const struct cczi_kms_call *call)
{
    uint8_t id[32];
    if (s->notes_len == CCZI_KMS_BATCH_MAX || !id_of(id, s, call))
        return;
    struct slot *p = place(s, id);
    if (!p)
        return;
    if (!p->noted)
        s->note[s->notes_len++] = (struct note){p, call};
    p->noted = true;
    p->used = ++s->turn;
    if (call->accepted)
        p->tx_accepted++;
    else
        p->tx_refused++;
}

/* ------------------------------------------------------------------------ transactions */

static void end_notes(struct cczi_kms_seen *s, bool committed)
{
    for (size_t i = 0; i < s->notes_len; i++) {
        struct slot *p = s->note[i].slot;
        if (committed && p->written) {
            p->known = true;
            p->written_s = s->note[i].call->req->now_s;
            p->accepted = p->refused = 0;
        } else if (committed) {
            p->accepted += p->tx_accepted;
            p->refused += p->tx_refused;
        }
        p->tx_accepted = p->tx_refused = 0;
        p->noted = p->written = false;
    }
    s->notes_len = 0;
}

void cczi_kms_seen_commit(struct cczi_kms_seen *s)
{
    end_notes(s, true);
}

void cczi_kms_seen_drop(struct cczi_kms_seen *s)
{
    end_notes(s, false);
}

static bool due(const struct note *n)
{
    int64_t age_s = n->call->req->now_s - n->slot->written_s;
    return !n->slot->known || age_s >= CCZI_KMS_SEEN_EVERY_S || age_s <= -CCZI_KMS_SEEN_EVERY_S;
}

bool cczi_kms_seen_due(const struct cczi_kms_seen *s)
{
    for (size_t i = 0; i < s->notes_len; i++)
        if (due(&s->note[i]))
            return true;
    return false;
}

/* How many rows there are beside one of @p policy: counted, and then reckoned on for a while. */
static ccz_rc count(struct counted *c, struct ccz_kms_store *store, const char *policy,
                    struct ccz_err *err)
{
    if (c->left && strcmp(c->policy, policy) == 0)
        return CCZ_OK;
    ccz_rc rc = cczi_kms_evidence_count(&c->rows[OF_POLICY], store, policy, false, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_evidence_count(&c->rows[OF_NS], store, policy, true, err);
    memcpy(c->policy, policy, strlen(policy) + 1);
    c->left = rc == CCZ_OK ? COUNT_EVERY : 0;
    return rc;
}

/* Room for one row more, at the expense of its policy, or of its namespace: never of another one, whose people may not even know of
 * each other. Those that never got anything go first: whoever is refused under ever new identities takes the places of others
 * like him. */
static ccz_rc make_room(struct ccz_kms_store *store, const char *policy, struct ccz_err *err)
{
    struct cczi_kms_seen *s = store->watch->seen;
    struct counted *c = &s->counted;
    ccz_rc rc = count(c, store, policy, err);
    for (size_t i = 0, of = OF_POLICY; rc == CCZ_OK && i < EVICT_MAX && of <= OF_NS; i++) {
        if (c->rows[of] < s->rows_max[of]) {
            of++;
            continue;
        }
        uint8_t id[32];
        rc = cczi_kms_evidence_oldest(id, store, policy, of == OF_NS, err);
        if (rc == CCZ_OK)
            rc = cczi_kms_evidence_delete(store, id, err);
        if (rc == CCZ_E_NOT_FOUND) { /* fewer than we thought: count again */
            c->left = 0;
            return CCZ_OK;
        }
        struct slot *gone = (struct slot *)find(s, id);
        if (rc == CCZ_OK && gone)
            gone->known = false; /* if it comes again it is new */
        c->rows[OF_NS] -= rc == CCZ_OK;
        if (of == OF_POLICY)
            c->rows[OF_POLICY] -= rc == CCZ_OK;
        else
            c->left = 1; /* of which policy it was, we do not know */
    }
    return rc;
}

static ccz_rc write_row(struct ccz_kms_store *store, const struct note *n, struct ccz_err *err)
{
    struct cczi_kms_seen *s = store->watch->seen;
    struct slot *p = n->slot;
    const int64_t now_s = n->call->req->now_s;
    const struct ccz_claims *claims = &n->call->req->peer->claims;
    struct cczi_kms_evidence e;
    struct cczi_kms_row keep;
    cczi_kms_row_init(&keep);
    ccz_rc rc = cczi_kms_evidence_get(&e, &keep, store, p->id, err);
    bool found = rc == CCZ_OK;
    cczi_kms_row_deinit(&keep); /* what lies in it is replaced */
    if (rc != CCZ_OK && rc != CCZ_E_NOT_FOUND)
        return rc;
    if (found && now_s - e.last_s < CCZI_KMS_SEEN_EVERY_S && e.last_s <= now_s && !p->known) {
        p->known = true; /* by another server, or before this one started */
        p->written_s = e.last_s;
        return CCZ_OK;
    }
    if (!found) {
        rc = make_room(store, n->call->policy, err);
        if (rc != CCZ_OK)
            return rc;
        e = (struct cczi_kms_evidence){.first_s = now_s};
        memcpy(e.id, p->id, 32);
        memcpy(e.policy, n->call->policy, sizeof(e.policy));
    }
    CCZ_AUTO_BUF bytes;
    ccz_buf_init(&bytes, CCZ_CLAIMS_SIZE_MAX);
    rc = ccz_claims_put(&bytes, claims, err);
    e.tee = (uint32_t)claims->tee;
    e.claims = ccz_buf_span(&bytes);
    e.evidence = (struct ccz_span){0};
    e.last_s = now_s;
    e.accepted += p->accepted + p->tx_accepted;
    e.refused += p->refused + p->tx_refused;
    if (rc == CCZ_OK)
        rc = cczi_kms_evidence_put(store, &e, err);
    if (rc != CCZ_OK)
        return rc;
    p->written = true;
    if (!found) {
        s->counted.rows[OF_POLICY]++;
        s->counted.rows[OF_NS]++;
        s->counted.left -= s->counted.left > 0;
    }
    return CCZ_OK;
}

ccz_rc cczi_kms_seen_flush(struct ccz_kms_store *store, struct ccz_err *err)
{
    struct cczi_kms_seen *s = store->watch->seen;
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; rc == CCZ_OK && i < s->notes_len; i++)
        if (due(&s->note[i]))
            rc = write_row(store, &s->note[i], err);
    if (rc != CCZ_OK) { /* all of it is undone */
        for (size_t i = 0; i < s->notes_len; i++)
            s->note[i].slot->written = false;
        s->counted.left = 0;
    }
    return rc;
}
