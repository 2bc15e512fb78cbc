/* SPDX-License-Identifier: Apache-2.0 */
/* Tensors: birth and end, inputs, reveals. */
#include "rep3_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------------------------ shapes */

size_t cczi_rep3_shape_len(const struct ccz_rep3_shape *s)
{
    size_t len = 1;
    if (s->rank > CCZ_REP3_RANK_MAX)
        return 0;
    for (unsigned i = 0; i < s->rank; i++) {
        if (s->dim[i] == 0 || s->dim[i] > CCZ_REP3_LEN_MAX / len)
            return 0;
        len *= s->dim[i];
    }
    return len;
}

bool cczi_rep3_shape_eq(const struct ccz_rep3_shape *a, const struct ccz_rep3_shape *b)
{
    if (a->rank != b->rank)
        return false;
    for (unsigned i = 0; i < a->rank; i++)
        if (a->dim[i] != b->dim[i])
            return false;
    return true;
}

enum { TEXT = 96 };

static void shape_text(char out[TEXT], const struct ccz_rep3_shape *s)
{
    size_t at = 0;
    out[at++] = '[';
    for (unsigned i = 0; i < s->rank && i < CCZ_REP3_RANK_MAX; i++)
        at += (size_t)snprintf(out + at, TEXT - at, "%s%zu", i ? ", " : "", s->dim[i]);
    (void)snprintf(out + at, TEXT - at, "]");
}

ccz_rc cczi_rep3_refuse_shape(const struct ccz_rep3_shape *got,
                              const struct ccz_rep3_shape *expected, struct ccz_err *err)
{
    char a[TEXT], b[TEXT];
    shape_text(a, got);
    shape_text(b, expected);
    return ccz_refuse(err, CCZ_E_ARG, "rep3:shape", a, b);
}

/* ----------------------------------------------------------------------------- birth and end */

ccz_rc cczi_rep3_tensor_new(struct ccz_rep3_tensor **out, struct ccz_rep3 *m,
                            enum ccz_rep3_kind kind, const struct ccz_rep3_shape *shape,
                            uint64_t frac, struct ccz_err *err)
{
    *out = NULL;
    size_t len = cczi_rep3_shape_len(shape);
    if (len == 0) {
        char text[TEXT];
        shape_text(text, shape);
        return ccz_refuse(err, CCZ_E_ARG, "rep3:shape", text,
                          "at most 4 dimensions of 1 and more, 2^28 elements in all");
    }
    ccz_rc rc = cczi_rep3_check_frac(m, frac, err);
    if (rc != CCZ_OK)
        return rc;
    CCZ_AUTO(ccz_rep3_tensor) t = calloc(1, sizeof(*t));
    if (!t)
        return ccz_fail(err, CCZ_E_NOMEM, "rep3:memory", 0, "no memory for a tensor");
    *t =
        (struct ccz_rep3_tensor){.m = m,
                                 .kind = kind,
                                 .shape = *shape,
                                 .frac = (unsigned)frac,
                                 .planes = kind == CCZ_REP3_SHARED || kind == CCZ_REP3_BITS ? 2 : 1,
                                 .len = len,
                                 .words = kind == CCZ_REP3_BITS ? (len + 63) / 64 : len};
    t->v = calloc(t->planes * t->words, sizeof(*t->v));
    if (!t->v)
        return ccz_fail(err, CCZ_E_NOMEM, "rep3:memory", (int64_t)len, "no memory for %zu elements",
                        len);
    *out = ccz_rep3_tensor_take(&t);
    return CCZ_OK;
}

void ccz_rep3_tensor_free(struct ccz_rep3_tensor *t)
{
    if (!t)
        return;
    if (t->v)
        ccz_wipe(t->v, t->planes * t->words * sizeof(*t->v));
    free(t->v);
    free(t);
}

enum ccz_rep3_kind ccz_rep3_kind_of(const struct ccz_rep3_tensor *t)
{
    return t->kind;
}

struct ccz_rep3_shape ccz_rep3_shape_of(const struct ccz_rep3_tensor *t)
{
    return t->shape;
}

size_t ccz_rep3_len_of(const struct ccz_rep3_tensor *t)
{
    return t->len;
}

unsigned ccz_rep3_frac_of(const struct ccz_rep3_tensor *t)
{
    return t->frac;
}

struct ccz_rep3 *ccz_rep3_session_of(const struct ccz_rep3_tensor *t)
{
    return t->m;
}

const uint64_t *ccz_rep3_words(const struct ccz_rep3_tensor *t, unsigned which)
{
    return which < t->planes ? cczi_rep3_plane(t, which) : NULL;
}

void cczi_rep3_trim(struct ccz_rep3_tensor *t)
{
    for (unsigned p = 0; p < t->planes && t->len % 64; p++)
        cczi_rep3_plane(t, p)[t->words - 1] &= ((uint64_t)1 << t->len % 64) - 1;
}

/* ----------------------------------------------------------------------------------- refusals */

ccz_rc cczi_rep3_want_kind(const struct ccz_rep3_tensor *t, unsigned kinds, struct ccz_err *err)
{
    static const char *const names[] = {"PUBLIC", "SHARED", "PARTS", "BITS"};
    char expected[64] = "";
    if (kinds >> t->kind & 1)
        return CCZ_OK;
    for (unsigned k = 0, at = 0; k < 4; k++)
        if (kinds >> k & 1)
            at += (unsigned)snprintf(expected + at, sizeof(expected) - at, "%s%s", at ? " or " : "",
                                     names[k]);
    return ccz_refuse(err, CCZ_E_ARG, "rep3:kind", names[t->kind], expected);
}

ccz_rc cczi_rep3_same_session(const struct ccz_rep3_tensor *a, const struct ccz_rep3_tensor *b,
                              struct ccz_err *err)
{
    if (a->m != b->m)
        return ccz_fail(err, CCZ_E_ARG, "rep3:session", 0, "tensors of two sessions");
    return CCZ_OK;
}

/* ------------------------------------------------------------------------------------- inputs */

ccz_rc ccz_rep3_public(struct ccz_rep3_tensor **out, struct ccz_rep3 *m,
                       struct ccz_rep3_shape shape, unsigned frac, const uint64_t *values,
                       struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = cczi_rep3_enter(m, err);
    if (rc != CCZ_OK)
        return rc;
    CCZ_AUTO(ccz_rep3_tensor) t = NULL;
    if (!values && m->chan[0])
        rc = ccz_fail(err, CCZ_E_ARG, "rep3:values", 0, "no values");
    if (rc == CCZ_OK)
        rc = cczi_rep3_tensor_new(&t, m, CCZ_REP3_PUBLIC, &shape, frac, err);
    for (size_t i = 0; rc == CCZ_OK && values && i < t->len; i++)
        t->v[i] = values[i] & ccz_ring_mask(m->cfg.ring_bits);
    if (rc == CCZ_OK)
        *out = ccz_rep3_tensor_take(&t);
    return cczi_rep3_leave(m, rc, err);
}

static ccz_rc check_input(const struct ccz_rep3 *m, unsigned owner, const uint64_t *values,
                          struct ccz_err *err)
{
    bool mine = owner == m->cfg.role;
    if (owner > 2)
        return ccz_refuse_num(err, CCZ_E_ARG, "rep3:owner", owner, 2);
    if (m->chan[0] && mine != (values != NULL))
        return ccz_fail(err, CCZ_E_ARG, "rep3:values", 0,
                        mine ? "no values at the party that has them"
                             : "values at a party that should not have them");
    return CCZ_OK;
}

/*
 * x_o is the common stream of the owner o and the party before it, x_(o+1) the rest, which the owner tells the party behind it, and
 * x_(o+2), which the owner does not have, is a number that all know: nothing hides behind it, but truncation rounds by the low bits of
 * shares. Of bits it is zero.
 */
static void add_common(struct ccz_rep3_tensor *t, unsigned owner)
{
    enum { PIECE = 256 };
    uint64_t r[PIECE];
    struct ccz_rep3 *m = t->m;
    const unsigned k = m->cfg.ring_bits, role = m->cfg.role;
    uint64_t *mine = cczi_rep3_plane(t, 0), *next = cczi_rep3_plane(t, 1);
    if (role != owner)
        cczi_rep3_common(role == (owner + 1) % 3 ? next : mine, t->len, k, m);
    for (size_t i = 0; i < t->len && role == owner; i += PIECE) {
        const size_t n = t->len - i < PIECE ? t->len - i : PIECE;
        cczi_rep3_common(r, n, k, m);
        ccz_ring_sub(next + i, next + i, r, n, k);
    }
}

static ccz_rc deal(struct ccz_rep3_tensor *t, unsigned owner, const uint64_t *values,
                   struct ccz_err *err)
{
    struct ccz_rep3 *m = t->m;
    const unsigned k = m->cfg.ring_bits, role = m->cfg.role, share = (owner + 3 - m->lead) % 3;
    const bool bits = t->kind == CCZ_REP3_BITS;
    uint64_t *mine = cczi_rep3_plane(t, 0), *next = cczi_rep3_plane(t, 1);
    cczi_rep3_pair(role == owner ? mine : next, t->words, bits ? 64 : k, share, m);
    if (role == owner && values) {
        memcpy(next, values, t->words * sizeof(*next));
        CCZ_CT_SECRET(next, t->words * sizeof(*next));
        for (size_t i = 0; bits && i < t->words; i++)
            next[i] ^= mine[i];
        if (!bits)
            ccz_ring_sub(next, next, mine, t->len, k);
    }
    if (!bits)
        add_common(t, owner);
    if (role == owner && bits)
        cczi_rep3_put_rows(m, CCZI_NEXT, next, 1, t->len);
    else if (role == owner)
        cczi_rep3_put(m, CCZI_NEXT, next, t->len, k);
    else if (role == (owner + 1) % 3 && bits)
        cczi_rep3_want_rows(m, CCZI_PREV, mine, 1, t->len);
    else if (role == (owner + 1) % 3)
        cczi_rep3_want(m, CCZI_PREV, mine, t->len, k);
    ccz_rc rc = cczi_rep3_round(m, err);
    if (bits)
        cczi_rep3_trim(t);
    return rc;
}

static ccz_rc input(struct ccz_rep3_tensor **out, struct ccz_rep3 *m, unsigned owner,
                    enum ccz_rep3_kind kind, const struct ccz_rep3_shape *shape, unsigned frac,
                    const uint64_t *values, struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = cczi_rep3_enter(m, err);
    if (rc != CCZ_OK)
        return rc;
    CCZ_AUTO(ccz_rep3_tensor) t = NULL;
    rc = check_input(m, owner, values, err);
    if (rc == CCZ_OK)
        rc = cczi_rep3_tensor_new(&t, m, kind, shape, frac, err);
    if (rc == CCZ_OK)
        rc = deal(t, owner, values, err);
    if (rc == CCZ_OK)
        *out = ccz_rep3_tensor_take(&t);
    return cczi_rep3_leave(m, rc, err);
}

ccz_rc ccz_rep3_share(struct ccz_rep3_tensor **out, struct ccz_rep3 *m, unsigned owner,
                      struct ccz_rep3_shape shape, unsigned frac, const uint64_t *values,
                      struct ccz_err *err)
{
    return input(out, m, owner, CCZ_REP3_SHARED, &shape, frac, values, err);
}

ccz_rc ccz_rep3_share_bits(struct ccz_rep3_tensor **out, struct ccz_rep3 *m, unsigned owner,
                           struct ccz_rep3_shape shape, const uint64_t *bits, struct ccz_err *err)
{
    return input(out, m, owner, CCZ_REP3_BITS, &shape, 0, bits, err);
}

/* ------------------------------------------------------------------------------------ reveals */

enum { DIGEST = 32 };

static ccz_rc check_reveal(const uint64_t *out, const struct ccz_rep3_tensor *t, unsigned to,
                           struct ccz_err *err)
{
    bool mine = to >> t->m->cfg.role & 1;
    if (to == 0 || to > CCZ_REP3_TO_ALL)
        return ccz_refuse_num(err, CCZ_E_ARG, "rep3:reveal", to, CCZ_REP3_TO_ALL);
    if (mine != (out != NULL) && !(!t->m->chan[0] && !out))
        return ccz_fail(err, CCZ_E_ARG, "rep3:reveal", to,
                        mine ? "a receiver without a place for the values"
                             : "a place for values that go to others");
    return cczi_rep3_want_kind(t, 1u << CCZ_REP3_SHARED | 1u << CCZ_REP3_BITS, err);
}

static size_t plane_size(const struct ccz_rep3_tensor *t)
{
    return t->kind == CCZ_REP3_BITS ? (t->len + 7) / 8 : t->len * t->m->cfg.ring_bits / 8;
}

static void pack_plane(uint8_t *out, const struct ccz_rep3_tensor *t, const uint64_t *v)
{
    if (t->kind == CCZ_REP3_BITS)
        ccz_ring_pack_bits(out, v, t->len);
    else
        ccz_ring_pack(out, v, t->len, t->m->cfg.ring_bits);
}

/* A plane as it is compared: itself if it is short, else its hash; a byte in each word. */
static ccz_rc digest(uint64_t out[DIGEST], const struct ccz_rep3_tensor *t, const uint64_t *v,
                     struct ccz_err *err)
{
    const size_t size = plane_size(t);
    uint8_t hash[DIGEST] = {0};
    CCZI_REP3_WORDS bytes = {0};
    ccz_rc rc = cczi_rep3_words_init(&bytes, size / 8 + 1, err);
    if (rc != CCZ_OK)
        return rc;
    pack_plane((uint8_t *)bytes.v, t, v);
    struct ccz_span all = CCZ_SPAN(bytes.v, size);
    if (size <= DIGEST)
        memcpy(hash, bytes.v, size);
    else if (ccz_hash(hash, CCZ_SHA256, &all, 1) != CCZ_OK)
        return ccz_fail(err, CCZ_E_INTERNAL, "rep3:hash", 0, "hashing failed");
    ccz_ring_unpack(out, hash, DIGEST, 8);
    return CCZ_OK;
}

static ccz_rc compare_copies(const struct ccz_rep3_tensor *t, const uint64_t *lacked,
                             const uint64_t *got, size_t len, struct ccz_err *err)
{
    uint64_t expected[DIGEST];
    ccz_rc rc = digest(expected, t, lacked, err);
    if (rc != CCZ_OK || !t->m->chan[0])
        return rc;
    CCZ_CT_PUBLIC(expected, sizeof(expected)); /* both others have sent it */
    if (memcmp(expected, got, len * sizeof(*got)) == 0)
        return CCZ_OK;
    (void)ccz_fail(err, CCZ_E_PEER, "rep3:copies", 0,
                   "the other two parties do not have the same copy of a share");
    return ccz_hint(err, CCZ_E_PEER,
                    "a message was damaged, or one of them does not run this program");
}

/* The share that a receiver lacks comes from the next party; from the previous one its copy or hash. */
static ccz_rc fetch(uint64_t *lacked, const struct ccz_rep3_tensor *t, unsigned to,
                    struct ccz_err *err)
{
    struct ccz_rep3 *m = t->m;
    const unsigned role = m->cfg.role, k = m->cfg.ring_bits;
    const size_t size = plane_size(t), short_size = size < DIGEST ? size : DIGEST;
    const bool bits = t->kind == CCZ_REP3_BITS, mine = to >> role & 1;
    uint64_t sent[DIGEST], got[DIGEST];
    ccz_rc rc = CCZ_OK;
    if (to >> (role + 2) % 3 & 1 && bits)
        cczi_rep3_put_rows(m, CCZI_PREV, cczi_rep3_plane(t, 1), 1, t->len);
    else if (to >> (role + 2) % 3 & 1)
        cczi_rep3_put(m, CCZI_PREV, cczi_rep3_plane(t, 1), t->len, k);
    if (to >> (role + 1) % 3 & 1) {
        rc = digest(sent, t, cczi_rep3_plane(t, 0), err);
        if (rc != CCZ_OK)
            return rc;
        cczi_rep3_put(m, CCZI_NEXT, sent, short_size, 8);
    }
    if (mine && bits)
        cczi_rep3_want_rows(m, CCZI_NEXT, lacked, 1, t->len);
    else if (mine)
        cczi_rep3_want(m, CCZI_NEXT, lacked, t->len, k);
    if (mine)
        cczi_rep3_want(m, CCZI_PREV, got, short_size, 8);
    rc = cczi_rep3_round(m, err);
    return rc == CCZ_OK && mine ? compare_copies(t, lacked, got, short_size, err) : rc;
}

static ccz_rc reveal(uint64_t *out, const struct ccz_rep3_tensor *t, unsigned to, const char *label,
                     struct ccz_err *err)
{
    struct ccz_rep3 *m = t->m;
    const unsigned k = m->cfg.ring_bits;
    CCZI_REP3_WORDS lacked = {0};
    ccz_rc rc = check_reveal(out, t, to, err);
    if (rc == CCZ_OK)
        rc = cczi_rep3_words_init(&lacked, t->words, err);
    if (rc != CCZ_OK)
        return rc;
    m->stats.reveals++;
    m->stats.revealed_len += t->len;
    const struct ccz_rep3_reveal r = {label ? label : "", t->len, to, m->stats.reveals};
    if (m->cfg.on_reveal)
        m->cfg.on_reveal(m->cfg.arg, &r);
    rc = fetch(lacked.v, t, to, err);
    if (rc != CCZ_OK || !out)
        return rc;
    if (t->kind == CCZ_REP3_BITS)
        for (size_t i = 0; i < t->words; i++)
            out[i] = t->v[i] ^ cczi_rep3_plane(t, 1)[i] ^ lacked.v[i];
    else {
        ccz_ring_add(out, t->v, cczi_rep3_plane(t, 1), t->len, k);
        ccz_ring_add(out, out, lacked.v, t->len, k);
    }
    CCZ_CT_PUBLIC(out, t->words * sizeof(*out));
    return CCZ_OK;
}

ccz_rc ccz_rep3_reveal(uint64_t *out, const struct ccz_rep3_tensor *t, unsigned to,
                       const char *label, struct ccz_err *err)
{
    ccz_rc rc = cczi_rep3_enter(t->m, err);
    if (rc == CCZ_OK)
        rc = cczi_rep3_leave(t->m, reveal(out, t, to, label, err), err);
    if (rc != CCZ_OK && out && (to >> t->m->cfg.role & 1)) /* else it may be of any size */
        memset(out, 0, t->words * sizeof(*out));
    return rc;
}
