/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first message of each party: its options, and the sizes of what it has. Fixed size, little-endian: a magic, then 64 bits for
 * each term. The session compares a digest of all of this, too; here a user learns which option it is.
 */
#include "daemon.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum term {
    /* alike at both */
    T_COMMAND,
    T_PROGRAM,
    T_SPLIT,
    T_EPOCHS,
    T_BATCH,
    T_RATE,
    T_L2,
    T_CLIP,
    T_RANGE,
    T_SIGMOID,
    T_SEED,
    T_INTERCEPT,
    T_WEIGHTS,
    T_SCORE,
    T_SCORE_TO,
    T_TEST,
    T_ALIGNED,
    T_MINIMUM,
    T_OPTIMIZE,
    T_TRUNC,
    T_BANDWIDTH,
    T_RTT,
    T_STORE,
    T_CLUSTERS,
    T_ITERATIONS,
    T_RING,
    T_NAMES,
    T_ALIKE, /* how many */
    /* of its sender */
    T_ROLE = T_ALIKE,
    T_LABELS,
    T_COLUMNS,
    T_ROWS,
    T_TEST_ROWS,
    T_VERIFIES,
    T_LEN
};
static const char *const wheres[T_ALIKE] = {
    "mpc:terms-command",    "mpc:terms-program", "mpc:terms-split",    "mpc:terms-epochs",
    "mpc:terms-batch",      "mpc:terms-rate",    "mpc:terms-l2",       "mpc:terms-clip",
    "mpc:terms-range",      "mpc:terms-sigmoid", "mpc:terms-seed",     "mpc:terms-intercept",
    "mpc:terms-weights",    "mpc:terms-score",   "mpc:terms-score-to", "mpc:terms-test",
    "mpc:terms-aligned",    "mpc:terms-minimum", "mpc:terms-optimize", "mpc:terms-trunc",
    "mpc:terms-bandwidth",  "mpc:terms-rtt",     "mpc:terms-store",    "mpc:terms-clusters",
    "mpc:terms-iterations", "mpc:terms-ring",    "mpc:terms-columns"};
static const uint8_t magic[8] = {'C', 'C', 'Z', 'M', 'P', 'C', 'T', 1};
enum { TERMS_SIZE = sizeof(magic) + 8 * T_LEN };

static bool is_real(enum term t)
{
    return t == T_RATE || t == T_L2 || t == T_CLIP || t == T_RANGE || t == T_BANDWIDTH ||
           t == T_RTT;
}

static uint64_t bits_of(double v)
{
    uint64_t u;
    memcpy(&u, &v, sizeof(u));
    return u;
}

static void fill(uint64_t term[T_LEN], const struct mpc_opts *o, const struct mpc_self *self)
{
    const struct ccz_mpcml_lr_cfg *c = &o->cfg;
    const bool columns = c->split == CCZ_MPCML_COLUMNS, mlp = o->kind == MPC_MLP;
    const uint64_t all[T_LEN] = {
        [T_COMMAND] = strcmp(o->command, "offline") == 0,
        [T_PROGRAM] = (uint64_t)o->kind,
        [T_SPLIT] = (uint64_t)c->split,
        [T_EPOCHS] = c->epochs,
        [T_BATCH] = c->batch,
        [T_RATE] = bits_of(c->rate),
        [T_L2] = bits_of(c->l2),
        [T_CLIP] = bits_of(c->clip),
        [T_RANGE] = bits_of(c->range),
        [T_SIGMOID] = (uint64_t)c->sigmoid.kind,
        [T_SEED] = c->seed,
        [T_INTERCEPT] = !c->no_intercept,
        [T_WEIGHTS] = (uint64_t)c->weights,
        [T_SCORE] = (uint64_t)c->score,
        [T_SCORE_TO] = o->score_to_labels ? 0 : c->score_to,
        [T_TEST] = o->test != NULL,
        [T_ALIGNED] = o->aligned,
        [T_MINIMUM] = (uint64_t)o->minimum,
        [T_OPTIMIZE] = (uint64_t)o->run.setting->optimize,
        [T_TRUNC] = (uint64_t)o->run.trunc,
        [T_BANDWIDTH] = bits_of(o->run.net.bytes_per_s),
        [T_RTT] = bits_of(o->run.net.rtt_s),
        [T_STORE] = o->store != NULL,
        [T_CLUSTERS] = (uint64_t)o->clusters,
        [T_ITERATIONS] = (uint64_t)o->iterations,
        [T_RING] = (uint64_t)o->ring,
        [T_NAMES] = columns ? 0 : self->names,
        [T_ROLE] = mpc_role(o),
        [T_LABELS] = self->labels,
        [T_COLUMNS] = self->columns,
        [T_ROWS] = columns && !mlp ? 0 : self->rows,
        [T_TEST_ROWS] = columns ? 0 : self->test_rows,
        [T_VERIFIES] = self->verifies,
    };
    memcpy(term, all, sizeof(all));
}

static ccz_rc differs(enum term t, uint64_t got, uint64_t expected, struct ccz_err *err)
{
    char g[32], e[32];
    double x, y;
    memcpy(&x, &got, sizeof(x));
    memcpy(&y, &expected, sizeof(y));
    (void)snprintf(g, sizeof(g), is_real(t) ? "%.6g" : "%.0f", is_real(t) ? x : (double)got);
    (void)snprintf(e, sizeof(e), is_real(t) ? "%.6g" : "%.0f", is_real(t) ? y : (double)expected);
    return ccz_hint(err, ccz_refuse(err, CCZ_E_MISMATCH, wheres[t], g, e),
                    "both parties give the same options");
}

static ccz_rc judge(struct mpc_self *peer, const uint64_t got[T_LEN], const uint64_t own[T_LEN],
                    struct ccz_err *err)
{
    for (unsigned t = 0; t < T_ALIKE; t++)
        if (got[t] != own[t])
            return differs((enum term)t, got[t], own[t], err);
    if (got[T_ROLE] != 1 - own[T_ROLE])
        return ccz_refuse_num(err, CCZ_E_PEER, "mpc:terms-role", (int64_t)(got[T_ROLE] & INT64_MAX),
                              (int64_t)(1 - own[T_ROLE]));
    if (got[T_LABELS] > 1 || got[T_VERIFIES] > 1 || got[T_COLUMNS] > CCZ_MPCML_COLUMNS_MAX ||
        got[T_ROWS] > CCZ_MPCML_ROWS_MAX || got[T_TEST_ROWS] > CCZ_MPCML_ROWS_MAX)
        return ccz_fail(err, CCZ_E_PEER, "mpc:terms-size", (int64_t)(got[T_COLUMNS] & INT64_MAX),
                        "the peer tells of sizes beyond the limits");
    *peer = (struct mpc_self){.labels = got[T_LABELS] == 1,
                              .verifies = got[T_VERIFIES] == 1,
                              .columns = got[T_COLUMNS],
                              .rows = got[T_ROWS],
                              .test_rows = got[T_TEST_ROWS],
                              .names = got[T_NAMES]};
    return CCZ_OK;
}

ccz_rc mpc_terms(struct mpc_self *peer, struct ccz_chan *chan, const struct mpc_opts *o,
                 const struct mpc_self *self, struct ccz_err *err)
{
    uint64_t own[T_LEN], got[T_LEN];
    uint8_t message[TERMS_SIZE];
    CCZ_AUTO_BUF out;
    fill(own, o, self);
    ccz_buf_init(&out, TERMS_SIZE);
    ccz_buf_put(&out, magic, sizeof(magic));
    for (unsigned t = 0; t < T_LEN; t++)
        ccz_buf_le64(&out, own[t]);
    ccz_rc rc = out.bad ? ccz_fail(err, CCZ_E_NOMEM, "mpc:memory", 0, "out of memory")
                        : ccz_chan_send(chan, ccz_buf_span(&out), err);
    if (rc == CCZ_OK)
        rc = ccz_chan_recv_exact(message, sizeof(message), chan, err);
    if (rc != CCZ_OK)
        return rc;
    if (memcmp(message, magic, sizeof(magic)) != 0)
        return ccz_refuse_bytes(err, CCZ_E_PEER, "mpc:terms", message, sizeof(magic), magic,
                                sizeof(magic));
    struct ccz_rd r = ccz_rd_from(CCZ_SPAN(message + sizeof(magic), 8 * T_LEN));
    for (unsigned t = 0; t < T_LEN; t++)
        got[t] = ccz_rd_le64(&r);
    return judge(peer, got, own, err);
}
