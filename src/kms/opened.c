/* SPDX-License-Identifier: Apache-2.0 */
/* Opened keys: unsealing and decoding one costs more than most things that are done with it. */
#include "use_priv.h"

#include <stdlib.h>
#include <string.h>

struct slot {
    struct cczi_kms_opened_key *key; /* NULL = free */
    uint8_t mac[32];
    uint64_t used; /* turn of the last use */
    unsigned idle; /* minutes since then */
    char name[CCZ_KMS_NAME_SIZE];
    uint32_t version;
};
struct cczi_kms_opened {
    struct slot slot[CCZI_KMS_OPENED_MAX];
    uint64_t turn;
    struct cczi_kms_opened_stat stat;
};

ccz_rc cczi_kms_opened_new(struct cczi_kms_opened **out)
{
    *out = calloc(1, sizeof(**out));
    return *out ? CCZ_OK : CCZ_E_NOMEM;
}

void cczi_kms_opened_unref(struct cczi_kms_opened_key *k)
{
    if (!k || atomic_fetch_sub_explicit(&k->refs, 1, memory_order_acq_rel) != 1)
        return;
    cczi_kms_key_free(k->key);
    free(k);
}

void cczi_kms_opened_free(struct cczi_kms_opened *c)
{
    for (size_t i = 0; c && i < CCZI_KMS_OPENED_MAX; i++)
        cczi_kms_opened_unref(c->slot[i].key);
    free(c);
}

static struct cczi_kms_opened_key *counted(struct cczi_kms_opened_key *k)
{
    atomic_fetch_add_explicit(&k->refs, 1, memory_order_relaxed);
    return k;
}

static ccz_rc open_row(struct cczi_kms_opened_key **out, struct cczi_kms_sealer *sealer,
                       const struct cczi_kms_item *row, enum cczi_kms_key_kind kind,
                       struct ccz_err *err)
{
    CCZ_AUTO(ccz_secret) material = NULL;
    CCZ_AUTO(cczi_kms_key) key = NULL;
    ccz_rc rc = cczi_kms_unseal(&material, sealer, &row->slot, ccz_buf_span(&row->sealed), err);
    if (rc == CCZ_OK)
        rc = cczi_kms_key_open(&key, kind, row->slot.version, material, err);
    if (rc != CCZ_OK)
        return rc;
    struct cczi_kms_opened_key *k = calloc(1, sizeof(*k));
    if (!k)
        return ccz_fail(err, CCZ_E_NOMEM, "kms:key-memory", 0, "out of memory");
    k->key = cczi_kms_key_take(&key);
    atomic_init(&k->refs, 1);
    *out = k;
    return CCZ_OK;
}

/* A free slot, or the one that was not used for longest. */
static struct slot *oldest(struct cczi_kms_opened *c)
{
    struct slot *best = &c->slot[0];
    for (size_t i = 1; i < CCZI_KMS_OPENED_MAX && best->key; i++) {
        struct slot *s = &c->slot[i];
        if (!s->key || s->used < best->used)
            best = s;
    }
    return best;
}

ccz_rc cczi_kms_opened_get(struct cczi_kms_opened_key **out, struct cczi_kms_opened *c,
                           struct cczi_kms_sealer *sealer, const struct cczi_kms_item *row,
                           enum cczi_kms_key_kind kind, struct ccz_err *err)
{
    *out = NULL;
    c->turn++;
    for (size_t i = 0; i < CCZI_KMS_OPENED_MAX; i++) {
        struct slot *s = &c->slot[i];
        if (s->key && memcmp(s->mac, row->mac, sizeof(s->mac)) == 0 && /* public on both sides */
            cczi_kms_key_kind(s->key->key) == kind) {
            s->used = c->turn;
            s->idle = 0;
            c->stat.hits++;
            *out = counted(s->key);
            return CCZ_OK;
        }
    }
    struct cczi_kms_opened_key *k = NULL;
    ccz_rc rc = open_row(&k, sealer, row, kind, err);
    if (rc != CCZ_OK)
        return rc;
    struct slot *s = oldest(c);
    if (!s->key)
        c->stat.len++;
    cczi_kms_opened_unref(s->key);
    *s = (struct slot){.key = k, .used = c->turn, .version = row->slot.version};
    memcpy(s->mac, row->mac, sizeof(s->mac));
    memcpy(s->name, row->slot.ref.name, sizeof(s->name));
    c->stat.opened++;
    *out = counted(k);
    return CCZ_OK;
}

static void drop(struct cczi_kms_opened *c, struct slot *s)
{
    cczi_kms_opened_unref(s->key);
    *s = (struct slot){0};
    c->stat.len--;
}

void cczi_kms_opened_forget(struct cczi_kms_opened *c, const char *name, uint32_t version)
{
    for (size_t i = 0; i < CCZI_KMS_OPENED_MAX; i++) {
        struct slot *s = &c->slot[i];
        if (s->key && (version == 0 || s->version == version) && strcmp(s->name, name) == 0)
            drop(c, s);
    }
}

void cczi_kms_opened_tick(struct cczi_kms_opened *c)
{
    for (size_t i = 0; i < CCZI_KMS_OPENED_MAX; i++)
        if (c->slot[i].key && ++c->slot[i].idle >= CCZI_KMS_OPENED_IDLE)
            drop(c, &c->slot[i]);
}

struct cczi_kms_opened_stat cczi_kms_opened_stat(const struct cczi_kms_opened *c)
{
    return c->stat;
}
