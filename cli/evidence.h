/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_CLI_EVIDENCE_H
#define CCZ_CLI_EVIDENCE_H
/* What the commands about evidence, policies and collateral share: files, options, the verifier. */
#include "ui.h"

#include <cczoo/verifier.h>

/* Whom to trust and when, from the options below. Zeroed = nobody, now. */
struct cli_trust {
    const char *collateral, *sim, *at, *policy;
};
/* Rows of an option table that fill @p t, a struct cli_trust *. */
/* clang-format off */
#define CLI_TRUST_OPTS(t)                                                                          \
    {"collateral", &(t)->collateral, NULL, NULL, "DIR|URL", "collateral of genuine platforms"},    \
    {"trust-sim", &(t)->sim, NULL, NULL, "DIR",                                                    \
     "trust this software TEE (all output says SIMULATED)"},                                       \
    {"at", &(t)->at, NULL, NULL, "TIME", "verification time, default now"}
#define CLI_POLICY_OPT(t)                                                                          \
    {"policy", &(t)->policy, NULL, NULL, "FILE",                                                   \
     "appraisal policy; without it only genuineness is checked"}
/* clang-format on */

/* --at, or the system's clock if @p at is NULL. */
CCZ_MUST_USE ccz_rc cli_time(int64_t *out_s, const char *at, struct ccz_err *err);
CCZ_MUST_USE ccz_rc cli_policy_read(struct ccz_policy **out, const char *file, struct ccz_err *err);
/* The directory that --collateral names; NULL stays NULL. Borrowed from @p dir_or_url. */
CCZ_MUST_USE ccz_rc cli_open_collateral(const char **dir, const char *dir_or_url,
                                        struct ccz_err *err);

/* A verifier with what it borrows; stays where it is from open to close. */
struct cli_verifier {
    int64_t now_s;
    struct ccz_policy *policy; /* NULL without --policy */
    struct ccz_verifier *verifier;
};
CCZ_MUST_USE ccz_rc cli_verifier_open(struct cli_verifier *v, const struct cli_trust *t,
                                      struct ccz_err *err);
void cli_verifier_close(struct cli_verifier *v);
#define CLI_AUTO_VERIFIER __attribute__((cleanup(cli_verifier_close))) struct cli_verifier
/* Verifies the evidence in @p file ("-": standard input) and, with a policy, appraises it. */
CCZ_MUST_USE ccz_rc cli_verify(struct ccz_claims *claims, const struct cli_verifier *v,
                               const char *file, struct ccz_err *err);

#endif
