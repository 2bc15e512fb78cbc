/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_CLI_EVIDENCE_H
#define CCZ_CLI_EVIDENCE_H
/* What the commands about evidence, policies and collateral share: files, options, the verifier. */
#include "collateral.h"

#include <cczoo/evidence.h>
#include <cczoo/verifier.h>

/* Whom to trust and when, from the options below. Zeroed = nobody, now. */
struct cli_trust {
    const char *collateral, *sim, *at, *policy;
    bool early; /* collateral that is fetched: update=early */
};
/* Rows of an option table that fill @p t, a struct cli_trust *. */
/* clang-format off */
#define CLI_TRUST_OPTS(t)                                                                          \
    {"collateral", &(t)->collateral, NULL, NULL, "DIR|URL",                                    \
     "collateral of genuine platforms; pcs or the URL of a PCCS: fetched as needed"},              \
    {"trust-sim", &(t)->sim, NULL, NULL, "DIR",                                                    \
     "trust this software TEE (all output says SIMULATED)"},                                       \
    {"at", &(t)->at, NULL, NULL, "TIME", "verification time, default now"}
#define CLI_POLICY_OPT(t)                                                                          \
    {"policy", &(t)->policy, NULL, NULL, "FILE",                                                   \
     "appraisal policy; without it only genuineness is checked"}
/* clang-format on */

/* Opens the evidence in @p file ("-": standard input), whatever its encoding and container. */
CCZ_MUST_USE ccz_rc cli_evidence_open(struct ccz_evidence **out, const char *file,
                                      struct ccz_err *err);
/* --at, or the system's clock if @p at is NULL. */
CCZ_MUST_USE ccz_rc cli_time(int64_t *out_s, const char *at, struct ccz_err *err);
CCZ_MUST_USE ccz_rc cli_policy_read(struct ccz_policy **out, const char *file, struct ccz_err *err);
/* A verifier with what it borrows; stays where it is from open to close. */
struct cli_verifier {
    int64_t now_s, fetch_s;    /* verification time; the store's clock, which stays */
    char dir[4096];            /* of collateral; "" without any */
    struct cli_store store;    /* zeroed unless collateral is fetched */
    struct ccz_policy *policy; /* NULL without --policy */
    struct ccz_verifier *verifier;
};
CCZ_MUST_USE ccz_rc cli_verifier_open(struct cli_verifier *v, const struct cli_trust *t,
                                      struct ccz_err *err);
void cli_verifier_close(struct cli_verifier *v);
#define CLI_AUTO_VERIFIER __attribute__((cleanup(cli_verifier_close))) struct cli_verifier
/* Verifies evidence, the binding of its container included; judges nothing. */
CCZ_MUST_USE ccz_rc cli_verify_opened(struct ccz_claims *claims, const struct cli_verifier *v,
                                      const struct ccz_evidence *e, struct ccz_err *err);
/* The evidence in @p file ("-": standard input): verified and, with a policy, appraised. */
CCZ_MUST_USE ccz_rc cli_verify(struct ccz_claims *claims, const struct cli_verifier *v,
                               const char *file, struct ccz_err *err);

/* Writing JSON: an object with where, message, got, expected and hint. */
void cli_put_error(struct ccz_buf *out, const struct ccz_err *err);
void cli_put_hex(struct ccz_buf *out, struct ccz_span v);
/* As ui_fail() for what tee.h says: evidence that is not what was asked for is a "no", a wrong argument usage, all
 * else is this machine, also where values were compared. */
int cli_tee_fail(const struct ccz_err *err);
/* Row of an option table; @p root is a const char *. */
/* clang-format off */
#define CLI_FS_ROOT_OPT(root)                                                                      \
    {"fs-root", root, NULL, NULL, "DIR", "look for devices and sysfs under DIR, for tests"}
/* clang-format on */

#endif
