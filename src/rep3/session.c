/* SPDX-License-Identifier: Apache-2.0 */
/* Hello, failure, counters, randomness, memory. */
#include "rep3_priv.h"

#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------------------------- failure */

ccz_rc cczi_rep3_enter(const struct ccz_rep3 *m, struct ccz_err *err)
{
    if (m->rc != CCZ_OK && err)
        *err = m->err;
    return m->rc;
}

ccz_rc ccz_rep3_status(const struct ccz_rep3 *m, struct ccz_err *err)
{
    return cczi_rep3_enter(m, err);
}

static void close_both(struct ccz_chan *prev, struct ccz_chan *next, const struct ccz_err *e)
{
    ccz_chan_close_error(prev, e);
    ccz_chan_close_error(next, e);
}

ccz_rc cczi_rep3_leave(struct ccz_rep3 *m, ccz_rc rc, struct ccz_err *err)
{
    if (rc == CCZ_OK || m->rc != CCZ_OK)
        return rc;
    m->rc = rc;
    if (err)
        m->err = *err;
    else
        (void)ccz_fail(&m->err, rc, "rep3:failed", 0, "%s", ccz_rc_str(rc));
    if (m->chan[0])
        close_both(m->chan[0], m->chan[1], &m->err);
    return rc;
}

/* ------------------------------------------------------------------------------- accessors */

const struct ccz_rep3_cfg *ccz_rep3_cfg_of(const struct ccz_rep3 *m)
{
    return &m->cfg;
}

bool ccz_rep3_is_plan(const struct ccz_rep3 *m)
{
    return !m->chan[0];
}

ccz_rc cczi_rep3_check_frac(const struct ccz_rep3 *m, uint64_t frac, struct ccz_err *err)
{
    unsigned most = m->cfg.ring_bits - 2;
    if (frac <= most)
        return CCZ_OK;
    (void)ccz_refuse_num(err, CCZ_E_ARG, "rep3:frac", (int64_t)frac, most);
    return ccz_hint(err, CCZ_E_ARG, "truncate before the next product, or take a larger ring");
}

struct ccz_rep3_stats ccz_rep3_stats(const struct ccz_rep3 *m)
{
    struct ccz_rep3_stats s = m->stats;
    for (int d = 0; d < 2 && m->chan[0]; d++) {
        struct ccz_chan_stats now = ccz_chan_stats(m->chan[d]);
        s.sent_size[d] = now.sent_size - m->base[d].sent_size;
        s.received_size[d] = now.received_size - m->base[d].received_size;
        s.sent_len[d] = now.sent_len - m->base[d].sent_len;
        s.received_len[d] = now.received_len - m->base[d].received_len;
    }
    return s;
}

/* ------------------------------------------------------------------------------------- memory */

ccz_rc cczi_rep3_words_init(struct cczi_rep3_words *w, size_t len, struct ccz_err *err)
{
    w->len = len;
    w->v = calloc(len ? len : 1, sizeof(*w->v));
    if (!w->v)
        return ccz_fail(err, CCZ_E_NOMEM, "rep3:memory", (int64_t)len, "no memory for %zu words",
                        len);
    return CCZ_OK;
}

void cczi_rep3_words_deinit(struct cczi_rep3_words *w)
{
    if (w->v)
        ccz_wipe(w->v, w->len * sizeof(*w->v));
    free(w->v);
    *w = (struct cczi_rep3_words){0};
}

/* -------------------------------------------------------------------------------- randomness */

enum { AHEAD = sizeof(((struct cczi_rep3_prf *)0)->ahead) / sizeof(uint64_t) };

static void draw(uint64_t *out, size_t len, uint64_t mask, struct cczi_rep3_prf *p,
                 struct ccz_rep3 *m)
{
    if (!p->stream) { /* planning */
        memset(out, 0, len * sizeof(*out));
        return;
    }
    while (len > 0) {
        if (p->at == AHEAD) {
            if (ccz_stream_read(p->ahead, p->stream, sizeof(p->ahead)) != CCZ_OK)
                m->bad = true;
            CCZ_CT_SECRET(p->ahead, sizeof(p->ahead));
            p->at = 0;
        }
        size_t n = AHEAD - p->at < len ? AHEAD - p->at : len;
        for (size_t i = 0; i < n; i++)
            out[i] = p->ahead[p->at + i] & mask;
        p->at += n;
        out += n;
        len -= n;
    }
}

void cczi_rep3_pair(uint64_t *out, size_t len, unsigned bits, unsigned rel_share,
                    struct ccz_rep3 *m)
{
    unsigned at = (rel_share + 3 - cczi_rep3_rel(m)) % 3; /* 0: with the previous party */
    if (at < 2)
        draw(out, len, ccz_ring_mask(bits), &m->pair[at], m);
}

void cczi_rep3_common(uint64_t *out, size_t len, unsigned bits, struct ccz_rep3 *m)
{
    draw(out, len, ccz_ring_mask(bits), &m->common, m);
}

void cczi_rep3_own(uint64_t *out, size_t len, unsigned bits, struct ccz_rep3 *m)
{
    draw(out, len, ccz_ring_mask(bits), &m->own, m);
}

enum { PIECE = 256 };

/* F_i - F_(i+1): over the three parties the sum is zero, and each of them lacks one of the streams. */
void cczi_rep3_mask(uint64_t *v, size_t len, struct ccz_rep3 *m)
{
    uint64_t a[PIECE], b[PIECE];
    const unsigned bits = m->cfg.ring_bits;
    for (size_t i = 0; i < len; i += PIECE) {
        size_t n = len - i < PIECE ? len - i : PIECE;
        draw(a, n, UINT64_MAX, &m->pair[0], m);
        draw(b, n, UINT64_MAX, &m->pair[1], m);
        ccz_ring_add(v + i, v + i, a, n, bits);
        ccz_ring_sub(v + i, v + i, b, n, bits);
    }
    ccz_wipe(a, sizeof(a));
    ccz_wipe(b, sizeof(b));
}

void cczi_rep3_mask_bits(uint64_t *v, size_t words, struct ccz_rep3 *m)
{
    uint64_t a[PIECE], b[PIECE];
    for (size_t i = 0; i < words; i += PIECE) {
        size_t n = words - i < PIECE ? words - i : PIECE;
        draw(a, n, UINT64_MAX, &m->pair[0], m);
        draw(b, n, UINT64_MAX, &m->pair[1], m);
        for (size_t j = 0; j < n; j++)
            v[i + j] ^= a[j] ^ b[j];
    }
    ccz_wipe(a, sizeof(a));
    ccz_wipe(b, sizeof(b));
}

/* -------------------------------------------------------------------------------------- hello */

/* A nonce for the pair, and one for all three. */
enum { VERSION = 1, NONCE_AT = 48, NONCE_SIZE = 32, HELLO = CCZ_REP3_HELLO_SIZE };
enum { COMMON_AT = NONCE_AT + NONCE_SIZE };
_Static_assert(COMMON_AT + NONCE_SIZE == HELLO, "size of a hello");
static const char magic[8] = {'C', 'C', 'Z', 'R', 'E', 'P', '3', VERSION};

/* Fields of one byte each, behind the magic; then zeros. */
enum { AT_ROLE = 8, AT_RING, AT_FRAC, AT_TRUNC, AT_ZERO, AT_PROGRAM = 16 };

static void make_hello(uint8_t out[HELLO], const struct ccz_rep3_cfg *cfg)
{
    memset(out, 0, HELLO);
    memcpy(out, magic, sizeof(magic));
    out[AT_ROLE] = (uint8_t)cfg->role;
    out[AT_RING] = (uint8_t)cfg->ring_bits;
    out[AT_FRAC] = (uint8_t)cfg->frac;
    out[AT_TRUNC] = (uint8_t)cfg->trunc;
    memcpy(out + AT_PROGRAM, cfg->program, CCZ_REP3_PROGRAM_SIZE);
}

static ccz_rc check_hello(const uint8_t *peer, const uint8_t *own, unsigned role,
                          struct ccz_err *err)
{
    static const struct {
        unsigned at;
        const char *where;
    } same[] = {{AT_RING, "rep3:hello-ring"},   {AT_FRAC, "rep3:hello-frac"},
                {AT_TRUNC, "rep3:hello-trunc"}, {AT_ZERO, "rep3:hello"},
                {AT_ZERO + 1, "rep3:hello"},    {AT_ZERO + 2, "rep3:hello"},
                {AT_ZERO + 3, "rep3:hello"}};
    const char *hint = "all parties need the same program and configuration, and roles 0, 1 and 2";
    if (memcmp(peer, magic, sizeof(magic) - 1) != 0)
        return ccz_refuse_bytes(err, CCZ_E_PEER, "rep3:hello", peer, 8, own, 8);
    if (peer[7] != VERSION)
        return ccz_refuse_num(err, CCZ_E_PEER, "rep3:hello-version", peer[7], VERSION);
    if (peer[AT_ROLE] != role) {
        (void)ccz_refuse_num(err, CCZ_E_PEER, "rep3:hello-role", peer[AT_ROLE], role);
        return ccz_hint(err, CCZ_E_PEER, hint);
    }
    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++)
        if (peer[same[i].at] != own[same[i].at]) {
            (void)ccz_refuse_num(err, CCZ_E_PEER, same[i].where, peer[same[i].at], own[same[i].at]);
            return ccz_hint(err, CCZ_E_PEER, hint);
        }
    if (memcmp(peer + AT_PROGRAM, own + AT_PROGRAM, CCZ_REP3_PROGRAM_SIZE) != 0) {
        (void)ccz_refuse_bytes(err, CCZ_E_PEER, "rep3:hello-program", peer + AT_PROGRAM,
                               CCZ_REP3_PROGRAM_SIZE, own + AT_PROGRAM, CCZ_REP3_PROGRAM_SIZE);
        return ccz_hint(err, CCZ_E_PEER, hint);
    }
    return CCZ_OK;
}

/* A stream whose seed is the hash of what some have said, or fresh random bytes. */
static ccz_rc start(struct cczi_rep3_prf *p, const struct ccz_span *said, size_t len,
                    struct ccz_err *err)
{
    static const uint8_t iv[CCZ_STREAM_IV_SIZE];
    uint8_t seed[CCZ_STREAM_SEED_SIZE];
    ccz_rc rc = len ? ccz_hash(seed, CCZ_SHA256, said, len) : ccz_random(seed, sizeof(seed));
    if (rc == CCZ_OK)
        rc = ccz_stream_new(&p->stream);
    if (rc == CCZ_OK)
        rc = ccz_stream_start(p->stream, seed, iv);
    p->at = AHEAD;
    ccz_wipe(seed, sizeof(seed));
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "rep3:random", 0, "the random generator failed");
    return CCZ_OK;
}

/*
 * The random part of a hello goes to one party alone: with one for both, the third could put the seed of a pair together from
 * what the two have sent to it. Another one is for both: what is made of these is public.
 */
static ccz_rc start_all(struct ccz_rep3 *m, uint8_t own[2][HELLO], uint8_t peer[2][HELLO],
                        struct ccz_err *err)
{
    const unsigned role = m->cfg.role;
    const struct ccz_span name = ccz_span_str("cczoo rep3, pair");
    /* Pair j: what party j - 1 said, then what party j said. */
    const struct ccz_span prev[3] = {name, CCZ_SPAN(peer[CCZI_PREV], HELLO),
                                     CCZ_SPAN(own[CCZI_PREV], HELLO)};
    const struct ccz_span next[3] = {name, CCZ_SPAN(own[CCZI_NEXT], HELLO),
                                     CCZ_SPAN(peer[CCZI_NEXT], HELLO)};
    struct ccz_span all[4] = {ccz_span_str("cczoo rep3, all")};
    all[1 + role] = CCZ_SPAN(own[0] + COMMON_AT, NONCE_SIZE);
    all[1 + (role + 2) % 3] = CCZ_SPAN(peer[CCZI_PREV] + COMMON_AT, NONCE_SIZE);
    all[1 + (role + 1) % 3] = CCZ_SPAN(peer[CCZI_NEXT] + COMMON_AT, NONCE_SIZE);
    ccz_rc rc = start(&m->pair[0], prev, 3, err);
    if (rc == CCZ_OK)
        rc = start(&m->pair[1], next, 3, err);
    if (rc == CCZ_OK)
        rc = start(&m->common, all, 4, err);
    return rc == CCZ_OK ? start(&m->own, NULL, 0, err) : rc;
}

static ccz_rc greet(struct ccz_rep3 *m, struct ccz_err *err)
{
    uint8_t own[2][HELLO], peer[2][HELLO] = {{0}};
    const unsigned role = m->cfg.role;
    ccz_rc rc = CCZ_OK;
    for (int d = 0; d < 2 && rc == CCZ_OK; d++) {
        make_hello(own[d], &m->cfg);
        if (ccz_random(own[d] + NONCE_AT, 2 * NONCE_SIZE) != CCZ_OK)
            rc = ccz_fail(err, CCZ_E_INTERNAL, "rep3:random", 0, "the random generator failed");
    }
    memcpy(own[1] + COMMON_AT, own[0] + COMMON_AT, NONCE_SIZE);
    for (int d = 0; d < 2 && rc == CCZ_OK; d++)
        rc = ccz_chan_send(m->chan[d], CCZ_SPAN(own[d], HELLO), err);
    for (int d = 0; d < 2 && rc == CCZ_OK; d++) {
        rc = ccz_chan_recv_exact(peer[d], HELLO, m->chan[d], err);
        if (rc == CCZ_OK)
            rc = check_hello(peer[d], own[d], (role + (d == CCZI_PREV ? 2 : 1)) % 3, err);
    }
    if (rc == CCZ_OK)
        rc = start_all(m, own, peer, err);
    ccz_wipe(own, sizeof(own));
    ccz_wipe(peer, sizeof(peer));
    return rc;
}

/* ----------------------------------------------------------------------------- birth and end */

static ccz_rc check_cfg(const struct ccz_rep3_cfg *cfg, struct ccz_err *err)
{
    const unsigned k = cfg->ring_bits;
    if (cfg->role > 2)
        return ccz_refuse_num(err, CCZ_E_ARG, "rep3:role", cfg->role, 2);
    if (k != 8 && k != 16 && k != 32 && k != 64)
        return ccz_refuse_num(err, CCZ_E_ARG, "rep3:ring", k, 64);
    if (cfg->frac > k - 2)
        return ccz_refuse_num(err, CCZ_E_ARG, "rep3:frac", cfg->frac, k - 2);
    if ((unsigned)cfg->trunc > CCZ_REP3_TRUNC_FAST)
        return ccz_refuse_num(err, CCZ_E_ARG, "rep3:trunc", cfg->trunc, CCZ_REP3_TRUNC_SAFE);
    return CCZ_OK;
}

static ccz_rc make(struct ccz_rep3 **out, struct ccz_chan *prev, struct ccz_chan *next,
                   const struct ccz_rep3_cfg *cfg, struct ccz_err *err)
{
    ccz_rc rc = check_cfg(cfg, err);
    if (rc != CCZ_OK)
        return rc;
    CCZ_AUTO(ccz_rep3) m = calloc(1, sizeof(*m));
    if (!m)
        return ccz_fail(err, CCZ_E_NOMEM, "rep3:memory", 0, "no memory for a session");
    m->cfg = *cfg;
    m->stats.rounds = 1;
    for (int d = 0; d < 2; d++) {
        m->chan[d] = d == CCZI_PREV ? prev : next;
        ccz_buf_init(&m->io[d].out, CCZ_CHAN_MESSAGE_SIZE_MAX);
        ccz_buf_init(&m->io[d].in, CCZ_CHAN_MESSAGE_SIZE_MAX);
        m->io[d].out.wipe = m->io[d].in.wipe = true;
        if (prev)
            m->base[d] = ccz_chan_stats(m->chan[d]);
        else {
            m->stats.sent_size[d] = m->stats.received_size[d] = HELLO;
            m->stats.sent_len[d] = m->stats.received_len[d] = 1;
        }
    }
    if (prev)
        rc = greet(m, err);
    if (rc == CCZ_OK)
        *out = ccz_rep3_take(&m);
    return rc;
}

ccz_rc ccz_rep3_new(struct ccz_rep3 **out, struct ccz_chan *prev, struct ccz_chan *next,
                    const struct ccz_rep3_cfg *cfg, struct ccz_err *err)
{
    struct ccz_err own = {0};
    *out = NULL;
    if (!prev || !next)
        return ccz_fail(err, CCZ_E_ARG, "rep3:chan", 0, "a session needs two channels");
    ccz_rc rc = make(out, prev, next, cfg, &own);
    if (rc != CCZ_OK) { /* nobody else would tell the others */
        close_both(prev, next, &own);
        if (err)
            *err = own;
    }
    return rc;
}

ccz_rc ccz_rep3_plan_new(struct ccz_rep3 **out, const struct ccz_rep3_cfg *cfg, struct ccz_err *err)
{
    *out = NULL;
    return make(out, NULL, NULL, cfg, err);
}

void ccz_rep3_free(struct ccz_rep3 *m)
{
    if (!m)
        return;
    for (int d = 0; d < 2; d++) {
        ccz_stream_free(m->pair[d].stream);
        ccz_buf_free(&m->io[d].out);
        ccz_buf_free(&m->io[d].in);
        free(m->io[d].want);
    }
    ccz_stream_free(m->own.stream);
    ccz_stream_free(m->common.stream);
    ccz_wipe(m, sizeof(*m));
    free(m);
}
