/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_CLI_KMS_WHY_H
#define CCZ_CLI_KMS_WHY_H
/* cczoo kms why, workloads, replay, staged: what they print once they are connected. */
#include <cczoo/kms_why.h>

ccz_rc kms_why(struct ccz_rpc_client *c, const char *id, bool json, struct ccz_err *err);
/* @param policy  NULL = of all */
ccz_rc kms_workloads(struct ccz_rpc_client *c, const char *policy, bool json, struct ccz_err *err);
struct kms_replay {
    const char *policy;
    const char *file;               /* the JSON to try; NULL = what is staged */
    const char *reference, *values; /* a set to try, and its file; or both NULL */
    const char *at;                 /* time, or NULL = now */
    bool all, json;                 /* all: also workloads that fare as they do now */
};
/* @param[out] blocked  workloads that are accepted now and would not be */
ccz_rc kms_replay(uint64_t *blocked, struct ccz_rpc_client *c, const struct kms_replay *r,
                  struct ccz_err *err);
/* Raw evidence that is kept. @param id  SHA-256 in hex, or what a token calls it @param ns  NULL = as the token says, or "" */
ccz_rc kms_evidence_get(struct ccz_rpc_client *c, const char *id, const char *ns, const char *out,
                        struct ccz_err *err);
/* What is staged for @p policy: its text. NULL: a line for everything that is staged. */
ccz_rc kms_staged(struct ccz_rpc_client *c, const char *policy, bool json, struct ccz_err *err);
/* The text of a staged policy on stdout; @p json: as a member of an object. What a terminal would obey is '?'. */
void kms_show_staged(const struct ccz_kms_staged *st, struct ccz_buf *text, bool json);
#endif
