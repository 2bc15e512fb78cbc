/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_KMS_REFERENCE_H
#define CCZ_KMS_REFERENCE_H
/**
 * @file kms_reference.h
 * Sets of reference values in a KMS: the client's side.
 *
 * Terms. A *set* (policy.h, struct ccz_reference) has a name like a policy, and versions 1, 2, ...; policies of the same
 * namespace name it and take the latest version, from the moment on when it is put. Putting and deleting one is for authors,
 * and guarded like the policies themselves. Each decision says which value of which version accepted
 * (struct ccz_kms_decision, `references`).
 *
 * Reading order of the sources: reference.c, methods_reference.c, client_reference.c.
 *
 * Each function is one blocking call, or a few (30 s each), as those of kms.h. Design: docs/design/kms-why.md.
 */
#include <cczoo/kms.h>
#include <cczoo/kms_why.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CCZ_KMS_REFERENCE_VERSIONS                                                                 \
    16 /**< that are kept of a set; the audit log has the digests of all */

struct ccz_kms_reference {
    char name[CCZ_KMS_NAME_SIZE];
    uint32_t version;
    uint8_t sha256[32]; /**< of its JSON */
    int64_t created_s;
    uint32_t values, value_size; /**< how many, of how many bytes; of a list only */
};
/**
 * Author: @p json becomes the next version of set @p name, in force at once.
 * @param[out] version  may be NULL
 * @param replace  there is such a set already; false: there is none
 * @retval CCZ_E_EXISTS    "kms:reference-exists"   @retval CCZ_E_NOT_FOUND "kms:not-found"
 * @retval CCZ_E_MISMATCH  "kms:reference-size" its values had another size
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_put_reference(uint32_t *version,
                                                  struct ccz_kms_receipt *receipt,
                                                  struct ccz_rpc_client *c, const char *name,
                                                  struct ccz_span json, bool replace,
                                                  struct ccz_err *err);
/** Where approvals are needed: proposes it. @param valid_s  as ccz_kms_propose() */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_propose_put_reference(struct ccz_kms_proposed *out,
                                                          struct ccz_rpc_client *c,
                                                          const char *name, struct ccz_span json,
                                                          bool replace, uint32_t valid_s,
                                                          struct ccz_err *err);
/** Auditor, operator, author or approver. @param[out] json  appended; may be NULL. @param version  0 = the latest
 *  @retval CCZ_E_NOT_FOUND "kms:not-found" */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_get_reference(struct ccz_kms_reference *out,
                                                  struct ccz_buf *json, struct ccz_rpc_client *c,
                                                  const char *name, uint32_t version,
                                                  struct ccz_err *err);
typedef void (*ccz_kms_reference_fn)(void *arg, const struct ccz_kms_reference *r);
/** The same: all that the caller may read, by name, fetched in pages; @p fn is called on this thread. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_list_references(struct ccz_rpc_client *c,
                                                    ccz_kms_reference_fn fn, void *arg,
                                                    struct ccz_err *err);
/** Author: all versions. @retval CCZ_E_DENIED "kms:reference-in-use" a policy names it, or one that is staged */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_delete_reference(struct ccz_kms_receipt *receipt,
                                                     struct ccz_rpc_client *c, const char *name,
                                                     struct ccz_err *err);
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_propose_delete_reference(struct ccz_kms_proposed *out,
                                                             struct ccz_rpc_client *c,
                                                             const char *name, uint32_t valid_s,
                                                             struct ccz_err *err);
/** As ccz_kms_replay_policy(), with @p set in place of the set @p reference that the policy names.
 *  @param json  of the policy; empty = the one in force
 *  @retval CCZ_E_NOT_FOUND "kms:reference-unnamed" it names no such set */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_replay_reference(struct ccz_kms_replay *out,
                                                     struct ccz_rpc_client *c, const char *policy,
                                                     struct ccz_span json, const char *reference,
                                                     struct ccz_span set, int64_t at_s,
                                                     ccz_kms_replayed_fn fn, void *arg,
                                                     struct ccz_err *err);

#ifdef __cplusplus
}
#endif
#endif
