/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was used, until it expires. Two tables: new ids go into the current one; when all of the older one has expired,
 * it is emptied and they change places. So nothing is ever deleted one by one, and nothing early. Time only goes forward here:
 * an id that was forgotten because it had expired stays refused when the clock is set back.
 */
#include "base/siphash.h"
#include "jose_priv.h"

#include <stdlib.h>
#include <string.h>

struct entry {
    uint8_t id[CCZ_NONCE_SIZE];
    bool used;
};

struct table {
    struct entry *slots;
    size_t len;           /* ids in it */
    int64_t latest_exp_s; /* of them */
};

struct ccz_replay {
    struct table current, older;
    size_t slots, len_max; /* slots: a power of two, at least twice len_max */
    int64_t now_s;         /* the latest time that any call gave */
    uint64_t key[2];
};

void ccz_replay_free(struct ccz_replay *r)
{
    if (!r)
        return;
    free(r->current.slots);
    free(r->older.slots);
    free(r);
}

ccz_rc ccz_replay_new(struct ccz_replay **out, size_t len, struct ccz_err *err)
{
    *out = NULL;
    if (len < 1 || len > CCZ_REPLAY_LEN_MAX)
        return ccz_refuse_num(err, CCZ_E_ARG, "replay:len", (int64_t)len, CCZ_REPLAY_LEN_MAX);
    CCZ_AUTO(ccz_replay) r = calloc(1, sizeof(*r));
    if (!r)
        return ccz_fail(err, CCZ_E_NOMEM, "replay:memory", 0, "out of memory");
    for (r->slots = 2; r->slots < 2 * len;)
        r->slots *= 2;
    r->len_max = len;
    r->current.slots = calloc(r->slots, sizeof(struct entry));
    r->older.slots = calloc(r->slots, sizeof(struct entry));
    if (!r->current.slots || !r->older.slots)
        return ccz_fail(err, CCZ_E_NOMEM, "replay:memory", 0, "out of memory");
    ccz_rc rc = ccz_random(r->key, sizeof(r->key));
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "replay:random", 0, "%s", ccz_rc_str(rc));
    *out = ccz_replay_take(&r);
    return CCZ_OK;
}

/* Where @p id is, or where it would go: tables are at most half full. */
static struct entry *find(const struct ccz_replay *r, const struct table *t, const uint8_t *id)
{
    size_t i = (size_t)cczi_siphash(r->key, id, CCZ_NONCE_SIZE) & (r->slots - 1);
    while (t->slots[i].used && memcmp(t->slots[i].id, id, CCZ_NONCE_SIZE) != 0)
        i = (i + 1) & (r->slots - 1);
    return &t->slots[i];
}

static void change_places(struct ccz_replay *r)
{
    struct table t = r->older;
    memset(t.slots, 0, r->slots * sizeof(*t.slots));
    t.len = 0;
    t.latest_exp_s = 0;
    r->older = r->current;
    r->current = t;
}

ccz_rc ccz_replay_use(struct ccz_replay *r, const uint8_t id[CCZ_NONCE_SIZE], int64_t expires_s,
                      int64_t now_s, struct ccz_err *err)
{
    if (now_s > r->now_s)
        r->now_s = now_s;
    if (expires_s <= r->now_s)
        return ccz_refuse_num(err, CCZ_E_EXPIRED, "replay:expired", expires_s, r->now_s);
    if (r->older.latest_exp_s <= r->now_s && r->current.len > 0)
        change_places(r);
    struct entry *to = find(r, &r->current, id);
    if (to->used || find(r, &r->older, id)->used)
        return ccz_fail(err, CCZ_E_EXISTS, "replay:used", 0, "used before");
    if (r->current.len == r->len_max) {
        ccz_fail(err, CCZ_E_LIMIT, "replay:full", (int64_t)r->len_max,
                 "%zu ids in use already, which have not expired", r->len_max);
        return ccz_hint(err, CCZ_E_LIMIT, "try again later");
    }
    memcpy(to->id, id, CCZ_NONCE_SIZE);
    to->used = true;
    r->current.len++;
    if (expires_s > r->current.latest_exp_s)
        r->current.latest_exp_s = expires_s;
    return CCZ_OK;
}
