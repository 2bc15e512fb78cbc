/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include <cczoo/verifier.h>

#include <stdio.h>
#include <string.h>

/* One field of a report body, as the formats document lays it out. */
struct field {
    const char *name;
    size_t at, size;
};

static const struct field sgx_fields[] = {
    {"cpu_svn", 0, 16},     {"misc_select", 16, 4},     {"isv_ext_prod_id", 32, 16},
    {"attributes", 48, 16}, {"mrenclave", 64, 32},      {"mrsigner", 128, 32},
    {"config_id", 192, 64}, {"isv_prod_id", 256, 2},    {"isv_svn", 258, 2},
    {"config_svn", 260, 2}, {"isv_family_id", 304, 16}, {"report_data", 320, 64},
    {NULL, 0, 0},
};
static const struct field td_fields[] = {
    {"tee_tcb_svn", 0, 16},      {"mrseam", 16, 48},        {"mrsignerseam", 64, 48},
    {"seam_attributes", 112, 8}, {"td_attributes", 120, 8}, {"xfam", 128, 8},
    {"mrtd", 136, 48},           {"mrconfigid", 184, 48},   {"mrowner", 232, 48},
    {"mrownerconfig", 280, 48},  {"rtmr0", 328, 48},        {"rtmr1", 376, 48},
    {"rtmr2", 424, 48},          {"rtmr3", 472, 48},        {"report_data", 520, 64},
    {"tee_tcb_svn2", 584, 16},   {"mrservicetd", 600, 48},  {NULL, 0, 0},
};

static ccz_rc read_quote(struct ccz_buf *out, const char *file, struct ccz_err *err)
{
    ccz_buf_init(out, CCZ_QUOTE_SIZE_MAX);
    return ccz_file_read(out, file, err);
}

static void print_fields(const struct ccz_quote *q, bool json)
{
    const struct field *f = q->tee == CCZ_TEE_SGX ? sgx_fields : td_fields;
    if (json)
        ui_out("{\"version\":%u,\"tee\":\"%s\",\"certification_type\":%u", q->version,
               ccz_tee_name(q->tee), q->cert_type);
    else
        ui_out("%-16s %u\n%-16s %s\n%-16s %u\n", "quote version", q->version, "tee",
               ccz_tee_name(q->tee), "certification", q->cert_type);
    for (; f->name; f++) {
        char hex[129];
        struct ccz_span v = ccz_span_sub(q->body, f->at, f->size);
        if (v.size == 0)
            continue; /* a TD report 1.0 has no 1.5 fields */
        ccz_hex(hex, v.ptr, v.size);
        if (json)
            ui_out(",\"%s\":\"%s\"", f->name, hex);
        else
            ui_out("%-16s %s\n", f->name, hex);
    }
    if (json)
        ui_out("}\n");
}

int cmd_evidence_inspect(int argc, char **argv)
{
    bool json = false;
    const struct ui_opt opts[] = {{"json", NULL, NULL, &json, NULL, "one JSON object"}, {0}};
    int n = ui_parse(argc, argv, "cczoo evidence inspect FILE [--json]", opts);
    if (n < 0)
        return ui_parse_status(n);
    if (n != 1) {
        ui_error("expected one file with a quote");
        return UI_USAGE;
    }
    struct ccz_err err;
    struct ccz_quote q;
    CCZ_AUTO_BUF quote;
    if (read_quote(&quote, argv[0], &err) != CCZ_OK ||
        ccz_quote_parse(&q, ccz_buf_span(&quote), &err) != CCZ_OK)
        return ui_fail(&err);
    ui_say("nothing was verified: this is what the file says");
    print_fields(&q, json);
    return UI_OK;
}

static int64_t fixed_now(void *arg)
{
    return *(int64_t *)arg;
}

struct verify_opts {
    const char *collateral, *sim, *policy, *at;
    bool json;
};

static ccz_rc verify(struct ccz_claims *claims, const char *file, const struct verify_opts *o,
                     struct ccz_policy **policy, struct ccz_err *err)
{
    CCZ_AUTO_BUF quote, text;
    ccz_buf_init(&text, CCZ_POLICY_SIZE_MAX);
    ccz_rc rc = read_quote(&quote, file, err);
    int64_t now = ccz_clock_now_s(ccz_clock_system());
    if (rc == CCZ_OK && o->at && ccz_time_parse(&now, o->at, strlen(o->at)) != CCZ_OK)
        rc = ccz_fail(err, CCZ_E_ARG, "cli:at", 0, "--at %s is not like 2026-01-31T00:00:00Z",
                      o->at);
    if (rc == CCZ_OK && o->policy) {
        rc = ccz_file_read(&text, o->policy, err);
        if (rc == CCZ_OK)
            rc = ccz_policy_parse(policy, ccz_buf_span(&text), err);
    }
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_verifier_cfg cfg = {.clock = {fixed_now, &now},
                                         .collateral_dir = o->collateral,
                                         .trust_sim_dir = o->sim,
                                         .policy = *policy};
    CCZ_AUTO(ccz_verifier) v = NULL;
    rc = ccz_verifier_new(&v, &cfg, err);
    if (rc != CCZ_OK)
        return rc;
    return o->policy ? ccz_verifier_appraise(v, claims, ccz_buf_span(&quote), err)
                     : ccz_verifier_verify(v, claims, ccz_buf_span(&quote), err);
}

static void print_claims(const struct ccz_claims *c)
{
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 1 << 20);
    ccz_claims_json(&out, c);
    ccz_buf_put_str(&out, "\n");
    ui_out_span(ccz_buf_span(&out));
}

/* What `evidence verify` and `policy from-evidence` share: the file, whom to trust, and when. Returns -1 to go on,
 * else the exit status. */
static int parse_verify(struct verify_opts *o, int argc, char **argv, const char *usage)
{
    const struct ui_opt opts[] = {
        {"collateral", &o->collateral, NULL, NULL, "DIR", "collateral of genuine platforms"},
        {"trust-sim", &o->sim, NULL, NULL, "DIR",
         "trust this software TEE (all output says SIMULATED)"},
        {"policy", &o->policy, NULL, NULL, "FILE",
         "appraisal policy; without it only genuineness is checked"},
        {"at", &o->at, NULL, NULL, "TIME", "verification time, default now"},
        {"json", NULL, NULL, &o->json, NULL, "claims as JSON on stdout"},
        {0},
    };
    int n = ui_parse(argc, argv, usage, opts);
    if (n < 0)
        return ui_parse_status(n);
    if (n != 1) {
        ui_error("expected one file with a quote");
        return UI_USAGE;
    }
    return -1;
}

int cmd_evidence_verify(int argc, char **argv)
{
    struct verify_opts o = {0};
    int status = parse_verify(
        &o, argc, argv, "cczoo evidence verify FILE --collateral DIR [--policy FILE] [--at TIME]");
    if (status >= 0)
        return status;
    struct ccz_err err;
    struct ccz_claims claims;
    CCZ_AUTO(ccz_policy) policy = NULL;
    if (verify(&claims, argv[0], &o, &policy, &err) != CCZ_OK)
        return ui_fail(&err);
    if (claims.simulated)
        ui_simulated("the evidence comes from a software TEE");
    if (o.json)
        print_claims(&claims);
    ui_say("%s: %s, TCB %s", o.policy ? "accepted" : "genuine, not judged by any policy",
           ccz_tee_name(claims.tee), ccz_tcb_status_name(claims.tcb_status));
    return UI_OK;
}

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
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, CCZ_POLICY_SIZE_MAX);
    if (ccz_file_read(&text, argv[0], &err) != CCZ_OK ||
        ccz_policy_parse(&policy, ccz_buf_span(&text), &err) != CCZ_OK)
        return ui_fail(&err);
    ui_say("the policy is well formed");
    return UI_OK;
}

int cmd_policy_draft(int argc, char **argv)
{
    struct verify_opts o = {0};
    int status = parse_verify(&o, argc, argv,
                              "cczoo policy from-evidence FILE --collateral DIR [--at TIME]");
    if (status >= 0)
        return status;
    if (o.policy || o.json) {
        ui_error("--policy and --json have no meaning here: the output is a policy");
        return UI_USAGE;
    }
    struct ccz_err err;
    struct ccz_claims claims;
    CCZ_AUTO(ccz_policy) none = NULL;
    if (verify(&claims, argv[0], &o, &none, &err) != CCZ_OK)
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
