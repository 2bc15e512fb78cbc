/* SPDX-License-Identifier: Apache-2.0 */
/* The store of random correlated OTs: set-up, filling by either engine, sizes. */
#include "ext_priv.h"

#include <cczoo/crypto.h>

#include <stdlib.h>

enum { BATCH_BLOCKS = 1024, BLOCK_BITS = 128, HELLO_SIZE = 72 };

static unsigned log_of(const struct ccz_ot_ext_cfg *cfg)
{
    return cfg->silent_log ? cfg->silent_log : CCZ_OT_SILENT_LOG_MIN;
}

static ccz_rc check_cfg(const struct ccz_ot_ext_cfg *cfg, struct ccz_err *err)
{
    if (cfg->engine != CCZ_OT_SOFTSPOKEN && cfg->engine != CCZ_OT_SILENT)
        return ccz_refuse_num(err, CCZ_E_ARG, "ot:engine", cfg->engine, CCZ_OT_SILENT);
    if (log_of(cfg) < CCZ_OT_SILENT_LOG_MIN || log_of(cfg) > CCZ_OT_SILENT_LOG_MAX)
        return ccz_refuse_num(err, CCZ_E_ARG, "ot:silent-log", log_of(cfg), CCZ_OT_SILENT_LOG_MIN);
    if (cfg->ot.delta && !(cfg->ot.delta->lo & 1))
        return ccz_fail(err, CCZ_E_ARG, "ot:delta", 0, "delta is even, expected an odd one");
    return CCZ_OK;
}

static ccz_rc open_store(struct ccz_ot_ext *e, bool sender, struct ccz_chan *chan,
                         const struct ccz_ot_ext_cfg *cfg, struct ccz_err *err)
{
    const bool silent = cfg->engine == CCZ_OT_SILENT;
    struct ccz_ot_cfg ot = cfg->ot;
    struct ccz_f128 delta = {0};
    if (sender && !ot.delta) {
        if (ccz_random(&delta, sizeof(delta)) != CCZ_OK)
            return ccz_fail(err, CCZ_E_INTERNAL, "ot:random", 0, "the random generator failed");
        delta.lo |= 1;
        ot.delta = &delta;
    }
    ccz_rc rc = cczi_soft_init(&e->soft, sender, silent ? CCZI_OT_SILENT_STORE : CCZI_OT_STORE,
                               silent ? log_of(cfg) : 0, chan, &ot, err);
    e->soft.odd = true;
    if (rc == CCZ_OK && silent)
        rc = cczi_silent_new(&e->silent, log_of(cfg), &e->soft, err);
    ccz_wipe(&delta, sizeof(delta));
    return rc;
}

ccz_rc ccz_ot_ext_new(struct ccz_ot_ext **out, bool sender, struct ccz_chan *chan,
                      const struct ccz_ot_ext_cfg *cfg, struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = check_cfg(cfg, err);
    if (rc != CCZ_OK)
        return rc;
    CCZ_AUTO(ccz_ot_ext) e = calloc(1, sizeof(*e));
    if (!e)
        return ccz_fail(err, CCZ_E_NOMEM, "ot:memory", 0, "out of memory");
    rc = open_store(e, sender, chan, cfg, err);
    if (rc == CCZ_OK)
        *out = ccz_ot_ext_take(&e);
    return rc;
}

void ccz_ot_ext_free(struct ccz_ot_ext *e)
{
    if (!e)
        return;
    cczi_silent_free(e->silent);
    cczi_soft_deinit(&e->soft);
    cczi_array_deinit(&e->rows);
    free(e);
}

bool ccz_ot_ext_is_sender(const struct ccz_ot_ext *e)
{
    return e->soft.sender;
}

const struct ccz_f128 *ccz_ot_ext_delta(const struct ccz_ot_ext *e)
{
    return e->soft.sender ? &e->soft.delta : NULL;
}

size_t ccz_ot_ext_stored(const struct ccz_ot_ext *e)
{
    return e->end - e->at;
}

/* -------------------------------------------------------------------------------------- filling */

static size_t blocks_of(size_t len)
{
    return (len + BLOCK_BITS - 1) / BLOCK_BITS;
}

/* One message of SoftSpokenOT. */
static ccz_rc soft_batch(struct ccz_f128 *out, size_t blocks, struct cczi_soft *s,
                         struct ccz_err *err)
{
    CCZI_AUTO_ARRAY w = {0};
    if (s->sender)
        return cczi_soft_send(out, blocks * BLOCK_BITS, NULL, blocks, s, err);
    ccz_rc rc = cczi_array_init(&w, blocks, err);
    if (rc == CCZ_OK)
        rc = cczi_random_f128(w.at, blocks, s->kernels, err);
    if (rc == CCZ_OK)
        rc = cczi_soft_recv(out, blocks * BLOCK_BITS, NULL, w.at, blocks, s, err);
    return rc;
}

/* OTs of the next round or message if `len` are missing; rows that it writes. */
struct step {
    size_t usable, written;
};

static struct step next_step(const struct ccz_ot_ext *e, size_t len)
{
    if (e->silent) {
        const struct cczi_silent_shape *s = &e->silent->shape;
        return (struct step){s->lpn.n - s->base, s->lpn.n};
    }
    size_t blocks = blocks_of(len) < BATCH_BLOCKS ? blocks_of(len) : BATCH_BLOCKS;
    return (struct step){blocks * BLOCK_BITS, blocks * BLOCK_BITS};
}

static ccz_rc make(struct ccz_f128 *out, const struct step *st, struct ccz_ot_ext *e,
                   struct ccz_err *err)
{
    return e->silent ? cczi_silent_round(out, e->silent, &e->soft, err)
                     : soft_batch(out, st->usable / BLOCK_BITS, &e->soft, err);
}

/* Room for what is stored and `len` rows more; what is stored moves to the front. */
static ccz_rc make_room(struct ccz_ot_ext *e, size_t len, struct ccz_err *err)
{
    size_t stored = e->end - e->at;
    if (e->at > 0 && stored > 0)
        memmove(e->rows.at, e->rows.at + e->at, stored * sizeof(*e->rows.at));
    e->at = 0;
    e->end = stored;
    if (stored + len <= e->rows.len)
        return CCZ_OK;
    struct cczi_array larger;
    ccz_rc rc = cczi_array_init(&larger, stored + len, err);
    if (rc != CCZ_OK)
        return rc;
    if (stored > 0)
        memcpy(larger.at, e->rows.at, stored * sizeof(*larger.at));
    cczi_array_deinit(&e->rows);
    e->rows = larger;
    return CCZ_OK;
}

/* Rows that filling writes until `len` more can be used. */
static size_t rows_for(const struct ccz_ot_ext *e, size_t len)
{
    struct step st = next_step(e, len);
    size_t steps = (len + st.usable - 1) / st.usable;
    return e->silent ? steps * st.usable + (st.written - st.usable) : blocks_of(len) * BLOCK_BITS;
}

static ccz_rc unusable(const struct ccz_ot_ext *e, struct ccz_err *err)
{
    return ccz_fail(err, e->broken, "ot:unusable", 0, "an earlier call failed");
}

ccz_rc cczi_ext_need(struct ccz_ot_ext *e, size_t len, struct ccz_err *err)
{
    if (e->broken != CCZ_OK)
        return unusable(e, err);
    if (len <= e->end - e->at)
        return CCZ_OK;
    ccz_rc rc = make_room(e, rows_for(e, len - (e->end - e->at)), err);
    while (rc == CCZ_OK && e->end < len) {
        struct step st = next_step(e, len - e->end);
        rc = make(e->rows.at + e->end, &st, e, err);
        e->end += rc == CCZ_OK ? st.usable : 0;
    }
    return cczi_ext_done(e, rc);
}

ccz_rc cczi_ext_take(struct ccz_f128 *out, size_t len, struct ccz_ot_ext *e, struct ccz_err *err)
{
    if (e->broken != CCZ_OK)
        return unusable(e, err);
    size_t stored = e->end - e->at, done = stored < len ? stored : len;
    ccz_rc rc = CCZ_OK;
    if (done > 0)
        memcpy(out, cczi_ext_rows(e), done * sizeof(*out));
    cczi_ext_used(e, done);
    while (rc == CCZ_OK && done < len) {
        struct step st = next_step(e, len - done);
        if (st.written > len - done)
            break;
        rc = make(out + done, &st, e, err);
        done += st.usable;
    }
    if (rc == CCZ_OK && done < len) {
        rc = cczi_ext_need(e, len - done, err);
        if (rc == CCZ_OK)
            memcpy(out + done, cczi_ext_rows(e), (len - done) * sizeof(*out));
        if (rc == CCZ_OK)
            cczi_ext_used(e, len - done);
    }
    return cczi_ext_done(e, rc);
}

ccz_rc cczi_ext_check_len(size_t len, size_t ots_each, struct ccz_err *err)
{
    if (len > CCZ_OT_EXT_LEN_MAX / ots_each)
        return ccz_fail(err, CCZ_E_ARG, "ot:len", (int64_t)len, "length %zu, expected at most %zu",
                        len, CCZ_OT_EXT_LEN_MAX / ots_each);
    return CCZ_OK;
}

ccz_rc ccz_ot_ext_prepare(struct ccz_ot_ext *e, size_t len, struct ccz_err *err)
{
    ccz_rc rc = cczi_ext_check_len(len, 1, err);
    return rc == CCZ_OK ? cczi_ext_need(e, len, err) : rc;
}

ccz_rc cczi_msg_init(struct cczi_array *a, uint64_t size, struct ccz_err *err)
{
    *a = (struct cczi_array){0};
    if (size > CCZ_CHAN_MESSAGE_SIZE_MAX)
        return ccz_fail(err, CCZ_E_ARG, "ot:len", (int64_t)size,
                        "a message of %llu bytes, expected at most %zu", (unsigned long long)size,
                        CCZ_CHAN_MESSAGE_SIZE_MAX);
    return cczi_array_init(a, (size_t)(size + CCZI_BITS_SLACK + 15) / 16, err);
}

/* ---------------------------------------------------------------------------------------- sizes */

static struct ccz_ot_ext_size fill_size(bool silent, unsigned log, unsigned k, size_t missing)
{
    struct ccz_ot_ext_size r = {0};
    if (silent) {
        const struct cczi_silent_shape s = cczi_silent_shape(log);
        const struct ccz_ot_ext_size one = cczi_silent_round_size(log);
        uint64_t rounds = (missing + s.lpn.n - s.base - 1) / (s.lpn.n - s.base);
        return (struct ccz_ot_ext_size){rounds * one.from_sender, rounds * one.from_receiver};
    }
    for (size_t blocks = blocks_of(missing), n; blocks > 0; blocks -= n) {
        n = blocks < BATCH_BLOCKS ? blocks : BATCH_BLOCKS;
        r.from_receiver += cczi_soft_size(n, k);
    }
    return r;
}

struct ccz_ot_ext_size ccz_ot_ext_prepare_size(const struct ccz_ot_ext *e, size_t len)
{
    size_t stored = e->end - e->at;
    unsigned log = e->silent ? e->silent->shape.log : 0;
    return fill_size(e->silent, log, e->soft.k, len > stored ? len - stored : 0);
}

struct ccz_ot_ext_size ccz_ot_ext_setup_size(const struct ccz_ot_ext_cfg *cfg)
{
    const unsigned k = cfg->ot.k ? cfg->ot.k : 4;
    struct ccz_ot_ext_size r = {.from_sender = HELLO_SIZE + 64 * BLOCK_BITS}; /* pairs of points */
    r.from_receiver = cczi_setup_size(k) - r.from_sender;
    if (cfg->engine == CCZ_OT_SILENT)
        r.from_receiver += cczi_soft_size(blocks_of(cczi_silent_shape(log_of(cfg)).base), k);
    return r;
}

struct ccz_ot_ext_size ccz_ot_ext_total_size(const struct ccz_ot_ext_cfg *cfg, size_t len)
{
    const unsigned k = cfg->ot.k ? cfg->ot.k : 4;
    struct ccz_ot_ext_size r = ccz_ot_ext_setup_size(cfg);
    const struct ccz_ot_ext_size f = fill_size(cfg->engine == CCZ_OT_SILENT, log_of(cfg), k, len);
    r.from_sender += f.from_sender;
    r.from_receiver += f.from_receiver;
    return r;
}
