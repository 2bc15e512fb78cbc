/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"
#include "evidence.h"

#include <cczoo/codec.h>

#include <stdio.h>
#include <string.h>

enum { OUT_SIZE_MAX = 8 << 20 };

/* -------------------------------------------------------------------------------- inspect */

struct printer {
    struct ccz_buf out;
    bool json;
    char group[64];
};

static void put_json_value(struct ccz_buf *out, const struct ccz_field *f)
{
    char date[21];
    switch (f->kind) {
    case CCZ_FIELD_BYTES:
        ccz_buf_put_str(out, "\"");
        cli_put_hex(out, f->bytes);
        ccz_buf_put_str(out, "\"");
        break;
    case CCZ_FIELD_NUMBER:
        ccz_buf_printf(out, "%lld", (long long)f->number);
        if (f->text) {
            ccz_buf_printf(out, ",\"%s_name\":", f->name);
            ccz_json_put_str(out, ccz_span_str(f->text));
        }
        break;
    case CCZ_FIELD_TEXT:
        ccz_json_put_str(out, ccz_span_str(f->text));
        break;
    case CCZ_FIELD_BOOL:
        ccz_buf_put_str(out, f->number ? "true" : "false");
        break;
    case CCZ_FIELD_TIME:
        ccz_time_format(date, f->number);
        ccz_buf_printf(out, "\"%s\"", date);
        break;
    case CCZ_FIELD_NAMES:
        ccz_buf_put_str(out, "[");
        for (size_t i = 0; i < f->names_len; i++)
            ccz_buf_printf(out, "%s\"%s\"", i ? "," : "", f->names[i]);
        ccz_buf_put_str(out, "]");
        break;
    }
}

static void put_text_value(struct ccz_buf *out, const struct ccz_field *f)
{
    char text[1024];
    switch (f->kind) {
    case CCZ_FIELD_BYTES:
        cli_put_hex(out, f->bytes);
        break;
    case CCZ_FIELD_NUMBER:
        ccz_buf_printf(out, "%lld", (long long)f->number);
        if (f->text)
            ccz_buf_printf(out, " (%s)", f->text);
        break;
    case CCZ_FIELD_TEXT:
        ccz_escape(text, sizeof(text), ccz_span_str(f->text));
        ccz_buf_put_str(out, text);
        break;
    case CCZ_FIELD_BOOL:
        ccz_buf_put_str(out, f->number ? "yes" : "no");
        break;
    case CCZ_FIELD_TIME:
        ccz_time_format(text, f->number);
        ccz_buf_put_str(out, text);
        break;
    case CCZ_FIELD_NAMES:
        for (size_t i = 0; i < f->names_len; i++)
            ccz_buf_printf(out, "%s%s", i ? ", " : "", f->names[i]);
        if (f->names_len == 0)
            ccz_buf_put_str(out, "none");
        break;
    }
}

static void print_field(void *arg, const struct ccz_field *f)
{
    struct printer *p = arg;
    bool same = strcmp(p->group, f->group) == 0;
    if (p->json) {
        ccz_buf_printf(&p->out, same ? "," : "%s,\"%s\":{", p->group[0] ? "}" : "", f->group);
        ccz_json_put_str(&p->out, ccz_span_str(f->name));
        ccz_buf_put_str(&p->out, ":");
        put_json_value(&p->out, f);
    } else {
        if (!same)
            ccz_buf_printf(&p->out, "%s\n", f->group);
        ccz_buf_printf(&p->out, "  %-28s ", f->name);
        put_text_value(&p->out, f);
        ccz_buf_put_str(&p->out, "\n");
    }
    (void)snprintf(p->group, sizeof(p->group), "%s", f->group);
}

static int inspect(const struct ccz_evidence *e, bool json)
{
    struct ccz_err err = {0};
    struct printer p = {.json = json};
    ccz_buf_init(&p.out, OUT_SIZE_MAX);
    if (json)
        ccz_buf_put_str(&p.out, "{\"verified\":false");
    ccz_rc rc = ccz_evidence_describe(e, print_field, &p, &err);
    if (json) {
        ccz_buf_printf(&p.out, "},\"complete\":%s", rc == CCZ_OK ? "true" : "false");
        if (rc != CCZ_OK) {
            ccz_buf_put_str(&p.out, ",\"error\":");
            cli_put_error(&p.out, &err);
        }
        ccz_buf_put_str(&p.out, "}\n");
    }
    ui_say("nothing was verified: this is what the file says");
    ui_out_span(ccz_buf_span(&p.out));
    ccz_buf_free(&p.out);
    return rc == CCZ_OK ? UI_OK : ui_fail(&err);
}

int cmd_evidence_inspect(int argc, char **argv)
{
    bool json = false;
    const struct ui_opt opts[] = {{"json", NULL, NULL, &json, NULL, "one JSON object"}, {0}};
    int n = ui_parse(argc, argv, "cczoo evidence inspect FILE [--json]", opts);
    if (n < 0)
        return ui_parse_status(n);
    if (n != 1) {
        ui_error("expected one file with evidence, or - for standard input");
        return UI_USAGE;
    }
    struct ccz_err err = {0};
    CCZ_AUTO(ccz_evidence) e = NULL;
    if (cli_evidence_open(&e, argv[0], &err) != CCZ_OK)
        return ui_fail(&err);
    return inspect(e, json);
}

/* --------------------------------------------------------------------------------- verify */

struct outcome {
    const struct ccz_evidence *evidence;
    bool genuine, judged;
    struct ccz_claims claims; /* of genuine evidence */
    struct ccz_verdict verdict;
    ccz_rc rc;
    struct ccz_err err;
};

static const char *outcome_name(const struct outcome *o)
{
    if (o->rc == CCZ_OK)
        return o->judged ? "accepted" : "genuine";
    return ui_status(&o->err) == UI_NO ? "refused" : "error";
}

static void row(const char *name, const char *value)
{
    ui_out("%-20s %s\n", name, value);
}

static void row_hex(const char *name, const void *bytes, size_t size)
{
    char hex[2 * 64 + 1];
    ccz_hex(hex, bytes, size);
    row(name, hex);
}

static void row_date(const char *name, int64_t t_s)
{
    char date[21];
    ccz_time_format(date, t_s);
    row(name, t_s ? date : "none");
}

static void print_snp(const struct ccz_snp_claims *s)
{
    const struct ccz_snp_tcb *t = &s->reported_tcb;
    row("product", ccz_snp_product_name(s->product));
    row("signer", ccz_snp_signer_name(s->signer));
    ui_out("%-20s boot loader %u, tee %u, snp %u, microcode %u, fmc %u\n", "reported_tcb",
           t->boot_loader, t->tee, t->snp, t->microcode, t->fmc);
    ui_out("%-20s %u\n", "vmpl", s->vmpl);
    row_hex("guest_policy", s->guest_policy, sizeof(s->guest_policy));
    row_hex("measurement", s->measurement, sizeof(s->measurement));
    row_hex("host_data", s->host_data, sizeof(s->host_data));
}

static void print_tcb(const struct ccz_claims *c)
{
    row("tcb_status", ccz_tcb_status_name(c->tcb_status));
    row("platform_status", ccz_tcb_status_name(c->platform_status));
    row("qe_status", ccz_tcb_status_name(c->qe_status));
    row("module_status", c->tee == CCZ_TEE_TDX && c->module_status != CCZ_TCB_NONE
                             ? ccz_tcb_status_name(c->module_status)
                             : "none");
    ui_out("%-20s", "advisories");
    for (size_t i = 0; i < c->advisory_len; i++)
        ui_out("%s%s", i ? ", " : " ", c->advisory[i]);
    ui_out(c->advisory_len ? "\n" : " none\n");
    row_date("tcb_date", c->tcb_date_s);
    ui_out("%-20s %u\n", "tcb_eval_number", c->tcb_eval_number);
    row_hex("fmspc", c->fmspc, sizeof(c->fmspc));
    if (c->tee == CCZ_TEE_SGX) {
        row_hex("mrenclave", c->mrenclave, sizeof(c->mrenclave));
        row_hex("mrsigner", c->mrsigner, sizeof(c->mrsigner));
        ui_out("%-20s %u\n%-20s %u\n", "isv_prod_id", c->isv_prod_id, "isv_svn", c->isv_svn);
    } else {
        row_hex("mrtd", c->mrtd, sizeof(c->mrtd));
        for (int i = 0; i < 4; i++) {
            char name[8];
            (void)snprintf(name, sizeof(name), "rtmr%d", i);
            row_hex(name, c->rtmr[i], sizeof(c->rtmr[i]));
        }
    }
}

static void print_claims(const struct ccz_claims *c)
{
    row("tee", ccz_tee_name(c->tee));
    ui_out("%-20s %u\n", "quote_version", c->quote_version);
    row("simulated", c->simulated ? "SIMULATED" : "no");
    row("debug", c->debug ? "yes" : "no");
    if (c->tee == CCZ_TEE_SNP)
        print_snp(&c->snp);
    else
        print_tcb(c);
    row_hex("report_data", c->report_data, sizeof(c->report_data));
    row("revocation_checked", c->revocation_checked ? "yes" : "no");
    row_date("collateral_issued", c->collateral_issued_s);
    row_date("collateral_expires", c->collateral_expires_s);
}

/* The key that a certificate's evidence is bound to. */
static bool bound_key(uint8_t sha256[32], const struct outcome *o)
{
    const struct ccz_cert *cert = o->evidence ? ccz_evidence_cert(o->evidence) : NULL;
    return cert && o->genuine && ccz_sha256(sha256, ccz_cert_spki(cert)) == CCZ_OK;
}

static void print_outcome(const struct outcome *o)
{
    uint8_t key[32];
    row("verdict", outcome_name(o));
    if (o->verdict.accept) {
        char rule[sizeof(o->verdict.rule) * 4];
        ccz_escape(rule, sizeof(rule), ccz_span_str(o->verdict.rule));
        row("rule", rule);
        row_date("grace_until", o->verdict.grace_until_s);
    }
    if (bound_key(key, o))
        row_hex("bound_key_sha256", key, sizeof(key));
    if (o->genuine)
        print_claims(&o->claims);
}

static void print_outcome_json(const struct outcome *o)
{
    uint8_t key[32];
    char text[65];
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, OUT_SIZE_MAX);
    ccz_buf_printf(&out, "{\"verdict\":\"%s\"", outcome_name(o));
    if (o->verdict.accept) {
        ccz_buf_put_str(&out, ",\"rule\":");
        ccz_json_put_str(&out, ccz_span_str(o->verdict.rule));
    }
    if (o->verdict.grace_until_s) {
        ccz_time_format(text, o->verdict.grace_until_s);
        ccz_buf_printf(&out, ",\"grace_until\":\"%s\"", text);
    }
    if (bound_key(key, o)) {
        ccz_hex(text, key, sizeof(key));
        ccz_buf_printf(&out, ",\"bound_key_sha256\":\"%s\"", text);
    }
    if (o->genuine) {
        ccz_buf_put_str(&out, ",\"claims\":");
        ccz_claims_json(&out, &o->claims);
    }
    if (o->rc != CCZ_OK) {
        ccz_buf_put_str(&out, ",\"error\":");
        cli_put_error(&out, &o->err);
    }
    ccz_buf_put_str(&out, "}\n");
    ui_out_span(ccz_buf_span(&out));
}

static void verify(struct outcome *o, const struct cli_verifier *v)
{
    o->judged = v->policy != NULL;
    o->rc = cli_verify_opened(&o->claims, v, o->evidence, &o->err);
    o->genuine = o->rc == CCZ_OK;
    if (o->genuine && v->policy)
        o->rc = ccz_policy_eval(&o->verdict, v->policy, &o->claims, v->now_s, &o->err);
}

static int refuse(const struct ccz_err *err)
{
    int status = ui_fail(err);
    if (strncmp(err->where, "policy:rtmr", 11) == 0)
        ui_hint("cczoo evidence eventlog LOG --quote FILE --diff GOODLOG shows what was measured "
                "otherwise");
    return status;
}

int cmd_evidence_verify(int argc, char **argv)
{
    struct cli_trust trust = {0};
    bool json = false;
    const struct ui_opt opts[] = {
        CLI_TRUST_OPTS(&trust),
        CLI_POLICY_OPT(&trust),
        {"json", NULL, NULL, &json, NULL, "verdict and claims as one JSON object"},
        {0},
    };
    int n = ui_parse(argc, argv,
                     "cczoo evidence verify FILE --collateral DIR|URL [--policy FILE] [--at TIME]",
                     opts);
    if (n < 0)
        return ui_parse_status(n);
    if (n != 1) {
        ui_error("expected one file with evidence, or - for standard input");
        return UI_USAGE;
    }
    struct outcome o = {0};
    CCZ_AUTO(ccz_evidence) e = NULL;
    CLI_AUTO_VERIFIER v;
    o.rc = cli_verifier_open(&v, &trust, &o.err);
    if (o.rc == CCZ_OK)
        o.rc = cli_evidence_open(&e, argv[0], &o.err);
    o.evidence = e;
    if (o.rc == CCZ_OK)
        verify(&o, &v);
    else if (!json)
        return ui_fail(&o.err);
    if (o.claims.simulated)
        ui_simulated("the evidence comes from a software TEE");
    if (json)
        print_outcome_json(&o);
    else
        print_outcome(&o);
    if (o.rc != CCZ_OK)
        return refuse(&o.err);
    bool snp = o.claims.tee == CCZ_TEE_SNP; /* AMD publishes no statuses */
    ui_say("%s: %s, %s%s", o.judged ? "accepted" : "genuine, not judged by any policy",
           ccz_tee_name(o.claims.tee), snp ? "" : "TCB ",
           snp ? ccz_snp_product_name(o.claims.snp.product)
               : ccz_tcb_status_name(o.claims.tcb_status));
    return UI_OK;
}
