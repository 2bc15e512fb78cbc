/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"
#include "evidence.h"

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
    ccz_buf_init(&quote, CCZ_QUOTE_SIZE_MAX);
    if (ccz_file_read(&quote, argv[0], &err) != CCZ_OK ||
        ccz_quote_parse(&q, ccz_buf_span(&quote), &err) != CCZ_OK)
        return ui_fail(&err);
    ui_say("nothing was verified: this is what the file says");
    print_fields(&q, json);
    return UI_OK;
}

static void print_claims(const struct ccz_claims *c)
{
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 1 << 20);
    ccz_claims_json(&out, c);
    ccz_buf_put_str(&out, "\n");
    ui_out_span(ccz_buf_span(&out));
}

int cmd_evidence_verify(int argc, char **argv)
{
    struct cli_trust trust = {0};
    bool json = false;
    const struct ui_opt opts[] = {
        CLI_TRUST_OPTS(&trust),
        CLI_POLICY_OPT(&trust),
        {"json", NULL, NULL, &json, NULL, "claims as JSON on stdout"},
        {0},
    };
    int n =
        ui_parse(argc, argv,
                 "cczoo evidence verify FILE --collateral DIR [--policy FILE] [--at TIME]", opts);
    if (n < 0)
        return ui_parse_status(n);
    if (n != 1) {
        ui_error("expected one file with a quote");
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
    if (json)
        print_claims(&claims);
    ui_say("%s: %s, TCB %s", trust.policy ? "accepted" : "genuine, not judged by any policy",
           ccz_tee_name(claims.tee), ccz_tcb_status_name(claims.tcb_status));
    return UI_OK;
}
