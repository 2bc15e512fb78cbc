/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"
#include "evidence.h"

#include <cczoo/codec.h>
#include <cczoo/crypto.h>
#include <cczoo/tee.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
    REPORT_DATA_SIZE = 64,
    RTMR_LEN = 4,
    RTMR_SIZE = 48,
    TIMEOUT_MS = 30000,
    TIMEOUT_MAX_MS = 3600000,
    JSON_SIZE_MAX = 1 << 20
};

static int usage_error(const char *what)
{
    ui_error("%s", what);
    return UI_USAGE;
}

/* ------------------------------------------------------------------------------- providers */

static void print_probe(const struct ccz_attester_probe *p)
{
    if (p->tee) {
        ui_out("%-10s answers  %s\n", p->provider, p->tee);
        return;
    }
    ui_out("%-10s no       %s: %s\n", p->provider, p->err.where, p->err.msg);
    if (p->err.hint[0])
        ui_out("%-10s          hint: %s\n", "", p->err.hint);
}

static void put_probe(struct ccz_buf *out, const struct ccz_attester_probe *p)
{
    ccz_buf_printf(out, "{\"provider\":\"%s\",\"answers\":%s", p->provider,
                   p->tee ? "true" : "false");
    if (p->tee) {
        ccz_buf_printf(out, ",\"tee\":\"%s\"}", p->tee);
        return;
    }
    ccz_buf_put_str(out, ",\"error\":");
    cli_put_error(out, &p->err);
    ccz_buf_put_str(out, "}");
}

int cmd_evidence_providers(int argc, char **argv)
{
    const char *root = NULL;
    bool json = false;
    const struct ui_opt opts[] = {
        {"json", NULL, NULL, &json, NULL, "one JSON array"},
        CLI_FS_ROOT_OPT(&root),
        {0},
    };
    int n = ui_parse(argc, argv, "cczoo evidence providers [--json]", opts);
    if (n < 0)
        return ui_parse_status(n);
    if (n != 0)
        return usage_error("expected no operand");
    struct ccz_attester_probe probes[CCZ_ATTESTER_PROBES];
    size_t answer = ccz_attester_detect(probes, root);
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, JSON_SIZE_MAX);
    for (size_t i = 0; i < CCZ_ATTESTER_PROBES; i++) {
        ccz_buf_put_str(&out, i ? "," : "[");
        put_probe(&out, &probes[i]);
        if (!json)
            print_probe(&probes[i]);
    }
    ccz_buf_put_str(&out, "]\n");
    if (json)
        ui_out_span(ccz_buf_span(&out));
    if (answer == 0)
        ui_say("no provider of hardware answers; the software TEE is sim-sgx, sim-tdx or sim-snp, "
               "with "
               "--sim DIR");
    return answer ? UI_OK : UI_ENV;
}

/* ------------------------------------------------------------------------------------- get */

struct get_opts {
    struct ccz_attester_cfg cfg;
    const char *report_data, *report_data_file, *out;
    bool nonce;
    int64_t vmpl, timeout_ms;
};

/* Shorter data are followed by zeros; what became of them is printed. */
static ccz_rc report_data_from_hex(uint8_t out[REPORT_DATA_SIZE], const char *hex,
                                   struct ccz_err *err)
{
    size_t digits = strlen(hex);
    if (digits == 0 || digits > (size_t)2 * REPORT_DATA_SIZE || digits % 2 != 0 ||
        ccz_unhex(out, digits / 2, hex, digits) != CCZ_OK)
        return ccz_fail(err, CCZ_E_ARG, "cli:report-data", (int64_t)digits,
                        "--report-data is 1 to 64 bytes in hex");
    return CCZ_OK;
}

static ccz_rc report_data_from_file(uint8_t out[REPORT_DATA_SIZE], const char *file,
                                    struct ccz_err *err)
{
    CCZ_AUTO_BUF bytes;
    ccz_buf_init(&bytes, REPORT_DATA_SIZE);
    ccz_rc rc = ccz_file_read(&bytes, strcmp(file, "-") == 0 ? "/dev/stdin" : file, err);
    if (rc == CCZ_E_LIMIT || (rc == CCZ_OK && bytes.size == 0)) {
        rc = ccz_fail(err, CCZ_E_ARG, "cli:report-data", 0, "%s does not hold 1 to 64 bytes", file);
        return ccz_hint(err, rc, "the bytes themselves, not hex; of longer data take a hash");
    }
    if (rc == CCZ_OK)
        memcpy(out, bytes.ptr, bytes.size);
    return rc;
}

static ccz_rc make_report_data(uint8_t out[REPORT_DATA_SIZE], const struct get_opts *o,
                               struct ccz_err *err)
{
    memset(out, 0, REPORT_DATA_SIZE);
    if (o->report_data)
        return report_data_from_hex(out, o->report_data, err);
    if (o->report_data_file)
        return report_data_from_file(out, o->report_data_file, err);
    if (ccz_random(out, REPORT_DATA_SIZE) != CCZ_OK)
        return ccz_fail(err, CCZ_E_INTERNAL, "cli:random", 0, "no random bytes");
    return CCZ_OK;
}

static int get_usage(struct get_opts *o)
{
    struct ccz_attester_cfg *cfg = &o->cfg;
    bool sim = cfg->provider && strncmp(cfg->provider, "sim-", 4) == 0;
    if (!cfg->provider) {
        ui_error("expected --provider");
        ui_hint("cczoo evidence providers lists those of this machine");
        return UI_USAGE;
    }
    if ((o->report_data != NULL) + (o->report_data_file != NULL) + o->nonce != 1)
        return usage_error("expected one of --report-data, --report-data-file and --nonce-random: "
                           "what the evidence is to be over is nothing to guess");
    if (sim != (cfg->sim_dir != NULL))
        return usage_error("--sim is needed for sim-sgx, sim-tdx and sim-snp, and only there");
    if (o->vmpl < -1 || o->vmpl > 3)
        return usage_error("--vmpl is 0 to 3");
    if (o->timeout_ms <= 0 || o->timeout_ms > TIMEOUT_MAX_MS)
        return usage_error("--timeout is 1 to 3600000 ms");
    if (!o->out && ui_out_is_terminal()) {
        ui_error("evidence is binary: it is not written to a terminal");
        ui_hint("--out FILE, or --out - to have it there anyway");
        return UI_USAGE;
    }
    cfg->vmpl_set = o->vmpl >= 0;
    cfg->vmpl = cfg->vmpl_set ? (uint8_t)o->vmpl : 0;
    cfg->timeout_ms = o->timeout_ms;
    return UI_OK;
}

static void say_log(void *arg, enum ccz_log_level level, const char *module, const char *line)
{
    (void)arg;
    ui_say("%s: %s: %s", level == CCZ_LOG_ERROR ? "error" : "warning", module, line);
}

static int get(const struct get_opts *o)
{
    struct ccz_err err = {0};
    uint8_t report_data[REPORT_DATA_SIZE];
    char hex[2 * REPORT_DATA_SIZE + 1];
    CCZ_AUTO(ccz_attester) a = NULL;
    CCZ_AUTO_BUF evidence;
    ccz_buf_init(&evidence, CCZ_EVIDENCE_FILE_MAX);
    if (make_report_data(report_data, o, &err) != CCZ_OK ||
        ccz_attester_open(&a, &o->cfg, &err) != CCZ_OK ||
        ccz_attester_quote(&evidence, a, report_data, &err) != CCZ_OK)
        return cli_tee_fail(&err);
    if (ccz_attester_simulated(a))
        ui_simulated("the evidence comes from a software TEE");
    if (!o->out || strcmp(o->out, "-") == 0)
        ui_out_span(ccz_buf_span(&evidence));
    else if (ccz_file_write(o->out, ccz_buf_span(&evidence), 0644, CCZ_FILE_REPLACE, &err) !=
             CCZ_OK)
        return ui_fail(&err);
    ccz_hex(hex, report_data, sizeof(report_data));
    ui_say("%s evidence from %s, %zu bytes, over report data %s", ccz_attester_tee(a),
           ccz_attester_provider(a), evidence.size, hex);
    return UI_OK;
}

int cmd_evidence_get(int argc, char **argv)
{
    struct get_opts o = {.vmpl = -1, .timeout_ms = TIMEOUT_MS};
    const struct ui_opt opts[] = {
        {"provider", &o.cfg.provider, NULL, NULL, "NAME",
         "gramine, configfs, tdx-guest, sev-guest, sim-sgx, sim-tdx or sim-snp"},
        {"report-data", &o.report_data, NULL, NULL, "HEX", "1 to 64 bytes, zeros follow"},
        {"report-data-file", &o.report_data_file, NULL, NULL, "FILE",
         "the same as bytes; - is standard input"},
        {"nonce-random", NULL, NULL, &o.nonce, NULL, "64 random bytes as report data"},
        {"sim", &o.cfg.sim_dir, NULL, NULL, "DIR", "the software TEE of cczoo sim init"},
        {"vmpl", NULL, &o.vmpl, NULL, "N", "SEV-SNP: 0 to 3, default the level this guest runs at"},
        {"timeout", NULL, &o.timeout_ms, NULL, "MS", "default 30000"},
        {"out", &o.out, NULL, NULL, "FILE", "default standard output, if it is no terminal"},
        CLI_FS_ROOT_OPT(&o.cfg.fs_root),
        {0},
    };
    int n = ui_parse(argc, argv,
                     "cczoo evidence get --provider NAME (--report-data HEX | --report-data-file "
                     "FILE | --nonce-random) [--sim DIR] [--vmpl N] [--timeout MS] [--out FILE]",
                     opts);
    if (n < 0)
        return ui_parse_status(n);
    if (n != 0)
        return usage_error("expected no operand");
    int status = get_usage(&o);
    if (status != UI_OK)
        return status;
    ccz_log_install(say_log, NULL, CCZ_LOG_WARN);
    return get(&o);
}

/* ------------------------------------------------------------------------------------ rtmr */

static int rtmr_read(int argc, char **argv)
{
    const char *root = NULL;
    int64_t index = -1;
    bool json = false;
    const struct ui_opt opts[] = {
        {"index", NULL, &index, NULL, "N", "only this one, 0 to 3"},
        {"json", NULL, NULL, &json, NULL, "one JSON object"},
        CLI_FS_ROOT_OPT(&root),
        {0},
    };
    int n = ui_parse(argc, argv, "cczoo evidence rtmr read [--index N] [--json]", opts);
    if (n < 0)
        return ui_parse_status(n);
    if (n != 0 || index < -1 || index >= RTMR_LEN)
        return usage_error("expected no operand, and --index 0 to 3");
    unsigned first = index < 0 ? 0 : (unsigned)index;
    unsigned end = index < 0 ? RTMR_LEN : first + 1;
    struct ccz_err err = {0};
    char hex[RTMR_LEN][2 * RTMR_SIZE + 1];
    for (unsigned i = first; i < end; i++) {
        uint8_t value[RTMR_SIZE];
        if (ccz_rtmr_read(value, i, root, &err) != CCZ_OK)
            return cli_tee_fail(&err);
        ccz_hex(hex[i], value, sizeof(value));
    }
    for (unsigned i = first; i < end; i++)
        if (json)
            ui_out("%s\"rtmr%u\":\"%s\"%s", i == first ? "{" : ",", i, hex[i],
                   i + 1 == end ? "}\n" : "");
        else
            ui_out("rtmr%u %s\n", i, hex[i]);
    return UI_OK;
}

static ccz_rc hash_file(uint8_t out[RTMR_SIZE], const char *file, struct ccz_err *err)
{
    CCZ_AUTO(ccz_hasher) h = NULL;
    FILE *f = strcmp(file, "-") == 0 ? stdin : fopen(file, "rb");
    if (!f)
        return ccz_fail(err, CCZ_E_IO, "cli:digest", errno, "cannot open %s: %s", file,
                        strerror(errno));
    uint8_t chunk[16384];
    size_t n = 0;
    ccz_rc rc = ccz_hasher_new(&h, CCZ_SHA384);
    while (rc == CCZ_OK && (n = fread(chunk, 1, sizeof(chunk), f)) > 0)
        rc = ccz_hasher_put(h, CCZ_SPAN(chunk, n));
    bool failed = ferror(f) != 0;
    int e = errno;
    if (f != stdin)
        (void)fclose(f); /* read-only: nothing can be lost */
    if (failed)
        return ccz_fail(err, CCZ_E_IO, "cli:digest", e, "cannot read %s: %s", file, strerror(e));
    if (rc == CCZ_OK)
        rc = ccz_hasher_done(out, h);
    return rc == CCZ_OK ? CCZ_OK : ccz_fail(err, rc, "cli:digest", 0, "cannot compute SHA-384");
}

/* The line on stdout is one for the log of run-time extends (`evidence eventlog --extends`). It comes last: what the
 * driver refused must not get into a log. */
static int rtmr_extend(int argc, char **argv)
{
    const char *root = NULL, *hex = NULL, *file = NULL;
    int64_t index = -1;
    const struct ui_opt opts[] = {
        {"index", NULL, &index, NULL, "N", "0 to 3; applications use 3"},
        {"digest", &hex, NULL, NULL, "HEX", "SHA-384 digest of what is measured"},
        {"file", &file, NULL, NULL, "FILE", "what is measured; - is standard input"},
        CLI_FS_ROOT_OPT(&root),
        {0},
    };
    int n =
        ui_parse(argc, argv,
                 "cczoo evidence rtmr extend --index N (--digest HEX | --file FILE) >>LOG", opts);
    if (n < 0)
        return ui_parse_status(n);
    if (n != 0 || index < 0 || index >= RTMR_LEN || (hex != NULL) == (file != NULL))
        return usage_error("expected --index 0 to 3, and --digest or --file");
    struct ccz_err err = {0};
    uint8_t digest[RTMR_SIZE];
    if (hex && ccz_unhex(digest, sizeof(digest), hex, strlen(hex)) != CCZ_OK)
        return usage_error("--digest is 96 hex digits, a SHA-384 digest");
    if (file && hash_file(digest, file, &err) != CCZ_OK)
        return ui_fail(&err);
    ui_say("warning: RTMR%d cannot be set back until this TD ends; keep the line that follows, "
           "nobody else logs it",
           (int)index);
    if (ccz_rtmr_extend((unsigned)index, digest, root, &err) != CCZ_OK)
        return cli_tee_fail(&err);
    char text[2 * RTMR_SIZE + 1];
    ccz_hex(text, digest, sizeof(digest));
    ui_out("%d %s\n", (int)index, text);
    return UI_OK;
}

int cmd_evidence_rtmr(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "read") == 0)
        return rtmr_read(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "extend") == 0)
        return rtmr_extend(argc - 1, argv + 1);
    ui_error("expected read or extend");
    ui_hint("cczoo evidence rtmr extend --help");
    return UI_USAGE;
}
