/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_SNP_BUNDLE_H
#define CCZI_SNP_BUNDLE_H
/* AMD's part of a set of collateral (snp_bundle.c). */
#include <cczoo/pcs.h>

enum { CCZI_SNP_BUNDLES_MAX = 6 }; /* three product lines, two kinds of VEK */
struct cczi_snp_bundle {
    char name[CCZ_PCS_NAME_MAX + 1];
    struct ccz_snp_collateral *collateral;
};
struct cczi_snp_bundles {
    struct cczi_snp_bundle list[CCZI_SNP_BUNDLES_MAX];
    size_t len;
};
/* Adds the bundle in @p dir. CCZ_E_NOT_FOUND with where "pcs:no-bundle": it has no ark.der or ark.pem. */
CCZ_MUST_USE ccz_rc cczi_snp_bundles_add(struct cczi_snp_bundles *b, const char *dir,
                                         const char *name, const struct ccz_snp_roots *roots,
                                         struct ccz_err *err);
void cczi_snp_bundles_free(struct cczi_snp_bundles *b);
/* Earliest of @p first_s and what is here. */
int64_t cczi_snp_bundles_expires(const struct cczi_snp_bundles *b, int64_t first_s);
/* Objects of the report; a comma in front of the first one unless @p first. */
void cczi_snp_bundles_report(struct ccz_buf *out, const struct cczi_snp_bundles *b, bool first,
                             int64_t now_s);
#endif
