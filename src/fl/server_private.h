/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_SRC_FL_SERVER_PRIVATE_H
#define CCZ_SRC_FL_SERVER_PRIVATE_H
/* The server's part of private rounds. */
#include "fl/privacy.h"
#include "fl/server.h"

struct hfl_private {
    struct ccz_secagg_server
        *secagg;               /* of the open round; NULL: none, or without secure aggregation */
    struct cczi_hfl_plan plan; /* but `self` and `names` */
    uint8_t (*roster)[CCZ_SECAGG_ID_SIZE]; /* of the round's members; NULL: attested */
    uint32_t tail[CCZI_HFL_TAIL];          /* of the accumulator */
    double rate;                           /* share of the members that the round has */
    uint32_t below;                        /* updates within the clip, without secure aggregation */
    struct ccz_dp_adaptive adaptive;       /* its clip is the one in use */
    struct ccz_dp_accountant spent;
    struct ccz_dp_rng *rng;
};

ccz_rc cczi_hfl_private_check(const struct ccz_fl_server_cfg *c, struct ccz_err *err);
ccz_rc cczi_hfl_private_new(struct ccz_fl_server *s, struct ccz_err *err);
void cczi_hfl_private_free(struct ccz_fl_server *s);
static inline bool cczi_hfl_secagg(const struct ccz_fl_server *s)
{
    return s->cfg.privacy.secagg;
}
/* The seats are drawn: what the round's plan is. */
ccz_rc cczi_hfl_private_begin_locked(struct ccz_fl_server *s, uint32_t eligible,
                                     struct ccz_err *err);
/* Members of the round that are here and owe a message. */
uint32_t cczi_hfl_private_pending(const struct ccz_fl_server *s);
/* Ends a phase of secagg.h and marks who gets a message then. */
ccz_rc cczi_hfl_private_next_locked(struct ccz_fl_server *s, struct ccz_err *err);
bool cczi_hfl_private_waits(const struct ccz_fl_server *s, const struct hfl_member *m);
ccz_rc cczi_hfl_on_private_locked(struct ccz_fl_server *s, struct hfl_member *m,
                                  const struct cczi_hfl_private *in, struct ccz_err *err);
void cczi_hfl_private_put_locked(struct ccz_buf *out, struct ccz_fl_server *s,
                                 struct hfl_member *m);
/* One masked update. The lock is not held. */
void cczi_hfl_private_fold(struct ccz_fl_server *s, const struct hfl_slot *slot, bool first);
/* Weight of a plain update of this norm, which the server clips. */
float cczi_hfl_private_weight(const struct ccz_fl_server *s, float weight, double norm);
void cczi_hfl_private_folded_locked(struct ccz_fl_server *s, const struct hfl_member *m,
                                    double norm);
/* From what was folded to the noisy sum in `acc` and its weight. The lock is not held. */
ccz_rc cczi_hfl_private_open(struct ccz_fl_server *s, struct ccz_err *err);
/* Privacy spent, next clip, and what the record says of it. */
ccz_rc cczi_hfl_private_close(struct ccz_fl_server *s, struct ccz_err *err);
/* What a checkpoint keeps. */
void cczi_hfl_private_save(struct ccz_buf *out, const struct ccz_fl_server *s);
ccz_rc cczi_hfl_private_load(struct ccz_fl_server *s, struct ccz_span in, struct ccz_err *err);
#endif
