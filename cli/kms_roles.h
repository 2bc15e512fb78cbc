/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_CLI_KMS_ROLES_H
#define CCZ_CLI_KMS_ROLES_H
/* cczoo kms role|quorum|propose|approve|reject|proposals: what these do once they are connected. */
#include <cczoo/kms.h>

/* What the verbs take from the command line. */
struct kms_roles_opts {
    bool propose; /* a proposal instead of the call itself */
    uint32_t valid_s;
    const char *ns;    /* NULL = "*" */
    const char *label; /* or NULL */
    bool token;
    const char *digest; /* approve, rollout: only if it is that one; NULL = the one that is there */
    bool all;           /* proposals: also those that are closed */
    bool json;
};

ccz_rc kms_role_set(struct ccz_rpc_client *c, const struct kms_roles_opts *o, const char *who,
                    const char *roles, struct ccz_err *err);
ccz_rc kms_role_list(struct ccz_rpc_client *c, const struct kms_roles_opts *o, struct ccz_err *err);
ccz_rc kms_quorum_set(struct ccz_rpc_client *c, const struct kms_roles_opts *o, const char *needed,
                      struct ccz_err *err);
ccz_rc kms_approve(struct ccz_rpc_client *c, const struct kms_roles_opts *o, const char *id,
                   struct ccz_err *err);
ccz_rc kms_reject(struct ccz_rpc_client *c, const struct kms_roles_opts *o, const char *id,
                  struct ccz_err *err);
ccz_rc kms_proposals(struct ccz_rpc_client *c, const struct kms_roles_opts *o, struct ccz_err *err);
/* The one that --digest says, 64 hex digits. */
ccz_rc kms_digest_of(uint8_t out[32], const char *text, struct ccz_err *err);
/* What was proposed, by whichever verb. */
void kms_show_proposed(const struct kms_roles_opts *o, const struct ccz_kms_proposed *p);
#endif
