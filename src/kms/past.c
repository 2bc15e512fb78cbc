/* SPDX-License-Identifier: Apache-2.0 */
/* Rows that this process has seen, and what it did to them. */
#include "past.h"

#include "base/siphash.h"
#include "kms_priv.h"

#include <stdlib.h>
#include <string.h>

enum { KEY_SIZE_MAX = 4 * (8 + CCZ_KMS_NAME_SIZE) };

struct seen {
    uint64_t tag; /* of table and key; 0 = free */
    uint64_t generation;
};
struct cczi_kms_past {
    uint64_t key[2];
    struct seen seen[CCZI_KMS_PAST_LEN];
    struct seen noted[CCZI_KMS_PAST_NEW]; /* by this transaction, in this order */
    size_t noted_len;
};

ccz_rc cczi_kms_past_new(struct cczi_kms_past **out)
{
    *out = calloc(1, sizeof(**out));
    return *out ? ccz_random((*out)->key, sizeof((*out)->key)) : CCZ_E_NOMEM;
}

void cczi_kms_past_free(struct cczi_kms_past *p)
{
    free(p);
}

static uint64_t tag_of(const struct cczi_kms_past *p, unsigned table,
                       const struct cczi_kms_param *key, size_t len)
{
    uint8_t in[KEY_SIZE_MAX];
    size_t size = 0;
    in[size++] = (uint8_t)table;
    for (size_t i = 0; i < len; i++) {
        uint64_t v = key[i].type == CCZI_KMS_INT ? (uint64_t)key[i].num : key[i].bytes.size;
        if (size + sizeof(v) + key[i].bytes.size > sizeof(in))
            return 0; /* no key that we write is so long */
        memcpy(in + size, &v, sizeof(v));
        size += sizeof(v);
        if (key[i].bytes.size)
            memcpy(in + size, key[i].bytes.ptr, key[i].bytes.size);
        size += key[i].bytes.size;
    }
    return cczi_siphash(p->key, in, size) | 1;
}

static struct seen *place_of(struct cczi_kms_past *p, uint64_t tag)
{
    return &p->seen[(tag >> 1) & (CCZI_KMS_PAST_LEN - 1)];
}

ccz_rc cczi_kms_past_check(struct ccz_kms_store *s, unsigned table,
                           const struct cczi_kms_param *key, size_t len, const uint8_t mac[32],
                           struct ccz_err *err)
{
    struct cczi_kms_past *p = s->past;
    uint64_t generation = cczi_kms_row_generation(mac);
    if (!p || s->looking || !s->sealer.has_id) /* those of schemas 1 and 2 have none */
        return CCZ_OK;
    uint64_t tag = tag_of(p, table, key, len);
    struct seen *e = place_of(p, tag);
    if (!tag)
        return CCZ_OK;
    if (e->tag == tag && generation < e->generation) {
        ccz_fail(err, CCZ_E_SIG, "kms:row-older", (int64_t)generation,
                 "a row is an earlier one than this server has seen");
        return cczi_kms_hint(err, CCZ_E_SIG);
    }
    if (generation <= s->begun_generation)
        *e = (struct seen){tag, generation};
    return CCZ_OK;
}

void cczi_kms_past_note(struct ccz_kms_store *s, unsigned table, const struct cczi_kms_param *key,
                        size_t len, const uint8_t *mac)
{
    struct cczi_kms_past *p = s->past;
    if (!p || !s->sealer.has_id || p->noted_len == CCZI_KMS_PAST_NEW)
        return;
    /* what comes after a row that is gone has the next generation, or one after that */
    uint64_t generation = mac ? cczi_kms_row_generation(mac) : s->head.generation + 1;
    uint64_t tag = tag_of(p, table, key, len);
    if (tag)
        p->noted[p->noted_len++] = (struct seen){tag, generation};
}

size_t cczi_kms_past_noted(const struct cczi_kms_past *p)
{
    return p ? p->noted_len : 0;
}

void cczi_kms_past_undo(struct cczi_kms_past *p, size_t noted)
{
    if (p && noted < p->noted_len)
        p->noted_len = noted;
}

void cczi_kms_past_commit(struct cczi_kms_past *p)
{
    for (size_t i = 0; p && i < p->noted_len; i++)
        *place_of(p, p->noted[i].tag) = p->noted[i];
    cczi_kms_past_undo(p, 0);
}
