/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_SRC_FL_PRIVACY_H
#define CCZ_SRC_FL_PRIVACY_H
/*
 * Secure aggregation and differential privacy within rounds. What travels in PRIVATE messages: at phase 0 the plan of a round, from
 * the server; at phase 1 messages of secagg.h, both ways. The vector that is aggregated: the parameters, then the member's weight,
 * then whether its update was within the clip.
 */
#include "fl/fl_priv.h"

#include <cczoo/dp.h>
#include <cczoo/secagg.h>

enum { CCZI_HFL_PLAN = 0, CCZI_HFL_STEP = 1 }; /* phase of PRIVATE */
enum { CCZI_HFL_TAIL = 2 };                    /* elements behind the parameters */

const struct ccz_fl_identity *cczi_hfl_identity(const struct ccz_fl_identity *roster, size_t len,
                                                const char *name, size_t size);

/* What a member has to know of a private round. */
struct cczi_hfl_plan {
    struct ccz_secagg_cfg secagg;
    uint32_t self;
    struct ccz_span
        names; /* with a roster: of all members, one size (1) and so many bytes each; borrowed */
    struct ccz_secagg_quant
        quant;            /* of the parameters; the tail: the same number of clients, range 1 */
    uint64_t samples_max; /* a weight of 1; 0: all weights are 1 */
    double clip;          /* 0 = none */
    uint32_t sigma;       /* of the noise that the member adds, in steps; 0 = none */
};
void cczi_hfl_plan_put(struct ccz_buf *out, const struct cczi_hfl_plan *p);
/* @retval CCZ_E_PEER fl:plan */
ccz_rc cczi_hfl_plan_parse(struct cczi_hfl_plan *out, struct ccz_span in, uint64_t params,
                           uint64_t round, struct ccz_err *err);

/* ------------------------------------------------------------------------------------- client */

/* A member's part of one private round. */
struct cczi_hfl_part;
/* @retval CCZ_E_POLICY fl:plan-quorum, fl:plan-roster  @retval those of ccz_secagg_client_new() */
ccz_rc cczi_hfl_part_new(struct cczi_hfl_part **out, const struct cczi_hfl_plan *plan,
                         const struct ccz_fl_client_cfg *cfg, struct ccz_err *err);
void cczi_hfl_part_free(struct cczi_hfl_part *p);
/* A message of secagg.h; the answer is appended to @p out. The first one is empty. */
ccz_rc cczi_hfl_part_step(struct ccz_buf *out, struct cczi_hfl_part *p, struct ccz_span in,
                          struct ccz_err *err);
/* The update can be masked now, for this round. */
bool cczi_hfl_part_ready(const struct cczi_hfl_part *p, uint64_t round);
bool cczi_hfl_part_same(const struct cczi_hfl_part *p, const struct cczi_hfl_plan *plan);
/* Clips the update (borrowed until it is sent) and weighs it. */
ccz_rc cczi_hfl_part_begin(struct cczi_hfl_part *p, float *update, uint64_t samples,
                           struct ccz_err *err);
uint64_t cczi_hfl_part_size(const struct cczi_hfl_part *p); /* bytes of the masked vector */
/* The next @p size bytes of it (a multiple of 4 but at the end), from offset @p at on. */
ccz_rc cczi_hfl_part_read(uint8_t *out, struct cczi_hfl_part *p, uint64_t at, size_t size,
                          struct ccz_err *err);
#endif
