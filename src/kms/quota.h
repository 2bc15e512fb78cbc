/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_KMS_QUOTA_H
#define CCZI_KMS_QUOTA_H
/*
 * What one namespace may have in the store, so that nobody fills it for all. Rows are counted in the database, and not again
 * for each put: a sixteenth of what is left is given ahead, so that servers beside each other are over by a few at most.
 * The database may lie about numbers; that harms it alone.
 */
#include <cczoo/kms.h>

struct cczi_kms_quotas;
struct cczi_kms_slot;
CCZ_MUST_USE ccz_rc cczi_kms_quotas_new(struct cczi_kms_quotas **out);
void cczi_kms_quotas_free(struct cczi_kms_quotas *q); /* NULL is fine */
/* @param limits  zeros are defaults */
void cczi_kms_quotas_limit(struct cczi_kms_quotas *q, const struct ccz_kms_quota *limits);
/* Before a version is stored, with @p bytes of value and metadata; the system's own items are not counted.
 * where = "kms:quota-items", "kms:quota-versions", "kms:quota-bytes" */
CCZ_MUST_USE ccz_rc cczi_kms_quota_item(struct ccz_kms_store *s, const struct cczi_kms_slot *slot,
                                        size_t bytes, struct ccz_err *err);
/* What was counted in a transaction that came to nothing; NULL is fine. */
void cczi_kms_quotas_forget(struct cczi_kms_quotas *q);
/* Of an item by name: there is room again. */
void cczi_kms_quota_gone(struct ccz_kms_store *s, const char *name);
/* Before a policy, a policy on trial, or a version of a set of reference values is stored. @param rows  that it adds, 0 or 1
 *  @param bytes, was  of it, and of what it takes the place of. where = "kms:quota-policies", "kms:quota-policy-bytes" */
CCZ_MUST_USE ccz_rc cczi_kms_quota_policy(struct ccz_kms_store *s, const char *name, unsigned rows,
                                          size_t bytes, size_t was, struct ccz_err *err);
/* The most percent of any quota that a namespace was seen to have since the start, 0 to 100. Any thread. */
unsigned cczi_kms_quotas_most(struct cczi_kms_quotas *q); /* NULL: 0 */
/* Appends text for Prometheus, without names. Any thread. */
void cczi_kms_quotas_metrics(struct cczi_kms_quotas *q, struct ccz_buf *out);
#endif
