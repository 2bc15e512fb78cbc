/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whom a client talks to: the entries of its target, the addresses that their names stand for, and the slots of
 * connections to each. A name with addresses of both families uses one of them as long as it works: both usually lead to
 * the same server.
 */
#define _DEFAULT_SOURCE
#include "client.h"

#include "base/condwait.h"

#include <stdlib.h>
#include <string.h>

enum {
    ENTRIES_MAX = 64,
    SLOTS_MAX = 1024, /* over all addresses */
    LOOKUP_AGAIN_MS = 1000
};

/* ----------------------------------------------------------------------------------- entries */

static ccz_rc add_entry(struct ccz_rpc_client *c, const char *text, size_t size,
                        struct ccz_err *err)
{
    if (c->entries_len == ENTRIES_MAX)
        return ccz_fail(err, CCZ_E_ARG, "rpc:target", ENTRIES_MAX, "more than %d addresses",
                        ENTRIES_MAX);
    struct cczi_entry *e = &c->entries[c->entries_len];
    *e = (struct cczi_entry){.client = c, .text = strndup(text, size)};
    if (!e->text)
        return ccz_fail(err, CCZ_E_NOMEM, "rpc:memory", 0, "out of memory");
    c->entries_len++;
    return ccz_address_check(&e->is_name, e->text, err);
}

ccz_rc cczi_target_init(struct ccz_rpc_client *c, struct ccz_err *err)
{
    size_t len = 1;
    for (const char *p = c->target; *p && len < ENTRIES_MAX; p++)
        len += *p == ',';
    c->entries = calloc(len, sizeof(c->entries[0]));
    if (!c->entries)
        return ccz_fail(err, CCZ_E_NOMEM, "rpc:memory", 0, "out of memory");
    ccz_rc rc = CCZ_OK;
    for (const char *from = c->target; from && rc == CCZ_OK;) {
        const char *comma = strchr(from, ',');
        rc = add_entry(c, from, comma ? (size_t)(comma - from) : strlen(from), err);
        from = comma ? comma + 1 : NULL;
    }
    return rc;
}

void cczi_target_deinit(struct ccz_rpc_client *c)
{
    while (c->addresses_len)
        free(c->addresses[--c->addresses_len]);
    free(c->addresses);
    for (size_t i = 0; i < c->entries_len; i++) {
        free(c->entries[i].found);
        free(c->entries[i].text);
    }
    free(c->entries);
}

void cczi_target_stop(struct ccz_rpc_client *c)
{
    for (size_t i = 0; i < c->entries_len; i++) {
        ccz_lookup_cancel(c->entries[i].lookup);
        c->entries[i].lookup = NULL;
        cczi_deadline_cancel(&c->deadlines, &c->entries[i].timer);
    }
    for (size_t i = 0; i < c->addresses_len; i++)
        for (unsigned k = 0; k < c->cfg.connections; k++)
            cczi_deadline_cancel(&c->deadlines, &c->addresses[i]->slots[k].timer);
}

/* --------------------------------------------------------------------------------- addresses */

static void remove_address(struct ccz_rpc_client *c, size_t at)
{
    struct cczi_address *a = c->addresses[at];
    c->addresses[at] = c->addresses[--c->addresses_len];
    for (unsigned k = 0; k < c->cfg.connections; k++)
        cczi_slot_close(&a->slots[k]);
    free(a);
}

/* @p failures: of the attempts before this one, so that what keeps failing is not hurried. @return false: no memory */
static bool add_address(struct cczi_entry *e, const char *text, unsigned failures)
{
    struct ccz_rpc_client *c = e->client;
    unsigned n = c->cfg.connections;
    if ((c->addresses_len + 1) * n > SLOTS_MAX) {
        ccz_log(CCZ_LOG_WARN, "rpc", "address left out target=%s address=%s limit=%d", c->target,
                text, SLOTS_MAX);
        return true;
    }
    struct cczi_address *a = calloc(1, sizeof(*a) + n * sizeof(a->slots[0]));
    struct cczi_address **list = realloc(c->addresses, (c->addresses_len + 1) * sizeof(*list));
    if (list)
        c->addresses = list;
    if (!a || !list) {
        free(a);
        return false;
    }
    list[c->addresses_len++] = a;
    a->entry = e;
    memcpy(a->text, text, strlen(text) + 1);
    for (unsigned k = 0; k < n; k++) {
        a->slots[k].address = a;
        a->slots[k].failures = failures;
    }
    for (unsigned k = 0; k < n && !c->failed; k++)
        cczi_slot_start(&a->slots[k]);
    return true;
}

static bool is_v6(const char *text)
{
    return text[0] == '[';
}

static bool wanted(const struct cczi_entry *e, const char *text)
{
    for (size_t i = 0; i < e->found_len; i++)
        if (strcmp(e->found[i], text) == 0)
            return is_v6(text) == e->v6;
    return false;
}

static bool present(const struct cczi_entry *e, const char *text)
{
    const struct ccz_rpc_client *c = e->client;
    for (size_t i = 0; i < c->addresses_len; i++)
        if (c->addresses[i]->entry == e && strcmp(c->addresses[i]->text, text) == 0)
            return true;
    return false;
}

static void not_found(struct cczi_entry *e, const struct ccz_err *err);

/* Brings the addresses in use to what was found, of the family in use; without memory for one, it is as if nothing had been
 * found, so that somebody looks again. */
static void refresh(struct cczi_entry *e)
{
    struct ccz_rpc_client *c = e->client;
    bool ok = true;
    for (size_t i = c->addresses_len; i-- > 0;)
        if (c->addresses[i]->entry == e && !wanted(e, c->addresses[i]->text))
            remove_address(c, i);
    for (size_t i = 0; i < e->found_len; i++)
        if (ok && wanted(e, e->found[i]) && !present(e, e->found[i]))
            ok = add_address(e, e->found[i], e->seed);
    if (ok)
        return;
    struct ccz_err err;
    (void)ccz_fail(&err, CCZ_E_NOMEM, "rpc:memory", 0, "out of memory");
    e->found_len = 0;
    not_found(e, &err);
}

static bool has_family(const struct cczi_entry *e, bool v6)
{
    for (size_t i = 0; i < e->found_len; i++)
        if (is_v6(e->found[i]) == v6)
            return true;
    return false;
}

/* ------------------------------------------------------------------------------------- names */

static void entry_start(struct cczi_entry *e);

static void on_rested(struct cczi_deadline *d)
{
    entry_start((struct cczi_entry *)((char *)d - offsetof(struct cczi_entry, timer)));
}

/* No addresses, and so nothing that fails later. */
static void not_found(struct cczi_entry *e, const struct ccz_err *err)
{
    struct ccz_rpc_client *c = e->client;
    e->failures++;
    cczi_channel_note_failure(c, err);
    if (c->cfg.reconnect && e->found_len == 0) { /* else the next lost connection asks again */
        e->timer.fn = on_rested;
        if (!cczi_deadline_set(&c->deadlines, &e->timer,
                               cczi_deadline_ms(cczi_backoff_ms(c, e->failures))))
            cczi_channel_no_memory(c);
    }
    cczi_channel_changed(c);
}

static void on_looked_up(void *arg, const char (*addresses)[CCZ_ADDR_TEXT_SIZE], size_t len,
                         const struct ccz_err *err)
{
    struct cczi_entry *e = arg;
    e->lookup = NULL;
    e->looked_ms = ccz_mono_ms();
    char(*found)[CCZ_ADDR_TEXT_SIZE] = len ? malloc(len * sizeof(*found)) : NULL;
    if (!found) {
        struct ccz_err nomem;
        (void)ccz_fail(&nomem, CCZ_E_NOMEM, "rpc:memory", 0, "out of memory");
        not_found(e, err ? err : &nomem);
        return;
    }
    memcpy(found, addresses, len * sizeof(*found));
    free(e->found);
    e->found = found;
    e->found_len = len;
    e->failures = 0;
    if (!e->used || !has_family(e, e->v6)) /* the system's order says which is better */
        e->v6 = is_v6(found[0]);
    e->used = true;
    refresh(e);
    cczi_channel_changed(e->client);
}

static void look_up(struct cczi_entry *e)
{
    struct ccz_err err = {0};
    if (e->lookup) /* lost connections and the end of a rest both ask */
        return;
    ccz_rc rc = ccz_lookup_start(&e->lookup, e->client->loop, e->text, on_looked_up, e, &err);
    if (rc != CCZ_OK)
        not_found(e, &err);
}

static void entry_start(struct cczi_entry *e)
{
    struct ccz_err err;
    if (e->is_name) {
        look_up(e);
    } else if (!add_address(e, e->text, 0)) {
        (void)ccz_fail(&err, CCZ_E_NOMEM, "rpc:memory", 0, "out of memory");
        not_found(e, &err);
    } else {
        e->failures = 0;
    }
}

void cczi_target_start(struct ccz_rpc_client *c)
{
    for (size_t i = 0; i < c->entries_len && !c->failed; i++) {
        struct cczi_entry *e = &c->entries[i];
        if (e->started)
            continue;
        e->started = true;
        entry_start(e);
    }
}

/* --------------------------------------------------------------------------------- judgement */

/* The least failures in a row of a slot of the entry; 0 if there is a connection, which may not have proved itself yet. */
static unsigned least_failures(const struct cczi_entry *e)
{
    const struct ccz_rpc_client *c = e->client;
    unsigned least = UINT32_MAX;
    for (size_t i = 0; i < c->addresses_len; i++)
        for (unsigned k = 0; c->addresses[i]->entry == e && k < c->cfg.connections; k++) {
            const struct cczi_slot *slot = &c->addresses[i]->slots[k];
            if (slot->conn && slot->conn->h2)
                return 0;
            if (slot->failures < least)
                least = slot->failures;
        }
    return least;
}

void cczi_entry_lost(struct cczi_entry *e)
{
    if (!e->is_name || e->client->failed)
        return;
    if (e->client->cfg.reconnect && ccz_mono_ms() - e->looked_ms >= LOOKUP_AGAIN_MS)
        look_up(e);
    unsigned least = least_failures(e);
    /* each address of the family has had its chance since it was chosen, and failed */
    if (least <= e->seed || least == UINT32_MAX || !has_family(e, !e->v6))
        return;
    e->v6 = !e->v6;
    e->seed = e->flips++ ? least : 0;
    refresh(e);
}

/* As far as is known, this address has all its connections. */
static bool is_ready(const struct cczi_address *a, unsigned connections)
{
    for (unsigned k = 0; k < connections; k++)
        if (!a->slots[k].conn || !a->slots[k].conn->h2)
            return false;
    return true;
}

static bool has_failed(const struct cczi_address *a, unsigned connections)
{
    for (unsigned k = 0; k < connections; k++)
        if (a->slots[k].failures)
            return true;
    return false;
}

void cczi_target_judge(bool *ready, bool *unreachable, const struct ccz_rpc_client *c)
{
    *ready = false;
    *unreachable = true;
    for (size_t i = 0; i < c->addresses_len; i++) {
        *ready |= is_ready(c->addresses[i], c->cfg.connections);
        *unreachable &= has_failed(c->addresses[i], c->cfg.connections);
    }
    for (size_t i = 0; i < c->entries_len; i++)
        *unreachable &= c->entries[i].found_len || !c->entries[i].is_name || c->entries[i].failures;
    *unreachable |= c->failed;
}

bool cczi_target_may_come(const struct ccz_rpc_client *c)
{
    for (size_t i = 0; i < c->entries_len; i++)
        if (c->entries[i].lookup && c->entries[i].failures == 0 && c->entries[i].found_len == 0)
            return true;
    for (size_t i = 0; i < c->addresses_len; i++)
        for (unsigned k = 0; k < c->cfg.connections; k++) {
            const struct cczi_slot *slot = &c->addresses[i]->slots[k];
            if (slot->failures == 0 && (slot->conn || slot->timer.pos))
                return true;
        }
    return false;
}

bool cczi_target_alive(const struct ccz_rpc_client *c)
{
    for (size_t i = 0; i < c->entries_len; i++)
        if (c->entries[i].lookup || !c->entries[i].started)
            return true;
    for (size_t i = 0; i < c->addresses_len; i++)
        for (unsigned k = 0; k < c->cfg.connections; k++)
            if (c->addresses[i]->slots[k].conn)
                return true;
    return false;
}

/* ------------------------------------------------------------------------------------ choice */

struct cczi_cconn *cczi_target_pick(struct ccz_rpc_client *c, const struct cczi_slot *last)
{
    unsigned n = c->cfg.connections;
    struct cczi_cconn *best = NULL;
    unsigned best_rank = 0;
    size_t best_at = 0;
    for (size_t i = 0; i < c->addresses_len && best_rank < 3; i++) {
        size_t at = (c->next_address + i) % c->addresses_len;
        struct cczi_address *a = c->addresses[at];
        bool same_address = false;
        for (unsigned k = 0; last && k < n; k++)
            same_address |= &a->slots[k] == last;
        for (unsigned k = 0; k < n && best_rank < 3; k++) {
            const struct cczi_slot *slot = &a->slots[(a->next_slot + k) % n];
            unsigned rank = slot == last ? 1 : same_address ? 2 : 3;
            if (!slot->conn || !slot->conn->h2 || rank <= best_rank)
                continue;
            best = slot->conn;
            best_rank = rank;
            best_at = at;
        }
    }
    if (!best)
        return NULL;
    struct cczi_address *a = c->addresses[best_at];
    a->next_slot = ((unsigned)(best->slot - a->slots) + 1) % n;
    c->next_address = (best_at + 1) % c->addresses_len;
    return best;
}
