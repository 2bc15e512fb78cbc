/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signatures that are made of others. They are kept with the model, not with a request: whoever batches requests compares
 * addresses, and a back end looks its tensors up only once. Clients choose which there are, so the one that nobody has used for
 * longest makes room.
 */
#include "engine/engine_priv.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_SIZE_MAX = 4096 };

struct cczi_union {
    struct cczi_union *next; /* those used last are first */
    struct cczi_arena arena;
    const struct ccz_signature **parts;
    size_t len;
    size_t users;
    struct ccz_signature sig;
};

static void union_free(struct cczi_union *d)
{
    cczi_arena_free(&d->arena);
    free(d);
}

ccz_rc cczi_unions_init(struct cczi_unions *u, struct ccz_err *err)
{
    int rc = pthread_mutex_init(&u->lock, NULL);
    return rc == 0 ? CCZ_OK : ccz_fail(err, CCZ_E_NOMEM, "engine:load", rc, "no lock");
}

void cczi_unions_free(struct cczi_unions *u)
{
    while (u->head) {
        struct cczi_union *d = u->head;
        u->head = d->next;
        assert(d->users == 0); /* whoever got it would use what is gone */
        union_free(d);
    }
    pthread_mutex_destroy(&u->lock);
}

static bool same_input(const struct ccz_tensor_info *a, const struct ccz_tensor_info *b)
{
    if (strcmp(a->name, b->name) != 0 || strcmp(a->tensor_name, b->tensor_name) != 0 ||
        a->dtype != b->dtype || a->unknown_rank != b->unknown_rank || a->rank != b->rank)
        return false;
    for (int i = 0; i < a->rank; i++)
        if (a->dims[i] != b->dims[i])
            return false;
    return ccz_span_eq(a->default_proto, b->default_proto);
}

static bool same_inputs(const struct ccz_signature *a, const struct ccz_signature *b)
{
    if (a->in_len != b->in_len)
        return false;
    for (size_t i = 0; i < a->in_len; i++)
        if (!same_input(&a->in[i], &b->in[i]))
            return false;
    return true;
}

static ccz_rc check(const struct ccz_model *m, const struct ccz_signature *const *sigs, size_t len,
                    struct ccz_err *err)
{
    if (len == 0)
        return ccz_fail(err, CCZ_E_ARG, "engine:union", 0, "a union of no signatures");
    for (size_t i = 0; i < len; i++) {
        if (ccz_model_signature(m, sigs[i]->name) != sigs[i] || !sigs[i]->runnable)
            return ccz_fail(err, CCZ_E_ARG, "engine:union", (int64_t)i,
                            "%.60s is no signature of this model that can be run", sigs[i]->name);
        if (!same_inputs(sigs[0], sigs[i]))
            return ccz_fail(err, CCZ_E_ARG, "engine:union", (int64_t)i,
                            "signatures %.60s and %.60s have different inputs", sigs[0]->name,
                            sigs[i]->name);
        for (size_t k = 0; k < i; k++)
            if (sigs[k] == sigs[i])
                return ccz_fail(err, CCZ_E_ARG, "engine:union", (int64_t)i,
                                "signature %.60s is given twice", sigs[i]->name);
    }
    return CCZ_OK;
}

/* Taken out of the list; NULL: there is none. */
static struct cczi_union *take(struct cczi_unions *u, const struct ccz_signature *const *sigs,
                               size_t len)
{
    for (struct cczi_union **at = &u->head; *at; at = &(*at)->next) {
        struct cczi_union *d = *at;
        if (d->len == len && memcmp(d->parts, sigs, len * sizeof(*sigs)) == 0) {
            *at = d->next;
            return d;
        }
    }
    return NULL;
}

/* Room for one more: false if all are in use. */
static bool make_room(struct cczi_unions *u)
{
    struct cczi_union **oldest = NULL;
    if (u->len < CCZ_MODEL_UNIONS_MAX)
        return true;
    for (struct cczi_union **at = &u->head; *at; at = &(*at)->next)
        if ((*at)->users == 0)
            oldest = at;
    if (!oldest)
        return false;
    struct cczi_union *d = *oldest;
    *oldest = d->next;
    u->len--;
    union_free(d);
    return true;
}

/* "classify|regress": for messages */
static const char *joined(struct cczi_arena *a, const struct ccz_signature *const *sigs, size_t len)
{
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, NAME_SIZE_MAX);
    for (size_t i = 0; i < len; i++)
        ccz_buf_printf(&b, "%s%.200s", i ? "|" : "", sigs[i]->name);
    return cczi_copy_str(a, b.bad ? ccz_span_str("a union of many signatures") : ccz_buf_span(&b));
}

static ccz_rc fill(struct cczi_union *d, struct ccz_model *m,
                   const struct ccz_signature *const *sigs, size_t len, struct ccz_err *err)
{
    struct cczi_arena *a = &d->arena;
    size_t out_len = 0;
    for (size_t i = 0; i < len; i++)
        out_len += sigs[i]->out_len;
    const struct ccz_signature **parts = cczi_alloc(a, len, sizeof(*sigs));
    struct ccz_tensor_info *out = cczi_alloc(a, out_len, sizeof(*out));
    const char *name = joined(a, sigs, len);
    if (!parts || !out || !name)
        return ccz_fail(err, CCZ_E_NOMEM, "engine:union", 0, "no memory");
    memcpy(parts, sigs, len * sizeof(*sigs));
    d->parts = parts;
    d->len = len;
    d->sig = *sigs[0];
    d->sig.name = name;
    d->sig.method = "";
    d->sig.out = out;
    d->sig.out_len = out_len;
    for (size_t i = 0; i < len; out += sigs[i++]->out_len)
        memcpy(out, sigs[i]->out, sigs[i]->out_len * sizeof(*out));
    return m->engine->backend->unite(a, &d->sig, sigs, len, err);
}

/* With the lock. */
static ccz_rc make(struct cczi_union **made, struct ccz_model *m,
                   const struct ccz_signature *const *sigs, size_t len, struct ccz_err *err)
{
    if (!make_room(&m->unions))
        return ccz_fail(err, CCZ_E_LIMIT, "engine:union", CCZ_MODEL_UNIONS_MAX,
                        "%d unions of this model are in use", CCZ_MODEL_UNIONS_MAX);
    struct cczi_union *d = calloc(1, sizeof(*d));
    ccz_rc rc =
        d ? fill(d, m, sigs, len, err) : ccz_fail(err, CCZ_E_NOMEM, "engine:union", 0, "no memory");
    if (rc != CCZ_OK && d)
        union_free(d);
    if (rc != CCZ_OK)
        return rc;
    m->unions.len++;
    *made = d;
    return CCZ_OK;
}

ccz_rc ccz_model_union(const struct ccz_signature **out, struct ccz_model *m,
                       const struct ccz_signature *const *sigs, size_t len, struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = check(m, sigs, len, err);
    if (rc == CCZ_OK && len == 1)
        *out = sigs[0];
    if (rc != CCZ_OK || len == 1)
        return rc;
    if (!m->engine->backend->unite)
        return ccz_fail(err, CCZ_E_UNSUPPORTED, "engine:union", (int64_t)len,
                        "back end %.40s runs one signature at a time", m->engine->backend->name);
    struct cczi_unions *u = &m->unions;
    pthread_mutex_lock(&u->lock);
    struct cczi_union *d = take(u, sigs, len);
    if (!d)
        rc = make(&d, m, sigs, len, err);
    if (rc == CCZ_OK) {
        d->users++;
        d->next = u->head;
        u->head = d;
        *out = &d->sig;
    }
    pthread_mutex_unlock(&u->lock);
    return rc;
}

void ccz_model_union_release(struct ccz_model *m, const struct ccz_signature *sig)
{
    pthread_mutex_lock(&m->unions.lock);
    for (struct cczi_union *d = m->unions.head; d; d = d->next)
        if (&d->sig == sig && d->users > 0)
            d->users--;
    pthread_mutex_unlock(&m->unions.lock);
}
