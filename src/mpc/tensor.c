/* SPDX-License-Identifier: Apache-2.0 */
/* Tensors: birth and end, inputs, shares, reveals. */
#include "session.h"

#include <cczoo/ring.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------------------------ shapes */

size_t cczi_mpc_shape_len(const struct ccz_mpc_shape *s)
{
    size_t len = 1;
    if (s->rank > CCZ_MPC_RANK_MAX)
        return 0;
    for (unsigned i = 0; i < s->rank; i++) {
        if (s->dim[i] == 0 || s->dim[i] > CCZ_MPC_LEN_MAX / len)
            return 0;
        len *= s->dim[i];
    }
    return len;
}

bool cczi_mpc_shape_eq(const struct ccz_mpc_shape *a, const struct ccz_mpc_shape *b)
{
    if (a->rank != b->rank)
        return false;
    for (unsigned i = 0; i < a->rank; i++)
        if (a->dim[i] != b->dim[i])
            return false;
    return true;
}

void cczi_mpc_shape_text(char out[CCZI_SHAPE_TEXT], const struct ccz_mpc_shape *s)
{
    size_t at = 0;
    out[at++] = '[';
    for (unsigned i = 0; i < s->rank && i < CCZ_MPC_RANK_MAX; i++)
        at += (size_t)snprintf(out + at, CCZI_SHAPE_TEXT - at, "%s%zu", i ? ", " : "", s->dim[i]);
    (void)snprintf(out + at, CCZI_SHAPE_TEXT - at, "]");
}

ccz_rc cczi_mpc_refuse_shape(const struct ccz_mpc_shape *got, const struct ccz_mpc_shape *expected,
                             struct ccz_err *err)
{
    char a[CCZI_SHAPE_TEXT], b[CCZI_SHAPE_TEXT];
    cczi_mpc_shape_text(a, got);
    cczi_mpc_shape_text(b, expected);
    return ccz_refuse(err, CCZ_E_ARG, "mpc:shape", a, b);
}

/* ----------------------------------------------------------------------------- birth and end */

ccz_rc cczi_mpc_check_frac(const struct ccz_mpc *m, uint64_t frac, struct ccz_err *err)
{
    unsigned most = cczi_mpc_bits(m) - 2;
    if (frac <= most)
        return CCZ_OK;
    (void)ccz_refuse_num(err, CCZ_E_ARG, "mpc:frac", (int64_t)frac, most);
    return ccz_hint(err, CCZ_E_ARG, "truncate before the next product, or take a larger ring");
}

ccz_rc cczi_mpc_tensor_new(struct ccz_mpc_tensor **out, struct ccz_mpc *m, enum ccz_mpc_kind kind,
                           unsigned owner, struct ccz_mpc_shape shape, unsigned frac,
                           struct ccz_err *err)
{
    *out = NULL;
    size_t len = cczi_mpc_shape_len(&shape);
    if (len == 0) {
        char text[CCZI_SHAPE_TEXT];
        cczi_mpc_shape_text(text, &shape);
        return ccz_refuse(err, CCZ_E_ARG, "mpc:shape", text,
                          "at most 4 dimensions of 1 and more, 2^30 elements in all");
    }
    if (owner > 1)
        return ccz_refuse_num(err, CCZ_E_ARG, "mpc:owner", owner, 1);
    ccz_rc rc = kind == CCZ_MPC_BITS ? CCZ_OK : cczi_mpc_check_frac(m, frac, err);
    CCZ_AUTO(ccz_mpc_tensor) t = NULL;
    if (rc == CCZ_OK)
        rc = cczi_mpc_alloc(&t, 1, sizeof(*t), err);
    if (rc != CCZ_OK)
        return rc;
    *t = (struct ccz_mpc_tensor){.m = m,
                                 .kind = kind,
                                 .owner = kind == CCZ_MPC_PRIVATE ? owner : 0,
                                 .shape = shape,
                                 .frac = kind == CCZ_MPC_BITS ? 0 : frac,
                                 .len = len,
                                 .words = kind == CCZ_MPC_BITS ? (len + 63) / 64 : len};
    if (kind == CCZ_MPC_PRIVATE) {
        t->id = ++m->ids;
        t->next = m->tensors;
        if (t->next)
            t->next->prev = t;
        m->tensors = t;
    }
    if (kind != CCZ_MPC_PRIVATE || owner == m->cfg.role)
        rc = cczi_mpc_alloc(&t->v, t->words, sizeof(*t->v), err);
    if (rc == CCZ_OK)
        *out = ccz_mpc_tensor_take(&t);
    return rc;
}

void ccz_mpc_tensor_free(struct ccz_mpc_tensor *t)
{
    if (!t)
        return;
    if (t->next)
        t->next->prev = t->prev;
    if (t->prev)
        t->prev->next = t->next;
    else if (t->kind == CCZ_MPC_PRIVATE && t->m->tensors == t)
        t->m->tensors = t->next;
    cczi_mpc_wipe_free(t->v, t->words * sizeof(*t->v));
    free(t);
}

struct ccz_mpc_tensor *cczi_mpc_private_at(const struct ccz_mpc *m, uint64_t id)
{
    struct ccz_mpc_tensor *t = m->tensors;
    while (t && t->id != id)
        t = t->next;
    return t;
}

enum ccz_mpc_kind ccz_mpc_kind_of(const struct ccz_mpc_tensor *t)
{
    return t->kind;
}

unsigned ccz_mpc_owner_of(const struct ccz_mpc_tensor *t)
{
    return t->owner;
}

struct ccz_mpc_shape ccz_mpc_shape_of(const struct ccz_mpc_tensor *t)
{
    return t->shape;
}

size_t ccz_mpc_len_of(const struct ccz_mpc_tensor *t)
{
    return t->len;
}

unsigned ccz_mpc_frac_of(const struct ccz_mpc_tensor *t)
{
    return t->frac;
}

struct ccz_mpc *ccz_mpc_session_of(const struct ccz_mpc_tensor *t)
{
    return t->m;
}

uint64_t ccz_mpc_id_of(const struct ccz_mpc_tensor *t)
{
    return t->id;
}

const uint64_t *ccz_mpc_words(const struct ccz_mpc_tensor *t)
{
    return t->v;
}

/* ----------------------------------------------------------------------------------- refusals */

ccz_rc cczi_mpc_want_kind(const struct ccz_mpc_tensor *t, unsigned kinds, const char *what,
                          struct ccz_err *err)
{
    static const char *const names[] = {"PUBLIC", "PRIVATE", "SHARED", "BITS"};
    char got[64], expected[64] = "";
    if (kinds >> t->kind & 1)
        return CCZ_OK;
    (void)snprintf(got, sizeof(got), "%s is %s", what, names[t->kind]);
    for (unsigned k = 0, at = 0; k < 4; k++)
        if (kinds >> k & 1)
            at += (unsigned)snprintf(expected + at, sizeof(expected) - at, "%s%s", at ? " or " : "",
                                     names[k]);
    return ccz_refuse(err, CCZ_E_ARG, "mpc:kind", got, expected);
}

ccz_rc cczi_mpc_same_session(const struct ccz_mpc_tensor *a, const struct ccz_mpc_tensor *b,
                             struct ccz_err *err)
{
    if (a->m != b->m)
        return ccz_fail(err, CCZ_E_ARG, "mpc:session", 0, "tensors of two sessions");
    return CCZ_OK;
}

ccz_rc cczi_mpc_want_bit_pair(const struct ccz_mpc_tensor *a, const struct ccz_mpc_tensor *b,
                              struct ccz_err *err)
{
    ccz_rc rc = cczi_mpc_same_session(a, b, err);
    if (rc == CCZ_OK)
        rc = cczi_mpc_want_kind(a, 1u << CCZ_MPC_BITS, "the first operand", err);
    if (rc == CCZ_OK)
        rc = cczi_mpc_want_kind(b, 1u << CCZ_MPC_BITS, "the second operand", err);
    if (rc == CCZ_OK && !cczi_mpc_shape_eq(&a->shape, &b->shape))
        rc = cczi_mpc_refuse_shape(&b->shape, &a->shape, err);
    return rc;
}

/* -------------------------------------------------------------------------------- fixed point */

void ccz_mpc_encode(uint64_t *out, const double *in, size_t len, unsigned ring_bits, unsigned frac)
{
    ccz_ring_encode(out, in, len, ring_bits, frac);
}

void ccz_mpc_decode(double *out, const uint64_t *in, size_t len, unsigned ring_bits, unsigned frac)
{
    ccz_ring_decode(out, in, len, ring_bits, frac);
}

/* ------------------------------------------------------------------------------------- inputs */

static ccz_rc check_values(const uint64_t *values, bool needed, struct ccz_err *err)
{
    if (needed && !values)
        return ccz_fail(err, CCZ_E_ARG, "mpc:values", 0, "no values at the party that has them");
    if (!needed && values)
        return ccz_fail(err, CCZ_E_ARG, "mpc:values", 0,
                        "values at a party that should not have them");
    return CCZ_OK;
}

static ccz_rc input(struct ccz_mpc_tensor **out, struct ccz_mpc *m, enum ccz_mpc_kind kind,
                    unsigned owner, struct ccz_mpc_shape shape, unsigned frac,
                    const uint64_t *values, struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = cczi_mpc_enter(m, err);
    if (rc != CCZ_OK)
        return rc;
    if (!cczi_mpc_planning(m))
        rc = check_values(values, kind != CCZ_MPC_PRIVATE || owner == m->cfg.role, err);
    if (rc == CCZ_OK)
        rc = cczi_mpc_tensor_new(out, m, kind, owner, shape, frac, err);
    if (rc == CCZ_OK && values && (*out)->v && kind == CCZ_MPC_BITS) {
        memcpy((*out)->v, values, (*out)->words * sizeof(*values));
        cczi_mpc_trim(*out);
    } else if (rc == CCZ_OK && values && (*out)->v) {
        for (size_t i = 0; i < (*out)->len; i++)
            (*out)->v[i] = values[i] & cczi_mpc_mask(m);
    }
    return cczi_mpc_leave(m, rc, err);
}

void cczi_mpc_trim(struct ccz_mpc_tensor *t)
{
    if (t->kind == CCZ_MPC_BITS && t->len % 64)
        t->v[t->words - 1] &= ((uint64_t)1 << t->len % 64) - 1;
}

ccz_rc ccz_mpc_public(struct ccz_mpc_tensor **out, struct ccz_mpc *m, struct ccz_mpc_shape shape,
                      unsigned frac, const uint64_t *values, struct ccz_err *err)
{
    return input(out, m, CCZ_MPC_PUBLIC, 0, shape, frac, values, err);
}

ccz_rc ccz_mpc_private(struct ccz_mpc_tensor **out, struct ccz_mpc *m, unsigned owner,
                       struct ccz_mpc_shape shape, unsigned frac, const uint64_t *values,
                       struct ccz_err *err)
{
    return input(out, m, CCZ_MPC_PRIVATE, owner, shape, frac, values, err);
}

ccz_rc ccz_mpc_import(struct ccz_mpc_tensor **out, struct ccz_mpc *m, enum ccz_mpc_kind kind,
                      struct ccz_mpc_shape shape, unsigned frac, const uint64_t *share,
                      struct ccz_err *err)
{
    if (kind != CCZ_MPC_SHARED && kind != CCZ_MPC_BITS) {
        *out = NULL;
        (void)ccz_refuse_num(err, CCZ_E_ARG, "mpc:kind", kind, CCZ_MPC_SHARED);
        return cczi_mpc_leave(m, CCZ_E_ARG, err);
    }
    return input(out, m, kind, 0, shape, frac, share, err);
}

/* ------------------------------------------------------------------------------------- shares */

/* Whether this party is the one whose share carries the values of an input. */
static bool carries(const struct ccz_mpc *m, enum ccz_mpc_kind kind, unsigned owner)
{
    return m->cfg.role == (kind == CCZ_MPC_PRIVATE ? owner : 0);
}

static ccz_rc share(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *t,
                    struct ccz_err *err)
{
    struct ccz_mpc *m = t->m;
    unsigned bits = cczi_mpc_bits(m);
    CCZ_AUTO(ccz_mpc_tensor) s = NULL;
    ccz_rc rc = cczi_mpc_want_kind(t, ~(1u << CCZ_MPC_BITS), "the tensor to share", err);
    if (rc == CCZ_OK)
        rc = cczi_mpc_tensor_new(&s, m, CCZ_MPC_SHARED, 0, t->shape, t->frac, err);
    if (rc != CCZ_OK)
        return rc;
    if (t->kind == CCZ_MPC_SHARED)
        memcpy(s->v, t->v, t->len * sizeof(*t->v));
    else if (!cczi_mpc_planning(m)) {
        rc = cczi_mpc_common(s->v, s->len, bits, m, err);
        if (rc == CCZ_OK && carries(m, t->kind, t->owner))
            ccz_ring_sub(s->v, t->v, s->v, s->len, bits);
    }
    if (rc == CCZ_OK)
        *out = ccz_mpc_tensor_take(&s);
    return rc;
}

ccz_rc ccz_mpc_share(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *t,
                     struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = cczi_mpc_enter(t->m, err);
    return rc == CCZ_OK ? cczi_mpc_leave(t->m, share(out, t, err), err) : rc;
}

ccz_rc cczi_mpc_as_shared(const struct ccz_mpc_tensor **out, struct ccz_mpc_tensor **own,
                          const struct ccz_mpc_tensor *t, struct ccz_err *err)
{
    *own = NULL;
    *out = t;
    if (t->kind == CCZ_MPC_SHARED || t->kind == CCZ_MPC_BITS)
        return CCZ_OK;
    ccz_rc rc = share(own, t, err);
    *out = *own;
    return rc;
}

static ccz_rc share_bits(struct ccz_mpc_tensor **out, struct ccz_mpc *m, unsigned owner,
                         struct ccz_mpc_shape shape, const uint64_t *bits, struct ccz_err *err)
{
    CCZ_AUTO(ccz_mpc_tensor) s = NULL;
    ccz_rc rc = CCZ_OK;
    if (owner > 2)
        return ccz_refuse_num(err, CCZ_E_ARG, "mpc:owner", owner, 2);
    if (!cczi_mpc_planning(m))
        rc = check_values(bits, owner == 2 || owner == m->cfg.role, err);
    if (rc == CCZ_OK)
        rc = cczi_mpc_tensor_new(&s, m, CCZ_MPC_BITS, 0, shape, 0, err);
    if (rc == CCZ_OK)
        rc = cczi_mpc_common_bits(s->v, s->len, m, err);
    if (rc != CCZ_OK)
        return rc;
    if (bits && m->cfg.role == (owner == 2 ? 0 : owner))
        for (size_t i = 0; i < s->words; i++)
            s->v[i] ^= bits[i];
    cczi_mpc_trim(s);
    *out = ccz_mpc_tensor_take(&s);
    return CCZ_OK;
}

ccz_rc ccz_mpc_share_bits(struct ccz_mpc_tensor **out, struct ccz_mpc *m, unsigned owner,
                          struct ccz_mpc_shape shape, const uint64_t *bits, struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = cczi_mpc_enter(m, err);
    return rc == CCZ_OK ? cczi_mpc_leave(m, share_bits(out, m, owner, shape, bits, err), err) : rc;
}

/* ------------------------------------------------------------------------------------ reveals */

static ccz_rc check_reveal(const uint64_t *out, const struct ccz_mpc_tensor *t, unsigned to,
                           struct ccz_err *err)
{
    struct ccz_mpc *m = t->m;
    if (to < CCZ_MPC_TO_0 || to > CCZ_MPC_TO_BOTH)
        return ccz_refuse_num(err, CCZ_E_ARG, "mpc:reveal", to, CCZ_MPC_TO_BOTH);
    bool mine = to >> m->cfg.role & 1;
    if (mine != (out != NULL) && !(cczi_mpc_planning(m) && !out))
        return ccz_fail(err, CCZ_E_ARG, "mpc:reveal", to,
                        mine ? "a receiver without a place for the values"
                             : "a place for values that go to the other party");
    return cczi_mpc_want_kind(t, 1u << CCZ_MPC_SHARED | 1u << CCZ_MPC_BITS, "the tensor to reveal",
                              err);
}

/* v: the share, replaced by the values at a receiver. */
static ccz_rc exchange_shares(uint64_t *v, const struct ccz_mpc_tensor *t, unsigned to,
                              struct ccz_err *err)
{
    struct ccz_mpc *m = t->m;
    const unsigned bits = cczi_mpc_bits(m);
    bool mine = to >> m->cfg.role & 1, theirs = to >> (1 - m->cfg.role) & 1;
    CCZI_AUTO_WORDS peer = {0};
    ccz_rc rc = cczi_words_init(&peer, t->words, err);
    if (rc != CCZ_OK)
        return rc;
    if (theirs && t->kind == CCZ_MPC_BITS)
        cczi_mpc_put_bits(m, t->v, t->len);
    else if (theirs)
        cczi_mpc_put(m, t->v, t->len, bits);
    if (mine && t->kind == CCZ_MPC_BITS)
        cczi_mpc_want_bits(m, peer.v, t->len);
    else if (mine)
        cczi_mpc_want(m, peer.v, t->len, bits);
    rc = cczi_mpc_round(m, err);
    if (rc != CCZ_OK || !mine || !v)
        return rc;
    if (t->kind == CCZ_MPC_BITS)
        for (size_t i = 0; i < t->words; i++)
            v[i] = t->v[i] ^ peer.v[i];
    else
        ccz_ring_add(v, t->v, peer.v, t->len, bits);
    return CCZ_OK;
}

static ccz_rc reveal(uint64_t *out, const struct ccz_mpc_tensor *t, unsigned to, const char *label,
                     struct ccz_err *err)
{
    struct ccz_mpc *m = t->m;
    ccz_rc rc = check_reveal(out, t, to, err);
    if (rc != CCZ_OK)
        return rc;
    m->stats.reveals++;
    m->stats.revealed_len += t->len;
    struct ccz_mpc_reveal r = {label ? label : "", t->len, to, m->stats.reveals};
    if (m->cfg.on_reveal)
        m->cfg.on_reveal(m->cfg.arg, &r);
    return exchange_shares(out, t, to, err);
}

ccz_rc ccz_mpc_reveal(uint64_t *out, const struct ccz_mpc_tensor *t, unsigned to, const char *label,
                      struct ccz_err *err)
{
    ccz_rc rc = cczi_mpc_enter(t->m, err);
    if (rc == CCZ_OK)
        rc = cczi_mpc_leave(t->m, reveal(out, t, to, label, err), err);
    if (rc != CCZ_OK && out)
        memset(out, 0, t->words * sizeof(*out));
    return rc;
}

ccz_rc ccz_mpc_open(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *t, unsigned to,
                    const char *label, struct ccz_err *err)
{
    struct ccz_mpc *m = t->m;
    CCZ_AUTO(ccz_mpc_tensor) r = NULL;
    *out = NULL;
    ccz_rc rc = cczi_mpc_enter(m, err);
    if (rc != CCZ_OK)
        return rc;
    rc = cczi_mpc_want_kind(t, 1u << CCZ_MPC_SHARED, "the tensor to open", err);
    if (rc == CCZ_OK)
        rc = cczi_mpc_tensor_new(&r, m, to == CCZ_MPC_TO_BOTH ? CCZ_MPC_PUBLIC : CCZ_MPC_PRIVATE,
                                 to == CCZ_MPC_TO_1, t->shape, t->frac, err);
    if (rc == CCZ_OK)
        rc = reveal(r->v, t, to, label, err);
    if (rc == CCZ_OK)
        *out = ccz_mpc_tensor_take(&r);
    return cczi_mpc_leave(m, rc, err);
}
