/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever text parses as a policy: it refuses zeroed, revoked and expired claims, and accepts only
 * claims whose measurement it spells out. What explains it agrees with what evaluates it. */
#include <cczoo/codec.h>
#include <cczoo/policy.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NOW = 1800000000, EXPLAIN_SIZE_MAX = 4096 };

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
    if (tee == CCZ_TEE_SNP) { /* AMD publishes no statuses */
        c.tcb_status = CCZ_TCB_NONE;
        c.revocation_checked = true;
        c.snp.product = CCZ_SNP_MILAN;
        c.snp.signer = CCZ_SNP_VCEK;
        c.snp.guest_policy[2] = 0x02; /* the bit that is always set */
        c.snp.reported_tcb = (struct ccz_snp_tcb){0, 255, 255, 255, 255};
        memset(c.snp.measurement, 0x99, sizeof(c.snp.measurement));
        memset(c.snp.report_id_ma, 0xff, sizeof(c.snp.report_id_ma));
    }
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

/* The explanation is JSON, and says the same. */
static void explain(const struct ccz_policy *p, const struct ccz_claims *c)
{
    CCZ_AUTO_BUF out;
    CCZ_AUTO(ccz_json) j = NULL;
    bool accept;
    ccz_buf_init(&out, (size_t)4 << 20);
    if (ccz_policy_explain(&out, p, c, NOW, CCZ_POLICY_TEXT, NULL) != CCZ_OK || out.size == 0)
        abort();
    ccz_buf_clear(&out);
    if (ccz_policy_explain(&out, p, c, NOW, CCZ_POLICY_JSON, NULL) != CCZ_OK ||
        ccz_json_parse(&j, ccz_buf_span(&out), NULL) != CCZ_OK ||
        !ccz_json_bool(&accept, ccz_json_get(j, "accept")) || accept != accepts(p, c, NOW))
        abort();
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
        bool named = t == CCZ_TEE_SGX   ? spells(data, size, '1', 64) || spells(data, size, '2', 64)
                     : t == CCZ_TEE_TDX ? spells(data, size, '6', 96)
                                        : spells(data, size, '9', 96);
        if (accepts(p, &c, NOW) && !named && !escaped)
            abort();
        if (size < EXPLAIN_SIZE_MAX)
            explain(p, &c);
        if (accepts(p, &c, NOW + 1)) /* expired */
            abort();
        c.tcb_status = CCZ_TCB_REVOKED;
        c.snp.product = CCZ_SNP_NONE;
        if (accepts(p, &c, NOW))
            abort();
    }
    return 0;
}
