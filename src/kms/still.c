/* SPDX-License-Identifier: Apache-2.0 */
/* Which "no" is on record already: a table of fixed size, in buckets, the oldest goes first. */
#include "kms_priv.h"

#include <stdlib.h>
#include <string.h>

enum { WAYS = 8, BUCKETS = CCZI_KMS_STILL_MAX / WAYS };

enum state {
    FREE,
    RECORDED, /* on disk */
    IN_TX,    /* recorded by a call of this transaction */
    IN_CALL   /* recorded by this call */
};
struct slot {
    uint8_t id[32];
    uint64_t used; /* when; larger is later */
    enum state state;
};
struct cczi_kms_still {
    struct slot slot[BUCKETS][WAYS];
    uint64_t clock;
    size_t
        open; /* slots that are IN_TX or IN_CALL: as a rule none, and then there is nothing to walk through */
};

ccz_rc cczi_kms_still_new(struct cczi_kms_still **out)
{
    *out = calloc(1, sizeof(**out));
    return *out ? CCZ_OK : CCZ_E_NOMEM;
}

void cczi_kms_still_free(struct cczi_kms_still *s)
{
    free(s);
}

/* The id is a digest: any of its bits will do. */
static struct slot *bucket(struct cczi_kms_still *s, const uint8_t id[32])
{
    return s->slot[(id[0] | (size_t)id[1] << 8) % BUCKETS];
}

static struct slot *find(struct cczi_kms_still *s, const uint8_t id[32])
{
    struct slot *b = bucket(s, id);
    for (int i = 0; i < WAYS; i++)
        if (b[i].state != FREE && memcmp(b[i].id, id, sizeof(b[i].id)) == 0)
            return &b[i];
    return NULL;
}

static void set(struct cczi_kms_still *s, struct slot *at, enum state state)
{
    s->open -= at->state == IN_TX || at->state == IN_CALL;
    at->state = state;
    s->open += at->state == IN_TX || at->state == IN_CALL;
}

bool cczi_kms_still_no(struct cczi_kms_still *s, const uint8_t id[32])
{
    struct slot *at = find(s, id);
    if (at) {
        at->used = ++s->clock;
        return false;
    }
    struct slot *b = bucket(s, id);
    at = b;
    for (int i = 0; i < WAYS && at->state != FREE; i++)
        if (b[i].state == FREE || b[i].used < at->used)
            at = &b[i];
    memcpy(at->id, id, sizeof(at->id));
    at->used = ++s->clock;
    set(s, at, IN_CALL);
    return true;
}

void cczi_kms_still_yes(struct cczi_kms_still *s, const uint8_t id[32])
{
    struct slot *at = find(s, id);
    if (at)
        set(s, at, FREE);
}

/* Every slot of state @p from, or (IN_TX) of both open states, becomes @p to. */
static void all(struct cczi_kms_still *s, enum state from, enum state to)
{
    for (size_t i = 0; s->open > 0 && i < BUCKETS; i++)
        for (int k = 0; k < WAYS; k++) {
            struct slot *at = &s->slot[i][k];
            if (at->state == from || (from == IN_TX && at->state == IN_CALL))
                set(s, at, to);
        }
}

void cczi_kms_still_call(struct cczi_kms_still *s)
{
    all(s, IN_CALL, IN_TX);
}

void cczi_kms_still_commit(struct cczi_kms_still *s)
{
    all(s, IN_TX, RECORDED);
}

void cczi_kms_still_drop(struct cczi_kms_still *s)
{
    all(s, IN_TX, FREE);
}

void cczi_kms_still_undo(struct cczi_kms_still *s)
{
    all(s, IN_CALL, FREE);
}
