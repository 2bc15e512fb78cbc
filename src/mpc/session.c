/* SPDX-License-Identifier: Apache-2.0 */
/* Hello, failure, counters, randomness. */
#define _POSIX_C_SOURCE 200809L
#include "session.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---------------------------------------------------------------------------------- failure */

ccz_rc cczi_mpc_enter(struct ccz_mpc *m, struct ccz_err *err)
{
    if (m->rc != CCZ_OK && err)
        *err = m->err;
    return m->rc;
}

ccz_rc cczi_mpc_leave(struct ccz_mpc *m, ccz_rc rc, struct ccz_err *err)
{
    if (rc == CCZ_OK || m->rc != CCZ_OK)
        return rc;
    m->rc = rc;
    if (err)
        m->err = *err;
    else
        (void)ccz_fail(&m->err, rc, "mpc:failed", 0, "%s", ccz_rc_str(rc));
    if (m->chan) {
        ccz_chan_close_error(m->chan, &m->err);
        if (m->watched) /* the peer may be waiting there */
            ccz_chan_close_error(m->watched, &m->err);
    }
    return rc;
}

ccz_rc ccz_mpc_status(const struct ccz_mpc *m, struct ccz_err *err)
{
    if (m->rc != CCZ_OK && err)
        *err = m->err;
    return m->rc;
}

/* --------------------------------------------------------------------------------- accessors */

unsigned cczi_mpc_role(const struct ccz_mpc *m)
{
    return m->cfg.role;
}

unsigned cczi_mpc_bits(const struct ccz_mpc *m)
{
    return m->cfg.ring_bits;
}

uint64_t cczi_mpc_mask(const struct ccz_mpc *m)
{
    return UINT64_MAX >> (64 - m->cfg.ring_bits);
}

bool cczi_mpc_planning(const struct ccz_mpc *m)
{
    return !m->chan;
}

bool ccz_mpc_is_plan(const struct ccz_mpc *m)
{
    return !m->chan;
}

struct ccz_chan *cczi_mpc_chan(struct ccz_mpc *m)
{
    return m->chan;
}

const uint8_t *cczi_mpc_session(const struct ccz_mpc *m)
{
    return m->session;
}

const struct ccz_mpc_cfg *ccz_mpc_cfg_of(const struct ccz_mpc *m)
{
    return &m->cfg;
}

/* ---------------------------------------------------------------------------------- counters */

static int64_t thread_cpu_ns(void)
{
    struct timespec t;
    if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) != 0)
        return 0;
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void add_since(struct ccz_mpc_phase_stats *p, const struct ccz_chan *chan,
                      const struct ccz_chan_stats *base)
{
    struct ccz_chan_stats now = ccz_chan_stats(chan);
    p->sent_size += now.sent_size - base->sent_size;
    p->received_size += now.received_size - base->received_size;
    p->sent_len += now.sent_len - base->sent_len;
    p->received_len += now.received_len - base->received_len;
}

/* What has happened since the last call belongs to the present phase. */
static void settle(struct ccz_mpc_stats *stats, const struct ccz_mpc *m)
{
    struct ccz_mpc_phase_stats *p = &stats->phase[m->phase];
    if (m->chan)
        add_since(p, m->chan, &m->base);
    if (m->watched)
        add_since(p, m->watched, &m->watched_base);
    p->time_ns += ccz_mono_ns() - m->base_ns;
    p->cpu_ns += thread_cpu_ns() - m->base_cpu_ns;
}

static void rebase(struct ccz_mpc *m)
{
    if (m->chan)
        m->base = ccz_chan_stats(m->chan);
    if (m->watched)
        m->watched_base = ccz_chan_stats(m->watched);
    m->base_ns = ccz_mono_ns();
    m->base_cpu_ns = thread_cpu_ns();
}

void cczi_mpc_watch(struct ccz_mpc *m, struct ccz_chan *chan)
{
    settle(&m->stats, m);
    m->watched = chan;
    rebase(m);
}

enum ccz_mpc_phase cczi_mpc_phase(struct ccz_mpc *m, enum ccz_mpc_phase phase)
{
    enum ccz_mpc_phase before = m->phase;
    if (before == phase)
        return before;
    settle(&m->stats, m);
    rebase(m);
    m->phase = phase;
    return before;
}

void cczi_mpc_count_rounds(struct ccz_mpc *m, uint64_t rounds)
{
    m->stats.phase[m->phase].rounds += rounds;
}

void cczi_mpc_count_plan(struct ccz_mpc *m, uint64_t sent_size, uint64_t sent_len,
                         uint64_t received_size, uint64_t received_len)
{
    struct ccz_mpc_phase_stats *p = &m->stats.phase[m->phase];
    if (m->chan)
        return;
    p->sent_size += sent_size;
    p->sent_len += sent_len;
    p->received_size += received_size;
    p->received_len += received_len;
}

struct ccz_mpc_stats ccz_mpc_stats(const struct ccz_mpc *m)
{
    struct ccz_mpc_stats s = m->stats;
    settle(&s, m);
    s.needs[CCZ_MPC_OTS] = m->ots[0] + m->ots[1];
    s.distance = m->distance[m->cfg.role];
    return s;
}

enum { STAT_BITS = 40, STAT_BITS_MAX = 64 };

ccz_rc cczi_mpc_distance_add(struct ccz_mpc *m, const double more[2], struct ccz_err *err)
{
    const unsigned bits = m->cfg.stat_bits ? m->cfg.stat_bits : STAT_BITS;
    for (unsigned r = 0; r < 2; r++) {
        const double sum = m->distance[r] + more[r];
        if (sum <= ldexp(1, -(int)bits))
            continue;
        (void)ccz_fail(err, CCZ_E_LIMIT, "mpc:he-distance", (int64_t)-log2(sum),
                       "statistical distance 2^%.1f of what party %u gives away, expected 2^-%u",
                       log2(sum), r, bits);
        return ccz_hint(err, CCZ_E_LIMIT,
                        "randomness from transfers or a dealer, fewer results, or stat_bits");
    }
    m->distance[0] += more[0];
    m->distance[1] += more[1];
    return CCZ_OK;
}

/* -------------------------------------------------------------------------------- randomness */

enum { WIDE = 64 };

static ccz_rc draw(uint64_t *out, size_t len, unsigned bits, struct ccz_stream *s,
                   struct ccz_err *err)
{
    if (!s) { /* planning */
        memset(out, 0, len * sizeof(*out));
        return CCZ_OK;
    }
    if (ccz_stream_read(out, s, len * sizeof(*out)) != CCZ_OK)
        return ccz_fail(err, CCZ_E_INTERNAL, "mpc:random", 0, "the random stream failed");
    if (bits < WIDE) {
        uint64_t mask = UINT64_MAX >> (WIDE - bits);
        for (size_t i = 0; i < len; i++)
            out[i] &= mask;
    }
    return CCZ_OK;
}

static ccz_rc draw_bits(uint64_t *out, size_t len, struct ccz_stream *s, struct ccz_err *err)
{
    ccz_rc rc = draw(out, (len + 63) / 64, WIDE, s, err);
    if (rc == CCZ_OK && len % 64)
        out[len / 64] &= ((uint64_t)1 << len % 64) - 1;
    return rc;
}

ccz_rc cczi_mpc_common(uint64_t *out, size_t len, unsigned bits, struct ccz_mpc *m,
                       struct ccz_err *err)
{
    return draw(out, len, bits, m->common, err);
}

ccz_rc cczi_mpc_random(uint64_t *out, size_t len, unsigned bits, struct ccz_mpc *m,
                       struct ccz_err *err)
{
    ccz_rc rc = draw(out, len, bits, m->own, err);
    CCZ_CT_SECRET(out, len * sizeof(*out));
    return rc;
}

ccz_rc cczi_mpc_common_bits(uint64_t *out, size_t len, struct ccz_mpc *m, struct ccz_err *err)
{
    return draw_bits(out, len, m->common, err);
}

ccz_rc cczi_mpc_random_bits(uint64_t *out, size_t len, struct ccz_mpc *m, struct ccz_err *err)
{
    ccz_rc rc = draw_bits(out, len, m->own, err);
    CCZ_CT_SECRET(out, (len + 63) / 64 * sizeof(*out));
    return rc;
}

/* ------------------------------------------------------------------------------------- memory */

ccz_rc cczi_mpc_alloc(void *out, size_t len, size_t size, struct ccz_err *err)
{
    void *p = calloc(len ? len : 1, size);
    memcpy(out, &p, sizeof(p)); /* a pointer to a pointer of any kind */
    if (!p)
        return ccz_fail(err, CCZ_E_NOMEM, "mpc:memory", (int64_t)len, "no memory for %zu elements",
                        len);
    return CCZ_OK;
}

void cczi_mpc_wipe_free(void *p, size_t size)
{
    if (p)
        ccz_wipe(p, size);
    free(p);
}

ccz_rc cczi_words_init(struct cczi_words *w, size_t len, struct ccz_err *err)
{
    w->len = len;
    return cczi_mpc_alloc(&w->v, len, sizeof(*w->v), err);
}

void cczi_words_deinit(struct cczi_words *w)
{
    cczi_mpc_wipe_free(w->v, w->len * sizeof(*w->v));
    *w = (struct cczi_words){0};
}

/* -------------------------------------------------------------------------------------- hello */

enum { VERSION = 1, NONCE_AT = 48, NONCE_SIZE = 32 };
_Static_assert(NONCE_AT + NONCE_SIZE == CCZ_MPC_HELLO_SIZE, "size of a hello");
static const char magic[8] = {'C', 'C', 'Z', 'M', 'P', 'C', 0, VERSION};

/* Fields of one byte each, behind the magic. */
enum { AT_ROLE = 8, AT_RING, AT_FRAC, AT_TRUNC, AT_OT, AT_OT_K, AT_SOURCE, AT_ZERO, AT_PROGRAM };

static void make_hello(uint8_t out[CCZ_MPC_HELLO_SIZE], const struct ccz_mpc_cfg *cfg)
{
    memcpy(out, magic, sizeof(magic));
    out[AT_ROLE] = (uint8_t)cfg->role;
    out[AT_RING] = (uint8_t)cfg->ring_bits;
    out[AT_FRAC] = (uint8_t)cfg->frac;
    out[AT_TRUNC] = (uint8_t)cfg->trunc;
    out[AT_OT] = (uint8_t)cfg->ot;
    out[AT_OT_K] = (uint8_t)cfg->ot_k;
    out[AT_SOURCE] = (uint8_t)cfg->source;
    out[AT_ZERO] = 0;
    memcpy(out + AT_PROGRAM, cfg->program, CCZ_MPC_PROGRAM_SIZE);
}

static const char hint[] =
    "both parties need the same program and configuration, and opposite roles";

static ccz_rc check_program(const uint8_t *peer, const uint8_t *own, struct ccz_err *err)
{
    if (memcmp(peer, own, CCZ_MPC_PROGRAM_SIZE) == 0)
        return CCZ_OK;
    (void)ccz_refuse_bytes(err, CCZ_E_PEER, "mpc:hello-program", peer, CCZ_MPC_PROGRAM_SIZE, own,
                           CCZ_MPC_PROGRAM_SIZE);
    return ccz_hint(err, CCZ_E_PEER, hint);
}

static ccz_rc check_hello(const uint8_t *peer, const uint8_t *own, struct ccz_err *err)
{
    static const struct {
        unsigned at;
        const char *where;
    } same[] = {{AT_RING, "mpc:hello-ring"},   {AT_FRAC, "mpc:hello-frac"},
                {AT_TRUNC, "mpc:hello-trunc"}, {AT_OT, "mpc:hello-ot"},
                {AT_OT_K, "mpc:hello-ot"},     {AT_SOURCE, "mpc:hello-source"},
                {AT_ZERO, "mpc:hello"}};
    if (memcmp(peer, magic, sizeof(magic) - 1) != 0)
        return ccz_refuse_bytes(err, CCZ_E_PEER, "mpc:hello", peer, 8, own, 8);
    if (peer[7] != VERSION)
        return ccz_refuse_num(err, CCZ_E_PEER, "mpc:hello-version", peer[7], VERSION);
    if (peer[AT_ROLE] != 1 - own[AT_ROLE]) {
        (void)ccz_refuse_num(err, CCZ_E_PEER, "mpc:hello-role", peer[AT_ROLE], 1 - own[AT_ROLE]);
        return ccz_hint(err, CCZ_E_PEER, hint);
    }
    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++)
        if (peer[same[i].at] != own[same[i].at]) {
            (void)ccz_refuse_num(err, CCZ_E_PEER, same[i].where, peer[same[i].at], own[same[i].at]);
            return ccz_hint(err, CCZ_E_PEER, hint);
        }
    return check_program(peer + AT_PROGRAM, own + AT_PROGRAM, err);
}

ccz_rc ccz_mpc_compare(struct ccz_mpc *m, const uint8_t program[CCZ_MPC_PROGRAM_SIZE],
                       struct ccz_err *err)
{
    uint8_t peer[CCZ_MPC_PROGRAM_SIZE];
    ccz_rc rc = cczi_mpc_enter(m, err);
    if (rc != CCZ_OK)
        return rc;
    const enum ccz_mpc_phase before = cczi_mpc_phase(m, CCZ_MPC_SETUP);
    cczi_mpc_put_raw(m, program, CCZ_MPC_PROGRAM_SIZE);
    cczi_mpc_want_raw(m, peer, sizeof(peer));
    rc = cczi_mpc_round(m, err);
    if (rc == CCZ_OK && !cczi_mpc_planning(m))
        rc = check_program(peer, program, err);
    (void)cczi_mpc_phase(m, before);
    return cczi_mpc_leave(m, rc, err);
}

/* A stream of a seed that is the hash of a label and of what both parties have, or of fresh random bytes. */
static ccz_rc start_stream(struct ccz_stream **out, const uint8_t *common, struct ccz_err *err)
{
    static const uint8_t iv[CCZ_STREAM_IV_SIZE];
    uint8_t seed[32];
    struct ccz_span parts[2] = {ccz_span_str("cczoo mpc, common stream"), CCZ_SPAN(common, 32)};
    ccz_rc rc = common ? ccz_hash(seed, CCZ_SHA256, parts, 2) : ccz_random(seed, sizeof(seed));
    if (rc == CCZ_OK)
        rc = ccz_stream_new(out);
    if (rc == CCZ_OK)
        rc = ccz_stream_start(*out, seed, iv);
    ccz_wipe(seed, sizeof(seed));
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "mpc:random", 0, "the random generator failed");
    return CCZ_OK;
}

struct hellos {
    uint8_t of[2][CCZ_MPC_HELLO_SIZE];
};
static void hellos_deinit(struct hellos *h)
{
    ccz_wipe(h, sizeof(*h));
}
#define CCZI_AUTO_HELLOS __attribute__((cleanup(hellos_deinit))) struct hellos

static ccz_rc greet(struct ccz_mpc *m, struct ccz_err *err)
{
    CCZI_AUTO_HELLOS hello = {{{0}}}; /* nonces: what the seed of the common stream is made of */
    uint8_t *own = hello.of[m->cfg.role], *peer = hello.of[1 - m->cfg.role];
    make_hello(own, &m->cfg);
    if (ccz_random(own + NONCE_AT, NONCE_SIZE) != CCZ_OK)
        return ccz_fail(err, CCZ_E_INTERNAL, "mpc:random", 0, "the random generator failed");
    cczi_mpc_put_raw(m, own, CCZ_MPC_HELLO_SIZE);
    cczi_mpc_want_raw(m, peer, CCZ_MPC_HELLO_SIZE);
    ccz_rc rc = cczi_mpc_round(m, err);
    if (rc == CCZ_OK)
        rc = check_hello(peer, own, err);
    if (rc != CCZ_OK)
        return rc;
    struct ccz_span parts[2] = {ccz_span_str("cczoo mpc, session"),
                                CCZ_SPAN(hello.of, sizeof(hello.of))};
    if (ccz_hash(m->session, CCZ_SHA256, parts, 2) != CCZ_OK)
        return ccz_fail(err, CCZ_E_INTERNAL, "mpc:hash", 0, "hashing failed");
    rc = start_stream(&m->common, m->session, err);
    return rc == CCZ_OK ? start_stream(&m->own, NULL, err) : rc;
}

/* ----------------------------------------------------------------------------- birth and end */

bool cczi_mpc_trunc_fits(enum ccz_mpc_trunc mode, unsigned ring_bits)
{
    return mode != CCZ_MPC_TRUNC_LOCAL || ring_bits == 64;
}

ccz_rc cczi_mpc_refuse_local(unsigned ring_bits, struct ccz_err *err)
{
    (void)ccz_fail(err, CCZ_E_ARG, "mpc:trunc", (int64_t)ring_bits,
                   "local truncation in a ring of %u bits, expected 64", ring_bits);
    return ccz_hint(err, CCZ_E_ARG, "it is wrong with probability |x| / 2^k");
}

static ccz_rc check_cfg(const struct ccz_mpc_cfg *cfg, struct ccz_err *err)
{
    if (cfg->role > 1)
        return ccz_refuse_num(err, CCZ_E_ARG, "mpc:role", cfg->role, 1);
    if (!cczi_mpc_is_ring(cfg->ring_bits))
        return ccz_refuse_num(err, CCZ_E_ARG, "mpc:ring", cfg->ring_bits, 64);
    if (cfg->frac > cfg->ring_bits - 2)
        return ccz_refuse_num(err, CCZ_E_ARG, "mpc:frac", cfg->frac, cfg->ring_bits - 2);
    if ((unsigned)cfg->trunc > CCZ_MPC_TRUNC_LOCAL)
        return ccz_refuse_num(err, CCZ_E_ARG, "mpc:trunc", cfg->trunc, CCZ_MPC_TRUNC_FAITHFUL);
    if (!cczi_mpc_trunc_fits(cfg->trunc, cfg->ring_bits))
        return cczi_mpc_refuse_local(cfg->ring_bits, err);
    if ((unsigned)cfg->ot > CCZ_MPC_OT_SILENT || cfg->ot_k > 8)
        return ccz_refuse_num(err, CCZ_E_ARG, "mpc:ot", cfg->ot, CCZ_MPC_OT_SOFTSPOKEN);
    if (cfg->stat_bits > STAT_BITS_MAX)
        return ccz_refuse_num(err, CCZ_E_ARG, "mpc:stat-bits", cfg->stat_bits, STAT_BITS_MAX);
    if ((unsigned)cfg->source >= CCZ_MPC_SOURCE_KINDS)
        return ccz_refuse_num(err, CCZ_E_ARG, "mpc:source-kind", cfg->source, CCZ_MPC_SOURCE_OT);
    return CCZ_OK;
}

enum { NEEDS_CAP = 16 };

static ccz_rc make(struct ccz_mpc **out, struct ccz_chan *chan, const struct ccz_mpc_cfg *cfg,
                   struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = check_cfg(cfg, err);
    CCZ_AUTO(ccz_mpc) m = NULL;
    if (rc == CCZ_OK)
        rc = cczi_mpc_alloc(&m, 1, sizeof(*m), err);
    if (rc != CCZ_OK)
        return rc;
    rc = cczi_mpc_alloc(&m->needs, NEEDS_CAP + 2, sizeof(*m->needs), err);
    if (rc != CCZ_OK)
        return rc;
    m->needs_cap = NEEDS_CAP;
    m->cfg = *cfg;
    m->chan = chan;
    m->phase = CCZ_MPC_SETUP;
    cczi_io_init(&m->io);
    rebase(m);
    rc = chan ? greet(m, err) : CCZ_OK;
    if (!chan) {
        cczi_mpc_count_plan(m, CCZ_MPC_HELLO_SIZE, 1, CCZ_MPC_HELLO_SIZE, 1);
        cczi_mpc_count_rounds(m, 1);
    }
    if (rc != CCZ_OK)
        return cczi_mpc_leave(m, rc, err);
    (void)cczi_mpc_phase(m, CCZ_MPC_ONLINE);
    *out = ccz_mpc_take(&m);
    return CCZ_OK;
}

ccz_rc ccz_mpc_new(struct ccz_mpc **out, struct ccz_chan *chan, const struct ccz_mpc_cfg *cfg,
                   struct ccz_err *err)
{
    if (!chan) {
        *out = NULL;
        return ccz_fail(err, CCZ_E_ARG, "mpc:chan", 0, "no channel");
    }
    struct ccz_err own = {0};
    ccz_rc rc = make(out, chan, cfg, &own);
    if (rc != CCZ_OK) { /* nobody else would tell the peer */
        ccz_chan_close_error(chan, &own);
        if (err)
            *err = own;
    }
    return rc;
}

ccz_rc ccz_mpc_plan_new(struct ccz_mpc **out, const struct ccz_mpc_cfg *cfg, struct ccz_err *err)
{
    return make(out, NULL, cfg, err);
}

void ccz_mpc_free(struct ccz_mpc *m)
{
    if (!m)
        return;
    cczi_mpc_ready_deinit(m);
    ccz_ot_ext_free(m->ot[0]);
    ccz_ot_ext_free(m->ot[1]);
    ccz_stream_free(m->common);
    ccz_stream_free(m->own);
    cczi_io_deinit(&m->io);
    free(m->needs);
    ccz_wipe(m, sizeof(*m));
    free(m);
}
