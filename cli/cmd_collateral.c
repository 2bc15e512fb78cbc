/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"
#include "collateral.h"

#include <cczoo/codec.h>
#include <cczoo/crypto.h>
#include <cczoo/net.h>
#include <cczoo/pcs.h>
#include <cczoo/x509.h>

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum {
    WAIT_MAX_S = 86400,
    REPORT_SIZE_MAX = 16 << 20,
};

/* ---------------------------------------------------------------------------------- common */

static int usage_error(const char *what)
{
    ui_error("%s", what);
    return UI_USAGE;
}

static bool read_hex(void *out, size_t size, const char *text)
{
    return text && ccz_unhex(out, size, text, strlen(text)) == CCZ_OK;
}

/* ----------------------------------------------------------------------------------- fetch */

struct fetch_opts {
    struct cli_site site;
    const char *quote, *fmspc, *ca, *tee, *update, *out, *amd, *report, *sim;
    int64_t wait_s, number;
    bool pck;
};

/* What is wanted, from a quote, from options, or for AMD from a report. */
struct wants {
    struct ccz_buf quote;
    struct ccz_pcs_want intel;
    struct ccz_pcs_want_amd amd;
};

static int read_intel(struct wants *w, const struct fetch_opts *o, struct ccz_err *err)
{
    if (o->quote) {
        if (o->fmspc || o->ca || o->tee)
            return usage_error("--quote says it all: no --fmspc, --ca, --tee with it");
        return ccz_file_read(&w->quote, o->quote, err) == CCZ_OK ? UI_OK : ui_fail(err);
    }
    if (!read_hex(w->intel.fmspc, sizeof(w->intel.fmspc), o->fmspc))
        return usage_error("expected --quote FILE, or --fmspc with 12 hex digits");
    if (o->ca && strcmp(o->ca, "processor") == 0)
        w->intel.ca = CCZ_PCK_CA_PROCESSOR;
    else if (!o->ca || strcmp(o->ca, "platform") == 0)
        w->intel.ca = CCZ_PCK_CA_PLATFORM;
    else
        return usage_error("--ca is processor or platform");
    if (o->tee && strcmp(o->tee, "sgx") == 0)
        w->intel.tee = CCZ_TEE_SGX;
    else if (o->tee && strcmp(o->tee, "tdx") == 0)
        w->intel.tee = CCZ_TEE_TDX;
    else
        return usage_error("--tee is sgx or tdx");
    return UI_OK;
}

/* A report says which chip and TCB; its product line only from version 3 on, so that --amd may say it. */
static int read_amd(struct wants *w, const struct fetch_opts *o, struct ccz_err *err)
{
    struct ccz_snp_report r;
    if (!o->report)
        return usage_error("--amd needs --report FILE: it says which chip and TCB");
    if (ccz_file_read(&w->quote, o->report, err) != CCZ_OK)
        return ui_fail(err);
    if (!o->amd)
        return UI_OK;
    if (ccz_snp_report_parse(&r, ccz_buf_span(&w->quote), err) != CCZ_OK)
        return ui_fail(err);
    w->amd = (struct ccz_pcs_want_amd){
        .product = o->amd, .vlek = r.signer == CCZ_SNP_VLEK, .chain_only = r.vek.size > 0};
    memcpy(w->amd.tcb, r.reported_tcb.ptr, sizeof(w->amd.tcb));
    memcpy(w->amd.chip_id, r.claims.chip_id, sizeof(w->amd.chip_id));
    return UI_OK;
}

static ccz_rc open_store(struct cli_store *s, const struct fetch_opts *o, struct ccz_err *err)
{
    struct cli_roots roots;
    ccz_rc rc = cli_roots(&roots, o->sim, err);
    const struct ccz_pcs_store_cfg cfg = {
        .dir = o->out,
        .roots = &roots.intel,
        .snp_roots = &roots.amd,
        .clock = ccz_clock_system(),
        .update = o->update && strcmp(o->update, "early") == 0 ? CCZ_PCS_EARLY : CCZ_PCS_STANDARD,
        .tcb_eval_number = (uint32_t)o->number,
        .fetch_pck = o->pck,
        .wait_max_s = o->wait_s,
    };
    return rc == CCZ_OK ? cli_store_open(s, &o->site, cfg, err) : rc;
}

/* Failing to refresh what is still valid is no failure, but the user wants to know. */
static void say_failures(struct ccz_pcs_store *s)
{
    CCZ_AUTO_BUF text;
    CCZ_AUTO(ccz_json) json = NULL;
    ccz_buf_init(&text, REPORT_SIZE_MAX);
    ccz_pcs_store_report(&text, s);
    if (ccz_json_parse(&json, ccz_buf_span(&text), NULL) != CCZ_OK)
        return;
    const struct ccz_json *list = ccz_json_get(json, "failures");
    for (size_t i = 0; i < ccz_json_len(list); i++) {
        const struct ccz_json *f = ccz_json_at(list, i);
        const char *what = ccz_json_str(ccz_json_get(f, "what"));
        const char *where = ccz_json_str(ccz_json_get(f, "where"));
        ui_say("not refreshed, what is stored is still valid: %s: %s", what ? what : "",
               where ? where : "");
    }
}

static int fetch(const struct fetch_opts *o, const struct wants *w)
{
    CLI_AUTO_STORE s = {0};
    struct ccz_err err;
    ccz_rc rc = open_store(&s, o, &err);
    if (rc == CCZ_OK && o->amd)
        rc = ccz_pcs_store_fetch_amd(s.store, &w->amd, &err);
    else if (rc == CCZ_OK && (o->quote || o->report))
        rc = ccz_pcs_store_fetch_evidence(s.store, ccz_buf_span(&w->quote), &err);
    else if (rc == CCZ_OK)
        rc = ccz_pcs_store_fetch(s.store, &w->intel, &err);
    if (rc != CCZ_OK)
        return ui_fail(&err);
    say_failures(s.store);
    ui_say("%s holds valid collateral", o->out);
    return UI_OK;
}

int cmd_collateral_fetch(int argc, char **argv)
{
    struct fetch_opts o = {.wait_s = CLI_WAIT_S};
    const struct ui_opt opts[] = {
        {"from", &o.site.from, NULL, NULL, "URL",
         "a PCCS, like https://pccs:8081; default pcs: Intel"},
        {"quote", &o.quote, NULL, NULL, "FILE", "fetch what this quote or report needs"},
        {"fmspc", &o.fmspc, NULL, NULL, "HEX", "or for this kind of platform, with:"},
        {"tee", &o.tee, NULL, NULL, "TEE", "sgx or tdx"},
        {"ca", &o.ca, NULL, NULL, "CA", "platform (default) or processor"},
        {"update", &o.update, NULL, NULL, "KIND", "standard (default) or early TCB updates"},
        {"tcb-eval-number", NULL, &o.number, NULL, "N", "or a certain TCB evaluation data number"},
        {"pck", NULL, NULL, &o.pck, NULL, "ask for the PCK certificate if the quote has none"},
        {"amd", &o.amd, NULL, NULL, "LINE", "Milan, Genoa or Turin, if the report does not say it"},
        {"report", &o.report, NULL, NULL, "FILE", "an SEV-SNP attestation report"},
        {"amd-url", &o.site.amd_url, NULL, NULL, "URL", "another server than AMD's KDS"},
        {"out", &o.out, NULL, NULL, "DIR", "where bundles are kept"},
        {"wait", NULL, &o.wait_s, NULL, "SECONDS", "wait for a busy server, default 60"},
        {"key-file", &o.site.key_file, NULL, NULL, "FILE",
         "subscription key, shown to Intel PCS only"},
        {"ca-file", &o.site.ca_file, NULL, NULL, "FILE",
         "PEM certificates that HTTPS servers may have"},
        {"proxy", &o.site.proxy, NULL, NULL, "URL", "HTTP proxy"},
        {"root-crl-url", &o.site.root_crl_url, NULL, NULL, "URL", "where the root CRL is"},
        {"any-certificate-insecure", NULL, NULL, &o.site.any_certificate, NULL,
         "accept every HTTPS certificate"},
        {"plain-http-insecure", NULL, NULL, &o.site.plain_http, NULL,
         "allow http:// to other machines"},
        {"trust-sim", &o.sim, NULL, NULL, "DIR",
         "the root of this software TEE instead of Intel's"},
        {0},
    };
    int n =
        ui_parse(argc, argv, "cczoo collateral fetch [--from URL] --quote FILE --out DIR", opts);
    if (n < 0)
        return ui_parse_status(n);
    if (n != 0 || !o.out)
        return usage_error("expected --out DIR and no operands");
    if (o.wait_s < 0 || o.wait_s > WAIT_MAX_S || o.number < 0 || o.number > 100000)
        return usage_error("--wait or --tcb-eval-number is out of range");
    if (o.update && strcmp(o.update, "early") != 0 && strcmp(o.update, "standard") != 0)
        return usage_error("--update is standard or early");
    struct wants w = {0};
    struct ccz_err err;
    ccz_buf_init(&w.quote, CCZ_QUOTE_SIZE_MAX);
    int status = o.amd || o.report ? read_amd(&w, &o, &err) : read_intel(&w, &o, &err);
    if (status == UI_OK)
        status = fetch(&o, &w);
    ccz_buf_free(&w.quote);
    return status;
}

/* ---------------------------------------------------------------------------------- status */

static const char *text_of(const struct ccz_json *o, const char *key)
{
    const char *s = ccz_json_str(ccz_json_get(o, key));
    return s ? s : "-";
}

static bool print_row(const struct ccz_json *b)
{
    int64_t left = 0;
    bool expired = true, simulated = false;
    (void)!ccz_json_int(&left, ccz_json_get(b, "seconds_left"));
    (void)!ccz_json_bool(&expired, ccz_json_get(b, "expired"));
    (void)!ccz_json_bool(&simulated, ccz_json_get(b, "simulated"));
    const char *tee = text_of(b, "tee");
    ui_out("%-28s %-4s %-20.20s %-20.20s %5lld  %-9s%s%s\n", text_of(b, "name"),
           *tee == '-' ? "snp" : tee, text_of(b, "issued"), text_of(b, "expires"),
           (long long)(left / 86400), text_of(b, "update"), expired ? "EXPIRED" : "ok",
           simulated ? " SIMULATED" : "");
    return !expired;
}

static int print_status(struct ccz_pcs_store *s, bool as_json)
{
    CCZ_AUTO_BUF text;
    CCZ_AUTO(ccz_json) json = NULL;
    struct ccz_err err;
    bool good = true;
    ccz_buf_init(&text, REPORT_SIZE_MAX);
    ccz_pcs_store_report(&text, s);
    if (ccz_json_parse(&json, ccz_buf_span(&text), &err) != CCZ_OK)
        return ui_fail(&err);
    if (as_json) {
        ui_out_span(ccz_buf_span(&text));
        ui_out("\n");
    } else {
        ui_out("%-28s %-4s %-20s %-20s %5s  %-9s%s\n", "PLATFORM", "TEE", "ISSUED", "EXPIRES",
               "DAYS", "UPDATE", "STATE");
    }
    static const char *const lists[] = {"bundles", "amd"};
    size_t rows = 0;
    for (int i = 0; i < 2; i++) {
        const struct ccz_json *list = ccz_json_get(json, lists[i]);
        rows += ccz_json_len(list);
        for (size_t n = 0; n < ccz_json_len(list); n++) {
            const struct ccz_json *b = ccz_json_at(list, n);
            bool expired = true;
            if (!as_json)
                good &= print_row(b);
            else
                good &= ccz_json_bool(&expired, ccz_json_get(b, "expired")) && !expired;
        }
    }
    if (rows == 0) {
        ui_error("there is no collateral");
        return UI_NO;
    }
    if (!good)
        ui_say("some collateral has expired: quotes of these platforms are refused");
    return good ? UI_OK : UI_NO;
}

static int64_t fixed_now(void *arg)
{
    return *(int64_t *)arg;
}

int cmd_collateral_status(int argc, char **argv)
{
    const char *sim = NULL, *at = NULL;
    int64_t now_s = ccz_clock_now_s(ccz_clock_system());
    bool json = false;
    const struct ui_opt opts[] = {
        {"json", NULL, NULL, &json, NULL, "one JSON object"},
        {"at", &at, NULL, NULL, "TIME", "what will be valid then, default now"},
        {"trust-sim", &sim, NULL, NULL, "DIR", "the root of this software TEE instead of Intel's"},
        {0},
    };
    int n = ui_parse(argc, argv, "cczoo collateral status DIR [--json] [--at TIME]", opts);
    if (n < 0)
        return ui_parse_status(n);
    struct stat st;
    if (n != 1 || stat(argv[0], &st) != 0 || !S_ISDIR(st.st_mode))
        return usage_error("expected one directory with bundles");
    if (at && ccz_time_parse(&now_s, at, strlen(at)) != CCZ_OK)
        return usage_error("--at is not like 2026-01-31T00:00:00Z");
    struct ccz_err err;
    struct cli_roots roots;
    CCZ_AUTO(ccz_pcs_store) s = NULL;
    const struct ccz_pcs_store_cfg cfg = {.dir = argv[0],
                                          .roots = &roots.intel,
                                          .snp_roots = &roots.amd,
                                          .clock = {fixed_now, &now_s}};
    if (cli_roots(&roots, sim, &err) != CCZ_OK || ccz_pcs_store_new(&s, &cfg, &err) != CCZ_OK)
        return ui_fail(&err);
    return print_status(s, json);
}

/* ---------------------------------------------------------------------------------- bundle */

static void say_signer(const uint8_t signer[32])
{
    char hex[65];
    ccz_hex(hex, signer, 32);
    ui_out("%s\n", hex);
}

static int bundle_keygen(int argc, char **argv)
{
    const struct ui_opt opts[] = {{0}};
    int n = ui_parse(argc, argv, "cczoo collateral bundle keygen FILE", opts);
    if (n < 0)
        return ui_parse_status(n);
    if (n != 1)
        return usage_error("expected one file");
    struct ccz_err err = {0};
    uint8_t signer[32];
    CCZ_AUTO(ccz_key) key = NULL;
    if (ccz_key_generate(&key, CCZ_P256) != CCZ_OK || ccz_pcs_signer(signer, key) != CCZ_OK)
        return usage_error("no key could be made");
    if (ccz_key_save(key, argv[0], &err) != CCZ_OK)
        return ui_fail(&err);
    ui_say("give this to those who import bundles, by a way that nobody can change:");
    say_signer(signer);
    return UI_OK;
}

static int bundle_create(int argc, char **argv)
{
    const char *key_file = NULL, *out = NULL, *sim = NULL;
    const struct ui_opt opts[] = {
        {"key", &key_file, NULL, NULL, "FILE", "signing key (bundle keygen)"},
        {"out", &out, NULL, NULL, "FILE", "the bundle"},
        {"trust-sim", &sim, NULL, NULL, "DIR", "the root of this software TEE instead of Intel's"},
        {0},
    };
    int n = ui_parse(argc, argv, "cczoo collateral bundle create DIR --key FILE --out FILE", opts);
    if (n < 0)
        return ui_parse_status(n);
    if (n != 1 || !key_file || !out)
        return usage_error("expected a directory, --key and --out");
    struct ccz_err err;
    struct cli_roots roots;
    uint8_t signer[32];
    CCZ_AUTO(ccz_key) key = NULL;
    CCZ_AUTO_BUF archive;
    ccz_buf_init(&archive, CCZ_PCS_ARCHIVE_SIZE_MAX);
    ccz_rc rc = cli_roots(&roots, sim, &err);
    if (rc == CCZ_OK)
        rc = ccz_key_load(&key, key_file, &err);
    const struct ccz_pcs_export_cfg cfg = {.dir = argv[0],
                                           .roots = &roots.intel,
                                           .snp_roots = &roots.amd,
                                           .key = key,
                                           .now_s = ccz_clock_now_s(ccz_clock_system())};
    if (rc == CCZ_OK)
        rc = ccz_pcs_export(&archive, &cfg, &err);
    if (rc == CCZ_OK)
        rc = ccz_pcs_signer(signer, key);
    if (rc == CCZ_OK)
        rc = ccz_file_write(out, ccz_buf_span(&archive), 0644, CCZ_FILE_REPLACE, &err);
    if (rc != CCZ_OK)
        return ui_fail(&err);
    ui_say("%s was written; signed by:", out);
    say_signer(signer);
    return UI_OK;
}

static int import(const char *file, const struct ccz_pcs_import_cfg *cfg, bool pccs)
{
    struct ccz_err err;
    size_t len = 0;
    CCZ_AUTO_BUF data;
    ccz_buf_init(&data, CCZ_PCS_ARCHIVE_SIZE_MAX);
    ccz_rc rc = ccz_file_read(&data, file, &err);
    if (rc == CCZ_OK && pccs)
        rc = ccz_pcs_import_pccs(&len, cfg, ccz_buf_span(&data), &err);
    else if (rc == CCZ_OK)
        rc = ccz_pcs_import(cfg, ccz_buf_span(&data), &err);
    if (rc != CCZ_OK)
        return ui_fail(&err);
    ui_say("%s was imported into %s", file, cfg->dir);
    return UI_OK;
}

static int bundle_import(int argc, char **argv)
{
    const char *signer = NULL, *out = NULL, *sim = NULL, *update = NULL;
    bool pccs = false;
    struct cli_roots roots;
    struct ccz_pcs_import_cfg cfg = {.roots = &roots.intel,
                                     .snp_roots = &roots.amd,
                                     .now_s = ccz_clock_now_s(ccz_clock_system())};
    const struct ui_opt opts[] = {
        {"signer", &signer, NULL, NULL, "HEX", "who must have signed (bundle keygen printed it)"},
        {"out", &out, NULL, NULL, "DIR", "where bundles are kept"},
        {"pccs", NULL, NULL, &pccs, NULL, "the file is platform_collaterals.json of a PCCS"},
        {"update", &update, NULL, NULL, "KIND", "with --pccs: standard (default) or early"},
        {"older-insecure", NULL, NULL, &cfg.older_insecure, NULL,
         "accept what is older than what is there"},
        {"trust-sim", &sim, NULL, NULL, "DIR", "the root of this software TEE instead of Intel's"},
        {0},
    };
    int n =
        ui_parse(argc, argv, "cczoo collateral bundle import FILE --signer HEX --out DIR", opts);
    if (n < 0)
        return ui_parse_status(n);
    if (n != 1 || !out || (pccs ? signer != NULL : update != NULL))
        return usage_error("expected a file, --out, and --signer (or --pccs)");
    if (!pccs && !read_hex(cfg.signer, sizeof(cfg.signer), signer))
        return usage_error("--signer is 64 hex digits");
    if (update && strcmp(update, "early") != 0 && strcmp(update, "standard") != 0)
        return usage_error("--update is standard or early");
    struct ccz_err err;
    cfg.dir = out;
    cfg.update = update && strcmp(update, "early") == 0 ? CCZ_PCS_EARLY : CCZ_PCS_STANDARD;
    if (cli_roots(&roots, sim, &err) != CCZ_OK)
        return ui_fail(&err);
    return import(argv[0], &cfg, pccs);
}

static int bundle_inspect(int argc, char **argv)
{
    const struct ui_opt opts[] = {{0}};
    int n = ui_parse(argc, argv, "cczoo collateral bundle inspect FILE", opts);
    if (n < 0)
        return ui_parse_status(n);
    if (n != 1)
        return usage_error("expected one bundle");
    struct ccz_err err;
    uint8_t signer[32];
    char hex[65];
    CCZ_AUTO_BUF data, text;
    ccz_buf_init(&data, CCZ_PCS_ARCHIVE_SIZE_MAX);
    ccz_buf_init(&text, CCZ_PCS_ARCHIVE_SIZE_MAX);
    if (ccz_file_read(&data, argv[0], &err) != CCZ_OK ||
        ccz_pcs_archive_inspect(&text, signer, ccz_buf_span(&data), &err) != CCZ_OK)
        return ui_fail(&err);
    ui_out_span(ccz_buf_span(&text));
    ccz_hex(hex, signer, sizeof(signer));
    ui_say("whole, and signed by %s: whoever that is", hex);
    return UI_OK;
}

int cmd_collateral_bundle(int argc, char **argv)
{
    static const struct {
        const char *verb;
        cli_fn *run;
    } verbs[] = {{"keygen", bundle_keygen},
                 {"create", bundle_create},
                 {"import", bundle_import},
                 {"inspect", bundle_inspect}};
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]) && argc > 1; i++)
        if (strcmp(argv[1], verbs[i].verb) == 0)
            return verbs[i].run(argc - 1, argv + 1);
    ui_error("expected keygen, create, import or inspect");
    ui_hint("cczoo collateral bundle create --help");
    return UI_USAGE;
}
