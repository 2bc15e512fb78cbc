/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"
#include "evidence.h"

#include <cczoo/codec.h>

#include <stdio.h>
#include <string.h>

int cmd_policy_check(int argc, char **argv)
{
    const struct ui_opt opts[] = {{0}};
    int n = ui_parse(argc, argv, "cczoo policy check FILE", opts);
    if (n < 0)
        return ui_parse_status(n);
    if (n != 1) {
        ui_error("expected one policy file");
        return UI_USAGE;
    }
    struct ccz_err err;
    CCZ_AUTO(ccz_policy) policy = NULL;
    if (cli_policy_read(&policy, argv[0], &err) != CCZ_OK)
        return ui_fail(&err);
    ui_say("the policy is well formed");
    return UI_OK;
}

int cmd_policy_schema(int argc, char **argv)
{
    const struct ui_opt opts[] = {{0}};
    int n = ui_parse(argc, argv, "cczoo policy schema", opts);
    if (n < 0)
        return ui_parse_status(n);
    if (n != 0) {
        ui_error("expected no operand");
        return UI_USAGE;
    }
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, CCZ_POLICY_SIZE_MAX);
    ccz_policy_schema(&out);
    ui_out_span(ccz_buf_span(&out));
    return out.bad ? UI_ENV : UI_OK;
}

int cmd_policy_draft(int argc, char **argv)
{
    struct cli_trust trust = {0};
    const struct ui_opt opts[] = {CLI_TRUST_OPTS(&trust), {0}};
    int n =
        ui_parse(argc, argv, "cczoo policy from-evidence FILE --collateral DIR [--at TIME]", opts);
    if (n < 0)
        return ui_parse_status(n);
    if (n != 1) {
        ui_error("expected one file with evidence");
        return UI_USAGE;
    }
    struct ccz_err err;
    struct ccz_claims claims;
    CLI_AUTO_VERIFIER v;
    if (cli_verifier_open(&v, &trust, &err) != CCZ_OK ||
        cli_verify(&claims, &v, argv[0], &err) != CCZ_OK)
        return ui_fail(&err);
    if (claims.simulated)
        ui_simulated("the evidence comes from a software TEE");
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, CCZ_POLICY_SIZE_MAX);
    if (ccz_policy_draft(&out, &claims, &err) != CCZ_OK)
        return ui_fail(&err);
    ui_out_span(ccz_buf_span(&out));
    return UI_OK;
}

/* What the policy demands; with @p file also how that evidence fares. */
static int explain(const struct cli_trust *trust, const char *policy_file, const char *file,
                   bool json)
{
    struct ccz_err err;
    struct ccz_claims claims = {0};
    CCZ_AUTO(ccz_policy) policy = NULL;
    CLI_AUTO_VERIFIER v = {0};
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, (size_t)64 << 20);
    int64_t now_s = 0;
    ccz_rc rc = cli_policy_read(&policy, policy_file, &err);
    if (rc == CCZ_OK)
        rc = cli_time(&now_s, trust->at, &err);
    if (rc == CCZ_OK && file)
        rc = cli_verifier_open(&v, trust, &err);
    if (rc == CCZ_OK && file)
        rc = cli_verify(&claims, &v, file, &err);
    if (rc == CCZ_OK)
        rc = ccz_policy_explain(&out, policy, file ? &claims : NULL, now_s,
                                json ? CCZ_POLICY_JSON : CCZ_POLICY_TEXT, &err);
    if (rc != CCZ_OK)
        return ui_fail(&err);
    if (claims.simulated)
        ui_simulated("the evidence comes from a software TEE");
    ui_out_span(ccz_buf_span(&out));
    if (!file)
        return UI_OK;
    struct ccz_verdict verdict;
    if (ccz_policy_eval(&verdict, policy, &claims, now_s, &err) != CCZ_OK)
        return ui_fail(&err);
    ui_say("accepted by rule \"%s\"", verdict.rule);
    return UI_OK;
}

int cmd_policy_explain(int argc, char **argv)
{
    struct cli_trust trust = {0};
    const char *evidence = NULL;
    bool json = false;
    const struct ui_opt opts[] = {
        {"evidence", &evidence, NULL, NULL, "FILE", "judge this evidence, field by field"},
        CLI_TRUST_OPTS(&trust),
        {"json", NULL, NULL, &json, NULL, "one JSON object"},
        {0},
    };
    int n = ui_parse(argc, argv,
                     "cczoo policy explain FILE [--evidence FILE --collateral DIR] [--at TIME] "
                     "[--json]",
                     opts);
    if (n < 0)
        return ui_parse_status(n);
    if (n != 1) {
        ui_error("expected one policy file");
        return UI_USAGE;
    }
    if (!evidence && (trust.collateral || trust.sim)) {
        ui_error("--collateral and --trust-sim are about --evidence");
        return UI_USAGE;
    }
    return explain(&trust, argv[0], evidence, json);
}
