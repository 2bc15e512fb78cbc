/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_MPCML_PRIV_H
#define CCZI_MPCML_PRIV_H
/* What programs of this module share. */
#include <cczoo/crypto.h>
#include <cczoo/mpcml.h>

/* Zeroed memory of len elements of size bytes, at least one byte; "mpcml:memory". */
ccz_rc cczi_mpcml_alloc(void *out, size_t len, size_t size, struct ccz_err *err);
/* Wipes; NULL is fine. */
void cczi_mpcml_wipe_free(void *p, size_t size);

/*
 * Whether a program may run in this session: programs fill their ring, which local truncation cannot stand, "mpcml:trunc"; and were made
 * for one role and ring, "mpcml:session". In planning sessions of any role.
 */
ccz_rc cczi_mpcml_check_session(const struct ccz_mpc *m, unsigned role, unsigned ring_bits,
                                struct ccz_err *err);

/* A digest of parameters: a label, then numbers. Failures are kept until the end. */
struct cczi_mpcml_digest {
    struct ccz_hasher *h;
    ccz_rc rc;
};
void cczi_mpcml_digest_begin(struct cczi_mpcml_digest *d, const char *label);
void cczi_mpcml_digest_bytes(struct cczi_mpcml_digest *d, const void *p, size_t size);
void cczi_mpcml_digest_u64(struct cczi_mpcml_digest *d, uint64_t v);
void cczi_mpcml_digest_real(struct cczi_mpcml_digest *d, double v); /* -0 as 0 */
/* Also frees. "mpcml:hash" */
ccz_rc cczi_mpcml_digest_end(uint8_t out[CCZ_MPC_PROGRAM_SIZE], struct cczi_mpcml_digest *d,
                             struct ccz_err *err);

/* Defaults filled in. */
struct ccz_mpcml_run_cfg cczi_mpcml_run_cfg(const struct ccz_mpcml_run_cfg *cfg);
/* The number that the next PRIVATE tensor of a session will have. */
ccz_rc cczi_mpcml_next_id(uint64_t *out, struct ccz_mpc *m, struct ccz_err *err);
/* Of the session that a plan was made on, when inputs began. */
uint64_t cczi_mpcml_plan_first_id(const struct ccz_mpcml_plan *p);
/* "mpcml:plan" unless it was made for that program and setting. */
ccz_rc cczi_mpcml_plan_check(const struct ccz_mpcml_plan *p,
                             const struct ccz_mpcml_program *program,
                             const struct ccz_mpcml_setting *setting, struct ccz_err *err);
/* What the hello of a session would have said for it. */
const uint8_t *cczi_mpcml_plan_digest(const struct ccz_mpcml_plan *p);
/* Seconds of what travels and what is computed. */
double cczi_mpcml_seconds(const struct ccz_mpc_cost *c, const struct ccz_mpcml_net *net);
/* A source of one kind on a session; dealer may be NULL in planning sessions. */
ccz_rc cczi_mpcml_source_of(struct ccz_mpc_source **out, enum ccz_mpc_source_kind kind,
                            struct ccz_mpc *m, const struct ccz_mpcml_program *program,
                            const struct ccz_mpcml_run_cfg *cfg, struct ccz_err *err);

#endif
