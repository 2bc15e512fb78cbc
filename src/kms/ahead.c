/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of the calls of a batch, asked at once. */
#include "ahead.h"

#include "kms_keys.h"

#include <stdlib.h>
#include <string.h>

/* Items that the calls ask for, each once, and the policies that they are bound to. */
struct cczi_kms_guesses {
    struct {
        struct cczi_kms_ref ref;
        uint32_t version; /* 0 = the latest */
        char policy[CCZ_KMS_NAME_SIZE];
    } of[CCZI_KMS_BATCH_MAX];
    size_t len;
    struct cczi_kms_ask ask[CCZI_KMS_ASKS_MAX];
    size_t asks, policies;
};
enum { POLICIES_MAX = 8 }; /* of up to 1 MiB each; what is kept stays below 32 MiB */
_Static_assert(2 * CCZI_KMS_BATCH_MAX <= CCZI_KMS_ASKS_MAX, "two rows of each call at a time");

static void ask(struct cczi_kms_guesses *g, enum cczi_kms_sql sql, const struct cczi_kms_param *p,
                size_t len)
{
    struct cczi_kms_ask *a = &g->ask[g->asks++];
    *a = (struct cczi_kms_ask){.sql = sql, .len = len};
    memcpy(a->param, p, len * sizeof(*p));
}

/* Nothing is asked for who may not call at all, nor for what cannot be read: the call says why not. */
static bool wants(struct cczi_kms_ref *ref, uint32_t *version, struct cczi_kms_entry *e)
{
    struct cczi_msg_release_req m = {0};
    if (!e->method || strcmp(e->method->name, "Release") != 0 ||
        cczi_kms_authorize(&e->call, e->method, NULL) != CCZ_OK ||
        cczi_msg_get(&m, cczi_msg_release_req, e->req->body, NULL) != CCZ_OK ||
        cczi_kms_ref_parse(ref, m.item, NULL) != CCZ_OK || m.version > CCZ_KMS_VERSIONS_MAX)
        return false;
    *version = (uint32_t)m.version;
    return true;
}

static void add(struct cczi_kms_guesses *g, const struct cczi_kms_ref *ref, uint32_t version)
{
    for (size_t i = 0; i < g->len; i++)
        if (g->of[i].version == version && g->of[i].ref.kind == ref->kind &&
            strcmp(g->of[i].ref.name, ref->name) == 0)
            return;
    g->of[g->len].ref = *ref;
    g->of[g->len++].version = version;
}

static struct cczi_kms_param number(int64_t v)
{
    return (struct cczi_kms_param){.type = CCZI_KMS_INT, .num = v};
}

static struct cczi_kms_param text(const char *s)
{
    return (struct cczi_kms_param){.type = CCZI_KMS_TEXT, .bytes = ccz_span_str(s)};
}

/* Its head and its binding. */
static void ask_first(struct cczi_kms_guesses *g, const struct cczi_kms_ref *ref)
{
    const struct cczi_kms_param p[] = {number(ref->kind), text(ref->name), number(CCZI_OP_RELEASE)};
    ask(g, CCZI_SQL_HEADS_GET, p, 2);
    ask(g, CCZI_SQL_BIND_GET, p, 3);
}

/* Columns of rows that are kept, as they are: what is no good is found by the call. */
static ccz_rc read_first(uint32_t *last, char policy[CCZ_KMS_NAME_SIZE], struct ccz_kms_store *s,
                         const struct cczi_kms_ref *ref, struct ccz_err *err)
{
    struct cczi_q q = cczi_q_start(&s->db, CCZI_SQL_HEADS_GET);
    cczi_q_int(&q, ref->kind);
    cczi_q_text(&q, ref->name);
    int64_t v = cczi_q_row(&q) ? cczi_q_col_int(&q, 2) : 0;
    *last = v > 0 && v <= CCZ_KMS_VERSIONS_MAX ? (uint32_t)v : 0;
    ccz_rc rc = cczi_q_end(&q, err);
    if (rc != CCZ_OK)
        return rc;
    q = cczi_q_start(&s->db, CCZI_SQL_BIND_GET);
    cczi_q_int(&q, ref->kind);
    cczi_q_text(&q, ref->name);
    cczi_q_int(&q, CCZI_OP_RELEASE);
    policy[0] = 0;
    if (cczi_q_row(&q))
        cczi_q_col_text(policy, CCZ_KMS_NAME_SIZE, &q, 3);
    return cczi_q_end(&q, err);
}

/* Its version, and its policy unless another one has the same. */
static void ask_second(struct cczi_kms_guesses *g, size_t i, uint32_t last)
{
    const struct cczi_kms_ref *ref = &g->of[i].ref;
    const char *policy = g->of[i].policy;
    uint32_t version = g->of[i].version ? g->of[i].version : last;
    const struct cczi_kms_param item[] = {number(ref->kind), text(ref->name), number(version)};
    if (version)
        ask(g, CCZI_SQL_ITEM_GET, item, 3);
    for (size_t k = 0; k < i; k++)
        if (strcmp(g->of[k].policy, policy) == 0)
            return;
    const struct cczi_kms_param name = text(policy);
    if (!policy[0] || g->policies == POLICIES_MAX)
        return;
    ask(g, CCZI_SQL_POLICY_GET, &name, 1);
    g->policies++;
}

/* Without memory for it there are no guesses. */
static struct cczi_kms_guesses *start(struct ccz_kms_store *s)
{
    if (!s->guesses)
        s->guesses = malloc(sizeof(*s->guesses));
    if (s->guesses)
        s->guesses->len = s->guesses->asks = 0;
    return s->guesses;
}

void cczi_kms_guesses_free(struct cczi_kms_guesses *g)
{
    free(g);
}

ccz_rc cczi_kms_ahead(struct ccz_kms_store *s, struct cczi_kms_entry *entries, size_t len,
                      struct ccz_err *err)
{
    if (!s->db.ops->ahead || s->no_heads || len > CCZI_KMS_BATCH_MAX)
        return CCZ_OK;
    struct cczi_kms_guesses *g = start(s);
    struct cczi_kms_ref ref;
    uint32_t version;
    for (size_t i = 0; g && i < len; i++)
        if (wants(&ref, &version, &entries[i]))
            add(g, &ref, version);
    if (!g || g->len == 0)
        return CCZ_OK;
    for (size_t i = 0; i < g->len; i++)
        ask_first(g, &g->of[i].ref);
    ccz_rc rc = cczi_kms_db_ahead(&s->db, g->ask, g->asks, err);
    g->asks = g->policies = 0;
    for (size_t i = 0; rc == CCZ_OK && i < g->len; i++) {
        uint32_t last;
        rc = read_first(&last, g->of[i].policy, s, &g->of[i].ref, err);
        ask_second(g, i, last);
    }
    return rc == CCZ_OK ? cczi_kms_db_ahead(&s->db, g->ask, g->asks, err) : rc;
}
