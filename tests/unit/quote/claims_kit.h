/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_CLAIMS_KIT_H
#define CCZ_CLAIMS_KIT_H
/* Claims of any TEE with something in every member, by a number; and the list of members, written down a second time. */
#include <cczoo/quote.h>

#include <stdio.h>
#include <string.h>

enum claims_kind { CLAIMS_BYTES, CLAIMS_FLAG, CLAIMS_ENUM, CLAIMS_TEXT, CLAIMS_ADVISORIES };
struct claims_member {
    const char *name;
    enum claims_kind kind;
    unsigned tees; /* 1 << enum ccz_tee */
    bool passing;  /* not a part of the identity */
    unsigned max;  /* of an enumerator */
    size_t offset, size;
};
#define CLAIMS_SGX (1u << CCZ_TEE_SGX)
#define CLAIMS_TDX (1u << CCZ_TEE_TDX)
#define CLAIMS_SNP (1u << CCZ_TEE_SNP)
#define CLAIMS_ALL (CLAIMS_SGX | CLAIMS_TDX | CLAIMS_SNP)
#define M(kind, tees, passing, max, m)                                                             \
    {                                                                                              \
#m, kind, tees, passing, max, offsetof(struct ccz_claims, m),                              \
            sizeof(((struct ccz_claims *)0)->m)                                                    \
    }
#define MB(tees, m)           M(CLAIMS_BYTES, tees, false, 0, m)
#define MP(tees, m)           M(CLAIMS_BYTES, tees, true, 0, m)
#define MF(tees, m)           M(CLAIMS_FLAG, tees, false, 0, m)
#define ME(tees, m, greatest) M(CLAIMS_ENUM, tees, false, greatest, m)

/* In the order of the structures. */
static const struct claims_member claims_members[] = {
    MB(CLAIMS_ALL, quote_version),
    MF(CLAIMS_ALL, simulated),
    MF(CLAIMS_ALL, revocation_checked),
    MP(CLAIMS_ALL, report_data),
    MB(CLAIMS_SGX, mrenclave),
    MB(CLAIMS_SGX, mrsigner),
    MB(CLAIMS_SGX, isv_prod_id),
    MB(CLAIMS_SGX, isv_svn),
    MB(CLAIMS_SGX, attributes),
    MB(CLAIMS_SGX, misc_select),
    MB(CLAIMS_SGX, config_id),
    MB(CLAIMS_SGX, isv_family_id),
    MB(CLAIMS_SGX, isv_ext_prod_id),
    MB(CLAIMS_SGX, config_svn),
    MB(CLAIMS_TDX, mrtd),
    MB(CLAIMS_TDX, rtmr),
    MB(CLAIMS_TDX, mrconfigid),
    MB(CLAIMS_TDX, mrowner),
    MB(CLAIMS_TDX, mrownerconfig),
    MB(CLAIMS_TDX, mrseam),
    MB(CLAIMS_TDX, mrsignerseam),
    MB(CLAIMS_TDX, mrservicetd),
    MB(CLAIMS_TDX, td_attributes),
    MB(CLAIMS_TDX, xfam),
    MB(CLAIMS_TDX, seam_attributes),
    MB(CLAIMS_TDX, tee_tcb_svn),
    MB(CLAIMS_TDX, tee_tcb_svn2),
    ME(CLAIMS_SNP, snp.product, 3),
    ME(CLAIMS_SNP, snp.signer, 2),
    MB(CLAIMS_SNP, snp.guest_svn),
    MB(CLAIMS_SNP, snp.vmpl),
    MB(CLAIMS_SNP, snp.guest_policy),
    MB(CLAIMS_SNP, snp.platform_info),
    MB(CLAIMS_SNP, snp.measurement),
    MB(CLAIMS_SNP, snp.host_data),
    MB(CLAIMS_SNP, snp.id_key_digest),
    MB(CLAIMS_SNP, snp.author_key_digest),
    MB(CLAIMS_SNP, snp.family_id),
    MB(CLAIMS_SNP, snp.image_id),
    MP(CLAIMS_SNP, snp.report_id),
    MB(CLAIMS_SNP, snp.report_id_ma),
    MB(CLAIMS_SNP, snp.chip_id),
    MB(CLAIMS_SNP, snp.reported_tcb),
    MB(CLAIMS_SNP, snp.current_tcb),
    MB(CLAIMS_SNP, snp.committed_tcb),
    MB(CLAIMS_SNP, snp.launch_tcb),
    MB(CLAIMS_SNP, snp.current_version),
    MB(CLAIMS_SNP, snp.committed_version),
    MB(CLAIMS_SNP, snp.launch_mit_vector),
    MB(CLAIMS_SNP, snp.current_mit_vector),
    MB(CLAIMS_SNP, snp.cpuid_family),
    MB(CLAIMS_SNP, snp.cpuid_model),
    MB(CLAIMS_SNP, snp.cpuid_stepping),
    M(CLAIMS_TEXT, CLAIMS_SNP, false, 0, snp.csp_id),
    MF(CLAIMS_ALL, debug),
    MB(CLAIMS_SGX | CLAIMS_TDX, cpu_svn),
    MB(CLAIMS_SGX | CLAIMS_TDX, fmspc),
    MB(CLAIMS_SGX | CLAIMS_TDX, pce_id),
    MB(CLAIMS_SGX | CLAIMS_TDX, ppid),
    MB(CLAIMS_SGX | CLAIMS_TDX, qe_isv_svn),
    ME(CLAIMS_SGX | CLAIMS_TDX, tcb_status, 9),
    ME(CLAIMS_SGX | CLAIMS_TDX, platform_status, 9),
    ME(CLAIMS_SGX | CLAIMS_TDX, qe_status, 9),
    ME(CLAIMS_SGX | CLAIMS_TDX, module_status, 9),
    MP(CLAIMS_SGX | CLAIMS_TDX, tcb_date_s),
    MP(CLAIMS_SGX | CLAIMS_TDX, tcb_eval_number),
    M(CLAIMS_ADVISORIES, CLAIMS_SGX | CLAIMS_TDX, false, 0, advisory),
    MP(CLAIMS_ALL, collateral_issued_s),
    MP(CLAIMS_ALL, collateral_expires_s),
};
enum { CLAIMS_MEMBERS = sizeof(claims_members) / sizeof(claims_members[0]) };
#undef M
#undef MB
#undef MP
#undef MF
#undef ME

static inline uint32_t claims_next(uint32_t *x)
{
    *x = *x * 1664525u + 1013904223u;
    return *x >> 8;
}

/* A value of member @p m that any evidence could have, by @p seed. */
static inline void claims_set(struct ccz_claims *c, const struct claims_member *m, uint32_t seed)
{
    uint8_t *to = (uint8_t *)c + m->offset;
    uint32_t x = seed * 2654435761u + (uint32_t)m->offset;
    unsigned e;
    switch (m->kind) {
    case CLAIMS_BYTES:
        for (size_t i = 0; i < m->size; i++)
            to[i] = (uint8_t)claims_next(&x);
        return;
    case CLAIMS_FLAG:
        to[0] = claims_next(&x) & 1;
        return;
    case CLAIMS_ENUM:
        e = claims_next(&x) % (m->max + 1);
        memcpy(to, &e, sizeof(e));
        return;
    case CLAIMS_TEXT:
        memset(to, 0, m->size);
        (void)snprintf((char *)to, m->size, "csp-%u", (unsigned)(claims_next(&x) % 1000));
        return;
    case CLAIMS_ADVISORIES:
        memset(to, 0, m->size);
        c->advisory_len = claims_next(&x) % 5;
        for (size_t i = 0; i < c->advisory_len; i++)
            (void)snprintf(c->advisory[i], CCZ_ADVISORY_SIZE, "INTEL-SA-%05u",
                           (unsigned)(claims_next(&x) % 100) * 10 + (unsigned)i);
        return;
    }
}

/* Claims of @p tee with every member of it set. */
static inline struct ccz_claims claims_made(enum ccz_tee tee, uint32_t seed)
{
    struct ccz_claims c;
    memset(&c, 0, sizeof(c)); /* gaps too: tests compare memory */
    c.tee = tee;
    for (size_t i = 0; i < CLAIMS_MEMBERS; i++)
        if (claims_members[i].tees & 1u << tee)
            claims_set(&c, &claims_members[i], seed);
    return c;
}
#endif
