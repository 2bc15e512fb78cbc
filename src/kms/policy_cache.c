/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parsed policies: a release judges by the same few again and again. Who takes up most has to give: what is pushed out is of the
 * namespace with most bytes, or places, so that one with large policies parses its own again and never those of others.
 */
#include "kms_priv.h"

#include <stdlib.h>
#include <string.h>

struct slot {
    struct cczi_kms_parsed parsed; /* policy NULL = free */
    char ns[CCZ_KMS_NAME_SIZE];
    uint8_t mac[32];
    size_t json_size;
    uint64_t used; /* turn of the last use */
};
struct cczi_kms_policies {
    struct slot slot[CCZI_KMS_POLICIES_MAX];
    uint64_t turn;
    struct cczi_kms_policies_stat stat;
};

ccz_rc cczi_kms_policies_new(struct cczi_kms_policies **out)
{
    *out = calloc(1, sizeof(**out));
    return *out ? CCZ_OK : CCZ_E_NOMEM;
}

static void forget(struct cczi_kms_policies *c, struct slot *s)
{
    if (!s->parsed.policy)
        return;
    c->stat.len--;
    c->stat.json_size -= s->json_size;
    ccz_policy_free(s->parsed.policy);
    *s = (struct slot){0};
}

void cczi_kms_policies_free(struct cczi_kms_policies *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < CCZI_KMS_POLICIES_MAX; i++)
        forget(c, &c->slot[i]);
    free(c);
}

/* What a namespace has here, in bytes or places. */
static size_t held(const struct cczi_kms_policies *c, const char *ns, bool bytes)
{
    size_t sum = 0;
    for (size_t i = 0; i < CCZI_KMS_POLICIES_MAX; i++) {
        const struct slot *s = &c->slot[i];
        if (s->parsed.policy && strcmp(s->ns, ns) == 0)
            sum += bytes ? s->json_size : 1;
    }
    return sum;
}

/* The one that was not used for longest, of those whose namespace holds most. @p ns, more  who comes in, and with how much */
static struct slot *to_give(struct cczi_kms_policies *c, const char *ns, size_t more, bool bytes)
{
    struct slot *best = NULL;
    size_t most = 0;
    for (size_t i = 0; i < CCZI_KMS_POLICIES_MAX; i++) {
        struct slot *s = &c->slot[i];
        if (!s->parsed.policy)
            continue;
        size_t has = held(c, s->ns, bytes) + (strcmp(s->ns, ns) == 0 ? more : 0);
        if (!best || has > most || (has == most && s->used < best->used)) {
            best = s;
            most = has;
        }
    }
    return best;
}

static struct slot *free_slot(struct cczi_kms_policies *c)
{
    for (size_t i = 0; i < CCZI_KMS_POLICIES_MAX; i++)
        if (!c->slot[i].parsed.policy)
            return &c->slot[i];
    return NULL;
}

bool cczi_kms_policies_find(struct cczi_kms_parsed **out, struct cczi_kms_policies *c,
                            const uint8_t mac[32])
{
    *out = NULL;
    c->turn++;
    for (size_t i = 0; i < CCZI_KMS_POLICIES_MAX; i++) {
        struct slot *s = &c->slot[i];
        if (s->parsed.policy &&
            memcmp(s->mac, mac, sizeof(s->mac)) == 0) { /* public on both sides */
            s->used = c->turn;
            c->stat.hits++;
            *out = &s->parsed;
            return true;
        }
    }
    return false;
}

ccz_rc cczi_kms_policies_get(struct cczi_kms_parsed **out, struct cczi_kms_policies *c,
                             const char *name, const struct cczi_kms_policy *row,
                             struct ccz_err *err)
{
    if (cczi_kms_policies_find(out, c, row->mac))
        return CCZ_OK;
    struct ccz_policy *parsed = NULL;
    ccz_rc rc = ccz_policy_parse(&parsed, ccz_buf_span(&row->json), err);
    if (rc != CCZ_OK)
        return rc;
    char ns[CCZ_KMS_NAME_SIZE];
    cczi_kms_ns_of(ns, name);
    while (c->stat.len && c->stat.json_size + row->json.size > CCZI_KMS_POLICIES_JSON_MAX)
        forget(c, to_give(c, ns, row->json.size, true));
    if (c->stat.len == CCZI_KMS_POLICIES_MAX)
        forget(c, to_give(c, ns, 1, false));
    struct slot *s = free_slot(c);
    *s = (struct slot){.parsed = {.policy = parsed}, .json_size = row->json.size, .used = c->turn};
    memcpy(s->ns, ns, sizeof(ns));
    memcpy(s->mac, row->mac, sizeof(s->mac));
    c->stat.parsed++;
    c->stat.len++;
    c->stat.json_size += row->json.size;
    *out = &s->parsed;
    return CCZ_OK;
}

struct cczi_kms_policies_stat cczi_kms_policies_stat(const struct cczi_kms_policies *c)
{
    return c->stat;
}
