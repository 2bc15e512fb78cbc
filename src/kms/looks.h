/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_KMS_LOOKS_H
#define CCZI_KMS_LOOKS_H
/*
 * How much time what holds up all calls may take for one namespace: looks at all rows (cczi_kms_rows_whole()), whose time grows with the
 * store, and what reads large policies and judges many workloads by them. All of that is paid for in milliseconds: each namespace
 * has a tenth of the time, and ten seconds at once. One who has changed how many have to agree pays as well, for the looks of the
 * servers beside this one. Calls that change nothing have as much for themselves, and one who changes something has a quarter of his
 * namespace's: nobody alone can keep away the others' changes, such as the one that takes his role.
 */
#include <cczoo/kms.h>

enum {
    CCZI_KMS_LOOKS_MS_PER_S = 100,
    CCZI_KMS_LOOKS_BURST_MS = 10000,
    CCZI_KMS_LOOKS_SHARES = 4,
    CCZI_KMS_LOOKS_LEAST_MS = 1 /* of each */
};
struct cczi_kms_looks;
CCZ_MUST_USE ccz_rc cczi_kms_looks_new(struct cczi_kms_looks **out);
void cczi_kms_looks_free(struct cczi_kms_looks *l); /* NULL is fine */
/* @param ns  "NAME/": the readers of that namespace
 *  @retval CCZ_E_LIMIT "kms:look-rate": @p ns has used up its time */
CCZ_MUST_USE ccz_rc cczi_kms_looks_may(struct cczi_kms_looks *l, const char *ns, int64_t now_ms,
                                       struct ccz_err *err);
/* What a look took, whoever had it: that is the price, also of one that other servers have, until the next one. */
void cczi_kms_looks_took(struct cczi_kms_looks *l, int64_t took_ms);
void cczi_kms_looks_pay(struct cczi_kms_looks *l, const char *ns, int64_t now_ms);

struct cczi_kms_call;
/* Around what takes long, as the store has roles and bindings, or as policies are large: asks, and charges what it took, also when it failed.
 * Who executes what was agreed on has asked already. */
CCZ_MUST_USE ccz_rc cczi_kms_looks_begin(int64_t *from_ms, const struct cczi_kms_call *call,
                                         struct ccz_err *err);
void cczi_kms_looks_end(const struct cczi_kms_call *call, int64_t from_ms);
/* cczi_kms_rows_whole() for a call, in the time of its namespace. */
CCZ_MUST_USE ccz_rc cczi_kms_look_whole(const struct cczi_kms_call *call, struct ccz_err *err);
#endif
