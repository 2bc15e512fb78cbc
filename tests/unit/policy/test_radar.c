/* SPDX-License-Identifier: Apache-2.0 */
/* Early warning: made claims, and evidence of the kit against collateral before and after a TCB recovery. */
#include <cczoo/radar.h>

#include "quote/kit.h"

#include "ccz_test.h"

#define NOW   KIT_NOW_S /* 2025-06-15T15:06:40Z */
#define GRACE "\"grace\":{\"until\":\"2025-07-01T00:00:00Z\",\"tcb_status\":[\"OutOfDate\"]}"
#define UNTIL INT64_C(1751328000)

static struct ccz_err err;
static struct ccz_radar radar;

static struct ccz_policy *policy(const char *more)
{
    struct ccz_policy *p = NULL;
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, 65536);
    ccz_buf_put_str(
        &text,
        "{\"version\":1,\"rules\":[{\"name\":\"r\",\"sim\":true,\"tee\":\"sgx\",\"mrenclave\":"
        "\"0000000000000000000000000000000000000000000000000000000000000000\"");
    ccz_buf_printf(&text, "%s%s}]}", more[0] ? "," : "", more);
    CHECK(ccz_policy_parse(&p, ccz_buf_span(&text), &err) == CCZ_OK);
    return p;
}

static struct ccz_claims claims(enum ccz_tcb_status status)
{
    return (struct ccz_claims){.tee = CCZ_TEE_SGX,
                               .attributes = {5},
                               .revocation_checked = true,
                               .tcb_status = status,
                               .collateral_expires_s = NOW + 1000};
}

static enum ccz_radar_state look(const struct ccz_policy *p, enum ccz_tcb_status standard,
                                 enum ccz_tcb_status early, int64_t now_s)
{
    struct ccz_claims a = claims(standard), b = claims(early);
    b.collateral_expires_s += INT64_C(1000000000);
    if (now_s > NOW)
        a.collateral_expires_s = b.collateral_expires_s - 1;
    const struct ccz_radar_in in = {{&a, NULL}, {&b, NULL}, p, now_s};
    memset(&radar, 0xff, sizeof(radar));
    ccz_radar(&radar, &in);
    return radar.state;
}

static void test_states(void)
{
    const enum ccz_tcb_status up = CCZ_TCB_UP_TO_DATE, old = CCZ_TCB_OUT_OF_DATE;
    CCZ_AUTO(ccz_policy) strict = policy("");
    const struct ccz_policy *const policies[] = {NULL, strict};
    for (size_t i = 0; i < 2; i++) {
        CHECK(look(policies[i], up, up, NOW) == CCZ_RADAR_GOOD && radar.until_s == INT64_MAX &&
              radar.why.where[0] == 0);
        CHECK(strcmp(radar.rule, i ? "r" : "") == 0);
        CHECK(look(policies[i], up, old, NOW) == CCZ_RADAR_ENDING && radar.until_s == NOW + 1000);
        CHECK(strcmp(radar.why.got, "OutOfDate") == 0 &&
              strcmp(radar.why.expected, "UpToDate") == 0 &&
              strcmp(radar.why.where, i ? "policy:tcb_status" : "radar:tcb_status") == 0);
        CHECK(look(policies[i], old, up, NOW) == CCZ_RADAR_REFUSED && radar.until_s == 0);
        CHECK(look(policies[i], old, old, NOW) == CCZ_RADAR_REFUSED);
    }
    CCZ_AUTO(ccz_policy) lax = policy("\"tcb_status\":[\"UpToDate\",\"OutOfDate\"]");
    CHECK(look(lax, up, old, NOW) == CCZ_RADAR_GOOD);
    CHECK(look(lax, old, old, NOW) == CCZ_RADAR_GOOD);
    CHECK(strcmp(ccz_radar_state_name((enum ccz_radar_state)99), "unknown") == 0);
}

static void test_grace(void)
{
    const enum ccz_tcb_status up = CCZ_TCB_UP_TO_DATE, old = CCZ_TCB_OUT_OF_DATE;
    CCZ_AUTO(ccz_policy) p = policy(GRACE);
    CHECK(look(p, up, old, NOW) == CCZ_RADAR_GRACE && radar.until_s == UNTIL);
    CHECK(strcmp(radar.why.where, "policy:tcb_status") == 0 &&
          strcmp(radar.why.got, "OutOfDate") == 0 && strcmp(radar.why.expected, "UpToDate") == 0);
    CHECK(look(p, old, old, NOW) == CCZ_RADAR_GRACE && radar.until_s == UNTIL);
    CHECK(look(p, up, up, NOW) == CCZ_RADAR_GOOD);
    /* accepted by grace today, not by it tomorrow: the collateral is the first to end, then the grace */
    CHECK(look(p, old, CCZ_TCB_CONFIGURATION_NEEDED, NOW) == CCZ_RADAR_ENDING &&
          radar.until_s == NOW + 1000);
    CHECK(look(p, old, CCZ_TCB_CONFIGURATION_NEEDED, NOW + 1) == CCZ_RADAR_ENDING &&
          radar.until_s == UNTIL);
    CHECK(look(p, up, old, UNTIL) == CCZ_RADAR_ENDING &&
          strstr(radar.why.expected, "grace ended 2025-07-01T00:00:00Z"));
    CHECK(look(p, old, old, UNTIL) == CCZ_RADAR_REFUSED);
}

static void test_views(void)
{
    struct ccz_claims good = claims(CCZ_TCB_UP_TO_DATE);
    struct ccz_radar_in in = {.standard = {&good, NULL}, .early = {NULL, &err}, .now_s = NOW};
    static const struct {
        ccz_rc rc;
        enum ccz_radar_state early, standard;
    } cases[] = {
        {CCZ_E_NOT_FOUND, CCZ_RADAR_UNKNOWN, CCZ_RADAR_UNKNOWN}, /* no collateral for it */
        {CCZ_E_EXPIRED, CCZ_RADAR_UNKNOWN, CCZ_RADAR_UNKNOWN},
        {CCZ_E_NOMEM, CCZ_RADAR_UNKNOWN, CCZ_RADAR_UNKNOWN},
        {CCZ_E_MISMATCH, CCZ_RADAR_ENDING, CCZ_RADAR_REFUSED}, /* below every level */
        {CCZ_E_REVOKED, CCZ_RADAR_ENDING, CCZ_RADAR_REFUSED},
        {CCZ_E_SIG, CCZ_RADAR_ENDING, CCZ_RADAR_REFUSED},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        (void)ccz_fail(&err, cases[i].rc, "quote:x", 0, "x");
        in.standard = (struct ccz_radar_view){&good, NULL};
        in.early = (struct ccz_radar_view){NULL, &err};
        ccz_radar(&radar, &in);
        CHECK(radar.state == cases[i].early && strcmp(radar.why.where, "quote:x") == 0);
        in.early = in.standard;
        in.standard = (struct ccz_radar_view){NULL, &err};
        ccz_radar(&radar, &in);
        CHECK(radar.state == cases[i].standard && radar.until_s == 0);
    }
    in = (struct ccz_radar_in){.now_s = NOW};
    ccz_radar(&radar, &in);
    CHECK(radar.state == CCZ_RADAR_UNKNOWN);
    struct ccz_claims expired = good;
    expired.collateral_expires_s = NOW - 1;
    CCZ_AUTO(ccz_policy) p = policy("");
    in = (struct ccz_radar_in){{&good, NULL}, {&expired, NULL}, p, NOW};
    ccz_radar(&radar, &in);
    CHECK(radar.state == CCZ_RADAR_UNKNOWN);
    in.policy = NULL;
    ccz_radar(&radar, &in);
    CHECK(radar.state == CCZ_RADAR_UNKNOWN);
    struct ccz_claims snp = good;
    snp.tee = CCZ_TEE_SNP;
    in = (struct ccz_radar_in){{&snp, NULL}, {&snp, NULL}, NULL, NOW};
    ccz_radar(&radar, &in);
    CHECK(radar.state == CCZ_RADAR_UNKNOWN && strcmp(radar.why.where, "radar:policy") == 0);
}

/* No levels are published for SNP: the end of a grace is the warning, and names the component. */
static void test_snp(void)
{
    static const char text[] =
        "{\"version\":1,\"rules\":[{\"name\":\"snp\",\"tee\":\"snp\",\"measurement\":"
        "\"000000000000000000000000000000000000000000000000"
        "000000000000000000000000000000000000000000000000\",\"product\":\"Milan\","
        "\"reported_tcb\":{\"boot_loader\":4,\"tee\":0,\"snp\":{\"min\":22},\"microcode\":{\"min\":"
        "200}},"
        "\"grace\":{\"until\":\"2025-07-01T00:00:00Z\",\"reported_tcb\":{\"boot_loader\":4,\"tee\":"
        "0,"
        "\"snp\":{\"min\":20},\"microcode\":{\"min\":200}}}}]}";
    CCZ_AUTO(ccz_policy) p = NULL;
    CHECK(ccz_policy_parse(&p, ccz_span_str(text), &err) == CCZ_OK);
    struct ccz_claims c = {.tee = CCZ_TEE_SNP,
                           .revocation_checked = true,
                           .collateral_expires_s = NOW + 1000,
                           .snp = {.product = CCZ_SNP_MILAN,
                                   .guest_policy = {0, 0, 2},
                                   .reported_tcb = {0, 4, 0, 22, 213}}};
    memset(c.snp.report_id_ma, 0xff, sizeof(c.snp.report_id_ma));
    const struct ccz_radar_in in = {{&c, NULL}, {&c, NULL}, p, NOW};
    ccz_radar(&radar, &in);
    CHECK(radar.state == CCZ_RADAR_GOOD);
    c.snp.reported_tcb.snp = 21;
    ccz_radar(&radar, &in);
    CHECK(radar.state == CCZ_RADAR_GRACE && radar.until_s == UNTIL &&
          strcmp(radar.why.where, "policy:reported_tcb") == 0 &&
          strcmp(radar.why.got, "snp 21") == 0 && strstr(radar.why.expected, "snp at least 22"));
    c.snp.reported_tcb.snp = 19;
    ccz_radar(&radar, &in);
    CHECK(radar.state == CCZ_RADAR_REFUSED);
}

/* A recovery: the early TCB info asks for more of one component. */
static void test_recovery(void)
{
    struct kit_cfg cfg;
    struct kit standard, early;
    struct ccz_claims a, b;
    struct ccz_shortfall s;
    CCZ_AUTO(ccz_collateral) c = NULL;
    kit_default(&cfg, CCZ_TEE_SGX, 3);
    kit_new(&standard, &cfg);
    cfg.tcb_edit[0] = (struct kit_edit){"{\"svn\":5}", "{\"svn\":6}"};
    cfg.tcb_edit[1] =
        (struct kit_edit){"\"tcbEvaluationDataNumber\":18", "\"tcbEvaluationDataNumber\":19"};
    kit_new(&early, &cfg);
    /* the same platform: the quote of the one under the collateral of the other */
    CHECK(ccz_collateral_new(&c, &early.src, &early.roots, &err) == CCZ_OK);
    CHECK(kit_verify(&a, &standard, &err) == CCZ_OK);
    ccz_rc rc = ccz_quote_verify(
        &b, ccz_buf_span(&standard.quote),
        &(struct ccz_verify_cfg){.now_s = NOW, .roots = &early.roots, .collateral = c}, &err);
    CHECK(rc == CCZ_OK && a.tcb_status == CCZ_TCB_UP_TO_DATE &&
          b.tcb_status == CCZ_TCB_SW_HARDENING_NEEDED);
    const struct ccz_radar_in in = {{&a, NULL}, {&b, NULL}, NULL, NOW};
    ccz_radar(&radar, &in);
    CHECK(radar.state == CCZ_RADAR_ENDING && radar.until_s == a.collateral_expires_s);
    CHECK(ccz_collateral_shortfall(&s, c, ccz_buf_span(&standard.quote), CCZ_TCB_UP_TO_DATE,
                                   &err) == CCZ_OK);
    CHECK(s.len == 1 && s.item[0].kind == CCZ_SVN_SGX_COMPONENT && s.item[0].index == 1 &&
          s.item[0].have == 5 && s.item[0].need == 6 && s.eval_number == 19);
    CHECK(strcmp(ccz_svn_remedy(&s.item[0]), "update the BIOS") == 0);
    kit_free(&standard);
    kit_free(&early);
}

static const struct ccz_test tests[] = {
    {"radar.states", test_states}, {"radar.grace", test_grace},       {"radar.views", test_views},
    {"radar.snp", test_snp},       {"radar.recovery", test_recovery},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
