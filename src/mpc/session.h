/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_MPC_SESSION_H
#define CCZI_MPC_SESSION_H
/* What a session consists of; protocols use the functions of mpc_priv.h. */
#include "mpc_priv.h"

#include <cczoo/crypto.h>
#include <cczoo/ring.h>

/* A place that the next message fills. */
struct cczi_want {
    enum { CCZI_WANT_SET, CCZI_WANT_SUM, CCZI_WANT_XOR, CCZI_WANT_RAW } how;
    void *out;
    size_t len;
    unsigned bits; /* 0: packed bits */
};
/* A round in the making. */
struct cczi_io {
    struct ccz_buf out;
    struct cczi_want *want;
    size_t want_len, want_cap, want_size;
    bool bad; /* no memory */
};
void cczi_io_init(struct cczi_io *io);
void cczi_io_deinit(struct cczi_io *io);

/* Prepared randomness that waits for its use. */
struct cczi_ready {
    struct ccz_mpc_need need;
    struct ccz_mpc_item item;
};

struct ccz_mpc {
    struct ccz_mpc_cfg cfg;
    struct ccz_chan *chan; /* NULL: planning */
    uint8_t session[32];
    struct ccz_stream *common, *own;
    ccz_rc rc; /* first failure, with what it said */
    struct ccz_err err;

    enum ccz_mpc_phase phase;
    struct ccz_mpc_stats stats; /* but for what came since `base` */
    struct ccz_chan *watched;   /* a source's */
    struct ccz_chan_stats base, watched_base;
    int64_t base_ns, base_cpu_ns;

    double distance[2]; /* statistical, of what each role has given away */

    struct cczi_io io;
    struct ccz_ot_ext *ot[2]; /* by the role that sends */
    bool ot_planned[2];
    uint64_t ots[2]; /* used */

    struct ccz_mpc_source *source;
    bool plan_compared;       /* the sources of both parties have the same settings */
    struct cczi_ready *ready; /* [ready_len], those before ready_at are used */
    size_t ready_at, ready_len;
    struct ccz_mpc_need *needs; /* used so far; two more for transfers */
    size_t needs_len, needs_cap;

    struct ccz_mpc_tensor *tensors; /* PRIVATE ones alive */
    uint64_t ids, prepared_ids;     /* given so far, and when something was last prepared */
};

/* The live PRIVATE tensor of that number, or NULL. */
struct ccz_mpc_tensor *cczi_mpc_private_at(const struct ccz_mpc *m, uint64_t id);
/* From now on a source's own channel is counted too, and closed when the session fails. Borrowed; NULL: none. */
void cczi_mpc_watch(struct ccz_mpc *m, struct ccz_chan *chan);
/* Without the session's number. */
struct ccz_ot_ext_cfg cczi_mpc_ot_cfg(const struct ccz_mpc *m);
/* At least len transfers in the store of a direction. */
ccz_rc cczi_mpc_ot_fill(struct ccz_mpc *m, unsigned sender, size_t len, struct ccz_err *err);
/* Zeros if there is nothing but the needs to agree on. */
ccz_rc cczi_mpc_source_plan(uint8_t digest[32], const struct ccz_mpc_source *s,
                            const struct ccz_mpc_need *needs, size_t len, struct ccz_err *err);
bool cczi_mpc_source_has_plan(const struct ccz_mpc_source *s);
ccz_rc cczi_mpc_source_prepare(struct ccz_mpc_item *items, struct ccz_mpc_source *s,
                               const struct ccz_mpc_need *needs, size_t len, struct ccz_err *err);
/* Rows of a convolution's windows: [batch oh ow][kh kw c], zero outside. */
void cczi_mpc_windows(uint64_t *out, const uint64_t *in, const struct ccz_mpc_conv *c);
/* Makes the items of a list by the session's source, in rounds of its own. items: zeroed. */
ccz_rc cczi_mpc_make_items(struct ccz_mpc_item *items, struct ccz_mpc *m,
                           const struct ccz_mpc_need *needs, size_t len, struct ccz_err *err);
/* Both parties want the same, "mpc:needs", and their sources make `now` of it in the same way, "mpc:needs-plan". */
ccz_rc cczi_mpc_compare_needs(struct ccz_mpc *m, const struct ccz_mpc_need *needs, size_t len,
                              const struct ccz_mpc_need *now, size_t now_len, struct ccz_err *err);
/* Of queued items and the source, when the session ends. */
void cczi_mpc_ready_deinit(struct ccz_mpc *m);
#endif
