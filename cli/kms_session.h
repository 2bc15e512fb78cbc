/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_CLI_KMS_SESSION_H
#define CCZ_CLI_KMS_SESSION_H
/* How the verbs of cczoo kms reach a KMS, and read values. */
#include "ui.h"

#include <cczoo/kms.h>
#include <cczoo/party.h>

/* Who comes: with a pinned key, or (tee) with evidence. */
struct kms_reach {
    const char *kms, *policy, *trust_sim, *collateral;
    const char *admin_key;
    const char *tee, *sim_dir;
    const char *kms_id; /* or NULL */
};
#define KMS_REACH_OPTS(r)                                                                          \
    UI_TEXT("kms", &(r)->kms, "ADDR,ADDR",                                                         \
            "address of the KMS, or of its servers: the first that answers"),                      \
        UI_TEXT("kms-id", &(r)->kms_id, "ID",                                                      \
                "which KMS it has to be, 32 digits; asks it first (auditor)"),                     \
        UI_TEXT("admin-key", &(r)->admin_key, "FILE", "own private key, known to the KMS"),        \
        UI_TEXT("policy", &(r)->policy, "FILE",                                                    \
                "policy that the evidence of the KMS must satisfy"),                               \
        UI_TRUST_FILES(r)

struct kms_session {
    struct ccz_key *key;
    struct ccz_party *party;
    struct ccz_rpc_client *client;
    struct ccz_ratls_peer peer; /* the KMS, as its evidence says */
};
/* False after saying so: --kms-id asks which KMS it is, and that answer takes a key with a role, not evidence. */
bool kms_id_is_usable(const struct kms_reach *r);
/* Connects; the KMS's evidence is judged before anything is sent to it. End it also if this fails. */
ccz_rc kms_session_begin(struct kms_session *s, const struct kms_reach *r, struct ccz_err *err);
void kms_session_end(struct kms_session *s);

/* A value of 1..CCZ_KMS_VALUE_SIZE_MAX bytes from a file of mode 0600, or "-", stdin. */
ccz_rc kms_read_value(struct ccz_secret **out, const char *file, struct ccz_err *err);
/* Appends what is no secret from a file, or "-", stdin, up to the buffer's maximum. */
ccz_rc kms_read_text(struct ccz_buf *out, const char *file, struct ccz_err *err);

#endif
