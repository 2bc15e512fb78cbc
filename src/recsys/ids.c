/* SPDX-License-Identifier: Apache-2.0 */
/* Dictionaries: open addressing over numbers, ids in the order of their numbers beside it. */
#include "ids.h"

#include "base/siphash.h"

#include <cczoo/crypto.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { LEN_FIRST = 64, TEXT_FIRST = 1024, INT_SIZE_MAX = 20 /* "-9223372036854775808" */ };
static const uint64_t text_size_max = UINT64_C(1) << 36;

/* ----------------------------------------------------------------------------------------- text */

bool ccz_recsys_id_parse(struct ccz_recsys_id *out, enum ccz_recsys_id_kind kind,
                         struct ccz_span text)
{
    *out = (struct ccz_recsys_id){.kind = kind};
    if (kind == CCZ_RECSYS_ID_TEXT) {
        out->text = text;
        return text.size > 0 && text.size <= CCZ_RECSYS_ID_SIZE_MAX;
    }
    const bool negative = text.size > 0 && text.ptr[0] == '-';
    const uint8_t *p = text.ptr + negative, *end = text.ptr + text.size;
    if (p == end || text.size > INT_SIZE_MAX || (*p == '0' && (negative || end - p > 1)))
        return false;
    const uint64_t max = (uint64_t)INT64_MAX + negative;
    uint64_t v = 0;
    for (; p < end; p++) {
        const unsigned digit = *p - (unsigned)'0';
        if (digit > 9 || v > (max - digit) / 10)
            return false;
        v = 10 * v + digit;
    }
    out->num = negative ? -(int64_t)(v - 1) - 1 : (int64_t)v;
    return true;
}

void ccz_recsys_id_put(struct ccz_buf *out, struct ccz_recsys_id id)
{
    if (id.kind == CCZ_RECSYS_ID_TEXT)
        ccz_buf_put_span(out, id.text);
    else
        ccz_buf_printf(out, "%" PRId64, id.num);
}

/* ----------------------------------------------------------------------------------------- hash */

static uint64_t hash_id(const struct ccz_recsys_ids *ids, struct ccz_recsys_id id)
{
    return id.kind == CCZ_RECSYS_ID_INT ? cczi_siphash(ids->key, &id.num, sizeof(id.num))
                                        : cczi_siphash(ids->key, id.text.ptr, id.text.size);
}

/* --------------------------------------------------------------------------------------- memory */

bool cczi_recsys_move(void **p, uint64_t used, uint64_t size)
{
    void *to = cczi_recsys_alloc(size, 1);
    if (!to)
        return false;
    if (used > 0)
        memcpy(to, *p, (size_t)used);
    cczi_recsys_wipe_free(*p, (size_t)used);
    *p = to;
    return true;
}

ccz_rc ccz_recsys_ids_new(struct ccz_recsys_ids **out, enum ccz_recsys_id_kind kind,
                          struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO(ccz_recsys_ids) ids = calloc(1, sizeof(*ids));
    if (!ids)
        return cczi_recsys_no_memory(err);
    ids->kind = kind;
    ids->cap = LEN_FIRST;
    ids->slot_len = 2 * LEN_FIRST;
    ids->slot = cczi_recsys_alloc(ids->slot_len, sizeof(*ids->slot));
    ids->text_cap = kind == CCZ_RECSYS_ID_TEXT ? TEXT_FIRST : 0;
    if (kind == CCZ_RECSYS_ID_TEXT) {
        ids->end = cczi_recsys_alloc(ids->cap, sizeof(*ids->end));
        ids->text = cczi_recsys_alloc(ids->text_cap, 1);
    } else {
        ids->num = cczi_recsys_alloc(ids->cap, sizeof(*ids->num));
    }
    if (!ids->slot || (kind == CCZ_RECSYS_ID_TEXT ? !ids->end || !ids->text : !ids->num))
        return cczi_recsys_no_memory(err);
    if (ccz_random(ids->key, sizeof(ids->key)) != CCZ_OK)
        return ccz_fail(err, CCZ_E_INTERNAL, "recsys:random", 0, "no random numbers");
    ids->size_peak = ccz_recsys_ids_size(ids);
    *out = ccz_recsys_ids_take(&ids);
    return CCZ_OK;
}

void ccz_recsys_ids_free(struct ccz_recsys_ids *ids)
{
    if (!ids)
        return;
    cczi_recsys_wipe_free(ids->slot, ids->slot_len * sizeof(*ids->slot));
    cczi_recsys_wipe_free(ids->num, ids->cap * sizeof(*ids->num));
    cczi_recsys_wipe_free(ids->end, ids->cap * sizeof(*ids->end));
    cczi_recsys_wipe_free(ids->text, ids->text_cap);
    free(ids);
}

uint64_t ccz_recsys_ids_size(const struct ccz_recsys_ids *ids)
{
    return sizeof(*ids) + ids->slot_len * sizeof(*ids->slot) + (uint64_t)ids->cap * 8 +
           ids->text_cap;
}

void cczi_recsys_ids_limit(struct ccz_recsys_ids *ids, uint64_t size)
{
    ids->size_max = size;
}

/* Room for `more` bytes beside what is there, of which a part is freed later. */
static ccz_rc may_grow(struct ccz_recsys_ids *ids, uint64_t more, struct ccz_err *err)
{
    const uint64_t peak = ccz_recsys_ids_size(ids) + more;
    if (ids->size_max > 0 && peak > ids->size_max) {
        ccz_refuse_num(err, CCZ_E_LIMIT, "recsys:memory-max", (int64_t)peak,
                       (int64_t)ids->size_max);
        return ccz_hint(err, CCZ_E_LIMIT, "the dictionaries of users and items stay in memory");
    }
    if (peak > ids->size_peak)
        ids->size_peak = peak;
    return CCZ_OK;
}

static void take_slot(struct ccz_recsys_ids *ids, uint64_t h, uint32_t number)
{
    uint64_t i = h & (ids->slot_len - 1);
    while (ids->slot[i])
        i = (i + 1) & (ids->slot_len - 1);
    ids->slot[i] = number + 1;
}

static void take_slots(struct ccz_recsys_ids *ids)
{
    for (uint32_t n = 0; n < ids->len; n++)
        take_slot(ids, hash_id(ids, ccz_recsys_ids_get(ids, n)), n);
}

static ccz_rc grow_len(struct ccz_recsys_ids *ids, struct ccz_err *err)
{
    const uint64_t cap = 2 * (uint64_t)ids->cap, slots = 2 * cap;
    ccz_rc rc = may_grow(ids, cap * 8 + slots * sizeof(*ids->slot), err);
    if (rc != CCZ_OK)
        return rc;
    void *values = ids->kind == CCZ_RECSYS_ID_INT ? (void *)ids->num : (void *)ids->end;
    uint32_t *slot = cczi_recsys_alloc(slots, sizeof(*slot));
    if (!slot || !cczi_recsys_move(&values, (uint64_t)ids->len * 8, cap * 8)) {
        free(slot);
        return cczi_recsys_no_memory(err);
    }
    if (ids->kind == CCZ_RECSYS_ID_INT)
        ids->num = values;
    else
        ids->end = values;
    cczi_recsys_wipe_free(ids->slot, ids->slot_len * sizeof(*ids->slot));
    ids->slot = slot;
    ids->slot_len = slots;
    ids->cap = (uint32_t)cap;
    take_slots(ids);
    return CCZ_OK;
}

static ccz_rc grow_text(struct ccz_recsys_ids *ids, struct ccz_err *err)
{
    const uint64_t cap = 2 * ids->text_cap;
    ccz_rc rc = may_grow(ids, cap, err);
    if (rc != CCZ_OK)
        return rc;
    void *text = ids->text;
    if (!cczi_recsys_move(&text, ids->text_size, cap))
        return cczi_recsys_no_memory(err);
    ids->text = text;
    ids->text_cap = cap;
    return CCZ_OK;
}

/* ----------------------------------------------------------------------------------- interface */

enum ccz_recsys_id_kind ccz_recsys_ids_kind(const struct ccz_recsys_ids *ids)
{
    return ids->kind;
}

uint32_t ccz_recsys_ids_len(const struct ccz_recsys_ids *ids)
{
    return ids->len;
}

struct ccz_recsys_id ccz_recsys_ids_get(const struct ccz_recsys_ids *ids, uint32_t number)
{
    if (ids->kind == CCZ_RECSYS_ID_INT)
        return ccz_recsys_id_int(ids->num[number]);
    const uint64_t from = number > 0 ? ids->end[number - 1] : 0;
    return ccz_recsys_id_text(CCZ_SPAN(ids->text + from, (size_t)(ids->end[number] - from)));
}

static uint32_t find(const struct ccz_recsys_ids *ids, struct ccz_recsys_id id, uint64_t h)
{
    for (uint64_t i = h & (ids->slot_len - 1); ids->slot[i]; i = (i + 1) & (ids->slot_len - 1)) {
        const uint32_t n = ids->slot[i] - 1;
        if (id.kind == CCZ_RECSYS_ID_INT ? ids->num[n] == id.num
                                         : ccz_span_eq(ccz_recsys_ids_get(ids, n).text, id.text))
            return n;
    }
    return CCZ_RECSYS_NONE;
}

uint32_t ccz_recsys_ids_find(const struct ccz_recsys_ids *ids, struct ccz_recsys_id id)
{
    return id.kind == ids->kind ? find(ids, id, hash_id(ids, id)) : CCZ_RECSYS_NONE;
}

static ccz_rc check_id(const struct ccz_recsys_ids *ids, struct ccz_recsys_id id,
                       struct ccz_err *err)
{
    if (id.kind != ids->kind)
        return ccz_refuse(err, CCZ_E_ARG, "recsys:id",
                          id.kind == CCZ_RECSYS_ID_INT ? "an integer" : "a text",
                          ids->kind == CCZ_RECSYS_ID_INT ? "an integer" : "a text");
    if (id.kind == CCZ_RECSYS_ID_TEXT &&
        (id.text.size == 0 || id.text.size > CCZ_RECSYS_ID_SIZE_MAX))
        return ccz_fail(err, CCZ_E_ARG, "recsys:id", (int64_t)id.text.size,
                        "a text of %zu bytes, expected 1 to %d", id.text.size,
                        CCZ_RECSYS_ID_SIZE_MAX);
    return CCZ_OK;
}

ccz_rc ccz_recsys_ids_add(uint32_t *number, struct ccz_recsys_ids *ids, struct ccz_recsys_id id,
                          struct ccz_err *err)
{
    *number = CCZ_RECSYS_NONE;
    ccz_rc rc = check_id(ids, id, err);
    if (rc != CCZ_OK)
        return rc;
    const uint64_t h = hash_id(ids, id);
    const uint32_t known = find(ids, id, h);
    if (known != CCZ_RECSYS_NONE) {
        *number = known;
        return CCZ_OK;
    }
    if (ids->len >= CCZ_RECSYS_LEN_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "recsys:ids", (int64_t)ids->len + 1,
                              CCZ_RECSYS_LEN_MAX);
    if (id.kind == CCZ_RECSYS_ID_TEXT && ids->text_size + id.text.size > text_size_max)
        return ccz_fail(err, CCZ_E_LIMIT, "recsys:ids", ids->len, "ids of more than 64 GiB");
    if (ids->len == ids->cap)
        rc = grow_len(ids, err);
    if (rc == CCZ_OK && id.kind == CCZ_RECSYS_ID_TEXT &&
        ids->text_size + id.text.size > ids->text_cap)
        rc = grow_text(ids, err); /* one doubling is enough: TEXT_FIRST is an id's largest size */
    if (rc != CCZ_OK)
        return rc;
    if (id.kind == CCZ_RECSYS_ID_INT) {
        ids->num[ids->len] = id.num;
    } else {
        memcpy(ids->text + ids->text_size, id.text.ptr, id.text.size);
        ids->end[ids->len] = ids->text_size += id.text.size;
    }
    *number = ids->len++;
    take_slot(ids, h, *number);
    return CCZ_OK;
}

void cczi_recsys_ids_keep(struct ccz_recsys_ids *ids, const uint32_t *to)
{
    uint32_t len = 0;
    uint64_t text_size = 0;
    for (uint32_t n = 0; n < ids->len; n++) {
        if (to[n] == CCZ_RECSYS_NONE)
            continue;
        const struct ccz_recsys_id id = ccz_recsys_ids_get(ids, n);
        if (id.kind == CCZ_RECSYS_ID_INT) {
            ids->num[len] = id.num;
        } else {
            memmove(ids->text + text_size, id.text.ptr, id.text.size);
            text_size += id.text.size;
            /* end[len - 1] <= where this one started: what is read later is still in place */
            ids->end[len] = text_size;
        }
        len++;
    }
    ids->len = len;
    ids->text_size = text_size;
    memset(ids->slot, 0, ids->slot_len * sizeof(*ids->slot));
    take_slots(ids);
}
