/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever text parses as a policy: it refuses zeroed, revoked and expired claims, and accepts only
 * claims whose measurement it spells out. */
#include <cczoo/policy.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NOW = 1800000000 };

static struct ccz_claims claims(enum ccz_tee tee)
{
    struct ccz_claims c = {
        .tee = tee, .tcb_status = CCZ_TCB_UP_TO_DATE, .collateral_expires_s = NOW};
    memset(c.mrenclave, 0x11, sizeof(c.mrenclave));
    memset(c.mrsigner, 0x22, sizeof(c.mrsigner));
    memset(c.mrtd, 0x66, sizeof(c.mrtd));
    c.td_attributes[3] = 0x10; /* SEPT_VE_DISABLE */
    c.isv_svn = UINT16_MAX;
    c.tcb_eval_number = UINT32_MAX;
    c.tcb_date_s = c.collateral_issued_s = NOW;
    return c;
}

static bool accepts(const struct ccz_policy *p, const struct ccz_claims *c, int64_t now_s)
{
    struct ccz_verdict v;
    struct ccz_err err;
    ccz_rc rc = ccz_policy_eval(&v, p, c, now_s, &err);
    if (v.accept != (rc == CCZ_OK) ||
        (rc != CCZ_OK && (err.where[0] == 0 || err.got[0] == 0 || v.rule[0] != 0)))
        abort();
    return v.accept;
}

/* True if the text holds `run` times `digit` in a row: the hex of a measurement above. */
static bool spells(const uint8_t *text, size_t size, char digit, size_t run)
{
    size_t have = 0;
    for (size_t i = 0; i < size && have < run; i++)
        have = text[i] == (uint8_t)digit ? have + 1 : 0;
    return have >= run;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CCZ_AUTO(ccz_policy) p = NULL;
    struct ccz_err err;
    struct ccz_claims zero = {.collateral_expires_s = NOW};
    if (ccz_policy_parse(&p, CCZ_SPAN(data, size), &err) != CCZ_OK) {
        if (p != NULL || err.where[0] == 0)
            abort();
        return 0;
    }
    if (accepts(p, &zero, NOW))
        abort();
    bool escaped = size > 0 && memchr(data, '\\', size) != NULL; /* digits may hide as \u0031 */
    for (int t = CCZ_TEE_SGX; t <= CCZ_TEE_SNP; t++) {
        struct ccz_claims c = claims((enum ccz_tee)t);
        bool named = t == CCZ_TEE_SGX ? spells(data, size, '1', 64) || spells(data, size, '2', 64)
                                      : t == CCZ_TEE_TDX && spells(data, size, '6', 96);
        if (accepts(p, &c, NOW) && !named && !escaped)
            abort();
        if (accepts(p, &c, NOW + 1)) /* expired */
            abort();
        c.tcb_status = CCZ_TCB_REVOKED;
        if (accepts(p, &c, NOW))
            abort();
    }
    return 0;
}
