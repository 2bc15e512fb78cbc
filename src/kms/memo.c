/* SPDX-License-Identifier: Apache-2.0 */
/* Rows that this transaction has read. */
#include "memo.h"

#include <stdlib.h>
#include <string.h>

enum { SIZE_MAX_KEPT = 16384 }; /* larger values are copied for nothing too often */

struct row_memo {
    uint64_t as_of; /* 0 = none */
    struct cczi_kms_row row;
};
struct cczi_kms_memo {
    struct row_memo head, binding, key_meta;
    struct {
        uint64_t as_of;
        struct cczi_kms_item item;
    } item;
    struct {
        uint64_t as_of;
        char name[CCZ_KMS_NAME_SIZE];
        struct cczi_kms_policy policy;
    } policy;
};

ccz_rc cczi_kms_memo_new(struct cczi_kms_memo **out)
{
    struct cczi_kms_memo *m = *out = calloc(1, sizeof(**out));
    if (!m)
        return CCZ_E_NOMEM;
    cczi_kms_row_init(&m->head.row);
    cczi_kms_row_init(&m->binding.row);
    cczi_kms_row_init(&m->key_meta.row);
    cczi_kms_item_init(&m->item.item);
    ccz_buf_init(&m->policy.policy.json, CCZ_POLICY_SIZE_MAX);
    return CCZ_OK;
}

void cczi_kms_memo_free(struct cczi_kms_memo *m)
{
    if (!m)
        return;
    cczi_kms_row_deinit(&m->head.row);
    cczi_kms_row_deinit(&m->binding.row);
    cczi_kms_row_deinit(&m->key_meta.row);
    cczi_kms_item_deinit(&m->item.item);
    ccz_buf_free(&m->policy.policy.json);
    free(m);
}

/* Outside of a transaction, and while a store is made or migrated, nothing is kept. */
static bool is_good(const struct ccz_kms_store *s, uint64_t as_of)
{
    return as_of == s->db.as_of && cczi_kms_db_in_tx(&s->db);
}

static bool copy(struct ccz_buf *to, const struct ccz_buf *from)
{
    ccz_buf_clear(to);
    ccz_buf_put_span(to, ccz_buf_span(from));
    return !to->bad;
}

/* ----------------------------------------------------------------------------- rows */

static struct row_memo *row_memo(struct ccz_kms_store *s, enum cczi_kms_table_id t)
{
    if (!s->memo)
        return NULL;
    return t == CCZI_KMS_T_HEAD       ? &s->memo->head
           : t == CCZI_KMS_T_BINDING  ? &s->memo->binding
           : t == CCZI_KMS_T_KEY_META ? &s->memo->key_meta
                                      : NULL;
}

static bool same(const struct cczi_kms_param *a, const struct cczi_kms_param *b)
{
    return a->type == b->type &&
           (a->type == CCZI_KMS_INT ? a->num == b->num : ccz_span_eq(a->bytes, b->bytes));
}

/* Columns from @p first on; those before stay. */
static bool copy_row(struct cczi_kms_row *to, const struct cczi_kms_row *from, size_t first)
{
    ccz_buf_clear(&to->bytes);
    for (size_t i = first; i < from->len; i++)
        ccz_buf_put_span(&to->bytes, from->col[i].bytes);
    if (to->bytes.bad)
        return false;
    size_t at = 0;
    for (size_t i = first; i < from->len; i++) { /* now that they do not move any more */
        to->col[i] = from->col[i];
        if (from->col[i].bytes.size)
            to->col[i].bytes.ptr = to->bytes.ptr + at;
        at += from->col[i].bytes.size;
    }
    to->len = from->len;
    memcpy(to->mac, from->mac, sizeof(to->mac));
    return true;
}

bool cczi_kms_memo_row(struct cczi_kms_row *r, struct ccz_kms_store *s, enum cczi_kms_table_id t)
{
    const struct row_memo *m = row_memo(s, t);
    size_t keys = cczi_kms_tables[t].keys;
    if (!m || !is_good(s, m->as_of))
        return false;
    for (size_t i = 0; i < keys; i++)
        if (!same(&r->col[i], &m->row.col[i]))
            return false;
    return copy_row(r, &m->row, keys);
}

void cczi_kms_memo_keep_row(struct ccz_kms_store *s, enum cczi_kms_table_id t,
                            const struct cczi_kms_row *r)
{
    struct row_memo *m = row_memo(s, t);
    if (m)
        m->as_of = r->bytes.size <= SIZE_MAX_KEPT && copy_row(&m->row, r, 0) ? s->db.as_of : 0;
}

/* --------------------------------------------------------------- items and policies */

static bool copy_item(struct cczi_kms_item *to, const struct cczi_kms_item *from)
{
    to->slot = from->slot;
    to->created_s = from->created_s;
    to->state = from->state;
    memcpy(to->mac, from->mac, sizeof(to->mac));
    return copy(&to->metadata, &from->metadata) && copy(&to->sealed, &from->sealed);
}

bool cczi_kms_memo_item(struct cczi_kms_item *out, struct ccz_kms_store *s)
{
    if (!s->memo || !is_good(s, s->memo->item.as_of))
        return false;
    const struct cczi_kms_slot *have = &s->memo->item.item.slot, *want = &out->slot;
    return have->version == want->version && have->ref.kind == want->ref.kind &&
           strcmp(have->ref.name, want->ref.name) == 0 && copy_item(out, &s->memo->item.item);
}

void cczi_kms_memo_keep_item(struct ccz_kms_store *s, const struct cczi_kms_item *it)
{
    if (s->memo)
        s->memo->item.as_of = it->sealed.size <= SIZE_MAX_KEPT && copy_item(&s->memo->item.item, it)
                                  ? s->db.as_of
                                  : 0;
}

static bool copy_policy(struct cczi_kms_policy *to, const struct cczi_kms_policy *from)
{
    to->created_s = from->created_s;
    memcpy(to->sha256, from->sha256, sizeof(to->sha256));
    memcpy(to->mac, from->mac, sizeof(to->mac));
    return copy(&to->json, &from->json);
}

bool cczi_kms_memo_policy(struct cczi_kms_policy *out, struct ccz_kms_store *s, const char *name)
{
    return s->memo && is_good(s, s->memo->policy.as_of) &&
           strcmp(name, s->memo->policy.name) == 0 && copy_policy(out, &s->memo->policy.policy);
}

void cczi_kms_memo_keep_policy(struct ccz_kms_store *s, const char *name,
                               const struct cczi_kms_policy *p)
{
    if (!s->memo || strlen(name) >= sizeof(s->memo->policy.name))
        return;
    memcpy(s->memo->policy.name, name, strlen(name) + 1);
    s->memo->policy.as_of = copy_policy(&s->memo->policy.policy, p) ? s->db.as_of : 0;
}
